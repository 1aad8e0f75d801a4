/* Operators, functions of elements, conversion. A function's number stands in its upvalue, so that one C function serves
 * all of a kind. */
#include "lib_array_box.h"

/* --- Operators --------------------------------------------------------------------------------------------------- */

/* The array at idx that takes a result, or a new one, pushed. */
static struct mf_array *push_result(lua_State *L, int idx)
{
    if (lua_isnoneornil(L, idx))
        return mf_lib_array_box(L);
    lua_pushvalue(L, idx);
    return mf_lib_array_check(L, idx);
}

static int binary(lua_State *L, enum mf_binary op, int out)
{
    struct mf_fault fault;
    struct mf_value x = mf_lib_array_value(L, 1, "number or array"), y = mf_lib_array_value(L, 2, "number or array");
    if (!x.array && !y.array)
        luaL_typeerror(L, 1, "array");
    struct mf_array *result = push_result(L, out);
    mf_lib_array_try(L, mf_array_binary(mf_lib_array_heap(L), op, &x, &y, result, &fault), &fault);
    return 1;
}

static int array_binary(lua_State *L)
{
    return binary(L, (enum mf_binary)lua_tointeger(L, lua_upvalueindex(1)), 3);
}

/* Lua calls an operator's function with two arguments. */
static int array_operator(lua_State *L)
{
    lua_settop(L, 2);
    return binary(L, (enum mf_binary)lua_tointeger(L, lua_upvalueindex(1)), 3);
}

static int unary(lua_State *L, enum mf_unary op, int out)
{
    struct mf_fault fault;
    const struct mf_array *x = mf_lib_array_check(L, 1);
    struct mf_array *result = push_result(L, out);
    mf_lib_array_try(L, mf_array_unary(mf_lib_array_heap(L), op, x, result, &fault), &fault);
    return 1;
}

static int array_unary(lua_State *L)
{
    return unary(L, (enum mf_unary)lua_tointeger(L, lua_upvalueindex(1)), 2);
}

/* Lua calls it with the operand twice. */
static int array_unary_operator(lua_State *L)
{
    lua_settop(L, 1);
    return unary(L, (enum mf_unary)lua_tointeger(L, lua_upvalueindex(1)), 2);
}

static int array_compared(lua_State *L)
{
    return luaL_error(L, "arrays are compared with methods, element by element: a:lt(b), a:le(b), a:gt(b), a:ge(b)");
}

/* Are shape and elements the same? The dtypes may differ. */
static int array_same(lua_State *L)
{
    struct mf_fault fault;
    const struct mf_array *x = mf_lib_array_test(L, 1), *y = mf_lib_array_test(L, 2);
    if (!x || !y || !mf_array_same_shape(x, y)) {
        lua_pushboolean(L, 0);
        return 1;
    }
    struct mf_heap *heap = mf_lib_array_heap(L);
    struct mf_array *differ = mf_lib_array_box(L);
    const struct mf_value vx = {.array = x}, vy = {.array = y};
    mf_lib_array_try(L, mf_array_binary(heap, MF_NE, &vx, &vy, differ, &fault), &fault);
    const unsigned char *p = mf_array_data(differ);
    size_t i = 0;
    while (i < differ->count && !p[i])
        i++;
    lua_pushboolean(L, i == differ->count);
    return 1;
}

/* --- Selection and conversion ------------------------------------------------------------------------------------ */

/* where(condition, x, y) */
static int core_where(lua_State *L)
{
    struct mf_fault fault;
    const struct mf_array *condition = mf_lib_array_check(L, 1);
    struct mf_value x = mf_lib_array_value(L, 2, "number or array"), y = mf_lib_array_value(L, 3, "number or array");
    struct mf_array *result = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_where(mf_lib_array_heap(L), condition, &x, &y, result, &fault), &fault);
    return 1;
}

static int convert(lua_State *L, enum mf_dtype dtype)
{
    struct mf_fault fault;
    const struct mf_array *a = mf_lib_array_check(L, 1);
    struct mf_array *result = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_convert(mf_lib_array_heap(L), a, dtype, result, &fault), &fault);
    return 1;
}

/* as(dtype) */
static int array_as(lua_State *L)
{
    luaL_checkstring(L, 2);
    return convert(L, mf_lib_array_dtype(L, 2, MF_F64));
}

static int array_copy(lua_State *L)
{
    return convert(L, mf_lib_array_check(L, 1)->dtype);
}

/* --- The tables -------------------------------------------------------------------------------------------------- */

struct entry {
    const char *name, *operator; /* the operator's metamethod, or NULL */
    int op;
};

static const struct entry binaries[] = {
    {"add", "__add", MF_ADD},      {"sub", "__sub", MF_SUB},
    {"mul", "__mul", MF_MUL},      {"div", "__div", MF_DIV},
    {"idiv", "__idiv", MF_IDIV},   {"mod", "__mod", MF_MOD},
    {"pow", "__pow", MF_POW},      {"minimum", NULL, MF_MINIMUM},
    {"maximum", NULL, MF_MAXIMUM}, {"atan2", NULL, MF_ATAN2},
    {"band", "__band", MF_BAND},   {"bor", "__bor", MF_BOR},
    {"bxor", "__bxor", MF_BXOR},   {"eq", NULL, MF_EQ},
    {"ne", NULL, MF_NE},           {"lt", NULL, MF_LT},
    {"le", NULL, MF_LE},           {"gt", NULL, MF_GT},
    {"ge", NULL, MF_GE},           {NULL, NULL, 0},
};

static const struct entry unaries[] = {
    {"neg", "__unm", MF_NEG},  {"abs", NULL, MF_ABS},           {"sign", NULL, MF_SIGN}, {"bnot", "__bnot", MF_BNOT},
    {"sqrt", NULL, MF_SQRT},   {"floor", NULL, MF_FLOOR},       {"ceil", NULL, MF_CEIL}, {"trunc", NULL, MF_TRUNC},
    {"round", NULL, MF_ROUND}, {"isnan", NULL, MF_ISNAN},       {"exp", NULL, MF_EXP},   {"expm1", NULL, MF_EXPM1},
    {"log", NULL, MF_LOG},     {"log1p", NULL, MF_LOG1P},       {"log2", NULL, MF_LOG2}, {"log10", NULL, MF_LOG10},
    {"sin", NULL, MF_SIN},     {"cos", NULL, MF_COS},           {"tan", NULL, MF_TAN},   {"asin", NULL, MF_ASIN},
    {"acos", NULL, MF_ACOS},   {"atan", NULL, MF_ATAN},         {"sinh", NULL, MF_SINH}, {"cosh", NULL, MF_COSH},
    {"tanh", NULL, MF_TANH},   {"isfinite", NULL, MF_ISFINITE}, {NULL, NULL, 0},
};

/* Adds functions to the table below the metatable, which is on top. */
static void add(lua_State *L, const struct entry *e, lua_CFunction function, lua_CFunction operator)
{
    for (; e->name; e++) {
        lua_pushinteger(L, e->op);
        lua_pushcclosure(L, function, 1);
        lua_setfield(L, -3, e->name);
        if (!e->operator)
            continue;
        lua_pushinteger(L, e->op);
        lua_pushcclosure(L, operator, 1);
        lua_setfield(L, -2, e->operator);
    }
}

void mf_lib_array_ops(lua_State *L)
{
    const luaL_Reg functions[] = {
        {"where", core_where}, {"as", array_as}, {"copy", array_copy}, {"same", array_same}, {NULL, NULL}};
    const luaL_Reg meta[] = {{"__lt", array_compared}, {"__le", array_compared}, {"__eq", array_same}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    lua_getfield(L, -1, "metatable");
    luaL_setfuncs(L, meta, 0);
    add(L, binaries, array_binary, array_operator);
    add(L, unaries, array_unary, array_unary_operator);
    lua_pop(L, 1);
}
