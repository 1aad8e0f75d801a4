/* Design note: the stream over a channel. One rule makes everything: a call of libssh2 that has begun to send and returned
 * EAGAIN must be repeated with the same arguments before any other call on that session, or the library breaks. So the
 * stream notes the call in flight and repeats that first, whoever calls.
 *
 * It can always be repeated, because nothing that is in flight belongs to a caller: what is written is copied into out,
 * one packet's worth, and counts as written then (this also makes one packet of a frame's head and body); a read in
 * flight is finished into in.
 *
 * Reads of the library grant the server a new window by themselves, and when such a grant is interrupted (by a key
 * exchange) and repeated after other calls, both sides count differently: bytes are dropped, or the channel stalls. So
 * channels are opened with a window of 0, which makes the library grant only when it has less than a read asks for, and
 * that never happens, since the stream grants what was read by calls of its own.
 *
 * Any call may take packets from the socket into the library's queue, where no poll sees them. wants asks the channel what
 * it has queued and says MF_LOOP_AGAIN. */
#include "stream_ssh_inner.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "loop.h"
#include "sys.h"
#include "sys_fd.h"

#define OUT_BYTES   32700 /* the most that libssh2 puts into one packet */
#define IN_BYTES    32768 /* that are asked for at a time, at most */
#define WHY_BYTES   160
#define WINDOW      (2l << 20) /* bytes that may be on their way or queued; more is slower */
#define GRANT       (WINDOW / 8)

#define PATIENCE_NS 2000000000u /* with a server that counts a command that has ended */
#define RETRY_NS    20000000

enum in_flight { NOTHING, WRITING, READING, READING_ERRORS, GRANTING, SENDING_EOF };

struct channel {
    struct mf_stream_remote remote;
    struct mf_ssh *s;
    LIBSSH2_CHANNEL *channel;
    enum in_flight in_flight;
    bool given; /* the session goes with the stream */
    bool eof;   /* of the far side's output: its close is waited for */
    bool over;  /* the stream has ended */
    bool lost;  /* by the connection */
    bool shut;  /* our end of file is sent */
    size_t out_at, out_n, in_at, in_n;
    size_t asked;  /* bytes, by the read in flight */
    long taken;    /* bytes that were read and not granted yet; negative when the library had to be kept from it */
    long granting; /* by the grant in flight */
    char why[WHY_BYTES];
    char out[OUT_BYTES], in[IN_BYTES];
};

static struct channel *own(const void *stream)
{
    return (struct channel *)(uintptr_t)stream;
}

static void end(struct channel *c, const char *why)
{
    if (c->over)
        return;
    c->over = true;
    c->in_flight = NOTHING;
    snprintf(c->why, sizeof c->why, "%.*s", WHY_BYTES - 1, why);
    mf_remote_end_line(&c->remote);
}

/* A call has failed for good. */
static void fail(struct channel *c, long rc)
{
    struct mf_fault fault;
    mf_ssh_failed(c->s, (int)rc, &fault);
    c->lost = true;
    end(c, fault.code == MF_ELOST ? mf_ssh_lost(c->s) : fault.text);
}

/* Notes what a call returned: is it in flight now? Reads and writes that wait for the other side are not. */
static bool flies(struct channel *c, long rc, enum in_flight call)
{
    bool blocked = rc == LIBSSH2_ERROR_EAGAIN;
    bool outbound = libssh2_session_block_directions(c->s->session) & LIBSSH2_SESSION_BLOCK_OUTBOUND;
    if (call == WRITING) /* with no window left it has not begun */
        blocked = blocked && (outbound || libssh2_channel_window_write(c->channel) > 0);
    else if (call == READING || call == READING_ERRORS)
        blocked = blocked && outbound;
    c->in_flight = blocked ? call : NOTHING;
    return blocked;
}

/* --- The calls, each of which may be repeated ---------------------------------------------------------------------- */

/* Bytes that wait in the library's queue, of stdout and stderr. */
static size_t queued(const struct channel *c)
{
    unsigned long n = 0;
    libssh2_channel_window_read_ex(c->channel, &n, NULL);
    return n;
}

/* Sends what out holds, as far as window and socket allow. */
static void push(struct channel *c)
{
    while (c->out_at < c->out_n) {
        ssize_t n = libssh2_channel_write(c->channel, c->out + c->out_at, c->out_n - c->out_at);
        if (flies(c, n, WRITING) || n == 0 || n == LIBSSH2_ERROR_EAGAIN)
            return;
        if (n < 0) {
            fail(c, n);
            return;
        }
        c->out_at += (size_t)n;
    }
    c->out_at = c->out_n = 0;
}

/* Sends the grant that is wanted. True: reading may go on. */
static bool grant(struct channel *c)
{
    int rc = libssh2_channel_receive_window_adjust2(c->channel, (unsigned long)c->granting, 1, NULL);
    if (flies(c, rc, GRANTING))
        return false;
    if (rc < 0) {
        fail(c, rc);
        return false;
    }
    c->taken -= c->granting;
    c->granting = 0;
    return true;
}

/* To be called before each read: sees to it that the library has no reason to grant anything. */
static bool prepare_to_read(struct channel *c)
{
    long window = (long)libssh2_channel_window_read(c->channel);
    if (window >= IN_BYTES && c->taken < GRANT)
        return true;
    c->granting = c->taken > IN_BYTES ? c->taken : IN_BYTES;
    return grant(c);
}

static void pull_errors(struct channel *c)
{
    char bytes[1024];
    ssize_t got = LIBSSH2_ERROR_EAGAIN;
    while (prepare_to_read(c) && (got = libssh2_channel_read_stderr(c->channel, bytes, sizeof bytes)) > 0) {
        c->taken += got;
        mf_remote_add(&c->remote, bytes, (size_t)got);
    }
    if (c->in_flight == GRANTING || c->over)
        return;
    if (!flies(c, got, READING_ERRORS) && got < 0 && got != LIBSSH2_ERROR_EAGAIN)
        fail(c, got);
}

/* The far side's output has ended; the stream does when its exit state and the last of its stderr have come too. */
static void await_close(struct channel *c)
{
    int rc = libssh2_channel_wait_closed(c->channel);
    c->eof = true;
    if (!flies(c, rc, READING) && rc != 0 && rc != LIBSSH2_ERROR_EAGAIN)
        fail(c, rc);
    if (!c->over && c->in_flight == NOTHING && queued(c) > 0)
        pull_errors(c);
    if (!c->over && rc == 0 && c->in_flight == NOTHING)
        end(c, "closed by the other side");
}

/* > 0 bytes, 0 none now (or the end: over). */
static size_t pull(struct channel *c, char *bytes, size_t n)
{
    if (!prepare_to_read(c))
        return 0;
    c->asked = n < IN_BYTES ? n : IN_BYTES;
    ssize_t got = libssh2_channel_read(c->channel, bytes, c->asked);
    if (flies(c, got, READING))
        return 0;
    if (got > 0) {
        c->taken += got;
        return (size_t)got;
    }
    if (got == 0 || (got == LIBSSH2_ERROR_EAGAIN && libssh2_channel_eof(c->channel)))
        await_close(c);
    else if (got != LIBSSH2_ERROR_EAGAIN)
        fail(c, got);
    return 0;
}

static void send_eof(struct channel *c)
{
    int rc = libssh2_channel_send_eof(c->channel);
    if (flies(c, rc, SENDING_EOF))
        return;
    c->shut = true;
    if (rc < 0)
        fail(c, rc);
}

/* Repeats the call in flight. True when none is any more. */
static bool land(struct channel *c)
{
    switch (c->in_flight) {
    case WRITING:
        push(c);
        break;
    case READING:
        c->in_n = pull(c, c->in, c->asked);
        c->in_at = 0;
        break;
    case READING_ERRORS:
        pull_errors(c);
        break;
    case GRANTING:
        grant(c);
        break;
    case SENDING_EOF:
        send_eof(c);
        break;
    default:
        break;
    }
    return c->in_flight == NOTHING;
}

/* --- The stream ---------------------------------------------------------------------------------------------------- */

static size_t take_in(struct channel *c, void *bytes, size_t n)
{
    size_t left = c->in_n - c->in_at;
    if (n > left)
        n = left;
    memcpy(bytes, c->in + c->in_at, n);
    c->in_at += n;
    return n;
}

static ssize_t channel_read(struct mf_stream_end *s, void *bytes, size_t n, int *fd)
{
    struct channel *c = own(s);
    if (fd)
        *fd = -1;
    size_t got = mf_remote_take_ahead(&c->remote, bytes, n);
    if (got == 0 && c->in_at == c->in_n && !c->over && !land(c))
        return 0;
    if (got == 0)
        got = take_in(c, bytes, n);
    if (got == 0 && !c->over)
        got = pull(c, bytes, n);
    if (got == 0 && !c->over && c->in_flight == NOTHING && queued(c) > 0)
        pull_errors(c);
    if (!c->over && c->in_flight == NOTHING && c->out_n > 0)
        push(c); /* what was read may have opened the window */
    return got == 0 && c->over ? -1 : (ssize_t)got;
}

/* Copies from the pieces, past the first skip bytes, what out has room for. */
static size_t fill(struct channel *c, const struct iovec *pieces, int n, size_t skip)
{
    size_t before = c->out_n;
    for (int i = 0; i < n && c->out_n < sizeof c->out; i++) {
        size_t past = skip < pieces[i].iov_len ? skip : pieces[i].iov_len;
        size_t some = pieces[i].iov_len - past, room = sizeof c->out - c->out_n;
        skip -= past;
        some = some < room ? some : room;
        if (some > 0)
            memcpy(c->out + c->out_n, (const char *)pieces[i].iov_base + past, some);
        c->out_n += some;
    }
    return c->out_n - before;
}

static ssize_t channel_write(struct mf_stream_end *s, const struct iovec *pieces, int n, int fd)
{
    struct channel *c = own(s);
    size_t total = 0, some;
    (void)fd;
    if (!c->over && land(c) && c->out_n > 0)
        push(c);
    do {
        if (c->over || c->in_flight != NOTHING || c->out_at > 0)
            break;
        some = fill(c, pieces, n, total);
        total += some;
        if (some > 0)
            push(c);
    } while (some > 0);
    return c->over && total == 0 ? -1 : (ssize_t)total;
}

static int channel_fd(const struct mf_stream_end *s)
{
    return own(s)->s->fd;
}

static unsigned channel_wants(const struct mf_stream_end *s, bool writing)
{
    const struct channel *c = own(s);
    (void)writing; /* what does not fit waits for the window, which is read, or for the call in flight */
    if (c->over || c->in_at < c->in_n || c->remote.ahead.len > 0)
        return MF_LOOP_READ | MF_LOOP_AGAIN;
    if (c->in_flight != NOTHING) {
        int directions = libssh2_session_block_directions(c->s->session);
        return MF_LOOP_WRITE | (directions & LIBSSH2_SESSION_BLOCK_INBOUND ? MF_LOOP_READ : 0u);
    }
    bool more = queued(c) > 0 || (!c->eof && libssh2_channel_eof(c->channel));
    return MF_LOOP_READ | (more ? MF_LOOP_AGAIN : 0u);
}

static const char *channel_error(const struct mf_stream_end *s)
{
    return own(s)->why[0] ? own(s)->why : "closed by the other side";
}

static void channel_close(struct mf_stream_end *s)
{
    struct channel *c = own(s);
    if (c->given)
        mf_ssh_free(c->s);
    mf_remote_release(&c->remote);
    free(c);
}

/* --- The remote ---------------------------------------------------------------------------------------------------- */

static void channel_exit(struct mf_stream_remote *r, struct mf_remote_exit *exit, uint64_t deadline)
{
    struct channel *c = own(r);
    char *signal = NULL;
    (void)deadline; /* it has come before the stream's end, or never does */
    if (!c->over)
        return;
    if (c->lost) {
        exit->how = MF_REMOTE_LOST;
        return;
    }
    libssh2_channel_get_exit_signal(c->channel, &signal, NULL, NULL, NULL, NULL, NULL);
    exit->how = signal ? MF_REMOTE_KILLED : MF_REMOTE_EXITED;
    exit->code = libssh2_channel_get_exit_status(c->channel);
    if (signal)
        snprintf(exit->signal, sizeof exit->signal, "SIG%s", signal);
    libssh2_free(c->s->session, signal);
}

static int channel_shut(struct mf_stream_remote *r)
{
    struct channel *c = own(r);
    if (!c->over && land(c) && c->out_n > 0)
        push(c);
    if (!c->over && c->in_flight == NOTHING && c->out_n == 0 && !c->shut)
        send_eof(c);
    return c->over ? -1 : c->shut;
}

static const struct mf_stream_table channel_table = {
    .name = "ssh",
    .read = channel_read,
    .write = channel_write,
    .fd = channel_fd,
    .wants = channel_wants,
    .last_error = channel_error,
    .close = channel_close,
};

static const struct mf_remote_table remote_table = {.exit = channel_exit, .shut = channel_shut};

struct mf_stream_remote *mf_ssh_stream_new(struct mf_ssh *s, LIBSSH2_CHANNEL *channel)
{
    struct channel *c = malloc(sizeof *c);
    if (!c)
        return NULL;
    memset(c, 0, offsetof(struct channel, out));
    mf_remote_init(&c->remote, &channel_table, &remote_table);
    c->s = s;
    c->channel = channel;
    return &c->remote;
}

/* --- Commands ------------------------------------------------------------------------------------------------------ */

/* The channel goes with the session. */
static struct mf_stream_remote *not_run(struct mf_ssh *s, enum mf_err e, int rc, struct mf_fault *fault)
{
    struct mf_fault why = {.code = MF_OK};
    if (e != MF_OK)
        mf_ssh_waited(e, &why);
    else
        mf_ssh_failed(s, rc, &why);
    mf_fault_set(fault, why.code, "the server does not run the command: %s", why.text);
    return NULL;
}

/* Repeats opening until it is done. */
static LIBSSH2_CHANNEL *open_channel(struct mf_ssh *s, const char *type, const char *message, size_t n,
                                     const struct mf_wait *wait, enum mf_err *e, int *rc)
{
    LIBSSH2_CHANNEL *channel;
    *e = MF_OK;
    while (!(channel = libssh2_channel_open_ex(s->session, type, (unsigned)strlen(type), 0,
                                               LIBSSH2_CHANNEL_PACKET_DEFAULT, message, (unsigned)n)) &&
           (*rc = libssh2_session_last_errno(s->session)) == LIBSSH2_ERROR_EAGAIN && *e == MF_OK)
        *e = mf_ssh_block(s, wait);
    return channel;
}

LIBSSH2_CHANNEL *mf_ssh_open(struct mf_ssh *s, const char *type, const char *message, size_t n,
                             const struct mf_wait *wait, struct mf_fault *fault)
{
    enum mf_err e;
    int rc = 0;
    LIBSSH2_CHANNEL *channel = open_channel(s, type, message, n, wait, &e, &rc);
    if (channel) {
        while ((rc = libssh2_channel_receive_window_adjust2(channel, WINDOW, 1, NULL)) == LIBSSH2_ERROR_EAGAIN &&
               e == MF_OK)
            e = mf_ssh_block(s, wait);
        if (rc == 0)
            return channel;
    }
    if (e != MF_OK)
        mf_ssh_waited(e, fault);
    else if (rc == LIBSSH2_ERROR_CHANNEL_FAILURE)
        mf_fault_set(fault, MF_EINVAL, "refused");
    else
        mf_ssh_failed(s, rc, fault);
    return NULL; /* a channel that was opened goes with the session */
}

/* A server may be slow to forget the last command, and count that as one too many. */
static LIBSSH2_CHANNEL *open_session(struct mf_ssh *s, const struct mf_wait *wait, struct mf_fault *fault)
{
    uint64_t until = mf_sys_now() + (s->commands++ ? PATIENCE_NS : 0);
    for (;;) {
        LIBSSH2_CHANNEL *channel = mf_ssh_open(s, "session", NULL, 0, wait, fault);
        if (channel || fault->code != MF_EINVAL || mf_sys_now() >= until)
            return channel;
        struct pollfd cancel = {.fd = wait->cancel, .events = POLLIN};
        mf_sys_poll(&cancel, 1, mf_sys_now() + RETRY_NS);
    }
}

struct mf_stream_remote *mf_ssh_exec(struct mf_ssh *s, const char *command, const struct mf_wait *wait,
                                     struct mf_fault *fault)
{
    struct mf_fault why = {.code = MF_OK};
    enum mf_err e = MF_OK;
    int rc = 0;
    LIBSSH2_CHANNEL *channel = open_session(s, wait, &why);
    if (!channel) {
        mf_fault_set(fault, why.code, "the server opens no channel: %s", why.text);
        return NULL;
    }
    while ((rc = libssh2_channel_exec(channel, command)) == LIBSSH2_ERROR_EAGAIN && e == MF_OK)
        e = mf_ssh_block(s, wait);
    if (rc != 0)
        return not_run(s, e, rc, fault);
    struct mf_stream_remote *r = mf_ssh_stream_new(s, channel);
    if (!r)
        mf_fault_set(fault, MF_ENOMEM, "out of memory while opening a stream");
    return r;
}

void mf_ssh_give(struct mf_ssh *s, struct mf_stream_remote *stream)
{
    if (own(stream)->s == s)
        own(stream)->given = true;
}

/* Repeats a call until it has gone through. */
static enum mf_err until_done(struct channel *c, int (*call)(LIBSSH2_CHANNEL *), const struct mf_wait *wait)
{
    int rc;
    while ((rc = call(c->channel)) == LIBSSH2_ERROR_EAGAIN) {
        enum mf_err e = mf_ssh_block(c->s, wait);
        if (e != MF_OK)
            return e;
    }
    return rc == 0 ? MF_OK : MF_ELOST;
}

enum mf_err mf_ssh_end_exec(struct mf_ssh *s, struct mf_stream_remote *stream, const struct mf_wait *wait)
{
    struct channel *c = own(stream);
    enum mf_err e = MF_OK;
    while (e == MF_OK && !c->over && !land(c))
        e = mf_ssh_block(s, wait);
    if (c->lost)
        e = MF_ELOST;
    if (e == MF_OK)
        e = until_done(c, libssh2_channel_close, wait);
    if (e == MF_OK)
        e = until_done(c, libssh2_channel_free, wait);
    mf_remote_release(&c->remote);
    free(c);
    return e;
}
