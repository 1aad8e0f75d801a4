/* Design note: the order matters. The libraries first, then what replaces parts of them, then the codec, which takes
 * what the globals hold at that moment for pristine: values that every state has and that never cross. */
#include "state.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "interrupt.h"
#include "lib.h"
#include "lib_array_box.h"
#include "lib_codec.h"
#include "require.h"
#include "session.h"
#include "stdlib.h"

/* --- The standard library in Lua --------------------------------------------------------------------------------- */

/* Loads entry's source from the development folder if there is one, else from the program; leaves the chunk. */
static void load_entry(lua_State *L, const struct mf_stdlib_entry *entry)
{
    const char *folder = getenv("MOONFLEET_STDLIB");
    const char *path = luaL_gsub(L, entry->name, ".", "/");
    if (strcmp(entry->name, "moonfleet") == 0)
        path = lua_pushliteral(L, "moonfleet/init");
    int status;
    if (folder && *folder)
        status = luaL_loadfilex(L, lua_pushfstring(L, "%s/%s.lua", folder, path), "t");
    else
        status = luaL_loadbufferx(L, (const char *)entry->data, entry->size, lua_pushfstring(L, "@%s.lua", path), "t");
    if (status != LUA_OK)
        lua_error(L);
}

/* A preload function: the upvalue is the entry; called with the module's name. */
static int load_module(lua_State *L)
{
    const struct mf_stdlib_entry *entry = lua_touserdata(L, lua_upvalueindex(1));
    lua_settop(L, 2);
    load_entry(L, entry);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_call(L, 2, 1);
    return 1;
}

void mf_state_preload(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (const struct mf_stdlib_entry *entry = mf_stdlib; entry->name; entry++) {
        lua_pushlightuserdata(L, (void *)(uintptr_t)entry);
        lua_pushcclosure(L, load_module, 1);
        lua_setfield(L, -2, entry->name);
    }
    lua_pushcfunction(L, mf_lib_core);
    lua_setfield(L, -2, "moonfleet.core");
    lua_pushcfunction(L, mf_lib_array_core);
    lua_setfield(L, -2, "moonfleet.array_core");
    lua_pushcfunction(L, luaopen_moonfleet_codec);
    lua_setfield(L, -2, "moonfleet.codec");
    lua_pop(L, 1);
    mf_codec_open(L);
}

void mf_state_open(lua_State *L, void (*replace)(lua_State *L, void *arg), void *arg)
{
    luaL_openlibs(L);
    mf_interrupt_open(L);
    mf_require_open(L);
    replace(L, arg);
    mf_state_preload(L);
}

size_t mf_state_shutdown(lua_State *L)
{
    return mf_session_shutdown(L);
}

/* --- Messages ---------------------------------------------------------------------------------------------------- */

int mf_state_traceback(lua_State *L)
{
    bool is_object = lua_tostring(L, 1) == NULL;
    bool described = false;
    lua_settop(L, 1);
    mf_session_noted(L, 1);
    if (!is_object)
        lua_pushvalue(L, 1);
    else if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
        described = true;
    else
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    if (lua_isstring(L, 2))
        lua_pushfstring(L, "%s\n%s", lua_tostring(L, -1), lua_tostring(L, 2));
    if (!described) /* the lua program gives an object's own words no traceback */
        luaL_traceback(L, L, lua_tostring(L, -1), 1);
    return 1;
}
