/* Design note: numbers become unsigned keys that order as the numbers do, and these are sorted by radix, a byte at a time
 * from the lowest: stable, in time that does not depend on their order, and a byte that all keys have in common costs
 * nothing. Short lines are sorted by insertion. Falling order is rising order of the keys turned over. */
#include "array_sort.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "array_job.h"
#include "array_walk.h"

#define SHORT 48  /* keys that are sorted by insertion */
#define PIECE 512 /* elements that become keys at once */

/* A key and the place that it comes from. */
struct keyed {
    uint64_t key;
    int64_t from;
};

/* --- Keys -------------------------------------------------------------------------------------------------------- */

#define SIGN (UINT64_C(1) << 63)

/* NaN is above all. -0.0 is below 0.0, unless they are equal. */
static uint64_t key_of_real(double x, bool equal)
{
    uint64_t bits;
    if (x != x)
        return UINT64_MAX;
    if (equal)
        x += 0.0;
    memcpy(&bits, &x, 8);
    return bits & SIGN ? ~bits : bits | SIGN;
}

static double real_of_key(uint64_t key)
{
    double x;
    uint64_t bits = key & SIGN ? key & ~SIGN : ~key;
    memcpy(&x, &bits, 8);
    return x;
}

/* How numbers of a dtype become keys and keys numbers. */
struct coding {
    bool integers, descending, equal;
    uint64_t zero; /* the key of integer 0: small, so that high bytes are alike */
};

static struct coding coding_of(enum mf_dtype t, bool descending, bool equal)
{
    return (struct coding){.integers = mf_dtypes[t].integer,
                           .descending = descending,
                           .equal = equal,
                           .zero = 0 - (uint64_t)mf_dtypes[t].least};
}

/* Turned over, NaN stays last. */
static uint64_t encode(const struct coding *c, const union mf_number *v)
{
    uint64_t key = c->integers ? (uint64_t)v->i64 + c->zero : key_of_real(v->f64, c->equal);
    bool nan = !c->integers && key == UINT64_MAX;
    return c->descending && !nan ? ~key : key;
}

static void decode(const struct coding *c, uint64_t key, union mf_number *v)
{
    bool nan = !c->integers && key == UINT64_MAX; /* turned over, no other number has this key */
    uint64_t plain = c->descending ? ~key : key;
    if (c->integers)
        v->i64 = (int64_t)(plain - c->zero);
    else
        v->f64 = nan ? NAN : real_of_key(plain);
}

/* --- Sorting ----------------------------------------------------------------------------------------------------- */

/* SORT(items, spare, n) for items of type T, whose key is KEY of the item at p. spare has room for n. */
#define SORTING(NAME, T, KEY)                                                                                          \
    static void NAME##_insertion(T *items, size_t n)                                                                   \
    {                                                                                                                  \
        for (size_t i = 1; i < n; i++) {                                                                               \
            T item = items[i], *p = &item;                                                                             \
            const uint64_t key = KEY;                                                                                  \
            size_t k = i;                                                                                              \
            for (p = items + i; k > 0; items[k] = items[k - 1], k--) {                                                 \
                p = items + k - 1;                                                                                     \
                if (KEY <= key)                                                                                        \
                    break;                                                                                             \
            }                                                                                                          \
            items[k] = item;                                                                                           \
        }                                                                                                              \
    }                                                                                                                  \
    static void NAME(T *items, T *spare, size_t n)                                                                     \
    {                                                                                                                  \
        size_t count[8][256] = {{0}};                                                                                  \
        T *from = items, *to = spare;                                                                                  \
        if (n <= SHORT) {                                                                                              \
            NAME##_insertion(items, n);                                                                                \
            return;                                                                                                    \
        }                                                                                                              \
        for (const T *p = items; p < items + n; p++)                                                                   \
            for (int byte = 0; byte < 8; byte++)                                                                       \
                count[byte][KEY >> (8 * byte) & 255]++;                                                                \
        for (int byte = 0; byte < 8; byte++) {                                                                         \
            const T *p = items;                                                                                        \
            size_t at[256], sum = 0;                                                                                   \
            if (count[byte][KEY >> (8 * byte) & 255] == n)                                                             \
                continue;                                                                                              \
            for (int k = 0; k < 256; k++) {                                                                            \
                at[k] = sum;                                                                                           \
                sum += count[byte][k];                                                                                 \
            }                                                                                                          \
            for (p = from; p < from + n; p++)                                                                          \
                to[at[KEY >> (8 * byte) & 255]++] = *p;                                                                \
            T *other = from;                                                                                           \
            from = to;                                                                                                 \
            to = other;                                                                                                \
        }                                                                                                              \
        if (from != items)                                                                                             \
            memcpy(items, from, n * sizeof *items);                                                                    \
    }

SORTING(sort_keys, uint64_t, *p)
SORTING(sort_keyed, struct keyed, p->key)

/* --- Lines ------------------------------------------------------------------------------------------------------- */

/* Reads up to PIECE elements as 64-bit integers or doubles. */
static void read_piece(enum mf_dtype t, const char *at, ptrdiff_t stride, size_t n, union mf_number *out)
{
    mf_kernels_cast[t][mf_dtypes[t].integer ? MF_I64 : MF_F64](out, 1, at, stride, NULL, 0, n);
}

static void write_piece(enum mf_dtype t, char *at, ptrdiff_t stride, size_t n, const union mf_number *in)
{
    mf_kernels_cast[mf_dtypes[t].integer ? MF_I64 : MF_F64][t](at, stride, in, 1, NULL, 0, n);
}

static void read_keys(const struct coding *c, enum mf_dtype t, const char *at, ptrdiff_t stride, size_t n,
                      uint64_t *key)
{
    union mf_number piece[PIECE];
    for (size_t i = 0; i < n; i += PIECE) {
        size_t size = n - i < PIECE ? n - i : PIECE;
        read_piece(t, at + (ptrdiff_t)i * stride * (ptrdiff_t)mf_dtypes[t].size, stride, size, piece);
        for (size_t k = 0; k < size; k++)
            key[i + k] = encode(c, &piece[k]);
    }
}

static void write_keys(const struct coding *c, enum mf_dtype t, char *at, ptrdiff_t stride, size_t n,
                       const uint64_t *key)
{
    union mf_number piece[PIECE];
    for (size_t i = 0; i < n; i += PIECE) {
        size_t size = n - i < PIECE ? n - i : PIECE;
        for (size_t k = 0; k < size; k++)
            decode(c, key[i + k], &piece[k]);
        write_piece(t, at + (ptrdiff_t)i * stride * (ptrdiff_t)mf_dtypes[t].size, stride, size, piece);
    }
}

static enum mf_err no_room(struct mf_fault *fault, size_t n)
{
    return mf_fault_set(fault, MF_ENOMEM, "not enough memory to sort %zu elements", n);
}

/* Room for n things of that size, twice. */
static void *room_for(size_t n, size_t size)
{
    return malloc(n > 0 ? 2 * n * size : 1);
}

/* --- Sorted copies ----------------------------------------------------------------------------------------------- */

/* Sorts the n elements of a line in place. */
static void sort_line(const struct coding *c, enum mf_dtype t, char *at, ptrdiff_t stride, size_t n, uint64_t *room)
{
    read_keys(c, t, at, stride, n, room);
    sort_keys(room, room + n, n);
    write_keys(c, t, at, stride, n, room);
}

/* The first elements of all lines along an axis that has elements. */
static struct mf_array heads(const struct mf_array *a, int axis)
{
    struct mf_array rest = *a;
    mf_array_pick(&rest, axis, 0);
    return rest;
}

enum mf_err mf_array_sort(struct mf_heap *heap, const struct mf_array *a, int axis, bool descending,
                          struct mf_array *out, struct mf_fault *fault)
{
    struct mf_walk w;
    size_t n = a->shape[axis], size = mf_dtypes[a->dtype].size;
    uint64_t *room = room_for(n, sizeof *room);
    if (!room)
        return no_room(fault, n);
    enum mf_err e = mf_array_convert(heap, a, a->dtype, out, fault);
    if (e == MF_OK && a->count > 0) {
        const struct coding c = coding_of(a->dtype, descending, false);
        struct mf_array rest = heads(out, axis);
        const struct mf_operand operand = {&rest, mf_array_own(heap, out, fault), 0};
        bool more = mf_walk_begin(&w, rest.ndim, rest.shape, &operand, 1);
        for (; more; more = mf_walk_next(&w))
            for (size_t i = 0; i < w.n; i++)
                sort_line(&c, a->dtype, w.at[0] + (ptrdiff_t)i * w.step[0] * (ptrdiff_t)size, out->stride[axis], n,
                          room);
    }
    free(room);
    return e;
}

/* --- Order ------------------------------------------------------------------------------------------------------- */

/* The order of a line's n elements, written to `to`. */
static void order_line(const struct coding *c, enum mf_dtype t, const char *at, ptrdiff_t stride, size_t n,
                       struct keyed *room, int64_t *to, ptrdiff_t to_stride)
{
    union mf_number piece[PIECE];
    for (size_t i = 0; i < n; i += PIECE) {
        size_t size = n - i < PIECE ? n - i : PIECE;
        read_piece(t, at + (ptrdiff_t)i * stride * (ptrdiff_t)mf_dtypes[t].size, stride, size, piece);
        for (size_t k = 0; k < size; k++)
            room[i + k] = (struct keyed){encode(c, &piece[k]), (int64_t)(i + k) + 1};
    }
    sort_keyed(room, room + n, n);
    for (size_t i = 0; i < n; i++)
        to[(ptrdiff_t)i * to_stride] = room[i].from;
}

enum mf_err mf_array_order(struct mf_heap *heap, const struct mf_array *a, int axis, bool descending,
                           struct mf_array *out, struct mf_fault *fault)
{
    struct mf_walk w;
    size_t n = a->shape[axis], size = mf_dtypes[a->dtype].size;
    struct keyed *room = room_for(n, sizeof *room);
    if (!room)
        return no_room(fault, n);
    enum mf_err e = mf_array_new(heap, out, MF_I64, a->ndim, a->shape, false, fault);
    if (e == MF_OK && a->count > 0) {
        const struct coding c = coding_of(a->dtype, descending, true);
        struct mf_array to = heads(out, axis), from = heads(a, axis);
        const struct mf_operand operands[2] = {{&to, mf_array_own(heap, out, fault), 0}, {&from, mf_array_data(a), 0}};
        bool more = mf_walk_begin(&w, from.ndim, from.shape, operands, 2);
        for (; more; more = mf_walk_next(&w))
            for (size_t i = 0; i < w.n; i++)
                order_line(&c, a->dtype, w.at[1] + (ptrdiff_t)i * w.step[1] * (ptrdiff_t)size, a->stride[axis], n, room,
                           (int64_t *)(void *)w.at[0] + (ptrdiff_t)i * w.step[0], out->stride[axis]);
    }
    free(room);
    return e;
}

/* --- Different numbers ------------------------------------------------------------------------------------------- */

/* Moves the different ones of n sorted keys to the front; how many they are. count[i]: how often key i is there. */
static size_t compress(uint64_t *key, int64_t *count, size_t n)
{
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        if (m > 0 && key[m - 1] == key[i]) {
            count[m - 1]++;
            continue;
        }
        key[m] = key[i];
        count[m++] = 1;
    }
    return m;
}

enum mf_err mf_array_unique(struct mf_heap *heap, const struct mf_array *a, struct mf_array *values,
                            struct mf_array *counts, struct mf_fault *fault)
{
    struct mf_array flat = {0};
    const struct coding c = coding_of(a->dtype, false, true);
    size_t n = a->count;
    uint64_t *room = room_for(n, sizeof *room);
    if (!room)
        return no_room(fault, n);
    enum mf_err e = mf_array_convert(heap, a, a->dtype, &flat, fault);
    if (e == MF_OK) {
        read_keys(&c, a->dtype, mf_array_data(&flat), 1, n, room);
        mf_array_release(heap, &flat);
        sort_keys(room, room + n, n);
        size_t m = compress(room, (int64_t *)(void *)(room + n), n);
        e = mf_array_new(heap, values, a->dtype, 1, &m, false, fault);
        if (e == MF_OK)
            e = mf_array_new(heap, counts, MF_I64, 1, &m, false, fault);
        if (e == MF_OK) {
            write_keys(&c, a->dtype, mf_array_own(heap, values, fault), 1, m, room);
            memcpy(mf_array_own(heap, counts, fault), room + n, m * sizeof *room);
        }
    }
    free(room);
    return e;
}
