/* Agents of both kinds, those that run tasks themselves and those that have a pool, and masters that do not keep to the
 * protocol: greeting, settings, code, liveness, ends. */
#include "served.h"

static const uint32_t both[] = {0, 2}; /* workers */

/* --- Greeting --------------------------------------------------------------------------------------------------------- */

static void test_greeting(bool apart)
{
    struct mf_msg_hello hello;
    char host[64] = "";
    served.apart = apart;
    served_start();
    const struct hand_frame *f = hand_expect(served.hand, MF_MSG_HELLO);
    CHECK(f && mf_msg_unpack_hello(f->body, f->len, &hello, NULL) == MF_OK);
    CHECK(hello.version == MF_MSG_VERSION && hello.lua_version == 504 && hello.pid == (uint32_t)served.pid);
    CHECK(hello.cores == (uint32_t)mf_sys_cores() && gethostname(host, sizeof host - 1) == 0);
    CHECK(strcmp(hello.host, host) == 0);
    served_init((struct mf_msg_init){.workers = 1});
    served_sync();
    served_send(MF_MSG_BYE, 0);
    CHECK(served_left(served_end()));
    served.apart = false;
}

static void test_bye_before_init(void)
{
    served_start();
    hand_expect(served.hand, MF_MSG_HELLO);
    served_send(MF_MSG_BYE, 0);
    CHECK(served_left(served_end()));
}

static void test_master_goes(bool greeted, uint32_t workers)
{
    if (greeted)
        served_begin(workers);
    else
        served_start();
    shutdown(served.hand->fd, SHUT_WR);
    CHECK(served_aborted(served_end()));
}

/* --- Settings --------------------------------------------------------------------------------------------------------- */

static void begin_with(uint32_t workers, const char *settings, size_t n)
{
    served_start();
    hand_expect(served.hand, MF_MSG_HELLO);
    served_init((struct mf_msg_init){.workers = workers, .settings = {(const unsigned char *)settings, n}});
}

static void test_cannot(uint32_t workers, const char *settings, size_t n, const char *why)
{
    begin_with(workers, settings, n);
    served_send(MF_MSG_PING, 1); /* which is answered only if it can */
    const struct hand_frame *f = hand_expect(served.hand, MF_MSG_BYE);
    if (!CHECK(f && strstr((const char *)f->body, why)))
        fprintf(stderr, "%s\n", f ? (const char *)f->body : "");
    CHECK(served_left(served_end()));
}

static void test_settings(uint32_t workers)
{
    begin_with(workers, "/tmp\0A=b\0C=", 12);
    served_sync();
    served_send(MF_MSG_BYE, 0);
    CHECK(served_left(served_end()));
    test_cannot(workers, "/no/such/folder", 16, "'/no/such/folder' (option 'dir'): No such file");
    test_cannot(workers, "/etc/passwd\0A=b", 16, "Not a directory");
    test_cannot(workers, "\0A", 3, "variable A (option 'env')");
    test_cannot(workers, "\0=b", 4, "variable =b (option 'env')");
}

static void test_no_interpreter(uint32_t workers)
{
    served.refuses = true;
    served_begin(workers);
    if (workers == 0) {
        const struct hand_frame *f = hand_expect(served.hand, MF_MSG_BYE);
        CHECK(f && strcmp((const char *)f->body, "no interpreter today") == 0);
    } else { /* its workers start when there is something to do */
        served_code(1, FAKE_ECHO);
        served_task(1, 1, "x");
        CHECK(served_result(1, MF_MSG_LOST, "no interpreter today"));
        served_send(MF_MSG_BYE, 0);
    }
    CHECK(served_left(served_end()));
    served.refuses = false;
}

/* --- What no honest master does ------------------------------------------------------------------------------------- */

static void test_before_init(void)
{
    static const unsigned kinds[] = {MF_MSG_CODE, MF_MSG_FORGET, MF_MSG_TASK,  MF_MSG_CANCEL, MF_MSG_RECALL,
                                     MF_MSG_PING, MF_MSG_PONG,   MF_MSG_HELLO, MF_MSG_RESULT, MF_MSG_MODULE};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        served_start();
        hand_expect(served.hand, MF_MSG_HELLO);
        served_send(kinds[i], 1);
        CHECK(served_aborted(served_end()));
    }
}

static void test_wrong_init(void)
{
    unsigned char body[MF_MSG_INIT_HEAD + 8];
    struct mf_msg_init init = {.workers = 2};
    for (int i = 0; i < 5; i++) {
        mf_msg_pack_init_head(body, &init);
        size_t n = i == 0 ? 0 : i == 1 ? MF_MSG_INIT_HEAD - 1 : MF_MSG_INIT_HEAD;
        if (i == 2)
            body[4] = 2; /* flags */
        else if (i == 3)
            body[21] = 1; /* settings that are not there */
        else if (i == 4)
            memset(body, 0xff, 4); /* workers */
        served_start();
        hand_expect(served.hand, MF_MSG_HELLO);
        hand_send(served.hand, MF_MSG_INIT, 0, body, n);
        CHECK(served_aborted(served_end()));
    }
}

/* After INIT, and with code 1 known and task 1 begun or queued. */
static void dies_of(uint32_t workers, unsigned kind, uint64_t id, const void *body, size_t n)
{
    served_begin(workers);
    served_code(1, FAKE_BLOCK);
    served_task(1, 1, "x");
    hand_send(served.hand, kind, id, body, n);
    if (!CHECK(served_aborted(served_end())))
        fprintf(stderr, "message %u for %u workers\n", kind, (unsigned)workers);
}

static void test_violations(uint32_t workers)
{
    unsigned char task[MF_MSG_TASK_HEAD];
    mf_msg_pack_task_head(task, &(struct mf_msg_task){.code = 99});
    dies_of(workers, MF_MSG_TASK, 2, task, sizeof task); /* unknown code */
    mf_msg_pack_task_head(task, &(struct mf_msg_task){.code = 1});
    dies_of(workers, MF_MSG_TASK, 2, task, sizeof task - 1);
    mf_msg_pack_task_head(task, &(struct mf_msg_task){.code = 1, .ndeps = 1});
    dies_of(workers, MF_MSG_TASK, 2, task, sizeof task);
    mf_msg_pack_task_head(task, &(struct mf_msg_task){.code = 1, .args = {NULL, 5}});
    dies_of(workers, MF_MSG_TASK, 2, task, sizeof task);
    dies_of(workers, MF_MSG_CODE, 1, "x", 1);          /* twice */
    dies_of(workers, MF_MSG_INIT, 0, "x", 1);          /* again */
    dies_of(workers, MF_MSG_MODULE, 1, "\0\0\0\0", 5); /* nobody has asked for it */
    dies_of(workers, MF_MSG_HELLO, 0, NULL, 0);
    dies_of(workers, MF_MSG_RESULT, 1, "123456789", 9);
    dies_of(workers, MF_MSG_OUTPUT, 1, "\1x", 2);
    dies_of(workers, MF_MSG_FETCH, 1, "x", 1);
}

static void test_garbage(uint32_t workers)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: nowhere\r\n\r\n";
    served_begin(workers);
    CHECK(write(served.hand->fd, text, sizeof text) == sizeof text);
    CHECK(served_aborted(served_end()));
    served_start();
    CHECK(write(served.hand->fd, text, sizeof text) == sizeof text);
    CHECK(served_aborted(served_end()));
    served_begin(workers); /* the end inside a message */
    CHECK(write(served.hand->fd, "\x30\0\0\0\3\0", 6) == 6);
    shutdown(served.hand->fd, SHUT_WR);
    CHECK(served_aborted(served_end()));
}

/* --- Code ------------------------------------------------------------------------------------------------------------- */

/* Code that is forgotten may come again; a task that was sent before keeps it. */
static void test_code(uint32_t workers)
{
    served_begin(workers);
    served_send(MF_MSG_FORGET, 5); /* never known: no harm */
    served_code(5, SERVED_GATE);
    served_task(1, 5, "");
    served_send(MF_MSG_FORGET, 5);
    served_code(5, FAKE_ECHO);
    served_task(2, 5, "echo");
    served_open_gate();
    if (workers == 0)
        CHECK(served_result(1, MF_OUTCOME_VALUE, "") && served_result(2, MF_OUTCOME_VALUE, "echo"));
    else
        for (int i = 0; i < 2; i++)
            CHECK(hand_expect(served.hand, MF_MSG_RESULT));
    served_send(MF_MSG_BYE, 0);
    CHECK(served_left(served_end()));
}

/* Answers come while a task runs and does not listen. */
static void test_ping(uint32_t workers)
{
    served_begin(workers);
    served_code(1, SERVED_GATE);
    served_task(1, 1, "");
    for (int i = 0; i < 100; i++)
        served_sync();
    CHECK(hand_silent(served.hand));
    served_open_gate();
    CHECK(served_result(1, MF_OUTCOME_VALUE, ""));
    served_send(MF_MSG_PONG, 3); /* no harm */
    served_sync();
    served_send(MF_MSG_BYE, 0);
    CHECK(served_left(served_end()));
}

int main(int argc, char *argv[])
{
    served_if_agent(argc, argv);
    alarm(100);
    test_greeting(false);
    test_greeting(true);
    test_bye_before_init();
    test_before_init();
    test_wrong_init();
    test_master_goes(false, 0);
    for (int i = 0; i < 2; i++) {
        test_master_goes(true, both[i]);
        test_settings(both[i]);
        test_no_interpreter(both[i]);
        test_violations(both[i]);
        test_garbage(both[i]);
        test_code(both[i]);
        test_ping(both[i]);
    }
    return check_report();
}
