/* Design note: algorithms BB (both parameters above 1) and BC of R. C. H. Cheng, "Generating beta variates with
 * nonintegral shape parameters", Communications of the ACM 21 (1978): a beta prime variate w by rejection from a
 * log-logistic one. Here a is the lesser parameter in both. */
#include <float.h>
#include <math.h>

#include "rng.h"

#define LOG4         1.3862944
#define ONE_LOG5     2.609438
#define EXPONENT_MAX (DBL_MAX_EXP * 0.693147180559945309417232121458) /* of what exp can return */

struct cheng {
    double a, b, alpha, beta;
    double gamma;         /* BB */
    double delta, k1, k2; /* BC */
};

/* Of a uniform: v, and w = factor e^v, which does not overflow. */
static double logistic(double beta, double u, double factor, double *w)
{
    double v = beta * log(u / (1 - u));
    *w = v <= EXPONENT_MAX ? factor * exp(v) : DBL_MAX;
    if (isinf(*w))
        *w = DBL_MAX;
    return v;
}

static double draw_bb(struct mf_rng *rng, const struct cheng *p)
{
    double r, t, w;
    do {
        double u1 = mf_rng_uniform(rng), u2 = mf_rng_uniform(rng);
        double v = logistic(p->beta, u1, p->a, &w);
        double z = u1 * u1 * u2;
        r = p->gamma * v - LOG4;
        double s = p->a + r - w;
        if (s + ONE_LOG5 >= 5.0 * z)
            break;
        t = log(z);
        if (s > t)
            break;
    } while (r + p->alpha * log(p->alpha / (p->b + w)) < t);
    return w;
}

static double draw_bc(struct mf_rng *rng, const struct cheng *p)
{
    double w;
    for (;;) {
        double u1 = mf_rng_uniform(rng), u2 = mf_rng_uniform(rng), y = u1 * u2, z;
        if (u1 < 0.5) {
            z = u1 * y;
            if (0.25 * u2 + z - y >= p->k1)
                continue;
        } else {
            z = u1 * u1 * u2;
            if (z <= 0.25) {
                logistic(p->beta, u1, p->b, &w);
                return w;
            }
            if (z >= p->k2)
                continue;
        }
        double v = logistic(p->beta, u1, p->b, &w);
        if (p->alpha * (log(p->alpha / (p->a + w)) + v) - LOG4 >= log(z))
            return w;
    }
}

static void prepare(struct cheng *p, double first, double second)
{
    double a = fmin(first, second), b = fmax(first, second);
    *p = (struct cheng){.a = a, .b = b, .alpha = a + b};
    if (a > 1) {
        p->beta = sqrt((p->alpha - 2.0) / (2.0 * a * b - p->alpha));
        p->gamma = a + 1.0 / p->beta;
    } else {
        p->beta = 1.0 / a;
        p->delta = 1.0 + b - a;
        p->k1 = p->delta * (0.0138889 + 0.0416667 * a) / (b * p->beta - 0.777778);
        p->k2 = 0.25 + (0.5 + 0.25 / p->delta) * a;
    }
}

void mf_rng_fill_beta(struct mf_rng *rng, double first, double second, double *out, size_t n)
{
    struct cheng p;
    prepare(&p, first, second);
    for (size_t i = 0; i < n; i++) {
        bool both = p.a > 1;
        double w = both ? draw_bb(rng, &p) : draw_bc(rng, &p);
        double other = both ? p.b : p.a; /* w / (other + w) goes with the parameter that is not `other` */
        out[i] = (first == other) ? other / (other + w) : w / (other + w);
    }
}
