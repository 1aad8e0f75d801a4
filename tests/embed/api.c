/* A C program with Moonfleet in it that uses the whole interface: its first argument says which part (tests/embed_spec.lua).
 * It exits with 0 when all went as it should, and is its own worker. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../vm/moonfleet.h"

#define LIMIT 30.0 /* seconds; only ever reached when something hangs */

/* ThreadSanitizer forbids threads in a fork of a process with threads. */
#ifdef __SANITIZE_THREAD__
#define FORKS "processes"
#else
#define FORKS "forks"
#endif

static int failures;

#define CHECK(condition)                                                                                               \
    ((condition) ? 0 : (failures++, fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition)))

/* ---- what the tests give the library ---- */

/* Of one interpreter, or of several. */
struct host {
    pthread_mutex_t lock;
    char out[4096], err[4096], log[65536]; /* what came, cut off at the end */
    atomic_long blocks, bytes, limit;      /* of memory; limit 0: none */
    atomic_long calls, last;               /* of calls for more memory; last: all behind it fail, 0: none */
    atomic_int states, workers;
};

static struct host host = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void append(char *text, size_t room, const char *bytes, size_t n)
{
    size_t len = strlen(text);
    if (n > room - len - 1)
        n = room - len - 1;
    memcpy(text + len, bytes, n);
    text[len + n] = '\0';
}

static void on_output(void *arg, bool is_error, const char *bytes, size_t len)
{
    struct host *h = arg;
    pthread_mutex_lock(&h->lock);
    append(is_error ? h->err : h->out, sizeof h->out, bytes, len);
    pthread_mutex_unlock(&h->lock);
}

static void on_log(void *arg, const char *line, size_t len)
{
    struct host *h = arg;
    pthread_mutex_lock(&h->lock);
    append(h->log, sizeof h->log, line, len);
    append(h->log, sizeof h->log, "\n", 1);
    pthread_mutex_unlock(&h->lock);
}

static void *counting(void *arg, void *memory, size_t old_size, size_t size)
{
    struct host *h = arg;
    if (size > old_size && h->last && ++h->calls > h->last)
        return NULL;
    if (size > old_size && h->limit && h->bytes + (long)(size - old_size) > h->limit)
        return NULL;
    if (size == 0) {
        free(memory);
        h->blocks--;
        h->bytes -= (long)old_size;
        return NULL;
    }
    void *made = realloc(memory, size);
    if (made) {
        h->blocks += memory == NULL;
        h->bytes += (long)size - (long)old_size;
    }
    return made;
}

/* Returns its arguments. */
static void echo(struct mf_call *call, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < mf_argument_count(call); i++)
        mf_return(call, mf_argument(call, i));
}

/* The sum of a list or array of numbers. */
static void total(struct mf_call *call, void *arg)
{
    struct mf_datum list = mf_argument(call, 0);
    double sum = 0;
    (void)arg;
    if (list.type != MF_TYPE_NUMBERS) {
        mf_fail(call, "total: expected numbers");
        return;
    }
    for (size_t i = 0; i < list.len; i++)
        sum += list.numbers[i];
    mf_return(call, mf_from_number(sum));
}

/* What its argument is called. */
static void kind(struct mf_call *call, void *arg)
{
    struct mf_datum d = mf_argument(call, 0);
    (void)arg;
    mf_return(call, d.type == MF_TYPE_OTHER ? mf_from_string(d.string) : mf_from_integer((int64_t)d.type));
}

static void on_state(struct mf_addition *addition, void *arg)
{
    struct host *h = arg;
    if (h) {
        h->states++;
        h->workers += mf_is_worker(addition);
    }
    mf_add_function(addition, "echo", echo, NULL);
    mf_add_function(addition, "host.math.total", total, NULL);
    mf_add_function(addition, "host.kind", kind, NULL);
}

static struct mf_config config_of(const char *plan)
{
    return (struct mf_config){
        .ignore_env = true, .plan = plan, .serves = true, .arg = &host, .on_state = on_state, .on_output = on_output};
}

static struct mf_interp *open_with(const struct mf_config *config)
{
    struct mf_interp *interp;
    if (mf_open(config, &interp) != MF_RUN_OK) {
        fprintf(stderr, "%s\n", mf_error(interp));
        exit(EXIT_FAILURE);
    }
    return interp;
}

static struct mf_interp *open_plan(const char *plan)
{
    struct mf_config config = config_of(plan);
    return open_with(&config);
}

static enum mf_status run(struct mf_interp *interp, const char *code)
{
    return mf_run_string(interp, code, strlen(code), "=host");
}

static void must(struct mf_interp *interp, const char *code)
{
    if (CHECK(run(interp, code) == MF_RUN_OK))
        fprintf(stderr, "%s\n", mf_error(interp));
}

/* ---- the tests ---- */

static bool same(const struct mf_datum *a, const struct mf_datum *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case MF_TYPE_BOOLEAN:
        return a->boolean == b->boolean;
    case MF_TYPE_INTEGER:
        return a->integer == b->integer;
    case MF_TYPE_NUMBER:
        return memcmp(&a->number, &b->number, sizeof a->number) == 0;
    case MF_TYPE_STRING:
        return a->len == b->len && memcmp(a->string, b->string, a->len) == 0;
    case MF_TYPE_NUMBERS:
        return a->len == b->len && (a->len == 0 || memcmp(a->numbers, b->numbers, a->len * sizeof *a->numbers) == 0);
    default:
        return true;
    }
}

/* Every kind of value through a Lua function, a C function, and a task. */
static void test_values(void)
{
    const double numbers[] = {1, -0.0, 1e300, 0.5};
    const struct mf_datum in[] = {
        mf_from_nil(),
        mf_from_boolean(true),
        mf_from_integer(INT64_MIN),
        mf_from_number(-0.0),
        mf_from_bytes("a\0b", 3),
        mf_from_string(""),
        mf_from_numbers(numbers, 4),
        mf_from_numbers(NULL, 0),
        mf_from_boolean(false),
    };
    enum { N = sizeof in / sizeof in[0] };
    struct mf_interp *interp = open_plan("threads:1");
    struct mf_datum out[N];
    must(interp, "function back(...) return ... end function through(...) return echo(...) end");
    const char *const names[] = {"back", "through", "echo"};
    for (int k = 0; k < 3; k++) {
        size_t n = N;
        CHECK(mf_run_function(interp, names[k], in, N, out, &n) == MF_RUN_OK && n == N);
        for (size_t i = 0; i < N && i < n; i++)
            CHECK(same(&in[i], &out[i]));
    }
    mf_ticket ticket;
    size_t n = N;
    CHECK(mf_submit(interp, NULL, "through", in, N, &ticket) == MF_RUN_OK);
    CHECK(mf_wait(interp, &ticket, 1, 0, LIMIT) == MF_RUN_OK);
    CHECK(mf_take(interp, ticket, out, &n) == MF_RUN_OK && n == N);
    for (size_t i = 0; i < N && i < n; i++)
        CHECK(same(&in[i], &out[i]));
    CHECK(out[4].string[3] == '\0');
    mf_close(interp);
}

static void test_shapes(void)
{
    struct mf_interp *interp = open_plan("sequential");
    struct mf_datum out[2];
    must(interp, "local mf = require('moonfleet') "
                 "m = mf.array({ { 1, 2 }, { 3, 4 } }, 'i32') t = m:transpose() list = { 5, 6.5 } empty = {} "
                 "mixed = { 1, x = 2 } hole = { 1, nil, 3 } words = { 'a' }");
    const double rows[] = {1, 2, 3, 4}, columns[] = {1, 3, 2, 4}, list[] = {5, 6.5};
    const struct mf_datum expected[] = {mf_from_numbers(rows, 4), mf_from_numbers(columns, 4), mf_from_numbers(list, 2),
                                        mf_from_numbers(NULL, 0)};
    const char *const names[] = {"m", "t", "list", "empty"};
    for (int i = 0; i < 4; i++)
        CHECK(mf_get_global(interp, names[i], &out[0]) == MF_RUN_OK && same(&out[0], &expected[i]));
    CHECK(mf_get_global(interp, "mixed", &out[0]) == MF_RUN_OK && out[0].type == MF_TYPE_OTHER);
    CHECK(strcmp(out[0].string, "table") == 0);
    CHECK(mf_get_global(interp, "words", &out[0]) == MF_RUN_OK && out[0].type == MF_TYPE_OTHER);
    CHECK(mf_get_global(interp, "mixed.x", &out[0]) == MF_RUN_OK && out[0].integer == 2);
    CHECK(mf_get_global(interp, "nothing.x.y", &out[0]) == MF_RUN_OK && out[0].type == MF_TYPE_NIL);
    CHECK(mf_get_global(interp, "print", &out[0]) == MF_RUN_OK && strcmp(out[0].string, "function") == 0);
    CHECK(mf_set_global(interp, "words", mf_from_numbers(list, 2)) == MF_RUN_OK);
    must(interp, "assert(words:sum() == 11.5 and host.math.total(words) == 11.5 and host.kind(print) == 'function')");
    size_t n = 1; /* more results than room, and none at all */
    must(interp, "function two() return 'a', 'b' end");
    CHECK(mf_run_function(interp, "two", NULL, 0, out, &n) == MF_RUN_OK && n == 2 && out[0].string[0] == 'a');
    CHECK(mf_run_function(interp, "two", NULL, 0, NULL, NULL) == MF_RUN_OK);
    mf_close(interp);
}

static void test_errors(void)
{
    struct mf_interp *interp = open_plan("threads:1"), *bad;
    struct mf_config config = config_of("nonsense");
    CHECK(mf_open(&config, &bad) == MF_RUN_ERROR && strstr(mf_error(bad), "there is no plan 'nonsense'"));
    mf_close(bad);
    CHECK(strcmp(mf_error(interp), "") == 0);
    CHECK(run(interp, "x = ") == MF_RUN_ERROR && strstr(mf_error(interp), "near <eof>"));
    CHECK(run(interp, "error('oh no')") == MF_RUN_ERROR && strstr(mf_error(interp), "host:1: oh no\nstack traceback"));
    CHECK(run(interp, "error({})") == MF_RUN_ERROR && strstr(mf_error(interp), "(error object is a table value)"));
    CHECK(run(interp, "x = 1") == MF_RUN_OK && strcmp(mf_error(interp), "") == 0);
    CHECK(mf_run_function(interp, "nobody", NULL, 0, NULL, NULL) == MF_RUN_MISUSE);
    CHECK(strstr(mf_error(interp), "there is no function 'nobody'"));
    CHECK(run(interp, "host.math.total('x')") == MF_RUN_ERROR);
    CHECK(strstr(mf_error(interp), "host:1: total: expected numbers"));
    CHECK(run(interp, "os.exit(7)") == MF_RUN_EXIT && mf_exit_code(interp) == 7);
    CHECK(run(interp, "pcall(os.exit, false) while true do pcall(error) end") == MF_RUN_EXIT);
    CHECK(mf_exit_code(interp) == 1);
    CHECK(run(interp, "coroutine.wrap(function() os.exit(true) end)()") == MF_RUN_EXIT && mf_exit_code(interp) == 0);
    CHECK(run(interp, "x = 2") == MF_RUN_OK);
    CHECK(mf_poll(interp, 99) == MF_RUN_MISUSE && strstr(mf_error(interp), "ticket 99 is no future"));
    CHECK(mf_take(interp, 0, NULL, NULL) == MF_RUN_MISUSE && !mf_cancel(interp, -1));
    mf_drop(interp, 12345);
    for (int s = MF_RUN_OK; s <= MF_RUN_LOST; s++)
        CHECK(mf_status_text((enum mf_status)s)[0] != '\0');
    mf_close(interp);
    CHECK(mf_close(NULL) == 0 && mf_error(NULL)[0] != '\0');
}

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

static void test_output(void)
{
    struct mf_interp *interp = open_plan("threads:1");
    must(interp, "print('a', 1) io.write('b') io.stdout:write('c\\n') io.stderr:write('d\\n') warn('@on') warn('e')");
    CHECK(strcmp(host.out, "a\t1\nbc\n") == 0 && strcmp(host.err, "d\nLua warning: e\n") == 0);
    host.out[0] = host.err[0] = '\0';
    must(interp, "local mf = require('moonfleet') f = mf.future(function() print('task') io.stderr:write('t') end) "
                 "f:wait() assert(f:state() == 'done')");
    CHECK(host.out[0] == '\0');
    must(interp, "f:value()");
    CHECK(strcmp(host.out, "task\n") == 0 && strcmp(host.err, "t") == 0);
    host.out[0] = '\0';
    must(interp, "require('moonfleet').future({ output = 'live' }, function() print('now') end):value()");
    CHECK(strcmp(host.out, "[threads/1] now\n") == 0);
    host.out[0] = '\0';
    must(interp, "local mf = require('moonfleet') mf.with_plan('" FORKS ":1', function() "
                 "  local p = print mf.future(function() print('x') p('y') io.write('z\\n') end):value() end)");
    CHECK(strcmp(host.out, "x\ny\nz\n") == 0);
    mf_close(interp);
}

static void test_log(void)
{
    struct mf_config config = config_of("threads:1");
    config.log = "future";
    config.on_log = on_log;
    struct mf_interp *interp = open_with(&config);
    must(interp, "require('moonfleet').future(math.abs, 1):value()");
    CHECK(strstr(host.log, "QUEUED") || strstr(host.log, "queued"));
    must(interp,
         "local mf = require('moonfleet') mf.with_plan('" FORKS ":1', function() mf.future(math.abs, 1):value() end)");
    mf_close(interp);
    host.log[0] = '\0';
    interp = open_plan("threads:1"); /* tracing has ended with the interpreter that asked for it */
    must(interp, "require('moonfleet').future(math.abs, 1):value()");
    CHECK(host.log[0] == '\0');
    mf_close(interp);
}

/* All of what the states have allocated is freed; a limit is an error and not the end. */
static void test_memory(void)
{
    struct mf_config config = config_of("threads:2");
    config.alloc = counting;
    struct mf_interp *interp = open_with(&config);
    long before = host.blocks;
    CHECK(before > 100);
    must(interp, "warn('@on') warn('w') assert(#require('moonfleet').map({ 1, 2, 3 }, function(x) return x end) == 3)");
    CHECK(strcmp(host.err, "Lua warning: w\n") == 0);
    CHECK(host.blocks > 2 * before); /* the workers' */
    host.limit = host.bytes + 1000000;
    CHECK(run(interp, "local s = {} for i = 1, 1e7 do s[i] = i .. 'x' end") == MF_RUN_MEMORY);
    CHECK(strstr(mf_error(interp), "not enough memory"));
    CHECK(run(interp, "collectgarbage() x = 1") == MF_RUN_OK);
    host.limit = 1;
    double numbers[1000] = {0};
    CHECK(mf_set_global(interp, "y", mf_from_numbers(numbers, 1000)) == MF_RUN_MEMORY);
    host.limit = 0;
    mf_close(interp);
    CHECK(host.blocks == 0 && host.bytes == 0);
    host.limit = 1;
    CHECK(mf_open(&config, &interp) == MF_RUN_MEMORY && interp == NULL);
    for (host.limit = 1000; interp == NULL || mf_error(interp)[0]; host.limit += 500) {
        if (interp)
            mf_close(interp);
        CHECK(host.blocks == 0);
        mf_open(&config, &interp);
        if (CHECK(host.limit < 10000000))
            break;
    }
    mf_close(interp);
    CHECK(host.blocks == 0);
}

/* Most of the interface in turn, as far as memory lasts; whether it was enough. */
static bool use_memory(const struct mf_config *config)
{
    const double numbers[] = {1, 2};
    struct mf_datum arg = mf_from_numbers(numbers, 2), out;
    struct mf_interp *interp;
    mf_ticket ticket;
    size_t n = 1;
    bool ok = mf_open(config, &interp) == MF_RUN_OK &&
              run(interp, "function twice(x) print(x) return host.math.total(x) .. '' end") == MF_RUN_OK &&
              mf_run_function(interp, "twice", &arg, 1, &out, &n) == MF_RUN_OK && n == 1 && out.len == 3 &&
              mf_submit(interp, NULL, "twice", &arg, 1, &ticket) == MF_RUN_OK &&
              mf_wait(interp, &ticket, 1, 0, LIMIT) == MF_RUN_OK && mf_fd(interp) >= 0 &&
              mf_progress(interp) == MF_RUN_OK && mf_next(interp) == ticket &&
              mf_take(interp, ticket, &out, &n) == MF_RUN_OK && strcmp(out.string, "3.0") == 0 &&
              mf_get_global(interp, "host.kind", &out) == MF_RUN_OK && out.type == MF_TYPE_OTHER;
    CHECK(ok || mf_error(interp)[0]);
    host.last = 0; /* what is to be freed may need none, but a script's finalisers may */
    mf_close(interp);
    return ok;
}

/* Memory that is out at any moment is an error that has words, and nothing is lost. */
static void test_exhaustion(void)
{
    struct mf_config config = config_of("threads:1");
    config.alloc = counting;
    bool ok = false;
    for (long last = 1; !ok && last < 1000000; last += 41) {
        host.calls = 0;
        host.last = last;
        ok = use_memory(&config);
        if (CHECK(host.blocks == 0 && host.bytes == 0))
            break;
    }
    CHECK(ok);
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

struct other {
    struct mf_interp *interp;
    enum mf_status status;
};

static void call_back(struct mf_call *call, void *arg)
{
    struct other *other = arg;
    struct mf_datum out = mf_from_nil(), in = mf_argument(call, 0);
    size_t n = 1;
    other->status = mf_run_function(other->interp, in.string, NULL, 0, &out, &n);
    CHECK(mf_argument(call, 1).integer == 5); /* still there */
    if (other->status != MF_RUN_OK)
        mf_fail(call, mf_error(other->interp));
    else
        mf_return(call, out);
}

static void add_call_back(struct mf_addition *addition, void *arg)
{
    mf_add_function(addition, "call_back", call_back, arg);
}

/* The host's function runs the interpreter that has called it, also in a coroutine, and when that fails or exits. */
static void test_nested(void)
{
    struct other other = {0};
    struct mf_config config = {.ignore_env = true, .on_state = add_call_back, .arg = &other};
    other.interp = open_with(&config);
    must(other.interp,
         "function inner() return 'in' end function raises() error('up') end "
         "assert(call_back('inner', 5) == 'in') "
         "assert(coroutine.wrap(function() return call_back('inner', 5), coroutine.yield() end)() == nil) "
         "local ok, err = pcall(call_back, 'raises', 5) assert(not ok and err:find('up'), err)");
    CHECK(run(other.interp, "function leave() os.exit(4) end call_back('leave', 5) x = 1") == MF_RUN_EXIT);
    CHECK(other.status == MF_RUN_EXIT && mf_exit_code(other.interp) == 4);
    must(other.interp, "assert(x == nil)");
    mf_close(other.interp);
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
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"values", test_values},       {"shapes", test_shapes},         {"errors", test_errors},
        {"functions", test_functions}, {"output", test_output},         {"log", test_log},
        {"memory", test_memory},       {"exhaustion", test_exhaustion}, {"tickets", test_tickets},
        {"loop", test_loop},           {"nested", test_nested},         {"several", test_several},
        {"threads", test_threads},     {"interrupt", test_interrupt},
    };
    const struct mf_config worker = {.on_state = on_state};
    int status;
    if (mf_serve(&worker, argc, argv, &status))
        return status;
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        if (argc == 2 && strcmp(argv[1], tests[i].name) == 0) {
            tests[i].run();
            return failures ? EXIT_FAILURE : EXIT_SUCCESS;
        }
    fprintf(stderr, "which part?\n");
    return EXIT_FAILURE;
}
