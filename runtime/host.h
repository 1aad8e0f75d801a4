/* A host of a cluster as its master keeps it: how it is reached, and what has become of it. Belongs to the owner's lock. */
#ifndef MF_HOST_H
#define MF_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "launch_ssh.h"

#define MF_HOST_CORES 1024 /* workers of a host, unless more are asked for */

enum mf_host_state {
    MF_HOST_AWAY,   /* nobody is on the way; called again at retry */
    MF_HOST_CALLED, /* its agent is being started, or has not said yet that it is ready */
    MF_HOST_HERE,   /* it has an agent */
};

struct mf_host {
    char *name;             /* as the user wrote it */
    int workers;            /* that are wanted; 0: as many as it has cores */
    bool isolate;           /* they are processes */
    bool local;             /* an agent on this machine, without SSH: */
    char *program;          /* made of this program; NULL: this one */
    struct mf_buf settings; /* for its agent (msg.h, INIT): folder and environment */
    struct mf_launch_ssh_options ssh;
    struct mf_buf texts; /* what ssh and the names point to */
    enum mf_host_state state;
    int lanes;                     /* workers that it has, once it has been here; 0 before */
    int first;                     /* slot of its first worker, from 1 */
    struct mf_launch_ssh *launch;  /* while its agent is being started by SSH */
    uint64_t called;               /* when that began */
    uint64_t retry;                /* when it is called again; MF_SYS_NEVER: not before there is work for nobody else */
    unsigned failures;             /* in a row */
    double seconds;                /* that its last start took */
    char text[MF_LAUNCH_SSH_TEXT]; /* why it is not here; or what should be known although it is */
};

/* What the hosts of a pool share. */
struct mf_hosts {
    struct mf_host *hosts;
    int n;
    struct mf_launch_group *group; /* NULL while nobody was called by SSH */
    int wake[2];                   /* launches that are done post to it */
    mf_launch_ask *ask;            /* may be NULL */
    void *ask_arg;
};

/* n hosts, all zero but for their state; NULL when memory or descriptors are out. */
struct mf_hosts *mf_hosts_new(int n, mf_launch_ask *ask, void *ask_arg);
void mf_hosts_free(struct mf_hosts *hosts); /* ends what is being started; NULL allowed */

/* Begins to start the host's agent. For a local one, *remote is it at once; for others it is NULL, and
 * mf_host_take says more when hosts->wake has been posted to. A host whose start fails is AWAY, with its text. */
void mf_host_call(struct mf_hosts *hosts, struct mf_host *host, struct mf_stream_remote **remote);

/* Is the launch of a CALLED host done? Then *remote is its agent, or NULL and the host is AWAY with its text. */
bool mf_host_take(struct mf_host *host, struct mf_stream_remote **remote);

/* The host has no agent (any more): why, and when to call it again. */
void mf_host_departed(struct mf_host *host, const char *text);

/* Makes what is being started end soon. */
void mf_hosts_cancel(struct mf_hosts *hosts);

#endif
