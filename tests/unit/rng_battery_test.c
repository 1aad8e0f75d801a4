/* A battery of tests of randomness, in short: words of 64 bits from both generators, from neighbouring streams,
 * substreams and seeds in turn, and from generators that are known to be bad, which must fail. After D. Knuth's
 * second volume, G. Marsaglia's Diehard and C. Doty-Humphrey's PractRand. */
#include "check.h"
#include "stat.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/rng.h"

#define WORDS ((size_t)1 << 18) /* of each source */

static uint64_t words[WORDS];

static int ones(uint64_t x)
{
    int n = 0;
    for (; x; x &= x - 1)
        n++;
    return n;
}

/* --- Tests: each gives a p-value -------------------------------------------------------------------------------- */

/* Each of the 64 bits is one half of the time; also each bit changes half of the time. */
static double bits(int lag)
{
    double chi = 0, n = (double)(WORDS - (size_t)lag);
    for (int bit = 0; bit < 64; bit++) {
        double count = 0;
        for (size_t i = (size_t)lag; i < WORDS; i++)
            count += (double)((words[i] ^ (lag ? words[i - (size_t)lag] : 0)) >> bit & 1);
        chi += (count - n / 2) * (count - n / 2) / (n / 4);
    }
    return stat_chi_above(chi, 64);
}

static double test_bits(void)
{
    return bits(0);
}

static double test_bits_change(void)
{
    return bits(1);
}

static double test_bits_lag_7(void)
{
    return bits(7);
}

static double test_bits_lag_64(void)
{
    return bits(64);
}

/* Bits against the next higher ones within a word. */
static double test_neighbour_bits(void)
{
    double count = 0, n = 63.0 * (double)WORDS;
    for (size_t i = 0; i < WORDS; i++)
        count += ones((words[i] ^ words[i] >> 1) & (UINT64_MAX >> 1));
    return stat_normal_above((count - n / 2) / sqrt(n / 4));
}

/* Pairs of six bits from consecutive words, from that bit on. */
static double pairs(int bit)
{
    static double count[4096];
    memset(count, 0, sizeof count);
    for (size_t i = 0; i + 1 < WORDS; i += 2)
        count[(words[i] >> bit & 63) * 64 + (words[i + 1] >> bit & 63)]++;
    return stat_chi_equal(count, 4096, (double)(WORDS / 2) / 4096);
}

static double test_pairs_high(void)
{
    return pairs(58);
}

static double test_pairs_middle(void)
{
    return pairs(29);
}

static double test_pairs_low(void)
{
    return pairs(0);
}

/* How far apart bytes below 16 are. */
static double gaps(int bit)
{
    enum { LONGEST = 100 };
    double count[LONGEST + 1] = {0}, expected[LONGEST + 1], total = 0, p = 1.0 / 16;
    int gap = 0;
    for (size_t i = 0; i < WORDS; i++) {
        if ((words[i] >> bit & 255) >= 16) {
            gap++;
            continue;
        }
        count[gap < LONGEST ? gap : LONGEST]++;
        total++;
        gap = 0;
    }
    for (int i = 0; i < LONGEST; i++)
        expected[i] = total * p * pow(1 - p, i);
    expected[LONGEST] = total * pow(1 - p, LONGEST);
    return stat_chi_square(count, expected, LONGEST + 1);
}

static double test_gaps_high(void)
{
    return gaps(56);
}

static double test_gaps_low(void)
{
    return gaps(0);
}

/* Of 512 birthdays in a year of 2^24 days, sorted: how many distances come more than once is Poisson with mean 2. */
static double birthdays(int bit)
{
    enum { BIRTHDAYS = 512, MOST = 9 };
    double count[MOST + 1] = {0}, expected[MOST + 1], years = (double)(WORDS / BIRTHDAYS), rest = years;
    for (size_t year = 0; year < WORDS / BIRTHDAYS; year++) {
        double day[BIRTHDAYS];
        int same = 0;
        for (size_t i = 0; i < BIRTHDAYS; i++)
            day[i] = (double)(words[year * BIRTHDAYS + i] >> bit & 0xffffff);
        qsort(day, BIRTHDAYS, sizeof *day, stat_compare);
        for (size_t i = BIRTHDAYS - 1; i > 0; i--)
            day[i] -= day[i - 1];
        qsort(day, BIRTHDAYS, sizeof *day, stat_compare);
        for (size_t i = 1; i < BIRTHDAYS; i++)
            same += day[i] == day[i - 1];
        count[same < MOST ? same : MOST]++;
    }
    double p = exp(-2);
    for (int i = 0; i < MOST; p *= 2.0 / ++i) {
        expected[i] = years * p;
        rest -= years * p;
    }
    expected[MOST] = rest;
    return stat_chi_square(count, expected, MOST + 1);
}

static double test_birthdays_high(void)
{
    return birthdays(40);
}

static double test_birthdays_low(void)
{
    return birthdays(0);
}

/* The rank of a 32 x 32 matrix of bits. */
static int rank(uint32_t *rows)
{
    int found = 0;
    for (int bit = 0; bit < 32; bit++) {
        int pivot = found;
        while (pivot < 32 && !(rows[pivot] >> bit & 1))
            pivot++;
        if (pivot == 32)
            continue;
        uint32_t row = rows[pivot];
        rows[pivot] = rows[found];
        rows[found++] = row;
        for (int i = found; i < 32; i++)
            rows[i] ^= rows[i] >> bit & 1 ? row : 0;
    }
    return found;
}

/* Ranks 32, 31 and below come with these probabilities. */
static double ranks(int bit)
{
    static const double p[3] = {0.2887880951538411, 0.5775761901732049, 0.1336357146729540};
    double count[3] = {0}, expected[3];
    for (size_t i = 0; i + 32 <= WORDS; i += 32) {
        uint32_t rows[32];
        for (size_t k = 0; k < 32; k++)
            rows[k] = (uint32_t)(words[i + k] >> bit);
        int r = rank(rows);
        count[r == 32 ? 0 : r == 31 ? 1 : 2]++;
    }
    for (int i = 0; i < 3; i++)
        expected[i] = p[i] * (double)(WORDS / 32);
    return stat_chi_square(count, expected, 3);
}

static double test_ranks_high(void)
{
    return ranks(32);
}

static double test_ranks_low(void)
{
    return ranks(0);
}

/* The numbers of ones in consecutive words have nothing to do with each other. */
static double test_weights(void)
{
    double sum = 0;
    for (size_t i = 0; i + 1 < WORDS; i++)
        sum += (ones(words[i]) - 32) * (double)(ones(words[i + 1]) - 32) / 16;
    return stat_normal_above(sum / sqrt((double)WORDS));
}

static double unit_cdf(double x, const double *p)
{
    (void)p;
    return x;
}

static double test_uniform(void)
{
    static double x[WORDS];
    for (size_t i = 0; i < WORDS; i++)
        x[i] = (double)(words[i] >> 11) * 0x1p-53;
    return stat_ks(x, WORDS, unit_cdf, NULL);
}

/* The greatest of eight, to the eighth power, is uniform. */
static double test_greatest_of_eight(void)
{
    static double x[WORDS / 8];
    for (size_t i = 0; i < WORDS / 8; i++) {
        double greatest = 0;
        for (size_t k = 0; k < 8; k++)
            greatest = fmax(greatest, (double)(words[8 * i + k] >> 11) * 0x1p-53);
        x[i] = pow(greatest, 8);
    }
    return stat_ks(x, WORDS / 8, unit_cdf, NULL);
}

static const struct {
    const char *name;
    double (*run)(void);
} tests[] = {
    {"bits", test_bits},
    {"bits, change", test_bits_change},
    {"bits, lag 7", test_bits_lag_7},
    {"bits, lag 64", test_bits_lag_64},
    {"bits, neighbours", test_neighbour_bits},
    {"pairs, high", test_pairs_high},
    {"pairs, middle", test_pairs_middle},
    {"pairs, low", test_pairs_low},
    {"gaps, high", test_gaps_high},
    {"gaps, low", test_gaps_low},
    {"birthdays, high", test_birthdays_high},
    {"birthdays, low", test_birthdays_low},
    {"ranks, high", test_ranks_high},
    {"ranks, low", test_ranks_low},
    {"weights", test_weights},
    {"uniform", test_uniform},
    {"greatest of eight", test_greatest_of_eight},
};

#define TESTS (sizeof tests / sizeof *tests)

/* Runs the battery on words[]; returns how many tests fail, and names them unless they are to fail. */
static int battery(const char *source, bool quiet)
{
    int failed = 0;
    for (size_t i = 0; i < TESTS; i++) {
        double p = tests[i].run();
        if (stat_plausible(p))
            continue;
        failed++;
        if (!quiet)
            fprintf(stderr, "%s: %s: p = %g\n", source, tests[i].name, p);
    }
    return failed;
}

/* --- Sources ------------------------------------------------------------------------------------------------------ */

#define IN_TURN 256 /* generators */

enum relation { STREAMS, SUBSTREAMS, SEEDS, CHILDREN };

/* Takes words from neighbouring generators in turn. */
static void fill_in_turn(enum mf_rng_kind kind, enum relation relation)
{
    static struct mf_rng rng[IN_TURN];
    struct mf_rng parent;
    mf_rng_seed(&parent, kind, 7);
    for (uint64_t i = 0; i < IN_TURN; i++) {
        mf_rng_seed(&rng[i], kind, relation == SEEDS ? (int64_t)i : 7);
        if (relation == STREAMS)
            mf_rng_skip_streams(&rng[i], i);
        else if (relation == SUBSTREAMS)
            mf_rng_skip_substreams(&rng[i], i);
        else if (relation == CHILDREN)
            mf_rng_split(&parent, &rng[i]);
    }
    for (size_t i = 0; i < WORDS; i++)
        words[i] = mf_rng_bits(&rng[i % IN_TURN]);
}

static void test_one_stream(void)
{
    static const char *const names[] = {"mrg32k3a", "philox"};
    for (int kind = 0; kind < 2; kind++)
        for (int64_t seed = 0; seed < 4; seed++) {
            struct mf_rng rng;
            mf_rng_seed(&rng, (enum mf_rng_kind)kind, seed);
            for (size_t i = 0; i < WORDS; i++)
                words[i] = mf_rng_bits(&rng);
            CHECK(battery(names[kind], false) == 0);
        }
}

/* But for neighbouring seeds of MRG32k3a: R makes states of them by a linear congruential generator, and the first
 * numbers of neighbours show it. Streams are what neighbours are for. */
static void test_in_turn(void)
{
    static const char *const names[2][4] = {{"mrg32k3a streams", "mrg32k3a substreams", "", "mrg32k3a children"},
                                            {"philox streams", "philox substreams", "philox seeds", "philox children"}};
    for (int kind = 0; kind < 2; kind++)
        for (int relation = 0; relation < 4; relation++) {
            if (kind == MF_RNG_MRG32K3A && relation == SEEDS)
                continue;
            fill_in_turn((enum mf_rng_kind)kind, (enum relation)relation);
            CHECK(battery(names[kind][relation], false) == 0);
        }
}

/* The uniforms that MRG32k3a and philox give, in 32 of their bits, twice in a word. */
static void test_uniforms(void)
{
    for (int kind = 0; kind < 2; kind++) {
        struct mf_rng rng;
        mf_rng_seed(&rng, (enum mf_rng_kind)kind, 99);
        for (size_t i = 0; i < WORDS; i++) {
            uint64_t high = (uint64_t)(mf_rng_uniform(&rng) * 0x1p32);
            words[i] = high << 32 | (uint64_t)(mf_rng_uniform(&rng) * 0x1p32);
        }
        CHECK(battery("uniforms", false) == 0);
    }
}

/* The battery finds what is wrong with generators that are known for it. */
static void test_bad_generators(void)
{
    uint64_t x = 1;
    uint32_t y = 1;
    for (size_t i = 0; i < WORDS; i++) /* linear congruential: low bits have short periods */
        words[i] = x = x * 6364136223846793005u + 1442695040888963407u;
    CHECK(battery("lcg", true) >= 3);
    for (size_t i = 0; i < WORDS; i++) /* one shift register: its matrices have no rank */
        for (int k = 0; k < 2; k++) {
            y ^= y << 13;
            y ^= y >> 17;
            y ^= y << 5;
            words[i] = words[i] << 32 | y;
        }
    CHECK(battery("xorshift", true) >= 1);
    for (size_t i = 0; i < WORDS; i++) /* a counter, multiplied */
        words[i] = i * 0x9e3779b97f4a7c15u;
    CHECK(battery("weyl", true) >= 5);
    fill_in_turn(MF_RNG_PHILOX, STREAMS); /* two streams that are one */
    for (size_t i = 1; i < WORDS; i += 2)
        words[i] = words[i - 1];
    CHECK(battery("twice", true) >= 3);
}

int main(void)
{
    alarm(120);
    test_one_stream();
    test_in_turn();
    test_uniforms();
    test_bad_generators();
    return check_report();
}
