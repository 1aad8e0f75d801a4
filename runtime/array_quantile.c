/* Design note: a few order statistics do not need a sorted line: each is selected by partition (Hoare, with the median of
 * three as pivot), in the part that the ones before have left above them. A line that resists, because its order defeats
 * the pivots, is sorted by heaps instead. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "array_job.h"
#include "array_sort.h"
#include "array_walk.h"

#define SHORT 16

static void swap(double *a, double *b)
{
    double t = *a;
    *a = *b;
    *b = t;
}

/* --- Selection --------------------------------------------------------------------------------------------------- */

static void insertion(double *x, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        double v = x[i];
        size_t k = i;
        for (; k > 0 && x[k - 1] > v; k--)
            x[k] = x[k - 1];
        x[k] = v;
    }
}

static void sift(double *x, size_t at, size_t n)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && x[child + 1] > x[child])
            child++;
        if (x[at] >= x[child])
            return;
        swap(&x[at], &x[child]);
    }
}

static void heap_sort(double *x, size_t n)
{
    for (size_t i = n / 2; i > 0; i--)
        sift(x, i - 1, n);
    for (size_t i = n; i > 1; i--) {
        swap(&x[0], &x[i - 1]);
        sift(x, 0, i - 1);
    }
}

/* The median of three goes to x[0]. */
static void choose_pivot(double *x, size_t n)
{
    double *a = &x[0], *b = &x[n / 2], *c = &x[n - 1];
    if (*b < *a)
        swap(a, b);
    if (*c < *b)
        swap(b, c);
    if (*b < *a)
        swap(a, b);
    swap(a, b);
}

/* What is not above the pivot comes before what is not below it; where the pivot is then. */
static size_t partition(double *x, size_t n)
{
    choose_pivot(x, n);
    double pivot = x[0];
    size_t i = 0, j = n;
    for (;;) {
        do
            i++;
        while (i < n && x[i] < pivot);
        do
            j--;
        while (x[j] > pivot);
        if (i >= j)
            break;
        swap(&x[i], &x[j]);
    }
    swap(&x[0], &x[j]);
    return j;
}

/* Puts the k-th smallest of x[0..n-1] in its place: none before it is greater, none behind it less. */
static void select_one(double *x, size_t n, size_t k)
{
    size_t patience = 0;
    for (size_t m = n; m > 0; m /= 2)
        patience += 3;
    while (n > SHORT) {
        if (patience-- == 0) {
            heap_sort(x, n);
            return;
        }
        size_t at = partition(x, n);
        if (at == k)
            return;
        if (k < at) {
            n = at;
        } else {
            x += at + 1;
            n -= at + 1;
            k -= at + 1;
        }
    }
    insertion(x, n);
}

/* --- Quantiles --------------------------------------------------------------------------------------------------- */

static double least(const double *x, size_t n)
{
    double v = x[0];
    for (size_t i = 1; i < n; i++)
        v = x[i] < v ? x[i] : v;
    return v;
}

/* One quantile; x[0..done-1] are known not to be above the others. Returns what is known then. */
static size_t quantile_of(double *x, size_t count, double p, size_t done, double *out)
{
    double at = 1 + (double)(count - 1) * p, low = floor(at), weight = at - low; /* rounded where R rounds */
    size_t k = (size_t)low - 1;
    if (k < done)
        done = 0; /* not in rising order: all over again */
    select_one(x + done, count - done, k - done);
    *out = x[k];
    if (weight > 0) {
        double next = least(x + k + 1, count - k - 1);
        *out = x[k] == next ? x[k] : (1 - weight) * x[k] + weight * next;
    }
    return k;
}

void mf_array_quantiles_of(double *x, size_t count, const double *p, size_t n, double *out)
{
    bool none = count == 0;
    size_t done = 0;
    for (size_t i = 0; i < count; i++)
        none = none || x[i] != x[i];
    for (size_t i = 0; i < n; i++) {
        if (none)
            out[i] = NAN;
        else
            done = quantile_of(x, count, p[i], done, &out[i]);
    }
}

/* --- Of arrays --------------------------------------------------------------------------------------------------- */

/* The quantiles of the lines whose first elements `rest` has; room for one line. out: lines lie next to each other. */
static void quantiles_of_lines(const struct mf_array *rest, ptrdiff_t stride, size_t count, const double *p, size_t n,
                               double *room, double *out)
{
    struct mf_walk w;
    double q[64];
    size_t done = 0, lines = rest->count;
    const struct mf_operand operand = {rest, mf_array_data(rest), 0};
    bool more = mf_walk_begin(&w, rest->ndim, rest->shape, &operand, 1);
    for (; more; more = mf_walk_next(&w))
        for (size_t i = 0; i < w.n; i++, done++)
            for (size_t from = 0; from < n; from += 64) {
                size_t some = n - from < 64 ? n - from : 64;
                mf_kernels_cast[rest->dtype][MF_F64](
                    room, 1, w.at[0] + (ptrdiff_t)i * w.step[0] * (ptrdiff_t)mf_dtypes[rest->dtype].size, stride, NULL,
                    0, count);
                mf_array_quantiles_of(room, count, p + from, some, q);
                for (size_t k = 0; k < some; k++)
                    out[(from + k) * lines + done] = q[k];
            }
}

static enum mf_err no_room(struct mf_fault *fault, size_t n)
{
    return mf_fault_set(fault, MF_ENOMEM, "not enough memory for the quantiles of %zu elements", n);
}

static enum mf_err quantile_of_all(struct mf_heap *heap, const struct mf_array *a, const double *p, size_t n,
                                   struct mf_array *out, struct mf_fault *fault)
{
    struct mf_array flat = {0};
    enum mf_err e = mf_array_convert(heap, a, MF_F64, &flat, fault);
    if (e == MF_OK)
        e = mf_array_new(heap, out, MF_F64, 1, &n, false, fault);
    if (e == MF_OK)
        mf_array_quantiles_of(mf_array_own(heap, &flat, fault), flat.count, p, n, mf_array_own(heap, out, fault));
    mf_array_release(heap, &flat);
    return e;
}

enum mf_err mf_array_quantile(struct mf_heap *heap, const struct mf_array *a, int axis, const double *p, size_t n,
                              struct mf_array *out, struct mf_fault *fault)
{
    size_t shape[MF_ARRAY_DIMS];
    if (axis < 0 || a->ndim == 1)
        return quantile_of_all(heap, a, p, n, out, fault);
    size_t count = a->shape[axis];
    struct mf_array rest = *a;
    if (count == 0)
        return mf_fault_set(fault, MF_EINVAL, "there are no quantiles of no elements");
    mf_array_pick(&rest, axis, 0);
    shape[0] = n;
    memcpy(shape + 1, rest.shape, (size_t)rest.ndim * sizeof *shape);
    double *room = malloc(count * sizeof *room);
    if (!room)
        return no_room(fault, count);
    enum mf_err e = mf_array_new(heap, out, MF_F64, rest.ndim + 1, shape, false, fault);
    if (e == MF_OK)
        quantiles_of_lines(&rest, a->stride[axis], count, p, n, room, mf_array_own(heap, out, fault));
    free(room);
    return e;
}
