/* Design note: what is kept is given to the system to take back if it runs short (MADV_FREE), which costs next to
 * nothing and leaves the pages where they are if it does not. A kept block that has not been of use for a while goes. */
#define _GNU_SOURCE
#include "heap.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LEAST_LIMIT ((size_t)32 << 20) /* bytes of garbage that are not worth a collection */
#define KEPT_SHARE  16                 /* a part of the machine's memory that may be kept */
#define KEPT_MOST   ((size_t)1 << 30)
#define FREE_MIN    ((size_t)4 << 20) /* smaller ones are not worth the call */
#define PATIENCE    64                /* blocks made since it was let go of */

void mf_heap_init(struct mf_heap *h)
{
    memset(h, 0, sizeof *h);
    h->limit = LEAST_LIMIT;
}

static size_t kept_max(void)
{
    long pages = -1;
#ifdef _SC_PHYS_PAGES
    pages = sysconf(_SC_PHYS_PAGES);
#endif
    size_t share = pages > 0 ? (size_t)pages / KEPT_SHARE * (size_t)sysconf(_SC_PAGESIZE) : 0;
    return share < KEPT_MOST ? share : KEPT_MOST;
}

/* Takes the i-th out of what is kept. */
static struct mf_block *take(struct mf_heap *h, size_t i)
{
    struct mf_block *b = h->kept[i];
    h->nkept--;
    h->kept_bytes -= b->mapped;
    memmove(h->kept + i, h->kept + i + 1, (h->nkept - i) * sizeof h->kept[0]);
    memmove(h->used + i, h->used + i + 1, (h->nkept - i) * sizeof h->used[0]);
    return b;
}

void mf_heap_trim(struct mf_heap *h)
{
    while (h->nkept > 0)
        mf_block_unref(take(h, h->nkept - 1));
}

/* A kept block that has room for bytes and is not much too large, or NULL. */
static struct mf_block *find(struct mf_heap *h, size_t bytes)
{
    size_t best = h->nkept;
    for (size_t i = 0; i < h->nkept; i++) {
        size_t room = h->kept[i]->mapped;
        if (room >= bytes && room - bytes <= bytes / 4 && (best == h->nkept || room < h->kept[best]->mapped))
            best = i;
    }
    return best < h->nkept ? take(h, best) : NULL;
}

static struct mf_block *find_or_make(struct mf_heap *h, size_t bytes, bool zero)
{
    struct mf_block *b = bytes >= MF_BLOCK_PAGES_MIN ? find(h, bytes) : NULL;
    if (!b)
        return mf_block_new(bytes, zero);
    b->bytes = bytes;
    if (zero)
        memset(b->data, 0, bytes);
    return b;
}

struct mf_block *mf_heap_new(struct mf_heap *h, size_t bytes, bool zero)
{
    bool collected = h->collect && h->live + bytes > h->limit;
    h->made++;
    if (collected)
        h->collect(h->arg);
    struct mf_block *b = find_or_make(h, bytes, zero);
    if (!b && !collected && h->collect)
        h->collect(h->arg);
    if (!b) {
        mf_heap_trim(h);
        b = mf_block_new(bytes, zero);
    }
    if (b) {
        h->live += bytes;
        h->fresh += bytes;
    }
    return b;
}

/* Makes room for one that was let go of just now. */
static void age(struct mf_heap *h, size_t bytes)
{
    while (h->nkept > 0 && (h->nkept == MF_HEAP_KEPT || h->kept_bytes + bytes > h->kept_max ||
                            h->made - h->used[h->nkept - 1] > PATIENCE))
        mf_block_unref(take(h, h->nkept - 1));
}

void mf_heap_drop(struct mf_heap *h, struct mf_block *b)
{
    h->live -= b->bytes;
    if (!h->kept_max)
        h->kept_max = kept_max();
    if (b->kind != MF_BLOCK_PAGES || b->mapped > h->kept_max || b->fd >= 0 || !mf_block_own(b)) {
        mf_block_unref(b);
        return;
    }
    age(h, b->mapped);
#ifdef MADV_FREE
    if (b->mapped >= FREE_MIN)
        madvise(b->base, b->mapped, MADV_FREE);
#endif
    memmove(h->kept + 1, h->kept, h->nkept * sizeof h->kept[0]);
    memmove(h->used + 1, h->used, h->nkept * sizeof h->used[0]);
    h->kept[0] = b;
    h->used[0] = h->made;
    h->nkept++;
    h->kept_bytes += b->mapped;
}

void mf_heap_collected(struct mf_heap *h, size_t effort)
{
    h->fresh = 0;
    size_t more = h->live > effort ? h->live : effort;
    h->limit = h->live + (more > LEAST_LIMIT ? more : LEAST_LIMIT);
}
