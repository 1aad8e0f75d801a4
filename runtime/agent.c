/* Design note: one thread runs tasks, the main one. Between tasks it turns the loop itself, so a task's round trip has
 * no hop from thread to thread. When a task has run for PATIENCE, the alarm's thread takes the loop over until the
 * task is done: it reads ahead, answers pings, and passes a cancel on by the interrupt signal. Both use the owner's
 * lock, as in a master.
 *
 * A result is written out before the next task starts. So when an agent dies, at most the first task whose result has
 * not arrived can have been started, and the master may give the others to somebody else.
 *
 * A fork of the master is alone with its first task, nearly always its only one: the thread would cost as much as the
 * fork. The master interrupts that task by a signal, sends nothing ahead of its end, and sees for itself whether the
 * process lives; what the task prints is written before it goes on. Where no signal tells the child of its parent's end,
 * the thread is there from the start. */
#include "agent.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "agent_link.h"
#include "sys.h"
#include "sys_fd.h"

#define PATIENCE_NS 2000000           /* a task that runs longer hands the loop to the alarm's thread */
#define SPIN_NS     50000             /* polling for the next task before sleeping */
#define REST_NS     1000000           /* without a task after which what is kept for speed is let go of */
#define BACKLOG     ((size_t)4 << 20) /* bytes of output that may wait for the master before the task waits too */

struct agent {
    struct mf_agent_link *master;
    void *instance;
    const char *name;
    struct mf_agent_job *running;
    uint64_t started;
    atomic_bool *wanted;   /* the running task must stop */
    atomic_bool cancelled; /* wanted of all tasks but a fork's first */
    pthread_t thread;      /* which runs tasks */
    struct mf_port port;
    bool alone;             /* no other thread until the first task has ended: see the design note */
    bool own_turn;          /* the task's own thread turns the loop (it waits for something) */
    uint64_t fetch;         /* number of the last module asked for */
    bool fetched;           /* its answer has come */
    struct mf_blob *module; /* the answer's body, or NULL */
};

/* --- What the master asks for -------------------------------------------------------------------------------------- */

static void on_cancel(struct mf_agent_link *master, uint64_t id)
{
    struct agent *a = master->worker;
    if (!a->running || a->running->id != id)
        return;
    atomic_store(a->wanted, true);
    mf_sys_interrupt_thread(a->thread);
}

static enum mf_err on_module(struct mf_agent_link *master, const struct mf_link_frame *frame)
{
    struct agent *a = master->worker;
    if (frame->head.id != a->fetch || a->fetched)
        return MF_EINVAL;
    a->fetched = true;
    a->module = mf_agent_link_own(frame);
    return a->module ? MF_OK : MF_ENOMEM;
}

static const struct mf_agent_work work = {.cancel = on_cancel, .module = on_module};

/* --- The loop ------------------------------------------------------------------------------------------------------- */

/* The alarm: a task runs for long, so this thread turns the loop until it is done. */
static uint64_t take_over(struct mf_owner *owner)
{
    const struct mf_agent_link *master = owner->context;
    const struct agent *a = master->worker;
    const struct mf_agent_job *job = a->running;
    if (!job)
        return MF_SYS_NEVER;
    uint64_t due = a->started + PATIENCE_NS;
    if (mf_sys_now() < due)
        return due;
    while (a->running == job && !a->own_turn)
        mf_loop_turn(master->loop, MF_SYS_NEVER, 0);
    return a->running ? mf_sys_now() + PATIENCE_NS : MF_SYS_NEVER;
}

static void set_alarm(struct agent *a, uint64_t moment)
{
    if (!a->alone)
        mf_owner_alarm(a->master->owner, moment);
}

/* The task's thread turns the loop until *done is true, or when done is NULL, until no more than most bytes wait to be
 * written. */
static void wait_in_task(struct agent *a, const bool *done, size_t most)
{
    a->own_turn = true;
    while (done ? !*done : mf_link_pending(a->master->link) > most)
        mf_loop_turn(a->master->loop, MF_SYS_NEVER, 0);
    a->own_turn = false;
    if (a->running)
        set_alarm(a, mf_sys_now() + PATIENCE_NS);
}

/* So that the backlog stays short; nobody else would write it while a fork is alone with its task. */
static void drain(struct agent *a)
{
    if (pthread_equal(pthread_self(), a->thread) && mf_link_pending(a->master->link) > (a->alone ? 0 : BACKLOG))
        wait_in_task(a, NULL, a->alone ? 0 : BACKLOG / 2);
}

/* --- Tasks ---------------------------------------------------------------------------------------------------------- */

static struct agent *agent_of(struct mf_port *port)
{
    return (struct agent *)(void *)((char *)port - offsetof(struct agent, port));
}

/* Any thread that a task has started may print; only the task's own thread waits when the master is slow. */
static void port_emit(struct mf_port *port, enum mf_stream stream, const void *bytes, size_t n)
{
    struct agent *a = agent_of(port);
    pthread_mutex_lock(&a->master->owner->lock);
    if (a->running)
        mf_agent_link_output(a->master, a->running->id, stream, bytes, n);
    drain(a);
    pthread_mutex_unlock(&a->master->owner->lock);
}

static void port_progress(struct mf_port *port, double fraction, const char *text)
{
    struct agent *a = agent_of(port);
    pthread_mutex_lock(&a->master->owner->lock);
    if (a->running)
        mf_agent_link_progress(a->master, a->running->id, fraction, text);
    drain(a);
    pthread_mutex_unlock(&a->master->owner->lock);
}

static struct mf_blob *port_fetch(struct mf_port *port, const char *name)
{
    struct agent *a = agent_of(port);
    const struct mf_msg_part part = {(const unsigned char *)name, strlen(name)};
    pthread_mutex_lock(&a->master->owner->lock);
    a->fetched = false;
    mf_agent_link_send(a->master, MF_MSG_FETCH, ++a->fetch, &part, 1);
    wait_in_task(a, &a->fetched, 0);
    struct mf_blob *module = a->module;
    a->module = NULL;
    pthread_mutex_unlock(&a->master->owner->lock);
    return module;
}

/* Lock not held. */
static enum mf_outcome run_task(struct agent *a, const struct mf_agent_job *j, struct mf_buf *result)
{
    struct mf_bytes *deps = mf_agent_link_deps(j);
    struct mf_task task = {
        .code = j->code,
        .args = {j->task.args.bytes, j->task.args.n, j->holds.n ? j->holds.lists[0] : NULL},
        .holds = true,
        .deps = deps,
        .ndeps = deps ? j->task.ndeps : 0,
        .seed = j->task.seed,
        .stream = j->task.stream,
        .setup = j->task.setup,
        .port = &a->port,
        .wanted = a->wanted,
    };
    struct mf_sys_interrupt entry = {.wanted = a->wanted};
    mf_sys_interrupt_push(&entry);
    enum mf_outcome outcome = a->master->runner->run(a->instance, &task, result);
    mf_sys_interrupt_pop(&entry);
    free(deps);
    return outcome;
}

/* From now on a fork works like any other agent. A signal that was meant for its first task has come already, if it was
 * sent before the next one. */
static void end_of_first(struct agent *a)
{
    a->alone = false;
    a->wanted = &a->cancelled;
}

/* A large body is here: for a while, memory for the next is kept. A fork that is alone will get no other. */
static void keep_warm(const struct agent *a, size_t bytes)
{
    if (bytes > MF_MSG_INLINE && !a->alone)
        mf_owner_warm(a->master->owner);
}

/* Lock held on entry and exit. */
static void run_job(struct agent *a, struct mf_agent_job *j)
{
    struct mf_agent_link *master = a->master;
    struct mf_buf result = {0};
    mf_buf_use(&result, master->owner->pages, master->owner->areas);
    keep_warm(a, j->bytes->len);
    a->started = mf_sys_now();
    if (a->wanted == &a->cancelled)
        atomic_store(a->wanted, false);
    a->running = j;
    set_alarm(a, a->started + PATIENCE_NS);
    pthread_mutex_unlock(&master->owner->lock);
    enum mf_outcome outcome = run_task(a, j, &result);
    pthread_mutex_lock(&master->owner->lock);
    a->running = NULL;
    if (mf_loop_turning(master->loop))
        mf_loop_wake(master->loop); /* the alarm's thread gives the loop back */
    keep_warm(a, result.len);
    mf_agent_link_answer(master, j->id, outcome, mf_sys_now() - a->started, &result);
    while (mf_link_pending(master->link)) /* see the design note: before the next task starts */
        mf_loop_turn(master->loop, MF_SYS_NEVER, 0);
    if (!j->task.setup)
        end_of_first(a);
    mf_buf_release(&result);
    mf_agent_job_free(j);
}

/* --- Beginning and end ---------------------------------------------------------------------------------------------- */

static bool open_instance(struct agent *a)
{
    struct mf_agent_link *master = a->master;
    struct mf_fault fault = {0};
    struct mf_worker_info info = {.name = a->name,
                                  .init = master->payload,
                                  .process = true,
                                  .fetches = true,
                                  .pages = master->owner->pages,
                                  .host = master->runner->host};
    if (a->instance)
        return true;
    pthread_mutex_unlock(&master->owner->lock);
    a->instance = master->runner->open(&info, &fault);
    pthread_mutex_lock(&master->owner->lock);
    if (!a->instance)
        mf_agent_link_bye(master, fault.text);
    return a->instance != NULL;
}

/* There is nothing to do for now. */
static void rest(struct agent *a)
{
    pthread_mutex_unlock(&a->master->owner->lock);
    a->master->runner->idle(a->instance);
    pthread_mutex_lock(&a->master->owner->lock);
    mf_agent_link_tidy(a->master);
}

static void serve(struct agent *a)
{
    struct mf_loop *loop = a->master->loop;
    if (!open_instance(a))
        return;
    for (bool rested = true;;) {
        struct mf_agent_job *j = mf_agent_link_next(a->master);
        if (j) {
            run_job(a, j);
            rested = false;
        } else if (a->master->bye) {
            return;
        } else if (rested) {
            mf_loop_turn(loop, MF_SYS_NEVER, SPIN_NS);
            rested = false; /* what came may be word of a block that is gone */
        } else if (mf_loop_turn(loop, mf_sys_now() + REST_NS, SPIN_NS) == MF_ETIMEDOUT) {
            rest(a);
            rested = true;
        }
    }
}

void mf_agent_run(struct mf_agent_link *master, const char *name, void *instance)
{
    struct agent a = {
        .master = master,
        .instance = instance,
        .name = name,
        .thread = pthread_self(),
        .port = {.emit = port_emit, .progress = port_progress, .fetch = port_fetch},
    };
    a.alone = instance && MF_SYS_TELLS_OF_PARENT;
    a.wanted = instance ? mf_sys_interrupt_asked() : &a.cancelled;
    pthread_mutex_lock(&master->owner->lock);
    master->worker = &a;
    master->work = &work;
    master->owner->on_alarm = take_over;
    serve(&a);
    pthread_mutex_unlock(&master->owner->lock);
    if (a.instance && !instance)
        master->runner->close(a.instance);
}

int mf_agent_serve(int fd, const struct mf_agent_options *options)
{
    struct mf_agent_link master;
    mf_agent_link_open(&master, fd, fd, options->runner);
    master.greeted = true;
    mf_agent_run(&master, options->name, options->instance);
    mf_agent_link_end_leftovers();
    return EXIT_SUCCESS; /* the process ends now, and nothing of it is missed */
}
