/* Arrays as values: views, shapes, walks, and who owns the numbers when somebody writes. */
#include "check.h"

#include <string.h>

#include "../../runtime/array_ops.h"
#include "../../runtime/array_walk.h"

static struct mf_heap heap;

static struct mf_array make(int ndim, size_t n, size_t m, size_t k)
{
    struct mf_array a = {0};
    struct mf_fault fault;
    const size_t shape[3] = {n, m, k};
    CHECK(mf_array_new(&heap, &a, MF_F64, ndim, shape, true, &fault) == MF_OK);
    double *p = mf_array_own(&heap, &a, &fault);
    for (size_t i = 0; i < a.count; i++)
        p[i] = (double)i;
    return a;
}

static double at(const struct mf_array *a, size_t i)
{
    return mf_array_at(a, mf_array_distance(a, i)).real;
}

static void test_views(void)
{
    ptrdiff_t stride;
    struct mf_array a = make(3, 2, 3, 4), b = mf_array_view(&a);
    CHECK(a.store->refs == 2 && mf_array_is_contiguous(&a) && mf_array_line(&a, &stride) && stride == 1);
    mf_array_slice(&b, 2, 1, 2, 2);
    CHECK(b.count == 12 && at(&b, 0) == 1 && at(&b, 1) == 3 && at(&b, 11) == 23);
    CHECK(mf_array_line(&b, &stride) && stride == 2 && !mf_array_is_contiguous(&b));
    mf_array_slice(&b, 1, 2, 3, -1);
    CHECK(at(&b, 0) == 9 && at(&b, 11) == 15 && !mf_array_line(&b, &stride));
    mf_array_pick(&b, 0, 1);
    CHECK(b.ndim == 2 && b.count == 6 && at(&b, 0) == 21);
    size_t first, end;
    mf_array_span(&b, &first, &end);
    CHECK(first == 13 * 8 && end == 24 * 8);
    struct mf_array c = mf_array_view(&a);
    mf_array_pick(&c, 0, 0);
    CHECK(!mf_array_overlaps(&b, &c) && mf_array_overlaps(&b, &a) && mf_array_overlaps(&c, &a));
    mf_array_permute(&c, (int[]){1, 0});
    CHECK(c.shape[0] == 4 && at(&c, 1) == 4 && !mf_array_line(&c, &stride));
    mf_array_release(&heap, &c);
    mf_array_release(&heap, &b);
    mf_array_release(&heap, &b);
    CHECK(a.store->refs == 1);
    mf_array_release(&heap, &a);
}

static void test_reshape(void)
{
    struct mf_array a = make(3, 2, 3, 4), b = mf_array_view(&a);
    CHECK(mf_array_reshape(&b, 2, (size_t[]){4, 6}) && at(&b, 23) == 23);
    CHECK(mf_array_reshape(&b, 4, (size_t[]){1, 24, 1, 1}) && b.ndim == 4);
    mf_array_slice(&b, 1, 0, 8, 3);
    CHECK(mf_array_reshape(&b, 2, (size_t[]){2, 4}) && at(&b, 4) == 12);
    mf_array_permute(&b, (int[]){1, 0});
    CHECK(!mf_array_reshape(&b, 1, (size_t[]){8}));
    CHECK(b.ndim == 2 && mf_array_reshape(&b, 3, (size_t[]){2, 2, 2}) && at(&b, 1) == 12);
    mf_array_release(&heap, &b);
    b = mf_array_view(&a);
    mf_array_slice(&b, 1, 0, 0, 1);
    CHECK(b.count == 0 && mf_array_reshape(&b, 1, (size_t[]){0}));
    mf_array_release(&heap, &b);
    mf_array_release(&heap, &a);
}

static void test_shapes(void)
{
    char text[MF_ARRAY_TEXT];
    size_t shape[MF_ARRAY_DIMS];
    struct mf_fault fault;
    struct mf_array a = make(3, 2, 1, 4), b = make(2, 3, 1, 0), c = make(1, 5, 0, 0);
    CHECK(strcmp(mf_array_shape_text(3, a.shape, text), "(2,1,4)") == 0);
    CHECK(mf_array_broadcast(&a, &b, shape, "add", &fault) == 3 && shape[1] == 3 && shape[2] == 4);
    CHECK(mf_array_broadcast(&a, &c, shape, "add", &fault) == -1);
    CHECK(strcmp(fault.text, "cannot add shapes (2,1,4) and (5): axis 3 has 4 elements and 5") == 0);
    size_t large[8] = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};
    CHECK(strlen(mf_array_shape_text(8, large, text)) < MF_ARRAY_TEXT);
    CHECK(mf_array_elements(8, large) == SIZE_MAX);
    large[7] = 0;
    CHECK(mf_array_elements(8, large) == 0);
    struct mf_array d = {0};
    CHECK(mf_array_new(&heap, &d, MF_U8, 1, (size_t[]){SIZE_MAX / 2}, false, &fault) == MF_ELIMIT && !d.store);
    mf_array_stretch(&b, 3, (size_t[]){2, 3, 4});
    CHECK(b.count == 24 && at(&b, 0) == 0 && at(&b, 4) == 1 && at(&b, 23) == 2);
    mf_array_release(&heap, &a);
    mf_array_release(&heap, &b);
    mf_array_release(&heap, &c);
}

/* Another interpreter's array of the same block. */
static struct mf_array elsewhere(const struct mf_array *a, enum mf_guard guard)
{
    struct mf_array b;
    CHECK(mf_array_wrap(&b, a->store->block, a->offset, a->dtype, a->ndim, a->shape, guard) == MF_OK);
    memcpy(b.stride, a->stride, sizeof b.stride);
    return b;
}

static void test_ownership(void)
{
    struct mf_fault fault;
    struct mf_array a = make(2, 100, 10, 0), view = mf_array_view(&a), b = elsewhere(&a, MF_GUARD_NONE);
    mf_array_pick(&view, 0, 1);
    double *p = mf_array_own(&heap, &view, &fault);
    p[0] = -1; /* a copy first: b reads the same numbers */
    CHECK(at(&a, 10) == -1 && at(&b, 10) == 10);
    CHECK(mf_array_own(&heap, &b, &fault) && heap.live == a.store->block->bytes);
    mf_array_release(&heap, &b);
    struct mf_array row = elsewhere(&view, MF_GUARD_NONE);
    mf_array_narrow(&row);
    p = mf_array_own(&heap, &row, &fault); /* of which the copy needs only the row */
    CHECK(row.store->block->bytes == 80 && p[0] == -1 && at(&row, 9) == 19);
    p[9] = 0;
    CHECK(at(&a, 19) == 19 && at(&row, 9) == 0);
    struct mf_array shared = elsewhere(&a, MF_GUARD_SHARED), mapped = elsewhere(&a, MF_GUARD_MAPPED);
    CHECK(!mf_array_own(&heap, &shared, &fault) && fault.code == MF_EINVAL);
    CHECK(strcmp(fault.text, "shared array is read-only; use :copy()") == 0);
    CHECK(!mf_array_own(&heap, &mapped, &fault));
    mf_array_release(&heap, &shared);
    mf_array_release(&heap, &mapped);
    mf_array_release(&heap, &row);
    mf_array_release(&heap, &view);
    mf_array_release(&heap, &a);
    CHECK(heap.live == 0);
}

static void test_walk(void)
{
    struct mf_walk w;
    struct mf_array a = make(3, 2, 3, 4), b = mf_array_view(&a);
    double number = 1;
    mf_array_permute(&b, (int[]){0, 2, 1});
    struct mf_operand operands[3] = {
        {&a, mf_array_data(&a), 0}, {&a, mf_array_data(&a), 0}, {NULL, &number, sizeof number}};
    CHECK(mf_walk_begin(&w, 3, a.shape, operands, 3));
    CHECK(w.n == 24 && w.step[0] == 1 && w.step[2] == 0 && !mf_walk_next(&w));
    operands[0].array = operands[1].array = &b;
    size_t lines = 0;
    double last = -1;
    bool more = mf_walk_begin(&w, 3, b.shape, operands, 2);
    for (; more; more = mf_walk_next(&w)) {
        lines++;
        last = *(double *)(void *)w.at[0] + (double)((ptrdiff_t)(w.n - 1) * w.step[0]);
    }
    CHECK(lines == 8 && w.n == 3 && w.step[0] == 4 && last == 23);
    CHECK(!mf_walk_begin(&w, 2, (size_t[]){2, 0}, operands, 0));
    mf_array_release(&heap, &b);
    mf_array_release(&heap, &a);
}

/* Every pair of dtypes, at the ends of their ranges. */
static void test_conversion(void)
{
    static const double exact[] = {0, 1, 127, 255};
    struct mf_fault fault;
    for (int from = 0; from < MF_DTYPES; from++)
        for (int to = 0; to < MF_DTYPES; to++) {
            struct mf_array a = {0}, b = {0};
            const size_t n = 4;
            CHECK(mf_array_new(&heap, &a, (enum mf_dtype)from, 1, &n, false, &fault) == MF_OK);
            void *data = mf_array_own(&heap, &a, &fault);
            for (ptrdiff_t i = 0; i < 4; i++)
                CHECK(mf_array_put(&a, data, i, &(struct mf_value){.real = exact[i]}, &fault) == MF_OK);
            CHECK(mf_array_convert(&heap, &a, (enum mf_dtype)to, &b, &fault) == MF_OK);
            for (ptrdiff_t i = 0; i < 4; i++) {
                struct mf_value v = mf_array_at(&b, i);
                CHECK((v.integer ? (double)v.whole : v.real) == exact[i]);
            }
            mf_array_release(&heap, &a);
            mf_array_release(&heap, &b);
        }
    static const struct {
        enum mf_dtype dtype;
        double value;
        bool fits;
    } ends[] = {{MF_I64, 0x1p63, false}, {MF_I64, -0x1p63, true},    {MF_I32, 0x1p31, false}, {MF_I32, -0x1p31, true},
                {MF_U8, 256, false},     {MF_U8, -1, false},         {MF_I64, 0.5, false},    {MF_U8, -0.0, true},
                {MF_I32, 1e300, false},  {MF_I32, 2147483647, true}, {MF_F32, 1e300, true}};
    union {
        double f;
        int64_t i;
    } room;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct mf_array one = {.dtype = ends[i].dtype};
        enum mf_err e = mf_array_put(&one, &room, 0, &(struct mf_value){.real = ends[i].value}, &fault);
        CHECK((e == MF_OK) == ends[i].fits);
    }
}

static void test_bytes(void)
{
    struct mf_fault fault;
    unsigned char bytes[24 * 8 + 1], *odd = bytes + 1; /* no alignment is needed */
    struct mf_array a = make(3, 2, 3, 4), b = mf_array_view(&a), c = {0};
    mf_array_permute(&b, (int[]){2, 0, 1});
    mf_array_pack(&b, odd);
    CHECK(mf_array_new(&heap, &c, MF_F64, 3, b.shape, false, &fault) == MF_OK);
    mf_array_unpack(&c, mf_array_own(&heap, &c, &fault), odd);
    for (size_t i = 0; i < 24; i++)
        CHECK(at(&c, i) == at(&b, i));
    mf_array_release(&heap, &a);
    mf_array_release(&heap, &b);
    mf_array_release(&heap, &c);
}

int main(void)
{
    mf_heap_init(&heap);
    test_views();
    test_reshape();
    test_shapes();
    test_ownership();
    test_walk();
    test_conversion();
    test_bytes();
    CHECK(heap.live == 0);
    mf_heap_trim(&heap);
    return check_report();
}
