/* An agent whose master is this test: what it answers, what it refuses, and how it and what its tasks have started end. The
 * agent runs in a forked child, the leader of a group in which another process stands for what a task has left behind. */
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../../runtime/node.h"
#include "../../runtime/sys_fd.h"
#include "fake.h"

#define PATIENCE_MS 20000

struct agent {
    pid_t pid;
    int link;  /* ours */
    int words; /* what it writes to stderr */
    int left;  /* at its end when the process left behind is gone */
};

/* --- In the child ------------------------------------------------------------------------------------------------- */

/* Holds the write end of left for as long as it lives. */
static void leave_process(int keep)
{
    if (fork() != 0)
        return;
    for (int fd = 0; fd < 64; fd++)
        if (fd != keep)
            close(fd);
    alarm(60);
    for (;;)
        pause();
}

static _Noreturn void serve(int link, int words, int left)
{
    static const struct mf_msg_hello hello = {.lua_version = 504, .program = "test"};
    static const struct mf_runner runner = {
        .hello = &hello, .open = fake_open, .run = fake_run, .idle = fake_idle, .close = fake_close, .live = fake_live};
    const struct mf_node_options options = {.runner = &runner, .name = "test/1"};
    alarm(60);
    setpgid(0, 0);
    leave_process(left);
    close(left);
    dup2(words, STDERR_FILENO);
    exit(mf_node_serve(link, link, &options));
}

/* --- In the master ------------------------------------------------------------------------------------------------ */

static struct agent start(void)
{
    int ends[2], words[2], left[2];
    CHECK(mf_sys_socketpair(ends) && mf_sys_pipe(words) && mf_sys_pipe(left));
    fflush(stdout);
    struct agent a = {.pid = fork(), .link = ends[0], .words = words[0], .left = left[0]};
    if (a.pid == 0) {
        close(ends[0]);
        serve(ends[1], words[1], left[1]);
    }
    setpgid(a.pid, a.pid); /* whoever is first */
    close(ends[1]);
    close(words[1]);
    close(left[1]);
    return a;
}

/* Reads exactly n bytes; false at the end or when nothing comes. */
static bool read_all(int fd, void *bytes, size_t n)
{
    char *at = bytes;
    while (n > 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t got = poll(&p, 1, PATIENCE_MS) > 0 ? read(fd, at, n) : -1;
        if (got <= 0)
            return false;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

/* The next frame's kind, 0 at the end; its body is cut to what fits. */
static int receive(const struct agent *a, uint64_t *id, unsigned char *body, size_t room)
{
    unsigned char head_bytes[MF_MSG_HEAD], rest;
    struct mf_msg_head head;
    if (!read_all(a->link, head_bytes, sizeof head_bytes) || mf_msg_unpack_head(head_bytes, &head, NULL) != MF_OK)
        return 0;
    for (size_t i = 0; i < head.length; i++)
        if (!read_all(a->link, i < room ? &body[i] : &rest, 1))
            return 0;
    *id = head.id;
    return head.kind;
}

static void send_bytes(const struct agent *a, const void *bytes, size_t n)
{
    CHECK(send(a->link, bytes, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static void send_frame(const struct agent *a, unsigned kind, uint64_t id, const void *body, size_t n)
{
    unsigned char head_bytes[MF_MSG_HEAD];
    const struct mf_msg_head head = {.length = n, .kind = (uint8_t)kind, .id = id};
    mf_msg_pack_head(head_bytes, &head);
    send_bytes(a, head_bytes, sizeof head_bytes);
    if (n > 0)
        send_bytes(a, body, n);
}

static void send_init(const struct agent *a)
{
    unsigned char head[MF_MSG_INIT_HEAD];
    mf_msg_pack_init_head(head, &(struct mf_msg_init){.grace = 1000000000});
    send_frame(a, MF_MSG_INIT, 0, head, sizeof head);
}

static void send_task(const struct agent *a, uint64_t id, uint64_t code)
{
    unsigned char head[MF_MSG_TASK_HEAD];
    mf_msg_pack_task_head(head, &(struct mf_msg_task){.code = code});
    send_frame(a, MF_MSG_TASK, id, head, sizeof head);
}

/* Greeted, with the codes 1 (echo), 2 (blocks until it is not wanted), 3 (blocks for ever). */
static struct agent start_ready(void)
{
    struct agent a = start();
    unsigned char body[256];
    uint64_t id;
    struct mf_msg_hello hello;
    CHECK(receive(&a, &id, body, sizeof body) == MF_MSG_HELLO);
    CHECK(mf_msg_unpack_hello(body, 108, &hello, NULL) == MF_OK && hello.pid == (uint32_t)a.pid);
    send_init(&a);
    send_frame(&a, MF_MSG_CODE, 1, FAKE_ECHO, 1);
    send_frame(&a, MF_MSG_CODE, 2, FAKE_BLOCK, 1);
    send_frame(&a, MF_MSG_CODE, 3, FAKE_STUCK, 1);
    return a;
}

/* Does the agent end, with what it has left behind, and how? The status of waitpid; what it said goes to words. */
static int end_of(struct agent *a, char *words, size_t n)
{
    int status = -1;
    size_t len = 0;
    char byte;
    for (; read_all(a->words, &byte, 1); len++)
        if (len < n - 1)
            words[len] = byte;
    words[len < n ? len : n - 1] = '\0';
    struct pollfd p = {.fd = a->left, .events = POLLIN};
    CHECK(poll(&p, 1, PATIENCE_MS) > 0 && read(a->left, &byte, 1) == 0); /* nobody holds the other end any more */
    CHECK(waitpid(a->pid, &status, 0) == a->pid);
    close(a->link);
    close(a->words);
    close(a->left);
    return status;
}

static bool exits(struct agent *a, int code, const char *says)
{
    char words[256];
    int status = end_of(a, words, sizeof words);
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == code && strstr(words, says);
    if (!good)
        fprintf(stderr, "status %x, said: %s\n", (unsigned)status, words);
    return good;
}

/* The result of the task id: its outcome, or -1. */
static int outcome(const struct agent *a, uint64_t id)
{
    unsigned char body[256];
    uint64_t got;
    int kind = receive(a, &got, body, sizeof body);
    return kind == MF_MSG_RESULT && got == id ? body[0] : -1;
}

/* --- Tests ---------------------------------------------------------------------------------------------------------- */

static void test_order(void)
{
    struct agent a = start_ready();
    unsigned char body[16];
    uint64_t id;
    send_task(&a, 10, 1);
    CHECK(outcome(&a, 10) == 0);
    send_frame(&a, MF_MSG_PING, 77, NULL, 0);
    CHECK(receive(&a, &id, body, sizeof body) == MF_MSG_PONG && id == 77);
    send_frame(&a, MF_MSG_FORGET, 1, NULL, 0);
    send_frame(&a, MF_MSG_FORGET, 1, NULL, 0); /* is over already */
    send_frame(&a, MF_MSG_CODE, 1, FAKE_FAIL, 1);
    send_task(&a, 11, 1);
    CHECK(outcome(&a, 11) == 1);
    send_frame(&a, MF_MSG_BYE, 0, NULL, 0);
    CHECK(exits(&a, 0, ""));
}

/* While a task runs: pings, cancels of it, of others, of none. */
static void test_busy(void)
{
    struct agent a = start_ready();
    unsigned char body[16];
    uint64_t id;
    send_task(&a, 1, 2);
    send_task(&a, 2, 1);
    send_task(&a, 3, 1);
    send_frame(&a, MF_MSG_PING, 5, NULL, 0);
    CHECK(receive(&a, &id, body, sizeof body) == MF_MSG_PONG && id == 5);
    send_frame(&a, MF_MSG_CANCEL, 99, NULL, 0);
    send_frame(&a, MF_MSG_RECALL, 1, NULL, 0); /* has been started */
    send_frame(&a, MF_MSG_RECALL, 3, NULL, 0);
    CHECK(outcome(&a, 3) == MF_MSG_RECALLED);
    send_frame(&a, MF_MSG_CANCEL, 1, NULL, 0);
    CHECK(outcome(&a, 1) == 1);
    CHECK(outcome(&a, 2) == 0);
    send_frame(&a, MF_MSG_CANCEL, 2, NULL, 0); /* too late */
    send_task(&a, 4, 1);
    CHECK(outcome(&a, 4) == 0);
    send_frame(&a, MF_MSG_BYE, 0, NULL, 0);
    CHECK(exits(&a, 0, ""));
}

static void test_strange_masters(void)
{
    static const unsigned char lengths[][MF_MSG_HEAD] = {
        {0, 0, 0, 0, MF_MSG_TASK}, {11, 0, 0, 0, MF_MSG_TASK}, {255, 255, 255, 255, MF_MSG_TASK}};
    static const char http[] = "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n";
    static const unsigned kinds[] = {MF_MSG_HELLO, MF_MSG_RESULT, MF_MSG_OUTPUT, MF_MSG_PROGRESS,
                                     MF_MSG_FETCH, MF_MSG_INIT,   MF_MSG_MODULE, MF_MSG_TASK};
    struct agent a;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        a = start_ready();
        send_bytes(&a, lengths[i], MF_MSG_HEAD);
        CHECK(exits(&a, 1, "impossible length"));
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        a = start_ready();
        send_frame(&a, kinds[i], 1, "xyz", 3);
        CHECK(exits(&a, 1, "message was refused"));
    }
    a = start_ready();
    send_task(&a, 1, 1000); /* code that was never sent */
    CHECK(exits(&a, 1, "TASK message was refused"));
    a = start_ready();
    send_frame(&a, MF_MSG_CODE, 1, FAKE_ECHO, 1);
    CHECK(exits(&a, 1, "CODE message was refused"));
    a = start_ready();
    send_frame(&a, 99, 1, NULL, 0);
    CHECK(exits(&a, 1, "unknown message kind 99"));
    a = start();
    send_task(&a, 1, 1); /* before INIT */
    CHECK(exits(&a, 1, "TASK message was refused"));
    a = start();
    send_bytes(&a, http, sizeof http - 1);
    CHECK(exits(&a, 1, "moonfleet agent: "));
}

/* The master goes: between tasks, while one runs that stops, and while one runs that never does. */
static void test_abandoned(void)
{
    char words[256];
    for (uint64_t code = 1; code <= 3; code++) {
        struct agent a = start_ready();
        send_task(&a, 1, code);
        CHECK(code > 1 || outcome(&a, 1) == 0);
        CHECK(shutdown(a.link, SHUT_RDWR) == 0);
        CHECK(end_of(&a, words, sizeof words) != 0);
    }
    struct agent a = start_ready();
    static const unsigned char half[MF_MSG_HEAD - 3] = {12, 0, 0, 0, MF_MSG_PING};
    send_bytes(&a, half, sizeof half);
    CHECK(shutdown(a.link, SHUT_RDWR) == 0);
    CHECK(exits(&a, 1, "truncated"));
}

/* What the system sends when the master's process ends. */
static void test_hangup(void)
{
    char words[256];
    struct agent a = start_ready();
    send_task(&a, 1, 3);
    send_task(&a, 2, 1);
    CHECK(kill(a.pid, SIGHUP) == 0);
    CHECK(end_of(&a, words, sizeof words) != 0);
}

/* BYE lets it finish what it has. */
static void test_bye(void)
{
    struct agent a = start_ready();
    send_task(&a, 1, 1);
    send_task(&a, 2, 1);
    send_frame(&a, MF_MSG_BYE, 0, NULL, 0);
    CHECK(outcome(&a, 1) == 0 && outcome(&a, 2) == 0);
    CHECK(exits(&a, 0, ""));
}

int main(void)
{
    alarm(100);
    test_order();
    test_busy();
    test_bye();
    test_hangup();
    test_abandoned();
    test_strange_masters();
    return check_report();
}
