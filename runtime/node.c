/* Design note: a master of its own pool and an agent of its master at the same time, under one lock and with one loop. The
 * main thread turns the loop; results leave from whatever thread a future ends on, through the owner's hooks.
 *
 * At most as many tasks are in the pool as it has workers, and none is put there while anything waits to be written. So
 * the master knows which of the tasks that it has sent can have been started: the oldest ones, as many as there are
 * workers. Those behind them stand in a queue here, and can be called back.
 *
 * A task that is cancelled is over for the master when its worker is free: until then the next one would not run, though
 * the time that it may take counts.
 *
 * A task that is pinned to a worker which is busy would hold up those behind it while other workers are idle. So it stays
 * in the queue, and they pass it; the master is told, since it counts. */
#include "node.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent_link.h"
#include "log.h"
#include "peer.h"
#include "runtime.h"
#include "sched.h"
#include "sys.h"

#define SPIN_NS 50000             /* polling for the next task before sleeping */
#define BACKLOG ((size_t)4 << 20) /* bytes of output that may wait for the master before tasks wait too */

/* A module that was asked for. */
struct request {
    struct mf_list link;
    uint64_t id;
    bool answered;
    struct mf_blob *module; /* the answer, for a thread that waits */
    uint64_t peer;          /* or the agent that asked, */
    uint64_t peer_id;       /* and its number for it */
};

/* A task in the pool. */
struct begun {
    struct mf_list link;
    struct mf_agent_job *job;
    struct mf_future *future; /* a reference */
    int stopping;             /* the worker that has not stopped yet, though it was cancelled; 0: none */
};

struct node {
    struct mf_agent_link *master;
    struct mf_pool *pool;
    struct mf_list begun;
    uint32_t nbegun, nstopping; /* the latter are among the former */
    pthread_cond_t drained;     /* nothing waits to be written, or a module has come */
    bool full;                  /* agents are not read until that is so */
    struct mf_list requests;
    uint64_t last_request;
};

/* Where it runs or must run; 0: that is not known. */
static uint32_t worker_of(const struct begun *b)
{
    int ran = atomic_load_explicit(&b->future->worker, memory_order_relaxed);
    return b->job->task.worker ? b->job->task.worker : (uint32_t)ran;
}

static struct node *node_of(const struct mf_owner *owner)
{
    const struct mf_agent_link *master = owner->context;
    return master->worker;
}

/* --- From the queue into the pool ----------------------------------------------------------------------------------- */

/* The dependencies of a job as resolved futures; false when memory is out. */
static bool make_deps(struct mf_agent_job *j, struct mf_future **deps)
{
    const struct mf_msg_task *t = &j->task;
    struct mf_msg_part rest = t->deps, dep;
    for (uint32_t i = 0; i < t->ndeps && mf_msg_next_dep(&rest, &dep); i++) {
        deps[i] = mf_future_resolved(true, NULL);
        if (!deps[i] || !(deps[i]->result = mf_blob_new(dep.bytes, dep.n)))
            return false;
        deps[i]->result->holds = mf_share_list(&j->holds, i + 1);
    }
    return true;
}

static void lose_job(struct node *n, struct mf_agent_job *j, const char *text)
{
    mf_agent_link_result(n->master, j->id, MF_MSG_LOST, 0,
                         (struct mf_msg_part){(const unsigned char *)text, strlen(text)}, NULL);
    mf_agent_job_free(j);
}

/* The arguments of a job, with what they refer to; NULL when memory is out. */
static struct mf_blob *take_args(struct mf_agent_job *j)
{
    struct mf_blob *args = mf_blob_new(j->task.args.bytes, j->task.args.n);
    if (args)
        args->holds = mf_share_list(&j->holds, 0);
    return args;
}

static struct mf_future *make_future(struct node *n, struct mf_agent_job *j, bool quiet, struct mf_fault *fault)
{
    const struct mf_msg_task *t = &j->task;
    struct mf_future **deps = calloc(t->ndeps ? t->ndeps : 1, sizeof(struct mf_future *));
    struct mf_blob *args = take_args(j);
    struct mf_future *f = NULL;
    mf_fault_set(fault, MF_ENOMEM, "out of memory while starting the task");
    if (deps && args && make_deps(j, deps)) {
        struct mf_future_spec spec = {.code = mf_blob_ref(j->code),
                                      .args = mf_blob_ref(args),
                                      .deps = deps,
                                      .ndeps = t->ndeps,
                                      .worker = (int)t->worker,
                                      .setup = t->setup,
                                      .seed = t->seed,
                                      .stream = t->stream};
        f = mf_runtime_admit(n->pool, &spec, quiet, fault);
    }
    for (uint32_t i = 0; deps && i < t->ndeps; i++)
        mf_future_unref(deps[i]);
    free(deps);
    mf_blob_unref(args);
    return f;
}

/* The hook for its end may be called before the future is known here. */
static void begin(struct node *n, struct mf_agent_job *j, bool quiet)
{
    struct mf_fault fault;
    struct begun *b = calloc(1, sizeof *b);
    struct mf_future *f = b ? make_future(n, j, quiet, &fault) : NULL;
    if (!f || mf_future_final(f)) {
        lose_job(n, j, !b ? "out of memory" : !f ? fault.text : f->extra ? f->extra->fault : "could not be started");
        mf_future_unref(f);
        free(b);
        return;
    }
    b->job = j;
    b->future = f;
    mf_list_insert(&n->begun, &b->link);
    n->nbegun++;
}

/* A setup for all workers that start later: it is remembered, and there is nothing to wait for. */
static void remember_setup(struct node *n, struct mf_agent_job *j)
{
    struct mf_blob *args = take_args(j);
    if (!args || mf_runtime_setup_locked(n->pool, mf_blob_ref(j->code), args) != MF_OK) {
        lose_job(n, j, "out of memory while remembering a call of everywhere");
        return;
    }
    mf_agent_link_result(n->master, j->id, MF_OUTCOME_VALUE, 0, (struct mf_msg_part){NULL, 0}, NULL);
    mf_agent_job_free(j);
}

/* Has that worker, as far as is known, one of the tasks that have begun? */
static bool is_taken(const struct node *n, uint32_t worker)
{
    for (const struct mf_list *l = n->begun.next; l != &n->begun; l = l->next) {
        struct begun *b = MF_LIST_ENTRY(l, struct begun, link);
        if (worker_of(b) == worker)
            return true;
    }
    return false;
}

/* Takes out the first job that need not wait for its worker. NULL when there is none, or that is yet to be told. */
static struct mf_agent_job *next_job(struct node *n)
{
    struct mf_agent_link *master = n->master;
    for (struct mf_list *l = master->queue.next; l != &master->queue && mf_link_pending(master->link) == 0;
         l = l->next) {
        struct mf_agent_job *j = MF_LIST_ENTRY(l, struct mf_agent_job, link);
        if (j->task.worker == 0 || !is_taken(n, j->task.worker)) {
            mf_list_remove(&j->link);
            return j;
        }
        if (!j->held)
            mf_agent_link_send(master, MF_MSG_HELD, j->id, NULL, 0);
        j->held = true;
    }
    return NULL;
}

/* The worker may have become free: the first job that was held for it is not any more. */
static void free_held(struct node *n, uint32_t worker)
{
    struct mf_list *queue = &n->master->queue;
    for (struct mf_list *l = queue->next; worker && l != queue; l = l->next) {
        struct mf_agent_job *j = MF_LIST_ENTRY(l, struct mf_agent_job, link);
        if (!j->held || j->task.worker != worker)
            continue;
        if (!is_taken(n, worker)) {
            j->held = false;
            mf_agent_link_send(n->master, MF_MSG_FREED, j->id, NULL, 0);
        }
        return;
    }
}

/* What begins first begins quietly, if so wished (mf_runtime_admit). */
static void fill(struct node *n, bool quiet)
{
    while (n->nbegun < (uint32_t)n->pool->size && mf_link_pending(n->master->link) == 0) {
        struct mf_agent_job *j = next_job(n);
        if (!j)
            return;
        if (j->task.setup && j->task.worker == 0) {
            remember_setup(n, j);
        } else if (j->task.worker > (uint32_t)n->pool->size) {
            lose_job(n, j, "there is no such worker on the node");
        } else {
            begin(n, j, quiet && j->task.worker == 0);
            quiet = false;
        }
    }
}

/* --- What the master asks for --------------------------------------------------------------------------------------- */

static void on_arrived(struct mf_agent_link *master)
{
    fill(master->worker, false);
}

static void on_cancel(struct mf_agent_link *master, uint64_t id)
{
    struct node *n = master->worker;
    for (struct mf_list *l = n->begun.next; l != &n->begun; l = l->next) {
        struct begun *b = MF_LIST_ENTRY(l, struct begun, link);
        if (b->job->id != id || b->stopping)
            continue;
        if (mf_future_state(b->future) == MF_FUTURE_RUNNING)
            b->stopping = atomic_load_explicit(&b->future->worker, memory_order_relaxed);
        n->nstopping += b->stopping != 0;
        mf_sched_cancel(b->future); /* its end is told by the hooks, which free b */
        fill(n, false);
        return;
    }
}

static struct request *find_request(struct node *n, uint64_t id)
{
    for (struct mf_list *l = n->requests.next; l != &n->requests; l = l->next)
        if (MF_LIST_ENTRY(l, struct request, link)->id == id)
            return MF_LIST_ENTRY(l, struct request, link);
    return NULL;
}

/* The agent that asked may have died since. */
static void answer_peer(struct node *n, const struct request *r, const struct mf_link_frame *frame)
{
    const struct mf_msg_part part = {frame->body, (size_t)frame->head.length};
    for (int i = 0; i < n->pool->size; i++) {
        struct mf_peer *peer = mf_peer_at(n->pool, i);
        if (!peer || peer->born != r->peer || !peer->link)
            continue;
        mf_link_queue(peer->link, MF_MSG_MODULE, r->peer_id, &part, 1);
        mf_peer_flush(peer);
    }
}

static void free_request(struct request *r)
{
    mf_list_remove(&r->link);
    free(r);
}

static enum mf_err on_module(struct mf_agent_link *master, const struct mf_link_frame *frame)
{
    struct node *n = master->worker;
    struct request *r = find_request(n, frame->head.id);
    if (!r || r->answered)
        return MF_EINVAL;
    if (!r->peer) {
        r->module = mf_agent_link_own(frame);
        r->answered = true;
        pthread_cond_broadcast(&n->drained);
        return MF_OK;
    }
    answer_peer(n, r, frame);
    free_request(r);
    return MF_OK;
}

static void on_drained(struct mf_agent_link *master)
{
    struct node *n = master->worker;
    pthread_cond_broadcast(&n->drained);
    for (int i = 0; n->full && i < n->pool->size; i++)
        if (mf_peer_at(n->pool, i) && mf_peer_at(n->pool, i)->link)
            mf_peer_update_watch(mf_peer_at(n->pool, i));
    n->full = false;
    fill(n, false);
}

static const struct mf_agent_work work = {
    .arrived = on_arrived, .cancel = on_cancel, .module = on_module, .drained = on_drained};

/* --- What becomes of the tasks -------------------------------------------------------------------------------------- */

/* NULL also when it was cancelled while it ran: nothing of it is wanted any more. */
static struct begun *find_begun(struct node *n, const struct mf_future *f)
{
    for (struct mf_list *l = n->begun.next; l != &n->begun; l = l->next)
        if (MF_LIST_ENTRY(l, struct begun, link)->future == f && !MF_LIST_ENTRY(l, struct begun, link)->stopping)
            return MF_LIST_ENTRY(l, struct begun, link);
    return NULL;
}

static void tell(struct node *n, uint64_t id, const struct mf_future *f)
{
    struct mf_msg_part bytes = {f->result ? f->result->data : NULL, f->result ? f->result->len : 0};
    unsigned outcome = MF_OUTCOME_VALUE;
    switch (mf_future_state(f)) {
    case MF_FUTURE_DONE:
        break;
    case MF_FUTURE_FAILED:
        outcome = MF_OUTCOME_ERROR;
        break;
    case MF_FUTURE_CANCELLED:
        outcome = MF_MSG_RECALLED;
        break;
    default:
        outcome = MF_MSG_LOST;
        if (f->extra)
            bytes = (struct mf_msg_part){(const unsigned char *)f->extra->fault, strlen(f->extra->fault)};
    }
    mf_agent_link_result(n->master, id, outcome, f->elapsed, bytes, f->result ? f->result->holds : NULL);
}

static void conclude(struct node *n, struct begun *b)
{
    mf_list_remove(&b->link);
    n->nbegun--;
    n->nstopping -= b->stopping != 0;
    free_held(n, worker_of(b)); /* first, since the master counts it in the place of this one */
    tell(n, b->job->id, b->future);
    mf_agent_job_free(b->job);
    mf_future_unref(b->future);
    free(b);
}

static void hook_freed(struct mf_owner *owner, const struct mf_worker *w)
{
    struct node *n = node_of(owner);
    struct mf_list *l = n->nstopping ? n->begun.next : &n->begun; /* as a rule there is none */
    while (l != &n->begun && MF_LIST_ENTRY(l, struct begun, link)->stopping != w->index)
        l = l->next;
    if (l == &n->begun)
        return;
    conclude(n, MF_LIST_ENTRY(l, struct begun, link));
    mf_loop_wake(n->master->loop); /* whoever serves the master fills the place */
}

static void hook_final(struct mf_owner *owner, struct mf_future *f)
{
    struct node *n = node_of(owner);
    struct begun *b = find_begun(n, f);
    if (!b)
        return;
    conclude(n, b);
    if (pthread_equal(pthread_self(), owner->thread))
        return;
    fill(n, true); /* a worker of the pool, which looks at its queue next */
    if (n->master->bye)
        mf_loop_wake(n->master->loop); /* this may have been the last one */
}

static void hook_output(struct mf_owner *owner, struct mf_future *f, enum mf_stream stream, const void *bytes,
                        size_t len)
{
    struct node *n = node_of(owner);
    struct begun *b = find_begun(n, f);
    if (b)
        mf_agent_link_output(n->master, b->job->id, stream, bytes, len);
    while (mf_link_pending(n->master->link) > BACKLOG && !pthread_equal(pthread_self(), owner->thread))
        pthread_cond_wait(&n->drained, &owner->lock);
}

static void hook_progress(struct mf_owner *owner, struct mf_future *f, double fraction, const char *text)
{
    struct node *n = node_of(owner);
    struct begun *b = find_begun(n, f);
    if (b)
        mf_agent_link_progress(n->master, b->job->id, fraction, text);
}

static struct request *ask(struct node *n, const char *name)
{
    struct request *r = calloc(1, sizeof *r);
    const struct mf_msg_part part = {(const unsigned char *)name, strlen(name)};
    if (!r)
        return NULL;
    r->id = ++n->last_request;
    mf_list_insert(&n->requests, &r->link);
    mf_agent_link_send(n->master, MF_MSG_FETCH, r->id, &part, 1);
    return r;
}

static struct mf_blob *hook_fetch(struct mf_owner *owner, const char *name)
{
    struct node *n = node_of(owner);
    struct request *r = ask(n, name);
    if (!r)
        return NULL;
    while (!r->answered)
        pthread_cond_wait(&n->drained, &owner->lock);
    struct mf_blob *module = r->module;
    free_request(r);
    return module;
}

static enum mf_err hook_forward(struct mf_owner *owner, struct mf_peer *peer, uint64_t id, const char *name)
{
    struct request *r = ask(node_of(owner), name);
    if (!r)
        return MF_ENOMEM;
    r->peer = peer->born;
    r->peer_id = id;
    return MF_OK;
}

/* Goes the way of this process's own words. What cannot be written now is dropped: the one who would wait is the one who
 * serves the master. */
static void hook_line(struct mf_owner *owner, const char *worker, const char *text)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    (void)owner;
    if (poll(&out, 1, 0) == 1 && out.revents == POLLOUT)
        dprintf(STDERR_FILENO, "%s: %s\n", worker, text);
}

static bool hook_full(const struct mf_owner *owner)
{
    struct node *n = node_of(owner);
    if (mf_link_pending(n->master->link) <= BACKLOG)
        return false;
    n->full = true;
    return true;
}

static const struct mf_owner_hooks hooks = {.final = hook_final,
                                            .freed = hook_freed,
                                            .output = hook_output,
                                            .progress = hook_progress,
                                            .line = hook_line,
                                            .full = hook_full,
                                            .fetch = hook_fetch,
                                            .forward = hook_forward};

/* --- Beginning and end ---------------------------------------------------------------------------------------------- */

/* Lock not held. */
static bool open_pool(struct node *n)
{
    const struct mf_msg_init *init = &n->master->init;
    struct mf_fault fault = {0};
    struct mf_pool_options options = {
        .workers = (int)init->workers, .grace = (double)init->grace / 1e9, .init = mf_blob_ref(n->master->payload)};
    n->pool = mf_runtime_pool(n->master->owner, init->processes ? "processes" : "threads", &options, &fault);
    if (n->pool)
        return true;
    pthread_mutex_lock(&n->master->owner->lock);
    mf_agent_link_bye(n->master, fault.text);
    pthread_mutex_unlock(&n->master->owner->lock);
    return false;
}

static bool has_work(const struct node *n)
{
    return n->nbegun > n->nstopping || !mf_list_empty(&n->master->queue) || mf_link_pending(n->master->link);
}

/* Until nothing is left to do. A master that is silent for too long is gone. */
static void serve(struct node *n)
{
    struct mf_owner *owner = n->master->owner;
    uint64_t patience = n->master->init.patience;
    while (!n->master->bye || has_work(n)) {
        uint64_t limit = patience ? n->master->heard + patience : MF_SYS_NEVER;
        if (mf_loop_turn(n->master->loop, limit, SPIN_NS) == MF_ETIMEDOUT && mf_sys_now() >= limit)
            mf_agent_link_abort("nothing was heard of the master for too long");
        fill(n, false);
        if (atomic_load(&owner->untidy)) {
            pthread_mutex_unlock(&owner->lock);
            mf_runtime_turn(owner);
            pthread_mutex_lock(&owner->lock);
            mf_agent_link_tidy(n->master);
        }
    }
}

/* Lock not held. */
static void run(struct mf_agent_link *master)
{
    struct node n = {.master = master};
    struct mf_owner *owner = master->owner;
    mf_list_init(&n.begun);
    mf_list_init(&n.requests);
    if (mf_sys_cond_init(&n.drained) != MF_OK)
        mf_agent_link_abort("out of memory");
    owner->on_alarm = mf_sched_expire;
    owner->hooks = &hooks;
    if (!open_pool(&n))
        return;
    pthread_mutex_lock(&owner->lock);
    master->worker = &n;
    master->work = &work;
    fill(&n, false); /* what came with INIT */
    serve(&n);
    pthread_mutex_unlock(&owner->lock);
    mf_runtime_close(owner);
    while (!mf_list_empty(&n.requests))
        free_request(MF_LIST_ENTRY(n.requests.next, struct request, link));
    pthread_cond_destroy(&n.drained);
}

int mf_node_serve(int in, int out, const struct mf_node_options *options)
{
    struct mf_agent_link master;
    mf_agent_link_open(&master, in, out, options->runner);
    pthread_mutex_lock(&master.owner->lock);
    mf_agent_link_greet(&master, options->runner->hello);
    pthread_mutex_unlock(&master.owner->lock);
    bool needed = !master.bye || !mf_list_empty(&master.queue); /* all may have come in one read */
    if (master.cannot[0]) {
        pthread_mutex_lock(&master.owner->lock);
        mf_agent_link_bye(&master, master.cannot);
        pthread_mutex_unlock(&master.owner->lock);
    } else if (needed && master.init.workers == 0)
        mf_agent_run(&master, options->name, NULL);
    else if (needed)
        run(&master);
    mf_agent_link_close(&master);
    return EXIT_SUCCESS;
}
