/* Wire messages: what is packed is unpacked the same, in the layout that msg.h draws; broken bytes are refused. */
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/msg.h"

static void test_head(void)
{
    static const unsigned char drawn[MF_MSG_HEAD] = {15, 0, 0, 0, MF_MSG_TASK, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1};
    struct mf_msg_head head = {.length = 3, .kind = MF_MSG_TASK, .id = 0x0102030405060708}, back;
    unsigned char bytes[MF_MSG_HEAD];
    mf_msg_pack_head(bytes, &head);
    CHECK(memcmp(bytes, drawn, sizeof bytes) == 0);
    CHECK(mf_msg_unpack_head(bytes, &back, NULL) == MF_OK);
    CHECK(back.length == 3 && back.kind == MF_MSG_TASK && back.flags == 0 && back.id == head.id);
    head = (struct mf_msg_head){.length = MF_MSG_MAX_INLINE, .kind = MF_MSG_BYE, .id = UINT64_MAX};
    mf_msg_pack_head(bytes, &head);
    CHECK(mf_msg_unpack_head(bytes, &back, NULL) == MF_OK && back.length == MF_MSG_MAX_INLINE);
    head = (struct mf_msg_head){.length = MF_MSG_BESIDE_BODY, .kind = MF_MSG_INIT, .flags = MF_MSG_FD | MF_MSG_BESIDE};
    mf_msg_pack_head(bytes, &head);
    CHECK(mf_msg_unpack_head(bytes, &back, NULL) == MF_OK && back.flags == (MF_MSG_FD | MF_MSG_BESIDE));
}

/* What stands in the stream for a body beside it: a claim, and a few bytes that are multiples of 16. */
static void test_beside(void)
{
    for (uint64_t n = 0; n < 200; n++) {
        struct mf_msg_head head = {.length = n, .kind = MF_MSG_TASK, .flags = MF_MSG_BESIDE}, back;
        unsigned char bytes[MF_MSG_HEAD];
        bool good = n >= MF_MSG_BESIDE_BODY && n <= MF_MSG_BESIDE_BODY + MF_AREA_PREFIX && n % 16 == 0;
        mf_msg_pack_head(bytes, &head);
        CHECK((mf_msg_unpack_head(bytes, &back, NULL) == MF_OK) == good);
    }
    CHECK(MF_MSG_TASK_HEAD % 16 == 0 && MF_MSG_TASK_HEAD <= MF_AREA_PREFIX);
    CHECK(MF_MSG_RESULT_HEAD % 16 == 0 && MF_MSG_RESULT_HEAD <= MF_AREA_PREFIX);
}

/* A good head with one byte changed; what is said about it. */
static const char *refused(int at, unsigned char value)
{
    static struct mf_fault fault;
    struct mf_msg_head head = {.length = 3, .kind = MF_MSG_TASK};
    unsigned char bytes[MF_MSG_HEAD];
    mf_msg_pack_head(bytes, &head);
    bytes[at] = value;
    fault.text[0] = '\0';
    CHECK(mf_msg_unpack_head(bytes, &head, &fault) == MF_EINVAL && fault.code == MF_EINVAL);
    return fault.text;
}

static void test_broken_heads(void)
{
    CHECK(strcmp(refused(4, 77), "unknown message kind 77") == 0);
    CHECK(strcmp(refused(4, 0), "unknown message kind 0") == 0);
    CHECK(strcmp(refused(0, 11), "a TASK message of impossible length 11") == 0);
    CHECK(strcmp(refused(0, 0), "a TASK message of impossible length 0") == 0);
    CHECK(strcmp(refused(5, 4), "a TASK message with unknown flags") == 0);
    CHECK(strcmp(refused(5, MF_MSG_FD), "a TASK message with unknown flags") == 0);
    CHECK(strcmp(refused(6, 1), "a TASK message with unknown flags") == 0);
    CHECK(strcmp(refused(7, 1), "a TASK message with unknown flags") == 0);
    CHECK(strstr(refused(5, MF_MSG_BESIDE), "beside the stream with 3 bytes"));
    struct mf_msg_head own = {.length = MF_MSG_FD_BODY, .kind = MF_MSG_BLOCK, .flags = MF_MSG_FD};
    unsigned char with_fd[MF_MSG_HEAD];
    mf_msg_pack_head(with_fd, &own);
    CHECK(mf_msg_unpack_head(with_fd, &own, NULL) == MF_OK && own.flags == MF_MSG_FD);
    own.length++;
    mf_msg_pack_head(with_fd, &own);
    CHECK(mf_msg_unpack_head(with_fd, &own, NULL) == MF_EINVAL);
    unsigned char huge[MF_MSG_HEAD] = {0xff, 0xff, 0xff, 0xff, MF_MSG_TASK};
    struct mf_msg_head head;
    CHECK(mf_msg_unpack_head(huge, &head, NULL) == MF_EINVAL);
}

static void test_names(void)
{
    for (int kind = 1; kind < MF_MSG_KINDS; kind++)
        for (int other = 1; other < kind; other++)
            CHECK(strcmp(mf_msg_name((uint8_t)kind), mf_msg_name((uint8_t)other)) != 0);
    CHECK(strcmp(mf_msg_name(MF_MSG_RESULT), "RESULT") == 0 && strcmp(mf_msg_name(0), "?") == 0);
    CHECK(strcmp(mf_msg_name(MF_MSG_KINDS), "?") == 0 && strcmp(mf_msg_name(255), "?") == 0);
}

/* --- HELLO ------------------------------------------------------------------------------------------------------ */

static const struct mf_msg_hello own = {.version = MF_MSG_VERSION,
                                        .lua_version = 504,
                                        .integer = 8,
                                        .number = 8,
                                        .codec_version = 2,
                                        .pid = 12345,
                                        .cores = 64,
                                        .program = "0.1.0",
                                        .host = "node7.example.org"};

static void test_hello(void)
{
    struct mf_buf b = {0};
    struct mf_msg_hello back;
    CHECK(mf_msg_pack_hello(&b, &own) && b.len <= MF_MSG_MAX_HELLO);
    CHECK(mf_msg_unpack_hello(b.data, b.len, &back, NULL) == MF_OK);
    CHECK(back.version == own.version && back.lua_version == 504 && back.integer == 8 && back.number == 8);
    CHECK(back.codec_version == 2 && back.pid == 12345 && back.cores == 64);
    CHECK(strcmp(back.program, "0.1.0") == 0 && strcmp(back.host, "node7.example.org") == 0);
    CHECK(mf_msg_check_hello(&back, &own, NULL) == MF_OK);
    for (size_t n = 0; n < b.len; n++)
        CHECK(mf_msg_unpack_hello(b.data, n, &back, NULL) == MF_EINVAL);
    CHECK(mf_buf_append(&b, "", 1) && mf_msg_unpack_hello(b.data, b.len, &back, NULL) == MF_EINVAL);
    mf_buf_release(&b);
}

static void test_hello_in_noise(void)
{
    unsigned char head[MF_MSG_HEAD];
    struct mf_buf b = {0};
    CHECK(mf_buf_append(&b, "Welcome, MooF!\nMooF\1", 20));
    struct mf_msg_hello other = own;
    other.version = 77;
    mf_msg_pack_head(head, &(struct mf_msg_head){.length = 120, .kind = MF_MSG_HELLO});
    CHECK(mf_buf_append(&b, head, sizeof head) && mf_msg_pack_hello(&b, &other));
    CHECK(mf_msg_find_hello(b.data, b.len) == 20);
    CHECK(mf_msg_find_hello(b.data, 20 + MF_MSG_HEAD + 4) == 20);
    CHECK(mf_msg_find_hello(b.data, 20 + MF_MSG_HEAD + 3) == 20 + MF_MSG_HEAD + 3); /* none yet */
    CHECK(mf_msg_find_hello(b.data + 21, b.len - 21) == b.len - 21);
    CHECK(mf_msg_find_hello(NULL, 0) == 0);
    mf_buf_release(&b);
}

static void test_hello_texts(void)
{
    struct mf_msg_hello hello = own, back;
    struct mf_buf b = {0};
    memset(hello.host, 'h', sizeof hello.host); /* not terminated */
    memcpy(hello.program, "\033[2J\n", 6);
    CHECK(mf_msg_pack_hello(&b, &hello) && mf_msg_unpack_hello(b.data, b.len, &back, NULL) == MF_OK);
    CHECK(strlen(back.host) == sizeof back.host - 1 && strcmp(back.program, "?[2J?") == 0);
    mf_buf_release(&b);
}

static void test_strangers(void)
{
    static const char web[] = "HTTP/1.1 400 Bad Request\r\n";
    struct mf_msg_hello back;
    struct mf_fault fault;
    CHECK(mf_msg_unpack_hello(web, sizeof web, &back, &fault) == MF_EINVAL && strstr(fault.text, "protocol"));
}

/* What is said about a worker that differs as told. */
static const char *mismatch(struct mf_msg_hello theirs)
{
    static struct mf_fault fault;
    fault.text[0] = '\0';
    CHECK(mf_msg_check_hello(&theirs, &own, &fault) == MF_EINVAL);
    return fault.text;
}

static void test_mismatches(void)
{
    struct mf_msg_hello theirs = own;
    theirs.lua_version = 503;
    CHECK(strcmp(mismatch(theirs), "the worker runs Lua 5.3, this is Lua 5.4") == 0);
    theirs = own;
    theirs.integer = 4;
    CHECK(strcmp(mismatch(theirs), "the worker's Lua has integers of 4 and numbers of 8 bytes, this one of 8 and 8") ==
          0);
    theirs = own;
    theirs.codec_version = 9;
    CHECK(strcmp(mismatch(theirs),
                 "the worker is Moonfleet 0.1.0 with value format 9, this is 0.1.0 with value format 2") == 0);
}

/* Another version may have another layout behind the program's version, and another length. */
static void test_other_version(void)
{
    struct mf_msg_hello theirs = own, back;
    struct mf_buf b = {0};
    char expected[128];
    snprintf(expected, sizeof expected,
             "the worker is Moonfleet 0.9.1 with wire version %d, this is 0.1.0 with wire version %d",
             MF_MSG_VERSION + 1, MF_MSG_VERSION);
    theirs.version = MF_MSG_VERSION + 1;
    memcpy(theirs.program, "0.9.1", 6);
    CHECK(mf_msg_pack_hello(&b, &theirs) && mf_buf_append(&b, "more", 4));
    CHECK(mf_msg_unpack_hello(b.data, b.len, &back, NULL) == MF_OK);
    CHECK(strcmp(mismatch(back), expected) == 0);
    CHECK(mf_msg_unpack_hello(b.data, 24, &back, NULL) == MF_OK);
    CHECK(mf_msg_unpack_hello(b.data, 23, &back, NULL) == MF_EINVAL);
    mf_buf_release(&b);
}

/* --- TASK ------------------------------------------------------------------------------------------------------- */

static bool is(struct mf_msg_part part, const char *text)
{
    return part.n == strlen(text) && memcmp(part.bytes, text, part.n) == 0;
}

static void pack_example(struct mf_buf *out)
{
    struct mf_buf deps = {0};
    CHECK(mf_msg_pack_dep(&deps, "first", 5) && mf_msg_pack_dep(&deps, NULL, 0) && mf_msg_pack_dep(&deps, "3rd", 3));
    struct mf_msg_task task = {.code = 1,
                               .seed = UINT64_MAX,
                               .stream = 1000000007,
                               .setup = true,
                               .args = {(const unsigned char *)"args", 4},
                               .ndeps = 3,
                               .deps = {deps.data, deps.len}};
    CHECK(mf_msg_pack_task(out, &task));
    mf_buf_release(&deps);
}

static void test_task(void)
{
    struct mf_buf b = {0};
    struct mf_msg_task task;
    struct mf_msg_part dep = {NULL, 0};
    pack_example(&b);
    CHECK(mf_msg_unpack_task(b.data, b.len, &task, NULL) == MF_OK);
    CHECK(task.code == 1 && task.seed == UINT64_MAX && task.stream == 1000000007 && task.setup && task.ndeps == 3);
    CHECK(is(task.args, "args"));
    CHECK(mf_msg_next_dep(&task.deps, &dep) && is(dep, "first"));
    CHECK(mf_msg_next_dep(&task.deps, &dep) && is(dep, ""));
    CHECK(mf_msg_next_dep(&task.deps, &dep) && is(dep, "3rd"));
    CHECK(!mf_msg_next_dep(&task.deps, &dep) && !mf_msg_next_dep(&task.deps, &dep));
    mf_buf_release(&b);
}

static void test_init(void)
{
    unsigned char bytes[MF_MSG_INIT_HEAD + 8];
    struct mf_msg_init back, init = {.workers = 3, .processes = true, .grace = UINT64_MAX, .patience = 77};
    struct mf_msg_part payload;
    struct mf_fault fault;
    init.settings = (struct mf_msg_part){(const unsigned char *)"dir", 4};
    mf_msg_pack_init_head(bytes, &init);
    memcpy(bytes + MF_MSG_INIT_HEAD, "dir\0init", 8);
    CHECK(mf_msg_unpack_init(bytes, sizeof bytes, &back, &payload, NULL) == MF_OK && is(payload, "init"));
    CHECK(back.workers == 3 && back.processes && back.grace == UINT64_MAX && back.patience == 77);
    CHECK(back.settings.n == 4 && memcmp(back.settings.bytes, "dir", 4) == 0);
    for (size_t n = 0; n < MF_MSG_INIT_HEAD + 4; n++)
        CHECK(mf_msg_unpack_init(bytes, n, &back, &payload, &fault) == MF_EINVAL);
    CHECK(strcmp(fault.text, "broken INIT message") == 0);
    bytes[MF_MSG_INIT_HEAD + 3] = 'x'; /* settings without an end */
    CHECK(mf_msg_unpack_init(bytes, sizeof bytes, &back, &payload, NULL) == MF_EINVAL);
    bytes[MF_MSG_INIT_HEAD + 3] = 0;
    bytes[4] = 2; /* flags */
    CHECK(mf_msg_unpack_init(bytes, sizeof bytes, &back, &payload, NULL) == MF_EINVAL);
    bytes[4] = 0;
    bytes[2] = 1; /* 65,539 workers */
    CHECK(mf_msg_unpack_init(bytes, sizeof bytes, &back, &payload, NULL) == MF_EINVAL);
}

static void test_empty_task(void)
{
    struct mf_buf b = {0};
    struct mf_msg_task task = {.code = 5};
    struct mf_msg_part dep;
    CHECK(mf_msg_pack_task(&b, &task) && b.len == MF_MSG_TASK_HEAD);
    CHECK(mf_msg_unpack_task(b.data, b.len, &task, NULL) == MF_OK);
    CHECK(task.code == 5 && !task.setup && task.args.n == 0 && task.ndeps == 0);
    CHECK(!mf_msg_next_dep(&task.deps, &dep));
    mf_buf_release(&b);
}

static void test_broken_tasks(void)
{
    struct mf_buf b = {0};
    struct mf_msg_task task;
    struct mf_fault fault;
    pack_example(&b);
    for (size_t n = 0; n < b.len; n++) { /* cut: each length in its own block, so that a sanitizer sees a read beyond */
        unsigned char *cut = malloc(n ? n : 1);
        memcpy(cut, b.data, n);
        CHECK(mf_msg_unpack_task(cut, n, &task, &fault) == MF_EINVAL && strcmp(fault.text, "broken TASK message") == 0);
        free(cut);
    }
    CHECK(mf_msg_unpack_task(NULL, 0, &task, NULL) == MF_EINVAL);
    b.data[24] = 2; /* flags */
    CHECK(mf_msg_unpack_task(b.data, b.len, &task, NULL) == MF_EINVAL);
    b.data[24] = 0;
    b.data[36] = 2; /* dependencies */
    CHECK(mf_msg_unpack_task(b.data, b.len, &task, NULL) == MF_EINVAL);
    b.data[36] = 3;
    CHECK(mf_msg_unpack_task(b.data, b.len, &task, NULL) == MF_OK);
    memset(b.data + 40, 0xff, 8); /* length of args */
    CHECK(mf_msg_unpack_task(b.data, b.len, &task, NULL) == MF_EINVAL);
    mf_buf_release(&b);
}

/* --- The others ------------------------------------------------------------------------------------------------- */

static void test_result(void)
{
    struct mf_msg_result r = {.outcome = 3, .nanoseconds = UINT64_C(123456789012345)}, back;
    unsigned char body[MF_MSG_RESULT_HEAD + 5];
    mf_msg_pack_result_head(body, &r);
    memcpy(body + MF_MSG_RESULT_HEAD, "bytes", 5);
    CHECK(mf_msg_unpack_result(body, sizeof body, &back, NULL) == MF_OK);
    CHECK(back.outcome == 3 && back.nanoseconds == r.nanoseconds && is(back.bytes, "bytes"));
    CHECK(mf_msg_unpack_result(body, MF_MSG_RESULT_HEAD, &back, NULL) == MF_OK && back.bytes.n == 0);
    CHECK(mf_msg_unpack_result(body, MF_MSG_RESULT_HEAD - 1, &back, NULL) == MF_EINVAL);
    body[1] = 1; /* no outcome is so large */
    CHECK(mf_msg_unpack_result(body, sizeof body, &back, NULL) == MF_EINVAL);
}

static void test_progress_and_output(void)
{
    unsigned char body[MF_MSG_PROGRESS_HEAD + 4];
    struct mf_msg_progress p;
    struct mf_msg_output o;
    struct mf_fault fault;
    mf_msg_pack_progress_head(body, 0.25);
    memcpy(body + MF_MSG_PROGRESS_HEAD, "half", 4);
    CHECK(mf_msg_unpack_progress(body, sizeof body, &p, NULL) == MF_OK && p.fraction == 0.25 && is(p.text, "half"));
    mf_msg_pack_progress_head(body, NAN);
    CHECK(mf_msg_unpack_progress(body, sizeof body, &p, NULL) == MF_OK && isnan(p.fraction));
    CHECK(mf_msg_unpack_progress(body, 7, &p, &fault) == MF_EINVAL && strstr(fault.text, "PROGRESS"));
    CHECK(mf_msg_unpack_output("\2text", 5, &o, NULL) == MF_OK && o.stream == 2 && is(o.bytes, "text"));
    CHECK(mf_msg_unpack_output("", 0, &o, NULL) == MF_EINVAL);
}

static void test_module(void)
{
    struct mf_msg_module m;
    unsigned char body[MF_MSG_MODULE_HEAD + 10];
    mf_msg_pack_module_head(body, true, 4);
    memcpy(body + MF_MSG_MODULE_HEAD, "namesource", 10);
    CHECK(mf_msg_unpack_module(body, sizeof body, &m, NULL) == MF_OK && m.found);
    CHECK(is(m.name, "name") && is(m.source, "source"));
    CHECK(mf_msg_unpack_module(body, MF_MSG_MODULE_HEAD + 3, &m, NULL) == MF_EINVAL);
    CHECK(mf_msg_unpack_module(body, 4, &m, NULL) == MF_EINVAL);
    body[0] = 2;
    CHECK(mf_msg_unpack_module(body, sizeof body, &m, NULL) == MF_EINVAL);
    mf_msg_pack_module_head(body, false, 0);
    CHECK(mf_msg_unpack_module(body, MF_MSG_MODULE_HEAD, &m, NULL) == MF_OK && !m.found);
}

static void test_integers(void)
{
    unsigned char bytes[8];
    mf_msg_put64(bytes, UINT64_C(0x8877665544332211));
    CHECK(bytes[0] == 0x11 && bytes[7] == 0x88 && mf_msg_get64(bytes) == UINT64_C(0x8877665544332211));
}

int main(void)
{
    test_head();
    test_beside();
    test_broken_heads();
    test_names();
    test_hello();
    test_hello_texts();
    test_hello_in_noise();
    test_strangers();
    test_mismatches();
    test_other_version();
    test_task();
    test_init();
    test_empty_task();
    test_broken_tasks();
    test_result();
    test_progress_and_output();
    test_module();
    test_integers();
    return check_report();
}
