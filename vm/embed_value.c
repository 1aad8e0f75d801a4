/* Values between C and Lua, in the host's words (moonfleet.h: struct mf_datum). */
#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

#include "embed.h"
#include "lib_array.h"

void mf_embed_push(lua_State *L, const struct mf_datum *d)
{
    switch (d->type) {
    case MF_TYPE_BOOLEAN:
        lua_pushboolean(L, d->boolean);
        break;
    case MF_TYPE_INTEGER:
        lua_pushinteger(L, (lua_Integer)d->integer);
        break;
    case MF_TYPE_NUMBER:
        lua_pushnumber(L, (lua_Number)d->number);
        break;
    case MF_TYPE_STRING:
        lua_pushlstring(L, d->string, d->len);
        break;
    case MF_TYPE_NUMBERS: {
        double *numbers = mf_lib_array_push(L, d->len);
        if (d->len)
            memcpy(numbers, d->numbers, d->len * sizeof *numbers);
        break;
    }
    default:
        lua_pushnil(L);
    }
}

/* Is the table at idx a list of numbers only? Then their count, else -1. */
static lua_Integer count_numbers(lua_State *L, int idx)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, idx), seen = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        if (lua_type(L, -1) == LUA_TNUMBER && lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1 &&
            lua_tointeger(L, -2) <= n) {
            seen++;
            continue;
        }
        lua_pop(L, 2);
        return -1;
    }
    return seen == n ? n : -1;
}

/* Pushes a userdata with the numbers of such a table. */
static const double *copy_numbers(lua_State *L, int idx, size_t n)
{
    double *numbers = lua_newuserdatauv(L, (n ? n : 1) * sizeof *numbers, 0);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, idx, (lua_Integer)i + 1);
        numbers[i] = lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    return numbers;
}

/* Pushes what keeps the numbers, or the value itself, when there are none. */
static void read_object(lua_State *L, int idx, struct mf_datum *d)
{
    lua_Integer n = lua_type(L, idx) == LUA_TTABLE ? count_numbers(L, idx) : -1;
    if (mf_lib_array_is(L, idx)) {
        d->type = MF_TYPE_NUMBERS;
        d->numbers = mf_lib_array_doubles(L, idx, &d->len);
    } else if (n >= 0) {
        d->type = MF_TYPE_NUMBERS;
        d->len = (size_t)n;
        d->numbers = copy_numbers(L, idx, d->len);
    } else {
        d->type = MF_TYPE_OTHER;
        d->string = luaL_typename(L, idx);
        lua_pushvalue(L, idx);
    }
}

void mf_embed_read(lua_State *L, int idx, struct mf_datum *d)
{
    luaL_checkstack(L, 6, NULL);
    idx = lua_absindex(L, idx);
    *d = mf_from_nil();
    switch (lua_type(L, idx)) {
    case LUA_TNIL:
    case LUA_TNONE:
        break;
    case LUA_TBOOLEAN:
        *d = mf_from_boolean(lua_toboolean(L, idx));
        break;
    case LUA_TNUMBER:
        *d = lua_isinteger(L, idx) ? mf_from_integer(lua_tointeger(L, idx)) : mf_from_number(lua_tonumber(L, idx));
        break;
    case LUA_TSTRING:
        d->type = MF_TYPE_STRING;
        d->string = lua_tolstring(L, idx, &d->len);
        break;
    default:
        read_object(L, idx, d);
        return;
    }
    lua_pushvalue(L, idx);
}
