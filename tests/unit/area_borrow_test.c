/* Areas, as their receiver has them: bodies that arrive in place, claims that are not so, memory that is nobody else's
 * to write. */
#include "area_pair.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../runtime/sys_fd.h"
#include "../../runtime/sys_mem.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true /* needs address space of its own */
#else
#define SANITIZED false
#endif

/* What stands in the stream comes first, and may be cut off without a copy. */
static void test_prefix(void)
{
    struct pair p;
    struct mf_area_part part = {body, SIZE};
    unsigned char head[MF_AREA_PREFIX];
    int fd;
    open_pair(&p);
    memset(body, 'b', SIZE);
    for (size_t n = 0; n <= sizeof head; n += 16) {
        memset(head, 'h', sizeof head);
        int number = mf_area_put(&p.out, &part, 1, SIZE, &fd);
        struct mf_blob *blob = mf_area_take(&p.in, (uint64_t)number, SIZE, &(struct mf_area_part){head, n}, fd, NULL);
        if (!CHECK(blob && blob->len == n + SIZE && (n == 0 || memcmp(blob->data, head, n) == 0)))
            break;
        CHECK(blob->data[n] == 'b' && blob->data[n + SIZE - 1] == 'b');
        const unsigned char *data = blob->data;
        blob = mf_blob_cut(blob);
        CHECK(blob && blob->len == n + SIZE - 16 && (blob->data == data + 16) == (n >= 16));
        CHECK(blob->data[0] == (n > 16 ? 'h' : 'b') && blob->data[n + SIZE - 17] == 'b');
        mf_blob_unref(blob);
    }
    close_pair(&p);
}

/* The receiver cannot map any more: the body is read. The heap has room, since it had before. */
static void test_no_address_space(void)
{
    struct pair p;
    struct mf_area_part part = {body, SIZE};
    struct rlimit limit, low;
    int fd, again;
    if (SANITIZED)
        return;
    open_pair(&p);
    memset(body, 'm', SIZE);
    int number = mf_area_put(&p.out, &part, 1, SIZE, &fd);
    for (int i = 0; i < 2; i++) { /* blocks of this size come from the heap from the second one on */
        void *volatile block = malloc(4 * SIZE);
        free(block);
    }
    getrlimit(RLIMIT_AS, &limit);
    low = limit;
    low.rlim_cur = 1;
    CHECK(setrlimit(RLIMIT_AS, &low) == 0);
    struct mf_blob *blob = mf_area_take(&p.in, (uint64_t)number, SIZE,
                                        &(struct mf_area_part){(const unsigned char *)"12345678", 8}, fd, NULL);
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK(blob && blob->len == SIZE + 8 && memcmp(blob->data, "12345678mm", 10) == 0 && blob->data[SIZE + 7] == 'm');
    mf_blob_unref(blob);
    blob = pass(&p, 'n', SIZE, &again); /* and it is passed again, with its descriptor */
    CHECK(again == number && holds(blob, 'n', SIZE));
    mf_blob_unref(blob);
    close_pair(&p);
}

/* --- Claims ----------------------------------------------------------------------------------------------------- */

enum content { HOLES, PAGES };

static int memory(size_t size, enum content content, int seal)
{
    int fd = mf_sys_memfd("claim");
    CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    static const char page[4096];
    for (size_t at = 0; content == PAGES && at < size; at += sizeof page)
        CHECK(pwrite(fd, page, size - at < sizeof page ? size - at : sizeof page, (off_t)at) > 0);
    if (seal >= 0)
        CHECK(mf_sys_memfd_seal(fd, (enum mf_sys_seal)seal));
    return fd;
}

static bool refused(uint64_t number, uint64_t size, int fd)
{
    struct pair p;
    struct mf_fault fault = {.code = MF_OK};
    open_pair(&p);
    struct mf_blob *blob = mf_area_take(&p.in, number, size, &nothing, fd, &fault);
    bool good = !blob && fault.code == MF_EINVAL && strstr(fault.text, "shared memory");
    mf_blob_unref(blob);
    close_pair(&p);
    return good;
}

static void test_claims(void)
{
    struct pair p;
    const int sealed = MF_SYS_SEAL_CONTENT;
    open_pair(&p);
    struct mf_blob *blob = mf_area_take(&p.in, 0, SIZE, &nothing, memory(SIZE, PAGES, sealed), NULL);
    CHECK(blob && blob->len == SIZE);
    CHECK(mf_area_take(&p.in, 0, SIZE, &nothing, -1, NULL) == NULL); /* while the blob is there */
    mf_blob_unref(blob);
    CHECK(mf_area_take(&p.in, 0, SIZE + 1, &nothing, -1, NULL) == NULL);
    CHECK(mf_area_take(&p.in, 1, 1, &nothing, -1, NULL) == NULL);
    close_pair(&p);
    CHECK(refused(0, SIZE, memory(SIZE - 1, PAGES, sealed)));
    CHECK(refused(0, SIZE, memory(SIZE, PAGES, -1)));
    CHECK(refused(0, SIZE, memory(SIZE, PAGES, MF_SYS_SEAL_SIZE)));
    CHECK(refused(0, SIZE, memory(SIZE, HOLES, sealed))); /* promised memory that is not there */
    CHECK(refused(0, MF_AREA_MAX, memory((size_t)MF_AREA_MAX, HOLES, sealed)));
    CHECK(refused(0, 0, memory(SIZE, PAGES, sealed)));
    CHECK(refused(0, UINT64_MAX, memory(SIZE, PAGES, sealed)));
    CHECK(refused(MF_AREA_ONCE + 1, SIZE, memory(SIZE, PAGES, sealed)));
    CHECK(refused(UINT64_MAX, SIZE, -1));
    CHECK(refused(MF_AREA_ONCE, SIZE, -1));
    int ends[2];
    CHECK(mf_sys_pipe(ends));
    CHECK(refused(0, SIZE, ends[0]));
    close(ends[1]);
}

static bool board_refused(struct mf_area_end *end, uint64_t size, int fd)
{
    struct mf_fault fault = {.code = MF_OK};
    return mf_area_take_board(end, size, fd, &fault) == MF_EINVAL && strstr(fault.text, "no board");
}

static void test_boards(void)
{
    struct mf_areas *areas = mf_areas_new();
    struct mf_area_end end = {0}, closed = {0};
    size_t page = mf_sys_page();
    mf_area_open(&end, areas);
    CHECK(board_refused(&end, page, -1) && board_refused(&end, 0, memory(page, PAGES, MF_SYS_SEAL_SIZE)));
    CHECK(board_refused(&end, page, memory(page, PAGES, -1)));
    CHECK(board_refused(&end, page, memory(page, HOLES, MF_SYS_SEAL_SIZE)));
    CHECK(board_refused(&end, page, memory(page - 1, PAGES, MF_SYS_SEAL_SIZE)));
    CHECK(board_refused(&closed, page, memory(page, PAGES, MF_SYS_SEAL_SIZE)));
    /* without a board no area that is kept, but one for once */
    CHECK(mf_area_take(&end, 0, SIZE, &nothing, memory(SIZE, PAGES, MF_SYS_SEAL_CONTENT), NULL) == NULL);
    struct mf_blob *blob =
        mf_area_take(&end, MF_AREA_ONCE, SIZE, &nothing, memory(SIZE, PAGES, MF_SYS_SEAL_CONTENT), NULL);
    CHECK(blob && blob->len == SIZE);
    mf_blob_unref(blob);
    CHECK(mf_area_take_board(&end, page, memory(page, PAGES, MF_SYS_SEAL_SIZE), NULL) == MF_OK);
    CHECK(board_refused(&end, page, memory(page, PAGES, MF_SYS_SEAL_SIZE))); /* there is one */
    mf_area_close(&end);
    mf_areas_unref(areas);
    mf_areas_unref(NULL);
}

/* What is given away for good is as any other, and takes no kept one's place. */
static void test_giving(void)
{
    struct pair p;
    struct mf_area_part parts[2] = {{body, 100}, {body + 100, SIZE - 100}};
    int fd, first;
    open_pair(&p);
    memset(body, 'g', SIZE);
    CHECK((fd = mf_area_give(parts, 2, SIZE)) >= 0);
    CHECK(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && pwrite(fd, "x", 1, 0) < 0);
    struct mf_blob *blob = mf_area_take(&p.in, MF_AREA_ONCE, SIZE, &nothing, fd, NULL);
    CHECK(holds(blob, 'g', SIZE) && mf_areas_cool(p.areas[0]));
    struct mf_blob *other = pass(&p, 'h', SIZE, &first);
    CHECK(first == 0 && holds(other, 'h', SIZE));
    mf_blob_unref(other);
    close_pair(&p);
    CHECK(holds(blob, 'g', SIZE));
    mf_blob_unref(blob);
}

/* The receiver can neither write to what it is lent nor take its pages away. */
static void test_receiver_cannot_write(void)
{
    struct pair p;
    struct mf_area_part part = {body, SIZE};
    int fds[MF_AREA_KEPT + 1];
    open_pair(&p);
    for (int i = 0; i <= MF_AREA_KEPT; i++) {
        CHECK(mf_area_put(&p.out, &part, 1, SIZE, &fds[i]) == i && fds[i] >= 0);
        CHECK(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0) == MAP_FAILED);
        CHECK(pwrite(fds[i], "x", 1, 0) < 0 && ftruncate(fds[i], 0) != 0);
        close(fds[i]);
    }
    close_pair(&p);
}

/* A receiver that says on its board what is not so harms nobody else. */
static void test_lying_board(void)
{
    struct pair p;
    int fd, number;
    struct mf_area_part part = {body, SIZE};
    *(&p) = (struct pair){.areas = {mf_areas_new(), mf_areas_new()}};
    mf_area_open(&p.out, p.areas[0]);
    mf_area_open(&p.in, p.areas[1]);
    CHECK(!mf_area_show_board(&p.out, &fd) && fd >= 0);
    unsigned char *board = mmap(NULL, mf_sys_page(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(board != MAP_FAILED && mf_area_take_board(&p.in, mf_area_board_bytes(), fd, NULL) == MF_OK);
    for (int value = 0; value < 256; value += 51) {
        memset(board, value, mf_sys_page());
        number = mf_area_put(&p.out, &part, 1, SIZE, &fd);
        memset(board, value, mf_sys_page());
        struct mf_blob *blob = mf_area_take(&p.in, (uint64_t)number, SIZE, &nothing, fd, NULL);
        mf_areas_cool(p.areas[0]);
        mf_areas_cool(p.areas[1]);
        mf_blob_unref(blob);
    }
    munmap(board, mf_sys_page());
    close_pair(&p);
}

int main(void)
{
    test_prefix();
    test_giving();
    test_claims();
    test_boards();
    test_receiver_cannot_write();
    test_lying_board();
    test_no_address_space();
    return check_report();
}
