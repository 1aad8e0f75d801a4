/* The public embedding API over a lua_State: opening, closing, running code. How a call is protected stands in interp.c;
 * embed*.c have the host's functions, values and futures. */
#include "interp.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/sys.h"
#include "../runtime/sys_fd.h"
#include "console.h"
#include "state.h"

#define IGNORE_MARK '-' /* in a module's name: what follows is a version, not part of the global's name */

/* One call of the API, as its body sees it. */
struct call {
    struct mf_interp_call base;
    const struct mf_config *config;
    const char *text;
    size_t len;
    const char *name;
    char *const *argv;
    int argc, script;
    bool with_args;
    size_t cancelled;
};

static enum mf_status protect(struct mf_interp *interp, lua_CFunction body, struct call *call)
{
    return mf_interp_protect(interp, body, &call->base);
}

static int finish(struct call *call, enum mf_status status)
{
    return mf_interp_finish(&call->base, status);
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

static void to_log(void *arg, const char *text, size_t n)
{
    struct mf_interp *interp = arg;
    interp->on_log(interp->embed->arg, text, n);
}

static void apply_log(lua_State *L, struct mf_interp *interp, const struct mf_config *config)
{
    struct mf_fault fault;
    const char *spec = config->log;
    if (!spec && !config->ignore_env)
        spec = getenv("MOONFLEET_LOG");
    if (spec && mf_log_configure(spec, &fault) != MF_OK)
        luaL_error(L, "%s", fault.text);
    if (!spec || !config->on_log)
        return;
    interp->on_log = config->on_log;
    interp->sink = (struct mf_log_sink){.line = to_log, .arg = interp};
    mf_log_to(&interp->sink);
}

static int os_exit(lua_State *L)
{
    struct mf_interp *interp = lua_touserdata(L, lua_upvalueindex(1));
    if (lua_isboolean(L, 1))
        interp->exit_code = lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
    else
        interp->exit_code = (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
    return mf_interp_exit(interp, L);
}

static void replace_exit(lua_State *L, struct mf_interp *interp)
{
    lua_getglobal(L, LUA_OSLIBNAME);
    lua_pushlightuserdata(L, interp);
    lua_pushcclosure(L, os_exit, 1);
    lua_setfield(L, -2, "exit");
    lua_pop(L, 1);
}

static void emit(struct mf_port *port, enum mf_stream stream, const void *bytes, size_t n)
{
    struct mf_interp *interp = (struct mf_interp *)(void *)((char *)port - offsetof(struct mf_interp, port));
    interp->on_output(interp->embed->arg, stream == MF_STDERR, bytes, n);
}

/* What this interpreter has otherwise than the lua program. */
static void replace_library(lua_State *L, void *arg)
{
    const struct call *call = arg;
    struct mf_interp *interp = call->base.interp;
    if (interp->captures)
        mf_relay_capture(L, &interp->relay);
    if (!call->config->may_exit)
        replace_exit(L, interp);
    mf_embed_add(L, interp->embed, false);
}

static int body_open(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    mf_interp_bind(L, call->base.interp);
    mf_embed_bind(L, call->base.interp->embed);
    if (call->config->ignore_env) {
        lua_pushboolean(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV"); /* what the package library looks for */
    }
    mf_state_open(L, replace_library, call);
    lua_gc(L, LUA_GCGEN, 0, 0);
    return 0;
}

/* Errors here are the user's (a wrong option), so a traceback would only hide them; objects become their text. */
static int body_configure(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    apply_log(L, call->base.interp, call->config);
    apply_plan(L, call->config);
    return 0;
}

/* In a host that has loaded this library for itself only (a plug-in's way), C modules would not find Lua. */
static void expose_lua(void)
{
    union {
        lua_State *(*function)(lua_Alloc f, void *ud);
        const void *address;
    } lua = {.function = lua_newstate};
    mf_sys_expose(lua.address);
}

/* NULL when memory is out. */
static struct mf_interp *make_interp(const struct mf_config *config)
{
    struct mf_interp *interp = calloc(1, sizeof *interp);
    if (!interp)
        return NULL;
    interp->embed = mf_embed_new(config);
    interp->pages = mf_pages_new();
    if (interp->embed && interp->pages)
        interp->main = interp->L = mf_embed_newstate(interp->embed, interp->pages);
    if (!interp->L) {
        mf_pages_unref(interp->pages);
        mf_embed_unref(interp->embed);
        free(interp);
        return NULL;
    }
    mf_relay_init(&interp->relay);
    interp->port.emit = emit;
    interp->on_output = config->on_output;
    interp->captures = interp->relay.outermost = config->on_output != NULL;
    interp->ignore_env = config->ignore_env;
    if (interp->captures)
        mf_relay_attach(&interp->relay, &interp->port);
    return interp;
}

enum mf_status mf_open(const struct mf_config *config, struct mf_interp **out)
{
    static const struct mf_config defaults;
    struct call call = {.config = config ? config : &defaults};
    struct mf_interp *interp = make_interp(call.config);
    *out = interp;
    if (!interp)
        return MF_RUN_MEMORY;
    expose_lua();
    enum mf_status status = protect(interp, body_open, &call);
    return status == MF_RUN_OK ? protect(interp, body_configure, &call) : status;
}

static int body_shutdown(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    call->cancelled = mf_state_shutdown(L);
    return 0;
}

size_t mf_close(struct mf_interp *interp)
{
    struct call call = {0};
    if (!interp)
        return 0;
    protect(interp, body_shutdown, &call);
    mf_interp_forget_futures(interp);
    lua_close(interp->main);
    mf_pages_unref(interp->pages);
    mf_log_end(&interp->sink);
    mf_relay_release(&interp->relay);
    mf_embed_unref(interp->embed);
    free(interp);
    return call.cancelled;
}

/* ---- running ---- */

static int body_args(lua_State *L)
{
    struct call *call = mf_interp_body(L);
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
    struct call *call = mf_interp_body(L);
    if (luaL_loadfile(L, call->name) != LUA_OK)
        return finish(call, MF_RUN_ERROR);
    return finish(call, mf_interp_run(L, call->base.interp, call->with_args ? push_args(L) : 0, 0));
}

enum mf_status mf_run_file(struct mf_interp *interp, const char *path, bool with_args)
{
    struct call call = {.name = path, .with_args = with_args};
    return protect(interp, body_file, &call);
}

static int body_string(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    if (luaL_loadbuffer(L, call->text, call->len, call->name) != LUA_OK)
        return finish(call, MF_RUN_ERROR);
    return finish(call, mf_interp_run(L, call->base.interp, 0, 0));
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
    struct call *call = mf_interp_body(L);
    const char *equals = strchr(call->name, '=');
    const char *module = equals ? equals + 1 : call->name;
    const char *end = equals ? equals : strchr(module, IGNORE_MARK);
    size_t len = end ? (size_t)(end - call->name) : strlen(call->name);
    lua_pushlstring(L, call->name, len);
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    enum mf_status status = mf_interp_run(L, call->base.interp, 1, 1);
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
    struct call *call = mf_interp_body(L);
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
    struct call *call = mf_interp_body(L);
    enum mf_status status = load_typed(L, call->text, call->len);
    if (status == MF_RUN_OK)
        status = mf_interp_run(L, call->base.interp, 0, LUA_MULTRET);
    int n = lua_gettop(L);
    if (status == MF_RUN_OK && n > 0)
        return print_results(L, call, n);
    return finish(call, status);
}

enum mf_status mf_eval(struct mf_interp *interp, const char *text, size_t len)
{
    if (mf_console_is_open(interp))
        return mf_console_eval(interp, text, len);
    struct call call = {.text = text, .len = len};
    return protect(interp, body_eval, &call);
}

/* The text is kept like results, so it lives until the next call. */
static int body_prompt(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    struct mf_datum text;
    size_t n = 1;
    if (lua_getglobal(L, call->name) == LUA_TNIL)
        return 0;
    luaL_tolstring(L, -1, NULL);
    mf_interp_results(L, 2, &text, &n);
    call->text = text.string;
    return 0;
}

const char *mf_prompt(struct mf_interp *interp, bool first)
{
    struct call call = {.name = first ? "_PROMPT" : "_PROMPT2"};
    enum mf_status status = protect(interp, body_prompt, &call);
    return status == MF_RUN_OK && call.text ? call.text : (first ? "> " : ">> ");
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
    return interp->message ? interp->message : "";
}

int mf_exit_code(const struct mf_interp *interp)
{
    return interp->exit_code;
}

const char *mf_status_text(enum mf_status status)
{
    static const char *const texts[] = {
        [MF_RUN_OK] = "all went well",
        [MF_RUN_ERROR] = "an error was raised",
        [MF_RUN_INTERRUPTED] = "interrupted",
        [MF_RUN_INCOMPLETE] = "more lines are needed",
        [MF_RUN_EXIT] = "the script called os.exit",
        [MF_RUN_MEMORY] = "memory is out",
        [MF_RUN_MISUSE] = "a wrong argument",
        [MF_RUN_PENDING] = "not resolved yet",
        [MF_RUN_TIMEOUT] = "the time is over",
        [MF_RUN_CANCELLED] = "the future was cancelled",
        [MF_RUN_LOST] = "the worker was lost",
    };
    return (size_t)status < sizeof texts / sizeof texts[0] ? texts[status] : "no such status";
}

const char *mf_version(void)
{
    return "Moonfleet " MF_VERSION "  " LUA_COPYRIGHT;
}
