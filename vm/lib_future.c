/* Futures for Lua: how they are made, and what can be asked of them but their result (lib_result.c). A future's object
 * holds a reference; when it is collected the task runs on and its result is dropped. */
#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "../runtime/block.h"
#include "../runtime/sys.h"
#include "instance.h"
#include "lib.h"
#include "live.h"
#include "prepared.h"
#include "run.h"

#define FUTURE_TYPE "moonfleet.future"

static const char metatable_key; /* registry: the metatable, found faster than by name */

struct mf_lib_future *mf_lib_push_future(lua_State *L)
{
    struct mf_lib_future *object = lua_newuserdatauv(L, sizeof *object, MF_LIB_VALUES);
    *object = (struct mf_lib_future){.n = MF_LIB_UNREAD};
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    lua_setmetatable(L, -2);
    return object;
}

struct mf_lib_future *mf_lib_test_future(lua_State *L, int idx)
{
    struct mf_lib_future *object = lua_touserdata(L, idx);
    if (!object || !lua_getmetatable(L, idx))
        return NULL;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same ? object : NULL;
}

struct mf_lib_future *mf_lib_check_future(lua_State *L, int idx)
{
    struct mf_lib_future *object = mf_lib_test_future(L, idx);
    if (!object || !object->future)
        luaL_typeerror(L, idx, "future");
    return object;
}

const char *mf_lib_label(const struct mf_future *f)
{
    return f->extra ? f->extra->label : NULL;
}

const char *mf_lib_worker(const struct mf_lib_future *object, char *name)
{
    const struct mf_future *f = object->future;
    if (!object->backend || mf_future_state(f) < MF_FUTURE_RUNNING)
        return NULL;
    int worker = atomic_load_explicit(&f->worker, memory_order_relaxed);
    if (!worker)
        return NULL;
    snprintf(name, MF_LIB_NAME, "%s/%d", object->backend, worker);
    return name;
}

/* --- Making futures ---------------------------------------------------------------------------------------------- */

static bool field_boolean(lua_State *L, int idx, const char *name)
{
    lua_getfield(L, idx, name);
    bool b = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return b;
}

static lua_Number field_number(lua_State *L, int idx, const char *name)
{
    lua_getfield(L, idx, name);
    lua_Number n = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return n;
}

static enum mf_output field_output(lua_State *L, int idx)
{
    static const char *const names[] = {"relay", "live", "discard", NULL};
    lua_getfield(L, idx, "output");
    int output = lua_isnil(L, -1) ? MF_OUTPUT_RELAY : luaL_checkoption(L, -1, NULL, names);
    lua_pop(L, 1);
    return (enum mf_output)output;
}

void mf_lib_read_spec(lua_State *L, int idx, struct mf_future_spec *spec)
{
    if (!lua_istable(L, idx))
        return;
    lua_getfield(L, idx, "label");
    spec->label = lua_tostring(L, -1); /* the table keeps it alive */
    lua_pop(L, 1);
    spec->timeout = field_number(L, idx, "timeout");
    spec->retries = (unsigned)field_number(L, idx, "retries");
    spec->retry_on_error = field_boolean(L, idx, "retry_on_error");
    spec->priority = (int)field_number(L, idx, "priority");
    spec->worker = (int)field_number(L, idx, "worker");
    spec->setup = field_boolean(L, idx, "setup");
    spec->lazy = field_boolean(L, idx, "lazy");
    spec->output = field_output(L, idx);
    lua_getfield(L, idx, "seed");
    if (lua_isinteger(L, -1)) {
        spec->seed = (uint64_t)lua_tointeger(L, -1);
        spec->stream = 1;
    }
    lua_pop(L, 1);
}

int mf_lib_push_encode_options(lua_State *L, int idx, struct mf_encode_options *encode)
{
    static const char *const names[] = {"globals", "skip", "packages"};
    bool none = !lua_istable(L, idx);
    for (int i = 0; i < 3; i++) {
        if (none)
            lua_pushnil(L);
        else
            lua_getfield(L, idx, names[i]);
    }
    int top = lua_gettop(L);
    encode->no_scan = lua_isboolean(L, top - 2) && !lua_toboolean(L, top - 2);
    encode->globals = lua_istable(L, top - 2) ? top - 2 : 0;
    encode->skip = lua_istable(L, top - 1) ? top - 1 : 0;
    encode->globals_max = none ? 0 : (size_t)field_number(L, idx, "globals_max");
    return lua_istable(L, top) ? top : 0;
}

static bool has_modules(const struct mf_blob *message)
{
    return message && message->len > 0 && (message->data[0] & MF_CODEC_MODULES);
}

void mf_lib_submit(lua_State *L, struct mf_lib_future *object, struct mf_pool *pool, struct mf_future_spec *spec)
{
    struct mf_fault fault;
    if (!spec->code) {
        mf_blob_unref(spec->args);
        luaL_error(L, "not enough memory");
    }
    if (pool->backend->maps) {
        mf_holds_export(spec->code->holds);
        mf_holds_export(spec->args ? spec->args->holds : NULL);
    }
    spec->modules = spec->ndeps > 0 || has_modules(spec->code) || has_modules(spec->args);
    object->backend = pool->backend->name;
    object->future = mf_runtime_submit(pool, spec, &fault);
    if (object->future)
        return;
    if (fault.code == MF_EINTR)
        luaL_error(L, "interrupted!");
    luaL_error(L, "%s", fault.text);
}

/* Finds the futures among the arguments first..last and pushes their record pointers in a userdata. */
static size_t find_dependencies(lua_State *L, int first, int last, struct mf_future ***deps)
{
    size_t n = 0;
    for (int i = first; i <= last; i++)
        n += lua_type(L, i) == LUA_TUSERDATA && mf_lib_test_future(L, i);
    if (n == 0)
        return 0;
    *deps = lua_newuserdatauv(L, n * sizeof(struct mf_future *), 0);
    n = 0;
    for (int i = first; i <= last; i++) {
        if (lua_type(L, i) != LUA_TUSERDATA || !mf_lib_test_future(L, i))
            continue;
        struct mf_lib_future *object = mf_lib_check_future(L, i);
        mf_lib_restore(L, i, object);
        (*deps)[n++] = object->future;
    }
    return n;
}

void mf_lib_encode_integer(lua_State *L, struct mf_encoder *e, lua_Integer n)
{
    lua_pushinteger(L, n);
    mf_encode_value(L, e, -1, "number", 0);
    lua_pop(L, 1);
}

/* The arguments first..last as run.h lays them out. */
static void encode_arguments(lua_State *L, struct mf_buf *out, int first, int last, size_t ndeps,
                             const struct mf_encode_options *options)
{
    struct mf_encoder *e = mf_encode_begin(L, out, options);
    mf_lib_encode_integer(L, e, MF_RUN_CALL);
    mf_lib_encode_integer(L, e, (lua_Integer)ndeps);
    for (int i = first; ndeps && i <= last; i++)
        if (mf_lib_test_future(L, i))
            mf_lib_encode_integer(L, e, i - first + 1);
    for (int i = first; i <= last; i++) {
        bool is_dependency = ndeps && mf_lib_test_future(L, i);
        if (is_dependency)
            lua_pushnil(L);
        mf_encode_value(L, e, is_dependency ? -1 : i, "argument", i - first + 1);
        if (is_dependency)
            lua_pop(L, 1);
    }
    mf_encode_end(L, e);
    lua_pop(L, 1);
}

uint64_t mf_lib_begin_live(lua_State *L, const struct mf_pool *pool, struct mf_encode_options *encode)
{
    if (!pool->backend->inherits || pool->lasting)
        return 0;
    encode->live_number = mf_live_new(L);
    encode->live = lua_gettop(L);
    return encode->live_number;
}

/* Does the task start now, so that what it refers to in this state is as it should be? */
static bool starts_now(const struct mf_future_spec *spec)
{
    for (size_t i = 0; i < spec->ndeps; i++)
        if (!mf_future_final(spec->deps[i]))
            return false;
    return !spec->lazy;
}

/* The object at idx keeps what its task refers to. */
static void keep_live(lua_State *L, int idx, const struct mf_encode_options *encode, struct mf_future_spec *spec)
{
    if (!encode->live || !mf_live_used(L, encode->live))
        return;
    spec->live = encode->live_number;
    lua_pushvalue(L, encode->live);
    lua_setiuservalue(L, idx, MF_LIB_LIVE);
}

/* submit(pool, options or nil, fn, ...): a future */
static int core_submit(lua_State *L)
{
    struct mf_session *s = mf_session_get(L);
    struct mf_pool *pool = mf_lib_check_pool(L, 1);
    struct mf_future_spec spec = {0};
    struct mf_encode_options encode = {.holds = true};
    int last = lua_gettop(L), packages = 0;
    size_t code_start = s->code.len, args_start = s->args.len;
    luaL_checktype(L, 3, LUA_TFUNCTION);
    struct mf_lib_future *object = mf_lib_push_future(L);
    if (!lua_isnil(L, 2)) {
        mf_lib_read_spec(L, 2, &spec);
        packages = mf_lib_push_encode_options(L, 2, &encode);
    }
    if (last > 3)
        spec.ndeps = find_dependencies(L, 4, last, &spec.deps);
    if (starts_now(&spec))
        mf_lib_begin_live(L, pool, &encode);
    mf_prepared_encode(L, &s->code, 3, 0, packages, false, &encode);
    object->code = mf_session_code(s, code_start); /* the object's until no error can leave it behind */
    encode.globals = 0;                            /* they went with the code */
    if (last > 3)
        encode_arguments(L, mf_session_args(s, pool), 4, last, spec.ndeps, &encode);
    if (!spec.stream) {
        spec.stream = mf_session_streams(s, 1);
        spec.seed = s->seed;
    }
    if (last > 3) {
        spec.args = mf_session_blob(&s->args, args_start);
        if (!spec.args)
            return luaL_error(L, "not enough memory");
    }
    keep_live(L, last + 1, &encode, &spec);
    spec.code = object->code;
    object->code = NULL;
    mf_lib_submit(L, object, pool, &spec);
    lua_settop(L, last + 1);
    if (s->tracks)
        mf_lib_track(L, s);
    return 1;
}

/* --- Asking ------------------------------------------------------------------------------------------------------ */

static int future_resolved(lua_State *L)
{
    struct mf_lib_future *object = mf_lib_check_future(L, 1);
    struct mf_future *f = object->future;
    object->seen = mf_future_final(f) || mf_runtime_poll(mf_session_get(L)->owner, f);
    lua_pushboolean(L, object->seen);
    return 1;
}

static int future_wait(lua_State *L)
{
    struct mf_lib_future *object = mf_lib_check_future(L, 1);
    object->seen |= mf_lib_wait(L, object->future, mf_lib_check_deadline(L, 2));
    lua_pushboolean(L, mf_future_final(object->future));
    return 1;
}

static int future_cancel(lua_State *L)
{
    struct mf_lib_future *object = mf_lib_check_future(L, 1);
    struct mf_future *f = object->future;
    object->seen = true;
    lua_pushboolean(L, !mf_future_final(f) && mf_runtime_cancel(mf_session_get(L)->owner, f));
    return 1;
}

static int future_state(lua_State *L)
{
    struct mf_future *f = mf_lib_check_future(L, 1)->future;
    if (mf_future_state(f) == MF_FUTURE_QUEUED)
        mf_runtime_turn(mf_session_get(L)->owner); /* who asks again and again wants it to go on */
    lua_pushstring(L, mf_future_state_name(mf_future_state(f)));
    return 1;
}

static int future_output(lua_State *L)
{
    struct mf_future *f = mf_lib_check_future(L, 1)->future;
    struct mf_buf *records = lua_newuserdatauv(L, sizeof *records, 0); /* in case pushing the strings raises */
    mf_buf_init(records);
    if (mf_future_final(f)) {
        if (f->extra)
            mf_relay_push(L, f->extra->output.data, f->extra->output.len);
    } else if (mf_runtime_output(mf_session_get(L)->owner, f, records)) {
        mf_relay_push(L, records->data, records->len);
    }
    mf_buf_release(records);
    if (lua_type(L, -1) != LUA_TSTRING) {
        lua_pushliteral(L, "");
        lua_pushliteral(L, "");
    }
    return 2;
}

static int future_elapsed(lua_State *L)
{
    struct mf_future *f = mf_lib_check_future(L, 1)->future;
    if (!mf_future_final(f) || !f->elapsed)
        return 0;
    lua_pushnumber(L, (lua_Number)f->elapsed / 1e9);
    return 1;
}

static int future_worker(lua_State *L)
{
    char name[MF_LIB_NAME];
    lua_pushstring(L, mf_lib_worker(mf_lib_check_future(L, 1), name));
    return 1;
}

static int future_progress(lua_State *L)
{
    struct mf_future *f = mf_lib_check_future(L, 1)->future;
    double fraction;
    char text[64];
    if (!f->pool || !mf_runtime_progress(mf_session_get(L)->owner, f, &fraction, text))
        return 0;
    lua_pushnumber(L, fraction);
    lua_pushstring(L, text);
    return 2;
}

/* Methods stand in the upvalue; the label is a field. */
static int future_index(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    const char *name = lua_tostring(L, 2);
    struct mf_lib_future *object = mf_lib_test_future(L, 1);
    if (object && object->future && name && strcmp(name, "label") == 0)
        lua_pushstring(L, mf_lib_label(object->future));
    return 1;
}

static int future_tostring(lua_State *L)
{
    struct mf_future *f = mf_lib_check_future(L, 1)->future;
    const char *label = mf_lib_label(f), *state = mf_future_state_name(mf_future_state(f));
    if (label)
        lua_pushfstring(L, "future '%s' (%s)", label, state);
    else
        lua_pushfstring(L, "future %I (%s)", (lua_Integer)f->id, state);
    return 1;
}

/* Takes no lock: drops the reference, and leaves a note when that may have been the last hope of a lazy future. */
static int future_gc(lua_State *L)
{
    struct mf_lib_future *object = mf_lib_test_future(L, 1);
    struct mf_future *f = object ? object->future : NULL;
    if (object) {
        mf_blob_unref(object->code);
        object->code = NULL;
        object->future = NULL;
    }
    if (!f)
        return 0;
    if (mf_future_state(f) == MF_FUTURE_CREATED) {
        struct mf_session *s = mf_session_peek(L);
        if (s && s->owner)
            atomic_store(&s->owner->untidy, true);
    }
    mf_future_unref(f);
    return 0;
}

/* --- Resolved futures travel ------------------------------------------------------------------------------------- */

/* { ok, label, values... } or { ok, label, error value, traceback, element } */
static int future_save(lua_State *L)
{
    struct mf_lib_future *object = mf_lib_check_future(L, 1);
    lua_settop(L, 1);
    if (!mf_future_final(object->future)) {
        lua_pushnil(L);
        lua_pushliteral(L, "it is not resolved yet: pass it as an argument of its own, or collect its value first");
        return 2;
    }
    mf_lib_read(L, 1, object);
    lua_createtable(L, 8, 1);
    lua_pushboolean(L, object->n != MF_LIB_FAILED);
    lua_rawseti(L, 2, 1);
    lua_pushstring(L, mf_lib_label(object->future));
    lua_rawseti(L, 2, 2);
    if (object->n == MF_LIB_FAILED) {
        lua_getiuservalue(L, 1, 1);
        for (int i = 1; i <= 3; i++) {
            lua_rawgeti(L, 3, i);
            lua_rawseti(L, 2, 2 + i);
        }
        lua_settop(L, 2);
    }
    int n = object->n == MF_LIB_FAILED ? 3 : object->n;
    if (object->n > 0)
        mf_lib_push_values(L, 1, object);
    for (int i = object->n; i >= 1; i--)
        lua_rawseti(L, 2, 2 + i);
    lua_settop(L, 2);
    lua_pushinteger(L, n);
    lua_setfield(L, 2, "n");
    return 1;
}

static int future_load(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "n");
    int n = (int)luaL_checkinteger(L, -1);
    lua_rawgeti(L, 1, 1);
    bool ok = lua_toboolean(L, -1);
    lua_settop(L, 1);
    luaL_argcheck(L, n >= 0 && n < 1000000, 1, "not a saved future");
    struct mf_lib_future *object = mf_lib_push_future(L);
    lua_rawgeti(L, 1, 2);
    object->future = mf_future_resolved(ok, lua_tostring(L, -1));
    if (!object->future)
        return luaL_error(L, "not enough memory");
    lua_pop(L, 1);
    object->printed = true;
    if (ok && n == 1) {
        lua_rawgeti(L, 1, 3);
    } else {
        lua_createtable(L, n, 0);
        for (int i = 1; i <= n; i++) {
            lua_rawgeti(L, 1, 2 + i);
            lua_rawseti(L, -2, i);
        }
    }
    lua_setiuservalue(L, 2, 1);
    object->n = ok ? n : MF_LIB_FAILED;
    return 1;
}

/* --- Several ----------------------------------------------------------------------------------------------------- */

static int core_is_future(lua_State *L)
{
    lua_pushboolean(L, mf_lib_test_future(L, 1) != NULL);
    return 1;
}

/* wait(list, n, count or nil, timeout or nil): how many are resolved */
static int core_wait(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer n = luaL_checkinteger(L, 2), count = luaL_optinteger(L, 3, n);
    uint64_t deadline = mf_lib_check_deadline(L, 4);
    luaL_argcheck(L, n >= 0 && n <= INT_MAX, 2, "not the length of a list");
    struct mf_future **futures = lua_newuserdatauv(L, (size_t)(n ? n : 1) * sizeof *futures, 0);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 1, i);
        futures[i - 1] = mf_lib_check_future(L, -1)->future;
        lua_pop(L, 1);
    }
    size_t need = count < 0 ? 0 : (size_t)(count < n ? count : n), done = 0;
    if (need && mf_session_wait(mf_session_get(L), futures, (size_t)n, need, deadline) == MF_EINTR)
        return luaL_error(L, "interrupted!");
    for (lua_Integer i = 0; i < n; i++) {
        if (!mf_future_final(futures[i]))
            continue;
        done++;
        lua_rawgeti(L, 1, i + 1);
        mf_lib_check_future(L, -1)->seen = true;
        lua_pop(L, 1);
    }
    lua_pushinteger(L, (lua_Integer)done);
    return 1;
}

static int core_sleep(lua_State *L)
{
    luaL_checknumber(L, 1);
    if (mf_session_sleep(mf_session_get(L), mf_lib_check_deadline(L, 1)) == MF_EINTR)
        return luaL_error(L, "interrupted!");
    return 0;
}

static void make_metatable(lua_State *L)
{
    const luaL_Reg meta[] = {
        {"__gc", future_gc}, {"__tostring", future_tostring}, {"__save", future_save}, {"__load", future_load},
        {NULL, NULL},
    };
    luaL_newmetatable(L, FUTURE_TYPE);
    luaL_setfuncs(L, meta, 0);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
}

void mf_lib_future(lua_State *L)
{
    const luaL_Reg methods[] = {
        {"value", mf_lib_value},
        {"result", mf_lib_result},
        {"resolved", future_resolved},
        {"wait", future_wait},
        {"cancel", future_cancel},
        {"state", future_state},
        {"output", future_output},
        {"elapsed", future_elapsed},
        {"worker", future_worker},
        {"progress", future_progress},
        {NULL, NULL},
    };
    const luaL_Reg functions[] = {{"submit", core_submit},
                                  {"wait", core_wait},
                                  {"sleep", core_sleep},
                                  {"is_future", core_is_future},
                                  {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    luaL_newlib(L, methods);
    make_metatable(L);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, future_index, 1);
    lua_setfield(L, -2, "__index");
    lua_setfield(L, -3, "future_metatable"); /* by which the codec names it */
    lua_setfield(L, -2, "methods");
}
