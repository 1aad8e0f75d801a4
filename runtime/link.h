/* A link: frames over a stream. Framing, queues, partial reads and writes, and bodies beside the stream (memfd) stand
 * here and nowhere else. Belongs to whoever turns the loop that watches the stream (its lock); nothing blocks. */
#ifndef MF_LINK_H
#define MF_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "err.h"
#include "msg.h"
#include "stream.h"

/* A frame that has arrived. The body is the link's and valid during the call, unless take is used. */
struct mf_link_frame {
    struct mf_msg_head head;
    const unsigned char *body;
    struct mf_blob *blob; /* for large bodies: owns body; a handler that wants to keep it takes a reference */
};

struct mf_link;

/* Takes the stream over. received is called for every whole frame in order by mf_link_read; it may send, but must not
 * free the link; returning other than MF_OK makes mf_link_read fail with it. NULL and a fault when memory is out. */
struct mf_link *mf_link_new(struct mf_stream_end *stream,
                            enum mf_err (*received)(void *arg, const struct mf_link_frame *frame), void *arg,
                            struct mf_fault *fault);
void mf_link_free(struct mf_link *link); /* closes the stream; NULL allowed */

int mf_link_fd(const struct mf_link *link);

/* Queues a frame whose body is the n parts one behind the other (copied, or for large ones put into a memfd at once) and
 * writes what can be written now. MF_OK, MF_ENOMEM (nothing was queued), MF_ECLOSED (the peer is gone). */
enum mf_err mf_link_send(struct mf_link *link, enum mf_msg_kind kind, uint64_t id, const struct mf_msg_part *parts,
                         int n);

/* The same, but nothing is written before the next mf_link_flush, so that several frames leave in one write. */
enum mf_err mf_link_queue(struct mf_link *link, enum mf_msg_kind kind, uint64_t id, const struct mf_msg_part *parts,
                          int n);

/* Writes what can be written now. MF_OK (mf_link_pending tells whether all went), MF_ECLOSED. */
enum mf_err mf_link_flush(struct mf_link *link);
size_t mf_link_pending(const struct mf_link *link); /* bytes that wait to be written */

/* Reads what is there and calls received. MF_OK: nothing more for now. MF_ECLOSED: the end, between frames. MF_ELOST:
 * the end inside a frame ("truncated"). MF_EINVAL: not our protocol, or a broken frame. The fault has words. */
enum mf_err mf_link_read(struct mf_link *link, struct mf_fault *fault);

/* Until the first frame was received, no frame may be longer than limit (MF_MSG_MAX_HELLO); after that anything. */
void mf_link_limit(struct mf_link *link, size_t limit);

#endif
