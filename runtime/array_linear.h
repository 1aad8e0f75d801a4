/* Products of vectors and matrices. */
#ifndef MF_ARRAY_LINEAR_H
#define MF_ARRAY_LINEAR_H

#include "array_blas.h"
#include "array_ops.h"

/* The product of matrices (m,k) and (k,n): a new array (m,n). A vector (k) counts as a row on the left and as a column on
 * the right, and its axis of one is dropped from the result: (k) times (k,n) is (n); two vectors make one element.
 * Integers give i64 and wrap around; floats the dtype in which they meet. blas: to be used if it has what is needed, or
 * NULL. */
enum mf_err mf_array_matmul(struct mf_heap *heap, struct mf_blas *blas, const struct mf_array *a,
                            const struct mf_array *b, struct mf_array *out, struct mf_fault *fault);

#endif
