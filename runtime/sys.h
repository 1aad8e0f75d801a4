/* Small truths about the operating system: time, cores, locks, sleeping, interrupting a thread, streams that call
 * back. What is Linux-only or glibc-only stands in sys.c beside a portable branch. */
#ifndef MF_SYS_H
#define MF_SYS_H

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "err.h"

#define MF_SYS_NEVER UINT64_MAX /* a deadline that does not come */

/* Monotonic time in nanoseconds. */
uint64_t mf_sys_now(void);

#define MF_SYS_SPAN_MAX UINT64_C(1000000000000000000) /* nanoseconds: 30 years; now plus twice that does not overflow */

/* That many seconds in nanoseconds: 0 when negative or NaN, else at least 1 and at most MF_SYS_SPAN_MAX. */
uint64_t mf_sys_span(double seconds);

/* The moment that many seconds from now; MF_SYS_NEVER when they are infinite or too many, now when negative or NaN. */
uint64_t mf_sys_after(double seconds);

/* The processing units this process may use, at least 1: the smallest of affinity, cgroup v1/v2 CPU quota (rounded
 * up) and the limits that schedulers put in SLURM_CPUS_PER_TASK, OMP_NUM_THREADS, PBS_NP, NSLOTS, LSB_DJOB_NUMPROC. */
int mf_sys_cores(void);

/* Nonzero bytes that differ from call to call, for seeds. */
uint64_t mf_sys_entropy(void);

/* A number for what a process has that its tasks can tell, and that is not Lua's: the working folder, the environment,
 * the locale. Another one when any of them has changed. Any thread, as far as getenv may be called on any. */
uint64_t mf_sys_surroundings(void);

/* Asks a person at the process's terminal, whatever standard streams are; false where there is none, or no answer came.
 * Without echo for secrets. Waits; any thread, one at a time. */
bool mf_sys_ask(const char *question, bool echo, char *answer, size_t room);
bool mf_sys_can_ask(void);

/* Columns of the terminal behind fd, or 80. */
int mf_sys_columns(int fd);

/* A mutex for short sections: spins a little before it sleeps where the C library can. */
enum mf_err mf_sys_mutex_init(pthread_mutex_t *mutex);

/* A condition variable whose timed wait runs on the monotonic clock; deadline as of mf_sys_now. */
enum mf_err mf_sys_cond_init(pthread_cond_t *cond);
void mf_sys_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t deadline);

/* Sleeps until the semaphore is posted (true), or the deadline has passed or a signal handler ran (false). */
bool mf_sys_sem_wait_until(sem_t *sem, uint64_t deadline);

/* One turn of a spin loop: tells the processor and, in one of yield_every turns, the scheduler, in case the thread that
 * is waited for has no core of its own. */
void mf_sys_spin(unsigned turn, unsigned yield_every);

/* A thread with that much stack (bytes) and all signals blocked except the one that interrupts. */
enum mf_err mf_sys_thread_start(pthread_t *thread, size_t stack, void *(*fn)(void *), void *arg,
                                struct mf_fault *fault);

/* --- Interruption -----------------------------------------------------------------------------------------------
 * Every thread has a stack of interrupt actions, innermost last: what must be done so that the code running there
 * stops soon (put a hook on a Lua state, wake a wait). Actions run in a signal handler on their own thread, so they
 * may only do what is async-signal-safe. An entry lives on the C stack of the function that pushed it, which must
 * pop it on every way out. wanted, if not NULL, marks an entry as a target of its own: mf_sys_interrupt_thread
 * runs the actions from the innermost one out to the outermost entry whose *wanted is true, and none if there is
 * no such entry, so that a signal that arrives late does nothing. An action may be NULL. */
struct mf_sys_interrupt {
    void (*action)(void *arg);
    void *arg;
    const atomic_bool *wanted;
    volatile sig_atomic_t ran; /* since the push: what runs here, and all within it, is to stop */
    struct mf_sys_interrupt *outer;
};

void mf_sys_interrupt_push(struct mf_sys_interrupt *entry);
void mf_sys_interrupt_pop(struct mf_sys_interrupt *entry); /* entry and all that were pushed after it */

/* In a forked child, on its only thread and with the signal still blocked: forgets the entries of the code that it will
 * never return to, and the handler that was there before ours, which is installed again. From now on the signal counts
 * as asked for when the parent sends it to the process, which may have happened already. */
void mf_sys_interrupt_adopt(pid_t parent);

/* In such a child: turns true when the parent has sent the signal. May be an entry's wanted. */
atomic_bool *mf_sys_interrupt_asked(void);

/* Runs all actions of the calling thread. Async-signal-safe: for a handler of SIGINT. */
void mf_sys_interrupt_self(void);

/* Is an entry of the calling thread wanted, or has one been run already? To be asked after a push that a signal may have
 * come before. */
bool mf_sys_interrupt_wanted(void);

#define MF_SYS_INTERRUPT SIGURG

/* Makes thread look at its wanted flags (see above). The signal is MF_SYS_INTERRUPT, whose default is to be ignored; its
 * handler is installed at the first call of mf_sys_interrupt_ready and passes on to a handler that was there. */
enum mf_err mf_sys_interrupt_ready(struct mf_fault *fault);
void mf_sys_interrupt_thread(pthread_t thread);

/* Where what is written to a stream goes. */
struct mf_sys_sink {
    void (*write)(void *arg, const char *bytes, size_t n);
    void *arg;
};

/* A C stream, unbuffered, whose writes call sink->write; sink must outlive it. NULL with errno set when none can be
 * made. */
FILE *mf_sys_stream(struct mf_sys_sink *sink);

/* Makes them the C library's stdout and stderr, where it lets us; what the old ones held is not written. */
void mf_sys_replace_stdio(FILE *out, FILE *err);

#endif
