/* What the files of stream_ssh share: the session's struct and the rule for its blocking calls. Included by them only. */
#ifndef MF_STREAM_SSH_INNER_H
#define MF_STREAM_SSH_INNER_H

#include <stdbool.h>
#include <stddef.h>

#include "stream_ssh.h"
#include "stream_ssh_library.h"

#define MF_SSH_FIRST 48 /* bytes of what the server says first, for messages */

struct mf_ssh_relay_thread;

struct mf_ssh {
    LIBSSH2_SESSION *session;
    int fd;
    int error; /* of the last call of recv or send that failed; -1: the other side has closed */
    bool dead; /* nothing may be sent or received any more */
    struct mf_ssh *below;
    struct mf_ssh_relay_thread *relay; /* this session is one, or NULL */

    unsigned char first[MF_SSH_FIRST]; /* the first bytes received */
    size_t nfirst;
    char banner[128];
    char goodbye[128]; /* why the server says it disconnects */

    unsigned commands; /* that it has run */

    mf_ssh_sign *sign; /* while one is asked for */
    mf_ssh_prompt *prompt;
    void *arg;
};

/* After a call returned LIBSSH2_ERROR_EAGAIN: waits until it is worth repeating. MF_OK, MF_ETIMEDOUT, MF_EINTR. */
enum mf_err mf_ssh_block(struct mf_ssh *s, const struct mf_wait *wait);

/* Fills the fault for what a call returned (not EAGAIN) and returns its code: MF_ELOST for a broken connection. */
enum mf_err mf_ssh_failed(struct mf_ssh *s, int rc, struct mf_fault *fault);
/* The same for a wait that ended badly. */
enum mf_err mf_ssh_waited(enum mf_err e, struct mf_fault *fault);

/* Why the connection is gone, in words; never NULL. */
const char *mf_ssh_lost(const struct mf_ssh *s);

/* Opens a channel with the window that mf_ssh_stream_new counts on. NULL and a fault (MF_EINVAL: refused). */
LIBSSH2_CHANNEL *mf_ssh_open(struct mf_ssh *s, const char *type, const char *message, size_t n,
                             const struct mf_wait *wait, struct mf_fault *fault);

/* A stream over such a channel, taken over on success. NULL: memory is out. */
struct mf_stream_remote *mf_ssh_stream_new(struct mf_ssh *s, LIBSSH2_CHANNEL *channel);

/* Stops and frees the relay thread of s; whose end is told by mf_ssh_relay_end, NULL while it runs. */
void mf_ssh_relay_stop(struct mf_ssh *s);
const char *mf_ssh_relay_end(const struct mf_ssh *s);

#endif
