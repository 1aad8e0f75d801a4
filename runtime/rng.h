/* Random numbers: a generator of one of two kinds, its streams, and the distributions drawn from it.
 *   MF_RNG_MRG32K3A  numbers equal to R's kind "L'Ecuyer-CMRG" with R's own algorithms for each distribution, to the
 *                    last bit where R computes with the same C library (rng_mrg.h)
 *   MF_RNG_PHILOX    made for speed: counter-based, filled in vectors; ziggurat normals and exponentials (rng_philox.h)
 *
 * A struct mf_rng is plain data without pointers: it may be copied, and the copy draws the same numbers. It belongs
 * to who holds it; nothing here locks, blocks or keeps memory. n numbers drawn one by one are the same as n numbers
 * filled at once. Parameters must be in the range that is said with each function (mf_rng_law.check tells); NaN
 * never is. */
#ifndef MF_RNG_H
#define MF_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "rng_mrg.h"
#include "rng_philox.h"

enum mf_rng_kind { MF_RNG_MRG32K3A, MF_RNG_PHILOX };

struct mf_rng {
    enum mf_rng_kind kind;
    union {
        struct mf_rng_mrg mrg;
        struct mf_rng_philox philox;
    };
};

/* --- Generators and their streams -------------------------------------------------------------------------------- */

/* The start of a seed's first stream. For MRG32k3a, the state that R's set.seed(seed, "L'Ecuyer-CMRG") makes when seed
 * fits in 32 bits. */
void mf_rng_seed(struct mf_rng *rng, enum mf_rng_kind kind, int64_t seed);

/* n streams, or substreams, on: 2^127 and 2^76 numbers for MRG32k3a (R's nextRNGStream and nextRNGSubStream); for
 * philox the same place under another key, or another part of the counter, of which there are 2^32. Time grows with the
 * number of bits of n. */
void mf_rng_skip_streams(struct mf_rng *rng, uint64_t n);
void mf_rng_skip_substreams(struct mf_rng *rng, uint64_t n);

/* n uniform numbers on. */
void mf_rng_skip(struct mf_rng *rng, uint64_t n);

/* A generator of the same kind whose state is made of numbers drawn from rng, scrambled: for trees of streams, where
 * numbered streams of one would meet those of another. */
void mf_rng_split(struct mf_rng *rng, struct mf_rng *child);

/* The next number, uniform on (0, 1); the ends never come. */
double mf_rng_uniform(struct mf_rng *rng);

/* 64 random bits. */
uint64_t mf_rng_bits(struct mf_rng *rng);

/* Uniform on 0 .. n - 1 without bias, n > 0. For MRG32k3a as R's sample (kind "Rejection") draws an index. */
uint64_t mf_rng_below(struct mf_rng *rng, uint64_t n);

/* One standard normal; one exponential of rate 1. */
double mf_rng_normal(struct mf_rng *rng);
double mf_rng_exponential(struct mf_rng *rng);

/* --- Distributions: n numbers into out --------------------------------------------------------------------------- */

void mf_rng_fill_uniform(struct mf_rng *rng, double low, double high, double *out, size_t n);  /* finite */
void mf_rng_fill_normal(struct mf_rng *rng, double mean, double sd, double *out, size_t n);    /* finite; sd >= 0 */
void mf_rng_fill_exponential(struct mf_rng *rng, double rate, double *out, size_t n);          /* rate > 0, finite */
void mf_rng_fill_gamma(struct mf_rng *rng, double shape, double scale, double *out, size_t n); /* > 0, finite */
void mf_rng_fill_beta(struct mf_rng *rng, double a, double b, double *out, size_t n);          /* > 0, finite */

/* Whole numbers as doubles. size: whole, 0 .. 2^31 - 2; probability: 0 .. 1; mean: 0 .. 2^52. */
void mf_rng_fill_binomial(struct mf_rng *rng, double size, double probability, double *out, size_t n);
void mf_rng_fill_poisson(struct mf_rng *rng, double mean, double *out, size_t n);

/* low .. high, both included, low <= high. */
void mf_rng_fill_integers(struct mf_rng *rng, int64_t low, int64_t high, int64_t *out, size_t n);

/* The same distributions as a table, for those who look them up by name. */
struct mf_rng_law {
    const char *name;         /* "normal" */
    const char *parameter[2]; /* their names, in order; NULL: there is none */
    double standard[2];       /* their values when none is given; NaN: one must be given */
    bool whole;               /* the numbers are whole */
    enum mf_err (*check)(const double *p,
                         struct mf_fault *fault); /* MF_EINVAL and words for a parameter out of range */
    void (*fill)(struct mf_rng *rng, const double *p, double *out, size_t n);
};

extern const struct mf_rng_law mf_rng_laws[]; /* ends where name is NULL */

/* --- Samples: n indices from 0 .. population - 1 into out --------------------------------------------------------- */

/* Each index at most once (n <= population), in random order. Needs memory of the population's size, or of n's when
 * n is at most half of a population over 10^7. MF_ENOMEM: nothing was drawn. */
enum mf_err mf_rng_sample(struct mf_rng *rng, uint64_t population, int64_t *out, size_t n);

/* Index i with a probability in proportion to weights[i], which are finite, not negative and not all zero; with
 * replacement any n, otherwise n <= the number of weights above zero. MF_ENOMEM: nothing was drawn. */
enum mf_err mf_rng_sample_weighted(struct mf_rng *rng, const double *weights, size_t population, bool replace,
                                   int64_t *out, size_t n);

#endif
