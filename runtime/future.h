/* One future's record, its states and what may follow what. Used inside runtime/ and read by vm/ through runtime.h.
 *
 * Locking: refs and state are atomic; whoever holds a reference may read state, worker and the label at any time, and
 * result, failure and elapsed once the state is final (the final state is stored last, with release). Everything else
 * belongs to the runtime's lock. Dropping the last reference takes no lock, so a finalizer may do it. */
#ifndef MF_FUTURE_H
#define MF_FUTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "list.h"
#include "runner.h"

enum mf_future_state {
    MF_FUTURE_CREATED,   /* not queued yet: lazy, or waiting for the futures it was given as arguments */
    MF_FUTURE_QUEUED,    /* waiting for a worker */
    MF_FUTURE_SENT,      /* on its way to a worker on the other side of a link */
    MF_FUTURE_RUNNING,   /* a worker runs it */
    MF_FUTURE_DONE,      /* from here on final: result holds values */
    MF_FUTURE_FAILED,    /* result holds an error value, or failure says why there is none */
    MF_FUTURE_CANCELLED, /* nobody wants it any more */
    MF_FUTURE_LOST,      /* its worker died or could not serve; extra->fault says how */
};

enum mf_failure {
    MF_FAILURE_NONE,
    MF_FAILURE_ERROR,   /* the task raised an error: result holds it */
    MF_FAILURE_TIMEOUT, /* the rest have a text in extra->fault, not bytes of the runner */
    MF_FAILURE_CANCELLED,
    MF_FAILURE_LOST,
};

enum mf_output {
    MF_OUTPUT_RELAY, /* kept, and printed when the value is collected */
    MF_OUTPUT_LIVE,  /* handed to the runner's live() at once */
    MF_OUTPUT_DISCARD,
};

struct mf_pool;
struct mf_future;

/* A future that waits for another one. */
struct mf_dependent {
    struct mf_future *future; /* a reference */
    struct mf_dependent *next;
};

/* What most futures do not have. */
struct mf_future_extra {
    char *label;      /* or NULL */
    uint64_t timeout; /* nanoseconds of running; 0 = none */
    unsigned retries; /* that are left */
    bool retry_on_error;
    int priority;
    int worker;              /* pinned to that worker, from 1; 0 = any */
    uint64_t live;           /* only a worker that was forked for this number can run it; 0 = any can */
    struct mf_future **deps; /* references; released when this future is final */
    size_t ndeps;
    size_t waiting;       /* deps that are not final */
    struct mf_buf output; /* records: stream (1 byte), length (8 bytes, native), bytes */
    double progress;      /* last reported fraction; negative = none */
    char progress_text[64];
    char fault[160]; /* words for failures that are not the runner's */
};

struct mf_future {
    struct mf_list link; /* in a queue */
    atomic_uint refs;
    _Atomic uint8_t state;
    uint8_t failure;
    uint8_t output;
    uint8_t attempts;     /* times it was started */
    struct mf_blob *code; /* code and args are released when the future is final */
    struct mf_blob *args;
    struct mf_blob *result;
    struct mf_pool *pool;                    /* valid while not final */
    _Atomic(struct mf_future_extra *) extra; /* changes once, from NULL */
    struct mf_dependent *dependents;
    uint64_t id;
    uint64_t seed, stream;
    uint64_t elapsed;  /* nanoseconds of its last run */
    const char *host;  /* name of the host that ran it last (mf_owner_place), or NULL */
    atomic_int worker; /* index of the worker that ran it last, from 1; 0 = none */
    bool watched;      /* the owner waits for it */
    bool lazy;         /* CREATED until somebody asks */
    bool setup;
    bool modules; /* it may tell a worker that was forked just now from one that was forked before */
};

/* A record in state CREATED with one reference, all else zero; NULL when memory is out. */
struct mf_future *mf_future_new(void);
/* A record that is DONE, or FAILED with an error, without bytes: a resolved future that came as a value. */
struct mf_future *mf_future_resolved(bool done, const char *label);
struct mf_future *mf_future_ref(struct mf_future *f);
void mf_future_unref(struct mf_future *f); /* any thread, no lock; NULL is allowed */

/* f->extra, made if need be; NULL when memory is out. */
struct mf_future_extra *mf_future_extra_get(struct mf_future *f);

static inline enum mf_future_state mf_future_state(const struct mf_future *f)
{
    return (enum mf_future_state)atomic_load_explicit(&f->state, memory_order_acquire);
}

static inline bool mf_future_final(const struct mf_future *f)
{
    return mf_future_state(f) >= MF_FUTURE_DONE;
}

/* What f refers to in the memory of its owner (see mf_future_extra); 0: nothing. */
static inline uint64_t mf_future_live(struct mf_future *f)
{
    const struct mf_future_extra *extra = atomic_load_explicit(&f->extra, memory_order_acquire);
    return extra ? extra->live : 0;
}

/* "created", "queued", ... */
const char *mf_future_state_name(enum mf_future_state state);

/* Moves f from the state that the caller names to another one. A move that the table does not allow, or from a
 * state that f is not in, is a fault of this program: it aborts with a line that says which. */
void mf_future_move(struct mf_future *f, enum mf_future_state from, enum mf_future_state to);

/* Appends what a task printed to the record of f. False when memory is out. */
bool mf_future_print(struct mf_future *f, enum mf_stream stream, const void *bytes, size_t n);

#endif
