/* Design note: a pool is a fixed number of slots; a slot is empty until a task needs it. What a worker does between
 * tasks is its backend's business; what it does with a task stands in worker.c.
 *
 * A worker that does not stop within the grace time is abandoned: its slot is empty again at once, and the record
 * lives on, referring to the pool, until its thread ends by itself. */
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sys.h"

#define BIT(state) (1u << (state))

static const char *const names[] = {"starting", "idle", "busy", "stopping", "dead"};

static const unsigned legal[] = {
    [MF_WORKER_STARTING] = BIT(MF_WORKER_IDLE) | BIT(MF_WORKER_DEAD),
    [MF_WORKER_IDLE] = BIT(MF_WORKER_BUSY) | BIT(MF_WORKER_STOPPING),
    [MF_WORKER_BUSY] = BIT(MF_WORKER_IDLE),
    [MF_WORKER_STOPPING] = BIT(MF_WORKER_DEAD),
    [MF_WORKER_DEAD] = 0,
};

struct mf_pool *mf_pool_new(struct mf_owner *owner, const struct mf_backend *backend,
                            const struct mf_pool_options *options, struct mf_fault *fault)
{
    if ((options->workers < 1 && !options->hosts) || options->workers > MF_POOL_WORKERS_MAX) {
        mf_fault_set(fault, MF_EINVAL, "workers must be from 1 to %d, not %d", MF_POOL_WORKERS_MAX, options->workers);
        return NULL;
    }
    struct mf_pool *pool = calloc(1, sizeof *pool);
    struct mf_worker **workers = calloc((size_t)options->workers + 1, sizeof(struct mf_worker *));
    if (!pool || !workers || mf_sys_cond_init(&pool->gone) != MF_OK) {
        free(pool);
        free(workers);
        mf_fault_set(fault, MF_ENOMEM, "out of memory while opening the plan");
        return NULL;
    }
    mf_queue_init(&pool->queue);
    mf_list_init(&pool->created);
    mf_list_init(&pool->sleepers);
    mf_list_init(&pool->ahead);
    mf_list_init(&pool->leavers);
    pool->owner = owner;
    pool->backend = backend;
    pool->refs = 1;
    pool->handle = true;
    pool->workers = workers;
    pool->size = options->workers;
    pool->lasting = options->lasting;
    pool->cores = mf_sys_cores();
    pool->init = options->init;
    pool->hosts = options->hosts;
    pool->module_path = options->module_path ? strdup(options->module_path) : NULL;
    pool->program = options->program ? strdup(options->program) : NULL;
    pool->grace = options->grace < 0 ? MF_POOL_GRACE : mf_sys_span(options->grace);
    pool->queue_bytes = options->queue_bytes ? options->queue_bytes : MF_POOL_QUEUE_BYTES;
    pool->heartbeat = options->heartbeat > 0 ? mf_sys_span(options->heartbeat) : MF_POOL_HEARTBEAT;
    return pool;
}

void mf_pool_ref(struct mf_pool *pool)
{
    pool->refs++;
}

void mf_pool_unref(struct mf_pool *pool)
{
    if (--pool->refs > 0)
        return;
    mf_list_remove(&pool->link);
    mf_queue_release(&pool->queue);
    for (size_t i = 0; i < pool->nsetups; i++) {
        mf_blob_unref(pool->setups[i].code);
        mf_blob_unref(pool->setups[i].args);
    }
    free(pool->setups);
    mf_blob_unref(pool->init);
    if (pool->hosts_watch.ready)
        mf_loop_remove(pool->owner->loop, &pool->hosts_watch);
    mf_hosts_free(pool->hosts);
    mf_codes_release(&pool->codes);
    free(pool->module_path);
    free(pool->program);
    free(pool->unburied); /* who has still not ended is the system's to collect */
    pthread_cond_destroy(&pool->gone);
    free(pool->workers);
    free(pool);
}

/* --- A worker's record ------------------------------------------------------------------------------------------ */

static struct mf_worker *port_owner(struct mf_port *port)
{
    return (struct mf_worker *)(void *)((char *)port - offsetof(struct mf_worker, port));
}

static void emit_live(struct mf_worker *w, enum mf_stream stream, const void *bytes, size_t n)
{
    struct mf_owner *owner = w->pool->owner;
    pthread_mutex_lock(&owner->output_lock);
    owner->runner->live(owner->context, w->name, stream, bytes, n);
    pthread_mutex_unlock(&owner->output_lock);
}

void mf_pool_print(struct mf_worker *w, struct mf_future *f, enum mf_stream stream, const void *bytes, size_t n)
{
    struct mf_owner *owner = w->pool->owner;
    if (owner->hooks) {
        owner->hooks->output(owner, f, stream, bytes, n);
        return;
    }
    if (f->output == MF_OUTPUT_RELAY)
        mf_future_print(f, stream, bytes, n);
    if (f->output != MF_OUTPUT_LIVE)
        return;
    pthread_mutex_unlock(&owner->lock);
    emit_live(w, stream, bytes, n);
    pthread_mutex_lock(&owner->lock);
}

void mf_pool_progress(struct mf_worker *w, struct mf_future *f, double fraction, const char *text)
{
    struct mf_owner *owner = w->pool->owner;
    struct mf_future_extra *extra = owner->hooks ? NULL : mf_future_extra_get(f);
    if (owner->hooks)
        owner->hooks->progress(owner, f, fraction, text);
    if (!extra)
        return;
    extra->progress = fraction;
    snprintf(extra->progress_text, sizeof extra->progress_text, "%s", text ? text : "");
}

static void port_emit(struct mf_port *port, enum mf_stream stream, const void *bytes, size_t n)
{
    struct mf_worker *w = port_owner(port);
    pthread_mutex_lock(&w->pool->owner->lock);
    if (w->running)
        mf_pool_print(w, w->running, stream, bytes, n);
    pthread_mutex_unlock(&w->pool->owner->lock);
}

static void port_progress(struct mf_port *port, double fraction, const char *text)
{
    struct mf_worker *w = port_owner(port);
    pthread_mutex_lock(&w->pool->owner->lock);
    if (w->running)
        mf_pool_progress(w, w->running, fraction, text);
    pthread_mutex_unlock(&w->pool->owner->lock);
}

static struct mf_blob *port_fetch(struct mf_port *port, const char *name)
{
    struct mf_owner *owner = port_owner(port)->pool->owner;
    pthread_mutex_lock(&owner->lock);
    struct mf_blob *module = owner->hooks->fetch(owner, name);
    pthread_mutex_unlock(&owner->lock);
    return module;
}

/* Futures pinned to a slot wait among the homeless until the slot has a worker. */
static void house(struct mf_worker *w)
{
    struct mf_list *homeless = &w->pool->queue.homeless;
    for (struct mf_list *l = homeless->next; l != homeless;) {
        struct mf_future *f = MF_LIST_ENTRY(l, struct mf_future, link);
        l = l->next;
        if (f->extra->worker != w->index)
            continue;
        mf_list_remove(&f->link);
        mf_list_insert(&w->pinned, &f->link);
    }
}

struct mf_worker *mf_pool_add_worker(struct mf_pool *pool, int index)
{
    struct mf_worker *w = calloc(1, sizeof *w);
    if (!w || mf_sys_cond_init(&w->wake) != MF_OK) {
        free(w);
        return NULL;
    }
    mf_list_init(&w->link);
    mf_list_init(&w->pinned);
    w->port = (struct mf_port){.emit = port_emit, .progress = port_progress};
    if (pool->owner->hooks)
        w->port.fetch = port_fetch;
    w->pool = pool;
    w->index = index;
    w->deadline = MF_SYS_NEVER;
    w->setups = pool->nsetups;
    snprintf(w->name, sizeof w->name, "%s/%d", pool->backend->name, index);
    pool->workers[index - 1] = w;
    pool->alive++;
    mf_pool_ref(pool);
    house(w);
    return w;
}

static void tell_freed(const struct mf_worker *w)
{
    struct mf_owner *owner = w->pool->owner;
    if (owner->hooks)
        owner->hooks->freed(owner, w);
}

void mf_pool_drop_worker(struct mf_worker *w)
{
    struct mf_pool *pool = w->pool;
    while (!mf_list_empty(&w->pinned)) {
        struct mf_list *node = w->pinned.next;
        mf_list_remove(node);
        mf_list_insert(&pool->queue.homeless, node);
    }
    pool->workers[w->index - 1] = NULL;
    pool->alive--;
    if (w->state == MF_WORKER_BUSY)
        tell_freed(w);
}

void mf_pool_free_worker(struct mf_worker *w)
{
    struct mf_pool *pool = w->pool;
    mf_list_remove(&w->link);
    pthread_cond_destroy(&w->wake);
    free(w);
    mf_pool_unref(pool);
}

int mf_pool_free_slot(const struct mf_pool *pool)
{
    for (int i = 0; i < pool->size; i++)
        if (!pool->workers[i])
            return i + 1;
    return 0;
}

bool mf_pool_has_live(const struct mf_pool *pool, uint64_t live)
{
    for (int i = 0; i < pool->size; i++)
        if (pool->workers[i] && pool->workers[i]->live == live)
            return true;
    return false;
}

void mf_worker_move(struct mf_worker *w, enum mf_worker_state from, enum mf_worker_state to)
{
    if (w->state != from || !(legal[from] & BIT(to))) {
        fprintf(stderr, "moonfleet: worker %s cannot go from %s to %s (it is %s)\n", w->name, names[from], names[to],
                names[w->state]);
        abort();
    }
    if (from == MF_WORKER_STARTING || to >= MF_WORKER_STOPPING)
        mf_log(MF_LOG_POOL, "worker %s: %s -> %s", w->name, names[from], names[to]);
    w->state = to;
    if (from == MF_WORKER_BUSY && !w->abandoned)
        tell_freed(w);
}

/* --- The end ---------------------------------------------------------------------------------------------------- */

void mf_pool_join_leavers(struct mf_pool *pool)
{
    struct mf_owner *owner = pool->owner;
    mf_pool_ref(pool);
    while (!mf_list_empty(&pool->leavers)) {
        struct mf_worker *w = MF_LIST_ENTRY(pool->leavers.next, struct mf_worker, link);
        mf_list_remove(&w->link);
        pthread_mutex_unlock(&owner->lock);
        pool->backend->join(w);
        pthread_mutex_lock(&owner->lock);
        mf_pool_free_worker(w);
    }
    mf_pool_unref(pool);
}
