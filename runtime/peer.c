/* Design note: an agent writes each result before it starts the next task, so as many of its oldest flights as it has lanes
 * can have been started, and no other. A node says of a flight that is pinned to a busy worker that it is held; such do not
 * count, until it says that they are free again. */
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

#define HELLO_NS 30000000000u /* an agent that has not said hello by then never will */

/* --- Flights ----------------------------------------------------------------------------------------------------- */

struct mf_flight *mf_peer_find(struct mf_peer *a, uint64_t id)
{
    for (unsigned i = 0; i < a->n; i++)
        if (mf_peer_flight(a, i)->id == id)
            return mf_peer_flight(a, i);
    return NULL;
}

/* Its place among the flights, from 0. */
static unsigned place_of(const struct mf_peer *a, const struct mf_flight *flight)
{
    return ((unsigned)(flight - a->flights) + a->cap - a->first) % a->cap;
}

bool mf_peer_can_run(struct mf_peer *a, const struct mf_flight *flight)
{
    unsigned place = place_of(a, flight), before = 0;
    if (flight->lane || flight->held)
        return !flight->held;
    for (unsigned i = 0; i < place; i++)
        before += !mf_peer_flight(a, i)->held;
    return before < (unsigned)a->nlanes;
}

struct mf_worker *mf_peer_pin(const struct mf_peer *a, const struct mf_future *f)
{
    for (int i = 0; f->extra && f->extra->worker && i < a->nlanes; i++)
        if (a->lanes[i]->index == f->extra->worker)
            return a->lanes[i];
    return NULL;
}

/* The one that the flight is pinned to, if it is idle, else any. */
static struct mf_worker *idle_lane(const struct mf_peer *a, const struct mf_flight *flight)
{
    if (flight->pin && flight->pin->state == MF_WORKER_IDLE)
        return flight->pin;
    for (int i = 0; i < a->nlanes; i++)
        if (a->lanes[i]->state == MF_WORKER_IDLE)
            return a->lanes[i];
    return NULL;
}

void mf_peer_start_ready(struct mf_peer *a)
{
    unsigned can_run = 0;
    for (unsigned i = 0; i < a->n && can_run < (unsigned)a->nlanes; i++) {
        struct mf_flight *flight = mf_peer_flight(a, i);
        can_run += !flight->held;
        if (flight->held || flight->lane || !flight->future)
            continue;
        flight->lane = idle_lane(a, flight);
        if (flight->lane)
            mf_sched_start(flight->lane, flight->future);
    }
}

struct mf_flight *mf_peer_take_off(struct mf_peer *a, const struct mf_flight *flight)
{
    struct mf_flight *f = mf_peer_flight(a, a->n++);
    *f = *flight;
    if (f->pin)
        f->pin->pins++;
    a->air += f->bytes;
    a->pool->awaited++;
    return f;
}

/* Those before it move, because they are few: nearly always it is one of the oldest. */
void mf_peer_land(struct mf_peer *a, struct mf_flight *flight)
{
    a->nheld -= flight->held;
    a->air -= flight->bytes;
    if (flight->pin)
        flight->pin->pins--;
    for (unsigned i = place_of(a, flight); i > 0; i--)
        *mf_peer_flight(a, i) = *mf_peer_flight(a, i - 1);
    a->first = (a->first + 1) % a->cap;
    a->n--;
    a->pool->awaited--;
}

/* --- Sending ----------------------------------------------------------------------------------------------------- */

/* Code that no future and no map refers to any more is forgotten by all agents. */
static void forget_retired(struct mf_pool *pool)
{
    uint64_t number;
    while ((number = mf_codes_retire(&pool->codes)) != 0)
        for (int i = 0; i < pool->size; i++) {
            struct mf_peer *a = mf_peer_at(pool, i);
            if (a && a->link && mf_codes_unlearn(&a->known, number))
                mf_link_queue(a->link, MF_MSG_FORGET, number, NULL, 0);
        }
}

static enum mf_err send_code(struct mf_peer *a, struct mf_blob *code, uint64_t *id)
{
    struct mf_pool *pool = a->pool;
    uint64_t last = pool->codes.last;
    enum mf_err e = mf_codes_number(&pool->codes, code, id);
    if (pool->codes.last != last)
        forget_retired(pool);
    if (e != MF_OK || mf_codes_knows(&a->known, *id))
        return e;
    const struct mf_msg_part part = {code->data, code->len};
    const struct mf_holds *holds = code->holds;
    e = mf_codes_learn(&a->known, *id); /* first, since what it has been sent must be known */
    if (e != MF_OK)
        return e;
    e = mf_share_queue(&a->share, a->link, *id, &holds, 1);
    if (e == MF_OK)
        e = mf_link_queue(a->link, MF_MSG_CODE, *id, &part, 1);
    if (e != MF_OK)
        mf_codes_unlearn(&a->known, *id);
    return e;
}

/* There may be any number of setups. */
static bool grow_flights(struct mf_peer *a)
{
    struct mf_flight *flights = malloc(2 * (size_t)a->cap * sizeof *flights);
    if (!flights)
        return false;
    for (unsigned i = 0; i < a->n; i++)
        flights[i] = *mf_peer_flight(a, i);
    free(a->flights);
    a->flights = flights;
    a->first = 0;
    a->cap *= 2;
    return true;
}

enum mf_err mf_peer_send_setup(struct mf_peer *a, const struct mf_setup *setup)
{
    unsigned char head[MF_MSG_TASK_HEAD];
    struct mf_msg_task task = {.setup = true, .args = {NULL, setup->args ? setup->args->len : 0}};
    enum mf_err e = a->n < a->cap || grow_flights(a) ? send_code(a, setup->code, &task.code) : MF_ENOMEM;
    if (e != MF_OK)
        return e;
    mf_msg_pack_task_head(head, &task);
    const struct mf_msg_part parts[] = {{head, sizeof head}, {setup->args ? setup->args->data : NULL, task.args.n}};
    const struct mf_holds *holds = setup->args ? setup->args->holds : NULL;
    uint64_t id = ++a->pool->owner->next_id;
    e = mf_share_queue(&a->share, a->link, id, &holds, 1);
    if (e != MF_OK)
        return e;
    mf_peer_take_off(a, &(struct mf_flight){.id = id, .setup = true});
    return mf_link_queue(a->link, MF_MSG_TASK, id, parts, 2);
}

/* The number of the worker, among those of its node, that f is pinned to; 0: any. */
static uint32_t worker_of(const struct mf_peer *a, const struct mf_future *f)
{
    const struct mf_worker *pin = mf_peer_pin(a, f);
    for (int i = 0; pin && i < a->nlanes; i++)
        if (a->lanes[i] == pin)
            return (uint32_t)i + 1;
    return 0;
}

/* What the task's arguments and dependencies refer to goes first. */
static enum mf_err send_holds(struct mf_peer *a, const struct mf_future *f, size_t ndeps)
{
    const struct mf_holds *few[4], **lists = 1 + ndeps <= 4 ? few : malloc((1 + ndeps) * sizeof(struct mf_holds *));
    if (!lists)
        return MF_ENOMEM;
    lists[0] = f->args ? f->args->holds : NULL;
    for (size_t i = 0; i < ndeps; i++)
        lists[i + 1] = f->extra->deps[i]->result->holds;
    enum mf_err e = mf_share_queue(&a->share, a->link, f->id, lists, 1 + ndeps);
    if (lists != few)
        free(lists);
    return e;
}

/* A TASK's body is a head and the payload's own bytes, which are not copied here; see msg.h for the layout. */
static enum mf_err send_with_deps(struct mf_peer *a, const struct mf_future *f, const struct mf_msg_part *head)
{
    size_t ndeps = f->extra->ndeps;
    struct mf_msg_part *parts = malloc((2 + 2 * ndeps) * sizeof *parts);
    unsigned char *lengths = malloc(8 * ndeps);
    enum mf_err e = MF_ENOMEM;
    if (parts && lengths) {
        parts[0] = *head;
        parts[1] = (struct mf_msg_part){f->args ? f->args->data : NULL, f->args ? f->args->len : 0};
        for (size_t i = 0; i < ndeps; i++) {
            const struct mf_blob *result = f->extra->deps[i]->result;
            mf_msg_put64(lengths + 8 * i, result->len);
            parts[2 + 2 * i] = (struct mf_msg_part){lengths + 8 * i, 8};
            parts[3 + 2 * i] = (struct mf_msg_part){result->data, result->len};
        }
        e = mf_link_queue(a->link, MF_MSG_TASK, f->id, parts, (int)(2 + 2 * ndeps));
    }
    free(lengths);
    free(parts);
    return e;
}

enum mf_err mf_peer_send(struct mf_peer *a, const struct mf_future *f)
{
    unsigned char bytes[MF_MSG_TASK_HEAD];
    const struct mf_msg_part head = {bytes, sizeof bytes};
    struct mf_msg_task task = {.seed = f->seed,
                               .stream = f->stream,
                               .setup = f->setup,
                               .worker = worker_of(a, f),
                               .ndeps = f->extra ? (uint32_t)f->extra->ndeps : 0,
                               .args = {NULL, f->args ? f->args->len : 0}};
    enum mf_err e = send_code(a, f->code, &task.code);
    if (e == MF_OK)
        e = send_holds(a, f, task.ndeps);
    if (e != MF_OK)
        return e;
    mf_msg_pack_task_head(bytes, &task);
    if (task.ndeps > 0)
        return send_with_deps(a, f, &head);
    return mf_link_queue_blob(a->link, MF_MSG_TASK, f->id, &head, f->args);
}

void mf_peer_update_watch(struct mf_peer *a)
{
    struct mf_owner *owner = a->pool->owner;
    unsigned wants = mf_link_wants(a->link);
    if (owner->hooks && owner->hooks->full(owner))
        wants &= MF_LOOP_WRITE;
    mf_loop_change(owner->loop, &a->socket, wants);
}

void mf_peer_flush(struct mf_peer *a)
{
    mf_link_flush(a->link); /* if the peer is gone, reading says so */
    mf_peer_update_watch(a);
}

void mf_peer_tidy_all(struct mf_pool *pool)
{
    forget_retired(pool);
    for (int i = 0; i < pool->size; i++) {
        struct mf_peer *a = mf_peer_at(pool, i);
        if (!a || !a->link)
            continue;
        mf_share_tidy(&a->share, a->link);
        mf_peer_flush(a);
    }
}

/* --- Beginning --------------------------------------------------------------------------------------------------- */

/* A fork of this process has the pool's init already. */
static enum mf_err send_init(struct mf_peer *a)
{
    const struct mf_pool *pool = a->pool;
    unsigned char head[MF_MSG_INIT_HEAD];
    const struct mf_msg_init init = {
        .workers = a->host ? (uint32_t)a->nlanes : 0,
        .processes = a->host && a->host->isolate,
        .grace = pool->grace,
        .patience = a->host ? MF_PEER_PATIENCE * pool->heartbeat : 0,
        .settings = {a->host ? a->host->settings.data : NULL, a->host ? a->host->settings.len : 0},
    };
    mf_msg_pack_init_head(head, &init);
    const struct mf_msg_part parts[] = {
        {head, sizeof head},
        init.settings,
        {pool->init ? pool->init->data : NULL, pool->init ? pool->init->len : 0},
    };
    return mf_link_queue(a->link, MF_MSG_INIT, 0, parts, 3);
}

enum mf_err mf_peer_greet(struct mf_peer *a, struct mf_fault *fault)
{
    struct mf_pool *pool = a->pool;
    enum mf_err e = MF_OK;
    a->greeted = true;
    pool->starting--;
    for (int i = 0; i < a->nlanes; i++) {
        a->lanes[i]->deadline = MF_SYS_NEVER;
        a->lanes[i]->host = a->host ? mf_owner_place(pool->owner, a->host->name) : NULL;
        mf_worker_move(a->lanes[i], MF_WORKER_STARTING, MF_WORKER_IDLE);
    }
    a->alone = a->child.twin;
    if (!a->child.twin)
        e = send_init(a);
    if (e == MF_OK && a->host)
        e = mf_link_queue(a->link, MF_MSG_PING, MF_PEER_READY, NULL, 0);
    /* A worker gets those of the time when it was started, for it has had futures since; a host had none. */
    size_t setups = a->host ? pool->nsetups : a->lanes[0]->setups;
    for (size_t i = 0; e == MF_OK && i < setups; i++)
        e = mf_peer_send_setup(a, &pool->setups[i]);
    if (e != MF_OK)
        mf_fault_set(fault, e, "out of memory for what it needs first");
    return e;
}

static struct mf_peer *make(struct mf_pool *pool)
{
    struct mf_peer *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->pool = pool;
    a->child = (struct mf_launch_child){.pid = -1, .pidfd = -1, .socket = -1, .errors = -1};
    a->heard = mf_sys_now();
    a->born = ++pool->owner->next_id;
    return a;
}

/* One that has no lane, or none any more. */
static void unmake(struct mf_peer *a)
{
    mf_share_release(&a->share);
    free(a->flights);
    free(a->lanes);
    free(a);
}

static bool has_slot(struct mf_pool *pool, int index)
{
    if (index <= pool->size)
        return true;
    struct mf_worker **workers = realloc(pool->workers, (size_t)index * sizeof(struct mf_worker *));
    if (!workers)
        return false;
    for (pool->workers = workers; pool->size < index; pool->size++)
        workers[pool->size] = NULL;
    return true;
}

static unsigned flights_for(int lanes)
{
    return (unsigned)(lanes < 16 ? lanes : 16) * MF_PEER_FLIGHTS;
}

/* Before it has any flight. */
enum mf_err mf_peer_widen(struct mf_peer *a, int lanes, int index)
{
    unsigned cap = flights_for(lanes);
    struct mf_flight *flights = calloc(cap, sizeof *flights);
    struct mf_worker **more = realloc(a->lanes, (size_t)lanes * sizeof(struct mf_worker *));
    if (more)
        a->lanes = more;
    if (!flights || !more) {
        free(flights);
        return MF_ENOMEM;
    }
    free(a->flights);
    a->flights = flights;
    a->cap = cap;
    for (; a->nlanes < lanes; index++) {
        if (index <= a->pool->size && a->pool->workers[index - 1])
            continue;
        struct mf_worker *w = has_slot(a->pool, index) ? mf_pool_add_worker(a->pool, index) : NULL;
        if (!w)
            return MF_ENOMEM;
        w->instance = a;
        a->lanes[a->nlanes++] = w;
        a->unjoined++;
    }
    return MF_OK;
}

/* How long its greeting may take. */
static uint64_t hello_time(const struct mf_peer *a)
{
    double seconds = a->host ? a->host->ssh.limits.hello : 0;
    return mf_hooks_hello_time(seconds > 0 ? mf_sys_span(seconds) : HELLO_NS);
}

/* The link over the stream, which is taken over, and the wait for its greeting. */
static void attach(struct mf_peer *a, struct mf_stream_end *stream, struct mf_fault *fault)
{
    struct mf_pool *pool = a->pool;
    pool->starting++;
    a->link = stream ? mf_link_new(stream, mf_peer_received, a, fault) : NULL;
    if (stream && !a->link && !a->remote)
        stream->table->close(stream);
    if (a->link)
        mf_link_use(a->link, pool->owner->pages, pool->owner->areas);
    struct mf_loop *loop = a->link ? mf_owner_loop(pool->owner, fault) : NULL;
    if (!loop || mf_peer_watch(a, loop) != MF_OK) {
        char why[sizeof fault->text + 32];
        snprintf(why, sizeof why, "could not be watched: %s", loop || !fault->text[0] ? "out of memory" : fault->text);
        mf_peer_end(a, why);
    } else if (a->child.twin) {
        mf_link_trust(a->link);
        if (mf_peer_greet(a, fault) != MF_OK)
            mf_peer_end(a, fault->text);
    } else {
        mf_link_limit(a->link, MF_MSG_MAX_HELLO);
        a->lanes[0]->deadline = mf_sys_now() + hello_time(a);
        mf_owner_alarm(pool->owner, a->lanes[0]->deadline);
    }
}

enum mf_err mf_peer_start(struct mf_pool *pool, int index, mf_peer_launch *launch, struct mf_fault *fault)
{
    struct mf_peer *a = make(pool);
    if (!a || mf_peer_widen(a, 1, index) != MF_OK) {
        if (a)
            unmake(a);
        return mf_fault_set(fault, MF_ENOMEM, "out of memory while starting worker %d", index);
    }
    enum mf_err e = launch(pool, index, &a->child, fault);
    if (e != MF_OK) {
        mf_pool_drop_worker(a->lanes[0]);
        mf_pool_free_worker(a->lanes[0]);
        unmake(a);
        return e;
    }
    snprintf(a->name, sizeof a->name, "worker %s", a->lanes[0]->name);
    struct mf_stream_end *stream = mf_stream_fd_new(a->child.socket, fault);
    if (!stream)
        close(a->child.socket);
    attach(a, stream, fault);
    return MF_OK; /* buried, and counted as a birth that failed, if something was wrong */
}

enum mf_err mf_peer_attach(struct mf_pool *pool, struct mf_host *host, struct mf_stream_remote *remote,
                           struct mf_fault *fault)
{
    struct mf_peer *a = make(pool);
    if (!a || mf_peer_widen(a, 1, host->first ? host->first : pool->size + 1) != MF_OK) {
        if (a)
            unmake(a);
        remote->end.table->close(&remote->end);
        return mf_fault_set(fault, MF_ENOMEM, "out of memory while starting host %s", host->name);
    }
    host->first = a->lanes[0]->index;
    a->host = host;
    a->remote = remote;
    snprintf(a->name, sizeof a->name, "host %s", host->name);
    attach(a, &remote->end, fault);
    return MF_OK;
}

void mf_peer_leave_lane(struct mf_worker *lane)
{
    struct mf_peer *a = mf_peer_of(lane);
    lane->instance = NULL;
    if (--a->unjoined > 0)
        return;
    mf_codes_forget_all(&a->known);
    unmake(a);
}
