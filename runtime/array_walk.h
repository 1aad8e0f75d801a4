/* Walks over several arrays of one shape at once, line by line: what every operation on elements is made of. */
#ifndef MF_ARRAY_WALK_H
#define MF_ARRAY_WALK_H

#include "array.h"

#define MF_WALK_OPERANDS 4

struct mf_walk {
    size_t n;                         /* elements of a line */
    ptrdiff_t step[MF_WALK_OPERANDS]; /* elements from one to the next, of each operand */
    char *at[MF_WALK_OPERANDS];       /* the line's first element, of each operand */
    int operands, ndim;               /* and what lies outside of the line: */
    size_t shape[MF_ARRAY_DIMS], index[MF_ARRAY_DIMS];
    ptrdiff_t stride[MF_WALK_OPERANDS][MF_ARRAY_DIMS]; /* bytes */
};

/* Describes an operand: an array that is stretched to the walk's shape, and where its first element is. A number for all
 * elements has no array. */
struct mf_operand {
    const struct mf_array *array; /* or NULL */
    const void *data;
    size_t size; /* of an element; asked for only without an array */
};

/* Begins a walk over that shape. Axes that lie alike in all operands are walked as one, and the longest possible line is
 * found. False when there are no elements. Only the operand that is the first may be written through at[0]. */
bool mf_walk_begin(struct mf_walk *w, int ndim, const size_t *shape, const struct mf_operand *operands, int n);

/* Goes on to the next line; false after the last. */
bool mf_walk_next(struct mf_walk *w);

#endif
