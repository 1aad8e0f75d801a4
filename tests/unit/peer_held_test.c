/* A node's tasks that wait for their worker, as the master sees them. */
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

static struct mf_future *submit(int worker, double timeout)
{
    return fake_submit(far.pool, FAKE_ECHO, "x", (struct mf_future_spec){.worker = worker, .timeout = timeout});
}

static void drop(struct mf_future **futures, int n)
{
    for (int i = 0; i < n; i++)
        mf_future_unref(futures[i]);
}

/* What waits for its worker takes no place; its time does not run. */
static void test_held(void)
{
    struct mf_future *f[4];
    uint64_t id[4];
    begin();
    f[0] = submit(0, 0);
    f[1] = submit(1, 2);
    f[2] = submit(0, 0);
    f[3] = submit(0, 0);
    id[0] = far_task(a);
    id[1] = far_task(a);
    CHECK(hand_silent(a) && far_is(f[2], MF_FUTURE_QUEUED));
    hand_send(a, MF_MSG_HELD, id[1], NULL, 0);
    id[2] = far_task(a);
    CHECK(hand_silent(a) && far_is(f[0], MF_FUTURE_RUNNING) && far_is(f[2], MF_FUTURE_RUNNING));
    CHECK(far_is(f[1], MF_FUTURE_SENT) && far.pool->running == 2 && far.pool->sent == 1);
    hand_result(a, id[2], MF_OUTCOME_VALUE, "");
    CHECK(far_becomes(f[2], MF_FUTURE_DONE) && far_becomes(f[3], MF_FUTURE_RUNNING));
    id[3] = far_task(a);
    hand_send(a, MF_MSG_FREED, id[1], NULL, 0); /* it comes before what frees its worker */
    hand_result(a, id[3], MF_OUTCOME_VALUE, "");
    CHECK(far_becomes(f[3], MF_FUTURE_DONE) && far_is(f[0], MF_FUTURE_RUNNING));
    CHECK(far_becomes(f[1], MF_FUTURE_FAILED)); /* of its time, which has run since */
    CHECK(far.pool->running == 1 && far.pool->sent == 0);
    hand_result(a, id[1], MF_OUTCOME_VALUE, "");
    hand_result(a, id[0], MF_OUTCOME_VALUE, "");
    CHECK(far_becomes(f[0], MF_FUTURE_DONE));
    drop(f, 4);
    end();
}

/* Two tasks have been sent, the second for a worker, and is held if so wished; then this. */
static bool holds_wrongly(bool held, unsigned kind, int task)
{
    struct mf_future *f[2];
    uint64_t id[3];
    begin();
    f[0] = submit(0, 0);
    f[1] = submit(1, 0);
    id[0] = far_task(a);
    id[1] = far_task(a);
    id[2] = id[1] + 1000;
    if (held)
        hand_send(a, MF_MSG_HELD, id[1], NULL, 0);
    hand_send(a, kind, id[task], NULL, 0);
    hand_await_end(a);
    bool good = far_becomes(f[0], MF_FUTURE_LOST) && strstr(f[0]->extra->fault, mf_msg_name((uint8_t)kind));
    drop(f, 2);
    end();
    return good;
}

static void test_wrong_holds(void)
{
    CHECK(holds_wrongly(false, MF_MSG_HELD, 0)); /* may run anywhere */
    CHECK(holds_wrongly(false, MF_MSG_HELD, 2));
    CHECK(holds_wrongly(true, MF_MSG_HELD, 1));
    CHECK(holds_wrongly(false, MF_MSG_FREED, 1));
    CHECK(holds_wrongly(true, MF_MSG_FREED, 0));
    CHECK(holds_wrongly(true, MF_MSG_RESULT, 1)); /* of one that cannot run */
}

/* What is held when the agent ends was not started. */
static void test_held_at_the_end(void)
{
    begin();
    struct mf_future *f[2] = {submit(0, 0), submit(1, 0)};
    far_task(a);
    hand_send(a, MF_MSG_HELD, far_task(a), NULL, 0);
    CHECK(far_becomes(f[1], MF_FUTURE_SENT));
    hand_free(a);
    CHECK(far_becomes(f[0], MF_FUTURE_LOST) && strstr(f[0]->extra->fault, "SIGKILL"));
    CHECK(far_becomes(f[1], MF_FUTURE_LOST) && strstr(f[1]->extra->fault, "its worker's host is gone"));
    drop(f, 2);
    far_end();
}

int main(void)
{
    alarm(100);
    test_held();
    test_wrong_holds();
    test_held_at_the_end();
    return check_report();
}
