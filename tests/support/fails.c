/* A library for LD_PRELOAD that lets calls fail: allocations, or the creation of threads.
 *
 * Armed by the environment variable FAILS at the start, or at any time by asking for the environment variable whose
 * name is the order itself, which a Lua script can do with os.getenv:
 *
 *     malloc 17 1      the 17th allocation from now fails, and no other
 *     malloc 17 10     the 17th to the 26th fail
 *     thread 1 0       all creations of threads fail from the first on
 *     off              no call fails; the answer is the number of calls that were counted since the last order */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOTHING, MALLOC, THREAD };

static atomic_int what;
static atomic_long count, first, last;
static _Thread_local char answer[32];

extern char **environ;
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static int fails(int kind)
{
    if (atomic_load(&what) != kind)
        return 0;
    long n = atomic_fetch_add(&count, 1) + 1;
    return n >= atomic_load(&first) && n <= atomic_load(&last);
}

static void arm(int kind, const char *numbers)
{
    char *end;
    long from = strtol(numbers, &end, 10), times = strtol(end, NULL, 10);
    atomic_store(&what, NOTHING);
    atomic_store(&count, 0);
    atomic_store(&first, from);
    atomic_store(&last, times ? from + times - 1 : 1L << 60);
    atomic_store(&what, kind);
}

static char *obey(const char *order)
{
    if (strncmp(order, "malloc ", 7) == 0) {
        arm(MALLOC, order + 7);
    } else if (strncmp(order, "thread ", 7) == 0) {
        arm(THREAD, order + 7);
    } else {
        atomic_store(&what, NOTHING);
        snprintf(answer, sizeof answer, "%ld", atomic_load(&count));
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
    if (strncmp(name, "malloc ", 7) == 0 || strncmp(name, "thread ", 7) == 0 || strcmp(name, "off") == 0)
        return obey(name);
    return find(name);
}

__attribute__((constructor)) static void begin(void)
{
    const char *order = find("FAILS");
    if (order)
        obey(order);
}

void *malloc(size_t n)
{
    if (!fails(MALLOC))
        return __libc_malloc(n);
    errno = ENOMEM;
    return NULL;
}

void *calloc(size_t n, size_t size)
{
    if (!fails(MALLOC))
        return __libc_calloc(n, size);
    errno = ENOMEM;
    return NULL;
}

void *realloc(void *p, size_t n)
{
    if (!fails(MALLOC))
        return __libc_realloc(p, n);
    errno = ENOMEM;
    return NULL;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (fails(THREAD))
        return EAGAIN;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return real(thread, attr, fn, arg);
}
