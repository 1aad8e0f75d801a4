/* Design note: an agent gets tasks ahead of time, so that it never waits for a round trip; how many depends on how
 * long tasks have taken of late. What was sent stands in the agent's flights, in order. An agent writes each result
 * before it starts the next task, so when it dies only the first flight can have been started: that future is lost,
 * the others go back to the front of the queue.
 *
 * A worker's running future is the first flight's. A flight without a future is one that nobody wants any more
 * (cancelled, timed out); its answer is awaited all the same, because the agent is busy with it until then.
 *
 * The death of an agent is noticed by its pidfd, or by the end of its stream, whichever comes first; what it still had
 * to say is read before it is buried. */
#include "fleet.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codes.h"
#include "link.h"
#include "log.h"
#include "loop.h"
#include "modules.h"
#include "owner.h"
#include "sched.h"
#include "sys.h"

#define AHEAD_MAX  64           /* tasks sent to an agent and not answered */
#define AHEAD_NS   1000000      /* so much work may stand ahead, while tasks are shorter than that */
#define OVERDUE_NS 2000000      /* work that stands ahead for longer is given to an agent that has none */
#define HELLO_NS   30000000000u /* an agent that has not said hello by then never will */
#define TERM_NS    200000000u   /* between SIGTERM and SIGKILL */
#define IDLE_NS 100000 /* an agent that was not heard of for so long may have died unseen */
#define LINE       160
#define LAST_WORDS 100000 /* reads of a dead agent's stream, should somebody else hold it open */

struct flight {
    uint64_t id;
    struct mf_future *future; /* a reference; NULL when nobody wants the result */
    bool recalled;            /* asked back, because another agent has nothing to do */
    bool gone;                /* given back; its place in the ring is passed over */
};

struct agent {
    struct mf_worker *worker;
    struct mf_launch_child child;
    struct mf_loop_watch socket, death, errors;
    struct mf_link *link;
    struct flight flights[AHEAD_MAX]; /* a ring */
    unsigned first, n;
    bool greeted;
    bool dying;      /* it was sent a signal that ends it, or has said BYE */
    char bye[LINE];  /* why it said it ends */
    char line[LINE]; /* the last whole line of its stderr, and what came behind it */
    char part[LINE];
    uint64_t heard; /* when the last frame came */
    struct mf_codes_known known; /* the code it has been sent */
};

static struct agent *agent_of(const struct mf_worker *w)
{
    return w->instance;
}

#define OF_WATCH(watch, member) ((struct agent *)(void *)((char *)(watch)-offsetof(struct agent, member)))

/* --- Flights ----------------------------------------------------------------------------------------------------- */

static struct flight *flight_at(struct agent *a, unsigned i)
{
    return &a->flights[(a->first + i) % AHEAD_MAX];
}

static struct flight *find_flight(struct agent *a, uint64_t id)
{
    for (unsigned i = 0; i < a->n; i++)
        if (flight_at(a, i)->id == id && !flight_at(a, i)->gone)
            return flight_at(a, i);
    return NULL;
}

/* The first flight is the one that the agent works on now. */
static void start_first(struct agent *a)
{
    if (a->n > 0 && flight_at(a, 0)->future)
        mf_sched_start(a->worker, flight_at(a, 0)->future);
}

/* The flight is over; it need not be the first. */
static void land(struct agent *a, struct flight *flight)
{
    flight->gone = true;
    flight->future = NULL;
    while (a->n > 0 && flight_at(a, 0)->gone) {
        a->first = (a->first + 1) % AHEAD_MAX;
        a->n--;
    }
}

/* --- Sending ----------------------------------------------------------------------------------------------------- */

static enum mf_err send_code(struct agent *a, struct mf_blob *code, uint64_t *id)
{
    struct mf_pool *pool = a->worker->pool;
    enum mf_err e = mf_codes_number(&pool->codes, code, id);
    if (e != MF_OK || mf_codes_knows(&a->known, *id))
        return e;
    const struct mf_msg_part part = {code->data, code->len};
    e = mf_link_queue(a->link, MF_MSG_CODE, *id, &part, 1);
    return e == MF_OK ? mf_codes_learn(&a->known, *id) : e;
}

/* A TASK's body is a head and the payload's own bytes, which are not copied here; see msg.h for the layout. */
static enum mf_err send_task(struct agent *a, const struct mf_future *f)
{
    size_t ndeps = f->extra ? f->extra->ndeps : 0;
    struct mf_msg_part few[4], *parts = ndeps ? malloc((2 + 2 * ndeps) * sizeof *parts) : few;
    unsigned char *lengths = ndeps ? malloc(8 * ndeps) : NULL;
    uint64_t code = 0;
    enum mf_err e = parts && (lengths || !ndeps) ? send_code(a, f->code, &code) : MF_ENOMEM;
    if (e == MF_OK) {
        unsigned char head[MF_MSG_TASK_HEAD];
        struct mf_msg_task task = {.code = code,
                                   .seed = f->seed,
                                   .stream = f->stream,
                                   .setup = f->setup,
                                   .ndeps = (uint32_t)ndeps,
                                   .args = {NULL, f->args ? f->args->len : 0}};
        mf_msg_pack_task_head(head, &task);
        parts[0] = (struct mf_msg_part){head, sizeof head};
        parts[1] = (struct mf_msg_part){f->args ? f->args->data : NULL, task.args.n};
        for (size_t i = 0; i < ndeps; i++) {
            const struct mf_blob *result = f->extra->deps[i]->result;
            mf_msg_put64(lengths + 8 * i, result->len);
            parts[2 + 2 * i] = (struct mf_msg_part){lengths + 8 * i, 8};
            parts[3 + 2 * i] = (struct mf_msg_part){result->data, result->len};
        }
        e = mf_link_queue(a->link, MF_MSG_TASK, f->id, parts, (int)(2 + 2 * ndeps));
    }
    free(lengths);
    if (parts != few)
        free(parts);
    return e;
}

/* How many tasks an agent may have at once. One, while nothing is known of how long they take. */
static unsigned ahead(const struct mf_pool *pool)
{
    uint64_t n = pool->mean ? AHEAD_NS / pool->mean + 1 : 1;
    return n > AHEAD_MAX ? AHEAD_MAX : (unsigned)n;
}

static bool has_room(const struct agent *a)
{
    return a && a->greeted && !a->dying && a->n < ahead(a->worker->pool);
}

/* Sends one queued future to the agent, if there is one for it. */
static bool send_next(struct agent *a)
{
    struct mf_future *f = mf_sched_send(a->worker);
    if (!f)
        return false;
    struct flight *flight = flight_at(a, a->n++);
    *flight = (struct flight){.id = f->id, .future = f};
    if (send_task(a, f) == MF_ENOMEM) {
        a->n--;
        mf_sched_finish(f, MF_FUTURE_LOST, MF_FAILURE_LOST, NULL, "out of memory while sending the task");
    } else if (a->n == 1) {
        start_first(a);
    } else {
        mf_owner_alarm(a->worker->pool->owner, mf_sys_now() + OVERDUE_NS);
    }
    return true;
}

static void update_watch(struct agent *a)
{
    unsigned events = MF_LOOP_READ | (mf_link_pending(a->link) ? MF_LOOP_WRITE : 0u);
    mf_loop_change(a->worker->pool->owner->loop, &a->socket, events);
}

static void flush(struct agent *a)
{
    mf_link_flush(a->link); /* if the peer is gone, reading says so */
    update_watch(a);
}

static void end_of(struct agent *a, const char *why);

/* While nobody turned the loop, an idle agent may have died; a task that is sent to it would be lost. */
static void look_after_idle(struct mf_pool *pool)
{
    uint64_t now = mf_sys_now();
    for (int i = 0; i < pool->size; i++) {
        struct agent *a = pool->workers[i] ? agent_of(pool->workers[i]) : NULL;
        if (!has_room(a) || a->n > 0 || now - a->heard < IDLE_NS)
            continue;
        a->heard = now;
        if (mf_launch_has_ended(a->child.pid))
            end_of(a, "has ended");
    }
}

/* In turn, one each, so that a few tasks spread over all agents. */
void mf_fleet_send(struct mf_pool *pool)
{
    if (atomic_load(&pool->queue.pending))
        look_after_idle(pool);
    for (unsigned level = 0; level < ahead(pool) && atomic_load(&pool->queue.pending); level++)
        for (int i = 0; i < pool->size; i++) {
            struct agent *a = pool->workers[i] ? agent_of(pool->workers[i]) : NULL;
            if (has_room(a) && a->n <= level)
                send_next(a);
        }
    for (int i = 0; i < pool->size; i++)
        if (pool->workers[i] && agent_of(pool->workers[i])->link)
            flush(agent_of(pool->workers[i]));
}

/* --- Burying ----------------------------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void unwatch(struct agent *a)
{
    struct mf_loop *loop = a->worker->pool->owner->loop;
    mf_loop_remove(loop, &a->socket);
    mf_loop_remove(loop, &a->death);
    mf_loop_remove(loop, &a->errors);
    mf_link_free(a->link);
    a->link = NULL;
    close_fd(&a->child.pidfd);
    close_fd(&a->child.errors);
}

/* The first flight may have been started: its future is lost, unless it may be tried again. The others were not. */
static void return_flights(struct agent *a, const char *text)
{
    for (unsigned i = a->n; i > 1; i--)
        if (!flight_at(a, i - 1)->gone && flight_at(a, i - 1)->future)
            mf_sched_return(flight_at(a, i - 1)->future);
    a->n = 0;
    if (a->worker->running) {
        snprintf(a->worker->broken, sizeof a->worker->broken, "%.*s", (int)sizeof a->worker->broken - 1, text);
        mf_sched_settle(a->worker, MF_OUTCOME_ERROR, NULL);
    }
}

/* Its descriptors are closed and it is in no slot any more. */
static void leave_slot(struct agent *a)
{
    struct mf_worker *w = a->worker;
    struct mf_pool *pool = w->pool;
    if (w->state == MF_WORKER_BUSY)
        mf_worker_move(w, MF_WORKER_BUSY, MF_WORKER_IDLE);
    if (w->state == MF_WORKER_IDLE)
        mf_worker_move(w, MF_WORKER_IDLE, MF_WORKER_STOPPING);
    mf_worker_move(w, w->state, MF_WORKER_DEAD);
    if (!w->abandoned)
        mf_pool_drop_worker(w);
    mf_list_insert(&pool->leavers, &w->link);
    atomic_store(&pool->owner->untidy, true);
    pthread_cond_broadcast(&pool->gone);
    mf_owner_nudge(pool->owner);
}

static void describe(struct agent *a, const struct mf_launch_end *end, const char *why, char *text, size_t n)
{
    char how[96];
    const char *last = a->bye[0] ? a->bye : a->line;
    mf_launch_describe(end, how, sizeof how);
    snprintf(text, n, "worker %s %s%s%s%s%s", a->worker->name, end->ended ? how : why, *last ? " (it said: " : "", last,
             *last ? ")" : "", "");
}

/* A pool whose workers die before they say hello must not start them for ever. */
static void count_birth(struct agent *a, const char *text)
{
    struct mf_pool *pool = a->worker->pool;
    pool->starting--;
    if (++pool->births >= MF_POOL_BIRTHS) {
        pool->births = 0;
        mf_sched_lose_all(pool, text);
    }
}

static void bury(struct agent *a, const struct mf_launch_end *end, const char *why)
{
    struct mf_worker *w = a->worker;
    struct mf_pool *pool = w->pool;
    struct mf_fault fault;
    char text[sizeof w->broken + LINE];
    mf_pool_ref(pool);
    a->dying = true;
    describe(a, end, why, text, sizeof text);
    mf_log(MF_LOG_POOL, "%s", text);
    unwatch(a);
    return_flights(a, text);
    bool greeted = a->greeted;
    leave_slot(a);
    if (!greeted)
        count_birth(a, text);
    if (atomic_load(&pool->queue.pending) && !pool->closing && pool->backend->feed(pool, &fault) != MF_OK)
        mf_sched_lose_all(pool, fault.text);
    mf_pool_unref(pool);
}

static bool read_frames(struct agent *a, struct mf_fault *fault)
{
    return mf_link_read(a->link, fault) == MF_OK;
}

static void read_errors(struct agent *a);

/* The process has ended, or its stream has: whatever is still alive of it is killed, and it is buried. */
static void end_of(struct agent *a, const char *why)
{
    struct mf_launch_end end = mf_launch_reap(a->child.pid);
    mf_launch_signal(a->child.pid, SIGKILL); /* and what its tasks have left in its process group */
    if (!end.ended)
        end = mf_launch_wait(a->child.pid);
    if (a->child.errors >= 0)
        read_errors(a);
    bury(a, &end, why);
}

static void on_death(struct mf_loop_watch *watch, unsigned events)
{
    struct agent *a = OF_WATCH(watch, death);
    struct mf_fault fault = {0};
    unsigned rounds = 0;
    (void)events;
    while (read_frames(a, &fault)) { /* what it still had to say; its end is the end of the stream */
        if (++rounds > LAST_WORDS)
            break;
    }
    end_of(a, "has ended");
}

static void on_socket(struct mf_loop_watch *watch, unsigned events)
{
    struct agent *a = OF_WATCH(watch, socket);
    struct mf_pool *pool = a->worker->pool;
    struct mf_fault fault = {0};
    if (events & MF_LOOP_WRITE)
        flush(a);
    if (!(events & (MF_LOOP_READ | MF_LOOP_HANGUP)))
        return;
    mf_pool_ref(pool);
    if (!read_frames(a, &fault))
        end_of(a, fault.text);
    else if (pool->backend->feed(pool, &fault) != MF_OK)
        mf_sched_lose_all(pool, fault.text);
    mf_pool_unref(pool);
}

/* --- Frames from an agent ---------------------------------------------------------------------------------------- */

static enum mf_err on_hello(struct agent *a, const struct mf_link_frame *frame, struct mf_fault *fault)
{
    struct mf_pool *pool = a->worker->pool;
    struct mf_msg_hello hello;
    enum mf_err e = mf_msg_unpack_hello(frame->body, (size_t)frame->head.length, &hello, fault);
    if (e == MF_OK)
        e = mf_msg_check_hello(&hello, pool->owner->runner->hello, fault);
    if (e != MF_OK)
        return e;
    const struct mf_msg_part init = {pool->init ? pool->init->data : NULL, pool->init ? pool->init->len : 0};
    a->greeted = true;
    a->worker->deadline = MF_SYS_NEVER;
    pool->starting--;
    pool->births = 0;
    mf_worker_move(a->worker, MF_WORKER_STARTING, MF_WORKER_IDLE);
    return mf_link_queue(a->link, MF_MSG_INIT, 0, &init, 1);
}

/* A task that was not started has come back. It may be the first flight by now, and its future RUNNING as far as we knew:
 * the result of the one before was on its way when it was asked for. */
static void on_recalled(struct agent *a, struct flight *flight)
{
    struct mf_worker *w = a->worker;
    struct mf_future *f = flight->future;
    bool first = flight == flight_at(a, 0);
    land(a, flight);
    if (first && w->state == MF_WORKER_BUSY) {
        mf_worker_move(w, MF_WORKER_BUSY, MF_WORKER_IDLE);
        w->running = NULL;
        w->deadline = MF_SYS_NEVER;
    }
    if (f)
        mf_sched_return(f);
    if (first)
        start_first(a);
}

static enum mf_err on_result(struct agent *a, const struct mf_link_frame *frame)
{
    struct mf_worker *w = a->worker;
    struct flight *flight = find_flight(a, frame->head.id);
    struct mf_msg_result result;
    if (!flight || mf_msg_unpack_result(frame->body, (size_t)frame->head.length, &result, NULL) != MF_OK)
        return MF_EINVAL;
    if (result.outcome == MF_MSG_RECALLED) {
        on_recalled(a, flight);
        return MF_OK;
    }
    if (flight != flight_at(a, 0) || result.outcome > MF_OUTCOME_ERROR)
        return MF_EINVAL;
    bool wanted = flight->future != NULL;
    w->started = mf_sys_now() - result.nanoseconds;
    w->deadline = MF_SYS_NEVER;
    land(a, flight);
    if (w->state == MF_WORKER_BUSY)
        mf_worker_move(w, MF_WORKER_BUSY, MF_WORKER_IDLE);
    mf_sched_settle(w, (enum mf_outcome)result.outcome,
                    wanted ? mf_blob_new(result.bytes.bytes, result.bytes.n) : NULL);
    if (w->state == MF_WORKER_IDLE) /* else a future that waited for this one was sent meanwhile, and started */
        start_first(a);
    return MF_OK;
}

static enum mf_err on_output(struct agent *a, const struct mf_link_frame *frame)
{
    struct flight *flight = find_flight(a, frame->head.id);
    if (!flight || frame->head.length < 1)
        return MF_EINVAL;
    if (flight->future)
        mf_pool_print(a->worker, flight->future, (enum mf_stream)frame->body[0], frame->body + 1,
                      (size_t)frame->head.length - 1);
    return MF_OK;
}

static enum mf_err on_progress(struct agent *a, const struct mf_link_frame *frame)
{
    struct flight *flight = find_flight(a, frame->head.id);
    struct mf_msg_progress progress;
    char text[64];
    if (!flight || mf_msg_unpack_progress(frame->body, (size_t)frame->head.length, &progress, NULL) != MF_OK)
        return MF_EINVAL;
    snprintf(text, sizeof text, "%.*s", (int)progress.text.n, (const char *)progress.text.bytes);
    if (flight->future)
        mf_pool_progress(flight->future, progress.fraction, text);
    return MF_OK;
}

static enum mf_err on_fetch(struct agent *a, const struct mf_link_frame *frame)
{
    struct mf_buf module = {0};
    char name[256];
    if (frame->head.length >= sizeof name)
        return MF_EINVAL;
    snprintf(name, sizeof name, "%.*s", (int)frame->head.length, (const char *)frame->body);
    mf_modules_find(a->worker->pool->module_path, name, &module);
    const struct mf_msg_part part = {module.data, module.len};
    enum mf_err e = mf_link_queue(a->link, MF_MSG_MODULE, frame->head.id, &part, 1);
    mf_buf_release(&module);
    return e;
}

static enum mf_err on_bye(struct agent *a, const struct mf_link_frame *frame)
{
    a->dying = true;
    snprintf(a->bye, sizeof a->bye, "%.*s", (int)frame->head.length, (const char *)frame->body);
    return MF_OK;
}

static enum mf_err received(void *arg, const struct mf_link_frame *frame)
{
    struct agent *a = arg;
    struct mf_fault fault = {0};
    a->heard = mf_sys_now();
    if (!a->greeted) {
        enum mf_err e = frame->head.kind == MF_MSG_HELLO ? on_hello(a, frame, &fault) : MF_EINVAL;
        if (e != MF_OK)
            snprintf(a->bye, sizeof a->bye, "%.*s", LINE - 1, fault.text);
        return e;
    }
    switch (frame->head.kind) {
    case MF_MSG_RESULT:
        return on_result(a, frame);
    case MF_MSG_OUTPUT:
        return on_output(a, frame);
    case MF_MSG_PROGRESS:
        return on_progress(a, frame);
    case MF_MSG_FETCH:
        return on_fetch(a, frame);
    case MF_MSG_PONG:
        return MF_OK;
    case MF_MSG_BYE:
        return on_bye(a, frame);
    default:
        return MF_EINVAL;
    }
}

/* --- What the process writes to its stderr ----------------------------------------------------------------------- */

static void end_line(struct agent *a)
{
    struct mf_owner *owner = a->worker->pool->owner;
    char text[LINE + 2];
    snprintf(a->line, sizeof a->line, "%s", a->part);
    int n = snprintf(text, sizeof text, "%s\n", a->part);
    a->part[0] = '\0';
    pthread_mutex_lock(&owner->output_lock);
    owner->runner->live(owner->context, a->worker->name, MF_STDERR, text, (size_t)n);
    pthread_mutex_unlock(&owner->output_lock);
}

static void add_errors(struct agent *a, const char *bytes, size_t n)
{
    size_t at = strlen(a->part);
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == '\n' || at == LINE - 1) {
            end_line(a);
            at = 0;
        }
        if (bytes[i] != '\n' && bytes[i] != '\0') {
            a->part[at++] = bytes[i];
            a->part[at] = '\0';
        }
    }
}

static void read_errors(struct agent *a)
{
    char bytes[4096];
    ssize_t n;
    while ((n = read(a->child.errors, bytes, sizeof bytes)) > 0)
        add_errors(a, bytes, (size_t)n);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        if (a->part[0])
            end_line(a);
        mf_loop_remove(a->worker->pool->owner->loop, &a->errors);
        close_fd(&a->child.errors);
    }
}

static void on_errors(struct mf_loop_watch *watch, unsigned events)
{
    (void)events;
    read_errors(OF_WATCH(watch, errors));
}

/* --- Beginning and end ------------------------------------------------------------------------------------------- */

static enum mf_err watch_all(struct agent *a, struct mf_loop *loop)
{
    a->socket = (struct mf_loop_watch){.fd = mf_link_fd(a->link), .events = MF_LOOP_READ, .ready = on_socket};
    a->death = (struct mf_loop_watch){.fd = a->child.pidfd, .events = MF_LOOP_READ, .ready = on_death};
    a->errors = (struct mf_loop_watch){.fd = a->child.errors, .events = MF_LOOP_READ, .ready = on_errors};
    enum mf_err e = mf_loop_add(loop, &a->socket);
    if (e == MF_OK && a->child.pidfd >= 0)
        e = mf_loop_add(loop, &a->death);
    if (e == MF_OK && a->child.errors >= 0)
        e = mf_loop_add(loop, &a->errors);
    return e;
}

enum mf_err mf_fleet_start(struct mf_pool *pool, int index, mf_fleet_launch *launch, struct mf_fault *fault)
{
    struct agent *a = calloc(1, sizeof *a);
    struct mf_worker *w = a ? mf_pool_add_worker(pool, index) : NULL;
    if (!w) {
        free(a);
        return mf_fault_set(fault, MF_ENOMEM, "out of memory while starting worker %d", index);
    }
    a->worker = w;
    w->instance = a;
    enum mf_err e = launch(pool, index, &a->child, fault);
    if (e != MF_OK) {
        mf_pool_drop_worker(w);
        mf_pool_free_worker(w);
        free(a);
        return e;
    }
    pool->starting++;
    struct mf_stream_end *stream = mf_stream_fd_new(a->child.socket, fault);
    a->link = stream ? mf_link_new(stream, received, a, fault) : NULL;
    struct mf_loop *loop = a->link ? mf_owner_loop(pool->owner, fault) : NULL;
    if (!loop || watch_all(a, loop) != MF_OK) {
        end_of(a, "could not be watched: out of memory");
        return MF_OK; /* buried, and counted as a birth that failed */
    }
    mf_link_limit(a->link, MF_MSG_MAX_HELLO);
    w->deadline = mf_sys_now() + HELLO_NS;
    mf_owner_alarm(pool->owner, w->deadline);
    return MF_OK;
}

void mf_fleet_interrupt(struct mf_worker *worker)
{
    struct agent *a = agent_of(worker);
    if (!a->link)
        return;
    if (a->n > 0) {
        flight_at(a, 0)->future = NULL;
        mf_link_queue(a->link, MF_MSG_CANCEL, flight_at(a, 0)->id, NULL, 0);
    }
    flush(a);
}

/* The future of a flight that is not the first. */
void mf_fleet_withdraw(struct mf_pool *pool, struct mf_future *f)
{
    for (int i = 0; i < pool->size; i++) {
        struct agent *a = pool->workers[i] ? agent_of(pool->workers[i]) : NULL;
        for (unsigned k = 0; a && k < a->n; k++) {
            struct flight *flight = flight_at(a, k);
            if (flight->future != f)
                continue;
            flight->future = NULL;
            mf_link_queue(a->link, MF_MSG_CANCEL, flight->id, NULL, 0);
            flush(a);
        }
    }
}

/* The slot is free at once; what is left of the agent is buried when its process has ended. */
void mf_fleet_abandon(struct mf_worker *worker)
{
    struct agent *a = agent_of(worker);
    mf_log(MF_LOG_POOL, "worker %s does not stop: killed", worker->name);
    worker->deadline = MF_SYS_NEVER;
    mf_launch_signal(a->child.pid, SIGTERM);
    mf_launch_signal(a->child.pid, SIGKILL);
    end_of(a, "did not stop");
}

void mf_fleet_leave(struct mf_pool *pool)
{
    for (int i = 0; i < pool->size; i++) {
        struct agent *a = pool->workers[i] ? agent_of(pool->workers[i]) : NULL;
        bool busy = a && (a->n > 0 || atomic_load(&pool->queue.pending) || !mf_list_empty(&pool->created));
        if (!a || a->dying || (busy && !pool->closing))
            continue;
        a->dying = true;
        mf_link_queue(a->link, MF_MSG_BYE, 0, NULL, 0);
        flush(a);
    }
}

void mf_fleet_join(struct mf_worker *worker)
{
    struct agent *a = agent_of(worker);
    mf_codes_forget_all(&a->known);
    free(a);
    worker->instance = NULL;
}

static bool somebody_is_idle(const struct mf_pool *pool)
{
    for (int i = 0; i < pool->size; i++) {
        const struct agent *a = pool->workers[i] ? agent_of(pool->workers[i]) : NULL;
        if (!a || (a->greeted && !a->dying && a->n == 0))
            return true;
    }
    return false;
}

static void recall_from(struct agent *a)
{
    for (unsigned i = 1; i < a->n; i++) {
        struct flight *flight = flight_at(a, i);
        if (!flight->gone && !flight->recalled && flight->future)
            mf_link_queue(a->link, MF_MSG_RECALL, flight->id, NULL, 0);
        flight->recalled = true;
    }
    flush(a);
}

void mf_fleet_overdue(struct mf_pool *pool)
{
    uint64_t now = mf_sys_now();
    if (atomic_load(&pool->queue.pending) || !somebody_is_idle(pool))
        return;
    for (int i = 0; i < pool->size; i++) {
        struct agent *a = pool->workers[i] ? agent_of(pool->workers[i]) : NULL;
        if (a && a->link && a->n > 1 && now - a->worker->started > OVERDUE_NS)
            recall_from(a);
    }
}
