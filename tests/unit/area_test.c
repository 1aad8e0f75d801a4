/* Areas: bodies that arrive in place, areas that are used again, blobs that stay, claims that are not so. */
#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../runtime/area.h"
#include "../../runtime/sys_fd.h"

#define SIZE ((size_t)300000)

static unsigned char body[2 * SIZE];

/* Puts and takes n bytes that begin with the letter: the blob, and in *number the area. */
static struct mf_blob *pass(struct mf_area_out *out, struct mf_area_in *in, char letter, size_t n, int *number)
{
    int fd = -1;
    memset(body, letter, n);
    struct mf_msg_part parts[2] = {{body, 5}, {body + 5, n - 5}};
    *number = mf_area_put(out, parts, 2, n, &fd);
    if (!CHECK(*number >= 0))
        return NULL;
    return mf_area_take(in, (uint64_t)*number, n, fd, NULL);
}

static bool holds(const struct mf_blob *blob, char letter, size_t n)
{
    bool good = blob && blob->len == n;
    for (size_t i = 0; good && i < n; i++)
        good = blob->data[i] == (unsigned char)letter;
    return good;
}

static void test_again(void)
{
    struct mf_area_out out = {0};
    struct mf_area_in in = {0};
    int a = -1, b = -1, c = -1, d = -1;
    struct mf_blob *first = pass(&out, &in, 'a', SIZE, &a), *second = pass(&out, &in, 'b', SIZE, &b);
    struct mf_blob *third = pass(&out, &in, 'c', SIZE, &c); /* the two that are kept are busy */
    CHECK(a != b && a < MF_AREA_KEPT && b < MF_AREA_KEPT && c == MF_AREA_ONCE);
    CHECK(holds(first, 'a', SIZE) && holds(second, 'b', SIZE) && holds(third, 'c', SIZE));
    mf_blob_unref(second);
    mf_blob_unref(third);
    struct mf_blob *fourth = pass(&out, &in, 'd', SIZE - 100, &d);
    CHECK(d == b && holds(fourth, 'd', SIZE - 100) && holds(first, 'a', SIZE));
    mf_blob_unref(mf_blob_ref(fourth));
    mf_blob_unref(fourth);
    fourth = pass(&out, &in, 'e', 2 * SIZE, &d); /* too long for it: a new one in its place */
    CHECK(d == b && holds(fourth, 'e', 2 * SIZE));
    mf_area_out_release(&out);
    mf_area_in_release(&in);
    CHECK(holds(first, 'a', SIZE) && holds(fourth, 'e', 2 * SIZE));
    mf_blob_unref(first);
    mf_blob_unref(fourth);
}

/* Where no such large file may be made, the caller is told to send it otherwise, and no signal comes. */
static void test_file_limit(void)
{
    struct mf_area_out out = {0};
    struct mf_msg_part part = {body, SIZE};
    struct rlimit limit, low;
    int fd = 77;
    getrlimit(RLIMIT_FSIZE, &limit);
    low = limit;
    low.rlim_cur = SIZE;
    CHECK(setrlimit(RLIMIT_FSIZE, &low) == 0);
    CHECK(mf_area_put(&out, &part, 1, SIZE, &fd) == -1 && fd == -1);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(mf_area_put(&out, &part, 1, SIZE, &fd) >= 0 && fd >= 0);
    close(fd);
    mf_area_out_release(&out);
}

static void *let_go(void *blob)
{
    mf_blob_unref(blob);
    return NULL;
}

/* Blobs are let go of by another thread while the next is passed. */
static void test_threads(void)
{
    struct mf_area_out out = {0};
    struct mf_area_in in = {0};
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        int number;
        struct mf_blob *blob = pass(&out, &in, (char)('a' + i % 26), SIZE, &number);
        if (!CHECK(holds(blob, (char)('a' + i % 26), SIZE)))
            break;
        CHECK(pthread_create(&thread, NULL, let_go, blob) == 0);
        blob = pass(&out, &in, 'z', SIZE, &number);
        CHECK(holds(blob, 'z', SIZE));
        mf_blob_unref(blob);
        pthread_join(thread, NULL);
    }
    mf_area_out_release(&out);
    mf_area_in_release(&in);
}

/* A forked child that lets go of a blob does not give the parent's away. */
static void test_forked_child(void)
{
    struct mf_area_out out = {0};
    struct mf_area_in in = {0};
    int number, next, status = -1;
    struct mf_blob *blob = pass(&out, &in, 'p', SIZE, &number);
    pid_t pid = fork();
    if (pid == 0) {
        bool good = holds(blob, 'p', SIZE);
        mf_blob_unref(blob);
        _exit(good ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    struct mf_blob *other = pass(&out, &in, 'q', SIZE, &next);
    CHECK(next != number && holds(blob, 'p', SIZE) && holds(other, 'q', SIZE));
    mf_blob_unref(blob);
    mf_blob_unref(other);
    mf_area_out_release(&out);
    mf_area_in_release(&in);
}

/* --- Claims ----------------------------------------------------------------------------------------------------- */

static int memory(size_t size, bool fill, bool seal)
{
    int fd = mf_sys_memfd("claim");
    CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    static const char page[4096];
    for (size_t at = 0; fill && at < size; at += sizeof page)
        CHECK(pwrite(fd, page, size - at < sizeof page ? size - at : sizeof page, (off_t)at) > 0);
    if (seal)
        CHECK(mf_sys_memfd_seal(fd));
    return fd;
}

static bool refused(uint64_t number, uint64_t size, int fd)
{
    struct mf_area_in in = {0};
    struct mf_fault fault = {.code = MF_OK};
    struct mf_blob *blob = mf_area_take(&in, number, size, fd, &fault);
    bool good = !blob && fault.code == MF_EINVAL && strstr(fault.text, "shared memory");
    mf_blob_unref(blob);
    mf_area_in_release(&in);
    return good;
}

static void test_claims(void)
{
    size_t heads = 2 * (size_t)sysconf(_SC_PAGESIZE);
    struct mf_area_in in = {0};
    struct mf_blob *blob = mf_area_take(&in, 0, SIZE, memory(heads + SIZE, true, true), NULL);
    CHECK(blob && blob->len == SIZE);
    CHECK(mf_area_take(&in, 0, SIZE, -1, NULL) == NULL); /* while the blob is there */
    mf_blob_unref(blob);
    CHECK(mf_area_take(&in, 0, SIZE + 1, -1, NULL) == NULL);
    CHECK(mf_area_take(&in, 1, 1, -1, NULL) == NULL);
    mf_area_in_release(&in);
    CHECK(refused(0, SIZE, memory(heads + SIZE - 1, true, true)));
    CHECK(refused(0, SIZE, memory(heads + SIZE, true, false)));
    CHECK(refused(0, SIZE, memory(heads + SIZE, false, true))); /* promised memory that is not there */
    CHECK(refused(0, MF_MSG_MAX, memory(heads + (size_t)MF_MSG_MAX, false, true)));
    CHECK(refused(0, 0, memory(heads + SIZE, true, true)));
    CHECK(refused(0, UINT64_MAX, memory(heads + SIZE, true, true)));
    CHECK(refused(0, UINT64_MAX - heads + 1, memory(heads + SIZE, true, true)));
    CHECK(refused(MF_AREA_ONCE + 1, SIZE, memory(heads + SIZE, true, true)));
    CHECK(refused(UINT64_MAX, SIZE, -1));
    CHECK(refused(MF_AREA_ONCE, SIZE, -1));
    int ends[2];
    CHECK(mf_sys_pipe(ends));
    CHECK(refused(0, SIZE, ends[0]));
    close(ends[1]);
}

int main(void)
{
    test_forked_child();
    test_again();
    test_threads();
    test_claims();
    test_file_limit();
    return check_report();
}
