/* Design note: taking works on an array as three axes: those outside of the one that is taken along, that one, and those
 * inside, which are copied as one piece; an array that does not lie so is copied first. */
#include "array_select.h"

#include <inttypes.h>
#include <string.h>

/* --- Places ------------------------------------------------------------------------------------------------------ */

/* Is an element of a contiguous array zero? */
static bool is_zero(const struct mf_array *flat, const void *data, size_t i)
{
    switch (flat->dtype) {
    case MF_F64:
        return ((const double *)data)[i] == 0;
    case MF_F32:
        return ((const float *)data)[i] == 0;
    case MF_I64:
        return ((const int64_t *)data)[i] == 0;
    case MF_I32:
        return ((const int32_t *)data)[i] == 0;
    default:
        return ((const uint8_t *)data)[i] == 0;
    }
}

static void write_places(const struct mf_array *flat, int64_t *out)
{
    const void *data = mf_array_data(flat);
    for (size_t i = 0; i < flat->count; i++) {
        if (is_zero(flat, data, i))
            continue;
        size_t rest = i;
        for (int k = flat->ndim - 1; k >= 0; k--) {
            out[k] = (int64_t)(rest % flat->shape[k]) + 1;
            rest /= flat->shape[k];
        }
        out += flat->ndim;
    }
}

/* a itself (another view) if it is contiguous, else a copy that is. */
static enum mf_err contiguous(struct mf_heap *heap, const struct mf_array *a, struct mf_array *out,
                              struct mf_fault *fault)
{
    if (!mf_array_is_contiguous(a))
        return mf_array_convert(heap, a, a->dtype, out, fault);
    *out = mf_array_view(a);
    return MF_OK;
}

enum mf_err mf_array_places(struct mf_heap *heap, const struct mf_array *a, struct mf_array *out,
                            struct mf_fault *fault)
{
    struct mf_array flat = {0};
    size_t shape[2] = {0, (size_t)a->ndim};
    enum mf_err e = contiguous(heap, a, &flat, fault);
    if (e != MF_OK)
        return e;
    for (size_t i = 0; i < flat.count; i++)
        shape[0] += !is_zero(&flat, mf_array_data(&flat), i);
    e = mf_array_new(heap, out, MF_I64, a->ndim > 1 ? 2 : 1, shape, false, fault);
    if (e == MF_OK)
        write_places(&flat, mf_array_own(heap, out, fault));
    mf_array_release(heap, &flat);
    return e;
}

/* --- Taking ------------------------------------------------------------------------------------------------------ */

/* Places from 0, checked: places has integers of i64, contiguous. */
static enum mf_err check_places(const int64_t *place, size_t n, size_t extent, int axis, struct mf_fault *fault)
{
    for (size_t i = 0; i < n; i++) {
        int64_t from_one = place[i] < 0 ? place[i] + (int64_t)extent + 1 : place[i];
        if (from_one < 1 || from_one > (int64_t)extent)
            return mf_fault_set(fault, MF_EINVAL,
                                "place %" PRId64 " (the %zu. of %zu) is out of range: axis %d has %zu elements",
                                place[i], i + 1, n, axis + 1, extent);
    }
    return MF_OK;
}

static size_t start_of(int64_t place, size_t extent)
{
    return (size_t)(place < 0 ? place + (int64_t)extent : place - 1);
}

#define TAKE(T)                                                                                                        \
    do {                                                                                                               \
        const T *in = (const void *)from;                                                                              \
        T *out = (void *)to;                                                                                           \
        for (size_t i = 0; i < n; i++)                                                                                 \
            out[i] = in[start_of(place[i], extent)];                                                                   \
    } while (0)

/* n pieces of `bytes` bytes. */
static void take_pieces(char *to, const char *from, const int64_t *place, size_t n, size_t extent, size_t bytes)
{
    if (bytes == 8)
        TAKE(uint64_t);
    else if (bytes == 4)
        TAKE(uint32_t);
    else if (bytes == 1)
        TAKE(uint8_t);
    else
        for (size_t i = 0; i < n; i++)
            memcpy(to + i * bytes, from + start_of(place[i], extent) * bytes, bytes);
}

static enum mf_err take_flat(struct mf_heap *heap, const struct mf_array *flat, const int64_t *place, size_t n,
                             int axis, struct mf_array *out, struct mf_fault *fault)
{
    size_t shape[MF_ARRAY_DIMS], extent = flat->shape[axis], bytes = mf_dtypes[flat->dtype].size;
    memcpy(shape, flat->shape, sizeof shape);
    shape[axis] = n;
    enum mf_err e = mf_array_new(heap, out, flat->dtype, flat->ndim, shape, false, fault);
    if (e != MF_OK)
        return e;
    char *to = mf_array_own(heap, out, fault);
    const char *from = mf_array_data(flat);
    for (int k = axis + 1; k < flat->ndim; k++)
        bytes *= flat->shape[k];
    size_t outer = mf_array_elements(axis, shape);
    for (size_t i = 0; bytes > 0 && i < outer; i++)
        take_pieces(to + i * n * bytes, from + i * extent * bytes, place, n, extent, bytes);
    return MF_OK;
}

enum mf_err mf_array_take(struct mf_heap *heap, const struct mf_array *a, const struct mf_array *places, int axis,
                          struct mf_array *out, struct mf_fault *fault)
{
    struct mf_array flat = {0}, where = {0};
    char text[MF_ARRAY_TEXT];
    if (places->ndim != 1)
        return mf_fault_set(fault, MF_EINVAL, "places must have one dimension, not shape %s",
                            mf_array_shape_text(places->ndim, places->shape, text));
    enum mf_err e = mf_array_convert(heap, places, MF_I64, &where, fault);
    if (e != MF_OK)
        return e;
    const int64_t *place = mf_array_data(&where);
    e = check_places(place, where.count, a->shape[axis], axis, fault);
    if (e == MF_OK)
        e = contiguous(heap, a, &flat, fault);
    if (e == MF_OK)
        e = take_flat(heap, &flat, place, where.count, axis, out, fault);
    mf_array_release(heap, &flat);
    mf_array_release(heap, &where);
    return e;
}

enum mf_err mf_array_filter(struct mf_heap *heap, const struct mf_array *a, const struct mf_array *mask,
                            struct mf_array *out, struct mf_fault *fault)
{
    struct mf_array flat = {0}, line = {0}, places = {0};
    char text_a[MF_ARRAY_TEXT], text_mask[MF_ARRAY_TEXT];
    bool rows = mask->ndim == 1 && mask->shape[0] == a->shape[0];
    if (!rows && !mf_array_same_shape(a, mask))
        return mf_fault_set(fault, MF_EINVAL, "cannot filter shape %s with a mask of shape %s",
                            mf_array_shape_text(a->ndim, a->shape, text_a),
                            mf_array_shape_text(mask->ndim, mask->shape, text_mask));
    enum mf_err e = contiguous(heap, a, &flat, fault);
    if (e == MF_OK)
        e = contiguous(heap, mask, &line, fault);
    if (e == MF_OK && !rows) {
        mf_array_reshape(&flat, 1, &flat.count);
        mf_array_reshape(&line, 1, &line.count);
    }
    if (e == MF_OK)
        e = mf_array_places(heap, &line, &places, fault);
    if (e == MF_OK)
        e = mf_array_take(heap, &flat, &places, 0, out, fault);
    mf_array_release(heap, &flat);
    mf_array_release(heap, &line);
    mf_array_release(heap, &places);
    return e;
}

/* --- One behind the other ---------------------------------------------------------------------------------------- */

/* Can b follow a along the axis? */
static enum mf_err check_part(const struct mf_array *a, const struct mf_array *b, size_t i, int axis,
                              struct mf_fault *fault)
{
    char text_a[MF_ARRAY_TEXT], text_b[MF_ARRAY_TEXT];
    bool agree = a->ndim == b->ndim;
    for (int k = 0; agree && k < a->ndim; k++)
        agree = k == axis || a->shape[k] == b->shape[k];
    if (agree)
        return MF_OK;
    return mf_fault_set(fault, MF_EINVAL,
                        "cannot put shapes %s and %s (the %zu. array) one behind the other along axis %d",
                        mf_array_shape_text(a->ndim, a->shape, text_a), mf_array_shape_text(b->ndim, b->shape, text_b),
                        i + 1, axis + 1);
}

enum mf_err mf_array_concatenate(struct mf_heap *heap, const struct mf_array *const *parts, size_t n, int axis,
                                 struct mf_array *out, struct mf_fault *fault)
{
    size_t shape[MF_ARRAY_DIMS], at = 0;
    enum mf_dtype dtype = parts[0]->dtype;
    memcpy(shape, parts[0]->shape, sizeof shape);
    for (size_t i = 1; i < n; i++) {
        enum mf_err e = check_part(parts[0], parts[i], i, axis, fault);
        if (e != MF_OK)
            return e;
        dtype = mf_dtype_meet(dtype, parts[i]->dtype);
        shape[axis] += parts[i]->shape[axis];
    }
    enum mf_err e = mf_array_new(heap, out, dtype, parts[0]->ndim, shape, false, fault);
    for (size_t i = 0; e == MF_OK && i < n; i++) {
        struct mf_array place = *out;
        mf_array_slice(&place, axis, at, parts[i]->shape[axis], 1);
        e = mf_array_assign(heap, &place, &(struct mf_value){.array = parts[i]}, fault);
        at += parts[i]->shape[axis];
    }
    return e;
}
