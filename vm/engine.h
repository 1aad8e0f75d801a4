/* What depends on the Lua engine's version or bytecode, and nothing else does: engine_lua54.c implements it for
 * PUC Lua 5.4.0 to 5.4.x. A second engine is a second file. All functions belong to the thread that runs L. */
#ifndef MF_ENGINE_H
#define MF_ENGINE_H

#include <lua.h>

#include "../runtime/buf.h"

/* What mf_engine_scan saw in a function and all its inner functions. */
enum mf_engine_trait {
    MF_ENGINE_SETS_GLOBAL = 1, /* assigns a global, or uses the environment as a value (so it may) */
    MF_ENGINE_SETS_UPVALUE = 2 /* assigns an upvalue of its own or of an outer function */
};

/* Appends the bytecode of the Lua function at idx, with debug information, without the engine's fixed header.
 * False when memory is out. A C function is the caller's mistake. */
bool mf_engine_dump(lua_State *L, int idx, struct mf_buf *out);

/* Pushes the function that n bytes of mf_engine_dump make, its upvalues all fresh and nil. Raises a Lua error when
 * they are not acceptable. Only for bytes of an authenticated peer: hostile bytecode can crash any Lua engine. */
void mf_engine_load(lua_State *L, const void *bytes, size_t n, int upvalues);

/* Calls found(ud, name, len) for each global that the function in these bytes (of mf_engine_dump) names, inner
 * functions included; a name may be reported more than once. is_env[i] says that the function's upvalue i+1 is
 * the environment. Where the environment is used as a value (_ENV[k], _G.x, names over 40 bytes), every string
 * constant of that function is reported: a superset. Returns traits. */
unsigned mf_engine_scan(const void *bytes, size_t n, const bool *is_env, int upvalues,
                        void (*found)(void *ud, const char *name, size_t len), void *ud);

#endif
