/* Design note: the policy of the prompt is Lua's (stdlib/moonfleet/repl.lua). Its table is in the registry from the opening
 * on, and each function here calls one of its functions in protected mode. Texts that are returned are kept in the
 * registry, too, until the next one. */
#include "console.h"

#include <lauxlib.h>
#include <stdio.h>

#include "../runtime/owner.h"
#include "interp.h"
#include "session.h"

static const char repl_key; /* registry: the module */
static const char text_key; /* registry: the text that was returned last */

struct call {
    struct mf_interp_call base;
    const char *text;
    size_t len;
    const char *result;
    size_t count;
};

bool mf_console_is_open(struct mf_interp *interp)
{
    bool is_open = lua_rawgetp(interp->L, LUA_REGISTRYINDEX, &repl_key) == LUA_TTABLE;
    lua_pop(interp->L, 1);
    return is_open;
}

static void push_function(lua_State *L, const char *name)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &repl_key) != LUA_TTABLE)
        luaL_error(L, "mf_prompt_open has not been called");
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

/* Keeps the string on top, which becomes the call's result. */
static void keep_text(lua_State *L, struct call *call)
{
    call->result = lua_tostring(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &text_key);
}

static int body_open(lua_State *L)
{
    mf_interp_body(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "moonfleet.repl");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "open");
    lua_call(L, 0, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &repl_key);
    return 0;
}

enum mf_status mf_prompt_open(struct mf_interp *interp)
{
    struct call call = {0};
    return mf_interp_protect(interp, body_open, &call.base);
}

/* --- Statements -------------------------------------------------------------------------------------------------- */

/* Leaves the function, or the message. */
static enum mf_status load_typed(lua_State *L, const struct call *call, bool *raw)
{
    push_function(L, "compile");
    lua_pushlstring(L, call->text, call->len);
    lua_call(L, 1, 4);
    bool incomplete = lua_toboolean(L, 3);
    *raw = lua_toboolean(L, 4);
    lua_settop(L, 2);
    if (lua_isfunction(L, 1)) {
        lua_settop(L, 1);
        return MF_RUN_OK;
    }
    lua_remove(L, 1);
    return incomplete ? MF_RUN_INCOMPLETE : MF_RUN_ERROR;
}

/* The message on top gets a line that says how many futures were cancelled with the statement. */
static void cancel_futures(lua_State *L)
{
    push_function(L, "interrupted");
    lua_call(L, 0, 1);
    lua_Integer n = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (n == 0)
        return;
    lua_pushfstring(L, "\n(%I future%s of this statement cancelled)", n, n == 1 ? "" : "s");
    lua_concat(L, 2);
}

/* The statement's turn: what tasks print live goes to the terminal at once. */
static void begin(lua_State *L)
{
    size_t n;
    mf_session_take_held(L, mf_session_get(L), false);
    const char *held = lua_tolstring(L, -1, &n);
    fwrite(held, 1, n, stdout);
    lua_pop(L, 1);
    push_function(L, "begin");
    lua_call(L, 0, 0);
}

static int body_eval(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    struct mf_interp *interp = call->base.interp;
    bool raw;
    enum mf_status status = load_typed(L, call, &raw);
    if (status != MF_RUN_OK)
        return mf_interp_finish(&call->base, status);
    begin(L);
    status = mf_interp_run(L, interp, 0, LUA_MULTRET);
    int n = lua_gettop(L);
    if (status == MF_RUN_OK && n > 0) {
        luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
        push_function(L, "show");
        lua_insert(L, 1);
        lua_pushboolean(L, raw);
        lua_insert(L, 2);
        status = mf_interp_run(L, interp, n + 1, 0);
    }
    if (status == MF_RUN_INTERRUPTED)
        cancel_futures(L);
    return mf_interp_finish(&call->base, status);
}

enum mf_status mf_console_eval(struct mf_interp *interp, const char *text, size_t len)
{
    struct call call = {.text = text, .len = len};
    return mf_interp_protect(interp, body_eval, &call.base);
}

/* --- While the prompt waits -------------------------------------------------------------------------------------- */

/* What tasks have printed live since the prompt waits comes first: they may have ended since. */
static int body_news(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    struct mf_session *s = mf_session_get(L);
    mf_owner_read_notes(s->owner);
    mf_session_take_held(L, s, true);
    push_function(L, "news");
    lua_call(L, 0, 1);
    lua_concat(L, 2);
    keep_text(L, call);
    return 0;
}

const char *mf_prompt_news(struct mf_interp *interp)
{
    struct call call = {0};
    enum mf_status status = mf_interp_protect(interp, body_news, &call.base);
    return status == MF_RUN_OK ? call.result : "";
}

static int body_complete(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    push_function(L, "complete");
    lua_pushlstring(L, call->text, call->len);
    lua_call(L, 1, 1);
    keep_text(L, call);
    return 0;
}

const char *mf_prompt_complete(struct mf_interp *interp, const char *text, size_t len)
{
    struct call call = {.text = text, .len = len};
    enum mf_status status = mf_interp_protect(interp, body_complete, &call.base);
    return status == MF_RUN_OK ? call.result : "\n";
}

static int body_jobs(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    call->count = mf_runtime_open_count(mf_session_get(L)->owner);
    return 0;
}

size_t mf_prompt_jobs(struct mf_interp *interp)
{
    struct call call = {0};
    mf_interp_protect(interp, body_jobs, &call.base);
    return call.count;
}
