/* Launches an agent as a fork of this process, without exec: it has all of the memory, copy-on-write. */
#ifndef MF_LAUNCH_FORK_H
#define MF_LAUNCH_FORK_H

#include "launch_spawn.h"

/* Forks. The child calls work(arg, socket) on the calling thread's copy, which must not return; it has a process group of
 * its own, default handlers (but for real-time signals) and nothing blocked, SIGINT ignored, the signal that interrupts
 * adopted (mf_sys_interrupt_adopt), PR_SET_PDEATHSIG SIGKILL (Linux), an empty stdin, stdout and stderr into the pipe
 * that child->errors reads. All other descriptors are open in it. If it calls exit, it leaves at once, without what was
 * registered with atexit. Only the calling thread exists in the child; locks that others held stay locked, so work may
 * use what is its own and the C library's memory.
 *
 * Write out what streams hold before (fflush(NULL)). MF_ESYS and a fault with the reason; child's fields are -1 then. */
enum mf_err mf_launch_fork(void (*work)(void *arg, int socket), void *arg, struct mf_launch_child *child,
                           struct mf_fault *fault);

#endif
