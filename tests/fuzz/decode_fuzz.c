/* Hostile bytes to the decoder: trust is off, as for a peer's results. What decodes is encoded again, and the new
 * message must decode; so a value that only one side accepts shows as well. Lua's memory may only grow in
 * proportion to the input. Seeds are made by tests/fuzz/make_corpus.lua. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../vm/codec.h"
#include "../../vm/state.h"

#define BYTES_PER_BYTE 400 /* a table, its frame and its memo for each three bytes are honest */
#define BYTES_AT_LEAST 65536

static size_t in_use, allowed = SIZE_MAX;
static struct mf_buf again;

static void *counting_alloc(void *ud, void *block, size_t old, size_t size)
{
    (void)ud;
    in_use += size - (block ? old : 0);
    if (in_use > allowed) {
        fprintf(stderr, "memory out of proportion\n");
        abort();
    }
    if (size == 0) {
        free(block);
        return NULL;
    }
    return realloc(block, size);
}

static int decode_all(lua_State *L)
{
    const struct mf_decode_options options = {.trust = false};
    const void *bytes = lua_touserdata(L, 1);
    size_t len = (size_t)lua_tointeger(L, 2);
    struct mf_decoder *d = mf_decode_begin(L, bytes, len, &options);
    int count = 0;
    for (; mf_decode_more(d) && count < 100000; count++) {
        luaL_checkstack(L, 10, NULL);
        mf_decode_value(L, d);
    }
    mf_decode_end(L, d);
    return count;
}

static int encode_all(lua_State *L)
{
    int count = lua_gettop(L);
    again.len = 0;
    struct mf_encoder *e = mf_encode_begin(L, &again, NULL);
    for (int i = 1; i <= count; i++)
        mf_encode_value(L, e, i, "value", i);
    mf_encode_end(L, e);
    return 0;
}

static int call_decode(lua_State *L, const void *bytes, size_t len)
{
    lua_pushcfunction(L, decode_all);
    lua_pushlightuserdata(L, (void *)(uintptr_t)bytes);
    lua_pushinteger(L, (lua_Integer)len);
    return lua_pcall(L, 2, LUA_MULTRET, 0);
}

static lua_State *open_state(void)
{
    static const char types[] = "package.preload.point = function()\n"
                                "    local mt = { __name = 'point' }\n"
                                "    mt.__save = function(p) return { p.x, p.y } end\n"
                                "    mt.__load = function(v) return setmetatable({ x = v[1], y = v[2] }, mt) end\n"
                                "    return mt\n"
                                "end\n"
                                "require 'point'\n"
                                "require 'moonfleet.array'\n";
    lua_State *L = lua_newstate(counting_alloc, NULL);
    if (!L)
        abort();
    luaL_openlibs(L);
    mf_state_preload(L);
    if (luaL_dostring(L, types))
        abort();
    return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *L;
    static unsigned runs;
    if (!L)
        L = open_state();
    if (++runs % 64 == 0)
        lua_gc(L, LUA_GCCOLLECT);
    allowed = in_use + BYTES_AT_LEAST + BYTES_PER_BYTE * size;
    int status = call_decode(L, data, size);
    allowed = SIZE_MAX;
    if (status == LUA_OK) {
        lua_pushcfunction(L, encode_all);
        lua_insert(L, 1);
        if (lua_pcall(L, lua_gettop(L) - 1, 0, 0) == LUA_OK && call_decode(L, again.data, again.len) != LUA_OK) {
            fprintf(stderr, "encoded but not decoded: %s\n", lua_tostring(L, -1));
            abort();
        }
    }
    lua_settop(L, 0);
    return 0;
}
