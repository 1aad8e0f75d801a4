/* Design note: one function for each thing that Linux has and POSIX has not (eventfd, memfd, pidfd, close_range, the
 * parent-death signal, /proc/self/exe), or that POSIX has only in two steps (close-on-exec). No state. System calls
 * that the C library may lack go through syscall(2); where the kernel lacks them the caller gets the portable branch. */
#define _GNU_SOURCE
#include "sys_fd.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "sys.h"

#define NS          1000000000ull
#define NS_PER_MS   1000000ull
#define DESCRIPTORS 65536 /* looked at one by one where close_range is missing and there is no limit */

#ifdef __linux__
int mf_sys_poll(struct pollfd *fds, size_t n, uint64_t deadline)
{
    struct timespec left = {0, 0};
    if (deadline == MF_SYS_NEVER)
        return ppoll(fds, (nfds_t)n, NULL, NULL);
    uint64_t now = deadline ? mf_sys_now() : 0;
    if (deadline > now) {
        left.tv_sec = (time_t)((deadline - now) / NS);
        left.tv_nsec = (long)((deadline - now) % NS);
    }
    return ppoll(fds, (nfds_t)n, &left, NULL);
}
#else
int mf_sys_poll(struct pollfd *fds, size_t n, uint64_t deadline)
{
    if (deadline == MF_SYS_NEVER)
        return poll(fds, (nfds_t)n, -1);
    uint64_t now = deadline ? mf_sys_now() : 0;
    uint64_t left = deadline > now ? (deadline - now + NS_PER_MS - 1) / NS_PER_MS : 0;
    return poll(fds, (nfds_t)n, left < 1000000 ? (int)left : 1000000);
}
#endif

void mf_sys_yield(void)
{
    sched_yield();
}

/* --- Making descriptors ----------------------------------------------------------------------------------------- */

static bool close_on_exec(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    return flags >= 0 && ((flags & FD_CLOEXEC) || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) == 0);
}

static bool not_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && ((flags & O_NONBLOCK) || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
}

bool mf_sys_fd_prepare(int fd)
{
    return close_on_exec(fd) && not_blocking(fd);
}

bool mf_sys_socketpair(int ends[2])
{
#ifdef SOCK_CLOEXEC
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0;
#else
    return socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && close_on_exec(ends[0]) && close_on_exec(ends[1]);
#endif
}

bool mf_sys_pipe(int ends[2])
{
#ifdef __linux__
    return pipe2(ends, O_CLOEXEC) == 0;
#else
    return pipe(ends) == 0 && close_on_exec(ends[0]) && close_on_exec(ends[1]);
#endif
}

bool mf_sys_event_new(int ends[2])
{
#ifdef __linux__
    ends[0] = ends[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return ends[0] >= 0;
#else
    return mf_sys_pipe(ends) && not_blocking(ends[0]) && not_blocking(ends[1]);
#endif
}

void mf_sys_event_post(int ends[2])
{
    static const uint64_t one = 1;
    int saved = errno;
    while (write(ends[1], &one, sizeof one) < 0 && errno == EINTR) {
    }
    errno = saved;
}

void mf_sys_event_drain(int ends[2])
{
    uint64_t count[8];
    ssize_t n;
    do
        n = read(ends[0], count, ends[0] == ends[1] ? sizeof count[0] : sizeof count);
    while ((n < 0 && errno == EINTR) || n == (ssize_t)sizeof count);
}

void mf_sys_event_close(int ends[2])
{
    close(ends[0]);
    if (ends[1] != ends[0])
        close(ends[1]);
}

/* Keepalive finds a dead idle connection, the user timeout one with data on its way, which keepalive does not. */
void mf_sys_tcp_tune(int fd, int seconds)
{
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#ifdef __linux__
    const int third = seconds / 3 > 0 ? seconds / 3 : 1, probes = 2;
    const unsigned milliseconds = (unsigned)seconds * 1000;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &third, sizeof third);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &third, sizeof third);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds);
#else
    (void)seconds;
#endif
}

/* --- Sleeping on a word ----------------------------------------------------------------------------------------- */

#if defined(__linux__) && defined(SYS_futex)
void mf_sys_word_wait(atomic_uint *word, unsigned value, uint64_t deadline)
{
    uint64_t now = mf_sys_now(), left = deadline > now ? deadline - now : 0;
    struct timespec span = {(time_t)(left / NS), (long)(left % NS)};
    syscall(SYS_futex, word, FUTEX_WAIT, value, deadline == MF_SYS_NEVER ? NULL : &span, NULL, 0);
}

void mf_sys_word_wake(atomic_uint *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
#else
void mf_sys_word_wait(atomic_uint *word, unsigned value, uint64_t deadline)
{
    struct timespec span = {0, NS_PER_MS};
    if (atomic_load(word) == value && mf_sys_now() < deadline)
        nanosleep(&span, NULL);
}

void mf_sys_word_wake(atomic_uint *word)
{
    (void)word; /* who waits looks every millisecond */
}
#endif

/* --- Memory behind a descriptor --------------------------------------------------------------------------------- */

#if defined(__linux__) && defined(F_SEAL_FUTURE_WRITE) && defined(MFD_ALLOW_SEALING)
int mf_sys_memfd(const char *name)
{
    return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

bool mf_sys_memfd_seal(int fd, enum mf_sys_seal seal)
{
    int content = seal == MF_SYS_SEAL_CONTENT ? F_SEAL_FUTURE_WRITE : 0;
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | content) == 0;
}

bool mf_sys_memfd_sealed(int fd, enum mf_sys_seal seal)
{
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK))
        return false;
    return seal == MF_SYS_SEAL_SIZE || (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE));
}
#else
int mf_sys_memfd(const char *name)
{
    (void)name;
    errno = ENOSYS;
    return -1;
}

bool mf_sys_memfd_seal(int fd, enum mf_sys_seal seal)
{
    (void)fd;
    (void)seal;
    return false;
}

bool mf_sys_memfd_sealed(int fd, enum mf_sys_seal seal)
{
    (void)fd;
    (void)seal;
    return false;
}
#endif

/* --- Processes -------------------------------------------------------------------------------------------------- */

int mf_sys_pidfd(pid_t pid)
{
#if defined(__linux__) && defined(SYS_pidfd_open)
    return (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */
#else
    (void)pid;
    errno = ENOSYS;
    return -1;
#endif
}

void mf_sys_close_on_exec_from(int first)
{
#if defined(__linux__) && defined(SYS_close_range)
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) == 0)
        return;
#endif
    long end = sysconf(_SC_OPEN_MAX);
    if (end < 0 || end > DESCRIPTORS)
        end = DESCRIPTORS;
    for (int fd = first; fd < end; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

bool mf_sys_die_with(pid_t parent)
{
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
#endif
    return getppid() == parent;
}

void mf_sys_signal_with_parent(int signal)
{
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0);
#else
    (void)signal;
#endif
}

void mf_sys_expose(const void *address)
{
#ifdef __linux__
    Dl_info info;
    if (dladdr(address, &info) && info.dli_fname && strchr(info.dli_fname, '/'))
        dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL); /* stays open, as it was */
#else
    (void)address;
#endif
}

bool mf_sys_library(char *path, size_t n)
{
#ifdef __linux__
    static const char here = 0;
    Dl_info info;
    if (!dladdr(&here, &info) || !info.dli_fname)
        return false;
    char *absolute = strchr(info.dli_fname, '/') ? realpath(info.dli_fname, NULL) : NULL;
    if (!absolute) /* of the program, whose first argument need not be a path */
        return mf_sys_program(path, n);
    bool fits = (size_t)snprintf(path, n, "%s", absolute) < n;
    free(absolute);
    return fits;
#else
    (void)path;
    (void)n;
    return false;
#endif
}

bool mf_sys_program(char *path, size_t n)
{
#ifdef __linux__
    static const char link[] = "/proc/self/exe";
    ssize_t len = readlink(link, path, n);
    if (len <= 0)
        return false;
    if ((size_t)len < n) {
        path[len] = '\0';
        if (access(path, X_OK) == 0)
            return true;
    }
    /* Removed or replaced since it started, or not to be named: the link itself still leads to it. */
    return (size_t)snprintf(path, n, "%s", link) < n;
#else
    (void)path;
    (void)n;
    return false;
#endif
}
