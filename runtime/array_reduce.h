/* Reductions: many elements to one number, over a whole array or along an axis.
 *
 * Elements are taken in blocks of MF_REDUCE_BLOCK in row-major order, and the blocks' partial results are joined in
 * pairs, in pairs of pairs and so on. So rounding errors grow with the logarithm of the number of elements, and the
 * result depends on the elements and their order only: not on layout, processor or number of workers. */
#ifndef MF_ARRAY_REDUCE_H
#define MF_ARRAY_REDUCE_H

#include "array_ops.h"

#define MF_REDUCE_BLOCK 1024

enum mf_reduction {
    MF_SUM,  /* i64 of integers (wraps around), f64 of floats; 0 of nothing */
    MF_PROD, /* the same; 1 of nothing */
    MF_MEAN, /* f64, like the next two */
    MF_VAR,  /* sum of squared deviations by n - ddof; NaN when that is not positive */
    MF_SD,   /* its root */
    MF_MIN,  /* of the array's dtype, like the next; NaN if one is among them; MF_EINVAL of nothing */
    MF_MAX,
    MF_ARGMIN, /* i64: the first place of the extreme (or of a NaN), from 1; MF_EINVAL of nothing */
    MF_ARGMAX,
    MF_ANY,   /* u8: is one not zero? */
    MF_ALL,   /* u8: is none zero? */
    MF_COUNT, /* i64: how many are not zero */
    MF_REDUCTIONS
};

const char *mf_reduction_name(enum mf_reduction op);

/* Over all elements. MF_EINVAL and a fault as said above. */
enum mf_err mf_array_reduce_all(enum mf_reduction op, const struct mf_array *a, double ddof, struct mf_value *out,
                                struct mf_fault *fault);

/* Along an axis: a new array of the shape without that axis (with one element, if it was the only one). */
enum mf_err mf_array_reduce_axis(struct mf_heap *heap, enum mf_reduction op, const struct mf_array *a, int axis,
                                 double ddof, struct mf_array *out, struct mf_fault *fault);

/* Running sums along an axis, with compensation: a new array of the same shape; i64 of integers, f64 of floats. */
enum mf_err mf_array_cumsum(struct mf_heap *heap, const struct mf_array *a, int axis, struct mf_array *out,
                            struct mf_fault *fault);

/* --- For array_partial.c ------------------------------------------------------------------------------------------ */

/* What is known of some elements that follow each other. */
struct mf_partial {
    size_t n;      /* how many */
    double a, b;   /* sum, product or extreme; or mean and sum of squared deviations from it */
    int64_t whole; /* sum, product, extreme or count of integers */
    size_t at;     /* where the extreme is, from 0 */
    bool nan;      /* the extreme is none, since there is a NaN at `at` */
};

/* How one reduction works: on blocks of doubles, or of integers (NULL: integers become doubles before), the first of which
 * is element number first. */
struct mf_partial_table {
    void (*reals)(struct mf_partial *p, const double *x, size_t n, size_t first);
    void (*integers)(struct mf_partial *p, const int64_t *x, size_t n, size_t first);
    void (*join)(struct mf_partial *p, const struct mf_partial *next); /* both of at least one element */
};
extern const struct mf_partial_table mf_partials[MF_REDUCTIONS];

#endif
