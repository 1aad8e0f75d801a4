/* Opens and closes Lua states that use the module of the search path given, several in turn and two at a time, with tasks that
 * still run. Any error ends it. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

static const char code[] = "package.cpath = ... "
                           "local mf = require('moonfleet') mf.plan('threads:2') "
                           "assert(mf.map({ 1, 2, 3 }, function(x) return x * x end)[3] == 9) "
                           "running = mf.future(function() while true do end end) "
                           "repeat running:wait(0.001) until running:state() == 'running'";

static lua_State *open_one(const char *cpath)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    lua_pushstring(L, cpath);
    if (luaL_loadstring(L, code) == LUA_OK) {
        lua_insert(L, -2);
        if (lua_pcall(L, 1, 0, 0) == LUA_OK)
            return L;
    }
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    exit(EXIT_FAILURE);
}

int main(int argc, char *argv[])
{
    if (argc != 2)
        return EXIT_FAILURE;
    for (int i = 0; i < 5; i++) {
        lua_State *a = open_one(argv[1]), *b = open_one(argv[1]);
        lua_close(i % 2 ? a : b);
        lua_close(i % 2 ? b : a);
    }
    return EXIT_SUCCESS;
}
