/* Design note: jumping is multiplying the state by a power of the transition matrix modulo m. The two published
 * powers (2^76 and 2^127) are constants; powers of those are squared on demand. Products of two residues fit in 64
 * bits, so nothing wider is needed. */
#include "rng_mrg.h"

#include <string.h>

#define M1 MF_RNG_MRG_M1
#define M2 MF_RNG_MRG_M2

typedef uint32_t matrix[3][3];

static const matrix step1 = {{0, 1, 0}, {0, 0, 1}, {M1 - 810728u, 1403580u, 0}};
static const matrix step2 = {{0, 1, 0}, {0, 0, 1}, {M2 - 1370589u, 0, 527612u}};
static const matrix stream1 = {{2427906178u, 3580155704u, 949770784u},
                               {226153695u, 1230515664u, 3580155704u},
                               {1988835001u, 986791581u, 1230515664u}};
static const matrix stream2 = {{1464411153u, 277697599u, 1610723613u},
                               {32183930u, 1464411153u, 1022607788u},
                               {2824425944u, 32183930u, 2093834863u}};
static const matrix substream1 = {{82758667u, 1871391091u, 4127413238u},
                                  {3672831523u, 69195019u, 1871391091u},
                                  {3672091415u, 3528743235u, 69195019u}};
static const matrix substream2 = {{1511326704u, 3759209742u, 1610795712u},
                                  {4292754251u, 1511326704u, 3889917532u},
                                  {3859662829u, 4292754251u, 3708466080u}};

/* --- Seeds -------------------------------------------------------------------------------------------------------- */

/* What R does: scramble the seed, then take six numbers of a linear congruential generator below the moduli. */
void mf_rng_mrg_seed(struct mf_rng_mrg *rng, int64_t seed)
{
    uint32_t x = (uint32_t)seed;
    if (seed < INT32_MIN || seed > UINT32_MAX)
        x ^= (uint32_t)((uint64_t)seed >> 32) * 2654435761u;
    for (int i = 0; i < 50; i++)
        x = 69069u * x + 1u;
    for (int i = 0; i < 6; i++) {
        do {
            x = 69069u * x + 1u;
        } while (x >= M2);
        rng->s[i] = x;
    }
}

void mf_rng_mrg_set(struct mf_rng_mrg *rng, const uint64_t words[6])
{
    uint32_t *s = rng->s;
    for (int i = 0; i < 6; i++)
        s[i] = (uint32_t)(words[i] % (i < 3 ? M1 : M2));
    if (!(s[0] | s[1] | s[2]))
        s[0] = 1;
    if (!(s[3] | s[4] | s[5]))
        s[3] = 1;
}

/* --- Jumps -------------------------------------------------------------------------------------------------------- */

/* v = a v modulo m */
static void apply(const matrix a, uint32_t *v, uint64_t m)
{
    uint32_t r[3];
    for (int i = 0; i < 3; i++) {
        uint64_t sum = 0;
        for (int k = 0; k < 3; k++)
            sum = (sum + (uint64_t)a[i][k] * v[k] % m) % m;
        r[i] = (uint32_t)sum;
    }
    memcpy(v, r, sizeof r);
}

/* a = a a modulo m */
static void square(matrix a, uint64_t m)
{
    matrix r;
    for (int j = 0; j < 3; j++) {
        uint32_t column[3] = {a[0][j], a[1][j], a[2][j]};
        apply((const uint32_t(*)[3])a, column, m);
        for (int i = 0; i < 3; i++)
            r[i][j] = column[i];
    }
    memcpy(a, r, sizeof r);
}

/* The state times the n-th powers of the two matrices. */
static void jump(struct mf_rng_mrg *rng, const matrix power1, const matrix power2, uint64_t n)
{
    matrix a, b;
    memcpy(a, power1, sizeof a);
    memcpy(b, power2, sizeof b);
    while (n) {
        if (n & 1) {
            apply((const uint32_t(*)[3])a, rng->s, M1);
            apply((const uint32_t(*)[3])b, rng->s + 3, M2);
        }
        n >>= 1;
        if (n) {
            square(a, M1);
            square(b, M2);
        }
    }
}

void mf_rng_mrg_skip(struct mf_rng_mrg *rng, uint64_t n)
{
    jump(rng, step1, step2, n);
}

void mf_rng_mrg_skip_substreams(struct mf_rng_mrg *rng, uint64_t n)
{
    jump(rng, substream1, substream2, n);
}

void mf_rng_mrg_skip_streams(struct mf_rng_mrg *rng, uint64_t n)
{
    jump(rng, stream1, stream2, n);
}
