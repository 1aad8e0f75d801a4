/* One agent as its master sees it: its link, its process, the tasks it has, and its end. An agent has one lane for each of
 * its workers: a worker's record of the pool, for what runs there as far as the master knows.
 *
 * Everything belongs to the owner's lock; links and descriptors to whoever turns the owner's loop, which is under that
 * lock too. */
#ifndef MF_PEER_H
#define MF_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codes.h"
#include "host.h"
#include "launch_spawn.h"
#include "link.h"
#include "loop.h"
#include "pool.h"
#include "share.h"
#include "stream_remote.h"

#define MF_PEER_FLIGHTS  64  /* tasks sent to an agent and not answered, for each of its lanes */
#define MF_PEER_LINE     160 /* bytes of a line that it has written to its stderr */
#define MF_PEER_NAME     96

#define MF_PEER_READY    1  /* number of the first PING: a host that answers it has done what INIT asked for */
#define MF_PEER_PATIENCE 12 /* heartbeats: a node that hears nothing of its master for so many ends by itself */

struct mf_flight {
    uint64_t id;
    struct mf_future *future; /* a reference; NULL when nobody wants the result */
    struct mf_worker *lane;   /* where it runs as far as is known; NULL: it has not been started */
    struct mf_worker *pin;    /* the only lane where it may run; NULL: any */
    bool held;                /* it waits for that one, and those behind it may be started */
    bool recalled;            /* asked back, because another agent has nothing to do */
    size_t bytes;             /* of its arguments */
    bool setup;               /* no future's: what everywhere asked of workers that start later */
    uint64_t sent;            /* when, if a worker had nothing else to do; else 0 */
    uint64_t end;             /* where its frame ends among the bytes of the link: not started while less is written */
};

struct mf_peer {
    struct mf_pool *pool;
    struct mf_worker **lanes; /* at least one while it is alive */
    int nlanes, unjoined;
    char name[MF_PEER_NAME];         /* for messages: "worker processes/1", "host a" */
    struct mf_launch_child child;    /* its process, if it is on this machine */
    struct mf_stream_remote *remote; /* else the stream of the link; NULL: child is meant */
    struct mf_host *host;            /* of a cluster; else NULL */
    struct mf_loop_watch socket, death, errors;
    struct mf_link *link;
    struct mf_flight *flights; /* a ring of cap */
    unsigned first, n, cap;
    unsigned nheld; /* of n */
    size_t air;     /* bytes of the arguments of all n */
    bool greeted;
    bool alone;              /* a fork that has not finished a task yet: see agent.c */
    bool served;             /* it has sent a result */
    bool dying;              /* it was sent a signal that ends it, or has said BYE */
    bool behind;             /* what was sent ahead was asked back: it gets no more before it has done something */
    bool dismissed;          /* it was asked to end */
    bool modules;            /* its last task could look at modules (mf_future): those that follow can, as a rule */
    bool asked;              /* it was sent SIGTERM, because its task did not stop */
    bool reading;            /* its link is being read, which may let go of the lock: it must not be ended now */
    const char *doom;        /* why it shall be ended as soon as its link is not being read any more; or NULL */
    char bye[MF_PEER_LINE];  /* why it said it ends */
    char line[MF_PEER_LINE]; /* the last whole line of its stderr, and what came behind it */
    char part[MF_PEER_LINE];
    uint64_t trip;   /* nanoseconds that a task's way there and its result's way back take; 0: not known yet */
    uint64_t around; /* of a fork: mf_sys_surroundings as they were then */
    uint64_t kept;   /* a fork without work stays until then (backend_forks.c); 0: it has work, or is to leave */
    uint64_t born;   /* its number: another agent may come to have the same address */
    uint64_t heard;  /* when the last frame came */
    uint64_t looked; /* when it was last looked at whether it answers; 0: it has not been asked since it was idle */
    uint64_t come;   /* bytes that had come over the link then */
    struct mf_codes_known known; /* the code it has been sent */
    struct mf_share share;
};

/* The agent of a worker. */
static inline struct mf_peer *mf_peer_of(const struct mf_worker *w)
{
    return w->instance;
}

/* The i-th flight, from 0; i < peer->n. */
static inline struct mf_flight *mf_peer_flight(struct mf_peer *peer, unsigned i)
{
    return &peer->flights[(peer->first + i) % peer->cap];
}

/* How many flights are not held. */
static inline unsigned mf_peer_load(const struct mf_peer *peer)
{
    return peer->n - peer->nheld;
}

/* The agent whose first lane stands in slot i (from 0) of the pool: so each agent is met once in a loop over the slots.
 * NULL: there is none. */
static inline struct mf_peer *mf_peer_at(const struct mf_pool *pool, int i)
{
    struct mf_peer *peer = pool->workers[i] ? mf_peer_of(pool->workers[i]) : NULL;
    return peer && peer->nlanes > 0 && peer->lanes[0] == pool->workers[i] ? peer : NULL;
}

/* Makes an agent exist for that slot. On success the child's descriptors are the peer's. */
typedef enum mf_err mf_peer_launch(struct mf_pool *pool, int index, struct mf_launch_child *child,
                                   struct mf_fault *fault);

/* Starts an agent in the free slot index (from 1). */
enum mf_err mf_peer_start(struct mf_pool *pool, int index, mf_peer_launch *launch, struct mf_fault *fault);

/* In a forked child of the master's process: closes the child's copies of the peer's descriptors. */
void mf_peer_forget(struct mf_peer *peer);

/* The agent is there and speaks our language: sends it what it needs first. MF_ENOMEM with words. */
enum mf_err mf_peer_greet(struct mf_peer *peer, struct mf_fault *fault);

/* The same for a host's agent, whose stream is remote (taken over in any case). It gets a lane for each of its workers when
 * it has greeted. MF_ENOMEM and a fault; other troubles are told as an agent's end. */
enum mf_err mf_peer_attach(struct mf_pool *pool, struct mf_host *host, struct mf_stream_remote *remote,
                           struct mf_fault *fault);

/* For the backend's join: the lane is over; the last one takes the peer along. Lock not held. */
void mf_peer_leave_lane(struct mf_worker *lane);

/* The flight of that task that is not over, or NULL. */
struct mf_flight *mf_peer_find(struct mf_peer *peer, uint64_t id);

/* The oldest flights that are not held, as many as the agent has lanes, are what it works on now: their futures are
 * RUNNING. Where one runs is a guess, unless it is pinned. */
void mf_peer_start_ready(struct mf_peer *peer);

/* Could the flight have been started: is it among the oldest ones? */
bool mf_peer_can_run(struct mf_peer *peer, const struct mf_flight *flight);

/* The lane that f is pinned to; NULL: any. */
struct mf_worker *mf_peer_pin(const struct mf_peer *peer, const struct mf_future *f);

/* Adds a flight behind the others; there must be room for it. */
struct mf_flight *mf_peer_take_off(struct mf_peer *peer, const struct mf_flight *flight);

/* The flight is over; it need not be the first. Those behind it move up, so that no pointer to a flight stays valid. */
void mf_peer_land(struct mf_peer *peer, struct mf_flight *flight);

/* Queues the frames that the task of f needs; mf_peer_flush writes them. MF_ENOMEM, MF_ECLOSED. */
enum mf_err mf_peer_send(struct mf_peer *peer, const struct mf_future *f);
/* The same for a setup, which gets a flight of its own, for workers that start later. */
enum mf_err mf_peer_send_setup(struct mf_peer *peer, const struct mf_setup *setup);
void mf_peer_flush(struct mf_peer *peer);

/* Forgets code that nothing refers to any more, which may have held blocks, and tells all agents of the pool what is gone. */
void mf_peer_tidy_all(struct mf_pool *pool);

/* Gives the agent that many lanes, in free slots from index (from 1) on; the pool grows if need be. Lanes that it has
 * stay. MF_ENOMEM. */
enum mf_err mf_peer_widen(struct mf_peer *peer, int lanes, int index);

/* The agent is about to end by itself: gives it a time for that, after which it is abandoned. */
void mf_peer_limit_end(struct mf_peer *peer);

/* Ends the agent, whatever state it is in: kills what is left of its process, reads its last words, loses the tasks it was
 * running, gives back those that it cannot have started, frees the slots. why, for one that has not ended by itself ("does
 * not answer"); NULL: how the process ended is said. While its link is being read it is only killed, and the reader does
 * the rest. */
void mf_peer_end(struct mf_peer *peer, const char *why);

/* Reads what the agent has said, and ends it if it has ended. For one that may have died unseen. */
void mf_peer_look(struct mf_peer *peer);

/* Collects those processes of ended agents that had not ended then. */
void mf_peer_collect(struct mf_pool *pool);

/* Watches the agent's descriptors (peer_watch.c). MF_ENOMEM. */
enum mf_err mf_peer_watch(struct mf_peer *peer, struct mf_loop *loop);
void mf_peer_update_watch(struct mf_peer *peer); /* after the link was used */

/* For the link: a frame from the agent, which is arg (peer_frames.c). */
enum mf_err mf_peer_received(void *arg, struct mf_link_frame *frame);

#endif
