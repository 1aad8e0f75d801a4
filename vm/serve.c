/* A worker process's way in: the agent of the runtime, with the interpreter of this library. */
#include <stdlib.h>

#include "../runtime/agent.h"
#include "../runtime/launch_spawn.h"
#include "moonfleet.h"
#include "run.h"

int mf_serve(const char *name)
{
    const struct mf_agent_options options = {.runner = &mf_run_runner, .hello = *mf_run_runner.hello, .name = name};
    return mf_agent_serve(MF_LAUNCH_FD, &options);
}
