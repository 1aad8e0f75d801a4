/* The workers of a plan and their states.
 *
 * Locking: everything belongs to the runtime's lock, except what is marked atomic and a worker's interpreter
 * (instance), which only the thread that runs the worker touches.
 *
 * A pool lives as long as something refers to it: its owner's handle, each of its threads, each future of it that is
 * not final. */
#ifndef MF_POOL_H
#define MF_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend.h"
#include "buf.h"
#include "codes.h"
#include "host.h"
#include "list.h"
#include "owner.h"
#include "queue.h"
#include "runner.h"

#define MF_POOL_GRACE       500000000ull      /* nanoseconds: an interrupted task may take that long to stop */
#define MF_POOL_QUEUE_BYTES ((size_t)1 << 30) /* default of queue_bytes */
#define MF_POOL_WORKERS_MAX 4096
#define MF_POOL_HEARTBEAT   5000000000u /* nanoseconds; an agent that misses MF_POOL_MISSES of them is lost */
#define MF_POOL_MISSES      3
#define MF_POOL_BIRTHS      3 /* workers in a row that fail to start before the pool gives up */

enum mf_worker_state {
    MF_WORKER_STARTING,
    MF_WORKER_IDLE,
    MF_WORKER_BUSY,
    MF_WORKER_STOPPING,
    MF_WORKER_DEAD,
};

struct mf_worker {
    struct mf_list link; /* among the pool's sleepers while it sleeps, or among its leavers */
    struct mf_port port; /* of the task it runs */
    struct mf_pool *pool;
    enum mf_worker_state state;
    int index;                 /* from 1 */
    char name[32];             /* "threads/2" */
    const char *host;          /* where it is (mf_owner_place), or NULL */
    struct mf_future *running; /* the runtime's reference; NULL when idle, or when nobody wants the result any more */
    uint64_t started;          /* when running was started */
    uint64_t deadline;         /* when to act: the task's time limit, or the end of the grace time */
    bool interrupted;          /* asked to stop; deadline is the end of the grace time */
    bool abandoned;            /* does not belong to the pool's slots any more; frees itself when it ends */
    atomic_bool wanted;        /* the interrupt signal is meant for the present task */
    struct mf_list pinned;     /* futures for this worker only */
    unsigned pins;             /* of these, how many its agent has */
    size_t setups;             /* how many of the pool's setups it runs at birth */
    uint64_t live;             /* what of its owner's memory it was forked for; 0: nothing in particular */
    bool provided;             /* that was for a map which is yet to make most of its tasks (mf_runtime_provide) */
    void *instance;            /* the runner's interpreter */
    char broken[160];          /* why it cannot serve (a setup failed), or empty */
    pthread_t thread;          /* backends that have threads */
    pthread_cond_t wake;
};

/* A task that every worker runs before its first one. */
struct mf_setup {
    struct mf_blob *code, *args;
};

struct mf_pool {
    struct mf_list link; /* among the runtime's pools */
    struct mf_owner *owner;
    const struct mf_backend *backend;
    unsigned refs;
    struct mf_queue queue;
    struct mf_worker **workers; /* slots 0..size-1; NULL = not started */
    int size;
    int cores;               /* of the machine, as far as this process may use them */
    int alive;               /* workers that have started and not left, abandoned ones not counted */
    int starting;            /* of these: not yet looking for work */
    int spinners;            /* idle workers that spin */
    struct mf_list created;  /* futures of the pool that are CREATED */
    struct mf_list sleepers; /* idle workers that sleep, the last to fall asleep first */
    int waking;              /* woken, but not yet looking for work */
    struct mf_list ahead;    /* futures that are SENT */
    struct mf_list leavers;  /* workers that have left and can be joined */
    int running;             /* futures in state RUNNING */
    int sent;                /* futures in state SENT */
    int awaited;             /* answers of agents that are yet to come, and ends of those that were asked to end */
    uint64_t mean;           /* nanoseconds that a task has taken of late */
    uint64_t trip;           /* and its way to an agent and back, where that is far; of late the longest */
    int births;              /* workers in a row that failed to start */
    struct mf_codes codes;   /* backends with agents: what was sent to them */
    char *module_path;       /* where modules are that agents ask for; or NULL */
    struct mf_hosts *hosts;  /* of a cluster; or NULL */
    struct mf_loop_watch hosts_watch;
    bool desperate;       /* nobody was there for what is queued, and all hosts have been called */
    char *program;        /* of which agents are made; or NULL: this one */
    struct mf_blob *init; /* for the runner's open */
    struct mf_setup *setups;
    size_t nsetups;
    pid_t *unburied; /* processes of agents that were killed and had not ended yet when they were given up */
    size_t nunburied;
    uint64_t grace;
    uint64_t heartbeat; /* nanoseconds between two looks at agents that work */
    size_t queue_bytes;
    bool lasting;   /* workers stay until the pool is closed, also those that others would make for the moment only */
    int held;       /* maps at work: workers that are made for the moment stay */
    bool quiet;     /* whoever queues now looks at the queue itself: no worker need be woken */
    uint64_t fresh; /* mf_future_live of the task that the owner is making, whose memory is as it wants it; 0: none */
    bool wanting;   /* the owner waits until it can fork a worker, though nothing is queued */
    bool retired;   /* no new tasks: workers leave when there is nothing to do */
    bool closing;
    bool handle;         /* the owner's handle counts among refs */
    pthread_cond_t gone; /* a worker has left, or an abandoned one has ended */
    /* The owner's handle is gone: set without the lock, by a finalizer. Apart from the flags above, since a compiler may read
     * several of them as one word. */
    atomic_bool released;
};

struct mf_pool_options {
    int workers;             /* 1 .. MF_POOL_WORKERS_MAX */
    bool lasting;            /* see mf_pool */
    double grace;            /* seconds; negative = default */
    double heartbeat;        /* seconds; 0 = default */
    size_t queue_bytes;      /* 0 = default */
    struct mf_blob *init;    /* taken over on success */
    struct mf_hosts *hosts;  /* of a cluster: taken over on success; workers is 0 then. Else NULL */
    const char *module_path; /* copied; where modules are that agents ask for, like package.path; NULL: nowhere */
    const char *program;     /* copied; which program agents are made of; NULL: this one */
};

/* A pool of that backend; workers start on demand. NULL and a fault on failure. Lock not held. */
struct mf_pool *mf_pool_new(struct mf_owner *owner, const struct mf_backend *backend,
                            const struct mf_pool_options *options, struct mf_fault *fault);
void mf_pool_ref(struct mf_pool *pool);
void mf_pool_unref(struct mf_pool *pool); /* frees at the last reference */

/* A started worker's record in the free slot index (from 1), state STARTING; NULL when memory is out. */
struct mf_worker *mf_pool_add_worker(struct mf_pool *pool, int index);
/* Undoes add_worker when its thread could not be made. */
void mf_pool_drop_worker(struct mf_worker *worker);
void mf_pool_free_worker(struct mf_worker *worker);

/* A slot without a worker, from 1; 0 when there is none. */
int mf_pool_free_slot(const struct mf_pool *pool);

/* Is there a worker that was forked for that number? */
bool mf_pool_has_live(const struct mf_pool *pool, uint64_t live);

/* Moves a worker between states; like mf_future_move. */
void mf_worker_move(struct mf_worker *worker, enum mf_worker_state from, enum mf_worker_state to);

/* Joins the workers that have left. Lock held on entry and exit, not while joining. */
void mf_pool_join_leavers(struct mf_pool *pool);

/* What the task of f, which runs on that worker, has printed or reported. Lock held on entry and exit; print lets go of
 * it while live output is written. */
void mf_pool_print(struct mf_worker *worker, struct mf_future *f, enum mf_stream stream, const void *bytes, size_t n);
void mf_pool_progress(struct mf_worker *worker, struct mf_future *f, double fraction, const char *text);

#endif
