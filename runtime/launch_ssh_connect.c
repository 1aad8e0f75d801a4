/* Design note: the C library's name look-up cannot be given a deadline, so it runs in a thread of its own that is left
 * behind when it takes too long; who is last frees what both share. Addresses are tried one after the other, each with
 * its share of the time that is left. */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launch_ssh_inner.h"
#include "sys.h"
#include "sys_fd.h"

#define STACK          ((size_t)256 * 1024)
#define SILENT_SECONDS 15 /* a peer that has gone silent is noticed by then */
#define WORDS_BYTES    800

struct lookup {
    atomic_uint refs;
    struct addrinfo hints;
    struct addrinfo *found;
    int error;        /* getaddrinfo's */
    int system;       /* errno with it */
    atomic_bool over; /* these two and found are set */
    int event[2];
    char port[16];
    char host[];
};

static void unref(struct lookup *k)
{
    if (atomic_fetch_sub(&k->refs, 1) != 1)
        return;
    if (k->found)
        freeaddrinfo(k->found);
    mf_sys_event_close(k->event);
    free(k);
}

static void *look_up(void *arg)
{
    struct lookup *k = arg;
    k->error = getaddrinfo(k->host, k->port, &k->hints, &k->found);
    k->system = errno;
    atomic_store(&k->over, true);
    mf_sys_event_post(k->event);
    unref(k);
    return NULL;
}

static struct lookup *lookup_new(const struct mf_ssh_config *c)
{
    struct lookup *k = calloc(1, sizeof *k + strlen(c->hostname) + 1);
    if (!k)
        return NULL;
    if (!mf_sys_event_new(k->event)) {
        free(k);
        return NULL;
    }
    atomic_init(&k->refs, 1);
    atomic_init(&k->over, false);
    strcpy(k->host, c->hostname);
    snprintf(k->port, sizeof k->port, "%d", c->port);
    k->hints.ai_socktype = SOCK_STREAM;
    k->hints.ai_family = c->inet4 ? AF_INET : c->inet6 ? AF_INET6 : AF_UNSPEC;
    k->hints.ai_flags = AI_NUMERICHOST;
    return k;
}

/* In a thread of its own, waiting for it as long as the step may take. */
static enum mf_err look_up_apart(struct mf_launch_ssh *l, struct lookup *k)
{
    struct mf_fault fault;
    pthread_t thread;
    k->hints.ai_flags = AI_ADDRCONFIG;
    atomic_fetch_add(&k->refs, 1);
    enum mf_err e = mf_sys_thread_start(&thread, STACK, look_up, k, &fault);
    if (e != MF_OK) {
        unref(k);
        return mf_launch_fail(l, e, "%s", fault.text);
    }
    pthread_detach(thread);
    for (;;) {
        struct pollfd fds[] = {{.fd = l->cancel[0], .events = POLLIN}, {.fd = k->event[0], .events = POLLIN}};
        int n = mf_sys_poll(fds, 2, l->wait.deadline);
        if (n > 0 && fds[0].revents)
            return mf_launch_fail(l, MF_EINTR, "cancelled");
        if (n > 0 && atomic_load(&k->over))
            return MF_OK;
        if (mf_sys_now() >= l->wait.deadline)
            return mf_launch_fail(l, MF_ETIMEDOUT, "nobody said in time what the address of '%s' is", k->host);
    }
}

static enum mf_err resolve(struct mf_launch_ssh *l, struct lookup *k)
{
    mf_launch_begin(l, MF_LAUNCH_RESOLVE, l->options.limits.resolve);
    if (getaddrinfo(k->host, k->port, &k->hints, &k->found) == 0)
        return MF_OK; /* an address already */
    k->found = NULL;
    enum mf_err e = look_up_apart(l, k);
    if (e != MF_OK || k->error == 0)
        return e;
    return mf_launch_fail(l, MF_ESYS, "cannot find the host '%s': %s", k->host,
                          k->error == EAI_SYSTEM ? strerror(k->system) : gai_strerror(k->error));
}

/* --- Connecting ---------------------------------------------------------------------------------------------------- */

/* 0, or an errno; EINTR: cancelled. */
static int await_connect(const struct mf_launch_ssh *l, int fd, uint64_t deadline)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = l->cancel[0], .events = POLLIN}, {.fd = fd, .events = POLLOUT}};
        int n = mf_sys_poll(fds, 2, deadline), error = 0;
        socklen_t size = sizeof error;
        if (n > 0 && fds[0].revents)
            return EINTR;
        if (n > 0)
            return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
        if (mf_sys_now() >= deadline)
            return ETIMEDOUT;
    }
}

/* A connected socket in *fd; 0, or an errno. */
static int connect_to(const struct mf_launch_ssh *l, const struct addrinfo *a, uint64_t deadline, int *fd)
{
    *fd = socket(a->ai_family, SOCK_STREAM, 0);
    if (*fd < 0)
        return errno;
    int error = mf_sys_fd_prepare(*fd) ? 0 : errno;
    if (!error && connect(*fd, a->ai_addr, a->ai_addrlen) != 0)
        error = errno == EINPROGRESS || errno == EINTR ? await_connect(l, *fd, deadline) : errno;
    if (error) {
        close(*fd);
        *fd = -1;
    }
    return error;
}

static void add_words(char words[WORDS_BYTES], const struct addrinfo *a, const char *port, int error)
{
    char address[64] = "?";
    size_t at = strlen(words);
    getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST);
    snprintf(words + at, WORDS_BYTES - at, "%s%s port %s: %s", at ? "; " : "", address, port, strerror(error));
}

static enum mf_err connect_any(struct mf_launch_ssh *l, const struct lookup *k, int *fd)
{
    char words[WORDS_BYTES] = "";
    size_t left = 0;
    int error = EADDRNOTAVAIL;
    mf_launch_begin(l, MF_LAUNCH_CONNECT, l->options.limits.connect);
    for (const struct addrinfo *a = k->found; a; a = a->ai_next)
        left++;
    for (const struct addrinfo *a = k->found; a; a = a->ai_next) {
        uint64_t now = mf_sys_now(), until = l->wait.deadline;
        if (until != MF_SYS_NEVER)
            until = now < until ? now + (until - now) / left : now;
        left--;
        error = connect_to(l, a, until, fd);
        if (error == 0) {
            mf_sys_tcp_tune(*fd, SILENT_SECONDS);
            return MF_OK;
        }
        if (error == EINTR)
            return mf_launch_fail(l, MF_EINTR, "cancelled");
        add_words(words, a, k->port, error);
    }
    l->again = error == ECONNRESET;
    return mf_launch_fail(l, error == ETIMEDOUT ? MF_ETIMEDOUT : MF_ESYS, "%s", words);
}

enum mf_err mf_launch_connect(struct mf_launch_ssh *l, const struct mf_hop *hop, int *fd)
{
    struct lookup *k = lookup_new(&hop->config);
    if (!k)
        return mf_launch_fail(l, MF_ENOMEM, "out of memory or descriptors");
    enum mf_err e = resolve(l, k);
    if (e == MF_OK)
        e = connect_any(l, k, fd);
    unref(k);
    return e;
}
