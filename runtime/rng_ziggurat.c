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

/* The side stream of one word. */
struct side {
    const struct mf_rng_philox *rng;
    uint64_t position, words[2];
    uint32_t blocks; /* read so far */
    int left;
};

static uint64_t side_word(struct side *s)
{
    if (s->left == 0) {
        mf_rng_philox_side(s->rng, s->position, ++s->blocks, s->words);
        s->left = 2;
    }
    return s->words[--s->left];
}

static double side_unit(struct side *s)
{
    return mf_rng_philox_unit(side_word(s));
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
static double normal_tail(struct side *s)
{
    double x, y;
    do {
        x = -log(side_unit(s)) / normal[1];
        y = -log(side_unit(s));
    } while (y + y < x * x);
    return normal[1] + x;
}

/* The number of a word that does not decide it. */
static double settle_normal(const struct mf_rng_philox *rng, uint64_t position, uint64_t word)
{
    struct side s = {.rng = rng, .position = position};
    for (;;) {
        size_t i = layer_of(word);
        double u = symmetric(word), x = u * normal[i];
        if (fabs(x) < normal[i + 1])
            return x;
        if (i == 0)
            return copysign(normal_tail(&s), u);
        double low = normal_density(normal[i]), high = normal_density(normal[i + 1]);
        if (low + side_unit(&s) * (high - low) < normal_density(x))
            return x;
        word = side_word(&s);
    }
}

void mf_rng_ziggurat_normal(struct mf_rng_philox *rng, double *out, size_t n)
{
    uint64_t words[CHUNK];
    while (n > 0) {
        size_t k = n < CHUNK ? n : CHUNK;
        uint64_t position = rng->position;
        mf_rng_philox_fill_words(rng, words, k);
        for (size_t j = 0; j < k; j++) {
            size_t i = layer_of(words[j]);
            double x = symmetric(words[j]) * normal[i];
            out[j] = x;
            if (RARELY(!(fabs(x) < normal[i + 1])))
                out[j] = settle_normal(rng, position + j, words[j]);
        }
        out += k;
        n -= k;
    }
}

/* --- Exponentials ------------------------------------------------------------------------------------------------- */

static const double *const exponential = mf_rng_ziggurat_exponential_edge;

/* Beyond edge[1] it starts again from there: an exponential has no memory. */
static double settle_exponential(const struct mf_rng_philox *rng, uint64_t position, uint64_t word)
{
    struct side s = {.rng = rng, .position = position};
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
        word = side_word(&s);
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
