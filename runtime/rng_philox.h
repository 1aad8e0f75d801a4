/* Philox4x32-10, the counter-based generator of J. Salmon, M. Moraes, R. Dror and D. Shaw, "Parallel random
 * numbers: as easy as 1, 2, 3", SC'11: a keyed bijection of 128 bits, so that word number p of a stream is computed
 * without those before it.
 *
 * A stream has 2^64 words of 64 bits and a key of its own; substreams have the key in common. The counter is
 *   words 0 and 1   the number of a block of two words, or the position of the one word that a side stream belongs to
 *   word 2          the substream
 *   word 3          0, or the number of a block of the side stream: what a rejection method needs beyond its first
 *                   word comes from there, so that each number takes exactly one word and vectors need not wait for
 *                   each other */
#ifndef MF_RNG_PHILOX_H
#define MF_RNG_PHILOX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MF_RNG_PHILOX_GROUP 16 /* words computed at a time */

struct mf_rng_philox {
    uint64_t key, position; /* position: of the next word */
    uint32_t substream;
    uint64_t group[MF_RNG_PHILOX_GROUP]; /* the words around position, unless it stands at the start of a group */
};

/* A block: four words of 32 bits. */
void mf_rng_philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* The first stream of a seed: its key is the seed, scrambled. */
void mf_rng_philox_seed(struct mf_rng_philox *rng, uint64_t seed);

/* Moves to a word, in constant time: word `position` of a substream of the stream with that key. */
void mf_rng_philox_set(struct mf_rng_philox *rng, uint64_t key, uint32_t substream, uint64_t position);

uint64_t mf_rng_philox_next(struct mf_rng_philox *rng);
void mf_rng_philox_fill_words(struct mf_rng_philox *rng, uint64_t *out, size_t n);

/* A word as a number on (0, 1): an odd multiple of 2^-53, from the upper 52 bits. */
static inline double mf_rng_philox_unit(uint64_t word)
{
    uint64_t bits = word >> 12 | UINT64_C(0x3ff0000000000000); /* on [1, 2) */
    double x;
    memcpy(&x, &bits, sizeof x);
    return x - (1 - 0x1p-53);
}

/* n words as such numbers. */
void mf_rng_philox_fill(struct mf_rng_philox *rng, double *out, size_t n);

/* --- Side streams ------------------------------------------------------------------------------------------------- */

/* That of the word at position: { .rng = rng, .position = position } is its start. */
struct mf_rng_philox_side {
    const struct mf_rng_philox *rng;
    uint64_t position, words[2];
    uint32_t blocks; /* read so far */
    int left;        /* words that are not read yet */
};

uint64_t mf_rng_philox_side_next(struct mf_rng_philox_side *side);

#endif
