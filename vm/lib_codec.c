/* The module moonfleet.codec: the codec as Lua functions, for specs and benchmarks.
 *
 *   encode(...)                  the bytes of a message that holds the arguments
 *   encode_with(options, ...)    options: globals, skip, env (tables), scan (false: do not look for globals),
 *                                globals_max (bytes)
 *   encode_each(fn)              what fn returns, called until it returns nil; no value is held in between
 *   unfinished()                 bytes of messages that are being written just now
 *   decode(bytes, trust, env)    the values; trust defaults to true; env is the table that takes the globals
 *   flags(bytes)                 a table of the header's flags: globals, closed, modules
 *   scan(fn)                     for tests of the engine: the names of globals that fn reads, in the order of its
 *                                bytecode, and whether it sets globals, and upvalues
 *   forget()                     drops the index of package.loaded
 *
 * The functions share one buffer, a userdata in their upvalue, so that no error leaks it. */
#include <lauxlib.h>
#include <string.h>

#include "codec.h"
#include "engine.h"
#include "lib_codec.h"
#include "names.h"

#define KEPT_BYTES ((size_t)1 << 20) /* a larger buffer is given back after use */

static int buffer_gc(lua_State *L)
{
    mf_buf_release(lua_touserdata(L, 1));
    return 0;
}

static void push_buffer(lua_State *L)
{
    struct mf_buf *b = lua_newuserdatauv(L, sizeof *b, 0);
    mf_buf_init(b);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, buffer_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

/* Stack: arguments first..last. A __save may come back here, and then writes behind what is there. */
static int encode_range(lua_State *L, int first, int last, const struct mf_encode_options *options)
{
    struct mf_buf *b = lua_touserdata(L, lua_upvalueindex(1));
    size_t start = b->len;
    struct mf_encoder *e = mf_encode_begin(L, b, options);
    for (int i = first; i <= last; i++)
        mf_encode_value(L, e, i, "argument", i - first + 1);
    mf_encode_end(L, e);
    size_t len = b->len - start;
    b->len = start;
    lua_pushlstring(L, (const char *)b->data + start, len);
    if (start == 0 && b->cap > KEPT_BYTES)
        mf_buf_release(b);
    return 1;
}

static int codec_encode(lua_State *L)
{
    return encode_range(L, 1, lua_gettop(L), NULL);
}

static int codec_encode_each(lua_State *L)
{
    struct mf_buf *b = lua_touserdata(L, lua_upvalueindex(1));
    size_t start = b->len;
    struct mf_encoder *e = mf_encode_begin(L, b, NULL);
    for (lua_Integer i = 1;; i++) {
        lua_pushvalue(L, 1);
        lua_call(L, 0, 1);
        if (lua_isnil(L, -1))
            break;
        mf_encode_value(L, e, -1, "value", i);
        lua_pop(L, 1);
    }
    mf_encode_end(L, e);
    lua_pushlstring(L, (const char *)b->data + start, b->len - start);
    b->len = start;
    return 1;
}

static int codec_unfinished(lua_State *L)
{
    const struct mf_buf *b = lua_touserdata(L, lua_upvalueindex(1));
    lua_pushinteger(L, (lua_Integer)b->len);
    return 1;
}

static int table_option(lua_State *L, const char *name)
{
    int type = lua_getfield(L, 1, name);
    luaL_argexpected(L, type == LUA_TTABLE || type == LUA_TNIL, 1, "table of options");
    return type == LUA_TTABLE ? lua_gettop(L) : 0;
}

static int codec_encode_with(lua_State *L)
{
    struct mf_encode_options o = {0};
    int last = lua_gettop(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    o.globals = table_option(L, "globals");
    o.skip = table_option(L, "skip");
    o.env = table_option(L, "env");
    o.no_scan = lua_getfield(L, 1, "scan") == LUA_TBOOLEAN && !lua_toboolean(L, -1);
    lua_getfield(L, 1, "globals_max");
    o.globals_max = (size_t)luaL_optinteger(L, -1, 0);
    return encode_range(L, 2, last, &o);
}

static int decode_body(lua_State *L)
{
    size_t len;
    const char *bytes = lua_tolstring(L, 1, &len);
    struct mf_decode_options o = {.trust = lua_isnoneornil(L, 2) || lua_toboolean(L, 2)};
    if (!lua_isnil(L, 3))
        o.env = 3;
    struct mf_decoder *d = mf_decode_begin(L, bytes, len, &o);
    int count = 0;
    for (; mf_decode_more(d); count++)
        mf_decode_value(L, d);
    mf_decode_end(L, d);
    return count;
}

static int codec_decode(lua_State *L)
{
    size_t len;
    luaL_checklstring(L, 1, &len);
    lua_settop(L, 3);
    luaL_argexpected(L, lua_isnil(L, 3) || lua_istable(L, 3), 3, "table");
    lua_pushcfunction(L, decode_body);
    for (int i = 1; i <= 3; i++)
        lua_pushvalue(L, i);
    mf_decode_call(L, 3, len);
    return lua_gettop(L) - 3;
}

static int codec_flags(lua_State *L)
{
    size_t len;
    const char *bytes = luaL_checklstring(L, 1, &len);
    unsigned flags = len ? (unsigned char)bytes[0] : 0;
    lua_createtable(L, 0, 3);
    lua_pushboolean(L, (flags & MF_CODEC_GLOBALS) != 0);
    lua_setfield(L, -2, "globals");
    lua_pushboolean(L, (flags & MF_CODEC_CLOSED) != 0);
    lua_setfield(L, -2, "closed");
    lua_pushboolean(L, (flags & MF_CODEC_MODULES) != 0);
    lua_setfield(L, -2, "modules");
    return 1;
}

static void add_found(void *ud, const char *name, size_t len)
{
    lua_State *L = ud;
    lua_pushlstring(L, name, len);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

static int codec_scan(lua_State *L)
{
    struct mf_buf *b = lua_touserdata(L, lua_upvalueindex(1));
    bool is_env[256] = {false};
    size_t start = b->len;
    luaL_argexpected(L, lua_isfunction(L, 1) && !lua_iscfunction(L, 1), 1, "Lua function");
    if (!mf_engine_dump(L, 1, b))
        return luaL_error(L, "not enough memory");
    int upvalues = b->data[start];
    lua_pushglobaltable(L);
    for (int i = 0; i < upvalues; i++) {
        const char *name = lua_getupvalue(L, 1, i + 1);
        is_env[i] = lua_rawequal(L, -1, -2) || (name && strcmp(name, "_ENV") == 0);
        lua_pop(L, 1);
    }
    lua_newtable(L);
    size_t len = b->len - start;
    b->len = start;
    unsigned traits = mf_engine_scan(b->data + start, len, is_env, upvalues, add_found, L);
    lua_pushboolean(L, (traits & MF_ENGINE_SETS_GLOBAL) != 0);
    lua_pushboolean(L, (traits & MF_ENGINE_SETS_UPVALUE) != 0);
    return 3;
}

static int codec_forget(lua_State *L)
{
    mf_codec_forget(L);
    return 0;
}

int luaopen_moonfleet_codec(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", codec_encode}, {"encode_with", codec_encode_with}, {"decode", codec_decode},
        {"flags", codec_flags},   {"encode_each", codec_encode_each}, {"unfinished", codec_unfinished},
        {"scan", codec_scan},     {"forget", codec_forget},           {NULL, NULL},
    };
    mf_names_push(L); /* a stock Lua's globals are remembered now, unless mf_codec_open did it before */
    lua_pop(L, 1);
    luaL_newlibtable(L, functions);
    push_buffer(L);
    luaL_setfuncs(L, functions, 1);
    return 1;
}
