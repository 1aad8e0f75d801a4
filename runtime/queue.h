/* A pool's queue: bands of equal priority, by falling priority, each first in first out. Nearly always there is one
 * band, so queueing is an append. Locking: the owner's lock, except where marked. */
#ifndef MF_QUEUE_H
#define MF_QUEUE_H

#include <stdatomic.h>
#include <stddef.h>

#include "future.h"
#include "list.h"

/* The futures of one priority, first in first out. */
struct mf_band {
    int priority;
    struct mf_list futures;
};

/* A pool's queue: bands by falling priority. */
struct mf_queue {
    struct mf_band **bands; /* pointers, so that a band's list head never moves */
    size_t nbands;
    atomic_size_t pending;   /* futures queued, pinned ones included; written under the lock, read by spinners */
    size_t pinned;           /* of these: pinned to a worker, waiting in its own list */
    size_t live;             /* refer to their owner's memory (mf_future_live) */
    size_t bytes;            /* their code is shared and not counted; args and records are */
    struct mf_list homeless; /* pinned to a worker that has not started */
};

void mf_queue_init(struct mf_queue *q);
void mf_queue_release(struct mf_queue *q); /* q must be empty */

/* The list of that priority, made if need be; NULL when memory is out. */
struct mf_list *mf_queue_band(struct mf_queue *q, int priority);

/* The first future, which stays in the queue, or NULL. */
struct mf_future *mf_queue_first(struct mf_queue *q);

/* The first that refers to that memory of its owner's (not 0), or NULL. */
struct mf_future *mf_queue_first_live(struct mf_queue *q, uint64_t live);

/* Keeps the counts when f enters or leaves the queue or a list of pinned futures. */
void mf_queue_count_in(struct mf_queue *q, const struct mf_future *f);
void mf_queue_count_out(struct mf_queue *q, const struct mf_future *f);

#endif
