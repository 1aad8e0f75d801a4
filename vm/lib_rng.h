/* Generators of random numbers as Lua objects. */
#ifndef MF_LIB_RNG_H
#define MF_LIB_RNG_H

#include <lua.h>
#include <stdbool.h>

#include "../runtime/rng.h"

/* The generator at idx; raises when it is none. One that stands for the current stream is the running task's, or,
 * outside of tasks, the session's. The pointer is good until other Lua runs. */
struct mf_rng *mf_lib_rng_check(lua_State *L, int idx);

/* Is the value at idx a whole number? Then *n is it; floats such as 1e6 are, strings are not. */
bool mf_lib_rng_whole(lua_State *L, int idx, lua_Integer *n);

/* Adds the functions that draw to the table on top: a method for each distribution, and those for integers and
 * samples. */
void mf_lib_rng_draws(lua_State *L);

#endif
