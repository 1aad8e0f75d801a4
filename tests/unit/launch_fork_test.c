/* Forks without exec: what the child begins with, how it ends, what is said when there can be none. */
#include "launched.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../runtime/launch_fork.h"
#include "../../runtime/sys.h"
#include "../../runtime/sys_fd.h"

static int leaked = -1; /* a descriptor that the parent has open */
static int memory;      /* what the parent has in its memory */

/* --- In the child ----------------------------------------------------------------------------------------------- */

/* The number of the first thing that is not as launch_fork.h says, or 0. */
static int look_around(int socket)
{
    int wrong = launched_look_around();
    char byte;
    if (wrong)
        return wrong;
    if (getc(stdin) != EOF || read(0, &byte, 1) != 0)
        return 5;
    if (memory != 42 || fcntl(leaked, F_GETFD) < 0)
        return 6;
    if (socket <= STDERR_FILENO || write(socket, "k", 1) != 1)
        return 7;
    return 0;
}

static void note_exit(void)
{
    printf("the parent's\n");
}

static void work(void *arg, int socket)
{
    const char *what = arg;
    char byte;
    alarm(60);
    if (strcmp(what, "look") == 0)
        _exit(look_around(socket));
    if (strcmp(what, "exit") == 0) {
        printf("out ");
        exit(3);
    }
    if (strcmp(what, "abort") == 0)
        abort();
    if (strcmp(what, "talk") == 0) {
        fprintf(stderr, "err\n");
        printf("out\n");
        fflush(stdout);
        _exit(0);
    }
    if (strcmp(what, "wait") == 0)
        _exit(read(socket, &byte, 1) == 0 ? 0 : 1);
    if (strcmp(what, "asked") == 0) {
        while (!atomic_load(mf_sys_interrupt_asked()))
            pause();
        _exit(5);
    }
    if (strcmp(what, "stop") == 0) {
        raise(SIGSTOP);
        _exit(6);
    }
}

/* --- In the parent ---------------------------------------------------------------------------------------------- */

static bool start(const char *what, struct mf_launch_child *child)
{
    struct mf_fault fault = {.text = ""};
    fflush(NULL);
    enum mf_err e = mf_launch_fork(work, (void *)(uintptr_t)what, child, &fault);
    if (e != MF_OK)
        fprintf(stderr, "%s\n", fault.text);
    return CHECK(e == MF_OK && child->pid > 1 && child->socket >= 0 && child->errors >= 0 && child->twin);
}

static struct mf_launch_end wait_for_end(struct mf_launch_child *child)
{
    CHECK(mf_launch_ends_by(child, mf_sys_now() + 30000000000u));
    struct mf_launch_end end = mf_launch_reap(child->pid);
    close(child->socket);
    close(child->errors);
    if (child->pidfd >= 0)
        close(child->pidfd);
    return end;
}

/* All that the child has written to its standard streams. */
static const char *read_errors(const struct mf_launch_child *child, char *text, size_t room)
{
    size_t len = 0;
    ssize_t n = 1;
    while (n > 0 && len < room - 1) {
        struct pollfd p = {.fd = child->errors, .events = POLLIN};
        mf_sys_poll(&p, 1, mf_sys_now() + 30000000000u);
        n = read(child->errors, text + len, room - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    text[len] = '\0';
    return text;
}

/* The parent has what the child must not get (handlers, blocked signals, input that it has read ahead), and what it
 * must: memory and descriptors. */
static void test_surroundings(void)
{
    struct mf_launch_child child;
    struct launched_parent parent;
    launched_disturb(&parent);
    leaked = fcntl(0, F_DUPFD, 20);
    memory = 42;
    ungetc('x', stdin);
    if (start("look", &child)) {
        launched_unblock(&parent);
        CHECK(launched_is_ours(child.socket));
        CHECK(launched_is_ours(child.errors));
        struct mf_launch_end end = wait_for_end(&child);
        CHECK(end.exit_code == 0 && end.signal == 0);
    }
    CHECK(getc(stdin) == 'x');
    launched_calm(&parent);
    close(leaked);
}

static void test_ends(void)
{
    struct mf_launch_child child;
    struct mf_launch_end end;
    char text[64];
    if (start("exit", &child)) { /* writes out what it has printed, and runs nothing of the parent's */
        CHECK(strcmp(read_errors(&child, text, sizeof text), "out ") == 0);
        end = wait_for_end(&child);
        CHECK(end.exit_code == 3 && end.signal == 0);
    }
    if (start("abort", &child)) {
        end = wait_for_end(&child);
        CHECK(end.signal == SIGABRT);
    }
    if (start("returns", &child)) { /* which it must not */
        end = wait_for_end(&child);
        CHECK(end.exit_code == EXIT_FAILURE && end.signal == 0);
    }
    if (start("talk", &child)) {
        CHECK(strcmp(read_errors(&child, text, sizeof text), "err\nout\n") == 0);
        wait_for_end(&child);
    }
    if (start("wait", &child)) {
        CHECK(shutdown(child.socket, SHUT_RDWR) == 0);
        CHECK(wait_for_end(&child).exit_code == 0);
    }
}

/* A signal to its group reaches it, however early. */
static void test_signals(void)
{
    struct mf_launch_child child;
    for (int i = 0; i < 20; i++)
        if (start("wait", &child)) {
            mf_launch_signal(child.pid, SIGINT); /* ignored */
            mf_launch_signal(child.pid, SIGKILL);
            CHECK(wait_for_end(&child).signal == SIGKILL);
        }
    for (int i = 0; i < 20; i++)
        if (start("asked", &child)) {
            mf_launch_interrupt(child.pid);
            CHECK(wait_for_end(&child).exit_code == 5);
        }
}

/* The signal means something only when the parent has sent it. */
static void test_interrupt_from_others(void)
{
    struct mf_launch_child child;
    if (!start("asked", &child))
        return;
    char command[64];
    snprintf(command, sizeof command, "kill -URG %d", (int)child.pid);
    CHECK(system(command) == 0);
    struct pollfd p = {.fd = child.errors, .events = POLLIN};
    CHECK(mf_sys_poll(&p, 1, mf_sys_now() + 20000000u) == 0 && !mf_launch_has_ended(child.pid));
    mf_launch_interrupt(child.pid);
    CHECK(wait_for_end(&child).exit_code == 5);
}

static void test_stopped(void)
{
    struct mf_launch_child child;
    uint64_t deadline = mf_sys_now() + 30000000000u;
    if (!start("stop", &child))
        return;
    while (!mf_launch_is_stopped(child.pid) && mf_sys_now() < deadline)
        mf_sys_yield();
    CHECK(mf_launch_is_stopped(child.pid) && mf_launch_is_stopped(child.pid)); /* looking changes nothing */
    mf_launch_signal(child.pid, SIGCONT);
    CHECK(wait_for_end(&child).exit_code == 6);
    CHECK(!mf_launch_is_stopped(child.pid));
}

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 200; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Whatever number of descriptors is free, forking works or says what is missing, and leaks nothing. */
static void test_no_descriptors(void)
{
    struct rlimit limit, low;
    struct mf_launch_child child;
    struct mf_fault fault;
    int before = open_descriptors(), started = 0, refused = 0;
    getrlimit(RLIMIT_NOFILE, &limit);
    for (int room = 0; room < 12; room++) {
        low = limit;
        low.rlim_cur = (rlim_t)(before + room);
        setrlimit(RLIMIT_NOFILE, &low);
        enum mf_err e = mf_launch_fork(work, (void *)(uintptr_t) "returns", &child, &fault);
        setrlimit(RLIMIT_NOFILE, &limit);
        if (e == MF_OK) {
            started++;
            wait_for_end(&child);
        } else {
            refused++;
            CHECK(e == MF_ESYS && child.pid == -1 && child.socket == -1 && child.errors == -1);
            CHECK(strcmp(fault.text, "cannot fork a worker: Too many open files") == 0);
        }
        CHECK(open_descriptors() == before);
    }
    CHECK(started > 0 && refused > 0);
}

/* Where standard descriptors are closed, the child has them all the same. */
static void test_closed_standard(void)
{
    struct mf_launch_child child;
    int in = dup(STDIN_FILENO), err = dup(STDERR_FILENO);
    close(STDIN_FILENO);
    close(STDERR_FILENO);
    memory = 42;
    leaked = in;
    struct mf_fault fault;
    enum mf_err e = mf_launch_fork(work, (void *)(uintptr_t) "look", &child, &fault);
    struct mf_launch_end end = {0};
    if (e == MF_OK)
        end = wait_for_end(&child);
    dup2(in, STDIN_FILENO);
    dup2(err, STDERR_FILENO);
    close(in);
    close(err);
    CHECK(e == MF_OK && end.ended && end.exit_code == 0 && end.signal == 0);
}

int main(void)
{
    struct mf_fault fault;
    alarm(100);
    CHECK(mf_sys_interrupt_ready(&fault) == MF_OK);
    test_surroundings();
    atexit(note_exit);
    test_ends();
    test_signals();
    test_interrupt_from_others();
    test_stopped();
    test_no_descriptors();
    test_closed_standard();
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD); /* nobody was left behind */
    return check_report();
}
