/* The runtime: opens and closes it all, and is the one door that vm/ uses. Unless a function says otherwise, only the
 * owner's thread calls it, without the lock. */
#ifndef MF_RUNTIME_H
#define MF_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "future.h"
#include "owner.h"
#include "pool.h"
#include "runner.h"

/* What submit takes. code and args: the caller's references go to the future, on failure too. */
struct mf_future_spec {
    struct mf_blob *code, *args;
    struct mf_future **deps; /* borrowed; copied */
    size_t ndeps;
    const char *label; /* borrowed; copied; may be NULL */
    double timeout;    /* seconds of running; 0 = none */
    unsigned retries;
    bool retry_on_error;
    int priority;
    int worker;    /* pinned to that worker, from 1; 0 = any */
    uint64_t live; /* it refers to the memory of its owner, under that number; 0 = it does not */
    bool stale;    /* that memory may have changed since: workers that have it from then serve, if there are any */
    bool modules;  /* what it does may depend on what its worker has loaded: a kept fork is not for it */
    enum mf_output output;
    bool setup, lazy;
    uint64_t seed, stream;
};

/* context is handed to runner->live. NULL and a fault when memory is out. */
struct mf_owner *mf_runtime_new(const struct mf_runner *runner, void *context, struct mf_fault *fault);

/* Cancels and closes everything, within a second whatever the grace times are; futures stay valid and final. Returns
 * how many futures were not final (lazy ones that were never asked for are not counted). Idempotent. mf_owner_unref
 * then drops the memory, when the last abandoned worker has ended. */
size_t mf_runtime_close(struct mf_owner *owner);

/* A pool of the backend of that name; see mf_pool_new. An unknown name is MF_EINVAL and lists the ones there are. */
struct mf_pool *mf_runtime_pool(struct mf_owner *owner, const char *backend, const struct mf_pool_options *options,
                                struct mf_fault *fault);

/* Starts workers that are to be there before the first task, and waits for them (backend.h). MF_OK where there are none
 * such. */
enum mf_err mf_runtime_open(struct mf_pool *pool, struct mf_fault *fault);

/* Workers that the pool has or may have; of hosts, those that have been there by now. Their numbers need not be the first
 * ones then. */
int mf_runtime_workers(struct mf_pool *pool);

/* Is it of any use to pin a future to that worker (from 1)? Not while its host is not there. */
bool mf_runtime_has_worker(struct mf_pool *pool, int worker);

/* Modules that agents ask for are looked for there from now on; like package.path. False when memory is out. */
bool mf_runtime_module_path(struct mf_pool *pool, const char *path);

/* No new futures will come: workers leave when nothing is left to do. The handle stays valid. */
void mf_runtime_retire(struct mf_pool *pool);

/* The owner's handle is gone; what is queued still runs. Takes no lock, so a finalizer may call it. */
void mf_runtime_release(struct mf_pool *pool);

/* Makes a future and queues it (unless lazy or waiting for deps). On a backend that is not asynchronous the task has
 * run when this returns. Waits while the pool's queue is over its byte limit, and, for a task that refers to the memory
 * of its owner, until a worker has been forked that has that memory. Returns a reference for the caller;
 * NULL and a fault on failure (MF_ECLOSED, MF_ENOMEM, MF_EINVAL, MF_EINTR). */
struct mf_future *mf_runtime_submit(struct mf_pool *pool, const struct mf_future_spec *spec, struct mf_fault *fault);

/* Forks up to n workers, as places are free, that have the owner's memory as it is now, for tasks that will refer to it
 * under that number; waits until there is one. MF_OK also when none can be made, which the tasks will say; MF_EINTR. */
enum mf_err mf_runtime_provide(struct mf_pool *pool, uint64_t live, int n);

/* A map begins or ends to work on the pool: meanwhile workers that are made for the moment stay. */
void mf_runtime_hold(struct mf_pool *pool);
void mf_runtime_let_go(struct mf_pool *pool);

/* The same with the lock held, for an owner that never waits (node.h). quiet: the calling thread is a worker of the pool and
 * looks for work when it returns, so nobody is woken. */
struct mf_future *mf_runtime_admit(struct mf_pool *pool, const struct mf_future_spec *spec, bool quiet,
                                   struct mf_fault *fault);

/* Remembers a task that every worker of the pool which starts from now on runs first. References taken over on
 * success. */
enum mf_err mf_runtime_setup(struct mf_pool *pool, struct mf_blob *code, struct mf_blob *args);
enum mf_err mf_runtime_setup_locked(struct mf_pool *pool, struct mf_blob *code, struct mf_blob *args);

/* Cancels everything in the pool, waits for its workers (at most twice the grace time) and joins them. The handle stays
 * valid; submit then says MF_ECLOSED. Idempotent. */
void mf_runtime_close_pool(struct mf_pool *pool);

/* Waits until need of the n futures (all, when need is more) are final. MF_OK, MF_ETIMEDOUT or MF_EINTR. Starts lazy
 * futures. */
enum mf_err mf_runtime_wait(struct mf_owner *owner, struct mf_future *const *futures, size_t n, size_t need,
                            uint64_t deadline);

/* Waits until the deadline (mf_sys_now's clock) while the owner's futures go on: MF_ETIMEDOUT, or MF_EINTR. */
enum mf_err mf_runtime_sleep(struct mf_owner *owner, uint64_t deadline);

/* Is f final? Starts it when it is lazy, and never blocks (on a synchronous backend it runs the task). */
bool mf_runtime_poll(struct mf_owner *owner, struct mf_future *f);

/* Does what only the owner's own thread can do for what is queued (backend.h: turn). Never blocks, but for tasks that
 * run here. */
void mf_runtime_turn(struct mf_owner *owner);

/* Does what finalizers have put off, if there is anything: every call does so first, this one does nothing else. */
void mf_runtime_tidy(struct mf_owner *owner);

bool mf_runtime_cancel(struct mf_owner *owner, struct mf_future *f); /* false when it was final */

/* Appends what the task of f has printed so far, as records (future.h); false when memory is out. */
bool mf_runtime_output(struct mf_owner *owner, struct mf_future *f, struct mf_buf *out);

/* Nanoseconds for which a worker has been running f; 0 when none is. */
uint64_t mf_runtime_running(struct mf_owner *owner, struct mf_future *f);

/* Name of the host of a cluster that ran f last, if it is known; as long as the owner. */
const char *mf_runtime_host(struct mf_owner *owner, const struct mf_future *f);

/* How many futures are not final (lazy ones that were never asked for are not counted). */
size_t mf_runtime_open_count(struct mf_owner *owner);

/* The last reported fraction (false when none was) and text (64 bytes). */
bool mf_runtime_progress(struct mf_owner *owner, struct mf_future *f, double *fraction, char *text);

#endif
