/* A library for LD_PRELOAD that lets calls fail: allocations, the creation of threads and processes, input and output,
 * the loading of libraries; or that makes the world unsteady.
 *
 * Armed by the environment variable FAILS at the start, or at any time by asking for the environment variable whose
 * name is the order itself, which a Lua script can do with os.getenv:
 *
 *     malloc 17 1          the 17th allocation from now fails, and no other
 *     malloc 17 10         the 17th to the 26th fail
 *     thread 1 0           all creations of threads fail from the first on
 *     recvmsg 3 1 104      the third recvmsg fails with errno 104; without a number, with what is usual for that call
 *     alarm 1000 0         a signal every 1000 microseconds, whose handler does not let calls go on
 *     clock 0 0            the wall clock jumps about
 *     off                  no call fails; the answer is the number of calls that were counted since the last order
 *
 * The names are those in calls below. Only calls that the program itself makes are seen, not those within the C library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum call {
    NOTHING,
    MALLOC,
    THREAD,
    FORK,
    TWIN,
    RECVMSG,
    SENDMSG,
    PPOLL,
    READ,
    WRITE,
    PWRITE,
    SOCKETPAIR,
    PIPE,
    EVENTFD,
    MEMFD,
    FALLOCATE,
    MMAP,
    DLOPEN,
    CLOCK,
    ALARM,
    CALLS
};

static const struct {
    const char *name;
    int error;
} calls[] = {
    [NOTHING] = {"off", 0},
    [MALLOC] = {"malloc", ENOMEM},
    [THREAD] = {"thread", EAGAIN},
    [FORK] = {"fork", EAGAIN}, /* with an exec behind it */
    [TWIN] = {"twin", EAGAIN}, /* without */
    [RECVMSG] = {"recvmsg", ECONNRESET},
    [SENDMSG] = {"sendmsg", EPIPE},
    [PPOLL] = {"ppoll", EINTR},
    [READ] = {"read", EIO},
    [WRITE] = {"write", EIO},
    [PWRITE] = {"pwrite", ENOSPC},
    [SOCKETPAIR] = {"socketpair", EMFILE},
    [PIPE] = {"pipe2", EMFILE},
    [EVENTFD] = {"eventfd", EMFILE},
    [MEMFD] = {"memfd_create", EMFILE},
    [FALLOCATE] = {"posix_fallocate", ENOSPC},
    [MMAP] = {"mmap", ENOMEM},
    [DLOPEN] = {"dlopen", 0},
    [CLOCK] = {"clock", 0},
    [ALARM] = {"alarm", 0},
};

static atomic_int what, error;
static atomic_long count, first, last;
static _Thread_local char answer[32];

extern char **environ;
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

/* --- Orders ----------------------------------------------------------------------------------------------------- */

/* Shall this call fail? errno says how then. */
static int fails(enum call kind)
{
    if (atomic_load(&what) != (int)kind)
        return 0;
    long n = atomic_fetch_add(&count, 1) + 1;
    if (n < atomic_load(&first) || n > atomic_load(&last))
        return 0;
    errno = atomic_load(&error);
    return 1;
}

static void nothing(int signal)
{
    (void)signal;
}

static void ring_every(long microseconds)
{
    struct sigaction action = {.sa_handler = nothing}; /* no SA_RESTART */
    struct itimerval often = {{0, microseconds}, {0, microseconds}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
}

static void arm(enum call kind, const char *numbers)
{
    char *end;
    long from = strtol(numbers, &end, 10), times = strtol(end, &end, 10), number = strtol(end, NULL, 10);
    atomic_store(&what, NOTHING);
    atomic_store(&count, 0);
    atomic_store(&first, from);
    atomic_store(&last, times ? from + times - 1 : 1L << 60);
    atomic_store(&error, number ? (int)number : calls[kind].error);
    atomic_store(&what, (int)kind);
    if (kind == ALARM)
        ring_every(from);
}

/* The call that the order is about; CALLS when it is no order. */
static enum call find_call(const char *order)
{
    for (int i = NOTHING; i < CALLS; i++) {
        size_t n = strlen(calls[i].name);
        if (strncmp(order, calls[i].name, n) == 0 && order[n] == (i == NOTHING ? '\0' : ' '))
            return (enum call)i;
    }
    return CALLS;
}

static char *obey(enum call kind, const char *order)
{
    if (kind == NOTHING) {
        atomic_store(&what, NOTHING);
        snprintf(answer, sizeof answer, "%ld", atomic_load(&count));
    } else {
        arm(kind, order + strlen(calls[kind].name));
    }
    return answer;
}

static char *find(const char *name)
{
    size_t n = strlen(name);
    for (char **e = environ; e && *e; e++)
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
            return *e + n + 1;
    return NULL;
}

char *getenv(const char *name)
{
    enum call kind = find_call(name);
    return kind == CALLS ? find(name) : obey(kind, name);
}

__attribute__((constructor)) static void begin(void)
{
    const char *order = find("FAILS");
    if (order && find_call(order) != CALLS)
        obey(find_call(order), order);
}

/* --- Memory, threads, processes --------------------------------------------------------------------------------- */

/* Sets real, of the type of that function, to the next one of this name. */
#define FIND_REAL(function)                                                                                            \
    static __typeof__(&function) real;                                                                                 \
    if (!real)                                                                                                         \
    *(void **)&real = dlsym(RTLD_NEXT, #function)

void *malloc(size_t n)
{
    return fails(MALLOC) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails(MALLOC) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return fails(MALLOC) ? NULL : __libc_realloc(p, n);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    FIND_REAL(pthread_create);
    return fails(THREAD) ? errno : real(thread, attr, fn, arg);
}

pid_t fork(void)
{
    FIND_REAL(fork);
    return fails(TWIN) ? -1 : real();
}

/* The real one cannot be called from a function that returns. */
pid_t vfork(void)
{
    return fails(FORK) ? -1 : fork();
}

/* --- Libraries --------------------------------------------------------------------------------------------------- */

/* One that fails looks for a file that is not there, so that dlerror has the usual words. */
void *dlopen(const char *name, int flags)
{
    FIND_REAL(dlopen);
    return real(fails(DLOPEN) ? "/no/such/library.so" : name, flags);
}

/* --- Descriptors ------------------------------------------------------------------------------------------------ */

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    FIND_REAL(recvmsg);
    return fails(RECVMSG) ? -1 : real(fd, message, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    FIND_REAL(sendmsg);
    return fails(SENDMSG) ? -1 : real(fd, message, flags);
}

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    FIND_REAL(ppoll);
    return fails(PPOLL) ? -1 : real(fds, n, timeout, mask);
}

ssize_t read(int fd, void *bytes, size_t n)
{
    FIND_REAL(read);
    return fails(READ) ? -1 : real(fd, bytes, n);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    FIND_REAL(write);
    return fails(WRITE) ? -1 : real(fd, bytes, n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    FIND_REAL(pwrite);
    return fails(PWRITE) ? -1 : real(fd, bytes, n, at);
}

int socketpair(int domain, int type, int protocol, int ends[2])
{
    FIND_REAL(socketpair);
    return fails(SOCKETPAIR) ? -1 : real(domain, type, protocol, ends);
}

int pipe2(int ends[2], int flags)
{
    FIND_REAL(pipe2);
    return fails(PIPE) ? -1 : real(ends, flags);
}

int eventfd(unsigned value, int flags)
{
    FIND_REAL(eventfd);
    return fails(EVENTFD) ? -1 : real(value, flags);
}

int memfd_create(const char *name, unsigned flags)
{
    FIND_REAL(memfd_create);
    return fails(MEMFD) ? -1 : real(name, flags);
}

int posix_fallocate(int fd, off_t at, off_t n)
{
    FIND_REAL(posix_fallocate);
    return fails(FALLOCATE) ? errno : real(fd, at, n);
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    FIND_REAL(mmap);
    return fails(MMAP) ? MAP_FAILED : real(at, n, protection, flags, fd, offset);
}

/* --- The wall clock --------------------------------------------------------------------------------------------- */

/* A day to the future, a day to the past, and so on. */
static time_t jump(void)
{
    if (atomic_load(&what) != CLOCK)
        return 0;
    return atomic_fetch_add(&count, 1) % 2 ? -86400 : 86400;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    FIND_REAL(clock_gettime);
    int e = real(clock, t);
    if (clock == CLOCK_REALTIME)
        t->tv_sec += jump();
    return e;
}

int gettimeofday(struct timeval *t, void *zone)
{
    FIND_REAL(gettimeofday);
    int e = real(t, zone);
    t->tv_sec += jump();
    return e;
}

time_t time(time_t *t)
{
    FIND_REAL(time);
    time_t now = real(NULL) + jump();
    if (t)
        *t = now;
    return now;
}
