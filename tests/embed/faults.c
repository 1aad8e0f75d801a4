/* A C program with Moonfleet in it that gets into trouble: its first argument says which. It exits with 0 when all went as
 * it should, and is its own worker. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../vm/moonfleet.h"

#define SIGNALS 32 /* without those of the real-time kind */

static int failures;

#define CHECK(condition)                                                                                               \
    ((condition) ? 0 : (failures++, fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition)))

static struct mf_interp *open_one(void)
{
    const struct mf_config config = {.ignore_env = true, .plan = "processes:2", .serves = true};
    struct mf_interp *interp;
    if (mf_open(&config, &interp) != MF_RUN_OK) {
        fprintf(stderr, "%s\n", mf_error(interp));
        exit(EXIT_FAILURE);
    }
    return interp;
}

static bool run(struct mf_interp *interp, const char *code)
{
    bool ok = mf_run_string(interp, code, strlen(code), "=host") == MF_RUN_OK;
    if (!ok)
        fprintf(stderr, "%s\n", mf_error(interp));
    return ok;
}

static const char endless[] = "local mf = require('moonfleet') list = {} "
                              "for i = 1, 6 do list[i] = mf.future(function() while true do end end) end "
                              "repeat list[1]:wait(0.001) until list[1]:state() == 'running'";
static const char works[] = "assert(require('moonfleet').map({ 6, 7 }, function(x) return x * x end)[2] == 49)";

/* Interpreters that are closed while their workers run, in any order; the other one goes on. */
static void test_close(void)
{
    struct mf_interp *a = open_one(), *b = open_one(), *c = open_one();
    CHECK(run(a, endless) && run(b, endless) && run(c, works));
    CHECK(mf_close(a) == 6);
    CHECK(run(c, works) && mf_close(c) == 0);
    CHECK(mf_close(b) == 6);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD); /* all have been collected */
}

/* The host forks: the child has nothing to do with the workers, and its end disturbs nobody. */
static void test_fork(void)
{
    struct mf_interp *interp = open_one();
    int status = -1;
    CHECK(run(interp, works) && run(interp, endless));
    for (int way = 0; way < 3; way++) {
        pid_t pid = fork();
        if (pid == 0 && way == 0)
            _exit(3);
        if (pid == 0 && way == 1)
            exit(3);
        if (pid == 0)
            execl("/bin/sh", "sh", "-c", "exit 3", (char *)NULL);
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 3);
        CHECK(run(interp, "assert(list[1]:state() == 'running')"));
    }
    CHECK(run(interp, "for i = 1, 6 do list[i]:cancel() end") && run(interp, works));
    mf_close(interp);
}

/* A host that leaves SIGPIPE as it is, whose workers die while much is sent to them. */
static void test_sigpipe(void)
{
    struct mf_interp *interp = open_one();
    CHECK(run(interp, "local mf = require('moonfleet') "
                      "local pid = function() return io.open('/proc/self/stat'):read('a'):match('^%d+') end "
                      "local text = ('x'):rep(200000) "
                      "for i = 1, 30 do "
                      "  local victim = mf.future({ retries = 3 }, pid):value() "
                      "  local list = {} "
                      "  os.execute('kill -9 ' .. victim) "
                      "  for k = 1, 4 do list[k] = mf.future({ retries = 5 }, function(s) return #s end, text) end "
                      "  for k = 1, 4 do assert(list[k]:value() == 200000) end "
                      "end"));
    mf_close(interp);
}

/* What belongs to the host is as it was afterwards: handlers, mask, folder, environment, descriptors. */
static void test_surroundings(void)
{
    struct sigaction before[SIGNALS], after;
    sigset_t mask_before, mask_after;
    char folder_before[4096], folder_after[4096];
    int lowest = dup(0);
    close(lowest);
    for (int s = 1; s < SIGNALS; s++)
        sigaction(s, NULL, &before[s]);
    sigprocmask(SIG_SETMASK, NULL, &mask_before);
    CHECK(getcwd(folder_before, sizeof folder_before));
    struct mf_interp *interp = open_one();
    CHECK(run(interp, works) && run(interp, endless));
    mf_close(interp);
    for (int s = 1; s < SIGNALS; s++)
        CHECK(s == SIGURG || sigaction(s, NULL, &after) != 0 || after.sa_handler == before[s].sa_handler);
    sigprocmask(SIG_SETMASK, NULL, &mask_after);
    for (int s = 1; s < SIGNALS; s++)
        CHECK(sigismember(&mask_before, s) == sigismember(&mask_after, s));
    CHECK(getcwd(folder_after, sizeof folder_after) && strcmp(folder_before, folder_after) == 0);
    int fd = dup(0);
    CHECK(fd == lowest); /* none below it is open */
    for (fd = lowest + 1; fd < 256; fd++)
        CHECK(fcntl(fd, F_GETFD) < 0 || !(fcntl(fd, F_GETFD) & FD_CLOEXEC)); /* ours would be close-on-exec */
}

/* The host collects every child that ends, ours too, or lets the system do so. */
static void test_reaping(void)
{
    struct mf_interp *interp = open_one();
    CHECK(run(interp, works));
    CHECK(run(interp, "local mf = require('moonfleet') dying = mf.future(function() os.exit(5) end)"));
    for (int i = 0; i < 500 && waitpid(-1, NULL, WNOHANG) <= 0; i++) /* the library may be faster */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    CHECK(run(interp, "local ok, err = dying:result() assert(not ok and err.kind == 'lost', err)"));
    CHECK(run(interp, works));
    mf_close(interp);
    signal(SIGCHLD, SIG_IGN);
    interp = open_one();
    CHECK(run(interp, works));
    CHECK(run(interp, "local mf = require('moonfleet') local f = mf.future(function() os.exit(5) end) "
                      "local ok, err = f:result() assert(not ok and err.kind == 'lost', err)"));
    CHECK(run(interp, works));
    CHECK(run(interp, endless) && mf_close(interp) == 6);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"close", test_close},     {"fork", test_fork}, {"sigpipe", test_sigpipe}, {"surroundings", test_surroundings},
        {"reaping", test_reaping},
    };
    int status;
    if (mf_serve(NULL, argc, argv, &status))
        return status;
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        if (argc == 2 && strcmp(argv[1], tests[i].name) == 0) {
            tests[i].run();
            return failures ? EXIT_FAILURE : EXIT_SUCCESS;
        }
    fprintf(stderr, "which trouble?\n");
    return EXIT_FAILURE;
}
