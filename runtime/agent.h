/* The far side: serves one link and runs its tasks one after the other on the calling thread. While a task runs it still
 * answers pings and obeys cancels; when the master is gone it ends, whatever runs. */
#ifndef MF_AGENT_H
#define MF_AGENT_H

#include <stddef.h>

#include "msg.h"
#include "runner.h"

struct mf_agent_options {
    const struct mf_runner *runner;
    struct mf_msg_hello hello; /* what is particular to vm/: lua_version, integer, number, codec_version, program; the
                                  rest is filled in */
    const char *name;          /* of the worker, for its interpreter: "processes/1" */
    /* In a fork of the master's process: the interpreter that exists already. The runner's open is not called, and the
     * master sends no INIT and wants no HELLO. NULL elsewhere. */
    void *instance;
};

/* Serves the master at the other end of the connected socket fd (taken over) until it says BYE or is gone. Returns the
 * process's exit status. The caller must be the process's main thread and have nothing else running. */
int mf_agent_serve(int fd, const struct mf_agent_options *options);

#endif
