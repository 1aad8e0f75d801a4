/* Numbers and strings as all of SSH's formats have them: four bytes, the highest first; a length and so many bytes. Header
 * only; every length is checked against what is left. */
#ifndef MF_SSH_WIRE_H
#define MF_SSH_WIRE_H

#include <stdbool.h>
#include <stddef.h>

struct mf_ssh_wire {
    const unsigned char *at;
    size_t left;
};

static inline bool mf_ssh_take_number(struct mf_ssh_wire *w, size_t *n)
{
    if (w->left < 4)
        return false;
    *n = (size_t)w->at[0] << 24 | (size_t)w->at[1] << 16 | (size_t)w->at[2] << 8 | w->at[3];
    w->at += 4;
    w->left -= 4;
    return true;
}

static inline bool mf_ssh_take_string(struct mf_ssh_wire *w, struct mf_ssh_wire *text)
{
    size_t n;
    if (!mf_ssh_take_number(w, &n) || n > w->left)
        return false;
    *text = (struct mf_ssh_wire){w->at, n};
    w->at += n;
    w->left -= n;
    return true;
}

static inline void mf_ssh_put_number(unsigned char out[4], size_t n)
{
    for (int i = 0; i < 4; i++)
        out[i] = (unsigned char)(n >> (24 - 8 * i));
}

#endif
