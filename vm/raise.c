/* Design note: options.lua knows which chunks are the library's; the message goes through its raise. */
#include "raise.h"

#include <lauxlib.h>
#include <stdarg.h>

int mf_raise(lua_State *L, const char *format, ...)
{
    va_list args;
    luaL_checkstack(L, 8, NULL);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "moonfleet.options") == LUA_TTABLE)
        lua_getfield(L, -1, "raise");
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    if (!lua_isfunction(L, -2))
        return lua_error(L);
    lua_call(L, 1, 0);
    return luaL_error(L, "raise returned");
}
