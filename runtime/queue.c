/* Design note: bands hang off an array of pointers, so that a list's head never moves; an empty band stays, since
 * priorities come again. */
#include "queue.h"

#include <stdlib.h>
#include <string.h>

void mf_queue_init(struct mf_queue *q)
{
    memset(q, 0, sizeof *q);
    mf_list_init(&q->homeless);
}

void mf_queue_release(struct mf_queue *q)
{
    for (size_t i = 0; i < q->nbands; i++)
        free(q->bands[i]);
    free(q->bands);
    q->bands = NULL;
    q->nbands = 0;
}

static struct mf_band *add_band(struct mf_queue *q, size_t at, int priority)
{
    struct mf_band **bands = realloc(q->bands, (q->nbands + 1) * sizeof *bands);
    if (!bands)
        return NULL;
    q->bands = bands;
    struct mf_band *band = malloc(sizeof *band);
    if (!band)
        return NULL;
    band->priority = priority;
    mf_list_init(&band->futures);
    memmove(&bands[at + 1], &bands[at], (q->nbands - at) * sizeof *bands);
    bands[at] = band;
    q->nbands++;
    return band;
}

struct mf_list *mf_queue_band(struct mf_queue *q, int priority)
{
    size_t i = 0;
    while (i < q->nbands && q->bands[i]->priority > priority)
        i++;
    bool there = i < q->nbands && q->bands[i]->priority == priority;
    struct mf_band *band = there ? q->bands[i] : add_band(q, i, priority);
    return band ? &band->futures : NULL;
}

struct mf_future *mf_queue_first(struct mf_queue *q)
{
    for (size_t i = 0; i < q->nbands; i++)
        if (!mf_list_empty(&q->bands[i]->futures))
            return MF_LIST_ENTRY(q->bands[i]->futures.next, struct mf_future, link);
    return NULL;
}

struct mf_future *mf_queue_first_live(struct mf_queue *q, uint64_t live)
{
    size_t left = q->live;
    for (size_t i = 0; i < q->nbands && left > 0; i++)
        for (struct mf_list *l = q->bands[i]->futures.next; l != &q->bands[i]->futures && left > 0; l = l->next) {
            struct mf_future *f = MF_LIST_ENTRY(l, struct mf_future, link);
            if (mf_future_live(f) == live)
                return f;
            left -= mf_future_live(f) != 0;
        }
    return NULL;
}

static size_t cost(const struct mf_future *f)
{
    return sizeof *f + (f->args ? f->args->len : 0);
}

static bool is_pinned(const struct mf_future *f)
{
    return f->extra && f->extra->worker;
}

static bool is_live(const struct mf_future *f)
{
    return f->extra && f->extra->live;
}

void mf_queue_count_in(struct mf_queue *q, const struct mf_future *f)
{
    q->bytes += cost(f);
    q->pinned += is_pinned(f);
    q->live += is_live(f);
    atomic_fetch_add_explicit(&q->pending, 1, memory_order_release);
}

void mf_queue_count_out(struct mf_queue *q, const struct mf_future *f)
{
    q->bytes -= cost(f);
    q->pinned -= is_pinned(f);
    q->live -= is_live(f);
    atomic_fetch_sub_explicit(&q->pending, 1, memory_order_release);
}
