/* Design note: lists and ranges are copied into a buffer, a userdata, so that no error leaks it; what holds doubles
 * itself is used where it lies. */
#include "numbers.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "lib_array.h"
#include "raise.h"

double *mf_numbers_buffer(lua_State *L, size_t n)
{
    if (n > SIZE_MAX / sizeof(double))
        luaL_error(L, "not enough memory");
    return lua_newuserdatauv(L, n ? n * sizeof(double) : 1, 0);
}

static void read_list(lua_State *L, int idx, const char *where, const char *what, struct mf_stats_view *out)
{
    size_t n = (size_t)lua_rawlen(L, idx);
    double *data = mf_numbers_buffer(L, n);
    for (size_t i = 0; i < n; i++) {
        int type = lua_rawgeti(L, idx, (lua_Integer)i + 1);
        if (type != LUA_TNUMBER)
            mf_raise(L, "%s: element %I of %s is %s%s, not a number", where, (LUAI_UACINT)i + 1, what,
                     type == LUA_TNIL ? "" : "a ", luaL_typename(L, -1));
        data[i] = lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    *out = (struct mf_stats_view){.data = data, .stride = 1, .n = n};
}

static lua_Number field(lua_State *L, int idx, const char *name)
{
    lua_pushstring(L, name);
    lua_rawget(L, idx);
    lua_Number x = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return x;
}

static void read_range(lua_State *L, int idx, struct mf_stats_view *out)
{
    size_t n = (size_t)field(L, idx, "n");
    double start = field(L, idx, "start"), step = field(L, idx, "step");
    double *data = mf_numbers_buffer(L, n);
    for (size_t i = 0; i < n; i++)
        data[i] = start + (double)i * step;
    *out = (struct mf_stats_view){.data = data, .stride = 1, .n = n};
}

/* Has it a metatable of that name? */
static bool is_named(lua_State *L, int idx, const char *name)
{
    if (luaL_getmetafield(L, idx, "__name") == LUA_TNIL)
        return false;
    const char *found = lua_tostring(L, -1);
    bool same = found && strcmp(found, name) == 0;
    lua_pop(L, 1);
    return same;
}

static void read_array(lua_State *L, int idx, struct mf_stats_view *out)
{
    out->data = mf_lib_array_read(L, idx, &out->n, &out->stride);
    if (out->data) {
        lua_pushvalue(L, idx);
        return;
    }
    out->data = mf_lib_array_doubles(L, idx, &out->n);
    out->stride = 1;
}

void mf_numbers_read(lua_State *L, int idx, const char *where, const char *what, struct mf_stats_view *out)
{
    idx = lua_absindex(L, idx);
    if (mf_lib_array_is(L, idx)) {
        read_array(L, idx, out);
        return;
    }
    if (!lua_istable(L, idx))
        mf_raise(L, "%s: %s must be a list, a range or an array of numbers, not a %s", where, what,
                 luaL_typename(L, idx));
    if (is_named(L, idx, "moonfleet.range"))
        read_range(L, idx, out);
    else
        read_list(L, idx, where, what, out);
}

const double *mf_numbers_contiguous(lua_State *L, const struct mf_stats_view *x)
{
    if (x->stride == 1) {
        lua_pushnil(L);
        return x->data;
    }
    double *copy = mf_numbers_buffer(L, x->n);
    for (size_t i = 0; i < x->n; i++)
        copy[i] = x->data[(ptrdiff_t)i * x->stride];
    return copy;
}

/* The columns of an array of two dimensions; an array of one is a column. */
static struct mf_stats_view *columns_of(lua_State *L, int idx, size_t *count)
{
    size_t n;
    const double *data = mf_lib_array_doubles(L, idx, &n);
    size_t rows = (size_t)luaL_len(L, idx), columns = rows ? n / rows : 1;
    struct mf_stats_view *views = lua_newuserdatauv(L, columns * sizeof *views, 0);
    for (size_t i = 0; i < columns; i++)
        views[i] = (struct mf_stats_view){.data = data + i, .stride = (ptrdiff_t)columns, .n = rows};
    *count = columns;
    return views;
}

struct mf_stats_view *mf_numbers_variables(lua_State *L, int idx, const char *where, const char *what, size_t *count)
{
    idx = lua_absindex(L, idx);
    if (mf_lib_array_is(L, idx))
        return columns_of(L, idx, count);
    size_t n = lua_istable(L, idx) ? (size_t)lua_rawlen(L, idx) : 0;
    if (n == 0)
        mf_raise(L, "%s: %s must be a list of variables, each a list of numbers", where, what);
    struct mf_stats_view *views = lua_newuserdatauv(L, n * sizeof *views, 0);
    luaL_checkstack(L, (int)(n < INT_MAX ? n : INT_MAX - 8) + 8, "too many variables");
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, idx, (lua_Integer)i + 1);
        lua_pushfstring(L, "variable %I of %s", (LUAI_UACINT)i + 1, what);
        mf_numbers_read(L, -2, where, lua_tostring(L, -1), &views[i]);
        lua_replace(L, -3);
        lua_pop(L, 1);
        if (views[i].n != views[0].n)
            mf_raise(L, "%s: variable %I of %s has %I numbers, the first has %I", where, (LUAI_UACINT)i + 1, what,
                     (LUAI_UACINT)views[i].n, (LUAI_UACINT)views[0].n);
    }
    *count = n;
    return views;
}

void mf_numbers_push(lua_State *L, const double *data, size_t n)
{
    lua_createtable(L, n < INT_MAX ? (int)n : INT_MAX, 0);
    for (size_t i = 0; i < n; i++) {
        lua_pushnumber(L, data[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}
