/* Design note: an agent writes each result before it starts the next task, so when it dies only the first flight can have
 * been started: that future is lost, the others go back to the front of the queue.
 *
 * The death of an agent is noticed by its pidfd, or by the end of its stream, whichever comes first; what it still had
 * to say is read before it is buried. */
#include "peer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks.h"
#include "log.h"
#include "owner.h"
#include "sched.h"
#include "sys.h"

#define HELLO_NS                30000000000u /* an agent that has not said hello by then never will */
#define LAST_WORDS              100000       /* reads of a dead agent's stream, should somebody else hold it open */
#define ENDING_GRACES           10           /* grace times for an agent to close its interpreter and free its memory */
#define DYING_NS                50000000     /* a process that ends is waited for that long */

#define OF_WATCH(watch, member) ((struct mf_peer *)(void *)((char *)(watch)-offsetof(struct mf_peer, member)))

/* --- Flights ----------------------------------------------------------------------------------------------------- */

struct mf_flight *mf_peer_find(struct mf_peer *a, uint64_t id)
{
    for (unsigned i = 0; i < a->n; i++)
        if (mf_peer_flight(a, i)->id == id && !mf_peer_flight(a, i)->gone)
            return mf_peer_flight(a, i);
    return NULL;
}

void mf_peer_start_first(struct mf_peer *a)
{
    if (a->n > 0 && mf_peer_flight(a, 0)->future)
        mf_sched_start(a->worker, mf_peer_flight(a, 0)->future);
}

void mf_peer_land(struct mf_peer *a, struct mf_flight *flight)
{
    flight->gone = true;
    flight->future = NULL;
    while (a->n > 0 && mf_peer_flight(a, 0)->gone) {
        a->first = (a->first + 1) % MF_PEER_FLIGHTS;
        a->n--;
    }
}

/* --- Sending ----------------------------------------------------------------------------------------------------- */

/* Code that no future and no map refers to any more is forgotten by all agents. */
static void forget_retired(struct mf_pool *pool)
{
    uint64_t number;
    while ((number = mf_codes_retire(&pool->codes)) != 0)
        for (int i = 0; i < pool->size; i++) {
            struct mf_peer *a = pool->workers[i] ? mf_peer_of(pool->workers[i]) : NULL;
            if (a && a->link && mf_codes_unlearn(&a->known, number))
                mf_link_queue(a->link, MF_MSG_FORGET, number, NULL, 0);
        }
}

static enum mf_err send_code(struct mf_peer *a, struct mf_blob *code, uint64_t *id)
{
    struct mf_pool *pool = a->worker->pool;
    uint64_t last = pool->codes.last;
    enum mf_err e = mf_codes_number(&pool->codes, code, id);
    if (pool->codes.last != last)
        forget_retired(pool);
    if (e != MF_OK || mf_codes_knows(&a->known, *id))
        return e;
    const struct mf_msg_part part = {code->data, code->len};
    e = mf_codes_learn(&a->known, *id);
    if (e == MF_OK && (e = mf_link_queue(a->link, MF_MSG_CODE, *id, &part, 1)) != MF_OK)
        mf_codes_unlearn(&a->known, *id);
    return e;
}

enum mf_err mf_peer_send_setup(struct mf_peer *a, const struct mf_setup *setup)
{
    unsigned char head[MF_MSG_TASK_HEAD];
    struct mf_msg_task task = {.setup = true, .args = {NULL, setup->args ? setup->args->len : 0}};
    enum mf_err e = a->n < MF_PEER_FLIGHTS ? send_code(a, setup->code, &task.code) : MF_ELIMIT;
    if (e != MF_OK)
        return e;
    mf_msg_pack_task_head(head, &task);
    const struct mf_msg_part parts[] = {{head, sizeof head}, {setup->args ? setup->args->data : NULL, task.args.n}};
    uint64_t id = ++a->worker->pool->owner->next_id;
    *mf_peer_flight(a, a->n++) = (struct mf_flight){.id = id, .setup = true};
    return mf_link_queue(a->link, MF_MSG_TASK, id, parts, 2);
}

/* A TASK's body is a head and the payload's own bytes, which are not copied here; see msg.h for the layout. */
enum mf_err mf_peer_send(struct mf_peer *a, const struct mf_future *f)
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

static void update_watch(struct mf_peer *a)
{
    unsigned events = MF_LOOP_READ | (mf_link_pending(a->link) ? MF_LOOP_WRITE : 0u);
    mf_loop_change(a->worker->pool->owner->loop, &a->socket, events);
}

void mf_peer_flush(struct mf_peer *a)
{
    mf_link_flush(a->link); /* if the peer is gone, reading says so */
    update_watch(a);
}

/* Closing its interpreter may never end, too: a finalizer may wait for something. */
void mf_peer_limit_end(struct mf_peer *a)
{
    struct mf_worker *w = a->worker;
    if (w->deadline != MF_SYS_NEVER)
        return;
    w->interrupted = true;
    w->deadline = mf_sys_now() + ENDING_GRACES * w->pool->grace;
    mf_owner_alarm(w->pool->owner, w->deadline);
}

/* --- Burying ----------------------------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void unwatch(struct mf_peer *a)
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

/* Has it ever done anything, as far as can be known? One that says why it ends has not started a task. */
static bool has_served(const struct mf_peer *a)
{
    return a->served || (a->worker->running && !a->bye[0]);
}

/* The first flight may have been started: its future is lost, unless it may be tried again. The others were not. */
static void return_flights(struct mf_peer *a, const char *text)
{
    for (unsigned i = a->n; i > 1; i--)
        if (!mf_peer_flight(a, i - 1)->gone && mf_peer_flight(a, i - 1)->future)
            mf_sched_return(mf_peer_flight(a, i - 1)->future);
    a->n = 0;
    if (a->worker->running && !has_served(a)) {
        mf_sched_return(a->worker->running);
        a->worker->running = NULL;
    } else if (a->worker->running) {
        snprintf(a->worker->broken, sizeof a->worker->broken, "%.*s", (int)sizeof a->worker->broken - 1, text);
        mf_sched_settle(a->worker, MF_OUTCOME_ERROR, NULL);
    }
}

/* Its descriptors are closed and it is in no slot any more. */
static void leave_slot(struct mf_peer *a)
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

static void describe(struct mf_peer *a, const struct mf_launch_end *end, const char *why, char *text, size_t n)
{
    char how[96];
    const char *last = a->bye[0] ? a->bye : a->line;
    mf_launch_describe(end, how, sizeof how);
    snprintf(text, n, "worker %s %s%s%s%s%s", a->worker->name, why ? why : how, *last ? " (it said: " : "", last,
             *last ? ")" : "", "");
}

/* A pool whose workers die before they do anything must not start them for ever. */
static void count_birth(struct mf_pool *pool, const char *text)
{
    if (++pool->births >= MF_POOL_BIRTHS) {
        pool->births = 0;
        mf_sched_lose_all(pool, text);
    }
}

static void bury(struct mf_peer *a, const struct mf_launch_end *end, const char *why)
{
    struct mf_worker *w = a->worker;
    struct mf_pool *pool = w->pool;
    struct mf_fault fault;
    char text[sizeof w->broken + MF_PEER_LINE];
    mf_pool_ref(pool);
    a->dying = true;
    describe(a, end, why, text, sizeof text);
    mf_log(MF_LOG_POOL, "%s", text);
    unwatch(a);
    bool served = has_served(a);
    return_flights(a, text);
    if (!a->greeted)
        pool->starting--;
    leave_slot(a);
    if (!served)
        count_birth(pool, text);
    if (atomic_load(&pool->queue.pending) && !pool->closing && pool->backend->feed(pool, &fault) != MF_OK)
        mf_sched_lose_all(pool, fault.text);
    mf_pool_unref(pool);
}

static void read_errors(struct mf_peer *a);

/* It was killed, but takes its time: it has much memory, or is frozen. */
static void remember_unburied(struct mf_pool *pool, pid_t pid)
{
    pid_t *more = realloc(pool->unburied, (pool->nunburied + 1) * sizeof *more);
    if (!more)
        return;
    pool->unburied = more;
    more[pool->nunburied++] = pid;
}

void mf_peer_collect(struct mf_pool *pool)
{
    size_t left = 0;
    for (size_t i = 0; i < pool->nunburied; i++)
        if (!mf_launch_reap(pool->unburied[i]).ended)
            pool->unburied[left++] = pool->unburied[i];
    pool->nunburied = left;
}

/* The process has ended, or its stream has: whatever is still alive of it is killed, and it is buried. */
void mf_peer_end(struct mf_peer *a, const char *why)
{
    /* Its tasks' own processes, too. Before it is collected, as long as its number is its own. */
    mf_launch_signal(a->child.pid, SIGKILL);
    if (a->reading) {
        a->doom = why ? why : "ended";
        a->dying = true;
        return;
    }
    mf_launch_ends_by(&a->child, mf_sys_now() + DYING_NS);
    struct mf_launch_end end = mf_launch_reap(a->child.pid);
    if (!end.ended)
        remember_unburied(a->worker->pool, a->child.pid);
    if (a->child.errors >= 0)
        read_errors(a);
    bury(a, &end, why);
}

static enum mf_err read_link(struct mf_peer *a, struct mf_fault *fault)
{
    a->reading = true;
    enum mf_err e = mf_link_read(a->link, fault);
    a->reading = false;
    return e;
}

/* What it still had to say is read; its end is the end of the stream. Nothing is sent to it any more. */
static void on_death(struct mf_loop_watch *watch, unsigned events)
{
    struct mf_peer *a = OF_WATCH(watch, death);
    struct mf_fault fault = {0};
    enum mf_err e;
    unsigned rounds = 0;
    (void)events;
    a->dying = true;
    do
        e = read_link(a, &fault);
    while (e == MF_OK && ++rounds <= LAST_WORDS);
    if (e == MF_EINVAL && !a->bye[0])
        snprintf(a->bye, sizeof a->bye, "%.*s", MF_PEER_LINE - 1, fault.text);
    mf_peer_end(a, a->doom);
}

/* What came from it could not be taken. A greeting that was refused has left its reason in bye. */
static void give_up(struct mf_peer *a, const struct mf_fault *fault)
{
    char why[sizeof fault->text + 32];
    const char *what = fault->code == MF_ENOMEM ? "was given up" : "broke the protocol";
    bool refused = !a->greeted && a->bye[0];
    snprintf(why, sizeof why, "%s: %s", refused ? "was refused" : what, refused ? a->bye : fault->text);
    if (refused)
        a->bye[0] = '\0';
    mf_peer_end(a, why);
}

static void on_socket(struct mf_loop_watch *watch, unsigned events)
{
    struct mf_peer *a = OF_WATCH(watch, socket);
    struct mf_pool *pool = a->worker->pool;
    struct mf_fault fault = {0};
    if (events & MF_LOOP_WRITE)
        mf_peer_flush(a);
    if (!(events & (MF_LOOP_READ | MF_LOOP_HANGUP)))
        return;
    mf_pool_ref(pool);
    enum mf_err e = read_link(a, &fault);
    if (a->doom)
        mf_peer_end(a, a->doom);
    else if (e == MF_ECLOSED || e == MF_ELOST) /* as a rule because it ends, a moment before that can be seen */
        mf_peer_end(a, mf_launch_ends_by(&a->child, mf_sys_now() + DYING_NS) ? NULL : "closed its connection");
    else if (e != MF_OK)
        give_up(a, &fault);
    else if (pool->backend->feed(pool, &fault) != MF_OK)
        mf_sched_lose_all(pool, fault.text);
    mf_pool_unref(pool);
}

/* --- What the process writes to its stderr ----------------------------------------------------------------------- */

static void end_line(struct mf_peer *a)
{
    struct mf_owner *owner = a->worker->pool->owner;
    char text[MF_PEER_LINE + 2];
    snprintf(a->line, sizeof a->line, "%s", a->part);
    int n = snprintf(text, sizeof text, "%s\n", a->part);
    a->part[0] = '\0';
    pthread_mutex_lock(&owner->output_lock);
    owner->runner->live(owner->context, a->worker->name, MF_STDERR, text, (size_t)n);
    pthread_mutex_unlock(&owner->output_lock);
}

static void add_errors(struct mf_peer *a, const char *bytes, size_t n)
{
    size_t at = strlen(a->part);
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == '\n' || at == MF_PEER_LINE - 1) {
            end_line(a);
            at = 0;
        }
        if (bytes[i] != '\n' && bytes[i] != '\0') {
            a->part[at++] = bytes[i];
            a->part[at] = '\0';
        }
    }
}

static void read_errors(struct mf_peer *a)
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

/* --- Beginning --------------------------------------------------------------------------------------------------- */

static enum mf_err watch_all(struct mf_peer *a, struct mf_loop *loop)
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

/* The link owns the child's socket; if there is none, it is closed. */
static bool open_link(struct mf_peer *a, struct mf_fault *fault)
{
    struct mf_stream_end *stream = mf_stream_fd_new(a->child.socket, fault);
    a->link = stream ? mf_link_new(stream, mf_peer_received, a, fault) : NULL;
    if (!stream)
        close_fd(&a->child.socket);
    else if (!a->link)
        stream->table->close(stream);
    return a->link != NULL;
}

enum mf_err mf_peer_start(struct mf_pool *pool, int index, mf_peer_launch *launch, struct mf_fault *fault)
{
    struct mf_peer *a = calloc(1, sizeof *a);
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
    struct mf_loop *loop = open_link(a, fault) ? mf_owner_loop(pool->owner, fault) : NULL;
    if (!loop || watch_all(a, loop) != MF_OK) {
        mf_peer_end(a, "could not be watched: out of memory");
        return MF_OK; /* buried, and counted as a birth that failed */
    }
    mf_link_limit(a->link, MF_MSG_MAX_HELLO);
    w->deadline = mf_sys_now() + mf_hooks_hello_time(HELLO_NS);
    mf_owner_alarm(pool->owner, w->deadline);
    return MF_OK;
}
