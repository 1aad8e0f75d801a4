/* Distributions of both kinds of generators against their distribution functions, and numbers filled against
 * numbers drawn one by one. (That MRG32k3a's are R's, to the last bit, is for tests/rng_oracle_spec.lua.) */
#include "check.h"
#include "stat.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/rng.h"
#include "../../runtime/rng_ziggurat.h"

#define DRAWS ((size_t)200000)
#define KINDS 2

static double x[DRAWS];

static const struct mf_rng_law *law(const char *name)
{
    for (const struct mf_rng_law *l = mf_rng_laws; l->name; l++)
        if (strcmp(l->name, name) == 0)
            return l;
    fprintf(stderr, "no law %s\n", name);
    abort();
}

/* --- Distribution functions --------------------------------------------------------------------------------------- */

static double uniform_cdf(double v, const double *p)
{
    return (v - p[0]) / (p[1] - p[0]);
}

static double normal_cdf(double v, const double *p)
{
    return 1 - stat_normal_above((v - p[0]) / p[1]);
}

static double exponential_cdf(double v, const double *p)
{
    return -expm1(-p[0] * v);
}

/* The shape is whole, or 1/2. */
static double gamma_cdf(double v, const double *p)
{
    double term = exp(-v / p[1]), sum = 0;
    if (p[0] == 0.5)
        return erf(sqrt(v / p[1]));
    for (int i = 0; i < (int)p[0]; term *= v / p[1] / ++i)
        sum += term;
    return 1 - sum;
}

/* Both shapes are whole, or both 1/2. */
static double beta_cdf(double v, const double *p)
{
    double n = p[0] + p[1] - 1, sum = 0;
    if (p[0] == 0.5)
        return asin(sqrt(v)) / asin(1);
    for (double j = p[0]; j <= n; j++)
        sum += exp(lgamma(n + 1) - lgamma(j + 1) - lgamma(n - j + 1)) * pow(v, j) * pow(1 - v, n - j);
    return sum;
}

static double binomial_pmf(double k, const double *p)
{
    if (k > p[0])
        return 0;
    return exp(lgamma(p[0] + 1) - lgamma(k + 1) - lgamma(p[0] - k + 1) + k * log(p[1]) + (p[0] - k) * log1p(-p[1]));
}

static double poisson_pmf(double k, const double *p)
{
    return exp(k * log(p[0]) - p[0] - lgamma(k + 1));
}

/* --- Fits --------------------------------------------------------------------------------------------------------- */

struct fit {
    const char *law;
    double p[2];
    double (*cdf)(double x, const double *p);
    double (*pmf)(double k, const double *p);
};

static const struct fit fits[] = {
    {"uniform", {0, 1}, uniform_cdf, NULL},
    {"uniform", {-5, 3}, uniform_cdf, NULL},
    {"normal", {0, 1}, normal_cdf, NULL},
    {"normal", {100, 7}, normal_cdf, NULL},
    {"exponential", {1, 0}, exponential_cdf, NULL},
    {"exponential", {0.25, 0}, exponential_cdf, NULL},
    {"gamma", {0.5, 2}, gamma_cdf, NULL},
    {"gamma", {1, 1}, gamma_cdf, NULL},
    {"gamma", {3, 0.5}, gamma_cdf, NULL},
    {"gamma", {9, 1}, gamma_cdf, NULL},
    {"gamma", {40, 1}, gamma_cdf, NULL},
    {"beta", {0.5, 0.5}, beta_cdf, NULL},
    {"beta", {1, 4}, beta_cdf, NULL},
    {"beta", {4, 1}, beta_cdf, NULL},
    {"beta", {2, 3}, beta_cdf, NULL},
    {"beta", {30, 5}, beta_cdf, NULL},
    {"binomial", {1, 0.3}, NULL, binomial_pmf},
    {"binomial", {20, 0.4}, NULL, binomial_pmf},
    {"binomial", {300, 0.2}, NULL, binomial_pmf},
    {"binomial", {300, 0.8}, NULL, binomial_pmf},
    {"binomial", {5000, 0.5}, NULL, binomial_pmf},
    {"poisson", {0.2, 0}, NULL, poisson_pmf},
    {"poisson", {7, 0}, NULL, poisson_pmf},
    {"poisson", {10, 0}, NULL, poisson_pmf},
    {"poisson", {50, 0}, NULL, poisson_pmf},
    {"poisson", {3000, 0}, NULL, poisson_pmf},
};

static double fit_pmf(const struct fit *f)
{
    enum { CELLS = 6000 };
    static double count[CELLS], expected[CELLS];
    memset(count, 0, sizeof count);
    for (size_t i = 0; i < DRAWS; i++)
        count[(size_t)x[i]]++;
    for (int k = 0; k < CELLS; k++)
        expected[k] = (double)DRAWS * f->pmf(k, f->p);
    if (strcmp(f->law, "binomial") == 0 && f->p[0] == 1)
        return stat_chi_square(count, expected, 2);
    return stat_chi_square(count, expected, CELLS);
}

static void test_fits(void)
{
    for (size_t i = 0; i < sizeof fits / sizeof *fits; i++)
        for (int kind = 0; kind < KINDS; kind++) {
            struct mf_rng rng;
            mf_rng_seed(&rng, (enum mf_rng_kind)kind, (int64_t)i + 1);
            law(fits[i].law)->fill(&rng, fits[i].p, x, DRAWS);
            double p = fits[i].cdf ? stat_ks(x, DRAWS, fits[i].cdf, fits[i].p) : fit_pmf(&fits[i]);
            if (!CHECK(stat_plausible(p)))
                fprintf(stderr, "%s(%g, %g) of kind %d: p = %g\n", fits[i].law, fits[i].p[0], fits[i].p[1], kind, p);
        }
}

/* The fits fail for numbers that are nearly right. */
static void test_fits_can_fail(void)
{
    const double p[2] = {0, 1};
    struct mf_rng rng;
    mf_rng_seed(&rng, MF_RNG_PHILOX, 1);
    mf_rng_fill_normal(&rng, 0, 1.02, x, DRAWS);
    CHECK(!stat_plausible(stat_ks(x, DRAWS, normal_cdf, p)));
    mf_rng_fill_poisson(&rng, 7.05, x, DRAWS);
    CHECK(!stat_plausible(fit_pmf(&(struct fit){"poisson", {7, 0}, NULL, poisson_pmf})));
}

/* --- One by one --------------------------------------------------------------------------------------------------- */

static void test_filled_or_not(void)
{
    enum { N = 3000 };
    static double filled[N], drawn[N];
    for (size_t i = 0; i < sizeof fits / sizeof *fits; i++)
        for (int kind = 0; kind < KINDS; kind++) {
            struct mf_rng a, b;
            mf_rng_seed(&a, (enum mf_rng_kind)kind, 5);
            mf_rng_uniform(&a); /* so that philox does not stand at the start of a group */
            b = a;
            law(fits[i].law)->fill(&a, fits[i].p, filled, N);
            for (size_t k = 0; k < N; k++)
                law(fits[i].law)->fill(&b, fits[i].p, &drawn[k], 1);
            CHECK(memcmp(filled, drawn, sizeof filled) == 0 && mf_rng_bits(&a) == mf_rng_bits(&b));
        }
}

static void test_single(void)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct mf_rng a, b;
        double v;
        mf_rng_seed(&a, (enum mf_rng_kind)kind, 6);
        b = a;
        mf_rng_fill_normal(&a, 0, 1, &v, 1);
        CHECK(v == mf_rng_normal(&b));
        mf_rng_fill_exponential(&a, 1, &v, 1);
        CHECK(v == mf_rng_exponential(&b));
        mf_rng_fill_uniform(&a, 0, 1, &v, 1);
        CHECK(v == mf_rng_uniform(&b));
    }
}

/* Numbers that cannot vary are not drawn. */
static void test_constants(void)
{
    struct mf_rng rng, before;
    double out[3];
    mf_rng_seed(&rng, MF_RNG_MRG32K3A, 1);
    before = rng;
    mf_rng_fill_uniform(&rng, 4, 4, out, 3);
    CHECK(out[0] == 4 && out[2] == 4);
    mf_rng_fill_normal(&rng, 5, 0, out, 3);
    CHECK(out[0] == 5 && out[2] == 5);
    mf_rng_fill_binomial(&rng, 9, 0, out, 3);
    CHECK(out[0] == 0 && out[2] == 0);
    mf_rng_fill_binomial(&rng, 9, 1, out, 3);
    CHECK(out[0] == 9 && out[2] == 9);
    mf_rng_fill_poisson(&rng, 0, out, 3);
    CHECK(out[0] == 0 && out[2] == 0);
    CHECK(mf_rng_bits(&rng) == mf_rng_bits(&before));
}

/* --- The ziggurat ------------------------------------------------------------------------------------------------- */

static double normal_density(double v)
{
    return exp(-v * v / 2);
}

static double exponential_density(double v)
{
    return exp(-v);
}

/* All layers have the area of the first, and reach up to the top. */
static void check_layers(const double *edge, double (*density)(double), double tail)
{
    double r = edge[1], area = r * density(r) + tail, y = density(r);
    CHECK(fabs(edge[0] * density(r) - area) < 1e-15);
    for (int i = 1; i < MF_RNG_ZIGGURAT_LAYERS; i++) {
        CHECK(edge[i + 1] < edge[i] && fabs((density(edge[i + 1]) - density(edge[i])) * edge[i] - area) < 1e-14);
        y += area / edge[i];
    }
    CHECK(edge[MF_RNG_ZIGGURAT_LAYERS] == 0 && fabs(y - 1) < 1e-12);
}

static void test_layers(void)
{
    double r = mf_rng_ziggurat_normal_edge[1];
    check_layers(mf_rng_ziggurat_normal_edge, normal_density, sqrt(2 * acos(-1)) * stat_normal_above(r));
    r = mf_rng_ziggurat_exponential_edge[1];
    check_layers(mf_rng_ziggurat_exponential_edge, exponential_density, exp(-r));
}

/* Tails come as often as they should, and have the right shape; both signs alike. */
static void test_tails(void)
{
    struct mf_rng rng;
    double above = 0, below = 0, far = 0, beyond = 0, n = 20 * (double)DRAWS;
    double r = mf_rng_ziggurat_normal_edge[1], s = mf_rng_ziggurat_exponential_edge[1];
    mf_rng_seed(&rng, MF_RNG_PHILOX, 3);
    for (int round = 0; round < 20; round++) {
        mf_rng_fill_normal(&rng, 0, 1, x, DRAWS);
        for (size_t i = 0; i < DRAWS; i++) {
            above += x[i] > r;
            below += x[i] < -r;
        }
        mf_rng_fill_exponential(&rng, 1, x, DRAWS);
        for (size_t i = 0; i < DRAWS; i++) {
            far += x[i] > s;
            beyond += x[i] > s + 1;
        }
    }
    double p = stat_normal_above(r), q = exp(-s);
    CHECK(stat_plausible(stat_normal_above((above - n * p) / sqrt(n * p))));
    CHECK(stat_plausible(stat_normal_above((below - n * p) / sqrt(n * p))));
    CHECK(stat_plausible(stat_normal_above((far - n * q) / sqrt(n * q))));
    CHECK(stat_plausible(stat_normal_above((beyond - n * q * exp(-1)) / sqrt(n * q * exp(-1)))));
}

/* A number takes one word, so that the same place gives the same number whatever came before. */
static void test_places(void)
{
    struct mf_rng a, b;
    mf_rng_seed(&a, MF_RNG_PHILOX, 8);
    b = a;
    mf_rng_fill_normal(&a, 0, 1, x, 5000);
    mf_rng_skip(&b, 4000);
    for (size_t i = 4000; i < 5000; i++)
        CHECK(mf_rng_normal(&b) == x[i]);
}

/* --- Words for wrong parameters ----------------------------------------------------------------------------------- */

static void test_checks(void)
{
    static const struct {
        const char *law;
        double p[2];
        const char *text; /* NULL: right */
    } cases[] = {
        {"uniform", {2, 2}, NULL},
        {"uniform", {2, 1}, "the upper end must be finite and at least the lower one, 2, not 1"},
        {"uniform", {NAN, 1}, "the lower end must be finite, not nan"},
        {"uniform", {-1e308, 1e308}, "the upper end must be finite and at least the lower one, -1e+308, not 1e+308"},
        {"normal", {0, 0}, NULL},
        {"normal", {INFINITY, 1}, "the mean must be finite, not inf"},
        {"normal", {0, -1}, "the sd must be finite and not negative, not -1"},
        {"exponential", {0, 0}, "the rate must be positive and finite, not 0"},
        {"gamma", {0, 1}, "the shape must be positive and finite, not 0"},
        {"gamma", {1, NAN}, "the scale must be positive and finite, not nan"},
        {"beta", {1, 0}, "the second shape must be positive and finite, not 0"},
        {"binomial", {2147483646, 0.5}, NULL},
        {"binomial", {2147483647, 0.5}, "the size must be a whole number from 0 to 2147483646, not 2147483647"},
        {"binomial", {1.5, 0.5}, "the size must be a whole number from 0 to 2147483646, not 1.5"},
        {"binomial", {1, 1.5}, "the probability must be from 0 to 1, not 1.5"},
        {"poisson", {-1, 0}, "the mean must be from 0 to 2^52, not -1"},
        {"poisson", {NAN, 0}, "the mean must be from 0 to 2^52, not nan"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mf_fault fault = {MF_OK, ""};
        enum mf_err err = law(cases[i].law)->check(cases[i].p, &fault);
        if (!CHECK(cases[i].text ? err == MF_EINVAL && strcmp(fault.text, cases[i].text) == 0 : err == MF_OK))
            fprintf(stderr, "%s: %s\n", cases[i].law, fault.text);
    }
}

int main(void)
{
    alarm(120);
    test_fits();
    test_fits_can_fail();
    test_filled_or_not();
    test_single();
    test_constants();
    test_layers();
    test_tails();
    test_places();
    test_checks();
    return check_report();
}
