/* Design note: with AVX2 (asked for when the program runs) four lanes work on four stretches of ROW numbers that
 * follow each other; where a stretch begins is one jump of ROW steps from where the one before begins, and the last
 * lane ends where the next four stretches begin. Steps of four vectors at a time are transposed, so that each lane
 * stores into its own stretch. What is left over, and everything elsewhere, is done one by one; the numbers are the
 * same. */
#include "rng_mrg.h"

#include "simd.h"

#define M1    MF_RNG_MRG_M1
#define M2    MF_RNG_MRG_M2
#define C1    (UINT64_C(0x100000000) - M1)
#define C2    (UINT64_C(0x100000000) - M2)
#define LANES 4
#define ROW   256
#define CHUNK (LANES * ROW)
#define UPPER MF_RNG_MRG_UPPER

#if MF_SIMD_X86
#include <immintrin.h>

/* --- Stretches ---------------------------------------------------------------------------------------------------- */

/* The transition matrices to the power ROW. */
static const uint32_t row1[3][3] = {{1170096663u, 49135452u, 3441537107u},
                                    {1857945175u, 1649398389u, 49135452u},
                                    {333002869u, 3109147376u, 1649398389u}};
static const uint32_t row2[3][3] = {{1463826069u, 300842059u, 3313769518u},
                                    {1799677538u, 1463826069u, 3174861078u},
                                    {1882279394u, 1799677538u, 3509975160u}};

static struct mf_rng_mrg next_row(const struct mf_rng_mrg *rng)
{
    struct mf_rng_mrg next;
    for (int i = 0; i < 3; i++) {
        uint64_t a = 0, b = 0;
        for (int k = 0; k < 3; k++) {
            a += (uint64_t)row1[i][k] * rng->s[k] % M1;
            b += (uint64_t)row2[i][k] * rng->s[3 + k] % M2;
        }
        next.s[i] = (uint32_t)(a % M1);
        next.s[3 + i] = (uint32_t)(b % M2);
    }
    return next;
}

/* A value of the state in each lane, in the lower 32 of 64 bits. */
struct lanes {
    __m256i s[6];
};

MF_SIMD_AVX2 static struct lanes gather(const struct mf_rng_mrg *rng)
{
    struct mf_rng_mrg row[LANES];
    struct lanes l;
    row[0] = *rng;
    for (int i = 1; i < LANES; i++)
        row[i] = next_row(&row[i - 1]);
    for (int i = 0; i < 6; i++)
        l.s[i] = _mm256_setr_epi64x(row[0].s[i], row[1].s[i], row[2].s[i], row[3].s[i]);
    return l;
}

/* Where the last lane ended. */
MF_SIMD_AVX2 static void scatter(const struct lanes *l, struct mf_rng_mrg *rng)
{
    for (int i = 0; i < 6; i++)
        rng->s[i] = (uint32_t)_mm256_extract_epi64(l->s[i], LANES - 1);
}

/* --- Steps -------------------------------------------------------------------------------------------------------- */

/* x modulo m where x < 2 m. */
MF_SIMD_AVX2 static inline __m256i subtract(__m256i x, uint64_t m)
{
    __m256i too_large = _mm256_cmpgt_epi64(x, _mm256_set1_epi64x((long long)m - 1));
    return _mm256_sub_epi64(x, _mm256_and_si256(too_large, _mm256_set1_epi64x((long long)m)));
}

/* What is above 2^32 comes back in, c times. */
MF_SIMD_AVX2 static inline __m256i fold(__m256i x, uint64_t c)
{
    __m256i low = _mm256_blend_epi32(x, _mm256_setzero_si256(), 0xAA);
    return _mm256_add_epi64(low, _mm256_mul_epu32(_mm256_srli_epi64(x, 32), _mm256_set1_epi64x((long long)c)));
}

/* a x + b (m - y) */
MF_SIMD_AVX2 static inline __m256i combine(uint32_t a, __m256i x, uint32_t b, uint32_t m, __m256i y)
{
    __m256i rest = _mm256_sub_epi64(_mm256_set1_epi64x(m), y);
    return _mm256_add_epi64(_mm256_mul_epu32(x, _mm256_set1_epi64x(a)), _mm256_mul_epu32(rest, _mm256_set1_epi64x(b)));
}

/* The next number of each lane, on (0, 1). Whole numbers below 2^52 become doubles by way of their bits. */
MF_SIMD_AVX2 static inline __m256d step(struct lanes *l)
{
    const __m256i bits = _mm256_set1_epi64x(0x4330000000000000); /* 2^52 */
    __m256i a = subtract(fold(combine(1403580, l->s[1], 810728, M1, l->s[0]), C1), M1);
    __m256i b = subtract(fold(fold(combine(527612, l->s[5], 1370589, M2, l->s[3]), C2), C2), M2);
    l->s[0] = l->s[1];
    l->s[1] = l->s[2];
    l->s[2] = a;
    l->s[3] = l->s[4];
    l->s[4] = l->s[5];
    l->s[5] = b;
    __m256i less = _mm256_andnot_si256(_mm256_cmpgt_epi64(a, b), _mm256_set1_epi64x(M1));
    __m256i k = _mm256_add_epi64(_mm256_sub_epi64(a, b), less);
    __m256d x = _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(k, bits)), _mm256_castsi256_pd(bits));
    return _mm256_mul_pd(x, _mm256_set1_pd(MF_RNG_MRG_NORM));
}

MF_SIMD_AVX2 static inline __m256d step_fine(struct lanes *l)
{
    __m128i upper = _mm256_cvttpd_epi32(_mm256_mul_pd(step(l), _mm256_set1_pd(UPPER)));
    return _mm256_mul_pd(_mm256_add_pd(_mm256_cvtepi32_pd(upper), step(l)), _mm256_set1_pd(1 / UPPER));
}

/* Four numbers of each lane, one behind the other; lanes are n numbers apart. */
MF_SIMD_AVX2 static inline void store(double *out, size_t n, __m256d a, __m256d b, __m256d c, __m256d d)
{
    __m256d ab0 = _mm256_unpacklo_pd(a, b), ab1 = _mm256_unpackhi_pd(a, b);
    __m256d cd0 = _mm256_unpacklo_pd(c, d), cd1 = _mm256_unpackhi_pd(c, d);
    _mm256_storeu_pd(out, _mm256_permute2f128_pd(ab0, cd0, 0x20));
    _mm256_storeu_pd(out + n, _mm256_permute2f128_pd(ab1, cd1, 0x20));
    _mm256_storeu_pd(out + 2 * n, _mm256_permute2f128_pd(ab0, cd0, 0x31));
    _mm256_storeu_pd(out + 3 * n, _mm256_permute2f128_pd(ab1, cd1, 0x31));
}

/* CHUNK numbers. */
MF_SIMD_AVX2 static void chunk(struct mf_rng_mrg *rng, double *out)
{
    struct lanes l = gather(rng);
    for (int i = 0; i < ROW; i += 4) {
        __m256d a = step(&l), b = step(&l), c = step(&l), d = step(&l);
        store(out + i, ROW, a, b, c, d);
    }
    scatter(&l, rng);
}

/* Half as many fine ones. */
MF_SIMD_AVX2 static void chunk_fine(struct mf_rng_mrg *rng, double *out)
{
    struct lanes l = gather(rng);
    for (int i = 0; i < ROW / 2; i += 4) {
        __m256d a = step_fine(&l), b = step_fine(&l), c = step_fine(&l), d = step_fine(&l);
        store(out + i, ROW / 2, a, b, c, d);
    }
    scatter(&l, rng);
}
#else
static void chunk(struct mf_rng_mrg *rng, double *out)
{
    (void)rng, (void)out;
}

static void chunk_fine(struct mf_rng_mrg *rng, double *out)
{
    (void)rng, (void)out;
}
#endif

void mf_rng_mrg_fill(struct mf_rng_mrg *rng, double *out, size_t n)
{
    for (; n >= CHUNK && mf_simd_avx2(); n -= CHUNK, out += CHUNK)
        chunk(rng, out);
    for (size_t i = 0; i < n; i++)
        out[i] = mf_rng_mrg_uniform(rng);
}

void mf_rng_mrg_fill_fine(struct mf_rng_mrg *rng, double *out, size_t n)
{
    for (; n >= CHUNK / 2 && mf_simd_avx2(); n -= CHUNK / 2, out += CHUNK / 2)
        chunk_fine(rng, out);
    for (size_t i = 0; i < n; i++)
        out[i] = mf_rng_mrg_fine(rng);
}
