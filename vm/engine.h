/* What depends on the Lua engine's version or bytecode, and nothing else does: engine_lua54.c implements it for
 * PUC Lua 5.4.0 to 5.4.x. A second engine is a second file. All functions belong to the thread that runs L. */
#ifndef MF_ENGINE_H
#define MF_ENGINE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../runtime/buf.h"

/* What mf_engine_scan saw in a function and all its inner functions. */
enum mf_engine_trait {
    MF_ENGINE_SETS_GLOBAL = 1,  /* assigns a global, or uses the environment as a value (so it may) */
    MF_ENGINE_SETS_UPVALUE = 2, /* assigns an upvalue of its own or of an outer function */
    MF_ENGINE_USES_ENV = 4      /* uses the environment as a value */
};

/* Appends the bytecode of the Lua function at idx, with debug information, without the engine's fixed header; the
 * first byte is the number of upvalues. False when memory is out. A C function is the caller's mistake. */
bool mf_engine_dump(lua_State *L, int idx, struct mf_buf *out);

/* Pushes the function that n bytes of mf_engine_dump make, its upvalues all fresh and nil. Raises a Lua error when
 * they are not acceptable. Only for bytes of an authenticated peer: hostile bytecode can crash any Lua engine. */
void mf_engine_load(lua_State *L, const void *bytes, size_t n, int upvalues);

/* Calls found(ud, name, len) for each global that the function in these bytes (of mf_engine_dump) reads, inner
 * functions included; a name may be reported more than once. found may leave by a Lua error. is_env[i] says that the
 * function's upvalue i+1 is the environment. Where the environment is used as a value (_ENV[k], _G.x, names over 40
 * bytes), every string constant of that function and its inner ones is reported: a superset. Returns traits. */
unsigned mf_engine_scan(const void *bytes, size_t n, const bool *is_env, int upvalues,
                        void (*found)(void *ud, const char *name, size_t len), void *ud);

/* Lets the collector rest until as much memory as the state has now has been allocated on top. */
void mf_engine_rest(lua_State *L);

/* Makes the C function at idx, which must have an upvalue, call f instead, wherever it is referred to. False, with
 * nothing changed, when this build of the engine is laid out in a way that is not known. */
bool mf_engine_retarget(lua_State *L, int idx, lua_CFunction f);

/* A shortcut past one call of the Lua API for each number of an array. Not to be kept while other code runs. */
struct mf_engine_array {
    const void *items;
    size_t count; /* the keys 1..count lie in the table's array part, which lua_next visits first and in order */
};

/* The array part of the table at idx; count is 0 when there is none or this build of the engine is laid out in a way
 * that is not known (which is found out by a trial, once). */
struct mf_engine_array mf_engine_array(lua_State *L, int idx);

/* Copies the numbers at keys from+1 .. from+max, as long as they are all integers (*is_float false) or all floats
 * (*is_float true: their bits), and returns how many. 0: the first is no number. from + max must not pass count. */
size_t mf_engine_numbers(const struct mf_engine_array *a, size_t from, size_t max, uint64_t *out, bool *is_float);

#endif
