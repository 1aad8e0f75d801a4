/* Makes Lua states: what the owner's state and a worker's state have in common, and what an owner adds.
 *
 * All functions belong to the thread that runs L. They may raise Lua errors where that is said. */
#ifndef MF_STATE_H
#define MF_STATE_H

#include <lua.h>
#include <stddef.h>

/* Opens the standard libraries, calls replace, makes the embedded standard library loadable (package.preload) and
 * remembers the pristine globals: what replace replaces or adds counts as such. Adds no global and changes no search
 * path. LUA_PATH and LUA_CPATH are ignored if the registry says so (LUA_NOENV). May raise. */
void mf_state_open(lua_State *L, void (*replace)(lua_State *L, void *arg), void *arg);

/* Registers moonfleet and its submodules in package.preload of a state whose libraries are open, and prepares the
 * codec: the half of mf_state_open that a stock Lua needs. MOONFLEET_STDLIB names a folder to load them from
 * instead of the embedded copies (development). May raise. */
void mf_state_preload(lua_State *L);

/* Message handler in the style of the lua program: turns a non-string error object by __tostring, or says
 * "(error object is a ... value)"; appends the local traceback, and in front of it the remote one when the error
 * came from a task ("remote traceback (worker 2, 'fit'):"). */
int mf_state_traceback(lua_State *L);

/* Cancels all that L's futures still run, joins the workers (bounded by the grace time) and frees what belongs to
 * the runtime. Call before lua_close; idempotent. Returns the number of futures that were still running or queued. */
size_t mf_state_shutdown(lua_State *L);

#endif
