/* Statistics where rounding hurts: against exact results, the certified ones of NIST's reference datasets, and slow
 * ways. */
#include "check.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/stats.h"

#define N   20000
#define ULP 2.3e-16 /* a last bit */

static double data[N], copy[N];

static struct mf_stats_view view(const double *x, size_t n)
{
    return (struct mf_stats_view){.data = x, .stride = 1, .n = n};
}

static bool near(double expected, double got, double tolerance)
{
    if (fabs(got - expected) <= tolerance * fabs(expected))
        return true;
    fprintf(stderr, "expected %.17g, got %.17g\n", expected, got);
    return false;
}

/* Numbers that look random, from 0 to 1. */
static double noise(size_t i)
{
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    return (double)((x ^ (x >> 27)) >> 11) * 0x1p-53;
}

/* --- Moments ------------------------------------------------------------------------------------------------------ */

static double variance(const double *x, size_t n)
{
    struct mf_stats_view v = view(x, n);
    struct mf_stats_moments m = mf_stats_moments(&v);
    return mf_stats_variance(&m);
}

static void test_sums(void)
{
    struct mf_stats_view v;
    for (size_t i = 0; i < N; i++)
        data[i] = 0.1;
    v = view(data, N);
    CHECK(near(0.1 * N, mf_stats_sum(&v), ULP) && near(0.1, mf_stats_mean(&v), ULP));
    v.n = 0;
    CHECK(mf_stats_sum(&v) == 0 && isnan(mf_stats_mean(&v)));
    for (size_t i = 0; i < N; i++)
        data[i] = i % 2 ? 1e308 : 1.5e308;
    v = view(data, N);
    CHECK(near(1.25e308, mf_stats_mean(&v), 1e-12));
    data[77] = INFINITY;
    CHECK(mf_stats_mean(&v) == INFINITY);
    data[78] = -INFINITY;
    CHECK(isnan(mf_stats_mean(&v)));
}

/* Next to 2^53 every single 1 would be lost. */
static void test_sum_is_compensated(void)
{
    struct mf_stats_view v = view(data, N);
    for (size_t i = 0; i < N; i++)
        data[i] = i == 5000 ? 0x1p60 : 1;
    CHECK(mf_stats_sum(&v) - 0x1p60 > N - 300); /* those of its own block may be */
}

/* NIST's Statistical Reference Datasets, univariate: NumAcc1 to NumAcc4. */
static void test_nist(void)
{
    static const struct {
        double first, even, odd, mean, sd;
        size_t n;
    } sets[] = {
        {10000001, 10000003, 10000002, 10000002, 1, 3},
        {1.2, 1.1, 1.3, 1.2, 0.1, 1001},
        {1000000.2, 1000000.1, 1000000.3, 1000000.2, 0.1, 1001},
        {10000000.2, 10000000.1, 10000000.3, 10000000.2, 0.1, 1001},
    };
    static const double tolerance[] = {0, 1e-15, 1e-9, 1e-8}; /* of sd: the inputs are rounded themselves */
    for (int k = 0; k < 4; k++) {
        data[0] = sets[k].first;
        for (size_t i = 1; i < sets[k].n; i++)
            data[i] = i % 2 ? sets[k].even : sets[k].odd;
        struct mf_stats_view v = view(data, sets[k].n);
        CHECK(near(sets[k].mean, mf_stats_mean(&v), ULP));
        CHECK(near(sets[k].sd, sqrt(variance(data, sets[k].n)), tolerance[k]));
    }
}

/* The variance does not see what is added to all numbers, as far as they can hold it. */
static void test_shifts(void)
{
    for (size_t i = 0; i < N; i++)
        data[i] = floor(noise(i) * 1024);
    double expected = variance(data, N);
    CHECK(near(1024. * 1024 / 12, expected, 0.05));
    for (double shift = 1; shift < 0x1p42; shift *= 16) {
        for (size_t i = 0; i < N; i++)
            copy[i] = data[i] + shift;
        CHECK(near(expected, variance(copy, N), 1e-11));
    }
    for (size_t i = 0; i < N; i++) /* a mean that wanders off while the numbers hardly vary */
        copy[i] = (double)i * 1e6 + data[i] / 1024;
    double mean = 0, m2 = 0;
    for (size_t i = 0; i < N; i++)
        mean += copy[i] / N;
    for (size_t i = 0; i < N; i++)
        m2 += (copy[i] - mean) * (copy[i] - mean);
    CHECK(near(m2 / (N - 1), variance(copy, N), 1e-12));
    CHECK(isnan(variance(data, 1)) && isnan(variance(data, 0)) && variance(data, 2) >= 0);
}

static void test_merges(void)
{
    for (size_t i = 0; i < N; i++)
        data[i] = noise(i) + (i > N / 3 ? 100 : 0);
    struct mf_stats_view all = view(data, N);
    struct mf_stats_moments expected = mf_stats_moments(&all), merged = {0, 0, 0}, none = {0, 0, 0};
    for (size_t i = 0, k; i < N; i += k) {
        k = i % 700 + 1 < N - i ? i % 700 + 1 : N - i;
        struct mf_stats_view part = view(data + i, k);
        struct mf_stats_moments m = mf_stats_moments(&part);
        mf_stats_merge(&merged, &m);
        mf_stats_merge(&merged, &none);
    }
    CHECK(merged.n == N && near(expected.mean, merged.mean, 1e-14) && near(expected.m2, merged.m2, 1e-13));
}

/* --- Strides ------------------------------------------------------------------------------------------------------ */

static void test_strides(void)
{
    static double wide[3 * N];
    for (size_t i = 0; i < N; i++) {
        data[i] = noise(i) * 1e3;
        wide[3 * i] = data[i];
        copy[N - 1 - i] = data[i];
    }
    struct mf_stats_view plain = view(data, N), third = {wide, 3, N}, back = {copy + N - 1, -1, N}, one = {data, 0, N};
    struct mf_stats_moments m = mf_stats_moments(&plain), t = mf_stats_moments(&third), b = mf_stats_moments(&back);
    CHECK(memcmp(&m, &t, sizeof m) == 0 && memcmp(&m, &b, sizeof m) == 0);
    CHECK(mf_stats_sum(&plain) == mf_stats_sum(&third) && mf_stats_sum(&plain) == mf_stats_sum(&back));
    double low, high, low3, high3;
    CHECK(mf_stats_range(&plain, &low, &high) && mf_stats_range(&third, &low3, &high3) && low == low3 && high == high3);
    CHECK(near(data[0], mf_stats_mean(&one), 1e-15));
    CHECK(mf_stats_covariance(&plain, &third, NULL) == mf_stats_covariance(&back, &plain, NULL));
    CHECK(mf_stats_correlation(&plain, &back, NULL) == 1);
}

static void test_range(void)
{
    double low, high;
    for (size_t n = 1; n < 100; n++) {
        for (size_t i = 0; i < n; i++)
            data[i] = i == n / 2 ? -7 : i == n - 1 && n > 1 ? 9 : NAN;
        struct mf_stats_view v = view(data, n);
        CHECK(mf_stats_range(&v, &low, &high) && low == -7 && high == (n > 2 ? 9 : -7));
    }
    struct mf_stats_view nothing = view(data, 0);
    CHECK(!mf_stats_range(&nothing, &low, &high));
}

/* --- Two variables ------------------------------------------------------------------------------------------------ */

static void test_pairs(void)
{
    for (size_t i = 0; i < N; i++) {
        data[i] = 1e8 + floor(noise(i) * 64);
        copy[i] = -3 * data[i] + 1e9;
    }
    struct mf_stats_view x = view(data, N), y = view(copy, N), few = view(data, 1);
    CHECK(near(-3 * variance(data, N), mf_stats_covariance(&x, &y, NULL), 1e-13));
    CHECK(near(-1, mf_stats_correlation(&x, &y, NULL), 1e-14) && mf_stats_correlation(&x, &y, NULL) >= -1);
    CHECK(isnan(mf_stats_covariance(&few, &few, NULL)));
    for (size_t i = 0; i < N; i++)
        copy[i] = 5;
    CHECK(isnan(mf_stats_correlation(&x, &y, NULL)));
    CHECK(mf_stats_weighted_mean(&x, &y) > 1e8 && near(mf_stats_mean(&x), mf_stats_weighted_mean(&x, &y), 1e-15));
    CHECK(near(variance(data, N), mf_stats_weighted_variance(&x, &y), 1e-12)); /* equal weights */
}

/* --- Order -------------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Shapes that partitioning may stumble on. */
static double shaped(int shape, size_t i, size_t n)
{
    switch (shape) {
    case 0:
        return noise(i);
    case 1:
        return (double)i;
    case 2:
        return -(double)i;
    case 3:
        return 1;
    case 4:
        return (double)(i < n / 2 ? i : n - i);
    case 5:
        return (double)(i * 7 % 5);
    default:
        return i % 2 ? (double)i : -(double)i;
    }
}

static void check_quantiles(int shape, size_t n)
{
    static const double p[] = {0, 0.5, 0.1, 1, 0.9, 1. / 3};
    static double sorted[N];
    double out[6], many[60], probabilities[60];
    for (size_t i = 0; i < n; i++)
        data[i] = copy[i] = sorted[i] = shaped(shape, i, n);
    qsort(sorted, n, sizeof *sorted, compare);
    mf_stats_quantiles(copy, n, p, 6, out);
    for (int k = 0; k < 60; k++)
        probabilities[k] = p[k % 6];
    mf_stats_quantiles(data, n, probabilities, 60, many);
    bool right = true;
    for (int k = 0; k < 6; k++) {
        double at = (double)(n - 1) * p[k], low = floor(at), part = at - low;
        size_t i = (size_t)low, j = i + 1 < n ? i + 1 : i;
        double expected = part > 0 && sorted[i] != sorted[j] ? (1 - part) * sorted[i] + part * sorted[j] : sorted[i];
        right = right && out[k] == expected && many[k + 6] == expected;
    }
    CHECK(right);
}

static void test_quantiles(void)
{
    for (int shape = 0; shape < 7; shape++) {
        for (size_t n = 1; n < 60; n++)
            check_quantiles(shape, n);
        check_quantiles(shape, N);
    }
    double half = 0.5, out;
    mf_stats_quantiles(data, 0, &half, 1, &out);
    CHECK(isnan(out));
    data[0] = 1;
    data[1] = NAN;
    mf_stats_quantiles(data, 2, &half, 1, &out);
    CHECK(isnan(out));
}

static void test_weighted_quantiles(void)
{
    static const double p[] = {0, 0.2, 0.5, 0.7, 1};
    struct mf_stats_pair pairs[] = {{5, 2}, {1, 3}, {9, 0}, {4, 1}, {-9, 0}};
    double repeated[] = {1, 1, 1, 4, 5, 5}, expected[5], out[5];
    mf_stats_quantiles(repeated, 6, p, 5, expected);
    mf_stats_weighted_quantiles(pairs, 5, p, 5, out);
    CHECK(memcmp(expected, out, sizeof out) == 0);
    struct mf_stats_pair none[] = {{1, 0}};
    mf_stats_weighted_quantiles(none, 1, p, 1, out);
    CHECK(isnan(out[0]));
}

static void test_counts(void)
{
    const double edges[] = {0, 1, 1, 2.5, 10}, numbers[] = {0, 0.5, 1, 1, 2.4, 2.5, 10, 10.1, -0.1, NAN, INFINITY};
    double counts[4] = {0};
    struct mf_stats_view v = view(numbers, 11);
    CHECK(mf_stats_count(&v, edges, 4, counts) == 4);
    CHECK(counts[0] == 2 && counts[1] == 0 && counts[2] == 3 && counts[3] == 2);
}

/* --- Regression --------------------------------------------------------------------------------------------------- */

/* Polynomials through whole points: exact coefficients, and columns that are far from orthogonal. */
static void test_polynomial(void)
{
    enum { ROWS = 21, P = 6 };
    static double columns[(P + 1) * ROWS];
    double b[P], inverse[P * P];
    for (size_t i = 0; i < ROWS; i++) {
        double x = (double)i, power = 1, y = 0;
        for (size_t j = 0; j < P; j++, power *= x) {
            columns[j * ROWS + i] = power;
            y += power;
        }
        columns[P * ROWS + i] = y;
    }
    CHECK(mf_stats_least_squares(columns, ROWS, P, b, inverse) == P);
    for (int j = 0; j < P; j++)
        CHECK(near(1, b[j], 1e-9)); /* NIST's Wampler1: six digits are thought good */
    CHECK(inverse[P * (P - 1)] == 0 && inverse[0] != 0);
}

static void test_dependent_columns(void)
{
    enum { ROWS = 50 };
    double columns[4 * ROWS], b[3];
    for (size_t i = 0; i < ROWS; i++) {
        columns[i] = 1;
        columns[ROWS + i] = noise(i);
        columns[2 * ROWS + i] = 3 - 2 * noise(i);
        columns[3 * ROWS + i] = noise(i + 1000);
    }
    CHECK(mf_stats_least_squares(columns, ROWS, 3, b, NULL) == 2);
    memset(columns, 0, sizeof columns);
    CHECK(mf_stats_least_squares(columns, ROWS, 3, b, NULL) == 0);
}

/* As many rows as columns. */
static void test_square_system(void)
{
    double columns[6] = {2, 1, 1, 3, 5, 10}, b[2]; /* 2 b0 + b1 = 5, b0 + 3 b1 = 10 */
    CHECK(mf_stats_least_squares(columns, 2, 2, b, NULL) == 2);
    CHECK(near(1, b[0], 1e-15) && near(3, b[1], 1e-15));
}

static void test_student(void)
{
    CHECK(mf_stats_student(0, 5) == 1 && mf_stats_student(INFINITY, 5) == 0);
    CHECK(near(0.5, mf_stats_student(1, 1), 1e-15) && near(0.5, mf_stats_student(-1, 1), 1e-15)); /* Cauchy */
    CHECK(near(1 - 1 / sqrt(3), mf_stats_student(1, 2), 1e-15));
}

int main(void)
{
    alarm(60);
    test_sums();
    test_sum_is_compensated();
    test_nist();
    test_shifts();
    test_merges();
    test_strides();
    test_range();
    test_pairs();
    test_quantiles();
    test_weighted_quantiles();
    test_counts();
    test_polynomial();
    test_dependent_columns();
    test_square_system();
    test_student();
    return check_report();
}
