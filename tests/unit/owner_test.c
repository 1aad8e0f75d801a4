/* The owner: waiting for some of many, time limits, interruption, the alarm. */
#include "fake.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>

#include "../../runtime/area.h"
#include "../../runtime/owner.h"
#include "../../runtime/pages.h"
#include "../../runtime/sys_mem.h"

static enum mf_err wait_for(struct mf_owner *owner, struct mf_future *const *f, size_t n, size_t need, double seconds)
{
    return mf_runtime_wait(owner, f, n, need, mf_sys_after(seconds));
}

static struct mf_future *blocked(struct mf_pool *pool)
{
    return fake_plain(pool, FAKE_BLOCK, "b");
}

/* Opens the gate as soon as the owner sleeps, or is interrupted as soon as it does. */
static bool owner_sleeps(struct mf_owner *owner)
{
    pthread_mutex_lock(&owner->lock);
    bool sleeping = owner->sleeping;
    pthread_mutex_unlock(&owner->lock);
    return sleeping;
}

static void await_sleep(struct mf_owner *owner)
{
    while (!owner_sleeps(owner))
        sched_yield();
}

/* --- How many --------------------------------------------------------------------------------------------------- */

static void test_some_of_many(struct mf_owner *owner, struct mf_pool *pool)
{
    struct mf_future *f[100];
    for (int i = 0; i < 100; i++)
        f[i] = i % 10 == 3 ? blocked(pool) : fake_plain(pool, FAKE_ECHO, "e");
    CHECK(wait_for(owner, f, 100, 0, INFINITY) == MF_OK);
    CHECK(wait_for(owner, f, 100, 1, INFINITY) == MF_OK);
    CHECK(wait_for(owner, f + 4, 1, 1, INFINITY) == MF_OK && mf_future_final(f[4]));
    fake_open_gate();
    CHECK(wait_for(owner, f, 100, 95, INFINITY) == MF_OK);
    CHECK(wait_for(owner, f, 100, 100, INFINITY) == MF_OK);
    for (int i = 0; i < 100; i++) {
        CHECK(mf_future_state(f[i]) == MF_FUTURE_DONE && !f[i]->watched);
        mf_future_unref(f[i]);
    }
    fake_reset();
}

/* Those that are still blocked do not keep the owner, and are not marked afterwards. */
static void test_first_ones(struct mf_owner *owner, struct mf_pool *pool)
{
    struct mf_future *f[4] = {blocked(pool), fake_plain(pool, FAKE_ECHO, "1"), blocked(pool),
                              fake_plain(pool, FAKE_ECHO, "2")};
    CHECK(wait_for(owner, f, 4, 2, INFINITY) == MF_OK);
    CHECK(mf_future_final(f[1]) && mf_future_final(f[3]) && !mf_future_final(f[0]) && !mf_future_final(f[2]));
    CHECK(!f[0]->watched && !f[2]->watched);
    CHECK(wait_for(owner, f, 4, 3, 0.005) == MF_ETIMEDOUT && !f[0]->watched);
    fake_open_gate();
    CHECK(wait_for(owner, f, 4, 4, INFINITY) == MF_OK);
    for (int i = 0; i < 4; i++)
        mf_future_unref(f[i]);
    fake_reset();
}

static void *open_when_asleep(void *owner)
{
    await_sleep(owner);
    fake_open_gate();
    return NULL;
}

/* A future that is twice in the list counts twice when it is final, and is one thing to wait for until then. */
static void test_duplicates(struct mf_owner *owner, struct mf_pool *pool)
{
    struct mf_future *x = blocked(pool), *never = fake_plain(pool, FAKE_MEET, "\x7f");
    struct mf_future *list[] = {x, x, never, x};
    pthread_t thread;
    fake_await(&fake.inside, 2);
    CHECK(pthread_create(&thread, NULL, open_when_asleep, owner) == 0);
    CHECK(wait_for(owner, list, 3, 2, INFINITY) == MF_OK && mf_future_final(x));
    pthread_join(thread, NULL);
    CHECK(wait_for(owner, list, 4, 3, INFINITY) == MF_OK);
    CHECK(wait_for(owner, list, 4, 4, 0.002) == MF_ETIMEDOUT && !mf_future_final(never));
    CHECK(mf_runtime_cancel(owner, never) && wait_for(owner, list, 4, 4, INFINITY) == MF_OK);
    mf_future_unref(x);
    mf_future_unref(never);
    fake_reset();
}

/* More than there are: all of them. */
static void test_too_many(struct mf_owner *owner, struct mf_pool *pool)
{
    struct mf_future *f = blocked(pool);
    CHECK(wait_for(owner, &f, 1, 5, 0.002) == MF_ETIMEDOUT);
    fake_open_gate();
    CHECK(wait_for(owner, &f, 1, 5, INFINITY) == MF_OK && mf_future_final(f));
    CHECK(wait_for(owner, NULL, 0, 1, INFINITY) == MF_OK);
    mf_future_unref(f);
    fake_reset();
}

/* --- How long --------------------------------------------------------------------------------------------------- */

static void test_deadlines(struct mf_owner *owner, struct mf_pool *pool)
{
    static const double past[] = {0, -1, -INFINITY, NAN, 0.00001, 0.01};
    struct mf_future *f = blocked(pool);
    for (int i = 0; i < 6; i++)
        CHECK(wait_for(owner, &f, 1, 1, past[i]) == MF_ETIMEDOUT && !f->watched);
    CHECK(mf_runtime_wait(owner, &f, 1, 1, 0) == MF_ETIMEDOUT);
    CHECK(!mf_runtime_poll(owner, f));
    fake_open_gate();
    CHECK(wait_for(owner, &f, 1, 1, INFINITY) == MF_OK);
    CHECK(mf_runtime_wait(owner, &f, 1, 1, 0) == MF_OK && mf_runtime_poll(owner, f)); /* final: late does not matter */
    mf_future_unref(f);
    fake_reset();
}

/* --- Interruption ----------------------------------------------------------------------------------------------- */

struct disturber {
    struct mf_owner *owner;
    pthread_t target;
    atomic_bool wanted;
    int sig; /* 0: the runtime's own way */
};

static void *disturb(void *arg)
{
    struct disturber *d = arg;
    await_sleep(d->owner);
    atomic_store(&d->wanted, true);
    if (d->sig)
        pthread_kill(d->target, d->sig);
    else
        mf_sys_interrupt_thread(d->target);
    return NULL;
}

static void on_signal(int sig)
{
    if (sig == SIGINT)
        mf_sys_interrupt_self();
}

/* A wait that another thread disturbs. */
static enum mf_err disturbed_wait(struct disturber *d, struct mf_future *f)
{
    pthread_t thread;
    struct mf_sys_interrupt entry = {.wanted = &d->wanted};
    mf_sys_interrupt_push(&entry);
    CHECK(pthread_create(&thread, NULL, disturb, d) == 0);
    enum mf_err e = mf_runtime_wait(d->owner, &f, 1, 1, MF_SYS_NEVER);
    pthread_join(thread, NULL);
    mf_sys_interrupt_pop(&entry);
    return e;
}

static void test_interrupts(struct mf_owner *owner, struct mf_pool *pool)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct mf_future *f = blocked(pool);
    sigaction(SIGINT, &action, NULL);
    for (int i = 0; i < 20; i++) {
        struct disturber d = {.owner = owner, .target = pthread_self(), .sig = i % 2 ? SIGINT : 0};
        CHECK(disturbed_wait(&d, f) == MF_EINTR && !mf_future_final(f) && !f->watched);
    }
    fake_open_gate();
    CHECK(fake_finish(owner, f)); /* nothing of it is left over */
    mf_future_unref(f);
    fake_reset();
}

/* A signal that is nobody's business ends the sleep, not the wait. */
static void *bother(void *arg)
{
    struct disturber *d = arg;
    for (int i = 0; i < 20; i++) {
        await_sleep(d->owner);
        pthread_kill(d->target, SIGUSR1);
    }
    fake_open_gate();
    return NULL;
}

static void test_other_signals(struct mf_owner *owner, struct mf_pool *pool)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct disturber d = {.owner = owner, .target = pthread_self()};
    struct mf_future *f = blocked(pool);
    pthread_t thread;
    sigaction(SIGUSR1, &action, NULL);
    CHECK(pthread_create(&thread, NULL, bother, &d) == 0);
    CHECK(fake_finish(owner, f) && mf_future_final(f));
    pthread_join(thread, NULL);
    mf_future_unref(f);
    fake_reset();
}

/* The signal may come before the wait begins: then the wait must not begin. */
static void test_interrupt_before(struct mf_owner *owner, struct mf_pool *pool)
{
    atomic_bool wanted = true;
    struct mf_sys_interrupt entry = {.wanted = &wanted};
    struct mf_future *f = blocked(pool);
    mf_sys_interrupt_push(&entry);
    CHECK(mf_runtime_wait(owner, &f, 1, 1, MF_SYS_NEVER) == MF_EINTR);
    atomic_store(&wanted, false);
    fake_open_gate();
    CHECK(mf_runtime_wait(owner, &f, 1, 1, MF_SYS_NEVER) == MF_OK);
    atomic_store(&wanted, true);
    CHECK(mf_runtime_wait(owner, &f, 1, 1, MF_SYS_NEVER) == MF_OK); /* nothing to wait for */
    mf_sys_interrupt_pop(&entry);
    mf_future_unref(f);
    fake_reset();
}

/* --- The alarm -------------------------------------------------------------------------------------------------- */

static int alarms;
static uint64_t next_alarm = MF_SYS_NEVER;

static uint64_t on_alarm(struct mf_owner *owner)
{
    (void)owner;
    uint64_t next = next_alarm;
    next_alarm = MF_SYS_NEVER;
    fake_add(&alarms, 1);
    return next;
}

static void set_alarm(struct mf_owner *owner, uint64_t moment, uint64_t next)
{
    pthread_mutex_lock(&owner->lock);
    next_alarm = next;
    mf_owner_alarm(owner, moment);
    pthread_mutex_unlock(&owner->lock);
}

static void test_alarm(void)
{
    static const struct mf_runner none;
    struct mf_owner *owner = mf_owner_new(&none, NULL, on_alarm, NULL);
    if (!CHECK(owner != NULL))
        return;
    mf_owner_alarm_stop(owner); /* there is none */
    owner->closing = false;
    set_alarm(owner, mf_sys_after(1000), MF_SYS_NEVER);
    set_alarm(owner, mf_sys_after(900), MF_SYS_NEVER); /* nothing is due yet */
    CHECK(fake_get(&alarms) == 0);
    set_alarm(owner, mf_sys_now(), MF_SYS_NEVER);
    fake_await(&alarms, 1);
    set_alarm(owner, mf_sys_after(0.001), mf_sys_after(0.002)); /* what on_alarm returns is kept too */
    fake_await(&alarms, 3);
    set_alarm(owner, mf_sys_after(1000), MF_SYS_NEVER);
    mf_owner_alarm_stop(owner);
    mf_owner_alarm_stop(owner);
    CHECK(alarms == 3);
    mf_owner_ref(owner);
    mf_owner_unref(owner);
    mf_owner_unref(owner);
}

/* --- Memory that is kept ----------------------------------------------------------------------------------------- */

static bool mapped(void *block)
{
    return msync(block, mf_sys_page(), MS_ASYNC) == 0;
}

/* An owner with pages and areas; a large body passes, and a block of pages is let go of. */
static struct mf_owner *warm_owner(uint64_t warm, void **block)
{
    static const struct mf_runner none;
    struct mf_owner *owner = mf_owner_new(&none, NULL, on_alarm, NULL);
    struct mf_pages *pages = mf_pages_new();
    if (!CHECK(owner && pages))
        exit(check_report());
    mf_owner_use(owner, NULL);
    mf_owner_use(owner, pages);
    mf_pages_unref(pages);
    mf_owner_share(owner);
    mf_owner_share(owner);
    CHECK(owner->pages == pages && owner->areas);
    owner->warm = warm;
    pthread_mutex_lock(&owner->lock);
    mf_owner_warm(owner);
    pthread_mutex_unlock(&owner->lock);
    *block = mf_pages_get(pages, MF_PAGES_LEAST);
    mf_pages_put(pages, *block, MF_PAGES_LEAST);
    return owner;
}

static void test_warm(void)
{
    void *block;
    struct mf_owner *owner = warm_owner(mf_sys_span(1000), &block);
    CHECK(mapped(block));
    mf_owner_alarm_stop(owner);
    mf_owner_unref(owner);
    CHECK(!mapped(block));
}

/* Is an area kept that nobody uses? */
static bool keeps_area(struct mf_owner *owner)
{
    size_t room;
    unsigned char *storage = mf_area_storage(owner->areas, 1, &room);
    if (storage)
        mf_area_return(storage);
    return storage != NULL;
}

/* Lends an area over both ends of a link. */
static struct mf_blob *pass_body(struct mf_area_end *out, struct mf_area_end *in)
{
    static const struct mf_area_part nothing, body = {(const unsigned char *)"body", 4};
    int fd;
    CHECK(!mf_area_show_board(out, &fd) && mf_area_take_board(in, mf_area_board_bytes(), fd, NULL) == MF_OK);
    int number = mf_area_put(out, &body, 1, body.n, &fd);
    return mf_area_take(in, (uint64_t)number, body.n, &nothing, fd, NULL);
}

/* When nothing large has passed for a while, all is given back, and what is in use then a while after it is free. */
static void test_cooling(void)
{
    void *block;
    struct mf_area_end out = {0}, in = {0};
    struct mf_owner *owner = warm_owner(1000000, &block);
    mf_area_open(&out, owner->areas);
    mf_area_open(&in, owner->areas);
    struct mf_blob *blob = pass_body(&out, &in);
    pthread_mutex_lock(&owner->lock);
    mf_owner_warm(owner);
    pthread_mutex_unlock(&owner->lock);
    while (mapped(block))
        sched_yield();
    CHECK(blob && blob->len == 4 && memcmp(blob->data, "body", 4) == 0);
    mf_blob_unref(blob);
    while (keeps_area(owner))
        sched_yield();
    mf_area_close(&out);
    mf_area_close(&in);
    mf_owner_alarm_stop(owner);
    pthread_mutex_lock(&owner->lock);
    mf_owner_warm(owner); /* too late: no alarm will run any more */
    pthread_mutex_unlock(&owner->lock);
    CHECK(!owner->alarm_runs);
    mf_owner_unref(owner);
}

/* The descriptor tells of futures that have been resolved, before it was asked for and later, until that is read. */
static void test_notes(struct mf_owner *owner, struct mf_pool *pool)
{
    struct pollfd fd = {.events = POLLIN};
    fd.fd = mf_owner_notes(owner);
    CHECK(fd.fd >= 0 && mf_owner_notes(owner) == fd.fd);
    CHECK(poll(&fd, 1, 0) == 1);
    mf_owner_read_notes(owner);
    CHECK(poll(&fd, 1, 0) == 0);
    struct mf_future *f = fake_plain(pool, FAKE_ECHO, "x");
    CHECK(poll(&fd, 1, 30000) == 1 && mf_runtime_poll(owner, f));
    mf_owner_read_notes(owner);
    CHECK(poll(&fd, 1, 0) == 0);
    mf_future_unref(f);
}

static int dropped;

static void count_dropped(const struct mf_runner *runner)
{
    dropped += runner->host == &dropped;
}

static void test_dropped(void)
{
    const struct mf_runner runner = {.host = &dropped, .dropped = count_dropped};
    struct mf_owner *owner = mf_owner_new(&runner, NULL, on_alarm, NULL);
    if (!CHECK(owner != NULL))
        return;
    mf_owner_ref(owner);
    mf_owner_unref(owner);
    CHECK(dropped == 0);
    mf_owner_unref(owner);
    CHECK(dropped == 1);
}

int main(void)
{
    alarm(60);
    struct mf_owner *owner = fake_owner();
    struct mf_pool *pool = fake_pool(owner, "threads", 12);
    test_some_of_many(owner, pool);
    test_first_ones(owner, pool);
    test_duplicates(owner, pool);
    test_too_many(owner, pool);
    test_deadlines(owner, pool);
    test_interrupts(owner, pool);
    test_other_signals(owner, pool);
    test_interrupt_before(owner, pool);
    test_alarm();
    test_warm();
    test_cooling();
    test_notes(owner, pool);
    test_dropped();
    mf_runtime_close(owner);
    mf_owner_unref(owner);
    return check_report();
}
