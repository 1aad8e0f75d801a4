/* Philox against the known answers of the authors' library Random123, and its fast ways against the slow one. */
#include "check.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/rng_philox.h"

#define GROUP MF_RNG_PHILOX_GROUP

/* kat_vectors of Random123, lines "philox4x32 10" */
static void test_known_answers(void)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t out[4];
        mf_rng_philox_block(known[i].counter, known[i].key, out);
        CHECK(memcmp(out, known[i].out, sizeof out) == 0);
    }
}

/* Word `position` of a stream, by the definition in the header. */
static uint64_t word(uint64_t key, uint32_t substream, uint64_t position)
{
    const uint32_t counter[4] = {(uint32_t)(position / 2), (uint32_t)(position / 2 >> 32), substream, 0};
    const uint32_t keys[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    uint32_t out[4];
    mf_rng_philox_block(counter, keys, out);
    return position % 2 ? out[2] | (uint64_t)out[3] << 32 : out[0] | (uint64_t)out[1] << 32;
}

static const struct {
    uint64_t key, position;
    uint32_t substream;
} places[] = {
    {0, 0, 0},
    {0x0123456789abcdef, 0, 0xffffffff},
    {UINT64_MAX, 13, 7},
    {1, ((uint64_t)1 << 33) - 40, 1}, /* the block's number passes 2^32 */
    {5, UINT64_MAX - 20, 0},          /* the position passes its end */
};

#define PLACES (sizeof places / sizeof *places)

static void test_words_one_by_one(void)
{
    for (size_t i = 0; i < PLACES; i++) {
        struct mf_rng_philox rng;
        bool equal = true;
        mf_rng_philox_set(&rng, places[i].key, places[i].substream, places[i].position);
        for (uint64_t k = 0; k < 5 * GROUP; k++)
            equal =
                equal && mf_rng_philox_next(&rng) == word(places[i].key, places[i].substream, places[i].position + k);
        CHECK(equal && rng.position == places[i].position + 5 * GROUP);
    }
}

static bool filled_right(uint64_t key, uint32_t substream, uint64_t at, size_t n)
{
    struct mf_rng_philox rng;
    uint64_t out[3 * GROUP + 1];
    out[n] = 99;
    mf_rng_philox_set(&rng, key, substream, at);
    mf_rng_philox_fill_words(&rng, out, n);
    for (size_t k = 0; k < n; k++)
        if (out[k] != word(key, substream, at + k))
            return false;
    return out[n] == 99 && mf_rng_philox_next(&rng) == word(key, substream, at + n);
}

/* Every length from every place within a group. */
static void test_words_filled(void)
{
    bool right = true;
    for (size_t i = 0; i < PLACES; i++)
        for (uint64_t start = 0; start < GROUP; start++)
            for (size_t n = 0; n < 3 * GROUP; n++)
                right = right && filled_right(places[i].key, places[i].substream, places[i].position + start, n);
    CHECK(right);
}

static void test_side_streams(void)
{
    enum { WORDS = 10 };
    struct mf_rng_philox rng, other;
    uint64_t seen[3 * WORDS];
    mf_rng_philox_set(&rng, 3, 4, 0);
    other = rng;
    mf_rng_philox_next(&other); /* a side stream belongs to its word, wherever the generator is */
    struct mf_rng_philox_side a = {.rng = &rng, .position = 5}, b = {.rng = &rng, .position = 6},
                              c = {.rng = &other, .position = 5};
    bool same = true, different = true;
    for (int i = 0; i < WORDS; i++) {
        seen[i] = mf_rng_philox_side_next(&a);
        seen[WORDS + i] = mf_rng_philox_side_next(&b);
        seen[2 * WORDS + i] = word(3, 4, (uint64_t)i);
        same = same && mf_rng_philox_side_next(&c) == seen[i];
    }
    for (int i = 0; i < 3 * WORDS; i++)
        for (int k = 0; k < i; k++)
            different = different && seen[i] != seen[k];
    CHECK(same && different);
}

static void test_units(void)
{
    struct mf_rng_philox rng, one;
    double out[1000];
    bool good = true;
    CHECK(mf_rng_philox_unit(0) == 0x1p-53 && mf_rng_philox_unit(UINT64_MAX) == 1 - 0x1p-53);
    mf_rng_philox_seed(&rng, 1);
    one = rng;
    mf_rng_philox_fill(&rng, out, 1000);
    for (int i = 0; i < 1000; i++)
        good = good && out[i] == mf_rng_philox_unit(mf_rng_philox_next(&one)) && out[i] > 0 && out[i] < 1;
    CHECK(good);
}

static void test_seeds(void)
{
    struct mf_rng_philox a, b;
    mf_rng_philox_seed(&a, 0);
    mf_rng_philox_seed(&b, 1);
    CHECK(a.key != b.key && a.key != 0 && a.position == 0 && a.substream == 0);
    uint64_t differ = a.key ^ b.key;
    int bits = 0;
    for (; differ; differ &= differ - 1)
        bits++;
    CHECK(bits > 16 && bits < 48);
}

int main(void)
{
    alarm(60);
    test_known_answers();
    test_words_one_by_one();
    test_words_filled();
    test_side_streams();
    test_units();
    test_seeds();
    return check_report();
}
