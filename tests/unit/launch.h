/* Launches for the C tests: one call that launches and waits, over either transport, against servers of sshd.h; and a
 * program that says hello like an agent and then echoes. */
#ifndef MF_TEST_LAUNCH_H
#define MF_TEST_LAUNCH_H

#include <semaphore.h>
#include <sys/stat.h>

#include "../../runtime/buf.h"
#include "../../runtime/launch_ssh.h"
#include "../../runtime/msg.h"
#include "sshd.h"

#define LAUNCH_VERSION "Moonfleet 9.9.9"

static struct mf_launch_group *launch_group;
static char launch_config[SSHD_TEXT], launch_known[SSHD_TEXT];

static inline void launch_begin(const char *types)
{
    sshd_begin(types);
    sshd_path(launch_config, "config");
    sshd_path(launch_known, "known_hosts");
    launch_group = mf_launch_group_new(NULL, NULL);
    CHECK(launch_group != NULL);
}

static inline void launch_end(void)
{
    mf_launch_group_free(launch_group);
    sshd_end();
}

/* Options for one of the servers, with the tests' own configuration and keys. */
static inline struct mf_launch_ssh_options launch_options(const struct sshd *sshd, enum mf_launch_transport transport)
{
    return (struct mf_launch_ssh_options){.host = "127.0.0.1",
                                          .port = sshd ? sshd->port : 0,
                                          .transport = transport,
                                          .config = launch_config,
                                          .name = "cluster/1",
                                          .version = LAUNCH_VERSION,
                                          .upload = true};
}

static inline void launch_post(void *sem)
{
    sem_post(sem);
}

/* Launches and waits for the result. */
static inline struct mf_launch_ssh_result launch_wait_in(struct mf_launch_group *group,
                                                         const struct mf_launch_ssh_options *options)
{
    struct mf_launch_ssh_result result = {.code = MF_EINVAL};
    struct mf_fault fault = {0};
    sem_t sem;
    sem_init(&sem, 0, 0);
    struct mf_launch_ssh *l = mf_launch_ssh_start(group, options, launch_post, &sem, &fault);
    if (!CHECK(l != NULL)) {
        snprintf(result.text, sizeof result.text, "%s", fault.text);
        return result;
    }
    while (sem_wait(&sem) != 0) {
    }
    CHECK(mf_launch_ssh_take(l, &result) && !mf_launch_ssh_take(l, &result));
    mf_launch_ssh_free(l);
    sem_destroy(&sem);
    return result;
}

static inline struct mf_launch_ssh_result launch_wait(const struct mf_launch_ssh_options *options)
{
    return launch_wait_in(launch_group, options);
}

static inline void launch_close(struct mf_launch_ssh_result *result)
{
    if (result->remote)
        result->remote->end.table->close(&result->remote->end);
    result->remote = NULL;
}

/* Does the far end echo? */
static inline bool launch_echoes(struct mf_stream_remote *r)
{
    struct mf_wait wait = sshd_soon();
    enum mf_err e;
    char text[6] = "";
    size_t n = 0;
    if (mf_remote_write(r, "hello", 5, &wait) != MF_OK)
        return false;
    while (n < 5) {
        ssize_t got = mf_remote_read(r, text + n, 5 - n, &wait, &e);
        if (got <= 0)
            return false;
        n += (size_t)got;
    }
    return strcmp(text, "hello") == 0;
}

/* Is the next thing that is read a hello? Takes it. */
static inline bool launch_says_hello(struct mf_stream_remote *r)
{
    unsigned char frame[MF_MSG_HEAD + MF_MSG_MAX_HELLO];
    struct mf_wait wait = sshd_soon();
    struct mf_msg_head head;
    struct mf_msg_hello hello;
    enum mf_err e;
    size_t n = 0, want = MF_MSG_HEAD;
    while (n < want) {
        ssize_t got = mf_remote_read(r, frame + n, want - n, &wait, &e);
        if (got <= 0)
            return false;
        n += (size_t)got;
        if (n == MF_MSG_HEAD && want == MF_MSG_HEAD) {
            if (mf_msg_unpack_head(frame, &head, NULL) != MF_OK || head.length > MF_MSG_MAX_HELLO)
                return false;
            want += (size_t)head.length;
        }
    }
    return mf_msg_unpack_hello(frame + MF_MSG_HEAD, (size_t)head.length, &hello, NULL) == MF_OK && hello.cores == 7;
}

/* Expects a result that works, and closes it. */
static inline bool launch_works(const struct mf_launch_ssh_options *options)
{
    struct mf_launch_ssh_result r = launch_wait(options);
    bool good = r.code == MF_OK && r.remote && (options->command || launch_says_hello(r.remote)) &&
                launch_echoes(r.remote) && r.seconds > 0;
    if (!good)
        fprintf(stderr, "launch failed: %s\n", r.text);
    launch_close(&r);
    return good;
}

/* Expects a failure in that step whose text has the words (NULL: any). */
static inline bool launch_fails(const struct mf_launch_ssh_options *options, enum mf_launch_step step, const char *a,
                                const char *b)
{
    struct mf_launch_ssh_result r = launch_wait(options);
    bool good = r.code != MF_OK && !r.remote && r.step == step && (!a || strstr(r.text, a)) &&
                (!b || strstr(r.text, b)) && strncmp(r.text, options->host, strlen(options->host)) == 0;
    for (const char *c = r.text; *c; c++)
        good = good && *c >= ' ' && *c != 127;
    if (!good)
        fprintf(stderr, "not in %s with '%s' and '%s': %d, %s: %s\n", mf_launch_step_name(step), a ? a : "", b ? b : "",
                (int)r.code, mf_launch_step_name(r.step), r.text);
    launch_close(&r);
    return good;
}

static inline void launch_write(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0 && chmod(path, mode) == 0);
}

/* Writes a shell script that answers like the program: its version, and as an agent a hello and an echo. padding: bytes of
 * it that are never read. */
static inline void launch_write_program(const char *path, const char *version, size_t padding)
{
    const struct mf_msg_hello hello = {.version = MF_MSG_VERSION, .lua_version = 504, .cores = 7, .program = "9.9.9"};
    unsigned char head[MF_MSG_HEAD];
    struct mf_buf body = {.len = 0};
    FILE *f = fopen(path, "w");
    CHECK(f && mf_msg_pack_hello(&body, &hello));
    mf_msg_pack_head(head, &(struct mf_msg_head){.length = body.len, .kind = MF_MSG_HELLO});
    fprintf(f, "#!/bin/sh\ncase $1 in\n--version) echo '%s  Copyright' ;;\n", version);
    fprintf(f, "--agent) [ \"$3\" = --stdio ] || exit 9\nprintf '");
    for (size_t i = 0; i < sizeof head; i++)
        fprintf(f, "\\%03o", head[i]);
    for (size_t i = 0; i < body.len; i++)
        fprintf(f, "\\%03o", body.data[i]);
    fprintf(f, "'\nexec cat ;;\nesac\nexit\n");
    for (size_t i = 0; i < padding; i++)
        putc("#padding\n"[i % 9], f);
    CHECK(fclose(f) == 0 && chmod(path, 0755) == 0);
    mf_buf_release(&body);
}

#endif
