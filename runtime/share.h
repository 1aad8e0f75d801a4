/* Shares: what one end of a link knows of the blocks that messages refer to (block.h). A block crosses a link once, as
 * long as it lives and stays what it is: by its descriptor where both ends are on one machine, else with its bytes. The
 * messages that refer to it name it by a number of the sender's. Wire messages BLOCK, DROP and HOLDS, drawn in msg.h.
 *
 * Belongs to whoever the link belongs to. */
#ifndef MF_SHARE_H
#define MF_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "block.h"
#include "link.h"

struct mf_share_sent; /* a block that the other end has from here */
struct mf_share_got;  /* and one that this end has from there */

/* What the parts of one message hold: a task's arguments and its dependencies, or a single part. */
struct mf_share_lists {
    size_t n;
    struct mf_holds **lists; /* n of them, each NULL or its holder's */
};

#define MF_SHARE_LATE 8 /* blocks that were dropped and are let go of when there is time */

/* All zero bytes is a valid beginning. */
struct mf_share {
    struct mf_share_sent *sent;
    size_t nsent, sent_cap;
    uint64_t last; /* number */
    struct mf_share_got *got;
    size_t ngot, got_cap;
    uint64_t next_id; /* of the message that next is about */
    struct mf_share_lists next;
    bool lazy; /* its owner takes the late ones; otherwise there are none */
    struct mf_block *late[MF_SHARE_LATE];
    size_t nlate, late_bytes;
};

void mf_share_release(struct mf_share *s);

/* Queues what must come right before a message, of that id, whose n parts hold these (each NULL if nothing): the
 * blocks that the other end has not got, and their numbers. Nothing when all are NULL. MF_ENOMEM, MF_ECLOSED,
 * MF_ELIMIT: the message cannot be sent. */
enum mf_err mf_share_queue(struct mf_share *s, struct mf_link *link, uint64_t id, const struct mf_holds *const *parts,
                           size_t n);

/* Queues word of blocks that are gone, or have other bytes now. True: there were some. */
bool mf_share_tidy(struct mf_share *s, struct mf_link *link);

/* A frame of one of the three kinds has come. trusted: the other end may pass any file's descriptor; otherwise only memory
 * that cannot change. MF_EINVAL: it makes no sense. */
enum mf_err mf_share_received(struct mf_share *s, const struct mf_link_frame *frame, bool trusted);

/* To let go of a large block takes the system a while, so it is not done while its task may wait behind: takes out what was
 * dropped, for the caller to unref without a lock when there is nothing else to do. Returns how many. */
size_t mf_share_take_late(struct mf_share *s, struct mf_block *blocks[MF_SHARE_LATE]);

/* What the message with that id, which has come right now, holds; nothing if nothing was said. The caller's from now on. */
struct mf_share_lists mf_share_take(struct mf_share *s, uint64_t id);

/* Takes the i-th list out; NULL if there is none. */
struct mf_holds *mf_share_list(struct mf_share_lists *lists, size_t i);
void mf_share_lists_release(struct mf_share_lists *lists); /* what is left of it */

#endif
