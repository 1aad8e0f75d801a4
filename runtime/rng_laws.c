/* Design note: a table of the distributions, for those who find them by name and must say what is wrong with a
 * parameter. */
#include <math.h>

#include "rng.h"

#define WHOLE_MAX 0x1p52
#define SIZE_LAST 2147483646.0

static enum mf_err must(struct mf_fault *fault, const char *what, const char *be, double got)
{
    return mf_fault_set(fault, MF_EINVAL, "the %s must be %s, not %.14g", what, be, got);
}

static enum mf_err positive(struct mf_fault *fault, const char *what, double x)
{
    return x > 0 && isfinite(x) ? MF_OK : must(fault, what, "positive and finite", x);
}

static enum mf_err check_uniform(const double *p, struct mf_fault *fault)
{
    if (!isfinite(p[0]))
        return must(fault, "lower end", "finite", p[0]);
    if (!(p[0] <= p[1]) || !isfinite(p[1] - p[0]))
        return mf_fault_set(fault, MF_EINVAL,
                            "the upper end must be finite and at least the lower one, %.14g, not %.14g", p[0], p[1]);
    return MF_OK;
}

static enum mf_err check_normal(const double *p, struct mf_fault *fault)
{
    if (!isfinite(p[0]))
        return must(fault, "mean", "finite", p[0]);
    return p[1] >= 0 && isfinite(p[1]) ? MF_OK : must(fault, "sd", "finite and not negative", p[1]);
}

static enum mf_err check_exponential(const double *p, struct mf_fault *fault)
{
    return positive(fault, "rate", p[0]);
}

static enum mf_err check_gamma(const double *p, struct mf_fault *fault)
{
    enum mf_err err = positive(fault, "shape", p[0]);
    return err ? err : positive(fault, "scale", p[1]);
}

static enum mf_err check_beta(const double *p, struct mf_fault *fault)
{
    enum mf_err err = positive(fault, "first shape", p[0]);
    return err ? err : positive(fault, "second shape", p[1]);
}

static enum mf_err check_binomial(const double *p, struct mf_fault *fault)
{
    if (!(p[0] >= 0 && p[0] <= SIZE_LAST && floor(p[0]) == p[0]))
        return must(fault, "size", "a whole number from 0 to 2147483646", p[0]);
    return p[1] >= 0 && p[1] <= 1 ? MF_OK : must(fault, "probability", "from 0 to 1", p[1]);
}

static enum mf_err check_poisson(const double *p, struct mf_fault *fault)
{
    return p[0] >= 0 && p[0] <= WHOLE_MAX ? MF_OK : must(fault, "mean", "from 0 to 2^52", p[0]);
}

static void fill_uniform(struct mf_rng *rng, const double *p, double *out, size_t n)
{
    mf_rng_fill_uniform(rng, p[0], p[1], out, n);
}

static void fill_normal(struct mf_rng *rng, const double *p, double *out, size_t n)
{
    mf_rng_fill_normal(rng, p[0], p[1], out, n);
}

static void fill_exponential(struct mf_rng *rng, const double *p, double *out, size_t n)
{
    mf_rng_fill_exponential(rng, p[0], out, n);
}

static void fill_gamma(struct mf_rng *rng, const double *p, double *out, size_t n)
{
    mf_rng_fill_gamma(rng, p[0], p[1], out, n);
}

static void fill_beta(struct mf_rng *rng, const double *p, double *out, size_t n)
{
    mf_rng_fill_beta(rng, p[0], p[1], out, n);
}

static void fill_binomial(struct mf_rng *rng, const double *p, double *out, size_t n)
{
    mf_rng_fill_binomial(rng, p[0], p[1], out, n);
}

static void fill_poisson(struct mf_rng *rng, const double *p, double *out, size_t n)
{
    mf_rng_fill_poisson(rng, p[0], out, n);
}

const struct mf_rng_law mf_rng_laws[] = {
    {"uniform", {"low", "high"}, {0, 1}, false, check_uniform, fill_uniform},
    {"normal", {"mean", "sd"}, {0, 1}, false, check_normal, fill_normal},
    {"exponential", {"rate", NULL}, {1, 0}, false, check_exponential, fill_exponential},
    {"gamma", {"shape", "scale"}, {NAN, 1}, false, check_gamma, fill_gamma},
    {"beta", {"first shape", "second shape"}, {NAN, NAN}, false, check_beta, fill_beta},
    {"binomial", {"size", "probability"}, {NAN, NAN}, true, check_binomial, fill_binomial},
    {"poisson", {"mean", NULL}, {NAN, 0}, true, check_poisson, fill_poisson},
    {NULL, {NULL, NULL}, {0, 0}, false, NULL, NULL},
};
