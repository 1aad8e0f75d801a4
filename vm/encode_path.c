/* The path of the value at hand, read off the frames: the innermost function's upvalue or the top-level value comes
 * first, the keys below it follow. Long paths keep their two ends. */
#include "encoder.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_KEYS 8 /* at each end of a long path */

static void add_name(luaL_Buffer *b, const char *s, size_t len)
{
    bool plain = len > 0 && len <= 40 && !isdigit((unsigned char)s[0]);
    for (size_t i = 0; plain && i < len; i++)
        plain = isalnum((unsigned char)s[i]) || s[i] == '_';
    luaL_addstring(b, plain ? "." : "[\"");
    for (size_t i = 0; i < len && i < 40; i++)
        luaL_addchar(b, isprint((unsigned char)s[i]) ? s[i] : '?');
    luaL_addstring(b, plain ? "" : len > 40 ? "...\"]" : "\"]");
}

static void add_key(lua_State *L, luaL_Buffer *b, int idx)
{
    char text[64];
    size_t len;
    const char *s;
    switch (lua_type(L, idx)) {
    case LUA_TSTRING:
        s = lua_tolstring(L, idx, &len);
        add_name(b, s, len);
        return;
    case LUA_TNUMBER:
        if (lua_isinteger(L, idx))
            snprintf(text, sizeof text, "[%lld]", (long long)lua_tointeger(L, idx));
        else
            snprintf(text, sizeof text, "[%.17g]", lua_tonumber(L, idx));
        break;
    case LUA_TBOOLEAN:
        snprintf(text, sizeof text, "[%s]", lua_toboolean(L, idx) ? "true" : "false");
        break;
    default:
        snprintf(text, sizeof text, "[%s]", luaL_typename(L, idx));
    }
    luaL_addstring(b, text);
}

static void add_step(lua_State *L, luaL_Buffer *b, const struct mf_frame *f)
{
    char text[32];
    switch (f->phase) {
    case TABLE_DIRECT:
    case TABLE_ARRAY:
    case TABLE_FILL:
        snprintf(text, sizeof text, "[%llu]", (unsigned long long)f->at);
        luaL_addstring(b, text);
        break;
    case TABLE_VALUE:
        luaL_addstring(b, " (a key)");
        break;
    case TABLE_META:
        luaL_addstring(b, " (its metatable)");
        break;
    case USER_SAVED:
        luaL_addstring(b, " (its __load)");
        break;
    case USER_DONE:
        luaL_addstring(b, " (its __save)");
        break;
    default:
        add_key(L, b, f->base + 1);
    }
}

static size_t innermost_function(const struct mf_encoder *e)
{
    size_t i = e->depth;
    while (i > 0 && e->frames[i - 1].kind != FRAME_FUNC)
        i--;
    return i;
}

/* Pushes the head of the path; *tail is what follows the keys. */
static void push_head(lua_State *L, const struct mf_encoder *e, const struct mf_frame *f, const char **tail)
{
    *tail = "";
    if (f && f->at > 0) {
        lua_Debug ar;
        lua_pushvalue(L, f->base);
        lua_getinfo(L, ">S", &ar);
        *tail = lua_pushfstring(L, " of function at %s:%d", ar.short_src, ar.linedefined);
        const char *name = lua_getupvalue(L, f->base, (int)f->at);
        lua_pushfstring(L, "upvalue '%s'", name && *name ? name : "?");
    } else if (e->global) {
        lua_pushfstring(L, "global '%s'", e->global);
    } else if (e->number) {
        lua_pushfstring(L, "%s %I", e->what, (LUAI_UACINT)e->number);
    } else {
        lua_pushstring(L, e->what);
    }
}

static void push_path(lua_State *L, const struct mf_encoder *e)
{
    const char *tail;
    luaL_Buffer b;
    size_t first = innermost_function(e);
    push_head(L, e, first ? &e->frames[first - 1] : NULL, &tail);
    const char *head = lua_tostring(L, -1);
    luaL_buffinit(L, &b);
    luaL_addstring(&b, head);
    for (size_t i = first; i < e->depth; i++) {
        if (i == first + SHOWN_KEYS && e->depth > first + 2 * SHOWN_KEYS) {
            luaL_addstring(&b, " ... ");
            i = e->depth - SHOWN_KEYS;
        }
        add_step(L, &b, &e->frames[i]);
    }
    luaL_addstring(&b, tail);
    luaL_pushresult(&b);
}

void mf_encoder_refuse(lua_State *L, struct mf_encoder *e, const char *thing, const char *tail)
{
    luaL_checkstack(L, 20, NULL);
    push_path(L, e);
    lua_pushfstring(L, "cannot send %s (%s)%s", thing, lua_tostring(L, -1), tail);
    lua_error(L);
    abort(); /* lua_error does not return */
}

/* What the value at idx is, in words; may push. */
static const char *describe(lua_State *L, int idx)
{
    switch (lua_type(L, idx)) {
    case LUA_TTHREAD:
        return "a coroutine";
    case LUA_TLIGHTUSERDATA:
        return "a light userdata";
    case LUA_TUSERDATA:
        if (luaL_testudata(L, idx, LUA_FILEHANDLE))
            return "a file handle";
        if (luaL_getmetafield(L, idx, "__name") == LUA_TSTRING)
            return lua_pushfstring(L, "a userdata '%s'", lua_tostring(L, -1));
        return "a userdata";
    default:
        return "a table";
    }
}

void mf_encoder_refuse_value(lua_State *L, struct mf_encoder *e, int idx, const char *why)
{
    luaL_checkstack(L, 20, NULL);
    mf_encoder_refuse(L, e, describe(L, idx), why);
}
