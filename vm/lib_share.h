/* Shares of values that are no arrays: encoded once, decoded once in each state that reads them. (A share of an array is an
 * array.) An object is a reference to a block with the message; a state has one object for each block, and keeps it with
 * the value as long as somebody else holds the block. */
#ifndef MF_LIB_SHARE_H
#define MF_LIB_SHARE_H

#include <lua.h>

#include "../runtime/block.h"

/* Adds functions to the table on top. */
void mf_lib_share(lua_State *L);

/* The block of the share at idx; NULL if it is none. */
struct mf_block *mf_lib_share_test(lua_State *L, int idx);

/* Pushes the state's object for a block that a message holds. May raise. */
void mf_lib_share_push(lua_State *L, struct mf_block *block);

/* Lets go of shares that nobody else holds any more: for an idle worker. Does not raise. */
void mf_lib_share_trim(lua_State *L);

#endif
