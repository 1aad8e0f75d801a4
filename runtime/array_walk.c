/* Design note: the strides of each operand under the common shape (0 where it is stretched), axes joined from the last on
 * where every operand allows it, the last of what is left as the line. A stretched axis needs no case of its own. */
#include "array_walk.h"

#include <string.h>

/* The stride in bytes of an operand for axis i of ndim. */
static ptrdiff_t stride_of(const struct mf_operand *o, int ndim, int i, size_t extent)
{
    const struct mf_array *a = o->array;
    int own = a ? i - (ndim - a->ndim) : -1;
    if (own < 0 || (a->shape[own] == 1 && extent != 1))
        return 0;
    return a->stride[own] * (ptrdiff_t)mf_dtypes[a->dtype].size;
}

/* Can axis i lie inside axis k (the one outside of it) for all operands? */
static bool joins(const struct mf_walk *w, int k, int i)
{
    for (int o = 0; o < w->operands; o++)
        if (w->stride[o][k] != w->stride[o][i] * (ptrdiff_t)w->shape[i])
            return false;
    return true;
}

/* Moves axis i to place k. */
static void place(struct mf_walk *w, int k, int i)
{
    w->shape[k] = w->shape[i];
    for (int o = 0; o < w->operands; o++)
        w->stride[o][k] = w->stride[o][i];
}

/* Drops axes of one element and joins the others where possible. */
static void join_axes(struct mf_walk *w)
{
    int n = 0;
    for (int i = 0; i < w->ndim; i++) {
        if (w->shape[i] == 1)
            continue;
        size_t before = n > 0 ? w->shape[n - 1] : 1;
        bool joined = n > 0 && joins(w, n - 1, i);
        if (!joined)
            n++;
        place(w, n - 1, i);
        if (joined)
            w->shape[n - 1] *= before;
    }
    w->ndim = n;
}

bool mf_walk_begin(struct mf_walk *w, int ndim, const size_t *shape, const struct mf_operand *operands, int n)
{
    w->operands = n;
    w->ndim = ndim;
    memset(w->index, 0, sizeof w->index);
    for (int i = 0; i < ndim; i++) {
        w->shape[i] = shape[i];
        if (shape[i] == 0)
            return false;
        for (int o = 0; o < n; o++)
            w->stride[o][i] = stride_of(&operands[o], ndim, i, shape[i]);
    }
    for (int o = 0; o < n; o++)
        w->at[o] = (char *)(uintptr_t)operands[o].data;
    join_axes(w);
    w->n = w->ndim > 0 ? w->shape[--w->ndim] : 1;
    for (int o = 0; o < n; o++) {
        size_t size = operands[o].array ? mf_dtypes[operands[o].array->dtype].size : operands[o].size;
        w->step[o] = w->n > 1 ? w->stride[o][w->ndim] / (ptrdiff_t)size : operands[o].array ? 1 : 0;
    }
    return true;
}

bool mf_walk_next(struct mf_walk *w)
{
    for (int i = w->ndim - 1; i >= 0; i--) {
        bool over = ++w->index[i] == w->shape[i];
        ptrdiff_t back = over ? (ptrdiff_t)w->shape[i] - 1 : 0;
        if (over)
            w->index[i] = 0;
        for (int o = 0; o < w->operands; o++)
            w->at[o] += over ? -back * w->stride[o][i] : w->stride[o][i];
        if (!over)
            return true;
    }
    return false;
}
