/* A client of the user's SSH agent. libssh2 has one, but that waits for ever when the agent does not answer. Blocks until
 * a deadline; one thread at a time. */
#ifndef MF_SSH_AGENT_H
#define MF_SSH_AGENT_H

#include <stddef.h>

#include "err.h"
#include "stream_remote.h"

#define MF_SSH_AGENT_KEYS 64 /* that are looked at */

struct mf_ssh_agent {
    int fd;
    unsigned char *answer; /* to the list; the keys point into it */
    struct {
        const unsigned char *blob; /* public key in wire form */
        size_t n;
    } keys[MF_SSH_AGENT_KEYS];
    size_t nkeys;
};

/* Connects and asks for the keys. The caller closes it only when this was MF_OK. MF_ESYS: nobody answers there;
 * MF_ETIMEDOUT, MF_EINTR, MF_EINVAL (it answers nonsense), MF_ENOMEM. */
enum mf_err mf_ssh_agent_open(struct mf_ssh_agent *agent, const char *path, const struct mf_wait *wait,
                              struct mf_fault *fault);
void mf_ssh_agent_close(struct mf_ssh_agent *agent);

/* Has it sign data with one of its keys; RSA keys with the SHA-2 algorithm that data names. *signature, from malloc, is what
 * follows the algorithm's name. MF_EINVAL: it refuses. */
enum mf_err mf_ssh_agent_sign(struct mf_ssh_agent *agent, size_t key, const void *data, size_t n,
                              unsigned char **signature, size_t *length, const struct mf_wait *wait,
                              struct mf_fault *fault);

#endif
