/* For tests of launchers: the signals that a parent has, and what its child must find instead. */
#ifndef MF_TEST_LAUNCHED_H
#define MF_TEST_LAUNCHED_H

#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

/* --- In the child ----------------------------------------------------------------------------------------------- */

static inline bool launched_is_default(int signal)
{
    struct sigaction action;
    return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_DFL;
}

/* The number of the first thing, up to 4, that is not as launch_spawn.h and launch_fork.h say, or 0. */
static inline int launched_look_around(void)
{
    struct sigaction action;
    sigset_t mask;
    if (getpgrp() != getpid())
        return 1;
    if (sigaction(SIGINT, NULL, &action) != 0 || action.sa_handler != SIG_IGN)
        return 2;
    if (!launched_is_default(SIGUSR1) || !launched_is_default(SIGPIPE) || !launched_is_default(SIGTERM))
        return 3;
    if (sigprocmask(SIG_SETMASK, NULL, &mask) != 0 || sigismember(&mask, SIGUSR2) || sigismember(&mask, SIGTERM))
        return 4;
    return 0;
}

/* --- In the parent ---------------------------------------------------------------------------------------------- */

struct launched_parent {
    struct sigaction old;
    sigset_t before;
};

static inline void launched_ignore(int signal)
{
    (void)signal;
}

/* A handler, an ignored signal and a blocked one. */
static inline void launched_disturb(struct launched_parent *p)
{
    struct sigaction action = {.sa_handler = launched_ignore};
    sigset_t blocked;
    sigaction(SIGUSR1, &action, &p->old);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &blocked, &p->before);
}

/* Takes the mask back, which must be as it was made. */
static inline void launched_unblock(const struct launched_parent *p)
{
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, &p->before, &after);
    CHECK(sigismember(&after, SIGUSR2) && !sigismember(&after, SIGTERM));
}

/* Takes the rest back, likewise. */
static inline void launched_calm(const struct launched_parent *p)
{
    struct sigaction action;
    CHECK(sigaction(SIGUSR1, NULL, &action) == 0 && action.sa_handler == launched_ignore);
    sigaction(SIGUSR1, &p->old, NULL);
    signal(SIGPIPE, SIG_DFL);
}

static inline bool launched_is_ours(int fd)
{
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) && (fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

#endif
