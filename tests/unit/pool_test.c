/* Pools and workers as records: options, slots, pinned futures, states; with a backend that does nothing. */
#include "fake.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>

#include "../../runtime/pool.h"

static int joined;

static enum mf_err no_feed(struct mf_pool *pool, struct mf_fault *fault)
{
    (void)pool, (void)fault;
    return MF_OK;
}

static void no_leave(struct mf_pool *pool)
{
    (void)pool;
}

static void count_join(struct mf_worker *worker)
{
    (void)worker;
    joined++;
}

static const struct mf_backend still = {.name = "still", .feed = no_feed, .leave = no_leave, .join = count_join};

static struct mf_pool *pool_of(struct mf_owner *owner, struct mf_pool_options options)
{
    struct mf_pool *pool = mf_pool_new(owner, &still, &options, NULL);
    if (pool)
        mf_list_insert(&owner->pools, &pool->link);
    return pool;
}

static void test_workers_option(struct mf_owner *owner)
{
    static const int wrong[] = {0, -1, INT32_MIN, MF_POOL_WORKERS_MAX + 1, INT32_MAX};
    struct mf_blob *init = fake_blob("init");
    for (int i = 0; i < 5; i++) {
        struct mf_fault fault = {0};
        struct mf_pool_options options = {.workers = wrong[i], .init = init};
        CHECK(mf_pool_new(owner, &still, &options, &fault) == NULL && fault.code == MF_EINVAL);
        CHECK(strstr(fault.text, "workers must be from 1 to 4096, not "));
        CHECK(mf_pool_new(owner, &still, &options, NULL) == NULL);
    }
    CHECK(atomic_load(&init->refs) == 1); /* not taken over by a failure */
    struct mf_pool *pool = pool_of(owner, (struct mf_pool_options){.workers = MF_POOL_WORKERS_MAX, .init = init});
    CHECK(pool && pool->size == MF_POOL_WORKERS_MAX && pool->alive == 0 && pool->init == init);
    mf_blob_ref(init);
    mf_pool_unref(pool);
    CHECK(atomic_load(&init->refs) == 1 && mf_list_empty(&owner->pools));
    mf_blob_unref(init);
}

static uint64_t grace_of(struct mf_owner *owner, double seconds)
{
    struct mf_pool *pool = pool_of(owner, (struct mf_pool_options){.workers = 1, .grace = seconds});
    uint64_t grace = pool->grace;
    CHECK(mf_sys_now() + 2 * grace >= grace); /* no overflow */
    mf_pool_unref(pool);
    return grace;
}

static void test_other_options(struct mf_owner *owner)
{
    CHECK(grace_of(owner, -1) == MF_POOL_GRACE && grace_of(owner, 2) == 2000000000u);
    CHECK(grace_of(owner, 0) == 0 && grace_of(owner, NAN) == 0);
    CHECK(grace_of(owner, INFINITY) > UINT64_C(1000000000) * 86400 * 365);
    struct mf_pool *pool = pool_of(owner, (struct mf_pool_options){.workers = 2});
    CHECK(pool->queue_bytes == MF_POOL_QUEUE_BYTES && pool->handle && !pool->retired && !pool->closing);
    mf_pool_unref(pool);
    pool = pool_of(owner, (struct mf_pool_options){.workers = 2, .queue_bytes = 99});
    CHECK(pool->queue_bytes == 99);
    mf_pool_unref(pool);
}

static void test_slots(struct mf_owner *owner)
{
    struct mf_pool *pool = pool_of(owner, (struct mf_pool_options){.workers = 3});
    struct mf_worker *second = mf_pool_add_worker(pool, 2), *first = mf_pool_add_worker(pool, 1);
    CHECK(pool->alive == 2 && pool->workers[1] == second && pool->workers[0] == first && !pool->workers[2]);
    CHECK(strcmp(second->name, "still/2") == 0 && second->index == 2 && second->state == MF_WORKER_STARTING);
    CHECK(second->deadline == MF_SYS_NEVER && !second->running && second->broken[0] == '\0');
    mf_pool_drop_worker(second);
    CHECK(pool->alive == 1 && !pool->workers[1]);
    struct mf_worker *again = mf_pool_add_worker(pool, 2); /* the slot is free while the old record still lives */
    CHECK(pool->workers[1] == again && pool->alive == 2);
    mf_pool_free_worker(second);
    mf_pool_drop_worker(again);
    mf_list_insert(&pool->leavers, &again->link);
    mf_pool_drop_worker(first);
    mf_list_insert(&pool->leavers, &first->link);
    joined = 0;
    pthread_mutex_lock(&owner->lock);
    mf_pool_join_leavers(pool);
    CHECK(joined == 2 && mf_list_empty(&pool->leavers) && pool->refs == 1);
    mf_pool_unref(pool);
    pthread_mutex_unlock(&owner->lock);
}

/* A worker's reference keeps the pool when the handle has gone. */
static void test_last_reference(struct mf_owner *owner)
{
    struct mf_pool *pool = pool_of(owner, (struct mf_pool_options){.workers = 1});
    struct mf_worker *w = mf_pool_add_worker(pool, 1);
    mf_pool_ref(pool);
    mf_pool_unref(pool);
    mf_pool_unref(pool);
    CHECK(!mf_list_empty(&owner->pools) && pool->refs == 1);
    mf_pool_drop_worker(w);
    mf_pool_free_worker(w);
    CHECK(mf_list_empty(&owner->pools));
}

static struct mf_future *pinned_to(struct mf_pool *pool, int worker)
{
    struct mf_future *f = mf_future_new();
    mf_future_extra_get(f)->worker = worker;
    mf_list_insert(&pool->queue.homeless, &f->link);
    return f;
}

static void test_pinned_futures_move(struct mf_owner *owner)
{
    struct mf_pool *pool = pool_of(owner, (struct mf_pool_options){.workers = 2});
    struct mf_future *a = pinned_to(pool, 1), *b = pinned_to(pool, 2), *c = pinned_to(pool, 1);
    struct mf_worker *w = mf_pool_add_worker(pool, 1);
    CHECK(w->pinned.next == &a->link && w->pinned.prev == &c->link);
    CHECK(pool->queue.homeless.next == &b->link && pool->queue.homeless.prev == &b->link);
    mf_pool_drop_worker(w);
    CHECK(mf_list_empty(&w->pinned) && pool->queue.homeless.prev == &c->link);
    mf_pool_free_worker(w);
    w = mf_pool_add_worker(pool, 1); /* the next one in the slot takes them over, in order */
    CHECK(w->pinned.next == &a->link && a->link.next == &c->link);
    mf_pool_drop_worker(w);
    mf_pool_free_worker(w);
    for (struct mf_future *f = a; f; f = f == a ? b : f == b ? c : NULL)
        mf_list_remove(&f->link);
    mf_future_unref(a);
    mf_future_unref(b);
    mf_future_unref(c);
    mf_pool_unref(pool);
}

/* --- States ----------------------------------------------------------------------------------------------------- */

static const char *const legal[] = {".I..D", "..BS.", ".I...", "....D", "....."}; /* rows: from, columns: to */

static void move(struct mf_worker *w, int state, int from, int to)
{
    w->state = (enum mf_worker_state)state;
    mf_worker_move(w, (enum mf_worker_state)from, (enum mf_worker_state)to);
}

static bool aborts(struct mf_worker *w, int state, int from, int to)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(2);
        move(w, state, from, to);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_moves(struct mf_owner *owner)
{
    struct mf_pool *pool = pool_of(owner, (struct mf_pool_options){.workers = 1});
    struct mf_worker *w = mf_pool_add_worker(pool, 1);
    for (int from = MF_WORKER_STARTING; from <= MF_WORKER_DEAD; from++) {
        for (int to = MF_WORKER_STARTING; to <= MF_WORKER_DEAD; to++) {
            if (legal[from][to] == '.') {
                CHECK(aborts(w, from, from, to));
                continue;
            }
            move(w, from, from, to);
            CHECK((int)w->state == to);
        }
    }
    CHECK(aborts(w, MF_WORKER_BUSY, MF_WORKER_STARTING, MF_WORKER_IDLE));
    mf_pool_drop_worker(w);
    mf_pool_free_worker(w);
    mf_pool_unref(pool);
}

/* --- The port --------------------------------------------------------------------------------------------------- */

static void test_port(struct mf_owner *owner)
{
    struct mf_pool *pool = pool_of(owner, (struct mf_pool_options){.workers = 1});
    struct mf_worker *w = mf_pool_add_worker(pool, 1);
    struct mf_future *f = mf_future_new();
    char text[64], text_long[200];
    double fraction = 9;
    memset(text_long, 'x', sizeof text_long - 1);
    text_long[sizeof text_long - 1] = '\0';
    w->port.emit(&w->port, MF_STDOUT, "nobody", 6); /* nobody wants this task's output any more */
    w->port.progress(&w->port, 0.1, "nobody");
    w->running = f;
    CHECK(!mf_runtime_progress(owner, f, &fraction, text) && fraction == 9);
    w->port.progress(&w->port, 0.25, NULL);
    CHECK(mf_runtime_progress(owner, f, &fraction, text) && fraction == 0.25 && text[0] == '\0');
    w->port.progress(&w->port, 1, text_long);
    CHECK(mf_runtime_progress(owner, f, &fraction, text) && fraction == 1 && strlen(text) == 63);
    w->port.emit(&w->port, MF_STDOUT, "kept", 4);
    CHECK(f->extra->output.len == 13);
    f->output = MF_OUTPUT_DISCARD;
    w->port.emit(&w->port, MF_STDOUT, "dropped", 7);
    CHECK(f->extra->output.len == 13);
    f->output = MF_OUTPUT_LIVE;
    w->port.emit(&w->port, MF_STDERR, "at once", 7);
    CHECK(f->extra->output.len == 13 && strcmp(fake.live, "ctx|still/1|2|at once\n") == 0);
    mf_future_unref(f);
    mf_pool_drop_worker(w);
    mf_pool_free_worker(w);
    mf_pool_unref(pool);
}

int main(void)
{
    alarm(60);
    struct mf_owner *owner = fake_owner();
    test_workers_option(owner);
    test_other_options(owner);
    test_slots(owner);
    test_last_reference(owner);
    test_pinned_futures_move(owner);
    test_moves(owner);
    test_port(owner);
    fake_end(owner);
    return check_report();
}
