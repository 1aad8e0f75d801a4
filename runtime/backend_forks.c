/* Design note: a worker is a fork of the owner's process, made when a task needs one and gone when nothing is queued, so
 * that a task sees the memory of its owner as it is, however large, and copies nothing. What is queued while workers
 * are busy goes to them when they are done, as long as it does not refer to the owner's memory (mf_future_live): such
 * a task gets a worker that was forked for it, while its owner waits for just that.
 *
 * A fork whose tasks are short stays for about as long as another one would take to be made: the next short task
 * need not wait for that, unless it could tell, since it refers to modules, which the owner may have changed since, or
 * the folder or environment is another one now.
 *
 * Only the owner's own thread forks (turn): the child has that thread alone, and goes on with the owner's interpreter.
 * Other threads only send to workers that exist, and nudge the owner. */
#include "backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent.h"
#include "fleet.h"
#include "launch_fork.h"
#include "owner.h"
#include "peer.h"
#include "pool.h"
#include "sched.h"
#include "sys.h"

#define FIRST_ANSWER_NS                                                                                                \
    500000 /* a short task's result is there by then; asleep, its owner would be slow to hear of it */

#define KEPT_NS 1000000 /* a fork without work stays for so long, if tasks take less than that */

/* --- In the child ------------------------------------------------------------------------------------------------ */

struct birth {
    struct mf_pool *pool;
    char name[64];
};

static void work(void *arg, int socket)
{
    const struct birth *b = arg;
    struct mf_owner *owner = b->pool->owner;
    struct mf_worker_info info = {.name = b->name, .init = b->pool->init, .process = true, .host = owner->runner->host};
    struct mf_agent_options options = {.runner = owner->runner, .name = b->name};
    struct mf_fault fault = {0};
    mf_fleet_forget(owner);
    options.instance = owner->runner->adopt(owner->context, &info, &fault);
    if (options.instance)
        _exit(mf_agent_serve(socket, &options));
    dprintf(STDERR_FILENO, "%s\n", fault.text);
    _exit(EXIT_FAILURE);
}

/* --- In the owner ------------------------------------------------------------------------------------------------ */

/* What streams hold would otherwise be in the child, too, and be written twice. */
static enum mf_err launch(struct mf_pool *pool, int index, struct mf_launch_child *child, struct mf_fault *fault)
{
    struct birth b = {.pool = pool};
    snprintf(b.name, sizeof b.name, "%s/%d", pool->backend->name, index);
    fflush(NULL);
    return mf_launch_fork(work, &b, child, fault);
}

static enum mf_err start(struct mf_pool *pool, int slot, uint64_t live, bool provided, struct mf_fault *fault)
{
    uint64_t around = mf_sys_surroundings();
    enum mf_err e = mf_peer_start(pool, slot, launch, fault);
    struct mf_worker *w = e == MF_OK ? pool->workers[slot - 1] : NULL;
    if (w) {
        w->live = live;
        w->provided = provided;
        mf_peer_of(w)->around = around;
    }
    pool->owner->expected = mf_sys_now() + FIRST_ANSWER_NS;
    return e;
}

/* Forks for any task that run what everywhere asked of new workers, and have been given nothing else yet. */
static size_t count_coming(const struct mf_pool *pool)
{
    size_t n = 0;
    for (int i = 0; i < pool->size; i++) {
        struct mf_peer *a = mf_peer_at(pool, i);
        n += a && !a->dying && a->lanes[0]->live == 0 && a->n > 0 && mf_peer_flight(a, a->n - 1)->setup;
    }
    return n;
}

/* The next task to find a worker for; NULL when there is none, or it has to wait for the worker that was made for it. */
static struct mf_future *next_to_serve(struct mf_pool *pool)
{
    struct mf_future *f = mf_queue_first(&pool->queue);
    uint64_t live = f ? mf_future_live(f) : 0;
    if (!live)
        return f && count_coming(pool) < atomic_load(&pool->queue.pending) - pool->queue.pinned ? f : NULL;
    return pool->fresh != live && mf_pool_has_live(pool, live) ? NULL : f;
}

static bool is_idle(const struct mf_peer *a)
{
    return a->link && a->greeted && !a->dying && a->n == 0;
}

/* One that does not go (it was stopped) must not keep its place. */
static void send_away(struct mf_worker *w)
{
    mf_fleet_dismiss(w);
    w->interrupted = true;
    w->deadline = mf_sys_now() + w->pool->grace;
    mf_owner_alarm(w->pool->owner, w->deadline);
}

/* Is a worker about to make place? */
static bool leaves(const struct mf_pool *pool)
{
    for (int i = 0; i < pool->size; i++)
        if (pool->workers[i] && mf_peer_of(pool->workers[i])->dismissed)
            return true;
    return false;
}

/* How many workers of a pool have been forked for that number. */
static int count_live(const struct mf_pool *pool, uint64_t live)
{
    int n = 0;
    for (int i = 0; i < pool->size; i++)
        n += pool->workers[i] && pool->workers[i]->live == live;
    return n;
}

/* An idle worker that is missed least: best one without anything in particular, or one that is not the only one of its
 * kind; else the youngest kind's. The only one of a map at work goes last, and not while somebody else works and will be
 * idle: what the map has captured may be something else by now, and the next one would have that. */
static struct mf_worker *most_idle(const struct mf_pool *pool)
{
    struct mf_worker *best = NULL;
    bool all_idle = true;
    for (int i = 0; i < pool->size; i++) {
        struct mf_worker *w = pool->workers[i];
        bool idle = w && is_idle(mf_peer_of(w));
        all_idle = all_idle && (idle || !w);
        if (!idle)
            continue;
        if (w->live == 0 || count_live(pool, w->live) > 1)
            return w;
        if (!best || (w->provided == best->provided ? w->live > best->live : best->provided))
            best = w;
    }
    return best && best->provided && !all_idle ? NULL : best;
}

/* Does it stay for a moment, though it has no work? Not when what is queued is not for it. */
static bool stays(struct mf_worker *w)
{
    struct mf_peer *a = mf_peer_of(w);
    uint64_t now = mf_sys_now();
    if (atomic_load(&w->pool->queue.pending) > 0)
        return a->kept == 0;
    if (w->live || a->modules || w->pool->mean >= KEPT_NS || w->pool->closing || w->pool->retired)
        return false;
    if (a->kept == 0) {
        a->kept = now + KEPT_NS;
        mf_owner_alarm(w->pool->owner, a->kept);
    }
    return now < a->kept;
}

/* Sends away who has nothing to do: everybody when nothing is queued and no map is at work, else one in whose place a
 * worker for the next task can be forked. */
static void dismiss(struct mf_pool *pool)
{
    struct mf_worker *w;
    if (pool->lasting)
        return;
    if (next_to_serve(pool) && !mf_pool_free_slot(pool) && !leaves(pool) && (w = most_idle(pool)) != NULL)
        send_away(w);
    for (int i = 0; i < pool->size && !pool->held; i++)
        if (pool->workers[i] && is_idle(mf_peer_of(pool->workers[i])) && !stays(pool->workers[i]))
            send_away(pool->workers[i]);
}

static enum mf_err forks_feed(struct mf_pool *pool, struct mf_fault *fault)
{
    (void)fault;
    mf_fleet_send(pool);
    dismiss(pool);
    if (atomic_load(&pool->queue.pending) || pool->wanting)
        mf_owner_nudge(pool->owner);
    return MF_OK;
}

static enum mf_err fork_what_is_missing(struct mf_pool *pool, struct mf_fault *fault)
{
    enum mf_err e = MF_OK;
    struct mf_future *f;
    int slot;
    while (e == MF_OK && !mf_list_empty(&pool->queue.homeless)) {
        f = MF_LIST_ENTRY(pool->queue.homeless.next, struct mf_future, link);
        e = start(pool, f->extra->worker, 0, false, fault);
    }
    mf_fleet_send(pool);
    while (e == MF_OK && (f = next_to_serve(pool)) != NULL && (slot = mf_pool_free_slot(pool)) != 0) {
        e = start(pool, slot, mf_future_live(f), false, fault);
        mf_fleet_send(pool);
    }
    return e;
}

static enum mf_err forks_provide(struct mf_pool *pool, uint64_t live, int n, struct mf_fault *fault)
{
    enum mf_err e = MF_OK;
    int slot, have = count_live(pool, live);
    for (; e == MF_OK && have < n && (slot = mf_pool_free_slot(pool)) != 0; have++)
        e = start(pool, slot, live, true, fault);
    struct mf_worker *idle = have == 0 && !leaves(pool) ? most_idle(pool) : NULL;
    if (idle)
        send_away(idle);
    return e;
}

/* Fewer workers than wanted still do the work, one after the other; where nothing runs, nothing will change. */
static void forks_turn(struct mf_pool *pool)
{
    struct mf_fault fault;
    if (fork_what_is_missing(pool, &fault) != MF_OK && pool->running + pool->sent == 0)
        mf_sched_lose_all(pool, fault.text);
    dismiss(pool);
}

/* Those that have stayed for long enough leave. */
static uint64_t forks_beat(struct mf_pool *pool, uint64_t now)
{
    dismiss(pool);
    uint64_t next = mf_fleet_beat(pool, now);
    for (int i = 0; i < pool->size; i++) {
        const struct mf_peer *a = mf_peer_at(pool, i);
        if (a && a->kept > now && !a->dying && a->kept < next)
            next = a->kept;
    }
    return next;
}

const struct mf_backend mf_backend_forks = {
    .name = "forks",
    .asynchronous = true,
    .maps = true,
    .inherits = true,
    .feed = forks_feed,
    .provide = forks_provide,
    .turn = forks_turn,
    .overdue = mf_fleet_overdue,
    .beat = forks_beat,
    .tidy = mf_fleet_tidy,
    .withdraw = mf_fleet_withdraw,
    .interrupt = mf_fleet_interrupt,
    .abandon = mf_fleet_abandon,
    .leave = mf_fleet_leave,
    .join = mf_fleet_join,
};
