/* Makes a connection to a host by SSH and a stream whose far end is an agent there: configuration, name look-up,
 * connection, key exchange, check of the host's key, authentication, hops over jump hosts, node build, start, hello.
 * Each launch has a thread of its own, so all hosts log in at the same time.
 *
 * Two transports do the same: libssh2, and the user's own `ssh` program as a byte stream. */
#ifndef MF_LAUNCH_SSH_H
#define MF_LAUNCH_SSH_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "stream_remote.h"

#define MF_LAUNCH_SSH_TEXT 2000 /* bytes of words */

enum mf_launch_transport {
    MF_LAUNCH_AUTO, /* libssh2; the ssh program for what libssh2 cannot do, and the result says why */
    MF_LAUNCH_LIBSSH2,
    MF_LAUNCH_OPENSSH,
};

enum mf_launch_step {
    MF_LAUNCH_CONFIG,
    MF_LAUNCH_RESOLVE,
    MF_LAUNCH_CONNECT,
    MF_LAUNCH_KEX, /* banner and key exchange */
    MF_LAUNCH_HOST_KEY,
    MF_LAUNCH_AUTH,
    MF_LAUNCH_FORWARD, /* from a jump host to the next */
    MF_LAUNCH_EXEC,
    MF_LAUNCH_UPLOAD,
    MF_LAUNCH_HELLO,
    MF_LAUNCH_STEPS
};
const char *mf_launch_step_name(enum mf_launch_step step); /* "connect", "host key" */

/* Seconds that each step may take; 0 stands for the default. Time in which a person is asked does not count. */
struct mf_launch_limits {
    double resolve; /* 10 */
    double connect; /* 10, per host */
    double kex;     /* 15 */
    double auth;    /* 30 */
    double upload;  /* 120 */
    double hello;   /* 30: of starting the program until its first word; shells may be slow */
};

/* What a person is asked. Answers of one group are kept, so that a key's passphrase is asked for once. */
struct mf_launch_question {
    const char *host; /* as the user named it */
    const char *text; /* "Passphrase for /home/a/.ssh/id_ed25519: " */
    bool echo;        /* may the answer be seen? */
};

/* Returns whether there is an answer; it is wiped after use. Called on a launch's thread, one question at a time in a
 * group. */
typedef bool mf_launch_ask(void *arg, const struct mf_launch_question *question, char *answer, size_t room);

/* What the launches of one plan share: questions, and that at most 8 log in to one host at the same time. */
struct mf_launch_group;
struct mf_launch_group *mf_launch_group_new(mf_launch_ask *ask,
                                            void *arg);   /* ask: NULL without a terminal; NULL: ENOMEM */
void mf_launch_group_free(struct mf_launch_group *group); /* when none of its launches is left */

/* Copied by mf_launch_ssh_start. */
struct mf_launch_ssh_options {
    const char *host;              /* as in ssh's command line, without user and port */
    const char *user;              /* NULL: as configured */
    int port;                      /* 0: as configured */
    const char *const *identities; /* private keys, NULL at the end: they come first; NULL: as configured */
    enum mf_launch_transport transport;
    bool accept_new; /* an unknown host's key is taken and appended to known_hosts; a changed one never is */

    const char *config;      /* in place of the user's SSH configuration; "none": none. NULL: the user's */
    const char *known_hosts; /* in place of the configured files. NULL: those */
    const char *ssh;         /* the ssh program. NULL: "ssh" on PATH */

    const char *name;    /* of the worker: `program --agent NAME --stdio` */
    const char *program; /* on the host, a path or a name without shell characters; nothing is uploaded then. NULL:
                               `moonfleet` on its PATH if it has our version, else a node build in its cache */
    const char *version; /* ours, as `moonfleet --version` prints it */
    const char
        *node_build;     /* path of an executable that needs only libc, to be uploaded where it is needed. NULL: none */
    bool upload;         /* may it be? */
    const char *command; /* run this as it is in place of an agent: no hello is waited for. NULL: an agent */

    struct mf_launch_limits limits;
    const char *library_cannot; /* for tests: a reason to fall to the program, as if libssh2 could not do something */
};

struct mf_launch_ssh_result {
    struct mf_stream_remote *remote;    /* the agent: its hello is the first to be read. NULL: it failed */
    enum mf_launch_transport transport; /* that was used */
    char note[200]; /* what a person should know although it went well: why the program was used, "added to
                        known_hosts"; "" if nothing */
    bool uploaded;  /* a node build */
    double seconds; /* that it took, without questions */

    enum mf_err code;              /* MF_OK, MF_EINTR when cancelled, or another: */
    enum mf_launch_step step;      /* where it failed */
    char text[MF_LAUNCH_SSH_TEXT]; /* host, step, what was tried, what the other side said, and what to do */
};

struct mf_launch_ssh;

/* Begins. done is called once, on the launch's thread, when a result can be taken; it may not free the launch. group
 * must outlive it. NULL and a fault: a name that is refused (leading dash, blanks, quotes, shell characters), a missing
 * option, or memory or threads are out. */
struct mf_launch_ssh *mf_launch_ssh_start(struct mf_launch_group *group, const struct mf_launch_ssh_options *options,
                                          void (*done)(void *arg), void *arg, struct mf_fault *fault);

/* The result, once: true when it is there. The remote is the caller's. */
bool mf_launch_ssh_take(struct mf_launch_ssh *launch, struct mf_launch_ssh_result *result);

/* Makes it end soon; done is called all the same. Any thread. */
void mf_launch_ssh_cancel(struct mf_launch_ssh *launch);

/* Cancels what still goes on, waits for the thread (which only a person at a prompt can hold up), closes a stream that
 * nobody has taken. NULL allowed. */
void mf_launch_ssh_free(struct mf_launch_ssh *launch);

#endif
