/* The agent of a node: serves one link with a pool of workers, threads or processes as the master wishes, so that a
 * machine with many cores costs one connection. To its master it is an agent like any other, except that several of its
 * tasks run at the same time. Where the master wants no pool, it runs the tasks itself (agent.h). */
#ifndef MF_NODE_H
#define MF_NODE_H

#include "msg.h"
#include "runner.h"

struct mf_node_options {
    const struct mf_runner *runner; /* with its hello */
    const char *name;               /* of the worker, where there is no pool */
};

/* Serves the master at the other end of in and out (which may be the same socket; taken over) until it says BYE or is
 * gone. Returns the process's exit status. The caller must be the process's main thread and have nothing else running. */
int mf_node_serve(int in, int out, const struct mf_node_options *options);

#endif
