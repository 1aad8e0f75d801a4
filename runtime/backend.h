/* The table of backends: how the futures of a pool are resolved. One const table a backend, all in one array, looked
 * up by name. Adding a backend is one file and one line in backend.c.
 *
 * Every function is called with the runtime's lock held, unless it says otherwise. */
#ifndef MF_BACKEND_H
#define MF_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

struct mf_future;
struct mf_host;
struct mf_pool;
struct mf_setup;
struct mf_worker;

struct mf_backend {
    const char *name; /* as the user writes it */

    /* Tasks run beside the owner. If false, they run on the owner's thread, in turn(). */
    bool asynchronous;

    /* Workers are forks of the owner's process: tasks may refer to its memory (mf_future_live). */
    bool inherits;

    /* Makes workers that are to be there before the first task; waits for them. Called WITHOUT the lock, by the owner.
     * MF_EINTR, or an error and a fault when none can be had for a reason of this side. NULL where they come as they are
     * needed. */
    enum mf_err (*open)(struct mf_pool *pool, struct mf_fault *fault);

    /* Workers are processes of this machine, to which blocks go by descriptor: large ones are best made ready for that
     * before the lock is taken (mf_holds_export). */
    bool maps;

    /* Something was queued: see that it gets a worker. Fills fault and returns an error when no worker can be had
     * at all; the caller then fails what is queued. */
    enum mf_err (*feed)(struct mf_pool *pool, struct mf_fault *fault);

    /* Tasks are queued or sent ahead for longer than feed expected. NULL if feed has no expectations. */
    void (*overdue)(struct mf_pool *pool);

    /* Looks whether workers that are far away still answer; returns when to look again. NULL where nothing is far. */
    uint64_t (*beat)(struct mf_pool *pool, uint64_t now);

    /* On the owner's own thread: forks workers for that number until there are n of them, as far as there is room, or
     * else makes room. NULL where nothing is inherited. */
    enum mf_err (*provide)(struct mf_pool *pool, uint64_t live, int n, struct mf_fault *fault);

    /* Does what only the owner's own thread, which calls it, can do for what is queued: runs it (and the queue is empty
     * afterwards), or forks workers for it. Lock held on entry and exit, not while a task runs. NULL where there is no
     * such thing. */
    void (*turn)(struct mf_pool *pool);

    /* f, which is SENT, is about to be cancelled: its agent need not start it. NULL where nothing is sent ahead. */
    void (*withdraw)(struct mf_pool *pool, struct mf_future *f);

    /* A setup was added that workers are to run which start later: tells those who start workers elsewhere. NULL where
     * all are started here. */
    void (*remember)(struct mf_pool *pool, const struct mf_setup *setup);

    /* A host's agent has ended; text says how. NULL where there are no hosts. */
    void (*departed)(struct mf_pool *pool, struct mf_host *host, const char *text);

    /* Blocks may have been let go of: tells workers that have nothing to do, and agents that have them too. NULL where
     * that is nobody's business. */
    void (*tidy)(struct mf_pool *pool);

    /* Asks the worker to stop its task soon; its result is not wanted any more. May not block. */
    void (*interrupt)(struct mf_worker *worker);

    /* The worker did not stop within the grace time: give it up, so that its slot can be filled again. */
    void (*abandon)(struct mf_worker *worker);

    /* No more tasks will come and the queue is empty: wakes the workers so that they leave. */
    void (*leave)(struct mf_pool *pool);

    /* Frees what a worker that has left holds (joins its thread). Called WITHOUT the lock, by the owner. */
    void (*join)(struct mf_worker *worker);
};

/* The backend of that name, or NULL. With tracing on (log area backend) it is one that logs each call. */
const struct mf_backend *mf_backend_find(const char *name);

/* The i-th backend's name, from 0; NULL past the end. */
const char *mf_backend_name(int i);

extern const struct mf_backend mf_backend_sequential;
extern const struct mf_backend mf_backend_threads;
extern const struct mf_backend mf_backend_forks;
extern const struct mf_backend mf_backend_processes;
extern const struct mf_backend mf_backend_cluster;

#endif
