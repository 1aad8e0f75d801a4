/* Pages: many blocks that are kept while they are warm, few otherwise; all of them are given back. */
#include "check.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../runtime/pages.h"
#include "../../runtime/sys.h"
#include "../../runtime/sys_mem.h"

#define SIZE (MF_PAGES_COLD + 12345) /* too much to be kept as a rule */

/* Is the page at that address there? */
static bool mapped(void *block)
{
    return msync(block, mf_sys_page(), MS_ASYNC) == 0;
}

static void test_cold(void)
{
    struct mf_pages *s = mf_pages_new();
    unsigned char *block = mf_pages_get(s, SIZE);
    CHECK(block && mapped(block));
    block[0] = block[SIZE - 1] = 1;
    mf_pages_put(s, block, SIZE);
    CHECK(!mapped(block));
    CHECK(mf_pages_get(s, SIZE_MAX / 2) == NULL && mf_pages_get(s, SIZE_MAX) == NULL);
    mf_pages_unref(s);
    mf_pages_unref(NULL);
    CHECK(mf_pages_ref(NULL) == NULL);
}

static void test_few(void)
{
    struct mf_pages *s = mf_pages_new();
    void *blocks[3];
    for (int i = 0; i < 3; i++)
        blocks[i] = mf_pages_get(s, MF_PAGES_COLD / 2);
    for (int i = 0; i < 3; i++)
        mf_pages_put(s, blocks[i], MF_PAGES_COLD / 2);
    CHECK(!mapped(blocks[0]) && mapped(blocks[1]) && mapped(blocks[2]));
    mf_pages_warm(s, 5);
    CHECK(mf_pages_get(s, MF_PAGES_COLD / 2) == blocks[2]);
    mf_pages_cool(s, 5);
    CHECK(!mapped(blocks[1]) && mapped(blocks[2]));
    mf_pages_put(s, blocks[2], MF_PAGES_COLD / 2);
    CHECK(mapped(blocks[2]));
    mf_pages_unref(s);
    CHECK(!mapped(blocks[2]));
}

static void test_warm(void)
{
    struct mf_pages *s = mf_pages_new();
    mf_pages_warm(s, 100);
    void *first = mf_pages_get(s, SIZE), *second = mf_pages_get(s, SIZE);
    mf_pages_put(s, first, SIZE);
    mf_pages_put(s, second, SIZE);
    CHECK(mapped(first) && mapped(second));
    CHECK(mf_pages_get(s, SIZE) == second && mf_pages_get(s, SIZE) == first); /* the warmest one first */
    mf_pages_put(s, first, SIZE);
    void *other = mf_pages_get(s, 2 * SIZE);
    CHECK(other != first);
    mf_pages_cool(s, 99);
    CHECK(mapped(first));
    mf_pages_warm(s, 50); /* not shorter */
    mf_pages_cool(s, 99);
    CHECK(mapped(first));
    mf_pages_cool(s, 100);
    CHECK(!mapped(first) && mapped(second) && mapped(other));
    mf_pages_put(s, second, SIZE); /* it is cold again */
    CHECK(!mapped(second));
    mf_pages_put(s, other, 2 * SIZE);
    mf_pages_unref(s);
}

/* The last reference gives back what is kept. */
static void test_end(void)
{
    struct mf_pages *s = mf_pages_new();
    mf_pages_warm(s, MF_SYS_NEVER);
    void *block = mf_pages_get(s, SIZE);
    mf_pages_put(s, block, SIZE);
    mf_pages_unref(mf_pages_ref(s));
    CHECK(mapped(block));
    mf_pages_unref(s);
    CHECK(!mapped(block));
}

/* The oldest makes room; what is larger than all the room is not kept. */
static void test_bounds(void)
{
    struct mf_pages *s = mf_pages_new();
    void *blocks[MF_PAGES_KEPT + 1];
    size_t small = MF_PAGES_LEAST, half = MF_PAGES_WARM / 2, most = MF_PAGES_WARM / 8 * 7, all = MF_PAGES_WARM + 1;
    mf_pages_warm(s, MF_SYS_NEVER);
    for (int i = 0; i <= MF_PAGES_KEPT; i++)
        blocks[i] = mf_pages_get(s, small);
    for (int i = 0; i <= MF_PAGES_KEPT; i++)
        mf_pages_put(s, blocks[i], small);
    CHECK(!mapped(blocks[0]) && mapped(blocks[1]) && mapped(blocks[MF_PAGES_KEPT]));
    void *first = mf_pages_get(s, half), *second = mf_pages_get(s, most), *third = mf_pages_get(s, all);
    mf_pages_put(s, first, half);
    CHECK(mapped(first));
    mf_pages_put(s, second, most);
    CHECK(mapped(second) && !mapped(first));
    mf_pages_put(s, third, all);
    CHECK(mapped(second) && !mapped(third));
    mf_pages_unref(s);
    CHECK(!mapped(second));
}

/* A block that was resized away is kept with the size that it has: to round it twice is to round it once. */
static void test_rounding(void)
{
    static const size_t sizes[] = {MF_PAGES_LEAST,         MF_PAGES_LEAST + 1,     MF_PAGES_LEAST + 33,
                                   MF_PAGES_LEAST * 2 - 1, MF_PAGES_LEAST * 2 + 1, MF_PAGES_LEAST * 3 + 7};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct mf_pages *s = mf_pages_new();
        mf_pages_warm(s, MF_SYS_NEVER);
        void *larger = mf_pages_get(s, 2 * sizes[i]), *block = mf_pages_get(s, sizes[i]);
        mf_pages_put(s, larger, 2 * sizes[i]);
        CHECK(mf_pages_resize(s, block, sizes[i], 2 * sizes[i]) == larger);
        CHECK(mf_pages_get(s, sizes[i]) == block);
        mf_pages_put(s, block, sizes[i]);
        mf_pages_put(s, larger, 2 * sizes[i]);
        mf_pages_unref(s);
    }
}

static void test_resizing(void)
{
    struct mf_pages *s = mf_pages_new();
    unsigned char *block = mf_pages_get(s, SIZE);
    memset(block, 7, SIZE);
    CHECK(mf_pages_resize(s, block, SIZE, SIZE + 1) == block);
    block = mf_pages_resize(s, block, SIZE + 1, 3 * SIZE);
    CHECK(block && block[0] == 7 && block[SIZE - 1] == 7);
    block[3 * SIZE - 1] = 8;
    CHECK(mf_pages_resize(s, block, 3 * SIZE, SIZE_MAX / 2) == NULL && block[3 * SIZE - 1] == 8);
    block = mf_pages_resize(s, block, 3 * SIZE, SIZE);
    CHECK(block && block[SIZE - 1] == 7);
    mf_pages_warm(s, 1);
    unsigned char *kept = mf_pages_get(s, 2 * SIZE), *before = block;
    mf_pages_put(s, kept, 2 * SIZE);
    block = mf_pages_resize(s, block, SIZE, 2 * SIZE); /* it goes to where pages are, and leaves its own behind */
    CHECK(block == kept && block[0] == 7 && block[SIZE - 1] == 7 && mf_pages_get(s, SIZE) == before);
    mf_pages_put(s, before, SIZE);
    block = mf_pages_resize(s, block, 2 * SIZE, SIZE);
    CHECK(block && block[SIZE - 1] == 7);
    mf_pages_put(s, block, SIZE);
    mf_pages_unref(s);
}

/* A forked child neither keeps blocks nor takes the parent's, nor waits for its lock. */
static void test_forked_child(void)
{
    struct mf_pages *s = mf_pages_new();
    int status = -1;
    mf_pages_warm(s, MF_SYS_NEVER);
    void *block = mf_pages_get(s, SIZE);
    mf_pages_put(s, block, SIZE);
    pid_t pid = fork();
    if (pid == 0) {
        void *own = mf_pages_get(s, SIZE);
        bool good = own && own != block;
        mf_pages_put(s, own, SIZE);
        good = good && !mapped(own);
        mf_pages_cool(s, MF_SYS_NEVER);
        mf_pages_unref(s);
        _exit(good ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(mf_pages_get(s, SIZE) == block);
    mf_pages_put(s, block, SIZE);
    mf_pages_unref(s);
}

static void *use(void *pages)
{
    for (int i = 0; i < 200; i++) {
        unsigned char *block = mf_pages_get(pages, SIZE);
        block[0] = (unsigned char)i;
        CHECK(block[0] == (unsigned char)i);
        mf_pages_put(pages, block, SIZE);
    }
    return NULL;
}

static void test_threads(void)
{
    struct mf_pages *s = mf_pages_new();
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, use, s) == 0);
    for (int i = 0; i < 100; i++) {
        mf_pages_warm(s, (uint64_t)i + 1);
        mf_pages_cool(s, (uint64_t)i + i % 2);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    mf_pages_unref(s);
}

int main(void)
{
    test_cold();
    test_few();
    test_warm();
    test_end();
    test_bounds();
    test_rounding();
    test_resizing();
    test_forked_child();
    test_threads();
    return check_report();
}
