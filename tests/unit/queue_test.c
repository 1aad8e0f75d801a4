/* The queue: bands by priority, counts, limits of memory aside. */
#include "check.h"

#include <unistd.h>

#include "../../runtime/queue.h"

static struct mf_future *future(int priority, int worker, size_t bytes)
{
    struct mf_future *f = mf_future_new();
    if (priority || worker) {
        mf_future_extra_get(f)->priority = priority;
        f->extra->worker = worker;
    }
    f->args = bytes ? mf_blob_new(NULL, 0) : NULL;
    if (bytes) {
        struct mf_buf b = {0};
        mf_buf_reserve(&b, bytes);
        for (size_t i = 0; i < bytes; i++)
            mf_buf_append(&b, "", 1);
        mf_blob_unref(f->args);
        f->args = mf_buf_freeze(&b);
        mf_buf_release(&b);
    }
    return f;
}

static void put(struct mf_queue *q, struct mf_future *f)
{
    mf_list_insert(mf_queue_band(q, f->extra ? f->extra->priority : 0), &f->link);
    mf_queue_count_in(q, f);
}

/* Takes the first one out and frees it; its id, or 0. */
static uint64_t take(struct mf_queue *q)
{
    struct mf_future *f = mf_queue_first(q);
    if (!f)
        return 0;
    uint64_t id = f->id;
    mf_list_remove(&f->link);
    mf_queue_count_out(q, f);
    mf_future_unref(f);
    return id;
}

static void test_order(void)
{
    static const int priorities[] = {0, 5, -5, 0, 5, 1000000, -5, 0};
    static const uint64_t order[] = {6, 2, 5, 1, 4, 8, 3, 7, 0, 0};
    struct mf_queue q;
    mf_queue_init(&q);
    CHECK(mf_queue_first(&q) == NULL && mf_list_empty(&q.homeless));
    for (int i = 0; i < 8; i++) {
        struct mf_future *f = future(priorities[i], 0, 0);
        f->id = (uint64_t)i + 1;
        put(&q, f);
    }
    CHECK(q.nbands == 4 && atomic_load(&q.pending) == 8);
    for (int i = 0; i < 10; i++)
        CHECK(take(&q) == order[i]);
    CHECK(atomic_load(&q.pending) == 0 && q.bytes == 0 && q.nbands == 4);
    mf_queue_release(&q);
    CHECK(q.nbands == 0);
}

/* A band's list keeps its place in memory while others come in front of it and behind it. */
static void test_bands_stay(void)
{
    struct mf_queue q;
    mf_queue_init(&q);
    struct mf_list *zero = mf_queue_band(&q, 0);
    struct mf_future *f = future(0, 0, 0);
    f->id = 77;
    put(&q, f);
    for (int p = -100; p <= 100; p++)
        CHECK(mf_queue_band(&q, p) != NULL);
    CHECK(mf_queue_band(&q, 0) == zero && q.nbands == 201 && zero->next == &f->link);
    for (size_t i = 1; i < q.nbands; i++)
        CHECK(q.bands[i - 1]->priority == q.bands[i]->priority + 1);
    CHECK(take(&q) == 77);
    mf_queue_release(&q);
}

static void test_counts(void)
{
    struct mf_queue q;
    mf_queue_init(&q);
    struct mf_future *small = future(0, 0, 0), *large = future(0, 0, 5000), *pinned = future(0, 2, 0);
    mf_queue_count_in(&q, small);
    size_t one = q.bytes;
    CHECK(one >= sizeof *small && one < 400);
    mf_queue_count_in(&q, large);
    CHECK(q.bytes == 2 * one + 5000 && q.pinned == 0);
    mf_queue_count_in(&q, pinned);
    CHECK(q.pinned == 1 && atomic_load(&q.pending) == 3);
    mf_queue_count_out(&q, large);
    CHECK(q.bytes == 2 * one && q.pinned == 1 && atomic_load(&q.pending) == 2);
    mf_queue_count_out(&q, pinned);
    mf_queue_count_out(&q, small);
    CHECK(q.bytes == 0 && q.pinned == 0 && atomic_load(&q.pending) == 0);
    mf_future_unref(small);
    mf_future_unref(large);
    mf_future_unref(pinned);
    mf_queue_release(&q);
}

int main(void)
{
    alarm(60);
    test_order();
    test_bands_stay();
    test_counts();
    return check_report();
}
