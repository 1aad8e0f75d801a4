/* Children: what they start with, how they end, what is said when they cannot be started. The program starts itself,
 * with the name of what the child shall do. */
#include "launched.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../runtime/launch_spawn.h"
#include "../../runtime/sys.h"
#include "../../runtime/sys_fd.h"

/* --- In the child ----------------------------------------------------------------------------------------------- */

static bool same_file(int a, int b)
{
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The number of the first thing that is not as launch_spawn.h says, or 0. */
static int look_around(void)
{
    int wrong = launched_look_around();
    char byte;
    if (wrong)
        return wrong;
    if (read(0, &byte, 1) != 0)
        return 5;
    if (!same_file(1, 2))
        return 6;
    for (int fd = 4; fd < 256; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            return 7;
    if (write(MF_LAUNCH_FD, "k", 1) != 1)
        return 8;
    return fcntl(MF_LAUNCH_FD, F_GETFL) & O_NONBLOCK ? 9 : 0;
}

static int be_child(const char *what)
{
    char byte;
    alarm(60);
    if (strcmp(what, "look") == 0)
        return look_around();
    if (strcmp(what, "exit3") == 0)
        return 3;
    if (strcmp(what, "abort") == 0)
        abort();
    if (strcmp(what, "talk") == 0) {
        printf("out\n");
        fflush(stdout);
        fprintf(stderr, "err\n");
        return 0;
    }
    if (strcmp(what, "wait") == 0)
        return read(MF_LAUNCH_FD, &byte, 1) == 0 ? 0 : 1;
    return 99;
}

/* --- In the parent ---------------------------------------------------------------------------------------------- */

static char self[4096];

static bool start(const char *what, bool capture, struct mf_launch_child *child)
{
    const char *const argv[] = {self, what, NULL};
    struct mf_fault fault = {.text = ""};
    enum mf_err e = mf_launch_spawn(argv, capture, child, &fault);
    if (e != MF_OK)
        fprintf(stderr, "%s\n", fault.text);
    return CHECK(e == MF_OK && child->pid > 1 && child->socket >= 0 && (child->errors >= 0) == capture);
}

static struct mf_launch_end wait_for_end(struct mf_launch_child *child)
{
    struct mf_launch_end end = mf_launch_reap(child->pid);
    while (!end.ended) {
        struct pollfd p = {.fd = child->pidfd >= 0 ? child->pidfd : child->socket, .events = POLLIN};
        mf_sys_poll(&p, 1, mf_sys_now() + (child->pidfd >= 0 ? 10000000000u : 1000000u));
        end = mf_launch_reap(child->pid);
    }
    close(child->socket);
    if (child->errors >= 0)
        close(child->errors);
    if (child->pidfd >= 0)
        close(child->pidfd);
    return end;
}

static bool described(const struct mf_launch_end *end, const char *words)
{
    char text[64];
    mf_launch_describe(end, text, sizeof text);
    return strcmp(text, words) == 0;
}

/* The parent has what the child must not get: handlers, ignored and blocked signals, open descriptors. */
static void test_surroundings(void)
{
    struct mf_launch_child child;
    struct launched_parent parent;
    launched_disturb(&parent);
    int leaked = fcntl(0, F_DUPFD, 20);
    if (start("look", false, &child)) {
        launched_unblock(&parent);
        CHECK(launched_is_ours(child.socket));
        struct mf_launch_end end = wait_for_end(&child);
        CHECK(end.exit_code == 0 && described(&end, "exited with code 0"));
    }
    launched_calm(&parent);
    close(leaked);
}

static void test_ends(void)
{
    struct mf_launch_child child;
    struct mf_launch_end end = {0};
    CHECK(described(&end, "has not ended"));
    if (start("exit3", false, &child)) {
        end = wait_for_end(&child);
        CHECK(end.exit_code == 3 && end.signal == 0 && !end.unknown && described(&end, "exited with code 3"));
    }
    if (start("abort", true, &child)) {
        end = wait_for_end(&child);
        CHECK(end.signal == SIGABRT && described(&end, "killed by SIGABRT"));
    }
    end = mf_launch_reap(child.pid); /* again */
    CHECK(end.ended && end.unknown && described(&end, "ended, how is unknown"));
    end = (struct mf_launch_end){.ended = true, .signal = 63};
    CHECK(described(&end, "killed by signal 63"));
}

static void test_signal(void)
{
    struct mf_launch_child child;
    if (!start("wait", false, &child))
        return;
    struct mf_launch_child no_pidfd = {.pid = child.pid, .pidfd = -1};
    CHECK(!mf_launch_reap(child.pid).ended);
    CHECK(!mf_launch_ends_by(&child, mf_sys_now() + 1000000) && !mf_launch_ends_by(&no_pidfd, mf_sys_now() + 3000000));
    mf_launch_signal(child.pid, SIGINT); /* ignored */
    mf_launch_signal(child.pid, SIGKILL);
    CHECK(mf_launch_ends_by(&no_pidfd, mf_sys_now() + 10000000000u) && mf_launch_ends_by(&child, 0));
    struct mf_launch_end end = wait_for_end(&child);
    CHECK(end.signal == SIGKILL && described(&end, "killed by SIGKILL (possibly out of memory)"));
    mf_launch_signal(child.pid, SIGKILL); /* nobody there */
    mf_launch_signal(-1, SIGKILL);        /* would be everybody */
}

static void test_socket_ends(void)
{
    struct mf_launch_child child;
    if (!start("wait", false, &child))
        return;
    CHECK(shutdown(child.socket, SHUT_RDWR) == 0);
    struct mf_launch_end end = wait_for_end(&child);
    CHECK(end.exit_code == 0 && end.signal == 0);
}

static void test_captured_output(void)
{
    struct mf_launch_child child;
    char text[64] = "";
    size_t len = 0;
    ssize_t n = 1;
    if (!start("talk", true, &child))
        return;
    CHECK(fcntl(child.errors, F_GETFL) & O_NONBLOCK);
    while (n > 0 && len < sizeof text - 1) {
        struct pollfd p = {.fd = child.errors, .events = POLLIN};
        mf_sys_poll(&p, 1, mf_sys_now() + 30000000000u);
        n = read(child.errors, text + len, sizeof text - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    CHECK(n == 0 && strcmp(text, "out\nerr\n") == 0);
    wait_for_end(&child);
}

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 200; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_failures(void)
{
    const char *const missing[] = {"/no/such/program", NULL}, *const folder[] = {"/tmp", NULL};
    struct mf_launch_child child;
    struct mf_fault fault;
    int before = open_descriptors();
    CHECK(mf_launch_spawn(missing, true, &child, &fault) == MF_ESYS && child.pid == -1 && child.socket == -1);
    CHECK(strcmp(fault.text, "cannot start /no/such/program: No such file or directory") == 0);
    CHECK(mf_launch_spawn(folder, false, &child, &fault) == MF_ESYS);
    CHECK(strcmp(fault.text, "cannot start /tmp: Permission denied") == 0);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD); /* nobody was left behind */
    CHECK(open_descriptors() == before);
}

/* Whatever number of descriptors is free, starting works or says what is missing, and leaks nothing. */
static void test_no_descriptors(void)
{
    const char *const argv[] = {self, "exit3", NULL};
    struct rlimit limit, low;
    struct mf_launch_child child;
    struct mf_fault fault;
    int before = open_descriptors(), started = 0, refused = 0;
    getrlimit(RLIMIT_NOFILE, &limit);
    for (int room = 0; room < 20; room++) {
        low = limit;
        low.rlim_cur = (rlim_t)(before + room);
        setrlimit(RLIMIT_NOFILE, &low);
        enum mf_err e = mf_launch_spawn(argv, true, &child, &fault);
        setrlimit(RLIMIT_NOFILE, &limit);
        if (e == MF_OK) {
            started++;
            CHECK(wait_for_end(&child).exit_code == 3);
        } else {
            refused++;
            CHECK(e == MF_ESYS && strstr(fault.text, "cannot start") && strstr(fault.text, self));
        }
        CHECK(open_descriptors() == before);
    }
    CHECK(started > 0 && refused > 0);
}

static void test_self(void)
{
    char tiny[3];
    CHECK(mf_launch_self(self, sizeof self) && access(self, X_OK) == 0);
    CHECK(!mf_launch_self(tiny, sizeof tiny));
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return be_child(argv[1]);
    alarm(100);
    if (!mf_launch_self(self, sizeof self))
        snprintf(self, sizeof self, "%s", argv[0]);
    test_self();
    test_surroundings();
    test_ends();
    test_signal();
    test_socket_ends();
    test_captured_output();
    test_failures();
    test_no_descriptors();
    return check_report();
}
