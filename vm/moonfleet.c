/* The public embedding API over a lua_State.
 *
 * Every entry point runs one body, a C function that Lua calls in protected mode, so that no Lua error (memory
 * included) leaves this file. What a body cannot return through Lua travels in a struct call on the C stack.
 *
 * Invariant: between calls the Lua stack is empty, or holds exactly the message of the call that failed, at index 1;
 * mf_error reads it there, which needs no memory. Bodies stand one C function above the base as in the lua program,
 * so tracebacks have the same lines as there. */
#include "moonfleet.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/log.h"
#include "../runtime/pages.h"
#include "../runtime/sys.h"
#include "alloc.h"
#include "interrupt.h"
#include "state.h"

#define IGNORE_MARK '-' /* in a module's name: what follows is a version, not part of the global's name */

struct mf_interp {
    lua_State *L;
    struct mf_pages *pages; /* of the state's large blocks */
    bool ignore_env;
    volatile sig_atomic_t interrupted; /* set in a signal handler of this thread: the running call is to end */
};

/* One call of the API, as its body sees it. */
struct call {
    struct mf_interp *interp;
    const struct mf_config *config;
    const char *text;
    size_t len;
    const char *name;
    char *const *argv;
    int argc, script;
    bool with_args;
    enum mf_status status;
    bool keep; /* the body's result is a string that must outlive the call, though all went well */
    size_t cancelled;
};

static struct call *call_of(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);
    lua_settop(L, 0);
    return call;
}

/* Runs body in protected mode. A body returns nothing, or the message of an error that it has already caught. */
static enum mf_status protect(struct mf_interp *interp, lua_CFunction body, struct call *call)
{
    lua_State *L = interp->L;
    call->interp = interp;
    call->status = MF_RUN_OK;
    lua_settop(L, 0);
    lua_pushcfunction(L, body);
    lua_pushlightuserdata(L, call);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK)
        call->status = MF_RUN_ERROR;
    if (!call->keep && (call->status == MF_RUN_OK || call->status == MF_RUN_INCOMPLETE))
        lua_settop(L, 0);
    return call->status;
}

static void note_interruption(void *arg)
{
    struct mf_interp *interp = arg;
    interp->interrupted = 1;
}

/* Calls the function under its nargs arguments with a traceback. On failure the message is on top. */
static enum mf_status run(lua_State *L, struct mf_interp *interp, int nargs, int nresults)
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
    return interp->interrupted ? MF_RUN_INTERRUPTED : MF_RUN_ERROR;
}

/* The end of a body: what a load or run left. Returns the number of the body's results. */
static int finish(struct call *call, enum mf_status status)
{
    call->status = status;
    return status == MF_RUN_OK ? 0 : 1;
}

/* ---- opening and closing ---- */

static void set_integer(lua_State *L, const char *field, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, field);
}

/* Policy stands in the library's Lua; it is loaded early only when there is something to tell it. */
static void apply_plan(lua_State *L, const struct mf_config *config)
{
    if (!config->plan && !config->hosts && config->workers == 0 && !config->has_seed)
        return;
    lua_getglobal(L, "require");
    lua_pushliteral(L, "moonfleet.plan");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "configure");
    lua_newtable(L);
    if (config->plan) {
        lua_pushstring(L, config->plan);
        lua_setfield(L, -2, "plan");
    }
    if (config->hosts) {
        lua_pushstring(L, config->hosts);
        lua_setfield(L, -2, "hosts");
    }
    if (config->workers != 0)
        set_integer(L, "workers", config->workers);
    if (config->has_seed)
        set_integer(L, "seed", config->seed);
    lua_call(L, 1, 0);
}

static void apply_log(lua_State *L, const struct mf_config *config)
{
    struct mf_fault fault;
    const char *spec = config->log;
    if (!spec && !config->ignore_env)
        spec = getenv("MOONFLEET_LOG");
    if (spec && mf_log_configure(spec, &fault) != MF_OK)
        luaL_error(L, "%s", fault.text);
}

static int body_open(lua_State *L)
{
    struct call *call = call_of(L);
    if (call->config->ignore_env) {
        lua_pushboolean(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    }
    mf_state_open(L, call->config->ignore_env);
    lua_gc(L, LUA_GCGEN, 0, 0);
    return 0;
}

/* Errors here are the user's (a wrong option), so a traceback would only hide them; objects become their text. */
static int body_configure(lua_State *L)
{
    struct call *call = call_of(L);
    apply_log(L, call->config);
    apply_plan(L, call->config);
    return 0;
}

static int body_text(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* Turns an error object that is not a string into its text, so that mf_error finds one. */
static void stringify(lua_State *L)
{
    if (lua_isstring(L, 1))
        return;
    lua_pushcfunction(L, body_text);
    lua_insert(L, 1);
    lua_pcall(L, 1, 1, 0);
}

enum mf_status mf_open(const struct mf_config *config, struct mf_interp **out)
{
    static const struct mf_config defaults;
    struct mf_interp *interp = calloc(1, sizeof *interp);
    struct call call = {.config = config ? config : &defaults};
    *out = NULL;
    if (!interp)
        return MF_RUN_ERROR;
    interp->pages = mf_pages_new();
    interp->L = interp->pages ? mf_alloc_newstate(interp->pages) : NULL;
    if (!interp->L) {
        mf_pages_unref(interp->pages);
        free(interp);
        return MF_RUN_ERROR;
    }
    interp->ignore_env = call.config->ignore_env;
    *out = interp;
    enum mf_status status = protect(interp, body_open, &call);
    if (status == MF_RUN_OK)
        status = protect(interp, body_configure, &call);
    if (status != MF_RUN_OK)
        stringify(interp->L);
    return status;
}

static int body_shutdown(lua_State *L)
{
    struct call *call = call_of(L);
    call->cancelled = mf_state_shutdown(L);
    return 0;
}

size_t mf_close(struct mf_interp *interp)
{
    struct call call = {0};
    if (!interp)
        return 0;
    protect(interp, body_shutdown, &call);
    lua_close(interp->L);
    mf_pages_unref(interp->pages);
    free(interp);
    return call.cancelled;
}

/* ---- running ---- */

static int body_args(lua_State *L)
{
    struct call *call = call_of(L);
    int script = call->script == call->argc ? 0 : call->script;
    lua_createtable(L, call->argc - script, script + 1);
    for (int i = 0; i < call->argc; i++) {
        lua_pushstring(L, call->argv[i]);
        lua_rawseti(L, -2, i - script);
    }
    lua_setglobal(L, "arg");
    return 0;
}

enum mf_status mf_set_args(struct mf_interp *interp, int argc, char *const argv[], int script)
{
    struct call call = {.argv = argv, .argc = argc, .script = script};
    return protect(interp, body_args, &call);
}

static int push_args(lua_State *L)
{
    if (lua_getglobal(L, "arg") != LUA_TTABLE)
        luaL_error(L, "'arg' is not a table");
    int n = (int)luaL_len(L, -1);
    luaL_checkstack(L, n + 3, "too many arguments to script");
    for (int i = 1; i <= n; i++)
        lua_rawgeti(L, -i, i);
    lua_remove(L, -(n + 1));
    return n;
}

static int body_file(lua_State *L)
{
    struct call *call = call_of(L);
    if (luaL_loadfile(L, call->name) != LUA_OK)
        return finish(call, MF_RUN_ERROR);
    return finish(call, run(L, call->interp, call->with_args ? push_args(L) : 0, 0));
}

enum mf_status mf_run_file(struct mf_interp *interp, const char *path, bool with_args)
{
    struct call call = {.name = path, .with_args = with_args};
    return protect(interp, body_file, &call);
}

static int body_string(lua_State *L)
{
    struct call *call = call_of(L);
    if (luaL_loadbuffer(L, call->text, call->len, call->name) != LUA_OK)
        return finish(call, MF_RUN_ERROR);
    return finish(call, run(L, call->interp, 0, 0));
}

enum mf_status mf_run_string(struct mf_interp *interp, const char *text, size_t len, const char *name)
{
    struct call call = {.text = text, .len = len, .name = name};
    return protect(interp, body_string, &call);
}

enum mf_status mf_run_init(struct mf_interp *interp)
{
    const char *name = "=LUA_INIT" LUA_VERSUFFIX;
    const char *init = interp->ignore_env ? NULL : getenv(name + 1);
    if (!init && !interp->ignore_env) {
        name = "=LUA_INIT";
        init = getenv(name + 1);
    }
    if (!init)
        return MF_RUN_OK;
    if (init[0] != '@')
        return mf_run_string(interp, init, strlen(init), name);
    return mf_run_file(interp, init + 1, false);
}

/* The global's name ends at "=", or, where there is none, at the mark of a version suffix. */
static int body_require(lua_State *L)
{
    struct call *call = call_of(L);
    const char *equals = strchr(call->name, '=');
    const char *module = equals ? equals + 1 : call->name;
    const char *end = equals ? equals : strchr(module, IGNORE_MARK);
    size_t len = end ? (size_t)(end - call->name) : strlen(call->name);
    lua_pushlstring(L, call->name, len);
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    enum mf_status status = run(L, call->interp, 1, 1);
    if (status != MF_RUN_OK)
        return finish(call, status);
    lua_pushglobaltable(L);
    lua_insert(L, 1);
    lua_settable(L, 1);
    return finish(call, MF_RUN_OK);
}

enum mf_status mf_require(struct mf_interp *interp, const char *name)
{
    struct call call = {.name = name};
    return protect(interp, body_require, &call);
}

static int body_warnings(lua_State *L)
{
    struct call *call = call_of(L);
    lua_warning(L, call->text, 0);
    return 0;
}

void mf_warnings(struct mf_interp *interp, bool on)
{
    struct call call = {.text = on ? "@on" : "@off"};
    protect(interp, body_warnings, &call);
}

/* ---- interactive use ---- */

/* Loads prefix followed by text. Leaves the function or the message. */
static int load_line(lua_State *L, const char *prefix, const char *text, size_t len)
{
    lua_pushstring(L, prefix);
    lua_pushlstring(L, text, len);
    lua_concat(L, 2);
    size_t all;
    const char *code = lua_tolstring(L, -1, &all);
    int status = luaL_loadbufferx(L, code, all, "=stdin", "t");
    lua_remove(L, -2);
    return status;
}

static bool is_incomplete(lua_State *L, int status)
{
    static const char mark[] = "<eof>";
    size_t len;
    if (status != LUA_ERRSYNTAX)
        return false;
    const char *message = lua_tolstring(L, -1, &len);
    return len >= sizeof mark - 1 && strcmp(message + len - (sizeof mark - 1), mark) == 0;
}

/* Loads what was typed, a single line first as an expression. */
static enum mf_status load_typed(lua_State *L, const char *text, size_t len)
{
    const char *prefix = "";
    if (len > 0 && text[0] == '=') {
        prefix = "return ";
        text++;
        len--;
    } else if (!memchr(text, '\n', len)) {
        if (load_line(L, "return ", text, len) == LUA_OK)
            return MF_RUN_OK;
        lua_pop(L, 1);
    }
    int status = load_line(L, prefix, text, len);
    if (status == LUA_OK)
        return MF_RUN_OK;
    return is_incomplete(L, status) ? MF_RUN_INCOMPLETE : MF_RUN_ERROR;
}

static int print_results(lua_State *L, struct call *call, int n)
{
    luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
    lua_getglobal(L, "print");
    lua_insert(L, 1);
    if (lua_pcall(L, n, 0, 0) == LUA_OK)
        return finish(call, MF_RUN_OK);
    const char *why = lua_tostring(L, -1);
    lua_pushfstring(L, "error calling 'print' (%s)", why ? why : luaL_typename(L, -1));
    return finish(call, MF_RUN_ERROR);
}

static int body_eval(lua_State *L)
{
    struct call *call = call_of(L);
    enum mf_status status = load_typed(L, call->text, call->len);
    if (status == MF_RUN_OK)
        status = run(L, call->interp, 0, LUA_MULTRET);
    int n = lua_gettop(L);
    if (status == MF_RUN_OK && n > 0)
        return print_results(L, call, n);
    return finish(call, status);
}

enum mf_status mf_eval(struct mf_interp *interp, const char *text, size_t len)
{
    struct call call = {.text = text, .len = len};
    return protect(interp, body_eval, &call);
}

/* The text stays on the stack like a message, so it lives until the next call. */
static int body_prompt(lua_State *L)
{
    struct call *call = call_of(L);
    lua_getglobal(L, call->name);
    if (lua_isnil(L, -1))
        return 0;
    luaL_tolstring(L, -1, NULL);
    call->text = lua_tostring(L, -1);
    call->keep = true;
    return 1;
}

const char *mf_prompt(struct mf_interp *interp, bool first)
{
    struct call call = {.name = first ? "_PROMPT" : "_PROMPT2"};
    protect(interp, body_prompt, &call);
    return call.keep ? call.text : (first ? "> " : ">> ");
}

/* ---- the rest ---- */

void mf_interrupt(void)
{
    mf_sys_interrupt_self();
}

const char *mf_error(const struct mf_interp *interp)
{
    if (!interp)
        return "not enough memory";
    if (lua_gettop(interp->L) == 0)
        return "";
    const char *text = lua_tostring(interp->L, 1);
    return text ? text : "(error object is not a string)";
}

const char *mf_version(void)
{
    return "Moonfleet " MF_VERSION "  " LUA_COPYRIGHT;
}
