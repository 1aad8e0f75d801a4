/* The runner: the one way in which the runtime calls upward. vm/ hands it over when it opens the runtime; the
 * runtime itself knows only bytes.
 *
 * open, run, idle and close of one worker are always called by one and the same thread. */
#ifndef MF_RUNNER_H
#define MF_RUNNER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "pages.h"

enum mf_stream {
    MF_STDOUT = 1,
    MF_STDERR = 2,
};

/* How a running task talks back. Valid during the call of run; the functions may be called by any thread until then. */
struct mf_port {
    void (*emit)(struct mf_port *port, enum mf_stream stream, const void *bytes, size_t n);
    void (*progress)(struct mf_port *port, double fraction, const char *text); /* text may be NULL */

    /* Asks the submitting side for a Lua module that this one lacks; waits. A MODULE body (msg.h), or NULL when memory
     * is out. NULL itself where both sides are one process. */
    struct mf_blob *(*fetch)(struct mf_port *port, const char *name);
};

/* Bytes that belong to somebody else. */
struct mf_bytes {
    const unsigned char *data;
    size_t len;
    const struct mf_holds *holds; /* what they refer to, or NULL */
};

/* A task as the runner sees it. Everything is the runtime's and stays alive during the call. */
struct mf_task {
    struct mf_blob *code;        /* what to run; may be kept by taking a reference, as a key for caching */
    struct mf_bytes args;        /* may be empty */
    const struct mf_bytes *deps; /* the results of the futures this one was given as arguments */
    size_t ndeps;
    uint64_t seed, stream;     /* of the task's random numbers */
    bool holds;                /* what the result's buffer holds is passed on with its bytes */
    bool setup;                /* runs in the worker's own environment, and what it sets there stays */
    const atomic_bool *wanted; /* turns true when the task must stop. run pushes interrupt actions (sys.h) for what
                                  it runs, and looks at this once after the push: a signal may have come before */
    struct mf_port *port;
};

enum mf_outcome {
    MF_OUTCOME_VALUE, /* result holds values */
    MF_OUTCOME_ERROR, /* result holds an error value and its traceback */
};

struct mf_worker_info {
    const char *name;           /* "threads/2"; alive as long as the worker */
    const struct mf_blob *init; /* what the pool was opened with, or NULL */
    bool process;               /* the worker is a process of its own: ending it ends nothing else */
    bool fetches;               /* its tasks' ports can fetch modules */
    struct mf_pages *pages;     /* for its large blocks; alive as long as the worker; NULL: there is none */
    void *host;                 /* the runner's */
};

struct mf_msg_hello;

struct mf_runner {
    void *host; /* the runner's own: every worker's info has it */
    /* May be NULL: an owner that was given the runner is gone, and with it all workers that could call the runner. */
    void (*dropped)(const struct mf_runner *runner);

    /* What the runner is, for the greeting between master and agent (msg.h). */
    const struct mf_msg_hello *hello;

    /* Opens a worker's interpreter. NULL and a filled fault when that is impossible. */
    void *(*open)(const struct mf_worker_info *info, struct mf_fault *fault);
    /* In a forked child of the owner's process, on the owner's thread: makes a worker's interpreter out of the owner's,
     * whose context this is (given to mf_runtime_new). NULL and a filled fault when that is impossible. */
    void *(*adopt)(void *context, const struct mf_worker_info *info, struct mf_fault *fault);
    /* Runs one task and appends the result's bytes to *result. Never raises, never exits. */
    enum mf_outcome (*run)(void *worker, const struct mf_task *task, struct mf_buf *result);
    /* There is nothing to do for now: let go of what is only kept for speed and was retired. */
    void (*idle)(void *worker);
    void (*close)(void *worker);
    /* Text of tasks whose output is "live", by any thread. ctx is the owner's, given to mf_runtime_new. */
    void (*live)(void *ctx, const char *worker_name, enum mf_stream stream, const void *bytes, size_t n);
};

#endif
