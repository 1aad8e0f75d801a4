/* The event loop: descriptors and wake-ups on poll(2). Part of one owner (or of one agent): whoever waits turns it.
 *
 * Everything is called with the lock that the loop was made with held, except mf_loop_wake. Callbacks run with the
 * lock held, on the thread that turns; they may add, change and remove watches, their own too, and let go of the lock
 * for a while, but not turn. */
#ifndef MF_LOOP_H
#define MF_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "list.h"

enum mf_loop_event {
    MF_LOOP_READ = 1,
    MF_LOOP_WRITE = 2,
    MF_LOOP_HANGUP = 4, /* reported whether asked for or not: the other end is gone, or the descriptor is broken */
    MF_LOOP_AGAIN = 8,  /* asked for: be called at the next turn without waiting; reported as MF_LOOP_READ */
    MF_LOOP_BULK = 16,  /* asked for: much is on its way, so sleep instead of spinning; never reported */
};

/* One watched descriptor; part of the caller's struct. The caller sets fd, events and ready before the add and leaves the
 * rest zero; after it, all fields are the loop's until the remove. One that hangs up is called at each turn until it is
 * removed. */
struct mf_loop_watch {
    int fd;
    unsigned events;                                             /* what to wait for; may be 0 */
    void (*ready)(struct mf_loop_watch *watch, unsigned events); /* what has come */
    struct mf_list link;
    int slot; /* in the array for poll */
};

struct mf_loop; /* allocated by new; the struct stands in loop.c */

/* NULL and a fault when memory or descriptors are out. lock must outlive the loop. Makes one eventfd (or pipe). */
struct mf_loop *mf_loop_new(pthread_mutex_t *lock, struct mf_fault *fault);
void mf_loop_free(struct mf_loop *loop); /* NULL allowed; watches must have been removed */

enum mf_err mf_loop_add(struct mf_loop *loop, struct mf_loop_watch *watch); /* MF_ENOMEM */
void mf_loop_change(struct mf_loop *loop, struct mf_loop_watch *watch, unsigned events);
void mf_loop_remove(struct mf_loop *loop, struct mf_loop_watch *watch); /* harmless when it is not added */
bool mf_loop_empty(const struct mf_loop *loop);                         /* no watches */

/* Lets go of the lock, waits until a watch is ready, mf_loop_wake was called, or the deadline (mf_sys_now's clock)
 * has passed; takes the lock and calls what is ready. spin: nanoseconds to poll without sleeping first. Returns MF_OK,
 * MF_ETIMEDOUT, or MF_EINTR when a signal handler ran. Only one thread turns at a time: if another one does, it is made
 * to return, and the caller waits for that first; then it looks only at what is ready and returns MF_OK, since the other
 * one's callbacks may have done what it waits for. */
enum mf_err mf_loop_turn(struct mf_loop *loop, uint64_t deadline, uint64_t spin);

/* Does a thread turn the loop now? */
bool mf_loop_turning(const struct mf_loop *loop);

/* Makes the turn that is going on, or the next one, return. Any thread, no lock; async-signal-safe. */
void mf_loop_wake(struct mf_loop *loop);

/* In a forked child: frees what is its own copy without touching what is shared with the parent. */
void mf_loop_forget(struct mf_loop *loop);

#endif
