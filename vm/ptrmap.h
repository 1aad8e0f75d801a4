/* A hash from addresses to numbers, for identities within one message. Emptying it costs nothing: every slot carries
 * the generation that wrote it. All functions belong to one thread. All zero bytes is a valid empty map. */
#ifndef MF_PTRMAP_H
#define MF_PTRMAP_H

#include <stdbool.h>
#include <stdint.h>

struct mf_ptrslot {
    const void *key;
    uint32_t generation;
    uint32_t number; /* the user's; may be changed through the slot */
};

struct mf_ptrmap {
    struct mf_ptrslot *slots; /* open addressing, at most half full; NULL while empty */
    uint32_t mask;
    uint32_t count;
    uint32_t generation;
};

/* The slot of key, made with the given number when it was not there (*fresh). NULL when memory is out. The slot
 * stays valid until the next call that may add. */
struct mf_ptrslot *mf_ptrmap_put(struct mf_ptrmap *m, const void *key, uint32_t number, bool *fresh);

/* The slot of key, or NULL. */
struct mf_ptrslot *mf_ptrmap_get(const struct mf_ptrmap *m, const void *key);

void mf_ptrmap_clear(struct mf_ptrmap *m);   /* empties it; keeps moderate storage for reuse */
void mf_ptrmap_release(struct mf_ptrmap *m); /* frees the storage; the map is empty and usable again */

#endif
