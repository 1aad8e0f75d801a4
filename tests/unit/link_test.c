/* Links: frames of all sizes over real sockets and over a stream that trickles; ends, garbage, hostile frames. */
#include "link_pair.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include "../../runtime/loop.h"

static void test_sizes(void)
{
    struct pair p;
    open_pair(&p);
    for (int i = 0; i < SIZES; i++) {
        CHECK(send_body(p.link[0], (uint64_t)i, sizes[i]) == MF_OK);
        pump(&p, &p.in[1], i + 1);
        CHECK(p.in[1].last.kind == MF_MSG_TASK && p.in[1].last.id == (uint64_t)i && p.in[1].last.flags == 0);
        CHECK(p.in[1].last.length == sizes[i]);
    }
    close_pair(&p);
}

/* All at once and echoed, with nobody reading meanwhile. */
static void test_echo(void)
{
    struct pair p;
    open_pair(&p);
    p.in[1].echo = p.link[1];
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < SIZES; i++)
            CHECK(send_body(p.link[0], (uint64_t)(i + 100 * round), sizes[i]) == MF_OK);
    pump(&p, &p.in[0], 3 * SIZES);
    CHECK(p.in[0].last.kind == MF_MSG_PONG && p.in[0].last.id == (uint64_t)(SIZES - 1 + 200));
    CHECK(p.in[0].bytes == p.in[1].bytes && mf_link_pending(p.link[0]) == 0 && mf_link_pending(p.link[1]) == 0);
    close_pair(&p);
}

static void test_queue(void)
{
    struct pair p;
    struct mf_msg_part none = {NULL, 0};
    open_pair(&p);
    for (int i = 0; i < 100; i++)
        CHECK(mf_link_queue(p.link[0], MF_MSG_PING, (uint64_t)i, &none, i % 2) == MF_OK);
    CHECK(mf_link_pending(p.link[0]) == 100 * MF_MSG_HEAD);
    CHECK(mf_link_read(p.link[1], NULL) == MF_OK && p.in[1].frames == 0);
    CHECK(mf_link_flush(p.link[0]) == MF_OK && mf_link_pending(p.link[0]) == 0);
    pump(&p, &p.in[1], 100);
    CHECK(p.in[1].last.id == 99);
    close_pair(&p);
}

/* --- Ends ------------------------------------------------------------------------------------------------------- */

/* A descriptor that a frame has of its own is the link's during the call, and the sender's copy stays the sender's. */
static void test_own_descriptor(void)
{
    struct pair p;
    unsigned char body[64];
    int fd = mf_sys_memfd("test");
    open_pair(&p);
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = pattern(5, i);
    const struct mf_msg_part part = {body, sizeof body};
    CHECK(mf_link_passes_fds(p.link[0]));
    CHECK(mf_link_queue_fd(p.link[0], MF_MSG_BLOCK, 5, &part, fd) == MF_OK);
    CHECK(mf_link_queue(p.link[0], MF_MSG_PING, 0, NULL, 0) == MF_OK);
    CHECK(mf_link_flush(p.link[0]) == MF_OK);
    struct mf_fault fault;
    CHECK(mf_link_read(p.link[1], &fault) == MF_OK && mf_link_read(p.link[1], &fault) == MF_OK);
    CHECK(p.in[1].frames == 2 && p.in[1].bytes == sizeof body && p.in[1].with_fd == 1);
    CHECK(fcntl(fd, F_GETFD) >= 0);
    close(fd);
    close_pair(&p);
}

static void test_ends(void)
{
    static const unsigned char whole[MF_MSG_HEAD + 4] = {16, 0, 0, 0, MF_MSG_BYE};
    struct mf_fault fault;
    CHECK(after_bytes("", 0, true, &fault) == MF_ECLOSED && strstr(fault.text, "closed by the peer"));
    for (size_t n = 1; n < sizeof whole; n++) {
        CHECK(after_bytes(whole, n, true, &fault) == MF_ELOST && strstr(fault.text, "truncated"));
        CHECK(after_bytes(whole, n, false, &fault) == MF_EINVAL);
    }
    static unsigned char large[100000] = {0, 0, 16, 0, MF_MSG_BYE};
    CHECK(after_bytes(large, sizeof large, true, &fault) == MF_ELOST && strstr(fault.text, "truncated"));
}

static void test_garbage(void)
{
    struct mf_fault fault;
    CHECK(after_bytes("HTTP/1.1 400 \"Bad\"\r\nmore and more", 33, false, &fault) == MF_EINVAL);
    CHECK(strstr(fault.text, "not Moonfleet's protocol; it begins with \"HTTP/1.1 400 \\x22B"));
    if (!getenv("MF_TEST_READ_MAX")) /* else it has not read more so far */
        CHECK(strstr(fault.text, "\"HTTP/1.1 400 \\x22Bad\\x22\\x0d\\nmore and more\""));
    CHECK(after_bytes("no\n", 3, false, &fault) == MF_EINVAL && strstr(fault.text, "\"no\\n\""));
    static const unsigned char long_hello[MF_MSG_HEAD] = {13, 1, 0, 0, MF_MSG_HELLO}; /* 257 bytes */
    CHECK(after_bytes(long_hello, sizeof long_hello, false, &fault) == MF_EINVAL);
    static const unsigned char unknown[MF_MSG_HEAD] = {12, 0, 0, 0, 99};
    CHECK(after_bytes(unknown, sizeof unknown, true, &fault) == MF_EINVAL);
    CHECK(strcmp(fault.text, "unknown message kind 99") == 0);
}

static void test_refusing_receiver(void)
{
    struct pair p;
    struct mf_fault fault;
    open_pair(&p);
    p.in[1].answer = MF_ELIMIT;
    CHECK(send_body(p.link[0], 1, 10) == MF_OK && send_body(p.link[0], 2, 10) == MF_OK);
    enum mf_err e = MF_OK;
    for (int i = 0; i < 100 && e == MF_OK; i++)
        e = mf_link_read(p.link[1], &fault);
    CHECK(e == MF_ELIMIT && fault.code == MF_ELIMIT && strstr(fault.text, "TASK") && p.in[1].frames == 1);
    close_pair(&p);
}

/* The peer says its last words and goes; they can still be read after a write has failed. */
static void test_last_words(void)
{
    struct pair p;
    struct mf_fault fault;
    enum mf_err e = MF_OK;
    open_pair(&p);
    CHECK(send_body(p.link[1], 7, 100) == MF_OK);
    mf_link_free(p.link[1]);
    p.link[1] = NULL;
    for (int i = 0; i < 3; i++)
        CHECK(send_body(p.link[0], 1, i == 2 ? 1000000 : 10) == MF_ECLOSED);
    CHECK(mf_link_flush(p.link[0]) == MF_ECLOSED && mf_link_pending(p.link[0]) == 0);
    for (int i = 0; i < 1000 && e == MF_OK; i++)
        e = mf_link_read(p.link[0], &fault);
    CHECK(p.in[0].frames == 1 && p.in[0].last.id == 7);
    CHECK(e == MF_ECLOSED || e == MF_ELOST);
    close_pair(&p);
}

/* --- A stream that trickles ------------------------------------------------------------------------------------- */

/* Both ends in memory: what is written to one is read from it again, a few bytes at a time. No descriptors. */
struct trickle {
    struct mf_stream_end end;
    struct mf_buf bytes;
    size_t read;
    unsigned turn;
};

static size_t trickle_amount(struct trickle *t, size_t n)
{
    size_t most = (t->turn++ * 7u) % 23u;
    return n < most ? n : most;
}

static ssize_t trickle_read(struct mf_stream_end *s, void *bytes, size_t n, int *fd)
{
    struct trickle *t = (struct trickle *)(void *)s;
    size_t left = t->bytes.len - t->read;
    n = trickle_amount(t, n < left ? n : left);
    if (n > 0)
        memcpy(bytes, t->bytes.data + t->read, n);
    t->read += n;
    *fd = -1;
    return (ssize_t)n;
}

static ssize_t trickle_write(struct mf_stream_end *s, const struct iovec *pieces, int n, int fd)
{
    struct trickle *t = (struct trickle *)(void *)s;
    ssize_t total = 0;
    if (fd != -1)
        return -1; /* it passes none */
    for (int i = 0; i < n; i++) {
        size_t part = trickle_amount(t, pieces[i].iov_len);
        if (!mf_buf_append(&t->bytes, pieces[i].iov_base, part))
            return -1;
        total += (ssize_t)part;
        if (part < pieces[i].iov_len)
            break;
    }
    return total;
}

static int trickle_fd(const struct mf_stream_end *s)
{
    (void)s;
    return -1;
}

static const char *trickle_error(const struct mf_stream_end *s)
{
    (void)s;
    return "trickled away";
}

static void trickle_close(struct mf_stream_end *s)
{
    mf_buf_release(&((struct trickle *)(void *)s)->bytes);
    free(s);
}

static const struct mf_stream_table trickle_table = {.name = "trickle",
                                                     .read = trickle_read,
                                                     .write = trickle_write,
                                                     .fd = trickle_fd,
                                                     .last_error = trickle_error,
                                                     .close = trickle_close};

static void test_trickle(void)
{
    struct trickle *t = calloc(1, sizeof *t);
    struct inbox in = {.good = true};
    t->end.table = &trickle_table;
    struct mf_link *l = mf_link_new(&t->end, receive, &in, NULL);
    for (int i = 0; i < SIZES - 1; i++)
        CHECK(send_body(l, (uint64_t)i, sizes[i]) == MF_OK);
    for (long i = 0; in.frames < SIZES - 1 && i < 1000000; i++)
        if (mf_link_flush(l) != MF_OK || mf_link_read(l, NULL) != MF_OK)
            break;
    CHECK(in.frames == SIZES - 1 && in.good && in.last.length == 300000 && mf_link_pending(l) == 0);
    mf_link_free(l);
}

/* A stream that takes bytes and holds them: it lets go of one a write, and wants to be written until all have gone. */
struct holder {
    struct mf_stream_end end;
    size_t held, gone;
};

static ssize_t holder_read(struct mf_stream_end *s, void *bytes, size_t n, int *fd)
{
    (void)s, (void)bytes, (void)n, (void)fd;
    return 0;
}

static ssize_t holder_write(struct mf_stream_end *s, const struct iovec *pieces, int n, int fd)
{
    struct holder *h = (struct holder *)(void *)s;
    CHECK(fd == -1 && (n == 0 || pieces[0].iov_len > 0));
    if (h->held > 0) {
        h->held--;
        h->gone++;
        return 0;
    }
    h->held = n > 0 ? 8 : 0;
    return (ssize_t)h->held;
}

static unsigned holder_wants(const struct mf_stream_end *s, bool writing)
{
    const struct holder *h = (const struct holder *)(const void *)s;
    return (h->held ? MF_LOOP_WRITE : MF_LOOP_READ) | (writing ? MF_LOOP_AGAIN : 0u);
}

static void holder_close(struct mf_stream_end *s)
{
    free(s);
}

static const struct mf_stream_table holder_table = {.name = "holder",
                                                    .read = holder_read,
                                                    .write = holder_write,
                                                    .wants = holder_wants,
                                                    .fd = trickle_fd,
                                                    .last_error = trickle_error,
                                                    .close = holder_close};

static void test_holding_stream(void)
{
    struct holder *h = calloc(1, sizeof *h);
    h->end.table = &holder_table;
    struct mf_link *l = mf_link_new(&h->end, receive, NULL, NULL);
    CHECK(mf_link_wants(l) == MF_LOOP_READ);
    CHECK(mf_link_send(l, MF_MSG_PING, 1, NULL, 0) == MF_OK); /* 16 bytes */
    CHECK(h->held == 8 && mf_link_pending(l) == 8 && mf_link_wants(l) == (MF_LOOP_WRITE | MF_LOOP_AGAIN));
    for (int i = 0; i < 8; i++)
        CHECK(mf_link_read(l, NULL) == MF_OK && mf_link_pending(l) == 8); /* reading writes what waits */
    CHECK(h->held == 0 && mf_link_flush(l) == MF_OK && mf_link_pending(l) == 0 && mf_link_wants(l) == MF_LOOP_WRITE);
    for (int i = 0; i < 8; i++)
        CHECK(mf_link_flush(l) == MF_OK);
    CHECK(h->gone == 16 && mf_link_wants(l) == MF_LOOP_READ);
    mf_link_free(l);
}

static void test_plain_wants(void)
{
    struct pair p;
    static unsigned char bytes[200000];
    const struct mf_msg_part part = {bytes, sizeof bytes};
    open_pair(&p);
    CHECK(mf_link_wants(p.link[0]) == MF_LOOP_READ);
    while (mf_link_pending(p.link[0]) == 0)
        mf_link_send(p.link[0], MF_MSG_CODE, 1, &part, 1);
    CHECK(mf_link_wants(p.link[0]) == (MF_LOOP_READ | MF_LOOP_WRITE));
    close_pair(&p);
}

/* While much is on its way, in either direction, nobody need spin for it. */
static void test_bulk_wants(void)
{
    struct pair p;
    static unsigned char bytes[100000];
    const struct mf_msg_part part = {bytes, sizeof bytes};
    unsigned char head[MF_MSG_HEAD];
    open_pair(&p);
    for (int i = 0; i < 2; i++)
        CHECK(mf_link_queue(p.link[0], MF_MSG_CODE, 1, &part, 1) == MF_OK);
    CHECK(mf_link_wants(p.link[0]) == (MF_LOOP_READ | MF_LOOP_WRITE));
    CHECK(mf_link_queue(p.link[0], MF_MSG_CODE, 1, &part, 1) == MF_OK);
    CHECK(mf_link_wants(p.link[0]) == (MF_LOOP_READ | MF_LOOP_WRITE | MF_LOOP_BULK));
    close_pair(&p);
    open_pair(&p);
    mf_msg_pack_head(head, &(struct mf_msg_head){.length = sizeof bytes, .kind = MF_MSG_CODE, .id = 1});
    CHECK(write(mf_link_fd(p.link[0]), head, sizeof head) == (ssize_t)sizeof head);
    CHECK(write(mf_link_fd(p.link[0]), bytes, 10) == 10);
    for (size_t i = 0; i < sizeof head + 10; i++) /* also where a test reads byte by byte */
        CHECK(mf_link_read(p.link[1], NULL) == MF_OK);
    CHECK(mf_link_wants(p.link[1]) == (MF_LOOP_READ | MF_LOOP_BULK));
    close_pair(&p);
}

static void test_too_long(void)
{
    struct pair p;
    struct mf_msg_part parts[2] = {{(const unsigned char *)"", SIZE_MAX / 2},
                                   {(const unsigned char *)"", SIZE_MAX / 2}};
    open_pair(&p);
    CHECK(mf_link_send(p.link[0], MF_MSG_CODE, 1, parts, 2) == MF_ELIMIT && mf_link_pending(p.link[0]) == 0);
    close_pair(&p);
}

int main(void)
{
    test_sizes();
    test_echo();
    test_queue();
    test_own_descriptor();
    test_ends();
    test_garbage();
    test_refusing_receiver();
    test_last_words();
    test_trickle();
    test_holding_stream();
    test_plain_wants();
    test_bulk_wants();
    test_too_long();
    mf_link_free(NULL);
    return check_report();
}
