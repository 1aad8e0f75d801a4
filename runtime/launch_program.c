/* Design note: posix_spawn, since nothing has to be done in the child that it cannot do: unlike launch_spawn's agents this
 * child must outlive the thread that starts it. One end of a socket pair is both its stdin and its stdout. Descriptors
 * that are not ours and lack close-on-exec are inherited by it, as POSIX would have it. */
#define _GNU_SOURCE
#include "launch_program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launch_spawn.h"
#include "loop.h"
#include "sys.h"
#include "sys_fd.h"

#define GRACE_NS 200000000 /* after SIGTERM */
#define LOOK_NS  5000000   /* how often a child is looked at where there is no pidfd */

extern char **environ;

struct program {
    struct mf_stream_remote remote;
    struct mf_stream_end *socket;
    int errors; /* read end of a pipe */
    pid_t pid;
    int pidfd; /* or -1 */
    struct mf_launch_end ended;
};

static struct program *own(const void *stream)
{
    return (struct program *)(uintptr_t)stream;
}

/* --- The stream: the socket's, and what was given back ------------------------------------------------------------- */

static ssize_t program_read(struct mf_stream_end *s, void *bytes, size_t n, int *fd)
{
    struct program *p = own(s);
    if (fd)
        *fd = -1;
    size_t ahead = mf_remote_take_ahead(&p->remote, bytes, n);
    return ahead ? (ssize_t)ahead : p->socket->table->read(p->socket, bytes, n, NULL);
}

static ssize_t program_write(struct mf_stream_end *s, const struct iovec *pieces, int n, int fd)
{
    (void)fd;
    return n == 0 ? 0 : own(s)->socket->table->write(own(s)->socket, pieces, n, -1);
}

static int program_fd(const struct mf_stream_end *s)
{
    return own(s)->socket->table->fd(own(s)->socket);
}

static unsigned program_wants(const struct mf_stream_end *s, bool writing)
{
    return MF_LOOP_READ | (writing ? MF_LOOP_WRITE : 0u) | (own(s)->remote.ahead.len ? MF_LOOP_AGAIN : 0u);
}

static const char *program_error(const struct mf_stream_end *s)
{
    return own(s)->socket->table->last_error(own(s)->socket);
}

/* --- The process --------------------------------------------------------------------------------------------------- */

static bool program_collect(struct mf_stream_remote *r)
{
    char bytes[4096];
    ssize_t n;
    while ((n = read(own(r)->errors, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            mf_remote_add(r, bytes, (size_t)n);
    bool more = n < 0 && errno == EAGAIN;
    if (!more)
        mf_remote_end_line(r);
    return more;
}

/* What it has started and left behind ends with it: before it is collected, as long as its group's number is its own. */
static void collect_if_ended(struct program *p)
{
    if (p->ended.ended || !mf_launch_has_ended(p->pid))
        return;
    kill(-p->pid, SIGKILL);
    p->ended = mf_launch_reap(p->pid);
}

/* Has it ended, or does it before the deadline? */
static bool await_end(struct program *p, uint64_t deadline)
{
    for (;;) {
        collect_if_ended(p);
        uint64_t now = p->ended.ended || deadline == 0 ? 0 : mf_sys_now();
        if (p->ended.ended || now >= deadline)
            return p->ended.ended;
        struct pollfd fd = {.fd = p->pidfd, .events = POLLIN};
        uint64_t look = p->pidfd >= 0 || deadline - now < LOOK_NS ? deadline : now + LOOK_NS;
        mf_sys_poll(&fd, 1, look);
    }
}

static void program_exit(struct mf_stream_remote *r, struct mf_remote_exit *exit, uint64_t deadline)
{
    struct program *p = own(r);
    char how[64];
    if (!await_end(p, deadline))
        return;
    exit->how = p->ended.unknown ? MF_REMOTE_LOST : p->ended.signal ? MF_REMOTE_KILLED : MF_REMOTE_EXITED;
    exit->code = p->ended.exit_code;
    if (exit->how == MF_REMOTE_KILLED) {
        mf_launch_describe(&p->ended, how, sizeof how);
        if (sscanf(how, "killed by %15[A-Z0-9]", exit->signal) != 1)
            snprintf(exit->signal, sizeof exit->signal, "signal %d", p->ended.signal);
    }
}

static void program_kill(struct mf_stream_remote *r)
{
    struct program *p = own(r);
    if (await_end(p, 0))
        return;
    mf_launch_signal(p->pid, SIGKILL);
    await_end(p, mf_sys_now() + GRACE_NS); /* a matter of the kernel only */
}

static int program_shut(struct mf_stream_remote *r)
{
    return shutdown(program_fd(&r->end), SHUT_WR) == 0 ? 1 : -1;
}

static void program_close(struct mf_stream_end *s)
{
    struct program *p = own(s);
    p->socket->table->close(p->socket);
    if (!await_end(p, 0)) {
        mf_launch_signal(p->pid, SIGTERM);
        await_end(p, mf_sys_now() + GRACE_NS);
        program_kill(&p->remote);
    }
    close(p->errors);
    if (p->pidfd >= 0)
        close(p->pidfd);
    mf_remote_release(&p->remote);
    free(p);
}

static const struct mf_stream_table program_table = {
    .name = "program",
    .read = program_read,
    .write = program_write,
    .fd = program_fd,
    .wants = program_wants,
    .last_error = program_error,
    .close = program_close,
};

static const struct mf_remote_table remote_table = {
    .collect = program_collect, .exit = program_exit, .kill = program_kill, .shut = program_shut};

/* --- Starting ------------------------------------------------------------------------------------------------------ */

/* The file actions would not survive that one of our descriptors is 0, 1 or 2. */
static bool move_up(int *fd)
{
    if (*fd > STDERR_FILENO)
        return true;
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (moved < 0)
        return false;
    close(*fd);
    *fd = moved;
    return true;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setpgroup(attributes, 0);
    return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

static int spawn(pid_t *pid, const char *const argv[], int socket, int errors)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error) {
        posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    error = set_attributes(&attributes);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&actions, socket, STDIN_FILENO);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&actions, socket, STDOUT_FILENO);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
    if (!error)
        error = posix_spawnp(pid, argv[0], &actions, &attributes, (char *const *)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static void close_both(int ends[2])
{
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
}

/* Fills p; 0, or an errno with nothing left behind. */
static int start(struct program *p, const char *const argv[], struct mf_fault *fault)
{
    int pair[2] = {-1, -1}, errors[2] = {-1, -1}, error = 0;
    if (!mf_sys_socketpair(pair) || !mf_sys_pipe(errors) || !move_up(&pair[1]) || !move_up(&errors[1]) ||
        !mf_sys_fd_prepare(errors[0]))
        error = errno;
    if (!error && !(p->socket = mf_stream_fd_new(pair[0], fault)))
        error = ENOMEM;
    if (!error) {
        pair[0] = -1; /* the stream's */
        error = spawn(&p->pid, argv, pair[1], errors[1]);
        if (error)
            p->socket->table->close(p->socket);
    }
    if (!error) {
        p->errors = errors[0];
        errors[0] = -1;
        p->pidfd = mf_sys_pidfd(p->pid);
    }
    close_both(pair);
    close_both(errors);
    return error;
}

struct mf_stream_remote *mf_launch_program(const char *const argv[], struct mf_fault *fault)
{
    struct program *p = calloc(1, sizeof *p);
    if (!p) {
        mf_fault_set(fault, MF_ENOMEM, "out of memory while starting %s", argv[0]);
        return NULL;
    }
    mf_remote_init(&p->remote, &program_table, &remote_table);
    int error = start(p, argv, fault);
    if (error) {
        mf_fault_set(fault, MF_ESYS, "cannot start %s: %s", argv[0], strerror(error));
        free(p);
        return NULL;
    }
    p->remote.errors_fd = p->errors;
    return &p->remote;
}
