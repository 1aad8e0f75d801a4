/* The runtime as a whole: opening and closing it, two of them, one inside a task of the other. */
#include "fake.h"

#include "../../runtime/backend.h"
#include "../../runtime/log.h"

#define SPEC(...) ((struct mf_future_spec){__VA_ARGS__})

static void test_unknown_backend(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool_options options = {.workers = 1};
    struct mf_fault fault;
    CHECK(mf_runtime_pool(owner, "treads", &options, &fault) == NULL && fault.code == MF_EINVAL);
    CHECK(strstr(fault.text, "there is no plan 'treads'"));
    for (int i = 0; mf_backend_name(i); i++)
        CHECK(strstr(fault.text, mf_backend_name(i)) && mf_backend_find(mf_backend_name(i)));
    CHECK(mf_backend_name(-1) == NULL && mf_backend_name(1000) == NULL && mf_backend_find("") == NULL);
    CHECK(mf_runtime_pool(owner, "", &options, NULL) == NULL);
    options.workers = 0;
    CHECK(mf_runtime_pool(owner, "threads", &options, &fault) == NULL && strstr(fault.text, "workers must be"));
    fake_end(owner);
}

/* Counted: what runs, is queued, or waits for another one. Not counted: what is final, or lazy and not asked for. */
static void test_close_counts(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 1), *other = fake_pool(owner, "threads", 1);
    struct mf_future *f[6] = {fake_plain(pool, FAKE_ECHO, "x")};
    CHECK(fake_finish(owner, f[0]));
    f[1] = fake_plain(pool, FAKE_BLOCK, NULL);
    fake_await(&fake.inside, 1);
    f[2] = fake_plain(pool, FAKE_ECHO, "x");
    f[3] = fake_submit(other, FAKE_DEPS, NULL, SPEC(.deps = &f[2], .ndeps = 1));
    f[4] = fake_submit(pool, FAKE_ECHO, "x", SPEC(.lazy = true));
    f[5] = fake_submit(other, FAKE_BLOCK, NULL, SPEC(.worker = 1));
    fake_await(&fake.inside, 2);
    CHECK(mf_runtime_close(owner) == 4);
    CHECK(mf_runtime_close(owner) == 0 && mf_runtime_close(owner) == 0);
    CHECK(mf_future_state(f[0]) == MF_FUTURE_DONE);
    for (int i = 1; i < 6; i++)
        CHECK(mf_future_state(f[i]) == MF_FUTURE_CANCELLED);
    for (int i = 0; i < 6; i++)
        mf_future_unref(f[i]);
    fake_end(owner);
}

static void test_calls_after_close(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 1);
    struct mf_future *f[2] = {fake_plain(pool, FAKE_BLOCK, NULL), fake_plain(pool, FAKE_ECHO, "x")};
    struct mf_pool_options options = {.workers = 1};
    struct mf_fault fault;
    struct mf_buf out = {0};
    fake_await(&fake.inside, 1);
    mf_runtime_close_pool(pool);
    CHECK(mf_runtime_submit(pool, &SPEC(.code = fake_blob("e")), &fault) == NULL && fault.code == MF_ECLOSED);
    CHECK(mf_runtime_close(owner) == 0);
    CHECK(mf_runtime_wait(owner, f, 2, 2, MF_SYS_NEVER) == MF_OK && mf_runtime_wait(owner, f, 2, 1, 0) == MF_OK);
    CHECK(mf_runtime_poll(owner, f[0]) && !mf_runtime_cancel(owner, f[1]));
    CHECK(mf_runtime_output(owner, f[0], &out) && out.len == 0);
    CHECK(mf_runtime_pool(owner, "threads", &options, &fault) == NULL && fault.code == MF_ECLOSED);
    mf_future_unref(f[0]);
    mf_future_unref(f[1]);
    fake_end(owner);
}

/* A pool whose handle has gone lives by its workers alone, and they end during the close. */
static void test_close_released(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 2);
    struct mf_future *f = fake_plain(pool, FAKE_BLOCK, NULL);
    fake_await(&fake.inside, 1);
    mf_runtime_release(pool);
    CHECK(mf_runtime_close(owner) == 1);
    CHECK(fake_ended(owner, f, MF_FUTURE_CANCELLED, NULL));
    fake_end(owner);
}

/* What another thread resolves while the handle is dropped is freed by whoever comes last. */
static void test_dropped_handles(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 2);
    for (int i = 0; i < 2000; i++)
        mf_future_unref(fake_plain(pool, FAKE_ECHO, "x"));
    struct mf_future *last = fake_plain(pool, FAKE_ECHO, "x");
    CHECK(fake_finish(owner, last));
    mf_future_unref(last);
    fake_await(&fake.runs, 2001);
    fake_end(owner);
}

static void test_side_by_side(void)
{
    struct mf_owner *owner[2] = {fake_owner(), fake_owner()};
    struct mf_pool *pool[2] = {fake_pool(owner[0], "threads", 2), fake_pool(owner[1], "threads", 2)};
    struct mf_future *f[2][50];
    for (int i = 0; i < 50; i++)
        for (int k = 0; k < 2; k++)
            f[k][i] = fake_plain(pool[k], i ? FAKE_ECHO : FAKE_BLOCK, "x");
    CHECK(f[0][49]->id == f[1][49]->id);
    fake_await(&fake.inside, 2);
    CHECK(mf_runtime_wait(owner[1], f[1] + 1, 49, 49, MF_SYS_NEVER) == MF_OK);
    CHECK(mf_runtime_close(owner[0]) >= 1); /* the other one goes on */
    CHECK(mf_future_state(f[0][0]) == MF_FUTURE_CANCELLED && !mf_future_final(f[1][0]));
    fake_open_gate();
    CHECK(mf_runtime_wait(owner[1], f[1], 50, 50, MF_SYS_NEVER) == MF_OK);
    for (int i = 0; i < 50; i++)
        for (int k = 0; k < 2; k++)
            mf_future_unref(f[k][i]);
    mf_runtime_close(owner[0]);
    mf_owner_unref(owner[0]);
    fake_end(owner[1]);
}

/* A task that is an owner of its own; told to stop, its wait ends with MF_EINTR. */
static enum mf_err nested_end;
static int nested_begun;

static void wait_inside(void)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 1);
    struct mf_future *f = fake_plain(pool, FAKE_BLOCK, NULL);
    fake_add(&nested_begun, 1);
    nested_end = mf_runtime_wait(owner, &f, 1, 1, MF_SYS_NEVER);
    mf_future_unref(f);
    mf_runtime_close(owner);
    mf_owner_unref(owner);
}

static void test_nested(bool cancel)
{
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 1);
    nested_begun = 0;
    fake.hook = wait_inside;
    struct mf_future *f = fake_plain(pool, FAKE_HOOK, NULL);
    fake_await(&nested_begun, 1);
    if (cancel)
        CHECK(mf_runtime_cancel(owner, f));
    else
        fake_open_gate();
    CHECK(fake_ended(owner, f, cancel ? MF_FUTURE_CANCELLED : MF_FUTURE_DONE, cancel ? NULL : ""));
    fake_await(&fake.closed, 1);
    mf_runtime_close(owner);
    CHECK(nested_end == (cancel ? MF_EINTR : MF_OK));
    fake_end(owner);
}

/* The tracing twins do what the backends do. */
static void test_traced(void)
{
    static const char *const names[] = {"sequential", "threads"};
    CHECK(mf_log_configure("all:/dev/null", NULL) == MF_OK);
    for (int i = 0; i < 2; i++) {
        struct mf_owner *owner = fake_owner();
        struct mf_pool *pool = fake_pool(owner, names[i], 1);
        CHECK(pool->backend != &mf_backend_sequential && pool->backend != &mf_backend_threads);
        CHECK(strcmp(pool->backend->name, names[i]) == 0 && pool->backend->asynchronous == (i == 1));
        CHECK(fake_ended(owner, fake_plain(pool, FAKE_ECHO, "x"), MF_FUTURE_DONE, "x"));
        struct mf_future *f = fake_submit(pool, FAKE_BLOCK, NULL, SPEC(.timeout = 0.002));
        CHECK(fake_ended(owner, f, MF_FUTURE_FAILED, "no result within 0.002 s"));
        mf_runtime_retire(pool);
        fake_end(owner);
    }
    atomic_store(&mf_log_areas, 0);
}

int main(void)
{
    alarm(60);
    test_unknown_backend();
    test_close_counts();
    test_calls_after_close();
    test_close_released();
    test_dropped_handles();
    test_side_by_side();
    test_nested(false);
    test_nested(true);
    test_traced();
    return check_report();
}
