/* Design note: a block of numbers is summed in lanes, several vectors wide, and blocks are added up with
 * compensation. Numbers that do not lie side by side are gathered block by block first. The loops exist twice,
 * compiled for AVX2 and for any machine; as the lanes are the same and products are not fused with sums, so are the
 * results.
 *
 * The moments of a block are taken about the mean of the block before. What is lost by that is of the order of the
 * squared distance of the two means times the rounding unit, and that distance is itself a part of the variance of
 * all: the loss is a rounding error of the result, whatever the numbers do. The first block is read twice. */
#include "stats.h"

#include <math.h>
#include <string.h>

#include "simd.h"

#define LANES   16
#define BLOCK   1024 /* numbers: 8 KB, which stay in the first-level cache */
#define SMALL   128  /* numbers of a block where each lane must add few */

#define VECTORS (LANES / MF_SIMD_WIDTH)

/* The next n <= BLOCK numbers of a view, side by side: where they are, or gathered into buffer. */
MF_SIMD_INLINE const double *gather(const struct mf_stats_view *x, size_t from, size_t n, double *buffer)
{
    if (x->stride == 1)
        return x->data + from;
    for (size_t i = 0; i < n; i++)
        buffer[i] = x->data[(ptrdiff_t)(from + i) * x->stride];
    return buffer;
}

/* --- Sums --------------------------------------------------------------------------------------------------------- */

/* Neumaier's: the total, and what its additions have lost. */
struct total {
    double sum, lost;
};

MF_SIMD_INLINE void total_add(struct total *t, double x)
{
    double sum = t->sum + x;
    t->lost += fabs(t->sum) >= fabs(x) ? (t->sum - sum) + x : (x - sum) + t->sum;
    t->sum = sum;
}

/* What is lost in a sum that is not finite is not a number. */
MF_SIMD_INLINE double total_of(const struct total *t)
{
    return isfinite(t->sum) ? t->sum + t->lost : t->sum;
}

MF_SIMD_INLINE double fold(double *lane)
{
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++)
            lane[k] += lane[k + half];
    return lane[0];
}

MF_SIMD_INLINE double block_sum(const double *x, size_t n)
{
    mf_simd_doubles sums[VECTORS] = {0};
    double lane[LANES];
    for (; n >= LANES; n -= LANES, x += LANES)
        for (size_t k = 0; k < VECTORS; k++) {
            mf_simd_doubles v;
            memcpy(&v, x + k * MF_SIMD_WIDTH, sizeof v);
            sums[k] += v;
        }
    memcpy(lane, sums, sizeof lane);
    for (size_t k = 0; k < n; k++)
        lane[k] += x[k];
    return fold(lane);
}

MF_SIMD_INLINE double sum_of(const struct mf_stats_view *x)
{
    struct total t = {0, 0};
    double buffer[SMALL];
    for (size_t from = 0; from < x->n; from += SMALL) {
        size_t n = x->n - from < SMALL ? x->n - from : SMALL;
        total_add(&t, block_sum(gather(x, from, n, buffer), n));
    }
    return total_of(&t);
}

MF_SIMD_AVX2 static double sum_avx2(const struct mf_stats_view *x)
{
    return sum_of(x);
}

static double sum_portable(const struct mf_stats_view *x)
{
    return sum_of(x);
}

double mf_stats_sum(const struct mf_stats_view *x)
{
    return mf_simd_avx2() ? sum_avx2(x) : sum_portable(x);
}

/* Where the sum would be too large for a double. */
static double mean_of_large(const struct mf_stats_view *x)
{
    double sum = 0, part = 1 / (double)x->n;
    for (size_t i = 0; i < x->n; i++)
        sum += x->data[(ptrdiff_t)i * x->stride] * part;
    return sum;
}

double mf_stats_mean(const struct mf_stats_view *x)
{
    double sum = mf_stats_sum(x);
    return isinf(sum) ? mean_of_large(x) : sum / (double)x->n;
}

/* --- Moments ------------------------------------------------------------------------------------------------------ */

void mf_stats_merge(struct mf_stats_moments *into, const struct mf_stats_moments *other)
{
    double n = into->n + other->n, distance = other->mean - into->mean;
    if (other->n == 0)
        return;
    into->m2 += other->m2 + distance * distance * (into->n * other->n / n);
    into->mean = into->n == 0 ? other->mean : into->mean + distance * (other->n / n);
    into->n = n;
}

/* Of what x is more than shift, which is near the mean. */
MF_SIMD_INLINE struct mf_stats_moments block_moments(const double *x, size_t n, double shift)
{
    mf_simd_doubles sums[VECTORS] = {0}, squares[VECTORS] = {0};
    double first[LANES], second[LANES], count = (double)n;
    for (; n >= LANES; n -= LANES, x += LANES)
        for (size_t k = 0; k < VECTORS; k++) {
            mf_simd_doubles v;
            memcpy(&v, x + k * MF_SIMD_WIDTH, sizeof v);
            v -= shift;
            sums[k] += v;
            squares[k] += v * v;
        }
    memcpy(first, sums, sizeof first);
    memcpy(second, squares, sizeof second);
    for (size_t k = 0; k < n; k++) {
        double d = x[k] - shift;
        first[k] += d;
        second[k] += d * d;
    }
    double sum = fold(first), m2 = fold(second) - sum * sum / count;
    return (struct mf_stats_moments){.n = count, .mean = sum / count, .m2 = m2 < 0 ? 0 : m2};
}

/* Means are counted from the first block's, so that they keep digits that the numbers' own size would take. */
MF_SIMD_INLINE struct mf_stats_moments moments_of(const struct mf_stats_view *x)
{
    struct mf_stats_moments all = {0, 0, 0};
    double buffer[BLOCK], origin = 0, shift = 0;
    for (size_t from = 0; from < x->n; from += BLOCK) {
        size_t n = x->n - from < BLOCK ? x->n - from : BLOCK;
        const double *block = gather(x, from, n, buffer);
        if (from == 0)
            origin = shift = block_sum(block, n) / (double)n;
        struct mf_stats_moments one = block_moments(block, n, shift);
        one.mean += shift - origin;
        mf_stats_merge(&all, &one);
        shift = origin + one.mean;
    }
    all.mean += origin;
    return all;
}

MF_SIMD_AVX2 static struct mf_stats_moments moments_avx2(const struct mf_stats_view *x)
{
    return moments_of(x);
}

static struct mf_stats_moments moments_portable(const struct mf_stats_view *x)
{
    return moments_of(x);
}

struct mf_stats_moments mf_stats_moments(const struct mf_stats_view *x)
{
    return mf_simd_avx2() ? moments_avx2(x) : moments_portable(x);
}

double mf_stats_variance(const struct mf_stats_moments *m)
{
    return m->n > 1 ? m->m2 / (m->n - 1) : NAN;
}

/* The comparisons are such that a NaN loses, and such that they are one instruction each. */
MF_SIMD_INLINE void block_range(const double *x, size_t n, double *low, double *high)
{
    for (; n >= LANES; n -= LANES, x += LANES)
        for (int k = 0; k < LANES; k++) {
            low[k] = x[k] < low[k] ? x[k] : low[k];
            high[k] = x[k] > high[k] ? x[k] : high[k];
        }
    for (size_t k = 0; k < n; k++) {
        low[k] = x[k] < low[k] ? x[k] : low[k];
        high[k] = x[k] > high[k] ? x[k] : high[k];
    }
}

bool mf_stats_range(const struct mf_stats_view *x, double *least, double *greatest)
{
    double low[LANES], high[LANES], buffer[BLOCK];
    for (int k = 0; k < LANES; k++) {
        low[k] = INFINITY;
        high[k] = -INFINITY;
    }
    for (size_t from = 0; from < x->n; from += BLOCK) {
        size_t n = x->n - from < BLOCK ? x->n - from : BLOCK;
        block_range(gather(x, from, n, buffer), n, low, high);
    }
    for (int k = 1; k < LANES; k++) {
        low[0] = low[k] < low[0] ? low[k] : low[0];
        high[0] = high[k] > high[0] ? high[k] : high[0];
    }
    *least = low[0];
    *greatest = high[0];
    return low[0] <= high[0];
}

/* --- Weights and pairs -------------------------------------------------------------------------------------------- */

/* Sums of w, w w, w dx, w dy, w dx dx, w dx dy, w dy dy, where dx = x - mx, dy = y - my; w is 1 where there are
 * none. */
enum { W, WW, X, Y, XX, XY, YY, SUMS };

static void products(const struct mf_stats_view *x, const struct mf_stats_view *y, const struct mf_stats_view *w,
                     double mx, double my, double out[SUMS])
{
    struct total total[SUMS] = {{0, 0}};
    for (size_t i = 0; i < x->n; i += SMALL) {
        size_t end = x->n - i < SMALL ? x->n : i + SMALL;
        double sum[SUMS] = {0};
        for (size_t k = i; k < end; k++) {
            double weight = w ? w->data[(ptrdiff_t)k * w->stride] : 1;
            double dx = x->data[(ptrdiff_t)k * x->stride] - mx, dy = y->data[(ptrdiff_t)k * y->stride] - my;
            sum[W] += weight;
            sum[WW] += weight * weight;
            sum[X] += weight * dx;
            sum[Y] += weight * dy;
            sum[XX] += weight * dx * dx;
            sum[XY] += weight * dx * dy;
            sum[YY] += weight * dy * dy;
        }
        for (int s = 0; s < SUMS; s++)
            total_add(&total[s], sum[s]);
    }
    for (int s = 0; s < SUMS; s++)
        out[s] = total_of(&total[s]);
}

/* The sums about the means; what rounding has left in the means is taken off. */
static void central_products(const struct mf_stats_view *x, const struct mf_stats_view *y,
                             const struct mf_stats_view *w, double s[SUMS])
{
    products(x, y, w, 0, 0, s);
    products(x, y, w, s[X] / s[W], s[Y] / s[W], s);
    s[XX] -= s[X] * s[X] / s[W];
    s[XY] -= s[X] * s[Y] / s[W];
    s[YY] -= s[Y] * s[Y] / s[W];
}

double mf_stats_weighted_mean(const struct mf_stats_view *x, const struct mf_stats_view *w)
{
    double s[SUMS];
    products(x, x, w, 0, 0, s);
    return s[X] / s[W];
}

double mf_stats_weighted_variance(const struct mf_stats_view *x, const struct mf_stats_view *w)
{
    return mf_stats_covariance(x, x, w);
}

double mf_stats_covariance(const struct mf_stats_view *x, const struct mf_stats_view *y, const struct mf_stats_view *w)
{
    double s[SUMS];
    central_products(x, y, w, s);
    if (!w)
        return x->n > 1 ? s[XY] / (s[W] - 1) : NAN;
    return s[XY] / s[W] / (1 - s[WW] / (s[W] * s[W]));
}

double mf_stats_correlation(const struct mf_stats_view *x, const struct mf_stats_view *y, const struct mf_stats_view *w)
{
    double s[SUMS];
    central_products(x, y, w, s);
    double product = s[XX] * s[YY]; /* one root rounds less than two, where the product is a number */
    double r = s[XY] / (isnormal(product) ? sqrt(product) : sqrt(s[XX]) * sqrt(s[YY]));
    return r > 1 ? 1 : r < -1 ? -1 : r;
}
