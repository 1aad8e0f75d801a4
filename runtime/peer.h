/* One agent as its master sees it: its link, its process, the tasks it has, and its end.
 *
 * Everything belongs to the owner's lock; links and descriptors to whoever turns the owner's loop, which is under that
 * lock too. */
#ifndef MF_PEER_H
#define MF_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codes.h"
#include "launch_spawn.h"
#include "link.h"
#include "loop.h"
#include "pool.h"

#define MF_PEER_FLIGHTS 64  /* tasks sent to an agent and not answered */
#define MF_PEER_LINE    160 /* bytes of a line that it has written to its stderr */

struct mf_flight {
    uint64_t id;
    struct mf_future *future; /* a reference; NULL when nobody wants the result */
    bool recalled;            /* asked back, because another agent has nothing to do */
    bool setup;               /* no future's: what everywhere asked of workers that start later */
    bool gone;                /* given back; its place in the ring is passed over */
};

struct mf_peer {
    struct mf_worker *worker;
    struct mf_launch_child child;
    struct mf_loop_watch socket, death, errors;
    struct mf_link *link;
    struct mf_flight flights[MF_PEER_FLIGHTS]; /* a ring */
    unsigned first, n;
    bool greeted;
    bool served;             /* it has sent a result */
    bool dying;              /* it was sent a signal that ends it, or has said BYE */
    bool reading;            /* its link is being read, which may let go of the lock: it must not be ended now */
    const char *doom;        /* why it shall be ended as soon as its link is not being read any more; or NULL */
    char bye[MF_PEER_LINE];  /* why it said it ends */
    char line[MF_PEER_LINE]; /* the last whole line of its stderr, and what came behind it */
    char part[MF_PEER_LINE];
    uint64_t heard;  /* when the last frame came */
    uint64_t looked; /* when it was last looked at whether it answers; 0: it has not been asked since it was idle */
    struct mf_codes_known known; /* the code it has been sent */
};

/* The agent of a worker. */
static inline struct mf_peer *mf_peer_of(const struct mf_worker *w)
{
    return w->instance;
}

/* The i-th flight, from 0; i < peer->n. */
static inline struct mf_flight *mf_peer_flight(struct mf_peer *peer, unsigned i)
{
    return &peer->flights[(peer->first + i) % MF_PEER_FLIGHTS];
}

/* Makes an agent exist for that slot. On success the child's descriptors are the peer's. */
typedef enum mf_err mf_peer_launch(struct mf_pool *pool, int index, struct mf_launch_child *child,
                                   struct mf_fault *fault);

/* Starts an agent in the free slot index (from 1). */
enum mf_err mf_peer_start(struct mf_pool *pool, int index, mf_peer_launch *launch, struct mf_fault *fault);

/* The flight of that task that is not over, or NULL. */
struct mf_flight *mf_peer_find(struct mf_peer *peer, uint64_t id);

/* The first flight's future is what the agent works on now: RUNNING. The worker must be IDLE. */
void mf_peer_start_first(struct mf_peer *peer);

/* The flight is over; it need not be the first. */
void mf_peer_land(struct mf_peer *peer, struct mf_flight *flight);

/* Queues the frames that the task of f needs; mf_peer_flush writes them. MF_ENOMEM, MF_ECLOSED. */
enum mf_err mf_peer_send(struct mf_peer *peer, const struct mf_future *f);
/* The same for a setup, which gets a flight of its own. MF_ELIMIT when there are too many. */
enum mf_err mf_peer_send_setup(struct mf_peer *peer, const struct mf_setup *setup);
void mf_peer_flush(struct mf_peer *peer);

/* The agent is about to end by itself: gives it a time for that, after which it is abandoned. */
void mf_peer_limit_end(struct mf_peer *peer);

/* Ends the agent, whatever state it is in: kills what is left of its process, reads its last words, loses the task it was
 * running, gives back the others, frees the slot. why, for one that has not ended by itself ("does not answer"); NULL: how the
 * process ended is said. While its link is being read it is only killed, and the reader does the rest. */
void mf_peer_end(struct mf_peer *peer, const char *why);

/* Collects those processes of ended agents that had not ended then. */
void mf_peer_collect(struct mf_pool *pool);

/* For the link: a frame from the agent, which is arg (peer_frames.c). */
enum mf_err mf_peer_received(void *arg, const struct mf_link_frame *frame);

#endif
