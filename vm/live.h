/* Live values: what a task of the plan forks has without its being copied, because the child that runs it is a fork of
 * this very state. The encoder (codec.h) puts large values of a task, and those that cannot be sent, into a list of
 * the task's own and writes their places; the child finds the list by its number in the registry that it inherited.
 *
 * A list lives as long as something else refers to it (the future's object, the map's code). */
#ifndef MF_LIVE_H
#define MF_LIVE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MF_LIVE_BYTES ((size_t)64 * 1024) /* a value that would take more to send crosses by inheritance */

/* Pushes a new list and returns its number, never 0. May raise when memory is out. */
uint64_t mf_live_new(lua_State *L);

/* Is anything in the list at idx? */
bool mf_live_used(lua_State *L, int idx);

/* Adds the value at idx to the list at list; returns its place, from 1. May raise when memory is out. */
lua_Integer mf_live_add(lua_State *L, int list, int idx);

/* Pushes the value at that place of the list with that number; raises when there is none. */
void mf_live_push(lua_State *L, uint64_t number, lua_Integer place);

/* About how many bytes the value at idx would take to send, counted no further than the limit. Looks into tables
 * (without calling anything), not into functions and user values. */
size_t mf_live_measure(lua_State *L, int idx, size_t limit);

#endif
