/* Generators of random numbers as Lua objects. */
#ifndef MF_LIB_RNG_H
#define MF_LIB_RNG_H

#include <lua.h>

#include "../runtime/rng.h"

/* The generator at idx; raises when it is none. One that stands for the current stream is the running task's, or,
 * outside of tasks, the session's. The pointer is good until other Lua runs. */
struct mf_rng *mf_lib_rng_check(lua_State *L, int idx);

/* Adds the functions that draw to the table on top: a method for each distribution, and those for integers and
 * samples. */
void mf_lib_rng_draws(lua_State *L);

#endif
