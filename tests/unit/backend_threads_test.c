/* The plan threads: workers that start, sleep, fail, are interrupted, given up, retired and closed. */
#include "fake.h"

#include <math.h>

#include "../../runtime/pool.h"

#define SPEC(...) ((struct mf_future_spec){__VA_ARGS__})

static struct mf_owner *owner;
static struct mf_pool *pool;

static void start(int workers, double grace)
{
    struct mf_pool_options options = {.workers = workers, .grace = grace, .init = fake_blob("init")};
    owner = fake_owner();
    pool = mf_runtime_pool(owner, "threads", &options, NULL);
    if (!pool)
        exit(!CHECK(pool));
}

static bool done(struct mf_future *f, const char *text)
{
    return fake_ended(owner, f, MF_FUTURE_DONE, text);
}

static bool cancelled(struct mf_future *f)
{
    return f->failure == MF_FAILURE_CANCELLED && !f->result && fake_ended(owner, f, MF_FUTURE_CANCELLED, NULL);
}

/* --- Starting and waking ---------------------------------------------------------------------------------------- */

static void test_on_demand(void)
{
    struct mf_future *f[4];
    start(4, 30);
    CHECK(fake.opened == 0 && pool->alive == 0);
    for (int i = 0; i < 20; i++)
        CHECK(done(fake_plain(pool, FAKE_ECHO, "x"), "x"));
    CHECK(fake_get(&fake.opened) <= 4 && strcmp(fake.init, "init") == 0);
    for (int i = 0; i < 4; i++)
        f[i] = fake_plain(pool, FAKE_MEET, "\4"); /* all four run at once */
    for (int i = 0; i < 4; i++)
        CHECK(done(f[i], ""));
    fake_await(&fake.idled, 1);
    CHECK(fake.opened == 4);
    fake_end(owner);
}

static int count_sleepers(void)
{
    int n = 0;
    pthread_mutex_lock(&owner->lock);
    for (const struct mf_list *l = pool->sleepers.next; l != &pool->sleepers; l = l->next)
        n++;
    pthread_mutex_unlock(&owner->lock);
    return n;
}

/* Tasks that follow many short ones are taken for short ones too. When they are not, everybody must be woken. */
static void test_wrong_guess(void)
{
    struct mf_future *f[8];
    start(8, 30);
    for (int i = 0; i < 8; i++)
        f[i] = fake_plain(pool, FAKE_MEET, "\10");
    for (int i = 0; i < 8; i++)
        CHECK(done(f[i], ""));
    while (count_sleepers() < 8)
        sched_yield();
    fake_reset();
    pthread_mutex_lock(&owner->lock);
    pool->mean = 0;
    pthread_mutex_unlock(&owner->lock);
    for (int i = 0; i < 8; i++) {
        f[i] = fake_plain(pool, FAKE_MEET, "\10");
        fake_await(&fake.met, 1); /* the others are put behind a task that seems to be short */
    }
    for (int i = 0; i < 8; i++)
        CHECK(done(f[i], ""));
    mf_runtime_close(owner);
    mf_owner_unref(owner);
    fake_reset();
}

static void test_many(void)
{
    enum { MANY = 10000 };
    static struct mf_future *f[MANY];
    start(3, 30);
    for (int i = 0; i < MANY; i++)
        f[i] = fake_plain(pool, FAKE_ECHO, "x");
    CHECK(mf_runtime_wait(owner, f, MANY, MANY, MF_SYS_NEVER) == MF_OK);
    int good = 0;
    for (int i = 0; i < MANY; i++) {
        good += mf_future_state(f[i]) == MF_FUTURE_DONE && f[i]->result->len == 1 && f[i]->attempts == 1;
        mf_future_unref(f[i]);
    }
    CHECK(good == MANY && fake.runs == MANY && pool->queue.bytes == 0 && pool->running == 0);
    fake_end(owner);
}

/* --- Workers that cannot open ----------------------------------------------------------------------------------- */

/* All are queued at one moment, when what they depend on is done. */
static void test_cannot_open(int workers)
{
    struct mf_future *f[100];
    start(workers, 30);
    struct mf_pool *other = fake_pool(owner, "threads", 1);
    struct mf_future *first = fake_plain(other, FAKE_BLOCK, NULL);
    fake_await(&fake.opened, 1);
    fake.refuse = -1;
    for (int i = 0; i < 100; i++)
        f[i] = fake_submit(pool, FAKE_ECHO, "x", SPEC(.deps = &first, .ndeps = 1));
    fake_open_gate();
    for (int i = 0; i < 100; i++)
        CHECK(fake_ended(owner, f[i], MF_FUTURE_LOST, "no interpreter today"));
    CHECK(fake_get(&fake.tries) <= 1 + MF_POOL_BIRTHS + 2 * workers); /* no storm */
    CHECK(fake_ended(owner, fake_plain(pool, FAKE_ECHO, "x"), MF_FUTURE_LOST, "no interpreter today"));
    pthread_mutex_lock(&fake.lock);
    fake.refuse = 0;
    pthread_mutex_unlock(&fake.lock);
    CHECK(done(fake_plain(pool, FAKE_ECHO, "x"), "x"));
    CHECK(done(first, ""));
    fake_end(owner);
}

static void test_opens_at_last(void)
{
    start(1, 30);
    fake.refuse = MF_POOL_BIRTHS - 1;
    CHECK(done(fake_plain(pool, FAKE_ECHO, "x"), "x"));
    CHECK(fake.tries == MF_POOL_BIRTHS);
    fake_end(owner);
}

/* One worker lives, the others cannot: it does the work. */
static void test_one_that_lives(void)
{
    struct mf_future *f[51];
    start(4, 30);
    f[0] = fake_plain(pool, FAKE_BLOCK, NULL);
    fake_await(&fake.inside, 1);
    pthread_mutex_lock(&fake.lock);
    fake.refuse = -1;
    pthread_mutex_unlock(&fake.lock);
    for (int i = 1; i < 51; i++)
        f[i] = fake_plain(pool, FAKE_ECHO, "x");
    CHECK(fake_ended(owner, fake_submit(pool, FAKE_ECHO, "x", SPEC(.worker = 3)), MF_FUTURE_LOST,
                     "no interpreter today"));
    fake_open_gate();
    for (int i = 0; i < 51; i++)
        CHECK(done(f[i], i ? "x" : ""));
    CHECK(fake_get(&fake.tries) < 30 && fake_get(&fake.opened) == 1);
    fake_end(owner);
}

/* --- Cancelling ------------------------------------------------------------------------------------------------- */

static void test_cancel(void)
{
    start(1, 30);
    struct mf_future *running = fake_plain(pool, FAKE_BLOCK, NULL), *queued = fake_plain(pool, FAKE_ECHO, "x");
    fake_await(&fake.inside, 1);
    CHECK(mf_runtime_cancel(owner, queued) && mf_future_final(queued) && !mf_runtime_cancel(owner, queued));
    CHECK(mf_runtime_cancel(owner, running) && mf_future_final(running) && !mf_runtime_cancel(owner, running));
    CHECK(done(fake_plain(pool, FAKE_WHERE, NULL), "threads/1:0"));
    CHECK(fake.opened == 1 && fake.runs == 2); /* the same worker goes on */
    CHECK(cancelled(queued));
    CHECK(cancelled(running));
    struct mf_future *final = fake_plain(pool, FAKE_ECHO, "x");
    CHECK(fake_finish(owner, final) && !mf_runtime_cancel(owner, final));
    CHECK(done(final, "x"));
    fake_end(owner);
}

static void test_cancel_races(void)
{
    int done_ones = 0, cancelled_ones = 0;
    start(2, 30);
    for (int i = 0; i < 10000; i++) {
        struct mf_future *f = fake_plain(pool, FAKE_ECHO, "x");
        for (int k = 0; k < i % 50 * 4; k++)
            mf_sys_spin(0, 1);
        bool won = mf_runtime_cancel(owner, f);
        enum mf_future_state state = mf_future_state(f);
        FAKE_MUST(state == (won ? MF_FUTURE_CANCELLED : MF_FUTURE_DONE) && won == !f->result);
        FAKE_MUST(fake_finish(owner, f) && mf_future_state(f) == state);
        won ? cancelled_ones++ : done_ones++;
        mf_future_unref(f);
    }
    CHECK(done_ones + cancelled_ones == 10000 && pool->running == 0 && atomic_load(&pool->queue.pending) == 0);
    fake_end(owner);
}

static void test_time_limit(void)
{
    start(1, 30);
    struct mf_future *f = fake_submit(pool, FAKE_BLOCK, NULL, SPEC(.timeout = 0.01));
    CHECK(fake_finish(owner, f) && f->failure == MF_FAILURE_TIMEOUT && f->elapsed >= 10000000u);
    CHECK(fake_ended(owner, f, MF_FUTURE_FAILED, "no result within 0.01 s"));
    f = fake_submit(pool, FAKE_BLOCK, NULL, SPEC(.timeout = 1e-9)); /* the words name what was asked for */
    CHECK(fake_ended(owner, f, MF_FUTURE_FAILED, "no result within 1e-09 s"));
    f = fake_submit(pool, FAKE_BLOCK, NULL, SPEC(.timeout = INFINITY));
    struct mf_future *limited = fake_submit(pool, FAKE_ECHO, "x", SPEC(.timeout = 50)); /* waiting does not count */
    CHECK(mf_runtime_wait(owner, &f, 1, 1, mf_sys_after(0.01)) == MF_ETIMEDOUT);
    fake_open_gate();
    CHECK(done(f, ""));
    CHECK(done(limited, "x"));
    CHECK(fake.opened == 1);
    fake_end(owner);
}

/* --- Workers that do not stop ----------------------------------------------------------------------------------- */

static void test_abandoned(void)
{
    start(1, 0.005);
    CHECK(mf_runtime_setup(pool, fake_blob(FAKE_SETUP), NULL) == MF_OK);
    struct mf_future *stuck = fake_plain(pool, FAKE_STUCK, NULL);
    fake_await(&fake.runs, 2); /* the setup, then the task */
    struct mf_future *limited = fake_submit(pool, FAKE_STUCK, NULL, SPEC(.timeout = 0.005));
    struct mf_future *pinned = fake_submit(pool, FAKE_WHERE, NULL, SPEC(.worker = 1));
    CHECK(mf_runtime_cancel(owner, stuck));
    CHECK(done(pinned, "threads/1:1")); /* a new worker in the slot, set up like the first one */
    CHECK(done(fake_plain(pool, FAKE_WHERE, NULL), "threads/1:1"));
    CHECK(fake.opened == 3 && fake_get(&fake.inside) == 2 && fake.closed == 0 && pool->alive == 1);
    CHECK(cancelled(stuck));
    CHECK(fake_ended(owner, limited, MF_FUTURE_FAILED, "no result within 0.005 s"));
    fake_open_gate();
    fake_await(&fake.closed, 2); /* they end by themselves */
    CHECK(done(fake_plain(pool, FAKE_ECHO, "x"), "x"));
    fake_end(owner);
}

static void test_endless_grace(void)
{
    start(1, INFINITY);
    struct mf_future *stuck = fake_plain(pool, FAKE_STUCK, NULL), *f = fake_plain(pool, FAKE_ECHO, "x");
    fake_await(&fake.inside, 1);
    CHECK(mf_runtime_cancel(owner, stuck));
    CHECK(mf_runtime_wait(owner, &f, 1, 1, mf_sys_after(0.02)) == MF_ETIMEDOUT);
    fake_open_gate();
    CHECK(done(f, "x"));
    CHECK(cancelled(stuck));
    CHECK(fake.opened == 1);
    fake_end(owner);
}

/* --- The end ---------------------------------------------------------------------------------------------------- */

static void test_retire(void)
{
    struct mf_future *f[20];
    start(3, 30);
    for (int i = 0; i < 20; i++)
        f[i] = fake_plain(pool, i < 3 ? FAKE_BLOCK : FAKE_ECHO, "x");
    fake_await(&fake.inside, 3);
    mf_runtime_retire(pool);
    CHECK(fake.closed == 0);
    fake_open_gate();
    fake_await(&fake.closed, 3); /* all by themselves, when nothing is left to do */
    for (int i = 0; i < 20; i++)
        CHECK(done(f[i], i < 3 ? "" : "x"));
    mf_runtime_release(pool);
    fake_end(owner);
}

/* What a retired pool's sleeping workers wait for may fail without ever being queued. */
static void test_retire_while_waiting(void)
{
    start(2, 30);
    struct mf_pool *other = fake_pool(owner, "threads", 1);
    struct mf_future *dep = fake_plain(other, FAKE_BLOCK, NULL), *f;
    CHECK(done(fake_plain(pool, FAKE_ECHO, "x"), "x"));
    f = fake_submit(pool, FAKE_ECHO, "x", SPEC(.deps = &dep, .ndeps = 1));
    while (count_sleepers() < 1)
        sched_yield();
    mf_runtime_retire(pool);
    CHECK(mf_runtime_cancel(owner, dep));
    fake_await(&fake.closed, 1);
    CHECK(cancelled(f));
    CHECK(cancelled(dep));
    fake_end(owner);
}

static int count_pools(void)
{
    int n = 0;
    pthread_mutex_lock(&owner->lock);
    for (const struct mf_list *l = owner->pools.next; l != &owner->pools; l = l->next)
        n++;
    pthread_mutex_unlock(&owner->lock);
    return n;
}

/* Released by a finalizer, on another thread here: what is queued still runs, then everything goes. */
static void *release(void *arg)
{
    mf_runtime_release(arg);
    return NULL;
}

static void test_release(void)
{
    pthread_t thread;
    start(1, 30);
    struct mf_pool *other = fake_pool(owner, "threads", 1);
    struct mf_future *f = fake_plain(pool, FAKE_BLOCK, NULL), *g = fake_plain(pool, FAKE_ECHO, "g");
    fake_await(&fake.inside, 1);
    CHECK(pthread_create(&thread, NULL, release, pool) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(count_pools() == 2);
    fake_open_gate();
    CHECK(done(g, "g"));
    CHECK(done(f, ""));
    while (count_pools() > 1) /* the owner's calls tidy up */
        CHECK(done(fake_plain(other, FAKE_ECHO, "x"), "x"));
    CHECK(fake.closed == 1);
    fake_end(owner);
}

static void test_close_while_running(void)
{
    struct mf_future *f[6];
    start(3, 30);
    for (int i = 0; i < 6; i++)
        f[i] = fake_plain(pool, FAKE_BLOCK, NULL);
    fake_await(&fake.inside, 3);
    mf_runtime_close_pool(pool);
    CHECK(fake.closed == fake.opened && pool->alive == 0 && fake.runs == 3);
    for (int i = 0; i < 6; i++)
        CHECK(cancelled(f[i]));
    mf_runtime_close_pool(pool);
    fake_end(owner);
}

/* A worker that is still being set up is interrupted too. */
static void test_close_while_starting(void)
{
    start(1, 30);
    CHECK(mf_runtime_setup(pool, fake_blob(FAKE_BLOCK), NULL) == MF_OK);
    struct mf_future *f = fake_plain(pool, FAKE_ECHO, "x");
    fake_await(&fake.inside, 1);
    mf_runtime_close_pool(pool);
    CHECK(fake.closed == 1 && cancelled(f));
    fake_end(owner);
}

/* The close does not wait for ever, and the worker may end after the runtime has gone. */
static void test_close_while_stuck(void)
{
    start(2, 0.005);
    struct mf_future *f = fake_plain(pool, FAKE_STUCK, NULL);
    fake_await(&fake.inside, 1);
    CHECK(mf_runtime_close(owner) == 1 && cancelled(f) && fake.closed == 0);
    mf_owner_unref(owner);
    fake_open_gate();
    fake_await(&fake.closed, 1);
    fake_reset();
}

int main(void)
{
    alarm(100);
    test_on_demand();
    test_wrong_guess();
    test_many();
    test_cannot_open(1);
    test_cannot_open(4);
    test_opens_at_last();
    test_one_that_lives();
    test_cancel();
    test_cancel_races();
    test_time_limit();
    test_abandoned();
    test_endless_grace();
    test_retire();
    test_retire_while_waiting();
    test_release();
    test_close_while_running();
    test_close_while_starting();
    test_close_while_stuck();
    return check_report();
}
