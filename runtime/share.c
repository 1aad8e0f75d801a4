/* Design note: the sender does not keep blocks alive on account of having sent them: it remembers a mark (block.h), which
 * tells when the block is gone or is about to be changed by its only holder. Then the number is dropped. The receiver
 * holds what it got until then; tasks and values there have references of their own.
 *
 * A block that came from the other end goes back like any other, by its descriptor: it is the same memory all the same,
 * and nobody has to know when the other end forgets a number. */
#include "share.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define HEAD     32                  /* bytes of a BLOCK's body before the numbers that it refers to */
#define ALIGN    64                  /* of the bytes behind them, in the body */
#define FD_REFS  1024                /* blocks that a block may refer to and still go by a descriptor */
#define LATE_MIN ((size_t)1 << 20)   /* bytes of a block that is let go of later */
#define LATE_MAX ((size_t)512 << 20) /* bytes that may wait for that */
#define REFS_MAX ((uint64_t)1 << 24) /* blocks that a message may refer to */

enum flag {
    COMMON = 1, /* memory that all write to */
    FILE_OF = 2 /* a file, or a part of one: only from who is trusted */
};

struct mf_share_sent {
    struct mf_block_mark *mark;
    uint64_t number;
};

struct mf_share_got {
    struct mf_block *block; /* a reference */
    uint64_t number;
};

/* Room for one more of the size in an array; false when memory is out. */
static bool grow(void *array, size_t n, size_t *cap, size_t size)
{
    void *old, *new;
    if (n < *cap)
        return true;
    size_t want = *cap ? 2 * *cap : 16;
    memcpy(&old, array, sizeof old);
    new = realloc(old, want * size);
    if (!new)
        return false;
    memcpy(array, &new, sizeof new);
    *cap = want;
    return true;
}

void mf_share_lists_release(struct mf_share_lists *l)
{
    for (size_t i = 0; i < l->n; i++)
        mf_holds_free(l->lists[i]);
    free(l->lists);
    *l = (struct mf_share_lists){0};
}

struct mf_holds *mf_share_list(struct mf_share_lists *l, size_t i)
{
    if (i >= l->n)
        return NULL;
    struct mf_holds *holds = l->lists[i];
    l->lists[i] = NULL;
    return holds;
}

void mf_share_release(struct mf_share *s)
{
    for (size_t i = 0; i < s->nsent; i++)
        mf_block_unmark(s->sent[i].mark);
    for (size_t i = 0; i < s->ngot; i++)
        mf_block_unref(s->got[i].block);
    for (size_t i = 0; i < s->nlate; i++)
        mf_block_unref(s->late[i]);
    mf_share_lists_release(&s->next);
    free(s->sent);
    free(s->got);
    *s = (struct mf_share){0};
}

/* --- Sending ----------------------------------------------------------------------------------------------------- */

/* The number under which the other end has the block, 0 if it has not. The newest first: it is asked for most. */
static uint64_t number_of(const struct mf_share *s, const struct mf_block *block)
{
    const struct mf_block_mark *mark = atomic_load_explicit(&block->mark, memory_order_acquire);
    for (size_t i = s->nsent; mark && i > 0; i--)
        if (s->sent[i - 1].mark == mark)
            return s->sent[i - 1].number;
    return 0;
}

static enum mf_err queue_block(struct mf_share *s, struct mf_link *link, struct mf_block *block, uint64_t *number);

/* What a block refers to goes first. */
static enum mf_err queue_refs(struct mf_share *s, struct mf_link *link, const struct mf_holds *holds,
                              unsigned char *numbers)
{
    enum mf_err e = MF_OK;
    for (size_t i = 0; holds && e == MF_OK && i < holds->n; i++) {
        uint64_t number;
        e = queue_block(s, link, holds->items[i].block, &number);
        if (e == MF_OK)
            mf_msg_put64(numbers + 8 * i, number);
    }
    return e;
}

/* By its descriptor, if it has one and the link can pass it. */
static bool queue_descriptor(struct mf_link *link, struct mf_block *block, uint64_t number, unsigned char *head,
                             size_t len, size_t refs)
{
    off_t offset;
    if (refs > FD_REFS || !mf_link_passes_fds(link))
        return false;
    int fd = mf_block_export(block, &offset);
    if (fd < 0)
        return false;
    mf_msg_put64(head + 8, (uint64_t)offset);
    mf_msg_put64(head + 16, (block->kind == MF_BLOCK_SHARED ? COMMON : 0) | (block->read_only ? FILE_OF : 0));
    const struct mf_msg_part part = {head, len};
    return mf_link_queue_fd(link, MF_MSG_BLOCK, number, &part, fd) == MF_OK;
}

/* Writes the frame; the body's beginning is in head, with room up to the next multiple of ALIGN. */
static enum mf_err write_block(struct mf_link *link, struct mf_block *block, uint64_t number, unsigned char *head,
                               size_t len, size_t refs)
{
    mf_msg_put64(head, block->bytes);
    mf_msg_put64(head + 8, 0);
    mf_msg_put64(head + 16, 0);
    mf_msg_put64(head + 24, refs);
    if (queue_descriptor(link, block, number, head, len, refs))
        return MF_OK;
    if (block->kind == MF_BLOCK_SHARED)
        return MF_ELIMIT; /* there is no other way */
    mf_msg_put64(head + 8, 0);
    mf_msg_put64(head + 16, 0);
    const struct mf_msg_part parts[] = {{head, (len + ALIGN - 1) / ALIGN * ALIGN}, {block->data, block->bytes}};
    return mf_link_queue(link, MF_MSG_BLOCK, number, parts, 2);
}

/* Remembers that the other end has it. */
static enum mf_err note_sent(struct mf_share *s, struct mf_block *block, uint64_t number)
{
    if (!grow(&s->sent, s->nsent, &s->sent_cap, sizeof *s->sent))
        return MF_ENOMEM;
    struct mf_block_mark *mark = mf_block_mark(block);
    if (!mark)
        return MF_ENOMEM;
    s->sent[s->nsent++] = (struct mf_share_sent){mark, number};
    return MF_OK;
}

static enum mf_err queue_block(struct mf_share *s, struct mf_link *link, struct mf_block *block, uint64_t *number)
{
    *number = number_of(s, block);
    if (*number)
        return MF_OK;
    size_t refs = block->holds ? block->holds->n : 0, len = HEAD + 8 * refs;
    unsigned char *head = calloc(1, len + ALIGN);
    enum mf_err e = head ? queue_refs(s, link, block->holds, head + HEAD) : MF_ENOMEM;
    *number = ++s->last;
    if (e == MF_OK)
        e = write_block(link, block, *number, head, len, refs);
    free(head);
    return e == MF_OK ? note_sent(s, block, *number) : e;
}

static size_t count(const struct mf_holds *const *parts, size_t n)
{
    size_t all = 0;
    for (size_t i = 0; i < n; i++)
        all += parts[i] ? parts[i]->n : 0;
    return all;
}

enum mf_err mf_share_queue(struct mf_share *s, struct mf_link *link, uint64_t id, const struct mf_holds *const *parts,
                           size_t n)
{
    size_t all = count(parts, n), len = 8 * (n + all);
    mf_share_tidy(s, link);
    if (all == 0)
        return MF_OK;
    unsigned char *body = malloc(len), *at = body;
    enum mf_err e = body ? MF_OK : MF_ENOMEM;
    for (size_t i = 0; e == MF_OK && i < n; i++) {
        size_t refs = parts[i] ? parts[i]->n : 0;
        mf_msg_put64(at, refs);
        e = queue_refs(s, link, parts[i], at + 8);
        at += 8 * (1 + refs);
    }
    const struct mf_msg_part part = {body, len};
    if (e == MF_OK)
        e = mf_link_queue(link, MF_MSG_HOLDS, id, &part, 1);
    free(body);
    return e;
}

bool mf_share_tidy(struct mf_share *s, struct mf_link *link)
{
    size_t left = 0, before = s->nsent;
    for (size_t i = 0; i < before; i++) {
        if (!atomic_load_explicit(&s->sent[i].mark->gone, memory_order_acquire)) {
            s->sent[left++] = s->sent[i];
            continue;
        }
        mf_link_queue(link, MF_MSG_DROP, s->sent[i].number, NULL, 0); /* if the peer is gone, reading says so */
        mf_block_unmark(s->sent[i].mark);
    }
    s->nsent = left;
    return left < before;
}

/* --- Receiving --------------------------------------------------------------------------------------------------- */

static struct mf_share_got *find_got(const struct mf_share *s, uint64_t number)
{
    for (size_t i = s->ngot; i > 0; i--)
        if (s->got[i - 1].number == number)
            return &s->got[i - 1];
    return NULL;
}

/* A list of the blocks with n numbers, of which there are some. MF_EINVAL when one is not there. */
static enum mf_err read_refs(const struct mf_share *s, const unsigned char *numbers, size_t n, struct mf_holds **out)
{
    struct mf_block **blocks = calloc(n ? n : 1, sizeof(struct mf_block *));
    enum mf_err e = blocks ? MF_OK : MF_ENOMEM;
    for (size_t i = 0; e == MF_OK && i < n; i++) {
        const struct mf_share_got *g = find_got(s, mf_msg_get64(numbers + 8 * i));
        if (g)
            blocks[i] = g->block;
        else
            e = MF_EINVAL;
    }
    *out = e == MF_OK ? mf_holds_new(blocks, n) : NULL;
    free(blocks);
    return e == MF_OK && n > 0 && !*out ? MF_ENOMEM : e;
}

/* The block that a descriptor is of. */
static struct mf_block *map_block(const struct mf_link_frame *frame, bool trusted)
{
    uint64_t bytes = mf_msg_get64(frame->body), offset = mf_msg_get64(frame->body + 8);
    uint64_t flags = mf_msg_get64(frame->body + 16);
    enum mf_block_access access = flags & COMMON ? MF_BLOCK_COMMON : flags & FILE_OF ? MF_BLOCK_READ : MF_BLOCK_PRIVATE;
    bool good = bytes > 0 && bytes <= MF_MSG_MAX && offset <= INT64_MAX && flags <= (COMMON | FILE_OF);
    if (!good || (!trusted && !mf_block_is_sound(frame->fd, (off_t)offset, (size_t)bytes)))
        return NULL;
    int fd = fcntl(frame->fd, F_DUPFD_CLOEXEC, 0);
    struct mf_block *block = fd < 0 ? NULL : mf_block_map(fd, (off_t)offset, (size_t)bytes, access, NULL);
    if (block)
        mf_block_economise(block);
    return block;
}

/* The block whose bytes came along: where they are, if that is possible, else a copy. */
static struct mf_block *take_bytes(const struct mf_link_frame *frame, size_t at)
{
    uint64_t bytes = mf_msg_get64(frame->body);
    if (at > frame->head.length || bytes != frame->head.length - at)
        return NULL;
    struct mf_block *block = frame->blob ? mf_block_of_blob(frame->blob, at, (size_t)bytes) : NULL;
    if (block)
        return block;
    block = mf_block_new((size_t)bytes, false);
    if (block && bytes > 0)
        memcpy(block->data, frame->body + at, (size_t)bytes);
    return block;
}

static enum mf_err on_block(struct mf_share *s, const struct mf_link_frame *frame, bool trusted)
{
    uint64_t length = frame->head.length, refs = length >= HEAD ? mf_msg_get64(frame->body + 24) : 0;
    struct mf_holds *holds = NULL;
    bool good = length >= HEAD && refs <= (length - HEAD) / 8 && !find_got(s, frame->head.id);
    enum mf_err e = good ? read_refs(s, frame->body + HEAD, (size_t)refs, &holds) : MF_EINVAL;
    if (e == MF_OK && !grow(&s->got, s->ngot, &s->got_cap, sizeof *s->got))
        e = MF_ENOMEM;
    if (e != MF_OK) {
        mf_holds_free(holds);
        return e;
    }
    size_t at = (size_t)(HEAD + 8 * refs + ALIGN - 1) / ALIGN * ALIGN;
    struct mf_block *block = frame->fd >= 0 ? map_block(frame, trusted) : take_bytes(frame, at);
    if (!block) {
        mf_holds_free(holds);
        return MF_EINVAL;
    }
    block->holds = holds;
    s->got[s->ngot++] = (struct mf_share_got){block, frame->head.id};
    return MF_OK;
}

static void let_go(struct mf_share *s, struct mf_block *block)
{
    if (!s->lazy || block->bytes < LATE_MIN || s->nlate == MF_SHARE_LATE || s->late_bytes + block->bytes > LATE_MAX) {
        mf_block_unref(block);
        return;
    }
    s->late[s->nlate++] = block;
    s->late_bytes += block->bytes;
}

size_t mf_share_take_late(struct mf_share *s, struct mf_block *blocks[MF_SHARE_LATE])
{
    size_t n = s->nlate;
    memcpy(blocks, s->late, n * sizeof blocks[0]);
    s->nlate = s->late_bytes = 0;
    return n;
}

static enum mf_err on_drop(struct mf_share *s, uint64_t number)
{
    struct mf_share_got *g = find_got(s, number);
    if (!g)
        return MF_EINVAL;
    let_go(s, g->block);
    *g = s->got[--s->ngot];
    return MF_OK;
}

static enum mf_err on_holds(struct mf_share *s, const struct mf_link_frame *frame)
{
    const unsigned char *at = frame->body, *end = at + frame->head.length;
    struct mf_share_lists next = {0};
    size_t cap = 0;
    enum mf_err e = s->next.n > 0 ? MF_EINVAL : MF_OK;
    while (e == MF_OK && end - at >= 8) {
        uint64_t n = mf_msg_get64(at);
        at += 8;
        if (n > REFS_MAX || n > (uint64_t)(end - at) / 8)
            e = MF_EINVAL;
        else if (!grow(&next.lists, next.n, &cap, sizeof *next.lists))
            e = MF_ENOMEM;
        else
            e = read_refs(s, at, (size_t)n, &next.lists[next.n]);
        if (e == MF_OK) {
            next.n++;
            at += 8 * n;
        }
    }
    if (e != MF_OK || at != end) {
        mf_share_lists_release(&next);
        return e == MF_OK ? MF_EINVAL : e;
    }
    s->next_id = frame->head.id;
    s->next = next;
    return MF_OK;
}

enum mf_err mf_share_received(struct mf_share *s, const struct mf_link_frame *frame, bool trusted)
{
    switch (frame->head.kind) {
    case MF_MSG_BLOCK:
        return on_block(s, frame, trusted);
    case MF_MSG_DROP:
        return on_drop(s, frame->head.id);
    default:
        return on_holds(s, frame);
    }
}

struct mf_share_lists mf_share_take(struct mf_share *s, uint64_t id)
{
    struct mf_share_lists lists = {0};
    if (s->next.n == 0)
        return lists;
    if (s->next_id == id)
        lists = s->next;
    else
        mf_share_lists_release(&s->next);
    s->next = (struct mf_share_lists){0};
    return lists;
}
