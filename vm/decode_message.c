/* A message from begin to end: taking a decoder and giving it back, and the globals that follow a value. */
#include "decoder.h"

#include <stdlib.h>
#include <string.h>

#define LONG_MESSAGE ((size_t)64 * 1024) /* bytes; see mf_decode_call */
#define KEEP_BYTES   ((size_t)4096)      /* of frames, and of cells, that an idle decoder keeps */

static const char registry_key;

static void decode_global(lua_State *L, struct mf_decoder *d)
{
    bool std = mf_decoder_byte(L, d) == MF_TAG_STD;
    uint64_t n = mf_decoder_varint(L, d);
    if (n == 0 && !d->env && !(d->flags & MF_CODEC_GLOBALS) && !std)
        mf_decoder_malformed(L, d, "a global without leave");
    mf_decoder_env(L, d, n);
    int env = lua_gettop(L);
    mf_decoder_text(L, d);
    if (!std) {
        mf_decoder_value(L, d);
        lua_rawset(L, env);
    } else if (n > 0 || d->env) {
        mf_decoder_bind(L, env, env + 1);
    }
    lua_settop(L, env - 1);
}

static void release(struct mf_decoder *d)
{
    free(d->frames);
    free(d->cell_index);
    d->frames = NULL;
    d->cell_index = NULL;
    d->frames_cap = d->cells_cap = 0;
}

static int decoder_gc(lua_State *L)
{
    release(lua_touserdata(L, 1));
    return 0;
}

/* One idle decoder waits in the registry, as in encode.c. */
static struct mf_decoder *take_decoder(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key) == LUA_TUSERDATA) {
        lua_pushnil(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
        return lua_touserdata(L, -1);
    }
    lua_pop(L, 1);
    struct mf_decoder *d = lua_newuserdatauv(L, sizeof *d, MEMO_COUNT);
    memset(d, 0, sizeof *d);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, decoder_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return d;
}

struct mf_decoder *mf_decode_begin(lua_State *L, const void *bytes, size_t len, const struct mf_decode_options *options)
{
    luaL_checkstack(L, 8, NULL);
    int env = options->env ? lua_absindex(L, options->env) : 0;
    struct mf_decoder *d = take_decoder(L);
    d->self = lua_gettop(L);
    d->env = env;
    d->trust = options->trust;
    d->live = options->live;
    d->holds = options->holds;
    d->start = d->p = bytes;
    d->end = d->start + len;
    d->depth = d->cells = 0;
    d->strings = d->objects = 0;
    d->budget = len;
    d->flags = mf_decoder_byte(L, d);
    if (d->flags & ~(unsigned)(MF_CODEC_GLOBALS | MF_CODEC_CLOSED | MF_CODEC_REFS | MF_CODEC_MODULES))
        mf_decoder_malformed(L, d, "an unknown flag");
    return d;
}

unsigned mf_decode_flags(const struct mf_decoder *d)
{
    return d->flags;
}

bool mf_decode_more(const struct mf_decoder *d)
{
    return d->p < d->end;
}

static void load_memo(lua_State *L, struct mf_decoder *d)
{
    d->memo = lua_gettop(L) + 1;
    for (int i = 0; i < MEMO_COUNT; i++) {
        if (d->used)
            lua_getiuservalue(L, d->self, i + 1);
        else
            lua_pushnil(L);
    }
}

/* Stack: the memo slots, the value. Leaves the value. */
static void store_memo(lua_State *L, struct mf_decoder *d)
{
    if (mf_decode_more(d)) {
        d->used = true;
        for (int i = 0; i < MEMO_COUNT; i++) {
            lua_pushvalue(L, d->memo + i);
            lua_setiuservalue(L, d->self, i + 1);
        }
    }
    lua_replace(L, d->memo);
    lua_settop(L, d->memo);
}

static bool globals_follow(const struct mf_decoder *d)
{
    return mf_decode_more(d) && (*d->p == MF_TAG_GLOBAL || *d->p == MF_TAG_STD);
}

void mf_decode_value(lua_State *L, struct mf_decoder *d)
{
    luaL_checkstack(L, 24, NULL);
    const unsigned char *before = d->p;
    unsigned tag = mf_decode_more(d) ? *d->p : MF_TAG_COUNT;
    if (mf_decoder_is_plain(tag)) {
        d->p++;
        mf_decoder_plain(L, d, tag);
        if (!globals_follow(d))
            return;
        d->p = before; /* globals need the memo: once more, the long way */
        lua_pop(L, 1);
    }
    load_memo(L, d);
    mf_decoder_value(L, d);
    while (globals_follow(d))
        decode_global(L, d);
    store_memo(L, d);
}

void mf_decode_end(lua_State *L, struct mf_decoder *d)
{
    if (mf_decode_more(d))
        mf_decoder_malformed(L, d, "bytes are left over");
    luaL_checkstack(L, 4, NULL);
    for (int i = 0; d->used && i < MEMO_COUNT; i++) {
        lua_pushnil(L);
        lua_setiuservalue(L, d->self, i + 1);
    }
    d->used = false;
    if (d->frames_cap * sizeof *d->frames > KEEP_BYTES || d->cells_cap > KEEP_BYTES)
        release(d);
    lua_pushvalue(L, d->self);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
}

void mf_decode_call(lua_State *L, int nargs, size_t len)
{
    bool still = len > LONG_MESSAGE && lua_gc(L, LUA_GCISRUNNING);
    if (!still) {
        lua_call(L, nargs, LUA_MULTRET);
        return;
    }
    lua_gc(L, LUA_GCSTOP);
    int status = lua_pcall(L, nargs, LUA_MULTRET, 0);
    lua_gc(L, LUA_GCRESTART);
    if (status != LUA_OK)
        lua_error(L);
}
