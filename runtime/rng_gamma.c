/* Design note: for a shape of 1 or more, algorithm GD of J. H. Ahrens and U. Dieter, "Generating gamma variates by
 * a modified rejection technique", Communications of the ACM 25 (1982): a squared normal, which is accepted at once
 * in most cases, else by the quotient of the densities, else replaced by a double exponential. Its steps are named
 * as in the article. Below 1, algorithm GS of the same authors, "Computer methods for sampling from gamma, beta,
 * Poisson and binomial distributions", Computing 12 (1974). The digits of the constants are those of the articles'
 * implementations: R's numbers depend on them.
 *
 * Philox has G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables", ACM Transactions on
 * Mathematical Software 26 (2000): the cube of a normal that is shifted and scaled, rejected in few cases. A number
 * takes two words, for the normal and for the uniform that decides, and a third one where the shape is below 1;
 * what it needs beyond, it takes from the second word's side stream. */
#include <math.h>

#include "rng.h"
#include "rng_ziggurat.h"

#define WORDS 3   /* of a number, at most */
#define CHUNK 128 /* numbers at a time */

/* --- GS: shape < 1 ------------------------------------------------------------------------------------------------ */

static double small(struct mf_rng *rng, double a)
{
    double b = 1.0 + 0.36787944117144233 * a; /* 1 + a / e */
    for (;;) {
        double p = b * mf_rng_uniform(rng);
        if (p < 1) {
            double x = exp(log(p) / a);
            if (mf_rng_exponential(rng) >= x)
                return x;
        } else {
            double x = -log((b - p) / a);
            if (mf_rng_exponential(rng) >= (1 - a) * log(x))
                return x;
        }
    }
}

/* --- GD: shape >= 1 ----------------------------------------------------------------------------------------------- */

/* What depends on the shape only. */
struct gd {
    double s2, s, d;        /* step 1 */
    double q0, b, sigma, c; /* step 4, computed when it is first needed */
    bool ready;
    double shape;
};

static void prepare(struct gd *g, double a)
{
    *g = (struct gd){.shape = a, .s2 = a - 0.5};
    g->s = sqrt(g->s2);
    g->d = 5.656854 - g->s * 12.0;
}

static void prepare_quotient(struct gd *g)
{
    double r = 1 / g->shape, s = g->s, s2 = g->s2;
    g->q0 = ((((((2.424e-4 * r + 2.4511e-4) * r - 7.388e-5) * r + 0.00144121) * r + 0.00801191) * r + 0.02083148) * r +
             0.04166669) *
            r;
    if (g->shape <= 3.686) {
        g->b = 0.463 + s + 0.178 * s2;
        g->sigma = 1.235;
        g->c = 0.195 / s - 0.079 + 0.16 * s;
    } else if (g->shape <= 13.022) {
        g->b = 1.654 + 0.0076 * s2;
        g->sigma = 1.68 / s + 0.275;
        g->c = 0.062 / s + 0.024;
    } else {
        g->b = 1.77;
        g->sigma = 0.75;
        g->c = 0.1515 / s;
    }
    g->ready = true;
}

/* The logarithm of the quotient of the densities at t. */
static double quotient(const struct gd *g, double t)
{
    double v = t / (g->s + g->s);
    if (fabs(v) > 0.25)
        return g->q0 - g->s * t + 0.25 * t * t + (g->s2 + g->s2) * log(1.0 + v);
    return g->q0 +
           0.5 * t * t *
               ((((((0.1233795 * v - 0.1367177) * v + 0.1423657) * v - 0.1662921) * v + 0.2000062) * v - 0.250003) * v +
                0.3333333) *
               v;
}

/* Steps 8 to 12. */
static double double_exponential(struct mf_rng *rng, const struct gd *g, double scale)
{
    for (;;) {
        double e = mf_rng_exponential(rng);
        double u = mf_rng_uniform(rng);
        u = u + u - 1;
        double t = u < 0 ? g->b - g->sigma * e : g->b + g->sigma * e;
        if (t < -0.71874483771719)
            continue;
        double q = quotient(g, t);
        if (q > 0 && g->c * fabs(u) <= expm1(q) * exp(e - 0.5 * t * t)) {
            double x = g->s + 0.5 * t;
            return scale * x * x;
        }
    }
}

static double large(struct mf_rng *rng, struct gd *g, double scale)
{
    double t = mf_rng_normal(rng), x = g->s + 0.5 * t;
    if (t >= 0)
        return scale * (x * x);
    double u = mf_rng_uniform(rng);
    if (g->d * u <= t * t * t)
        return scale * (x * x);
    if (!g->ready)
        prepare_quotient(g);
    if (x > 0 && log(1.0 - u) <= quotient(g, t))
        return scale * (x * x);
    return double_exponential(rng, g, scale);
}

/* --- Marsaglia and Tsang ------------------------------------------------------------------------------------------ */

struct tsang {
    double d, c;  /* of the shape, plus 1 if it is below 1 */
    double power; /* that brings it back then: 1 / shape; else 0 */
};

/* The cube of 1 + c x if u accepts it, else 0. */
static inline double cube(const struct tsang *t, double x, double u)
{
    double v = 1 + t->c * x, square = x * x;
    v = v * v * v;
    if (u < 1 - 0.0331 * square * square && v > 0)
        return v;
    return v > 0 && log(u) < 0.5 * square + t->d * (1 - v + log(v)) ? v : 0;
}

/* A number from its words, the first of which was drawn at position. */
static inline double tsang_of(const struct tsang *t, const struct mf_rng_philox *rng, uint64_t position,
                              const uint64_t *words)
{
    double x = mf_rng_ziggurat_normal_of(rng, position, words[0]);
    double v = cube(t, x, mf_rng_philox_unit(words[1]));
    struct mf_rng_philox_side side = {.rng = rng, .position = position + 1};
    while (v == 0) {
        x = mf_rng_ziggurat_normal_side(&side);
        v = cube(t, x, mf_rng_philox_unit(mf_rng_philox_side_next(&side)));
    }
    return t->power > 0 ? t->d * v * pow(mf_rng_philox_unit(words[2]), t->power) : t->d * v;
}

static void fill_tsang(struct mf_rng_philox *rng, double shape, double scale, double *out, size_t n)
{
    uint64_t words[CHUNK * WORDS];
    size_t each = shape < 1 ? 3 : 2;
    struct tsang t = {.d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3, .power = shape < 1 ? 1 / shape : 0};
    t.c = 1 / sqrt(9 * t.d);
    while (n > 0) {
        size_t k = n < CHUNK ? n : CHUNK;
        uint64_t position = rng->position;
        mf_rng_philox_fill_words(rng, words, k * each);
        for (size_t i = 0; i < k; i++)
            out[i] = scale * tsang_of(&t, rng, position + i * each, words + i * each);
        out += k;
        n -= k;
    }
}

/* --- All ---------------------------------------------------------------------------------------------------------- */

static void fill_gd(struct mf_rng *rng, double shape, double scale, double *out, size_t n)
{
    struct gd g;
    prepare(&g, shape);
    for (size_t i = 0; i < n; i++)
        out[i] = large(rng, &g, scale);
}

void mf_rng_fill_gamma(struct mf_rng *rng, double shape, double scale, double *out, size_t n)
{
    if (rng->kind == MF_RNG_PHILOX)
        fill_tsang(&rng->philox, shape, scale, out, n);
    else if (shape >= 1)
        fill_gd(rng, shape, scale, out, n);
    else
        for (size_t i = 0; i < n; i++)
            out[i] = scale * small(rng, shape);
}
