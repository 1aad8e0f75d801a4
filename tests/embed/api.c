/* A C program with Moonfleet in it that opens, closes, runs, calls and is called: its first argument says which part
 * (tests/embed_spec.lua). It exits with 0 when all went as it should, and is its own worker. */
#include "fixture.h"

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
    for (int k = 0; k < 3; k++) {
        mf_ticket ticket;
        size_t n = N;
        CHECK(mf_submit(interp, NULL, names[k], in, N, &ticket) == MF_RUN_OK);
        CHECK(mf_wait(interp, &ticket, 1, 0, LIMIT) == MF_RUN_OK);
        CHECK(mf_take(interp, ticket, out, &n) == MF_RUN_OK && n == N);
        for (size_t i = 0; i < N && i < n; i++)
            CHECK(same(&in[i], &out[i]));
    }
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

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"values", test_values}, {"shapes", test_shapes}, {"errors", test_errors},         {"output", test_output},
        {"log", test_log},       {"memory", test_memory}, {"exhaustion", test_exhaustion}, {"nested", test_nested}};
    return host_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
