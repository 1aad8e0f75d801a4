/* Design note: a wrapper around the library's require would show in every traceback, and counting package.loaded costs
 * more than encoding a small function; so the function itself stands here. It is the manual's description of require. */
#include "require.h"

#include <lauxlib.h>
#include <lualib.h>

#include "codec.h"

/* Adds a searcher's message (at the top, popped) to the text below it. */
static void add_message(lua_State *L)
{
    lua_pushliteral(L, "\n\t");
    lua_insert(L, -2);
    lua_concat(L, 3);
}

/* Leaves the loader and its data. The searchers stand in the package table, which is the upvalue. */
static void find_loader(lua_State *L, const char *name)
{
    if (lua_getfield(L, lua_upvalueindex(1), "searchers") != LUA_TTABLE)
        luaL_error(L, "'package.searchers' must be a table");
    int searchers = lua_gettop(L);
    lua_pushliteral(L, "");
    for (lua_Integer i = 1;; i++) {
        if (lua_rawgeti(L, searchers, i) == LUA_TNIL)
            luaL_error(L, "module '%s' not found:%s", name, lua_tostring(L, -2));
        lua_pushstring(L, name);
        lua_call(L, 1, 2);
        if (lua_isfunction(L, -2))
            return;
        lua_pop(L, 1);
        if (lua_isstring(L, -1))
            add_message(L);
        else
            lua_pop(L, 1);
    }
}

static int require(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, 2, name);
    if (lua_toboolean(L, -1))
        return 1;
    lua_pop(L, 1);
    find_loader(L, name);
    int loader = lua_gettop(L) - 1;
    lua_pushvalue(L, loader);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, loader + 1);
    lua_call(L, 2, 1);
    if (!lua_isnil(L, -1))
        lua_setfield(L, 2, name);
    if (lua_getfield(L, 2, name) == LUA_TNIL) {
        lua_pushboolean(L, 1);
        lua_pushvalue(L, -1);
        lua_setfield(L, 2, name);
    }
    mf_codec_forget(L);
    lua_pushvalue(L, loader + 1);
    return 2;
}

void mf_require_open(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, LUA_LOADLIBNAME);
    lua_pushcclosure(L, require, 1);
    lua_setglobal(L, "require");
    lua_pop(L, 1);
}
