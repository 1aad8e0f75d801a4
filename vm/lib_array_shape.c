/* Views and parts: slices, other shapes, other orders of axes, places, masks, one array behind the other. */
#include <stdlib.h>
#include <string.h>

#include "../runtime/array_select.h"
#include "lib_array_box.h"

/* --- Slices ------------------------------------------------------------------------------------------------------ */

/* A range of an axis as it was asked for. */
struct range {
    lua_Integer first, last, step;
};

/* An index counted from 1 or backwards from -1; it may be one past an end, for ranges without elements. */
static lua_Integer read_index(lua_State *L, int idx, lua_Integer standard, lua_Integer n)
{
    lua_Integer i = luaL_optinteger(L, idx, standard);
    return i < 0 ? i + n + 1 : i;
}

static size_t count_of(lua_State *L, const struct range *r, lua_Integer n, int axis)
{
    lua_Integer distance = r->step > 0 ? r->last - r->first : r->first - r->last;
    if (r->step == 0)
        luaL_error(L, "the step of axis %d is zero", axis + 1);
    if (distance == -1 && r->first >= 1 && r->first <= n + 1)
        return 0;
    if (distance < 0)
        luaL_error(L, "the range %I to %I of axis %d runs against its step", r->first, r->last, axis + 1);
    if (r->first < 1 || r->first > n || r->last < 1 || r->last > n)
        luaL_error(L, "the range %I to %I is out of range: axis %d has %I elements", r->first, r->last, axis + 1, n);
    lua_Unsigned step = r->step > 0 ? (lua_Unsigned)r->step : 0 - (lua_Unsigned)r->step;
    return (size_t)((lua_Unsigned)distance / step + 1);
}

/* Cuts the axis to the range whose three parts are at first .. first + 2 (nil: all of it). */
static void cut(lua_State *L, struct mf_array *a, int axis, int first)
{
    lua_Integer n = (lua_Integer)a->shape[axis];
    struct range r = {.step = luaL_optinteger(L, first + 2, 1)};
    r.first = read_index(L, first, r.step < 0 ? n : 1, n);
    r.last = read_index(L, first + 1, r.step < 0 ? 1 : n, n);
    if (n == 0 && lua_isnil(L, first) && lua_isnil(L, first + 1))
        return;
    size_t count = count_of(L, &r, n, axis);
    mf_array_slice(a, axis, (size_t)(r.first - 1), count, (ptrdiff_t)r.step);
}

/* Applies the argument at idx, a table or an index, to the axis. True: the axis is gone. */
static bool cut_by(lua_State *L, struct mf_array *a, int axis, int idx)
{
    int top = lua_gettop(L);
    if (lua_istable(L, idx)) {
        for (int i = 1; i <= 3; i++)
            lua_rawgeti(L, idx, i);
        cut(L, a, axis, top + 1);
        lua_settop(L, top);
        return false;
    }
    lua_Integer n = (lua_Integer)a->shape[axis], i = luaL_checkinteger(L, idx), from_one = i < 0 ? i + n + 1 : i;
    if (from_one < 1 || from_one > n)
        luaL_error(L, "index %I is out of range: axis %d has %I elements", i, axis + 1, n);
    bool only = a->ndim == 1;
    mf_array_pick(a, axis, (size_t)from_one - 1);
    return !only;
}

/* slice(first, last, step): of the first axis. slice(range, ...): a table { first, last, step } for each axis, or an index,
 * which drops the axis. */
static int array_slice(lua_State *L)
{
    const struct mf_array *a = mf_lib_array_check(L, 1);
    int last = lua_gettop(L);
    if (!lua_istable(L, 2)) {
        lua_settop(L, 4);
        cut(L, mf_lib_array_view(L, a), 0, 2);
        return 1;
    }
    luaL_argcheck(L, last - 1 <= a->ndim, a->ndim + 2, "more ranges than the array has axes");
    struct mf_array *view = mf_lib_array_view(L, a);
    for (int idx = 2, axis = 0; idx <= last; idx++)
        if (!cut_by(L, view, axis, idx))
            axis++;
    return 1;
}

/* --- Shapes ------------------------------------------------------------------------------------------------------ */

/* As read_shape, but one extent may be -1: what is left for it. */
static int read_new_shape(lua_State *L, const struct mf_array *a, int first, int last, size_t *shape)
{
    bool table = lua_istable(L, first);
    int n = table ? (int)lua_rawlen(L, first) : last - first + 1, open = -1;
    char from[MF_ARRAY_TEXT], to[MF_ARRAY_TEXT];
    luaL_argcheck(L, n >= 1 && n <= MF_ARRAY_DIMS, first, "a shape has 1 to 8 axes");
    for (int i = 0; i < n; i++) {
        if (table)
            lua_rawgeti(L, first, i + 1);
        else
            lua_pushvalue(L, first + i);
        lua_Integer extent = luaL_checkinteger(L, -1);
        lua_pop(L, 1);
        luaL_argcheck(L, extent >= 0 || (extent == -1 && open < 0), table ? first : first + i,
                      "a shape has no negative numbers but for one -1");
        if (extent < 0)
            open = i;
        shape[i] = extent < 0 ? 1 : (size_t)extent;
    }
    size_t count = mf_array_elements(n, shape);
    if (open >= 0 && count > 0 && a->count % count == 0)
        shape[open] = a->count / count;
    if (mf_array_elements(n, shape) != a->count)
        luaL_error(L, "cannot give shape %s to the %I elements of shape %s", mf_array_shape_text(n, shape, to),
                   (lua_Integer)a->count, mf_array_shape_text(a->ndim, a->shape, from));
    return n;
}

/* Pushes a view of that shape, or a copy where none can have it. */
static void push_reshaped(lua_State *L, const struct mf_array *a, int ndim, const size_t *shape)
{
    struct mf_fault fault;
    if (mf_array_reshape(mf_lib_array_view(L, a), ndim, shape))
        return;
    struct mf_array *copy = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_convert(mf_lib_array_heap(L), a, a->dtype, copy, &fault), &fault);
    mf_array_reshape(copy, ndim, shape);
}

static int array_reshape(lua_State *L)
{
    size_t shape[MF_ARRAY_DIMS];
    const struct mf_array *a = mf_lib_array_check(L, 1);
    int ndim = read_new_shape(L, a, 2, lua_gettop(L), shape);
    push_reshaped(L, a, ndim, shape);
    return 1;
}

static int array_ravel(lua_State *L)
{
    const struct mf_array *a = mf_lib_array_check(L, 1);
    push_reshaped(L, a, 1, &a->count);
    return 1;
}

/* transpose(axes...): the new order of the axes; without, the reverse */
static int array_transpose(lua_State *L)
{
    int axes[MF_ARRAY_DIMS], n = lua_gettop(L) - 1;
    bool seen[MF_ARRAY_DIMS] = {false};
    const struct mf_array *a = mf_lib_array_check(L, 1);
    luaL_argcheck(L, n <= 0 || n == a->ndim, 2, "there must be as many axes as the array has");
    for (int i = 0; i < a->ndim; i++) {
        axes[i] = n > 0 ? mf_lib_array_axis(L, i + 2, a) : a->ndim - 1 - i;
        luaL_argcheck(L, !seen[axes[i]], i + 2, "an axis is named twice");
        seen[axes[i]] = true;
    }
    mf_array_permute(mf_lib_array_view(L, a), axes);
    return 1;
}

/* stretch(shape...): a view that repeats axes of one element, and new ones in front, without a copy */
static int array_stretch(lua_State *L)
{
    size_t shape[MF_ARRAY_DIMS], common[MF_ARRAY_DIMS];
    char from[MF_ARRAY_TEXT], to[MF_ARRAY_TEXT];
    struct mf_fault fault;
    const struct mf_array *a = mf_lib_array_check(L, 1);
    int ndim = mf_lib_array_read_shape(L, 2, lua_gettop(L), shape);
    struct mf_array wanted = {.ndim = ndim};
    memcpy(wanted.shape, shape, sizeof shape);
    int n = mf_array_broadcast(a, &wanted, common, "stretch", &fault);
    if (n != ndim || memcmp(common, shape, (size_t)n * sizeof *shape) != 0)
        return luaL_error(L, "cannot stretch shape %s to shape %s", mf_array_shape_text(a->ndim, a->shape, from),
                          mf_array_shape_text(ndim, shape, to));
    struct mf_array *copy = mf_lib_array_box(L);
    *copy = mf_array_view(a);
    mf_array_stretch(copy, ndim, shape);
    return 1;
}

/* --- Parts ------------------------------------------------------------------------------------------------------- */

static int array_places(lua_State *L)
{
    struct mf_fault fault;
    const struct mf_array *a = mf_lib_array_check(L, 1);
    struct mf_array *out = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_places(mf_lib_array_heap(L), a, out, &fault), &fault);
    return 1;
}

/* take(places, axis = 1) */
static int array_take(lua_State *L)
{
    struct mf_fault fault;
    const struct mf_array *a = mf_lib_array_check(L, 1), *places = mf_lib_array_check(L, 2);
    int axis = lua_isnoneornil(L, 3) ? 0 : mf_lib_array_axis(L, 3, a);
    struct mf_array *out = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_take(mf_lib_array_heap(L), a, places, axis, out, &fault), &fault);
    return 1;
}

static int array_filter(lua_State *L)
{
    struct mf_fault fault;
    const struct mf_array *a = mf_lib_array_check(L, 1), *mask = mf_lib_array_check(L, 2);
    struct mf_array *out = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_filter(mf_lib_array_heap(L), a, mask, out, &fault), &fault);
    return 1;
}

/* concatenate(list, axis = 1) */
static int core_concatenate(lua_State *L)
{
    struct mf_fault fault;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    size_t n = (size_t)lua_rawlen(L, 1);
    luaL_argcheck(L, n > 0, 1, "no arrays");
    const struct mf_array **parts = lua_newuserdatauv(L, n * sizeof *parts, 0);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        parts[i] = mf_lib_array_test(L, -1);
        if (!parts[i])
            luaL_argerror(
                L, 1, lua_pushfstring(L, "element %I is a %s, not an array", (lua_Integer)i + 1, luaL_typename(L, -1)));
        lua_pop(L, 1); /* the list keeps it */
    }
    int axis = lua_isnil(L, 2) ? 0 : mf_lib_array_axis(L, 2, parts[0]);
    struct mf_array *out = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_concatenate(mf_lib_array_heap(L), parts, n, axis, out, &fault), &fault);
    return 1;
}

void mf_lib_array_shape(lua_State *L)
{
    const luaL_Reg functions[] = {
        {"slice", array_slice},
        {"reshape", array_reshape},
        {"ravel", array_ravel},
        {"transpose", array_transpose},
        {"stretch", array_stretch},
        {"places", array_places},
        {"take", array_take},
        {"filter", array_filter},
        {"concatenate", core_concatenate},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}
