/* Design note: sizes are rounded, to sixteen of them from one power of two to the next; a kept block serves only
 * its own size, so no size need be remembered with a block, and none is kept for one that needs a part of it. There are
 * few kept blocks, and the oldest makes room. */
#include "pages.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys_mem.h"

#define STEPS 16

struct kept {
    void *block;
    size_t bytes; /* rounded */
};

struct mf_pages {
    atomic_uint refs;
    pid_t pid;
    _Atomic uint64_t until; /* 0: it is cold */
    pthread_mutex_t lock;   /* of what follows */
    struct kept kept[MF_PAGES_KEPT];
    int n;
    size_t total;
};

struct mf_pages *mf_pages_new(void)
{
    struct mf_pages *s = calloc(1, sizeof *s);
    if (!s || pthread_mutex_init(&s->lock, NULL) != 0) {
        free(s);
        return NULL;
    }
    atomic_init(&s->refs, 1);
    atomic_init(&s->until, 0);
    s->pid = getpid();
    return s;
}

struct mf_pages *mf_pages_ref(struct mf_pages *s)
{
    if (s)
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

/* Takes entry i out of the kept ones. */
static struct kept pull(struct mf_pages *s, int i)
{
    struct kept k = s->kept[i];
    s->total -= k.bytes;
    memmove(s->kept + i, s->kept + i + 1, (size_t)(--s->n - i) * sizeof k);
    return k;
}

static void give_all_back(struct mf_pages *s)
{
    while (s->n > 0) {
        struct kept k = pull(s, 0);
        mf_sys_unmap(k.block, k.bytes);
    }
}

void mf_pages_unref(struct mf_pages *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (s->pid == getpid())
        give_all_back(s);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* All sizes above a power of two, up to the next one, have the same step; so what is rounded stays as it is. */
static size_t rounded(size_t bytes)
{
    size_t step = mf_sys_page();
    while (bytes > 0 && step <= (bytes - 1) / (2 * STEPS))
        step *= 2;
    return bytes > SIZE_MAX - step ? bytes : (bytes + step - 1) / step * step;
}

/* A forked child must not touch the lock, which another thread may have held when it was forked. */
static bool keeps(const struct mf_pages *s)
{
    return s->pid == getpid();
}

static void *take_kept(struct mf_pages *s, size_t bytes)
{
    void *block = NULL;
    pthread_mutex_lock(&s->lock);
    for (int i = s->n - 1; i >= 0 && !block; i--) /* the last one let go of is the warmest */
        if (s->kept[i].bytes == bytes)
            block = pull(s, i).block;
    pthread_mutex_unlock(&s->lock);
    return block;
}

void *mf_pages_get(struct mf_pages *s, size_t bytes)
{
    bytes = rounded(bytes);
    void *block = keeps(s) ? take_kept(s, bytes) : NULL;
    return block ? block : mf_sys_map(bytes);
}

static size_t limit(const struct mf_pages *s)
{
    return atomic_load_explicit(&s->until, memory_order_relaxed) != 0 ? MF_PAGES_WARM : MF_PAGES_COLD;
}

/* False when it is not to be kept. */
static bool keep(struct mf_pages *s, void *block, size_t bytes)
{
    if (bytes > limit(s))
        return false;
    mf_sys_spare(block, bytes);
    pthread_mutex_lock(&s->lock);
    while (s->n > 0 && (s->n == MF_PAGES_KEPT || s->total + bytes > limit(s))) {
        struct kept oldest = pull(s, 0);
        mf_sys_unmap(oldest.block, oldest.bytes);
    }
    s->kept[s->n++] = (struct kept){block, bytes};
    s->total += bytes;
    pthread_mutex_unlock(&s->lock);
    return true;
}

void mf_pages_put(struct mf_pages *s, void *block, size_t bytes)
{
    bytes = rounded(bytes);
    if (!keeps(s) || !keep(s, block, bytes))
        mf_sys_unmap(block, bytes);
}

/* To copy into pages that are there takes less time than to get as many new ones. */
void *mf_pages_resize(struct mf_pages *s, void *block, size_t from, size_t to)
{
    from = rounded(from);
    to = rounded(to);
    void *larger = to > from && keeps(s) ? take_kept(s, to) : NULL;
    if (from == to)
        return block;
    if (!larger)
        return mf_sys_remap(block, from, to);
    mf_sys_copy(larger, block, from);
    mf_pages_put(s, block, from);
    return larger;
}

void mf_pages_warm(struct mf_pages *s, uint64_t until)
{
    uint64_t old = atomic_load_explicit(&s->until, memory_order_relaxed);
    while (old < until && !atomic_compare_exchange_weak(&s->until, &old, until)) {
    }
}

void mf_pages_cool(struct mf_pages *s, uint64_t now)
{
    if (!keeps(s))
        return;
    pthread_mutex_lock(&s->lock);
    uint64_t until = atomic_load_explicit(&s->until, memory_order_relaxed);
    if (now >= until && atomic_compare_exchange_strong(&s->until, &until, 0))
        give_all_back(s);
    pthread_mutex_unlock(&s->lock);
}
