/* Two links over a socketpair, for the tests of links, and bodies that show when a byte of them is wrong. */
#ifndef LINK_PAIR_H
#define LINK_PAIR_H

#include "check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/link.h"
#include "../../runtime/sys_fd.h"

/* What a receiver keeps of the frames. */
struct inbox {
    int frames;
    struct mf_msg_head last;
    int with_fd;
    size_t bytes;
    bool good;            /* all bodies had the bytes that pattern would give them */
    struct mf_blob *kept; /* the last blob, if keep */
    bool keep, take;      /* by a reference of its own, or by the link's */
    enum mf_err answer;
    struct mf_link *echo;
};

static inline unsigned char pattern(uint64_t id, size_t i)
{
    return (unsigned char)(id * 31 + i * 7 + (i >> 8));
}

static inline enum mf_err receive(void *arg, struct mf_link_frame *f)
{
    struct inbox *in = arg;
    in->frames++;
    in->last = f->head;
    in->with_fd += f->fd >= 0 && fcntl(f->fd, F_GETFD) >= 0;
    in->bytes += (size_t)f->head.length;
    for (size_t i = 0; i < f->head.length; i++)
        in->good = in->good && f->body[i] == pattern(f->head.id, i);
    if (in->echo) {
        struct mf_msg_part part = {f->body, (size_t)f->head.length};
        CHECK(mf_link_send(in->echo, MF_MSG_PONG, f->head.id, &part, 1) == MF_OK);
    }
    if (f->blob) {
        in->good = in->good && f->blob->data == f->body && f->blob->len == f->head.length;
        if (in->keep || in->take) {
            mf_blob_unref(in->kept);
            in->kept = in->take ? f->blob : mf_blob_ref(f->blob);
        }
        if (in->take)
            f->blob = NULL;
    }
    return in->answer;
}

/* Two links and their inboxes. */
struct pair {
    struct mf_link *link[2];
    struct mf_areas *areas[2];
    struct inbox in[2];
};

static inline void open_pair(struct pair *p)
{
    int fd[2];
    struct mf_fault fault;
    *p = (struct pair){.in = {{.good = true}, {.good = true}}};
    CHECK(mf_sys_socketpair(fd));
    for (int i = 0; i < 2; i++) {
        p->link[i] = mf_link_new(mf_stream_fd_new(fd[i], &fault), receive, &p->in[i], &fault);
        CHECK(p->link[i] && mf_link_fd(p->link[i]) == fd[i] && mf_link_pending(p->link[i]) == 0);
        p->areas[i] = mf_areas_new();
        mf_link_use(p->link[i], NULL, p->areas[i]);
    }
}

static inline void close_pair(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        CHECK(p->in[i].good);
        mf_link_free(p->link[i]);
        mf_areas_unref(p->areas[i]);
        mf_blob_unref(p->in[i].kept);
    }
}

static inline unsigned char *make_body(uint64_t id, size_t n)
{
    unsigned char *bytes = malloc(n ? n : 1);
    for (size_t i = 0; i < n; i++)
        bytes[i] = pattern(id, i);
    return bytes;
}

/* Sends in three parts. */
static inline enum mf_err send_body(struct mf_link *l, uint64_t id, size_t n)
{
    unsigned char *bytes = make_body(id, n);
    struct mf_msg_part parts[3] = {{bytes, n / 3}, {NULL, 0}, {bytes + n / 3, n - n / 3}};
    enum mf_err e = mf_link_send(l, MF_MSG_TASK, id, parts, 3);
    free(bytes);
    return e;
}

/* Reads and writes on both sides until the inbox has that many frames. */
static inline void pump(struct pair *p, const struct inbox *in, int frames)
{
    for (long i = 0; in->frames < frames && i < 10000000; i++)
        for (int side = 0; side < 2; side++)
            if (mf_link_flush(p->link[side]) != MF_OK || mf_link_read(p->link[side], NULL) != MF_OK) {
                CHECK(!"the link has ended");
                return;
            }
    CHECK(in->frames == frames);
}

static const size_t sizes[] = {
    0, 1, 2, 100, 4079, 4080, 65519, 65520, 65521, 200000, MF_MSG_INLINE, MF_MSG_INLINE + 1, 300000, 3000000};
#define SIZES (int)(sizeof sizes / sizeof sizes[0])

/* What reading says after the peer wrote these bytes and, if it does, closed. */
static inline enum mf_err after_bytes(const void *bytes, size_t n, bool greet, struct mf_fault *fault)
{
    int fd[2];
    struct inbox in = {.good = true};
    enum mf_err e = MF_OK;
    static const unsigned char ping[MF_MSG_HEAD] = {12, 0, 0, 0, MF_MSG_PING};
    CHECK(mf_sys_socketpair(fd));
    struct mf_link *l = mf_link_new(mf_stream_fd_new(fd[0], NULL), receive, &in, NULL);
    struct mf_areas *areas = mf_areas_new();
    mf_link_use(l, NULL, areas);
    mf_link_limit(l, MF_MSG_MAX_HELLO);
    if (greet)
        CHECK(write(fd[1], ping, sizeof ping) == (ssize_t)sizeof ping);
    CHECK(write(fd[1], bytes, n) == (ssize_t)n);
    close(fd[1]);
    for (int i = 0; i < 1000000 && e == MF_OK; i++)
        e = mf_link_read(l, fault);
    CHECK(mf_link_read(l, NULL) == e && in.frames == greet);
    mf_link_free(l);
    mf_areas_unref(areas);
    return e;
}

#endif
