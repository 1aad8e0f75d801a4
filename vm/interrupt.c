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

#define GRACE      100000 /* instructions */
#define FIRST      1      /* hook counts tell the stages apart */
#define LAST       2
#define EVERYTHING (LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT)

static void hook(lua_State *L, lua_Debug *ar);

/* From the first error to the grace time, and from there to the end of patience. */
static void advance(lua_State *L)
{
    if (lua_gethookcount(L) == FIRST)
        lua_sethook(L, hook, LUA_MASKCOUNT, GRACE);
    else
        lua_sethook(L, hook, EVERYTHING, LAST);
}

static void hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    advance(L);
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

/* Puts co, which L is about to run, on the stack of actions. It may have been made before an interrupt that L is in. */
static void go_in(lua_State *L, lua_State *co, struct mf_sys_interrupt *entry)
{
    mf_interrupt_enter(co, entry);
    if (lua_gethook(L) == hook && lua_gethook(co) != hook)
        lua_sethook(co, hook, lua_gethookmask(L), lua_gethookcount(L));
}

/* Takes co off again. An interrupt that was only meant for co (os.exit in a coroutine) goes on to L; and when co fails
 * of an interrupt's error, L has had its own with it: its __close methods need the grace time. */
static void come_back(lua_State *L, lua_State *co, struct mf_sys_interrupt *entry, bool failed)
{
    if (lua_gethook(co) == hook) {
        bool raised = lua_gethookcount(co) != FIRST;
        mf_interrupt_state(L);
        if (failed && raised)
            advance(L);
    }
    mf_interrupt_leave(co, entry);
}

/* --- coroutine.resume, .wrap and .close, in the words of the standard library ------------------------------------ */

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
    go_in(L, co, &entry);
    int status = lua_resume(co, L, narg, &nres);
    bool failed = status != LUA_OK && status != LUA_YIELD;
    come_back(L, co, &entry, failed);
    if (failed) {
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
    luaL_argexpected(L, co, 1, "thread");
    int n = resume(L, co, lua_gettop(L) - 1);
    lua_pushboolean(L, n >= 0);
    lua_insert(L, n >= 0 ? -(n + 1) : -2);
    return n >= 0 ? n + 1 : 2;
}

/* Runs the pending __close methods of co. The status; anything but LUA_OK leaves the error on top of co. */
static int close_variables(lua_State *L, lua_State *co)
{
    struct mf_sys_interrupt entry;
    go_in(L, co, &entry);
    int status = lua_resetthread(co);
    come_back(L, co, &entry, false);
    return status;
}

static int wrap_failed(lua_State *L, lua_State *co)
{
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) { /* died of an error, not refused: close its variables */
        status = close_variables(L, co);
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

static int co_close(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    lua_Debug ar;
    luaL_argexpected(L, co, 1, "thread");
    if (co == L || (lua_status(co) == LUA_OK && lua_getstack(co, 0, &ar)))
        return luaL_error(L, "cannot close a %s coroutine", co == L ? "running" : "normal");
    bool ok = close_variables(L, co) == LUA_OK;
    lua_pushboolean(L, ok);
    if (ok)
        return 1;
    lua_xmove(co, L, 1);
    return 2;
}

void mf_interrupt_open(lua_State *L)
{
    const luaL_Reg functions[] = {{"resume", co_resume}, {"wrap", co_wrap}, {"close", co_close}, {NULL, NULL}};
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, LUA_COLIBNAME) == LUA_TTABLE)
        luaL_setfuncs(L, functions, 0);
    lua_pop(L, 2);
}
