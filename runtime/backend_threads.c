/* Design note: one thread a worker, started when a task finds no idle one. An idle worker spins for a moment before it
 * sleeps, since waking a thread costs far more than a short task; at most SPINNERS of a pool spin, so that spinning
 * never takes a core from work. Sleepers stand in a stack, so the one whose caches are warmest wakes first.
 *
 * The invariant that keeps wake-ups exact: every queued future is covered by a worker that is spinning, woken or
 * starting and will look at the queue, or all workers are busy and will look when they are done.
 *
 * One exception: while tasks are known to be short and another worker is busy with one, a few may queue behind it, since
 * it will have done them before a sleeper is awake. The alarm looks after them if that was a wrong guess.
 *
 * A thread that does not stop within the grace time (one long C call) cannot be killed without breaking the process.
 * It is detached and forgotten; its slot is free again at once, and when the call returns after all, it ends. */
#include "backend.h"

#include <stdio.h>
#include <string.h>

#include "log.h"
#include "owner.h"
#include "pool.h"
#include "sched.h"
#include "sys.h"
#include "worker.h"

#define STACK_BYTES         ((size_t)2 << 20) /* Lua's deepest permitted C recursion needs 512 KiB; only touched pages count */
#define SPIN_NS             60000
#define SPIN_TURNS_PER_LOOK 16u
#define SPINNERS            1
#define YIELD_EVERY         56u /* pauses of an idle worker: the owner makes tasks meanwhile, and yielding disturbs it */
#define SHORT_NS            10000   /* tasks that take less than this are done before a sleeper is awake */
#define SHORT_PENDING       32      /* so many of them are worth waking one */
#define OVERDUE_NS          1000000 /* but if they wait for longer than this, the guess was wrong */

static size_t pending(struct mf_pool *pool)
{
    return atomic_load_explicit(&pool->queue.pending, memory_order_acquire);
}

static bool must_leave(const struct mf_worker *w)
{
    return w->abandoned || w->pool->closing ||
           (w->pool->retired && atomic_load(&w->pool->queue.pending) == 0 && mf_list_empty(&w->pool->created));
}

/* --- Waking and starting ---------------------------------------------------------------------------------------- */

static void wake(struct mf_worker *w)
{
    mf_list_remove(&w->link);
    w->pool->waking++;
    pthread_cond_signal(&w->wake);
}

static bool is_asleep(const struct mf_worker *w)
{
    return !mf_list_empty((struct mf_list *)(uintptr_t)&w->link);
}

static void *worker_main(void *arg);
static void threads_leave(struct mf_pool *pool);

static enum mf_err start(struct mf_pool *pool, int index, struct mf_fault *fault)
{
    struct mf_worker *w = mf_pool_add_worker(pool, index);
    if (!w)
        return mf_fault_set(fault, MF_ENOMEM, "out of memory while starting worker %d", index);
    pool->starting++;
    mf_owner_ref(pool->owner);
    enum mf_err e = mf_sys_thread_start(&w->thread, STACK_BYTES, worker_main, w, fault);
    if (e == MF_OK)
        return MF_OK;
    mf_log(MF_LOG_POOL, "worker %s: %s", w->name, fault->text);
    pool->starting--;
    mf_pool_drop_worker(w);
    mf_pool_free_worker(w);
    mf_owner_unref(pool->owner); /* not the last one: the owner is in this call */
    return e;
}

static int free_slot(const struct mf_pool *pool)
{
    for (int i = 0; i < pool->size; i++)
        if (!pool->workers[i])
            return i + 1;
    return 0;
}

/* Workers that futures are pinned to: started, or woken when they sleep. */
static enum mf_err feed_pinned(struct mf_pool *pool, struct mf_fault *fault)
{
    while (!mf_list_empty(&pool->queue.homeless)) {
        struct mf_future *f = MF_LIST_ENTRY(pool->queue.homeless.next, struct mf_future, link);
        enum mf_err e = start(pool, f->extra->worker, fault);
        if (e != MF_OK)
            return e;
    }
    for (int i = 0; i < pool->size; i++) {
        struct mf_worker *w = pool->workers[i];
        if (w && !mf_list_empty(&w->pinned) && is_asleep(w))
            wake(w);
    }
    return MF_OK;
}

/* May the tasks wait for a worker that is busy with a short one? Many of them may only if every core has something to
 * do, the owner's own, which makes them, included. */
static bool can_wait(struct mf_pool *pool)
{
    bool cores_busy = pool->running + !pool->owner->sleeping >= pool->cores;
    if (pool->running == 0 || pool->mean > SHORT_NS || (pending(pool) >= SHORT_PENDING && !cores_busy))
        return false;
    mf_owner_alarm(pool->owner, mf_sys_now() + OVERDUE_NS);
    return true;
}

/* So many queued futures will find a worker. */
static int covered(const struct mf_pool *pool)
{
    return pool->spinners + pool->waking + pool->starting;
}

/* Where workers cannot open, one at a time tries. */
static bool may_start(const struct mf_pool *pool)
{
    return pool->alive < pool->size && (pool->births < MF_POOL_BIRTHS || pool->alive == 0);
}

/* Wakes or starts one worker when that is needed. */
static enum mf_err feed(struct mf_pool *pool, bool patient, struct mf_fault *fault)
{
    if (pending(pool) - pool->queue.pinned <= (size_t)covered(pool))
        return MF_OK;
    if (!mf_list_empty(&pool->sleepers)) {
        if (!patient || !can_wait(pool))
            wake(MF_LIST_ENTRY(pool->sleepers.next, struct mf_worker, link));
        return MF_OK;
    }
    int slot = may_start(pool) ? free_slot(pool) : 0;
    if (!slot)
        return MF_OK;
    enum mf_err e = start(pool, slot, fault);
    return e == MF_OK || pool->alive > 0 ? MF_OK : e; /* fewer workers than wanted still do the work */
}

static enum mf_err threads_feed(struct mf_pool *pool, struct mf_fault *fault)
{
    enum mf_err e = pool->queue.pinned ? feed_pinned(pool, fault) : MF_OK;
    return e == MF_OK ? feed(pool, true, fault) : e;
}

/* Wakes and starts as many as are needed. */
static void threads_overdue(struct mf_pool *pool)
{
    struct mf_fault fault;
    int before;
    do {
        before = covered(pool);
        if (feed(pool, false, &fault) != MF_OK)
            mf_sched_lose_all(pool, fault.text);
    } while (covered(pool) > before);
}

/* --- A worker's life -------------------------------------------------------------------------------------------- */

/* Lock held on entry and exit. */
static void spin(struct mf_pool *pool)
{
    pool->spinners++;
    pthread_mutex_unlock(&pool->owner->lock);
    uint64_t end = mf_sys_now() + SPIN_NS;
    for (unsigned turn = 0; pending(pool) == 0; turn++) {
        if (turn % SPIN_TURNS_PER_LOOK == 0 && mf_sys_now() >= end)
            break;
        mf_sys_spin(turn, YIELD_EVERY);
    }
    pthread_mutex_lock(&pool->owner->lock);
    pool->spinners--;
}

static void sleep_until_woken(struct mf_worker *w)
{
    struct mf_pool *pool = w->pool;
    mf_list_insert(pool->sleepers.next, &w->link);
    while (is_asleep(w))
        pthread_cond_wait(&w->wake, &pool->owner->lock);
    pool->waking--;
}

/* The next task, or NULL when the worker must leave. */
static struct mf_future *next_task(struct mf_worker *w)
{
    struct mf_pool *pool = w->pool;
    for (bool rested = false;;) {
        if (must_leave(w))
            return NULL;
        struct mf_future *f = mf_sched_take(w);
        if (f)
            return f;
        if (!rested && pool->spinners < SPINNERS) {
            rested = true;
            spin(pool);
            continue;
        }
        pthread_mutex_unlock(&pool->owner->lock);
        pool->owner->runner->idle(w->instance);
        pthread_mutex_lock(&pool->owner->lock);
        if (must_leave(w) || !mf_list_empty(&w->pinned) || mf_queue_first(&pool->queue))
            continue;
        sleep_until_woken(w);
        rested = false;
    }
}

static void live(struct mf_worker *w)
{
    mf_worker_move(w, MF_WORKER_STARTING, MF_WORKER_IDLE);
    bool others_failed = w->pool->births > 0;
    w->pool->births = 0;
    if (others_failed)
        threads_overdue(w->pool); /* what was queued while none could open */
    while (next_task(w))
        mf_worker_run(w);
    mf_worker_move(w, MF_WORKER_IDLE, MF_WORKER_STOPPING);
    pthread_mutex_unlock(&w->pool->owner->lock);
    w->pool->owner->runner->close(w->instance);
    pthread_mutex_lock(&w->pool->owner->lock);
    mf_worker_move(w, MF_WORKER_STOPPING, MF_WORKER_DEAD);
}

/* A worker that could not open its interpreter: another try may work, but not for ever. */
static void stillborn(struct mf_worker *w, const struct mf_fault *fault)
{
    struct mf_pool *pool = w->pool;
    mf_log(MF_LOG_POOL, "worker %s: %s", w->name, fault->text);
    mf_worker_move(w, MF_WORKER_STARTING, MF_WORKER_DEAD);
    if (++pool->births < MF_POOL_BIRTHS)
        return;
    while (!mf_list_empty(&w->pinned)) {
        struct mf_future *f = MF_LIST_ENTRY(w->pinned.next, struct mf_future, link);
        mf_sched_finish(f, MF_FUTURE_LOST, MF_FAILURE_LOST, NULL, fault->text);
    }
    if (pool->alive == 1)
        mf_sched_lose_all(pool, fault->text);
}

static void *worker_main(void *arg)
{
    struct mf_worker *w = arg;
    struct mf_pool *pool = w->pool;
    struct mf_owner *owner = pool->owner;
    struct mf_fault fault = {0};
    bool opened = mf_worker_open(w, &fault);
    pthread_mutex_lock(&owner->lock);
    pool->starting--;
    if (opened)
        live(w);
    else
        stillborn(w, &fault);
    if (w->abandoned) {
        mf_pool_free_worker(w);
    } else {
        mf_pool_drop_worker(w);
        mf_list_insert(&pool->leavers, &w->link);
        atomic_store(&owner->untidy, true);
        pthread_cond_broadcast(&pool->gone);
        if (pool->retired)
            threads_leave(pool); /* others may sleep that waited for the same last future */
        if (pending(pool) && !pool->closing && threads_feed(pool, &fault) != MF_OK)
            mf_sched_lose_all(pool, fault.text); /* what it left behind needs another worker */
    }
    pthread_mutex_unlock(&owner->lock);
    mf_owner_unref(owner);
    return NULL;
}

static void threads_interrupt(struct mf_worker *w)
{
    mf_sys_interrupt_thread(w->thread);
}

static void threads_abandon(struct mf_worker *w)
{
    struct mf_pool *pool = w->pool;
    struct mf_fault fault;
    mf_log(MF_LOG_POOL, "worker %s does not stop: given up", w->name);
    w->abandoned = true;
    w->deadline = MF_SYS_NEVER;
    mf_pool_drop_worker(w);
    pthread_detach(w->thread);
    pthread_cond_broadcast(&pool->gone);
    if (pending(pool) && !pool->closing && threads_feed(pool, &fault) != MF_OK)
        mf_sched_lose_all(pool, fault.text);
}

static void wake_all(struct mf_pool *pool)
{
    while (!mf_list_empty(&pool->sleepers))
        wake(MF_LIST_ENTRY(pool->sleepers.next, struct mf_worker, link));
}

static void threads_leave(struct mf_pool *pool)
{
    wake_all(pool);
}

/* Who sleeps looks whether there is something to let go of, and sleeps again. */
static void threads_tidy(struct mf_pool *pool)
{
    wake_all(pool);
}

static void threads_join(struct mf_worker *w)
{
    pthread_join(w->thread, NULL);
}

const struct mf_backend mf_backend_threads = {
    .name = "threads",
    .asynchronous = true,
    .feed = threads_feed,
    .overdue = threads_overdue,
    .tidy = threads_tidy,
    .interrupt = threads_interrupt,
    .abandon = threads_abandon,
    .leave = threads_leave,
    .join = threads_join,
};
