/* A heap: the memory of one interpreter's arrays. Counts what is alive, so that the interpreter knows when it is worth
 * looking for garbage, and keeps a few large blocks that were let go of, since pages that are there already take a
 * fraction of the time of new ones. One thread at a time. */
#ifndef MF_HEAP_H
#define MF_HEAP_H

#include "block.h"

#define MF_HEAP_KEPT 16 /* blocks */

struct mf_heap {
    size_t live;  /* bytes of the blocks that arrays of this interpreter have of their own */
    size_t limit; /* when live would pass it, it is worth looking for garbage */
    void (*collect)(
        void *arg); /* the interpreter's: lets go of garbage and calls mf_heap_collected; NULL: there is none */
    void *arg;
    struct mf_block *kept[MF_HEAP_KEPT]; /* the last one let go of first */
    size_t nkept, kept_bytes, kept_max;
    size_t fresh; /* bytes of what was made, or found in messages, since garbage was last collected */
    uint64_t made, used[MF_HEAP_KEPT]; /* blocks made; made when kept[i] was let go of */
};

void mf_heap_init(struct mf_heap *heap);

/* Lets go of what is kept. */
void mf_heap_trim(struct mf_heap *heap);

/* A block with one reference, counted as alive; a kept one where that fits. May call collect first, in which anything may
 * happen to arrays that the interpreter does not hold. NULL when memory is out. */
struct mf_block *mf_heap_new(struct mf_heap *heap, size_t bytes, bool zero);

/* Lets go of a block of mf_heap_new (a reference). */
void mf_heap_drop(struct mf_heap *heap, struct mf_block *block);

/* Garbage was collected, and going over everything takes about as long as going over that many bytes of arrays. */
void mf_heap_collected(struct mf_heap *heap, size_t effort);

#endif
