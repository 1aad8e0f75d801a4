/* The way in from a Lua that this library did not open: require "moonfleet" of its shared object. Nothing of that Lua is
 * replaced; its state is an owner like any other. The object must stay mapped when the state closes it, since threads of
 * workers that cannot be stopped run in it: it is linked with -z nodelete. */
#include <lauxlib.h>
#include <stdlib.h>

#include "../runtime/log.h"
#include "codec.h"
#include "moonfleet.h"
#include "state.h"

/* What require looks for, for the module and for those of its parts that may be required before it. */
MF_API int luaopen_moonfleet(lua_State *L);
MF_API int luaopen_moonfleet_array(lua_State *L);
MF_API int luaopen_moonfleet_rng(lua_State *L);
MF_API int luaopen_moonfleet_stats(lua_State *L);

static void configure_log(lua_State *L)
{
    struct mf_fault fault;
    const char *spec = getenv("MOONFLEET_LOG");
    if (spec && *spec && mf_log_configure(spec, &fault) != MF_OK)
        luaL_error(L, "%s", fault.text);
}

static int open_part(lua_State *L, const char *name)
{
    luaL_checkversion(L);
    configure_log(L);
    mf_state_preload(L);
    mf_codec_open_stock(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_getfield(L, -1, name);
    lua_pushstring(L, name);
    lua_pushliteral(L, ":preload:");
    lua_call(L, 2, 1);
    return 1;
}

int luaopen_moonfleet(lua_State *L)
{
    return open_part(L, "moonfleet");
}

int luaopen_moonfleet_array(lua_State *L)
{
    return open_part(L, "moonfleet.array");
}

int luaopen_moonfleet_rng(lua_State *L)
{
    return open_part(L, "moonfleet.rng");
}

int luaopen_moonfleet_stats(lua_State *L)
{
    return open_part(L, "moonfleet.stats");
}
