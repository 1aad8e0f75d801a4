/* Design note: the death of an agent is noticed by its pidfd, or by the end of its stream, whichever comes first; what it
 * still had to say is read before it is buried. What it worked on is lost then. The other flights go back to the front of
 * the queue, if it is sure that they were not started: all that the agent has written was read, or their own frames were
 * not written. It is not sure when an agent far away falls silent, or when somebody does not keep to the protocol. */
#include "peer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "owner.h"
#include "sched.h"
#include "sys.h"

#define ENDING_GRACES 10       /* grace times for an agent to close its interpreter and free its memory */
#define DYING_NS      50000000 /* a process that ends is waited for that long */

static const char by_itself[] = "ended";

#define OF_WATCH(watch, member) ((struct mf_peer *)(void *)((char *)(watch)-offsetof(struct mf_peer, member)))

/* --- Burying ----------------------------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void unwatch(struct mf_peer *a)
{
    struct mf_loop *loop = a->pool->owner->loop;
    mf_loop_remove(loop, &a->socket);
    mf_loop_remove(loop, &a->death);
    mf_loop_remove(loop, &a->errors);
    if (!a->link && a->remote)
        a->remote->end.table->close(&a->remote->end); /* no link could be made of it */
    mf_link_free(a->link);
    a->link = NULL;
    close_fd(&a->child.pidfd);
    close_fd(&a->child.errors);
}

/* Closing its interpreter may never end, too: a finalizer may wait for something. */
void mf_peer_limit_end(struct mf_peer *a)
{
    struct mf_worker *w = a->lanes[0];
    if (w->deadline != MF_SYS_NEVER)
        return;
    w->interrupted = true;
    w->deadline = mf_sys_now() + ENDING_GRACES * w->pool->grace;
    mf_owner_alarm(w->pool->owner, w->deadline);
}

static bool is_working(const struct mf_peer *a)
{
    for (int i = 0; i < a->nlanes; i++)
        if (a->lanes[i]->running)
            return true;
    return false;
}

/* Has it ever done anything, as far as can be known? One that says why it ends has not started a task. */
static bool has_served(const struct mf_peer *a)
{
    return a->served || (is_working(a) && !a->bye[0]);
}

/* What became of an agent's flights when it ended. */
struct remains {
    uint64_t written; /* so much was written to it; what ends later it has not seen */
    bool known;       /* all that it has said was read */
    const char *text;
};

/* A flight that has not been started, as far as is known, goes back; so does what the agent cannot have begun. */
static void return_flight(struct mf_flight *flight, const struct remains *r, bool served)
{
    bool seen = flight->end <= r->written;
    if (flight->lane && (!seen || !served)) {
        mf_sched_return(flight->future);
        flight->lane->running = NULL;
    } else if (!flight->lane && (!seen || r->known)) {
        mf_sched_return(flight->future);
    } else if (!flight->lane) {
        mf_sched_lose(flight->future, r->text);
    }
}

/* The newest first, since each goes to the front of the queue. What has been started is lost, unless it may be tried again. */
static void return_flights(struct mf_peer *a, const struct remains *r)
{
    bool served = has_served(a);
    while (a->n > 0) {
        struct mf_flight *flight = mf_peer_flight(a, --a->n);
        a->pool->awaited--;
        if (flight->future)
            return_flight(flight, r, served);
    }
    for (int i = 0; i < a->nlanes; i++) {
        struct mf_worker *w = a->lanes[i];
        if (!w->running)
            continue;
        snprintf(w->broken, sizeof w->broken, "%.*s", (int)sizeof w->broken - 1, r->text);
        mf_sched_settle(w, MF_OUTCOME_ERROR, NULL);
    }
}

static void end_lane(struct mf_worker *w)
{
    if (w->state == MF_WORKER_BUSY)
        mf_worker_move(w, MF_WORKER_BUSY, MF_WORKER_IDLE);
    if (w->state == MF_WORKER_IDLE)
        mf_worker_move(w, MF_WORKER_IDLE, MF_WORKER_STOPPING);
    mf_worker_move(w, w->state, MF_WORKER_DEAD);
    if (!w->abandoned)
        mf_pool_drop_worker(w);
    mf_list_insert(&w->pool->leavers, &w->link);
}

/* Its descriptors are closed and it is in no slot any more. */
static void leave_slots(struct mf_peer *a)
{
    struct mf_pool *pool = a->pool;
    for (int i = 0; i < a->nlanes; i++)
        end_lane(a->lanes[i]);
    atomic_store(&pool->owner->untidy, true);
    pthread_cond_broadcast(&pool->gone);
    mf_owner_nudge(pool->owner);
}

static void describe(struct mf_peer *a, const char *how, char *text, size_t n)
{
    const char *last = a->bye[0] ? a->bye : a->line;
    snprintf(text, n, "%s %s%s%s%s", a->name, how, *last ? " (it said: " : "", last, *last ? ")" : "");
}

/* A pool whose workers die before they do anything must not start them for ever. */
static void count_birth(struct mf_pool *pool, const char *text)
{
    if (++pool->births >= MF_POOL_BIRTHS) {
        pool->births = 0;
        mf_sched_lose_all(pool, text);
    }
}

static void bury(struct mf_peer *a, const char *how, bool known)
{
    struct mf_pool *pool = a->pool;
    struct mf_host *host = a->host;
    struct mf_fault fault;
    char text[sizeof a->lanes[0]->broken + MF_PEER_LINE];
    bool greeted = a->greeted, served = has_served(a);
    struct remains remains = {.written = a->link ? mf_link_bytes(a->link).written : 0, .known = known, .text = text};
    mf_pool_ref(pool);
    describe(a, how, text, sizeof text);
    mf_log(MF_LOG_POOL, "%s", text);
    unwatch(a);
    return_flights(a, &remains);
    pool->awaited -= a->dismissed;
    if (!greeted)
        pool->starting--;
    leave_slots(a);
    if (host)
        pool->backend->departed(pool, host, text);
    else if (!served && !a->dismissed)
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

static enum mf_err read_link(struct mf_peer *a, struct mf_fault *fault)
{
    a->reading = true;
    enum mf_err e = mf_link_read(a->link, fault);
    a->reading = false;
    return e;
}

/* Reads what it still had to say, which has come already. Was that all? Not if somebody else holds the stream open. */
static bool read_rest(struct mf_peer *a, const char *why)
{
    struct mf_fault fault = {0};
    enum mf_err e;
    uint64_t before;
    if (!a->link)
        return true;
    do {
        before = mf_link_bytes(a->link).read;
        e = read_link(a, &fault);
    } while (e == MF_OK && mf_link_bytes(a->link).read > before);
    if (e == MF_EINVAL && !why && !a->bye[0])
        snprintf(a->bye, sizeof a->bye, "%.*s", MF_PEER_LINE - 1, fault.text);
    return e == MF_ECLOSED || e == MF_ELOST;
}

/* The process has ended, or its stream has: whatever is still alive of it was killed, and it is buried. */
static void end_child(struct mf_peer *a, const char *why)
{
    char how[96];
    mf_launch_ends_by(&a->child, mf_sys_now() + DYING_NS);
    struct mf_launch_end end = mf_launch_reap(a->child.pid);
    if (!end.ended)
        remember_unburied(a->pool, a->child.pid);
    bool known = read_rest(a, why);
    if (a->child.errors >= 0)
        read_errors(a);
    mf_launch_describe(&end, how, sizeof how);
    bury(a, why ? why : how, known);
}

/* A far one ends by itself when its link does; what it does until then is not known here. */
static void end_remote(struct mf_peer *a, const char *why)
{
    char how[160];
    bool near = a->host->local;
    if (why && near)
        mf_remote_kill(a->remote);
    bool known = (!why || near) && read_rest(a, why);
    struct mf_remote_exit end = mf_remote_exit_by(a->remote, why ? 0 : mf_sys_now() + DYING_NS);
    mf_remote_describe(&end, how, sizeof how);
    if (end.how == MF_REMOTE_RUNS || end.how == MF_REMOTE_LOST)
        snprintf(how, sizeof how, "was lost: %s", a->remote->end.table->last_error(&a->remote->end));
    mf_remote_collect(a->remote);
    if (!a->bye[0] && !a->line[0])
        mf_remote_last(a->remote, a->line, sizeof a->line);
    bury(a, why ? why : how, known && (near || end.how == MF_REMOTE_EXITED || end.how == MF_REMOTE_KILLED));
}

void mf_peer_end(struct mf_peer *a, const char *why)
{
    /* Its tasks' own processes, too. Before it is collected, as long as its number is its own. */
    if (!a->remote)
        mf_launch_signal(a->child.pid, SIGKILL);
    a->dying = true;
    if (a->reading)
        a->doom = why ? why : by_itself;
    else if (a->remote)
        end_remote(a, why);
    else
        end_child(a, why);
}

/* Nothing is sent to it any more. */
static void on_death(struct mf_loop_watch *watch, unsigned events)
{
    (void)events;
    mf_peer_end(OF_WATCH(watch, death), NULL);
}

static const char *why_closed(struct mf_peer *a)
{
    if (a->remote || mf_launch_ends_by(&a->child, mf_sys_now() + DYING_NS))
        return NULL; /* as a rule because it ends, a moment before that can be seen */
    return "closed its connection";
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

/* Reads what has come. False: the agent has ended by that. */
static bool read_more(struct mf_peer *a)
{
    struct mf_fault fault = {0};
    enum mf_err e = read_link(a, &fault);
    if (e == MF_OK && !a->doom)
        return true;
    if (a->doom)
        mf_peer_end(a, a->doom == by_itself ? NULL : a->doom);
    else if (e == MF_ECLOSED || e == MF_ELOST)
        mf_peer_end(a, why_closed(a));
    else
        give_up(a, &fault);
    return false;
}

void mf_peer_look(struct mf_peer *a)
{
    if (a->link && !a->reading && read_more(a))
        mf_peer_update_watch(a);
}

/* One that was only waited for, in a pool that is not wanted any more, can go now. */
static void after_read(struct mf_peer *a, struct mf_pool *pool)
{
    struct mf_fault fault;
    mf_peer_update_watch(a);
    if (pool->backend->feed(pool, &fault) != MF_OK)
        mf_sched_lose_all(pool, fault.text);
    if (pool->retired)
        pool->backend->leave(pool);
}

static void on_socket(struct mf_loop_watch *watch, unsigned events)
{
    struct mf_peer *a = OF_WATCH(watch, socket);
    struct mf_pool *pool = a->pool;
    if (events & MF_LOOP_WRITE)
        mf_peer_flush(a);
    if (!(events & (MF_LOOP_READ | MF_LOOP_HANGUP | MF_LOOP_AGAIN)))
        return;
    mf_pool_ref(pool);
    if (read_more(a))
        after_read(a, pool);
    mf_pool_unref(pool);
}

/* --- What the process writes to its stderr ----------------------------------------------------------------------- */

static void end_line(struct mf_peer *a)
{
    struct mf_owner *owner = a->pool->owner;
    const char *name = a->host ? a->host->name : a->lanes[0]->name;
    char text[MF_PEER_LINE + 2];
    snprintf(a->line, sizeof a->line, "%s", a->part);
    int n = snprintf(text, sizeof text, "%s\n", a->part);
    a->part[0] = '\0';
    if (owner->hooks) {
        owner->hooks->line(owner, name, a->line);
        return;
    }
    pthread_mutex_lock(&owner->output_lock);
    owner->runner->live(owner->context, name, MF_STDERR, text, (size_t)n);
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
        mf_loop_remove(a->pool->owner->loop, &a->errors);
        close_fd(&a->child.errors);
    }
}

static void on_errors(struct mf_loop_watch *watch, unsigned events)
{
    (void)events;
    read_errors(OF_WATCH(watch, errors));
}

/* --- Beginning --------------------------------------------------------------------------------------------------- */

static void on_remote_errors(struct mf_loop_watch *watch, unsigned events)
{
    struct mf_peer *a = OF_WATCH(watch, errors);
    (void)events;
    if (!mf_remote_collect(a->remote))
        mf_loop_remove(a->pool->owner->loop, &a->errors);
}

static void on_remote_line(void *arg, const char *line)
{
    struct mf_peer *a = arg;
    snprintf(a->part, sizeof a->part, "%s", line);
    end_line(a);
}

static enum mf_err watch_remote(struct mf_peer *a, struct mf_loop *loop)
{
    int fd = mf_remote_errors_fd(a->remote);
    mf_remote_on_line(a->remote, on_remote_line, a);
    a->errors = (struct mf_loop_watch){.fd = fd, .events = MF_LOOP_READ, .ready = on_remote_errors};
    return fd >= 0 ? mf_loop_add(loop, &a->errors) : MF_OK;
}

enum mf_err mf_peer_watch(struct mf_peer *a, struct mf_loop *loop)
{
    a->socket = (struct mf_loop_watch){.fd = mf_link_fd(a->link), .events = mf_link_wants(a->link), .ready = on_socket};
    a->death = (struct mf_loop_watch){.fd = a->child.pidfd, .events = MF_LOOP_READ, .ready = on_death};
    a->errors = (struct mf_loop_watch){.fd = a->child.errors, .events = MF_LOOP_READ, .ready = on_errors};
    enum mf_err e = mf_loop_add(loop, &a->socket);
    if (e == MF_OK && a->remote)
        return watch_remote(a, loop);
    if (e == MF_OK && a->child.pidfd >= 0)
        e = mf_loop_add(loop, &a->death);
    if (e == MF_OK && a->child.errors >= 0)
        e = mf_loop_add(loop, &a->errors);
    return e;
}

void mf_peer_forget(struct mf_peer *a)
{
    if (a->link)
        close(mf_link_fd(a->link));
    close_fd(&a->child.pidfd);
    close_fd(&a->child.errors);
}
