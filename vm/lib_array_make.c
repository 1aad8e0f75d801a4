/* Making arrays: of zeros, of a number, from tables, ranges and bytes; and back to tables and bytes. */
#include <math.h>
#include <string.h>

#include "lib_array_box.h"

/* Pushes a new array. */
static struct mf_array *push_new(lua_State *L, enum mf_dtype dtype, int ndim, const size_t *shape, bool zero)
{
    struct mf_fault fault;
    struct mf_array *a = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_new(mf_lib_array_heap(L), a, dtype, ndim, shape, zero, &fault), &fault);
    return a;
}

/* The numbers of an array that was just made. */
static void *own(lua_State *L, struct mf_array *a)
{
    struct mf_fault fault;
    return mf_array_own(mf_lib_array_heap(L), a, &fault);
}

enum mf_dtype mf_lib_array_pop_dtype(lua_State *L, int *last)
{
    *last = lua_gettop(L);
    while (*last > 1 && lua_isnil(L, *last))
        --*last;
    if (lua_type(L, *last) != LUA_TSTRING)
        return MF_F64;
    enum mf_dtype t = mf_lib_array_dtype(L, *last, MF_F64);
    --*last;
    return t;
}

/* --- Of one number ----------------------------------------------------------------------------------------------- */

/* zeros(shape..., dtype?) */
static int core_zeros(lua_State *L)
{
    int last;
    size_t shape[MF_ARRAY_DIMS];
    enum mf_dtype dtype = mf_lib_array_pop_dtype(L, &last);
    int ndim = mf_lib_array_read_shape(L, 1, last, shape);
    push_new(L, dtype, ndim, shape, true);
    return 1;
}

static int push_full(lua_State *L, enum mf_dtype dtype, int ndim, const size_t *shape, const struct mf_value *v)
{
    struct mf_fault fault;
    struct mf_array *a = push_new(L, dtype, ndim, shape, false);
    mf_lib_array_try(L, mf_array_assign(mf_lib_array_heap(L), a, v, &fault), &fault);
    return 1;
}

/* ones(shape..., dtype?) */
static int core_ones(lua_State *L)
{
    int last;
    size_t shape[MF_ARRAY_DIMS];
    enum mf_dtype dtype = mf_lib_array_pop_dtype(L, &last);
    int ndim = mf_lib_array_read_shape(L, 1, last, shape);
    return push_full(L, dtype, ndim, shape, &(struct mf_value){.integer = true, .whole = 1});
}

/* full(shape, value, dtype?): shape is an integer or a table */
static int core_full(lua_State *L)
{
    size_t shape[MF_ARRAY_DIMS];
    lua_settop(L, 3);
    int ndim = mf_lib_array_read_shape(L, 1, 1, shape);
    struct mf_value v = mf_lib_array_value(L, 2, "number");
    return push_full(L, mf_lib_array_dtype(L, 3, MF_F64), ndim, shape, &v);
}

/* eye(n, dtype?) */
static int core_eye(lua_State *L)
{
    struct mf_fault fault;
    lua_settop(L, 2);
    size_t shape[2];
    mf_lib_array_read_shape(L, 1, 1, shape);
    shape[1] = shape[0];
    struct mf_array *a = push_new(L, mf_lib_array_dtype(L, 2, MF_F64), 2, shape, true);
    struct mf_array diagonal = *a;
    const struct mf_value one = {.integer = true, .whole = 1};
    mf_array_slice(&diagonal, 1, 0, shape[0] > 0, 1);
    diagonal.ndim = 1;
    diagonal.stride[0]++;
    if (diagonal.count > 0)
        mf_array_assign(mf_lib_array_heap(L), &diagonal, &one, &fault);
    return 1;
}

/* --- Ranges ------------------------------------------------------------------------------------------------------ */

/* evenly(n, first, step, dtype?): the numbers first + i * step. Integers stay exact. */
static int core_evenly(lua_State *L)
{
    struct mf_fault fault;
    lua_settop(L, 4);
    size_t n;
    mf_lib_array_read_shape(L, 1, 1, &n);
    struct mf_value first = mf_lib_array_value(L, 2, "number"), step = mf_lib_array_value(L, 3, "number");
    enum mf_dtype dtype = mf_lib_array_dtype(L, 4, MF_F64);
    bool whole = first.integer && step.integer;
    struct mf_array *a = push_new(L, whole ? MF_I64 : MF_F64, 1, &n, false);
    double *reals = own(L, a);
    int64_t *integers = (int64_t *)(void *)reals;
    for (size_t i = 0; i < n; i++)
        if (whole)
            integers[i] = (int64_t)((uint64_t)first.whole + (uint64_t)i * (uint64_t)step.whole);
        else
            reals[i] = lua_tonumber(L, 2) + (double)i * lua_tonumber(L, 3);
    if (a->dtype != dtype)
        mf_lib_array_try(L, mf_array_convert(mf_lib_array_heap(L), a, dtype, mf_lib_array_box(L), &fault), &fault);
    return 1;
}

/* linspace(first, last, n, dtype?): n numbers, both ends among them */
static int core_linspace(lua_State *L)
{
    struct mf_fault fault;
    double first = luaL_checknumber(L, 1), last = luaL_checknumber(L, 2);
    size_t n;
    lua_settop(L, 4);
    mf_lib_array_read_shape(L, 3, 3, &n);
    enum mf_dtype dtype = mf_lib_array_dtype(L, 4, MF_F64);
    struct mf_array *a = push_new(L, MF_F64, 1, &n, false);
    double *out = own(L, a), step = n > 1 ? (last - first) / (double)(n - 1) : 0;
    for (size_t i = 0; i < n; i++)
        out[i] = first + (double)i * step;
    if (n > 1)
        out[n - 1] = last;
    if (dtype != MF_F64)
        mf_lib_array_try(L, mf_array_convert(mf_lib_array_heap(L), a, dtype, mf_lib_array_box(L), &fault), &fault);
    return 1;
}

/* --- Tables ------------------------------------------------------------------------------------------------------ */

/* Where in nested tables one is: for messages. */
static const char *push_place(lua_State *L, const lua_Integer *index, int depth)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 0; i < depth; i++) {
        lua_pushfstring(L, "[%I]", index[i]);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    return lua_tostring(L, -1);
}

struct reading {
    struct mf_array *a;
    char *data;
    size_t done;
    lua_Integer index[MF_ARRAY_DIMS];
};

static void read_number(lua_State *L, struct reading *r)
{
    struct mf_fault fault;
    const char *type = luaL_typename(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER)
        luaL_error(L, "the table has a %s at %s, where a number must be", type, push_place(L, r->index, r->a->ndim));
    struct mf_value v = mf_lib_array_value(L, -1, "number");
    if (mf_array_put(r->a, r->data, (ptrdiff_t)r->done++, &v, &fault) != MF_OK)
        luaL_error(L, "%s (at %s)", fault.text, push_place(L, r->index, r->a->ndim));
}

/* Reads the table on top, which is axis `depth`. */
static void read_table(lua_State *L, struct reading *r, int depth)
{
    const char *type = luaL_typename(L, -1);
    lua_Integer want = (lua_Integer)r->a->shape[depth];
    if (!lua_istable(L, -1))
        luaL_error(L, "the table has a %s at %s, where a table of %I must be", type, push_place(L, r->index, depth),
                   want);
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    if (n != want)
        luaL_error(L, "the table is ragged: %s has %I elements and the first of its kind %I",
                   push_place(L, r->index, depth), n, want);
    luaL_checkstack(L, 4, NULL);
    for (size_t i = 0; i < r->a->shape[depth]; i++) {
        r->index[depth] = (lua_Integer)i + 1;
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        if (depth + 1 < r->a->ndim)
            read_table(L, r, depth + 1);
        else
            read_number(L, r);
        lua_pop(L, 1);
    }
}

/* The shape of nested tables, as the first of each kind tells. */
static int table_shape(lua_State *L, int idx, size_t *shape)
{
    int ndim = 0;
    lua_pushvalue(L, idx);
    while (lua_istable(L, -1)) {
        luaL_argcheck(L, ndim < MF_ARRAY_DIMS, idx, "tables nested more than 8 deep");
        shape[ndim++] = (size_t)lua_rawlen(L, -1);
        lua_rawgeti(L, -1, 1);
        lua_remove(L, -2);
    }
    lua_pop(L, 1);
    return ndim;
}

/* from_table(table, dtype?) */
static int core_from_table(lua_State *L)
{
    size_t shape[MF_ARRAY_DIMS];
    luaL_checktype(L, 1, LUA_TTABLE);
    enum mf_dtype dtype = mf_lib_array_dtype(L, 2, MF_F64);
    int ndim = table_shape(L, 1, shape);
    struct reading r = {.a = push_new(L, dtype, ndim, shape, false)};
    r.data = own(L, r.a);
    lua_pushvalue(L, 1);
    read_table(L, &r, 0);
    lua_pop(L, 1);
    return 1;
}

static void push_table(lua_State *L, const struct mf_array *a, int axis, ptrdiff_t at)
{
    luaL_checkstack(L, 4, NULL);
    lua_createtable(L, (int)(a->shape[axis] < INT32_MAX ? a->shape[axis] : 0), 0);
    for (size_t i = 0; i < a->shape[axis]; i++, at += a->stride[axis]) {
        if (axis + 1 < a->ndim) {
            push_table(L, a, axis + 1, at);
        } else {
            struct mf_value v = mf_array_at(a, at);
            mf_lib_array_push_value(L, &v);
        }
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static int array_totable(lua_State *L)
{
    push_table(L, mf_lib_array_check(L, 1), 0, 0);
    return 1;
}

/* --- Bytes ------------------------------------------------------------------------------------------------------- */

/* from_bytes(string, dtype?, shape...): as memory has them; without a shape, one axis of as many as there are */
static int core_from_bytes(lua_State *L)
{
    size_t len, shape[MF_ARRAY_DIMS];
    const char *bytes = luaL_checklstring(L, 1, &len);
    enum mf_dtype dtype = mf_lib_array_dtype(L, 2, MF_F64);
    size_t size = mf_dtypes[dtype].size;
    int ndim = 1, last = lua_gettop(L);
    shape[0] = len / size;
    if (last > 2)
        ndim = mf_lib_array_read_shape(L, 3, last, shape);
    size_t n = mf_array_elements(ndim, shape);
    if (n > len || n * size != len) {
        char text[MF_ARRAY_TEXT];
        return luaL_error(L, "%I bytes do not make shape %s of %s", (lua_Integer)len,
                          mf_array_shape_text(ndim, shape, text), mf_dtypes[dtype].name);
    }
    struct mf_array *a = push_new(L, dtype, ndim, shape, false);
    if (len > 0)
        memcpy(own(L, a), bytes, len);
    return 1;
}

/* Pushes a contiguous array of the same elements: the one at idx itself if it is. */
static const struct mf_array *push_contiguous(lua_State *L, int idx)
{
    struct mf_fault fault;
    const struct mf_array *a = mf_lib_array_check(L, idx);
    if (mf_array_is_contiguous(a)) {
        lua_pushvalue(L, idx);
        return a;
    }
    struct mf_array *copy = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_convert(mf_lib_array_heap(L), a, a->dtype, copy, &fault), &fault);
    return copy;
}

static int array_bytes(lua_State *L)
{
    const struct mf_array *a = push_contiguous(L, 1);
    lua_pushlstring(L, mf_array_data(a), a->count * mf_dtypes[a->dtype].size);
    return 1;
}

void mf_lib_array_make(lua_State *L)
{
    const luaL_Reg functions[] = {
        {"zeros", core_zeros},
        {"ones", core_ones},
        {"full", core_full},
        {"eye", core_eye},
        {"evenly", core_evenly},
        {"linspace", core_linspace},
        {"from_table", core_from_table},
        {"from_bytes", core_from_bytes},
        {"totable", array_totable},
        {"bytes", array_bytes},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}
