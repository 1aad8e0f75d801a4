/* known_hosts files: who may answer for a host. Read by our own code, since libssh2's reader ignores @revoked, knows no
 * patterns and gives up at the first bad line. Nothing here talks to a network; reading and appending block on the disk
 * only. What was read is immutable and may be used by any number of threads. */
#ifndef MF_KNOWN_HOSTS_H
#define MF_KNOWN_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

#define MF_KNOWN_TYPES       8  /* key types of one host that are told apart */
#define MF_KNOWN_FINGERPRINT 64 /* bytes of "SHA256:..." with its end */

struct mf_known_hosts; /* the lines of all files, in order */

/* Called for each line that makes no sense (it is skipped), and for a file that cannot be read: "/home/a/.ssh/known_hosts
 * line 3: no key; line ignored". NULL is allowed. */
typedef void mf_known_warning(void *arg, const char *text);

/* Reads the files, one after the other. One that does not exist is empty; one that cannot be read is a warning and makes
 * mf_known_hosts_unread tell it. NULL and a fault only when memory is out. */
struct mf_known_hosts *mf_known_hosts_read(const char *const paths[], size_t n, mf_known_warning *warning, void *arg,
                                           struct mf_fault *fault);
void mf_known_hosts_free(struct mf_known_hosts *known); /* NULL allowed */

/* The first file that exists and could not be read, with why ("/x: Permission denied"), or NULL. */
const char *mf_known_hosts_unread(const struct mf_known_hosts *known);

enum mf_known_verdict {
    MF_KNOWN_SAME,    /* this key is known for this host */
    MF_KNOWN_NOT,     /* nothing is known of the host */
    MF_KNOWN_OTHER,   /* only keys of other types are */
    MF_KNOWN_CHANGED, /* another key of this type is */
    MF_KNOWN_REVOKED, /* this very key is marked @revoked for this host */
};

/* Where it says so. path belongs to the record; line is 0 for MF_KNOWN_NOT. */
struct mf_known_place {
    const char *path;
    unsigned line;
};

/* What the files say of a key (its wire form, which begins with its type) for the host at that port. As in OpenSSH, any
 * line that knows the key makes it known, a revocation beats them all, and a host on a port of its own is looked up as
 * "[host]:port"; if nothing is known of that, a line with the bare name and the same key is enough. place: of the line
 * that decided; may be NULL. */
enum mf_known_verdict mf_known_hosts_check(const struct mf_known_hosts *known, const char *host, int port,
                                           const void *key, size_t n, struct mf_known_place *place);

/* The types of the keys that are known for the host and not revoked ("ssh-ed25519"), in the files' order, at most
 * MF_KNOWN_TYPES; how many. They belong to the record. A log-in asks the server for these first. */
size_t mf_known_hosts_types(const struct mf_known_hosts *known, const char *host, int port,
                            const char *types[MF_KNOWN_TYPES]);

/* Does an @cert-authority line speak of this host? Then its key may be known by a certificate, which libssh2 cannot
 * check. */
bool mf_known_hosts_certified(const struct mf_known_hosts *known, const char *host, int port,
                              struct mf_known_place *place);

/* Appends one line for this key, in one write, so that lines of several writers never mix; the file is made with mode
 * 0600 and its directory with 0700 where they are missing. hashed: the name cannot be read in it. MF_ESYS and a fault
 * that names the file; what was in it stays. */
enum mf_err mf_known_hosts_append(const char *path, const char *host, int port, const void *key, size_t n, bool hashed,
                                  struct mf_fault *fault);

/* "SHA256:..." as OpenSSH prints it. */
void mf_known_hosts_fingerprint(const void *key, size_t n, char text[MF_KNOWN_FINGERPRINT]);

/* The type that a key in wire form begins with ("ssh-ed25519"); "" when it is none. */
void mf_known_hosts_type(const void *key, size_t n, char *text, size_t room);

/* The name by which a host on that port stands in such a file: "host" or "[host]:2222", in lower case. */
void mf_known_hosts_name(const char *host, int port, char *text, size_t room);

/* Does a pattern of n characters match the name? "*" and "?" as in OpenSSH's files; case does not count. */
bool mf_known_hosts_match(const char *pattern, size_t n, const char *name);

#endif
