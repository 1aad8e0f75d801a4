/* Design note: V. Kachitvichyanukul and B. W. Schmeiser, "Binomial random variate generation", Communications of
 * the ACM 31 (1988): inversion (BINV) where the mean is below 30, else algorithm BTPE: rejection from a triangle,
 * two parallelograms and two exponential tails. The probability is at most 1/2 here; the result is turned round for
 * the other half. */
#include <math.h>
#include <stdlib.h>

#include "rng.h"

#define BINV_MEAN 30.0
#define BINV_LAST 111 /* a result beyond it is rounding error: start again */

struct binomial {
    double n, p, q, np, r, g;                                /* r = p / q, g = r (n + 1) */
    double qn;                                               /* BINV: q^n */
    double npq, fm, xm, xl, xr, c, xll, xlr, p1, p2, p3, p4; /* BTPE, as in the article */
    int m;
};

/* x^n by squaring: as exact as pow, but not the same last bit. */
static double power(double x, int n)
{
    double product = 1;
    for (; n > 0; n >>= 1) {
        if (n & 1)
            product *= x;
        x *= x;
    }
    return product;
}

/* Step 0. */
static void prepare_btpe(struct binomial *b)
{
    b->npq = b->np * b->q;
    b->fm = b->np + b->p;
    b->m = (int)b->fm;
    b->p1 = (int)(2.195 * sqrt(b->npq) - 4.6 * b->q) + 0.5;
    b->xm = b->m + 0.5;
    b->xl = b->xm - b->p1;
    b->xr = b->xm + b->p1;
    b->c = 0.134 + 20.5 / (15.3 + b->m);
    double al = (b->fm - b->xl) / (b->fm - b->xl * b->p);
    b->xll = al * (1.0 + 0.5 * al);
    al = (b->xr - b->fm) / (b->xr * b->q);
    b->xlr = al * (1.0 + 0.5 * al);
    b->p2 = b->p1 * (1.0 + b->c + b->c);
    b->p3 = b->p2 + b->c / b->xll;
    b->p4 = b->p3 + b->c / b->xlr;
}

static void prepare(struct binomial *b, double size, double probability)
{
    *b = (struct binomial){.n = size, .p = fmin(probability, 1 - probability)};
    b->q = 1 - b->p;
    b->np = b->n * b->p;
    b->r = b->p / b->q;
    b->g = b->r * (b->n + 1);
    if (b->np < BINV_MEAN)
        b->qn = power(b->q, (int)b->n);
    else
        prepare_btpe(b);
}

static int binv(struct mf_rng *rng, const struct binomial *b)
{
    for (;;) {
        double f = b->qn, u = mf_rng_uniform(rng);
        for (int ix = 0; ix <= BINV_LAST; ix++) {
            if (u < f)
                return ix;
            u -= f;
            f *= b->g / (ix + 1) - b->r;
        }
    }
}

/* Steps 1 to 4: a candidate, and the height v at which it is tried. False: none, draw again. */
static bool candidate(struct mf_rng *rng, const struct binomial *b, int *ix, double *height, bool *accepted)
{
    double u = mf_rng_uniform(rng) * b->p4, v = mf_rng_uniform(rng);
    *accepted = u <= b->p1;
    if (u <= b->p1) {
        *ix = (int)(b->xm - b->p1 * v + u);
        return true;
    }
    if (u <= b->p2) {
        double x = b->xl + (u - b->p1) / b->c;
        v = v * b->c + 1.0 - fabs(b->xm - x) / b->p1;
        *ix = (int)x;
        *height = v;
        return v > 0 && v <= 1;
    }
    bool right = u > b->p3;
    *ix = right ? (int)(b->xr - log(v) / b->xlr) : (int)(b->xl + log(v) / b->xll);
    *height = right ? v * (u - b->p3) * b->xlr : v * (u - b->p2) * b->xll;
    return right ? *ix <= b->n : *ix >= 0;
}

/* Step 5.1: the density's quotient by recursion from the mode. */
static bool below_recursion(const struct binomial *b, int ix, double v)
{
    double f = 1.0;
    for (int i = b->m + 1; i <= ix; i++)
        f *= b->g / i - b->r;
    for (int i = ix + 1; i <= b->m; i++)
        f /= b->g / i - b->r;
    return v <= f;
}

/* A term of Stirling's series. */
static double stirling(double x)
{
    double x2 = x * x;
    return (13860. - (462. - (132. - (99. - 140. / x2) / x2) / x2) / x2) / x / 166320.;
}

/* Steps 5.2 and 5.3: squeeze by a normal's logarithm, then Stirling's formula. */
static bool below_squeeze(const struct binomial *b, int ix, int k, double v)
{
    double bound = (k / b->npq) * ((k * (k / 3. + 0.625) + 0.1666666666666) / b->npq + 0.5);
    double normal = -((double)k * k / (2.0 * b->npq)), height = log(v);
    if (height < normal - bound)
        return true;
    if (height > normal + bound)
        return false;
    double x1 = ix + 1, f1 = b->m + 1, z = b->n + 1 - b->m, w = b->n - ix + 1.0;
    return height <= b->xm * log(f1 / x1) + (b->n - b->m + 0.5) * log(z / w) +
                         (ix - b->m) * log(w * b->p / (x1 * b->q)) + stirling(f1) + stirling(z) + stirling(x1) +
                         stirling(w);
}

static int btpe(struct mf_rng *rng, const struct binomial *b)
{
    for (;;) {
        int ix;
        double v;
        bool accepted;
        if (!candidate(rng, b, &ix, &v, &accepted))
            continue;
        int k = abs(ix - b->m);
        if (accepted || (k <= 20 || k >= b->npq / 2 - 1 ? below_recursion(b, ix, v) : below_squeeze(b, ix, k, v)))
            return ix;
    }
}

void mf_rng_fill_binomial(struct mf_rng *rng, double size, double probability, double *out, size_t n)
{
    struct binomial b;
    if (size == 0 || probability == 0 || probability == 1) {
        for (size_t i = 0; i < n; i++)
            out[i] = probability == 1 ? size : 0;
        return;
    }
    prepare(&b, size, probability);
    for (size_t i = 0; i < n; i++) {
        int ix = b.np < BINV_MEAN ? binv(rng, &b) : btpe(rng, &b);
        out[i] = probability > 0.5 ? size - ix : ix;
    }
}
