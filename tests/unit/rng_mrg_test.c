/* MRG32k3a against the figures of R 4.3, and its jumps against each other. */
#include "check.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/rng_mrg.h"

#define M1 MF_RNG_MRG_M1
#define M2 MF_RNG_MRG_M2

static bool is(const struct mf_rng_mrg *rng, const int32_t *expected)
{
    for (int i = 0; i < 6; i++)
        if (rng->s[i] != (uint32_t)expected[i])
            return false;
    return true;
}

static bool same(const struct mf_rng_mrg *a, const struct mf_rng_mrg *b)
{
    return memcmp(a->s, b->s, sizeof a->s) == 0;
}

static bool valid(const struct mf_rng_mrg *rng)
{
    for (int i = 0; i < 6; i++)
        if (rng->s[i] >= (i < 3 ? M1 : M2))
            return false;
    return (rng->s[0] || rng->s[1] || rng->s[2]) && (rng->s[3] || rng->s[4] || rng->s[5]);
}

static void test_figures_of_r(void)
{
    static const int32_t seeded[] = {-2133391687, 507561766, 1260545903, 1362917092, -1772566379, -1344458670};
    static const int32_t stream[] = {-94575036, -24861725, 357812871, 346211554, -1301022835, 440649733};
    static const int32_t substream[] = {-1871565002, 1968597656, -505666782, 1055078269, 658163990, 1090264187};
    static const int32_t minus5[] = {1466166878, -58808505, 1194430172, 365728301, 1785353994, -191023869};
    static const double uniforms[] = {0.17384558454153168, 0.55474009676509084, 0.48337712221370116};
    struct mf_rng_mrg rng, other;
    mf_rng_mrg_seed(&rng, 42);
    CHECK(is(&rng, seeded));
    other = rng;
    mf_rng_mrg_skip_streams(&other, 1);
    CHECK(is(&other, stream));
    other = rng;
    mf_rng_mrg_skip_substreams(&other, 1);
    CHECK(is(&other, substream));
    for (int i = 0; i < 3; i++)
        CHECK(fabs(mf_rng_mrg_uniform(&rng) - uniforms[i]) < 1e-16);
    mf_rng_mrg_seed(&rng, -5);
    CHECK(is(&rng, minus5));
}

static void test_seeds(void)
{
    static const int64_t seeds[] = {0, 1, -1, INT32_MIN, INT32_MAX, UINT32_MAX, INT64_MIN + 1, INT64_MAX, 4294967296};
    struct mf_rng_mrg rng[9], other;
    for (int i = 0; i < 9; i++) {
        mf_rng_mrg_seed(&rng[i], seeds[i]);
        CHECK(valid(&rng[i]));
        for (int k = 0; k < i; k++) /* -1 and UINT32_MAX are the same 32 bits */
            CHECK(same(&rng[i], &rng[k]) == (i == 5 && k == 2));
    }
    mf_rng_mrg_seed(&other, (int64_t)INT32_MAX + ((int64_t)7 << 32));
    CHECK(!same(&other, &rng[4]));
}

static void test_jumps(void)
{
    struct mf_rng_mrg one, many;
    for (uint64_t n = 0; n < 70; n++) {
        mf_rng_mrg_seed(&one, 7);
        many = one;
        for (uint64_t i = 0; i < n; i++)
            mf_rng_mrg_skip_streams(&one, 1);
        mf_rng_mrg_skip_streams(&many, n);
        CHECK(same(&one, &many) && valid(&one));
    }
    mf_rng_mrg_seed(&one, 7); /* jumps add up, also where no loop of single ones gets */
    many = one;
    mf_rng_mrg_skip_streams(&one, UINT64_MAX);
    mf_rng_mrg_skip_streams(&many, UINT64_MAX - (UINT64_C(1) << 40));
    CHECK(!same(&one, &many));
    mf_rng_mrg_skip_streams(&many, UINT64_C(1) << 40);
    CHECK(same(&one, &many) && valid(&one));
}

/* 2^76 steps commute with single steps, and with 2^127. */
static void test_jumps_commute(void)
{
    struct mf_rng_mrg a, b;
    mf_rng_mrg_seed(&a, 3);
    b = a;
    for (int i = 0; i < 5; i++)
        mf_rng_mrg_uniform(&a);
    mf_rng_mrg_skip_substreams(&a, 1);
    mf_rng_mrg_skip_streams(&a, 1);
    mf_rng_mrg_skip_streams(&b, 1);
    mf_rng_mrg_skip_substreams(&b, 1);
    for (int i = 0; i < 5; i++)
        mf_rng_mrg_uniform(&b);
    CHECK(same(&a, &b));
}

static void test_extremes(void)
{
    struct mf_rng_mrg low = {{0, 0, 1, 0, 0, 1}}, high = {{M1 - 1, M1 - 1, M1 - 1, M2 - 1, M2 - 1, M2 - 1}};
    bool inside = true;
    for (int i = 0; i < 1000; i++) {
        double a = mf_rng_mrg_uniform(&low), b = mf_rng_mrg_uniform(&high);
        inside = inside && a > 0 && a < 1 && b > 0 && b < 1;
    }
    CHECK(inside && valid(&low) && valid(&high));
}

/* Skipping is stepping, and 2^76 single steps are a substream. */
static void test_skip(void)
{
    struct mf_rng_mrg one, many;
    mf_rng_mrg_seed(&one, 12);
    for (uint64_t n = 0; n < 200; n++) {
        many = one;
        mf_rng_mrg_skip(&many, n);
        struct mf_rng_mrg stepped = one;
        for (uint64_t i = 0; i < n; i++)
            mf_rng_mrg_next(&stepped);
        CHECK(same(&stepped, &many));
    }
    many = one;
    for (int i = 0; i < 1 << 12; i++) /* 2^12 times 2^63, twice, makes 2^76 */
        mf_rng_mrg_skip(&many, UINT64_C(1) << 63);
    for (int i = 0; i < 1 << 12; i++)
        mf_rng_mrg_skip(&many, UINT64_C(1) << 63);
    mf_rng_mrg_skip_substreams(&one, 1);
    CHECK(same(&one, &many));
}

/* The published recurrence, with 64-bit remainders. */
static void test_against_the_definition(void)
{
    int64_t x[3] = {12345, 4294967086, 1}, y[3] = {4294944442, 12345, 0};
    struct mf_rng_mrg rng = {{12345, 4294967086u, 1, 4294944442u, 12345, 0}};
    bool equal = true;
    for (int i = 0; i < 100000; i++) {
        int64_t a = (1403580 * x[1] - 810728 * x[0]) % M1, b = (527612 * y[2] - 1370589 * y[0]) % M2;
        a += a < 0 ? M1 : 0;
        b += b < 0 ? M2 : 0;
        memmove(x, x + 1, sizeof x - sizeof *x);
        memmove(y, y + 1, sizeof y - sizeof *y);
        x[2] = a;
        y[2] = b;
        equal = equal && mf_rng_mrg_next(&rng) == (a > b ? a - b : a - b + M1);
    }
    CHECK(equal);
}

/* Filled in lanes or drawn one by one: the same numbers, and the same state behind them. */
static void test_fill(void)
{
    enum { MOST = 5000 };
    static const size_t lengths[] = {0, 1, 511, 512, 513, 1023, 1024, 1025, 2047, 2048, MOST};
    static double filled[MOST];
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct mf_rng_mrg a, b;
        bool equal = true;
        mf_rng_mrg_seed(&a, (int64_t)i);
        b = a;
        mf_rng_mrg_fill(&a, filled, lengths[i]);
        for (size_t k = 0; k < lengths[i]; k++)
            equal = equal && filled[k] == mf_rng_mrg_uniform(&b);
        CHECK(equal && same(&a, &b));
        mf_rng_mrg_fill_fine(&a, filled, lengths[i]);
        for (size_t k = 0; k < lengths[i]; k++)
            equal = equal && filled[k] == mf_rng_mrg_fine(&b);
        CHECK(equal && same(&a, &b));
    }
}

static void test_set(void)
{
    struct mf_rng_mrg rng;
    const uint64_t zeros[6] = {M1, 0, 0, M2, 0, M2}, words[6] = {1, UINT64_MAX, M1 + UINT64_C(7), 4, M2 - 1, 6};
    mf_rng_mrg_set(&rng, zeros);
    CHECK(valid(&rng));
    mf_rng_mrg_set(&rng, words);
    CHECK(valid(&rng) && rng.s[0] == 1 && rng.s[1] == UINT64_MAX % M1 && rng.s[2] == 7 && rng.s[4] == M2 - 1);
}

int main(void)
{
    alarm(60);
    test_figures_of_r();
    test_seeds();
    test_jumps();
    test_jumps_commute();
    test_extremes();
    test_skip();
    test_against_the_definition();
    test_fill();
    test_set();
    return check_report();
}
