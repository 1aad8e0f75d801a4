/* Design note: algorithm SA of J. H. Ahrens and U. Dieter, "Computer methods for sampling from the exponential and
 * normal distributions", Communications of the ACM 15 (1972): the number of leading zero bits of a uniform u gives
 * the whole multiples of ln 2, and what follows them decides of how many more uniforms the least is taken. */
#include "rng.h"
#include "rng_ziggurat.h"

/* sum[k]: (ln 2)^1 / 1! + ... + (ln 2)^(k + 1) / (k + 1)! */
static const double sum[] = {
    0.69314718055994530942, 0.93337368751904602175, 0.98887779618386760170, 0.99849592529149607887,
    0.99982928110613892321, 0.99998331641007273931, 0.99999856914387679915, 0.99999989069255581358,
    0.99999999247341590598, 0.99999999952832752678, 0.99999999997288135396, 0.99999999999855978990,
    0.99999999999992893884, 0.99999999999999672611, 0.99999999999999985854, 1};

static double mrg_exponential(struct mf_rng_mrg *rng)
{
    double whole = 0, u = 2 * mf_rng_mrg_uniform(rng);
    for (; u <= 1; u += u)
        whole += sum[0];
    u -= 1;
    if (u <= sum[0])
        return whole + u;
    double least = mf_rng_mrg_uniform(rng);
    for (int k = 1;; k++) {
        double next = mf_rng_mrg_uniform(rng);
        if (next < least)
            least = next;
        if (u <= sum[k])
            return whole + least * sum[0];
    }
}

double mf_rng_exponential(struct mf_rng *rng)
{
    double x;
    if (rng->kind == MF_RNG_MRG32K3A)
        return mrg_exponential(&rng->mrg);
    mf_rng_ziggurat_exponential(&rng->philox, &x, 1);
    return x;
}

void mf_rng_fill_exponential(struct mf_rng *rng, double rate, double *out, size_t n)
{
    double scale = 1 / rate;
    if (rng->kind == MF_RNG_MRG32K3A)
        for (size_t i = 0; i < n; i++)
            out[i] = scale * mrg_exponential(&rng->mrg);
    else {
        mf_rng_ziggurat_exponential(&rng->philox, out, n);
        for (size_t i = 0; scale != 1 && i < n; i++)
            out[i] *= scale;
    }
}
