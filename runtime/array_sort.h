/* Sorting and what rests on it. Order: numbers as they are, NaN last; -0.0 and 0.0 are equal. */
#ifndef MF_ARRAY_SORT_H
#define MF_ARRAY_SORT_H

#include "array_ops.h"

/* A new array with the lines along the axis sorted. */
enum mf_err mf_array_sort(struct mf_heap *heap, const struct mf_array *a, int axis, bool descending,
                          struct mf_array *out, struct mf_fault *fault);

/* A new array of i64: the places (from 1) of the elements of each line along the axis, in sorted order. Equal elements keep
 * their order, descending too; NaN are last in either. */
enum mf_err mf_array_order(struct mf_heap *heap, const struct mf_array *a, int axis, bool descending,
                           struct mf_array *out, struct mf_fault *fault);

/* The different numbers in a, sorted, and how often each occurs (i64); one NaN stands for all. */
enum mf_err mf_array_unique(struct mf_heap *heap, const struct mf_array *a, struct mf_array *values,
                            struct mf_array *counts, struct mf_fault *fault);

/* The quantiles p[0..n-1] (each 0..1) of the n numbers x, which are put into another order: type 7 of Hyndman and Fan, the
 * standard of R and numpy. NaN when there are no numbers or one of them is NaN. */
void mf_array_quantiles_of(double *x, size_t count, const double *p, size_t n, double *out);

/* The quantiles of all elements (axis < 0), or of each line along an axis: a new array of f64 whose first axis is that of
 * p and whose others are the array's without the axis. */
enum mf_err mf_array_quantile(struct mf_heap *heap, const struct mf_array *a, int axis, const double *p, size_t n,
                              struct mf_array *out, struct mf_fault *fault);

#endif
