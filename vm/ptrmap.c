/* Linear probing; the hash is Fibonacci's multiplication, of which the high bits are good. A slot is in use when its
 * generation is the map's. */
#include "ptrmap.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 64
#define KEEP_SLOTS  1024 /* a cleared map larger than this gives its storage back */

static uint32_t place(const struct mf_ptrmap *m, const void *key)
{
    return (uint32_t)(((uint64_t)(uintptr_t)key * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & m->mask;
}

static struct mf_ptrslot *probe(const struct mf_ptrmap *m, const void *key)
{
    uint32_t i = place(m, key);
    while (m->slots[i].generation == m->generation && m->slots[i].key != key)
        i = (i + 1) & m->mask;
    return &m->slots[i];
}

static bool grow(struct mf_ptrmap *m)
{
    uint64_t size = m->slots ? ((uint64_t)m->mask + 1) * 4 : FIRST_SLOTS;
    struct mf_ptrmap bigger = {.mask = (uint32_t)(size - 1), .count = m->count, .generation = 1};
    bigger.slots = size <= UINT32_MAX ? calloc((size_t)size, sizeof *bigger.slots) : NULL;
    if (!bigger.slots)
        return false;
    for (uint64_t i = 0; m->slots && i <= m->mask; i++) {
        if (m->slots[i].generation == m->generation) {
            struct mf_ptrslot *to = probe(&bigger, m->slots[i].key);
            *to = m->slots[i];
            to->generation = 1;
        }
    }
    free(m->slots);
    *m = bigger;
    return true;
}

struct mf_ptrslot *mf_ptrmap_put(struct mf_ptrmap *m, const void *key, uint32_t number, bool *fresh)
{
    if ((!m->slots || m->count >= m->mask / 2) && !grow(m))
        return NULL;
    struct mf_ptrslot *slot = probe(m, key);
    *fresh = slot->generation != m->generation;
    if (*fresh) {
        *slot = (struct mf_ptrslot){.key = key, .generation = m->generation, .number = number};
        m->count++;
    }
    return slot;
}

struct mf_ptrslot *mf_ptrmap_get(const struct mf_ptrmap *m, const void *key)
{
    if (m->count == 0)
        return NULL;
    struct mf_ptrslot *slot = probe(m, key);
    return slot->generation == m->generation ? slot : NULL;
}

void mf_ptrmap_clear(struct mf_ptrmap *m)
{
    m->count = 0;
    if (m->mask >= KEEP_SLOTS) {
        mf_ptrmap_release(m);
    } else if (m->slots && ++m->generation == 0) {
        memset(m->slots, 0, ((size_t)m->mask + 1) * sizeof *m->slots);
        m->generation = 1;
    }
}

void mf_ptrmap_release(struct mf_ptrmap *m)
{
    free(m->slots);
    memset(m, 0, sizeof *m);
}
