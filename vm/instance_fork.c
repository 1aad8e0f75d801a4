/* Design note: a forked child goes on with the owner's interpreter, deep inside the call that forked, and never returns
 * there: all that follows runs on a Lua thread of its own, and every call into the old stack is protected.
 *
 * What a task may see of the owner is what every plan lets it see, by value: the function, what it has captured, the
 * globals that it names. So the standard globals are put together anew, as the state had them when it was opened, and
 * the owner's own table of globals is only reached by the modules that were loaded there. Loaded modules stay: they
 * cross by name, and here they are found with the owner's state in them. What they have kept of the standard library
 * must do what a task's own does: the C library's streams are replaced, file handles and math.random changed in place.
 *
 * Every page that a fork writes to is copied first, which is most of what a short task costs. So nothing is made in the
 * child that could be made before, in the owner; the twin, a userdata, holds it all. And the collector, which would write
 * to each object, rests until the child has allocated as much as it has inherited. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

#include "codec.h"
#include "engine.h"
#include "instance.h"
#include "interp.h"
#include "names.h"
#include "session.h"

#define TWIN_TYPE "moonfleet.twin"

static const char twin_key; /* registry: the twin for the next fork */

/* User values of the twin, and stack indices while one is made or taken. */
enum {
    TASKS = 1, /* the Lua thread that runs tasks */
    BASE,      /* the globals */
    PRISTINE,  /* the same, never changed */
    EXIT,
    RELAY,
    KEPT = RELAY + MF_RELAY_PARTS,
    OWNER = KEPT + MF_PREPARED_PARTS, /* the owner's globals: held, lest what they hold is finalized here */
    VALUES = OWNER
};

struct twin {
    struct mf_instance *instance;
};

/* --- In the owner ------------------------------------------------------------------------------------------------ */

static int twin_gc(lua_State *L)
{
    struct twin *t = luaL_checkudata(L, 1, TWIN_TYPE);
    if (t->instance)
        mf_instance_release(t->instance);
    t->instance = NULL;
    return 0;
}

static struct twin *push_twin(lua_State *L)
{
    struct twin *t = lua_newuserdatauv(L, sizeof *t, VALUES);
    t->instance = NULL;
    if (luaL_newmetatable(L, TWIN_TYPE)) {
        lua_pushcfunction(L, twin_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    t->instance = mf_instance_alloc();
    if (!t->instance)
        luaL_error(L, "not enough memory");
    return t;
}

/* Pushes the globals that the state began with, as a new table. */
static void push_globals(lua_State *L)
{
    lua_newtable(L);
    mf_names_push(L);
    lua_getiuservalue(L, -1, MF_NAMES_PRISTINE);
    int pristine = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, pristine);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, pristine - 2);
    }
    lua_pop(L, 2);
}

/* The value on top is a global's from now on; popped. */
static void set_global(lua_State *L, const char *name)
{
    lua_pushvalue(L, -1);
    lua_setfield(L, BASE, name);
    lua_setfield(L, PRISTINE, name);
}

/* On a stack of its own: the values of the twin, at their places. */
static int make_values(lua_State *L)
{
    struct mf_instance *w = lua_touserdata(L, 1);
    lua_settop(L, 0);
    w->L = lua_newthread(L);
    lua_sethook(w->L, NULL, 0, 0);
    w->forked = w->process = w->prepared.live = true;
    push_globals(L);
    push_globals(L);
    mf_instance_push_exit(L, w);
    mf_relay_make(L, &w->relay);
    mf_prepared_make(L, BASE);
    lua_pushglobaltable(L);
    lua_pushvalue(L, RELAY + MF_RELAY_PRINT);
    set_global(L, "print");
    mf_instance_push_require(L);
    set_global(L, "require");
    lua_pushvalue(L, BASE);
    set_global(L, LUA_GNAME);
    return VALUES;
}

void mf_instance_prepare(lua_State *L)
{
    luaL_checkstack(L, VALUES + 4, NULL);
    int top = lua_gettop(L);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &twin_key) != LUA_TUSERDATA) {
        struct twin *t = push_twin(L);
        lua_pushcfunction(L, make_values);
        lua_pushlightuserdata(L, t->instance);
        lua_call(L, 1, VALUES);
        for (int i = VALUES; i >= 1; i--)
            lua_setiuservalue(L, top + 2, i);
        mf_instance_reserve(L);
        lua_pushvalue(L, top + 2);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &twin_key);
        lua_pushvalue(L, top + 2); /* and for ever, lest a fork that has forks of its own loses what it stands on */
        lua_rawsetp(L, LUA_REGISTRYINDEX, t->instance);
    }
    lua_settop(L, top);
}

/* --- In the child ------------------------------------------------------------------------------------------------ */

struct adoption {
    struct mf_instance *instance;
    const struct mf_worker_info *info;
};

/* Takes the twin's values, each at its place; the next fork will need another one. */
static struct mf_instance *take_twin(lua_State *L)
{
    lua_settop(L, 0);
    luaL_checkstack(L, VALUES + 8, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &twin_key);
    struct twin *t = luaL_checkudata(L, 1, TWIN_TYPE);
    for (int i = 1; i <= VALUES; i++)
        lua_getiuservalue(L, 1, i);
    lua_pushboolean(L, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &twin_key);
    lua_remove(L, 1);
    return t->instance;
}

/* The new table of globals, under all names that it has. */
static void replace_base(lua_State *L)
{
    lua_pushvalue(L, BASE);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, BASE);
    lua_setfield(L, -2, LUA_GNAME);
    lua_pop(L, 1);
    mf_codec_adopt(L, BASE, PRISTINE);
}

static void replace_library(lua_State *L, struct mf_instance *w)
{
    mf_relay_redirect(L, &w->relay);
    mf_relay_install(L, RELAY);
    mf_random_take_over(L, &w->random);
    lua_getglobal(L, LUA_OSLIBNAME);
    lua_pushvalue(L, EXIT);
    lua_setfield(L, -2, "exit");
    lua_pop(L, 1);
}

/* Where the owner was a worker itself, what its modules have kept of that one's functions does what its own do. */
static void succeed(struct mf_instance *owner, struct mf_instance *w)
{
    if (!owner)
        return;
    owner->relay.successor = &w->relay;
    owner->process = true;
}

/* Under pcall. */
static int adopt(lua_State *L)
{
    struct adoption *a = lua_touserdata(L, 1);
    struct mf_instance *w = a->instance = take_twin(L);
    mf_engine_rest(L);
    w->name = a->info->name;
    w->embed = mf_embed_ref(a->info->host);
    w->init = a->info->init;
    succeed(mf_instance_of(L), w);
    mf_interp_adopted(L, &w->relay);
    mf_log_forget();
    replace_base(L);
    mf_instance_bind(L, w);
    replace_library(L, w);
    mf_prepared_install(L, KEPT);
    mf_session_forget(L);
    return 0;
}

struct mf_instance *mf_instance_adopt(lua_State *main, const struct mf_worker_info *info, struct mf_fault *fault)
{
    struct adoption a = {.info = info};
    if (!lua_checkstack(main, 4)) {
        mf_fault_set(fault, MF_ENOMEM, "worker %s cannot start: out of memory", info->name);
        return NULL;
    }
    lua_pushcfunction(main, adopt);
    lua_pushlightuserdata(main, &a);
    if (lua_pcall(main, 1, 0, 0) == LUA_OK)
        return a.instance;
    const char *text = lua_tostring(main, -1);
    mf_fault_set(fault, MF_ESYS, "worker %s cannot start: %s", info->name, text ? text : "unknown error");
    return NULL; /* what was made stays: the process ends */
}
