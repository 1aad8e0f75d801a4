/* Uniforms and normals.
 *
 * Design note: MRG32k3a's normals are inverted uniforms, two of them for a number as in R: the first gives the
 * upper 27 bits, so that the tails are as fine as the middle. The inverse is algorithm AS 241 (PPND16) of M. J.
 * Wichura, "The percentage points of the normal distribution", Applied Statistics 37 (1988): three rational
 * approximations, accurate to about 1 part in 10^16. Polynomials are evaluated by Horner's rule from the highest
 * power, as the article prints them, and no product may be fused with a sum (-ffp-contract=off): the last bit is
 * part of the result. */
#include <math.h>

#include "rng.h"
#include "rng_ziggurat.h"

#define TERMS         8
#define UPPER         134217728.0 /* 2^27 */

#define MIDDLE        0.425    /* |p - 0.5| up to here: the central approximation, in MIDDLE^2 - q^2 */
#define MIDDLE_SQUARE 0.180625 /* not computed: the product would round */
#define FAR           5.0      /* sqrt(-log p) beyond here: the far tail */

/* Highest power first. */
static const double middle_above[TERMS] = {2509.0809287301226727, 33430.575583588128105, 67265.770927008700853,
                                           45921.953931549871457, 13731.693765509461125, 1971.5909503065514427,
                                           133.14166789178437745, 3.387132872796366608};
static const double middle_below[TERMS] = {
    5226.495278852854561,  28729.085735721942674, 39307.89580009271061,  21213.794301586595867,
    5394.1960214247511077, 687.1870074920579083,  42.313330701600911252, 1.0};
static const double tail_above[TERMS] = {7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
                                         1.27045825245236838258,   3.64784832476320460504,   5.7694972214606914055,
                                         4.6303378461565452959,    1.42343711074968357734};
static const double tail_below[TERMS] = {
    1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
    0.68976733498510000455,    1.6763848301838038494,   2.05319162663775882187,   1.0};
static const double far_above[TERMS] = {2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386,
                                        0.026532189526576123093,   0.29656057182850489123,    1.7848265399172913358,
                                        5.4637849111641143699,     6.6579046435011037772};
static const double far_below[TERMS] = {
    2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
    0.0148753612908506148525,   0.13692988092273580531,   0.59983220655588793769,   1.0};

static inline double polynomial(const double *c, double x)
{
    double sum = c[0];
    for (int i = 1; i < TERMS; i++)
        sum = sum * x + c[i];
    return sum;
}

/* The p-quantile of the standard normal, 0 < p < 1. */
static inline double quantile(double p)
{
    double q = p - 0.5;
    if (fabs(q) <= MIDDLE) {
        double r = MIDDLE_SQUARE - q * q;
        return q * polynomial(middle_above, r) / polynomial(middle_below, r);
    }
    double r = sqrt(-log(q < 0 ? p : 1 - p));
    double x = r <= FAR ? polynomial(tail_above, r - 1.6) / polynomial(tail_below, r - 1.6)
                        : polynomial(far_above, r - FAR) / polynomial(far_below, r - FAR);
    return q < 0 ? -x : x;
}

static inline double mrg_normal(struct mf_rng_mrg *rng)
{
    double upper = (int32_t)(UPPER * mf_rng_mrg_uniform(rng));
    return quantile((upper + mf_rng_mrg_uniform(rng)) / UPPER);
}

double mf_rng_normal(struct mf_rng *rng)
{
    double x;
    if (rng->kind == MF_RNG_MRG32K3A)
        return mrg_normal(&rng->mrg);
    mf_rng_ziggurat_normal(&rng->philox, &x, 1);
    return x;
}

static void fill_standard(struct mf_rng *rng, double *out, size_t n)
{
    if (rng->kind != MF_RNG_MRG32K3A) {
        mf_rng_ziggurat_normal(&rng->philox, out, n);
        return;
    }
    struct mf_rng_mrg local = rng->mrg; /* in registers */
    for (size_t i = 0; i < n; i++)
        out[i] = mrg_normal(&local);
    rng->mrg = local;
}

/* As in R, numbers that cannot vary are not drawn. */
void mf_rng_fill_normal(struct mf_rng *rng, double mean, double sd, double *out, size_t n)
{
    if (sd == 0) {
        for (size_t i = 0; i < n; i++)
            out[i] = mean;
        return;
    }
    fill_standard(rng, out, n);
    if (mean == 0 && sd == 1)
        return;
    for (size_t i = 0; i < n; i++)
        out[i] = mean + sd * out[i];
}

static void mrg_uniforms(struct mf_rng_mrg *rng, double *out, size_t n)
{
    struct mf_rng_mrg local = *rng; /* in registers */
    for (size_t i = 0; i < n; i++)
        out[i] = mf_rng_mrg_uniform(&local);
    *rng = local;
}

void mf_rng_fill_uniform(struct mf_rng *rng, double low, double high, double *out, size_t n)
{
    if (low == high) {
        for (size_t i = 0; i < n; i++)
            out[i] = low;
        return;
    }
    if (rng->kind == MF_RNG_MRG32K3A)
        mrg_uniforms(&rng->mrg, out, n);
    else
        mf_rng_philox_fill(&rng->philox, out, n);
    if (low == 0 && high == 1)
        return;
    for (size_t i = 0; i < n; i++)
        out[i] = low + (high - low) * out[i];
}
