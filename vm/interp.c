/* Design note: every entry point of the API runs one body, a C function that Lua calls in protected mode, so that no Lua error
 * (memory included) leaves it. What a body cannot return through Lua travels in a struct on the C stack.
 *
 * What must outlive a call, its message and its results, is kept in the registry, in places that were made when the
 * state was, so that keeping a message needs no memory. The Lua stack itself is as it was after every call: a host's
 * function that Lua has called may call the API in turn, on the Lua thread that called it. Bodies stand one C
 * function above that, as in the lua program, so tracebacks have the same lines as there. */
#include "interp.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <string.h>

#include "instance.h"
#include "interrupt.h"
#include "state.h"

#define ARGUMENTS_MAX 1000000

static const char interp_key;  /* registry: light userdata of the interpreter */
static const char message_key; /* registry: the message of the last call */
static const char results_key; /* registry: a table that keeps what the last results refer to */

/* --- Protection ---------------------------------------------------------------------------------------------------- */

void *mf_interp_body(lua_State *L)
{
    void *call = lua_touserdata(L, 1);
    lua_settop(L, 0);
    return call;
}

int mf_interp_finish(struct mf_interp_call *call, enum mf_status status)
{
    call->status = status;
    return status == MF_RUN_OK || status == MF_RUN_PENDING ? 0 : 1;
}

int mf_interp_misuse(lua_State *L, struct mf_interp_call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    return mf_interp_finish(call, MF_RUN_MISUSE);
}

static int to_text(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* Keeps the message on top; an error object that is no string becomes its text. */
static void keep_message(struct mf_interp *interp, lua_State *L)
{
    if (lua_isnil(L, -1))
        return;
    if (!interp->bound) { /* the registry has no place for it yet, and that is the reason */
        interp->message = "not enough memory";
        return;
    }
    if (lua_type(L, -1) != LUA_TSTRING) {
        lua_pushcfunction(L, to_text);
        lua_insert(L, -2);
        lua_pcall(L, 1, 1, 0);
    }
    interp->message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "(error object is not a string)";
    lua_rawsetp(L, LUA_REGISTRYINDEX, &message_key);
}

enum mf_status mf_interp_protect(struct mf_interp *interp, lua_CFunction body, struct mf_interp_call *call)
{
    lua_State *L = interp->L;
    call->interp = interp;
    call->status = MF_RUN_OK;
    interp->message = NULL;
    int top = lua_gettop(L);
    if (!lua_checkstack(L, LUA_MINSTACK)) {
        interp->message = "not enough memory";
        return MF_RUN_MEMORY;
    }
    if (interp->depth++ == 0)
        interp->exiting = false;
    lua_pushcfunction(L, body);
    lua_pushlightuserdata(L, call);
    int status = lua_pcall(L, 1, 1, 0);
    interp->depth--;
    if (status != LUA_OK)
        call->status = status == LUA_ERRMEM ? MF_RUN_MEMORY : MF_RUN_ERROR;
    if (call->status != MF_RUN_OK)
        keep_message(interp, L);
    lua_settop(L, top);
    return call->status;
}

static void note_interruption(void *arg)
{
    struct mf_interp *interp = arg;
    interp->interrupted = 1;
}

enum mf_status mf_interp_run(lua_State *L, struct mf_interp *interp, int nargs, int nresults)
{
    int base = lua_gettop(L) - nargs;
    struct mf_sys_interrupt noted = {.action = note_interruption, .arg = interp}, stopped;
    lua_pushcfunction(L, mf_state_traceback);
    lua_insert(L, base);
    interp->interrupted = 0;
    mf_sys_interrupt_push(&noted);
    mf_interrupt_enter(L, &stopped);
    int status = lua_pcall(L, nargs, nresults, base);
    mf_interrupt_leave(L, &stopped);
    mf_sys_interrupt_pop(&noted);
    lua_remove(L, base);
    if (status == LUA_OK)
        return MF_RUN_OK;
    if (interp->exiting)
        return MF_RUN_EXIT;
    if (interp->interrupted)
        return MF_RUN_INTERRUPTED;
    return status == LUA_ERRMEM ? MF_RUN_MEMORY : MF_RUN_ERROR;
}

void mf_interp_results(lua_State *L, int first, struct mf_datum *results, size_t *n)
{
    int last = lua_gettop(L);
    size_t there = (size_t)(last - first + 1), room = n ? *n : 0;
    lua_newtable(L);
    for (size_t i = 0; i < there && i < room; i++) {
        mf_embed_read(L, first + (int)i, &results[i]);
        lua_rawseti(L, last + 1, (lua_Integer)i + 1);
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, &results_key);
    if (n)
        *n = there;
}

/* --- Finding things ------------------------------------------------------------------------------------------------ */

void mf_interp_module(lua_State *L, const char *name)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, name) == LUA_TNIL) {
        lua_getglobal(L, "require");
        lua_pushstring(L, name);
        lua_call(L, 1, 1);
        lua_replace(L, -2);
    }
    lua_remove(L, -2);
}

/* Pushes the global of that name, or else the loaded module. */
static void push_root(lua_State *L, const char *name, size_t len)
{
    lua_pushglobaltable(L);
    lua_pushlstring(L, name, len);
    if (lua_gettable(L, -2) == LUA_TNIL) {
        lua_pop(L, 1);
        luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
        lua_pushlstring(L, name, len);
        lua_gettable(L, -2);
        lua_replace(L, -2);
    }
    lua_replace(L, -2);
}

void mf_interp_named(lua_State *L, const char *name)
{
    size_t len = strcspn(name, ".");
    push_root(L, name, len);
    for (name += len; *name == '.'; name += len) {
        name++;
        len = strcspn(name, ".");
        if (lua_type(L, -1) != LUA_TTABLE && luaL_getmetafield(L, -1, "__index") == LUA_TNIL)
            lua_pushnil(L);
        else if (lua_type(L, -1) != LUA_TTABLE)
            lua_pop(L, 1);
        if (lua_isnil(L, -1))
            return;
        lua_pushlstring(L, name, len);
        lua_gettable(L, -2);
        lua_replace(L, -2);
    }
}

bool mf_interp_push_call(lua_State *L, struct mf_interp_call *call, const char *name, const struct mf_datum *args,
                         size_t nargs)
{
    if (nargs > ARGUMENTS_MAX) {
        mf_interp_misuse(L, call, "function '%s': too many arguments", name);
        return false;
    }
    luaL_checkstack(L, (int)nargs + LUA_MINSTACK, "too many arguments");
    mf_interp_named(L, name);
    if (lua_isnil(L, -1)) {
        mf_interp_misuse(L, call, "there is no function '%s'", name);
        return false;
    }
    for (size_t i = 0; i < nargs; i++)
        mf_embed_push(L, &args[i]);
    return true;
}

/* --- Whose state? -------------------------------------------------------------------------------------------------- */

void mf_interp_bind(lua_State *L, struct mf_interp *interp)
{
    const void *const keys[] = {&message_key, &results_key};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        lua_pushboolean(L, 0);
        lua_rawsetp(L, LUA_REGISTRYINDEX, keys[i]);
    }
    lua_pushlightuserdata(L, interp);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &interp_key);
    interp->bound = true;
}

struct mf_interp *mf_interp_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &interp_key);
    struct mf_interp *interp = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return interp;
}

lua_State *mf_interp_enter(struct mf_interp *interp, lua_State *L)
{
    lua_State *before = interp->L;
    interp->L = L;
    return before;
}

void mf_interp_leave(struct mf_interp *interp, lua_State *before, lua_State *L)
{
    interp->L = before;
    if (interp->exiting)
        mf_interp_exit(interp, L);
}

int mf_interp_exit(struct mf_interp *interp, lua_State *L)
{
    interp->exiting = true;
    mf_interrupt_state(interp->main);
    if (L != interp->main)
        mf_interrupt_state(L);
    return luaL_error(L, "os.exit(%d) was called", interp->exit_code);
}

struct mf_relay *mf_interp_relay(lua_State *L)
{
    struct mf_instance *instance = mf_instance_of(L);
    if (instance)
        return &instance->relay;
    struct mf_interp *interp = mf_interp_of(L);
    return interp && interp->captures ? &interp->relay : NULL;
}

void mf_interp_adopted(lua_State *L, struct mf_relay *relay)
{
    struct mf_interp *interp = mf_interp_of(L);
    if (interp)
        interp->relay.successor = relay;
}
