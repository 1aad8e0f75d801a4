/* Design note: a jump host's session carries another session's bytes over a direct-tcpip channel. The inner session gets
 * one end of a socket pair and knows nothing of it; a thread of the relay's own copies between the other end and the
 * channel, which is an ordinary stream of stream_ssh.c, so the rule of libssh2 is kept there. (Sessions nested through
 * callbacks were tried elsewhere: they stall when the wrong descriptor is polled.)
 *
 * When the channel ends, why is noted before the inner session can read the end. */
#include "stream_ssh_inner.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "loop.h"
#include "sys.h"
#include "sys_fd.h"

#define PIECE      32768
#define HOST_BYTES 255
#define STACK      ((size_t)512 * 1024)

/* One direction's bytes. */
struct flow {
    size_t at, n;
    char bytes[PIECE];
};

struct mf_ssh_relay_thread {
    struct mf_stream_remote *channel;
    int fd; /* our end of the pair */
    int stop[2];
    pthread_t thread;
    atomic_bool ended;
    char why[192];
    char name[128];
    struct flow up, down; /* to the channel, from it */
};

/* Each moves some bytes: false when the relay is over. *moved is set when it did. */
static bool move_up(struct mf_ssh_relay_thread *r, bool *moved)
{
    struct flow *f = &r->up;
    if (f->at == f->n) {
        ssize_t n = recv(r->fd, f->bytes, sizeof f->bytes, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
            return false;
        f->at = 0;
        f->n = n > 0 ? (size_t)n : 0;
    }
    struct iovec piece = {f->bytes + f->at, f->n - f->at};
    ssize_t n = r->channel->end.table->write(&r->channel->end, &piece, piece.iov_len > 0, -1);
    if (n < 0)
        return false;
    f->at += (size_t)n;
    *moved = *moved || n > 0;
    return true;
}

static bool move_down(struct mf_ssh_relay_thread *r, bool *moved)
{
    struct flow *f = &r->down;
    if (f->at == f->n) {
        ssize_t n = r->channel->end.table->read(&r->channel->end, f->bytes, sizeof f->bytes, NULL);
        if (n < 0)
            return false;
        f->at = 0;
        f->n = (size_t)n;
    }
    if (f->at == f->n)
        return true;
    ssize_t n = send(r->fd, f->bytes + f->at, f->n - f->at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        return false;
    f->at += n > 0 ? (size_t)n : 0;
    *moved = *moved || n > 0;
    return true;
}

/* Waits until something can be moved; false: it is to stop. */
static bool rest(struct mf_ssh_relay_thread *r)
{
    bool up = r->up.at < r->up.n, down = r->down.at < r->down.n;
    unsigned wants = r->channel->end.table->wants(&r->channel->end, up);
    short events = (short)((wants & MF_LOOP_WRITE ? POLLOUT : 0) | (wants & MF_LOOP_READ && !down ? POLLIN : 0));
    struct pollfd fds[] = {{.fd = r->stop[0], .events = POLLIN},
                           {.fd = r->fd, .events = (short)((up ? 0 : POLLIN) | (down ? POLLOUT : 0))},
                           {.fd = r->channel->end.table->fd(&r->channel->end), .events = events}};
    mf_sys_poll(fds, 3, wants & MF_LOOP_AGAIN && !down ? 0 : MF_SYS_NEVER);
    bool gone = (fds[1].revents & (POLLHUP | POLLERR)) && !(fds[1].revents & POLLIN);
    return !fds[0].revents && !gone;
}

static void *carry(void *arg)
{
    struct mf_ssh_relay_thread *r = arg;
    bool moved, good = true;
    do {
        moved = false;
        good = move_up(r, &moved) && move_down(r, &moved);
    } while (good && (moved || rest(r)));
    snprintf(r->why, sizeof r->why, "the connection through %s has ended: %s", r->name,
             r->channel->end.table->last_error(&r->channel->end));
    atomic_store(&r->ended, true);
    shutdown(r->fd, SHUT_RDWR);
    return NULL;
}

const char *mf_ssh_relay_end(const struct mf_ssh *s)
{
    return s->relay && atomic_load(&s->relay->ended) ? s->relay->why : NULL;
}

static void free_relay(struct mf_ssh_relay_thread *r)
{
    if (r->channel)
        r->channel->end.table->close(&r->channel->end);
    if (r->fd >= 0)
        close(r->fd);
    if (r->stop[0] >= 0)
        mf_sys_event_close(r->stop);
    free(r);
}

void mf_ssh_relay_stop(struct mf_ssh *s)
{
    struct mf_ssh_relay_thread *r = s->relay;
    if (!r)
        return;
    mf_sys_event_post(r->stop);
    pthread_join(r->thread, NULL);
    s->relay = NULL;
    free_relay(r);
}

/* --- Making -------------------------------------------------------------------------------------------------------- */

static size_t put_number(char *out, size_t n)
{
    for (int i = 0; i < 4; i++)
        out[i] = (char)(n >> (24 - 8 * i));
    return 4;
}

static size_t put_text(char *out, const char *text)
{
    size_t n = strlen(text);
    put_number(out, n);
    memcpy(out + 4, text, n);
    return 4 + n;
}

/* RFC 4254, 7.2: where to, and from where. */
static LIBSSH2_CHANNEL *open_tcp(struct mf_ssh *s, const char *host, int port, const struct mf_wait *wait,
                                 struct mf_fault *fault)
{
    char message[HOST_BYTES + 32];
    struct mf_fault why = {.code = MF_OK};
    if (strlen(host) > HOST_BYTES) {
        mf_fault_set(fault, MF_EINVAL, "the name of the next host is too long");
        return NULL;
    }
    size_t n = put_text(message, host);
    n += put_number(message + n, (size_t)port);
    n += put_text(message + n, "127.0.0.1");
    n += put_number(message + n, 0);
    LIBSSH2_CHANNEL *channel = mf_ssh_open(s, "direct-tcpip", message, n, wait, &why);
    if (!channel && why.code == MF_EINVAL)
        mf_fault_set(fault, why.code, "it refuses, or cannot connect to %s port %d", host, port);
    else if (!channel)
        mf_fault_set(fault, why.code, "%s", why.text);
    return channel;
}

static struct mf_ssh_relay_thread *relay_new(struct mf_ssh *s, LIBSSH2_CHANNEL *channel, const char *name, int *fd)
{
    int pair[2];
    struct mf_ssh_relay_thread *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->fd = r->stop[0] = -1;
    atomic_init(&r->ended, false);
    snprintf(r->name, sizeof r->name, "%s", name);
    if (!(r->channel = mf_ssh_stream_new(s, channel)) || !mf_sys_event_new(r->stop) || !mf_sys_socketpair(pair)) {
        free_relay(r);
        return NULL;
    }
    r->fd = pair[0];
    *fd = pair[1];
    return r;
}

enum mf_err mf_ssh_relay(struct mf_ssh *s, const char *name, const char *host, int port, int *fd,
                         const struct mf_wait *wait, struct mf_fault *fault)
{
    LIBSSH2_CHANNEL *channel = open_tcp(s, host, port, wait, fault);
    if (!channel)
        return fault->code;
    struct mf_ssh_relay_thread *r = relay_new(s, channel, name, fd);
    if (!r)
        return mf_fault_set(fault, MF_ENOMEM, "out of memory or descriptors while going through %s", name);
    s->relay = r;
    enum mf_err e = mf_sys_thread_start(&r->thread, STACK, carry, r, fault);
    if (e == MF_OK)
        return MF_OK;
    s->relay = NULL;
    close(*fd);
    free_relay(r);
    return e;
}
