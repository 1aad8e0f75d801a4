/* Design note: an operation is a kernel (array_arith.c, array_func.c), the dtype that its operands meet in, and a job that
 * runs the one over the other. A result that would overwrite what is still to be read is made apart. */
#include "array_ops.h"

#include <string.h>

#include "array_job.h"

enum rule {
    SAME,    /* as the operands meet */
    REAL,    /* the same, but a float */
    WHOLE,   /* the same, and no float */
    COMPARE, /* as the operands meet, and gives u8 */
    LIBRARY, /* done in f64, gives the operand's float dtype */
    TEST,    /* done in the operand's dtype, gives u8 */
};

struct info {
    const char *name;
    enum rule rule;
};

static const struct info binaries[MF_BINARIES] = {
    [MF_ADD] = {"add", SAME},       [MF_SUB] = {"subtract", SAME},    [MF_MUL] = {"multiply", SAME},
    [MF_DIV] = {"divide", REAL},    [MF_IDIV] = {"divide", SAME},     [MF_MOD] = {"take modulo of", SAME},
    [MF_POW] = {"raise", REAL},     [MF_MINIMUM] = {"compare", SAME}, [MF_MAXIMUM] = {"compare", SAME},
    [MF_ATAN2] = {"combine", REAL}, [MF_BAND] = {"combine", WHOLE},   [MF_BOR] = {"combine", WHOLE},
    [MF_BXOR] = {"combine", WHOLE}, [MF_EQ] = {"compare", COMPARE},   [MF_NE] = {"compare", COMPARE},
    [MF_LT] = {"compare", COMPARE}, [MF_LE] = {"compare", COMPARE},   [MF_GT] = {"compare", COMPARE},
    [MF_GE] = {"compare", COMPARE},
};

static const enum rule unaries[MF_UNARIES] = {
    [MF_NEG] = SAME,      [MF_ABS] = SAME,      [MF_SIGN] = SAME,     [MF_BNOT] = WHOLE,   [MF_SQRT] = REAL,
    [MF_FLOOR] = SAME,    [MF_CEIL] = SAME,     [MF_TRUNC] = SAME,    [MF_ROUND] = SAME,   [MF_ISNAN] = TEST,
    [MF_ISFINITE] = TEST, [MF_EXP] = LIBRARY,   [MF_EXPM1] = LIBRARY, [MF_LOG] = LIBRARY,  [MF_LOG1P] = LIBRARY,
    [MF_LOG2] = LIBRARY,  [MF_LOG10] = LIBRARY, [MF_SIN] = LIBRARY,   [MF_COS] = LIBRARY,  [MF_TAN] = LIBRARY,
    [MF_ASIN] = LIBRARY,  [MF_ACOS] = LIBRARY,  [MF_ATAN] = LIBRARY,  [MF_SINH] = LIBRARY, [MF_COSH] = LIBRARY,
    [MF_TANH] = LIBRARY,
};

/* --- Types ------------------------------------------------------------------------------------------------------- */

enum mf_dtype mf_dtype_meet(enum mf_dtype a, enum mf_dtype b)
{
    if (a == b)
        return a;
    if (a > b) { /* the enum is in falling order of width */
        enum mf_dtype t = a;
        a = b;
        b = t;
    }
    return a == MF_F32 && b != MF_U8 ? MF_F64 : a;
}

static enum mf_dtype real(enum mf_dtype t)
{
    return mf_dtypes[t].integer ? MF_F64 : t;
}

static bool fits(int64_t n, enum mf_dtype t)
{
    return !mf_dtypes[t].integer || (n >= mf_dtypes[t].least && n <= mf_dtypes[t].most);
}

/* The dtype in which an operand and the dtype t of an array meet. */
static enum mf_dtype meet_value(enum mf_dtype t, const struct mf_value *v)
{
    if (v->array)
        return mf_dtype_meet(t, v->array->dtype);
    return v->integer ? t : real(t);
}

static enum mf_err too_large(const struct mf_value *v, enum mf_dtype t, struct mf_fault *fault)
{
    return mf_fault_set(fault, MF_EINVAL, "%lld does not fit %s; convert the array with :as(\"i64\")",
                        (long long)v->whole, mf_dtypes[t].name);
}

/* The dtype that a binary operation is done in, or MF_DTYPES and a fault. */
static enum mf_dtype work_dtype(enum rule rule, const struct mf_value *x, const struct mf_value *y,
                                struct mf_fault *fault)
{
    const struct mf_value *number = x->array ? y : x;
    enum mf_dtype t = x->array ? meet_value(x->array->dtype, y) : meet_value(y->array->dtype, x);
    if (rule == REAL)
        return real(t);
    if (rule == WHOLE && !mf_dtypes[t].integer) {
        mf_fault_set(fault, MF_EINVAL, "bits can be combined in arrays of integers only, not in %s", mf_dtypes[t].name);
        return MF_DTYPES;
    }
    if (number->array || !number->integer || fits(number->whole, t))
        return t;
    if (rule == COMPARE)
        return MF_I64;
    too_large(number, t, fault);
    return MF_DTYPES;
}

/* --- Results ----------------------------------------------------------------------------------------------------- */

/* A result of that shape: out as it is given, checked; or a new one. */
static enum mf_err take_result(struct mf_heap *heap, struct mf_array *out, enum mf_dtype dtype, int ndim,
                               const size_t *shape, struct mf_fault *fault)
{
    char want[MF_ARRAY_TEXT], is[MF_ARRAY_TEXT];
    if (!out->store)
        return mf_array_new(heap, out, dtype, ndim, shape, false, fault);
    if (out->ndim != ndim || memcmp(out->shape, shape, (size_t)ndim * sizeof *shape) != 0)
        return mf_fault_set(fault, MF_EINVAL, "the result has shape %s, and the array for it %s",
                            mf_array_shape_text(ndim, shape, want), mf_array_shape_text(out->ndim, out->shape, is));
    if (out->dtype != dtype)
        return mf_fault_set(fault, MF_EINVAL, "the result has dtype %s, and the array for it %s", mf_dtypes[dtype].name,
                            mf_dtypes[out->dtype].name);
    return MF_OK;
}

static enum mf_err divided_by_zero(enum mf_binary op, const struct mf_array *out, size_t i, struct mf_fault *fault)
{
    char text[MF_ARRAY_TEXT];
    return mf_fault_set(fault, MF_EINVAL, "attempt to perform 'n%s0' (element %s)", op == MF_IDIV ? "//" : "%%",
                        mf_array_place_text(out->ndim, out->shape, i, text));
}

/* --- Binary ------------------------------------------------------------------------------------------------------ */

static enum mf_dtype result_dtype(enum rule rule, enum mf_dtype work)
{
    return rule == COMPARE || rule == TEST ? MF_U8 : work;
}

/* The shape of the result of two operands, of which one at least is an array. */
static int result_shape(const struct mf_value *x, const struct mf_value *y, size_t *shape, const char *what,
                        struct mf_fault *fault)
{
    if (x->array && y->array)
        return mf_array_broadcast(x->array, y->array, shape, what, fault);
    const struct mf_array *a = x->array ? x->array : y->array;
    memcpy(shape, a->shape, (size_t)a->ndim * sizeof *shape);
    return a->ndim;
}

/* Into out, which may be written while the operands are read. */
static enum mf_err compute(struct mf_heap *heap, enum mf_binary op, enum mf_dtype work, const struct mf_value *x,
                           const struct mf_value *y, struct mf_array *out, struct mf_fault *fault)
{
    struct mf_job j = {.kernel = mf_kernels_binary[op][work], .n = 3};
    void *data = mf_array_own(heap, out, fault); /* first: it may move what x and y show */
    if (!data)
        return fault->code;
    mf_job_give(&j, out, data, out->dtype);
    mf_job_take(&j, 1, x, work);
    mf_job_take(&j, 2, y, work);
    size_t done = mf_job_run(&j);
    return done == out->count ? MF_OK : divided_by_zero(op, out, done, fault);
}

/* Copies a into out, and lets go of it. */
static enum mf_err move_to(struct mf_heap *heap, struct mf_array *out, struct mf_array *a, struct mf_fault *fault)
{
    enum mf_err e = mf_array_assign(heap, out, &(struct mf_value){.array = a}, fault);
    mf_array_release(heap, a);
    return e;
}

enum mf_err mf_array_binary(struct mf_heap *heap, enum mf_binary op, const struct mf_value *x, const struct mf_value *y,
                            struct mf_array *out, struct mf_fault *fault)
{
    size_t shape[MF_ARRAY_DIMS];
    struct mf_array apart = {0};
    enum rule rule = binaries[op].rule;
    bool given = out->store != NULL;
    enum mf_dtype work = work_dtype(rule, x, y, fault);
    int ndim = work == MF_DTYPES ? -1 : result_shape(x, y, shape, binaries[op].name, fault);
    if (ndim < 0)
        return MF_EINVAL;
    enum mf_err e = take_result(heap, out, result_dtype(rule, work), ndim, shape, fault);
    if (e == MF_OK && given && (!mf_job_is_safe(out, x) || !mf_job_is_safe(out, y))) {
        e = mf_array_binary(heap, op, x, y, &apart, fault);
        return e == MF_OK ? move_to(heap, out, &apart, fault) : e;
    }
    if (e == MF_OK)
        e = compute(heap, op, work, x, y, out, fault);
    if (e != MF_OK && !given)
        mf_array_release(heap, out);
    return e;
}

/* --- Unary ------------------------------------------------------------------------------------------------------- */

/* The dtypes in which a function is computed, which its kernel gives, and of the result. False and a fault when there is no
 * such function. */
static bool unary_dtypes(enum mf_unary op, enum mf_dtype t, enum mf_dtype dtypes[3], struct mf_fault *fault)
{
    enum rule rule = unaries[op];
    if (rule == WHOLE && !mf_dtypes[t].integer) {
        mf_fault_set(fault, MF_EINVAL, "bits can be turned over in arrays of integers only, not in %s",
                     mf_dtypes[t].name);
        return false;
    }
    dtypes[0] = rule == LIBRARY ? MF_F64 : rule == REAL ? real(t) : t;
    dtypes[1] = result_dtype(rule, dtypes[0]);
    dtypes[2] = rule == LIBRARY ? real(t) : dtypes[1];
    return true;
}

enum mf_err mf_array_unary(struct mf_heap *heap, enum mf_unary op, const struct mf_array *x, struct mf_array *out,
                           struct mf_fault *fault)
{
    enum mf_dtype dtypes[3];
    struct mf_array apart = {0};
    const struct mf_value value = {.array = x};
    bool given = out->store != NULL;
    if (!unary_dtypes(op, x->dtype, dtypes, fault))
        return MF_EINVAL;
    enum mf_err e = take_result(heap, out, dtypes[2], x->ndim, x->shape, fault);
    if (e == MF_OK && given && !mf_job_is_safe(out, &value)) {
        e = mf_array_unary(heap, op, x, &apart, fault);
        return e == MF_OK ? move_to(heap, out, &apart, fault) : e;
    }
    void *data = e == MF_OK ? mf_array_own(heap, out, fault) : NULL;
    if (!data)
        return e == MF_OK ? fault->code : e;
    struct mf_job j = {.kernel = mf_kernels_unary[op][dtypes[0]], .n = 2};
    mf_job_give(&j, out, data, dtypes[1]);
    mf_job_take(&j, 1, &value, dtypes[0]);
    mf_job_run(&j);
    return MF_OK;
}
