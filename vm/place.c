#define _XOPEN_SOURCE 700
#include "place.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../runtime/sys_fd.h"
#include "embed.h"

#define PATH_BYTES 4096
#define UP         4 /* folders between a Lua module and the prefix that it was installed into */

static bool is_program(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode) && access(path, X_OK) == 0;
}

/* Turns the path of a file into that of its folder. */
static bool cut(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    return slash != NULL;
}

static bool push_if_there(lua_State *L)
{
    if (is_program(lua_tostring(L, -1)))
        return true;
    lua_pop(L, 1);
    return false;
}

/* Pushes the program of an installation that the folder belongs to. */
static bool push_installed(lua_State *L, const char *folder)
{
    lua_pushfstring(L, "%s/moonfleet", folder);
    if (push_if_there(L))
        return true;
    const char *up = lua_pushstring(L, folder);
    for (int i = 0; i < UP; i++) {
        up = lua_pushfstring(L, "%s/..", up);
        lua_replace(L, -2);
        lua_pushfstring(L, "%s/bin/moonfleet", up);
        if (push_if_there(L)) {
            lua_remove(L, -2);
            return true;
        }
    }
    lua_pop(L, 1);
    return false;
}

static bool push_from_path(lua_State *L)
{
    const char *at = getenv("PATH");
    while (at && *at) {
        size_t n = strcspn(at, ":");
        lua_pushlstring(L, at, n);
        lua_pushfstring(L, "%s/moonfleet", n ? lua_tostring(L, -1) : ".");
        lua_remove(L, -2);
        if (push_if_there(L))
            return true;
        at += n + (at[n] == ':');
    }
    return false;
}

static bool is_env_ignored(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    bool ignored = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return ignored;
}

/* Pushes the program, or pushes nothing. folder is the library's. */
static bool push_program(lua_State *L, const char *folder)
{
    const struct mf_embed *embed = mf_embed_of(L);
    const char *named = is_env_ignored(L) ? NULL : getenv("MOONFLEET_PROGRAM");
    if (embed && embed->program)
        named = embed->program;
    if (named && *named) {
        lua_pushstring(L, named);
        return true;
    }
    return (*folder && push_installed(L, folder)) || push_from_path(L);
}

/* Writes the library's folder; "" when the system does not tell. */
static void find_library(char *folder)
{
    if (!mf_sys_library(folder, PATH_BYTES) || !cut(folder))
        *folder = '\0';
}

void mf_place_push_program(lua_State *L)
{
    char folder[PATH_BYTES];
    const struct mf_embed *embed = mf_embed_of(L);
    luaL_checkstack(L, 6, NULL);
    if (embed && embed->serves && !embed->program) {
        lua_pushnil(L);
        return;
    }
    find_library(folder);
    if (!push_program(L, folder))
        luaL_error(
            L,
            "cannot find the program moonfleet, which worker processes run: it is neither beside %s nor on PATH; "
            "install it, or name it in MOONFLEET_PROGRAM or the plan's option 'program'",
            *folder ? folder : "this library");
}

/* Pushes the node program of an installation that the folder belongs to. */
static bool push_node(lua_State *L, const char *folder)
{
    static const char *const places[] = {"%s/moonfleet-node", "%s/moonfleet/moonfleet-node",
                                         "%s/../lib/moonfleet/moonfleet-node"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        lua_pushfstring(L, places[i], folder);
        if (push_if_there(L))
            return true;
    }
    return false;
}

void mf_place_push_node(lua_State *L)
{
    char folder[PATH_BYTES], library[PATH_BYTES];
    luaL_checkstack(L, 8, NULL);
    if (mf_sys_program(folder, sizeof folder) && cut(folder) && push_node(L, folder))
        return;
    find_library(library);
    if (*library && push_node(L, library))
        return;
    lua_pushnil(L);
    if (!push_program(L, library))
        return;
    char *path = realpath(lua_tostring(L, -1), folder);
    lua_pop(L, 1);
    if (path && cut(path) && push_node(L, path))
        lua_remove(L, -2);
}
