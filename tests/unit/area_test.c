/* Areas, as their sender has them: used again, written by buffers, lent to several links, given back, and none to be
 * had. */
#include "area_pair.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../runtime/sys_fd.h"
#include "../../runtime/sys_mem.h"

static void test_again(void)
{
    struct pair p;
    struct mf_blob *blobs[MF_AREA_KEPT + 1];
    int number[MF_AREA_KEPT + 1], again;
    open_pair(&p);
    for (int i = 0; i <= MF_AREA_KEPT; i++) {
        blobs[i] = pass(&p, (char)('a' + i), SIZE, &number[i]);
        CHECK(i == MF_AREA_KEPT ? number[i] == MF_AREA_ONCE : number[i] < MF_AREA_KEPT);
        for (int k = 0; k < i; k++)
            CHECK(number[k] != number[i]);
    }
    for (int i = 0; i <= MF_AREA_KEPT; i++)
        CHECK(holds(blobs[i], (char)('a' + i), SIZE));
    mf_blob_unref(blobs[1]);
    mf_blob_unref(blobs[MF_AREA_KEPT]);
    blobs[1] = pass(&p, 'y', SIZE - 100, &again);
    CHECK(again == number[1] && holds(blobs[1], 'y', SIZE - 100) && holds(blobs[0], 'a', SIZE));
    mf_blob_unref(mf_blob_ref(blobs[1]));
    mf_blob_unref(blobs[1]);
    blobs[1] = pass(&p, 'z', 2 * SIZE, &again); /* too long for it: a new one in its place */
    CHECK(again == number[1] && holds(blobs[1], 'z', 2 * SIZE));
    close_pair(&p);
    for (int i = 0; i < MF_AREA_KEPT; i++)
        if (CHECK(i == 1 ? holds(blobs[i], 'z', 2 * SIZE) : holds(blobs[i], (char)('a' + i), SIZE)))
            mf_blob_unref(blobs[i]);
}

/* The descriptor goes along only once, and there is a little room for a longer body. */
static void test_descriptors(void)
{
    struct pair p;
    struct mf_area_part part = {body, SIZE};
    int fd;
    open_pair(&p);
    int first = mf_area_put(&p.out, &part, 1, SIZE, &fd);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) & FD_CLOEXEC);
    mf_blob_unref(mf_area_take(&p.in, (uint64_t)first, SIZE, &nothing, fd, NULL));
    CHECK(fcntl(fd, F_GETFD) < 0);
    part.n = SIZE + SIZE / 100;
    CHECK(mf_area_put(&p.out, &part, 1, part.n, &fd) == first && fd == -1);
    mf_blob_unref(mf_area_take(&p.in, (uint64_t)first, part.n, &nothing, -1, NULL));
    close_pair(&p);
}

/* --- Buffers ---------------------------------------------------------------------------------------------------- */

/* A buffer that has been written into an area. */
static struct mf_buf write_buffer(struct mf_areas *areas, char letter, size_t n)
{
    struct mf_buf b = {0};
    memset(body, letter, n);
    mf_buf_use(&b, NULL, areas);
    CHECK(mf_buf_append(&b, body, 10) && mf_buf_append(&b, body, n - 10) && b.len == n);
    return b;
}

/* Lends what the buffer holds, and takes it. */
static struct mf_blob *lend(struct pair *p, struct mf_buf *b, struct mf_blob **sent, int *number, bool *passed)
{
    int fd;
    size_t n = b->len;
    *sent = mf_buf_freeze(b);
    CHECK(*sent && (*sent)->flags & MF_BLOB_LENT);
    *number = mf_area_lend(&p->out, *sent, &fd);
    *passed = fd >= 0;
    return CHECK(*number >= 0) ? mf_area_take(&p->in, (uint64_t)*number, n, &nothing, fd, NULL) : NULL;
}

static void test_buffers(void)
{
    struct pair p;
    struct mf_blob *sent, *second, *got;
    bool passed;
    int number, again;
    open_pair(&p);
    struct mf_buf b = write_buffer(p.areas[0], 'a', SIZE);
    CHECK(b.storage == MF_BUF_MALLOC); /* there is no area yet */
    mf_buf_release(&b);
    mf_blob_unref(pass(&p, 'b', SIZE, &number));
    b = write_buffer(p.areas[0], 'c', SIZE);
    CHECK(b.storage == MF_BUF_AREA);
    got = lend(&p, &b, &sent, &again, &passed);
    CHECK(again == number && !passed && holds(got, 'c', SIZE));
    CHECK(mf_area_lend(&p.out, sent, &again) == -1); /* it is lent */
    b = write_buffer(p.areas[0], 'd', SIZE);
    CHECK(b.storage == MF_BUF_MALLOC); /* while somebody holds it on either side */
    mf_buf_release(&b);
    mf_blob_unref(got);
    CHECK(mf_area_lend(&p.out, sent, &again) == number && again == -1);
    got = mf_area_take(&p.in, (uint64_t)number, SIZE, &nothing, -1, NULL);
    mf_blob_unref(sent);
    b = write_buffer(p.areas[0], 'e', SIZE);
    CHECK(b.storage == MF_BUF_MALLOC && holds(got, 'c', SIZE));
    mf_buf_release(&b);
    mf_blob_unref(got);
    b = write_buffer(p.areas[0], 'f', SIZE);
    got = lend(&p, &b, &second, &again, &passed);
    CHECK(again == number && holds(got, 'f', SIZE));
    mf_blob_unref(second);
    close_pair(&p);
    CHECK(holds(got, 'f', SIZE));
    mf_blob_unref(got);
}

/* One that outgrows its area moves, and the area is free again; so is that of one that is let go of. */
static void test_outgrowing(void)
{
    struct pair p;
    int number;
    open_pair(&p);
    mf_blob_unref(pass(&p, 'a', SIZE, &number));
    for (int round = 0; round < 2; round++) {
        struct mf_buf b = write_buffer(p.areas[0], 'b', SIZE);
        CHECK(b.storage == MF_BUF_AREA);
        memset(body, 'b', SIZE);
        CHECK(mf_buf_append(&b, body, SIZE) && b.storage == MF_BUF_MALLOC);
        struct mf_blob *blob = mf_buf_freeze(&b);
        CHECK(holds(blob, 'b', 2 * SIZE) && !(blob->flags & MF_BLOB_LENT) && mf_area_lend(&p.out, blob, &number) == -1);
        mf_blob_unref(blob);
        b = write_buffer(p.areas[0], 'c', SIZE);
        CHECK(b.storage == MF_BUF_AREA);
        mf_buf_release(&b);
    }
    close_pair(&p);
}

/* A blob of other areas cannot be lent in these, and one may outlive its areas' owner. */
static void test_strangers(void)
{
    struct pair p, q;
    int number;
    open_pair(&p);
    open_pair(&q);
    mf_blob_unref(pass(&p, 'a', SIZE, &number));
    struct mf_buf b = write_buffer(p.areas[0], 'b', SIZE);
    struct mf_blob *blob = mf_buf_freeze(&b);
    CHECK(mf_area_lend(&q.out, blob, &number) == -1 && number == -1);
    close_pair(&p);
    CHECK(holds(blob, 'b', SIZE));
    mf_blob_unref(blob);
    close_pair(&q);
}

/* One after the other, an area serves several links, each of which gets the descriptor once. */
static void test_two_links(void)
{
    struct pair p, q;
    struct mf_blob *sent, *got;
    bool passed;
    int number, other;
    open_pair(&p);
    q = (struct pair){.areas = {NULL, mf_areas_new()}};
    mf_area_open(&q.out, p.areas[0]);
    mf_area_open(&q.in, q.areas[1]);
    show_board(&q.out, &q.in);
    mf_blob_unref(pass(&p, 'a', SIZE, &number));
    for (int round = 0; round < 3; round++)
        for (int side = 0; side < 2; side++) {
            struct mf_buf b = write_buffer(p.areas[0], (char)('b' + side), SIZE);
            got = lend(side ? &q : &p, &b, &sent, &other, &passed);
            CHECK(other == number && passed == (side == 1 && round == 0) && holds(got, (char)('b' + side), SIZE));
            mf_blob_unref(sent);
            mf_blob_unref(got);
        }
    mf_area_close(&q.out);
    mf_area_close(&q.in);
    mf_areas_unref(q.areas[1]);
    close_pair(&p);
}

/* --- Ends ------------------------------------------------------------------------------------------------------- */

/* What was lent over a link that has ended is not written again: the other side may still read. */
static void test_end_while_lent(void)
{
    struct pair p;
    int number;
    open_pair(&p);
    struct mf_blob *got = pass(&p, 'a', SIZE, &number);
    mf_area_close(&p.out);
    struct mf_buf b = write_buffer(p.areas[0], 'b', SIZE);
    CHECK(b.storage == MF_BUF_MALLOC && holds(got, 'a', SIZE));
    mf_buf_release(&b);
    mf_blob_unref(got);
    close_pair(&p);
}

static void test_end_while_held(void)
{
    struct pair p;
    struct mf_blob *sent, *got;
    bool passed;
    int number, next;
    open_pair(&p);
    mf_blob_unref(pass(&p, 'a', SIZE, &number));
    struct mf_buf b = write_buffer(p.areas[0], 'b', SIZE);
    got = lend(&p, &b, &sent, &number, &passed);
    mf_area_close(&p.out);
    CHECK(holds(sent, 'b', SIZE));
    p.out = (struct mf_area_end){0};
    mf_area_open(&p.out, p.areas[0]); /* a new link to somebody else */
    CHECK(!mf_area_show_board(&p.out, &next) && next >= 0);
    close(next);
    CHECK(mf_area_lend(&p.out, sent, &next) == -1);
    mf_blob_unref(sent);
    b = write_buffer(p.areas[0], 'c', SIZE);
    CHECK(b.storage == MF_BUF_MALLOC && holds(got, 'b', SIZE));
    mf_buf_release(&b);
    mf_blob_unref(got);
    close_pair(&p);
}

/* --- Giving back ------------------------------------------------------------------------------------------------ */

static void test_cooling(void)
{
    struct pair p;
    int number, again, fd;
    struct mf_area_part part = {body, SIZE};
    open_pair(&p);
    struct mf_blob *blob = pass(&p, 'a', SIZE, &number);
    CHECK(!mf_areas_cool(p.areas[0]) && !mf_areas_cool(p.areas[1])); /* in use */
    CHECK(holds(blob, 'a', SIZE));
    mf_blob_unref(blob);
    CHECK(mf_areas_cool(p.areas[1])); /* the receiver's mapping is gone: the descriptor must come again */
    CHECK(mf_area_put(&p.out, &part, 1, SIZE, &fd) == number && fd >= 0);
    blob = mf_area_take(&p.in, (uint64_t)number, SIZE, &nothing, fd, NULL);
    CHECK(blob && mf_area_take(&p.in, (uint64_t)number, SIZE, &nothing, -1, NULL) == NULL);
    mf_blob_unref(blob);
    CHECK(mf_area_put(&p.out, &part, 1, SIZE, &fd) == number && fd == -1);
    mf_blob_unref(mf_area_take(&p.in, (uint64_t)number, SIZE, &nothing, -1, NULL));
    CHECK(mf_areas_cool(p.areas[0])); /* the sender's area is gone: a new one */
    blob = pass(&p, 'b', SIZE, &again);
    CHECK(holds(blob, 'b', SIZE));
    struct mf_buf b = write_buffer(p.areas[0], 'c', SIZE);
    mf_blob_unref(blob);
    mf_buf_release(&b);
    b = write_buffer(p.areas[0], 'd', SIZE);
    CHECK(b.storage == MF_BUF_AREA && !mf_areas_cool(p.areas[0]) && b.data[SIZE - 1] == 'd');
    mf_buf_release(&b);
    CHECK(mf_areas_cool(p.areas[0]) && mf_areas_cool(p.areas[1]));
    close_pair(&p);
}

static void *let_go(void *blob)
{
    mf_blob_unref(blob);
    return NULL;
}

static atomic_bool cooling;

static void *cool(void *arg)
{
    struct pair *p = arg;
    while (cooling) {
        mf_areas_cool(p->areas[0]);
        mf_areas_cool(p->areas[1]);
    }
    return NULL;
}

/* Blobs are let go of by another thread while the next is passed, and what is free is given back by a third. */
static void test_threads(void)
{
    struct pair p;
    pthread_t cooler;
    open_pair(&p);
    cooling = true;
    CHECK(pthread_create(&cooler, NULL, cool, &p) == 0);
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        int number;
        struct mf_blob *blob = pass(&p, (char)('a' + i % 26), SIZE, &number);
        if (!CHECK(holds(blob, (char)('a' + i % 26), SIZE)))
            break;
        CHECK(pthread_create(&thread, NULL, let_go, blob) == 0);
        blob = pass(&p, 'z', SIZE, &number);
        CHECK(holds(blob, 'z', SIZE));
        mf_blob_unref(blob);
        pthread_join(thread, NULL);
    }
    cooling = false;
    pthread_join(cooler, NULL);
    close_pair(&p);
}

/* A forked child that lets go of a blob does not give the parent's away, and writes into no area of the parent. */
static void test_forked_child(void)
{
    struct pair p;
    int number, next, status = -1;
    open_pair(&p);
    mf_blob_unref(pass(&p, 'o', SIZE, &next));
    struct mf_blob *blob = pass(&p, 'p', SIZE, &number);
    pid_t pid = fork();
    if (pid == 0) {
        int fd;
        struct mf_area_part part = {body, SIZE};
        bool good = holds(blob, 'p', SIZE);
        mf_blob_unref(blob);
        struct mf_buf b = write_buffer(p.areas[0], 'c', SIZE);
        good = good && b.storage == MF_BUF_MALLOC && mf_area_put(&p.out, &part, 1, SIZE, &fd) == -1;
        _exit(good && mf_areas_cool(p.areas[0]) ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    struct mf_blob *other = pass(&p, 'q', SIZE, &next);
    CHECK(next != number && holds(blob, 'p', SIZE) && holds(other, 'q', SIZE));
    mf_blob_unref(blob);
    mf_blob_unref(other);
    close_pair(&p);
}

/* --- When there is not enough ----------------------------------------------------------------------------------- */

/* Where no such large file may be made, the caller is told to send it otherwise, and no signal comes. */
static void test_file_limit(void)
{
    struct pair p;
    struct mf_area_part part = {body, SIZE};
    struct rlimit limit, low;
    int fd = 77;
    open_pair(&p);
    getrlimit(RLIMIT_FSIZE, &limit);
    low = limit;
    low.rlim_cur = SIZE;
    CHECK(setrlimit(RLIMIT_FSIZE, &low) == 0);
    CHECK(mf_area_put(&p.out, &part, 1, SIZE, &fd) == -1 && fd == -1);
    low.rlim_cur = 1;
    CHECK(setrlimit(RLIMIT_FSIZE, &low) == 0);
    struct mf_area_end end = {0};
    mf_area_open(&end, p.areas[0]);
    CHECK(!mf_area_show_board(&end, &fd) && fd == -1);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(mf_area_put(&p.out, &part, 1, SIZE, &fd) >= 0 && fd >= 0);
    close(fd);
    mf_area_close(&end);
    close_pair(&p);
}

static void test_no_descriptors(void)
{
    struct pair p;
    struct mf_area_part part = {body, SIZE};
    struct rlimit limit, low;
    int number, fd;
    open_pair(&p);
    mf_blob_unref(pass(&p, 'a', SIZE, &number));
    CHECK(mf_areas_cool(p.areas[1]));
    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    low.rlim_cur = 3;
    CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
    CHECK(mf_area_put(&p.out, &part, 1, SIZE, &fd) == -1 && fd == -1); /* there is an area, but it cannot be passed */
    struct mf_area_end end = {0};
    mf_area_open(&end, p.areas[0]);
    CHECK(!mf_area_show_board(&end, &fd) && fd == -1);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    struct mf_blob *blob = pass(&p, 'b', SIZE, &number);
    CHECK(holds(blob, 'b', SIZE) && number < MF_AREA_KEPT);
    mf_blob_unref(blob);
    mf_area_close(&end);
    close_pair(&p);
}

int main(void)
{
    test_forked_child();
    test_again();
    test_descriptors();
    test_buffers();
    test_outgrowing();
    test_strangers();
    test_two_links();
    test_end_while_lent();
    test_end_while_held();
    test_cooling();
    test_threads();
    test_file_limit();
    test_no_descriptors();
    return check_report();
}
