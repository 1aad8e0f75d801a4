/* The far side: serves one link and runs its tasks one after the other on the calling thread. While a task runs it still
 * answers pings and obeys cancels; when the master is gone it ends, whatever runs. */
#ifndef MF_AGENT_H
#define MF_AGENT_H

#include "msg.h"
#include "runner.h"

struct mf_agent_link;

/* Serves a master that has greeted, until it says BYE or is gone. name: of the worker, for its interpreter
 * ("processes/1"). instance: an interpreter that exists already, so that the runner's open is not called, or NULL. Lock
 * not held. The caller must be the process's main thread and have nothing else running. */
void mf_agent_run(struct mf_agent_link *master, const char *name, void *instance);

struct mf_agent_options {
    const struct mf_runner *runner;
    const char *name;
    void *instance;
};

/* The whole of it in a fork of the master's process, where nobody needs a greeting: serves the master at the other end of
 * the connected socket fd (taken over). Returns the process's exit status. */
int mf_agent_serve(int fd, const struct mf_agent_options *options);

#endif
