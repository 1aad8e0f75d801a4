/* An agent in a process of its own, whose master is a hand (hand.h). Its runner is that of fake.h, and some more that needs
 * the master or the process. One test program is one translation unit, so the state stands here. */
#ifndef MF_SERVED_H
#define MF_SERVED_H

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "fake.h"
#include "hand.h"

#include "../../runtime/launch_spawn.h"
#include "../../runtime/msg.h"
#include "../../runtime/node.h"

#define SERVED_GATE  "g" /* until the master of the test writes a byte to the gate, wanted or not */
#define SERVED_FETCH "M" /* the result is the module that args names, as it came */
#define SERVED_MUCH  "P" /* prints as many pieces of 64 KB as the first byte of args says */
#define SERVED_EXIT  "k" /* the process exits with code 3 */
#define SERVED_HERE  "y" /* prints "y", then like FAKE_BLOCK */
#define SERVED_PID   "i" /* the result is the process's number and its worker's name */

static struct {
    pid_t pid;
    struct hand *hand;
    int gate[2];  /* a byte lets a task go on */
    bool apart;   /* what is read and what is written are two descriptors */
    bool refuses; /* no interpreter can be opened */
} served;

/* --- In the agent --------------------------------------------------------------------------------------------------- */

static inline void served_wait_at_gate(void)
{
    char byte;
    while (read(served.gate[0], &byte, 1) < 0 && errno == EINTR) {
    }
}

static inline void served_print(const struct mf_task *task)
{
    static char text[64 * 1024];
    for (int i = 0; i < task->args.data[0]; i++)
        task->port->emit(task->port, MF_STDOUT, text, sizeof text);
}

static inline void served_fetch(const struct mf_task *task, struct mf_buf *result)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)task->args.len, (const char *)task->args.data);
    struct mf_blob *module = task->port->fetch(task->port, name);
    FAKE_MUST(module);
    fake_append(result, module->data, module->len);
    mf_blob_unref(module);
}

static inline enum mf_outcome served_run(void *worker, const struct mf_task *task, struct mf_buf *result)
{
    const struct fake_instance *instance = worker;
    char text[64];
    switch (task->code->data[0]) {
    case 'g':
        served_wait_at_gate();
        break;
    case 'M':
        served_fetch(task, result);
        break;
    case 'P':
        served_print(task);
        break;
    case 'k':
        _exit(3);
    case 'y':
        task->port->emit(task->port, MF_STDOUT, "y", 1);
        return fake_wait(task, fake_gate_is_open) ? MF_OUTCOME_VALUE : MF_OUTCOME_ERROR;
    case 'i':
        snprintf(text, sizeof text, "%d %s", (int)getpid(), instance->name);
        fake_append(result, text, strlen(text));
        break;
    default:
        return fake_run(worker, task, result);
    }
    return MF_OUTCOME_VALUE;
}

/* The process's exit status. */
static inline int served_serve(int in, int out, const char *name)
{
    static struct mf_msg_hello hello;
    static struct mf_runner runner = {
        .open = fake_open, .run = served_run, .idle = fake_idle, .close = fake_close, .live = fake_live};
    hello = hand_hello();
    runner.hello = &hello;
    const struct mf_node_options options = {.runner = &runner, .name = name};
    int status = mf_node_serve(in, out, &options);
    return status || check_failed > 0;
}

/* For main, first of all: a node starts worker processes with this very program. */
static inline void served_if_agent(int argc, char *argv[])
{
    if (argc == 3 && strcmp(argv[1], "--agent") == 0)
        exit(served_serve(MF_LAUNCH_FD, MF_LAUNCH_FD, argv[2]));
}

/* --- In the test ---------------------------------------------------------------------------------------------------- */

static inline void served_start(void)
{
    int fds[2];
    CHECK(mf_sys_socketpair(fds) && mf_sys_pipe(served.gate));
    fflush(NULL);
    served.pid = fork();
    if (served.pid == 0) {
        setpgid(0, 0);
        alarm(60);
        close(fds[0]);
        close(served.gate[1]);
        check_failed = 0;
        fake.refuse = served.refuses ? -1 : 0;
        exit(served_serve(fds[1], served.apart ? dup(fds[1]) : fds[1], "served/1"));
    }
    close(fds[1]);
    close(served.gate[0]);
    served.hand = hand_new(fds[0], NULL);
}

/* How the agent ended, as waitpid says; the hand is gone afterwards. */
static inline int served_end(void)
{
    int status = -1;
    hand_await_end(served.hand);
    while (waitpid(served.pid, &status, 0) < 0 && errno == EINTR) {
    }
    hand_free(served.hand);
    close(served.gate[1]);
    return status;
}

static inline void served_open_gate(void)
{
    CHECK(write(served.gate[1], "x", 1) == 1);
}

static inline void served_init(struct mf_msg_init init)
{
    unsigned char head[MF_MSG_INIT_HEAD];
    struct mf_buf body = {0};
    mf_msg_pack_init_head(head, &init);
    CHECK(mf_buf_append(&body, head, sizeof head) && mf_buf_append(&body, init.settings.bytes, init.settings.n));
    CHECK(mf_buf_append(&body, "payload", 7));
    hand_send(served.hand, MF_MSG_INIT, 0, body.data, body.len);
    mf_buf_release(&body);
}

/* An agent that has greeted and was greeted. workers 0: it runs tasks itself. */
static inline void served_begin(uint32_t workers)
{
    served_start();
    hand_expect(served.hand, MF_MSG_HELLO);
    served_init((struct mf_msg_init){.workers = workers, .grace = 50000000});
}

static inline void served_code(uint64_t id, const char *code)
{
    hand_send(served.hand, MF_MSG_CODE, id, code, strlen(code));
}

static inline void served_task_with(uint64_t id, uint64_t code, const char *args, struct mf_msg_task task)
{
    struct mf_buf body = {0};
    task.code = code;
    task.args = (struct mf_msg_part){(const unsigned char *)args, strlen(args)};
    CHECK(mf_msg_pack_task(&body, &task));
    hand_send(served.hand, MF_MSG_TASK, id, body.data, body.len);
    mf_buf_release(&body);
}

static inline void served_task(uint64_t id, uint64_t code, const char *args)
{
    served_task_with(id, code, args, (struct mf_msg_task){0});
}

/* The next message is that task's result, with that outcome and these bytes (NULL: any). */
static inline bool served_result(uint64_t id, unsigned outcome, const char *bytes)
{
    struct mf_msg_result r = {0};
    const struct hand_frame *f = hand_expect(served.hand, MF_MSG_RESULT);
    bool good = f && mf_msg_unpack_result(f->body, f->len, &r, NULL) == MF_OK && f->id == id && r.outcome == outcome &&
                (!bytes || (r.bytes.n == strlen(bytes) && memcmp(r.bytes.bytes, bytes, r.bytes.n) == 0));
    if (!good && f)
        fprintf(stderr, "result of %llu: %u '%.*s'\n", (unsigned long long)f->id, r.outcome, (int)r.bytes.n,
                (const char *)r.bytes.bytes);
    return good;
}

static inline void served_send(unsigned kind, uint64_t id)
{
    hand_send(served.hand, kind, id, NULL, 0);
}

/* A question that is answered behind all that was said before. */
static inline void served_sync(void)
{
    served_send(MF_MSG_PING, 77);
    const struct hand_frame *f = hand_expect(served.hand, MF_MSG_PONG);
    CHECK(f && f->id == 77);
}

static inline bool served_left(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

/* It has ended itself, and what was left of its group. */
static inline bool served_aborted(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE;
}

#endif
