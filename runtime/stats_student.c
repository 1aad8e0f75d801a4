/* Design note: the probability is an incomplete beta integral with the shapes df / 2 and 1 / 2, which is a
 * continued fraction (Abramowitz and Stegun 26.5.8) in the half of the range where that converges fast, evaluated
 * by W. Lentz's method (1976). The quotient of gamma functions in front is taken from tgamma while that does not
 * overflow, and from its asymptotic series beyond: lgamma writes a global variable. For very many degrees of
 * freedom, a normal's tail. */
#include <float.h>
#include <math.h>

#include "stats.h"

#define ROUNDS    10000
#define SERIES    100.0 /* from here on the series is exact */
#define NORMAL_DF 1e7   /* from here on the fraction loses more digits than t is from normal */
#define SQRT_PI   1.7724538509055160273
#define SQRT_HALF 0.70710678118654752440

/* Gamma(a + 1/2) / Gamma(a). */
static double gamma_quotient(double a)
{
    if (a < SERIES)
        return tgamma(a + 0.5) / tgamma(a);
    double r = 1 / a;
    return sqrt(a) * (1 + r * (-1. / 8 + r * (1. / 128 + r * (5. / 1024 + r * (-21. / 32768 - r * 399. / 262144)))));
}

static double not_zero(double x)
{
    return fabs(x) < DBL_MIN ? DBL_MIN : x;
}

/* The continued fraction of the incomplete beta integral from 0 to x. */
static double fraction(double a, double b, double x)
{
    double c = 1, d = 1 / not_zero(1 - (a + b) * x / (a + 1)), f = d;
    for (int m = 1; m <= ROUNDS; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / not_zero(1 + even * d);
        c = not_zero(1 + even / c);
        f *= d * c;
        d = 1 / not_zero(1 + odd * d);
        c = not_zero(1 + odd / c);
        f *= d * c;
        if (fabs(d * c - 1) < DBL_EPSILON)
            break;
    }
    return f;
}

double mf_stats_student(double t, double df)
{
    double a = df / 2, square = t * t;
    if (!(df < NORMAL_DF)) /* 26.7.8, in error by the order of df^-2 */
        return erfc(fabs(t) * (1 - 0.25 / df) / sqrt(1 + square / (2 * df)) * SQRT_HALF);
    if (isinf(square))
        return 0;
    double x = df / (df + square), y = square / (df + square); /* y = 1 - x */
    double front = gamma_quotient(a) / SQRT_PI * exp(-a * log1p(square / df)) * sqrt(y);
    if (x < (a + 1) / (a + 2.5))
        return front * fraction(a, 0.5, x) / a;
    return 1 - front * fraction(0.5, a, y) / 0.5;
}
