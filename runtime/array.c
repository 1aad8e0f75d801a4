/* Design note: a view is a copy of a small struct with a reference to the store, so all of what follows but the making is
 * arithmetic. Byte numbers count in the store, not in the block, since the block may be replaced by a copy that has only
 * a part of it (narrow, own). */
#include "array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct mf_dtype_info mf_dtypes[MF_DTYPES] = {
    [MF_F64] = {"f64", 8, false, 0, 0, "<f8"},
    [MF_F32] = {"f32", 4, false, 0, 0, "<f4"},
    [MF_I64] = {"i64", 8, true, INT64_MIN, INT64_MAX, "<i8"},
    [MF_I32] = {"i32", 4, true, INT32_MIN, INT32_MAX, "<i4"},
    [MF_U8] = {"u8", 1, true, 0, UINT8_MAX, "|u1"},
};

enum mf_dtype mf_dtype_find(const char *name)
{
    int i = 0;
    while (i < MF_DTYPES && strcmp(mf_dtypes[i].name, name) != 0)
        i++;
    return (enum mf_dtype)i;
}

static size_t size_of(const struct mf_array *a)
{
    return mf_dtypes[a->dtype].size;
}

/* --- Making and letting go --------------------------------------------------------------------------------------- */

size_t mf_array_elements(int ndim, const size_t *shape)
{
    size_t n = 1;
    for (int i = 0; i < ndim; i++)
        if (shape[i] == 0)
            return 0;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] > SIZE_MAX / 64 / n)
            return SIZE_MAX;
        n *= shape[i];
    }
    return n;
}

/* Fills in everything but the store. */
static void describe(struct mf_array *a, size_t offset, enum mf_dtype dtype, int ndim, const size_t *shape)
{
    size_t stride = 1; /* may wrap around where another axis has no elements */
    a->offset = offset;
    a->dtype = dtype;
    a->ndim = ndim;
    a->count = mf_array_elements(ndim, shape);
    for (int i = ndim - 1; i >= 0; i--) {
        a->shape[i] = shape[i];
        a->stride[i] = (ptrdiff_t)stride;
        stride *= shape[i];
    }
}

static struct mf_store *new_store(struct mf_block *block, bool counted, enum mf_guard guard)
{
    struct mf_store *s = malloc(sizeof *s);
    if (s)
        *s = (struct mf_store){
            .refs = 1, .guard = (uint8_t)guard, .counted = counted, .block = block, .end = block->bytes};
    return s;
}

enum mf_err mf_array_new(struct mf_heap *heap, struct mf_array *a, enum mf_dtype dtype, int ndim, const size_t *shape,
                         bool zero, struct mf_fault *fault)
{
    char text[MF_ARRAY_TEXT];
    size_t n = mf_array_elements(ndim, shape);
    if (n == SIZE_MAX)
        return mf_fault_set(fault, MF_ELIMIT, "an array of shape %s is too large",
                            mf_array_shape_text(ndim, shape, text));
    size_t bytes = n * mf_dtypes[dtype].size;
    struct mf_block *block = mf_heap_new(heap, bytes, zero);
    struct mf_store *store = block ? new_store(block, true, MF_GUARD_NONE) : NULL;
    if (!store) {
        if (block)
            mf_heap_drop(heap, block);
        return mf_fault_set(fault, MF_ENOMEM, "not enough memory for an array of shape %s and dtype %s",
                            mf_array_shape_text(ndim, shape, text), mf_dtypes[dtype].name);
    }
    a->store = store;
    describe(a, 0, dtype, ndim, shape);
    return MF_OK;
}

enum mf_err mf_array_wrap(struct mf_array *a, struct mf_block *block, size_t offset, enum mf_dtype dtype, int ndim,
                          const size_t *shape, enum mf_guard guard)
{
    struct mf_store *store = new_store(block, false, guard);
    if (!store)
        return MF_ENOMEM;
    mf_block_ref(block);
    a->store = store;
    describe(a, offset, dtype, ndim, shape);
    return MF_OK;
}

struct mf_array mf_array_view(const struct mf_array *a)
{
    a->store->refs++;
    return *a;
}

static void drop_block(struct mf_heap *heap, struct mf_store *s)
{
    if (s->counted)
        mf_heap_drop(heap, s->block);
    else
        mf_block_unref(s->block);
}

void mf_array_release(struct mf_heap *heap, struct mf_array *a)
{
    struct mf_store *s = a->store;
    a->store = NULL;
    if (!s || --s->refs > 0)
        return;
    drop_block(heap, s);
    free(s);
}

/* --- The numbers ------------------------------------------------------------------------------------------------- */

static enum mf_err refuse(const struct mf_store *s, struct mf_fault *fault)
{
    if (s->guard == MF_GUARD_SHARED)
        return mf_fault_set(fault, MF_EINVAL, "shared array is read-only; use :copy()");
    return mf_fault_set(fault, MF_EINVAL, "array mapped from a file is read-only; use :copy()");
}

void *mf_array_own(struct mf_heap *heap, struct mf_array *a, struct mf_fault *fault)
{
    struct mf_store *s = a->store;
    if (s->guard != MF_GUARD_NONE) {
        refuse(s, fault);
        return NULL;
    }
    if (!mf_block_own(s->block)) {
        struct mf_block *copy = mf_heap_new(heap, s->end - s->first, false);
        if (!copy) {
            mf_fault_set(fault, MF_ENOMEM, "not enough memory for a copy of the array before it is changed");
            return NULL;
        }
        memcpy(copy->data, s->block->data + (s->first - s->skip), s->end - s->first);
        drop_block(heap, s);
        s->block = copy;
        s->counted = true;
        s->skip = s->first;
    }
    return s->block->data + (a->offset - s->skip);
}

void mf_array_span(const struct mf_array *a, size_t *first, size_t *end)
{
    size_t size = size_of(a);
    *first = *end = a->offset;
    if (a->count == 0)
        return;
    for (int i = 0; i < a->ndim; i++) {
        size_t reach = (a->shape[i] - 1) * size * (size_t)(a->stride[i] < 0 ? -a->stride[i] : a->stride[i]);
        if (a->stride[i] < 0)
            *first -= reach;
        else
            *end += reach;
    }
    *end += size;
}

void mf_array_narrow(struct mf_array *a)
{
    mf_array_span(a, &a->store->first, &a->store->end);
}

bool mf_array_overlaps(const struct mf_array *a, const struct mf_array *b)
{
    size_t first_a, end_a, first_b, end_b;
    if (a->store->block != b->store->block)
        return false;
    mf_array_span(a, &first_a, &end_a);
    mf_array_span(b, &first_b, &end_b);
    size_t skip_a = a->store->skip, skip_b = b->store->skip;
    return first_a - skip_a < end_b - skip_b && first_b - skip_b < end_a - skip_a;
}

bool mf_array_line(const struct mf_array *a, ptrdiff_t *stride)
{
    ptrdiff_t step = 1, want = 0;
    bool found = false;
    *stride = 1;
    if (a->count == 0)
        return true;
    for (int i = a->ndim - 1; i >= 0; i--) {
        if (a->shape[i] == 1)
            continue;
        if (!found)
            step = want = a->stride[i];
        else if (a->stride[i] != want)
            return false;
        found = true;
        want *= (ptrdiff_t)a->shape[i];
    }
    *stride = step;
    return true;
}

bool mf_array_is_contiguous(const struct mf_array *a)
{
    ptrdiff_t stride;
    return a->count < 2 || (mf_array_line(a, &stride) && stride == 1);
}

bool mf_array_same_shape(const struct mf_array *a, const struct mf_array *b)
{
    return a->ndim == b->ndim && memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof a->shape[0]) == 0;
}

/* --- Views ------------------------------------------------------------------------------------------------------- */

static void move(struct mf_array *a, ptrdiff_t elements)
{
    a->offset += (size_t)(elements * (ptrdiff_t)size_of(a));
}

void mf_array_slice(struct mf_array *a, int axis, size_t first, size_t count, ptrdiff_t step)
{
    if (count > 0)
        move(a, (ptrdiff_t)first * a->stride[axis]);
    a->stride[axis] = (ptrdiff_t)((size_t)a->stride[axis] * (size_t)step);
    a->shape[axis] = count;
    a->count = mf_array_elements(a->ndim, a->shape);
}

void mf_array_pick(struct mf_array *a, int axis, size_t i)
{
    mf_array_slice(a, axis, i, 1, 1);
    if (a->ndim == 1)
        return;
    a->ndim--;
    memmove(a->shape + axis, a->shape + axis + 1, (size_t)(a->ndim - axis) * sizeof a->shape[0]);
    memmove(a->stride + axis, a->stride + axis + 1, (size_t)(a->ndim - axis) * sizeof a->stride[0]);
}

void mf_array_permute(struct mf_array *a, const int *axes)
{
    struct mf_array old = *a;
    for (int i = 0; i < a->ndim; i++) {
        a->shape[i] = old.shape[axes[i]];
        a->stride[i] = old.stride[axes[i]];
    }
}

/* The array's axes without those of one element, and those that lie behind one another as one: how many are left. */
static int merge_axes(const struct mf_array *a, size_t *shape, ptrdiff_t *stride)
{
    int n = 0;
    for (int i = 0; i < a->ndim; i++) {
        if (a->shape[i] == 1)
            continue;
        if (n > 0 && stride[n - 1] == a->stride[i] * (ptrdiff_t)a->shape[i]) {
            shape[n - 1] *= a->shape[i];
            stride[n - 1] = a->stride[i];
        } else {
            shape[n] = a->shape[i];
            stride[n++] = a->stride[i];
        }
    }
    return n;
}

/* Each merged axis must be a run of new axes. */
static bool split_axes(int n, const size_t *shape, const ptrdiff_t *stride, int ndim, const size_t *wanted,
                       ptrdiff_t *out)
{
    int i = ndim - 1;
    for (int k = n - 1; k >= 0; k--) {
        size_t left = shape[k];
        ptrdiff_t step = stride[k];
        for (; i >= 0 && left % wanted[i] == 0 && (left > 1 || wanted[i] == 1); i--) {
            out[i] = step;
            step *= (ptrdiff_t)wanted[i];
            left /= wanted[i];
        }
        if (left != 1)
            return false;
    }
    for (; i >= 0; i--)
        out[i] = 1; /* an axis of one element, or there is but one element */
    return true;
}

bool mf_array_reshape(struct mf_array *a, int ndim, const size_t *wanted)
{
    size_t shape[MF_ARRAY_DIMS];
    ptrdiff_t stride[MF_ARRAY_DIMS], out[MF_ARRAY_DIMS];
    if (a->count == 0) {
        describe(a, a->offset, a->dtype, ndim, wanted);
        return true;
    }
    int n = merge_axes(a, shape, stride);
    if (!split_axes(n, shape, stride, ndim, wanted, out))
        return false;
    a->ndim = ndim;
    memcpy(a->shape, wanted, (size_t)ndim * sizeof *wanted);
    memcpy(a->stride, out, (size_t)ndim * sizeof *out);
    return true;
}

void mf_array_stretch(struct mf_array *a, int ndim, const size_t *shape)
{
    struct mf_array old = *a;
    int more = ndim - old.ndim;
    for (int i = 0; i < ndim; i++) {
        bool there = i >= more && old.shape[i - more] == shape[i];
        a->stride[i] = there ? old.stride[i - more] : 0;
        a->shape[i] = shape[i];
    }
    a->ndim = ndim;
    a->count = mf_array_elements(ndim, shape);
}

/* --- Shapes ------------------------------------------------------------------------------------------------------ */

const char *mf_array_shape_text(int ndim, const size_t *shape, char text[MF_ARRAY_TEXT])
{
    size_t at = 0;
    for (int i = 0; i < ndim && at < MF_ARRAY_TEXT; i++)
        at += (size_t)snprintf(text + at, MF_ARRAY_TEXT - at, "%s%zu", i ? "," : "(", shape[i]);
    if (at + 1 < MF_ARRAY_TEXT)
        memcpy(text + at, ")", 2);
    return text;
}

int mf_array_broadcast(const struct mf_array *a, const struct mf_array *b, size_t *shape, const char *what,
                       struct mf_fault *fault)
{
    char text_a[MF_ARRAY_TEXT], text_b[MF_ARRAY_TEXT];
    int ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    for (int i = 1; i <= ndim; i++) {
        size_t na = i <= a->ndim ? a->shape[a->ndim - i] : 1, nb = i <= b->ndim ? b->shape[b->ndim - i] : 1;
        shape[ndim - i] = na == 1 ? nb : na;
        if (na == nb || na == 1 || nb == 1)
            continue;
        mf_fault_set(fault, MF_EINVAL, "cannot %s shapes %s and %s: axis %d has %zu elements and %zu", what,
                     mf_array_shape_text(a->ndim, a->shape, text_a), mf_array_shape_text(b->ndim, b->shape, text_b),
                     ndim - i + 1, na, nb);
        return -1;
    }
    return ndim;
}
