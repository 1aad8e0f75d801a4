/* Globals are found by scanning bytecode and written behind the top-level value that needs them, because a value can
 * only be written between values. So what is found is queued, name and value as they are at that moment; writing
 * one may reach functions that name more. A name is looked up once in each environment.
 *
 * The queue is a Lua table of triples: environment, name, value (nil: the receiver has it itself). */
#include "encoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define KEEP_SEEN  64 /* environments whose storage is kept for the next message */
#define SHORT_NAME 40 /* as in encode.c */

struct look {
    lua_State *L;
    struct mf_encoder *e;
    uint32_t env;
    int table;  /* stack index of the environment, 0 when only overrides count */
    bool plain; /* raw access is enough */
};

/* ---- environments ---- */

static bool ensure_seen(struct mf_encoder *e, uint32_t env)
{
    if (env < e->seen_cap)
        return true;
    uint32_t cap = env + 4;
    struct mf_ptrmap *seen = realloc(e->seen, cap * sizeof *seen);
    if (!seen)
        return false;
    memset(seen + e->seen_cap, 0, (cap - e->seen_cap) * sizeof *seen);
    e->seen = seen;
    e->seen_cap = cap;
    return true;
}

void mf_encoder_globals_clear(struct mf_encoder *e)
{
    if (e->seen_cap > KEEP_SEEN)
        mf_encoder_globals_release(e);
    for (uint32_t i = 0; i < e->seen_cap; i++)
        mf_ptrmap_clear(&e->seen[i]);
}

void mf_encoder_globals_release(struct mf_encoder *e)
{
    for (uint32_t i = 0; i < e->seen_cap; i++)
        mf_ptrmap_release(&e->seen[i]);
    free(e->seen);
    e->seen = NULL;
    e->seen_cap = 0;
}

uint32_t mf_encoder_env(lua_State *L, struct mf_encoder *e, int idx, const char *upvalue)
{
    const void *p = lua_topointer(L, idx);
    if (lua_type(L, idx) != LUA_TTABLE)
        return 0;
    if (p == e->globals || p == e->globals2)
        return 1;
    struct mf_ptrslot *slot = mf_ptrmap_get(&e->objects, p);
    if (slot)
        return slot->number & MF_ENV_MARK ? (slot->number & MF_MAX_IDS) + 1 : 0;
    bool fresh;
    if (strcmp(upvalue, "_ENV") != 0)
        return 0;
    if (!mf_ptrmap_put(&e->objects, p, ++e->env_count | MF_ENV_MARK, &fresh))
        luaL_error(L, "not enough memory to encode the function");
    return e->env_count + 1;
}

/* ---- finding ---- */

static void queue(lua_State *L, struct mf_encoder *e, uint32_t env, int name, int value)
{
    if (lua_getiuservalue(L, SLOT_ENCODER, KEEP_QUEUE) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, SLOT_ENCODER, KEEP_QUEUE);
    }
    lua_pushinteger(L, (lua_Integer)env);
    lua_rawseti(L, -2, ++e->queue_tail);
    lua_pushvalue(L, name);
    lua_rawseti(L, -2, ++e->queue_tail);
    e->queue_tail++;
    if (value) {
        lua_pushvalue(L, value);
        lua_rawseti(L, -2, e->queue_tail);
    } else if (!mf_names_is_plain(lua_tostring(L, name))) {
        mf_encode_modules(e);
    }
    lua_pop(L, 1);
}

static int get_field(lua_State *L)
{
    lua_gettable(L, 1);
    return 1;
}

/* Pushes the value that the name at idx has: the caller's, or the environment's; nil when it has none. */
static void push_value(lua_State *L, const struct look *k, int name)
{
    if (lua_istable(L, SLOT_GLOBALS)) {
        lua_pushvalue(L, name);
        if (lua_rawget(L, SLOT_GLOBALS) != LUA_TNIL)
            return;
        lua_pop(L, 1);
    }
    if (!k->table) {
        lua_pushnil(L);
        return;
    }
    lua_pushvalue(L, name);
    if (lua_rawget(L, k->table) != LUA_TNIL || k->plain)
        return;
    lua_pop(L, 1);
    lua_pushcfunction(L, get_field);
    lua_pushvalue(L, k->table);
    lua_pushvalue(L, name);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
}

static bool equals_in(lua_State *L, int table, int name, int value)
{
    lua_pushvalue(L, name);
    lua_rawget(L, table);
    bool same = lua_rawequal(L, -1, value);
    lua_pop(L, 1);
    return same;
}

static bool receiver_has(lua_State *L, int name, int value)
{
    lua_getiuservalue(L, SLOT_NAMES, MF_NAMES_PRISTINE);
    bool same = equals_in(L, lua_gettop(L), name, value);
    lua_pop(L, 1);
    return same || (lua_istable(L, SLOT_SKIP) && equals_in(L, SLOT_SKIP, name, value));
}

static bool is_first(lua_State *L, const struct look *k, int name)
{
    bool fresh = false;
    size_t len;
    const char *s = lua_tolstring(L, name, &len);
    if (len > SHORT_NAME) /* equal long strings have many addresses; to send a name twice does no harm */
        return true;
    if (!ensure_seen(k->e, k->env) || !mf_ptrmap_put(&k->e->seen[k->env], s, 0, &fresh))
        luaL_error(L, "not enough memory to look up globals");
    return fresh;
}

/* The name is on the top of the stack, and is popped. */
static void look_up(lua_State *L, const struct look *k)
{
    int name = lua_gettop(L);
    if (is_first(L, k, name)) {
        push_value(L, k, name);
        if (!lua_isnil(L, -1))
            queue(L, k->e, k->env, name, receiver_has(L, name, name + 1) ? 0 : name + 1);
    }
    lua_settop(L, name - 1);
}

static void found(void *ud, const char *name, size_t len)
{
    const struct look *k = ud;
    if (k->e->no_scan)
        return;
    lua_pushlstring(k->L, name, len);
    look_up(k->L, k);
}

static void note_traits(struct mf_encoder *e, unsigned traits)
{
    if (traits & (MF_ENGINE_SETS_GLOBAL | MF_ENGINE_SETS_UPVALUE))
        e->flags &= ~(unsigned)MF_CODEC_CLOSED;
    if (traits & MF_ENGINE_USES_ENV)
        mf_encode_modules(e);
}

/* Scans for the names in one environment, that of upvalue number at. */
static void scan_env(lua_State *L, struct mf_encoder *e, int f, size_t offset, size_t len, const uint32_t *envs,
                     int upvalues, int at)
{
    bool mask[256];
    struct look k = {.L = L, .e = e, .env = envs[at] - 1, .plain = envs[at] == 1};
    for (int i = 0; i < upvalues; i++)
        mask[i] = envs[i] == envs[at];
    if (!e->have_main) {
        e->have_main = true;
        e->main_env = k.env;
    }
    lua_getupvalue(L, f, at + 1);
    k.table = lua_gettop(L);
    if (lua_topointer(L, k.table) != e->globals)
        k.plain = false;
    note_traits(e, mf_engine_scan(e->out->data + offset, len, mask, upvalues, found, &k));
    lua_pop(L, 1);
}

static void found_nothing(void *ud, const char *name, size_t len)
{
    (void)ud;
    (void)name;
    (void)len;
}

void mf_encoder_scan(lua_State *L, struct mf_encoder *e, int idx, size_t offset, size_t len, int upvalues)
{
    uint32_t envs[256];
    int found_envs = 0;
    for (int i = 0; i < upvalues; i++) {
        const char *name = lua_getupvalue(L, idx, i + 1);
        envs[i] = mf_encoder_env(L, e, -1, name ? name : "");
        lua_pop(L, 1);
    }
    for (int i = 0; i < upvalues; i++) {
        bool first = envs[i] != 0;
        for (int j = 0; first && j < i; j++)
            first = envs[j] != envs[i];
        if (first) {
            scan_env(L, e, idx, offset, len, envs, upvalues, i);
            found_envs++;
        }
    }
    if (found_envs == 0 && (e->flags & MF_CODEC_CLOSED)) {
        bool none[256] = {false};
        note_traits(e, mf_engine_scan(e->out->data + offset, len, none, upvalues, found_nothing, NULL));
    }
}

/* The caller's globals count whether a function names them or not. */
static void queue_overrides(lua_State *L, struct mf_encoder *e)
{
    struct look k = {.L = L, .e = e, .env = e->main_env};
    lua_pushnil(L);
    while (lua_next(L, SLOT_GLOBALS)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING) {
            lua_pushvalue(L, -1);
            look_up(L, &k);
        }
    }
}

/* ---- writing, and the limit ---- */

static void readable(char *text, size_t size, size_t bytes)
{
    static const char *const units[] = {"bytes", "KB", "MB", "GB"};
    double x = (double)bytes;
    int u = 0;
    for (; x >= 1024 && u < 3; u++)
        x /= 1024;
    snprintf(text, size, x < 10 && u > 0 ? "%.1f %s" : "%.0f %s", x, units[u]);
}

static void note_size(struct mf_encoder *e, size_t bytes)
{
    int i = MF_LARGEST - 1;
    if (bytes <= e->largest[i].bytes)
        return;
    for (; i > 0 && e->largest[i - 1].bytes < bytes; i--)
        e->largest[i] = e->largest[i - 1];
    e->largest[i].bytes = bytes;
    snprintf(e->largest[i].name, sizeof e->largest[i].name, "%s", e->global ? e->global : "?");
}

static void refuse_size(lua_State *L, struct mf_encoder *e, size_t so_far)
{
    char size[32];
    luaL_Buffer b;
    luaL_checkstack(L, 20, NULL);
    note_size(e, so_far);
    readable(size, sizeof size, e->limit);
    luaL_buffinit(L, &b);
    luaL_addstring(&b, "the globals that the function needs are larger than ");
    luaL_addstring(&b, size);
    for (int i = 0; i < MF_LARGEST && e->largest[i].bytes > 0; i++) {
        readable(size, sizeof size, e->largest[i].bytes);
        luaL_addstring(&b, i == 0 ? " (the largest: '" : ", '");
        luaL_addstring(&b, e->largest[i].name);
        luaL_addstring(&b, "' ");
        luaL_addstring(&b, size);
        if (so_far && e->global && strcmp(e->global, e->largest[i].name) == 0)
            luaL_addstring(&b, " and more");
    }
    luaL_addstring(&b, "); pass large values as arguments, or raise globals_max");
    luaL_pushresult(&b);
    lua_error(L);
}

void mf_encoder_check_limit(lua_State *L, struct mf_encoder *e)
{
    if (!e->item)
        return;
    size_t so_far = e->out->len - e->item + e->live_bytes;
    if (so_far > e->limit - e->used)
        refuse_size(L, e, so_far);
}

/* Stack: the queue, name, value; the last two are popped. */
static void put_global(lua_State *L, struct mf_encoder *e, uint32_t env)
{
    size_t len;
    const char *name = lua_tolstring(L, -2, &len);
    bool std = lua_isnil(L, -1);
    e->global = name;
    e->item = e->out->len;
    e->live_bytes = 0;
    mf_encoder_byte(L, e, std ? MF_TAG_STD : MF_TAG_GLOBAL);
    mf_encoder_varint(L, e, env);
    mf_encoder_text(L, e, name, len);
    if (std) {
        lua_pop(L, 1);
    } else {
        if (env == 0)
            e->flags |= MF_CODEC_GLOBALS;
        mf_encoder_value(L, e);
    }
    mf_encoder_check_limit(L, e);
    size_t bytes = e->out->len - e->item + e->live_bytes;
    note_size(e, bytes);
    e->used += bytes;
    e->item = 0;
    e->global = NULL;
    lua_pop(L, 1);
}

void mf_encoder_globals(lua_State *L, struct mf_encoder *e)
{
    if (!e->overridden && lua_istable(L, SLOT_GLOBALS))
        queue_overrides(L, e);
    e->overridden = true;
    while (e->queue_head < e->queue_tail) {
        if (e->queue_head == 0)
            memset(e->largest, 0, sizeof e->largest);
        lua_getiuservalue(L, SLOT_ENCODER, KEEP_QUEUE);
        int q = lua_gettop(L);
        lua_rawgeti(L, q, ++e->queue_head);
        uint32_t env = (uint32_t)lua_tointeger(L, -1);
        lua_pop(L, 1);
        lua_rawgeti(L, q, ++e->queue_head);
        lua_rawgeti(L, q, ++e->queue_head);
        put_global(L, e, env);
        lua_pop(L, 1);
    }
}
