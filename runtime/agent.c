/* Design note: one thread runs tasks, the main one. Between tasks it turns the loop itself, so a task's round trip has
 * no hop from thread to thread. When a task has run for PATIENCE, the alarm's thread takes the loop over until the
 * task is done: it reads ahead, answers pings, and passes a cancel on by the interrupt signal. Both use the owner's
 * lock, as in a master.
 *
 * A result is written out before the next task starts. So when an agent dies, at most the first task whose result has
 * not arrived can have been started, and the master may give the others to somebody else.
 *
 * The end of the stream ends the process at once, with its process group: nobody is left to take a result. Where nobody
 * turns the loop in that moment (the interpreter is being closed, or there is no thread for the alarm), SIGHUP does so, which
 * the system sends when the master ends. */
#include "agent.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks.h"
#include "link.h"
#include "list.h"
#include "loop.h"
#include "owner.h"
#include "sys.h"
#include "sys_fd.h"

#define PATIENCE_NS 2000000           /* a task that runs longer hands the loop to the alarm's thread */
#define SPIN_NS     50000             /* polling for the next task before sleeping */
#define BACKLOG     ((size_t)4 << 20) /* bytes of output that may wait for the master before the task waits too */

struct code {
    struct mf_list link;
    uint64_t id;
    struct mf_blob *blob;
};

struct job {
    struct mf_list link; /* in the queue */
    uint64_t id;
    struct mf_blob *code;  /* a reference */
    struct mf_blob *bytes; /* a reference: what task points into */
    struct mf_msg_task task;
};

struct agent {
    struct mf_owner *owner; /* its lock guards all below; its alarm takes the loop over */
    struct mf_loop *loop;
    struct mf_link *link;
    struct mf_loop_watch watch;
    const struct mf_runner *runner;
    void *instance;
    struct mf_blob *init;
    char name[96];
    struct mf_list queue;
    struct mf_list codes;
    struct job *running;
    uint64_t started;
    atomic_bool wanted; /* the running task must stop */
    pthread_t thread;   /* which runs tasks */
    struct mf_port port;
    bool greeted;           /* INIT has come */
    bool bye;               /* end when the queue is empty */
    bool own_turn;          /* the task's own thread turns the loop (it waits for something) */
    uint64_t fetch;         /* number of the last module asked for */
    bool fetched;           /* its answer has come */
    struct mf_blob *module; /* the answer's body, or NULL */
};

static const char cannot_write[] = "the connection to the master is broken";

/* What tasks have started and left behind ends with this process; which leaves their group first, because it has yet to
 * say how it ended. Where it cannot (the master is gone), false, unless it has no group of its own. Async-signal-safe. */
static bool end_leftovers(void)
{
    pid_t group = getpgrp();
    if (group != getpid())
        return true;
    if (setpgid(0, getpgid(getppid())) != 0)
        return false;
    kill(-group, SIGKILL);
    return true;
}

/* The master is gone or makes no sense: nothing that runs here is wanted. */
static _Noreturn void end_at_once(const char *why)
{
    if (why) {
        signal(SIGPIPE, SIG_IGN);                             /* nobody may be left to read it */
        dprintf(STDERR_FILENO, "moonfleet agent: %s\n", why); /* the lock of stderr may be held */
    }
    if (!end_leftovers())
        kill(0, SIGKILL);
    _exit(EXIT_FAILURE);
}

static void on_hangup(int signal)
{
    (void)signal;
    end_at_once(NULL);
}

static void end_with_master(void)
{
    struct sigaction action = {.sa_handler = on_hangup};
    sigemptyset(&action.sa_mask);
    sigaction(SIGHUP, &action, NULL);
    mf_sys_signal_with_parent(SIGHUP);
}

/* --- Frames from the master -------------------------------------------------------------------------------------- */

static struct code *find_code(struct agent *a, uint64_t id)
{
    for (struct mf_list *l = a->codes.next; l != &a->codes; l = l->next) {
        struct code *c = MF_LIST_ENTRY(l, struct code, link);
        if (c->id == id)
            return c;
    }
    return NULL;
}

static struct mf_blob *own(const struct mf_link_frame *frame)
{
    return frame->blob ? mf_blob_ref(frame->blob) : mf_blob_new(frame->body, (size_t)frame->head.length);
}

static enum mf_err on_code(struct agent *a, const struct mf_link_frame *frame)
{
    struct code *c = calloc(1, sizeof *c);
    struct mf_blob *blob = own(frame);
    if (!c || !blob || find_code(a, frame->head.id)) {
        free(c);
        mf_blob_unref(blob);
        return c && blob ? MF_EINVAL : MF_ENOMEM;
    }
    c->id = frame->head.id;
    c->blob = blob;
    mf_list_insert(a->codes.next, &c->link); /* the newest first: it is asked for most */
    return MF_OK;
}

static void free_code(struct code *c)
{
    mf_list_remove(&c->link);
    mf_blob_unref(c->blob);
    free(c);
}

static enum mf_err on_forget(struct agent *a, const struct mf_link_frame *frame)
{
    struct code *c = find_code(a, frame->head.id);
    if (c)
        free_code(c);
    return MF_OK;
}

static enum mf_err on_task(struct agent *a, const struct mf_link_frame *frame)
{
    struct job *j = calloc(1, sizeof *j);
    struct mf_blob *bytes = own(frame);
    enum mf_err e = j && bytes ? mf_msg_unpack_task(bytes->data, bytes->len, &j->task, NULL) : MF_ENOMEM;
    struct code *c = e == MF_OK ? find_code(a, j->task.code) : NULL;
    if (!c) {
        free(j);
        mf_blob_unref(bytes);
        return e == MF_OK ? MF_EINVAL : e;
    }
    j->id = frame->head.id;
    j->bytes = bytes;
    j->code = mf_blob_ref(c->blob);
    mf_list_insert(&a->queue, &j->link);
    return MF_OK;
}

static void free_job(struct job *j)
{
    mf_blob_unref(j->code);
    mf_blob_unref(j->bytes);
    free(j);
}

static void send_result(struct agent *a, uint64_t id, unsigned outcome, uint64_t elapsed, const struct mf_buf *result);

/* Takes a task that was not started out of the queue, and says so. */
static void give_back(struct agent *a, uint64_t id)
{
    const struct mf_buf nothing = {0};
    for (struct mf_list *l = a->queue.next; l != &a->queue; l = l->next) {
        struct job *j = MF_LIST_ENTRY(l, struct job, link);
        if (j->id != id)
            continue;
        mf_list_remove(&j->link);
        free_job(j);
        send_result(a, id, MF_MSG_RECALLED, 0, &nothing);
        return;
    }
}

/* What is done already needs no answer: its result is on its way. */
static enum mf_err on_cancel(struct agent *a, const struct mf_link_frame *frame)
{
    if (!a->running || a->running->id != frame->head.id) {
        give_back(a, frame->head.id);
        return MF_OK;
    }
    atomic_store(&a->wanted, true);
    mf_sys_interrupt_thread(a->thread);
    return MF_OK;
}

static enum mf_err on_recall(struct agent *a, const struct mf_link_frame *frame)
{
    give_back(a, frame->head.id);
    return MF_OK;
}

static enum mf_err on_init(struct agent *a, const struct mf_link_frame *frame)
{
    if (a->greeted)
        return MF_EINVAL;
    a->greeted = true;
    a->init = own(frame);
    return a->init ? MF_OK : MF_ENOMEM;
}

static enum mf_err on_module(struct agent *a, const struct mf_link_frame *frame)
{
    if (frame->head.id != a->fetch || a->fetched)
        return MF_EINVAL;
    a->fetched = true;
    a->module = own(frame);
    return a->module ? MF_OK : MF_ENOMEM;
}

static enum mf_err received(void *arg, const struct mf_link_frame *frame)
{
    struct agent *a = arg;
    if (!a->greeted && frame->head.kind != MF_MSG_INIT && frame->head.kind != MF_MSG_BYE)
        return MF_EINVAL;
    switch (frame->head.kind) {
    case MF_MSG_INIT:
        return on_init(a, frame);
    case MF_MSG_CODE:
        return on_code(a, frame);
    case MF_MSG_FORGET:
        return on_forget(a, frame);
    case MF_MSG_TASK:
        return on_task(a, frame);
    case MF_MSG_CANCEL:
        return on_cancel(a, frame);
    case MF_MSG_RECALL:
        return on_recall(a, frame);
    case MF_MSG_MODULE:
        return on_module(a, frame);
    case MF_MSG_PING:
        return mf_link_send(a->link, MF_MSG_PONG, frame->head.id, NULL, 0);
    case MF_MSG_PONG:
        return MF_OK;
    case MF_MSG_BYE:
        a->bye = true;
        return MF_OK;
    default:
        return MF_EINVAL;
    }
}

/* --- The loop ---------------------------------------------------------------------------------------------------- */

static void update_watch(struct agent *a)
{
    mf_loop_change(a->loop, &a->watch, MF_LOOP_READ | (mf_link_pending(a->link) ? MF_LOOP_WRITE : 0u));
}

static void ready(struct mf_loop_watch *watch, unsigned events)
{
    struct agent *a = (struct agent *)(void *)((char *)watch - offsetof(struct agent, watch));
    struct mf_fault fault = {0};
    if ((events & MF_LOOP_WRITE) && mf_link_flush(a->link) != MF_OK)
        end_at_once(cannot_write);
    if (events & (MF_LOOP_READ | MF_LOOP_HANGUP)) {
        enum mf_err e = mf_link_read(a->link, &fault);
        if (e != MF_OK)
            end_at_once(fault.text); /* if the master is gone, it is not heard */
    }
    update_watch(a);
}

/* The alarm: a task runs for long, so this thread turns the loop until it is done. */
static uint64_t take_over(struct mf_owner *owner)
{
    struct agent *a = owner->context;
    const struct job *job = a->running;
    if (!job)
        return MF_SYS_NEVER;
    uint64_t due = a->started + PATIENCE_NS;
    if (mf_sys_now() < due)
        return due;
    while (a->running == job && !a->own_turn)
        mf_loop_turn(a->loop, MF_SYS_NEVER, 0);
    return a->running ? mf_sys_now() + PATIENCE_NS : MF_SYS_NEVER;
}

/* The task's thread turns the loop until *done is true, or the backlog is short again when done is NULL. */
static void wait_in_task(struct agent *a, const bool *done)
{
    a->own_turn = true;
    while (done ? !*done : mf_link_pending(a->link) > BACKLOG / 2)
        mf_loop_turn(a->loop, MF_SYS_NEVER, 0);
    a->own_turn = false;
    if (a->running)
        mf_owner_alarm(a->owner, mf_sys_now() + PATIENCE_NS);
}

static void send_frame(struct agent *a, enum mf_msg_kind kind, uint64_t id, const struct mf_msg_part *parts, int n)
{
    enum mf_err e = mf_link_send(a->link, kind, id, parts, n);
    if (e != MF_OK)
        end_at_once(e == MF_ECLOSED ? cannot_write : mf_err_text(e));
    if (mf_link_pending(a->link))
        update_watch(a);
}

/* --- Tasks ------------------------------------------------------------------------------------------------------- */

static struct agent *agent_of(struct mf_port *port)
{
    return (struct agent *)(void *)((char *)port - offsetof(struct agent, port));
}

/* Any thread that a task has started may print; only the task's own thread waits when the master is slow. */
static void port_emit(struct mf_port *port, enum mf_stream stream, const void *bytes, size_t n)
{
    struct agent *a = agent_of(port);
    unsigned char tag = (unsigned char)stream;
    const struct mf_msg_part parts[] = {{&tag, 1}, {bytes, n}};
    pthread_mutex_lock(&a->owner->lock);
    if (a->running)
        send_frame(a, MF_MSG_OUTPUT, a->running->id, parts, 2);
    if (mf_link_pending(a->link) > BACKLOG && pthread_equal(pthread_self(), a->thread))
        wait_in_task(a, NULL);
    pthread_mutex_unlock(&a->owner->lock);
}

static void port_progress(struct mf_port *port, double fraction, const char *text)
{
    struct agent *a = agent_of(port);
    unsigned char head[MF_MSG_PROGRESS_HEAD];
    mf_msg_pack_progress_head(head, fraction);
    const struct mf_msg_part parts[] = {{head, sizeof head}, {(const unsigned char *)text, text ? strlen(text) : 0}};
    pthread_mutex_lock(&a->owner->lock);
    if (a->running)
        send_frame(a, MF_MSG_PROGRESS, a->running->id, parts, 2);
    pthread_mutex_unlock(&a->owner->lock);
}

static struct mf_blob *port_fetch(struct mf_port *port, const char *name)
{
    struct agent *a = agent_of(port);
    const struct mf_msg_part part = {(const unsigned char *)name, strlen(name)};
    pthread_mutex_lock(&a->owner->lock);
    a->fetched = false;
    send_frame(a, MF_MSG_FETCH, ++a->fetch, &part, 1);
    wait_in_task(a, &a->fetched);
    struct mf_blob *module = a->module;
    a->module = NULL;
    pthread_mutex_unlock(&a->owner->lock);
    return module;
}

/* The dependencies of a job as the runner wants them; NULL when memory is out. */
static struct mf_bytes *split_deps(const struct mf_msg_task *t)
{
    struct mf_bytes *deps = calloc(t->ndeps ? t->ndeps : 1, sizeof *deps);
    struct mf_msg_part rest = t->deps, dep;
    for (uint32_t i = 0; deps && i < t->ndeps && mf_msg_next_dep(&rest, &dep); i++)
        deps[i] = (struct mf_bytes){dep.bytes, dep.n};
    return deps;
}

/* Lock not held. */
static enum mf_outcome run_task(struct agent *a, const struct job *j, struct mf_buf *result)
{
    struct mf_bytes *deps = split_deps(&j->task);
    struct mf_task task = {
        .code = j->code,
        .args = {j->task.args.bytes, j->task.args.n},
        .deps = deps,
        .ndeps = deps ? j->task.ndeps : 0,
        .seed = j->task.seed,
        .stream = j->task.stream,
        .setup = j->task.setup,
        .port = &a->port,
        .wanted = &a->wanted,
    };
    struct mf_sys_interrupt entry = {.wanted = &a->wanted};
    mf_sys_interrupt_push(&entry);
    enum mf_outcome outcome = a->runner->run(a->instance, &task, result);
    mf_sys_interrupt_pop(&entry);
    free(deps);
    return outcome;
}

static void send_result(struct agent *a, uint64_t id, unsigned outcome, uint64_t elapsed, const struct mf_buf *result)
{
    unsigned char head[MF_MSG_RESULT_HEAD];
    const struct mf_msg_result r = {.outcome = (uint8_t)outcome, .nanoseconds = elapsed};
    mf_msg_pack_result_head(head, &r);
    const struct mf_msg_part parts[] = {{head, sizeof head}, {result->data, result->len}};
    send_frame(a, MF_MSG_RESULT, id, parts, 2);
}

/* Lock held on entry and exit. */
static void run_job(struct agent *a, struct job *j)
{
    struct mf_buf result = {0};
    mf_list_remove(&j->link);
    a->started = mf_sys_now();
    atomic_store(&a->wanted, false);
    a->running = j;
    mf_owner_alarm(a->owner, a->started + PATIENCE_NS);
    pthread_mutex_unlock(&a->owner->lock);
    enum mf_outcome outcome = run_task(a, j, &result);
    pthread_mutex_lock(&a->owner->lock);
    a->running = NULL;
    if (mf_loop_turning(a->loop))
        mf_loop_wake(a->loop); /* the alarm's thread gives the loop back */
    send_result(a, j->id, outcome, mf_sys_now() - a->started, &result);
    while (mf_link_pending(a->link)) /* see the design note: before the next task starts */
        mf_loop_turn(a->loop, MF_SYS_NEVER, 0);
    update_watch(a);
    mf_buf_release(&result);
    free_job(j);
}

/* --- Beginning and end ------------------------------------------------------------------------------------------- */

static void say_hello(struct agent *a, const struct mf_agent_options *options)
{
    struct mf_msg_hello hello = options->hello;
    struct mf_buf body = {0};
    hello.version = MF_MSG_VERSION;
    hello.pid = (uint32_t)getpid();
    hello.cores = (uint32_t)mf_sys_cores();
    if (gethostname(hello.host, sizeof hello.host - 1) != 0)
        memcpy(hello.host, "?", 2);
    if (!mf_msg_pack_hello(&body, &hello))
        end_at_once("out of memory");
    const struct mf_msg_part part = {body.data, body.len};
    send_frame(a, MF_MSG_HELLO, 0, &part, 1);
    mf_buf_release(&body);
}

static void say_bye(struct agent *a, const char *why)
{
    const struct mf_msg_part part = {(const unsigned char *)why, strlen(why)};
    send_frame(a, MF_MSG_BYE, 0, &part, 1);
    while (mf_link_pending(a->link))
        mf_loop_turn(a->loop, MF_SYS_NEVER, 0);
}

static bool open_instance(struct agent *a)
{
    struct mf_fault fault = {0};
    struct mf_worker_info info = {.name = a->name, .init = a->init, .process = true};
    if (a->instance)
        return true;
    pthread_mutex_unlock(&a->owner->lock);
    a->instance = a->runner->open(&info, &fault);
    pthread_mutex_lock(&a->owner->lock);
    if (!a->instance)
        say_bye(a, fault.text);
    return a->instance != NULL;
}

static void serve(struct agent *a)
{
    while (!a->greeted && !a->bye)
        mf_loop_turn(a->loop, MF_SYS_NEVER, 0);
    if (a->bye || !open_instance(a))
        return;
    for (;;) {
        if (!mf_list_empty(&a->queue))
            run_job(a, MF_LIST_ENTRY(a->queue.next, struct job, link));
        else if (a->bye)
            return;
        else
            mf_loop_turn(a->loop, MF_SYS_NEVER, SPIN_NS);
    }
}

static bool set_up(struct agent *a, int fd, struct mf_fault *fault)
{
    a->owner = mf_owner_new(a->runner, a, take_over, fault);
    if (!a->owner)
        return false;
    a->loop = mf_loop_new(&a->owner->lock, fault);
    struct mf_stream_end *stream = a->loop ? mf_stream_fd_new(fd, fault) : NULL;
    a->link = stream ? mf_link_new(stream, received, a, fault) : NULL;
    if (!a->link)
        return false;
    a->watch = (struct mf_loop_watch){.fd = mf_link_fd(a->link), .events = MF_LOOP_READ, .ready = ready};
    return mf_loop_add(a->loop, &a->watch) == MF_OK;
}

static void tear_down(struct agent *a)
{
    mf_owner_alarm_stop(a->owner);
    pthread_mutex_lock(&a->owner->lock);
    mf_loop_remove(a->loop, &a->watch);
    pthread_mutex_unlock(&a->owner->lock);
    while (!mf_list_empty(&a->codes))
        free_code(MF_LIST_ENTRY(a->codes.next, struct code, link));
    mf_blob_unref(a->init);
    mf_link_free(a->link);
    mf_loop_free(a->loop);
    mf_owner_unref(a->owner);
}

int mf_agent_serve(int fd, const struct mf_agent_options *options)
{
    struct mf_fault fault = {0};
    struct agent a = {
        .runner = options->runner,
        .instance = options->instance,
        .thread = pthread_self(),
        .port = {.emit = port_emit, .progress = port_progress, .fetch = port_fetch},
    };
    snprintf(a.name, sizeof a.name, "%s", options->name);
    mf_list_init(&a.queue);
    mf_list_init(&a.codes);
    mf_hooks_agent();
    end_with_master();
    if (!set_up(&a, fd, &fault))
        end_at_once(fault.text);
    pthread_mutex_lock(&a.owner->lock);
    say_hello(&a, options);
    serve(&a);
    pthread_mutex_unlock(&a.owner->lock);
    if (a.instance && !options->instance)
        a.runner->close(a.instance);
    tear_down(&a);
    if (!end_leftovers())
        end_at_once(NULL);
    return EXIT_SUCCESS;
}
