/* The agents of a pool, as their master sees them: what processes and forks share (and clusters will). An agent is the
 * worker of one slot; its record hangs at worker->instance.
 *
 * All functions are called with the owner's lock held. Links, descriptors and records belong to whoever turns the
 * owner's loop, which is under that lock too. */
#ifndef MF_FLEET_H
#define MF_FLEET_H

#include "launch_spawn.h"
#include "pool.h"

/* Makes an agent exist for that slot. On success the child's descriptors are the fleet's. */
typedef enum mf_err mf_fleet_launch(struct mf_pool *pool, int index, struct mf_launch_child *child,
                                    struct mf_fault *fault);

/* Starts an agent in the free slot index (from 1). */
enum mf_err mf_fleet_start(struct mf_pool *pool, int index, mf_fleet_launch *launch, struct mf_fault *fault);

/* Sends queued futures to agents that have room for them. */
void mf_fleet_send(struct mf_pool *pool);

/* The functions of the backend's table that do not depend on the launch. */
void mf_fleet_interrupt(struct mf_worker *worker);
void mf_fleet_overdue(struct mf_pool *pool);
void mf_fleet_abandon(struct mf_worker *worker);
void mf_fleet_withdraw(struct mf_pool *pool, struct mf_future *f);
void mf_fleet_leave(struct mf_pool *pool);
void mf_fleet_join(struct mf_worker *worker);

#endif
