/* What an agent says: one function for each kind of frame. Whatever it should not say ends it. */
#include <stdio.h>
#include <string.h>

#include "modules.h"
#include "owner.h"
#include "peer.h"
#include "sched.h"
#include "sys.h"

static enum mf_err on_hello(struct mf_peer *a, const struct mf_link_frame *frame, struct mf_fault *fault)
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
    mf_worker_move(a->worker, MF_WORKER_STARTING, MF_WORKER_IDLE);
    e = mf_link_queue(a->link, MF_MSG_INIT, 0, &init, 1);
    for (size_t i = 0; e == MF_OK && i < a->worker->setups; i++)
        e = mf_peer_send_setup(a, &pool->setups[i]);
    if (e == MF_ELIMIT)
        mf_fault_set(fault, e, "more than %d calls of everywhere", MF_PEER_FLIGHTS);
    return e;
}

/* A task that was not started has come back. It may be the first flight by now, and its future RUNNING as far as we knew:
 * the result of the one before was on its way when it was asked for. */
static void on_recalled(struct mf_peer *a, struct mf_flight *flight)
{
    struct mf_worker *w = a->worker;
    struct mf_future *f = flight->future;
    bool first = flight == mf_peer_flight(a, 0);
    mf_peer_land(a, flight);
    if (first && w->state == MF_WORKER_BUSY) {
        mf_worker_move(w, MF_WORKER_BUSY, MF_WORKER_IDLE);
        w->running = NULL;
        w->deadline = MF_SYS_NEVER;
    }
    if (f)
        mf_sched_return(f);
    if (first)
        mf_peer_start_first(a);
}

static enum mf_err on_result(struct mf_peer *a, const struct mf_link_frame *frame)
{
    struct mf_worker *w = a->worker;
    struct mf_flight *flight = mf_peer_find(a, frame->head.id);
    struct mf_msg_result result;
    if (!flight || mf_msg_unpack_result(frame->body, (size_t)frame->head.length, &result, NULL) != MF_OK)
        return MF_EINVAL;
    if (result.outcome == MF_MSG_RECALLED) {
        on_recalled(a, flight);
        return MF_OK;
    }
    if (flight != mf_peer_flight(a, 0) || result.outcome > MF_OUTCOME_ERROR)
        return MF_EINVAL;
    a->served = true;
    w->pool->births = 0;
    bool wanted = flight->future != NULL;
    if (flight->setup && result.outcome == MF_OUTCOME_ERROR)
        snprintf(w->broken, sizeof w->broken, "worker %s could not be set up: a call of everywhere failed", w->name);
    w->started = mf_sys_now() - result.nanoseconds;
    w->deadline = MF_SYS_NEVER;
    mf_peer_land(a, flight);
    if (w->state == MF_WORKER_BUSY)
        mf_worker_move(w, MF_WORKER_BUSY, MF_WORKER_IDLE);
    mf_sched_settle(w, (enum mf_outcome)result.outcome,
                    wanted ? mf_blob_new(result.bytes.bytes, result.bytes.n) : NULL);
    if (w->state == MF_WORKER_IDLE) /* else a future that waited for this one was sent meanwhile, and started */
        mf_peer_start_first(a);
    return MF_OK;
}

static enum mf_err on_output(struct mf_peer *a, const struct mf_link_frame *frame)
{
    struct mf_flight *flight = mf_peer_find(a, frame->head.id);
    struct mf_msg_output output;
    if (!flight || mf_msg_unpack_output(frame->body, (size_t)frame->head.length, &output, NULL) != MF_OK)
        return MF_EINVAL;
    if (flight->future)
        mf_pool_print(a->worker, flight->future, (enum mf_stream)output.stream, output.bytes.bytes, output.bytes.n);
    return MF_OK;
}

static enum mf_err on_progress(struct mf_peer *a, const struct mf_link_frame *frame)
{
    struct mf_flight *flight = mf_peer_find(a, frame->head.id);
    struct mf_msg_progress progress;
    char text[64];
    if (!flight || mf_msg_unpack_progress(frame->body, (size_t)frame->head.length, &progress, NULL) != MF_OK)
        return MF_EINVAL;
    snprintf(text, sizeof text, "%.*s", (int)progress.text.n, (const char *)progress.text.bytes);
    if (flight->future)
        mf_pool_progress(flight->future, progress.fraction, text);
    return MF_OK;
}

static enum mf_err on_fetch(struct mf_peer *a, const struct mf_link_frame *frame)
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

static enum mf_err on_bye(struct mf_peer *a, const struct mf_link_frame *frame)
{
    a->dying = true;
    mf_peer_limit_end(a);
    snprintf(a->bye, sizeof a->bye, "%.*s", (int)frame->head.length, (const char *)frame->body);
    return MF_OK;
}

enum mf_err mf_peer_received(void *arg, const struct mf_link_frame *frame)
{
    struct mf_peer *a = arg;
    struct mf_fault fault = {0};
    a->heard = mf_sys_now();
    if (!a->greeted) {
        enum mf_err e = frame->head.kind == MF_MSG_HELLO ? on_hello(a, frame, &fault) : MF_EINVAL;
        if (e != MF_OK)
            snprintf(a->bye, sizeof a->bye, "%.*s", MF_PEER_LINE - 1, fault.text);
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
