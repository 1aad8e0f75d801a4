/* An agent as its master sees it: greeting, setups, lanes, results, ends, and everything that no honest agent does. */
#include "far.h"

static struct hand *a;

static void begin(void)
{
    far_begin(1, 0);
    a = far_join(0);
}

static void end(void)
{
    far_end();
    hand_free(a);
}

static struct mf_future *submit(const char *args)
{
    return fake_plain(far.pool, FAKE_ECHO, args);
}

static struct mf_future *submit_with(struct mf_future_spec spec)
{
    return fake_submit(far.pool, FAKE_ECHO, "x", spec);
}

static void drop(struct mf_future **futures, int n)
{
    for (int i = 0; i < n; i++)
        mf_future_unref(futures[i]);
}

/* --- Greeting --------------------------------------------------------------------------------------------------------- */

static void test_greeting(void)
{
    struct mf_msg_init init;
    struct mf_msg_part payload;
    struct mf_host *host;
    far_begin(1, 0.25);
    host = &far.hosts->hosts[0];
    host->isolate = true;
    CHECK(mf_buf_append(&host->settings, "/dir\0A=b", 9));
    a = far_attach(0);
    CHECK(far.pool->size == 1 && far.pool->workers[0]->state == MF_WORKER_STARTING && hand_silent(a));
    hand_greet(a, far_hello());
    const struct hand_frame *f = hand_expect(a, MF_MSG_INIT);
    CHECK(f && mf_msg_unpack_init(f->body, f->len, &init, &payload, NULL) == MF_OK);
    CHECK(init.workers == 2 && init.processes && init.grace == far.pool->grace && payload.n == 0);
    CHECK(init.patience == MF_PEER_PATIENCE * far.pool->heartbeat);
    CHECK(init.settings.n == 9 && memcmp(init.settings.bytes, "/dir\0A=b", 9) == 0);
    f = hand_expect(a, MF_MSG_PING);
    CHECK(f && f->id == MF_PEER_READY && host->state == MF_HOST_CALLED);
    hand_send(a, MF_MSG_PONG, 7, NULL, 0); /* not the one that is waited for */
    CHECK(hand_silent(a) && host->state == MF_HOST_CALLED);
    hand_send(a, MF_MSG_PONG, MF_PEER_READY, NULL, 0);
    CHECK(hand_silent(a) && host->state == MF_HOST_HERE && host->lanes == 2 && host->first == 1);
    CHECK(far.pool->size == 2 && strcmp(far.pool->workers[1]->name, "cluster/2") == 0);
    CHECK(far.pool->starting == 0 && mf_runtime_workers(far.pool) == 2);
    end();
}

/* As many workers as the agent has cores, but at least one and not more than there may be. */
static void test_cores(uint32_t cores, int workers)
{
    struct mf_msg_hello hello = *far_hello();
    far_begin(1, 0);
    far.hosts->hosts[0].workers = 0;
    a = far_attach(0);
    hello.cores = cores;
    hand_greet(a, &hello);
    hand_expect(a, MF_MSG_INIT);
    CHECK(far.hosts->hosts[0].lanes == workers && far.pool->size == workers);
    end();
}

/* Ends the agent's link as it comes up, and asks why the host is not here. */
static bool refused(unsigned kind, const void *body, size_t n, const char *why)
{
    far_begin(1, 0);
    a = far_attach(0);
    hand_send(a, kind, 0, body, n);
    hand_await_end(a);
    const struct mf_host *host = &far.hosts->hosts[0];
    bool good = host->state == MF_HOST_AWAY && strstr(host->text, "host a ") && strstr(host->text, why) &&
                far.pool->alive == 0 && far.pool->starting == 0 && host->lanes == 0;
    if (!good)
        fprintf(stderr, "the host is %d: %s\n", (int)host->state, host->text);
    end();
    return good;
}

static void test_wrong_greetings(void)
{
    struct mf_msg_hello hello = *far_hello();
    struct mf_buf body = {0};
    CHECK(refused(MF_MSG_HELLO, NULL, 0, "was refused: not Moonfleet's protocol"));
    CHECK(refused(MF_MSG_RESULT, "123456789", 9, "broke the protocol"));
    CHECK(refused(MF_MSG_PONG, NULL, 0, "broke the protocol"));
    CHECK(refused(MF_MSG_BYE, "no", 2, "broke the protocol"));
    hello.version = 99;
    CHECK(mf_msg_pack_hello(&body, &hello) && refused(MF_MSG_HELLO, body.data, body.len, "wire version 99"));
    CHECK(refused(MF_MSG_HELLO, body.data, 20, "was refused: broken HELLO"));
    body.len = 0;
    hello.version = MF_MSG_VERSION;
    hello.lua_version = 503;
    CHECK(mf_msg_pack_hello(&body, &hello) && refused(MF_MSG_HELLO, body.data, body.len, "Lua 5.3"));
    mf_buf_release(&body);
}

static void test_ends_before_greeting(void)
{
    far_begin(1, 0);
    a = far_attach(0);
    mf_link_free(a->link);
    a->link = NULL;
    while (far.hosts->hosts[0].state != MF_HOST_AWAY)
        far_turn();
    CHECK(strstr(far.hosts->hosts[0].text, "host a killed by SIGKILL"));
    far_end();
    free(a);
}

/* --- Lanes ------------------------------------------------------------------------------------------------------------ */

static void test_lanes(void)
{
    struct mf_future *f[5];
    uint64_t id[5];
    begin();
    far_mean(1000);
    for (int i = 0; i < 5; i++)
        f[i] = submit("x");
    for (int i = 0; i < 5; i++)
        id[i] = far_task(a);
    CHECK(far_is(f[0], MF_FUTURE_RUNNING) && far_is(f[1], MF_FUTURE_RUNNING) && far_is(f[2], MF_FUTURE_SENT));
    CHECK(far.pool->running == 2 && far.pool->sent == 3);
    hand_result(a, id[1], MF_OUTCOME_VALUE, "second");
    CHECK(far_becomes(f[1], MF_FUTURE_DONE) && far_is(f[2], MF_FUTURE_RUNNING) && far_is(f[3], MF_FUTURE_SENT));
    hand_result(a, id[2], MF_OUTCOME_ERROR, "third"); /* the first one still runs */
    CHECK(far_becomes(f[2], MF_FUTURE_FAILED) && far_is(f[3], MF_FUTURE_RUNNING) && far_is(f[4], MF_FUTURE_SENT));
    hand_result(a, id[0], MF_OUTCOME_VALUE, "first");
    CHECK(far_becomes(f[0], MF_FUTURE_DONE) && far_is(f[4], MF_FUTURE_RUNNING));
    CHECK(f[0]->result->len == 5 && memcmp(f[0]->result->data, "first", 5) == 0);
    hand_result(a, id[4], MF_OUTCOME_VALUE, "");
    hand_result(a, id[3], MF_OUTCOME_VALUE, "");
    CHECK(far_becomes(f[3], MF_FUTURE_DONE) && far_becomes(f[4], MF_FUTURE_DONE));
    CHECK(far.pool->running == 0 && far.pool->sent == 0);
    drop(f, 5);
    end();
}

/* A long task does not take the places of those that come and go beside it. */
static void test_long_task(void)
{
    begin();
    struct mf_future *longest = submit("long");
    uint64_t first = far_task(a);
    for (int i = 0; i < 1000; i++) {
        struct mf_future *f = submit("x");
        hand_result(a, far_task(a), MF_OUTCOME_VALUE, "y");
        CHECK(far_becomes(f, MF_FUTURE_DONE));
        mf_future_unref(f);
    }
    CHECK(far_is(longest, MF_FUTURE_RUNNING));
    hand_result(a, first, MF_OUTCOME_VALUE, "");
    CHECK(far_becomes(longest, MF_FUTURE_DONE));
    mf_future_unref(longest);
    end();
}

/* A future that is pinned runs in its own lane. */
static void test_pinned(void)
{
    struct mf_msg_task task;
    begin();
    struct mf_future *f = submit_with((struct mf_future_spec){.worker = 2});
    hand_expect(a, MF_MSG_CODE);
    const struct hand_frame *frame = hand_expect(a, MF_MSG_TASK);
    CHECK(frame && mf_msg_unpack_task(frame->body, frame->len, &task, NULL) == MF_OK && task.worker == 2);
    CHECK(atomic_load(&f->worker) == 2);
    hand_result(a, frame->id, MF_OUTCOME_VALUE, "");
    CHECK(far_becomes(f, MF_FUTURE_DONE));
    mf_future_unref(f);
    end();
}

/* --- Setups ----------------------------------------------------------------------------------------------------------- */

static bool is_setup(const struct hand_frame *f, const char *args)
{
    struct mf_msg_task task;
    return f && mf_msg_unpack_task(f->body, f->len, &task, NULL) == MF_OK && task.setup && task.worker == 0 &&
           task.args.n == strlen(args) && memcmp(task.args.bytes, args, task.args.n) == 0;
}

static void test_setups(void)
{
    char args[16];
    far_begin(1, 0);
    for (int i = 0; i < 300; i++) {
        snprintf(args, sizeof args, "%d", i);
        CHECK(mf_runtime_setup(far.pool, fake_blob(FAKE_SETUP), fake_blob(args)) == MF_OK);
    }
    a = far_attach(0);
    CHECK(mf_runtime_setup(far.pool, fake_blob(FAKE_SETUP), fake_blob("while it comes")) == MF_OK);
    hand_greet(a, far_hello());
    hand_expect(a, MF_MSG_INIT);
    hand_expect(a, MF_MSG_PING);
    hand_send(a, MF_MSG_PONG, MF_PEER_READY, NULL, 0);
    for (int i = 0; i <= 300; i++) {
        snprintf(args, sizeof args, "%d", i);
        hand_expect(a, MF_MSG_CODE);
        const struct hand_frame *f = hand_expect(a, MF_MSG_TASK);
        CHECK(is_setup(f, i < 300 ? args : "while it comes"));
        hand_result(a, f->id, MF_OUTCOME_VALUE, "");
    }
    struct mf_future *f = submit("x");
    uint64_t id = far_task(a);
    CHECK(far_is(f, MF_FUTURE_RUNNING) &&
          mf_runtime_setup(far.pool, fake_blob(FAKE_SETUP), fake_blob("late")) == MF_OK);
    far_task(a);
    const struct hand_frame *late = &a->last;
    CHECK(is_setup(late, "late"));
    hand_result(a, late->id, MF_OUTCOME_VALUE, "");
    hand_result(a, id, MF_OUTCOME_VALUE, "");
    CHECK(far_becomes(f, MF_FUTURE_DONE));
    mf_future_unref(f);
    end();
}

/* --- What no honest agent does ---------------------------------------------------------------------------------------- */

/* Three tasks have been sent, of which two can run; then this. The running ones are lost. */
static bool breaks(unsigned kind, int task, const void *body, size_t n, const char *why)
{
    struct mf_future *f[3];
    uint64_t id[3];
    bool good = true;
    begin();
    far_mean(1000);
    for (int i = 0; i < 3; i++)
        f[i] = submit("x");
    for (int i = 0; i < 3; i++)
        id[i] = far_task(a);
    hand_send(a, kind, task < 3 ? id[task] : id[2] + 1000, body, n);
    hand_await_end(a);
    for (int i = 0; i < 3; i++)
        good = good && far_becomes(f[i], MF_FUTURE_LOST) && strstr(f[i]->extra->fault, "host a ") &&
               strstr(f[i]->extra->fault, why);
    good = good && far.hosts->hosts[0].state == MF_HOST_AWAY && far.pool->alive == 0;
    drop(f, 3);
    end();
    return good;
}

static void test_violations(void)
{
    enum { VALUE, ERROR, RECALLED, LOST, NONE };
    unsigned char result[MF_MSG_RESULT_HEAD + 4] = {0};
    struct mf_buf hello = {0};
    CHECK(mf_msg_pack_hello(&hello, far_hello()));
    CHECK(breaks(MF_MSG_RESULT, 3, result, sizeof result, "RESULT")); /* of a task that was never sent */
    CHECK(breaks(MF_MSG_RESULT, 2, result, sizeof result, "RESULT")); /* of one that cannot have been started */
    CHECK(breaks(MF_MSG_RESULT, 0, result, MF_MSG_RESULT_HEAD - 1, "RESULT"));
    result[0] = NONE;
    CHECK(breaks(MF_MSG_RESULT, 0, result, sizeof result, "RESULT"));
    result[0] = RECALLED; /* nobody has asked for it back */
    CHECK(breaks(MF_MSG_RESULT, 0, result, sizeof result, "RESULT"));
    CHECK(breaks(MF_MSG_RESULT, 2, result, sizeof result, "RESULT"));
    result[0] = LOST;
    CHECK(breaks(MF_MSG_RESULT, 2, result, sizeof result, "RESULT"));
    CHECK(breaks(MF_MSG_OUTPUT, 3, "\1text", 5, "OUTPUT"));
    CHECK(breaks(MF_MSG_OUTPUT, 0, NULL, 0, "OUTPUT"));
    CHECK(breaks(MF_MSG_PROGRESS, 3, "12345678", 8, "PROGRESS"));
    CHECK(breaks(MF_MSG_PROGRESS, 0, "1234567", 7, "PROGRESS"));
    CHECK(breaks(MF_MSG_HELLO, 0, hello.data, hello.len, "HELLO"));
    CHECK(breaks(MF_MSG_TASK, 0, "x", 1, "TASK"));
    CHECK(breaks(MF_MSG_INIT, 0, "x", 1, "INIT"));
    CHECK(breaks(MF_MSG_CODE, 0, "x", 1, "CODE"));
    CHECK(breaks(MF_MSG_CANCEL, 0, "", 0, "CANCEL"));
    CHECK(breaks(MF_MSG_MODULE, 0, "x", 1, "MODULE"));
    char name[300] = {0};
    memset(name, 'x', sizeof name - 1);
    CHECK(breaks(MF_MSG_FETCH, 0, name, sizeof name - 1, "FETCH"));
    mf_buf_release(&hello);
}

static void test_second_result(void)
{
    begin();
    struct mf_future *f = submit("x");
    uint64_t id = far_task(a);
    hand_result(a, id, MF_OUTCOME_VALUE, "first");
    hand_result(a, id, MF_OUTCOME_VALUE, "second");
    hand_await_end(a);
    CHECK(far_is(f, MF_FUTURE_DONE) && memcmp(f->result->data, "first", 5) == 0);
    mf_future_unref(f);
    end();
}

/* --- Cancel and recall ------------------------------------------------------------------------------------------------ */

static void test_cancel_running(unsigned outcome)
{
    begin();
    struct mf_future *f = submit("x");
    uint64_t id = far_task(a);
    CHECK(mf_runtime_cancel(far.owner, f) && far_is(f, MF_FUTURE_CANCELLED));
    const struct hand_frame *cancel = hand_expect(a, MF_MSG_CANCEL);
    CHECK(cancel && cancel->id == id);
    struct mf_future *next[2] = {submit("y"), submit("z")}; /* one lane is free, and one is when that is answered */
    uint64_t second = far_task(a);
    CHECK(hand_silent(a) && far_is(next[0], MF_FUTURE_RUNNING) && far_is(next[1], MF_FUTURE_QUEUED));
    hand_result(a, id, outcome, "late");
    uint64_t third = far_task(a);
    CHECK(far_is(f, MF_FUTURE_CANCELLED) && !f->result && far_is(next[1], MF_FUTURE_RUNNING));
    hand_result(a, second, MF_OUTCOME_VALUE, "");
    hand_result(a, third, MF_OUTCOME_VALUE, "");
    CHECK(far_becomes(next[0], MF_FUTURE_DONE) && far_becomes(next[1], MF_FUTURE_DONE));
    mf_future_unref(f);
    drop(next, 2);
    end();
}

static void test_cancel_sent(unsigned outcome)
{
    struct mf_future *f[3];
    uint64_t id[3];
    begin();
    far_mean(1000);
    for (int i = 0; i < 3; i++)
        f[i] = submit("x");
    for (int i = 0; i < 3; i++)
        id[i] = far_task(a);
    CHECK(mf_runtime_cancel(far.owner, f[2]) && far_is(f[2], MF_FUTURE_CANCELLED));
    hand_expect(a, MF_MSG_CANCEL);
    if (outcome != MF_MSG_RECALLED) /* it was started meanwhile */
        hand_result(a, id[0], MF_OUTCOME_VALUE, "");
    hand_result(a, id[2], outcome, "late");
    hand_result(a, id[1], MF_OUTCOME_VALUE, "");
    if (outcome == MF_MSG_RECALLED)
        hand_result(a, id[0], MF_OUTCOME_VALUE, "");
    CHECK(far_becomes(f[0], MF_FUTURE_DONE) && far_becomes(f[1], MF_FUTURE_DONE) && far_is(f[2], MF_FUTURE_CANCELLED));
    drop(f, 3);
    end();
}

static void test_timeout(void)
{
    begin();
    struct mf_future *f = submit_with((struct mf_future_spec){.timeout = 0.01});
    uint64_t id = far_task(a);
    const struct hand_frame *cancel = hand_expect(a, MF_MSG_CANCEL);
    CHECK(cancel && cancel->id == id && far_is(f, MF_FUTURE_FAILED) && f->failure == MF_FAILURE_TIMEOUT);
    for (uint64_t stop = mf_sys_after(0.3);
         mf_sys_now() < stop;) /* longer than the grace time: the node sees to that */
        far_turn();
    CHECK(!a->ended && far.hosts->hosts[0].state == MF_HOST_HERE);
    hand_result(a, id, MF_MSG_RECALLED, "");
    mf_future_unref(f);
    end();
}

/* --- Ends ------------------------------------------------------------------------------------------------------------- */

enum way { CLOSED, CUT };

/* Two run and two stand ahead when the agent ends. Those ahead run elsewhere if it is known that it did not start them. */
static void test_end(enum way way, unsigned retries)
{
    struct mf_future *f[4];
    struct mf_future_spec spec = {.retries = retries};
    far_begin(2, 0);
    a = far_join(0);
    far.exit.how = way == CLOSED ? MF_REMOTE_KILLED : MF_REMOTE_LOST;
    far.hosts->hosts[0].local = false;
    far_mean(1000);
    for (int i = 0; i < 4; i++)
        f[i] = submit_with(spec);
    for (int i = 0; i < 4; i++)
        far_task(a);
    struct hand *b = far_join(1);
    hand_free(a);
    for (int i = 0; i < 2; i++)
        if (!retries)
            CHECK(far_becomes(f[i], MF_FUTURE_LOST) && strstr(f[i]->extra->fault, "host a "));
    for (int i = 2; i < 4; i++)
        if (way == CUT && !retries)
            CHECK(far_becomes(f[i], MF_FUTURE_LOST) && strstr(f[i]->extra->fault, "host a was lost: "));
    for (int left = retries ? 4 : way == CLOSED ? 2 : 0; left > 0; left--)
        hand_result(b, far_task(b), MF_OUTCOME_VALUE, "b");
    CHECK(hand_silent(b));
    for (int i = 0; i < 4; i++)
        CHECK(mf_future_final(f[i]));
    drop(f, 4);
    far_end();
    hand_free(b);
}

/* What the agent cannot have read goes back, though it would have been what it worked on. */
static void test_end_unread(void)
{
    enum { LARGE = 3 << 20 };
    char *large = calloc(1, LARGE + 1);
    memset(large, 'x', LARGE);
    far_begin(2, 0);
    a = far_join(0);
    a->deaf = true;
    struct mf_future *f[2] = {submit(large), submit("y")};
    CHECK(far_is(f[0], MF_FUTURE_RUNNING) && !mf_future_final(f[1]));
    struct hand *b = far_join(1);
    hand_free(a);
    for (int i = 0; i < 2; i++)
        hand_result(b, far_task(b), MF_OUTCOME_VALUE, "b");
    CHECK(far_becomes(f[0], MF_FUTURE_DONE) && far_becomes(f[1], MF_FUTURE_DONE));
    CHECK(f[0]->attempts == 1 && f[1]->attempts == 1);
    drop(f, 2);
    free(large);
    far_end();
    hand_free(b);
}

/* What it has said before it ended counts. */
static void test_last_words(void)
{
    struct mf_future *f[3];
    uint64_t id[3];
    far_begin(2, 0);
    a = far_join(0);
    far_mean(1000);
    for (int i = 0; i < 3; i++)
        f[i] = submit("x");
    for (int i = 0; i < 3; i++)
        id[i] = far_task(a);
    far_lock(); /* nobody reads before it is over */
    hand_result(a, id[0], MF_OUTCOME_VALUE, "done");
    hand_free(a);
    far_unlock();
    CHECK(far_becomes(f[0], MF_FUTURE_DONE) && far_becomes(f[1], MF_FUTURE_LOST) && far_becomes(f[2], MF_FUTURE_LOST));
    drop(f, 3);
    far_end();
}

/* One that says why it ends before it has done anything loses nothing; nobody is left to take it over, though. */
static void test_bye(void)
{
    begin();
    struct mf_future *f = submit("x");
    far_task(a);
    hand_send(a, MF_MSG_BYE, 0, "no \33licence", 11);
    hand_free(a);
    CHECK(far_becomes(f, MF_FUTURE_LOST) && strstr(f->extra->fault, "no host of the cluster is left"));
    CHECK(strstr(far.hosts->hosts[0].text, "/no/such/program"));
    mf_future_unref(f);
    far_end();
}

static void test_bye_after_work(void)
{
    begin();
    struct mf_future *f = submit("x");
    hand_result(a, far_task(a), MF_OUTCOME_VALUE, "");
    CHECK(far_becomes(f, MF_FUTURE_DONE));
    mf_future_unref(f);
    f = submit("x");
    far_task(a);
    hand_send(a, MF_MSG_BYE, 0, "no \33licence", 11);
    hand_free(a);
    CHECK(far_becomes(f, MF_FUTURE_LOST) && strstr(f->extra->fault, "(it said: no ?licence)"));
    mf_future_unref(f);
    far_end();
}

/* A worker of the node has died: only its task is lost. */
static void test_lost_worker(void)
{
    begin();
    struct mf_future *f = submit("x"), *g = submit_with((struct mf_future_spec){.retries = 1});
    uint64_t first = far_task(a), second = far_task(a);
    hand_result(a, first, MF_MSG_LOST, "worker 1 fell \33[31mdown");
    CHECK(far_becomes(f, MF_FUTURE_LOST) && strstr(f->extra->fault, "worker 1 fell ?[31mdown (host a)"));
    hand_result(a, second, MF_MSG_LOST, "worker 2 too");
    uint64_t again = far_task(a);
    CHECK(again == second && far_is(g, MF_FUTURE_RUNNING));
    hand_result(a, again, MF_OUTCOME_VALUE, "good");
    CHECK(far_becomes(g, MF_FUTURE_DONE));
    mf_future_unref(f);
    mf_future_unref(g);
    end();
}

/* --- Modules ---------------------------------------------------------------------------------------------------------- */

static void test_modules(void)
{
    struct mf_msg_module module;
    begin();
    CHECK(mf_runtime_module_path(far.pool, "tests/unit/?.lua;tests/?.none"));
    hand_send(a, MF_MSG_FETCH, 5, "no.such", 7);
    const struct hand_frame *f = hand_expect(a, MF_MSG_MODULE);
    CHECK(f && f->id == 5 && mf_msg_unpack_module(f->body, f->len, &module, NULL) == MF_OK && !module.found);
    CHECK(mf_runtime_module_path(far.pool, "tests/support/?.lua"));
    hand_send(a, MF_MSG_FETCH, 6, "same", 4);
    f = hand_expect(a, MF_MSG_MODULE);
    CHECK(f && f->id == 6 && mf_msg_unpack_module(f->body, f->len, &module, NULL) == MF_OK && module.found);
    CHECK(module.name.n == 23 && memcmp(module.name.bytes, "@tests/support/same.lua", 23) == 0 &&
          module.source.n > 100);
    end();
}

int main(void)
{
    alarm(100);
    test_greeting();
    test_cores(0, 1);
    test_cores(5, 5);
    test_cores(UINT32_MAX, MF_HOST_CORES);
    test_wrong_greetings();
    test_ends_before_greeting();
    test_lanes();
    test_long_task();
    test_pinned();
    test_setups();
    test_violations();
    test_second_result();
    test_cancel_running(MF_MSG_RECALLED);
    test_cancel_running(MF_OUTCOME_VALUE);
    test_cancel_running(MF_OUTCOME_ERROR);
    test_cancel_sent(MF_MSG_RECALLED);
    test_cancel_sent(MF_OUTCOME_VALUE);
    test_timeout();
    test_end(CLOSED, 0);
    test_end(CLOSED, 1);
    test_end(CUT, 0);
    test_end(CUT, 1);
    test_end_unread();
    test_last_words();
    test_bye();
    test_bye_after_work();
    test_lost_worker();
    test_modules();
    return check_report();
}
