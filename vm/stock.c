/* The way in from a Lua that this library did not open: require "moonfleet" of its shared object. Nothing of that Lua is
 * replaced; its state is an owner like any other. The object must stay mapped when the state closes it, since threads of
 * workers that cannot be stopped run in it: it is linked with -z nodelete. */
#include <lauxlib.h>
#include <stdlib.h>

#include "../runtime/log.h"
#include "codec.h"
#include "moonfleet.h"
#include "state.h"

MF_API int luaopen_moonfleet(lua_State *L);

static void configure_log(lua_State *L)
{
    struct mf_fault fault;
    const char *spec = getenv("MOONFLEET_LOG");
    if (spec && *spec && mf_log_configure(spec, &fault) != MF_OK)
        luaL_error(L, "%s", fault.text);
}

/* Called by require with the module's name. */
int luaopen_moonfleet(lua_State *L)
{
    luaL_checkversion(L);
    configure_log(L);
    mf_state_preload(L);
    mf_codec_open_stock(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_getfield(L, -1, "moonfleet");
    lua_pushliteral(L, "moonfleet");
    lua_pushliteral(L, ":preload:");
    lua_call(L, 2, 1);
    return 1;
}
