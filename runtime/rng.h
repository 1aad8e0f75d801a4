/* MRG32k3a, the combined multiple recursive generator of P. L'Ecuyer, "Good parameters and implementations for combined
 * multiple recursive random number generators", Operations Research 47 (1999), with streams 2^127 apart and substreams
 * 2^76 apart as in L'Ecuyer, Simard, Chen and Kelton, "An object-oriented random-number package with many long streams
 * and substreams", Operations Research 50 (2002). Plain data, no locks: a state belongs to who holds it. */
#ifndef MF_RNG_H
#define MF_RNG_H

#include <stdint.h>

struct mf_rng {
    uint32_t s[6]; /* the last three values of either component */
};

/* The state that R's set.seed(seed, "L'Ecuyer-CMRG") makes when seed fits in 32 bits; mixed down from 64 otherwise. */
void mf_rng_seed(struct mf_rng *rng, int64_t seed);

/* The next number, uniform on (0, 1); the ends never come. */
double mf_rng_uniform(struct mf_rng *rng);

/* 64 random bits, made from three numbers. */
uint64_t mf_rng_bits(struct mf_rng *rng);

void mf_rng_next_stream(struct mf_rng *rng);    /* 2^127 steps on */
void mf_rng_next_substream(struct mf_rng *rng); /* 2^76 steps on */

/* n times mf_rng_next_stream, in time that grows with the number of bits of n. */
void mf_rng_skip_streams(struct mf_rng *rng, uint64_t n);

#endif
