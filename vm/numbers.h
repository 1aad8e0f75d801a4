/* Numbers that C functions read: a list, a range or an array, as doubles. */
#ifndef MF_NUMBERS_H
#define MF_NUMBERS_H

#include <lua.h>
#include <stddef.h>

#include "../runtime/stats.h"

/* Reads the argument at idx and pushes one value, which must stay on the stack as long as data is used. where and what
 * name function and argument in errors, such as
 *   mf.stats.mean: element 3 of x is a string, not a number
 *   mf.stats.mean: x must be a list, a range or an array of numbers, not a boolean */
void mf_numbers_read(lua_State *L, int idx, const char *where, const char *what, struct mf_stats_view *out);

/* Pushes a userdata with room for n doubles, which needs no release. */
double *mf_numbers_buffer(lua_State *L, size_t n);

/* The numbers one behind the other: x->data itself, or a copy; pushes one value, which must stay. */
const double *mf_numbers_contiguous(lua_State *L, const struct mf_stats_view *x);

/* Reads several variables, all of the same length: a list of n >= 1 of them, each as mf_numbers_read takes it, or the
 * columns of an array. Errors are such as "element 3 of variable 2 of x is a string". Pushes values that must stay, and
 * returns the views, which one of them holds. */
struct mf_stats_view *mf_numbers_variables(lua_State *L, int idx, const char *where, const char *what, size_t *count);

/* A new list of n numbers on top, from data. */
void mf_numbers_push(lua_State *L, const double *data, size_t n);

#endif
