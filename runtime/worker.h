/* A worker's own part of its life: opening its interpreter and running tasks. */
#ifndef MF_WORKER_H
#define MF_WORKER_H

#include "pool.h"

/* Opens the interpreter and runs the pool's setups. Lock NOT held. False and a fault when there is no interpreter; a
 * setup that fails leaves the worker broken: it then loses every task with that reason. */
bool mf_worker_open(struct mf_worker *worker, struct mf_fault *fault);

/* Runs worker->running on the calling thread and settles it. Lock held on entry and exit, not while it runs. */
void mf_worker_run(struct mf_worker *worker);

#endif
