/* Links: bodies beside the stream, sent and received in areas, kept, and claimed where there are none. */
#include "link_pair.h"

#include <sys/resource.h>

/* A blob outlives link and sender, and the sender does not write over it. */
static void test_kept_blobs(void)
{
    struct pair p;
    open_pair(&p);
    p.in[1].keep = true;
    CHECK(send_body(p.link[0], 1, 400000) == MF_OK);
    pump(&p, &p.in[1], 1);
    struct mf_blob *first = mf_blob_ref(p.in[1].kept);
    for (int i = 2; i <= 10; i++) {
        CHECK(send_body(p.link[0], (uint64_t)i, 400000 - (size_t)i) == MF_OK);
        pump(&p, &p.in[1], i);
    }
    struct mf_blob *last = mf_blob_ref(p.in[1].kept);
    close_pair(&p);
    bool good = first && last && first->len == 400000 && last->len == 400000 - 10;
    for (size_t i = 0; good && i < last->len; i++)
        good = first->data[i] == pattern(1, i) && last->data[i] == pattern(10, i);
    CHECK(good);
    mf_blob_unref(first);
    mf_blob_unref(last);
}

/* Does a body of that kind, which the other side keeps, occupy one of the sender's areas? */
static bool occupies(enum mf_msg_kind kind)
{
    struct pair p;
    unsigned char *bytes = make_body(3, 400000);
    const struct mf_msg_part part = {bytes, 400000};
    open_pair(&p);
    p.in[1].keep = true;
    CHECK(mf_link_send(p.link[0], kind, 3, &part, 1) == MF_OK);
    pump(&p, &p.in[1], 1);
    CHECK(p.in[1].kept && p.in[1].kept->len == 400000);
    bool free_again = mf_areas_cool(p.areas[0]);
    close_pair(&p);
    free(bytes);
    return !free_again;
}

static void test_kept_for_long(void)
{
    CHECK(occupies(MF_MSG_TASK) && occupies(MF_MSG_RESULT));
    CHECK(!occupies(MF_MSG_CODE));
}

/* --- Blobs ------------------------------------------------------------------------------------------------------ */

#define PREFIX 16 /* bytes of a head */

/* A blob of n bytes behind the head, in an area if there is a free one. */
static struct mf_blob *make_blob(struct mf_areas *areas, uint64_t id, size_t n)
{
    unsigned char *bytes = make_body(id, PREFIX + n);
    struct mf_buf b = {0};
    mf_buf_use(&b, NULL, areas);
    CHECK(mf_buf_append(&b, bytes + PREFIX, n));
    free(bytes);
    struct mf_blob *blob = mf_buf_freeze(&b);
    mf_buf_release(&b);
    return blob;
}

static enum mf_err queue_blob(struct mf_link *l, uint64_t id, struct mf_blob *blob)
{
    unsigned char *bytes = make_body(id, PREFIX);
    struct mf_msg_part head = {bytes, PREFIX};
    enum mf_err e = mf_link_queue_blob(l, MF_MSG_RESULT, id, &head, blob);
    free(bytes);
    return e;
}

/* Of any size, in an area or not: what arrives is head and blob. */
static void test_blobs(void)
{
    struct pair p;
    open_pair(&p);
    p.in[1].take = true;
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < SIZES; i++) {
            uint64_t id = (uint64_t)(i + SIZES * round);
            struct mf_blob *blob = make_blob(p.areas[0], id, sizes[i]);
            CHECK(!(blob->flags & MF_BLOB_LENT) || sizes[i] >= MF_AREA_LEAST);
            CHECK(round == 0 || sizes[i] <= MF_MSG_INLINE || blob->flags & MF_BLOB_LENT);
            CHECK(queue_blob(p.link[0], id, blob) == MF_OK);
            mf_blob_unref(blob);
            pump(&p, &p.in[1], (int)id + 1);
            CHECK(p.in[1].last.kind == MF_MSG_RESULT && p.in[1].last.length == PREFIX + sizes[i]);
        }
    CHECK(queue_blob(p.link[0], 99, NULL) == MF_OK);
    pump(&p, &p.in[1], 3 * SIZES + 1);
    CHECK(p.in[1].last.length == PREFIX);
    close_pair(&p);
}

/* The same blob several times, before it was read: lent once, and copied for the others. */
static void test_lent_twice(void)
{
    struct pair p;
    open_pair(&p);
    CHECK(send_body(p.link[0], 1, 400000) == MF_OK);
    pump(&p, &p.in[1], 1);
    struct mf_blob *blob = make_blob(p.areas[0], 7, 400000);
    CHECK(blob->flags & MF_BLOB_LENT);
    for (int i = 0; i < 10; i++)
        CHECK(queue_blob(p.link[0], 7, blob) == MF_OK);
    mf_blob_unref(blob);
    pump(&p, &p.in[1], 11);
    close_pair(&p);
}

/* A link that shares nothing, or has a stream that passes no descriptors, sends others' blobs in the stream. */
static void test_unshared(void)
{
    struct pair p;
    int fd[2];
    struct inbox in = {.good = true};
    open_pair(&p);
    CHECK(send_body(p.link[0], 1, 400000) == MF_OK);
    pump(&p, &p.in[1], 1);
    struct mf_blob *blob = make_blob(p.areas[0], 3, 400000);
    CHECK(blob->flags & MF_BLOB_LENT && mf_sys_pipe(fd));
    struct mf_link *to = mf_link_new(mf_stream_fd_new(fd[1], NULL), receive, &in, NULL);
    struct mf_link *from = mf_link_new(mf_stream_fd_new(fd[0], NULL), receive, &in, NULL);
    mf_link_use(to, NULL, p.areas[0]);
    CHECK(queue_blob(to, 3, blob) == MF_OK && mf_link_pending(to) > 400000);
    for (long i = 0; in.frames < 1 && i < 1000000; i++)
        if (mf_link_flush(to) != MF_OK || mf_link_read(from, NULL) != MF_OK)
            break;
    CHECK(in.frames == 1 && in.good && in.last.length == PREFIX + 400000);
    mf_blob_unref(blob);
    mf_link_free(to);
    mf_link_free(from);
    close_pair(&p);
}

/* With no descriptors to be had, large bodies go through the stream. */
static void test_no_descriptors(void)
{
    struct pair p;
    struct rlimit limit, low;
    open_pair(&p);
    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    low.rlim_cur = 3;
    CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
    CHECK(send_body(p.link[0], 5, 1000000) == MF_OK);
    CHECK(mf_link_pending(p.link[0]) > 0);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    pump(&p, &p.in[1], 1);
    CHECK(p.in[1].last.length == 1000000);
    close_pair(&p);
}

/* Claims of a body beside the stream that are not so: a descriptor that is missing, an area that is not there. */
static void test_false_claims(void)
{
    unsigned char frame[MF_MSG_HEAD + MF_MSG_BESIDE_BODY] = {28, 0, 0, 0, MF_MSG_TASK, MF_MSG_BESIDE | MF_MSG_FD};
    struct mf_fault fault;
    frame[MF_MSG_HEAD + 2] = 16; /* a megabyte */
    CHECK(after_bytes(frame, sizeof frame, true, &fault) == MF_EINVAL && strstr(fault.text, "without its descriptor"));
    frame[5] = MF_MSG_BESIDE;
    CHECK(after_bytes(frame, sizeof frame, true, &fault) == MF_EINVAL && strstr(fault.text, "shared memory"));
    frame[MF_MSG_HEAD + 8] = 200;
    CHECK(after_bytes(frame, sizeof frame, true, &fault) == MF_EINVAL && strstr(fault.text, "number 200"));
    CHECK(after_bytes(frame, sizeof frame, false, &fault) == MF_EINVAL && strstr(fault.text, "not Moonfleet's"));
}

int main(void)
{
    test_kept_blobs();
    test_kept_for_long();
    test_blobs();
    test_lent_twice();
    test_unshared();
    test_no_descriptors();
    test_false_claims();
    return check_report();
}
