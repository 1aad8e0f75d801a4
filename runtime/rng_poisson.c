/* Design note: for a mean of 10 or more, algorithm PD of J. H. Ahrens and U. Dieter, "Computer generation of
 * Poisson deviates from modified normal distributions", ACM Transactions on Mathematical Software 8 (1982): a
 * normal rounded down, accepted at once, or by the quotient of the densities, or replaced by a double exponential;
 * steps are named as in the article. Below 10, inversion by a table of the distribution function (its case B),
 * filled as far as needed. The digits of the constants are those of the article. */
#include <math.h>

#include "rng.h"

#define TABLE 35

/* --- Mean < 10 ---------------------------------------------------------------------------------------------------- */

struct table {
    int filled;                 /* entries 1 .. filled are there */
    double p, below[TABLE + 1]; /* probability of `filled`, of at most k */
    double mean;
};

static void table_prepare(struct table *t, double mean)
{
    *t = (struct table){.mean = mean, .p = exp(-mean)};
    t->below[0] = t->p;
}

/* The least k with u <= below[k], or -1 if there is none. */
static int table_find(struct table *t, double u)
{
    for (int k = 0; k <= TABLE; k++) {
        if (k > t->filled) {
            t->p *= t->mean / k;
            t->below[k] = t->below[k - 1] + t->p;
            t->filled = k;
        }
        if (u <= t->below[k])
            return k;
    }
    return -1;
}

static double small(struct mf_rng *rng, struct table *t)
{
    int k;
    do {
        k = table_find(t, mf_rng_uniform(rng));
    } while (k < 0);
    return k;
}

/* --- Mean >= 10 --------------------------------------------------------------------------------------------------- */

#define SQRT_2PI_INVERSE 0.398942280401432677939946059934

struct pd {
    double mean, s, d, l;            /* steps N and I */
    double omega, c0, c1, c2, c3, c; /* step P, computed when it is first needed */
    bool ready;
};

/* The densities at a candidate: p_x e^... of the distribution, f_x of the double exponential. */
struct densities {
    double px, py, fx, fy;
};

static void prepare(struct pd *p, double mean)
{
    *p = (struct pd){.mean = mean, .s = sqrt(mean), .d = 6. * mean * mean, .l = floor(mean - 1.1484)};
}

static void prepare_p(struct pd *p)
{
    double b1 = 1. / (24. * p->mean), b2 = 0.3 * b1 * b1;
    p->omega = SQRT_2PI_INVERSE / p->s;
    p->c3 = 0.1428571428571428571 * b1 * b2;
    p->c2 = b2 - 15. * p->c3;
    p->c1 = b1 - 6. * b2 + 45. * p->c3;
    p->c0 = 1. - b1 + 3. * b2 - 15. * p->c3;
    p->c = 0.1069 / p->mean;
    p->ready = true;
}

/* Procedure F. */
static struct densities procedure_f(const struct pd *p, double k)
{
    static const double factorial[] = {1., 1., 2., 6., 24., 120., 720., 5040., 40320., 362880.};
    struct densities d;
    double difference = p->mean - k;
    if (k < 10) {
        d.px = -p->mean;
        d.py = pow(p->mean, k) / factorial[(int)k];
    } else {
        double delta = 0.0833333333333333333333 / k;
        delta = delta - 4.8 * delta * delta * delta;
        double v = difference / k;
        if (fabs(v) <= 0.25)
            d.px = k * v * v *
                       (((((((0.1250060 * v - 0.1384794) * v + 0.1421878) * v - 0.1661269) * v + 0.2000118) * v -
                          0.2500068) *
                             v +
                         0.3333333) *
                            v -
                        0.5) -
                   delta;
        else
            d.px = k * log(1 + v) - difference - delta;
        d.py = SQRT_2PI_INVERSE / sqrt(k);
    }
    double x = (0.5 - difference) / p->s;
    x *= x;
    d.fx = -0.5 * x;
    d.fy = p->omega * (((p->c3 * x + p->c2) * x + p->c1) * x + p->c0);
    return d;
}

/* Steps E and H. */
static double double_exponential(struct mf_rng *rng, const struct pd *p)
{
    for (;;) {
        double e = mf_rng_exponential(rng);
        double u = 2 * mf_rng_uniform(rng) - 1.;
        double t = 1.8 + copysign(e, u);
        if (t <= -0.6744)
            continue;
        double k = floor(p->mean + p->s * t);
        struct densities d = procedure_f(p, k);
        if (p->c * fabs(u) <= d.py * exp(d.px + e) - d.fy * exp(d.fx + e))
            return k;
    }
}

static double large(struct mf_rng *rng, struct pd *p)
{
    double g = p->mean + p->s * mf_rng_normal(rng), k = floor(g), u = 0;
    if (g >= 0) {
        if (k >= p->l)
            return k;
        double difference = p->mean - k;
        u = mf_rng_uniform(rng);
        if (p->d * u >= difference * difference * difference)
            return k;
    }
    if (!p->ready)
        prepare_p(p);
    if (g >= 0) {
        struct densities d = procedure_f(p, k);
        if (d.fy - u * d.fy <= d.py * exp(d.px - d.fx))
            return k;
    }
    return double_exponential(rng, p);
}

static void fill_small(struct mf_rng *rng, double mean, double *out, size_t n)
{
    struct table table;
    table_prepare(&table, mean);
    for (size_t i = 0; i < n; i++)
        out[i] = small(rng, &table);
}

static void fill_large(struct mf_rng *rng, double mean, double *out, size_t n)
{
    struct pd pd;
    prepare(&pd, mean);
    for (size_t i = 0; i < n; i++)
        out[i] = large(rng, &pd);
}

void mf_rng_fill_poisson(struct mf_rng *rng, double mean, double *out, size_t n)
{
    if (mean >= 10)
        fill_large(rng, mean, out, n);
    else if (mean > 0)
        fill_small(rng, mean, out, n);
    else
        for (size_t i = 0; i < n; i++)
            out[i] = 0;
}
