/* MRG32k3a, the combined multiple recursive generator of P. L'Ecuyer, "Good parameters and implementations for combined
 * multiple recursive random number generators", Operations Research 47 (1999), with streams 2^127 apart and substreams
 * 2^76 apart as in L'Ecuyer, Simard, Chen and Kelton, "An object-oriented random-number package with many long streams
 * and substreams", Operations Research 50 (2002). */
#ifndef MF_RNG_MRG_H
#define MF_RNG_MRG_H

#include <stddef.h>
#include <stdint.h>

#define MF_RNG_MRG_M1 4294967087u /* the moduli of the components: a state's values are less */
#define MF_RNG_MRG_M2 4294944443u

struct mf_rng_mrg {
    uint32_t s[6]; /* the last three values of either component; neither has three zeros */
};

/* The state that R's set.seed(seed, "L'Ecuyer-CMRG") makes when seed fits in 32 bits; mixed down from 64 otherwise. */
void mf_rng_mrg_seed(struct mf_rng_mrg *rng, int64_t seed);

/* The state nearest to six words: their residues, and a one where a component would be all zeros. */
void mf_rng_mrg_set(struct mf_rng_mrg *rng, const uint64_t words[6]);

/* x modulo 2^32 - c for x < 2^54, c < 2^15: what is above 2^32 is folded back in, c times. */
static inline uint32_t mf_rng_mrg_reduce(uint64_t x, uint64_t c)
{
    uint64_t m = UINT64_C(0x100000000) - c;
    x = (uint32_t)x + (x >> 32) * c;
    if (c > 1024) /* the sum may still be above 2 m */
        x = (uint32_t)x + (x >> 32) * c;
    return (uint32_t)(x >= m ? x - m : x);
}

/* The next number, 1 .. M1. */
static inline uint32_t mf_rng_mrg_next(struct mf_rng_mrg *rng)
{
    uint32_t *s = rng->s;
    uint64_t first = UINT64_C(1403580) * s[1] + UINT64_C(810728) * (MF_RNG_MRG_M1 - s[0]);
    uint64_t second = UINT64_C(527612) * s[5] + UINT64_C(1370589) * (MF_RNG_MRG_M2 - s[3]);
    uint32_t a = mf_rng_mrg_reduce(first, UINT64_C(0x100000000) - MF_RNG_MRG_M1);
    uint32_t b = mf_rng_mrg_reduce(second, UINT64_C(0x100000000) - MF_RNG_MRG_M2);
    s[0] = s[1];
    s[1] = s[2];
    s[2] = a;
    s[3] = s[4];
    s[4] = s[5];
    s[5] = b;
    return a > b ? a - b : a - b + MF_RNG_MRG_M1;
}

#define MF_RNG_MRG_NORM  2.328306549295727688e-10 /* 1 / (M1 + 1) */
#define MF_RNG_MRG_UPPER 134217728.0              /* 2^27 */

/* The same as a number on (0, 1); the ends never come. */
static inline double mf_rng_mrg_uniform(struct mf_rng_mrg *rng)
{
    return mf_rng_mrg_next(rng) * MF_RNG_MRG_NORM;
}

/* A number on (0, 1) from two: the first gives the upper 27 bits, the second those below. */
static inline double mf_rng_mrg_fine(struct mf_rng_mrg *rng)
{
    double upper = (int32_t)(MF_RNG_MRG_UPPER * mf_rng_mrg_uniform(rng));
    return (upper + mf_rng_mrg_uniform(rng)) * (1 / MF_RNG_MRG_UPPER);
}

/* n of these (rng_mrg_fill.c). */
void mf_rng_mrg_fill(struct mf_rng_mrg *rng, double *out, size_t n);
void mf_rng_mrg_fill_fine(struct mf_rng_mrg *rng, double *out, size_t n);

/* On by n single numbers, n times 2^76 and n times 2^127 of them. Time grows with the number of bits of n. */
void mf_rng_mrg_skip(struct mf_rng_mrg *rng, uint64_t n);
void mf_rng_mrg_skip_substreams(struct mf_rng_mrg *rng, uint64_t n);
void mf_rng_mrg_skip_streams(struct mf_rng_mrg *rng, uint64_t n);

#endif
