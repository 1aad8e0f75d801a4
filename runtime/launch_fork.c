/* Design note: signals are blocked around the fork, so that no handler of the parent runs in the child before its handlers
 * are reset, and a signal that interrupts waits until the child can understand it. */
#define _GNU_SOURCE
#include "launch_fork.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys.h"
#include "sys_fd.h"

#ifdef SIGRTMIN
#define SIGNALS SIGRTMIN /* nobody sends real-time signals to a process that he has not started */
#else
#define SIGNALS NSIG
#endif

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}

static bool make_pairs(int socket[2], int err[2])
{
    return mf_sys_socketpair(socket) && mf_sys_fd_prepare(socket[0]) && mf_sys_pipe(err) && mf_sys_fd_prepare(err[0]);
}

/* Puts fd into place; a descriptor that is missing there must not be hit by another one on its way. */
static void place(int fd, int to)
{
    while (dup2(fd, to) < 0)
        if (errno != EINTR)
            _exit(EXIT_FAILURE);
}

static void place_descriptors(int err)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        _exit(EXIT_FAILURE);
    place(null, STDIN_FILENO);
    place(err, STDOUT_FILENO);
    place(err, STDERR_FILENO);
    if (null > STDERR_FILENO)
        close(null);
    if (err > STDERR_FILENO)
        close(err);
}

/* Where a standard descriptor was closed, a pair may have taken its number: then it has to move up first. */
static int above_standard(int fd)
{
    if (fd > STDERR_FILENO)
        return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (moved < 0)
        _exit(EXIT_FAILURE);
    return moved;
}

#ifdef __GLIBC__
static void leave_at_once(int status, void *arg)
{
    (void)arg;
    fflush(NULL);
    _exit(status);
}

/* What the parent has registered to be done at its own end is not for a child that calls exit: this comes first. */
static void guard_exit(void)
{
    on_exit(leave_at_once, NULL);
}
#else
static void leave_at_once(void)
{
    fflush(NULL);
    _exit(EXIT_FAILURE);
}

static void guard_exit(void)
{
    atexit(leave_at_once);
}
#endif

static _Noreturn void become(pid_t parent, const int socket[2], const int err[2], void (*work)(void *arg, int socket),
                             void *arg)
{
    if (!mf_sys_die_with(parent))
        _exit(EXIT_FAILURE);
    setpgid(0, 0);
    close(socket[0]);
    close(err[0]);
    int end = above_standard(socket[1]);
    place_descriptors(above_standard(err[1]));
    fflush(stdin); /* what the parent has read ahead of its input is the parent's */
    guard_exit();
    mf_sys_interrupt_adopt(parent);
    mf_launch_reset_signals(MF_SYS_INTERRUPT, SIGNALS);
    work(arg, end);
    _exit(EXIT_FAILURE);
}

enum mf_err mf_launch_fork(void (*work)(void *arg, int socket), void *arg, struct mf_launch_child *child,
                           struct mf_fault *fault)
{
    int socket[2] = {-1, -1}, err[2] = {-1, -1};
    sigset_t all, old;
    pid_t parent = getpid();
    *child = (struct mf_launch_child){.pid = -1, .pidfd = -1, .socket = -1, .errors = -1, .twin = true};
    if (!make_pairs(socket, err)) {
        mf_fault_set(fault, MF_ESYS, "cannot fork a worker: %s", strerror(errno));
        goto fail;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    child->pid = fork();
    if (child->pid == 0)
        become(parent, socket, err, work, arg);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (child->pid < 0) {
        mf_fault_set(fault, MF_ESYS, "cannot fork a worker: %s", strerror(error));
        goto fail;
    }
    setpgid(child->pid, child->pid); /* whoever of the two is first, so that its group can be killed at once */
    close(socket[1]);
    close(err[1]);
    child->socket = socket[0];
    child->errors = err[0];
    child->pidfd = mf_sys_pidfd(child->pid);
    return MF_OK;
fail:
    close_pair(socket);
    close_pair(err);
    return MF_ESYS;
}
