/* Blocks: who may write, and what goes to another process. */
#include "check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/block.h"
#include "../../runtime/sys_fd.h"

#define LARGE ((size_t)5 << 20)

static void test_own(void)
{
    static const size_t sizes[] = {0, 8, MF_BLOCK_PAGES_MIN - 1, MF_BLOCK_PAGES_MIN, LARGE};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct mf_block *b = mf_block_new(sizes[i], true);
        size_t sum = 0;
        for (size_t k = 0; k < sizes[i]; k++)
            sum += b->data[k];
        CHECK(b->bytes == sizes[i] && sum == 0 && (uintptr_t)b->data % 16 == 0);
        CHECK(mf_block_own(b));
        mf_block_ref(b);
        CHECK(!mf_block_own(b));
        mf_block_unref(b);
        CHECK(mf_block_own(b));
        mf_block_unref(b);
    }
    CHECK(mf_block_new(SIZE_MAX, false) == NULL);
    mf_block_unref(NULL);
}

static void test_mark(void)
{
    struct mf_block *b = mf_block_new(16, true);
    struct mf_block_mark *mark = mf_block_mark(b), *again = mf_block_mark(b);
    CHECK(mark == again && !mark->gone);
    mf_block_unmark(again);
    CHECK(mf_block_own(b));
    CHECK(mark->gone);
    mf_block_unmark(mark);
    mark = mf_block_mark(b);
    CHECK(!mark->gone);
    mf_block_unref(b);
    CHECK(mark->gone);
    mf_block_unmark(mark);
}

/* Maps what the block exports, as another process would. */
static struct mf_block *map_again(struct mf_block *b, enum mf_block_access access)
{
    off_t offset;
    int fd = mf_block_export(b, &offset);
    CHECK(fd >= 0 && mf_block_is_sound(fd, offset, b->bytes));
    return mf_block_map(fcntl(fd, F_DUPFD_CLOEXEC, 0), offset, b->bytes, access, NULL);
}

static void test_export(void)
{
    off_t offset;
    struct mf_block *b = mf_block_new(LARGE + 5, true), *small = mf_block_new(100, true);
    unsigned char *data = b->data;
    for (size_t i = 0; i < LARGE; i++)
        data[i] = (unsigned char)(i * 7 >> 8);
    struct mf_block *other = map_again(b, MF_BLOCK_PRIVATE);
    CHECK(b->data == data && memcmp(other->data, data, b->bytes) == 0);
    int fd = mf_block_export(b, &offset);
    CHECK(fd == mf_block_export(b, &offset)); /* once */
    CHECK(mf_block_export(small, &offset) == -1);
    struct mf_block *middle = mf_block_new(MF_BLOCK_EXPORT_MIN - 1, true);
    CHECK(mf_block_export(middle, &offset) == -1);
    mf_block_unref(middle);
    CHECK(mf_block_own(other));
    other->data[0] = 1;
    CHECK(data[0] == 0);
    CHECK(mf_block_own(b));
    data[1] = 2; /* ours alone, although the memory is the same */
    CHECK(other->data[1] == 0);
    struct mf_block *third = map_again(b, MF_BLOCK_READ);
    CHECK(third->read_only && third->data[1] == 2 && !mf_block_own(third));
    mf_block_unref(third);
    mf_block_unref(other);
    mf_block_unref(small);
    mf_block_unref(b);
}

/* What was mapped and then written to is no longer what the descriptor has. */
static void test_export_of_mapped(void)
{
    struct mf_block *b = mf_block_new(LARGE, true);
    struct mf_block *other = map_again(b, MF_BLOCK_PRIVATE);
    mf_block_economise(other);
    CHECK(other->fd == -1 && mf_block_own(other));
    other->data[5] = 9;
    struct mf_block *third = map_again(other, MF_BLOCK_PRIVATE);
    CHECK(third->data[5] == 9 && b->data[5] == 0);
    mf_block_unref(third);
    mf_block_unref(other);
    mf_block_unref(b);
}

static void test_files(void)
{
    char path[] = "/tmp/mf-block-XXXXXX";
    struct mf_fault fault;
    int fd = mkstemp(path);
    unlink(path);
    CHECK(write(fd, "0123456789", 10) == 10);
    CHECK(!mf_block_is_sound(fd, 0, 10));
    struct mf_block *b = mf_block_map(fcntl(fd, F_DUPFD_CLOEXEC, 0), 3, 5, MF_BLOCK_PRIVATE, &fault);
    CHECK(b && memcmp(b->data, "34567", 5) == 0);
    b->data[0] = 'x';
    char byte;
    CHECK(pread(fd, &byte, 1, 3) == 1 && byte == '3');
    mf_block_unref(b);
    CHECK(!mf_block_map(fcntl(fd, F_DUPFD_CLOEXEC, 0), 6, 5, MF_BLOCK_READ, &fault));
    CHECK(fault.code == MF_EINVAL);
    CHECK(!mf_block_map(fcntl(fd, F_DUPFD_CLOEXEC, 0), -1, 5, MF_BLOCK_READ, &fault));
    CHECK(!mf_block_map(fcntl(fd, F_DUPFD_CLOEXEC, 0), 0, 5, MF_BLOCK_COMMON, &fault));
    close(fd);
}

static void test_shared(void)
{
    struct mf_fault fault;
    struct mf_block *b = mf_block_new_shared(100, &fault);
    CHECK(b && b->kind == MF_BLOCK_SHARED);
    struct mf_block *other = map_again(b, MF_BLOCK_COMMON);
    CHECK(other && other->data != b->data);
    CHECK(mf_block_own(b) && mf_block_own(mf_block_ref(other)));
    b->data[99] = 5;
    atomic_store(&mf_block_words(b)[MF_BLOCK_WORDS - 1], 7);
    CHECK(other->data[99] == 5 && atomic_load(&mf_block_words(other)[MF_BLOCK_WORDS - 1]) == 7);
    mf_block_unref(other);
    mf_block_unref(other);
    mf_block_unref(b);
    CHECK(!mf_block_new_shared(0, &fault) && !mf_block_new_shared(SIZE_MAX, &fault));
}

static void test_blob(void)
{
    struct mf_blob *blob = mf_blob_new("0123456789abcdef0123456789abcdef0123456789abcdef", 48);
    size_t at = (16 - (uintptr_t)blob->data % 16) % 16;
    struct mf_block *b = mf_block_of_blob(blob, at, 16);
    CHECK(b && !mf_block_own(b) && b->data[1] == '1' + at);
    CHECK(mf_block_of_blob(blob, at + 1, 8) == NULL);
    mf_blob_unref(blob);
    CHECK(b->data[0] == '0' + at);
    mf_block_unref(b);
}

static void test_holds(void)
{
    struct mf_buf buf = {0};
    struct mf_block *a = mf_block_new(8, true), *b = mf_block_new(8, true), *both[2] = {a, b};
    struct mf_holds *holds;
    CHECK(mf_buf_append(&buf, "abc", 3) && mf_holds_add(&buf, a));
    CHECK(mf_buf_append(&buf, "def", 3) && mf_holds_add(&buf, b) && mf_holds_add(&buf, b));
    CHECK(mf_holds_before(&buf, 3) == 0 && mf_holds_before(&buf, 4) == 1 && mf_holds_before(&buf, 7) == 3);
    CHECK(atomic_load(&b->refs) == 3);
    CHECK(mf_holds_split(&buf, 4, &holds) && holds->n == 2 && holds->items[0].block == b);
    mf_holds_free(holds);
    CHECK(atomic_load(&b->refs) == 1);
    CHECK(mf_holds_split(&buf, 4, &holds) && holds == NULL);
    CHECK(mf_holds_add(&buf, b));
    mf_holds_cut(&buf, 4);
    CHECK(buf.holds->n == 1 && atomic_load(&b->refs) == 1);
    struct mf_blob *blob = mf_buf_freeze(&buf);
    CHECK(blob->holds && blob->holds->n == 1 && atomic_load(&a->refs) == 2);
    mf_blob_unref(blob);
    CHECK(atomic_load(&a->refs) == 1);
    CHECK(mf_holds_new(both, 0) == NULL);
    holds = mf_holds_new(both, 2);
    a->holds = mf_holds_new(&b, 1);
    mf_block_unref(a);
    CHECK(atomic_load(&b->refs) == 3);
    mf_holds_export(holds);
    mf_holds_export(NULL);
    mf_holds_free(holds); /* and so a, and what it refers to */
    CHECK(atomic_load(&b->refs) == 1);
    CHECK(mf_holds_add(&buf, b));
    mf_buf_release(&buf);
    CHECK(atomic_load(&b->refs) == 1);
    mf_block_unref(b);
}

int main(void)
{
    test_own();
    test_mark();
    test_files();
    test_blob();
    test_holds();
    int fd = mf_sys_memfd("test");
    if (fd >= 0) {
        close(fd);
        test_export();
        test_export_of_mapped();
        test_shared();
    }
    return check_report();
}
