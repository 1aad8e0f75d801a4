/* The memory of Lua states: malloc's, and for large blocks pages of their own (pages.h), so that a long string takes
 * some that are there already. */
#ifndef MF_ALLOC_H
#define MF_ALLOC_H

#include <lua.h>

#include "../runtime/pages.h"

/* Bytes from which a block lies in pages of its own. No Lua stack is so large (a million slots of 16 bytes): it is
 * shrunk and grown again, by a copy, around each finalizer. */
#define MF_ALLOC_LARGE ((size_t)20 << 20)

/* A state whose large blocks are of these pages, to which it holds no reference: they must outlive it. Otherwise
 * like luaL_newstate. */
lua_State *mf_alloc_newstate(struct mf_pages *pages);

/* The pages of a state made by it, or NULL when L was made by somebody else. */
struct mf_pages *mf_alloc_pages(lua_State *L);

#endif
