/* require, as the standard library has it, word for word in its messages and tracebacks, but the codec learns that a
 * module was loaded: its index of package.loaded is built anew only then, and not looked over for each message. */
#ifndef MF_REQUIRE_H
#define MF_REQUIRE_H

#include <lua.h>

/* Replaces the global require of a state whose libraries are open. May raise. */
void mf_require_open(lua_State *L);

#endif
