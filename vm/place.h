/* Where the programs of an installation are: what worker processes run, and what is put on hosts that have nothing. */
#ifndef MF_PLACE_H
#define MF_PLACE_H

#include <lua.h>

/* Pushes the path of the program that the worker processes of this state's plans are; nil when it is the program that runs.
 * In this order: what the host has configured; MOONFLEET_PROGRAM; moonfleet beside the file that this library was
 * loaded from, or in a folder bin beside or above that; moonfleet on PATH. Raises when there is none. */
void mf_place_push_program(lua_State *L);

/* Pushes the path of moonfleet-node, which stands where the program that runs, this library or the program above is; nil
 * when it is not there. May raise (memory). */
void mf_place_push_node(lua_State *L);

#endif
