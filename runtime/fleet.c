/* Design note: an agent gets tasks ahead of time, so that it never waits for a round trip; how many depends on how long
 * tasks have taken of late. Work that stands ahead for too long, because a long task holds it up, is asked back when
 * another agent has nothing to do: an agent gives back only what it has not started. */
#include "fleet.h"

#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "owner.h"
#include "peer.h"
#include "sched.h"
#include "sys.h"

#define AHEAD_NS   1000000 /* so much work may stand ahead, while tasks are shorter than that */
#define OVERDUE_NS 2000000 /* work that stands ahead for longer is given to an agent that has none */
#define IDLE_NS    100000  /* an agent that was not heard of for so long may have died unseen */

/* --- Sending ----------------------------------------------------------------------------------------------------- */

/* How many tasks an agent may have at once. One, while nothing is known of how long they take. */
static unsigned ahead(const struct mf_pool *pool)
{
    uint64_t n = pool->mean ? AHEAD_NS / pool->mean + 1 : 1;
    return n > MF_PEER_FLIGHTS ? MF_PEER_FLIGHTS : (unsigned)n;
}

static bool has_room(const struct mf_peer *a)
{
    return a && a->greeted && !a->dying && a->n < ahead(a->worker->pool);
}

/* It could not be sent. If the agent is gone, another one gets it; this one's end is noticed by reading. */
static void take_back(struct mf_peer *a, struct mf_future *f, enum mf_err e)
{
    a->n--;
    if (e == MF_ECLOSED) {
        a->dying = true;
        mf_sched_return(f);
        return;
    }
    char text[80];
    snprintf(text, sizeof text, "the task could not be sent: %s", mf_err_text(e));
    mf_sched_finish(f, MF_FUTURE_LOST, MF_FAILURE_LOST, NULL, text);
}

/* Sends that future to the agent. False: it could not be sent. */
static bool send_one(struct mf_peer *a, struct mf_future *f)
{
    struct mf_flight *flight = mf_peer_flight(a, a->n++);
    *flight = (struct mf_flight){.id = f->id, .future = f};
    enum mf_err e = mf_peer_send(a, f);
    if (e != MF_OK) {
        take_back(a, f, e);
        return false;
    }
    if (a->n == 1) {
        mf_peer_start_first(a);
        mf_owner_alarm(a->worker->pool->owner, mf_sys_now() + a->worker->pool->heartbeat);
    } else {
        mf_owner_alarm(a->worker->pool->owner, mf_sys_now() + OVERDUE_NS);
    }
    return true;
}

/* Sends one queued future to the agent, if there is one for it that can be sent. */
static void send_next(struct mf_peer *a)
{
    struct mf_future *f;
    while (has_room(a) && (f = mf_sched_send(a->worker)) && !send_one(a, f)) {
    }
}

/* While nobody turned the loop, an idle agent may have died; a task that is sent to it would be lost. */
static void look_after_idle(struct mf_pool *pool)
{
    uint64_t now = mf_sys_now();
    for (int i = 0; i < pool->size; i++) {
        struct mf_peer *a = pool->workers[i] ? mf_peer_of(pool->workers[i]) : NULL;
        if (!has_room(a) || a->n > 0 || now - a->heard < IDLE_NS)
            continue;
        a->heard = now;
        if (mf_launch_has_ended(a->child.pid))
            mf_peer_end(a, NULL);
    }
}

/* In turn, one each, so that a few tasks spread over all agents. */
void mf_fleet_send(struct mf_pool *pool)
{
    if (pool->nunburied)
        mf_peer_collect(pool);
    if (atomic_load(&pool->queue.pending))
        look_after_idle(pool);
    for (unsigned level = 0; level < ahead(pool) && atomic_load(&pool->queue.pending); level++)
        for (int i = 0; i < pool->size; i++) {
            struct mf_peer *a = pool->workers[i] ? mf_peer_of(pool->workers[i]) : NULL;
            if (has_room(a) && a->n <= level)
                send_next(a);
        }
    for (int i = 0; i < pool->size; i++)
        if (pool->workers[i] && mf_peer_of(pool->workers[i])->link)
            mf_peer_flush(mf_peer_of(pool->workers[i]));
}
/* --- The backend's table ------------------------------------------------------------------------------------------ */

void mf_fleet_interrupt(struct mf_worker *worker)
{
    struct mf_peer *a = mf_peer_of(worker);
    if (!a->link)
        return;
    if (a->n > 0) {
        mf_peer_flight(a, 0)->future = NULL;
        mf_link_queue(a->link, MF_MSG_CANCEL, mf_peer_flight(a, 0)->id, NULL, 0);
    }
    mf_peer_flush(a);
}

/* The future of a flight that is not the first. */
void mf_fleet_withdraw(struct mf_pool *pool, struct mf_future *f)
{
    for (int i = 0; i < pool->size; i++) {
        struct mf_peer *a = pool->workers[i] ? mf_peer_of(pool->workers[i]) : NULL;
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

/* The slot is free at once; what is left of the agent is buried when its process has ended. */
void mf_fleet_abandon(struct mf_worker *worker)
{
    struct mf_peer *a = mf_peer_of(worker);
    mf_log(MF_LOG_POOL, "worker %s does not stop: killed", worker->name);
    worker->deadline = MF_SYS_NEVER;
    mf_peer_end(a, a->greeted ? "did not stop" : "did not say hello in time");
}

void mf_fleet_leave(struct mf_pool *pool)
{
    mf_peer_collect(pool);
    for (int i = 0; i < pool->size; i++) {
        struct mf_peer *a = pool->workers[i] ? mf_peer_of(pool->workers[i]) : NULL;
        bool busy = a && (a->n > 0 || atomic_load(&pool->queue.pending) || !mf_list_empty(&pool->created));
        if (!a || a->dying || (busy && !pool->closing))
            continue;
        a->dying = true;
        mf_link_queue(a->link, MF_MSG_BYE, 0, NULL, 0);
        mf_peer_flush(a);
        mf_peer_limit_end(a);
    }
}

void mf_fleet_join(struct mf_worker *worker)
{
    struct mf_peer *a = mf_peer_of(worker);
    mf_codes_forget_all(&a->known);
    free(a);
    worker->instance = NULL;
}

static bool somebody_is_idle(const struct mf_pool *pool)
{
    for (int i = 0; i < pool->size; i++) {
        const struct mf_peer *a = pool->workers[i] ? mf_peer_of(pool->workers[i]) : NULL;
        if (!a || (a->greeted && !a->dying && a->n == 0))
            return true;
    }
    return false;
}

static void recall_from(struct mf_peer *a)
{
    for (unsigned i = 1; i < a->n; i++) {
        struct mf_flight *flight = mf_peer_flight(a, i);
        if (!flight->gone && !flight->recalled && flight->future)
            mf_link_queue(a->link, MF_MSG_RECALL, flight->id, NULL, 0);
        flight->recalled = true;
    }
    mf_peer_flush(a);
}

void mf_fleet_overdue(struct mf_pool *pool)
{
    uint64_t now = mf_sys_now();
    if (atomic_load(&pool->queue.pending) || !somebody_is_idle(pool))
        return;
    for (int i = 0; i < pool->size; i++) {
        struct mf_peer *a = pool->workers[i] ? mf_peer_of(pool->workers[i]) : NULL;
        if (a && a->link && a->n > 1 && now - a->worker->started > OVERDUE_NS)
            recall_from(a);
    }
}

/* A look at one agent that has work: asks it, or gives it up. Where the master itself stood still since the last look
 * (it was stopped, the machine slept), the agent gets its time again. */
static void look_at(struct mf_peer *a, uint64_t now)
{
    uint64_t every = a->worker->pool->heartbeat;
    if (a->looked && now - a->looked < every)
        return;
    if (!a->looked || now - a->looked > 2 * every)
        a->heard = now;
    a->looked = now;
    if (now - a->heard > MF_POOL_MISSES * every) {
        mf_peer_end(a, "does not answer");
        return;
    }
    mf_link_queue(a->link, MF_MSG_PING, 0, NULL, 0);
    mf_peer_flush(a);
}

uint64_t mf_fleet_beat(struct mf_pool *pool, uint64_t now)
{
    bool working = false;
    for (int i = 0; i < pool->size; i++) {
        struct mf_peer *a = pool->workers[i] ? mf_peer_of(pool->workers[i]) : NULL;
        if (!a || !a->link || !a->greeted)
            continue;
        if (a->n > 0) {
            working = true;
            look_at(a, now);
        } else {
            a->looked = 0;
        }
    }
    return working ? now + pool->heartbeat : MF_SYS_NEVER;
}
