/* Design note: an agent gets tasks ahead of time, so that it never waits for a round trip; how many depends on how long
 * tasks have taken of late, and on how far away it is. Work that stands ahead for too long, because a long task holds it
 * up, is asked back when another agent has nothing to do: an agent gives back only what it has not started. */
#include "fleet.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "owner.h"
#include "peer.h"
#include "sched.h"
#include "sys.h"

#define AHEAD_NS   1000000           /* so much work may stand ahead, while tasks are shorter than that */
#define OVERDUE_NS 2000000           /* work that stands ahead for longer is given to an agent that has none */
#define TERM_SHARE 4                 /* the last quarter of the grace time is SIGTERM's */
#define IDLE_NS    100000            /* an agent that was not heard of for so long may have died unseen */
#define BACKLOG    ((size_t)1 << 20) /* bytes that may wait to be written to an agent */
#define AIR        ((size_t)4 << 20) /* bytes of arguments ahead: more than a link holds, and both sides keep them */
#define COME       1024              /* bytes of a long message that must come between two looks */

/* --- Sending ----------------------------------------------------------------------------------------------------- */

/* How many tasks an agent may have at once for each lane: enough work for the time until the next one is there. One, while
 * nothing is known of how long tasks take. */
static unsigned ahead(const struct mf_peer *a)
{
    uint64_t n = a->pool->mean ? (AHEAD_NS + a->trip) / a->pool->mean + 1 : 1;
    return n > MF_PEER_FLIGHTS ? MF_PEER_FLIGHTS : (unsigned)n;
}

/* How many tasks it may work on and have ahead: one at least that travels while it works, however large they are. */
static unsigned room(const struct mf_peer *a)
{
    unsigned lanes = a->alone ? 1 : (unsigned)a->nlanes;
    unsigned n = a->alone || a->behind ? lanes : lanes * ahead(a);
    return a->air > AIR && n > lanes + 1 ? lanes + 1 : n;
}

/* A slow link is not fed more than it can carry. */
static bool has_room(const struct mf_peer *a)
{
    return a && a->greeted && !a->dying && mf_peer_load(a) < room(a) && a->n < a->cap &&
           mf_link_pending(a->link) <= BACKLOG;
}

/* Could f tell that the agent was forked before it was made? */
static bool is_too_old(const struct mf_peer *a, const struct mf_future *f)
{
    return a->kept && (f->modules || a->around != mf_sys_surroundings());
}

/* Is there a future pinned to the lane which it can run? */
static bool is_wanted(const struct mf_peer *a, const struct mf_worker *lane)
{
    return !mf_list_empty(&lane->pinned) && !is_too_old(a, MF_LIST_ENTRY(lane->pinned.next, struct mf_future, link));
}

/* A lane that a future is pinned to which may be sent, else NULL. Once one had to be held, a lane gets its next when it has
 * none: all that is sent for a busy worker would fill the room. */
static struct mf_worker *pinned_lane(const struct mf_peer *a)
{
    unsigned most = a->nheld ? 1 : ahead(a);
    for (int i = 0; a->pool->queue.pinned && i < a->nlanes; i++)
        if (a->lanes[i]->pins < most && is_wanted(a, a->lanes[i]))
            return a->lanes[i];
    return NULL;
}

/* It could not be sent. If the agent is gone, another one gets it; this one's end is noticed by reading. */
static void take_back(struct mf_peer *a, struct mf_flight *flight, enum mf_err e)
{
    struct mf_future *f = flight->future;
    mf_peer_land(a, flight);
    if (e == MF_ECLOSED) {
        a->dying = true;
        mf_sched_return(f);
        return;
    }
    char text[120];
    snprintf(text, sizeof text, "the task could not be sent: %s",
             e == MF_ELIMIT ? "it is too large, or has memory that only one machine can share" : mf_err_text(e));
    mf_sched_finish(f, MF_FUTURE_LOST, MF_FAILURE_LOST, NULL, text);
}

/* Sends that future to the agent. False: it could not be sent. */
static bool send_one(struct mf_peer *a, struct mf_future *f)
{
    size_t bytes = f->args ? f->args->len : 0;
    struct mf_flight *flight =
        mf_peer_take_off(a, &(struct mf_flight){.id = f->id, .future = f, .pin = mf_peer_pin(a, f), .bytes = bytes});
    enum mf_err e = mf_peer_send(a, f);
    if (e != MF_OK) {
        take_back(a, flight, e);
        return false;
    }
    a->kept = 0;
    a->modules = f->modules;
    flight->end = mf_link_bytes(a->link).written + mf_link_pending(a->link);
    mf_peer_start_ready(a);
    uint64_t now = mf_sys_now();
    flight->sent = flight->lane ? now : 0;
    mf_owner_alarm(a->pool->owner, now + (flight->lane ? a->pool->heartbeat : OVERDUE_NS));
    return true;
}

/* May that agent run f, which can run on any? Not where it was forked for others' memory, or is too old. */
static bool suits(const struct mf_peer *a, struct mf_future *f)
{
    uint64_t live = mf_future_live(f);
    return (!live || live == a->lanes[0]->live) && !is_too_old(a, f);
}

/* The next future that one of the agent's workers can run; or NULL. What a fork has been made for it need not take in
 * turn: it would have to leave for another one's sake, and nobody could be made in its place. */
static struct mf_future *next_for(struct mf_peer *a)
{
    struct mf_queue *queue = &a->pool->queue;
    const struct mf_worker *pinned = pinned_lane(a);
    if (pinned)
        return MF_LIST_ENTRY(pinned->pinned.next, struct mf_future, link);
    struct mf_future *first = mf_queue_first(queue);
    if (!first || suits(a, first))
        return first;
    return a->lanes[0]->live ? mf_queue_first_live(queue, a->lanes[0]->live) : NULL;
}

/* Sends one queued future to the agent, if there is one for it that can be sent. */
static bool send_next(struct mf_peer *a)
{
    struct mf_future *f;
    while (has_room(a) && (f = next_for(a)) != NULL) {
        mf_sched_send(f);
        if (send_one(a, f))
            return true;
    }
    return false;
}

/* While nobody turned the loop, an idle agent may have died; a task that is sent to it would be lost. */
static void look_after_idle(struct mf_pool *pool)
{
    uint64_t now = mf_sys_now();
    for (int i = 0; i < pool->size; i++) {
        struct mf_peer *a = mf_peer_at(pool, i);
        if (!has_room(a) || a->n > 0 || now - a->heard < IDLE_NS)
            continue;
        a->heard = now;
        if (a->remote)
            mf_peer_look(a);
        else if (mf_launch_has_ended(a->child.pid))
            mf_peer_end(a, NULL);
    }
}

/* One each, as far as the level reaches. */
static bool send_round(struct mf_pool *pool, unsigned level)
{
    bool sent = false;
    for (int i = 0; i < pool->size; i++) {
        struct mf_peer *a = mf_peer_at(pool, i);
        if (a && mf_peer_load(a) < level * (unsigned)a->nlanes)
            sent = send_next(a) || sent;
    }
    return sent;
}

/* How many rounds of one each there can be. */
static unsigned rounds(const struct mf_pool *pool)
{
    unsigned most = 0;
    for (int i = 0; i < pool->size; i++) {
        const struct mf_peer *a = mf_peer_at(pool, i);
        if (a && ahead(a) > most)
            most = ahead(a);
    }
    return most;
}

/* In turn, so that a few tasks spread over all agents. */
void mf_fleet_send(struct mf_pool *pool)
{
    if (pool->nunburied)
        mf_peer_collect(pool);
    if (atomic_load(&pool->queue.pending))
        look_after_idle(pool);
    unsigned most = atomic_load(&pool->queue.pending) ? rounds(pool) : 0;
    for (unsigned level = 1; level <= most && atomic_load(&pool->queue.pending); level++)
        while (send_round(pool, level)) {
        }
    for (int i = 0; i < pool->size; i++)
        if (mf_peer_at(pool, i) && mf_peer_at(pool, i)->link)
            mf_peer_flush(mf_peer_at(pool, i));
}

/* --- The backend's table ------------------------------------------------------------------------------------------ */

void mf_fleet_interrupt(struct mf_worker *worker)
{
    struct mf_peer *a = mf_peer_of(worker);
    if (!a->link)
        return;
    if (a->alone)
        mf_launch_interrupt(a->child.pid);
    for (unsigned i = 0; i < a->n; i++) {
        struct mf_flight *flight = mf_peer_flight(a, i);
        if (flight->lane != worker)
            continue;
        flight->future = NULL;
        mf_link_queue(a->link, MF_MSG_CANCEL, flight->id, NULL, 0);
    }
    if (!a->remote && worker->deadline != MF_SYS_NEVER)
        worker->deadline -= worker->pool->grace / TERM_SHARE; /* for SIGTERM, see abandon */
    mf_peer_flush(a);
}

/* The future of a flight that was not started. */
void mf_fleet_withdraw(struct mf_pool *pool, struct mf_future *f)
{
    for (int i = 0; i < pool->size; i++) {
        struct mf_peer *a = mf_peer_at(pool, i);
        for (unsigned k = 0; a && k < a->n; k++) {
            struct mf_flight *flight = mf_peer_flight(a, k);
            if (flight->future != f)
                continue;
            flight->future = NULL;
            mf_link_queue(a->link, MF_MSG_CANCEL, flight->id, NULL, 0);
            mf_peer_flush(a);
        }
    }
}

/* A process that did not stop by itself is asked by SIGTERM, in case a library of its own wants to tidy up. */
static bool ask_by_signal(struct mf_peer *a, struct mf_worker *worker)
{
    if (a->remote || a->asked || !a->greeted || a->dying)
        return false;
    a->asked = true;
    mf_launch_signal(a->child.pid, SIGTERM);
    worker->deadline = mf_sys_now() + worker->pool->grace / TERM_SHARE;
    mf_owner_alarm(worker->pool->owner, worker->deadline);
    return true;
}

/* The slot is free at once; what is left of the agent is buried when its process has ended. A node sees to its workers
 * itself: the lane is free when it says so. */
void mf_fleet_abandon(struct mf_worker *worker)
{
    struct mf_peer *a = mf_peer_of(worker);
    worker->deadline = MF_SYS_NEVER;
    if ((a->host && a->greeted && !a->dying) || (!worker->pool->closing && ask_by_signal(a, worker)))
        return;
    mf_log(MF_LOG_POOL, "%s does not stop: killed", a->name);
    mf_peer_end(a, a->greeted ? "did not stop" : "did not say hello in time");
}

void mf_fleet_dismiss(struct mf_worker *worker)
{
    struct mf_peer *a = mf_peer_of(worker);
    a->dying = a->dismissed = true;
    a->pool->awaited++;
    mf_link_queue(a->link, MF_MSG_BYE, 0, NULL, 0);
    mf_peer_flush(a);
    mf_peer_limit_end(a);
    mf_owner_alarm(a->pool->owner, mf_sys_now() + MF_SCHED_TICK); /* its end is to be seen though nobody waits for it */
}

void mf_fleet_forget(struct mf_owner *owner)
{
    for (struct mf_list *l = owner->pools.next; l != &owner->pools; l = l->next) {
        struct mf_pool *pool = MF_LIST_ENTRY(l, struct mf_pool, link);
        for (int i = 0; pool->backend->withdraw && i < pool->size; i++)
            if (mf_peer_at(pool, i))
                mf_peer_forget(mf_peer_at(pool, i));
    }
    mf_loop_forget(owner->loop);
}

void mf_fleet_leave(struct mf_pool *pool)
{
    mf_peer_collect(pool);
    for (int i = 0; i < pool->size; i++) {
        struct mf_peer *a = mf_peer_at(pool, i);
        bool busy = a && (a->n > 0 || atomic_load(&pool->queue.pending) || !mf_list_empty(&pool->created));
        if (!a || a->dying || (busy && !pool->closing))
            continue;
        mf_fleet_dismiss(a->lanes[0]);
    }
}

void mf_fleet_join(struct mf_worker *worker)
{
    mf_peer_leave_lane(worker);
}

void mf_fleet_tidy(struct mf_pool *pool)
{
    mf_peer_tidy_all(pool);
}

static bool somebody_is_idle(const struct mf_pool *pool)
{
    for (int i = 0; i < pool->size; i++) {
        const struct mf_peer *a = mf_peer_at(pool, i);
        if (!pool->workers[i] || (a && a->greeted && !a->dying && mf_peer_load(a) < (unsigned)a->nlanes))
            return true;
    }
    return false;
}

static void recall_from(struct mf_peer *a)
{
    for (unsigned i = 0; i < a->n; i++) {
        struct mf_flight *flight = mf_peer_flight(a, i);
        if (flight->lane || flight->held || flight->recalled || !flight->future)
            continue;
        mf_link_queue(a->link, MF_MSG_RECALL, flight->id, NULL, 0);
        flight->recalled = true;
    }
    a->behind = true; /* else it would get them again */
    mf_peer_flush(a);
}

/* Has it more than it can work on, and is what it works on not done in a moment? */
static bool is_behind(const struct mf_peer *a, uint64_t now)
{
    if (!a || !a->link || mf_peer_load(a) <= (unsigned)a->nlanes)
        return false;
    for (int i = 0; i < a->nlanes; i++)
        if (now - a->lanes[i]->started <= OVERDUE_NS + a->trip)
            return false;
    return true;
}

void mf_fleet_overdue(struct mf_pool *pool)
{
    uint64_t now = mf_sys_now();
    if (atomic_load(&pool->queue.pending) || !somebody_is_idle(pool))
        return;
    for (int i = 0; i < pool->size; i++) {
        struct mf_peer *a = mf_peer_at(pool, i);
        if (is_behind(a, now))
            recall_from(a);
    }
}

/* Has anything been heard of it since the last look, or is that not its fault? The master itself may have stood still (it
 * was stopped, the machine slept), or may not have wanted to read; and a long message may be coming. */
static bool is_heard(struct mf_peer *a, uint64_t now)
{
    const struct mf_owner *owner = a->pool->owner;
    uint64_t come = mf_link_bytes(a->link).read - a->come;
    a->come += come;
    return !a->looked || now - a->looked > 2 * a->pool->heartbeat || come >= COME ||
           (owner->hooks && owner->hooks->full(owner));
}

/* A look at one agent that has work: asks it, or gives it up. */
static void look_at(struct mf_peer *a, uint64_t now)
{
    uint64_t every = a->pool->heartbeat;
    if (a->looked && now - a->looked < every)
        return;
    if (is_heard(a, now))
        a->heard = now;
    a->looked = now;
    if (a->alone && !mf_launch_is_stopped(a->child.pid))
        a->heard = now;
    if (now > a->heard + MF_POOL_MISSES * every)
        mf_peer_look(a); /* there may be an answer that nobody has read */
    if (!a->link)
        return;
    if (now > a->heard + MF_POOL_MISSES * every) {
        mf_peer_end(a, "does not answer");
        return;
    }
    if (a->alone)
        return;
    mf_link_queue(a->link, MF_MSG_PING, 0, NULL, 0);
    mf_peer_flush(a);
}

uint64_t mf_fleet_beat(struct mf_pool *pool, uint64_t now)
{
    bool working = false;
    for (int i = 0; i < pool->size; i++) {
        struct mf_peer *a = mf_peer_at(pool, i);
        if (!a || !a->link || !a->greeted)
            continue;
        if (a->n > 0 || a->host) {
            working = true;
            look_at(a, now);
        } else {
            a->looked = 0;
        }
    }
    return working ? now + pool->heartbeat : MF_SYS_NEVER;
}
