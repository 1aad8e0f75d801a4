/* Files of numpy's format. */
#include "../runtime/array_npy.h"
#include "lib_array_box.h"

/* load(path) */
static int core_load(lua_State *L)
{
    struct mf_fault fault;
    const char *path = luaL_checkstring(L, 1);
    struct mf_array *a = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_npy_load(mf_lib_array_heap(L), path, a, &fault), &fault);
    return 1;
}

/* map(path, writable?) */
static int core_map(lua_State *L)
{
    struct mf_fault fault;
    const char *path = luaL_checkstring(L, 1);
    bool writable = lua_toboolean(L, 2);
    mf_lib_array_try(L, mf_npy_map(path, writable, mf_lib_array_box(L), &fault), &fault);
    return 1;
}

/* save(path) */
static int array_save(lua_State *L)
{
    struct mf_fault fault;
    const struct mf_array *a = mf_lib_array_check(L, 1);
    mf_lib_array_try(L, mf_npy_save(mf_lib_array_heap(L), a, luaL_checkstring(L, 2), &fault), &fault);
    lua_settop(L, 1);
    return 1;
}

void mf_lib_array_npy(lua_State *L)
{
    const luaL_Reg functions[] = {{"load", core_load}, {"map", core_map}, {"save", array_save}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
