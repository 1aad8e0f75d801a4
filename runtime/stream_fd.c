/* Design note: three tables, one a kind of descriptor: Unix sockets, which pass descriptors; other sockets; pipes.
 * Sockets are read and written with MSG_DONTWAIT and MSG_NOSIGNAL. Writing to a pipe has no such flag, so SIGPIPE is
 * blocked in the thread meanwhile and one that was raised is taken out again.
 *
 * The first error ends the stream: error keeps its errno, or 0 for the peer's orderly end. */
#define _GNU_SOURCE
#include "stream.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "hooks.h"
#include "sys_fd.h"

#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif

struct fd_stream {
    struct mf_stream_end end;
    int fd;
    int error;
};

static struct fd_stream *own(struct mf_stream_end *s)
{
    return (struct fd_stream *)(void *)s;
}

/* Turns what read or recv returned into what mf_stream_table's read returns. */
static ssize_t after_read(struct fd_stream *s, ssize_t n)
{
    if (n > 0)
        return n;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    s->error = n < 0 ? errno : 0;
    return -1;
}

static ssize_t after_write(struct fd_stream *s, ssize_t n)
{
    mf_hooks_written(n);
    if (n >= 0)
        return n;
    /* ENOBUFS and ETOOMANYREFS pass when the peer reads */
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ETOOMANYREFS)
        return 0;
    s->error = errno;
    shutdown(s->fd, SHUT_WR); /* so that the other side learns of it, whatever it was */
    return -1;
}

/* --- Sockets ---------------------------------------------------------------------------------------------------- */

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
};

/* The descriptor that came along, or -1. Should more have come than the one there is room for, they are closed. */
static int received_fd(struct msghdr *m)
{
    int fds[sizeof(union control) / sizeof(int)];
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len <= CMSG_LEN(0))
        return -1;
    size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(c), n * sizeof(int));
    for (size_t i = 1; i < n; i++)
        close(fds[i]);
    if (MSG_CMSG_CLOEXEC == 0)
        mf_sys_fd_prepare(fds[0]);
    return fds[0];
}

static ssize_t unix_read(struct mf_stream_end *end, void *bytes, size_t n, int *fd)
{
    struct fd_stream *s = own(end);
    union control control;
    struct iovec piece = {bytes, mf_hooks_read_max(n)};
    struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1};
    ssize_t got;
    do {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_LEN(sizeof(int));
        got = recvmsg(s->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    int came = got >= 0 && m.msg_controllen ? received_fd(&m) : -1;
    if (fd && got > 0)
        *fd = came;
    else if (came >= 0)
        close(came);
    return after_read(s, got);
}

static ssize_t socket_read(struct mf_stream_end *end, void *bytes, size_t n, int *fd)
{
    struct fd_stream *s = own(end);
    ssize_t got;
    if (fd)
        *fd = -1;
    do
        got = recv(s->fd, bytes, mf_hooks_read_max(n), MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    return after_read(s, got);
}

static ssize_t socket_write(struct mf_stream_end *end, const struct iovec *pieces, int n, int fd)
{
    struct fd_stream *s = own(end);
    union control control = {.bytes = {0}};
    struct iovec room;
    pieces = mf_hooks_pieces(pieces, &n, &room);
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)n};
    if (fd >= 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t sent;
    do
        sent = sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return after_write(s, sent);
}

/* --- Pipes ------------------------------------------------------------------------------------------------------ */

static ssize_t pipe_read(struct mf_stream_end *end, void *bytes, size_t n, int *fd)
{
    struct fd_stream *s = own(end);
    ssize_t got;
    if (fd)
        *fd = -1;
    do
        got = read(s->fd, bytes, mf_hooks_read_max(n));
    while (got < 0 && errno == EINTR);
    return after_read(s, got);
}

static ssize_t pipe_write(struct mf_stream_end *end, const struct iovec *pieces, int n, int fd)
{
    struct fd_stream *s = own(end);
    sigset_t sigpipe, old, pending;
    struct iovec room;
    ssize_t sent;
    (void)fd;
    pieces = mf_hooks_pieces(pieces, &n, &room);
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &sigpipe, &old);
    do
        sent = writev(s->fd, pieces, n);
    while (sent < 0 && errno == EINTR);
    int saved = errno;
    if (sent < 0 && saved == EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&sigpipe, NULL, &(struct timespec){0, 0});
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = saved;
    return after_write(s, sent);
}

/* --- All of them ------------------------------------------------------------------------------------------------ */

static int stream_fd(const struct mf_stream_end *end)
{
    return ((const struct fd_stream *)(const void *)end)->fd;
}

static const char *last_error(const struct mf_stream_end *end)
{
    int error = ((const struct fd_stream *)(const void *)end)->error;
    return error == 0 || error == EPIPE ? "closed by the peer" : strerror(error);
}

static void close_stream(struct mf_stream_end *end)
{
    close(own(end)->fd);
    free(end);
}

#define COMMON .fd = stream_fd, .last_error = last_error, .close = close_stream, .tells_again = true

static const struct mf_stream_table unix_table = {
    .name = "socket", .read = unix_read, .write = socket_write, .passes_fds = true, COMMON};
static const struct mf_stream_table socket_table = {
    .name = "socket", .read = socket_read, .write = socket_write, COMMON};
static const struct mf_stream_table pipe_table = {.name = "pipe", .read = pipe_read, .write = pipe_write, COMMON};

static const struct mf_stream_table *table_for(int fd)
{
    struct sockaddr_storage address;
    struct stat st;
    socklen_t n = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &n) == 0)
        return address.ss_family == AF_UNIX ? &unix_table : &socket_table;
    return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) ? &pipe_table : NULL;
}

struct mf_stream_end *mf_stream_fd_new(int fd, struct mf_fault *fault)
{
    const struct mf_stream_table *table = table_for(fd);
    if (!table || !mf_sys_fd_prepare(fd)) {
        mf_fault_set(fault, MF_ESYS, "descriptor %d is no socket and no pipe", fd);
        return NULL;
    }
    struct fd_stream *s = calloc(1, sizeof *s);
    if (!s) {
        mf_fault_set(fault, MF_ENOMEM, "out of memory while opening a stream");
        return NULL;
    }
    s->end.table = table;
    s->fd = fd;
    return &s->end;
}
