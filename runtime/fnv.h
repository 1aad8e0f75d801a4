/* A quick number for bytes, to tell them from others: FNV-1a (Fowler, Noll, Vo), eight bytes at a time, with their high
 * bits folded down, since a multiplication only carries upwards. Not for what others may choose: it is no digest. */
#ifndef MF_FNV_H
#define MF_FNV_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MF_FNV_START UINT64_C(14695981039346656037)

/* The number of what sum is of, MF_FNV_START at first, and these bytes behind it. */
static inline uint64_t mf_fnv(uint64_t sum, const void *bytes, size_t n)
{
    const uint64_t prime = UINT64_C(1099511628211);
    const unsigned char *at = bytes;
    for (; n >= 8; at += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        sum = (sum ^ word) * prime;
        sum ^= sum >> 29;
    }
    for (; n > 0; at++, n--)
        sum = (sum ^ *at) * prime;
    return sum;
}

#endif
