/* Design note: in a worker the objects stand in a table in the registry, keyed by the block's address, which nobody else can
 * have while the object holds the block. An idle worker drops those whose block has no other holder: then the owner has let go
 * of the share and no task that waits needs it. In the state that made a share, the table is weak: there the program says
 * how long it lives. */
#include "lib_share.h"

#include <lauxlib.h>
#include <stdatomic.h>
#include <string.h>

#include "codec.h"
#include "instance.h"
#include "lib_array_box.h"
#include "session.h"

#define SHARE_TYPE "moonfleet.share"

static const char objects_key; /* registry: block -> object */

/* An object; its user value is the decoded value, boxed in a table, once it was asked for. */
struct share {
    struct mf_block *block; /* a reference */
};

struct mf_block *mf_lib_share_test(lua_State *L, int idx)
{
    struct share *s = luaL_testudata(L, idx, SHARE_TYPE);
    return s ? s->block : NULL;
}

static struct mf_block *check(lua_State *L, int idx)
{
    struct mf_block *block = mf_lib_share_test(L, idx);
    if (!block)
        luaL_typeerror(L, idx, "share");
    return block;
}

/* Pushes the table of objects. */
static void push_objects(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &objects_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    if (!mf_instance_of(L)) {
        lua_createtable(L, 0, 1);
        lua_pushliteral(L, "v");
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
    }
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &objects_key);
}

/* Pushes a new object; takes the reference. */
static void push_new(lua_State *L, struct mf_block *block)
{
    struct share *s = lua_newuserdatauv(L, sizeof *s, 1);
    s->block = NULL;
    luaL_setmetatable(L, SHARE_TYPE);
    s->block = block;
    push_objects(L);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, block);
    lua_pop(L, 1);
}

void mf_lib_share_push(lua_State *L, struct mf_block *block)
{
    luaL_checkstack(L, 6, NULL);
    if (luaL_getmetatable(L, SHARE_TYPE) == LUA_TNIL) {
        lua_getglobal(L, "require");
        lua_pushliteral(L, "moonfleet.share");
        lua_call(L, 1, 0);
    }
    push_objects(L);
    if (lua_rawgetp(L, -1, block) != LUA_TUSERDATA) {
        lua_pop(L, 1);
        push_new(L, mf_block_ref(block));
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
}

void mf_lib_share_trim(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &objects_key) != LUA_TTABLE) {
        lua_pop(L, 1);
        return;
    }
    bool dropped = false;
    for (lua_pushnil(L); lua_next(L, -2);) {
        const struct share *s = lua_touserdata(L, -1);
        lua_pop(L, 1);
        if (atomic_load_explicit(&s->block->refs, memory_order_acquire) > 1)
            continue;
        dropped = true;
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_rawset(L, -4); /* an existing key: allowed during the traversal */
    }
    lua_pop(L, 1);
    if (dropped && lua_gc(L, LUA_GCISRUNNING))
        lua_gc(L, LUA_GCCOLLECT);
}

/* The owner has let go: workers that are idle and still have it are to look again. */
static int share_gc(lua_State *L)
{
    struct share *s = luaL_checkudata(L, 1, SHARE_TYPE);
    mf_block_unref(s->block);
    s->block = NULL;
    mf_session_let_go(L);
    return 0;
}

/* --- Making ------------------------------------------------------------------------------------------------------ */

/* The finished message as a block. */
static struct mf_block *take_block(struct mf_session *session, size_t start)
{
    struct mf_blob *blob = mf_session_blob(&session->args, start);
    struct mf_block *block = blob ? mf_block_new(blob->len, false) : NULL;
    if (block) {
        memcpy(block->data, blob->data, blob->len);
        block->holds = blob->holds;
        blob->holds = NULL;
    }
    mf_blob_unref(blob);
    return block;
}

/* share_value(value): a share of what is no array */
static int core_share_value(lua_State *L)
{
    struct mf_session *session = mf_session_get(L);
    struct mf_encode_options options = {.holds = true, .freeze = true};
    size_t start = session->args.len;
    lua_settop(L, 1);
    struct mf_encoder *e = mf_encode_begin(L, &session->args, &options);
    mf_encode_value(L, e, 1, "shared value", 0);
    mf_encode_end(L, e);
    lua_pop(L, 1);
    struct mf_block *block = take_block(session, start);
    if (!block)
        return luaL_error(L, "not enough memory to share the value");
    push_new(L, block);
    return 1;
}

/* share_array(array, processes): a view of it whose store is its own, and read-only. processes: it will go to processes of this
 * machine, which takes a copy into memory that they can map; in its place, so that there is no second one. */
static int core_share_array(lua_State *L)
{
    struct mf_fault fault;
    const struct mf_array *a = mf_lib_array_check(L, 1);
    lua_settop(L, 2);
    struct mf_array *out = mf_lib_array_box(L);
    if (a->store->block->kind == MF_BLOCK_SHARED)
        return luaL_error(L, "memory that tasks write to (mf.array.shared) is shared already");
    bool whole = a->store->skip == 0 && mf_array_is_contiguous(a) && a->offset == 0 &&
                 a->count * mf_dtypes[a->dtype].size == a->store->block->bytes;
    if (!whole) {
        mf_lib_array_try(L, mf_array_convert(mf_lib_array_heap(L), a, a->dtype, out, &fault), &fault);
        out->store->guard = MF_GUARD_SHARED;
    } else if (mf_array_wrap(out, a->store->block, 0, a->dtype, a->ndim, a->shape, MF_GUARD_SHARED) != MF_OK) {
        return luaL_error(L, "not enough memory to share the array");
    }
    off_t offset;
    if (lua_toboolean(L, 2))
        mf_block_export(out->store->block, &offset);
    lua_settop(L, 3);
    return 1;
}

/* --- Reading ----------------------------------------------------------------------------------------------------- */

/* The value of the message in a block, which is the argument. */
static int decode_body(lua_State *L)
{
    const struct mf_block *block = lua_touserdata(L, 1);
    struct mf_decode_options options = {.trust = true, .holds = block->holds};
    struct mf_decoder *d = mf_decode_begin(L, block->data, block->bytes, &options);
    mf_decode_value(L, d);
    mf_decode_end(L, d);
    return 1;
}

static void push_value(lua_State *L, struct mf_block *block)
{
    lua_pushcfunction(L, decode_body);
    lua_pushlightuserdata(L, block);
    mf_decode_call(L, 1, block->bytes);
}

/* value(): decoded once in each state */
static int share_value(lua_State *L)
{
    struct mf_block *block = check(L, 1);
    lua_settop(L, 1);
    if (lua_getiuservalue(L, 1, 1) != LUA_TTABLE) {
        lua_createtable(L, 1, 0);
        push_value(L, block);
        lua_rawseti(L, 3, 1);
        lua_pushvalue(L, 3);
        lua_setiuservalue(L, 1, 1);
    }
    lua_rawgeti(L, -1, 1);
    return 1;
}

/* copy(): a value of the caller's own */
static int share_copy(lua_State *L)
{
    push_value(L, check(L, 1));
    return 1;
}

static int share_tostring(lua_State *L)
{
    lua_pushfstring(L, "share (%I bytes)", (lua_Integer)check(L, 1)->bytes);
    return 1;
}

static int share_newindex(lua_State *L)
{
    return luaL_error(L, "shared value is read-only; use :copy()");
}

void mf_lib_share(lua_State *L)
{
    const luaL_Reg functions[] = {{"share_value", core_share_value}, {"share_array", core_share_array}, {NULL, NULL}};
    const luaL_Reg meta[] = {
        {"__gc", share_gc}, {"__tostring", share_tostring}, {"__newindex", share_newindex}, {NULL, NULL}};
    const luaL_Reg methods[] = {{"value", share_value}, {"copy", share_copy}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    luaL_newmetatable(L, SHARE_TYPE);
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -4, "share_methods");
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
