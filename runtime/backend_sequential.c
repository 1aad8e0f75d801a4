/* Design note: one worker, without a thread of its own. A future is queued like any other, and the owner runs the
 * queue on its own thread before its call returns (turn). So values still cross by copy, into a state that is not
 * the owner's, and a script behaves as it does under every other plan. */
#include "backend.h"

#include <stdio.h>

#include "owner.h"
#include "pool.h"
#include "sched.h"
#include "sys.h"
#include "worker.h"

/* Queued by the owner: it turns before it returns. Queued by a worker of another pool whose result was awaited: the
 * owner must wake to turn. */
static enum mf_err sequential_feed(struct mf_pool *pool, struct mf_fault *fault)
{
    (void)fault;
    mf_owner_nudge(pool->owner);
    return MF_OK;
}

static void forget_worker(struct mf_worker *w)
{
    mf_pool_drop_worker(w);
    mf_pool_free_worker(w);
}

static struct mf_worker *open_worker(struct mf_pool *pool)
{
    struct mf_fault fault = {0};
    struct mf_worker *w = mf_pool_add_worker(pool, 1);
    if (!w) {
        mf_sched_lose_all(pool, "out of memory while starting the worker");
        return NULL;
    }
    w->thread = pthread_self();
    pthread_mutex_unlock(&pool->owner->lock);
    bool opened = mf_worker_open(w, &fault);
    pthread_mutex_lock(&pool->owner->lock);
    if (!opened) {
        mf_worker_move(w, MF_WORKER_STARTING, MF_WORKER_DEAD);
        forget_worker(w);
        mf_sched_lose_all(pool, fault.text);
        return NULL;
    }
    mf_worker_move(w, MF_WORKER_STARTING, MF_WORKER_IDLE);
    return w;
}

static void sequential_leave(struct mf_pool *pool)
{
    struct mf_worker *w = pool->workers[0];
    if (!w || w->state != MF_WORKER_IDLE)
        return;
    mf_worker_move(w, MF_WORKER_IDLE, MF_WORKER_STOPPING);
    mf_pool_drop_worker(w);
    mf_list_insert(&pool->leavers, &w->link);
    atomic_store(&pool->owner->untidy, true);
}

static void sequential_turn(struct mf_pool *pool)
{
    struct mf_worker *w = pool->workers[0];
    if (!w && !(w = open_worker(pool)))
        return;
    if (w->state != MF_WORKER_IDLE)
        return; /* called from inside a task: that turn goes on with the queue */
    while (mf_sched_take(w))
        mf_worker_run(w);
    if (pool->retired && mf_list_empty(&pool->created))
        sequential_leave(pool);
}

static void sequential_interrupt(struct mf_worker *worker)
{
    mf_sys_interrupt_thread(worker->thread);
}

/* The owner's own thread cannot be given up: it goes on when the C call returns. */
static void sequential_abandon(struct mf_worker *worker)
{
    (void)worker;
}

static void sequential_join(struct mf_worker *worker)
{
    worker->pool->owner->runner->close(worker->instance);
    worker->state = MF_WORKER_DEAD;
}

const struct mf_backend mf_backend_sequential = {
    .name = "sequential",
    .asynchronous = false,
    .feed = sequential_feed,
    .turn = sequential_turn,
    .interrupt = sequential_interrupt,
    .abandon = sequential_abandon,
    .leave = sequential_leave,
    .join = sequential_join,
};
