/* Design note: sums run in 16 lanes, so that they are vectors whatever the processor's width, and the lanes are added in
 * pairs. Variances are computed block by block around a number near the block's mean, and joined by the formulas of Chan,
 * Golub and LeVeque (1979): one pass over memory, and no cancellation when the mean is far from zero. */
#include <math.h>
#include <string.h>

#include "array_kernel.h"
#include "array_reduce.h"

/* Adds up the lanes in pairs. */
static double add_lanes(double lane[MF_LANES])
{
    for (size_t width = MF_LANES / 2; width > 0; width /= 2)
        for (size_t k = 0; k < width; k++)
            lane[k] += lane[k + width];
    return lane[0];
}

/* --- Sums -------------------------------------------------------------------------------------------------------- */

MF_KERNEL static double sum_of(const double *x, size_t n)
{
    mf_wide wide[MF_WIDES] = {{0}};
    double lane[MF_LANES];
    size_t i = 0;
    for (; i + MF_LANES <= n; i += MF_LANES)
        for (size_t k = 0; k < MF_WIDES; k++)
            wide[k] += ((const mf_wide *)(x + i))[k];
    memcpy(lane, wide, sizeof lane);
    for (size_t k = 0; i < n; i++, k++)
        lane[k] += x[i];
    return add_lanes(lane);
}

static void sum_reals(struct mf_partial *p, const double *x, size_t n, size_t first)
{
    (void)first;
    p->a = sum_of(x, n);
}

MF_KERNEL static void sum_integers(struct mf_partial *p, const int64_t *x, size_t n, size_t first)
{
    uint64_t sum = 0;
    (void)first;
    for (size_t i = 0; i < n; i++)
        sum += (uint64_t)x[i];
    p->whole = (int64_t)sum;
}

static void join_sums(struct mf_partial *p, const struct mf_partial *next)
{
    p->a += next->a;
    p->whole = (int64_t)((uint64_t)p->whole + (uint64_t)next->whole);
}

/* --- Products ---------------------------------------------------------------------------------------------------- */

static void multiply_reals(struct mf_partial *p, const double *x, size_t n, size_t first)
{
    double product = 1;
    (void)first;
    for (size_t i = 0; i < n; i++)
        product *= x[i];
    p->a = product;
}

static void multiply_integers(struct mf_partial *p, const int64_t *x, size_t n, size_t first)
{
    uint64_t product = 1;
    (void)first;
    for (size_t i = 0; i < n; i++)
        product *= (uint64_t)x[i];
    p->whole = (int64_t)product;
}

static void join_products(struct mf_partial *p, const struct mf_partial *next)
{
    p->a *= next->a;
    p->whole = (int64_t)((uint64_t)p->whole * (uint64_t)next->whole);
}

/* --- Variances --------------------------------------------------------------------------------------------------- */

/* A number near the mean: the mean of the first lanes cannot be further from the block's than 8 of its standard deviations,
 * whatever the numbers are, so that no more than 6 bits are lost below. */
static double guess_mean(const double *x, size_t n)
{
    double lane[MF_LANES];
    if (n < MF_LANES)
        return x[0];
    memcpy(lane, x, sizeof lane);
    return add_lanes(lane) / MF_LANES;
}

MF_KERNEL static void spread_reals(struct mf_partial *p, const double *x, size_t n, size_t first)
{
    mf_wide squares[MF_WIDES] = {{0}}, rests[MF_WIDES] = {{0}};
    double square[MF_LANES], rest[MF_LANES], guess = guess_mean(x, n);
    size_t i = 0;
    (void)first;
    for (; i + MF_LANES <= n; i += MF_LANES)
        for (size_t k = 0; k < MF_WIDES; k++) {
            mf_wide d = ((const mf_wide *)(x + i))[k] - guess;
            rests[k] += d;
            squares[k] += d * d;
        }
    memcpy(square, squares, sizeof square);
    memcpy(rest, rests, sizeof rest);
    for (size_t k = 0; i < n; i++, k++) {
        double d = x[i] - guess;
        rest[k] += d;
        square[k] += d * d;
    }
    double off = add_lanes(rest), sum = add_lanes(square);
    p->a = guess + off / (double)n;
    p->b = sum - off * off / (double)n;
    if (p->b < 0)
        p->b = 0; /* what rounding has left of nothing */
}

static void join_spreads(struct mf_partial *p, const struct mf_partial *next)
{
    double n = (double)p->n, m = (double)next->n, d = next->a - p->a;
    p->a += d * (m / (n + m));
    p->b += next->b + d * d * (n * m / (n + m));
}

/* --- Extremes ---------------------------------------------------------------------------------------------------- */

/* MORE is < for the least and > for the greatest. */
#define EXTREME(NAME, MORE)                                                                                            \
    MF_KERNEL static double NAME##_of(const double *x, size_t n, bool *nan)                                            \
    {                                                                                                                  \
        mf_wide wide[MF_WIDES];                                                                                        \
        mf_wide_mask bad = {0};                                                                                        \
        double lane[MF_LANES];                                                                                         \
        size_t i = 0;                                                                                                  \
        bool any = false;                                                                                              \
        for (size_t k = 0; k < MF_WIDES; k++)                                                                          \
            wide[k] = (mf_wide){x[0], x[0], x[0], x[0]};                                                               \
        for (; i + MF_LANES <= n; i += MF_LANES)                                                                       \
            for (size_t k = 0; k < MF_WIDES; k++) {                                                                    \
                mf_wide v = ((const mf_wide *)(x + i))[k];                                                             \
                mf_wide_mask better = (mf_wide_mask)(v MORE wide[k]);                                                  \
                wide[k] = (mf_wide)(((mf_wide_mask)v & better) | ((mf_wide_mask)wide[k] & ~better));                   \
                bad |= (mf_wide_mask)(v != v);                                                                         \
            }                                                                                                          \
        memcpy(lane, wide, sizeof lane);                                                                               \
        for (; i < n; i++) {                                                                                           \
            lane[0] = x[i] MORE lane[0] ? x[i] : lane[0];                                                              \
            any = any || x[i] != x[i];                                                                                 \
        }                                                                                                              \
        for (size_t k = 0; k < MF_LANES; k++)                                                                          \
            lane[0] = lane[k] MORE lane[0] ? lane[k] : lane[0];                                                        \
        for (size_t k = 0; k < 4; k++)                                                                                 \
            any = any || bad[k];                                                                                       \
        *nan = any;                                                                                                    \
        return lane[0];                                                                                                \
    }                                                                                                                  \
    static void NAME##_reals(struct mf_partial *p, const double *x, size_t n, size_t first)                            \
    {                                                                                                                  \
        p->a = NAME##_of(x, n, &p->nan);                                                                               \
        if (p->nan)                                                                                                    \
            p->a = NAN;                                                                                                \
        (void)first;                                                                                                   \
    }                                                                                                                  \
    MF_KERNEL static void NAME##_integers(struct mf_partial *p, const int64_t *x, size_t n, size_t first)              \
    {                                                                                                                  \
        int64_t found = x[0];                                                                                          \
        for (size_t i = 0; i < n; i++)                                                                                 \
            found = x[i] MORE found ? x[i] : found;                                                                    \
        p->whole = found;                                                                                              \
        (void)first;                                                                                                   \
    }                                                                                                                  \
    static void arg##NAME##_reals(struct mf_partial *p, const double *x, size_t n, size_t first)                       \
    {                                                                                                                  \
        size_t i = 0;                                                                                                  \
        NAME##_reals(p, x, n, first);                                                                                  \
        while (p->nan ? x[i] == x[i] : x[i] != p->a)                                                                   \
            i++;                                                                                                       \
        p->at = first + i;                                                                                             \
    }                                                                                                                  \
    static void arg##NAME##_integers(struct mf_partial *p, const int64_t *x, size_t n, size_t first)                   \
    {                                                                                                                  \
        size_t i = 0;                                                                                                  \
        NAME##_integers(p, x, n, first);                                                                               \
        while (x[i] != p->whole)                                                                                       \
            i++;                                                                                                       \
        p->at = first + i;                                                                                             \
    }                                                                                                                  \
    static void join_##NAME(struct mf_partial *p, const struct mf_partial *next)                                       \
    {                                                                                                                  \
        size_t n = p->n;                                                                                               \
        if (!p->nan && (next->nan || next->a MORE p->a || next->whole MORE p->whole))                                  \
            *p = *next;                                                                                                \
        p->n = n;                                                                                                      \
    }

EXTREME(min, <)
EXTREME(max, >)

/* --- Truth ------------------------------------------------------------------------------------------------------- */

MF_KERNEL static void count_reals(struct mf_partial *p, const double *x, size_t n, size_t first)
{
    int64_t count = 0;
    (void)first;
    for (size_t i = 0; i < n; i++)
        count += x[i] != 0;
    p->whole = count;
}

MF_KERNEL static void count_integers(struct mf_partial *p, const int64_t *x, size_t n, size_t first)
{
    int64_t count = 0;
    (void)first;
    for (size_t i = 0; i < n; i++)
        count += x[i] != 0;
    p->whole = count;
}

#define COUNTING                                                                                                       \
    {                                                                                                                  \
        count_reals, count_integers, join_sums                                                                         \
    }
#define SPREADING                                                                                                      \
    {                                                                                                                  \
        spread_reals, NULL, join_spreads                                                                               \
    }

const struct mf_partial_table mf_partials[MF_REDUCTIONS] = {
    [MF_SUM] = {sum_reals, sum_integers, join_sums},
    [MF_PROD] = {multiply_reals, multiply_integers, join_products},
    [MF_MEAN] = {sum_reals, NULL, join_sums},
    [MF_VAR] = SPREADING,
    [MF_SD] = SPREADING,
    [MF_MIN] = {min_reals, min_integers, join_min},
    [MF_MAX] = {max_reals, max_integers, join_max},
    [MF_ARGMIN] = {argmin_reals, argmin_integers, join_min},
    [MF_ARGMAX] = {argmax_reals, argmax_integers, join_max},
    [MF_ANY] = COUNTING,
    [MF_ALL] = COUNTING,
    [MF_COUNT] = COUNTING,
};
