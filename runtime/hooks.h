/* Ways for tests to make rare things happen, in programs that are built with -DMF_TEST_HOOKS. Environment variables
 * switch them on:
 *
 *   MF_TEST_READ_MAX=n       streams read at most n bytes at a time
 *   MF_TEST_WRITE_MAX=n      and write at most n
 *   MF_TEST_INLINE=n         bodies of messages that are longer than n go beside the stream where that is possible (n
 *                            not below MF_MSG_MAX_HELLO)
 *   MF_TEST_HELLO_MS=n       an agent has that many milliseconds for its greeting
 *   MF_TEST_AGENT_DIES=n     an agent kills itself in the place of its n-th message, sent or received
 *   MF_TEST_AGENT_CUT=n      an agent kills itself when it has written n bytes to its streams
 *   MF_TEST_MASTER_DIES=n    what is no agent kills itself in the place of its n-th message
 *   MF_TEST_ONCE=path        only who can remove that file kills itself
 *
 * In an ordinary build these functions are empty, and no such variable is looked at. Any thread. */
#ifndef MF_HOOKS_H
#define MF_HOOKS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef MF_TEST_HOOKS

void mf_hooks_agent(void);                 /* this process is an agent */
size_t mf_hooks_read_max(size_t n);        /* how many of n bytes may be read at once */
size_t mf_hooks_inline_max(size_t n);      /* how long bodies in the stream may be, which is n as a rule */
uint64_t mf_hooks_hello_time(uint64_t ns); /* how long an agent may take to greet, which is ns as a rule */
void mf_hooks_message(void);               /* one is sent or received */
void mf_hooks_written(long n);             /* what a write returned */

/* What of the *n pieces may be written at once: pieces itself, or, with *n = 1, *room, which has been filled in. */
const struct iovec *mf_hooks_pieces(const struct iovec *pieces, int *n, struct iovec *room);

#else

static inline void mf_hooks_agent(void)
{
}

static inline size_t mf_hooks_read_max(size_t n)
{
    return n;
}

static inline size_t mf_hooks_inline_max(size_t n)
{
    return n;
}

static inline uint64_t mf_hooks_hello_time(uint64_t ns)
{
    return ns;
}

static inline void mf_hooks_message(void)
{
}

static inline void mf_hooks_written(long n)
{
    (void)n;
}

static inline const struct iovec *mf_hooks_pieces(const struct iovec *pieces, int *n, struct iovec *room)
{
    (void)n;
    (void)room;
    return pieces;
}

#endif
#endif
