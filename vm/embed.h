/* What the program around an interpreter has given it: its allocator, its functions, the program that its workers run. One
 * record for an interpreter and all its workers, counted, because a worker that cannot be stopped outlives its owner. */
#ifndef MF_EMBED_H
#define MF_EMBED_H

#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "../runtime/runner.h"
#include "moonfleet.h"

struct mf_embed {
    struct mf_runner
        runner; /* of this library, with this record as its host; each owner made with it holds a reference */
    atomic_uint refs;
    bool serves;
    char *program; /* or NULL */
    void *arg;
    void (*on_state)(struct mf_addition *addition, void *arg);
    void *(*alloc)(void *arg, void *memory, size_t old_size, size_t size);
};

/* NULL when memory is out. */
struct mf_embed *mf_embed_new(const struct mf_config *config);
struct mf_embed *mf_embed_ref(struct mf_embed *embed); /* NULL is allowed, and returned */
void mf_embed_unref(struct mf_embed *embed);           /* likewise; any thread */

/* A new Lua state with the record's allocator, or (embed may be NULL) with malloc's and, for large blocks, these pages, which
 * may be NULL. NULL when memory is out. */
lua_State *mf_embed_newstate(struct mf_embed *embed, struct mf_pages *pages);

/* Makes the record that of the state, which does not count as a reference. May raise. */
void mf_embed_bind(lua_State *L, struct mf_embed *embed);

/* The state's record; NULL in a stock Lua and its workers. */
struct mf_embed *mf_embed_of(lua_State *L);

/* Has the host add its functions to a state that is being made, if there is a host that does. May raise. */
void mf_embed_add(lua_State *L, struct mf_embed *embed, bool worker);

/* --- Values (embed_value.c). Both may raise. ----------------------------------------------------------------------- */

void mf_embed_push(lua_State *L, const struct mf_datum *d);

/* Fills d from the value at idx, and pushes one value: what keeps the memory that d refers to. */
void mf_embed_read(lua_State *L, int idx, struct mf_datum *d);

#endif
