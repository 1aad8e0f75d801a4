/* The event loop: readiness, wake-ups, deadlines, watches that change under it, two threads that turn. */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../runtime/loop.h"
#include "../../runtime/sys.h"
#include "../../runtime/sys_fd.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* One end of a socketpair, watched; what has come is kept. */
struct end {
    struct mf_loop_watch watch;
    struct mf_loop *loop;
    int other;
    unsigned events; /* all that have come */
    int calls;
    struct end *victim; /* removed by the callback */
};

static void ready(struct mf_loop_watch *watch, unsigned events)
{
    struct end *e = (struct end *)(void *)watch;
    e->events |= events;
    e->calls++;
    if (e->victim)
        mf_loop_remove(e->loop, &e->victim->watch);
}

static void open_end(struct end *e, struct mf_loop *loop, unsigned events)
{
    int fd[2];
    *e = (struct end){.loop = loop};
    CHECK(mf_sys_socketpair(fd));
    e->watch = (struct mf_loop_watch){.fd = fd[0], .events = events, .ready = ready};
    e->other = fd[1];
    CHECK(mf_loop_add(loop, &e->watch) == MF_OK);
}

static void close_end(struct end *e)
{
    mf_loop_remove(e->loop, &e->watch);
    mf_loop_remove(e->loop, &e->watch); /* harmless */
    close(e->watch.fd);
    if (e->other >= 0)
        close(e->other);
}

static void say(const struct end *e)
{
    CHECK(write(e->other, "x", 1) == 1);
}

static struct mf_loop *open_loop(void)
{
    struct mf_fault fault;
    pthread_mutex_lock(&lock);
    struct mf_loop *loop = mf_loop_new(&lock, &fault);
    CHECK(loop && mf_loop_empty(loop) && !mf_loop_turning(loop));
    return loop;
}

static void close_loop(struct mf_loop *loop)
{
    CHECK(mf_loop_empty(loop));
    mf_loop_free(loop);
    pthread_mutex_unlock(&lock);
}

static void test_events(void)
{
    struct mf_loop *loop = open_loop();
    struct end a, b;
    open_end(&a, loop, MF_LOOP_READ);
    open_end(&b, loop, 0);
    CHECK(!mf_loop_empty(loop));
    CHECK(mf_loop_turn(loop, 0, 0) == MF_ETIMEDOUT);
    say(&a);
    say(&b);
    CHECK(mf_loop_turn(loop, MF_SYS_NEVER, 0) == MF_OK && a.events == MF_LOOP_READ && b.calls == 0);
    mf_loop_change(loop, &b.watch, MF_LOOP_READ | MF_LOOP_WRITE);
    mf_loop_change(loop, &a.watch, 0);
    CHECK(mf_loop_turn(loop, MF_SYS_NEVER, 1000) == MF_OK && a.calls == 1);
    CHECK(b.events == (MF_LOOP_READ | MF_LOOP_WRITE));
    close(a.other);
    a.other = -1;
    a.events = 0;
    mf_loop_remove(loop, &b.watch);
    CHECK(mf_loop_turn(loop, MF_SYS_NEVER, 0) == MF_OK && a.events == MF_LOOP_HANGUP && b.calls == 1);
    close_end(&a);
    close_end(&b);
    close_loop(loop);
}

/* One that has something in hand is called at each turn, without waiting, and nobody else is kept from his. */
static void test_again(void)
{
    struct mf_loop *loop = open_loop();
    struct end a, b;
    open_end(&a, loop, MF_LOOP_AGAIN);
    open_end(&b, loop, MF_LOOP_READ);
    CHECK(mf_loop_turn(loop, MF_SYS_NEVER, 1000) == MF_OK && a.events == MF_LOOP_READ && a.calls == 1 && b.calls == 0);
    say(&b);
    CHECK(mf_loop_turn(loop, MF_SYS_NEVER, 0) == MF_OK && a.calls == 2 && b.calls == 1);
    mf_loop_change(loop, &a.watch, 0);
    mf_loop_change(loop, &b.watch, 0);
    CHECK(mf_loop_turn(loop, 0, 0) == MF_ETIMEDOUT && a.calls == 2);
    mf_loop_change(loop, &a.watch, MF_LOOP_READ | MF_LOOP_AGAIN);
    CHECK(mf_loop_turn(loop, MF_SYS_NEVER, 0) == MF_OK && a.calls == 3);
    close_end(&a);
    CHECK(mf_loop_turn(loop, 0, 0) == MF_ETIMEDOUT && a.calls == 3);
    close_end(&b);
    close_loop(loop);
}

static void test_many(void)
{
    enum { MANY = 40 };
    static struct end ends[MANY];
    struct mf_loop *loop = open_loop();
    for (int i = 0; i < MANY; i++)
        open_end(&ends[i], loop, MF_LOOP_READ);
    for (int i = 0; i < MANY; i += 2)
        say(&ends[i]);
    CHECK(mf_loop_turn(loop, MF_SYS_NEVER, 0) == MF_OK);
    for (int i = 0; i < MANY; i++)
        CHECK(ends[i].calls == (i % 2 == 0));
    for (int i = 0; i < MANY; i++)
        close_end(&ends[i]);
    close_loop(loop);
}

/* Both are ready, but the first that is called removes the other. */
static void test_remove_in_callback(void)
{
    struct mf_loop *loop = open_loop();
    struct end a, b;
    open_end(&a, loop, MF_LOOP_READ);
    open_end(&b, loop, MF_LOOP_READ);
    a.victim = &b;
    b.victim = &a;
    say(&a);
    say(&b);
    CHECK(mf_loop_turn(loop, MF_SYS_NEVER, 0) == MF_OK);
    CHECK(a.calls + b.calls == 1);
    close_end(&a);
    close_end(&b);
    close_loop(loop);
}

static void test_time(void)
{
    struct mf_loop *loop = open_loop();
    uint64_t start = mf_sys_now(), deadline = start + 5000000;
    CHECK(mf_loop_turn(loop, deadline, 0) == MF_ETIMEDOUT && mf_sys_now() >= deadline);
    deadline = mf_sys_now() + 5000000;
    CHECK(mf_loop_turn(loop, deadline, 1000000000) == MF_ETIMEDOUT && mf_sys_now() >= deadline);
    mf_loop_wake(loop);
    mf_loop_wake(loop);
    CHECK(mf_loop_turn(loop, MF_SYS_NEVER, 0) == MF_OK);
    CHECK(mf_loop_turn(loop, 0, 0) == MF_ETIMEDOUT); /* one turn was woken, not two */
    close_loop(loop);
}

static uint64_t used_time(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Where much is on its way, the wait takes no processor's time, whatever spinning is asked for. */
static void test_bulk(void)
{
    struct mf_loop *loop = open_loop();
    struct end a;
    open_end(&a, loop, MF_LOOP_READ | MF_LOOP_BULK);
    uint64_t before = used_time();
    CHECK(mf_loop_turn(loop, mf_sys_now() + 200000000, 1000000000) == MF_ETIMEDOUT && used_time() - before < 50000000);
    say(&a);
    CHECK(mf_loop_turn(loop, MF_SYS_NEVER, 1000000000) == MF_OK && a.events == MF_LOOP_READ);
    mf_loop_change(loop, &a.watch, MF_LOOP_READ);
    mf_loop_change(loop, &a.watch, MF_LOOP_READ | MF_LOOP_BULK);
    close_end(&a);
    close_loop(loop);
}

static struct mf_loop *volatile signalled;

static void on_alarm(int signal)
{
    (void)signal;
    if (signalled)
        mf_loop_wake(signalled);
}

static void test_signals(void)
{
    struct mf_loop *loop = open_loop();
    struct sigaction action = {.sa_handler = on_alarm}, old;
    struct itimerval timer = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &action, &old);
    setitimer(ITIMER_REAL, &timer, NULL);
    CHECK(mf_loop_turn(loop, MF_SYS_NEVER, 0) == MF_EINTR);
    CHECK(mf_loop_turn(loop, MF_SYS_NEVER, 1000000000) == MF_EINTR);
    signalled = loop;
    for (int i = 0; i < 20; i++) {
        enum mf_err e = mf_loop_turn(loop, MF_SYS_NEVER, 0);
        CHECK(e == MF_EINTR || e == MF_OK);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old, NULL);
    signalled = NULL;
    close_loop(loop);
}

/* --- Two threads ------------------------------------------------------------------------------------------------ */

struct turner {
    struct mf_loop *loop;
    enum mf_err result;
    bool done;
};

static void *turn_for_ever(void *arg)
{
    struct turner *t = arg;
    pthread_mutex_lock(&lock);
    t->result = mf_loop_turn(t->loop, MF_SYS_NEVER, 0);
    t->done = true;
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Starts a thread that turns, and waits until it does. */
static pthread_t start_turner(struct turner *t, struct mf_loop *loop)
{
    pthread_t thread;
    *t = (struct turner){.loop = loop};
    CHECK(pthread_create(&thread, NULL, turn_for_ever, t) == 0);
    while (!mf_loop_turning(loop)) {
        pthread_mutex_unlock(&lock);
        sched_yield();
        pthread_mutex_lock(&lock);
    }
    return thread;
}

static void join_turner(pthread_t thread, const struct turner *t)
{
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    pthread_mutex_lock(&lock);
    CHECK(t->done && t->result == MF_OK);
}

static void test_add_while_turning(void)
{
    struct mf_loop *loop = open_loop();
    static struct end ends[20];
    struct turner t;
    pthread_t thread = start_turner(&t, loop);
    for (int i = 0; i < 20; i++)
        open_end(&ends[i], loop, 0);
    for (int i = 0; i < 19; i++)
        close_end(&ends[i]);
    mf_loop_change(loop, &ends[19].watch, MF_LOOP_READ);
    say(&ends[19]);
    join_turner(thread, &t);
    CHECK(ends[19].calls == 1);
    close_end(&ends[19]);
    close_loop(loop);
}

static void test_wake_other(void)
{
    struct mf_loop *loop = open_loop();
    struct turner t;
    pthread_t thread = start_turner(&t, loop);
    mf_loop_wake(loop);
    join_turner(thread, &t);
    close_loop(loop);
}

static void test_take_over(void)
{
    struct mf_loop *loop = open_loop();
    struct turner t;
    struct end a;
    open_end(&a, loop, MF_LOOP_READ);
    pthread_t thread = start_turner(&t, loop);
    CHECK(mf_loop_turn(loop, MF_SYS_NEVER, 0) == MF_OK); /* the other one gave way; it may have done all there was */
    CHECK(t.done || !mf_loop_turning(loop));
    join_turner(thread, &t);
    CHECK(a.calls == 0);
    CHECK(mf_loop_turn(loop, mf_sys_now() + 1000000, 0) == MF_ETIMEDOUT);
    close_end(&a);
    close_loop(loop);
}

struct traffic {
    struct mf_loop *loop;
    struct end *end;
    int turns;
    bool stop;
};

static void consume(struct mf_loop_watch *watch, unsigned events)
{
    struct end *e = (struct end *)(void *)watch;
    char bytes[64];
    ssize_t n = events & MF_LOOP_READ ? recv(watch->fd, bytes, sizeof bytes, MSG_DONTWAIT) : 0;
    e->calls += n > 0 ? (int)n : 0;
}

static void *keep_turning(void *arg)
{
    struct traffic *t = arg;
    pthread_mutex_lock(&lock);
    while (!t->stop) {
        enum mf_err e = mf_loop_turn(t->loop, MF_SYS_NEVER, 20000);
        CHECK(e == MF_OK);
        t->turns++;
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void *keep_writing(void *arg)
{
    struct traffic *t = arg;
    for (int i = 0; i < 2000; i++)
        say(t->end);
    return NULL;
}

/* Two threads turn the same loop all the time, bytes come, watches come and go: all bytes are read, nobody hangs. */
static void test_two_turners(void)
{
    struct mf_loop *loop = open_loop();
    struct end a, b;
    pthread_t turner, writer;
    struct traffic t = {.loop = loop, .end = &a};
    open_end(&a, loop, MF_LOOP_READ);
    a.watch.ready = consume;
    CHECK(pthread_create(&turner, NULL, keep_turning, &t) == 0);
    CHECK(pthread_create(&writer, NULL, keep_writing, &t) == 0);
    for (int i = 0; a.calls < 2000 || t.turns == 0; i++) {
        enum mf_err e = mf_loop_turn(loop, mf_sys_now() + 100000, 0);
        CHECK(e == MF_OK || e == MF_ETIMEDOUT);
        if (i % 8 == 0) {
            open_end(&b, loop, MF_LOOP_READ | MF_LOOP_WRITE);
            close_end(&b);
        }
    }
    t.stop = true;
    mf_loop_wake(loop);
    pthread_mutex_unlock(&lock);
    pthread_join(turner, NULL);
    pthread_join(writer, NULL);
    pthread_mutex_lock(&lock);
    CHECK(a.calls == 2000 && t.turns > 0);
    close_end(&a);
    close_loop(loop);
}

static void test_forked_child(void)
{
    struct mf_loop *loop = open_loop();
    struct end a;
    int status = -1;
    open_end(&a, loop, MF_LOOP_READ);
    CHECK(mf_loop_turn(loop, 0, 0) == MF_ETIMEDOUT);
    pid_t pid = fork();
    if (pid == 0) {
        mf_loop_forget(loop);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    say(&a);
    CHECK(mf_loop_turn(loop, MF_SYS_NEVER, 0) == MF_OK && a.calls == 1);
    mf_loop_wake(loop);
    CHECK(mf_loop_turn(loop, MF_SYS_NEVER, 0) == MF_OK);
    close_end(&a);
    close_loop(loop);
}

int main(void)
{
    test_forked_child(); /* before there are threads */
    test_events();
    test_again();
    test_many();
    test_remove_in_callback();
    test_time();
    test_bulk();
    test_signals();
    alarm(60);
    test_add_while_turning();
    test_wake_other();
    test_take_over();
    test_two_turners();
    mf_loop_free(NULL);
    return check_report();
}
