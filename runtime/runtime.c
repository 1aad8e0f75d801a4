/* Design note: the owner's calls. Each takes the lock once (enter), does what finalizers have put off, and runs what
 * synchronous pools have queued before it lets the owner's Lua go on (turn). */
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "log.h"
#include "loop.h"
#include "sched.h"
#include "sys.h"

#define LAST_GRACE 300000000u /* nanoseconds; after Ctrl-C the program must be gone within a second */

struct mf_owner *mf_runtime_new(const struct mf_runner *runner, void *context, struct mf_fault *fault)
{
    return mf_owner_new(runner, context, mf_sched_expire, fault);
}

/* --- Pools ------------------------------------------------------------------------------------------------------ */

static enum mf_err unknown_backend(const char *name, struct mf_fault *fault)
{
    char list[128] = "";
    for (int i = 0; mf_backend_name(i); i++) {
        if (i)
            strncat(list, ", ", sizeof list - strlen(list) - 1);
        strncat(list, mf_backend_name(i), sizeof list - strlen(list) - 1);
    }
    return mf_fault_set(fault, MF_EINVAL, "there is no plan '%s'; the plans are: %s", name, list);
}

struct mf_pool *mf_runtime_pool(struct mf_owner *owner, const char *backend, const struct mf_pool_options *options,
                                struct mf_fault *fault)
{
    const struct mf_backend *b = mf_backend_find(backend);
    if (!b) {
        unknown_backend(backend, fault);
        return NULL;
    }
    if (!b->departed != !options->hosts) {
        mf_fault_set(fault, MF_EINVAL, "the plan %s %s", backend, b->departed ? "needs hosts" : "takes no hosts");
        return NULL;
    }
    if (owner->closing) {
        mf_fault_set(fault, MF_ECLOSED, "the runtime is closed");
        return NULL;
    }
    struct mf_pool *pool = mf_pool_new(owner, b, options, fault);
    if (!pool)
        return NULL;
    if (b->maps)
        mf_owner_share(owner);
    pthread_mutex_lock(&owner->lock);
    mf_list_insert(&owner->pools, &pool->link);
    pthread_mutex_unlock(&owner->lock);
    return pool;
}

enum mf_err mf_runtime_open(struct mf_pool *pool, struct mf_fault *fault)
{
    return pool->backend->open ? pool->backend->open(pool, fault) : MF_OK;
}

int mf_runtime_workers(struct mf_pool *pool)
{
    pthread_mutex_lock(&pool->owner->lock);
    int n = pool->hosts ? 0 : pool->size;
    for (int i = 0; pool->hosts && i < pool->hosts->n; i++)
        n += pool->hosts->hosts[i].lanes;
    pthread_mutex_unlock(&pool->owner->lock);
    return n;
}

bool mf_runtime_has_worker(struct mf_pool *pool, int worker)
{
    struct mf_loop *loop = pool->owner->loop;
    pthread_mutex_lock(&pool->owner->lock);
    if (pool->backend->departed && loop && !mf_loop_empty(loop))
        mf_loop_turn(loop, 0, 0); /* it may have died while nobody looked */
    const struct mf_worker *w = worker <= pool->size ? pool->workers[worker - 1] : NULL;
    bool has = !pool->backend->departed || (w && w->state != MF_WORKER_STARTING);
    pthread_mutex_unlock(&pool->owner->lock);
    return has;
}

bool mf_runtime_module_path(struct mf_pool *pool, const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        return false;
    pthread_mutex_lock(&pool->owner->lock);
    free(pool->module_path);
    pool->module_path = copy;
    pthread_mutex_unlock(&pool->owner->lock);
    return true;
}

void mf_runtime_retire(struct mf_pool *pool)
{
    pthread_mutex_lock(&pool->owner->lock);
    pool->retired = true;
    pool->backend->leave(pool);
    pthread_mutex_unlock(&pool->owner->lock);
}

void mf_runtime_hold(struct mf_pool *pool)
{
    pthread_mutex_lock(&pool->owner->lock);
    pool->held++;
    pthread_mutex_unlock(&pool->owner->lock);
}

void mf_runtime_let_go(struct mf_pool *pool)
{
    struct mf_fault fault;
    pthread_mutex_lock(&pool->owner->lock);
    if (--pool->held == 0 && !pool->closing && pool->backend->feed(pool, &fault) != MF_OK)
        mf_sched_lose_all(pool, fault.text);
    pthread_mutex_unlock(&pool->owner->lock);
}

void mf_runtime_release(struct mf_pool *pool)
{
    atomic_store(&pool->released, true);
    atomic_store(&pool->owner->untidy, true);
}

enum mf_err mf_runtime_setup_locked(struct mf_pool *pool, struct mf_blob *code, struct mf_blob *args)
{
    struct mf_setup *setups = realloc(pool->setups, (pool->nsetups + 1) * sizeof *setups);
    if (!setups)
        return MF_ENOMEM;
    setups[pool->nsetups++] = (struct mf_setup){.code = code, .args = args};
    pool->setups = setups;
    if (pool->backend->remember)
        pool->backend->remember(pool, &setups[pool->nsetups - 1]);
    return MF_OK;
}

enum mf_err mf_runtime_setup(struct mf_pool *pool, struct mf_blob *code, struct mf_blob *args)
{
    pthread_mutex_lock(&pool->owner->lock);
    enum mf_err e = mf_runtime_setup_locked(pool, code, args);
    pthread_mutex_unlock(&pool->owner->lock);
    return e;
}

/* A lazy future whose last handle went away will never be asked for. Backwards, since one that depends on another
 * comes after it. */
static void drop_forgotten(struct mf_pool *pool)
{
    for (struct mf_list *l = pool->created.prev; l != &pool->created;) {
        struct mf_future *f = MF_LIST_ENTRY(l, struct mf_future, link);
        l = l->prev;
        if (f->lazy && atomic_load(&f->refs) == 1)
            mf_sched_cancel(f);
    }
}

/* Does what finalizers have put off and joins workers that have left. Lock held on entry and exit. A pool goes to the
 * end of the list while it is looked at, since joining lets go of the lock. */
static void tidy(struct mf_owner *owner)
{
    size_t n = 0;
    bool let_go = atomic_exchange(&owner->let_go, false);
    for (struct mf_list *l = owner->pools.next; l != &owner->pools; l = l->next)
        n++;
    for (; n > 0 && !mf_list_empty(&owner->pools); n--) {
        struct mf_pool *pool = MF_LIST_ENTRY(owner->pools.next, struct mf_pool, link);
        mf_list_remove(&pool->link);
        mf_list_insert(&owner->pools, &pool->link);
        mf_pool_ref(pool);
        drop_forgotten(pool);
        if (atomic_load(&pool->released) && pool->handle) {
            pool->handle = false;
            pool->retired = true;
            pool->backend->leave(pool);
            mf_pool_unref(pool);
        }
        if (let_go && pool->backend->tidy)
            pool->backend->tidy(pool);
        mf_pool_join_leavers(pool);
        mf_pool_unref(pool);
    }
}

/* Every entry of the owner passes here. */
static void enter(struct mf_owner *owner)
{
    pthread_mutex_lock(&owner->lock);
    if (atomic_exchange(&owner->untidy, false))
        tidy(owner);
}

/* While agents work and the owner computes, the alarm turns the loop now and then (see mf_sched_expire). */
static void leave(struct mf_owner *owner)
{
    if (owner->loop && !mf_loop_empty(owner->loop) && mf_sched_agents_work(owner))
        mf_owner_alarm(owner, mf_sys_now() + MF_SCHED_TICK);
    pthread_mutex_unlock(&owner->lock);
}

/* Runs what synchronous pools have queued. Lock held on entry and exit. */
static void turn(struct mf_owner *owner)
{
    for (struct mf_list *l = owner->pools.next; l != &owner->pools;) {
        struct mf_pool *pool = MF_LIST_ENTRY(l, struct mf_pool, link);
        if (!pool->backend->turn || atomic_load(&pool->queue.pending) == 0) {
            l = l->next;
            continue;
        }
        mf_pool_ref(pool);
        pool->backend->turn(pool);
        bool nested = atomic_load(&pool->queue.pending) > 0; /* an outer turn of that pool goes on with it */
        l = nested ? pool->link.next : owner->pools.next;    /* anything may have happened meanwhile */
        mf_pool_unref(pool);
    }
}

/* A thread that leaves signals; an agent's end is seen by the loop. */
static void wait_for_leavers(struct mf_pool *pool, uint64_t deadline)
{
    struct mf_owner *owner = pool->owner;
    if (pool->backend->beat && owner->loop && !mf_loop_empty(owner->loop))
        mf_loop_turn(owner->loop, deadline, 0);
    else
        mf_sys_cond_wait_until(&pool->gone, &owner->lock, deadline);
}

static void begin_closing(struct mf_pool *pool)
{
    pool->closing = true;
    mf_sched_cancel_all(pool);
    pool->backend->leave(pool);
}

void mf_runtime_close_pool(struct mf_pool *pool)
{
    struct mf_owner *owner = pool->owner;
    pthread_mutex_lock(&owner->lock);
    mf_pool_ref(pool);
    begin_closing(pool);
    uint64_t deadline = mf_sys_now() + 2 * pool->grace;
    while (pool->alive > 0 && mf_sys_now() < deadline)
        wait_for_leavers(pool, deadline);
    for (int i = 0; i < pool->size; i++) /* no watch thread could be had to do it in time */
        if (pool->workers[i])
            pool->backend->abandon(pool->workers[i]);
    mf_pool_join_leavers(pool);
    mf_pool_unref(pool);
    pthread_mutex_unlock(&owner->lock);
}

/* No task gets more time to stop than LAST_GRACE, one that was asked to before neither. */
static void hurry(struct mf_pool *pool)
{
    uint64_t latest = mf_sys_now() + LAST_GRACE;
    if (pool->grace > LAST_GRACE)
        pool->grace = LAST_GRACE;
    for (int i = 0; i < pool->size; i++)
        if (pool->workers[i] && pool->workers[i]->interrupted && pool->workers[i]->deadline > latest) {
            pool->workers[i]->deadline = latest;
            mf_owner_alarm(pool->owner, latest);
        }
}

static struct mf_pool *find_unclosed(struct mf_owner *owner)
{
    for (struct mf_list *l = owner->pools.next; l != &owner->pools; l = l->next)
        if (!MF_LIST_ENTRY(l, struct mf_pool, link)->closing)
            return MF_LIST_ENTRY(l, struct mf_pool, link);
    return NULL;
}

/* Of all pools before any is waited for, so that their grace times pass side by side. */
static void begin_closing_all(struct mf_owner *owner)
{
    struct mf_pool *pool;
    while ((pool = find_unclosed(owner))) {
        mf_pool_ref(pool);
        hurry(pool);
        begin_closing(pool);
        mf_pool_unref(pool);
    }
}

size_t mf_runtime_close(struct mf_owner *owner)
{
    size_t open = mf_runtime_open_count(owner);
    enter(owner);
    begin_closing_all(owner);
    while (!mf_list_empty(&owner->pools)) {
        struct mf_pool *pool = MF_LIST_ENTRY(owner->pools.next, struct mf_pool, link);
        mf_pool_ref(pool);
        leave(owner);
        mf_runtime_close_pool(pool);
        pthread_mutex_lock(&owner->lock);
        mf_list_remove(&pool->link);
        if (pool->handle) {
            pool->handle = false;
            mf_pool_unref(pool);
        }
        mf_pool_unref(pool);
    }
    leave(owner);
    mf_owner_alarm_stop(owner);
    return open;
}

/* --- Futures ---------------------------------------------------------------------------------------------------- */

static bool is_plain(const struct mf_future_spec *s)
{
    return !s->ndeps && !s->label && s->timeout <= 0 && !s->retries && !s->priority && !s->worker && !s->live;
}

static bool fill_extra(struct mf_future *f, const struct mf_future_spec *s)
{
    struct mf_future_extra *x = mf_future_extra_get(f);
    if (!x || (s->label && !(x->label = strdup(s->label))))
        return false;
    if (s->ndeps && !(x->deps = malloc(s->ndeps * sizeof(struct mf_future *))))
        return false;
    for (size_t i = 0; i < s->ndeps; i++)
        x->deps[i] = mf_future_ref(s->deps[i]);
    x->ndeps = s->ndeps;
    x->timeout = mf_sys_span(s->timeout);
    x->retries = s->retries;
    x->retry_on_error = s->retry_on_error;
    x->priority = s->priority;
    x->worker = s->worker;
    x->live = s->live;
    return true;
}

static struct mf_future *make(struct mf_pool *pool, const struct mf_future_spec *s, struct mf_fault *fault)
{
    struct mf_future *f = mf_future_new();
    if (!f) {
        mf_blob_unref(s->code);
        mf_blob_unref(s->args);
        mf_fault_set(fault, MF_ENOMEM, "out of memory while making a future");
        return NULL;
    }
    f->code = s->code;
    f->args = s->args;
    f->output = (uint8_t)s->output;
    f->setup = s->setup;
    f->lazy = s->lazy;
    f->modules = s->modules;
    f->seed = s->seed;
    f->stream = s->stream;
    if (!is_plain(s) && !fill_extra(f, s)) {
        mf_future_unref(f);
        mf_fault_set(fault, MF_ENOMEM, "out of memory while making a future");
        return NULL;
    }
    if (s->worker < 0 || s->worker > pool->size) {
        mf_future_unref(f);
        mf_fault_set(fault, MF_EINVAL, "worker must be from 1 to %d, not %d", pool->size, s->worker);
        return NULL;
    }
    return f;
}

/* Until something happens, or the deadline. */
static enum mf_err sleep_once(struct mf_owner *owner, uint64_t deadline)
{
    atomic_store(&owner->watch_left, 1);
    enum mf_err e = mf_owner_sleep(owner, deadline);
    atomic_store(&owner->watch_left, 0);
    return e;
}

/* Waits until the pool's queue is within its limit. Lock held on entry and exit. */
static enum mf_err wait_for_room(struct mf_pool *pool)
{
    struct mf_owner *owner = pool->owner;
    enum mf_err e = MF_OK;
    while (pool->backend->asynchronous && pool->queue.bytes > pool->queue_bytes && e == MF_OK) {
        owner->wants_room = true;
        e = sleep_once(owner, MF_SYS_NEVER);
    }
    owner->wants_room = false;
    return e;
}

/* Lock held on entry and exit. f is CREATED and not linked. */
static void admit(struct mf_pool *pool, struct mf_future *f, bool fresh)
{
    f->pool = pool;
    f->id = ++pool->owner->next_id;
    mf_pool_ref(pool);
    mf_list_insert(&pool->created, &f->link);
    pool->fresh = fresh ? mf_future_live(f) : 0;
    if (!f->lazy)
        mf_sched_begin(f);
    turn(pool->owner);
}

struct mf_future *mf_runtime_admit(struct mf_pool *pool, const struct mf_future_spec *spec, bool quiet,
                                   struct mf_fault *fault)
{
    struct mf_future *f = make(pool, spec, fault);
    if (!f)
        return NULL;
    f->pool = pool;
    f->id = ++pool->owner->next_id;
    mf_pool_ref(pool);
    mf_list_insert(&pool->created, &mf_future_ref(f)->link);
    pool->quiet = quiet;
    mf_sched_begin(f);
    pool->quiet = false;
    return f;
}

/* Waits until a worker has been forked that has the memory which f refers to, as it is now. Lock held on entry and exit. */
static enum mf_err wait_for_fork(struct mf_pool *pool, struct mf_future *f)
{
    struct mf_owner *owner = pool->owner;
    enum mf_err e = MF_OK;
    while (pool->fresh && mf_future_state(f) == MF_FUTURE_QUEUED && !mf_pool_has_live(pool, mf_future_live(f)) &&
           e == MF_OK) {
        e = sleep_once(owner, MF_SYS_NEVER);
        turn(owner);
    }
    pool->fresh = 0;
    if (e != MF_OK)
        mf_sched_cancel(f);
    return e;
}

struct mf_future *mf_runtime_submit(struct mf_pool *pool, const struct mf_future_spec *spec, struct mf_fault *fault)
{
    struct mf_owner *owner = pool->owner;
    struct mf_future *f = make(pool, spec, fault);
    if (!f)
        return NULL;
    enter(owner);
    if (f->args && f->args->len > MF_AREA_LEAST)
        mf_owner_warm(owner);
    enum mf_err e = pool->closing ? MF_ECLOSED : wait_for_room(pool);
    if (e == MF_OK) {
        admit(pool, mf_future_ref(f), !spec->stale);
        e = wait_for_fork(pool, f);
    }
    leave(owner);
    if (e == MF_OK)
        return f;
    mf_future_unref(f);
    mf_fault_set(fault, e, "%s", e == MF_ECLOSED ? "the plan is closed" : mf_err_text(e));
    return NULL;
}

enum mf_err mf_runtime_provide(struct mf_pool *pool, uint64_t live, int n)
{
    struct mf_owner *owner = pool->owner;
    struct mf_fault fault;
    enum mf_err e = MF_OK;
    enter(owner);
    pool->wanting = true;
    while (!pool->closing && pool->backend->provide(pool, live, n, &fault) == MF_OK && !mf_pool_has_live(pool, live) &&
           e == MF_OK) {
        e = sleep_once(owner, MF_SYS_NEVER);
        turn(owner);
    }
    pool->wanting = false;
    leave(owner);
    return e;
}

static void begin_lazy(struct mf_future *f)
{
    if (f->lazy && mf_future_state(f) == MF_FUTURE_CREATED)
        mf_sched_begin(f);
}

static size_t count_final(struct mf_future *const *futures, size_t n)
{
    size_t final = 0;
    for (size_t i = 0; i < n; i++)
        final += mf_future_final(futures[i]);
    return final;
}

enum mf_err mf_runtime_wait(struct mf_owner *owner, struct mf_future *const *futures, size_t n, size_t need,
                            uint64_t deadline)
{
    enum mf_err e = MF_OK;
    if (need > n)
        need = n;
    if (count_final(futures, n) >= need)
        return MF_OK;
    enter(owner);
    for (size_t i = 0; i < n; i++)
        begin_lazy(futures[i]);
    turn(owner);
    while (e == MF_OK && count_final(futures, n) < need) {
        mf_owner_watch(owner, futures, n, need);
        e = mf_owner_sleep(owner, deadline);
        mf_owner_unwatch(owner, futures, n);
        turn(owner);
    }
    leave(owner);
    return e == MF_ETIMEDOUT && count_final(futures, n) >= need ? MF_OK : e;
}

enum mf_err mf_runtime_sleep(struct mf_owner *owner, uint64_t deadline)
{
    enum mf_err e = MF_OK;
    enter(owner);
    for (turn(owner); e == MF_OK; turn(owner))
        e = sleep_once(owner, deadline);
    leave(owner);
    return e;
}

bool mf_runtime_poll(struct mf_owner *owner, struct mf_future *f)
{
    if (mf_future_final(f))
        return true;
    enter(owner);
    begin_lazy(f);
    turn(owner);
    leave(owner);
    return mf_future_final(f);
}

void mf_runtime_turn(struct mf_owner *owner)
{
    enter(owner);
    turn(owner);
    leave(owner);
}

void mf_runtime_tidy(struct mf_owner *owner)
{
    if (!atomic_load(&owner->untidy))
        return;
    enter(owner);
    leave(owner);
}

bool mf_runtime_cancel(struct mf_owner *owner, struct mf_future *f)
{
    enter(owner);
    bool changed = mf_sched_cancel(f);
    leave(owner);
    return changed;
}
