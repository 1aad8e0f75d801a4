/* Reductions, running sums, quantiles, sorting and products. A reduction's number stands in its upvalue. */
#include <string.h>

#include "../runtime/array_linear.h"
#include "../runtime/array_reduce.h"
#include "../runtime/array_sort.h"
#include "lib_array_box.h"

/* --- Reductions -------------------------------------------------------------------------------------------------- */

/* Gives the array on top, which was reduced along an axis of a, that axis back with one element. */
static void keep_axis(lua_State *L, const struct mf_array *a, int axis)
{
    size_t shape[MF_ARRAY_DIMS];
    memcpy(shape, a->shape, sizeof shape);
    shape[axis] = 1;
    mf_array_reshape(mf_lib_array_check(L, -1), a->ndim, shape);
}

/* f(axis?, keep?, ddof = 1): a number of all elements, or an array along the axis */
static int array_reduce(lua_State *L)
{
    struct mf_fault fault;
    struct mf_value v;
    enum mf_reduction op = (enum mf_reduction)lua_tointeger(L, lua_upvalueindex(1));
    const struct mf_array *a = mf_lib_array_check(L, 1);
    lua_settop(L, 4);
    double ddof = luaL_optnumber(L, 4, 1);
    if (lua_isnoneornil(L, 2)) {
        mf_lib_array_try(L, mf_array_reduce_all(op, a, ddof, &v, &fault), &fault);
        if (op == MF_ANY || op == MF_ALL)
            lua_pushboolean(L, v.whole != 0);
        else
            mf_lib_array_push_value(L, &v);
        return 1;
    }
    int axis = mf_lib_array_axis(L, 2, a);
    struct mf_array *out = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_reduce_axis(mf_lib_array_heap(L), op, a, axis, ddof, out, &fault), &fault);
    if (lua_toboolean(L, 3))
        keep_axis(L, a, axis);
    return 1;
}

/* The axis at idx; without one, the only axis there is. */
static int line_axis(lua_State *L, int idx, const struct mf_array *a)
{
    return lua_isnoneornil(L, idx) ? a->ndim - 1 : mf_lib_array_axis(L, idx, a);
}

/* cumsum(axis = last) */
static int array_cumsum(lua_State *L)
{
    struct mf_fault fault;
    const struct mf_array *a = mf_lib_array_check(L, 1);
    int axis = line_axis(L, 2, a);
    struct mf_array *out = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_cumsum(mf_lib_array_heap(L), a, axis, out, &fault), &fault);
    return 1;
}

/* --- Quantiles --------------------------------------------------------------------------------------------------- */

static double read_probability(lua_State *L, int idx)
{
    double p = luaL_checknumber(L, idx);
    if (!(p >= 0 && p <= 1))
        luaL_error(L, "a quantile's probability must be from 0 to 1, not %f", p);
    return p;
}

/* The probabilities at idx, a number or a table, in memory that is pushed. */
static const double *push_probabilities(lua_State *L, int idx, size_t *n)
{
    *n = lua_istable(L, idx) ? (size_t)lua_rawlen(L, idx) : 1;
    double *p = lua_newuserdatauv(L, (*n + 1) * sizeof *p, 0);
    for (size_t i = 0; i < *n; i++) {
        if (lua_istable(L, idx))
            lua_rawgeti(L, idx, (lua_Integer)i + 1);
        else
            lua_pushvalue(L, idx);
        p[i] = read_probability(L, -1);
        lua_pop(L, 1);
    }
    return p;
}

/* quantile(p, axis?): p a number: a number or the array without the axis; p a table: an array with an axis for p in front */
static int array_quantile(lua_State *L)
{
    struct mf_fault fault;
    size_t n;
    const struct mf_array *a = mf_lib_array_check(L, 1);
    bool several = lua_istable(L, 2);
    lua_settop(L, 3);
    int axis = lua_isnil(L, 3) ? -1 : mf_lib_array_axis(L, 3, a);
    const double *p = push_probabilities(L, 2, &n);
    struct mf_array *out = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_quantile(mf_lib_array_heap(L), a, axis, p, n, out, &fault), &fault);
    if (several)
        return 1;
    if (axis < 0 || out->ndim == 1)
        mf_lib_array_push_row(L, out, 0);
    else
        mf_array_pick(out, 0, 0);
    return 1;
}

/* --- Sorting ----------------------------------------------------------------------------------------------------- */

typedef enum mf_err sorter(struct mf_heap *heap, const struct mf_array *a, int axis, bool descending,
                           struct mf_array *out, struct mf_fault *fault);

/* f(axis = last, descending = false) */
static int sort_with(lua_State *L, sorter *sort)
{
    struct mf_fault fault;
    const struct mf_array *a = mf_lib_array_check(L, 1);
    lua_settop(L, 3);
    int axis = line_axis(L, 2, a);
    bool descending = lua_toboolean(L, 3);
    struct mf_array *out = mf_lib_array_box(L);
    mf_lib_array_try(L, sort(mf_lib_array_heap(L), a, axis, descending, out, &fault), &fault);
    return 1;
}

static int array_sort(lua_State *L)
{
    return sort_with(L, mf_array_sort);
}

static int array_order(lua_State *L)
{
    return sort_with(L, mf_array_order);
}

/* unique(): the different numbers, and how often each occurs */
static int array_unique(lua_State *L)
{
    struct mf_fault fault;
    const struct mf_array *a = mf_lib_array_check(L, 1);
    struct mf_array *values = mf_lib_array_box(L), *counts = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_unique(mf_lib_array_heap(L), a, values, counts, &fault), &fault);
    return 2;
}

/* --- Products ---------------------------------------------------------------------------------------------------- */

/* dot(b): the matrix product; of two vectors, a number. The upvalue holds the library. */
static int array_dot(lua_State *L)
{
    struct mf_fault fault;
    const struct mf_array *a = mf_lib_array_check(L, 1), *b = mf_lib_array_check(L, 2);
    struct mf_blas *blas = lua_touserdata(L, lua_upvalueindex(1));
    struct mf_array *out = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_matmul(mf_lib_array_heap(L), blas, a, b, out, &fault), &fault);
    if (a->ndim == 1 && b->ndim == 1)
        mf_lib_array_push_row(L, out, 0);
    return 1;
}

static void add_dot(lua_State *L)
{
    struct mf_blas *blas = lua_newuserdatauv(L, sizeof *blas, 0);
    *blas = (struct mf_blas){0};
    lua_pushcclosure(L, array_dot, 1);
    lua_setfield(L, -2, "dot");
}

void mf_lib_array_reduce(lua_State *L)
{
    const luaL_Reg functions[] = {{"cumsum", array_cumsum}, {"quantile", array_quantile}, {"sort", array_sort},
                                  {"order", array_order},   {"unique", array_unique},     {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    for (int op = 0; op < MF_REDUCTIONS; op++) {
        lua_pushinteger(L, op);
        lua_pushcclosure(L, array_reduce, 1);
        lua_setfield(L, -2, mf_reduction_name((enum mf_reduction)op));
    }
    add_dot(L);
}
