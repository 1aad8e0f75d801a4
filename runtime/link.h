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

/* A frame that has arrived. head.length is the body's, wherever it travelled; head.flags is 0. The body is the link's and
 * valid during the call; it has no particular alignment. */
struct mf_link_frame {
    struct mf_msg_head head;
    const unsigned char *body;
    int fd; /* a BLOCK's descriptor, the link's: duplicate it to keep it; or -1 */

    /* For large bodies, else NULL: owns body. A handler that wants to keep it takes a reference of its own, or the
     * link's by setting this to NULL. It may outlive the link. While somebody holds it, the sender cannot fill that
     * memory again. */
    struct mf_blob *blob;
};

struct mf_link;

/* Takes the stream over (on success). received is called for every whole frame in order by mf_link_read; it may send,
 * but must neither free nor read the link; returning other than MF_OK makes mf_link_read fail with it. NULL and a fault
 * when memory is out. */
struct mf_link *mf_link_new(struct mf_stream_end *stream,
                            enum mf_err (*received)(void *arg, struct mf_link_frame *frame), void *arg,
                            struct mf_fault *fault);
void mf_link_free(struct mf_link *link); /* closes the stream; NULL allowed */

/* Where large bodies lie from now on: those that come, and what waits to be written, in kept pages; those that are handed
 * over, where the stream passes descriptors, in areas. NULL: without that. Call before anything is sent or read. Both must
 * outlive the link. */
void mf_link_use(struct mf_link *link, struct mf_pages *pages, struct mf_areas *areas);

int mf_link_fd(const struct mf_link *link);

/* What its descriptor is to be watched for now (enum mf_loop_event): to be asked after every send, flush and read. On
 * MF_LOOP_WRITE the link wants mf_link_flush, on MF_LOOP_READ mf_link_read. */
unsigned mf_link_wants(const struct mf_link *link);

/* Queues a frame whose body is the n parts one behind the other (copied, or for large ones put into a memfd at once) and
 * writes what can be written now. MF_OK, MF_ENOMEM (nothing was queued), MF_ECLOSED (the peer is gone; what waited is
 * dropped, but what it sent before can still be read), MF_ELIMIT (longer than the wire allows; nothing was queued). */
enum mf_err mf_link_send(struct mf_link *link, enum mf_msg_kind kind, uint64_t id, const struct mf_msg_part *parts,
                         int n);

/* The same, but nothing is written before the next mf_link_flush, so that several frames leave in one write. */
enum mf_err mf_link_queue(struct mf_link *link, enum mf_msg_kind kind, uint64_t id, const struct mf_msg_part *parts,
                          int n);

/* The same for a body that is a head, of a multiple of 16 bytes and at most MF_AREA_PREFIX of them, and then what the
 * blob holds; which is not copied if it lies in one of the link's areas and is not lent already. blob: NULL allowed. */
enum mf_err mf_link_queue_blob(struct mf_link *link, enum mf_msg_kind kind, uint64_t id, const struct mf_msg_part *head,
                               struct mf_blob *blob);

/* Queues a frame of one part along with a descriptor (the caller's still; MF_MSG_FD_BODY bytes at most). MF_ELIMIT: it cannot
 * be passed, because the stream does not, or too many descriptors wait: nothing was queued. */
enum mf_err mf_link_queue_fd(struct mf_link *link, enum mf_msg_kind kind, uint64_t id, const struct mf_msg_part *part,
                             int fd);
bool mf_link_passes_fds(const struct mf_link *link);

/* Writes what can be written now. MF_OK (mf_link_pending tells whether all went), MF_ECLOSED. */
enum mf_err mf_link_flush(struct mf_link *link);
size_t mf_link_pending(const struct mf_link *link); /* bytes that wait to be written */

/* Bytes that the stream has given and taken so far. A frame that was just queued ends at written + mf_link_pending: while
 * less is written, the peer cannot know it. */
struct mf_link_bytes {
    uint64_t read, written;
};
struct mf_link_bytes mf_link_bytes(const struct mf_link *link);

/* Reads what is there, up to about 1 MB, and calls received. What it returns, with words in the fault unless MF_OK:
 *   MF_OK       wait until the descriptor is readable, which it may be at once (to empty the link of a peer that has
 *               ended, call it until it returns something else)
 *   MF_ECLOSED  the end, between frames
 *   MF_ELOST    the end inside a frame ("truncated")
 *   MF_EINVAL   not our protocol, or a broken frame
 *   MF_ENOMEM, or what received returned
 * After anything but MF_OK the link has ended and says the same again. */
enum mf_err mf_link_read(struct mf_link *link, struct mf_fault *fault);

/* The peer is known to speak our language, before it has said anything. */
void mf_link_trust(struct mf_link *link);

/* Until the first frame was received, no frame may be longer than limit (MF_MSG_MAX_HELLO); after that anything. */
void mf_link_limit(struct mf_link *link, size_t limit);

#endif
