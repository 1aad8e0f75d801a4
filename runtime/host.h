/* A host of a cluster as its master keeps it: how it is reached, and what has become of it. Belongs to the owner's lock. */
#ifndef MF_HOST_H
#define MF_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "launch_ssh.h"

#define MF_HOST_TEXT  1400 /* bytes of words */
#define MF_HOST_CORES 1024 /* workers of a host, unless more are asked for */

enum mf_host_state {
    MF_HOST_AWAY,    /* nobody is on the way; tried again at retry */
    MF_HOST_CALLED,  /* its agent is being started */
    MF_HOST_HERE,    /* it has an agent */
    MF_HOST_GIVEN_UP /* it will not be tried again */
};

struct mf_host {
    char *name;                       /* as the user wrote it */
    int workers;                      /* that are wanted; 0: as many as it has cores */
    bool isolate;                     /* they are processes */
    bool local;                       /* an agent on this machine, without SSH */
    struct mf_launch_ssh_options ssh; /* its texts belong to the host */
    enum mf_host_state state;
    int lanes;                    /* workers that it has, once it has been here; 0 before */
    int first;                    /* slot of its first worker, from 1 */
    struct mf_launch_ssh *launch; /* while it is CALLED */
    uint64_t retry;               /* when it is called again */
    unsigned failures;            /* in a row */
    double seconds;               /* that its last start took */
    char text[MF_HOST_TEXT];      /* why it is not here; or what should be known although it is */
};

#endif
