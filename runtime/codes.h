/* Numbers for code: what a pool has sent to its agents, so that the same code travels to each of them once. Belongs to
 * the owner's lock. */
#ifndef MF_CODES_H
#define MF_CODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"

struct mf_codes_entry {
    struct mf_blob *code; /* a reference */
    uint64_t number;
};

/* A pool's codes, by rising number. All zero bytes is empty. */
struct mf_codes {
    struct mf_codes_entry *entries;
    size_t n, cap;
    uint64_t last;
};

/* The numbers that one agent knows, rising. All zero bytes is empty. */
struct mf_codes_known {
    uint64_t *numbers;
    size_t n, cap;
};

/* The code's number, a new one if it has none yet. MF_ENOMEM. */
enum mf_err mf_codes_number(struct mf_codes *codes, struct mf_blob *code, uint64_t *number);

/* Takes out a code that nobody else refers to any more and returns its number, 0 when there is none. */
uint64_t mf_codes_retire(struct mf_codes *codes);

void mf_codes_release(struct mf_codes *codes);

bool mf_codes_knows(const struct mf_codes_known *known, uint64_t number);
enum mf_err mf_codes_learn(struct mf_codes_known *known, uint64_t number);
bool mf_codes_unlearn(struct mf_codes_known *known, uint64_t number); /* false when it was not known */
void mf_codes_forget_all(struct mf_codes_known *known);

#endif
