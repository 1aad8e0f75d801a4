/* Design note: what differs between the kinds is decided here and in the files of the two generators; the algorithms of
 * the other distributions see uniforms, normals and exponentials only. */
#include "rng.h"

#include <string.h>

/* --- Generators and their streams -------------------------------------------------------------------------------- */

void mf_rng_seed(struct mf_rng *rng, enum mf_rng_kind kind, int64_t seed)
{
    memset(rng, 0, sizeof *rng);
    rng->kind = kind;
    if (kind == MF_RNG_MRG32K3A)
        mf_rng_mrg_seed(&rng->mrg, seed);
    else
        mf_rng_philox_seed(&rng->philox, (uint64_t)seed);
}

void mf_rng_skip_streams(struct mf_rng *rng, uint64_t n)
{
    struct mf_rng_philox *p = &rng->philox;
    if (rng->kind == MF_RNG_MRG32K3A)
        mf_rng_mrg_skip_streams(&rng->mrg, n);
    else
        mf_rng_philox_set(p, p->key + n, p->substream, p->position);
}

void mf_rng_skip_substreams(struct mf_rng *rng, uint64_t n)
{
    struct mf_rng_philox *p = &rng->philox;
    if (rng->kind == MF_RNG_MRG32K3A)
        mf_rng_mrg_skip_substreams(&rng->mrg, n);
    else
        mf_rng_philox_set(p, p->key, p->substream + (uint32_t)n, p->position);
}

void mf_rng_skip(struct mf_rng *rng, uint64_t n)
{
    struct mf_rng_philox *p = &rng->philox;
    if (rng->kind == MF_RNG_MRG32K3A)
        mf_rng_mrg_skip(&rng->mrg, n);
    else
        mf_rng_philox_set(p, p->key, p->substream, p->position + n);
}

/* The finaliser of splitmix64. */
static uint64_t scramble(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void mf_rng_split(struct mf_rng *rng, struct mf_rng *child)
{
    uint64_t a = mf_rng_bits(rng), b = mf_rng_bits(rng), words[6];
    for (uint64_t i = 0; i < 6; i++)
        words[i] = scramble(a + i * 0x9e3779b97f4a7c15u) ^ scramble(~b + i * 0xd1342543de82ef95u);
    mf_rng_seed(child, rng->kind, 0);
    if (rng->kind == MF_RNG_MRG32K3A)
        mf_rng_mrg_set(&child->mrg, words);
    else
        mf_rng_philox_set(&child->philox, words[0], 0, 0);
}

/* --- Single numbers ----------------------------------------------------------------------------------------------- */

double mf_rng_uniform(struct mf_rng *rng)
{
    if (rng->kind == MF_RNG_MRG32K3A)
        return mf_rng_mrg_uniform(&rng->mrg);
    return mf_rng_philox_unit(mf_rng_philox_next(&rng->philox));
}

/* The low bits of a number of MRG32k3a are as good as the high ones, but it has M1 values, a few less than 2^32: three
 * numbers spread the gap over the word. */
uint64_t mf_rng_bits(struct mf_rng *rng)
{
    if (rng->kind != MF_RNG_MRG32K3A)
        return mf_rng_philox_next(&rng->philox);
    uint64_t high = mf_rng_mrg_next(&rng->mrg);
    uint64_t middle = mf_rng_mrg_next(&rng->mrg);
    uint64_t low = mf_rng_mrg_next(&rng->mrg);
    return (high << 40) ^ (middle << 20) ^ low;
}
