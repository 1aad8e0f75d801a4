/* Design note: hooks belong to one Lua thread (lua_State), so the threads that are active, the outermost one and every
 * coroutine being resumed, each have an entry on the thread's stack of interrupt actions. Setting a hook from a
 * handler on the same thread is what the lua program itself does.
 *
 * The hook's error unwinds pcall by pcall. A pcall that catches it goes on to its next instruction, where the hook
 * raises again. Between the first error and the second lie GRACE instructions, so that __close and __gc handlers can
 * do their work; after the second there is no mercy. */
#include "interrupt.h"

#include <lauxlib.h>
#include <lualib.h>

#define GRACE 100000 /* instructions */
#define FIRST 1      /* hook counts tell the stages apart */
#define LAST 2
#define EVERYTHING (LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT)

static void hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    if (lua_gethookcount(L) == FIRST)
        lua_sethook(L, hook, LUA_MASKCOUNT, GRACE);
    else
        lua_sethook(L, hook, EVERYTHING, LAST);
    luaL_error(L, "interrupted!");
}

void mf_interrupt_state(lua_State *L)
{
    if (lua_gethook(L) != hook)
        lua_sethook(L, hook, EVERYTHING, FIRST);
}

static void action(void *arg)
{
    mf_interrupt_state(arg);
}

void mf_interrupt_enter(lua_State *L, struct mf_sys_interrupt *entry)
{
    *entry = (struct mf_sys_interrupt){.action = action, .arg = L};
    mf_sys_interrupt_push(entry);
}

static void take_off(lua_State *L)
{
    if (lua_gethook(L) == hook)
        lua_sethook(L, NULL, 0, 0);
}

void mf_interrupt_leave(lua_State *L, struct mf_sys_interrupt *entry)
{
    mf_sys_interrupt_pop(entry);
    take_off(L);
}

/* --- coroutine.resume and coroutine.wrap, in the words of the standard library ---------------------------------- */

/* Resumes co with the narg values on top of L. Returns how many results are on top, or -1 and the error on top. */
static int resume(lua_State *L, lua_State *co, int narg)
{
    if (!lua_checkstack(co, narg)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    struct mf_sys_interrupt entry;
    int nres = 0;
    lua_xmove(L, co, narg);
    mf_interrupt_enter(co, &entry);
    int status = lua_resume(co, L, narg, &nres);
    mf_interrupt_leave(co, &entry);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        return -1;
    }
    if (!lua_checkstack(L, nres + 1)) {
        lua_pop(co, nres);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, nres);
    return nres;
}

static int co_resume(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    int n = resume(L, co, lua_gettop(L) - 1);
    lua_pushboolean(L, n >= 0);
    lua_insert(L, n >= 0 ? -(n + 1) : -2);
    return n >= 0 ? n + 1 : 2;
}

static int wrap_failed(lua_State *L, lua_State *co)
{
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) { /* died of an error, not refused: close its variables */
        status = lua_resetthread(co);
        lua_xmove(co, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int wrap_call(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int n = resume(L, co, lua_gettop(L));
    return n >= 0 ? n : wrap_failed(L, co);
}

static int co_wrap(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, wrap_call, 1);
    return 1;
}

void mf_interrupt_open(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, LUA_COLIBNAME) == LUA_TTABLE) {
        lua_pushcfunction(L, co_resume);
        lua_setfield(L, -2, "resume");
        lua_pushcfunction(L, co_wrap);
        lua_setfield(L, -2, "wrap");
    }
    lua_pop(L, 2);
}
