/* What the user's SSH configuration says of one host. `ssh -G` is asked where there is such a program, so that no
 * directive is misread; without it a subset is read here, which stands below. Blocks: on the disk, and up to a deadline
 * on that program, which may run what the user's `Match exec` says. Any thread.
 *
 * The subset, from the file given or else ~/.ssh/config and /etc/ssh/ssh_config, first value wins: Host (patterns and
 * negation), Include, and what mf_ssh_config's fields need: HostName, User, Port, HostKeyAlias, IdentityFile,
 * IdentitiesOnly, IdentityAgent, UserKnownHostsFile, GlobalKnownHostsFile, HashKnownHosts, ProxyJump, AddressFamily,
 * PubkeyAuthentication, PasswordAuthentication, KbdInteractiveAuthentication, and the directives that only the program
 * can follow. Others are passed over. A Match line is an error, since it may say anything. StrictHostKeyChecking is never
 * asked: it could only soften. */
#ifndef MF_SSH_CONFIG_H
#define MF_SSH_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define MF_SSH_FILES 16 /* identities, known_hosts files */
#define MF_SSH_HOPS  8  /* of a ProxyJump */

struct mf_ssh_query {
    const char *host;    /* as the user wrote it, without user and port */
    const char *user;    /* NULL: as configured, else who we are */
    int port;            /* 0: as configured, else 22 */
    const char *file;    /* in place of the user's configuration files, NULL: those; "none": none at all */
    const char *program; /* the `ssh` program: a path, or a name on PATH; NULL: "ssh" */
    uint64_t deadline;   /* of mf_sys_now's clock, for the program */
    int cancel;          /* a descriptor that polls readable when this is not wanted any more, or -1 */
};

/* Paths are complete: "~" and tokens have been replaced. */
struct mf_ssh_config {
    char *hostname; /* to connect to */
    char *user;
    char *alias; /* by which its key is known, NULL: hostname */
    int port;
    char *identities[MF_SSH_FILES + 1]; /* that exist, NULL at the end */
    char *missing;                      /* the first one that is configured and not there, or NULL */
    bool identities_only;
    char *agent;                        /* the agent's socket, NULL: no agent */
    char *known[MF_SSH_FILES + 1];      /* known_hosts files, the user's first, NULL at the end */
    char *append;                       /* the one that new keys are written to, NULL: none */
    bool hashed;                        /* with names that cannot be read */
    char *jump;                         /* "user@a:22,b", NULL: none */
    bool inet4, inet6;                  /* addresses of this family only */
    bool publickey, keyboard, password; /* methods that may be tried */
    char needs_program[96];             /* the directive that only the ssh program can follow ("ProxyCommand"), or "" */
    bool gssapi;                        /* Kerberos may be tried, which only the program can */
};

/* Fills config, which the caller releases whatever is returned. MF_EINVAL: a name that is refused (see below), or a
 * configuration that makes no sense; MF_ETIMEDOUT, MF_EINTR (cancelled), MF_ENOMEM, MF_ESYS. The fault says the rest. */
enum mf_err mf_ssh_config_resolve(const struct mf_ssh_query *query, struct mf_ssh_config *config,
                                  struct mf_fault *fault);
void mf_ssh_config_release(struct mf_ssh_config *config); /* all zero bytes are empty */

/* Is there a program of that name: a path, or on PATH? */
bool mf_ssh_config_has_program(const char *name);

/* May this be a host's or a user's name? Refused are empty ones, those with a leading dash, with blanks, quotes, control
 * or shell characters. MF_EINVAL and a fault that shows it escaped. */
enum mf_err mf_ssh_config_check_host(const char *host, struct mf_fault *fault);
enum mf_err mf_ssh_config_check_user(const char *user, struct mf_fault *fault);

/* Takes "[user@]host[:port]" or "[user@][v6::address]:port" apart, in place; user is NULL and port 0 where it has none.
 * A leading "ssh://" is allowed. False when it is no such thing. */
bool mf_ssh_config_split(char *text, char **user, char **host, int *port);

#endif
