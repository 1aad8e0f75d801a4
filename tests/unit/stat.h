/* Goodness of fit for tests: p-values of the chi-square and Kolmogorov-Smirnov statistics. Seeds are fixed, so an
 * outcome is too; a right program has a p-value that is neither tiny nor next to one. */
#ifndef MF_STAT_H
#define MF_STAT_H

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#define STAT_LEAST 1e-5 /* p-values below, or above one minus this, are failures */

static inline int stat_plausible(double p)
{
    return p > STAT_LEAST && p < 1 - STAT_LEAST;
}

/* The probability of more than x under the standard normal. */
static inline double stat_normal_above(double x)
{
    return 0.5 * erfc(x / sqrt(2));
}

/* The probability of more than chi with df degrees of freedom, by Wilson and Hilferty's approximation. */
static inline double stat_chi_above(double chi, double df)
{
    double spread = 2 / (9 * df);
    return stat_normal_above((cbrt(chi / df) - (1 - spread)) / sqrt(spread));
}

/* p-value of counts against expectations, which need not be whole. Cells that expect fewer than 5 are put together with
 * their neighbours. */
static inline double stat_chi_square(const double *count, const double *expected, size_t cells)
{
    double chi = 0, df = -1, seen = 0, due = 0, last_seen = 0, last_due = 0;
    for (size_t i = 0; i < cells; i++) {
        seen += count[i];
        due += expected[i];
        if (due >= 5) {
            if (last_due > 0)
                chi += (last_seen - last_due) * (last_seen - last_due) / last_due;
            last_seen = seen;
            last_due = due;
            df++;
            seen = due = 0;
        }
    }
    last_seen += seen; /* what is left joins the last cell */
    last_due += due;
    chi += (last_seen - last_due) * (last_seen - last_due) / last_due;
    return stat_chi_above(chi, df);
}

static inline double stat_chi_equal(const double *count, size_t cells, double expected)
{
    double chi = 0;
    for (size_t i = 0; i < cells; i++)
        chi += (count[i] - expected) * (count[i] - expected) / expected;
    return stat_chi_above(chi, (double)cells - 1);
}

static inline int stat_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* p-value of n numbers, which are sorted, against a distribution function (D. Kolmogorov's limit, M. Stephens's n). */
static inline double stat_ks(double *x, size_t n, double (*cdf)(double x, const double *p), const double *p)
{
    double d = 0, sum = 0, root = sqrt((double)n);
    qsort(x, n, sizeof *x, stat_compare);
    for (size_t i = 0; i < n; i++) {
        double f = cdf(x[i], p);
        d = fmax(d, fmax((double)(i + 1) / (double)n - f, f - (double)i / (double)n));
    }
    double t = d * (root + 0.12 + 0.11 / root);
    for (int k = 1; k <= 100; k++)
        sum += (k % 2 ? 2 : -2) * exp(-2 * k * k * t * t);
    return t < 0.2 ? 1 : sum;
}

#endif
