/* Code that a worker has decoded and keeps: functions that cannot be told from a fresh copy, and the large code of a map
 * for all its chunks. Belongs to the worker's thread. */
#ifndef MF_PREPARED_H
#define MF_PREPARED_H

#include <lua.h>
#include <stdbool.h>

#include "../runtime/buf.h"
#include "codec.h"

#define MF_PREPARED_MAX 16

struct mf_prepared_entry {
    struct mf_blob *code; /* a reference; NULL in a free entry */
    int slot;             /* where the values are in the state's table; every slot is in exactly one entry */
};

struct mf_prepared {
    struct mf_prepared_entry entries[MF_PREPARED_MAX]; /* the first n are in use, the one used last first */
    int n;
    bool live; /* the state is a fork of the one that sends code: live values (live.h) are here */
};

void mf_prepared_init(struct mf_prepared *p);

/* For a fork of an owner: what the state keeps for all of this, made ahead (two values are pushed; environments will
 * inherit from the table at base), and put into place (they stand from index parts on). May raise. */
enum { MF_PREPARED_PARTS = 2 };
void mf_prepared_make(lua_State *L, int base);
void mf_prepared_install(lua_State *L, int parts);

/* Pushes three values: the function, the second function or nil, and the environment in which they run (a fresh one
 * unless they are kept). setup: they run in the state's base environment. Raises what decoding raises. */
void mf_prepared_push(lua_State *L, struct mf_prepared *p, struct mf_blob *code, bool setup);

/* Lets go of code that nobody but this cache refers to. Does not raise. */
void mf_prepared_trim(lua_State *L, struct mf_prepared *p);

/* Drops the references, when the state is closed already. */
void mf_prepared_release(struct mf_prepared *p);

/* Appends the code message that mf_prepared_push reads: the functions at those stack indices (fn2 may be 0), the list of
 * packages at that index to require first (may be 0), and whether a worker may keep it, if it is large, for all tasks
 * that refer to it (a map's).
 * options as for mf_encode_begin. May raise. */
void mf_prepared_encode(lua_State *L, struct mf_buf *out, int fn, int fn2, int packages, bool keep,
                        const struct mf_encode_options *options);

#endif
