/* Design note: a reduction reads blocks of doubles or of 64-bit integers, in place where the array has them so, else
 * gathered into a buffer. The partial results of the blocks stand in a stack in which two neighbours of the same weight
 * are joined at once, like the digits of a binary counter: at the end it holds one for each bit of the number of
 * blocks.
 *
 * Along an axis whose elements lie apart, several lines next to each other are reduced at a time, so that what the
 * processor fetches with the first is used for the others. */
#include "array_reduce.h"

#include <math.h>
#include <string.h>

#include "array_job.h"
#include "array_walk.h"

#define BLOCK  MF_REDUCE_BLOCK
#define LEVELS 56 /* of joined blocks */
#define TILE   8  /* lines at a time */

static const char *const names[MF_REDUCTIONS] = {
    [MF_SUM] = "sum", [MF_PROD] = "prod",   [MF_MEAN] = "mean",     [MF_VAR] = "var",
    [MF_SD] = "sd",   [MF_MIN] = "min",     [MF_MAX] = "max",       [MF_ANY] = "any",
    [MF_ALL] = "all", [MF_COUNT] = "count", [MF_ARGMIN] = "argmin", [MF_ARGMAX] = "argmax",
};

const char *mf_reduction_name(enum mf_reduction op)
{
    return names[op];
}

/* A block's numbers. */
union block {
    double reals[BLOCK];
    int64_t integers[BLOCK];
};

/* --- Joining ----------------------------------------------------------------------------------------------------- */

struct pile {
    const struct mf_partial_table *table;
    bool integers; /* blocks are of integers */
    size_t blocks, n;
    int depth;
    struct mf_partial parts[LEVELS];
};

static void begin(struct pile *p, enum mf_reduction op, enum mf_dtype dtype)
{
    p->table = &mf_partials[op];
    p->integers = mf_dtypes[dtype].integer && p->table->integers;
    p->blocks = p->n = 0;
    p->depth = 0;
}

static void join_top(struct pile *p)
{
    struct mf_partial *low = &p->parts[p->depth - 2], *high = low + 1;
    p->table->join(low, high);
    low->n += high->n;
    p->depth--;
}

static void add_block(struct pile *p, const void *block, size_t n)
{
    struct mf_partial *part = &p->parts[p->depth++];
    memset(part, 0, sizeof *part);
    part->n = n;
    if (p->integers)
        p->table->integers(part, block, n, p->n);
    else
        p->table->reals(part, block, n, p->n);
    p->n += n;
    for (size_t weight = ++p->blocks; weight % 2 == 0; weight /= 2)
        join_top(p);
}

/* What all blocks come to; NULL of none. */
static const struct mf_partial *end(struct pile *p)
{
    while (p->depth > 1)
        join_top(p);
    return p->depth ? &p->parts[0] : NULL;
}

static void finish_spread(enum mf_reduction op, const struct mf_partial *p, double ddof, struct mf_value *out)
{
    double n = p ? (double)p->n : 0;
    out->real = n - ddof > 0 ? p->b / (n - ddof) : NAN;
    if (op == MF_SD)
        out->real = sqrt(out->real);
}

/* The result of a pile. */
static void finish(enum mf_reduction op, struct pile *pile, double ddof, struct mf_value *out)
{
    const struct mf_partial *p = end(pile);
    *out = (struct mf_value){.integer = pile->integers};
    switch (op) {
    case MF_MEAN:
        out->real = p ? p->a / (double)p->n : NAN;
        break;
    case MF_VAR:
    case MF_SD:
        finish_spread(op, p, ddof, out);
        break;
    case MF_ARGMIN:
    case MF_ARGMAX:
        *out = (struct mf_value){.integer = true, .whole = (int64_t)p->at + 1};
        break;
    case MF_ANY:
    case MF_ALL:
        *out =
            (struct mf_value){.integer = true, .whole = op == MF_ANY ? p && p->whole : !p || p->whole == (int64_t)p->n};
        break;
    case MF_COUNT:
        *out = (struct mf_value){.integer = true, .whole = p ? p->whole : 0};
        break;
    default:
        out->real = p ? p->a : op == MF_PROD;
        out->whole = p ? p->whole : op == MF_PROD;
    }
}

static enum mf_err check(enum mf_reduction op, size_t n, struct mf_fault *fault)
{
    bool extreme = op == MF_MIN || op == MF_MAX || op == MF_ARGMIN || op == MF_ARGMAX;
    return extreme && n == 0 ? mf_fault_set(fault, MF_EINVAL, "there is no %s of no elements", names[op]) : MF_OK;
}

/* --- One line ---------------------------------------------------------------------------------------------------- */

/* May blocks be read where they are? */
static bool in_place(const struct pile *p, enum mf_dtype dtype, ptrdiff_t stride)
{
    return stride == 1 && dtype == (p->integers ? MF_I64 : MF_F64);
}

static void gather(const struct pile *p, enum mf_dtype dtype, void *block, const char *at, ptrdiff_t stride, size_t n)
{
    mf_kernels_cast[dtype][p->integers ? MF_I64 : MF_F64](block, 1, at, stride, NULL, 0, n);
}

/* Adds n elements at one distance; whole blocks, but for the last. */
static void add_line(struct pile *p, enum mf_dtype dtype, const char *at, ptrdiff_t stride, size_t n)
{
    union block block;
    ptrdiff_t bytes = stride * (ptrdiff_t)mf_dtypes[dtype].size;
    bool here = in_place(p, dtype, stride);
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t size = n - i < BLOCK ? n - i : BLOCK;
        const char *from = at + (ptrdiff_t)i * bytes;
        if (!here)
            gather(p, dtype, &block, from, stride, size);
        add_block(p, here ? (const void *)from : &block, size);
    }
}

/* Adds all elements of an array whose elements do not lie at one distance: blocks go over the ends of lines. */
static void add_lines(struct pile *p, const struct mf_array *a)
{
    union block block;
    struct mf_walk w;
    size_t filled = 0;
    const struct mf_operand operand = {a, mf_array_data(a), 0};
    bool more = mf_walk_begin(&w, a->ndim, a->shape, &operand, 1);
    for (; more; more = mf_walk_next(&w)) {
        for (size_t i = 0; i < w.n;) {
            size_t size = w.n - i < BLOCK - filled ? w.n - i : BLOCK - filled;
            gather(p, a->dtype, block.reals + filled,
                   w.at[0] + (ptrdiff_t)i * w.step[0] * (ptrdiff_t)mf_dtypes[a->dtype].size, w.step[0], size);
            filled += size;
            i += size;
            if (filled == BLOCK) {
                add_block(p, &block, filled);
                filled = 0;
            }
        }
    }
    if (filled > 0)
        add_block(p, &block, filled);
}

enum mf_err mf_array_reduce_all(enum mf_reduction op, const struct mf_array *a, double ddof, struct mf_value *out,
                                struct mf_fault *fault)
{
    struct pile pile;
    ptrdiff_t stride;
    enum mf_err e = check(op, a->count, fault);
    if (e != MF_OK)
        return e;
    begin(&pile, op, a->dtype);
    if (mf_array_line(a, &stride))
        add_line(&pile, a->dtype, mf_array_data(a), stride, a->count);
    else
        add_lines(&pile, a);
    finish(op, &pile, ddof, out);
    return MF_OK;
}

/* --- Along an axis ----------------------------------------------------------------------------------------------- */

static enum mf_dtype result_dtype(enum mf_reduction op, enum mf_dtype t)
{
    switch (op) {
    case MF_MIN:
    case MF_MAX:
        return t;
    case MF_ANY:
    case MF_ALL:
        return MF_U8;
    case MF_ARGMIN:
    case MF_ARGMAX:
    case MF_COUNT:
        return MF_I64;
    case MF_SUM:
    case MF_PROD:
        return mf_dtypes[t].integer ? MF_I64 : MF_F64;
    default:
        return MF_F64;
    }
}

/* A reduction along an axis on its way. */
struct along {
    enum mf_reduction op;
    double ddof;
    enum mf_dtype dtype;
    size_t n;         /* elements of a line */
    ptrdiff_t stride; /* elements from one to the next */
    ptrdiff_t beside; /* elements from a line to the next */
    struct mf_array *out;
    char *data; /* out's */
};

/* Reduces lines up to TILE at a time: those that begin at `at`, into out from element number `to` on. */
static void reduce_tile(const struct along *r, const char *at, size_t lines, size_t to)
{
    struct pile piles[TILE];
    struct mf_value v;
    struct mf_fault fault;
    union block block;
    ptrdiff_t size = mf_dtypes[r->dtype].size;
    for (size_t k = 0; k < lines; k++)
        begin(&piles[k], r->op, r->dtype);
    for (size_t i = 0; i < r->n; i += BLOCK) {
        size_t n = r->n - i < BLOCK ? r->n - i : BLOCK;
        for (size_t k = 0; k < lines; k++) {
            const char *from = at + ((ptrdiff_t)i * r->stride + (ptrdiff_t)k * r->beside) * size;
            bool here = in_place(&piles[k], r->dtype, r->stride);
            if (!here)
                gather(&piles[k], r->dtype, &block, from, r->stride, n);
            add_block(&piles[k], here ? (const void *)from : &block, n);
        }
    }
    for (size_t k = 0; k < lines; k++) {
        finish(r->op, &piles[k], r->ddof, &v);
        mf_array_put(r->out, r->data, (ptrdiff_t)(to + k), &v, &fault); /* fits: of the reduction's own dtype */
    }
}

/* All lines; rest: the array without the axis. */
static void reduce_lines(struct along *r, const struct mf_array *rest)
{
    struct mf_walk w;
    const struct mf_operand operand = {rest, mf_array_data(rest), 0};
    size_t done = 0, tile = r->stride == 1 ? 1 : TILE;
    bool more = mf_walk_begin(&w, rest->ndim, rest->shape, &operand, 1);
    for (; more; more = mf_walk_next(&w)) {
        r->beside = w.step[0];
        for (size_t i = 0, lines; i < w.n; i += lines, done += lines) {
            lines = w.n - i < tile ? w.n - i : tile;
            reduce_tile(r, w.at[0] + (ptrdiff_t)i * w.step[0] * (ptrdiff_t)mf_dtypes[r->dtype].size, lines, done);
        }
    }
}

/* The array without an axis; one that has no other keeps one element. */
static struct mf_array without_axis(const struct mf_array *a, int axis)
{
    struct mf_array rest = *a;
    if (a->shape[axis] > 0) {
        mf_array_pick(&rest, axis, 0);
        return rest;
    }
    rest.shape[axis] = 1; /* what is not read has any stride */
    mf_array_pick(&rest, axis, 0);
    rest.count = mf_array_elements(rest.ndim, rest.shape);
    return rest;
}

enum mf_err mf_array_reduce_axis(struct mf_heap *heap, enum mf_reduction op, const struct mf_array *a, int axis,
                                 double ddof, struct mf_array *out, struct mf_fault *fault)
{
    struct mf_array rest = without_axis(a, axis);
    enum mf_err e = rest.count > 0 ? check(op, a->shape[axis], fault) : MF_OK;
    if (e == MF_OK)
        e = mf_array_new(heap, out, result_dtype(op, a->dtype), rest.ndim, rest.shape, false, fault);
    if (e != MF_OK)
        return e;
    struct along r = {.op = op,
                      .ddof = ddof,
                      .dtype = a->dtype,
                      .n = a->shape[axis],
                      .stride = a->stride[axis],
                      .out = out,
                      .data = mf_array_own(heap, out, fault)};
    reduce_lines(&r, &rest);
    return MF_OK;
}

/* --- Running sums ------------------------------------------------------------------------------------------------ */

/* Neumaier's sum: what is lost in an addition is added up apart. */
static void run_reals(double *out, const double *x, size_t n, double *sum, double *lost)
{
    for (size_t i = 0; i < n; i++) {
        double t = *sum + x[i];
        *lost += fabs(*sum) >= fabs(x[i]) ? (*sum - t) + x[i] : (x[i] - t) + *sum;
        *sum = t;
        out[i] = isfinite(t) ? t + *lost : t;
    }
}

static void run_integers(int64_t *out, const int64_t *x, size_t n, uint64_t *sum)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (int64_t)(*sum += (uint64_t)x[i]);
}

/* One line of out, into which the elements were copied, in place. */
static void run_line(bool integers, char *at, ptrdiff_t stride, size_t n)
{
    union block block;
    uint64_t whole = 0;
    double sum = 0, lost = 0;
    enum mf_dtype t = integers ? MF_I64 : MF_F64;
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t size = n - i < BLOCK ? n - i : BLOCK;
        char *from = at + (ptrdiff_t)i * stride * 8;
        mf_kernels_cast[t][t](&block, 1, from, stride, NULL, 0, size);
        if (integers)
            run_integers(block.integers, block.integers, size, &whole);
        else
            run_reals(block.reals, block.reals, size, &sum, &lost);
        mf_kernels_cast[t][t](from, stride, &block, 1, NULL, 0, size);
    }
}

enum mf_err mf_array_cumsum(struct mf_heap *heap, const struct mf_array *a, int axis, struct mf_array *out,
                            struct mf_fault *fault)
{
    struct mf_walk w;
    bool integers = mf_dtypes[a->dtype].integer;
    enum mf_err e = mf_array_convert(heap, a, integers ? MF_I64 : MF_F64, out, fault);
    char *data = e == MF_OK ? mf_array_own(heap, out, fault) : NULL;
    if (e != MF_OK || out->count == 0)
        return e;
    struct mf_array rest = without_axis(out, axis);
    const struct mf_operand operand = {&rest, data, 0};
    bool more = mf_walk_begin(&w, rest.ndim, rest.shape, &operand, 1);
    for (; more; more = mf_walk_next(&w))
        for (size_t i = 0; i < w.n; i++)
            run_line(integers, w.at[0] + (ptrdiff_t)i * w.step[0] * 8, out->stride[axis], a->shape[axis]);
    return MF_OK;
}
