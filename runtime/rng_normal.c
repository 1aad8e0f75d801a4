/* Uniforms and normals.
 *
 * Design note: MRG32k3a's normals are inverted uniforms, two of them for a number as in R: the first gives the
 * upper 27 bits, so that the tails are as fine as the middle. The inverse is algorithm AS 241 (PPND16) of M. J.
 * Wichura, "The percentage points of the normal distribution", Applied Statistics 37 (1988): three rational
 * approximations, accurate to about 1 part in 10^16. Polynomials are evaluated by Horner's rule from the highest
 * power, as the article prints them, and no product may be fused with a sum (-ffp-contract=off): the last bit is
 * part of the result.
 *
 * Of many at once, all are first taken for central ones, in vectors. The places of those that are not (15 in 100) are
 * collected without a branch that could be guessed wrong; their logarithms are the C library's, one by one, as R's are,
 * and their polynomials vectors again. */
#include <math.h>
#include <string.h>

#include "rng.h"
#include "rng_ziggurat.h"
#include "simd.h"

#define TERMS         8
#define CHUNK         512 /* numbers at a time: they stay in the first-level cache */

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

/* --- One at a time ------------------------------------------------------------------------------------------------ */

static double polynomial(const double *c, double x)
{
    double sum = c[0];
    for (int i = 1; i < TERMS; i++)
        sum = sum * x + c[i];
    return sum;
}

/* The upper quantile of a tail: r is the root of minus the logarithm of its probability. */
static double of_tail(double r)
{
    if (r <= FAR)
        return polynomial(tail_above, r - 1.6) / polynomial(tail_below, r - 1.6);
    return polynomial(far_above, r - FAR) / polynomial(far_below, r - FAR);
}

static bool is_central(double p)
{
    return fabs(p - 0.5) <= MIDDLE;
}

static double root_of(double p)
{
    return sqrt(-log(p < 0.5 ? p : 1 - p));
}

/* The p-quantile of the standard normal, 0 < p < 1. */
static double quantile(double p)
{
    double q = p - 0.5, r = MIDDLE_SQUARE - q * q;
    if (is_central(p))
        return q * polynomial(middle_above, r) / polynomial(middle_below, r);
    return copysign(of_tail(root_of(p)), q);
}

/* --- Many at once ------------------------------------------------------------------------------------------------- */

MF_SIMD_INLINE void polynomials(mf_simd_doubles *sum, const double *c, const mf_simd_doubles *x)
{
    mf_simd_doubles s = *x * c[0] + c[1];
    for (int i = 2; i < TERMS; i++)
        s = s * *x + c[i];
    *sum = s;
}

/* x becomes the quantiles of p, as if all were central. */
MF_SIMD_INLINE void all_central(const double *p, double *x, size_t n)
{
    for (size_t i = 0; i < n; i += MF_SIMD_WIDTH) {
        mf_simd_doubles q, r, above, below;
        memcpy(&q, p + i, sizeof q);
        q -= 0.5;
        r = MIDDLE_SQUARE - q * q;
        polynomials(&above, middle_above, &r);
        polynomials(&below, middle_below, &r);
        q = q * above / below;
        memcpy(x + i, &q, sizeof q);
    }
}

/* x becomes the upper quantiles of tails, as if none were far. */
MF_SIMD_INLINE void all_tails(const double *root, double *x, size_t n)
{
    for (size_t i = 0; i < n; i += MF_SIMD_WIDTH) {
        mf_simd_doubles r, above, below;
        memcpy(&r, root + i, sizeof r);
        r -= 1.6;
        polynomials(&above, tail_above, &r);
        polynomials(&below, tail_below, &r);
        r = above / below;
        memcpy(x + i, &r, sizeof r);
    }
}

/* x becomes the quantiles of p; n is a multiple of MF_SIMD_WIDTH and at most CHUNK. */
MF_SIMD_INLINE void quantiles_of(const double *p, double *x, size_t n)
{
    size_t place[CHUNK], tails = 0;
    double root[CHUNK + MF_SIMD_WIDTH], tail[CHUNK + MF_SIMD_WIDTH];
    all_central(p, x, n);
    for (size_t i = 0; i < n; i++) {
        place[tails] = i;
        tails += !is_central(p[i]);
    }
    for (size_t i = 0; i < tails; i++)
        root[i] = root_of(p[place[i]]);
    for (size_t i = tails; i % MF_SIMD_WIDTH != 0; i++)
        root[i] = FAR; /* fills up the last mf_simd_doubles */
    all_tails(root, tail, tails);
    for (size_t i = 0; i < tails; i++)
        x[place[i]] = copysign(root[i] <= FAR ? tail[i] : of_tail(root[i]), p[place[i]] - 0.5);
}

MF_SIMD_AVX2 static void quantiles_avx2(const double *p, double *x, size_t n)
{
    quantiles_of(p, x, n);
}

static void quantiles_portable(const double *p, double *x, size_t n)
{
    quantiles_of(p, x, n);
}

static void mrg_normals(struct mf_rng_mrg *rng, double *out, size_t n)
{
    double p[CHUNK];
    for (size_t k; n > 0; out += k, n -= k) {
        k = n < CHUNK ? n : CHUNK;
        mf_rng_mrg_fill_fine(rng, p, k);
        size_t whole = k / MF_SIMD_WIDTH * MF_SIMD_WIDTH;
        if (mf_simd_avx2())
            quantiles_avx2(p, out, whole);
        else
            quantiles_portable(p, out, whole);
        for (size_t i = whole; i < k; i++)
            out[i] = quantile(p[i]);
    }
}

/* --- Distributions ------------------------------------------------------------------------------------------------ */

double mf_rng_normal(struct mf_rng *rng)
{
    double x;
    if (rng->kind == MF_RNG_MRG32K3A)
        return quantile(mf_rng_mrg_fine(&rng->mrg));
    mf_rng_ziggurat_normal(&rng->philox, &x, 1);
    return x;
}

static void fill_standard(struct mf_rng *rng, double *out, size_t n)
{
    if (n == 1)
        *out = mf_rng_normal(rng);
    else if (rng->kind == MF_RNG_MRG32K3A)
        mrg_normals(&rng->mrg, out, n);
    else
        mf_rng_ziggurat_normal(&rng->philox, out, n);
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

void mf_rng_fill_uniform(struct mf_rng *rng, double low, double high, double *out, size_t n)
{
    if (low == high) {
        for (size_t i = 0; i < n; i++)
            out[i] = low;
        return;
    }
    if (rng->kind == MF_RNG_MRG32K3A)
        mf_rng_mrg_fill(&rng->mrg, out, n);
    else
        mf_rng_philox_fill(&rng->philox, out, n);
    if (low == 0 && high == 1)
        return;
    for (size_t i = 0; i < n; i++)
        out[i] = low + (high - low) * out[i];
}
