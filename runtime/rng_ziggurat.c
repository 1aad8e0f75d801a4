/* Design note: the lowest eight bits of a word choose the layer, the upper 52 the place in it. About one word in
 * eighty does not decide its number; that one is settled in a function of its own, with numbers from the word's
 * side stream, so that the loop over a buffer of words has neither calls nor anything that one number hands to the
 * next. */
#include "rng_ziggurat.h"

#include <math.h>

#define LAYERS MF_RNG_ZIGGURAT_LAYERS
#define CHUNK  512 /* words at a time: they stay in the first-level cache */

#if defined __GNUC__
#define RARELY(condition) __builtin_expect(!!(condition), 0)
#else
#define RARELY(condition) (condition)
#endif

static double side_unit(struct mf_rng_philox_side *s)
{
    return mf_rng_philox_unit(mf_rng_philox_side_next(s));
}

static inline size_t layer_of(uint64_t word)
{
    return word % LAYERS;
}

/* On (-1, 1): an odd multiple of 2^-52. */
static inline double symmetric(uint64_t word)
{
    return 2 * mf_rng_philox_unit(word) - 1;
}

/* --- Normals ------------------------------------------------------------------------------------------------------ */

static const double *const normal = mf_rng_ziggurat_normal_edge;

static double normal_density(double x)
{
    return exp(-0.5 * x * x);
}

/* Beyond edge[1]: G. Marsaglia, "Generating a variable from the tail of the normal distribution", Technometrics 6
 * (1964). */
static double normal_tail(struct mf_rng_philox_side *s)
{
    double x, y;
    do {
        x = -log(side_unit(s)) / normal[1];
        y = -log(side_unit(s));
    } while (y + y < x * x);
    return normal[1] + x;
}

/* The number of a word, and of more from the side stream where the word does not decide it. */
static double settle_normal(struct mf_rng_philox_side *s, uint64_t word)
{
    for (;;) {
        size_t i = layer_of(word);
        double u = symmetric(word), x = u * normal[i];
        if (fabs(x) < normal[i + 1])
            return x;
        if (i == 0)
            return copysign(normal_tail(s), u);
        double low = normal_density(normal[i]), high = normal_density(normal[i + 1]);
        if (low + side_unit(s) * (high - low) < normal_density(x))
            return x;
        word = mf_rng_philox_side_next(s);
    }
}

double mf_rng_ziggurat_normal_side(struct mf_rng_philox_side *side)
{
    return settle_normal(side, mf_rng_philox_side_next(side));
}

static inline double normal_of(const struct mf_rng_philox *rng, uint64_t position, uint64_t word)
{
    size_t i = layer_of(word);
    double x = symmetric(word) * normal[i];
    if (RARELY(!(fabs(x) < normal[i + 1])))
        return settle_normal(&(struct mf_rng_philox_side){.rng = rng, .position = position}, word);
    return x;
}

double mf_rng_ziggurat_normal_of(const struct mf_rng_philox *rng, uint64_t position, uint64_t word)
{
    return normal_of(rng, position, word);
}

void mf_rng_ziggurat_normal(struct mf_rng_philox *rng, double *out, size_t n)
{
    uint64_t words[CHUNK];
    while (n > 0) {
        size_t k = n < CHUNK ? n : CHUNK;
        uint64_t position = rng->position;
        mf_rng_philox_fill_words(rng, words, k);
        for (size_t j = 0; j < k; j++)
            out[j] = normal_of(rng, position + j, words[j]);
        out += k;
        n -= k;
    }
}

/* --- Exponentials ------------------------------------------------------------------------------------------------- */

static const double *const exponential = mf_rng_ziggurat_exponential_edge;

/* Beyond edge[1] it starts again from there: an exponential has no memory. */
static double settle_exponential(const struct mf_rng_philox *rng, uint64_t position, uint64_t word)
{
    struct mf_rng_philox_side s = {.rng = rng, .position = position};
    double start = 0;
    for (;;) {
        size_t i = layer_of(word);
        double x = mf_rng_philox_unit(word) * exponential[i];
        if (x < exponential[i + 1])
            return start + x;
        if (i == 0) {
            start += exponential[1];
        } else {
            double low = exp(-exponential[i]), high = exp(-exponential[i + 1]);
            if (low + side_unit(&s) * (high - low) < exp(-x))
                return start + x;
        }
        word = mf_rng_philox_side_next(&s);
    }
}

void mf_rng_ziggurat_exponential(struct mf_rng_philox *rng, double *out, size_t n)
{
    uint64_t words[CHUNK];
    while (n > 0) {
        size_t k = n < CHUNK ? n : CHUNK;
        uint64_t position = rng->position;
        mf_rng_philox_fill_words(rng, words, k);
        for (size_t j = 0; j < k; j++) {
            size_t i = layer_of(words[j]);
            double x = mf_rng_philox_unit(words[j]) * exponential[i];
            out[j] = x;
            if (RARELY(!(x < exponential[i + 1])))
                out[j] = settle_exponential(rng, position + j, words[j]);
        }
        out += k;
        n -= k;
    }
}
