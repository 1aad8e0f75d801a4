/* The agent of a node, with workers that are threads and workers that are processes: how many tasks it begins, what it gives
 * back, setups, modules, output that nobody reads, its patience, its end. */
#include "served.h"

#include "../../runtime/loop.h"

#define MS 1000000u

static bool processes; /* the workers are */

static void begin_with(uint32_t workers, uint64_t patience)
{
    served_start();
    hand_expect(served.hand, MF_MSG_HELLO);
    served_init((struct mf_msg_init){
        .workers = workers, .processes = processes, .grace = 50 * (uint64_t)MS, .patience = patience});
}

static void begin(uint32_t workers)
{
    begin_with(workers, 0);
}

static void end(void)
{
    served_send(MF_MSG_BYE, 0);
    CHECK(served_left(served_end()));
}

static void pause_for(uint64_t ms)
{
    uint64_t stop = mf_sys_now() + ms * MS;
    while (mf_sys_now() < stop)
        poll(NULL, 0, 1);
}

/* --- Tasks ------------------------------------------------------------------------------------------------------------ */

static void test_many(uint32_t workers)
{
    enum { MANY = 2000 };
    static bool seen[MANY];
    memset(seen, 0, sizeof seen);
    begin(workers);
    served_code(1, FAKE_ECHO);
    for (uint64_t i = 0; i < MANY; i++)
        served_task(i, 1, "x");
    for (int i = 0; i < MANY; i++) {
        const struct hand_frame *f = hand_expect(served.hand, MF_MSG_RESULT);
        if (!f || !CHECK(f->id < MANY && !seen[f->id]))
            break;
        seen[f->id] = true;
    }
    served_sync();
    end();
}

/* As many run at the same time as there are workers; what stands behind them is given back, and what runs is not. */
static void test_recall(void)
{
    begin(2);
    served_code(1, SERVED_GATE);
    served_code(2, FAKE_ECHO);
    served_task(1, 1, "");
    served_task(2, 1, "");
    served_task(3, 2, "three");
    served_task(4, 2, "four");
    served_sync();
    for (uint64_t i = 1; i <= 3; i++)
        served_send(MF_MSG_RECALL, i);
    CHECK(served_result(3, MF_MSG_RECALLED, ""));
    served_sync();
    served_open_gate();
    const struct hand_frame *f = hand_expect(served.hand, MF_MSG_RESULT);
    uint64_t first = f ? f->id : 0;
    CHECK(first == 1 || first == 2);
    CHECK(served_result(4, MF_OUTCOME_VALUE, "four")); /* by the worker that is free */
    served_open_gate();
    CHECK(served_result(3 - first, MF_OUTCOME_VALUE, ""));
    end();
}

static void test_cancel(const char *code)
{
    begin(2);
    served_code(1, code);
    served_code(2, FAKE_ECHO);
    for (int round = 0; round < 3; round++) {
        served_task(1, 1, "");
        served_task(2, 1, "");
        served_task(3, 2, "three");
        served_sync();
        served_send(MF_MSG_CANCEL, 3);
        CHECK(served_result(3, MF_MSG_RECALLED, ""));
        served_send(MF_MSG_CANCEL, 2);
        CHECK(served_result(2, MF_MSG_RECALLED, "")); /* at once, whether it has stopped or not */
        served_send(MF_MSG_CANCEL, 2);
        served_send(MF_MSG_CANCEL, 99);
        served_task(4, 2, "four"); /* the other slot serves on */
        CHECK(served_result(4, MF_OUTCOME_VALUE, "four"));
        served_send(MF_MSG_CANCEL, 1);
        CHECK(served_result(1, MF_MSG_RECALLED, ""));
        served_sync();
    }
    for (uint64_t i = 10; i < 60; i++) { /* in a race with its beginning and its end */
        served_task(i, i % 2 ? 1 : 2, "");
        served_send(MF_MSG_CANCEL, i);
        const struct hand_frame *f = hand_expect(served.hand, MF_MSG_RESULT);
        CHECK(f && f->id == i);
    }
    served_sync();
    for (int i = 0; i < 50; i++) /* those that are stuck may go */
        served_open_gate();
    end();
}

static void test_pinned(void)
{
    const char *kind = processes ? "processes" : "threads";
    char where[2][32];
    begin(3);
    served_code(1, FAKE_WHERE);
    for (uint32_t worker = 1; worker <= 2; worker++)
        snprintf(where[worker - 1], sizeof where[0], "%s/%u:0", kind, worker);
    for (uint64_t i = 0; i < 10; i++) {
        uint32_t worker = 1 + i % 2;
        served_task_with(i, 1, "", (struct mf_msg_task){.worker = worker});
        CHECK(served_result(i, MF_OUTCOME_VALUE, where[worker - 1]));
    }
    served_task_with(20, 1, "", (struct mf_msg_task){.worker = 4});
    CHECK(served_result(20, MF_MSG_LOST, "there is no such worker on the node"));
    served_task_with(21, 1, "", (struct mf_msg_task){.worker = UINT32_MAX});
    CHECK(served_result(21, MF_MSG_LOST, "there is no such worker on the node"));
    end();
}

/* A task for a worker that is busy does not hold up those behind it. */
static void test_held(void)
{
    bool held[2] = {false, false};
    uint64_t busy = 0;
    begin(2);
    served_code(1, SERVED_HERE);
    served_code(2, FAKE_ECHO);
    served_task(1, 1, "");
    hand_expect(served.hand, MF_MSG_OUTPUT); /* it runs, on one of the two */
    for (uint32_t worker = 1; worker <= 2; worker++) {
        served_task_with(10 + worker, 2, "first", (struct mf_msg_task){.worker = worker});
        served_task_with(20 + worker, 2, "second", (struct mf_msg_task){.worker = worker});
    }
    served_task(2, 2, "any");
    for (int i = 0; i < 5; i++) { /* three are done, two are not */
        const struct hand_frame *f = hand_expect(served.hand, 0);
        if (!f || f->kind == MF_MSG_RESULT)
            continue;
        busy = f->id % 10;
        CHECK(f->kind == MF_MSG_HELD && (f->id == 10 + busy || f->id == 20 + busy));
        held[f->id > 20] = true;
    }
    CHECK(held[0] && held[1]);
    served_send(MF_MSG_RECALL, 10 + busy);
    CHECK(served_result(10 + busy, MF_MSG_RECALLED, ""));
    served_sync(); /* and nothing else came */
    served_send(MF_MSG_CANCEL, 1);
    const struct hand_frame *f = hand_expect(served.hand, MF_MSG_FREED);
    CHECK(f && f->id == 20 + busy);
    CHECK(served_result(1, MF_MSG_RECALLED, "") && served_result(20 + busy, MF_OUTCOME_VALUE, "second"));
    end();
}

static void test_setups(void)
{
    begin(1);
    served_code(1, FAKE_SETUP);
    served_code(2, FAKE_WHERE);
    served_code(3, processes ? FAKE_STUCK : SERVED_GATE);
    for (uint64_t i = 1; i <= 3; i++) {
        served_task_with(i, 1, "", (struct mf_msg_task){.setup = true});
        CHECK(served_result(i, MF_OUTCOME_VALUE, ""));
    }
    served_task(4, 2, "");
    CHECK(served_result(4, MF_OUTCOME_VALUE, processes ? "processes/1:3" : "threads/1:3"));
    served_task_with(5, 1, "", (struct mf_msg_task){.setup = true, .worker = 1}); /* for the one that is there */
    CHECK(served_result(5, MF_OUTCOME_VALUE, ""));
    served_task_with(6, 1, "", (struct mf_msg_task){.setup = true}); /* and for its successors */
    CHECK(served_result(6, MF_OUTCOME_VALUE, ""));
    served_task(7, 2, "");
    CHECK(served_result(7, MF_OUTCOME_VALUE, processes ? "processes/1:4" : "threads/1:4"));
    served_task(8, 3, "");
    served_sync();
    served_send(MF_MSG_CANCEL, 8); /* which does not stop: another worker takes the place */
    CHECK(served_result(8, MF_MSG_RECALLED, ""));
    served_task(9, 2, "");
    CHECK(served_result(9, MF_OUTCOME_VALUE, processes ? "processes/1:4" : "threads/1:4"));
    served_open_gate();
    end();
}

static void test_errors_and_deps(void)
{
    struct mf_buf deps = {0};
    begin(2);
    served_code(1, FAKE_FAIL);
    served_code(2, FAKE_DEPS);
    served_code(3, FAKE_SEED);
    CHECK(mf_msg_pack_dep(&deps, "one", 3) && mf_msg_pack_dep(&deps, "", 0) && mf_msg_pack_dep(&deps, "two", 3));
    served_task(1, 1, "bad");
    CHECK(served_result(1, MF_OUTCOME_ERROR, "bad"));
    served_task_with(2, 2, "", (struct mf_msg_task){.ndeps = 3, .deps = {deps.data, deps.len}});
    CHECK(served_result(2, MF_OUTCOME_VALUE, "onetwo"));
    served_task_with(3, 3, "", (struct mf_msg_task){.seed = 42, .stream = 7});
    CHECK(served_result(3, MF_OUTCOME_VALUE, "42,7"));
    mf_buf_release(&deps);
    end();
}

/* --- Output ----------------------------------------------------------------------------------------------------------- */

static void test_output(void)
{
    begin(2);
    served_code(1, FAKE_PRINT);
    for (uint64_t id = 1; id <= 5; id++) {
        served_task(id, 1, "text");
        const struct hand_frame *f = hand_expect(served.hand, MF_MSG_OUTPUT);
        CHECK(f && f->id == id && f->len == 5 && memcmp(f->body, "\1text", 5) == 0);
        f = hand_expect(served.hand, MF_MSG_OUTPUT);
        CHECK(f && f->id == id && f->len == 5 && memcmp(f->body, "\2oops", 5) == 0);
        f = hand_expect(served.hand, MF_MSG_PROGRESS);
        CHECK(f && f->id == id && f->len == 12 && memcmp(f->body + 8, "half", 4) == 0);
        CHECK(served_result(id, MF_OUTCOME_VALUE, ""));
    }
    end();
}

static long resident_kb(void)
{
    char path[64], line[128];
    long kb = -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)served.pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %ld kB", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb;
}

/* Three tasks print 12 MB each for a master that does not read: the node keeps some of it, and the tasks wait. */
static void test_much_output(void)
{
    size_t got = 0;
    int results = 0;
    begin(2);
    served_code(1, SERVED_MUCH);
    served_code(2, FAKE_ECHO);
    served.hand->deaf = true;
    for (uint64_t i = 1; i <= 3; i++)
        served_task(i, 1, "\xc0");
    served_task(4, 2, "x");
    pause_for(300);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CHECK(resident_kb() < 25000);
#else
    CHECK(resident_kb() > 0);
#endif
    served.hand->deaf = false;
    while (results < 4) {
        const struct hand_frame *f = hand_expect(served.hand, 0);
        if (!CHECK(f))
            return;
        results += f->kind == MF_MSG_RESULT;
        got += f->kind == MF_MSG_OUTPUT ? f->len - 1 : 0;
    }
    CHECK(got == (size_t)3 * 0xc0 * 65536);
    served_sync();
    end();
}

/* --- Modules ---------------------------------------------------------------------------------------------------------- */

/* Two workers ask at the same time, and are answered the other way round. */
static void test_modules(void)
{
    uint64_t ids[2];
    char names[2][8];
    begin(2);
    served_code(1, SERVED_FETCH);
    for (int round = 0; round < 3; round++) {
        served_task(1, 1, "one");
        served_task(2, 1, "two");
        for (int i = 0; i < 2; i++) {
            const struct hand_frame *f = hand_expect(served.hand, MF_MSG_FETCH);
            ids[i] = f ? f->id : 0;
            snprintf(names[i], sizeof names[i], "%s", f ? (const char *)f->body : "");
        }
        CHECK(ids[0] != ids[1] && strcmp(names[0], names[1]) != 0);
        for (int i = 1; i >= 0; i--) {
            hand_send(served.hand, MF_MSG_MODULE, ids[i], names[i], 3);
            CHECK(served_result(strcmp(names[i], "one") == 0 ? 1 : 2, MF_OUTCOME_VALUE, names[i]));
        }
    }
    hand_send(served.hand, MF_MSG_MODULE, ids[0], "again", 5);
    CHECK(served_aborted(served_end()));
}

/* --- Liveness --------------------------------------------------------------------------------------------------------- */

static void test_patience(const char *code)
{
    begin_with(1, 1000 * (uint64_t)MS);
    served_code(1, code);
    served_task(1, 1, "");
    for (int i = 0; i < 12; i++) { /* heard, again and again */
        served_sync();
        pause_for(100);
    }
    served_task(2, 1, "");
    CHECK(served_aborted(served_end()));
}

/* One that was stopped itself looks at what has come meanwhile. */
static void test_stopped(void)
{
    begin_with(1, 1000 * (uint64_t)MS);
    served_sync();
    CHECK(kill(served.pid, SIGSTOP) == 0);
    served_send(MF_MSG_PONG, 0);
    pause_for(1200);
    CHECK(kill(served.pid, SIGCONT) == 0);
    served_sync();
    end();
}

/* While a long message comes it says that it hears something. */
static void test_long_message(void)
{
    enum { SIZE = 300000, PIECE = 10000 };
    static unsigned char bytes[MF_MSG_HEAD + SIZE];
    struct mf_msg_head head = {.length = SIZE, .kind = MF_MSG_CODE, .id = 9};
    mf_msg_pack_head(bytes, &head);
    bytes[MF_MSG_HEAD] = *FAKE_ECHO;
    begin_with(1, 2400 * (uint64_t)MS);
    for (size_t at = 0; at < sizeof bytes; at += PIECE) {
        size_t n = sizeof bytes - at < PIECE ? sizeof bytes - at : PIECE;
        CHECK(write(served.hand->fd, bytes + at, n) == (ssize_t)n);
        pause_for(20);
    }
    served_sync();
    CHECK(served.hand->signs > 0);
    served_task(1, 9, "x");
    CHECK(served_result(1, MF_OUTCOME_VALUE, "x"));
    end();
}

/* --- Ends ------------------------------------------------------------------------------------------------------------- */

static void test_bye(void)
{
    begin(2);
    served_code(1, SERVED_GATE);
    served_code(2, FAKE_ECHO);
    served_task(1, 1, "");
    served_task(2, 1, "");
    served_task(3, 2, "three");
    served_send(MF_MSG_BYE, 0);
    served_open_gate();
    served_open_gate();
    for (int i = 0; i < 3; i++)
        CHECK(hand_expect(served.hand, MF_MSG_RESULT));
    CHECK(served_left(served_end()));
}

static void test_master_goes(const char *code)
{
    begin(2);
    served_code(1, code);
    served_task(1, 1, "");
    served_task(2, 1, "");
    served_sync();
    shutdown(served.hand->fd, SHUT_WR);
    CHECK(served_aborted(served_end()));
}

/* --- Workers that are processes --------------------------------------------------------------------------------------- */

static void test_worker_dies(void)
{
    begin(2);
    served_code(1, SERVED_EXIT);
    served_code(2, SERVED_PID);
    for (uint64_t i = 1; i <= 4; i++) {
        served_task_with(i, 1, "", (struct mf_msg_task){.worker = 1});
        CHECK(served_result(i, MF_MSG_LOST, "worker processes/1 exited with code 3"));
    }
    served_task(5, 2, "");
    served_task(6, 2, "");
    for (int i = 0; i < 2; i++) {
        const struct hand_frame *f = hand_expect(served.hand, MF_MSG_RESULT);
        CHECK(f && strstr((const char *)f->body + MF_MSG_RESULT_HEAD, " processes/"));
        CHECK(f && atoi((const char *)f->body + MF_MSG_RESULT_HEAD) != served.pid);
    }
    end();
}

static void test_node_ends(void)
{
    begin(2);
    served_code(1, SERVED_EXIT);
    served_task(1, 1, "");
    int status = served_end();
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

static void test_both(void)
{
    test_many(1);
    test_many(4);
    test_cancel(FAKE_BLOCK);
    test_pinned();
    test_held();
    test_setups();
    test_errors_and_deps();
    test_output();
    test_much_output();
    test_modules();
    test_patience(FAKE_BLOCK);
    test_stopped();
    test_long_message();
    test_master_goes(FAKE_BLOCK);
}

int main(int argc, char *argv[])
{
    served_if_agent(argc, argv);
    alarm(100);
    test_both();
    test_recall(); /* what uses the gate, which is this process's */
    test_cancel(SERVED_GATE);
    test_patience(SERVED_GATE);
    test_bye();
    test_master_goes(SERVED_GATE);
    test_node_ends();
    served.apart = true;
    test_many(3);
    test_much_output();
    served.apart = false;
    processes = true;
    test_both();
    test_cancel(FAKE_STUCK);
    test_master_goes(FAKE_STUCK);
    test_worker_dies();
    return check_report();
}
