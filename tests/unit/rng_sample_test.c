/* Integers and samples of both kinds of generators: bounds, distinctness, frequencies. */
#include "check.h"
#include "stat.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/rng.h"

#define KINDS 2

static struct mf_rng seeded(int kind, int64_t seed)
{
    struct mf_rng rng;
    mf_rng_seed(&rng, (enum mf_rng_kind)kind, seed);
    return rng;
}

static void test_below(void)
{
    enum { DRAWS = 120000 };
    static const uint64_t limits[] = {1, 2, 3, 16, 17, 255, 256, 257, 1000};
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
            struct mf_rng rng = seeded(kind, (int64_t)i);
            double count[1000] = {0};
            bool inside = true;
            for (int k = 0; k < DRAWS; k++) {
                uint64_t v = mf_rng_below(&rng, limits[i]);
                inside = inside && v < limits[i];
                count[inside ? v : 0]++;
            }
            CHECK(inside);
            if (limits[i] > 1)
                CHECK(stat_plausible(stat_chi_equal(count, limits[i], DRAWS / (double)limits[i])));
        }
}

/* Where a plain remainder would favour the lower third twice over. */
static void test_below_large(void)
{
    enum { DRAWS = 60000 };
    static const uint64_t limits[] = {((uint64_t)1 << 32) / 3 * 2, (uint64_t)3 << 31, (uint64_t)3 << 62};
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < 3; i++) {
            struct mf_rng rng = seeded(kind, 4);
            double third[3] = {0};
            bool inside = true;
            for (int k = 0; k < DRAWS; k++) {
                uint64_t v = mf_rng_below(&rng, limits[i]), at = v / (limits[i] / 3);
                inside = inside && v < limits[i];
                third[at < 3 ? at : 2]++;
            }
            CHECK(inside && stat_plausible(stat_chi_equal(third, 3, DRAWS / 3.0)));
        }
}

static void test_integers(void)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct mf_rng rng = seeded(kind, 2), again = rng;
        int64_t out[2000], one, ors = 0, ands = -1;
        double count[5] = {0};
        mf_rng_fill_integers(&rng, -2, 2, out, 2000);
        bool inside = true;
        for (int i = 0; i < 2000; i++) {
            inside = inside && out[i] >= -2 && out[i] <= 2;
            count[inside ? out[i] + 2 : 0]++;
        }
        CHECK(inside && stat_plausible(stat_chi_equal(count, 5, 400)));
        for (int i = 0; i < 2000; i++) {
            mf_rng_fill_integers(&again, -2, 2, &one, 1);
            inside = inside && one == out[i];
        }
        CHECK(inside);
        mf_rng_fill_integers(&rng, INT64_MIN, INT64_MAX, out, 2000);
        for (int i = 0; i < 2000; i++) {
            ors |= out[i];
            ands &= out[i];
        }
        CHECK(ors == -1 && ands == 0);
        mf_rng_fill_integers(&rng, INT64_MAX, INT64_MAX, out, 1);
        CHECK(out[0] == INT64_MAX);
    }
}

/* All orders of four come equally often. */
static void test_orders(void)
{
    enum { DRAWS = 24000 };
    for (int kind = 0; kind < KINDS; kind++) {
        struct mf_rng rng = seeded(kind, 3);
        double count[256] = {0}, orders[24];
        size_t found = 0;
        for (int i = 0; i < DRAWS; i++) {
            int64_t out[4];
            CHECK(mf_rng_sample(&rng, 4, out, 4) == MF_OK);
            count[out[0] * 64 + out[1] * 16 + out[2] * 4 + out[3]]++;
        }
        for (int i = 0; i < 256; i++)
            if (count[i] > 0 && found < 24)
                orders[found++] = count[i];
        double sum = 0;
        for (size_t i = 0; i < found; i++)
            sum += orders[i];
        CHECK(found == 24 && sum == DRAWS && stat_plausible(stat_chi_equal(orders, 24, DRAWS / 24.0)));
    }
}

static double unit_cdf(double v, const double *p)
{
    return v / p[0];
}

/* Few of very many: all different, spread evenly. */
static void test_few_of_many(void)
{
    enum { N = 50000 };
    static int64_t out[N];
    static double x[N];
    const double population = 2e7;
    for (int kind = 0; kind < KINDS; kind++) {
        struct mf_rng rng = seeded(kind, 5);
        CHECK(mf_rng_sample(&rng, (uint64_t)population, out, N) == MF_OK);
        for (int i = 0; i < N; i++)
            x[i] = (double)out[i];
        CHECK(stat_plausible(stat_ks(x, N, unit_cdf, &population)));
        bool different = true;
        for (int i = 1; i < N; i++)
            different = different && x[i] > x[i - 1];
        CHECK(different && x[0] >= 0 && x[N - 1] < population);
    }
}

/* With replacement: by walking (5 weights) and by aliases (500). */
static void test_weighted(void)
{
    enum { DRAWS = 100000 };
    static int64_t out[DRAWS];
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t n = 5; n <= 500; n *= 10) {
            double weights[500], expected[500], count[500] = {0}, sum = 0;
            struct mf_rng rng = seeded(kind, (int64_t)n);
            for (size_t i = 0; i < n; i++)
                sum += weights[i] = (double)(i * 7 % 5);
            for (size_t i = 0; i < n; i++)
                expected[i] = weights[i] / sum * DRAWS;
            CHECK(mf_rng_sample_weighted(&rng, weights, n, true, out, DRAWS) == MF_OK);
            for (int i = 0; i < DRAWS; i++)
                count[out[i]]++;
            bool none = true;
            for (size_t i = 0; i < n; i++)
                none = none && (weights[i] > 0 || count[i] == 0);
            CHECK(none);
            CHECK(stat_plausible(stat_chi_square(count, expected, n)));
        }
}

/* Two of three without replacement: the second has the odds that the first has left. */
static void test_weighted_without_replacement(void)
{
    enum { DRAWS = 60000 };
    const double w[3] = {1, 2, 5};
    for (int kind = 0; kind < KINDS; kind++) {
        struct mf_rng rng = seeded(kind, 6);
        double count[9] = {0}, expected[9];
        bool different = true;
        for (int i = 0; i < DRAWS; i++) {
            int64_t out[2];
            CHECK(mf_rng_sample_weighted(&rng, w, 3, false, out, 2) == MF_OK);
            different = different && out[0] != out[1];
            count[out[0] * 3 + out[1]]++;
        }
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 3; b++)
                expected[a * 3 + b] = a == b ? 0 : DRAWS * w[a] / 8 * w[b] / (8 - w[a]);
        CHECK(different && stat_plausible(stat_chi_square(count, expected, 9)));
    }
}

static void test_no_memory(void)
{
    struct mf_rng rng = seeded(MF_RNG_PHILOX, 1), before = rng;
    int64_t out[1];
    CHECK(mf_rng_sample(&rng, UINT64_MAX, out, SIZE_MAX) == MF_ENOMEM);
    CHECK(mf_rng_sample_weighted(&rng, NULL, SIZE_MAX / 4, false, out, 1) == MF_ENOMEM);
    CHECK(mf_rng_bits(&rng) == mf_rng_bits(&before));
}

int main(void)
{
    alarm(60);
    test_below();
    test_below_large();
    test_integers();
    test_orders();
    test_few_of_many();
    test_weighted();
    test_weighted_without_replacement();
    test_no_memory();
    return check_report();
}
