/* Design note: what a worker does with one task, the same for a thread, for the owner's own thread and for an agent's.
 * The task runs without the lock; what it needs is held by references meanwhile, since a future that is cancelled lets
 * go of its payload at once. */
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>

#include "sched.h"
#include "sys.h"

static struct mf_bytes bytes_of(const struct mf_blob *blob)
{
    return blob ? (struct mf_bytes){blob->data, blob->len, blob->holds} : (struct mf_bytes){NULL, 0, NULL};
}

static enum mf_outcome call_runner(struct mf_worker *w, struct mf_task *task, struct mf_buf *result)
{
    struct mf_sys_interrupt entry = {.wanted = &w->wanted};
    task->port = &w->port;
    task->wanted = &w->wanted;
    mf_sys_interrupt_push(&entry);
    enum mf_outcome outcome = w->pool->owner->runner->run(w->instance, task, result);
    mf_sys_interrupt_pop(&entry);
    return outcome;
}

static bool run_setup(struct mf_worker *w, const struct mf_setup *setup)
{
    struct mf_buf result = {0};
    struct mf_task task = {.code = setup->code, .args = bytes_of(setup->args), .setup = true};
    enum mf_outcome outcome = call_runner(w, &task, &result);
    mf_buf_release(&result);
    return outcome == MF_OUTCOME_VALUE;
}

bool mf_worker_open(struct mf_worker *w, struct mf_fault *fault)
{
    struct mf_owner *owner = w->pool->owner;
    struct mf_worker_info info = {.name = w->name,
                                  .init = w->pool->init,
                                  .fetches = w->port.fetch != NULL,
                                  .pages = owner->pages,
                                  .host = owner->runner->host};
    w->instance = owner->runner->open(&info, fault);
    if (!w->instance)
        return false;
    for (size_t i = 0; i < w->setups; i++) {
        pthread_mutex_lock(&owner->lock); /* the array may grow meanwhile */
        struct mf_setup setup = w->pool->setups[i];
        pthread_mutex_unlock(&owner->lock);
        if (!run_setup(w, &setup))
            snprintf(w->broken, sizeof w->broken, "worker %s could not be set up: call %zu of everywhere failed",
                     w->name, i + 1);
    }
    return true;
}

/* What a task needs is held for the run, since a cancelled future lets go of it. */
struct payload {
    struct mf_blob *code, *args;
    struct mf_blob **deps;
    struct mf_bytes *views; /* of deps */
    size_t ndeps;
};

static bool hold(struct payload *p, const struct mf_future *f)
{
    size_t n = f->extra ? f->extra->ndeps : 0;
    struct mf_blob **deps = n ? malloc(n * sizeof(struct mf_blob *)) : NULL;
    struct mf_bytes *views = n ? malloc(n * sizeof *views) : NULL;
    if (n && (!deps || !views)) {
        free(deps);
        free(views);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        deps[i] = mf_blob_ref(f->extra->deps[i]->result);
        views[i] = bytes_of(deps[i]);
    }
    *p = (struct payload){
        .code = mf_blob_ref(f->code), .args = mf_blob_ref(f->args), .deps = deps, .views = views, .ndeps = n};
    return true;
}

static void let_go(struct payload *p)
{
    mf_blob_unref(p->code);
    mf_blob_unref(p->args);
    for (size_t i = 0; i < p->ndeps; i++)
        mf_blob_unref(p->deps[i]);
    free(p->deps);
    free(p->views);
}

void mf_worker_run(struct mf_worker *w)
{
    struct mf_owner *owner = w->pool->owner;
    struct mf_future *f = w->running;
    struct payload p = {0};
    struct mf_blob *result = NULL;
    enum mf_outcome outcome = MF_OUTCOME_ERROR;
    if (w->broken[0] == '\0' && hold(&p, f)) {
        struct mf_buf bytes = {0};
        struct mf_task task = {.code = p.code,
                               .args = bytes_of(p.args),
                               .deps = p.views,
                               .ndeps = p.ndeps,
                               .holds = true,
                               .seed = f->seed,
                               .stream = f->stream,
                               .setup = f->setup};
        mf_buf_use(&bytes, owner->pages, NULL);
        pthread_mutex_unlock(&owner->lock);
        outcome = call_runner(w, &task, &bytes);
        result = mf_buf_freeze(&bytes);
        mf_buf_release(&bytes);
        let_go(&p);
        pthread_mutex_lock(&owner->lock);
    }
    w->deadline = MF_SYS_NEVER;
    mf_sched_settle(w, outcome, result);
    mf_worker_move(w, MF_WORKER_BUSY, MF_WORKER_IDLE);
}
