/* Design note: words are computed in groups of eight blocks. With AVX2 (asked for when the program runs) a group is two
 * sets of four blocks; a lane of 64 bits carries one word of 32, so that the product of a round is where the next round
 * needs it: its upper half is shifted down, its lower half is used as it lies, and what is left in the upper halves of
 * lanes is never looked at. Packing two values a lane was tried: the shuffles cost more than the lanes save.
 *
 * Invariant: group[] holds the words around position, unless position is at the start of a group. */
#include "rng_philox.h"

#include "simd.h"

#define GROUP  MF_RNG_PHILOX_GROUP
#define GROUPS (UINT64_MAX / GROUP + 1) /* after the last one comes the first again */

#define M0     0xD2511F53u /* the multipliers and the increments of the key, from the paper */
#define M1     0xCD9E8D57u
#define W0     0x9E3779B9u
#define W1     0xBB67AE85u

#define ROUNDS 10

void mf_rng_philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t a = counter[0], b = counter[1], c = counter[2], d = counter[3], k0 = key[0], k1 = key[1];
    for (int i = 0; i < ROUNDS; i++, k0 += W0, k1 += W1) {
        uint64_t p = (uint64_t)M0 * a, q = (uint64_t)M1 * c;
        a = (uint32_t)(q >> 32) ^ b ^ k0;
        b = (uint32_t)q;
        c = (uint32_t)(p >> 32) ^ d ^ k1;
        d = (uint32_t)p;
    }
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
}

/* Two words of the counter { number, substream, side }. */
static void two_words(uint64_t key, uint64_t number, uint32_t substream, uint32_t side, uint64_t out[2])
{
    const uint32_t counter[4] = {(uint32_t)number, (uint32_t)(number >> 32), substream, side};
    const uint32_t keys[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    uint32_t w[4];
    mf_rng_philox_block(counter, keys, w);
    out[0] = w[0] | (uint64_t)w[1] << 32;
    out[1] = w[2] | (uint64_t)w[3] << 32;
}

uint64_t mf_rng_philox_side_next(struct mf_rng_philox_side *side)
{
    if (side->left == 0) {
        two_words(side->rng->key, side->position, side->rng->substream, ++side->blocks, side->words);
        side->left = 2;
    }
    return side->words[--side->left];
}

/* --- Groups of words ---------------------------------------------------------------------------------------------- */

#if MF_SIMD_X86
#include <immintrin.h>

struct four {
    __m256i a, b, c, d;
};

MF_SIMD_AVX2 static inline struct four one_round(struct four x, __m256i k0, __m256i k1)
{
    __m256i p = _mm256_mul_epu32(x.a, _mm256_set1_epi64x(M0)), q = _mm256_mul_epu32(x.c, _mm256_set1_epi64x(M1));
    return (struct four){_mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(q, 32), x.b), k0), q,
                         _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p, 32), x.d), k1), p};
}

/* Blocks number, +2, +1, +3 in the lanes: unpacking then leaves their words in order. */
MF_SIMD_AVX2 static inline struct four start_set(uint64_t number, uint32_t substream)
{
    __m256i n = _mm256_add_epi64(_mm256_set1_epi64x((long long)number), _mm256_setr_epi64x(0, 2, 1, 3));
    return (struct four){n, _mm256_srli_epi64(n, 32), _mm256_set1_epi64x(substream), _mm256_setzero_si256()};
}

MF_SIMD_AVX2 static inline void store_set(struct four x, uint64_t *out)
{
    __m256i even = _mm256_blend_epi32(x.a, _mm256_slli_epi64(x.b, 32), 0xAA);
    __m256i odd = _mm256_blend_epi32(x.c, _mm256_slli_epi64(x.d, 32), 0xAA);
    _mm256_storeu_si256((__m256i *)(void *)out, _mm256_unpacklo_epi64(even, odd));
    _mm256_storeu_si256((__m256i *)(void *)(out + 4), _mm256_unpackhi_epi64(even, odd));
}

MF_SIMD_AVX2 static void groups_avx2(const struct mf_rng_philox *rng, uint64_t first, uint64_t *out, size_t count)
{
    for (; count > 0; count--, first++, out += GROUP) {
        uint64_t block = first % GROUPS * (GROUP / 2);
        struct four x = start_set(block, rng->substream), y = start_set(block + 4, rng->substream);
        uint32_t k0 = (uint32_t)rng->key, k1 = (uint32_t)(rng->key >> 32);
        for (int i = 0; i < ROUNDS; i++, k0 += W0, k1 += W1) {
            __m256i key0 = _mm256_set1_epi64x(k0), key1 = _mm256_set1_epi64x(k1);
            x = one_round(x, key0, key1);
            y = one_round(y, key0, key1);
        }
        store_set(x, out);
        store_set(y, out + GROUP / 2);
    }
}

#else
static void groups_avx2(const struct mf_rng_philox *rng, uint64_t first, uint64_t *out, size_t count)
{
    (void)rng, (void)first, (void)out, (void)count;
}
#endif

static void groups_portable(const struct mf_rng_philox *rng, uint64_t first, uint64_t *out, size_t count)
{
    for (; count > 0; count--, first++, out += GROUP)
        for (uint64_t i = 0; i < GROUP / 2; i++)
            two_words(rng->key, first % GROUPS * (GROUP / 2) + i, rng->substream, 0, out + 2 * i);
}

/* The words of `count` groups from number first on. */
static void groups(const struct mf_rng_philox *rng, uint64_t first, uint64_t *out, size_t count)
{
    if (mf_simd_avx2())
        groups_avx2(rng, first, out, count);
    else
        groups_portable(rng, first, out, count);
}

/* --- A stream ----------------------------------------------------------------------------------------------------- */

/* The finaliser of splitmix64: neighbouring seeds get keys that have nothing in common. */
void mf_rng_philox_seed(struct mf_rng_philox *rng, uint64_t seed)
{
    uint64_t x = seed + 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    mf_rng_philox_set(rng, x ^ (x >> 31), 0, 0);
}

void mf_rng_philox_set(struct mf_rng_philox *rng, uint64_t key, uint32_t substream, uint64_t position)
{
    rng->key = key;
    rng->substream = substream;
    rng->position = position;
    if (position % GROUP != 0)
        groups(rng, position / GROUP, rng->group, 1);
}

uint64_t mf_rng_philox_next(struct mf_rng_philox *rng)
{
    size_t i = rng->position % GROUP;
    if (i == 0)
        groups(rng, rng->position / GROUP, rng->group, 1);
    rng->position++;
    return rng->group[i];
}

void mf_rng_philox_fill_words(struct mf_rng_philox *rng, uint64_t *out, size_t n)
{
    for (; n > 0 && rng->position % GROUP != 0; n--)
        *out++ = mf_rng_philox_next(rng);
    groups(rng, rng->position / GROUP, out, n / GROUP);
    out += n / GROUP * GROUP;
    rng->position += n / GROUP * GROUP;
    for (n %= GROUP; n > 0; n--)
        *out++ = mf_rng_philox_next(rng);
}

void mf_rng_philox_fill(struct mf_rng_philox *rng, double *out, size_t n)
{
    uint64_t words[32 * GROUP];
    while (n > 0) {
        size_t k = n < 32 * GROUP ? n : 32 * GROUP;
        mf_rng_philox_fill_words(rng, words, k);
        for (size_t i = 0; i < k; i++)
            out[i] = mf_rng_philox_unit(words[i]);
        out += k;
        n -= k;
    }
}
