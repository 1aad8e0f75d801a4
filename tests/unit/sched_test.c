/* The scheduler through the runtime's door: order, pins, retries, dependencies, lazy futures, setups, back-pressure. */
#include "fake.h"

#include "../../runtime/sched.h"

#define SPEC(...) ((struct mf_future_spec){__VA_ARGS__})

static bool done(struct mf_owner *owner, struct mf_future *f, const char *text)
{
    return fake_ended(owner, f, MF_FUTURE_DONE, text);
}

static bool failed(struct mf_owner *owner, struct mf_future *f, const char *text)
{
    return fake_ended(owner, f, MF_FUTURE_FAILED, text);
}

/* --- Order ------------------------------------------------------------------------------------------------------ */

static void test_priorities(void)
{
    static const int priorities[] = {0, 3, -1, 3, 0, 100, -1};
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 1);
    struct mf_future *f[8] = {fake_plain(pool, FAKE_BLOCK, "x")};
    fake_await(&fake.inside, 1);
    for (int i = 0; i < 7; i++) {
        char letter[2] = {(char)('a' + i), '\0'};
        f[i + 1] = fake_submit(pool, FAKE_ORDER, letter, SPEC(.priority = priorities[i]));
    }
    fake_open_gate();
    CHECK(mf_runtime_wait(owner, f, 8, 8, MF_SYS_NEVER) == MF_OK);
    CHECK(strcmp(fake.order, "fbdaecg") == 0);
    for (int i = 0; i < 8; i++)
        mf_future_unref(f[i]);
    fake_end(owner);
}

static void test_pinned(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 3);
    struct mf_fault fault;
    struct mf_future *f[30];
    for (int i = 0; i < 30; i++)
        f[i] = fake_submit(pool, FAKE_WHERE, NULL, SPEC(.worker = i % 3 + 1));
    for (int i = 0; i < 30; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "threads/%d:0", i % 3 + 1);
        CHECK(fake_finish(owner, f[i]) && f[i]->worker == i % 3 + 1);
        CHECK(done(owner, f[i], expected));
    }
    for (int worker = -1; worker <= 4; worker += 5) {
        CHECK(mf_runtime_submit(pool, &SPEC(.code = fake_blob("e"), .worker = worker), &fault) == NULL);
        CHECK(fault.code == MF_EINVAL && strstr(fault.text, "worker must be from 1 to 3, not "));
    }
    fake_end(owner);
}

/* What is pinned to a worker goes before what any worker can do, and waits although others are idle. */
static void test_pinned_waits(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 2);
    struct mf_future *block = fake_submit(pool, FAKE_BLOCK, "x", SPEC(.worker = 2));
    fake_await(&fake.inside, 1);
    struct mf_future *pinned = fake_submit(pool, FAKE_WHERE, NULL, SPEC(.worker = 2));
    struct mf_future *cancelled = fake_submit(pool, FAKE_WHERE, NULL, SPEC(.worker = 2));
    for (int i = 0; i < 20; i++)
        CHECK(done(owner, fake_plain(pool, FAKE_WHERE, NULL), "threads/1:0"));
    CHECK(mf_runtime_cancel(owner, cancelled) && !mf_future_final(pinned));
    fake_open_gate();
    CHECK(done(owner, pinned, "threads/2:0"));
    CHECK(fake_ended(owner, cancelled, MF_FUTURE_CANCELLED, NULL));
    CHECK(done(owner, block, ""));
    fake_end(owner);
}

static void test_seed(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 1);
    CHECK(done(owner, fake_submit(pool, FAKE_SEED, NULL, SPEC(.seed = UINT64_MAX, .stream = 7)),
               "18446744073709551615,7"));
    fake_end(owner);
}

/* --- Retries ---------------------------------------------------------------------------------------------------- */

static void test_retries(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 1);
    struct mf_future *f = fake_submit(pool, FAKE_NTH, "\4", SPEC(.retries = 3, .retry_on_error = true));
    CHECK(fake_finish(owner, f) && f->attempts == 4);
    CHECK(done(owner, f, ""));
    fake_reset();
    CHECK(failed(owner, fake_submit(pool, FAKE_NTH, "\4", SPEC(.retries = 2, .retry_on_error = true)), ""));
    CHECK(fake.runs == 3);
    fake_reset();
    CHECK(failed(owner, fake_submit(pool, FAKE_FAIL, "no", SPEC(.retries = 5)), "no")); /* for lost workers only */
    CHECK(fake.runs == 1);
    mf_runtime_close(owner);
    mf_owner_unref(owner);
    fake_reset();
}

static void test_many_retries(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 1);
    CHECK(failed(owner, fake_submit(pool, FAKE_FAIL, "no", SPEC(.retries = 600, .retry_on_error = true)), "no"));
    CHECK(fake.runs == 601);
    fake_end(owner);
}

static struct mf_blob *output_of(struct mf_owner *owner, struct mf_future *f)
{
    struct mf_buf b = {0};
    CHECK(fake_finish(owner, f) && mf_runtime_output(owner, f, &b));
    struct mf_blob *blob = mf_buf_freeze(&b);
    mf_buf_release(&b);
    return blob;
}

static int tries;

/* Prints "one" at its first run, "two" at its second one. */
static bool print_and_fail(const struct mf_task *task)
{
    tries++;
    task->port->emit(task->port, MF_STDOUT, tries == 1 ? "one" : "two", 3);
    return tries == 2;
}

static enum mf_outcome run_print_and_fail(void *worker, const struct mf_task *task, struct mf_buf *result)
{
    (void)worker, (void)result;
    return print_and_fail(task) ? MF_OUTCOME_VALUE : MF_OUTCOME_ERROR;
}

/* What a failed attempt printed is not shown. */
static void test_output_of_retries(void)
{
    static const struct mf_runner runner = {
        .open = fake_open, .run = run_print_and_fail, .idle = fake_idle, .close = fake_close, .live = fake_live};
    struct mf_owner *owner = mf_runtime_new(&runner, NULL, NULL);
    struct mf_pool *pool = fake_pool(owner, "threads", 1);
    struct mf_future *f = fake_submit(pool, FAKE_ECHO, "", SPEC(.retries = 1, .retry_on_error = true));
    struct mf_blob *out = output_of(owner, f);
    CHECK(tries == 2 && out->len == 12 && memcmp(out->data + 9, "two", 3) == 0);
    mf_blob_unref(out);
    mf_future_unref(f);
    fake_end(owner);
}

/* --- Dependencies ----------------------------------------------------------------------------------------------- */

static struct mf_future *after(struct mf_pool *pool, const char *code, size_t n, struct mf_future **deps, bool lazy)
{
    return fake_submit(pool, code, "after", SPEC(.deps = deps, .ndeps = n, .lazy = lazy));
}

static void test_dependencies(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 2), *other = fake_pool(owner, "threads", 1);
    struct mf_future *a = fake_plain(pool, FAKE_ECHO, "A"), *b = fake_plain(other, FAKE_ECHO, "B");
    CHECK(fake_finish(owner, a));
    struct mf_future *block = fake_plain(pool, FAKE_BLOCK, NULL);
    struct mf_future *deps[] = {a, b, a, block};
    struct mf_future *f = after(pool, FAKE_DEPS, 4, deps, false), *twice[] = {f, f};
    struct mf_future *g = after(other, FAKE_DEPS, 2, twice, false);
    fake_await(&fake.inside, 1);
    CHECK(mf_future_state(f) == MF_FUTURE_CREATED && mf_future_state(g) == MF_FUTURE_CREATED);
    mf_future_unref(a); /* they keep what they need */
    mf_future_unref(b);
    mf_future_unref(f);
    fake_open_gate();
    CHECK(done(owner, g, "ABAABA"));
    CHECK(done(owner, block, ""));
    fake_end(owner);
}

static void test_failing_dependencies(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 3);
    struct mf_future *bad = fake_plain(pool, FAKE_FAIL, "why"), *block = fake_plain(pool, FAKE_BLOCK, "x");
    struct mf_future *deps[] = {block, bad}, *f = after(pool, FAKE_DEPS, 2, deps, false);
    CHECK(fake_finish(owner, f) && f->failure == MF_FAILURE_ERROR && !mf_future_final(block));
    struct mf_future *next = after(pool, FAKE_DEPS, 1, &f, false);
    CHECK(mf_future_final(next)); /* what it waits for had failed already */
    CHECK(failed(owner, next, "why"));
    struct mf_future *waits = after(pool, FAKE_DEPS, 1, &block, false),
                     *last = after(pool, FAKE_DEPS, 1, &waits, false);
    CHECK(mf_runtime_cancel(owner, block) && !mf_runtime_cancel(owner, block));
    CHECK(last->failure == MF_FAILURE_CANCELLED);
    CHECK(fake_ended(owner, last, MF_FUTURE_CANCELLED, NULL));
    CHECK(fake_ended(owner, waits, MF_FUTURE_CANCELLED, NULL));
    mf_future_unref(block);
    CHECK(failed(owner, bad, "why"));
    CHECK(failed(owner, f, "why"));
    fake_end(owner);
}

static void test_lost_dependency(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 1), *broken = fake_pool(owner, "threads", 1);
    CHECK(mf_runtime_setup(broken, fake_blob("f"), NULL) == MF_OK);
    struct mf_future *lost = fake_plain(broken, FAKE_ECHO, "x"), *f = after(pool, FAKE_DEPS, 1, &lost, false);
    CHECK(fake_ended(owner, f, MF_FUTURE_LOST, "worker threads/1 could not be set up: call 1 of everywhere failed"));
    struct mf_future *lazy = after(pool, FAKE_DEPS, 1, &lost, true); /* begins when only it refers to lost */
    mf_future_unref(lost);
    CHECK(fake_ended(owner, lazy, MF_FUTURE_LOST, "call 1 of everywhere failed"));
    fake_end(owner);
}

/* A failing future takes along all that come after it, however many, on a worker's small stack too. */
static void test_long_chain(enum mf_future_state end)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 2);
    struct mf_future *first = fake_submit(pool, FAKE_STUCK, "x", SPEC(.output = MF_OUTPUT_RELAY)), *f;
    struct mf_future *deps[] = {first, fake_plain(pool, FAKE_BLOCK, "x")};
    mf_future_unref(first);
    f = deps[1];
    for (int i = 0; i < 30000; i++) {
        struct mf_future *next = after(pool, FAKE_FAIL, 1, &f, false);
        mf_future_unref(f);
        f = next;
    }
    if (end == MF_FUTURE_CANCELLED)
        mf_runtime_cancel(owner, deps[1]);
    fake_open_gate();
    CHECK(fake_finish(owner, f) && mf_future_state(f) == end);
    mf_future_unref(f);
    fake_end(owner);
}

/* --- Lazy futures ----------------------------------------------------------------------------------------------- */

static void test_lazy(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 2);
    struct mf_future *polled = fake_submit(pool, FAKE_ECHO, "polled", SPEC(.lazy = true));
    struct mf_future *waited = fake_submit(pool, FAKE_ECHO, "waited", SPEC(.lazy = true));
    struct mf_future *dep = fake_submit(pool, FAKE_ECHO, "dep", SPEC(.lazy = true));
    struct mf_future *never = fake_submit(pool, FAKE_ECHO, "never", SPEC(.lazy = true));
    struct mf_future *f = after(pool, FAKE_DEPS, 1, &dep, true);
    CHECK(done(owner, fake_plain(pool, FAKE_ECHO, "x"), "x"));
    CHECK(mf_future_state(polled) == MF_FUTURE_CREATED && mf_future_state(dep) == MF_FUTURE_CREATED && fake.runs == 1);
    while (!mf_runtime_poll(owner, polled))
        sched_yield();
    CHECK(done(owner, polled, "polled"));
    CHECK(done(owner, waited, "waited"));
    CHECK(done(owner, f, "dep"));
    CHECK(done(owner, dep, "dep"));
    CHECK(mf_future_state(never) == MF_FUTURE_CREATED && fake.runs == 5);
    CHECK(mf_runtime_close(owner) == 0); /* nobody asked for it */
    CHECK(fake_ended(owner, never, MF_FUTURE_CANCELLED, NULL));
    fake_end(owner);
}

static bool nothing_created(struct mf_owner *owner, struct mf_pool *pool)
{
    pthread_mutex_lock(&owner->lock);
    bool none = mf_list_empty(&pool->created);
    pthread_mutex_unlock(&owner->lock);
    return none;
}

/* Chains of forgotten lazy futures go too. */
static void test_forgotten(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 1);
    struct mf_future *kept = fake_submit(pool, FAKE_ECHO, "kept", SPEC(.lazy = true));
    struct mf_future *a = fake_submit(pool, FAKE_ECHO, "a", SPEC(.lazy = true));
    struct mf_future *b = after(pool, FAKE_DEPS, 1, &a, true);
    mf_future_unref(a);
    mf_future_unref(b);
    atomic_store(&owner->untidy, true); /* as a finalizer says it */
    CHECK(done(owner, fake_plain(pool, FAKE_ECHO, "x"), "x"));
    CHECK(!nothing_created(owner, pool) && done(owner, kept, "kept") && nothing_created(owner, pool));
    CHECK(fake.runs == 2);
    fake_end(owner);
}

/* However long the chain is that has to be begun. */
static void test_long_lazy_chain(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 2);
    struct mf_future *f = fake_submit(pool, FAKE_ECHO, "first", SPEC(.lazy = true));
    for (int i = 0; i < 50000; i++) {
        struct mf_future *next = after(pool, FAKE_DEPS, 1, &f, true);
        mf_future_unref(f);
        f = next;
    }
    CHECK(fake.runs == 0 && done(owner, f, "first") && fake.runs == 50001);
    fake_end(owner);
}

/* f's failing frees the middle of the chain while it is being begun. */
static void test_lazy_chain_fails(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 1);
    struct mf_future *chain[4] = {fake_plain(pool, FAKE_FAIL, "why")};
    CHECK(fake_finish(owner, chain[0]));
    for (int i = 1; i < 4; i++) {
        chain[i] = after(pool, FAKE_DEPS, 1, &chain[i - 1], true);
        mf_future_unref(chain[i - 1]);
    }
    CHECK(failed(owner, chain[3], "why"));
    fake_end(owner);
}

/* --- Setups ----------------------------------------------------------------------------------------------------- */

static void test_setups(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 3);
    CHECK(done(owner, fake_submit(pool, FAKE_WHERE, NULL, SPEC(.worker = 1)), "threads/1:0"));
    for (int i = 0; i < 2; i++)
        CHECK(mf_runtime_setup(pool, fake_blob(FAKE_SETUP), fake_blob("x")) == MF_OK);
    CHECK(done(owner, fake_submit(pool, FAKE_WHERE, NULL, SPEC(.worker = 1)), "threads/1:0")); /* has started before */
    CHECK(done(owner, fake_submit(pool, FAKE_WHERE, NULL, SPEC(.worker = 2)), "threads/2:2"));
    CHECK(done(owner, fake_submit(pool, FAKE_SETUP, NULL, SPEC(.worker = 1, .setup = true)), ""));
    CHECK(done(owner, fake_submit(pool, FAKE_WHERE, NULL, SPEC(.worker = 1)), "threads/1:1"));
    CHECK(mf_runtime_setup(pool, fake_blob(FAKE_SETUP), NULL) == MF_OK);
    CHECK(done(owner, fake_submit(pool, FAKE_WHERE, NULL, SPEC(.worker = 3)), "threads/3:3"));
    CHECK(fake.setups == 6);
    fake_end(owner);
}

/* A worker whose setup failed says so for every task, and retries do not help. */
static void test_failing_setup(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 1);
    mf_runtime_setup(pool, fake_blob(FAKE_SETUP), NULL);
    mf_runtime_setup(pool, fake_blob(FAKE_FAIL), NULL);
    struct mf_future *f = fake_submit(pool, FAKE_ECHO, "x", SPEC(.retries = 2));
    CHECK(fake_finish(owner, f) && f->attempts == 3 && f->failure == MF_FAILURE_LOST);
    CHECK(fake_ended(owner, f, MF_FUTURE_LOST, "worker threads/1 could not be set up: call 2 of everywhere failed"));
    fake_end(owner);
}

/* --- Back-pressure ---------------------------------------------------------------------------------------------- */

static bool wants_room(struct mf_owner *owner)
{
    pthread_mutex_lock(&owner->lock);
    bool wants = owner->wants_room;
    pthread_mutex_unlock(&owner->lock);
    return wants;
}

static atomic_bool had_to_wait;

static void *open_when_full(void *owner)
{
    while (!wants_room(owner))
        sched_yield();
    atomic_store(&had_to_wait, true);
    fake_open_gate();
    return NULL;
}

static void test_back_pressure(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool_options options = {.workers = 1, .grace = 30, .queue_bytes = 10000};
    struct mf_pool *pool = mf_runtime_pool(owner, "threads", &options, NULL);
    struct mf_future *f[200];
    pthread_t thread;
    f[0] = fake_plain(pool, FAKE_BLOCK, "x");
    fake_await(&fake.inside, 1);
    CHECK(pthread_create(&thread, NULL, open_when_full, owner) == 0);
    for (int i = 1; i < 200; i++) {
        f[i] = fake_plain(pool, FAKE_ECHO, "some bytes of arguments");
        pthread_mutex_lock(&owner->lock);
        CHECK(pool->queue.bytes <= 10000 + 1000); /* over it by one future at most */
        pthread_mutex_unlock(&owner->lock);
    }
    pthread_join(thread, NULL);
    CHECK(atomic_load(&had_to_wait) && mf_runtime_wait(owner, f, 200, 200, MF_SYS_NEVER) == MF_OK);
    CHECK(pool->queue.bytes == 0 && !owner->wants_room);
    for (int i = 0; i < 200; i++)
        mf_future_unref(f[i]);
    fake_end(owner);
}

/* An interrupt ends the waiting for room, and nothing was made then. */
static void test_interrupted_submit(void)
{
    atomic_bool wanted = true;
    struct mf_sys_interrupt entry = {.wanted = &wanted};
    struct mf_fault fault;
    struct mf_owner *owner = fake_owner();
    struct mf_pool_options options = {.workers = 1, .grace = 30, .queue_bytes = 1};
    struct mf_pool *pool = mf_runtime_pool(owner, "threads", &options, NULL);
    struct mf_future *running = fake_plain(pool, FAKE_BLOCK, "x"), *queued;
    fake_await(&fake.inside, 1);
    queued = fake_plain(pool, FAKE_ECHO, "x");
    mf_sys_interrupt_push(&entry);
    struct mf_blob *code = fake_blob("e");
    CHECK(mf_runtime_submit(pool, &SPEC(.code = mf_blob_ref(code)), &fault) == NULL && fault.code == MF_EINTR);
    CHECK(atomic_load(&code->refs) == 1);
    mf_sys_interrupt_pop(&entry);
    fake_open_gate();
    CHECK(done(owner, running, ""));
    CHECK(done(owner, queued, "x"));
    mf_blob_unref(code);
    fake_end(owner);
}

/* --- Output and progress ---------------------------------------------------------------------------------------- */

static void test_output(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 1);
    struct mf_future *f = fake_plain(pool, FAKE_PRINT, "hello"), *live, *none;
    double fraction = 0;
    char text[64];
    struct mf_blob *out = output_of(owner, f);
    CHECK(out->len == 9 + 5 + 9 + 4 && out->data[0] == MF_STDOUT && memcmp(out->data + 9, "hello", 5) == 0);
    CHECK(out->data[14] == MF_STDERR && memcmp(out->data + 23, "oops", 4) == 0);
    CHECK(mf_runtime_progress(owner, f, &fraction, text) && fraction == 0.5 && strcmp(text, "half") == 0);
    mf_blob_unref(out);
    live = fake_submit(pool, FAKE_PRINT, "hi", SPEC(.output = MF_OUTPUT_LIVE));
    none = fake_submit(pool, FAKE_PRINT, "hi", SPEC(.output = MF_OUTPUT_DISCARD));
    CHECK(done(owner, none, ""));
    out = output_of(owner, live);
    CHECK(out->len == 0 && strcmp(fake.live, "ctx|threads/1|1|hi\nctx|threads/1|2|oops\n") == 0);
    mf_blob_unref(out);
    mf_future_unref(live);
    mf_future_unref(f);
    fake_end(owner);
}

int main(void)
{
    alarm(20);
    test_priorities();
    test_pinned();
    test_pinned_waits();
    test_seed();
    test_retries();
    test_many_retries();
    test_output_of_retries();
    test_dependencies();
    test_failing_dependencies();
    test_lost_dependency();
    test_long_chain(MF_FUTURE_FAILED);
    test_long_chain(MF_FUTURE_CANCELLED);
    test_lazy();
    test_forgotten();
    test_long_lazy_chain();
    test_lazy_chain_fails();
    test_setups();
    test_failing_setup();
    test_back_pressure();
    test_interrupted_submit();
    test_output();
    return check_report();
}
