/* A C program with Moonfleet in it that has workers do things, theirs and its own: its first argument says which part
 * (tests/embed_spec.lua). It exits with 0 when all went as it should, and is its own worker. */
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"

/* The host's functions and the globals of its own in workers of every kind. */
static void test_functions(void)
{
    static const char *const plans[] = {"sequential", "threads:2", FORKS ":2", "processes:2", "threads:1;processes:1"};
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        struct mf_interp *interp = open_plan(plans[i]);
        must(interp, "local mf = require('moonfleet') "
                     "local sums = mf.map({ 1, 2, 3 }, function(x) return host.math.total({ x, x }) + echo(1) end) "
                     "assert(sums[1] == 3 and sums[3] == 7) "
                     "local nested = mf.future(function() "
                     "  return require('moonfleet').future(function() return echo(host.kind(1)) end):value() "
                     "end) "
                     "assert(nested:value() == 2) "
                     "local ok, err = mf.future(host.math.total, 'x'):result() "
                     "assert(not ok and err:find('total: expected numbers', 1, true), err)");
        mf_close(interp);
    }
    CHECK(host.states > 5 && host.workers > 0 && host.workers == host.states - 5);
}

/* What a task of that global function returns, an integer. */
static int64_t result_of(struct mf_interp *interp, const char *name)
{
    struct mf_datum out = mf_from_nil();
    mf_ticket t;
    size_t n = 1;
    CHECK(mf_submit(interp, NULL, name, NULL, 0, &t) == MF_RUN_OK && mf_wait(interp, &t, 1, 0, LIMIT) == MF_RUN_OK);
    CHECK(mf_take(interp, t, &out, &n) == MF_RUN_OK && out.type == MF_TYPE_INTEGER);
    return out.integer;
}

/* A fork has the host's memory as it is, also right behind another task, whose worker is still there. */
static void test_forks(void)
{
    struct mf_interp *interp = open_plan(FORKS ":1");
    bool inherits = strcmp(FORKS, "forks") == 0;
    must(interp, "function idle() return 0 end function bare() return stage() end "
                 "function through() return _G.stage() end");
    for (int i = 1; i <= 40 && inherits; i++) {
        CHECK(result_of(interp, "idle") == 0);
        host.stage = i;
        CHECK(result_of(interp, i % 2 ? "bare" : "through") == i);
    }
    mf_close(interp);
}

static void test_tickets(void)
{
    struct mf_interp *interp = open_plan("threads:2");
    struct mf_datum out, one = mf_from_integer(1);
    mf_ticket t[3];
    size_t n = 1;
    must(interp, "function endless() while true do end end function fails(x) error('bad ' .. x) end "
                 "function same(x) print(x) return x end function dies() os.exit(3) end");
    const struct mf_task_options limited = {.label = "short", .timeout = 0.05};
    CHECK(mf_submit(interp, NULL, "endless", NULL, 0, &t[0]) == MF_RUN_OK);
    CHECK(mf_submit(interp, NULL, "fails", &one, 1, &t[1]) == MF_RUN_OK);
    CHECK(mf_submit(interp, NULL, "same", &one, 1, &t[2]) == MF_RUN_OK);
    CHECK(mf_wait(interp, t, 3, 2, LIMIT) == MF_RUN_OK && mf_wait(interp, t, 1, 0, 0.01) == MF_RUN_TIMEOUT);
    CHECK(mf_poll(interp, t[0]) == MF_RUN_PENDING && mf_poll(interp, t[1]) == MF_RUN_OK);
    CHECK(mf_take(interp, t[0], &out, &n) == MF_RUN_PENDING);
    CHECK(mf_take(interp, t[1], &out, &n) == MF_RUN_ERROR && strstr(mf_error(interp), "bad 1\nremote traceback"));
    CHECK(mf_take(interp, t[1], &out, &n) == MF_RUN_MISUSE);
    CHECK(mf_take(interp, t[2], &out, &n) == MF_RUN_OK && n == 1 && out.integer == 1);
    CHECK(strcmp(host.out, "1\n") == 0);
    CHECK(mf_cancel(interp, t[0]) && mf_wait(interp, t, 1, 0, LIMIT) == MF_RUN_OK && !mf_cancel(interp, t[0]));
    CHECK(mf_take(interp, t[0], &out, &n) == MF_RUN_CANCELLED);
    CHECK(mf_submit(interp, &limited, "endless", NULL, 0, &t[0]) == MF_RUN_OK);
    CHECK(mf_wait(interp, t, 1, 0, LIMIT) == MF_RUN_OK && mf_take(interp, t[0], NULL, NULL) == MF_RUN_TIMEOUT);
    CHECK(strstr(mf_error(interp), "short"));
    CHECK(mf_submit(interp, NULL, "nobody", NULL, 0, &t[0]) == MF_RUN_MISUSE && t[0] == 0);
    CHECK(mf_wait(interp, t, 0, 0, LIMIT) == MF_RUN_OK);
    must(interp, "require('moonfleet').plan('processes:1')");
    CHECK(mf_submit(interp, NULL, "dies", NULL, 0, &t[0]) == MF_RUN_OK && mf_wait(interp, t, 1, 0, LIMIT) == MF_RUN_OK);
    CHECK(mf_take(interp, t[0], NULL, NULL) == MF_RUN_LOST && strstr(mf_error(interp), "exited with code 3"));
    CHECK(mf_submit(interp, NULL, "endless", NULL, 0, &t[0]) == MF_RUN_OK);
    mf_drop(interp, t[0]);
    CHECK(mf_poll(interp, t[0]) == MF_RUN_MISUSE && mf_close(interp) == 1);
}

/* An event loop: poll tells of every future, once. */
static void turn_loop(struct mf_interp *interp, int n)
{
    struct pollfd fd = {.fd = mf_fd(interp), .events = POLLIN};
    struct mf_datum out, in;
    long sum = 0;
    mf_ticket t;
    CHECK(fd.fd >= 0 && mf_fd(interp) == fd.fd);
    for (int i = 1; i <= n; i++) {
        in = mf_from_integer(i);
        CHECK(mf_submit(interp, NULL, "same", &in, 1, &t) == MF_RUN_OK);
    }
    for (int done = 0; done < n;) {
        if (CHECK(poll(&fd, 1, (int)LIMIT * 1000) == 1) || CHECK(mf_progress(interp) == MF_RUN_OK))
            return;
        for (; (t = mf_next(interp)) != 0; done++) {
            size_t one = 1;
            CHECK(mf_poll(interp, t) == MF_RUN_OK);
            if (CHECK(mf_take(interp, t, &out, &one) == MF_RUN_OK))
                fprintf(stderr, "%s\n", mf_error(interp));
            sum += (long)out.integer;
        }
    }
    CHECK(sum == (long)n * (n + 1) / 2 && mf_next(interp) == 0);
    CHECK(mf_progress(interp) == MF_RUN_OK && poll(&fd, 1, 0) == 0);
}

static void test_loop(void)
{
    static const char *const plans[] = {"threads:2", "processes:2", FORKS ":2", "sequential"};
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        struct mf_interp *interp = open_plan(plans[i]);
        must(interp, "function same(x) return x end");
        turn_loop(interp, 50);
        mf_close(interp);
    }
}

/* Two at once, with functions, output and futures of their own. */
static void test_several(void)
{
    struct mf_interp *a = open_plan("threads:1"), *b = open_plan("threads:1");
    struct mf_datum n = mf_from_integer(0);
    mf_ticket ta = 0, tb = 0;
    for (int i = 0; i < 2; i++)
        must(i ? b : a, "function spin() while true do end end function id(x) return x end");
    CHECK(mf_submit(a, NULL, "spin", NULL, 0, &ta) == MF_RUN_OK && mf_submit(b, NULL, "id", &n, 1, &tb) == MF_RUN_OK);
    CHECK(mf_wait(b, &tb, 1, 0, LIMIT) == MF_RUN_OK && mf_poll(a, ta) == MF_RUN_PENDING && mf_close(a) == 1);
    CHECK(mf_take(b, tb, NULL, NULL) == MF_RUN_OK && mf_close(b) == 0);
}

static void *use_it(void *arg)
{
    struct mf_interp *interp = arg;
    struct mf_datum n = mf_from_integer(3), out = mf_from_nil();
    mf_ticket t[20];
    size_t one = 1;
    must(interp, "function id(x) return x end");
    for (int i = 0; i < 20; i++)
        CHECK(mf_submit(interp, NULL, "id", &n, 1, &t[i]) == MF_RUN_OK);
    CHECK(mf_wait(interp, t, 20, 0, LIMIT) == MF_RUN_OK);
    for (int i = 0; i < 20; i++)
        CHECK(mf_take(interp, t[i], &out, &one) == MF_RUN_OK && out.integer == 3);
    return NULL;
}

/* Interpreters that work at the same time in threads of the host's, and go from one thread to another. */
static void test_threads(void)
{
    struct mf_interp *interps[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        interps[i] = open_plan("threads:2");
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++)
            CHECK(pthread_create(&threads[i], NULL, use_it, interps[i]) == 0);
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < 3; i++) {
        use_it(interps[i]);
        mf_close(interps[i]);
    }
}

static sem_t reached, gate;

/* Cannot be interrupted. */
static void get_stuck(struct mf_call *call, void *arg)
{
    (void)arg;
    sem_post(&reached);
    while (sem_wait(&gate) != 0) {
    }
    mf_return(call, mf_from_string("late"));
}

static void add_stuck(struct mf_addition *addition, void *arg)
{
    (void)arg;
    mf_add_function(addition, "get_stuck", get_stuck, NULL);
}

/* A worker that is in the host's function when the interpreter is closed ends by itself when that returns, and frees what is
 * its own then. */
static void test_stuck(void)
{
    struct mf_config config = config_of("threads:1");
    config.alloc = counting;
    config.on_state = add_stuck;
    struct mf_interp *interp = open_with(&config);
    mf_ticket t;
    sem_init(&reached, 0, 0);
    sem_init(&gate, 0, 0);
    CHECK(mf_submit(interp, NULL, "get_stuck", NULL, 0, &t) == MF_RUN_OK);
    while (sem_wait(&reached) != 0) {
    }
    CHECK(mf_close(interp) == 1 && host.blocks > 0);
    sem_post(&gate);
    for (int i = 0; i < LIMIT * 1000 && host.blocks > 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    CHECK(host.blocks == 0);
}

static void on_alarm(int sig)
{
    (void)sig;
    mf_interrupt();
}

static void test_interrupt(void)
{
    struct mf_interp *interp = open_plan("threads:1");
    struct sigaction action = {.sa_handler = on_alarm};
    mf_ticket t;
    sigaction(SIGALRM, &action, NULL);
    alarm(1);
    CHECK(run(interp, "while true do pcall(error) io.open('/dev/null'):close() end") == MF_RUN_INTERRUPTED);
    CHECK(strstr(mf_error(interp), "interrupted!"));
    must(interp, "function spin() while true do io.open('/dev/null'):close() end end");
    CHECK(mf_submit(interp, NULL, "spin", NULL, 0, &t) == MF_RUN_OK);
    alarm(1);
    CHECK(mf_wait(interp, &t, 1, 0, -1) == MF_RUN_INTERRUPTED && mf_poll(interp, t) == MF_RUN_PENDING);
    CHECK(mf_close(interp) == 1);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {{"functions", test_functions}, {"forks", test_forks},
                                        {"tickets", test_tickets},     {"loop", test_loop},
                                        {"several", test_several},     {"threads", test_threads},
                                        {"stuck", test_stuck},         {"interrupt", test_interrupt}};
    return host_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
