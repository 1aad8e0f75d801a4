/* Descriptors and processes as the operating system has them: what is Linux-only stands in sys_fd.c beside a portable
 * branch. Everything made here is close-on-exec. Calls return -1 or false with errno set; none blocks, except
 * mf_sys_poll. Any thread. */
#ifndef MF_SYS_FD_H
#define MF_SYS_FD_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* poll(2) until a deadline of mf_sys_now's clock: 0 or one that has passed looks once, MF_SYS_NEVER waits for ever. May
 * return 0 a little early where the system's clock for it is coarse. */
int mf_sys_poll(struct pollfd *fds, size_t n, uint64_t deadline);

/* Lets another process have the processor, for a loop that polls without sleeping. */
void mf_sys_yield(void);

/* Sets O_NONBLOCK and FD_CLOEXEC. */
bool mf_sys_fd_prepare(int fd);

/* A connected pair of stream sockets; both block. */
bool mf_sys_socketpair(int ends[2]);

/* A pipe: [0] to read, [1] to write; both block. */
bool mf_sys_pipe(int ends[2]);

/* A descriptor to wake a poll with, by mf_sys_event_post: [0] is what to poll, [1] what to post to; they may be the
 * same (mf_sys_event_close knows). Non-blocking. */
bool mf_sys_event_new(int ends[2]);
void mf_sys_event_post(int ends[2]); /* async-signal-safe; keeps errno */
void mf_sys_event_drain(int ends[2]);
void mf_sys_event_close(int ends[2]);

/* For a connected TCP socket: small writes leave at once, and a peer that has gone silent is noticed within about so many
 * seconds, whether anything is on its way to it or not (as far as the system can). */
void mf_sys_tcp_tune(int fd, int seconds);

/* Sleeps while the word has that value, until it is woken, a signal handler ran, the deadline passed (as of mf_sys_now) or
 * for no reason at all. The word may be in memory that several processes share. */
void mf_sys_word_wait(atomic_uint *word, unsigned value, uint64_t deadline);
void mf_sys_word_wake(atomic_uint *word); /* all who sleep on it */

/* Anonymous memory behind a descriptor; -1 with ENOSYS where there is none. It can be sealed, for ever. */
enum mf_sys_seal {
    MF_SYS_SEAL_SIZE,    /* it neither shrinks nor grows */
    MF_SYS_SEAL_CONTENT, /* and only mappings that are there already can write to it; its pages cannot be taken away */
};
int mf_sys_memfd(const char *name);
bool mf_sys_memfd_seal(int fd, enum mf_sys_seal seal);
bool mf_sys_memfd_sealed(int fd, enum mf_sys_seal seal); /* was that done, or more? */

/* A descriptor that polls readable when the child has ended; -1 where there is none. */
int mf_sys_pidfd(pid_t pid);

/* The following two are for a child between fork and exec: async-signal-safe. */
void mf_sys_close_on_exec_from(int first); /* marks first and all descriptors above it */
bool mf_sys_die_with(pid_t parent);        /* SIGKILL when the thread that forked ends; false: it has ended already */

/* For a child: from now on it gets that signal instead. Where there is no such thing (not Linux), nothing happens. */
void mf_sys_signal_with_parent(int signal);

#ifdef __linux__
#define MF_SYS_TELLS_OF_PARENT true /* by these signals */
#else
#define MF_SYS_TELLS_OF_PARENT false
#endif

/* The path of the running program, or of something that execs it; false when the system does not tell. */
bool mf_sys_program(char *path, size_t n);

/* Makes the symbols of the shared library that holds address seen by libraries that are loaded later, however it was loaded
 * itself; those of the program are seen or not, which this does not change. */
void mf_sys_expose(const void *address);

/* The absolute path of the file that this code was loaded from: the program, or a shared library. False when the
 * system does not tell. */
bool mf_sys_library(char *path, size_t n);

#endif
