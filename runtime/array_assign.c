/* Design note: an assignment is a conversion that is run like any operation. Kernels say at which number they stopped, and
 * that is looked up again for the message. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "array_job.h"

/* --- Elements ---------------------------------------------------------------------------------------------------- */

const char *mf_array_place_text(int ndim, const size_t *shape, size_t i, char text[MF_ARRAY_TEXT])
{
    size_t index[MF_ARRAY_DIMS], at = 0;
    for (int k = ndim - 1; k >= 0; k--) {
        index[k] = i % shape[k] + 1;
        i /= shape[k];
    }
    for (int k = 0; k < ndim && at < MF_ARRAY_TEXT; k++)
        at += (size_t)snprintf(text + at, MF_ARRAY_TEXT - at, "%s%zu", k ? "," : "[", index[k]);
    if (at + 1 < MF_ARRAY_TEXT)
        memcpy(text + at, "]", 2);
    return text;
}

struct mf_value mf_array_at(const struct mf_array *a, ptrdiff_t at)
{
    struct mf_value v = {.integer = mf_dtypes[a->dtype].integer};
    const char *p = (const char *)mf_array_data(a) + at * (ptrdiff_t)mf_dtypes[a->dtype].size;
    if (v.integer)
        mf_kernels_cast[a->dtype][MF_I64](&v.whole, 1, p, 1, NULL, 0, 1);
    else
        mf_kernels_cast[a->dtype][MF_F64](&v.real, 1, p, 1, NULL, 0, 1);
    return v;
}

ptrdiff_t mf_array_distance(const struct mf_array *a, size_t i)
{
    ptrdiff_t at = 0;
    for (int k = a->ndim - 1; k >= 0; k--) {
        at += (ptrdiff_t)(i % a->shape[k]) * a->stride[k];
        i /= a->shape[k];
    }
    return at;
}

/* Words for a number that does not fit a dtype. */
static enum mf_err does_not_fit(const struct mf_value *v, enum mf_dtype t, const char *where, struct mf_fault *fault)
{
    if (v->integer)
        return mf_fault_set(fault, MF_EINVAL, "%" PRId64 " does not fit %s%s", v->whole, mf_dtypes[t].name, where);
    if (v->real == floor(v->real) && isfinite(v->real))
        return mf_fault_set(fault, MF_EINVAL, "%.17g does not fit %s%s", v->real, mf_dtypes[t].name, where);
    return mf_fault_set(fault, MF_EINVAL, "%.14g has no integer representation%s", v->real, where);
}

enum mf_err mf_array_put(struct mf_array *a, void *data, ptrdiff_t at, const struct mf_value *v, struct mf_fault *fault)
{
    char *p = (char *)data + at * (ptrdiff_t)mf_dtypes[a->dtype].size;
    size_t good = v->integer ? mf_kernels_cast[MF_I64][a->dtype](p, 1, &v->whole, 1, NULL, 0, 1)
                             : mf_kernels_cast[MF_F64][a->dtype](p, 1, &v->real, 1, NULL, 0, 1);
    return good == 1 ? MF_OK : does_not_fit(v, a->dtype, "", fault);
}

/* --- Assignment -------------------------------------------------------------------------------------------------- */

/* Element number i of out, which x was to be written to, got nothing. */
static enum mf_err refuse(const struct mf_array *out, const struct mf_array *x, size_t i, struct mf_fault *fault)
{
    char place[MF_ARRAY_TEXT], where[MF_ARRAY_TEXT + 16];
    struct mf_array stretched = *x;
    mf_array_stretch(&stretched, out->ndim, out->shape);
    struct mf_value v = mf_array_at(&stretched, mf_array_distance(&stretched, i));
    snprintf(where, sizeof where, " (element %s)", mf_array_place_text(out->ndim, out->shape, i, place));
    return does_not_fit(&v, out->dtype, where, fault);
}

/* Can x be stretched to the shape of out? */
static enum mf_err check_shape(const struct mf_array *out, const struct mf_array *x, struct mf_fault *fault)
{
    char from[MF_ARRAY_TEXT], to[MF_ARRAY_TEXT];
    size_t shape[MF_ARRAY_DIMS];
    int ndim = mf_array_broadcast(out, x, shape, "assign", fault);
    if (ndim == out->ndim && memcmp(shape, out->shape, (size_t)ndim * sizeof *shape) == 0)
        return MF_OK;
    return mf_fault_set(fault, MF_EINVAL, "cannot assign shape %s to shape %s",
                        mf_array_shape_text(x->ndim, x->shape, from), mf_array_shape_text(out->ndim, out->shape, to));
}

/* Numbers must fit before one of them is written. */
static enum mf_err check_number(const struct mf_array *out, const struct mf_value *v, struct mf_fault *fault)
{
    union mf_number room;
    struct mf_array one = *out;
    return mf_array_put(&one, &room, 0, v, fault);
}

enum mf_err mf_array_assign(struct mf_heap *heap, struct mf_array *out, const struct mf_value *x,
                            struct mf_fault *fault)
{
    struct mf_array apart = {0};
    enum mf_err e = x->array ? check_shape(out, x->array, fault) : check_number(out, x, fault);
    if (e == MF_OK && !mf_job_is_safe(out, x)) {
        e = mf_array_convert(heap, x->array, x->array->dtype, &apart, fault);
        if (e == MF_OK)
            e = mf_array_assign(heap, out, &(struct mf_value){.array = &apart}, fault);
        mf_array_release(heap, &apart);
        return e;
    }
    void *data = e == MF_OK ? mf_array_own(heap, out, fault) : NULL;
    if (!data)
        return e == MF_OK ? fault->code : e;
    enum mf_dtype from = x->array ? x->array->dtype : out->dtype;
    struct mf_job j = {.kernel = mf_kernels_cast[from][out->dtype], .n = 2};
    mf_job_give(&j, out, data, out->dtype);
    mf_job_take(&j, 1, x, from);
    size_t done = mf_job_run(&j);
    return done == out->count ? MF_OK : refuse(out, x->array, done, fault);
}

enum mf_err mf_array_convert(struct mf_heap *heap, const struct mf_array *a, enum mf_dtype dtype, struct mf_array *out,
                             struct mf_fault *fault)
{
    enum mf_err e = mf_array_new(heap, out, dtype, a->ndim, a->shape, false, fault);
    if (e == MF_OK)
        e = mf_array_assign(heap, out, &(struct mf_value){.array = a}, fault);
    if (e != MF_OK)
        mf_array_release(heap, out);
    return e;
}

/* --- Bytes ------------------------------------------------------------------------------------------------------- */

/* Between this machine's byte order and little endian, in place. */
static void turn_bytes(unsigned char *p, size_t n, size_t size)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (; n > 0; n--, p += size)
        for (size_t i = 0; i < size / 2; i++) {
            unsigned char t = p[i];
            p[i] = p[size - 1 - i];
            p[size - 1 - i] = t;
        }
#else
    (void)p, (void)n, (void)size;
#endif
}

/* Lines are copied as they are, so the bytes need no alignment. */
void mf_array_pack(const struct mf_array *a, unsigned char *bytes)
{
    struct mf_walk w;
    size_t size = mf_dtypes[a->dtype].size;
    unsigned char *to = bytes;
    const struct mf_operand operand = {a, mf_array_data(a), 0};
    for (bool more = mf_walk_begin(&w, a->ndim, a->shape, &operand, 1); more;
         more = mf_walk_next(&w), to += w.n * size) {
        if (w.step[0] == 1)
            memcpy(to, w.at[0], w.n * size);
        else
            for (size_t i = 0; i < w.n; i++)
                memcpy(to + i * size, w.at[0] + (ptrdiff_t)i * w.step[0] * (ptrdiff_t)size, size);
    }
    turn_bytes(bytes, a->count, size);
}

void mf_array_unpack(const struct mf_array *a, void *data, const unsigned char *bytes)
{
    size_t size = mf_dtypes[a->dtype].size;
    memcpy(data, bytes, a->count * size);
    turn_bytes(data, a->count, size);
}

/* --- Selection --------------------------------------------------------------------------------------------------- */

#define CHOICE(NAME, T)                                                                                                \
    MF_KERNEL static size_t NAME(void *out, ptrdiff_t so, const void *in_a, ptrdiff_t sa, const void *in_b,            \
                                 ptrdiff_t sb, size_t n)                                                               \
    {                                                                                                                  \
        T *o = out;                                                                                                    \
        const T *a = in_a;                                                                                             \
        const uint8_t *chosen = in_b;                                                                                  \
        for (size_t i = 0; i < n; i++)                                                                                 \
            if (chosen[(ptrdiff_t)i * sb])                                                                             \
                o[(ptrdiff_t)i * so] = a[(ptrdiff_t)i * sa];                                                           \
        return n;                                                                                                      \
    }

CHOICE(choose_f64, double)
CHOICE(choose_f32, float)
CHOICE(choose_i64, int64_t)
CHOICE(choose_i32, int32_t)
CHOICE(choose_u8, uint8_t)

static mf_kernel *const choices[MF_DTYPES] = {
    [MF_F64] = choose_f64, [MF_F32] = choose_f32, [MF_I64] = choose_i64, [MF_I32] = choose_i32, [MF_U8] = choose_u8};

/* The dtype that two values meet in; two numbers: i64 or f64. */
static enum mf_dtype meeting(const struct mf_value *x, const struct mf_value *y)
{
    if (!x->array && !y->array)
        return x->integer && y->integer ? MF_I64 : MF_F64;
    const struct mf_value *v = x->array ? y : x;
    enum mf_dtype t = x->array ? x->array->dtype : y->array->dtype;
    if (v->array)
        return mf_dtype_meet(t, v->array->dtype);
    return v->integer || !mf_dtypes[t].integer ? t : MF_F64;
}

/* The shape of all three. */
static int common_shape(const struct mf_array *c, const struct mf_value *x, const struct mf_value *y, size_t *shape,
                        struct mf_fault *fault)
{
    struct mf_array all = *c;
    const struct mf_array *others[] = {x->array, y->array};
    for (int i = 0; i < 2; i++) {
        int ndim = others[i] ? mf_array_broadcast(&all, others[i], shape, "choose from", fault) : all.ndim;
        if (ndim < 0)
            return -1;
        if (others[i])
            mf_array_stretch(&all, ndim, shape);
    }
    memcpy(shape, all.shape, (size_t)all.ndim * sizeof *shape);
    return all.ndim;
}

/* Whether an element is not zero, as u8. */
static enum mf_err truths(struct mf_heap *heap, const struct mf_array *a, struct mf_array *out, struct mf_fault *fault)
{
    if (a->dtype != MF_U8)
        return mf_array_binary(heap, MF_NE, &(struct mf_value){.array = a}, &(struct mf_value){.integer = true}, out,
                               fault);
    *out = mf_array_view(a);
    return MF_OK;
}

enum mf_err mf_array_where(struct mf_heap *heap, const struct mf_array *condition, const struct mf_value *x,
                           const struct mf_value *y, struct mf_array *out, struct mf_fault *fault)
{
    size_t shape[MF_ARRAY_DIMS];
    struct mf_array chosen = {0};
    enum mf_dtype t = meeting(x, y);
    int ndim = common_shape(condition, x, y, shape, fault);
    if (ndim < 0)
        return MF_EINVAL;
    enum mf_err e = mf_array_new(heap, out, t, ndim, shape, false, fault);
    if (e != MF_OK)
        return e;
    if ((x->array || (e = check_number(out, x, fault)) == MF_OK) &&
        (e = mf_array_assign(heap, out, y, fault)) == MF_OK && (e = truths(heap, condition, &chosen, fault)) == MF_OK) {
        struct mf_job j = {.kernel = choices[t], .n = 3};
        mf_job_give(&j, out, mf_array_own(heap, out, fault), t);
        mf_job_take(&j, 1, x, t);
        mf_job_take(&j, 2, &(struct mf_value){.array = &chosen}, MF_U8);
        mf_job_run(&j);
    }
    mf_array_release(heap, &chosen);
    if (e != MF_OK)
        mf_array_release(heap, out);
    return e;
}
