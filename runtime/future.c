/* Design note: the record is small, since a queue may hold a million of them; what few futures need hangs off
 * extra. The table of legal moves is the only place that knows the life of a future. */
#include "future.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define BIT(state) (1u << (state))

static const char *const names[] = {"created", "queued", "sent", "running", "done", "failed", "cancelled", "lost"};

/* legal[from]: the states that may follow. RUNNING and SENT go back to QUEUED when the task is tried again; RUNNING goes
 * back to SENT when an agent says that it does not run after all; a CREATED future can fail at once when one of its
 * arguments has failed. */
static const unsigned legal[] = {
    [MF_FUTURE_CREATED] =
        BIT(MF_FUTURE_QUEUED) | BIT(MF_FUTURE_CANCELLED) | BIT(MF_FUTURE_FAILED) | BIT(MF_FUTURE_LOST),
    [MF_FUTURE_QUEUED] = BIT(MF_FUTURE_SENT) | BIT(MF_FUTURE_RUNNING) | BIT(MF_FUTURE_CANCELLED) | BIT(MF_FUTURE_LOST),
    [MF_FUTURE_SENT] = BIT(MF_FUTURE_QUEUED) | BIT(MF_FUTURE_RUNNING) | BIT(MF_FUTURE_CANCELLED) | BIT(MF_FUTURE_LOST),
    [MF_FUTURE_RUNNING] = BIT(MF_FUTURE_QUEUED) | BIT(MF_FUTURE_SENT) | BIT(MF_FUTURE_DONE) | BIT(MF_FUTURE_FAILED) |
                          BIT(MF_FUTURE_CANCELLED) | BIT(MF_FUTURE_LOST),
    [MF_FUTURE_LOST] = 0,
};

struct mf_future *mf_future_new(void)
{
    struct mf_future *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    mf_list_init(&f->link);
    atomic_init(&f->refs, 1);
    return f;
}

struct mf_future *mf_future_resolved(bool done, const char *label)
{
    struct mf_future *f = mf_future_new();
    if (!f)
        return NULL;
    if (label && (!mf_future_extra_get(f) || !(f->extra->label = strdup(label)))) {
        mf_future_unref(f);
        return NULL;
    }
    f->failure = done ? MF_FAILURE_NONE : MF_FAILURE_ERROR;
    atomic_store(&f->state, done ? MF_FUTURE_DONE : MF_FUTURE_FAILED);
    return f;
}

struct mf_future *mf_future_ref(struct mf_future *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

static void free_extra(struct mf_future_extra *extra)
{
    for (size_t i = 0; i < extra->ndeps; i++)
        mf_future_unref(extra->deps[i]);
    free(extra->deps);
    free(extra->label);
    mf_buf_release(&extra->output);
    free(extra);
}

void mf_future_unref(struct mf_future *f)
{
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    mf_blob_unref(f->code);
    mf_blob_unref(f->args);
    mf_blob_unref(f->result);
    if (f->extra)
        free_extra(f->extra);
    free(f);
}

struct mf_future_extra *mf_future_extra_get(struct mf_future *f)
{
    if (!f->extra) {
        f->extra = calloc(1, sizeof *f->extra);
        if (f->extra)
            f->extra->progress = -1;
    }
    return f->extra;
}

const char *mf_future_state_name(enum mf_future_state state)
{
    return names[state];
}

void mf_future_move(struct mf_future *f, enum mf_future_state from, enum mf_future_state to)
{
    enum mf_future_state now = mf_future_state(f);
    if (now != from || !(legal[from] & BIT(to))) {
        fprintf(stderr, "moonfleet: future %llu cannot go from %s to %s (it is %s)\n", (unsigned long long)f->id,
                names[from], names[to], names[now]);
        abort();
    }
    mf_log(MF_LOG_FUTURE, "future %llu: %s -> %s", (unsigned long long)f->id, names[from], names[to]);
    atomic_store_explicit(&f->state, (uint8_t)to, memory_order_release);
}

bool mf_future_print(struct mf_future *f, enum mf_stream stream, const void *bytes, size_t n)
{
    struct mf_future_extra *extra = mf_future_extra_get(f);
    uint8_t tag = (uint8_t)stream;
    uint64_t len = n;
    if (!extra || !mf_buf_reserve(&extra->output, n + sizeof tag + sizeof len))
        return false;
    return mf_buf_append(&extra->output, &tag, sizeof tag) && mf_buf_append(&extra->output, &len, sizeof len) &&
           mf_buf_append(&extra->output, bytes, n);
}
