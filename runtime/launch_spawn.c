/* Design note: vfork, because fork copies the page tables of a parent that may hold gigabytes. The child shares the
 * parent's memory until exec, so it only reads what struct plan holds, calls what is async-signal-safe, and all signals
 * are blocked around it lest a handler of the parent runs in it. Its descriptors are its own copy.
 *
 * The child moves the descriptors that it needs above the ones it will overwrite, puts them into place and marks all
 * others close-on-exec; that closes the pipe for errors too when exec works. If anything fails it writes what and why
 * into that pipe: the parent reads an answer, or the end of the pipe. */
#define _GNU_SOURCE
#include "launch_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys.h"
#include "sys_fd.h"

/* Does vfork return only when the child has done its exec or ended? Thread sanitizers make it a fork. */
#if !defined(__linux__) || defined(__SANITIZE_THREAD__)
#define VFORK_WAITS false
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VFORK_WAITS false
#endif
#endif
#ifndef VFORK_WAITS
#define VFORK_WAITS true
#endif

#define ABOVE   10      /* no descriptor that is put into place has such a number */
#define LOOK_NS 1000000 /* between two looks at a child where there are no pidfds */

/* What the child needs. A descriptor is -1 when there is none. */
struct plan {
    const char *const *argv;
    pid_t parent;
    int socket, err, report; /* err: to be its stderr */
};

/* What the child says when it cannot become what it should. */
struct report {
    int error;
    char what[16];
};

/* --- In the child ----------------------------------------------------------------------------------------------- */

static _Noreturn void fail(int report, const char *what)
{
    struct report r = {.error = errno};
    size_t i = 0;
    for (; what[i] && i < sizeof r.what - 1; i++)
        r.what[i] = what[i];
    ssize_t n = write(report, &r, sizeof r);
    _exit(n == (ssize_t)sizeof r ? 127 : 126);
}

static int move_up(int fd, int report)
{
    if (fd < 0)
        return -1;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, ABOVE);
    if (moved < 0)
        fail(report, "fcntl");
    return moved;
}

static void place(int from, int to, int report)
{
    while (dup2(from, to) < 0)
        if (errno != EINTR)
            fail(report, "dup2");
}

static void place_descriptors(const struct plan *plan, int report)
{
    int socket = move_up(plan->socket, report), err = move_up(plan->err, report);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        fail(report, "open /dev/null");
    null = move_up(null, report);
    place(null, 0, report);
    if (err >= 0)
        place(err, 2, report);
    else if (fcntl(2, F_GETFD) < 0)
        place(null, 2, report);
    place(2, 1, report);
    place(socket, MF_LAUNCH_FD, report);
    mf_sys_close_on_exec_from(MF_LAUNCH_FD + 1);
}

/* exec itself would keep what is ignored and what is blocked. */
void mf_launch_reset_signals(int keep, int end)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&action.sa_mask);
    for (int signal = 1; signal < end; signal++)
        if (signal != keep)
            sigaction(signal, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGINT, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void become(const struct plan *plan)
{
    int report = fcntl(plan->report, F_DUPFD_CLOEXEC, ABOVE);
    if (report < 0)
        fail(plan->report, "fcntl");
    if (!mf_sys_die_with(plan->parent))
        _exit(127);
    setpgid(0, 0);
    place_descriptors(plan, report);
    mf_launch_reset_signals(0, NSIG);
    execv(plan->argv[0], (char *const *)(uintptr_t)plan->argv);
    fail(report, "exec");
}

/* --- In the parent ---------------------------------------------------------------------------------------------- */

/* In a function of its own, whose frame the child leaves to the parent as it was. */
static __attribute__((noinline)) pid_t start(const struct plan *plan)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = vfork();
    if (pid == 0)
        become(plan);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = saved;
    return pid;
}

static void close_if(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Has the exec worked? If not, errno is the child's and r says what failed. Does not wait where vfork has done so, since
 * a process forked meanwhile by another thread may hold the pipe open. */
static bool came_up(int report, struct report *r)
{
    ssize_t n;
    if (VFORK_WAITS)
        mf_sys_fd_prepare(report);
    do
        n = read(report, r, sizeof *r);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof *r)
        return true;
    r->what[sizeof r->what - 1] = '\0';
    errno = r->error;
    return false;
}

static void wait_for(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

static enum mf_err cannot(struct mf_fault *fault, const char *path, const char *what)
{
    int error = errno;
    if (strcmp(what, "exec") == 0)
        return mf_fault_set(fault, MF_ESYS, "cannot start %s: %s", path, strerror(error));
    return mf_fault_set(fault, MF_ESYS, "cannot start %s: %s: %s", path, what, strerror(error));
}

/* The three pairs; all -1 at first. */
struct pairs {
    int socket[2], err[2], report[2];
};

static const char *make_pairs(struct pairs *p, bool capture_stderr)
{
    if (!mf_sys_socketpair(p->socket) || !mf_sys_fd_prepare(p->socket[0]))
        return "socketpair";
    if (!mf_sys_pipe(p->report))
        return "pipe";
    if (capture_stderr && (!mf_sys_pipe(p->err) || !mf_sys_fd_prepare(p->err[0])))
        return "pipe";
    return NULL;
}

enum mf_err mf_launch_spawn(const char *const argv[], bool capture_stderr, struct mf_launch_child *child,
                            struct mf_fault *fault)
{
    struct pairs p = {{-1, -1}, {-1, -1}, {-1, -1}};
    struct report r;
    enum mf_err e = MF_OK;
    const char *failed = make_pairs(&p, capture_stderr);
    *child = (struct mf_launch_child){.pid = -1, .pidfd = -1, .socket = -1, .errors = -1};
    if (!failed) {
        struct plan plan = {
            .argv = argv, .parent = getpid(), .socket = p.socket[1], .err = p.err[1], .report = p.report[1]};
        child->pid = start(&plan);
        failed = child->pid < 0 ? "fork" : NULL;
    }
    if (failed)
        e = cannot(fault, argv[0], failed);
    close_if(&p.socket[1]);
    close_if(&p.err[1]);
    close_if(&p.report[1]);
    if (e == MF_OK && !came_up(p.report[0], &r)) {
        e = cannot(fault, argv[0], r.what);
        wait_for(child->pid);
    }
    close_if(&p.report[0]);
    if (e != MF_OK) {
        close_if(&p.socket[0]);
        close_if(&p.err[0]);
        child->pid = -1;
        return e;
    }
    child->socket = p.socket[0];
    child->errors = p.err[0];
    child->pidfd = mf_sys_pidfd(child->pid);
    return MF_OK;
}

struct mf_launch_end mf_launch_reap(pid_t pid)
{
    struct mf_launch_end end = {0};
    int status = 0;
    pid_t got;
    do
        got = waitpid(pid, &status, WNOHANG);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        return end;
    end.ended = true;
    if (got != pid)
        end.unknown = true;
    else if (WIFSIGNALED(status))
        end.signal = WTERMSIG(status);
    else
        end.exit_code = WEXITSTATUS(status);
    return end;
}

bool mf_launch_has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

bool mf_launch_ends_by(const struct mf_launch_child *child, uint64_t deadline)
{
    struct pollfd p = {.fd = child->pidfd, .events = POLLIN};
    while (!mf_launch_has_ended(child->pid)) {
        uint64_t now = mf_sys_now(), look = child->pidfd < 0 ? now + LOOK_NS : deadline;
        if (now >= deadline)
            return false;
        mf_sys_poll(&p, child->pidfd < 0 ? 0 : 1, look < deadline ? look : deadline);
    }
    return true;
}

bool mf_launch_is_stopped(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

static const char *signal_name(int signal)
{
    static const struct {
        int signal;
        const char *name;
    } names[] = {
        {SIGHUP, "SIGHUP"},   {SIGINT, "SIGINT"},   {SIGQUIT, "SIGQUIT"},     {SIGILL, "SIGILL"},
        {SIGTRAP, "SIGTRAP"}, {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},       {SIGFPE, "SIGFPE"},
        {SIGKILL, "SIGKILL"}, {SIGUSR1, "SIGUSR1"}, {SIGSEGV, "SIGSEGV"},     {SIGUSR2, "SIGUSR2"},
        {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"}, {SIGTERM, "SIGTERM"},     {SIGXCPU, "SIGXCPU"},
        {SIGXFSZ, "SIGXFSZ"}, {SIGSYS, "SIGSYS"},   {SIGVTALRM, "SIGVTALRM"}, {SIGPROF, "SIGPROF"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].signal == signal)
            return names[i].name;
    return NULL;
}

void mf_launch_describe(const struct mf_launch_end *end, char *text, size_t n)
{
    const char *name = signal_name(end->signal);
    if (!end->ended)
        snprintf(text, n, "has not ended");
    else if (end->unknown)
        snprintf(text, n, "ended, how is unknown");
    else if (end->signal == 0)
        snprintf(text, n, "exited with code %d", end->exit_code);
    else if (!name)
        snprintf(text, n, "killed by signal %d", end->signal);
    else
        snprintf(text, n, "killed by %s%s", name, end->signal == SIGKILL ? " (possibly out of memory)" : "");
}

void mf_launch_signal(pid_t pid, int signal)
{
    if (pid > 1 && kill(-pid, signal) != 0) /* -1 would mean everybody */
        kill(pid, signal);                  /* it has left its group, as an agent that ends does */
}

void mf_launch_interrupt(pid_t pid)
{
    if (pid > 1)
        kill(pid, MF_SYS_INTERRUPT);
}

bool mf_launch_self(char *path, size_t n)
{
    return mf_sys_program(path, n);
}
