/* The index of package.loaded: address -> entry, an entry being a module or a field below another entry, at most
 * MF_NAMES_FIELDS deep, found breadth first so that the shortest path wins. Addresses hold nothing alive and may go
 * stale; so every hit is verified by walking the path and comparing.
 *
 * The index is built anew when require has loaded something since (counting package.loaded for each message costs more
 * than encoding a small function; it is done in a stock Lua, whose require is its own). What is put into package.loaded
 * by hand is noticed at the next require.
 *
 * A module that require could not find again elsewhere is not in the index: its values travel like any others. Of
 * the globals table only C functions count that are what they were when the state was opened; it is otherwise
 * the environment, and package.loaded itself is never walked, or it would name modules that must not be named. */
#include "names.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/buf.h"
#include "codec.h"
#include "ptrmap.h"

#define MAX_ENTRIES 65536

struct entry {
    int parent; /* -1: a module */
    int depth;
    uint32_t text, len; /* in the text buffer */
};

struct mf_names {
    struct mf_ptrmap map; /* address -> entry number */
    struct mf_buf entries, text;
    int count;
    bool watches;        /* nobody says when a module was loaded: look at package.loaded each time */
    uint64_t seen;       /* what it looked like then */
    bool current;        /* the index was built since a module was loaded */
    bool replaced;       /* functions were replaced since the index was built: one that is missing may be such */
    const void *globals; /* the globals table */
};

static const char registry_key;

static struct entry *entry_at(const struct mf_names *n, int i)
{
    return (struct entry *)(void *)n->entries.data + i;
}

static const char *text_of(const struct mf_names *n, const struct entry *e)
{
    return (const char *)n->text.data + e->text;
}

/* ---- the state's own ---- */

static int names_gc(lua_State *L)
{
    struct mf_names *n = lua_touserdata(L, 1);
    mf_ptrmap_release(&n->map);
    mf_buf_release(&n->entries);
    mf_buf_release(&n->text);
    return 0;
}

static void copy_strings_keyed(lua_State *L, int from, int to)
{
    lua_pushnil(L);
    while (lua_next(L, from)) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, to);
        } else {
            lua_pop(L, 1);
        }
    }
}

static void remember_globals(lua_State *L, int ud)
{
    lua_pushglobaltable(L);
    lua_newtable(L);
    copy_strings_keyed(L, lua_gettop(L) - 1, lua_gettop(L));
    lua_setiuservalue(L, ud, MF_NAMES_PRISTINE);
    ((struct mf_names *)lua_touserdata(L, ud))->globals = lua_topointer(L, -1);
    lua_setiuservalue(L, ud, MF_NAMES_BASE);
}

static struct mf_names *make(lua_State *L)
{
    struct mf_names *n = lua_newuserdatauv(L, sizeof *n, 5);
    int ud = lua_gettop(L);
    memset(n, 0, sizeof *n);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, names_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, ud);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, LUA_LOADLIBNAME);
    lua_setiuservalue(L, ud, MF_NAMES_PACKAGE);
    lua_setiuservalue(L, ud, MF_NAMES_LOADED);
    lua_newtable(L);
    lua_setiuservalue(L, ud, MF_NAMES_FOUND);
    remember_globals(L, ud);
    lua_pushvalue(L, ud);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
    return n;
}

struct mf_names *mf_names_push(lua_State *L)
{
    luaL_checkstack(L, 10, NULL);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key) == LUA_TUSERDATA)
        return lua_touserdata(L, -1);
    lua_pop(L, 1);
    return make(L);
}

const void *mf_names_globals(const struct mf_names *n)
{
    return n->globals;
}

void mf_codec_open(lua_State *L)
{
    mf_names_push(L);
    remember_globals(L, lua_gettop(L));
    lua_pop(L, 1);
}

static bool is_builtin(const char *module)
{
    static const char *const builtin[] = {
        LUA_GNAME,       LUA_COLIBNAME,   LUA_TABLIBNAME, LUA_IOLIBNAME,   LUA_OSLIBNAME, LUA_STRLIBNAME,
        LUA_UTF8LIBNAME, LUA_MATHLIBNAME, LUA_DBLIBNAME,  LUA_LOADLIBNAME, "moonfleet",
    };
    for (size_t i = 0; i < sizeof builtin / sizeof builtin[0]; i++)
        if (strcmp(module, builtin[i]) == 0)
            return true;
    return strncmp(module, "moonfleet.", 10) == 0;
}

/* Is the global on top, of that name, what the standard library has there, as far as can be told? */
static bool is_standard(lua_State *L, const char *name)
{
    static const char *const functions =
        " assert collectgarbage dofile error getmetatable ipairs load loadfile next pairs pcall print rawequal rawget "
        "rawlen rawset select setmetatable tonumber tostring type warn xpcall ";
    static const char *const always = " _G _VERSION require ";
    char word[32];
    if ((size_t)snprintf(word, sizeof word, " %s ", name) >= sizeof word)
        return false;
    if (strstr(always, word))
        return true;
    if (strstr(functions, word))
        return lua_iscfunction(L, -1);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, name);
    bool same = is_builtin(name) && lua_istable(L, -1) && lua_rawequal(L, -1, -3);
    lua_pop(L, 2);
    return same;
}

void mf_codec_open_stock(lua_State *L)
{
    struct mf_names *n = mf_names_push(L);
    int ud = lua_gettop(L);
    n->watches = true;
    lua_pushglobaltable(L);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, ud + 1);) {
        if (lua_type(L, -2) == LUA_TSTRING && is_standard(L, lua_tostring(L, -2))) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, ud + 2);
        } else {
            lua_pop(L, 1);
        }
    }
    lua_setiuservalue(L, ud, MF_NAMES_PRISTINE);
    lua_settop(L, ud - 1);
}

void mf_codec_adopt(lua_State *L, int base, int pristine)
{
    base = lua_absindex(L, base);
    pristine = lua_absindex(L, pristine);
    struct mf_names *n = mf_names_push(L);
    lua_pushvalue(L, pristine);
    lua_setiuservalue(L, -2, MF_NAMES_PRISTINE);
    lua_pushvalue(L, base);
    lua_setiuservalue(L, -2, MF_NAMES_BASE);
    n->globals = lua_topointer(L, base);
    n->replaced = true;
    lua_pop(L, 1);
}

void mf_codec_forget(lua_State *L)
{
    mf_names_push(L)->current = false;
    lua_pop(L, 1);
}

/* ---- can require find it again? ---- */

static bool on_path(lua_State *L, int package, const char *field, const char *module)
{
    bool found = false;
    lua_getfield(L, package, "searchpath");
    lua_pushstring(L, module);
    lua_getfield(L, package, field);
    if (lua_isfunction(L, -3) && lua_isstring(L, -1) && lua_pcall(L, 2, 1, 0) == LUA_OK)
        found = lua_isstring(L, -1);
    return found;
}

static bool has_preload(lua_State *L, int package, const char *module)
{
    lua_getfield(L, package, "preload");
    return lua_istable(L, -1) && (lua_pushstring(L, module), lua_rawget(L, -2) != LUA_TNIL);
}

static bool search(lua_State *L, int package, const char *module)
{
    if (!lua_istable(L, package))
        return false;
    if (has_preload(L, package, module) || on_path(L, package, "path", module) || on_path(L, package, "cpath", module))
        return true;
    const char *dot = strchr(module, '.');
    if (!dot)
        return false;
    lua_pushlstring(L, module, (size_t)(dot - module)); /* a C library may hold its submodules */
    return on_path(L, package, "cpath", lua_tostring(L, -1));
}

static bool findable(lua_State *L, int ud, const char *module)
{
    if (is_builtin(module))
        return true;
    int top = lua_gettop(L);
    luaL_checkstack(L, 12, NULL);
    lua_getiuservalue(L, ud, MF_NAMES_FOUND);
    lua_getfield(L, -1, module);
    bool found = lua_toboolean(L, -1);
    if (!found) {
        lua_getiuservalue(L, ud, MF_NAMES_PACKAGE);
        found = search(L, lua_gettop(L), module);
        if (found) {
            lua_pushboolean(L, 1);
            lua_setfield(L, top + 1, module);
        }
    }
    lua_settop(L, top);
    return found;
}

/* ---- the index ---- */

struct build {
    struct mf_names *n;
    int ud, values;        /* stack: the userdata; entry number + 1 -> value while building */
    const void *barred[2]; /* package.loaded and package.preload */
};

static bool can_be_named(lua_State *L, int idx)
{
    int t = lua_type(L, idx);
    return t == LUA_TTABLE || t == LUA_TFUNCTION;
}

/* Adds the value on the top under the string key below it. */
static void add(lua_State *L, struct build *b, int parent, int depth)
{
    struct mf_names *n = b->n;
    bool fresh;
    size_t len;
    const char *text = lua_tolstring(L, -2, &len);
    if (n->count >= MAX_ENTRIES || len > 1000)
        return;
    struct mf_ptrslot *slot = mf_ptrmap_put(&n->map, lua_topointer(L, -1), (uint32_t)n->count, &fresh);
    struct entry e = {.parent = parent, .depth = depth, .text = (uint32_t)n->text.len, .len = (uint32_t)len};
    if (slot && !fresh)
        return;
    if (!slot || !mf_buf_append(&n->entries, &e, sizeof e) || !mf_buf_append(&n->text, text, len + 1))
        luaL_error(L, "not enough memory");
    n->count++;
    lua_pushvalue(L, -1);
    lua_rawseti(L, b->values, n->count);
}

static void add_fields(lua_State *L, struct build *b, int parent, int depth)
{
    int table = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (lua_type(L, -2) == LUA_TSTRING && can_be_named(L, -1))
            add(L, b, parent, depth);
        lua_pop(L, 1);
    }
}

static void add_pristine(lua_State *L, struct build *b, int parent, int depth)
{
    int globals = lua_gettop(L);
    lua_getiuservalue(L, b->ud, MF_NAMES_PRISTINE);
    lua_pushnil(L);
    while (lua_next(L, globals + 1)) {
        lua_pushvalue(L, -2);
        lua_rawget(L, globals);
        if (lua_iscfunction(L, -1) && lua_rawequal(L, -1, -2)) {
            lua_pop(L, 1);
            add(L, b, parent, depth);
            lua_pop(L, 1);
        } else {
            lua_pop(L, 2);
        }
    }
    lua_pop(L, 1);
}

static void add_modules(lua_State *L, struct build *b)
{
    lua_getiuservalue(L, b->ud, MF_NAMES_LOADED);
    int loaded = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, loaded)) {
        if (lua_type(L, -2) == LUA_TSTRING && can_be_named(L, -1) && findable(L, b->ud, lua_tostring(L, -2)))
            add(L, b, -1, 0);
        lua_pop(L, 1);
    }
    b->barred[0] = lua_topointer(L, loaded);
    lua_getiuservalue(L, b->ud, MF_NAMES_PACKAGE);
    if (lua_istable(L, -1)) {
        lua_getfield(L, -1, "preload");
        b->barred[1] = lua_topointer(L, -1);
    }
    lua_settop(L, loaded - 1);
}

static void descend(lua_State *L, struct build *b)
{
    for (int i = 0; i < b->n->count; i++) {
        int depth = entry_at(b->n, i)->depth;
        const void *p = NULL;
        if (lua_rawgeti(L, b->values, i + 1) == LUA_TTABLE)
            p = lua_topointer(L, -1);
        if (!p || depth == MF_NAMES_FIELDS)
            ; /* nothing below it is named */
        else if (p == b->n->globals)
            add_pristine(L, b, i, depth + 1);
        else if (p != b->barred[0] && p != b->barred[1])
            add_fields(L, b, i, depth + 1);
        lua_pop(L, 1);
    }
}

/* Has a module been loaded, dropped or replaced? The sum over package.loaded does not depend on the order. */
static void look(lua_State *L, int ud, struct mf_names *n)
{
    uint64_t seen = 1;
    lua_getiuservalue(L, ud, MF_NAMES_LOADED);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        seen += ((uintptr_t)lua_topointer(L, -1) + 1) * UINT64_C(0x9e3779b97f4a7c15);
    lua_pop(L, 1);
    n->current &= seen == n->seen;
    n->seen = seen;
}

void mf_names_refresh(lua_State *L, int ud)
{
    struct mf_names *n = lua_touserdata(L, ud);
    luaL_checkstack(L, 12, NULL);
    if (n->watches)
        look(L, ud, n);
    if (n->current)
        return;
    mf_ptrmap_clear(&n->map);
    n->entries.len = n->text.len = 0;
    n->count = 0;
    lua_newtable(L);
    struct build b = {.n = n, .ud = ud, .values = lua_gettop(L)};
    add_modules(L, &b);
    descend(L, &b);
    lua_pop(L, 1);
    n->current = true;
    n->replaced = false;
}

/* Pushes what the entry names now, nil when there is no such thing any more. */
static void push_named(lua_State *L, int ud, const struct mf_names *n, int i)
{
    const struct entry *e = entry_at(n, i);
    if (e->parent < 0)
        lua_getiuservalue(L, ud, MF_NAMES_LOADED);
    else
        push_named(L, ud, n, e->parent);
    if (lua_istable(L, -1)) {
        lua_pushlstring(L, text_of(n, e), e->len);
        lua_rawget(L, -2);
    } else {
        lua_pushnil(L);
    }
    lua_remove(L, -2);
}

/* The slot of the value at idx, or NULL. Most that is looked up is not there, so the index is only built anew after
 * functions were replaced when one is missing. */
static struct mf_ptrslot *find_slot(lua_State *L, int ud, int idx)
{
    struct mf_names *n = lua_touserdata(L, ud);
    struct mf_ptrslot *slot = mf_ptrmap_get(&n->map, lua_topointer(L, idx));
    if (slot || !n->replaced || !lua_iscfunction(L, idx))
        return slot;
    n->current = false;
    mf_names_refresh(L, ud);
    return mf_ptrmap_get(&n->map, lua_topointer(L, idx));
}

int mf_names_find(lua_State *L, int ud, int idx, struct mf_name_part parts[MF_NAMES_FIELDS + 1])
{
    struct mf_names *n = lua_touserdata(L, ud);
    struct mf_ptrslot *slot = find_slot(L, ud, idx);
    if (!slot)
        return 0;
    int i = (int)slot->number;
    idx = lua_absindex(L, idx);
    luaL_checkstack(L, MF_NAMES_FIELDS + 4, NULL);
    push_named(L, ud, n, i);
    bool same = lua_rawequal(L, -1, idx);
    lua_pop(L, 1);
    if (!same)
        return 0;
    int count = entry_at(n, i)->depth + 1;
    for (int k = count; i >= 0; i = entry_at(n, i)->parent)
        parts[--k] = (struct mf_name_part){text_of(n, entry_at(n, i)), entry_at(n, i)->len};
    return count;
}

/* ---- the standard library's names ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

bool mf_names_is_plain(const char *global)
{
    static const char *const plain[] = {
        "_VERSION",    "assert",        "collectgarbage", LUA_COLIBNAME,  "error",       "getmetatable",
        LUA_IOLIBNAME, "ipairs",        LUA_MATHLIBNAME,  "next",         LUA_OSLIBNAME, "pairs",
        "pcall",       "print",         "rawequal",       "rawget",       "rawlen",      "rawset",
        "select",      "setmetatable",  LUA_STRLIBNAME,   LUA_TABLIBNAME, "tonumber",    "tostring",
        "type",        LUA_UTF8LIBNAME, "warn",           "xpcall",
    }; /* in order */
    return bsearch(global, plain, sizeof plain / sizeof *plain, sizeof *plain, by_text) != NULL;
}

bool mf_names_is_standard(const struct mf_name_part *parts, int count)
{
    return mf_names_is_plain(parts[count > 1 && strcmp(parts[0].text, LUA_GNAME) == 0].text);
}
