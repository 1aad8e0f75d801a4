/* Chunks of maps for Lua: a function encoded once, runs of elements sent with it, results stored where they belong. No
 * table of a chunk's elements or results is made on either side. */
#include <lauxlib.h>
#include <string.h>

#include "instance.h"
#include "lib.h"
#include "lib_array_box.h"
#include "live.h"
#include "prepared.h"
#include "run.h"

#define BLOB_TYPE "moonfleet.blob"
#define CODE_TYPE "moonfleet.code"

struct mf_blob **mf_lib_push_blob(lua_State *L)
{
    struct mf_blob **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, BLOB_TYPE);
    return box;
}

static int blob_gc(lua_State *L)
{
    struct mf_blob **box = luaL_checkudata(L, 1, BLOB_TYPE);
    mf_blob_unref(*box);
    *box = NULL;
    return 0;
}

/* What all chunks of a map have in common. */
struct code {
    struct mf_blob *blob;    /* a reference; NULL only while it is being made */
    uint64_t live;           /* the number of its live values (live.h), which its user value holds; 0: none */
    lua_Integer list, list2; /* places of the map's elements among them; 0: elements are sent with their chunks */
};

static int code_gc(lua_State *L)
{
    struct code *code = luaL_checkudata(L, 1, CODE_TYPE);
    mf_blob_unref(code->blob);
    code->blob = NULL;
    return 0;
}

static struct code *push_code(lua_State *L)
{
    struct code *code = lua_newuserdatauv(L, sizeof *code, 1);
    *code = (struct code){.blob = NULL};
    luaL_setmetatable(L, CODE_TYPE);
    return code;
}

/* Adds the list at idx, if there is one and if it is large. */
static lua_Integer add_list(lua_State *L, int live, int idx)
{
    if (!lua_istable(L, idx) || mf_live_measure(L, idx, MF_LIVE_BYTES) < MF_LIVE_BYTES)
        return 0;
    return mf_live_add(L, live, idx);
}

/* Lists of elements that stay as they are while the map runs need not be sent to forks. */
static void keep_live(lua_State *L, struct code *code, const struct mf_encode_options *encode)
{
    if (!encode->live)
        return;
    code->list = add_list(L, encode->live, 5);
    if (lua_istable(L, 6)) {
        code->list2 = code->list ? mf_live_add(L, encode->live, 6) : add_list(L, encode->live, 6);
        if (code->list2 && !code->list)
            code->list = mf_live_add(L, encode->live, 5);
    }
    if (!mf_live_used(L, encode->live))
        return;
    code->live = encode->live_number;
    lua_pushvalue(L, encode->live);
    lua_setiuservalue(L, 7, 1);
}

/* code(options or nil, fn, fn2 or nil, pool or nil, a or nil, b or nil): for the chunks of a map on that pool (any,
 * when nil); a and b are the
 * lists of its elements, if they do not change while the map runs */
static int core_code(lua_State *L)
{
    struct mf_session *s = mf_session_get(L);
    struct mf_encode_options encode = {.holds = true};
    size_t start = s->code.len;
    lua_settop(L, 6);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct code *code = push_code(L);
    int packages = mf_lib_push_encode_options(L, 1, &encode);
    if (!lua_isnoneornil(L, 4))
        mf_lib_begin_live(L, mf_lib_check_pool(L, 4), &encode);
    mf_prepared_encode(L, &s->code, 2, lua_isnil(L, 3) ? 0 : 3, packages, true, &encode);
    code->blob = mf_session_blob(&s->code, start);
    if (!code->blob)
        return luaL_error(L, "not enough memory");
    keep_live(L, code, &encode);
    lua_settop(L, 7);
    return 1;
}

/* provide(pool, code, n): see mf_runtime_provide */
static int core_provide(lua_State *L)
{
    struct mf_pool *pool = mf_lib_check_pool(L, 1);
    const struct code *code = luaL_checkudata(L, 2, CODE_TYPE);
    if (code->live && mf_runtime_provide(pool, code->live, (int)luaL_checkinteger(L, 3)) == MF_EINTR)
        return luaL_error(L, "interrupted!");
    return 0;
}

/* A chunk as it is asked for. */
struct chunk {
    enum mf_run_mode mode;
    lua_Integer flags, first, last, offset, stream;
    bool stale;
    const struct code *code;
};

static void read_options(lua_State *L, int idx, struct chunk *c)
{
    static const char *const modes[] = {"call", "map", "each", "filter", "fold", "mapfold", NULL};
    c->mode = MF_RUN_MAP;
    c->stream = 1;
    if (!lua_istable(L, idx))
        return;
    lua_getfield(L, idx, "mode");
    lua_getfield(L, idx, "collect");
    lua_getfield(L, idx, "offset");
    lua_getfield(L, idx, "stream");
    if (!lua_isnil(L, -4))
        c->mode = (enum mf_run_mode)luaL_checkoption(L, -4, NULL, modes);
    if (lua_toboolean(L, -3))
        c->flags |= MF_RUN_COLLECT;
    c->offset = luaL_optinteger(L, -2, 0);
    c->stream = luaL_optinteger(L, -1, 1);
    lua_pop(L, 4);
    lua_getfield(L, idx, "stale");
    c->stale = lua_toboolean(L, -1);
    lua_pop(L, 1);
}

static void read_kind(lua_State *L, int idx, struct chunk *c)
{
    static const char *const kinds[] = {"list", "range", "star", "pairs", "array", NULL};
    static const lua_Integer flags[] = {0, MF_RUN_RANGE, MF_RUN_STAR, MF_RUN_PAIRS, MF_RUN_ARRAY};
    int kind = luaL_checkoption(L, idx, NULL, kinds);
    c->flags |= flags[kind];
    if (kind == 4)
        mf_lib_array_check(L, idx + 3);
    else if (kind != 1)
        luaL_checktype(L, idx + 3, LUA_TTABLE);
    if (kind == 3)
        luaL_checktype(L, idx + 4, LUA_TTABLE);
}

/* The rows of the array at idx that the chunk has. */
static void encode_rows(lua_State *L, struct mf_encoder *e, const struct chunk *c, int idx)
{
    const struct mf_array *a = mf_lib_array_check(L, idx);
    if ((lua_Unsigned)c->last > a->shape[0])
        luaL_error(L, "the array has no row %I", c->last);
    struct mf_array *rows = mf_lib_array_view(L, a);
    mf_array_slice(rows, 0, (size_t)c->first - 1, (size_t)(c->last - c->first) + 1, 1);
    mf_encode_value(L, e, -1, "rows from", c->first);
    lua_pop(L, 1);
}

/* a and b: the stack indices of the last two arguments. */
static void encode_elements(lua_State *L, struct mf_encoder *e, const struct chunk *c, int a, int b)
{
    if (c->flags & MF_RUN_RANGE) {
        mf_encode_value(L, e, a, "start", 0);
        mf_encode_value(L, e, b, "step", 0);
        return;
    }
    if (c->flags & MF_RUN_LIVE) {
        mf_lib_encode_integer(L, e, (lua_Integer)c->code->live);
        mf_lib_encode_integer(L, e, c->code->list);
        if (c->flags & MF_RUN_PAIRS)
            mf_lib_encode_integer(L, e, c->code->list2);
        return;
    }
    if (c->flags & MF_RUN_ARRAY) {
        encode_rows(L, e, c, a);
        return;
    }
    for (lua_Integer i = c->first; i <= c->last; i++) {
        lua_rawgeti(L, a, i - c->offset);
        mf_encode_value(L, e, -1, "element", i);
        lua_pop(L, 1);
        if (c->flags & MF_RUN_PAIRS) {
            lua_rawgeti(L, b, i - c->offset);
            mf_encode_value(L, e, -1, "element", i);
            lua_pop(L, 1);
        }
    }
}

static void encode_chunk(lua_State *L, struct mf_buf *out, const struct chunk *c, int a, int b)
{
    struct mf_encode_options encode = {.holds = true, .parts = true};
    struct mf_encoder *e = mf_encode_begin(L, out, &encode);
    mf_lib_encode_integer(L, e, c->mode);
    mf_lib_encode_integer(L, e, c->flags);
    mf_lib_encode_integer(L, e, c->first);
    mf_lib_encode_integer(L, e, c->last - c->first + 1);
    encode_elements(L, e, c, a, b);
    mf_encode_end(L, e);
    lua_pop(L, 1);
}

/* chunk(pool, code, options or nil, kind, first, last, a, b): a future; what must be known to collect it stands in the
 * object's own user value until then */
static int core_chunk(lua_State *L)
{
    struct mf_session *s = mf_session_get(L);
    struct mf_pool *pool = mf_lib_check_pool(L, 1);
    const struct code *code = luaL_checkudata(L, 2, CODE_TYPE);
    struct chunk c = {.code = code, .first = luaL_checkinteger(L, 5), .last = luaL_checkinteger(L, 6)};
    struct mf_future_spec spec = {0};
    size_t start = s->args.len;
    lua_settop(L, 8);
    luaL_argcheck(L, code->blob, 2, "no code");
    luaL_argcheck(L, c.first >= 1 && c.last >= c.first, 5, "an empty chunk");
    read_options(L, 3, &c);
    read_kind(L, 4, &c);
    if (code->list && !(c.flags & MF_RUN_RANGE))
        c.flags |= MF_RUN_LIVE;
    mf_lib_read_spec(L, 3, &spec);
    if (!spec.stream)
        spec.seed = s->seed;
    spec.stream = (uint64_t)(c.stream + c.first - 1);
    struct mf_lib_future *object = mf_lib_push_future(L);
    encode_chunk(L, mf_session_args(s, pool), &c, 7, 8);
    spec.args = mf_session_blob(&s->args, start);
    if (!spec.args)
        return luaL_error(L, "not enough memory");
    spec.code = mf_blob_ref(code->blob);
    spec.live = code->live;
    spec.stale = c.stale;
    object->mode = c.mode;
    object->collects = c.flags & MF_RUN_COLLECT;
    object->first = c.first;
    object->count = c.last - c.first + 1;
    mf_lib_submit(L, object, pool, &spec);
    return 1;
}

/* --- Collecting -------------------------------------------------------------------------------------------------- */

/* Stores the value on top in the table at idx (dropped when it is nil), pops it. */
static void put(lua_State *L, int idx, lua_Integer i)
{
    if (lua_isnoneornil(L, idx))
        lua_pop(L, 1);
    else
        lua_rawseti(L, idx, i);
}

/* Results go to the table at 2, errors to 3, their tracebacks to 4. */
static void read_elements(lua_State *L, const struct mf_lib_future *object, struct mf_decoder *d)
{
    for (lua_Integer i = object->first; i < object->first + object->count; i++) {
        bool ok = true;
        if (object->collects) {
            mf_decode_value(L, d);
            ok = lua_toboolean(L, -1);
            lua_pop(L, 1);
        }
        if (ok && object->mode == MF_RUN_EACH)
            continue;
        mf_decode_value(L, d);
        put(L, ok ? 2 : 3, i);
        if (!ok) {
            mf_decode_value(L, d);
            put(L, 4, i);
        }
    }
}

static int collect_failure(lua_State *L)
{
    lua_pushboolean(L, 0);
    mf_lib_push_failure(L, 1);
    lua_getfield(L, -1, "element");
    lua_insert(L, -3);
    return 4;
}

/* The arguments of collect, checked; the future is done. */
static int collect_body(lua_State *L)
{
    const struct mf_lib_future *object = lua_touserdata(L, 1);
    const struct mf_blob *bytes = object->future->result;
    struct mf_decode_options options = {.trust = true, .holds = bytes->holds};
    struct mf_decoder *d = mf_decode_begin(L, bytes->data, bytes->len, &options);
    lua_pushboolean(L, 1);
    if (object->mode == MF_RUN_FOLD || object->mode == MF_RUN_MAPFOLD) {
        mf_decode_value(L, d);
    } else {
        read_elements(L, object, d);
        lua_pushinteger(L, object->count);
    }
    mf_decode_end(L, d);
    return 2;
}

/* collect(results or nil, errors or nil, tracebacks or nil) of a chunk's future: see the top of run.h */
static int future_collect(lua_State *L)
{
    struct mf_lib_future *object = mf_lib_check_future(L, 1);
    lua_settop(L, 4);
    for (int i = 2; i <= 4; i++)
        luaL_argexpected(L, lua_isnil(L, i) || lua_istable(L, i), i, "table");
    luaL_argcheck(L, object->count > 0, 1, "not the future of a chunk, or collected already");
    mf_lib_finish(L, object);
    if (mf_future_state(object->future) != MF_FUTURE_DONE)
        return collect_failure(L);
    struct mf_blob *bytes = object->future->result;
    luaL_argcheck(L, bytes, 1, "its result was read already");
    lua_pushcfunction(L, collect_body);
    for (int i = 1; i <= 4; i++) /* copies: the object must outlive the call */
        lua_pushvalue(L, i);
    mf_decode_call(L, 4, bytes->len);
    object->count = 0;
    mf_blob_unref(bytes);
    object->future->result = NULL;
    return 2;
}

/* streams(n): reserves n random streams, the number of the first. seed(n): they start again. */
static int core_streams(lua_State *L)
{
    struct mf_session *s = mf_session_get(L);
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 0, 1, "must not be negative");
    lua_pushinteger(L, (lua_Integer)mf_session_streams(s, (uint64_t)n));
    return 1;
}

static int core_seed(lua_State *L)
{
    struct mf_session *s = mf_session_get(L);
    mf_session_streams(s, 0);
    mf_session_seed(s, (uint64_t)luaL_checkinteger(L, 1));
    return 0;
}

void mf_lib_chunk(lua_State *L)
{
    const luaL_Reg functions[] = {{"code", core_code},       {"provide", core_provide}, {"chunk", core_chunk},
                                  {"streams", core_streams}, {"seed", core_seed},       {NULL, NULL}};
    luaL_newmetatable(L, BLOB_TYPE);
    lua_pushcfunction(L, blob_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newmetatable(L, CODE_TYPE);
    lua_pushcfunction(L, code_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 2);
    luaL_setfuncs(L, functions, 0);
    lua_getfield(L, -1, "methods");
    lua_pushcfunction(L, future_collect);
    lua_setfield(L, -2, "collect");
    lua_pop(L, 1);
}
