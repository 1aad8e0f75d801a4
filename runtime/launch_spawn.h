/* Launches an agent as a child process: fork and exec of this very program, or of another, with one end of a socketpair
 * as its descriptor 3. Linux: pidfd where there is one. */
#ifndef MF_LAUNCH_SPAWN_H
#define MF_LAUNCH_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

#define MF_LAUNCH_FD 3 /* the agent's end */

struct mf_launch_child {
    pid_t pid;
    int pidfd;  /* readable when the child has ended; -1 where there are none */
    int socket; /* our end, non-blocking, close-on-exec */
    int errors; /* read end of a pipe that is the child's stderr, non-blocking; -1 if it was to be inherited */
    bool twin;  /* a fork of this process, which needs no greeting */
};

/* Starts argv[0] with that argument vector (NULL-terminated). The child has its own process group, default signal
 * handlers and mask, SIGINT ignored, PR_SET_PDEATHSIG SIGKILL (Linux), stdin from /dev/null, stdout to stderr's place,
 * no descriptor but 0, 1, 2 and MF_LAUNCH_FD. The calling thread is suspended until the exec (some 0.2 ms); the child
 * dies with that thread, which should live as long as the pool. MF_ESYS and a fault that names path and reason (also for
 * an exec that failed: the error comes back through a pipe, not as a mysterious death); child's fields are -1 then. */
enum mf_err mf_launch_spawn(const char *const argv[], bool capture_stderr, struct mf_launch_child *child,
                            struct mf_fault *fault);

/* For a child: default handlers for the signals below end but SIGINT, which is ignored, and keep (0: none), which stays as
 * it is; nothing blocked. Async-signal-safe. */
void mf_launch_reset_signals(int keep, int end);

/* How a child ended. */
struct mf_launch_end {
    bool ended;    /* false: it has not ended yet */
    bool unknown;  /* somebody else has collected it */
    int exit_code; /* valid when signal is 0 */
    int signal;
};

/* Collects the child if it has ended; never blocks, never waits for other children. */
struct mf_launch_end mf_launch_reap(pid_t pid);

/* Has the child ended? Does not collect it. */
bool mf_launch_has_ended(pid_t pid);

/* The same, but waits for it until the deadline (mf_sys_now's clock). */
bool mf_launch_ends_by(const struct mf_launch_child *child, uint64_t deadline);

/* Has the child been stopped (SIGSTOP, ...), and not been continued? */
bool mf_launch_is_stopped(pid_t pid);

/* Words for it: "exited with code 3", "killed by SIGKILL (possibly out of memory)", "ended, how is unknown". */
void mf_launch_describe(const struct mf_launch_end *end, char *text, size_t n);

/* SIGTERM, SIGKILL, ... to the process group of a child that has not been collected, or to it alone where there is none of
 * its own any more. */
void mf_launch_signal(pid_t pid, int signal);

/* The signal that interrupts (sys.h) to the child alone. */
void mf_launch_interrupt(pid_t pid);

/* The path of the running program; false when the system does not tell. */
bool mf_launch_self(char *path, size_t n);

#endif
