/* Design note: what both kinds of remote have in common: lines out of stderr's bytes, a buffer of bytes that were read too
 * far, and the blocking calls that launchers use, which are loops of a stream's own calls and poll. */
#include "stream_remote.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "loop.h"
#include "sys.h"
#include "sys_fd.h"

#define KEPT ((size_t)64 * 1024) /* bytes that may come while a launcher writes; more is dropped */

void mf_remote_init(struct mf_stream_remote *r, const struct mf_stream_table *stream,
                    const struct mf_remote_table *table)
{
    memset(r, 0, sizeof *r);
    r->end.table = stream;
    r->table = table;
    r->errors_fd = -1;
}

void mf_remote_release(struct mf_stream_remote *r)
{
    mf_buf_release(&r->ahead);
}

/* --- Lines of stderr ----------------------------------------------------------------------------------------------- */

void mf_remote_on_line(struct mf_stream_remote *r, void (*line)(void *arg, const char *line), void *arg)
{
    r->line = line;
    r->arg = arg;
}

void mf_remote_end_line(struct mf_stream_remote *r)
{
    if (r->part[0] == '\0')
        return;
    char *line = r->lines[r->nlines++ % MF_REMOTE_LINES];
    memcpy(line, r->part, sizeof r->part);
    r->part[0] = '\0';
    if (r->line)
        r->line(r->arg, line);
}

void mf_remote_add(struct mf_stream_remote *r, const char *bytes, size_t n)
{
    size_t at = strlen(r->part);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\n' || at == MF_REMOTE_LINE - 1) {
            mf_remote_end_line(r);
            at = 0;
        }
        if (c == '\n' || c == '\r')
            continue;
        r->part[at++] = c == '\t' ? ' ' : c < ' ' || c == 127 ? '?' : (char)c;
        r->part[at] = '\0';
    }
}

const char *mf_remote_last(const struct mf_stream_remote *r, char *text, size_t n)
{
    unsigned count = r->nlines < MF_REMOTE_LINES ? r->nlines : MF_REMOTE_LINES;
    size_t at = 0;
    text[0] = '\0';
    for (unsigned i = r->nlines - count; i <= r->nlines; i++) {
        const char *line = i < r->nlines ? r->lines[i % MF_REMOTE_LINES] : r->part;
        if (*line && at < n)
            at += (size_t)snprintf(text + at, n - at, "%s%s", at ? " | " : "", line);
    }
    return text;
}

int mf_remote_errors_fd(const struct mf_stream_remote *r)
{
    return r->errors_fd;
}

bool mf_remote_collect(struct mf_stream_remote *r)
{
    return r->table->collect && r->table->collect(r);
}

/* --- How it ended -------------------------------------------------------------------------------------------------- */

struct mf_remote_exit mf_remote_exit_by(struct mf_stream_remote *r, uint64_t deadline)
{
    struct mf_remote_exit exit = {.how = MF_REMOTE_RUNS};
    r->table->exit(r, &exit, deadline);
    return exit;
}

struct mf_remote_exit mf_remote_exit(struct mf_stream_remote *r)
{
    return mf_remote_exit_by(r, 0);
}

void mf_remote_kill(struct mf_stream_remote *r)
{
    if (r->table->kill)
        r->table->kill(r);
}

void mf_remote_describe(const struct mf_remote_exit *exit, char *text, size_t n)
{
    switch (exit->how) {
    case MF_REMOTE_EXITED:
        snprintf(text, n, "exited with code %d", exit->code);
        break;
    case MF_REMOTE_KILLED:
        snprintf(text, n, "killed by %s%s", exit->signal,
                 strcmp(exit->signal, "SIGKILL") == 0 ? " (possibly out of memory)" : "");
        break;
    case MF_REMOTE_LOST:
        snprintf(text, n, "the connection was lost");
        break;
    default:
        snprintf(text, n, "has not ended");
        break;
    }
}

/* --- Bytes that were read too far ---------------------------------------------------------------------------------- */

bool mf_remote_unread(struct mf_stream_remote *r, const void *bytes, size_t n)
{
    size_t left = r->ahead.len - r->ahead_taken;
    if (!mf_buf_reserve(&r->ahead, n))
        return false;
    if (left > 0)
        memmove(r->ahead.data + n, r->ahead.data + r->ahead_taken, left);
    if (n > 0)
        memcpy(r->ahead.data, bytes, n);
    r->ahead.len = n + left;
    r->ahead_taken = 0;
    return true;
}

size_t mf_remote_take_ahead(struct mf_stream_remote *r, void *bytes, size_t n)
{
    size_t left = r->ahead.len - r->ahead_taken;
    if (n > left)
        n = left;
    if (n == 0)
        return 0;
    memcpy(bytes, r->ahead.data + r->ahead_taken, n);
    r->ahead_taken += n;
    if (r->ahead_taken == r->ahead.len) {
        mf_buf_release(&r->ahead);
        r->ahead_taken = 0;
    }
    return n;
}

/* --- Blocking ------------------------------------------------------------------------------------------------------ */

static short poll_events(unsigned wants)
{
    return (short)((wants & MF_LOOP_READ ? POLLIN : 0) | (wants & MF_LOOP_WRITE ? POLLOUT : 0));
}

/* What was given back is no reason to read on while something is written: it is put aside. */
struct aside {
    struct mf_buf bytes;
    size_t taken;
};

static struct aside put_aside(struct mf_stream_remote *r)
{
    struct aside a = {r->ahead, r->ahead_taken};
    mf_buf_init(&r->ahead);
    r->ahead_taken = 0;
    return a;
}

static void put_back(struct mf_stream_remote *r, struct aside a)
{
    r->ahead = a.bytes;
    r->ahead_taken = a.taken;
}

static unsigned wanted(struct mf_stream_remote *r, bool writing)
{
    if (!writing)
        return r->end.table->wants(&r->end, false);
    struct aside a = put_aside(r);
    unsigned wants = r->end.table->wants(&r->end, true);
    put_back(r, a);
    return wants;
}

enum mf_err mf_remote_wait(struct mf_stream_remote *r, bool writing, const struct mf_wait *wait)
{
    const struct mf_stream_table *table = r->end.table;
    for (;;) {
        unsigned wants = wanted(r, writing);
        struct pollfd fds[] = {{.fd = wait->cancel, .events = POLLIN},
                               {.fd = table->fd(&r->end), .events = poll_events(wants)},
                               {.fd = r->errors_fd, .events = POLLIN}};
        int n = mf_sys_poll(fds, 3, wants & MF_LOOP_AGAIN ? 0 : wait->deadline);
        if (n < 0 && errno != EINTR)
            return MF_ESYS;
        if (n > 0 && fds[0].revents)
            return MF_EINTR;
        if (n > 0 && fds[2].revents && !mf_remote_collect(r))
            r->errors_fd = -1;
        if ((wants & MF_LOOP_AGAIN) || (n > 0 && fds[1].revents))
            return MF_OK;
        if (n <= 0 && mf_sys_now() >= wait->deadline)
            return MF_ETIMEDOUT;
    }
}

ssize_t mf_remote_read(struct mf_stream_remote *r, void *bytes, size_t n, const struct mf_wait *wait, enum mf_err *e)
{
    for (;;) {
        ssize_t got = r->end.table->read(&r->end, bytes, n, NULL);
        if (got != 0)
            return got > 0 ? got : 0;
        *e = mf_remote_wait(r, false, wait);
        if (*e != MF_OK)
            return -1;
        r->end.table->write(&r->end, NULL, 0, -1); /* an error is the next read's, too */
    }
}

/* Takes in what the far side says, so that it never waits for us. False at the end of the stream. */
static bool listen(struct mf_stream_remote *r)
{
    unsigned char bytes[4096];
    struct aside a = put_aside(r);
    ssize_t got = r->end.table->read(&r->end, bytes, sizeof bytes, NULL);
    put_back(r, a);
    if (got > 0 && r->ahead.len < KEPT)
        mf_buf_append(&r->ahead, bytes, (size_t)got);
    return got >= 0;
}

enum mf_err mf_remote_write(struct mf_stream_remote *r, const void *bytes, size_t n, const struct mf_wait *wait)
{
    const char *at = bytes;
    while (n > 0) {
        struct iovec piece = {(void *)(uintptr_t)at, n};
        ssize_t done = r->end.table->write(&r->end, &piece, 1, -1);
        if (done < 0 || !listen(r))
            return MF_ECLOSED;
        at += done;
        n -= (size_t)done;
        enum mf_err e = done == 0 ? mf_remote_wait(r, true, wait) : MF_OK;
        if (e != MF_OK)
            return e;
    }
    return MF_OK;
}

enum mf_err mf_remote_shut(struct mf_stream_remote *r, const struct mf_wait *wait)
{
    int done;
    while ((done = r->table->shut(r)) == 0) {
        enum mf_err e = mf_remote_wait(r, true, wait);
        if (e != MF_OK)
            return e;
        if (!listen(r))
            return MF_ECLOSED;
    }
    return done > 0 ? MF_OK : MF_ECLOSED;
}

enum mf_err mf_remote_finish(struct mf_stream_remote *r, const struct mf_wait *wait, struct mf_remote_exit *exit)
{
    char bytes[4096];
    enum mf_err e = MF_OK;
    while (mf_remote_read(r, bytes, sizeof bytes, wait, &e) > 0) {
    }
    *exit = (struct mf_remote_exit){.how = MF_REMOTE_RUNS};
    if (e == MF_OK)
        r->table->exit(r, exit, wait->deadline);
    mf_remote_collect(r);
    return e;
}
