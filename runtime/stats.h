/* Statistics of numbers that lie in memory at one distance: x[0], x[stride], x[2 stride] ...; a stride may be
 * negative, or 0. Nothing here blocks, and only sorting allocates (qsort); any thread. NaN in the numbers makes NaN
 * of a result; so does too few of them (mean of none, variance of one), as in R.
 *
 * Sums are compensated (A. Neumaier 1974) over blocks of lanes, so that their error does not grow with the count.
 * Variances are those of numbers shifted near their mean, one block at a time, put together by the formulas of T.
 * Chan, G. Golub and R. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances"
 * (1979): one pass over memory, as exact as two. */
#ifndef MF_STATS_H
#define MF_STATS_H

#include <stdbool.h>
#include <stddef.h>

/* Numbers, to be read. */
struct mf_stats_view {
    const double *data;
    ptrdiff_t stride;
    size_t n;
};

/* Count (or sum of weights), mean, and sum of squared distances from the mean. All zero: of no numbers. */
struct mf_stats_moments {
    double n, mean, m2;
};

double mf_stats_sum(const struct mf_stats_view *x);
double mf_stats_mean(const struct mf_stats_view *x);

/* The moments of numbers; into *into, those of both. */
struct mf_stats_moments mf_stats_moments(const struct mf_stats_view *x);
void mf_stats_merge(struct mf_stats_moments *into, const struct mf_stats_moments *other);

/* m2 / (n - 1). */
double mf_stats_variance(const struct mf_stats_moments *m);

/* Least and greatest; NaN are passed over. False: there is no number. */
bool mf_stats_range(const struct mf_stats_view *x, double *least, double *greatest);

/* With a weight, not negative, for each number: the mean; and the unbiased variance of R's cov.wt, sum w (x - mean)^2 /
 * (1 - sum w^2) with weights that are scaled to the sum 1. */
double mf_stats_weighted_mean(const struct mf_stats_view *x, const struct mf_stats_view *w);
double mf_stats_weighted_variance(const struct mf_stats_view *x, const struct mf_stats_view *w);

/* --- Two variables (x->n == y->n) -------------------------------------------------------------------------------- */

/* Covariance with n - 1; with weights (w not NULL) as the variance above. */
double mf_stats_covariance(const struct mf_stats_view *x, const struct mf_stats_view *y, const struct mf_stats_view *w);

/* Pearson's correlation, within -1 and 1; NaN when one of them does not vary. */
double mf_stats_correlation(const struct mf_stats_view *x, const struct mf_stats_view *y,
                            const struct mf_stats_view *w);

/* --- Order -------------------------------------------------------------------------------------------------------- */

/* The quantiles of p[0..count - 1], which lie in 0 .. 1, by linear interpolation between order statistics (R's type 7).
 * data, contiguous, is put into another order. */
void mf_stats_quantiles(double *data, size_t n, const double *p, size_t count, double *out);

/* The same for numbers that come `weight` times each (which need not be whole), sum of weights > 0. The pairs are put
 * into order. */
struct mf_stats_pair {
    double value, weight;
};
void mf_stats_weighted_quantiles(struct mf_stats_pair *pairs, size_t n, const double *p, size_t count, double *out);

/* Counts numbers into the cells between edges[0] <= edges[1] <= ... edges[cells]: a cell holds its lower edge, the last
 * one its upper edge too. counts is added to; returns how many numbers lie outside (NaN too). */
size_t mf_stats_count(const struct mf_stats_view *x, const double *edges, size_t cells, double *counts);

/* The probability that Student's t with df > 0 degrees of freedom is further from 0 than t. */
double mf_stats_student(double t, double df);

/* --- Regression --------------------------------------------------------------------------------------------------- */

/* Least squares by Householder's reflections. columns: p columns of n numbers, n >= p, contiguous, one behind the
 * other, and behind them y: (p + 1) n numbers, which are overwritten. b: the p coefficients. inverse: p * p numbers
 * for the inverse of the triangular factor, row-major, or NULL; (X'X)^-1 is the inverse times its transpose.
 * Returns p, or the number (from 0) of the first column that is, to 1 part in 10^7, a combination of those before
 * it; b is not set then. */
size_t mf_stats_least_squares(double *columns, size_t n, size_t p, double *b, double *inverse);

#endif
