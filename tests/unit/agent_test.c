/* The agent that runs its tasks itself: in order, one at a time; what is called back, cancelled, printed, fetched; its end. */
#include "served.h"

static void begin(void)
{
    served_begin(0);
}

static void end(void)
{
    served_send(MF_MSG_BYE, 0);
    CHECK(served_left(served_end()));
}

static void test_tasks(void)
{
    struct mf_buf deps = {0};
    begin();
    served_code(1, FAKE_ECHO);
    served_code(2, FAKE_FAIL);
    served_code(3, FAKE_DEPS);
    served_code(4, FAKE_SEED);
    CHECK(mf_msg_pack_dep(&deps, "one", 3) && mf_msg_pack_dep(&deps, "", 0) && mf_msg_pack_dep(&deps, "two", 3));
    served_task(10, 1, "hello");
    served_task(11, 2, "bad");
    served_task_with(12, 3, "", (struct mf_msg_task){.ndeps = 3, .deps = {deps.data, deps.len}});
    served_task_with(13, 4, "", (struct mf_msg_task){.seed = 42, .stream = 7});
    served_task(10, 1, "");
    CHECK(served_result(10, MF_OUTCOME_VALUE, "hello") && served_result(11, MF_OUTCOME_ERROR, "bad"));
    CHECK(served_result(12, MF_OUTCOME_VALUE, "onetwo") && served_result(13, MF_OUTCOME_VALUE, "42,7"));
    CHECK(served_result(10, MF_OUTCOME_VALUE, ""));
    mf_buf_release(&deps);
    end();
}

static void test_setup(void)
{
    begin();
    served_code(1, FAKE_SETUP);
    served_code(2, FAKE_WHERE);
    served_task_with(1, 1, "", (struct mf_msg_task){.setup = true});
    served_task(2, 2, "");
    CHECK(served_result(1, MF_OUTCOME_VALUE, "") && served_result(2, MF_OUTCOME_VALUE, "served/1:1"));
    end();
}

/* What has not been started is given back; what has been is not, and its own result is the answer. */
static void test_recall(void)
{
    begin();
    served_code(1, SERVED_GATE);
    served_code(2, FAKE_ECHO);
    served_task(1, 1, "");
    served_task(2, 2, "two");
    served_task(3, 2, "three");
    served_task(4, 2, "four");
    served_sync();
    served_send(MF_MSG_RECALL, 3);
    CHECK(served_result(3, MF_MSG_RECALLED, ""));
    served_send(MF_MSG_RECALL, 1);
    served_send(MF_MSG_RECALL, 3); /* again, and one that never was */
    served_send(MF_MSG_RECALL, 99);
    served_sync();
    served_open_gate();
    CHECK(served_result(1, MF_OUTCOME_VALUE, "") && served_result(2, MF_OUTCOME_VALUE, "two"));
    CHECK(served_result(4, MF_OUTCOME_VALUE, "four"));
    served_send(MF_MSG_RECALL, 4);
    served_sync();
    end();
}

static void test_cancel(void)
{
    begin();
    served_code(1, FAKE_BLOCK);
    served_code(2, FAKE_ECHO);
    served_task(1, 1, "");
    served_task(2, 2, "two");
    served_task(3, 2, "three");
    served_sync();
    served_send(MF_MSG_CANCEL, 2);
    CHECK(served_result(2, MF_MSG_RECALLED, ""));
    served_send(MF_MSG_CANCEL, 1);
    CHECK(served_result(1, MF_OUTCOME_ERROR, "") && served_result(3, MF_OUTCOME_VALUE, "three"));
    served_send(MF_MSG_CANCEL, 1);
    served_send(MF_MSG_CANCEL, 99);
    served_sync();
    for (uint64_t i = 10; i < 60; i++) { /* in a race with its beginning and its end */
        served_task(i, i % 2 ? 1 : 2, "");
        served_send(MF_MSG_CANCEL, i);
        const struct hand_frame *f = hand_expect(served.hand, MF_MSG_RESULT);
        CHECK(f && f->id == i);
    }
    served_sync(); /* and nothing else came */
    end();
}

static void test_output(void)
{
    begin();
    served_code(1, FAKE_PRINT);
    served_task(1, 1, "text");
    const struct hand_frame *f = hand_expect(served.hand, MF_MSG_OUTPUT);
    CHECK(f && f->id == 1 && f->len == 5 && memcmp(f->body, "\1text", 5) == 0);
    f = hand_expect(served.hand, MF_MSG_OUTPUT);
    CHECK(f && f->len == 5 && memcmp(f->body, "\2oops", 5) == 0);
    f = hand_expect(served.hand, MF_MSG_PROGRESS);
    CHECK(f && f->id == 1 && f->len == 12 && memcmp(f->body + 8, "half", 4) == 0);
    CHECK(served_result(1, MF_OUTCOME_VALUE, ""));
    end();
}

/* 12 MB wait for a master that does not read; the task waits too, and a cancel ends it no earlier than it can. */
static void test_much_output(void)
{
    begin();
    served_code(1, SERVED_MUCH);
    served_task(1, 1, "\xc0");
    size_t got = 0;
    for (const struct hand_frame *f; (f = hand_expect(served.hand, 0)) && f->kind == MF_MSG_OUTPUT;)
        got += f->len - 1;
    CHECK(got == (size_t)0xc0 * 65536 && served.hand->last.kind == MF_MSG_RESULT);
    served_sync();
    end();
}

static void test_modules(void)
{
    begin();
    served_code(1, SERVED_FETCH);
    for (uint64_t i = 1; i <= 3; i++) {
        served_task(i, 1, "some.name");
        const struct hand_frame *f = hand_expect(served.hand, MF_MSG_FETCH);
        CHECK(f && strcmp((const char *)f->body, "some.name") == 0);
        hand_send(served.hand, MF_MSG_MODULE, f->id, "content", 7);
        CHECK(served_result(i, MF_OUTCOME_VALUE, "content"));
    }
    served_task(4, 1, "x");
    const struct hand_frame *f = hand_expect(served.hand, MF_MSG_FETCH);
    uint64_t id = f ? f->id : 0;
    served_sync(); /* it still listens */
    hand_send(served.hand, MF_MSG_MODULE, id, "content", 7);
    CHECK(served_result(4, MF_OUTCOME_VALUE, "content"));
    hand_send(served.hand, MF_MSG_MODULE, id, "again", 5);
    CHECK(served_aborted(served_end()));
}

/* What is queued is done before it ends. */
static void test_bye(void)
{
    begin();
    served_code(1, SERVED_GATE);
    served_code(2, FAKE_ECHO);
    served_task(1, 1, "");
    served_task(2, 2, "two");
    served_send(MF_MSG_BYE, 0);
    served_open_gate();
    CHECK(served_result(1, MF_OUTCOME_VALUE, "") && served_result(2, MF_OUTCOME_VALUE, "two"));
    CHECK(served_left(served_end()));
}

/* When the master is gone it ends at once, whatever runs. */
static void test_master_goes(const char *code)
{
    begin();
    served_code(1, code);
    served_task(1, 1, "");
    served_sync();
    shutdown(served.hand->fd, SHUT_WR);
    CHECK(served_aborted(served_end()));
}

static void test_process_ends(void)
{
    begin();
    served_code(1, SERVED_EXIT);
    served_task(1, 1, "");
    int status = served_end();
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

int main(int argc, char *argv[])
{
    served_if_agent(argc, argv);
    alarm(100);
    for (int i = 0; i < 2; i++) {
        served.apart = i == 1;
        test_tasks();
        test_setup();
        test_recall();
        test_cancel();
        test_output();
        test_much_output();
        test_modules();
        test_bye();
        test_master_goes(SERVED_GATE);
        test_master_goes(FAKE_BLOCK);
        test_process_ends();
    }
    return check_report();
}
