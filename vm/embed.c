/* Design note: the host's functions are C closures over { function, argument }. Whatever the host calls back while one of them
 * runs is protected by itself, so no Lua error ever crosses a frame of the host's, which may be C++: a failure is
 * remembered in the call and raised when the host has returned. */
#include "embed.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "interp.h"
#include "run.h"

static const char embed_key; /* registry: light userdata of the record */

/* --- The record ---------------------------------------------------------------------------------------------------- */

static void owner_gone(const struct mf_runner *runner)
{
    mf_embed_unref(runner->host);
}

struct mf_embed *mf_embed_new(const struct mf_config *config)
{
    struct mf_embed *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->runner = mf_run_runner;
    e->runner.host = e;
    e->runner.dropped = owner_gone;
    atomic_init(&e->refs, 1);
    e->serves = config->serves;
    e->arg = config->arg;
    e->on_state = config->on_state;
    e->alloc = config->alloc;
    if (config->program && !(e->program = strdup(config->program))) {
        free(e);
        return NULL;
    }
    return e;
}

struct mf_embed *mf_embed_ref(struct mf_embed *e)
{
    if (e)
        atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

void mf_embed_unref(struct mf_embed *e)
{
    if (!e || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(e->program);
    free(e);
}

void mf_embed_bind(lua_State *L, struct mf_embed *e)
{
    lua_pushlightuserdata(L, e);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &embed_key);
}

struct mf_embed *mf_embed_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &embed_key);
    struct mf_embed *e = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return e;
}

/* --- States -------------------------------------------------------------------------------------------------------- */

/* Lua passes the kind of a new object as its old size. */
static void *allocate(void *arg, void *memory, size_t old_size, size_t size)
{
    struct mf_embed *e = arg;
    if (!memory && size == 0)
        return NULL;
    return e->alloc(e->arg, memory, memory ? old_size : 0, size);
}

/* What luaL_newstate does about warnings: off until "@on", and to stderr then. The state of it is the function itself. */
static void warnings_off(void *ud, const char *text, int tocont);
static void warnings_on(void *ud, const char *text, int tocont);
static void warnings_continue(void *ud, const char *text, int tocont);

static bool is_control(lua_State *L, const char *text, int tocont)
{
    if (tocont || *text != '@')
        return false;
    if (strcmp(text, "@off") == 0)
        lua_setwarnf(L, warnings_off, L);
    else if (strcmp(text, "@on") == 0)
        lua_setwarnf(L, warnings_on, L);
    return true;
}

static void warnings_off(void *ud, const char *text, int tocont)
{
    is_control(ud, text, tocont);
}

static void warnings_continue(void *ud, const char *text, int tocont)
{
    lua_State *L = ud;
    lua_writestringerror("%s", text);
    if (!tocont)
        lua_writestringerror("%s", "\n");
    lua_setwarnf(L, tocont ? warnings_continue : warnings_on, L);
}

static void warnings_on(void *ud, const char *text, int tocont)
{
    if (is_control(ud, text, tocont))
        return;
    lua_writestringerror("%s", "Lua warning: ");
    warnings_continue(ud, text, tocont);
}

lua_State *mf_embed_newstate(struct mf_embed *e, struct mf_pages *pages)
{
    if (!e || !e->alloc)
        return pages ? mf_alloc_newstate(pages) : luaL_newstate();
    lua_State *L = lua_newstate(allocate, e);
    if (L)
        lua_setwarnf(L, warnings_off, L);
    return L;
}

/* --- Adding functions ---------------------------------------------------------------------------------------------- */

struct mf_addition {
    lua_State *L;
    bool worker, failed;
};

/* What the closure holds. */
struct function {
    mf_function *fn;
    void *arg;
};

struct mf_call {
    lua_State *L;
    const struct mf_datum *args;
    size_t n;
    int results;         /* on top of the stack */
    bool failed, worded; /* worded: the error's text is on top of them */
};

/* Reads the arguments, which stay where they are with what keeps them alive behind, into a userdata. */
static const struct mf_datum *read_arguments(lua_State *L, int n)
{
    luaL_checkstack(L, n + LUA_MINSTACK, "too many arguments");
    struct mf_datum *args = lua_newuserdatauv(L, (size_t)(n ? n : 1) * sizeof *args, 0);
    for (int i = 0; i < n; i++)
        mf_embed_read(L, i + 1, &args[i]);
    return args;
}

/* The host's function, called by Lua. */
static int call_host(lua_State *L)
{
    const struct function *f = lua_touserdata(L, lua_upvalueindex(1));
    int n = lua_gettop(L);
    struct mf_call call = {.L = L, .args = read_arguments(L, n), .n = (size_t)n};
    struct mf_interp *interp = mf_interp_of(L);
    lua_State *before = interp ? mf_interp_enter(interp, L) : NULL;
    f->fn(&call, f->arg);
    if (interp)
        mf_interp_leave(interp, before, L);
    if (!call.failed)
        return call.results;
    if (!call.worded)
        return luaL_error(L, "not enough memory");
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
    return lua_error(L);
}

/* require of a table that the host has made, which is the upvalue. */
static int load_table(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    return 1;
}

/* Makes the table at idx, whose name is below it, a module, so that functions in it cross by name. */
static void make_module(lua_State *L, int idx)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, idx - 1);
    lua_pushvalue(L, idx);
    lua_settable(L, -3);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushvalue(L, idx - 1);
    lua_pushvalue(L, idx);
    lua_pushcclosure(L, load_table, 1);
    lua_settable(L, -3);
    lua_settop(L, idx);
}

/* Pushes the table that the name's last part belongs into, and that part. */
static void push_place(lua_State *L, const char *name)
{
    const char *first = name;
    lua_pushglobaltable(L);
    for (const char *dot; (dot = strchr(name, '.')) != NULL; name = dot + 1) {
        lua_pushlstring(L, name, (size_t)(dot - name));
        lua_pushvalue(L, -1);
        if (lua_gettable(L, -3) != LUA_TTABLE) {
            lua_pop(L, 1);
            lua_newtable(L);
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_settable(L, -5);
            if (name == first)
                make_module(L, lua_gettop(L));
        }
        lua_replace(L, -3);
        lua_pop(L, 1);
    }
    lua_pushstring(L, name);
}

/* add(name, function) */
static int add_function(lua_State *L)
{
    const char *name = lua_touserdata(L, 1);
    const struct function *given = lua_touserdata(L, 2);
    push_place(L, name);
    struct function *f = lua_newuserdatauv(L, sizeof *f, 0);
    *f = *given;
    lua_pushcclosure(L, call_host, 1);
    lua_settable(L, -3);
    return 0;
}

void mf_add_function(struct mf_addition *a, const char *name, mf_function *fn, void *arg)
{
    struct function f = {.fn = fn, .arg = arg};
    lua_State *L = a->L;
    if (!lua_checkstack(L, 4)) {
        a->failed = true;
        return;
    }
    lua_pushcfunction(L, add_function);
    lua_pushlightuserdata(L, (void *)(uintptr_t)name);
    lua_pushlightuserdata(L, &f);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
        a->failed = true;
        lua_pop(L, 1);
    }
}

bool mf_is_worker(const struct mf_addition *a)
{
    return a->worker;
}

struct lua_State *mf_lua_state(const struct mf_addition *a)
{
    return a->L;
}

void mf_embed_add(lua_State *L, struct mf_embed *e, bool worker)
{
    struct mf_addition a = {.L = L, .worker = worker};
    int top = lua_gettop(L);
    if (!e || !e->on_state)
        return;
    e->on_state(&a, e->arg);
    lua_settop(L, top);
    if (a.failed)
        luaL_error(L, "not enough memory for the host's functions");
}

/* --- In a call ----------------------------------------------------------------------------------------------------- */

size_t mf_argument_count(const struct mf_call *call)
{
    return call->n;
}

struct mf_datum mf_argument(const struct mf_call *call, size_t i)
{
    return i < call->n ? call->args[i] : mf_from_nil();
}

static int push_result(lua_State *L)
{
    mf_embed_push(L, lua_touserdata(L, 1));
    return 1;
}

static int push_text(lua_State *L)
{
    lua_pushstring(L, lua_touserdata(L, 1));
    return 1;
}

/* Pushes what body makes of p; on an error its message (memory permitting). */
static bool push_protected(lua_State *L, lua_CFunction body, const void *p)
{
    if (!lua_checkstack(L, 4))
        return false;
    lua_pushcfunction(L, body);
    lua_pushlightuserdata(L, (void *)(uintptr_t)p);
    return lua_pcall(L, 1, 1, 0) == LUA_OK;
}

static void fail(struct mf_call *call, const char *text)
{
    call->failed = true;
    call->worded = push_protected(call->L, push_text, text);
}

enum mf_status mf_return(struct mf_call *call, struct mf_datum value)
{
    if (call->failed)
        return MF_RUN_MISUSE;
    if (value.type >= MF_TYPE_OTHER) {
        fail(call, "the host's function returned a value of a type that does not exist");
        return MF_RUN_MISUSE;
    }
    if (!push_protected(call->L, push_result, &value)) {
        call->failed = true;
        return MF_RUN_MEMORY;
    }
    call->results++;
    return MF_RUN_OK;
}

void mf_fail(struct mf_call *call, const char *text)
{
    if (!call->failed)
        fail(call, text ? text : "the host's function failed");
}
