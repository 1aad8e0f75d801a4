/* Design note: decoding a function costs about a microsecond and decoding what a map's function has captured may cost
 * seconds, so neither is done twice without need. A blob is its own key: the cache holds a reference, so its address
 * is not used again, and a reference count of one says that its map is over.
 *
 * What the encoder found closed (codec.h) is kept as it is: nothing that a call does can be seen by the next, unless it
 * can reach the environment by name (load, _G, ...). Other code is decoded anew for each task, so that every future and
 * every chunk begins with copies of its own. Only a map's code that is too large for that is kept for all its chunks;
 * then the globals are put back before each, while captured tables stay as the chunk before has left them. */
#include "codec.h"
#include "prepared.h"

#include <lauxlib.h>
#include <string.h>

#include "instance.h"
#include "registry.h"

#define LARGE  ((size_t)64 * 1024) /* bytes of a map's code that are not decoded for each chunk */
#define VALUES 4                   /* in a slot: function, second function, environment, its first content or false */

static const char values_key; /* registry: table of slots */
static const char meta_key;   /* registry: metatable of environments */

static void make_values(lua_State *L)
{
    lua_createtable(L, VALUES * MF_PREPARED_MAX, 0);
}

/* The metatable of environments; the table that they inherit is on top, and popped. */
static void make_meta(lua_State *L)
{
    lua_createtable(L, 0, 1);
    lua_insert(L, -2);
    lua_setfield(L, -2, "__index");
}

static void push_values(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &values_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    make_values(L);
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
        mf_instance_push_base(L);
        make_meta(L);
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
    static const char *const ways[] = {"load",    "loadfile",     "dofile",      "debug",
                                       "require", "setmetatable", "getmetatable"};
    bool reachable = false;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && !reachable; i++) {
        lua_pushstring(L, ways[i]);
        reachable = lua_rawget(L, idx) != LUA_TNIL;
        lua_pop(L, 1);
    }
    return reachable;
}

enum keeping { KEEP_NOT, KEEP_AS_IS, KEEP_AND_RESTORE };

/* Decodes the message; leaves function, second function, environment. */
static enum keeping decode(lua_State *L, const struct mf_blob *code, bool setup, bool live)
{
    int base = lua_gettop(L);
    if (setup)
        mf_instance_push_base(L);
    else
        push_environment(L);
    int env = lua_gettop(L);
    struct mf_decode_options options = {.trust = true, .env = env, .live = live, .holds = code->holds};
    struct mf_decoder *d = mf_decode_begin(L, code->data, code->len, &options);
    for (int i = 0; i < 4; i++)
        mf_decode_value(L, d);
    bool closed = mf_decode_flags(d) & MF_CODEC_CLOSED;
    bool keep = lua_toboolean(L, -1);
    mf_decode_end(L, d);
    require_packages(L, lua_gettop(L) - 1);
    closed = closed && !is_reachable(L, env);
    lua_pushvalue(L, env);
    lua_replace(L, base + 5);
    lua_settop(L, base + 5);
    lua_remove(L, base + 2); /* the decoder */
    lua_remove(L, base + 1); /* the environment, now behind the functions */
    if (setup || !(closed || (keep && code->len > LARGE)))
        return KEEP_NOT;
    return closed ? KEEP_AS_IS : KEEP_AND_RESTORE;
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
    for (int k = 1; k <= VALUES; k++) {
        lua_pushboolean(L, 0);
        lua_rawseti(L, -2, VALUES * p->entries[i].slot + k);
    }
    lua_pop(L, 1);
    mf_blob_unref(p->entries[i].code);
    p->entries[i].code = NULL;
    move(p, i, --p->n);
}

/* Copies all fields of the table at from into the one at to, both without metamethods. */
static void copy_fields(lua_State *L, int from, int to)
{
    for (lua_pushnil(L); lua_next(L, from); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, to);
    }
}

/* Gives the environment at env the fields of the table at content, and no others. */
static void restore(lua_State *L, int env, int content)
{
    for (lua_pushnil(L); lua_next(L, env); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushnil(L);
        lua_rawset(L, env);
    }
    copy_fields(L, content, env);
}

/* Keeps the three values on top. */
static void keep_values(lua_State *L, struct mf_prepared *p, struct mf_blob *code, enum keeping keeping)
{
    int first = lua_gettop(L) - 2;
    if (p->n == MF_PREPARED_MAX)
        drop(L, p, p->n - 1);
    if (keeping == KEEP_AND_RESTORE) {
        lua_newtable(L);
        copy_fields(L, first + 2, first + 3);
    } else {
        lua_pushboolean(L, 0);
    }
    push_values(L);
    for (int k = 0; k < VALUES; k++) {
        lua_pushvalue(L, first + k);
        lua_rawseti(L, -2, VALUES * p->entries[p->n].slot + k + 1);
    }
    lua_pop(L, 2);
    p->entries[p->n].code = mf_blob_ref(code);
    move(p, p->n++, 0);
}

/* Pushes the values of the entry in front. */
static void push_kept(lua_State *L, const struct mf_prepared *p)
{
    int slot = p->entries[0].slot, base = lua_gettop(L) + 1;
    push_values(L);
    for (int k = 1; k <= VALUES; k++)
        lua_rawgeti(L, base, VALUES * slot + k);
    if (lua_istable(L, -1))
        restore(L, base + 3, base + 4);
    lua_settop(L, base + 3);
    lua_remove(L, base);
}

void mf_prepared_init(struct mf_prepared *p)
{
    p->n = 0;
    for (int i = 0; i < MF_PREPARED_MAX; i++)
        p->entries[i] = (struct mf_prepared_entry){.slot = i};
}

void mf_prepared_make(lua_State *L, int base)
{
    mf_registry_reserve(L, &values_key);
    mf_registry_reserve(L, &meta_key);
    make_values(L);
    lua_pushvalue(L, base);
    make_meta(L);
}

void mf_prepared_install(lua_State *L, int parts)
{
    lua_pushvalue(L, parts);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &values_key);
    lua_pushvalue(L, parts + 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &meta_key);
}

void mf_prepared_push(lua_State *L, struct mf_prepared *p, struct mf_blob *code, bool setup)
{
    int i = find(p, code);
    if (i >= 0 && !setup) {
        if (i > 0)
            move(p, i, 0);
        push_kept(L, p);
        return;
    }
    enum keeping keeping = decode(L, code, setup, p->live);
    if (keeping != KEEP_NOT)
        keep_values(L, p, code, keeping);
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
    if (packages)
        mf_encode_modules(e);
    lua_pushboolean(L, keep);
    mf_encode_value(L, e, -1, "keep", 0);
    mf_encode_end(L, e);
    lua_pop(L, 3);
}
