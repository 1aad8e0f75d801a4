/* Design note: incoming bytes land in one buffer that is made once. Frames that fit are handed over where they lie, so
 * a small frame costs no allocation; what is left of an unfinished one moves to the front. A longer body is collected in
 * a buffer of its own that grows as bytes arrive, and becomes a blob. A body beside the stream is a blob from the start
 * (area.h). A descriptor comes with the first byte of its frame, one a read, and all whole frames are handed over before
 * the next read; so at most two wait for their frames: one for the frame that the last read left unfinished, one for a
 * frame that this read has begun.
 *
 * Outgoing frames are written at once if nothing waits; what the stream does not take is copied to out. Where a
 * descriptor goes along, a note says at which byte of out; a write begins there and ends before the next note. */
#define _GNU_SOURCE
#include "link_inner.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "hooks.h"
#include "loop.h"
#include "pages.h"

#define IN_SIZE  ((size_t)64 * 1024)
#define READS    16                          /* in a row, so that one peer cannot keep the others waiting */
#define OUT_KEPT ((size_t)256 * 1024)        /* of an empty out buffer */
#define AT_ONCE  ((size_t)256 * 1024 * 1024) /* of a body */
#define SHOWN    48                          /* bytes of what is not our protocol */

struct mf_link *mf_link_new(struct mf_stream_end *stream,
                            enum mf_err (*received)(void *arg, struct mf_link_frame *frame), void *arg,
                            struct mf_fault *fault)
{
    struct mf_link *l = calloc(1, sizeof *l);
    if (l)
        l->in = malloc(IN_SIZE);
    if (!l || !l->in) {
        free(l);
        mf_fault_set(fault, MF_ENOMEM, "out of memory while making a link");
        return NULL;
    }
    l->stream = stream;
    l->received = received;
    l->arg = arg;
    l->limit = MF_MSG_MAX_INLINE;
    return l;
}

static void empty_out(struct mf_link *l)
{
    mf_buf_release(&l->out);
    mf_buf_use(&l->out, l->pages, NULL);
}

static void drop_out(struct mf_link *l)
{
    for (int i = 0; i < l->nnotes; i++)
        close(l->notes[i].fd);
    l->nnotes = 0;
    l->sent = 0;
    empty_out(l);
}

void mf_link_free(struct mf_link *l)
{
    if (!l)
        return;
    drop_out(l);
    mf_area_close(&l->areas);
    mf_buf_release(&l->large);
    while (l->nfds > 0)
        close(l->fds[--l->nfds]);
    l->stream->table->close(l->stream);
    free(l->in);
    free(l);
}

void mf_link_use(struct mf_link *l, struct mf_pages *pages, struct mf_areas *areas)
{
    l->pages = pages;
    mf_buf_use(&l->out, pages, NULL);
    if (areas && l->stream->table->passes_fds)
        mf_area_open(&l->areas, areas);
}

int mf_link_fd(const struct mf_link *l)
{
    return l->stream->table->fd(l->stream);
}

unsigned mf_link_wants(const struct mf_link *l)
{
    const struct mf_stream_table *table = l->stream->table;
    bool writing = !l->gone && mf_link_pending(l) > 0;
    unsigned bulk = l->in_large || mf_link_pending(l) > MF_MSG_INLINE ? MF_LOOP_BULK : 0u;
    if (table->wants)
        return table->wants(l->stream, writing) | bulk;
    return MF_LOOP_READ | (writing ? MF_LOOP_WRITE : 0u) | bulk;
}

void mf_link_trust(struct mf_link *l)
{
    l->greeted = true;
}

void mf_link_limit(struct mf_link *l, size_t limit)
{
    l->limit = limit;
}

/* --- Sending ---------------------------------------------------------------------------------------------------- */

size_t mf_link_pending(const struct mf_link *l)
{
    return l->out.len - l->sent;
}

struct mf_link_bytes mf_link_bytes(const struct mf_link *l)
{
    return l->bytes;
}

static enum mf_err give_up(struct mf_link *l)
{
    l->gone = true;
    drop_out(l);
    return MF_ECLOSED;
}

/* Keeps out short: forgets what was sent. */
static void tidy_out(struct mf_link *l)
{
    size_t left = mf_link_pending(l);
    if (left > 0 && l->sent < left)
        return;
    if (left > 0)
        memmove(l->out.data, l->out.data + l->sent, left);
    for (int i = 0; i < l->nnotes; i++)
        l->notes[i].at -= l->sent;
    l->out.len = left;
    l->sent = 0;
    if (left == 0 && l->out.cap > OUT_KEPT)
        empty_out(l);
}

static void note_sent(struct mf_link *l)
{
    close(l->notes[0].fd);
    l->nnotes--;
    memmove(l->notes, l->notes + 1, sizeof l->notes[0] * (size_t)l->nnotes);
}

/* One write of what waits. > 0: there may be more to do; 0: not now, or all is written; -1: the peer is gone. */
static ssize_t write_some(struct mf_link *l)
{
    bool noted = l->nnotes > 0 && l->notes[0].at == l->sent;
    int next = noted ? 1 : 0;
    size_t end = next < l->nnotes ? l->notes[next].at : l->out.len;
    if (end == l->sent)
        return 0;
    struct iovec piece = {l->out.data + l->sent, end - l->sent};
    ssize_t n = l->stream->table->write(l->stream, &piece, 1, noted ? l->notes[0].fd : -1);
    if (n > 0 && noted)
        note_sent(l);
    if (n > 0) {
        l->sent += (size_t)n;
        l->bytes.written += (size_t)n;
    }
    return n;
}

enum mf_err mf_link_flush(struct mf_link *l)
{
    ssize_t n;
    if (l->gone)
        return MF_ECLOSED;
    if (l->stream->table->wants && mf_link_pending(l) == 0 && l->stream->table->write(l->stream, NULL, 0, -1) < 0)
        return give_up(l); /* what the stream itself holds */
    do
        n = write_some(l);
    while (n > 0 && mf_link_pending(l) > 0);
    if (n < 0)
        return give_up(l);
    tidy_out(l);
    return MF_OK;
}

static bool add_up(const struct mf_msg_part *parts, int n, size_t *total)
{
    *total = 0;
    for (int i = 0; i < n; i++) {
        if (parts[i].n > SIZE_MAX / 2 - *total)
            return false;
        *total += parts[i].n;
    }
    return true;
}

/* There is room in out already, so the appends cannot fail. */
void mf_link_append(struct mf_link *l, const struct mf_msg_head *head, const struct mf_msg_part *parts, int n)
{
    unsigned char bytes[MF_MSG_HEAD];
    mf_msg_pack_head(bytes, head);
    mf_buf_append(&l->out, bytes, sizeof bytes);
    for (int i = 0; i < n; i++)
        mf_buf_append(&l->out, parts[i].bytes, parts[i].n);
}

enum mf_err mf_link_queue(struct mf_link *l, enum mf_msg_kind kind, uint64_t id, const struct mf_msg_part *parts, int n)
{
    struct mf_msg_head head = {.kind = (uint8_t)kind, .id = id};
    size_t total;
    mf_hooks_message();
    if (l->gone)
        return MF_ECLOSED;
    if (!add_up(parts, n, &total))
        return MF_ELIMIT;
    head.length = total;
    if (total > mf_hooks_inline_max(MF_MSG_INLINE) && mf_link_queue_beside(l, &head, parts, n))
        return MF_OK;
    if (total > MF_MSG_MAX_INLINE)
        return MF_ELIMIT;
    if (!mf_buf_reserve(&l->out, MF_MSG_HEAD + total))
        return MF_ENOMEM;
    mf_link_append(l, &head, parts, n);
    return MF_OK;
}

bool mf_link_passes_fds(const struct mf_link *l)
{
    return l->stream->table->passes_fds;
}

enum mf_err mf_link_queue_fd(struct mf_link *l, enum mf_msg_kind kind, uint64_t id, const struct mf_msg_part *part,
                             int fd)
{
    struct mf_msg_head head = {.length = part->n, .kind = (uint8_t)kind, .flags = MF_MSG_FD, .id = id};
    if (l->gone)
        return MF_ECLOSED;
    if (l->nnotes == MF_LINK_NOTES)
        mf_link_flush(l);
    int own = mf_link_passes_fds(l) && l->nnotes < MF_LINK_NOTES ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (own < 0 || part->n > MF_MSG_FD_BODY)
        return MF_ELIMIT;
    if (!mf_buf_reserve(&l->out, MF_MSG_HEAD + part->n)) {
        close(own);
        return MF_ENOMEM;
    }
    l->notes[l->nnotes++] = (struct mf_link_note){l->out.len, own};
    mf_link_append(l, &head, part, 1);
    return MF_OK;
}

/* Appends what follows the first skip bytes of the pieces; room is there. */
static void append_rest(struct mf_link *l, const struct iovec *pieces, int n, size_t skip)
{
    for (int i = 0; i < n; i++) {
        size_t done = skip < pieces[i].iov_len ? skip : pieces[i].iov_len;
        skip -= done;
        if (done < pieces[i].iov_len)
            mf_buf_append(&l->out, (const char *)pieces[i].iov_base + done, pieces[i].iov_len - done);
    }
}

/* Writes a frame straight from its parts; only what the stream does not take is copied. Nothing else waits. */
static enum mf_err send_straight(struct mf_link *l, const struct mf_msg_head *head, const struct mf_msg_part *parts,
                                 int n)
{
    unsigned char bytes[MF_MSG_HEAD];
    struct iovec pieces[MF_LINK_PIECES + 1];
    mf_hooks_message();
    if (!mf_buf_reserve(&l->out, MF_MSG_HEAD + (size_t)head->length))
        return MF_ENOMEM;
    mf_msg_pack_head(bytes, head);
    pieces[0] = (struct iovec){bytes, sizeof bytes};
    for (int i = 0; i < n; i++)
        pieces[i + 1] = (struct iovec){(void *)(uintptr_t)parts[i].bytes, parts[i].n};
    ssize_t sent = l->stream->table->write(l->stream, pieces, n + 1, -1);
    if (sent < 0)
        return give_up(l);
    l->bytes.written += (size_t)sent;
    if ((size_t)sent == MF_MSG_HEAD + head->length) {
        tidy_out(l);
        return MF_OK;
    }
    append_rest(l, pieces, n + 1, (size_t)sent);
    return MF_OK;
}

enum mf_err mf_link_send(struct mf_link *l, enum mf_msg_kind kind, uint64_t id, const struct mf_msg_part *parts, int n)
{
    size_t total;
    if (!l->gone && n <= MF_LINK_PIECES && mf_link_pending(l) == 0 && add_up(parts, n, &total) &&
        total <= mf_hooks_inline_max(MF_MSG_INLINE)) {
        struct mf_msg_head head = {.length = total, .kind = (uint8_t)kind, .id = id};
        return send_straight(l, &head, parts, n);
    }
    enum mf_err e = mf_link_queue(l, kind, id, parts, n);
    return e == MF_OK ? mf_link_flush(l) : e;
}

/* --- Receiving -------------------------------------------------------------------------------------------------- */

/* Nothing is read after this. */
static enum mf_err end(struct mf_link *l, enum mf_err code, const char *text)
{
    return mf_fault_set(&l->ended, code, "%s", text);
}

static enum mf_err end_strange(struct mf_link *l)
{
    char text[SHOWN * 4 + 8];
    mf_err_show(text, sizeof text, l->in, l->in_len < SHOWN ? l->in_len : SHOWN);
    return mf_fault_set(&l->ended, MF_EINVAL, "not Moonfleet's protocol; it begins with \"%s\"", text);
}

static enum mf_err hand_over(struct mf_link *l, struct mf_link_frame *frame)
{
    l->greeted = true;
    mf_hooks_message();
    enum mf_err e = l->received(l->arg, frame);
    if (e != MF_OK)
        mf_fault_set(&l->ended, e, "a %s message was refused: %s", mf_msg_name(frame->head.kind), mf_err_text(e));
    return e;
}

static enum mf_err hand_over_blob(struct mf_link *l, struct mf_msg_head head, struct mf_blob *blob)
{
    head.length = blob->len;
    head.flags = 0;
    struct mf_link_frame frame = {.head = head, .body = blob->data, .fd = -1, .blob = blob};
    enum mf_err e = hand_over(l, &frame);
    mf_blob_unref(frame.blob);
    return e;
}

/* Takes the descriptor that came along with this frame; -1 and the end when there is none. */
static int take_fd(struct mf_link *l)
{
    if (l->nfds == 0) {
        end(l, MF_EINVAL, "a message without its descriptor (are too many files open?)");
        return -1;
    }
    int fd = l->fds[0];
    l->fds[0] = l->fds[1];
    l->nfds--;
    return fd;
}

static enum mf_err receive_fd(struct mf_link *l, const struct mf_msg_head *head, const unsigned char *body)
{
    int fd = take_fd(l);
    if (fd < 0)
        return l->ended.code;
    struct mf_link_frame frame = {.head = *head, .body = body, .fd = fd};
    frame.head.flags = 0;
    enum mf_err e = hand_over(l, &frame);
    close(fd);
    return e;
}

static enum mf_err receive_beside(struct mf_link *l, const struct mf_msg_head *head, const unsigned char *body)
{
    int fd = -1;
    if (head->flags & MF_MSG_FD && (fd = take_fd(l)) < 0)
        return l->ended.code;
    uint64_t size = mf_msg_get64(body), number = mf_msg_get64(body + 8);
    if (number == MF_AREA_BOARD)
        return mf_area_take_board(&l->areas, size, fd, &l->ended);
    const struct mf_area_part prefix = {body + MF_MSG_BESIDE_BODY, (size_t)head->length - MF_MSG_BESIDE_BODY};
    struct mf_blob *blob = mf_area_take(&l->areas, number, size, &prefix, fd, &l->ended);
    return blob ? hand_over_blob(l, *head, blob) : l->ended.code;
}

/* A body that does not fit into the buffer: goes on with its own, which has room for all of it at once where that costs
 * nothing before the bytes are there. */
static enum mf_err begin_large(struct mf_link *l, const struct mf_msg_head *head, const unsigned char *body, size_t n)
{
    l->large_head = *head;
    l->in_large = true;
    l->large.len = 0;
    mf_buf_use(&l->large, l->pages, NULL);
    if (l->pages && head->length >= MF_PAGES_LEAST && head->length <= AT_ONCE)
        mf_buf_reserve(&l->large, (size_t)head->length); /* if not, it grows */
    return mf_buf_append(&l->large, body, n) ? MF_OK : end(l, MF_ENOMEM, "out of memory while receiving a message");
}

static enum mf_err finish_large(struct mf_link *l)
{
    l->in_large = false;
    struct mf_blob *blob = mf_buf_freeze(&l->large);
    if (!blob)
        return end(l, MF_ENOMEM, "out of memory while receiving a message");
    return hand_over_blob(l, l->large_head, blob);
}

/* Reads the head at bytes; checks that such a frame is allowed now. */
static enum mf_err read_head(struct mf_link *l, const unsigned char *bytes, struct mf_msg_head *head)
{
    enum mf_err e = mf_msg_unpack_head(bytes, head, &l->ended);
    if (e == MF_OK && !l->greeted && (head->length > l->limit || (head->flags && l->limit < MF_MSG_MAX_INLINE)))
        e = MF_EINVAL;
    return e == MF_OK || l->greeted ? e : end_strange(l);
}

/* Takes what frame there is out of the n bytes: how many of them it took, 0 if it is not whole. */
static enum mf_err take_frame(struct mf_link *l, const unsigned char *bytes, size_t n, size_t *taken)
{
    struct mf_msg_head head;
    *taken = 0;
    if (n < MF_MSG_HEAD)
        return MF_OK;
    enum mf_err e = read_head(l, bytes, &head);
    if (e != MF_OK)
        return e;
    const unsigned char *body = bytes + MF_MSG_HEAD;
    n -= MF_MSG_HEAD;
    if (head.length > IN_SIZE - MF_MSG_HEAD) {
        *taken = MF_MSG_HEAD + n;
        return begin_large(l, &head, body, n);
    }
    if (n < head.length)
        return MF_OK;
    *taken = MF_MSG_HEAD + (size_t)head.length;
    if (head.flags & MF_MSG_BESIDE)
        return receive_beside(l, &head, body);
    if (head.flags)
        return receive_fd(l, &head, body);
    return hand_over(l, &(struct mf_link_frame){.head = head, .body = body, .fd = -1});
}

static enum mf_err take_frames(struct mf_link *l)
{
    size_t at = 0, taken;
    do {
        enum mf_err e = take_frame(l, l->in + at, l->in_len - at, &taken);
        if (e != MF_OK)
            return e;
        at += taken;
    } while (taken > 0 && at < l->in_len);
    l->in_len -= at;
    if (l->in_len > 0 && at > 0)
        memmove(l->in, l->in + at, l->in_len);
    if (l->nfds > (l->in_len > 0))
        return end(l, MF_EINVAL, "a descriptor that belongs to no message");
    return MF_OK;
}

static enum mf_err end_of_stream(struct mf_link *l)
{
    const char *why = l->stream->table->last_error(l->stream);
    if (l->in_len == 0 && !l->in_large)
        return end(l, MF_ECLOSED, why);
    if (!l->greeted)
        return end_strange(l);
    return mf_fault_set(&l->ended, MF_ELOST, "truncated: the connection ended inside a message (%s)", why);
}

/* Keeps a descriptor that came along until its frame is whole. */
static enum mf_err keep_fd(struct mf_link *l, int fd)
{
    if (fd < 0)
        return MF_OK;
    if (l->nfds < 2 && !l->in_large) {
        l->fds[l->nfds++] = fd;
        return MF_OK;
    }
    close(fd);
    return end(l, MF_EINVAL, "a descriptor that belongs to no message");
}

/* One read of up to n bytes; *got as from the stream, *more: it makes sense to read again at once. */
static enum mf_err read_once(struct mf_link *l, void *bytes, size_t n, size_t *got, bool *more)
{
    int fd = -1;
    ssize_t r = l->stream->table->read(l->stream, bytes, n, &fd);
    if (r < 0)
        return end_of_stream(l);
    *got = (size_t)r;
    l->bytes.read += (size_t)r;
    *more = r > 0 && ((size_t)r == n || fd >= 0 || !l->stream->table->tells_again);
    return keep_fd(l, fd);
}

static enum mf_err read_small(struct mf_link *l, bool *more)
{
    size_t got = 0;
    enum mf_err e = read_once(l, l->in + l->in_len, IN_SIZE - l->in_len, &got, more);
    if (e != MF_OK || got == 0)
        return e;
    l->in_len += got;
    return take_frames(l);
}

static enum mf_err read_large(struct mf_link *l, bool *more)
{
    size_t left = (size_t)l->large_head.length - l->large.len, got = 0;
    size_t want = l->large.len > IN_SIZE ? l->large.len : IN_SIZE; /* doubles what has come */
    if (want > left)
        want = left;
    if (!mf_buf_reserve(&l->large, want))
        return end(l, MF_ENOMEM, "out of memory while receiving a message");
    enum mf_err e = read_once(l, l->large.data + l->large.len, want, &got, more);
    l->large.len += got;
    return e == MF_OK && got == left ? finish_large(l) : e;
}

enum mf_err mf_link_read(struct mf_link *l, struct mf_fault *fault)
{
    bool more = true;
    for (int i = 0; i < READS && more && l->ended.code == MF_OK; i++) {
        if (l->in_large)
            read_large(l, &more);
        else
            read_small(l, &more);
    }
    if (l->ended.code != MF_OK)
        return mf_fault_set(fault, l->ended.code, "%s", l->ended.text);
    if (l->stream->table->wants && !l->gone && mf_link_pending(l) > 0)
        mf_link_flush(l); /* reading may have made room that the descriptor says nothing of */
    return MF_OK;
}
