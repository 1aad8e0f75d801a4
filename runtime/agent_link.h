/* What every agent does with its link to the master, whoever runs its tasks (agent.h: its own thread; node.h: a pool):
 * greeting, code, liveness, end. Everything belongs to the owner's lock, which all functions are called with unless
 * they say otherwise. */
#ifndef MF_AGENT_LINK_H
#define MF_AGENT_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "agent.h"
#include "link.h"
#include "list.h"
#include "loop.h"
#include "owner.h"
#include "share.h"

/* A task that has come. */
struct mf_agent_job {
    struct mf_list link;
    uint64_t id;
    struct mf_blob *code;  /* a reference */
    struct mf_blob *bytes; /* a reference: what task points into */
    struct mf_msg_task task;
    struct mf_share_lists holds; /* of its arguments, and of its dependencies in turn */
    bool held;                   /* the master knows that it waits for its worker (node.c) */
};
void mf_agent_job_free(struct mf_agent_job *job);

struct mf_agent_link;

/* What is done with what the master asks for. */
struct mf_agent_work {
    void (*arrived)(struct mf_agent_link *a);             /* a task is in the queue; or NULL */
    void (*cancel)(struct mf_agent_link *a, uint64_t id); /* a task that is not in the queue is not wanted any more */
    /* The answer to request id, a MODULE body. MF_EINVAL: there was none such. */
    enum mf_err (*module)(struct mf_agent_link *a, const struct mf_link_frame *frame);
    void (*drained)(struct mf_agent_link *a); /* nothing waits to be written any more, on any thread; or NULL */
};

struct mf_agent_link {
    struct mf_owner *owner; /* context: this */
    struct mf_loop *loop;   /* the owner's */
    struct mf_link *link;
    struct mf_loop_watch watch;
    struct mf_loop_watch out; /* where a descriptor of its own is written to */
    bool has_out;
    struct mf_share share;
    const struct mf_runner *runner;
    const struct mf_agent_work *work; /* NULL until it is known who runs the tasks */
    void *worker;                     /* work's */
    struct mf_list codes;
    struct mf_list queue;    /* jobs that have not been started: whoever takes one out owns it */
    uint64_t heard;          /* when anything last came of the master */
    uint64_t said;           /* when it was last told so without having asked */
    struct mf_msg_init init; /* what INIT said */
    struct mf_blob *payload; /* and carried, for the runner's open */
    bool greeted;            /* INIT has come */
    bool bye;                /* end when nothing is left to do */
    char cannot[256];        /* why INIT cannot be obeyed; "": it can */
};

/* The link over the descriptors, which may be the same and are taken over. Does not return when that is impossible. The
 * lock is NOT held. */
void mf_agent_link_open(struct mf_agent_link *a, int in, int out, const struct mf_runner *runner);
void mf_agent_link_close(struct mf_agent_link *a); /* lock NOT held */

/* What tasks have started and left behind ends now, before this process does: its master might not live to see to it. The
 * process leaves its group first, since it has yet to say how it ended; where it cannot (the master is gone), it ends with
 * its group. Nothing happens where it never had a group of its own. Async-signal-safe; harmless from two threads at once. */
void mf_agent_link_end_leftovers(void);

/* HELLO, and the wait for INIT. */
void mf_agent_link_greet(struct mf_agent_link *a, const struct mf_msg_hello *hello);

/* BYE with a reason; returns when it is written. */
void mf_agent_link_bye(struct mf_agent_link *a, const char *why);

/* Takes the next job out of the queue; NULL when it is empty. */
struct mf_agent_job *mf_agent_link_next(struct mf_agent_link *a);

/* Queues a frame and writes what can be written; ends the process when the master is gone. */
void mf_agent_link_send(struct mf_agent_link *a, enum mf_msg_kind kind, uint64_t id, const struct mf_msg_part *parts,
                        int n);
/* holds: what the bytes refer to, or NULL. */
void mf_agent_link_result(struct mf_agent_link *a, uint64_t id, unsigned outcome, uint64_t nanoseconds,
                          struct mf_msg_part bytes, const struct mf_holds *holds);
/* The same for what a buffer has and holds, which is empty afterwards if that went without a copy. */
void mf_agent_link_answer(struct mf_agent_link *a, uint64_t id, unsigned outcome, uint64_t nanoseconds,
                          struct mf_buf *result);
void mf_agent_link_output(struct mf_agent_link *a, uint64_t id, enum mf_stream stream, const void *bytes, size_t n);
void mf_agent_link_progress(struct mf_agent_link *a, uint64_t id, double fraction, const char *text);

/* There is time: lets go of blocks that the master has dropped (the lock is not held meanwhile), and tells it which ones of
 * ours are gone. */
void mf_agent_link_tidy(struct mf_agent_link *a);

/* Splits the dependencies of a job, whose parts point into it; NULL when memory is out, to be freed. */
struct mf_bytes *mf_agent_link_deps(const struct mf_agent_job *job);

/* A frame's body as a blob; NULL when memory is out. */
struct mf_blob *mf_agent_link_own(const struct mf_link_frame *frame);

/* The master is gone or makes no sense: nothing that runs here is wanted. Any thread, no lock. */
_Noreturn void mf_agent_link_abort(const char *why);

#endif
