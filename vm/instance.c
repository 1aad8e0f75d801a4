/* Design note: a worker's state is an ordinary Lua state with these replaced, because a task is not a program: print and
 * the standard streams (relay.c), math.random (random.c), os.exit, which would end the whole program, and require,
 * which loads a module's code in the base environment, since a module stays when its first user's globals are gone. */
#include "instance.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../runtime/msg.h"
#include "codec.h"
#include "interrupt.h"
#include "lib.h"
#include "registry.h"
#include "state.h"

static const char instance_key; /* registry: light userdata of the instance */
static const char base_key;     /* registry: the globals that the state began with */
static const char init_key;     /* registry: the table that the pool's init carried */

struct mf_instance *mf_instance_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &instance_key);
    struct mf_instance *w = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return w;
}

void mf_instance_push_base(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &base_key);
}

/* --- What a worker has otherwise than a program ------------------------------------------------------------------ */

/* The hook stays until the task has ended, so a pcall does not keep it alive. */
static int os_exit(lua_State *L)
{
    struct mf_instance *w = lua_touserdata(L, lua_upvalueindex(1));
    if (lua_isboolean(L, 1))
        w->exit_code = lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
    else
        w->exit_code = (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
    if (w->process) {
        fflush(NULL);
        _exit(w->exit_code); /* the master says what became of the task */
    }
    w->exiting = true;
    mf_interrupt_state(w->L);
    if (L != w->L)
        mf_interrupt_state(L);
    return luaL_error(L, "os.exit(%d) was called in a task", w->exit_code);
}

/* The upvalue is the library's own require. */
static int require_in_base(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_insert(L, 1);
    mf_instance_push_base(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 2);
    int status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    return status == LUA_OK ? lua_gettop(L) - 1 : lua_error(L);
}

/* The last searcher of an agent: asks the submitting side for a module that is not here. */
static int search_at_master(lua_State *L)
{
    struct mf_instance *w = lua_touserdata(L, lua_upvalueindex(1));
    const char *name = luaL_checkstring(L, 1);
    if (!w->port || !w->port->fetch)
        return 0;
    struct mf_blob **box = mf_lib_push_blob(L);
    *box = w->port->fetch(w->port, name);
    struct mf_msg_module module;
    if (!*box || mf_msg_unpack_module((*box)->data, (*box)->len, &module, NULL) != MF_OK)
        return luaL_error(L, "asking for module '%s' failed", name);
    if (!module.found) {
        lua_pushliteral(L, "not found where the task comes from either");
        return 1;
    }
    const char *chunk = lua_pushlstring(L, (const char *)module.name.bytes, module.name.n);
    if (luaL_loadbufferx(L, (const char *)module.source.bytes, module.source.n, chunk, "t") != LUA_OK)
        return lua_error(L);
    lua_pushvalue(L, -2);
    return 2;
}

static void add_searcher(lua_State *L, struct mf_instance *w)
{
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_getfield(L, -1, "searchers");
    lua_pushlightuserdata(L, w);
    lua_pushcclosure(L, search_at_master, 1);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 2);
}

void mf_instance_push_exit(lua_State *L, struct mf_instance *w)
{
    lua_pushlightuserdata(L, w);
    lua_pushcclosure(L, os_exit, 1);
}

void mf_instance_push_require(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushcclosure(L, require_in_base, 1);
}

static void replace_library(lua_State *L, void *arg)
{
    struct mf_instance *w = arg;
    mf_relay_capture(L, &w->relay);
    mf_random_open(L, &w->random);
    lua_getglobal(L, LUA_OSLIBNAME);
    mf_instance_push_exit(L, w);
    lua_setfield(L, -2, "exit");
    mf_instance_push_require(L);
    lua_setglobal(L, "require");
    lua_pop(L, 1);
    mf_embed_add(L, w->embed, true);
}

/* --- Init: what a pool tells its workers ------------------------------------------------------------------------- */

static void set_path(lua_State *L, int init, const char *name)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, LUA_LOADLIBNAME);
    if (lua_getfield(L, init, name) == LUA_TSTRING)
        lua_setfield(L, -2, name);
    else
        lua_pop(L, 1);
    lua_pop(L, 2);
}

/* Pushes the table, and keeps it in the registry. */
static void read_init(lua_State *L, const struct mf_blob *bytes)
{
    struct mf_decode_options options = {.trust = true};
    struct mf_decoder *d = mf_decode_begin(L, bytes->data, bytes->len, &options);
    mf_decode_value(L, d);
    mf_decode_end(L, d);
    lua_remove(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &init_key);
}

static void apply_init(lua_State *L, const struct mf_blob *bytes)
{
    if (!bytes)
        return;
    read_init(L, bytes);
    int init = lua_gettop(L);
    set_path(L, init, "path");
    set_path(L, init, "cpath");
    lua_pop(L, 1);
}

void mf_instance_push_init(lua_State *L, const char *name)
{
    struct mf_instance *w = mf_instance_of(L);
    if (w && w->init) {
        read_init(L, w->init);
        w->init = NULL;
        lua_pop(L, 1);
    }
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &init_key) == LUA_TTABLE)
        lua_getfield(L, -1, name);
    else
        lua_pushnil(L);
    lua_remove(L, -2);
}

static void get_path(lua_State *L, int init, const char *name)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, LUA_LOADLIBNAME) == LUA_TTABLE) {
        lua_getfield(L, -1, name);
        lua_setfield(L, init, name);
    }
    lua_pop(L, 2);
}

void mf_instance_encode_init(lua_State *L, int nested, struct mf_buf *out)
{
    struct mf_encode_options options = {0};
    lua_createtable(L, 0, 3);
    int init = lua_gettop(L);
    get_path(L, init, "path");
    get_path(L, init, "cpath");
    lua_pushvalue(L, nested);
    lua_setfield(L, init, "nested");
    struct mf_encoder *e = mf_encode_begin(L, out, &options);
    mf_encode_value(L, e, init, "plan", 0);
    mf_encode_end(L, e);
    lua_settop(L, init - 1);
}

/* --- Making one -------------------------------------------------------------------------------------------------- */

void mf_instance_reserve(lua_State *L)
{
    mf_registry_reserve(L, &instance_key);
    mf_registry_reserve(L, &base_key);
}

void mf_instance_bind(lua_State *L, struct mf_instance *w)
{
    lua_pushlightuserdata(L, w);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &instance_key);
    lua_pushglobaltable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &base_key);
}

struct mf_instance *mf_instance_alloc(void)
{
    struct mf_instance *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    mf_relay_init(&w->relay);
    mf_prepared_init(&w->prepared);
    return w;
}

void mf_instance_release(struct mf_instance *w)
{
    mf_prepared_release(&w->prepared);
    mf_relay_release(&w->relay);
    mf_embed_unref(w->embed);
    free(w);
}

struct making {
    struct mf_instance *instance;
    const struct mf_worker_info *info;
};

/* Under pcall. */
static int make(lua_State *L)
{
    struct making *m = lua_touserdata(L, 1);
    lua_settop(L, 0);
    mf_instance_bind(L, m->instance);
    mf_embed_bind(L, m->instance->embed);
    mf_state_open(L, replace_library, m->instance);
    if (m->info->fetches)
        add_searcher(L, m->instance);
    apply_init(L, m->info->init);
    lua_gc(L, LUA_GCGEN, 0, 0);
    return 0;
}

struct mf_instance *mf_instance_new(const struct mf_worker_info *info, struct mf_fault *fault)
{
    struct mf_instance *w = mf_instance_alloc();
    lua_State *L = w ? mf_embed_newstate(info->host, info->pages) : NULL;
    if (!L) {
        if (w)
            mf_instance_release(w);
        mf_fault_set(fault, MF_ENOMEM, "worker %s cannot start: out of memory", info->name);
        return NULL;
    }
    w->L = L;
    w->embed = mf_embed_ref(info->host);
    w->name = info->name;
    w->process = info->process;
    lua_pushcfunction(L, make);
    lua_pushlightuserdata(L, &(struct making){.instance = w, .info = info});
    if (lua_pcall(L, 1, 0, 0) == LUA_OK) {
        w->rest = (size_t)lua_gc(L, LUA_GCCOUNT) * 1024;
        return w;
    }
    const char *text = lua_tostring(L, -1);
    mf_fault_set(fault, MF_ESYS, "worker %s cannot start: %s", info->name, text ? text : "unknown error");
    mf_instance_free(w);
    return NULL;
}

void mf_instance_free(struct mf_instance *w)
{
    mf_state_shutdown(w->L);
    lua_close(w->L);
    mf_instance_release(w);
}
