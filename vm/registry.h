/* Places in Lua's registry whose key is the address of something. */
#ifndef MF_REGISTRY_H
#define MF_REGISTRY_H

#include <lua.h>

/* Sees to it that the key has a place, with the value false unless there is one, so that setting it later (in a fork,
 * where every page that is written to costs) moves nothing. May raise. */
static inline void mf_registry_reserve(lua_State *L, const void *key)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TNIL) {
        lua_pushboolean(L, 0);
        lua_rawsetp(L, LUA_REGISTRYINDEX, key);
    }
    lua_pop(L, 1);
}

#endif
