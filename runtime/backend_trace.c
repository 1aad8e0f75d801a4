/* Design note: a twin must know whom it forwards to, and the table's functions get only a pool or a worker. Both know
 * the backend's name, and the twin has the same name, so the real table is found through it. */
#include "backend_trace.h"

#include <string.h>

#include "log.h"
#include "pool.h"

static const struct mf_backend *const real[] = {&mf_backend_sequential, &mf_backend_threads, &mf_backend_forks,
                                                &mf_backend_processes, &mf_backend_cluster};

static const struct mf_backend *real_of(const struct mf_pool *pool)
{
    size_t i = 0;
    while (strcmp(real[i]->name, pool->backend->name) != 0)
        i++;
    return real[i];
}

static enum mf_err trace_open(struct mf_pool *pool, struct mf_fault *fault)
{
    enum mf_err e = real_of(pool)->open(pool, fault);
    mf_log(MF_LOG_BACKEND, "%s: open: %s", pool->backend->name, mf_err_text(e));
    return e;
}

static void trace_remember(struct mf_pool *pool, const struct mf_setup *setup)
{
    mf_log(MF_LOG_BACKEND, "%s: remember setup %zu", pool->backend->name, pool->nsetups);
    real_of(pool)->remember(pool, setup);
}

static void trace_departed(struct mf_pool *pool, struct mf_host *host, const char *text)
{
    mf_log(MF_LOG_BACKEND, "%s: %s departed", pool->backend->name, host->name);
    real_of(pool)->departed(pool, host, text);
}

static enum mf_err trace_feed(struct mf_pool *pool, struct mf_fault *fault)
{
    enum mf_err e = real_of(pool)->feed(pool, fault);
    mf_log(MF_LOG_BACKEND, "%s: feed, %zu pending, %d alive: %s", pool->backend->name,
           atomic_load(&pool->queue.pending), pool->alive, mf_err_text(e));
    return e;
}

static void trace_overdue(struct mf_pool *pool)
{
    mf_log(MF_LOG_BACKEND, "%s: overdue, %zu pending", pool->backend->name, atomic_load(&pool->queue.pending));
    real_of(pool)->overdue(pool);
}

static uint64_t trace_beat(struct mf_pool *pool, uint64_t now)
{
    mf_log(MF_LOG_BACKEND, "%s: beat, %d running", pool->backend->name, pool->running);
    return real_of(pool)->beat(pool, now);
}

static void trace_turn(struct mf_pool *pool)
{
    mf_log(MF_LOG_BACKEND, "%s: turn, %zu pending", pool->backend->name, atomic_load(&pool->queue.pending));
    real_of(pool)->turn(pool);
}

static enum mf_err trace_provide(struct mf_pool *pool, uint64_t live, int n, struct mf_fault *fault)
{
    enum mf_err e = real_of(pool)->provide(pool, live, n, fault);
    mf_log(MF_LOG_BACKEND, "%s: provide %d for %llu, %d alive: %s", pool->backend->name, n, (unsigned long long)live,
           pool->alive, mf_err_text(e));
    return e;
}

static void trace_withdraw(struct mf_pool *pool, struct mf_future *f)
{
    mf_log(MF_LOG_BACKEND, "%s: withdraw future %llu", pool->backend->name, (unsigned long long)f->id);
    real_of(pool)->withdraw(pool, f);
}

static void trace_interrupt(struct mf_worker *worker)
{
    mf_log(MF_LOG_BACKEND, "%s: interrupt", worker->name);
    real_of(worker->pool)->interrupt(worker);
}

static void trace_abandon(struct mf_worker *worker)
{
    mf_log(MF_LOG_BACKEND, "%s: abandon", worker->name);
    real_of(worker->pool)->abandon(worker);
}

static void trace_leave(struct mf_pool *pool)
{
    mf_log(MF_LOG_BACKEND, "%s: leave, %d alive", pool->backend->name, pool->alive);
    real_of(pool)->leave(pool);
}

static void trace_tidy(struct mf_pool *pool)
{
    mf_log(MF_LOG_BACKEND, "%s: tidy", pool->backend->name);
    real_of(pool)->tidy(pool);
}

static void trace_join(struct mf_worker *worker)
{
    mf_log(MF_LOG_BACKEND, "%s: join", worker->name);
    real_of(worker->pool)->join(worker);
}

static const struct mf_backend twins[] = {
    {
        .name = "sequential",
        .asynchronous = false,
        .feed = trace_feed,
        .turn = trace_turn,
        .interrupt = trace_interrupt,
        .abandon = trace_abandon,
        .leave = trace_leave,
        .join = trace_join,
    },
    {
        .name = "threads",
        .asynchronous = true,
        .tidy = trace_tidy,
        .feed = trace_feed,
        .overdue = trace_overdue,
        .interrupt = trace_interrupt,
        .abandon = trace_abandon,
        .leave = trace_leave,
        .join = trace_join,
    },
    {
        .name = "forks",
        .asynchronous = true,
        .inherits = true,
        .maps = true,
        .feed = trace_feed,
        .provide = trace_provide,
        .turn = trace_turn,
        .overdue = trace_overdue,
        .beat = trace_beat,
        .tidy = trace_tidy,
        .withdraw = trace_withdraw,
        .interrupt = trace_interrupt,
        .abandon = trace_abandon,
        .leave = trace_leave,
        .join = trace_join,
    },
    {
        .name = "processes",
        .asynchronous = true,
        .maps = true,
        .feed = trace_feed,
        .overdue = trace_overdue,
        .beat = trace_beat,
        .tidy = trace_tidy,
        .withdraw = trace_withdraw,
        .interrupt = trace_interrupt,
        .abandon = trace_abandon,
        .leave = trace_leave,
        .join = trace_join,
    },
    {
        .name = "cluster",
        .asynchronous = true,
        .open = trace_open,
        .feed = trace_feed,
        .overdue = trace_overdue,
        .beat = trace_beat,
        .withdraw = trace_withdraw,
        .remember = trace_remember,
        .departed = trace_departed,
        .tidy = trace_tidy,
        .interrupt = trace_interrupt,
        .abandon = trace_abandon,
        .leave = trace_leave,
        .join = trace_join,
    },
};

const struct mf_backend *mf_backend_traced(const struct mf_backend *backend)
{
    for (size_t i = 0; i < sizeof twins / sizeof twins[0]; i++)
        if (strcmp(twins[i].name, backend->name) == 0)
            return &twins[i];
    return backend;
}
