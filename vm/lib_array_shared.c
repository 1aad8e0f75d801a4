/* Arrays that tasks write to: made in shared memory, added to in one step, met at. */
#include "../runtime/array_shared.h"
#include "../runtime/sys.h"
#include "lib.h"
#include "lib_array_box.h"

/* shared(shape..., dtype?) */
static int core_shared(lua_State *L)
{
    struct mf_fault fault;
    size_t shape[MF_ARRAY_DIMS];
    int last;
    enum mf_dtype dtype = mf_lib_array_pop_dtype(L, &last);
    int ndim = mf_lib_array_read_shape(L, 1, last, shape);
    struct mf_array *a = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_new_shared(a, dtype, ndim, shape, &fault), &fault);
    return 1;
}

/* atomic_add(v, i, ...): what the element is then */
static int array_atomic_add(lua_State *L)
{
    struct mf_fault fault;
    struct mf_value sum;
    struct mf_array *a = mf_lib_array_check(L, 1);
    struct mf_value v = mf_lib_array_value(L, 2, "number");
    if (v.array)
        luaL_typeerror(L, 2, "number");
    ptrdiff_t at = mf_lib_array_place(L, a, 3, lua_gettop(L));
    mf_lib_array_try(L, mf_array_atomic_add(mf_lib_array_heap(L), a, at, &v, &sum, &fault), &fault);
    mf_lib_array_push_value(L, &sum);
    return 1;
}

/* barrier(callers, timeout?) */
static int array_barrier(lua_State *L)
{
    unsigned came;
    struct mf_array *a = mf_lib_array_check(L, 1);
    lua_Integer callers = luaL_checkinteger(L, 2);
    uint64_t deadline = mf_lib_check_deadline(L, 3);
    if (a->store->block->kind != MF_BLOCK_SHARED)
        return luaL_error(L, "a barrier needs an array made by mf.array.shared");
    luaL_argcheck(L, callers >= 1 && callers <= INT32_MAX, 2, "must be positive");
    switch (mf_array_meet(a->store->block, (unsigned)callers, deadline, &came)) {
    case MF_OK:
        return 0;
    case MF_ETIMEDOUT:
        return luaL_error(L, "barrier: only %d of %d came within %f s", (int)came, (int)callers, lua_tonumber(L, 3));
    default:
        return luaL_error(L, "interrupted!");
    }
}

void mf_lib_array_shared(lua_State *L)
{
    const luaL_Reg functions[] = {
        {"shared", core_shared}, {"atomic_add", array_atomic_add}, {"barrier", array_barrier}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
