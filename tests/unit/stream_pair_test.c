/* A stream over two descriptors: what is read and written where, the ends of either, descriptors that are passed, failures. */
#include "check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../runtime/stream.h"
#include "../../runtime/sys_fd.h"

/* The far ends. */
static int feeds, drains;

static struct mf_stream_end *open_pipes(void)
{
    int in[2], out[2];
    CHECK(mf_sys_pipe(in) && mf_sys_pipe(out));
    struct mf_stream_end *s = mf_stream_pair_new(in[0], out[1], NULL);
    CHECK(s && s->table->fd(s) == in[0] && s->table->out_fd(s) == out[1]);
    CHECK((fcntl(in[0], F_GETFL) & O_NONBLOCK) && (fcntl(out[1], F_GETFL) & O_NONBLOCK));
    CHECK((fcntl(in[0], F_GETFD) & FD_CLOEXEC) && (fcntl(out[1], F_GETFD) & FD_CLOEXEC));
    feeds = in[1];
    drains = out[0];
    return s;
}

static void end(struct mf_stream_end *s)
{
    int in = s->table->fd(s), out = s->table->out_fd(s);
    s->table->close(s);
    CHECK(fcntl(in, F_GETFD) < 0 && fcntl(out, F_GETFD) < 0);
}

static ssize_t send_text(struct mf_stream_end *s, const char *text)
{
    struct iovec pieces[2] = {{(void *)(uintptr_t)text, 1}, {(void *)(uintptr_t)(text + 1), strlen(text) - 1}};
    return s->table->write(s, pieces, 2, -1);
}

static void test_bytes(void)
{
    struct mf_stream_end *s = open_pipes();
    char bytes[16] = "";
    int fd = 77;
    CHECK(!s->table->passes_fds && s->table->tells_again && !s->table->wants);
    CHECK(s->table->read(s, bytes, sizeof bytes, &fd) == 0 && fd == -1);
    CHECK(write(feeds, "hello", 5) == 5);
    CHECK(s->table->read(s, bytes, sizeof bytes, NULL) == 5 && memcmp(bytes, "hello", 5) == 0);
    CHECK(send_text(s, "answer") == 6 && read(drains, bytes, sizeof bytes) == 6 && memcmp(bytes, "answer", 6) == 0);
    end(s);
    close(feeds);
    close(drains);
}

/* Each end ends alone, after what was on its way, and is told of. */
static void test_end_of_in(void)
{
    struct mf_stream_end *s = open_pipes();
    char bytes[16];
    CHECK(write(feeds, "last", 4) == 4);
    close(feeds);
    CHECK(s->table->read(s, bytes, sizeof bytes, NULL) == 4 && s->table->read(s, bytes, sizeof bytes, NULL) == -1);
    CHECK(strcmp(s->table->last_error(s), "closed by the peer") == 0);
    CHECK(send_text(s, "still") == 5 && read(drains, bytes, sizeof bytes) == 5);
    end(s);
    close(drains);
}

static void test_end_of_out(void)
{
    struct mf_stream_end *s = open_pipes();
    char bytes[16];
    close(drains);
    CHECK(send_text(s, "nobody") == -1); /* and no SIGPIPE */
    CHECK(strcmp(s->table->last_error(s), "closed by the peer") == 0);
    CHECK(write(feeds, "still", 5) == 5 && s->table->read(s, bytes, sizeof bytes, NULL) == 5);
    end(s);
    close(feeds);
}

/* A writer that is faster takes part of it, then nothing, and goes on when there is room. */
static void test_full(void)
{
    enum { MANY = 1 << 20 };
    struct mf_stream_end *s = open_pipes();
    char *bytes = calloc(1, MANY);
    struct iovec piece = {bytes, MANY};
    ssize_t first = s->table->write(s, &piece, 1, -1);
    CHECK(first > 0 && first < MANY && s->table->write(s, &piece, 1, -1) == 0);
    CHECK(read(drains, bytes, (size_t)first) > 0 && s->table->write(s, &piece, 1, -1) > 0);
    free(bytes);
    end(s);
    close(feeds);
    close(drains);
}

/* Whatever the descriptors are, nothing but bytes goes over them: one that a peer passes is dropped. */
static void test_passed_descriptor(void)
{
    int in[2], out[2], fd = 77;
    char bytes[16];
    struct iovec piece = {(void *)(uintptr_t) "x", 1};
    CHECK(mf_sys_socketpair(in) && mf_sys_socketpair(out));
    struct mf_stream_end *s = mf_stream_pair_new(in[0], out[0], NULL);
    struct mf_stream_end *peer = mf_stream_fd_new(in[1], NULL);
    CHECK(peer->table->write(peer, &piece, 1, STDERR_FILENO) == 1);
    int next = dup(STDERR_FILENO); /* the number that one would get */
    close(next);
    CHECK(s->table->read(s, bytes, sizeof bytes, &fd) == 1 && fd == -1 && fcntl(next, F_GETFD) < 0);
    peer->table->close(peer);
    end(s);
    close(out[1]);
}

/* What cannot be a stream stays the caller's. */
static void test_cannot(void)
{
    int ends[2];
    struct mf_fault fault = {0};
    CHECK(mf_sys_pipe(ends));
    CHECK(!mf_stream_pair_new(ends[0], -1, &fault) && fault.code != MF_OK && fcntl(ends[0], F_GETFD) >= 0);
    fault.code = MF_OK;
    CHECK(!mf_stream_pair_new(-1, ends[1], &fault) && fault.code != MF_OK && fcntl(ends[1], F_GETFD) >= 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    alarm(60);
    test_bytes();
    test_end_of_in();
    test_end_of_out();
    test_full();
    test_passed_descriptor();
    test_cannot();
    return check_report();
}
