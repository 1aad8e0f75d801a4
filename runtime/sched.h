/* The scheduler: futures against pools. Queueing, taking, finishing, retrying, cancelling, and futures that wait for
 * other futures. Everything here is called with the runtime's lock held. */
#ifndef MF_SCHED_H
#define MF_SCHED_H

#include <stdbool.h>

#include "future.h"
#include "pool.h"
#include "runner.h"

/* The next future for this worker, which is IDLE: now RUNNING and worker->running, and the worker BUSY. NULL when nothing
 * is queued for it. */
struct mf_future *mf_sched_take(struct mf_worker *worker);

/* For workers that get tasks ahead of time. send: a future that is QUEUED, pinned or not, is SENT now. start: a SENT future
 * is what the worker, which is IDLE, runs now. hold: what the worker runs, as was thought, is only SENT. return: a future that was SENT, or taken for RUNNING, but
 * not started goes back to the front of its queue. */
void mf_sched_send(struct mf_future *f);
void mf_sched_start(struct mf_worker *worker, struct mf_future *f);
void mf_sched_hold(struct mf_worker *worker);
void mf_sched_return(struct mf_future *f);

/* Ends f in a final state with the result (taken over; may be NULL) and tells who waits. Releases the runtime's
 * reference to f. text, for failures without a result, may be NULL. */
void mf_sched_finish(struct mf_future *f, enum mf_future_state state, enum mf_failure failure, struct mf_blob *result,
                     const char *text);

/* The worker's future ended with that outcome: finishes it, or queues it again when it may be retried. */
void mf_sched_settle(struct mf_worker *worker, enum mf_outcome outcome, struct mf_blob *result);

/* What became of f, which is SENT, cannot be known, and it may have been started: it is queued again when it may be retried,
 * else it is LOST for that reason. */
void mf_sched_lose(struct mf_future *f, const char *text);

/* Cancels f if it is not final; true if it was not. */
bool mf_sched_cancel(struct mf_future *f);

/* Cancels every future of the pool that is not final, and interrupts the workers that are being set up. The caller
 * holds a reference to the pool. */
void mf_sched_cancel_all(struct mf_pool *pool);

/* Everything queued in the pool is lost for that reason. */
void mf_sched_lose_all(struct mf_pool *pool, const char *text);

/* A CREATED future is wanted now: queues it, or lets it wait for its dependencies, which are wanted too. It may end
 * here: as a dependency has ended, or LOST when no worker can be had. */
void mf_sched_begin(struct mf_future *f);

/* The alarm: acts on the deadlines of all workers that have passed. First the task's time limit: its future fails at
 * once and the task is asked to stop. Then the grace time: the worker is abandoned. Returns the next deadline. */
uint64_t mf_sched_expire(struct mf_owner *owner);

#define MF_SCHED_TICK 2000000u /* nanoseconds between two turns of the loop while the owner computes */

/* Is any future with an agent, or an agent about to leave? Then somebody must turn the loop. */
bool mf_sched_agents_work(const struct mf_owner *owner);

#endif
