/* Design note: without bias, by rejection. MRG32k3a draws as R's sample.kind = "Rejection" does: as many bits as n
 * - 1 has, in pieces of 16 from one uniform each (one piece more than needed where the bits fill the pieces), until
 * the number is below n. Philox multiplies: D. Lemire, "Fast random integer generation in an interval", ACM
 * Transactions on Modeling and Computer Simulation 29 (2019). */
#include "rng.h"

#define PIECE 16 /* bits that R takes from one uniform */

/* Bits that n - 1 has. */
static int bits_below(uint64_t n)
{
    int bits = 0;
    for (n--; n; n >>= 1)
        bits++;
    return bits;
}

static uint64_t mask(int bits)
{
    return bits < 64 ? (UINT64_C(1) << bits) - 1 : UINT64_MAX;
}

static uint64_t mrg_below(struct mf_rng_mrg *rng, uint64_t n, int bits)
{
    uint64_t v;
    do {
        v = 0;
        for (int have = 0; have <= bits; have += PIECE)
            v = (v << PIECE) + (uint64_t)(mf_rng_mrg_uniform(rng) * (1 << PIECE));
        v &= mask(bits);
    } while (v >= n);
    return v;
}

static uint64_t philox_below_32(struct mf_rng_philox *rng, uint32_t n)
{
    uint64_t product = (mf_rng_philox_next(rng) >> 32) * n;
    if ((uint32_t)product < n) {
        uint32_t excess = (uint32_t)-n % n;
        while ((uint32_t)product < excess)
            product = (mf_rng_philox_next(rng) >> 32) * n;
    }
    return product >> 32;
}

static uint64_t philox_below(struct mf_rng_philox *rng, uint64_t n, int bits)
{
    uint64_t v;
    if (n <= UINT32_MAX)
        return philox_below_32(rng, (uint32_t)n);
    do {
        v = mf_rng_philox_next(rng) & mask(bits);
    } while (v >= n);
    return v;
}

uint64_t mf_rng_below(struct mf_rng *rng, uint64_t n)
{
    int bits = bits_below(n);
    return rng->kind == MF_RNG_MRG32K3A ? mrg_below(&rng->mrg, n, bits) : philox_below(&rng->philox, n, bits);
}

void mf_rng_fill_integers(struct mf_rng *rng, int64_t low, int64_t high, int64_t *out, size_t n)
{
    uint64_t range = (uint64_t)high - (uint64_t)low + 1; /* 0: all there are */
    int bits = bits_below(range);
    for (size_t i = 0; i < n; i++) {
        uint64_t v = range == 0                     ? mf_rng_bits(rng)
                     : rng->kind == MF_RNG_MRG32K3A ? mrg_below(&rng->mrg, range, bits)
                                                    : philox_below(&rng->philox, range, bits);
        out[i] = (int64_t)((uint64_t)low + v);
    }
}
