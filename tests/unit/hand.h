/* The other end of a link, made by hand: sends any message and keeps those that come, so that a test can see each one and
 * say what no honest peer would. Everything on the calling thread; the alarm of the test program ends waits that never
 * end. Counts on fake.h for checks. */
#ifndef MF_HAND_H
#define MF_HAND_H

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/link.h"
#include "../../runtime/stream.h"
#include "../../runtime/sys_fd.h"
#include "check.h"

#define HAND_FRAMES 4096

/* A message that has come. */
struct hand_frame {
    unsigned kind;
    uint64_t id;
    size_t len;
    unsigned char *body; /* with a zero byte behind it */
};

struct hand {
    struct mf_link *link;
    int fd; /* the link's */
    struct hand_frame frames[HAND_FRAMES];
    int first, n;
    bool deaf;              /* reads nothing */
    bool mute;              /* keeps heartbeats (PING without a number), which are answered otherwise */
    bool ended;             /* the stream has ended */
    int signs;              /* signs of life (PONG without a number) that have come; they come when they come */
    void (*turn)(void);     /* what makes the other side go on, where it is on the same thread; or NULL */
    struct hand_frame last; /* what hand_expect found; freed by the next one */
};

static inline enum mf_err hand_received(void *arg, struct mf_link_frame *frame)
{
    struct hand *h = arg;
    size_t len = (size_t)frame->head.length;
    if (frame->head.kind == MF_MSG_PING && frame->head.id == 0 && !h->mute) {
        mf_link_send(h->link, MF_MSG_PONG, 0, NULL, 0);
        return MF_OK;
    }
    if (frame->head.kind == MF_MSG_PONG && frame->head.id == 0) {
        h->signs++;
        return MF_OK;
    }
    unsigned char *body = malloc(len + 1);
    if (!body || h->first + h->n == HAND_FRAMES)
        exit(!CHECK(!"too many messages"));
    if (len)
        memcpy(body, frame->body, len);
    body[len] = '\0';
    h->frames[h->first + h->n++] = (struct hand_frame){frame->head.kind, frame->head.id, len, body};
    return MF_OK;
}

/* Takes fd over. */
static inline struct hand *hand_new(int fd, void (*turn)(void))
{
    struct hand *h = calloc(1, sizeof *h);
    struct mf_stream_end *stream = mf_stream_fd_new(fd, NULL);
    if (!h || !stream || !(h->link = mf_link_new(stream, hand_received, h, NULL)))
        exit(!CHECK(!"a hand"));
    h->fd = fd;
    h->turn = turn;
    return h;
}

static inline void hand_free(struct hand *h)
{
    mf_link_free(h->link);
    for (int i = 0; i < h->n; i++)
        free(h->frames[h->first + i].body);
    free(h->last.body);
    free(h);
}

/* Reads what is there, and lets the other side go on. */
static inline void hand_look(struct hand *h)
{
    if (h->turn)
        h->turn();
    if (h->link && !h->deaf && !h->ended)
        h->ended = mf_link_read(h->link, NULL) != MF_OK;
    if (h->link)
        mf_link_flush(h->link);
}

static inline void hand_wait(struct hand *h)
{
    struct pollfd p = {.fd = h->fd, .events = POLLIN};
    hand_look(h);
    if (!h->turn && h->n == 0 && !h->ended)
        poll(&p, 1, 10);
}

/* Sends a message, whatever it says. */
static inline void hand_send(struct hand *h, unsigned kind, uint64_t id, const void *body, size_t n)
{
    const struct mf_msg_part part = {body, n};
    mf_link_send(h->link, (enum mf_msg_kind)kind, id, &part, 1);
    while (mf_link_pending(h->link) > 0 && mf_link_flush(h->link) == MF_OK)
        hand_look(h);
}

/* Takes the next message out; it must be of that kind (0: any). Valid until the next call. */
static inline const struct hand_frame *hand_expect(struct hand *h, unsigned kind)
{
    while (h->n == 0 && !h->ended)
        hand_wait(h);
    if (h->n == 0) {
        CHECK(!"the stream has ended before the message came");
        return NULL;
    }
    free(h->last.body);
    h->last = h->frames[h->first];
    h->n--;
    h->first = h->n ? h->first + 1 : 0;
    if (kind && h->last.kind != kind)
        fprintf(stderr, "expected %s, came %s %.60s\n", mf_msg_name((uint8_t)kind), mf_msg_name((uint8_t)h->last.kind),
                (const char *)h->last.body);
    return CHECK(!kind || h->last.kind == kind) ? &h->last : NULL;
}

/* Has nothing come? Looks some times. */
static inline bool hand_silent(struct hand *h)
{
    for (int i = 0; i < 20; i++)
        hand_look(h);
    return h->n == 0;
}

/* Waits for the end of the stream; what comes before it is dropped. */
static inline void hand_await_end(struct hand *h)
{
    while (!h->ended) {
        hand_wait(h);
        while (h->n > 0) {
            free(h->frames[h->first + --h->n].body);
            h->first = h->n ? h->first : 0;
        }
    }
}

/* --- Bodies ------------------------------------------------------------------------------------------------------- */

static inline void hand_result(struct hand *h, uint64_t id, unsigned outcome, const char *text)
{
    unsigned char body[MF_MSG_RESULT_HEAD + 256];
    const struct mf_msg_result r = {.outcome = (uint8_t)outcome, .nanoseconds = 1000};
    size_t n = strlen(text);
    mf_msg_pack_result_head(body, &r);
    memcpy(body + MF_MSG_RESULT_HEAD, text, n);
    hand_send(h, MF_MSG_RESULT, id, body, MF_MSG_RESULT_HEAD + n);
}

static inline struct mf_msg_hello hand_hello(void)
{
    return (struct mf_msg_hello){
        .version = MF_MSG_VERSION, .lua_version = 504, .cores = 2, .program = "0.0.1", .host = "by hand"};
}

static inline void hand_greet(struct hand *h, const struct mf_msg_hello *hello)
{
    struct mf_buf body = {0};
    CHECK(mf_msg_pack_hello(&body, hello));
    hand_send(h, MF_MSG_HELLO, 0, body.data, body.len);
    mf_buf_release(&body);
}

#endif
