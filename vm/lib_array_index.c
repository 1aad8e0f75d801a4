/* Arrays as Lua uses tables: a[i], a[i] = v, #a, pairs, and elements by several indices. */
#include <string.h>

#include "lib_array_box.h"

/* --- Reading ----------------------------------------------------------------------------------------------------- */

static void push_shape(lua_State *L, const struct mf_array *a)
{
    lua_createtable(L, a->ndim, 0);
    for (int i = 0; i < a->ndim; i++) {
        lua_pushinteger(L, (lua_Integer)a->shape[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

static int push_field(lua_State *L, const struct mf_array *a, const char *name)
{
    if (strcmp(name, "shape") == 0)
        push_shape(L, a);
    else if (strcmp(name, "dtype") == 0)
        lua_pushstring(L, mf_dtypes[a->dtype].name);
    else if (strcmp(name, "size") == 0)
        lua_pushinteger(L, (lua_Integer)a->count);
    else if (strcmp(name, "ndim") == 0)
        lua_pushinteger(L, a->ndim);
    else
        lua_pushnil(L);
    return 1;
}

/* Methods stand in the upvalue. What is out of range is nil, so that ipairs ends. */
static int array_index(lua_State *L)
{
    int is_integer;
    struct mf_array *a = mf_lib_array_check(L, 1);
    lua_Integer i = lua_type(L, 2) == LUA_TNUMBER ? lua_tointegerx(L, 2, &is_integer) : 0;
    if (i >= 1 && (lua_Unsigned)i <= a->shape[0]) {
        mf_lib_array_push_row(L, a, (size_t)i - 1);
        return 1;
    }
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    return push_field(L, a, lua_tostring(L, 2));
}

static int array_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)mf_lib_array_check(L, 1)->shape[0]);
    return 1;
}

static int next_row(lua_State *L)
{
    struct mf_array *a = mf_lib_array_check(L, 1);
    lua_Integer i = luaL_optinteger(L, 2, 0);
    if (i < 0 || (lua_Unsigned)i >= a->shape[0])
        return 0;
    lua_pushinteger(L, i + 1);
    mf_lib_array_push_row(L, a, (size_t)i);
    return 2;
}

static int array_pairs(lua_State *L)
{
    mf_lib_array_check(L, 1);
    lua_pushcfunction(L, next_row);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

/* --- Writing ----------------------------------------------------------------------------------------------------- */

/* Writes the array or number at idx over all of a. */
static void assign(lua_State *L, struct mf_array *a, int idx)
{
    struct mf_fault fault;
    struct mf_value v = mf_lib_array_value(L, idx, "number or array");
    mf_lib_array_try(L, mf_array_assign(mf_lib_array_heap(L), a, &v, &fault), &fault);
}

static void put(lua_State *L, struct mf_array *a, ptrdiff_t at, int idx)
{
    struct mf_fault fault;
    struct mf_value v = mf_lib_array_value(L, idx, "number");
    if (v.array)
        luaL_typeerror(L, idx, "number");
    void *data = mf_array_own(mf_lib_array_heap(L), a, &fault);
    if (!data)
        luaL_error(L, "%s", fault.text);
    mf_lib_array_try(L, mf_array_put(a, data, at, &v, &fault), &fault);
}

static int array_newindex(lua_State *L)
{
    int is_integer = 0;
    struct mf_array *a = mf_lib_array_check(L, 1);
    lua_Integer i = lua_type(L, 2) == LUA_TNUMBER ? lua_tointegerx(L, 2, &is_integer) : 0;
    if (!is_integer)
        return luaL_error(L, "an array has no field '%s' to set", luaL_tolstring(L, 2, NULL));
    if (i < 1 || (lua_Unsigned)i > a->shape[0])
        return luaL_error(L, "index %I is out of range: the array has %I %s", i, (lua_Integer)a->shape[0],
                          a->ndim == 1 ? "elements" : "rows");
    if (a->ndim == 1) {
        put(L, a, (ptrdiff_t)(i - 1) * a->stride[0], 3);
        return 0;
    }
    struct mf_array *row = mf_lib_array_view(L, a);
    mf_array_pick(row, 0, (size_t)i - 1);
    assign(L, row, 3);
    return 0;
}

/* --- By several indices ------------------------------------------------------------------------------------------ */

ptrdiff_t mf_lib_array_place(lua_State *L, const struct mf_array *a, int first, int last)
{
    ptrdiff_t at = 0;
    if (last - first + 1 != a->ndim)
        luaL_error(L, "an element of this array has %d %s, not %d", a->ndim, a->ndim == 1 ? "index" : "indices",
                   last - first + 1);
    for (int k = 0; k < a->ndim; k++) {
        lua_Integer n = (lua_Integer)a->shape[k], i = luaL_checkinteger(L, first + k);
        lua_Integer from_one = i < 0 ? i + n + 1 : i;
        if (from_one < 1 || from_one > n)
            luaL_error(L, "index %I is out of range: axis %d has %I elements", i, k + 1, n);
        at += (ptrdiff_t)(from_one - 1) * a->stride[k];
    }
    return at;
}

static int array_get(lua_State *L)
{
    const struct mf_array *a = mf_lib_array_check(L, 1);
    struct mf_value v = mf_array_at(a, mf_lib_array_place(L, a, 2, lua_gettop(L)));
    mf_lib_array_push_value(L, &v);
    return 1;
}

static int array_set(lua_State *L)
{
    struct mf_array *a = mf_lib_array_check(L, 1);
    int value = lua_gettop(L);
    luaL_argcheck(L, value > 1, 2, "no indices");
    put(L, a, mf_lib_array_place(L, a, 2, value - 1), value);
    lua_settop(L, 1);
    return 1;
}

static int array_assign(lua_State *L)
{
    assign(L, mf_lib_array_check(L, 1), 2);
    lua_settop(L, 1);
    return 1;
}

static int core_is_array(lua_State *L)
{
    lua_pushboolean(L, mf_lib_array_test(L, 1) != NULL);
    return 1;
}

void mf_lib_array_index(lua_State *L)
{
    const luaL_Reg functions[] = {
        {"get", array_get}, {"set", array_set}, {"assign", array_assign}, {"is_array", core_is_array}, {NULL, NULL}};
    const luaL_Reg meta[] = {
        {"__newindex", array_newindex}, {"__len", array_len}, {"__pairs", array_pairs}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    lua_getfield(L, -1, "metatable");
    luaL_setfuncs(L, meta, 0);
    lua_getfield(L, -2, "methods");
    lua_pushcclosure(L, array_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
