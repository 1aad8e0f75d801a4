/* Pools for Lua: userdata that own a handle of the runtime's. Closing is explicit; a finalizer only marks. */
#include <lauxlib.h>
#include <lualib.h>

#include "instance.h"
#include "lib.h"
#include "prepared.h"
#include "run.h"

#define POOL_TYPE "moonfleet.pool"

struct box {
    struct mf_pool *pool; /* NULL when it was closed */
    const char *name;     /* of the backend, constant */
    bool asynchronous;
};

struct mf_pool *mf_lib_check_pool(lua_State *L, int idx)
{
    struct box *b = luaL_checkudata(L, idx, POOL_TYPE);
    mf_session_get(L); /* raises after the shutdown, when the pool is gone */
    if (!b->pool)
        luaL_error(L, "the plan is closed");
    return b->pool;
}

static int core_pool(lua_State *L)
{
    struct mf_session *s = mf_session_get(L);
    const char *name = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    struct box *b = lua_newuserdatauv(L, sizeof *b, 0);
    *b = (struct box){0};
    luaL_setmetatable(L, POOL_TYPE);
    lua_getfield(L, 2, "workers");
    lua_getfield(L, 2, "grace");
    lua_getfield(L, 2, "queue_bytes");
    struct mf_pool_options options = {
        .workers = (int)luaL_optinteger(L, 4, 1),
        .grace = luaL_optnumber(L, 5, -1),
        .queue_bytes = (size_t)luaL_optinteger(L, 6, 0),
    };
    lua_getfield(L, 2, "heartbeat");
    options.heartbeat = lua_tonumber(L, -1);
    lua_getfield(L, 2, "program");
    options.program = lua_tostring(L, -1); /* the table keeps it alive */
    lua_getfield(L, 2, "lasting");
    options.lasting = lua_toboolean(L, -1);
    lua_getglobal(L, LUA_LOADLIBNAME);
    if (lua_istable(L, -1))
        lua_getfield(L, -1, "path");
    options.module_path = lua_tostring(L, -1);
    lua_getfield(L, 2, "nested");
    size_t start = s->args.len;
    mf_instance_encode_init(L, lua_gettop(L), &s->args);
    struct mf_hosts **hosts = lua_getfield(L, 2, "hosts") == LUA_TTABLE ? mf_lib_push_hosts(L, lua_gettop(L)) : NULL;
    options.hosts = hosts ? *hosts : NULL;
    if (hosts)
        options.workers = 0;
    options.init = mf_session_blob(&s->args, start);
    struct mf_fault fault = {.code = MF_ENOMEM, .text = "out of memory"};
    b->pool = options.init ? mf_runtime_pool(s->owner, name, &options, &fault) : NULL;
    if (!b->pool) {
        mf_blob_unref(options.init);
        return luaL_error(L, "%s", fault.text);
    }
    if (hosts)
        *hosts = NULL; /* the pool's now */
    if (b->pool->backend->inherits)
        mf_instance_prepare(L);
    b->name = b->pool->backend->name;
    b->asynchronous = b->pool->backend->asynchronous;
    lua_settop(L, 3);
    return 1;
}

static int pool_gc(lua_State *L)
{
    struct box *b = luaL_checkudata(L, 1, POOL_TYPE);
    struct mf_session *s = mf_session_peek(L);
    if (b->pool && s && s->owner) /* else the shutdown has freed it */
        mf_runtime_release(b->pool);
    b->pool = NULL;
    return 0;
}

static int pool_close(lua_State *L)
{
    struct box *b = luaL_checkudata(L, 1, POOL_TYPE);
    struct mf_session *s = mf_session_peek(L);
    if (b->pool && s && s->owner) {
        mf_runtime_close_pool(b->pool);
        mf_runtime_release(b->pool);
    }
    b->pool = NULL;
    return 0;
}

static int pool_retire(lua_State *L)
{
    mf_runtime_retire(mf_lib_check_pool(L, 1));
    return 0;
}

static int pool_workers(lua_State *L)
{
    lua_pushinteger(L, mf_runtime_workers(mf_lib_check_pool(L, 1)));
    return 1;
}

/* present(pool): a list of the workers, by number, that futures may be pinned to */
static int pool_present(lua_State *L)
{
    struct mf_pool *pool = mf_lib_check_pool(L, 1);
    lua_Integer n = 0;
    lua_createtable(L, pool->size, 0);
    for (int i = 1; i <= pool->size; i++)
        if (mf_runtime_has_worker(pool, i)) {
            lua_pushinteger(L, i);
            lua_rawseti(L, -2, ++n);
        }
    return 1;
}

/* open(pool): waits until the workers are there that are to be there before the first task */
static int pool_open(lua_State *L)
{
    struct mf_fault fault;
    enum mf_err e = mf_runtime_open(mf_lib_check_pool(L, 1), &fault);
    if (e == MF_EINTR)
        return luaL_error(L, "interrupted!");
    if (e != MF_OK)
        return luaL_error(L, "%s", fault.text);
    return 0;
}

/* path(pool, path): where modules are that workers ask for */
static int pool_path(lua_State *L)
{
    if (!mf_runtime_module_path(mf_lib_check_pool(L, 1), luaL_optstring(L, 2, "")))
        return luaL_error(L, "not enough memory");
    return 0;
}

/* hosts(pool): see mf_lib_push_host_states; nil where there are none */
static int pool_hosts(lua_State *L)
{
    struct mf_pool *pool = mf_lib_check_pool(L, 1);
    if (!pool->hosts)
        return 0;
    mf_lib_push_host_states(L, pool);
    return 1;
}

/* The pool at index 1; NULL when it is closed. */
static struct mf_pool *pool_if_open(lua_State *L)
{
    const struct box *b = luaL_checkudata(L, 1, POOL_TYPE);
    const struct mf_session *s = mf_session_peek(L);
    return s && s->owner ? b->pool : NULL;
}

/* hold(pool), let_go(pool): see mf_runtime_hold. The pool may be closed. */
static int pool_hold(lua_State *L)
{
    struct mf_pool *pool = pool_if_open(L);
    if (pool)
        mf_runtime_hold(pool);
    return 0;
}

static int pool_let_go(lua_State *L)
{
    struct mf_pool *pool = pool_if_open(L);
    if (pool)
        mf_runtime_let_go(pool);
    return 0;
}

static int pool_name(lua_State *L)
{
    struct box *b = luaL_checkudata(L, 1, POOL_TYPE);
    lua_pushstring(L, b->name);
    return 1;
}

static int pool_asynchronous(lua_State *L)
{
    struct box *b = luaL_checkudata(L, 1, POOL_TYPE);
    lua_pushboolean(L, b->asynchronous);
    return 1;
}

/* queued, running, started workers */
static int pool_counts(lua_State *L)
{
    struct mf_pool *pool = mf_lib_check_pool(L, 1);
    pthread_mutex_lock(&pool->owner->lock);
    size_t queued = atomic_load(&pool->queue.pending);
    int running = pool->running, alive = pool->alive;
    pthread_mutex_unlock(&pool->owner->lock);
    lua_pushinteger(L, (lua_Integer)queued);
    lua_pushinteger(L, running);
    lua_pushinteger(L, alive);
    return 3;
}

/* Seconds that a task's way to a worker and its result's way back take, where that is far; of late the longest. The pool
 * may be closed. */
static int pool_trip(lua_State *L)
{
    struct mf_pool *pool = pool_if_open(L);
    uint64_t trip = 0;
    if (pool) {
        pthread_mutex_lock(&pool->owner->lock);
        trip = pool->trip;
        pthread_mutex_unlock(&pool->owner->lock);
    }
    lua_pushnumber(L, 1e-9 * (lua_Number)trip);
    return 1;
}

/* Encodes the call of everywhere; below the pool stand the two blobs' boxes: pool at 3, function at 4, arguments behind. */
static void encode_setup(lua_State *L, struct mf_session *s, struct mf_blob **code, struct mf_blob **args)
{
    struct mf_encode_options options = {.holds = true};
    size_t code_start = s->code.len, args_start = s->args.len;
    int n = lua_gettop(L);
    mf_prepared_encode(L, &s->code, 4, 0, 0, false, &options);
    *code = mf_session_blob(&s->code, code_start);
    struct mf_encoder *e = mf_encode_begin(L, &s->args, &options);
    mf_lib_encode_integer(L, e, MF_RUN_CALL);
    mf_lib_encode_integer(L, e, 0); /* dependencies */
    for (int i = 5; i <= n; i++)
        mf_encode_value(L, e, i, "argument", i - 4);
    mf_encode_end(L, e);
    lua_pop(L, 1);
    *args = mf_session_blob(&s->args, args_start);
}

/* everywhere(pool, fn, ...): a list of futures, one a worker, in the workers' base environments. The pool remembers the
 * call for workers that start later, those of hosts that are not there now included. */
static int pool_everywhere(lua_State *L)
{
    struct mf_session *s = mf_session_get(L);
    struct mf_pool *pool = mf_lib_check_pool(L, 1);
    int workers = pool->size;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct mf_blob **code = mf_lib_push_blob(L), **args = mf_lib_push_blob(L);
    lua_insert(L, 1);
    lua_insert(L, 1);
    encode_setup(L, s, code, args);
    lua_settop(L, 2);
    int n = 0;
    lua_createtable(L, workers, 1);
    for (int i = 1; *code && *args && i <= workers; i++) {
        if (!mf_runtime_has_worker(pool, i))
            continue;
        struct mf_future_spec spec = {.worker = i, .setup = true};
        struct mf_lib_future *object = mf_lib_push_future(L);
        spec.code = mf_blob_ref(*code);
        spec.args = mf_blob_ref(*args);
        mf_lib_submit(L, object, pool, &spec);
        lua_rawseti(L, -2, ++n);
    }
    lua_pushinteger(L, n);
    lua_setfield(L, -2, "n");
    /* last, so that a worker that was started for one of these futures does not run it twice */
    if (!*code || !*args || mf_runtime_setup(pool, *code, *args) != MF_OK)
        return luaL_error(L, "not enough memory");
    *code = *args = NULL; /* the pool's now */
    return 1;
}

static int core_backends(lua_State *L)
{
    lua_createtable(L, 4, 0);
    for (int i = 0; mf_backend_name(i); i++) {
        lua_pushstring(L, mf_backend_name(i));
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

void mf_lib_pool(lua_State *L)
{
    const luaL_Reg methods[] = {
        {"workers", pool_workers},
        {"present", pool_present},
        {"open", pool_open},
        {"path", pool_path},
        {"hosts", pool_hosts},
        {"name", pool_name},
        {"asynchronous", pool_asynchronous},
        {"hold", pool_hold},
        {"let_go", pool_let_go},
        {"close", pool_close},
        {"retire", pool_retire},
        {"everywhere", pool_everywhere},
        {"counts", pool_counts},
        {"trip", pool_trip},
        {NULL, NULL},
    };
    const luaL_Reg functions[] = {{"pool", core_pool}, {"backends", core_backends}, {NULL, NULL}};
    luaL_newmetatable(L, POOL_TYPE);
    lua_pushcfunction(L, pool_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
