/* The plan sequential: one interpreter on the owner's own thread. */
#include "fake.h"

#include "../../runtime/pool.h"

#define SPEC(...) ((struct mf_future_spec){__VA_ARGS__})

static struct mf_owner *owner;
static struct mf_pool *pool;

static void start(void)
{
    owner = fake_owner();
    pool = fake_pool(owner, "sequential", 1);
}

static bool done(struct mf_future *f, const char *text)
{
    return fake_ended(owner, f, MF_FUTURE_DONE, text);
}

/* fake.h checks that open, run and close are called by one thread; here it is ours. */
static void check_thread(void)
{
    CHECK(pthread_equal(pool->workers[0]->thread, pthread_self()));
}

static void test_runs_at_once(void)
{
    start();
    CHECK(fake.opened == 0);
    fake.hook = check_thread;
    struct mf_future *f = fake_plain(pool, FAKE_HOOK, NULL);
    CHECK(mf_future_state(f) == MF_FUTURE_DONE && f->worker == 1 && fake.opened == 1 && fake.runs == 1);
    mf_future_unref(f);
    for (int i = 0; i < 5; i++) {
        char letter[2] = {(char)('a' + i), '\0'};
        CHECK(done(fake_submit(pool, FAKE_ORDER, letter, SPEC(.priority = i)), ""));
    }
    CHECK(strcmp(fake.order, "abcde") == 0 && fake.opened == 1);
    CHECK(done(fake_submit(pool, FAKE_WHERE, NULL, SPEC(.worker = 1)), "sequential/1:0"));
    CHECK(fake_ended(owner, fake_plain(pool, FAKE_FAIL, "why"), MF_FUTURE_FAILED, "why"));
    CHECK(done(fake_submit(pool, FAKE_NTH, "\x0b", SPEC(.retries = 5, .retry_on_error = true)), ""));
    CHECK(fake.runs == 11);
    fake_end(owner);
}

static void test_lazy(void)
{
    start();
    struct mf_future *a = fake_submit(pool, FAKE_ORDER, "a", SPEC(.lazy = true));
    struct mf_future *b = fake_submit(pool, FAKE_ORDER, "b", SPEC(.lazy = true, .deps = &a, .ndeps = 1));
    struct mf_future *c = fake_submit(pool, FAKE_ORDER, "c", SPEC(.lazy = true));
    CHECK(fake.runs == 0 && mf_future_state(a) == MF_FUTURE_CREATED);
    CHECK(mf_runtime_poll(owner, b) && mf_future_final(a) && strcmp(fake.order, "ab") == 0);
    CHECK(mf_runtime_cancel(owner, c) && !mf_runtime_cancel(owner, c) && !mf_runtime_cancel(owner, a));
    CHECK(mf_runtime_poll(owner, c) && strcmp(fake.order, "ab") == 0);
    CHECK(done(a, ""));
    CHECK(done(b, ""));
    CHECK(fake_ended(owner, c, MF_FUTURE_CANCELLED, NULL));
    fake_end(owner);
}

static void test_cannot_open(void)
{
    start();
    fake.refuse = -1;
    for (int i = 0; i < 3; i++)
        CHECK(fake_ended(owner, fake_plain(pool, FAKE_ECHO, "x"), MF_FUTURE_LOST, "no interpreter today"));
    CHECK(fake.tries == 3 && !pool->workers[0] && pool->alive == 0);
    fake.refuse = 0;
    CHECK(done(fake_plain(pool, FAKE_ECHO, "x"), "x")); /* another try may work */
    fake_end(owner);
}

static void test_setups(void)
{
    start();
    CHECK(mf_runtime_setup(pool, fake_blob(FAKE_SETUP), NULL) == MF_OK);
    CHECK(done(fake_plain(pool, FAKE_WHERE, NULL), "sequential/1:1"));
    CHECK(done(fake_submit(pool, FAKE_SETUP, NULL, SPEC(.setup = true)), ""));
    CHECK(done(fake_plain(pool, FAKE_WHERE, NULL), "sequential/1:2"));
    fake_end(owner);
}

/* A dependency that ends on another plan's worker: the owner runs what follows when it waits. */
static void test_after_a_thread(void)
{
    start();
    struct mf_pool *threads = fake_pool(owner, "threads", 1);
    struct mf_future *first = fake_plain(threads, FAKE_BLOCK, NULL);
    struct mf_future *f = fake_submit(pool, FAKE_ORDER, "f", SPEC(.deps = &first, .ndeps = 1));
    struct mf_future *g = fake_submit(threads, FAKE_ORDER, "g", SPEC(.deps = &f, .ndeps = 1));
    fake_await(&fake.inside, 1);
    CHECK(mf_future_state(f) == MF_FUTURE_CREATED);
    fake_open_gate();
    CHECK(done(g, ""));
    CHECK(strcmp(fake.order, "fg") == 0);
    CHECK(done(f, ""));
    CHECK(done(first, ""));
    fake_end(owner);
}

static struct mf_future *inner;

static void submit_inside(void)
{
    inner = fake_plain(pool, FAKE_ORDER, "inner");
    CHECK(mf_future_state(inner) == MF_FUTURE_QUEUED && !mf_runtime_poll(owner, inner));
}

/* A call from inside a task queues; the turn that runs the task goes on with it. */
static void test_nested_call(void)
{
    start();
    fake.hook = submit_inside;
    CHECK(done(fake_plain(pool, FAKE_HOOK, NULL), ""));
    CHECK(mf_future_final(inner) && strcmp(fake.order, "inner") == 0);
    CHECK(done(inner, ""));
    fake_end(owner);
}

/* The alarm stops a task that runs for too long, on the thread of the owner. */
static void test_time_limit(void)
{
    start();
    struct mf_future *f = fake_submit(pool, FAKE_BLOCK, NULL, SPEC(.timeout = 0.01));
    CHECK(mf_future_final(f) && f->failure == MF_FAILURE_TIMEOUT);
    CHECK(fake_ended(owner, f, MF_FUTURE_FAILED, "no result within 0.01 s"));
    CHECK(done(fake_plain(pool, FAKE_ECHO, "x"), "x"));
    fake_end(owner);
}

/* There is no other thread to give the task up for: it goes on until it ends by itself, and its result is dropped. */
static void *open_when_failed(void *f)
{
    while (!mf_future_final(f))
        sched_yield();
    fake_open_gate();
    return NULL;
}

static void test_cannot_be_stopped(void)
{
    pthread_t thread;
    owner = fake_owner();
    struct mf_pool_options options = {.workers = 1, .grace = 0};
    pool = mf_runtime_pool(owner, "sequential", &options, NULL);
    struct mf_future *f = fake_submit(pool, FAKE_STUCK, NULL, SPEC(.timeout = 0.001, .lazy = true));
    CHECK(pthread_create(&thread, NULL, open_when_failed, f) == 0);
    CHECK(mf_runtime_poll(owner, f));
    pthread_join(thread, NULL);
    CHECK(fake_ended(owner, f, MF_FUTURE_FAILED, "no result within 0.001 s"));
    CHECK(done(fake_plain(pool, FAKE_WHERE, NULL), "sequential/1:0"));
    fake_end(owner);
}

static void test_retire(void)
{
    start();
    struct mf_pool *other = fake_pool(owner, "sequential", 1);
    CHECK(done(fake_plain(pool, FAKE_ECHO, "x"), "x"));
    mf_runtime_retire(pool);
    CHECK(done(fake_plain(other, FAKE_ECHO, "x"), "x"));
    CHECK(fake.closed == 1); /* the owner's next call closes it */
    mf_runtime_release(other);
    struct mf_pool *third = fake_pool(owner, "sequential", 1);
    CHECK(done(fake_plain(third, FAKE_ECHO, "x"), "x"));
    CHECK(done(fake_plain(third, FAKE_ECHO, "x"), "x"));
    CHECK(fake.closed == 2);
    fake_end(owner);
}

/* What was made before still runs, and then the interpreter goes. */
static void test_retire_with_work(void)
{
    start();
    struct mf_pool *threads = fake_pool(owner, "threads", 1);
    struct mf_future *first = fake_plain(threads, FAKE_BLOCK, NULL);
    struct mf_future *f = fake_submit(pool, FAKE_ECHO, "f", SPEC(.deps = &first, .ndeps = 1));
    mf_runtime_release(pool);
    fake_open_gate();
    CHECK(done(f, "f"));
    CHECK(done(first, ""));
    CHECK(done(fake_plain(threads, FAKE_ECHO, "x"), "x"));
    CHECK(done(fake_plain(threads, FAKE_ECHO, "x"), "x"));
    CHECK(fake.closed == 1 && owner->pools.next->next == &owner->pools); /* only the other plan is left */
    fake_end(owner);
}

static void test_close(void)
{
    start();
    struct mf_fault fault;
    struct mf_future *lazy = fake_submit(pool, FAKE_ECHO, "x", SPEC(.lazy = true));
    CHECK(done(fake_plain(pool, FAKE_ECHO, "x"), "x"));
    mf_runtime_close_pool(pool);
    CHECK(fake.closed == 1 && mf_future_state(lazy) == MF_FUTURE_CANCELLED);
    CHECK(mf_runtime_submit(pool, &SPEC(.code = fake_blob("e")), &fault) == NULL && fault.code == MF_ECLOSED);
    mf_runtime_close_pool(pool);
    mf_future_unref(lazy);
    fake_end(owner);
}

int main(void)
{
    alarm(60);
    test_runs_at_once();
    test_lazy();
    test_cannot_open();
    test_setups();
    test_after_a_thread();
    test_nested_call();
    test_time_limit();
    test_cannot_be_stopped();
    test_retire();
    test_retire_with_work();
    test_close();
    return check_report();
}
