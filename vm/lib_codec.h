/* The C half of the module moonfleet.codec; see lib_codec.c for its functions. */
#ifndef MF_LIB_CODEC_H
#define MF_LIB_CODEC_H

#include <lua.h>

int luaopen_moonfleet_codec(lua_State *L);

#endif
