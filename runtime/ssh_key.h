/* Private key files, looked at before libssh2 is asked to use them: its errors do not tell a missing file from a locked
 * one. Nothing secret is read: what is needed stands in front of it. */
#ifndef MF_SSH_KEY_H
#define MF_SSH_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

struct mf_ssh_key {
    char type[64];    /* "ssh-ed25519"; "" when the file does not say */
    bool locked;      /* by a passphrase */
    bool public_only; /* a public key; an agent may have the private one */
    bool certified;   /* there is a certificate beside it */
    unsigned char
        *blob; /* the public key in wire form, from malloc; NULL when neither the file nor the .pub beside it says */
    size_t n;
};

/* Fills key, which the caller releases whatever is returned. MF_ESYS: not there, or not to be read; MF_EINVAL: others may
 * read it (OpenSSH would not use it either), or it is no key. The fault names the file and what to do. */
enum mf_err mf_ssh_key_look(const char *path, struct mf_ssh_key *key, struct mf_fault *fault);
void mf_ssh_key_release(struct mf_ssh_key *key); /* all zero bytes are empty */

#endif
