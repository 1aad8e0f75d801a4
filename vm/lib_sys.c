/* Small things for Lua: time, cores, the terminal, and what a task knows of itself. Opens the module. */
#include <lauxlib.h>
#include <stdio.h>
#include <unistd.h>

#include "../runtime/sys.h"
#include "instance.h"
#include "interp.h"
#include "lib.h"
#include "place.h"

static int core_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)mf_sys_now() / 1e9);
    return 1;
}

static int core_cores(lua_State *L)
{
    lua_pushinteger(L, mf_sys_cores());
    return 1;
}

static int core_isatty(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

static int core_columns(lua_State *L)
{
    lua_pushinteger(L, mf_sys_columns(STDERR_FILENO));
    return 1;
}

static int core_progress(lua_State *L)
{
    struct mf_instance *w = mf_instance_of(L);
    lua_Number fraction = luaL_checknumber(L, 1);
    const char *text = luaL_optstring(L, 2, NULL);
    if (w && w->port)
        w->port->progress(w->port, fraction, text);
    return 0;
}

static int core_in_task(lua_State *L)
{
    lua_pushboolean(L, mf_instance_of(L) != NULL);
    return 1;
}

/* A number that is this task's own, or nil outside of tasks. */
static int core_task(lua_State *L)
{
    struct mf_instance *w = mf_instance_of(L);
    if (!w)
        return 0;
    lua_pushinteger(L, (lua_Integer)w->tasks);
    return 1;
}

/* Whose state this is, as a value to compare: another one in a fork than in its owner. */
static int core_instance(lua_State *L)
{
    lua_pushlightuserdata(L, mf_instance_of(L));
    return 1;
}

static int core_worker(lua_State *L)
{
    struct mf_instance *w = mf_instance_of(L);
    lua_pushstring(L, w ? w->name : NULL);
    return 1;
}

static int core_nested(lua_State *L)
{
    mf_instance_push_init(L, "nested");
    return 1;
}

/* node_build(): the path of the program that is put on hosts that have none; nil when there is none */
static int core_node_build(lua_State *L)
{
    mf_place_push_node(L);
    return 1;
}

/* program(): the path of the program that worker processes are, nil when it is the one that runs; raises when there is
 * none */
static int core_program(lua_State *L)
{
    mf_place_push_program(L);
    return 1;
}

/* complain(text): a line on the program's stderr */
static int core_complain(lua_State *L)
{
    size_t n;
    const char *line = lua_pushfstring(L, "moonfleet: %s\n", luaL_checkstring(L, 1));
    struct mf_relay *relay = mf_interp_relay(L);
    lua_tolstring(L, -1, &n);
    if (relay)
        mf_relay_write(relay, MF_STDERR, line, n);
    else
        fwrite(line, 1, n, stderr);
    return 0;
}

/* note(error value, traceback or nil): the message handler shows it if that value ends the program. */
static int core_note(lua_State *L)
{
    lua_settop(L, 2);
    lua_insert(L, 1);
    mf_session_note(L, lua_isnil(L, 1) ? 0 : 1);
    return 0;
}

static void add_sys(lua_State *L)
{
    const luaL_Reg functions[] = {
        {"now", core_now},
        {"cores", core_cores},
        {"isatty", core_isatty},
        {"columns", core_columns},
        {"progress", core_progress},
        {"in_task", core_in_task},
        {"task", core_task},
        {"instance", core_instance},
        {"worker", core_worker},
        {"nested", core_nested},
        {"node_build", core_node_build},
        {"program", core_program},
        {"complain", core_complain},
        {"note", core_note},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}

int mf_lib_core(lua_State *L)
{
    lua_newtable(L);
    mf_lib_pool(L);
    mf_lib_future(L);
    mf_lib_chunk(L);
    mf_lib_hosts(L);
    mf_lib_repl(L);
    mf_lib_rng(L);
    mf_lib_stats(L);
    add_sys(L);
    return 1;
}
