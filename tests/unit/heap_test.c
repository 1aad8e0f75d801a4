/* The memory of one interpreter's arrays: what is counted, kept, and asked for. */
#include "check.h"

#include "../../runtime/heap.h"

#define LARGE ((size_t)8 << 20)

static struct mf_block *garbage; /* what the next collection lets go of */
static unsigned collections;

static void collect(void *arg)
{
    struct mf_heap *heap = arg;
    collections++;
    if (garbage)
        mf_heap_drop(heap, garbage);
    garbage = NULL;
    mf_heap_collected(heap, 0);
}

static void test_kept(void)
{
    struct mf_heap heap;
    mf_heap_init(&heap);
    struct mf_block *a = mf_heap_new(&heap, LARGE, false), *b = mf_heap_new(&heap, 100, true);
    CHECK(heap.live == LARGE + 100);
    a->data[0] = 5;
    unsigned char *data = a->data;
    mf_heap_drop(&heap, a);
    mf_heap_drop(&heap, b);
    CHECK(heap.live == 0 && heap.nkept == 1);
    a = mf_heap_new(&heap, LARGE / 2, false); /* far too large a place */
    CHECK(a->data != data);
    b = mf_heap_new(&heap, LARGE - 1000, true);
    CHECK(b->data == data && b->data[0] == 0 && b->bytes == LARGE - 1000 && heap.nkept == 0);
    mf_block_ref(b);
    mf_heap_drop(&heap, b); /* somebody else has it too: it is not kept */
    CHECK(heap.nkept == 0 && heap.live == LARGE / 2);
    mf_block_unref(b);
    mf_heap_drop(&heap, a);
    mf_heap_trim(&heap);
    CHECK(heap.nkept == 0 && heap.kept_bytes == 0);
}

static void test_limits_of_keeping(void)
{
    struct mf_heap heap;
    struct mf_block *blocks[MF_HEAP_KEPT + 4];
    mf_heap_init(&heap);
    for (size_t i = 0; i < MF_HEAP_KEPT + 4; i++)
        blocks[i] = mf_heap_new(&heap, MF_BLOCK_PAGES_MIN, false);
    for (size_t i = 0; i < MF_HEAP_KEPT + 4; i++)
        mf_heap_drop(&heap, blocks[i]);
    CHECK(heap.nkept == MF_HEAP_KEPT);
    for (int i = 0; i < 1000; i++)
        mf_heap_drop(&heap, mf_heap_new(&heap, 8, false));
    struct mf_block *b = mf_heap_new(&heap, LARGE, false);
    mf_heap_drop(&heap, b); /* the others have not been of use for long */
    CHECK(heap.nkept == 1);
    mf_heap_trim(&heap);
}

static void test_collection(void)
{
    struct mf_heap heap;
    mf_heap_init(&heap);
    heap.collect = collect;
    heap.arg = &heap;
    struct mf_block *a = mf_heap_new(&heap, heap.limit, false);
    CHECK(collections == 0);
    garbage = a;
    struct mf_block *b = mf_heap_new(&heap, LARGE, false);
    CHECK(collections == 1 && !garbage && heap.live == LARGE && heap.fresh == LARGE);
    CHECK(heap.limit >= 4 * LARGE);
    mf_heap_collected(&heap, 100 * LARGE);
    CHECK(heap.limit == 101 * LARGE);
    CHECK(mf_heap_new(&heap, SIZE_MAX / 2, false) == NULL); /* not even then */
    CHECK(collections == 2 && heap.live == LARGE);
    mf_heap_drop(&heap, b);
    mf_heap_trim(&heap);
}

int main(void)
{
    test_kept();
    test_limits_of_keeping();
    test_collection();
    return check_report();
}
