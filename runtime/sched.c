/* Design note: one queue a pool, in bands of equal priority (nearly always one band, so queueing is an append), and
 * beside it one short list a worker for the futures pinned to it. A future is in exactly one place: waiting for its
 * arguments (CREATED), in a queue (QUEUED), with a worker ahead of time (SENT), in a worker's running field (RUNNING),
 * or nowhere (final). While it is not final the runtime holds one reference to it and it holds one to its pool.
 *
 * Tried and dropped: letting a worker take several tasks at once. It halves the locking of trivial tasks, but a long
 * task then holds up short ones behind it while other workers are idle. */
#include "sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "loop.h"
#include "sys.h"

#define MEAN_WEIGHT 8 /* of what a pool's tasks have taken: the last one counts for an eighth */

static int pin(const struct mf_future *f)
{
    return f->extra ? f->extra->worker : 0;
}

/* The list that f waits in, or NULL when memory is out. */
static struct mf_list *place(struct mf_pool *pool, struct mf_future *f)
{
    int worker = pin(f);
    if (worker) {
        struct mf_worker *w = pool->workers[worker - 1];
        return w ? &w->pinned : &pool->queue.homeless;
    }
    return mf_queue_band(&pool->queue, f->extra ? f->extra->priority : 0);
}

/* CREATED or RUNNING (again) to QUEUED. */
static void put(struct mf_future *f, enum mf_future_state from)
{
    struct mf_pool *pool = f->pool;
    struct mf_list *list = place(pool, f);
    if (!list) {
        mf_sched_finish(f, MF_FUTURE_LOST, MF_FAILURE_LOST, NULL, "out of memory while queueing");
        return;
    }
    mf_list_remove(&f->link);
    mf_list_insert(list, &f->link);
    mf_future_move(f, from, MF_FUTURE_QUEUED);
    mf_queue_count_in(&pool->queue, f);
    struct mf_fault fault;
    if (!pool->quiet && pool->backend->feed(pool, &fault) != MF_OK)
        mf_sched_lose_all(pool, fault.text);
}

static void unqueue(struct mf_future *f)
{
    struct mf_pool *pool = f->pool;
    mf_list_remove(&f->link);
    mf_queue_count_out(&pool->queue, f);
    if (pool->owner->wants_room && pool->queue.bytes <= pool->queue_bytes) {
        pool->owner->wants_room = false;
        mf_owner_nudge(pool->owner);
    }
}

/* From QUEUED or SENT to RUNNING. */
static void assign(struct mf_worker *w, struct mf_future *f)
{
    f->host = w->host;
    atomic_store_explicit(&f->worker, w->index, memory_order_relaxed);
    mf_future_move(f, mf_future_state(f), MF_FUTURE_RUNNING);
    mf_worker_move(w, MF_WORKER_IDLE, MF_WORKER_BUSY);
    w->pool->running++;
    if (f->attempts < UINT8_MAX)
        f->attempts++;
    w->running = f;
    w->interrupted = false;
    atomic_store(&w->wanted, false);
    w->started = mf_sys_now();
    w->deadline = MF_SYS_NEVER;
    if (f->extra && f->extra->timeout) {
        w->deadline = w->started + f->extra->timeout;
        mf_owner_alarm(w->pool->owner, w->deadline);
    }
}

struct mf_future *mf_sched_take(struct mf_worker *w)
{
    struct mf_future *f = mf_list_empty(&w->pinned) ? mf_queue_first(&w->pool->queue)
                                                    : MF_LIST_ENTRY(w->pinned.next, struct mf_future, link);
    if (!f)
        return NULL;
    unqueue(f);
    assign(w, f);
    return f;
}

void mf_sched_send(struct mf_future *f)
{
    struct mf_pool *pool = f->pool;
    unqueue(f);
    mf_list_insert(&pool->ahead, &f->link);
    mf_future_move(f, MF_FUTURE_QUEUED, MF_FUTURE_SENT);
    pool->sent++;
}

void mf_sched_start(struct mf_worker *w, struct mf_future *f)
{
    w->pool->sent--;
    mf_list_remove(&f->link);
    assign(w, f);
}

void mf_sched_hold(struct mf_worker *w)
{
    struct mf_future *f = w->running;
    w->running = NULL;
    w->pool->running--;
    f->attempts--;
    mf_list_insert(&w->pool->ahead, &f->link);
    mf_future_move(f, MF_FUTURE_RUNNING, MF_FUTURE_SENT);
    w->pool->sent++;
}

void mf_sched_return(struct mf_future *f)
{
    struct mf_pool *pool = f->pool;
    struct mf_list *list = place(pool, f);
    bool started = mf_future_state(f) == MF_FUTURE_RUNNING;
    if (!list) {
        mf_sched_finish(f, MF_FUTURE_LOST, MF_FAILURE_LOST, NULL, "out of memory while queueing");
        return;
    }
    if (started)
        pool->running--;
    else
        pool->sent--;
    f->attempts -= started;
    mf_list_remove(&f->link);
    mf_list_insert(list->next, &f->link);
    mf_future_move(f, mf_future_state(f), MF_FUTURE_QUEUED);
    mf_queue_count_in(&pool->queue, f);
}

static void drop_payload(struct mf_future *f)
{
    mf_blob_unref(f->code);
    mf_blob_unref(f->args);
    f->code = f->args = NULL;
    for (size_t i = 0; f->extra && i < f->extra->ndeps; i++)
        mf_future_unref(f->extra->deps[i]);
    if (f->extra)
        f->extra->ndeps = 0;
}

/* Makes f final and puts it at the end of ended: its dependents are still to be told. */
static void end(struct mf_future *f, enum mf_future_state state, enum mf_failure failure, struct mf_blob *result,
                const char *text, struct mf_list *ended)
{
    struct mf_pool *pool = f->pool;
    enum mf_future_state from = mf_future_state(f);
    if (from == MF_FUTURE_QUEUED) {
        unqueue(f);
    } else if (from == MF_FUTURE_RUNNING) {
        pool->running--;
    } else if (from == MF_FUTURE_SENT) {
        pool->sent--;
        mf_list_remove(&f->link);
    } else {
        mf_list_remove(&f->link);
    }
    f->result = result;
    f->failure = (uint8_t)failure;
    if (text && mf_future_extra_get(f))
        snprintf(f->extra->fault, sizeof f->extra->fault, "%s", text);
    drop_payload(f); /* last, since text may be that of a dependency which goes now */
    mf_future_move(f, from, state);
    mf_owner_resolved(pool->owner, f);
    mf_list_insert(ended, &f->link);
}

/* f ends as dep did, which it needed. */
static void end_like(struct mf_future *f, const struct mf_future *dep, struct mf_list *ended)
{
    end(f, mf_future_state(dep), (enum mf_failure)dep->failure, mf_blob_ref(dep->result),
        dep->extra ? dep->extra->fault : NULL, ended);
}

/* A future that waited for dep: fails with it, or is queued when dep was the last. */
static void dependency_done(struct mf_future *f, const struct mf_future *dep, struct mf_list *ended)
{
    if (mf_future_state(f) != MF_FUTURE_CREATED)
        return; /* failed or cancelled meanwhile */
    f->extra->waiting--;
    if (mf_future_state(dep) != MF_FUTURE_DONE)
        end_like(f, dep, ended);
    else if (f->extra->waiting == 0)
        put(f, MF_FUTURE_CREATED);
}

static void tell_dependents(struct mf_future *f, struct mf_list *ended)
{
    struct mf_dependent *d = f->dependents;
    f->dependents = NULL;
    while (d) {
        struct mf_dependent *next = d->next;
        dependency_done(d->future, f, ended);
        mf_future_unref(d->future);
        free(d);
        d = next;
    }
}

/* Tells the dependents of what has ended, and those of what ends with it: in a loop, since a chain may be long and a
 * worker's stack is small. */
static void spread(struct mf_list *ended)
{
    while (!mf_list_empty(ended)) {
        struct mf_future *f = MF_LIST_ENTRY(ended->next, struct mf_future, link);
        struct mf_pool *pool = f->pool;
        mf_list_remove(&f->link);
        tell_dependents(f, ended);
        mf_future_unref(f);
        if (pool->retired && mf_list_empty(&pool->created) && atomic_load(&pool->queue.pending) == 0)
            pool->backend->leave(pool); /* its workers may sleep and wait for this future */
        mf_pool_unref(pool);
    }
}

void mf_sched_finish(struct mf_future *f, enum mf_future_state state, enum mf_failure failure, struct mf_blob *result,
                     const char *text)
{
    struct mf_list ended;
    mf_list_init(&ended);
    end(f, state, failure, result, text, &ended);
    spread(&ended);
}

static bool may_retry(const struct mf_future *f, bool error)
{
    const struct mf_future_extra *x = f->extra;
    return x && x->retries > 0 && (!error || x->retry_on_error) && !f->pool->closing;
}

static void run_again(struct mf_worker *worker, struct mf_future *f)
{
    mf_log(MF_LOG_FUTURE, "future %llu: attempt %d failed, trying again", (unsigned long long)f->id, f->attempts);
    worker->pool->running--;
    f->extra->retries--;
    f->extra->output.len = 0;
    put(f, MF_FUTURE_RUNNING);
}

void mf_sched_settle(struct mf_worker *worker, enum mf_outcome outcome, struct mf_blob *result)
{
    struct mf_future *f = worker->running;
    worker->running = NULL;
    if (!f) { /* cancelled or timed out: its future is final already */
        mf_blob_unref(result);
        return;
    }
    if (result && result->len > MF_AREA_LEAST)
        mf_owner_warm(worker->pool->owner);
    f->elapsed = mf_sys_now() - worker->started;
    worker->pool->mean += f->elapsed / MEAN_WEIGHT - worker->pool->mean / MEAN_WEIGHT;
    bool lost = worker->broken[0] != '\0' || !result;
    if ((lost || outcome == MF_OUTCOME_ERROR) && may_retry(f, !lost)) {
        mf_blob_unref(result);
        run_again(worker, f);
    } else if (lost) {
        mf_blob_unref(result);
        mf_sched_finish(f, MF_FUTURE_LOST, MF_FAILURE_LOST, NULL,
                        worker->broken[0] ? worker->broken : "out of memory while storing the result");
    } else if (outcome == MF_OUTCOME_ERROR) {
        mf_sched_finish(f, MF_FUTURE_FAILED, MF_FAILURE_ERROR, result, NULL);
    } else {
        mf_sched_finish(f, MF_FUTURE_DONE, MF_FAILURE_NONE, result, NULL);
    }
}

void mf_sched_lose(struct mf_future *f, const char *text)
{
    if (!may_retry(f, false)) {
        mf_sched_finish(f, MF_FUTURE_LOST, MF_FAILURE_LOST, NULL, text);
        return;
    }
    f->extra->retries--;
    mf_sched_return(f);
}

/* The worker's task is not wanted any more, and its future is about to be final: asks it to stop, and gives it the
 * grace time. */
static void stop_task(struct mf_worker *w)
{
    w->running = NULL;
    w->interrupted = true;
    w->deadline = mf_sys_now() + w->pool->grace;
    atomic_store(&w->wanted, true);
    w->pool->backend->interrupt(w);
    mf_owner_alarm(w->pool->owner, w->deadline);
}

static struct mf_worker *worker_of(const struct mf_future *f)
{
    struct mf_pool *pool = f->pool;
    for (int i = 0; i < pool->size; i++)
        if (pool->workers[i] && pool->workers[i]->running == f)
            return pool->workers[i];
    return NULL;
}

bool mf_sched_cancel(struct mf_future *f)
{
    if (mf_future_final(f))
        return false;
    struct mf_worker *worker = mf_future_state(f) == MF_FUTURE_RUNNING ? worker_of(f) : NULL;
    if (worker)
        stop_task(worker);
    else if (mf_future_state(f) == MF_FUTURE_SENT)
        f->pool->backend->withdraw(f->pool, f);
    mf_sched_finish(f, MF_FUTURE_CANCELLED, MF_FAILURE_CANCELLED, NULL, NULL);
    return true;
}

/* Adds f to the dependents of dep. */
static bool follow(struct mf_future *f, struct mf_future *dep)
{
    struct mf_dependent *d = malloc(sizeof *d);
    if (!d)
        return false;
    *d = (struct mf_dependent){.future = mf_future_ref(f), .next = dep->dependents};
    dep->dependents = d;
    return true;
}

/* f, which is CREATED, is wanted: puts it into the list of those that are to be begun. */
static void want(struct mf_future *f, struct mf_list *wanted)
{
    f->lazy = false;
    mf_list_remove(&f->link);
    mf_list_insert(wanted, &f->link);
}

/* Registers f, which is CREATED, with its dependencies; those that are lazy are wanted now. When none is open any more
 * it is queued. False when memory is out. */
static bool depend(struct mf_future *f, struct mf_list *wanted)
{
    struct mf_future_extra *x = f->extra;
    x->waiting = 1; /* so that a dependency that ends while we register does not queue f early */
    for (size_t i = 0; i < x->ndeps; i++) {
        struct mf_future *dep = x->deps[i];
        if (mf_future_final(dep))
            continue;
        if (!follow(f, dep))
            return false; /* what was registered finds f final when it ends */
        x->waiting++;
        if (dep->lazy)
            want(dep, wanted);
    }
    x->waiting--;
    for (size_t i = 0; i < x->ndeps; i++) {
        if (mf_future_final(x->deps[i]) && mf_future_state(x->deps[i]) != MF_FUTURE_DONE) {
            struct mf_list ended;
            mf_list_init(&ended);
            end_like(f, x->deps[i], &ended);
            spread(&ended);
            return true;
        }
    }
    if (x->waiting == 0 && mf_future_state(f) == MF_FUTURE_CREATED)
        put(f, MF_FUTURE_CREATED);
    return true;
}

static void begin(struct mf_future *f, struct mf_list *wanted)
{
    if (!f->extra || !f->extra->ndeps)
        put(f, MF_FUTURE_CREATED);
    else if (!depend(f, wanted))
        mf_sched_finish(f, MF_FUTURE_LOST, MF_FAILURE_LOST, NULL, "out of memory while waiting for its arguments");
}

/* One that fails meanwhile takes those that need it out of the list. */
void mf_sched_begin(struct mf_future *f)
{
    struct mf_list wanted;
    mf_list_init(&wanted);
    f->lazy = false;
    begin(f, &wanted);
    while (!mf_list_empty(&wanted)) {
        struct mf_future *next = MF_LIST_ENTRY(wanted.next, struct mf_future, link);
        mf_list_remove(&next->link);
        mf_list_insert(&next->pool->created, &next->link);
        begin(next, &wanted);
    }
}

static void lose_list(struct mf_list *list, const char *text)
{
    while (!mf_list_empty(list)) {
        struct mf_future *f = MF_LIST_ENTRY(list->next, struct mf_future, link);
        mf_sched_finish(f, MF_FUTURE_LOST, MF_FAILURE_LOST, NULL, text);
    }
}

/* Futures come and go while others are cancelled (dependents fail), so always take the first. */
static void cancel_list(struct mf_list *list)
{
    while (!mf_list_empty(list))
        mf_sched_cancel(MF_LIST_ENTRY(list->next, struct mf_future, link));
}

void mf_sched_cancel_all(struct mf_pool *pool)
{
    cancel_list(&pool->created);
    cancel_list(&pool->queue.homeless);
    for (size_t i = 0; i < pool->queue.nbands; i++)
        cancel_list(&pool->queue.bands[i]->futures);
    cancel_list(&pool->ahead);
    for (int i = 0; i < pool->size; i++) {
        struct mf_worker *w = pool->workers[i];
        if (!w)
            continue;
        cancel_list(&w->pinned);
        if (w->running)
            mf_sched_cancel(w->running);
        else if (w->state == MF_WORKER_STARTING)
            stop_task(w); /* it may be in a setup */
    }
}

void mf_sched_lose_all(struct mf_pool *pool, const char *text)
{
    mf_log(MF_LOG_POOL, "pool %s: %s", pool->backend->name, text);
    mf_pool_ref(pool); /* the last future may hold the last reference */
    lose_list(&pool->queue.homeless, text);
    for (int i = 0; i < pool->size; i++)
        if (pool->workers[i])
            lose_list(&pool->workers[i]->pinned, text);
    for (size_t i = 0; i < pool->queue.nbands; i++)
        lose_list(&pool->queue.bands[i]->futures, text);
    mf_pool_unref(pool);
}

/* --- Deadlines -------------------------------------------------------------------------------------------------- */

static void time_limit_passed(struct mf_worker *w)
{
    struct mf_future *f = w->running;
    char text[96];
    if (!f)
        return;
    snprintf(text, sizeof text, "no result within %g s", (double)f->extra->timeout / 1e9);
    f->elapsed = mf_sys_now() - w->started;
    stop_task(w);
    mf_sched_finish(f, MF_FUTURE_FAILED, MF_FAILURE_TIMEOUT, NULL, text);
}

static void expire(struct mf_worker *w)
{
    w->deadline = MF_SYS_NEVER;
    if (!w->interrupted && w->state != MF_WORKER_STARTING) /* a start, too, has its time */
        time_limit_passed(w);
    else
        w->pool->backend->abandon(w);
}

/* Acts on what is due in the pool and returns the earliest deadline that is left. */
static uint64_t expire_in(struct mf_pool *pool, uint64_t now)
{
    uint64_t next = MF_SYS_NEVER;
    for (int i = 0; i < pool->size; i++) {
        if (pool->workers[i] && pool->workers[i]->deadline <= now)
            expire(pool->workers[i]);
        if (pool->workers[i] && pool->workers[i]->deadline < next)
            next = pool->workers[i]->deadline;
    }
    return next;
}

bool mf_sched_agents_work(const struct mf_owner *owner)
{
    for (const struct mf_list *l = owner->pools.next; l != &owner->pools; l = l->next) {
        const struct mf_pool *pool = MF_LIST_ENTRY(l, struct mf_pool, link);
        bool leaving = pool->retired && pool->backend->beat && pool->alive > 0 && mf_list_empty(&pool->created);
        if (pool->sent + pool->running + pool->starting + pool->awaited > 0 || leaving)
            return true;
    }
    return false;
}

/* The owner computes while agents work: their results are read and new tasks sent here. Returns when to look again. */
static uint64_t turn_for_owner(struct mf_owner *owner)
{
    if (!owner->loop || mf_loop_empty(owner->loop) || mf_loop_turning(owner->loop))
        return MF_SYS_NEVER;
    mf_loop_turn(owner->loop, 0, 0);
    return mf_sched_agents_work(owner) ? mf_sys_now() + MF_SCHED_TICK : MF_SYS_NEVER;
}

uint64_t mf_sched_expire(struct mf_owner *owner)
{
    uint64_t next = turn_for_owner(owner), now = mf_sys_now();
    for (struct mf_list *l = owner->pools.next; l != &owner->pools;) {
        struct mf_pool *pool = MF_LIST_ENTRY(l, struct mf_pool, link);
        mf_pool_ref(pool); /* it may lose its last future meanwhile */
        if ((atomic_load(&pool->queue.pending) || pool->sent) && pool->backend->overdue)
            pool->backend->overdue(pool);
        if (pool->sent && now + MF_SCHED_TICK < next)
            next = now + MF_SCHED_TICK;
        uint64_t beat = pool->backend->beat ? pool->backend->beat(pool, now) : MF_SYS_NEVER;
        if (beat < next)
            next = beat;
        uint64_t first = expire_in(pool, now);
        if (first < next)
            next = first;
        l = l->next;
        mf_pool_unref(pool);
    }
    return next;
}
