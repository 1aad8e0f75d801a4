/* New arrays from parts of others: by places, by a mask, one behind the other. */
#ifndef MF_ARRAY_SELECT_H
#define MF_ARRAY_SELECT_H

#include "array_ops.h"

/* The places (from 1) of the elements that are not zero, in row-major order: for one dimension an array (n), else
 * (n, dimensions) with the indices of one element in a row. i64. */
enum mf_err mf_array_places(struct mf_heap *heap, const struct mf_array *a, struct mf_array *out,
                            struct mf_fault *fault);

/* The elements of a at the places along an axis that places (one dimension, integers from 1, or backwards from -1) has. */
enum mf_err mf_array_take(struct mf_heap *heap, const struct mf_array *a, const struct mf_array *places, int axis,
                          struct mf_array *out, struct mf_fault *fault);

/* The elements where mask, which has the same shape, is not zero: one dimension. Or the rows, when mask has one
 * dimension and as many elements as a has rows. */
enum mf_err mf_array_filter(struct mf_heap *heap, const struct mf_array *a, const struct mf_array *mask,
                            struct mf_array *out, struct mf_fault *fault);

/* Several arrays one behind the other along an axis; the other axes must agree. In the dtype in which they meet. n > 0. */
enum mf_err mf_array_concatenate(struct mf_heap *heap, const struct mf_array *const *parts, size_t n, int axis,
                                 struct mf_array *out, struct mf_fault *fault);

#endif
