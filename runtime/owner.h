/* The owner: the thread that makes futures and waits for them, its lock, its sleep, and its alarm.
 *
 * One lock guards all state of one owner's futures, pools and workers. The owner sleeps on one semaphore; whoever
 * resolves the last future it waits for posts it. A task that makes futures of its own is an owner of its own. */
#ifndef MF_OWNER_H
#define MF_OWNER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "area.h"
#include "err.h"
#include "future.h"
#include "list.h"
#include "loop.h"
#include "pages.h"
#include "runner.h"

struct mf_owner;
struct mf_peer;
struct mf_place;
struct mf_worker;

/* For an owner that works for a master beyond a link (node.h): what becomes of its futures is told at once. Called with the
 * lock held, by whatever thread it happens on. */
struct mf_owner_hooks {
    void (*final)(struct mf_owner *owner, struct mf_future *f);
    /* A worker is done with its task, or was given up; called in the middle of that, so nothing may be started. */
    void (*freed)(struct mf_owner *owner, const struct mf_worker *worker);
    void (*output)(struct mf_owner *owner, struct mf_future *f, enum mf_stream stream, const void *bytes, size_t n);
    void (*progress)(struct mf_owner *owner, struct mf_future *f, double fraction, const char *text);
    /* What an agent of the owner's has written to its stderr: a line without its end. May not wait. */
    void (*line)(struct mf_owner *owner, const char *worker, const char *text);
    /* Does so much wait for the master that agents of the owner's are not to be read? Who says so says mf_peer_update_watch
     * for all of them when that is over. */
    bool (*full)(const struct mf_owner *owner);
    /* A worker lacks a module: the answer's body, NULL when memory is out. Waits; the lock is not held meanwhile. */
    struct mf_blob *(*fetch)(struct mf_owner *owner, const char *name);
    /* The same for an agent of the owner's, which is answered later: mf_link_queue of a MODULE with that id. */
    enum mf_err (*forward)(struct mf_owner *owner, struct mf_peer *peer, uint64_t id, const char *name);
};

struct mf_owner {
    pthread_mutex_t lock;
    const struct mf_runner *runner;
    void *context;                      /* for runner->live and the hooks */
    const struct mf_owner_hooks *hooks; /* or NULL */
    pthread_mutex_t output_lock; /* held while runner->live prints, so that lines do not mix; nothing is taken in it */
    atomic_uint refs;            /* the owner, and every worker thread */
    struct mf_list pools;        /* under lock, like all below that is not atomic */
    sem_t wake;                  /* the owner sleeps here */
    bool sleeping;
    atomic_bool interrupted;  /* an interrupt action ran while the owner waited */
    atomic_bool nudged;       /* see mf_owner_nudge */
    bool wants_room;          /* the owner waits until a queue is shorter */
    atomic_size_t watch_left; /* futures that must be resolved before the owner goes on */
    pthread_t thread;         /* the owner's */
    struct mf_loop *loop;     /* of the links to agents; NULL while there are none */
    struct mf_pages *pages;   /* of large blocks, a reference; NULL: there is none */
    struct mf_areas *areas;   /* of the links to agents on this machine, a reference; NULL: none are shared */
    uint64_t warm;            /* nanoseconds for which memory of large bodies is kept after the last one */
    uint64_t cool_at;         /* when pages and areas give back what they keep; MF_SYS_NEVER: they keep nothing */
    struct mf_place *places;  /* see mf_owner_place */
    int notes[2];             /* of mf_owner_notes; -1: nobody has asked for it */
    bool turns;               /* the owner's own thread turns the loop */
    uint64_t expected;        /* until then an answer is likely to come, and worth being awake for */
    atomic_bool untidy;       /* something was let go of by a finalizer, or a worker has left */
    atomic_bool let_go;       /* and it may be a block that others have too */
    bool closing;
    uint64_t next_id;
    uint64_t (*on_alarm)(struct mf_owner *owner); /* acts on what is due, returns the next moment; under the lock */
    uint64_t alarm;                               /* when the alarm thread wakes */
    bool alarm_runs;
    pthread_t alarm_thread;
    pthread_cond_t alarm_changed;
};

/* NULL and a fault when memory is out. */
struct mf_owner *mf_owner_new(const struct mf_runner *runner, void *context, uint64_t (*on_alarm)(struct mf_owner *),
                              struct mf_fault *fault);
void mf_owner_ref(struct mf_owner *owner);
void mf_owner_unref(struct mf_owner *owner); /* any thread, lock not held */

/* --- Waiting ---------------------------------------------------------------------------------------------------- */

/* Counts the futures among the n that are not final and marks them, so that resolving them counts watch_left down;
 * watch_left becomes what is still missing to need. Lock held. */
void mf_owner_watch(struct mf_owner *owner, struct mf_future *const *futures, size_t n, size_t need);
void mf_owner_unwatch(struct mf_owner *owner, struct mf_future *const *futures, size_t n); /* lock held */

/* Until watch_left is 0: spins, then sleeps. Returns MF_OK, MF_ETIMEDOUT, MF_EINTR, or MF_OK early when the owner was
 * nudged; the caller looks at watch_left. Lock held on entry and exit, not while it waits. */
enum mf_err mf_owner_sleep(struct mf_owner *owner, uint64_t deadline);

/* The owner's loop, made at the first call; NULL and a fault when that is impossible. Lock held. */
struct mf_loop *mf_owner_loop(struct mf_owner *owner, struct mf_fault *fault);

/* Large blocks are of these pages from now on; takes a reference, NULL allowed. Call it before there are workers. */
void mf_owner_use(struct mf_owner *owner, struct mf_pages *pages);

/* The name of a host, as long as the owner is there: the same text gives the same pointer. NULL when memory is out. Lock
 * held. */
const char *mf_owner_place(struct mf_owner *owner, const char *name);

/* Makes areas, for links and buffers to use (area.h), unless there are any; where memory is out there are none. By the
 * owner's thread, before there are such links. */
void mf_owner_share(struct mf_owner *owner);

/* A large body passes: for a while, the memory that it took is kept for the next one. Lock held. */
void mf_owner_warm(struct mf_owner *owner);

/* Wakes the owner if it sleeps: there is something to do for it. Lock held. */
void mf_owner_nudge(struct mf_owner *owner);

/* f became final. Lock held. */
void mf_owner_resolved(struct mf_owner *owner, struct mf_future *f);

/* A descriptor that becomes readable (at once, too) when a future is resolved, and stays so until mf_owner_read_notes;
 * made at the first call and closed with the owner. -1 and errno when there is none. The owner's thread, lock not held. */
int mf_owner_notes(struct mf_owner *owner);
void mf_owner_read_notes(struct mf_owner *owner);

/* --- The alarm -------------------------------------------------------------------------------------------------- */

/* Sees that on_alarm is called at that moment or before. Lock held. Starts the alarm's thread the first time; when
 * that cannot be had, it is logged and time limits do not work. */
void mf_owner_alarm(struct mf_owner *owner, uint64_t moment);

/* Ends the alarm's thread. Lock not held. */
void mf_owner_alarm_stop(struct mf_owner *owner);

#endif
