/* Arrays for the C halves of other modules: the numbers of an array on the Lua stack, as C sees them.
 *
 * All functions belong to the thread that runs L. A pointer is good as long as its array stays on the stack (or
 * otherwise reachable) and nothing else is done to any array that shows the same numbers. */
#ifndef MF_LIB_ARRAY_H
#define MF_LIB_ARRAY_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is the value at idx an array? */
bool mf_lib_array_is(lua_State *L, int idx);

/* The numbers of the array at idx, in row-major order: *n of them, each *stride doubles (which may be negative, or 0)
 * behind the one before. NULL, with nothing changed, when the value is no array of f64, or when its numbers do not lie
 * at one distance (as in a slice of columns): mf_lib_array_doubles takes any. An array of one dimension always has
 * one distance. */
const double *mf_lib_array_read(lua_State *L, int idx, size_t *n, ptrdiff_t *stride);

/* The same to write into. Raises, with words for the user, when the array is read-only, or memory is out: numbers that
 * others still read become a copy of this array's own first. */
double *mf_lib_array_write(lua_State *L, int idx, size_t *n, ptrdiff_t *stride);

/* The same for an array of i64. */
int64_t *mf_lib_array_write_integers(lua_State *L, int idx, size_t *n, ptrdiff_t *stride);

/* The numbers of an array of any dtype and layout as doubles in row-major order, one behind the other. Pushes one value,
 * which keeps them alive: the array itself where they lie so already, else a copy. NULL, with nothing pushed, when the
 * value is no array. May raise (memory). */
const double *mf_lib_array_doubles(lua_State *L, int idx, size_t *n);

/* Pushes a new array of n f64, one dimension, whose numbers are for the caller to write at once. May raise (memory). */
double *mf_lib_array_push(lua_State *L, size_t n);
int64_t *mf_lib_array_push_integers(lua_State *L, size_t n); /* of i64 */

#endif
