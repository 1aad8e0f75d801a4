/* Design note: decoding a function costs about a microsecond and decoding what a map's function has captured may cost
 * seconds, so neither is done twice without need. A blob is its own key: the cache holds a reference, so its address
 * is not used again, and a reference count of one says that its map is over.
 *
 * Code of a single future is kept only if the encoder found it closed (codec.h): then nothing that a call does can be
 * seen by the next. Functions that can reach the environment by name (load, _G, ...) are not kept either. */
#include "codec.h"
#include "prepared.h"

#include <lauxlib.h>
#include <string.h>

#include "instance.h"

static const char values_key; /* registry: table of function, second function, environment for each slot */
static const char meta_key;   /* registry: metatable of environments */

static void push_values(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &values_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 3 * MF_PREPARED_MAX, 0);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &values_key);
}

static void push_environment(lua_State *L)
{
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, LUA_GNAME);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &meta_key) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 1);
        mf_instance_push_base(L);
        lua_setfield(L, -2, "__index");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &meta_key);
    }
    lua_setmetatable(L, -2);
}

static void require_packages(lua_State *L, int list)
{
    if (!lua_istable(L, list))
        return;
    for (lua_Integer i = 1; lua_rawgeti(L, list, i) != LUA_TNIL; i++) {
        lua_getglobal(L, "require");
        lua_insert(L, -2);
        lua_call(L, 1, 0);
    }
    lua_pop(L, 1);
}

/* Does the environment at idx give its functions a way to change it that the scan does not see? */
static bool is_reachable(lua_State *L, int idx)
{
    static const char *const ways[] = {"load", "loadfile", "dofile", "debug", "require", "setmetatable", "getmetatable"};
    bool reachable = false;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && !reachable; i++) {
        lua_pushstring(L, ways[i]);
        reachable = lua_rawget(L, idx) != LUA_TNIL;
        lua_pop(L, 1);
    }
    return reachable;
}

/* Decodes the message; leaves function, second function, environment. Returns whether it may be kept. */
static bool decode(lua_State *L, const struct mf_blob *code, bool setup)
{
    int base = lua_gettop(L);
    if (setup)
        mf_instance_push_base(L);
    else
        push_environment(L);
    int env = lua_gettop(L);
    struct mf_decode_options options = {.trust = true, .env = env};
    struct mf_decoder *d = mf_decode_begin(L, code->data, code->len, &options);
    for (int i = 0; i < 4; i++)
        mf_decode_value(L, d);
    bool closed = mf_decode_flags(d) & MF_CODEC_CLOSED;
    bool keep = lua_toboolean(L, -1);
    mf_decode_end(L, d);
    require_packages(L, lua_gettop(L) - 1);
    keep = !setup && (keep || (closed && !is_reachable(L, env)));
    lua_pushvalue(L, env);
    lua_replace(L, base + 5);
    lua_settop(L, base + 5);
    lua_remove(L, base + 2); /* the decoder */
    lua_remove(L, base + 1); /* the environment, now behind the functions */
    return keep;
}

static int find(const struct mf_prepared *p, const struct mf_blob *code)
{
    for (int i = 0; i < p->n; i++)
        if (p->entries[i].code == code)
            return i;
    return -1;
}

/* Moves entry i to place at; those between move up or down by one. */
static void move(struct mf_prepared *p, int i, int at)
{
    struct mf_prepared_entry entry = p->entries[i];
    if (at < i)
        memmove(p->entries + at + 1, p->entries + at, (size_t)(i - at) * sizeof entry);
    else
        memmove(p->entries + i, p->entries + i + 1, (size_t)(at - i) * sizeof entry);
    p->entries[at] = entry;
}

/* Drops entry i; its slot becomes the first free one. */
static void drop(lua_State *L, struct mf_prepared *p, int i)
{
    push_values(L);
    for (int k = 1; k <= 3; k++) {
        lua_pushnil(L);
        lua_rawseti(L, -2, 3 * p->entries[i].slot + k);
    }
    lua_pop(L, 1);
    mf_blob_unref(p->entries[i].code);
    p->entries[i].code = NULL;
    move(p, i, --p->n);
}

/* Keeps the three values on top. */
static void keep_values(lua_State *L, struct mf_prepared *p, struct mf_blob *code)
{
    int first = lua_gettop(L) - 2;
    push_values(L);
    if (p->n == MF_PREPARED_MAX)
        drop(L, p, p->n - 1);
    for (int k = 0; k < 3; k++) {
        lua_pushvalue(L, first + k);
        lua_rawseti(L, -2, 3 * p->entries[p->n].slot + k + 1);
    }
    lua_pop(L, 1);
    p->entries[p->n].code = mf_blob_ref(code);
    move(p, p->n++, 0);
}

void mf_prepared_init(struct mf_prepared *p)
{
    p->n = 0;
    for (int i = 0; i < MF_PREPARED_MAX; i++)
        p->entries[i] = (struct mf_prepared_entry){.slot = i};
}

void mf_prepared_push(lua_State *L, struct mf_prepared *p, struct mf_blob *code, bool setup)
{
    int i = find(p, code);
    if (i < 0 || setup) {
        if (decode(L, code, setup))
            keep_values(L, p, code);
        return;
    }
    if (i > 0)
        move(p, i, 0);
    push_values(L);
    int slot = p->entries[0].slot;
    for (int k = 1; k <= 3; k++)
        lua_rawgeti(L, -k, 3 * slot + k);
    lua_remove(L, -4);
}

void mf_prepared_trim(lua_State *L, struct mf_prepared *p)
{
    for (int i = p->n - 1; i >= 0; i--)
        if (atomic_load_explicit(&p->entries[i].code->refs, memory_order_acquire) == 1)
            drop(L, p, i);
}

void mf_prepared_release(struct mf_prepared *p)
{
    while (p->n > 0)
        mf_blob_unref(p->entries[--p->n].code);
}

void mf_prepared_encode(lua_State *L, struct mf_buf *out, int fn, int fn2, int packages, bool keep,
                        const struct mf_encode_options *options)
{
    struct mf_encoder *e = mf_encode_begin(L, out, options);
    lua_pushnil(L);
    int nil = lua_gettop(L);
    mf_encode_value(L, e, fn, "function", 0);
    mf_encode_value(L, e, fn2 ? fn2 : nil, "second function", 0);
    mf_encode_value(L, e, packages ? packages : nil, "packages", 0);
    lua_pushboolean(L, keep);
    mf_encode_value(L, e, -1, "keep", 0);
    mf_encode_end(L, e);
    lua_pop(L, 3);
}
