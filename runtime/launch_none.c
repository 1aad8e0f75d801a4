/* In the place of launch_ssh.c in a node build, which needs nothing but the C library: it is started by SSH, and starts
 * nobody by SSH itself. */
#include "launch_ssh.h"

struct mf_launch_group *mf_launch_group_new(mf_launch_ask *ask, void *arg)
{
    static char group; /* never looked into */
    (void)ask;
    (void)arg;
    return (struct mf_launch_group *)(void *)&group;
}

void mf_launch_group_free(struct mf_launch_group *group)
{
    (void)group;
}

struct mf_launch_ssh *mf_launch_ssh_start(struct mf_launch_group *group, const struct mf_launch_ssh_options *options,
                                          void (*done)(void *arg), void *arg, struct mf_fault *fault)
{
    (void)group;
    (void)done;
    (void)arg;
    mf_fault_set(fault, MF_ESYS, "cannot connect to %s: a node's program has no SSH", options->host);
    return NULL;
}

bool mf_launch_ssh_take(struct mf_launch_ssh *launch, struct mf_launch_ssh_result *result)
{
    (void)launch;
    (void)result;
    return false;
}

void mf_launch_ssh_cancel(struct mf_launch_ssh *launch)
{
    (void)launch;
}

void mf_launch_ssh_free(struct mf_launch_ssh *launch)
{
    (void)launch;
}
