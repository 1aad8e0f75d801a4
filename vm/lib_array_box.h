/* What the files of the array library share, and the codec: arrays as Lua objects, and reading arguments. Everything may
 * raise, unless it says otherwise. An object is a struct mf_array; its finalizer gives it back. */
#ifndef MF_LIB_ARRAY_BOX_H
#define MF_LIB_ARRAY_BOX_H

#include <lauxlib.h>

#include "../runtime/array_ops.h"

/* Opens the module "moonfleet.array_core": the functions in C, the table of methods and the metatable. */
int mf_lib_array_core(lua_State *L);

/* Each adds functions to the table on top. */
void mf_lib_array_index(lua_State *L);
void mf_lib_array_make(lua_State *L);
void mf_lib_array_ops(lua_State *L);
void mf_lib_array_shape(lua_State *L);
void mf_lib_array_reduce(lua_State *L);
void mf_lib_array_npy(lua_State *L);
void mf_lib_array_shared(lua_State *L);

/* The memory of this state's arrays. */
struct mf_heap *mf_lib_array_heap(lua_State *L);

/* Lets go of memory that is only kept for speed; for an idle worker. Does not raise. */
void mf_lib_array_idle(lua_State *L);

/* Pushes an object that is nothing yet (its store is NULL). The first one in a state loads the module. */
struct mf_array *mf_lib_array_box(lua_State *L);

/* Pushes another view of an array, for the caller to cut. */
struct mf_array *mf_lib_array_view(lua_State *L, const struct mf_array *a);

struct mf_array *mf_lib_array_check(lua_State *L, int idx);
struct mf_array *mf_lib_array_test(lua_State *L, int idx); /* NULL if it is none */

/* The array or number at idx; expected names what an error expects. */
struct mf_value mf_lib_array_value(lua_State *L, int idx, const char *expected);

/* Pushes a number: an integer or a float. */
void mf_lib_array_push_value(lua_State *L, const struct mf_value *v);

/* Pushes element i (from 0) of the first axis: a number, or a view. */
void mf_lib_array_push_row(lua_State *L, const struct mf_array *a, size_t i);

/* The optional dtype name at idx. */
enum mf_dtype mf_lib_array_dtype(lua_State *L, int idx, enum mf_dtype standard);

/* Takes an optional dtype off the end of the arguments: *last is the last one before it. */
enum mf_dtype mf_lib_array_pop_dtype(lua_State *L, int *last);

/* The distance of the element whose indices (from 1, or backwards from -1), one for each axis, are the arguments
 * first .. last. */
ptrdiff_t mf_lib_array_place(lua_State *L, const struct mf_array *a, int first, int last);

/* A shape: the integers from first to last, or the table of integers at first. Returns its dimensions. */
int mf_lib_array_read_shape(lua_State *L, int first, int last, size_t *shape);

/* The axis at idx, counted from 1 or backwards from -1: from 0. */
int mf_lib_array_axis(lua_State *L, int idx, const struct mf_array *a);

/* Raises the fault with the user's position, unless e is MF_OK. */
void mf_lib_array_try(lua_State *L, enum mf_err e, const struct mf_fault *fault);

#endif
