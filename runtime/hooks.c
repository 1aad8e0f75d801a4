/* Design note: the only state of the runtime that is the process's, and only in programs made for tests: what has been
 * counted, and which part the process plays. Variables are looked at anew each time, so that a test in the same process
 * may change them. A process that kills itself does so by SIGKILL, so that nothing of it is put in order. */
#include "hooks.h"

#ifdef MF_TEST_HOOKS

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_bool agent;
static atomic_ulong messages, bytes;

static unsigned long number(const char *name)
{
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : 0;
}

/* Whoever asked goes on where another process has taken this part, and with the error that he has yet to look at. */
static void die(void)
{
    const char *path = getenv("MF_TEST_ONCE");
    int error = errno;
    if (!path || unlink(path) == 0)
        kill(getpid(), SIGKILL);
    errno = error;
}

void mf_hooks_agent(void)
{
    atomic_store(&agent, true);
    atomic_store(&messages, 0); /* a fork's master has counted its own */
    atomic_store(&bytes, 0);
}

size_t mf_hooks_read_max(size_t n)
{
    unsigned long max = number("MF_TEST_READ_MAX");
    return max && max < n ? max : n;
}

size_t mf_hooks_inline_max(size_t n)
{
    unsigned long max = number("MF_TEST_INLINE");
    return max ? max : n;
}

uint64_t mf_hooks_hello_time(uint64_t ns)
{
    unsigned long ms = number("MF_TEST_HELLO_MS");
    return ms ? ms * 1000000u : ns;
}

void mf_hooks_message(void)
{
    unsigned long last = number(atomic_load(&agent) ? "MF_TEST_AGENT_DIES" : "MF_TEST_MASTER_DIES");
    if (last && atomic_fetch_add(&messages, 1) + 1 == last)
        die();
}

/* How many bytes an agent may still write; 0: it is over. No limit: more than anything. */
static size_t left_to_write(void)
{
    unsigned long cut = atomic_load(&agent) ? number("MF_TEST_AGENT_CUT") : 0, done = atomic_load(&bytes);
    if (!cut || done > cut)
        return SIZE_MAX;
    return cut - done;
}

void mf_hooks_written(long n)
{
    if (n > 0)
        atomic_fetch_add(&bytes, (unsigned long)n);
    if (left_to_write() == 0)
        die();
}

const struct iovec *mf_hooks_pieces(const struct iovec *pieces, int *n, struct iovec *room)
{
    unsigned long wanted = number("MF_TEST_WRITE_MAX");
    size_t max = left_to_write();
    if (wanted && wanted < max)
        max = wanted;
    if (max == SIZE_MAX || max == 0)
        return pieces;
    while (*n > 1 && pieces->iov_len == 0) {
        pieces++;
        --*n;
    }
    *n = 1;
    *room = (struct iovec){pieces->iov_base, pieces->iov_len < max ? pieces->iov_len : max};
    return room;
}

#endif
