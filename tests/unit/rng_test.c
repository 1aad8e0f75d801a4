/* MRG32k3a against the figures of R 4.3, and its jumps against each other. */
#include "check.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/rng.h"

#define M1 4294967087u
#define M2 4294944443u

static bool is(const struct mf_rng *rng, const int32_t *expected)
{
    for (int i = 0; i < 6; i++)
        if (rng->s[i] != (uint32_t)expected[i])
            return false;
    return true;
}

static bool same(const struct mf_rng *a, const struct mf_rng *b)
{
    return memcmp(a->s, b->s, sizeof a->s) == 0;
}

static bool valid(const struct mf_rng *rng)
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
    struct mf_rng rng, other;
    mf_rng_seed(&rng, 42);
    CHECK(is(&rng, seeded));
    other = rng;
    mf_rng_next_stream(&other);
    CHECK(is(&other, stream));
    other = rng;
    mf_rng_next_substream(&other);
    CHECK(is(&other, substream));
    for (int i = 0; i < 3; i++)
        CHECK(fabs(mf_rng_uniform(&rng) - uniforms[i]) < 1e-16);
    mf_rng_seed(&rng, -5);
    CHECK(is(&rng, minus5));
}

static void test_seeds(void)
{
    static const int64_t seeds[] = {0, 1, -1, INT32_MIN, INT32_MAX, UINT32_MAX, INT64_MIN + 1, INT64_MAX, 4294967296};
    struct mf_rng rng[9], other;
    for (int i = 0; i < 9; i++) {
        mf_rng_seed(&rng[i], seeds[i]);
        CHECK(valid(&rng[i]));
        for (int k = 0; k < i; k++) /* -1 and UINT32_MAX are the same 32 bits */
            CHECK(same(&rng[i], &rng[k]) == (i == 5 && k == 2));
    }
    mf_rng_seed(&other, (int64_t)INT32_MAX + ((int64_t)7 << 32));
    CHECK(!same(&other, &rng[4]));
}

static void test_jumps(void)
{
    struct mf_rng one, many;
    for (uint64_t n = 0; n < 70; n++) {
        mf_rng_seed(&one, 7);
        many = one;
        for (uint64_t i = 0; i < n; i++)
            mf_rng_next_stream(&one);
        mf_rng_skip_streams(&many, n);
        CHECK(same(&one, &many) && valid(&one));
    }
    mf_rng_seed(&one, 7); /* jumps add up, also where no loop of single ones gets */
    many = one;
    mf_rng_skip_streams(&one, UINT64_MAX);
    mf_rng_skip_streams(&many, UINT64_MAX - (UINT64_C(1) << 40));
    CHECK(!same(&one, &many));
    mf_rng_skip_streams(&many, UINT64_C(1) << 40);
    CHECK(same(&one, &many) && valid(&one));
}

/* 2^76 steps commute with single steps, and with 2^127. */
static void test_jumps_commute(void)
{
    struct mf_rng a, b;
    mf_rng_seed(&a, 3);
    b = a;
    for (int i = 0; i < 5; i++)
        mf_rng_uniform(&a);
    mf_rng_next_substream(&a);
    mf_rng_next_stream(&a);
    mf_rng_next_stream(&b);
    mf_rng_next_substream(&b);
    for (int i = 0; i < 5; i++)
        mf_rng_uniform(&b);
    CHECK(same(&a, &b));
}

static void test_extremes(void)
{
    struct mf_rng low = {{0, 0, 1, 0, 0, 1}}, high = {{M1 - 1, M1 - 1, M1 - 1, M2 - 1, M2 - 1, M2 - 1}};
    bool inside = true;
    for (int i = 0; i < 1000; i++) {
        double a = mf_rng_uniform(&low), b = mf_rng_uniform(&high);
        inside = inside && a > 0 && a < 1 && b > 0 && b < 1;
    }
    CHECK(inside && valid(&low) && valid(&high));
}

/* 255 degrees of freedom: mean 255, standard deviation 22.6; the seed is fixed, so the outcome is too. */
static void test_spread(void)
{
    enum { BINS = 256, EACH = 1000 };
    static int count[BINS];
    struct mf_rng rng;
    double chi = 0, x = 0.5, serial = 0;
    mf_rng_seed(&rng, 1);
    for (int i = 0; i < BINS * EACH; i++) {
        double y = mf_rng_uniform(&rng);
        count[(int)(y * BINS)]++;
        serial += (x - 0.5) * (y - 0.5);
        x = y;
    }
    for (int i = 0; i < BINS; i++)
        chi += (count[i] - EACH) * (double)(count[i] - EACH) / EACH;
    CHECK(chi > 170 && chi < 350);
    CHECK(fabs(serial * 12 / (BINS * EACH)) < 4 / sqrt(BINS * EACH));
}

static void test_bits(void)
{
    enum { DRAWS = 20000 };
    static int ones[64];
    struct mf_rng rng;
    mf_rng_seed(&rng, 9);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t bits = mf_rng_bits(&rng);
        for (int k = 0; k < 64; k++)
            ones[k] += (int)(bits >> k & 1);
    }
    for (int k = 0; k < 64; k++)
        CHECK(abs(ones[k] - DRAWS / 2) < 5 * sqrt(DRAWS) / 2);
}

static void test_streams_differ(void)
{
    enum { DRAWS = 20000 };
    struct mf_rng a, b;
    double sum = 0;
    mf_rng_seed(&a, 11);
    b = a;
    mf_rng_next_stream(&b);
    for (int i = 0; i < DRAWS; i++)
        sum += (mf_rng_uniform(&a) - 0.5) * (mf_rng_uniform(&b) - 0.5);
    CHECK(fabs(sum * 12 / DRAWS) < 4 / sqrt(DRAWS));
}

int main(void)
{
    alarm(60);
    test_figures_of_r();
    test_seeds();
    test_jumps();
    test_jumps_commute();
    test_extremes();
    test_spread();
    test_bits();
    test_streams_differ();
    return check_report();
}
