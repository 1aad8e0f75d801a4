/* Design note: each worker is a process of its own, this very program with one end of a socketpair, so that a task that
 * crashes takes nothing with it. What is particular is only how an agent comes to be; the rest is the fleet's. */
#include "backend.h"

#include <stdio.h>

#include "fleet.h"
#include "launch_spawn.h"
#include "owner.h"
#include "peer.h"
#include "pool.h"

#define PATH_BYTES 4096

static enum mf_err launch(struct mf_pool *pool, int index, struct mf_launch_child *child, struct mf_fault *fault)
{
    char path[PATH_BYTES], name[64];
    const char *program = pool->program;
    if (!program && !mf_launch_self(path, sizeof path))
        return mf_fault_set(fault, MF_ESYS, "cannot find the program to start workers with: set option 'program'");
    snprintf(name, sizeof name, "processes/%d", index);
    const char *const argv[] = {program ? program : path, "--agent", name, NULL};
    return mf_launch_spawn(argv, true, child, fault);
}

/* As many agents as there are tasks without one. */
static enum mf_err processes_feed(struct mf_pool *pool, struct mf_fault *fault)
{
    while (!mf_list_empty(&pool->queue.homeless)) {
        struct mf_future *f = MF_LIST_ENTRY(pool->queue.homeless.next, struct mf_future, link);
        enum mf_err e = mf_peer_start(pool, f->extra->worker, launch, fault);
        if (e != MF_OK)
            return e;
    }
    mf_fleet_send(pool);
    while (atomic_load(&pool->queue.pending) - pool->queue.pinned > (size_t)pool->starting && mf_pool_free_slot(pool)) {
        enum mf_err e = mf_peer_start(pool, mf_pool_free_slot(pool), launch, fault);
        if (e != MF_OK)
            return pool->alive > 0 ? MF_OK : e; /* fewer workers than wanted still do the work */
    }
    return MF_OK;
}

const struct mf_backend mf_backend_processes = {
    .name = "processes",
    .asynchronous = true,
    .maps = true,
    .feed = processes_feed,
    .overdue = mf_fleet_overdue,
    .beat = mf_fleet_beat,
    .tidy = mf_fleet_tidy,
    .withdraw = mf_fleet_withdraw,
    .interrupt = mf_fleet_interrupt,
    .abandon = mf_fleet_abandon,
    .leave = mf_fleet_leave,
    .join = mf_fleet_join,
};
