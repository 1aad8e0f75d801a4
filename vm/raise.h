/* Errors from C functions of this library: they point at the user's call, whatever Lua of the library is in between. */
#ifndef MF_RAISE_H
#define MF_RAISE_H

#include <lua.h>

/* Raises a message made as lua_pushfstring does, with the position of the first caller outside the library in front.
 * Returns int for the sake of `return mf_raise(...)`, but never returns. */
int mf_raise(lua_State *L, const char *format, ...);

#endif
