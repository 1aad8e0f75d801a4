/* The agents of a pool: who gets which task when. What processes share with every later backend that is made of agents.
 * All functions are called with the owner's lock held. */
#ifndef MF_FLEET_H
#define MF_FLEET_H

#include "future.h"
#include "pool.h"

/* Sends queued futures to agents that have room for them. */
void mf_fleet_send(struct mf_pool *pool);

/* Asks an agent that has nothing to do to end. */
void mf_fleet_dismiss(struct mf_worker *worker);

/* In a forked child of the owner's process: closes the child's copies of all descriptors that belong to the owner's
 * agents and to its loop. Nothing else of the owner may be used there. */
void mf_fleet_forget(struct mf_owner *owner);

/* Functions of the backend's table (backend.h), the same however agents are launched. */
void mf_fleet_overdue(struct mf_pool *pool);
uint64_t mf_fleet_beat(struct mf_pool *pool, uint64_t now);
void mf_fleet_withdraw(struct mf_pool *pool, struct mf_future *f);
void mf_fleet_interrupt(struct mf_worker *worker);
void mf_fleet_abandon(struct mf_worker *worker);
void mf_fleet_leave(struct mf_pool *pool);
void mf_fleet_tidy(struct mf_pool *pool);
void mf_fleet_join(struct mf_worker *worker);

#endif
