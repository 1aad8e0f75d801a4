/* Design note: a forked child goes on with the owner's interpreter, deep inside the call that forked, and never returns
 * there: all that follows runs on a Lua thread of its own, and every call into the old stack is protected.
 *
 * What a task may see of the owner is what every plan lets it see, by value: the function, what it has captured, the
 * globals that it names. So the standard globals are put together anew, as the state had them when it was opened, and
 * the owner's own table of globals is only reached by the modules that were loaded there. Loaded modules stay: they
 * cross by name, and here they are found with the owner's state in them. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

#include "codec.h"
#include "instance.h"
#include "names.h"
#include "session.h"

struct adoption {
    struct mf_instance *instance;
    const struct mf_worker_info *info;
};

/* Makes the globals that the state began with its globals again. */
static void renew_globals(lua_State *L)
{
    mf_names_push(L);
    lua_getiuservalue(L, -1, MF_NAMES_PRISTINE);
    int pristine = lua_gettop(L);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, pristine);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, pristine + 1);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, pristine + 1, LUA_GNAME);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, pristine + 1);
    lua_setfield(L, -2, LUA_GNAME);
    lua_pop(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pop(L, 2);
}

/* Pushes io.stdout and io.stderr. */
static void push_streams(lua_State *L)
{
    lua_getglobal(L, LUA_IOLIBNAME);
    lua_getfield(L, -1, "stdout");
    lua_getfield(L, -2, "stderr");
    lua_remove(L, -3);
}

/* The policy's Lua holds the owner's plan. */
static void forget_plan(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "moonfleet.plan") == LUA_TTABLE) {
        lua_getfield(L, -1, "forget");
        lua_call(L, 0, 0);
    }
    lua_pop(L, 2);
}

/* Under pcall. */
static int adopt(lua_State *L)
{
    struct adoption *a = lua_touserdata(L, 1);
    struct mf_instance *w = a->instance;
    lua_settop(L, 0);
    w->L = lua_newthread(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, w);
    renew_globals(L);
    mf_instance_bind(L, w);
    push_streams(L);
    mf_instance_replace_library(L, w);
    mf_relay_redirect(L, &w->relay, 1, 2);
    mf_codec_open(L);
    mf_codec_forget(L);
    mf_session_forget(L);
    forget_plan(L);
    mf_instance_apply_init(L, a->info->init);
    return 0;
}

struct mf_instance *mf_instance_adopt(lua_State *main, const struct mf_worker_info *info, struct mf_fault *fault)
{
    struct mf_instance *w = mf_instance_alloc(info);
    if (!w || !lua_checkstack(main, 4)) {
        free(w);
        mf_fault_set(fault, MF_ENOMEM, "worker %s cannot start: out of memory", info->name);
        return NULL;
    }
    w->forked = w->prepared.live = true;
    lua_pushcfunction(main, adopt);
    lua_pushlightuserdata(main, &(struct adoption){.instance = w, .info = info});
    if (lua_pcall(main, 1, 0, 0) == LUA_OK)
        return w;
    const char *text = lua_tostring(main, -1);
    mf_fault_set(fault, MF_ESYS, "worker %s cannot start: %s", info->name, text ? text : "unknown error");
    return NULL; /* what was made stays: the process ends */
}
