/* Streams over descriptors: what reads and writes return, the end, descriptors that go along, no SIGPIPE. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../runtime/stream.h"
#include "../../runtime/sys_fd.h"

static ssize_t read_some(struct mf_stream_end *s, void *bytes, size_t n, int *fd)
{
    return s->table->read(s, bytes, n, fd);
}

static ssize_t write_text(struct mf_stream_end *s, const char *text, int fd)
{
    struct iovec pieces[2] = {{(void *)(uintptr_t)text, 1}, {(void *)(uintptr_t)(text + 1), strlen(text) - 1}};
    return s->table->write(s, pieces, 2, fd);
}

static void open_pair(struct mf_stream_end *ends[2])
{
    int fd[2];
    CHECK(mf_sys_socketpair(fd));
    for (int i = 0; i < 2; i++) {
        ends[i] = mf_stream_fd_new(fd[i], NULL);
        CHECK(ends[i] && ends[i]->table->fd(ends[i]) == fd[i]);
        CHECK((fcntl(fd[i], F_GETFL) & O_NONBLOCK) && (fcntl(fd[i], F_GETFD) & FD_CLOEXEC));
    }
}

static void close_stream(struct mf_stream_end *s)
{
    s->table->close(s);
}

/* Reads until n bytes are there, since a test build reads less at a time. */
static size_t read_all(struct mf_stream_end *s, char *bytes, size_t n)
{
    size_t got = 0;
    while (got < n) {
        ssize_t r = read_some(s, bytes + got, n - got, NULL);
        if (r <= 0)
            break;
        got += (size_t)r;
    }
    return got;
}

static void test_bytes(void)
{
    struct mf_stream_end *ends[2];
    char bytes[16] = "";
    int fd = 77;
    open_pair(ends);
    CHECK(ends[0]->table->passes_fds && ends[0]->table->tells_again);
    CHECK(read_some(ends[0], bytes, sizeof bytes, &fd) == 0);
    CHECK(write_text(ends[1], "hello", -1) == 5);
    fd = 77;
    CHECK(read_some(ends[0], bytes, 1, &fd) == 1 && bytes[0] == 'h' && fd == -1);
    CHECK(read_all(ends[0], bytes, 4) == 4 && memcmp(bytes, "ello", 4) == 0);
    CHECK(read_some(ends[0], bytes, sizeof bytes, NULL) == 0);
    CHECK(write_text(ends[1], "last", -1) == 4);
    close_stream(ends[1]);
    CHECK(read_all(ends[0], bytes, 4) == 4 && memcmp(bytes, "last", 4) == 0);
    CHECK(read_some(ends[0], bytes, sizeof bytes, NULL) == -1);
    CHECK(strcmp(ends[0]->table->last_error(ends[0]), "closed by the peer") == 0);
    CHECK(write_text(ends[0], "nobody", -1) == -1); /* and no SIGPIPE */
    CHECK(strcmp(ends[0]->table->last_error(ends[0]), "closed by the peer") == 0);
    close_stream(ends[0]);
}

static void test_full(void)
{
    static char block[100000];
    struct mf_stream_end *ends[2];
    struct iovec piece = {block, sizeof block};
    ssize_t n = 1, total = 0;
    open_pair(ends);
    while (n > 0) {
        n = ends[0]->table->write(ends[0], &piece, 1, -1);
        CHECK(n >= 0);
        total += n;
    }
    CHECK(total > 0);
    while (total > 0) {
        n = read_some(ends[1], block, sizeof block, NULL);
        if (!CHECK(n > 0))
            break;
        total -= n;
    }
    CHECK(read_some(ends[1], block, sizeof block, NULL) == 0);
    close_stream(ends[0]);
    close_stream(ends[1]);
}

static int descriptor_with(const char *text)
{
    int ends[2];
    CHECK(mf_sys_pipe(ends));
    CHECK(write(ends[1], text, strlen(text)) == (ssize_t)strlen(text));
    close(ends[1]);
    return ends[0];
}

static void test_descriptor(void)
{
    struct mf_stream_end *ends[2];
    char bytes[16] = "";
    int fd = descriptor_with("inside"), got = -1;
    open_pair(ends);
    CHECK(write_text(ends[0], "ab", -1) == 2);
    CHECK(write_text(ends[0], "cd", fd) == 2);
    close(fd);
    for (int n = 0; n < 4 && got < 0;) { /* it comes with the c */
        ssize_t r = read_some(ends[1], bytes + n, n < 2 ? (size_t)(2 - n) : 1, &got);
        if (!CHECK(r > 0))
            break;
        n += (int)r;
        CHECK((got >= 0) == (n == 3));
    }
    CHECK(got >= 0 && (fcntl(got, F_GETFD) & FD_CLOEXEC));
    CHECK(read(got, bytes, sizeof bytes) == 6 && memcmp(bytes, "inside", 6) == 0);
    close(got);
    CHECK(read_some(ends[1], bytes, 1, &got) == 1 && bytes[0] == 'd' && got == -1);
    close_stream(ends[0]);
    close_stream(ends[1]);
}

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 200; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* A peer that passes more descriptors than it should, and a reader that wants none, leak none. */
static void test_unwanted_descriptors(void)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(3 * sizeof(int))];
    } control = {.bytes = {0}};
    struct mf_stream_end *ends[2];
    char byte = 'x';
    struct iovec piece = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    open_pair(ends);
    int before = open_descriptors(), fds[3] = {0, 1, 2}, got = -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(c), fds, sizeof fds);
    for (int i = 0; i < 2; i++)
        CHECK(sendmsg(ends[0]->table->fd(ends[0]), &m, 0) == 1);
    CHECK(read_some(ends[1], &byte, 1, &got) == 1 && got >= 0);
    CHECK(open_descriptors() == before + 1);
    close(got);
    CHECK(read_some(ends[1], &byte, 1, NULL) == 1 && open_descriptors() == before);
    close_stream(ends[0]);
    close_stream(ends[1]);
}

static void test_pipe(void)
{
    int fd[2];
    char bytes[8];
    sigset_t pending;
    CHECK(mf_sys_pipe(fd));
    struct mf_stream_end *in = mf_stream_fd_new(fd[0], NULL), *out = mf_stream_fd_new(fd[1], NULL);
    if (!CHECK(in && out))
        return;
    CHECK(!in->table->passes_fds && strcmp(in->table->name, "pipe") == 0);
    CHECK(read_some(in, bytes, sizeof bytes, NULL) == 0);
    CHECK(write_text(out, "abc", -1) == 3 && read_all(in, bytes, 3) == 3 && memcmp(bytes, "abc", 3) == 0);
    close_stream(in);
    CHECK(write_text(out, "abc", -1) == -1);
    CHECK(strcmp(out->table->last_error(out), "closed by the peer") == 0);
    sigpending(&pending);
    CHECK(!sigismember(&pending, SIGPIPE));
    close_stream(out);
}

/* A connected pair of TCP sockets. */
static bool tcp_pair(int fd[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd[0] = socket(AF_INET, SOCK_STREAM, 0);
    bool good = bind(listener, (struct sockaddr *)&address, n) == 0 && listen(listener, 1) == 0 &&
                getsockname(listener, (struct sockaddr *)&address, &n) == 0 &&
                connect(fd[0], (struct sockaddr *)&address, n) == 0;
    fd[1] = good ? accept(listener, NULL, NULL) : -1;
    close(listener);
    return fd[1] >= 0;
}

static void test_reset(void)
{
    struct linger hard = {1, 0};
    char bytes[8];
    int fd[2];
    if (!CHECK(tcp_pair(fd)))
        return;
    struct mf_stream_end *s = mf_stream_fd_new(fd[0], NULL);
    if (!CHECK(s && !s->table->passes_fds))
        return;
    CHECK(read_some(s, bytes, sizeof bytes, NULL) == 0);
    CHECK(setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &hard, sizeof hard) == 0);
    close(fd[1]);
    CHECK(read_some(s, bytes, sizeof bytes, NULL) == -1);
    CHECK(strcmp(s->table->last_error(s), strerror(ECONNRESET)) == 0);
    close_stream(s);
}

static void test_refusals(void)
{
    struct mf_fault fault;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(mf_stream_fd_new(fd, &fault) == NULL && fault.code == MF_ESYS && strstr(fault.text, "no socket"));
    CHECK(fcntl(fd, F_GETFD) >= 0); /* still ours */
    close(fd);
    CHECK(mf_stream_fd_new(fd, &fault) == NULL && fault.code == MF_ESYS);
}

/* Does nothing but read and write when one of the two is possible, under a signal every millisecond. */
static void on_timer(int signal)
{
    (void)signal;
}

static void test_signals(void)
{
    struct sigaction action = {.sa_handler = on_timer}, old;
    struct itimerval timer = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    struct mf_stream_end *ends[2];
    char bytes[16];
    open_pair(ends);
    sigaction(SIGALRM, &action, &old);
    setitimer(ITIMER_REAL, &timer, NULL);
    for (int i = 0; i < 20000; i++) {
        if (write_text(ends[0], "hello", -1) != 5 || read_all(ends[1], bytes, 5) != 5) {
            CHECK(!"a signal came through");
            break;
        }
    }
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old, NULL);
    CHECK(read_some(ends[1], bytes, sizeof bytes, NULL) == 0);
    close_stream(ends[0]);
    close_stream(ends[1]);
}

#ifdef MF_TEST_HOOKS
static void test_little(void)
{
    struct mf_stream_end *ends[2];
    char bytes[8];
    open_pair(ends);
    setenv("MF_TEST_READ_MAX", "3", 1);
    CHECK(write_text(ends[0], "hello", -1) == 5);
    CHECK(read_some(ends[1], bytes, 8, NULL) == 3 && read_some(ends[1], bytes, 8, NULL) == 2);
    unsetenv("MF_TEST_READ_MAX");
    setenv("MF_TEST_WRITE_MAX", "2", 1);
    const struct iovec piece = {(void *)(uintptr_t) "hello", 5};
    CHECK(ends[0]->table->write(ends[0], &piece, 1, -1) == 2 && read_some(ends[1], bytes, 8, NULL) == 2);
    unsetenv("MF_TEST_WRITE_MAX");
    close_stream(ends[0]);
    close_stream(ends[1]);
}
#endif

int main(void)
{
    test_bytes();
    test_full();
    test_descriptor();
    test_unwanted_descriptors();
    test_pipe();
    test_reset();
    test_refusals();
    test_signals();
#ifdef MF_TEST_HOOKS
    test_little();
#endif
    return check_report();
}
