/* Design note: what the sender does for a body beside the stream. In the stream goes a claim: how large the body is and
 * in which area it lies; in front of the first claim goes one that shows the board, which the other link keeps for
 * itself (area.h). Where any of that is impossible, the body goes in the stream, and nobody need know. */
#include <stdlib.h>

#include "hooks.h"
#include "link_inner.h"

/* Queues what stands in the stream for a body beside it; room is there, for the note too. */
static void queue_claim(struct mf_link *l, struct mf_msg_head head, uint64_t size, unsigned number,
                        const struct mf_msg_part *prefix, int fd)
{
    unsigned char claim[MF_MSG_BESIDE_BODY];
    const struct mf_msg_part parts[] = {{claim, sizeof claim}, *prefix};
    mf_msg_put64(claim, size);
    mf_msg_put64(claim + 8, number);
    head.length = sizeof claim + prefix->n;
    head.flags = MF_MSG_BESIDE;
    if (fd >= 0) {
        head.flags |= MF_MSG_FD;
        l->notes[l->nnotes++] = (struct mf_link_note){l->out.len, fd};
    }
    mf_link_append(l, &head, parts, 2);
}

/* Can bodies go beside the stream now? Sees that the board is shown, that there is room in out, and for a note. */
static bool opens_beside(struct mf_link *l, const struct mf_msg_head *head)
{
    int fd;
    if (!l->areas.areas || l->nnotes > MF_LINK_NOTES - 2 ||
        !mf_buf_reserve(&l->out, 2 * (MF_MSG_HEAD + MF_MSG_BESIDE_BODY + MF_AREA_PREFIX)))
        return false;
    if (mf_area_show_board(&l->areas, &fd))
        return true;
    if (fd < 0)
        return false;
    queue_claim(l, *head, mf_area_board_bytes(), MF_AREA_BOARD, &(struct mf_msg_part){NULL, 0}, fd);
    return true;
}

/* Can those bytes, at a body's beginning, stand in the stream? */
static bool is_prefix(const struct mf_msg_part *part)
{
    return part->n <= MF_AREA_PREFIX && part->n % 16 == 0;
}

/* Copies the bytes into an area: its number, or -1. Code is kept by the agent, for as long as it may be called. */
static int put_beside(struct mf_link *l, unsigned kind, const struct mf_area_part *bytes, int n, size_t total, int *fd)
{
    if (kind != MF_MSG_CODE)
        return mf_area_put(&l->areas, bytes, n, total, fd);
    *fd = mf_area_give(bytes, n, total);
    return *fd >= 0 ? MF_AREA_ONCE : -1;
}

bool mf_link_queue_beside(struct mf_link *l, const struct mf_msg_head *head, const struct mf_msg_part *parts, int n)
{
    struct mf_area_part few[MF_LINK_PIECES], *bytes = n > MF_LINK_PIECES ? malloc((size_t)n * sizeof *bytes) : few;
    struct mf_msg_part prefix = is_prefix(parts) ? parts[0] : (struct mf_msg_part){NULL, 0};
    size_t size = (size_t)head->length - prefix.n;
    int fd, number = -1;
    for (int i = 0; bytes && i < n; i++)
        bytes[i] = (struct mf_area_part){parts[i].bytes, i == 0 && prefix.n > 0 ? 0 : parts[i].n};
    if (bytes && opens_beside(l, head))
        number = put_beside(l, head->kind, bytes, n, size, &fd);
    if (number >= 0)
        queue_claim(l, *head, size, (unsigned)number, &prefix, fd);
    if (bytes != few)
        free(bytes);
    return number >= 0;
}

enum mf_err mf_link_queue_blob(struct mf_link *l, enum mf_msg_kind kind, uint64_t id, const struct mf_msg_part *head,
                               struct mf_blob *blob)
{
    const struct mf_msg_part parts[] = {*head, {blob ? blob->data : NULL, blob ? blob->len : 0}};
    const struct mf_msg_head frame = {.kind = (uint8_t)kind, .id = id};
    int fd;
    if (!l->gone && blob && blob->len > MF_MSG_INLINE && (blob->flags & MF_BLOB_LENT) && opens_beside(l, &frame)) {
        int number = mf_area_lend(&l->areas, blob, &fd);
        if (number >= 0) {
            mf_hooks_message();
            queue_claim(l, frame, blob->len, (unsigned)number, head, fd);
            return MF_OK;
        }
    }
    return mf_link_queue(l, kind, id, parts, 2);
}
