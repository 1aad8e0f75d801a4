/* Stopping Lua code that runs, from a signal handler on its own thread, without a standing hook (which would cost half
 * the speed): a hook is put on every Lua thread that runs or waits in a resume, and raises "interrupted!".
 *
 * Reaches loops, loops in pcall and in coroutines, and calls that a signal interrupts. Cannot reach one long C call, nor
 * loops where Lua permits no hook: in a __gc method, and in the message handler of an error that an interrupt raised. */
#ifndef MF_INTERRUPT_H
#define MF_INTERRUPT_H

#include <lua.h>

#include "../runtime/sys.h"

/* Registers L as running on this thread until the leave; entry lives in the caller's frame. Nests. */
void mf_interrupt_enter(lua_State *L, struct mf_sys_interrupt *entry);
void mf_interrupt_leave(lua_State *L, struct mf_sys_interrupt *entry); /* takes the hook off L */

/* Interrupts L now; what the action of an entry does. Async-signal-safe on the thread that runs L. */
void mf_interrupt_state(lua_State *L);

/* Replaces coroutine.resume, .wrap and .close in the open libraries by ones that do the same and register the
 * coroutine while it runs. */
void mf_interrupt_open(lua_State *L);

#endif
