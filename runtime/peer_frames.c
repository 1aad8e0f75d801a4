/* What an agent says: one function for each kind of frame. Whatever it should not say ends it. */
#include <stdio.h>
#include <string.h>

#include "modules.h"
#include "owner.h"
#include "peer.h"
#include "sched.h"
#include "sys.h"

/* A host may say how many workers it wants to have, or have been told. */
static enum mf_err widen(struct mf_peer *a, const struct mf_msg_hello *hello, struct mf_fault *fault)
{
    struct mf_host *host = a->host;
    if (!host->lanes)
        host->lanes =
            host->workers ? host->workers : (int)(hello->cores < MF_HOST_CORES ? hello->cores : MF_HOST_CORES);
    if (host->lanes < 1)
        host->lanes = 1;
    if (mf_peer_widen(a, host->lanes, a->lanes[0]->index + 1) != MF_OK)
        return mf_fault_set(fault, MF_ENOMEM, "out of memory for its workers");
    return MF_OK;
}

/* It works in the folder, and with the environment, that it was told. */
static void on_pong(struct mf_peer *a, const struct mf_link_frame *frame)
{
    struct mf_host *host = a->host;
    if (!host || frame->head.id != MF_PEER_READY || host->state != MF_HOST_CALLED)
        return;
    host->state = MF_HOST_HERE;
    host->failures = 0;
    if (host->local)
        host->seconds = (double)(mf_sys_now() - host->called) / 1e9;
    a->pool->desperate = false;
    mf_owner_nudge(a->pool->owner); /* it may wait for this */
}

static enum mf_err on_hello(struct mf_peer *a, const struct mf_link_frame *frame, struct mf_fault *fault)
{
    struct mf_msg_hello hello;
    enum mf_err e = mf_msg_unpack_hello(frame->body, (size_t)frame->head.length, &hello, fault);
    if (e == MF_OK)
        e = mf_msg_check_hello(&hello, a->pool->owner->runner->hello, fault);
    if (e == MF_OK && a->host)
        e = widen(a, &hello, fault);
    return e == MF_OK ? mf_peer_greet(a, fault) : e;
}

static void free_lane(struct mf_worker *lane)
{
    if (!lane)
        return;
    lane->deadline = MF_SYS_NEVER;
    if (lane->state == MF_WORKER_BUSY)
        mf_worker_move(lane, MF_WORKER_BUSY, MF_WORKER_IDLE);
}

/* A task that was not started has come back, or one that was cancelled is over. As far as we knew it may run by now: the
 * result of the one before was on its way when it was asked for. */
static void on_recalled(struct mf_peer *a, struct mf_flight *flight)
{
    struct mf_future *f = flight->future;
    struct mf_worker *lane = flight->lane;
    mf_peer_land(a, flight);
    free_lane(lane);
    if (lane)
        lane->running = NULL;
    if (f)
        mf_sched_return(f);
    mf_peer_start_ready(a);
}

/* Words of the agent's, as far as there is room; they may be shown on a terminal. */
static void copy_words(char *text, size_t room, const unsigned char *words, size_t n)
{
    size_t len = n < room ? n : room - 1;
    for (size_t i = 0; i < len; i++)
        text[i] = words[i] < ' ' || words[i] == 127 ? '?' : (char)words[i];
    text[len] = '\0';
}

/* A node's worker has died of its task. */
static void on_lost(struct mf_peer *a, struct mf_worker *lane, const struct mf_msg_part *words)
{
    char text[sizeof lane->broken - 48];
    copy_words(text, sizeof text, words->bytes, words->n);
    snprintf(lane->broken, sizeof lane->broken, "%s (%.44s)", text, a->name);
    mf_sched_settle(lane, MF_OUTCOME_ERROR, NULL);
    lane->broken[0] = '\0';
}

/* The bytes behind a result's head: of a large one, those that have come, where they are. NULL when memory is out. */
static struct mf_blob *take_bytes(struct mf_link_frame *frame, const struct mf_msg_part *bytes)
{
    _Static_assert(MF_MSG_RESULT_HEAD == MF_BLOB_CUT_BYTES, "what is cut off is the head");
    struct mf_blob *blob = frame->blob;
    if (!blob)
        return mf_blob_new(bytes->bytes, bytes->n);
    frame->blob = NULL;
    return mf_blob_cut(blob);
}

/* The result's bytes, with what they refer to; NULL when memory is out. */
static struct mf_blob *make_result(struct mf_link_frame *frame, const struct mf_msg_result *result,
                                   struct mf_share_lists *holds)
{
    struct mf_blob *blob = take_bytes(frame, &result->bytes);
    if (blob)
        blob->holds = mf_share_list(holds, 0);
    return blob;
}

#define TRIP_WEIGHT 8
#define TRIP_MAX_NS 1000000000 /* what is longer was held up: no distance on earth is so long */

/* A task that went to an idle worker has come back. A trip that was short counts at once, and one that was long by and by,
 * since anything may have held it up. */
static void learn_trip(struct mf_peer *a, const struct mf_flight *flight, const struct mf_msg_result *result)
{
    uint64_t took = flight->sent ? mf_sys_now() - flight->sent : 0;
    if (took <= result->nanoseconds || result->outcome > MF_OUTCOME_ERROR)
        return;
    uint64_t trip = took - result->nanoseconds < TRIP_MAX_NS ? took - result->nanoseconds : TRIP_MAX_NS;
    a->trip = trip < a->trip || a->trip == 0 ? trip : a->trip + (trip - a->trip) / TRIP_WEIGHT;
    struct mf_pool *pool = a->pool;
    pool->trip = a->trip > pool->trip ? a->trip : pool->trip - (pool->trip - a->trip) / TRIP_WEIGHT;
}

/* The flight is over, with that result, which came in the frame. */
static void conclude(struct mf_peer *a, struct mf_flight *flight, struct mf_link_frame *frame,
                     const struct mf_msg_result *result, struct mf_share_lists *holds)
{
    struct mf_worker *lane = flight->lane;
    bool wanted = flight->future != NULL;
    a->behind = false;
    learn_trip(a, flight, result);
    mf_peer_land(a, flight);
    free_lane(lane);
    if (lane) {
        lane->started = mf_sys_now() - result->nanoseconds;
        if (result->outcome == MF_MSG_LOST)
            on_lost(a, lane, &result->bytes);
        else
            mf_sched_settle(lane, (enum mf_outcome)result->outcome, wanted ? make_result(frame, result, holds) : NULL);
    }
    mf_peer_start_ready(a);
}

static enum mf_err on_result(struct mf_peer *a, struct mf_link_frame *frame)
{
    struct mf_flight *flight = mf_peer_find(a, frame->head.id);
    struct mf_msg_result result;
    if (!flight || mf_msg_unpack_result(frame->body, (size_t)frame->head.length, &result, NULL) != MF_OK)
        return MF_EINVAL;
    if (result.outcome == MF_MSG_RECALLED && (flight->recalled || !flight->future)) {
        on_recalled(a, flight);
        return MF_OK;
    }
    bool lost = result.outcome == MF_MSG_LOST && a->host;
    if (!mf_peer_can_run(a, flight) || (flight->future && !flight->lane) ||
        (result.outcome > MF_OUTCOME_ERROR && !lost))
        return MF_EINVAL;
    a->served = true;
    if (!flight->setup)
        a->alone = false;
    a->pool->births = 0;
    if (flight->setup && result.outcome != MF_OUTCOME_VALUE)
        snprintf(a->lanes[0]->broken, sizeof a->lanes[0]->broken, "%s could not be set up: a call of everywhere failed",
                 a->name);
    struct mf_share_lists holds = mf_share_take(&a->share, frame->head.id);
    conclude(a, flight, frame, &result, &holds);
    mf_share_lists_release(&holds);
    return MF_OK;
}

/* A node's task that waits for its worker, or does no more. */
static enum mf_err on_held(struct mf_peer *a, const struct mf_link_frame *frame)
{
    struct mf_flight *flight = mf_peer_find(a, frame->head.id);
    bool held = frame->head.kind == MF_MSG_HELD;
    if (!flight || !flight->pin || flight->held == held || (held && !mf_peer_can_run(a, flight)))
        return MF_EINVAL;
    if (flight->lane) {
        if (flight->lane->running)
            mf_sched_hold(flight->lane);
        free_lane(flight->lane);
        flight->lane = NULL;
    }
    flight->held = held;
    a->nheld += held ? 1 : -1u;
    mf_peer_start_ready(a);
    return MF_OK;
}

static enum mf_err on_output(struct mf_peer *a, const struct mf_link_frame *frame)
{
    struct mf_flight *flight = mf_peer_find(a, frame->head.id);
    struct mf_msg_output output;
    if (!flight || mf_msg_unpack_output(frame->body, (size_t)frame->head.length, &output, NULL) != MF_OK)
        return MF_EINVAL;
    if (flight->future)
        mf_pool_print(flight->lane ? flight->lane : a->lanes[0], flight->future, (enum mf_stream)output.stream,
                      output.bytes.bytes, output.bytes.n);
    return MF_OK;
}

static enum mf_err on_progress(struct mf_peer *a, const struct mf_link_frame *frame)
{
    struct mf_flight *flight = mf_peer_find(a, frame->head.id);
    struct mf_msg_progress progress;
    char text[64];
    if (!flight || mf_msg_unpack_progress(frame->body, (size_t)frame->head.length, &progress, NULL) != MF_OK)
        return MF_EINVAL;
    snprintf(text, sizeof text, "%.*s", (int)(progress.text.n < sizeof text ? progress.text.n : sizeof text),
             (const char *)progress.text.bytes);
    if (flight->future)
        mf_pool_progress(a->lanes[0], flight->future, progress.fraction, text);
    return MF_OK;
}

static enum mf_err on_fetch(struct mf_peer *a, const struct mf_link_frame *frame)
{
    struct mf_owner *owner = a->pool->owner;
    struct mf_buf module = {0};
    char name[256];
    if (frame->head.length >= sizeof name)
        return MF_EINVAL;
    snprintf(name, sizeof name, "%.*s", (int)frame->head.length, (const char *)frame->body);
    if (owner->hooks)
        return owner->hooks->forward(owner, a, frame->head.id, name);
    mf_modules_find(a->pool->module_path, name, &module);
    const struct mf_msg_part part = {module.data, module.len};
    enum mf_err e = mf_link_queue(a->link, MF_MSG_MODULE, frame->head.id, &part, 1);
    mf_buf_release(&module);
    return e;
}

static enum mf_err on_bye(struct mf_peer *a, const struct mf_link_frame *frame)
{
    a->dying = true;
    mf_peer_limit_end(a);
    copy_words(a->bye, sizeof a->bye, frame->body, (size_t)frame->head.length);
    return MF_OK;
}

enum mf_err mf_peer_received(void *arg, struct mf_link_frame *frame)
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
    case MF_MSG_BLOCK:
    case MF_MSG_DROP:
    case MF_MSG_HOLDS:
        return mf_share_received(&a->share, frame, false);
    case MF_MSG_HELD:
    case MF_MSG_FREED:
        return on_held(a, frame);
    case MF_MSG_PONG:
        on_pong(a, frame);
        return MF_OK;
    case MF_MSG_BYE:
        return on_bye(a, frame);
    default:
        return MF_EINVAL;
    }
}
