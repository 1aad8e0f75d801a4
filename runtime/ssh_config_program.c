/* Design note: `ssh -G` prints every directive that is in force for a host, one a line, keyword first. It is started with
 * an argument vector, never a shell, and killed at the deadline. Values with blanks in them it prints without quotes, so
 * only those that are lists are cut at blanks. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "launch_program.h"
#include "ssh_config_inner.h"

#define ANSWER_BYTES ((size_t)256 * 1024)

/* The whole answer, ended by '\0'. */
static enum mf_err read_answer(struct mf_stream_remote *r, const struct mf_wait *wait, struct mf_buf *answer,
                               struct mf_fault *fault)
{
    char bytes[4096];
    ssize_t n;
    enum mf_err e = MF_OK;
    while ((n = mf_remote_read(r, bytes, sizeof bytes, wait, &e)) > 0)
        if (answer->len + (size_t)n > ANSWER_BYTES || !mf_buf_append(answer, bytes, (size_t)n))
            return mf_fault_set(fault, MF_EINVAL, "ssh -G says too much");
    if (n < 0)
        return mf_fault_set(fault, e, "ssh -G %s", e == MF_ETIMEDOUT ? "did not end in time" : mf_err_text(e));
    return mf_buf_append(answer, "", 1) ? MF_OK : mf_fault_set(fault, MF_ENOMEM, "out of memory");
}

static enum mf_err check_exit(struct mf_stream_remote *r, const struct mf_wait *wait, struct mf_fault *fault)
{
    struct mf_remote_exit exit;
    char how[64], last[160];
    enum mf_err e = mf_remote_finish(r, wait, &exit);
    if (e != MF_OK || (exit.how == MF_REMOTE_EXITED && exit.code == 0))
        return e;
    mf_remote_describe(&exit, how, sizeof how);
    return mf_fault_set(fault, MF_EINVAL, "ssh -G %s: %s", how, mf_remote_last(r, last, sizeof last));
}

static bool is_list(const char *keyword)
{
    return strcasecmp(keyword, "UserKnownHostsFile") == 0 || strcasecmp(keyword, "GlobalKnownHostsFile") == 0;
}

static bool take_lines(char *text, struct mf_ssh_raw *raw)
{
    char *words[MF_SSH_WORDS], *rest = text, *line;
    while ((line = strsep(&rest, "\n"))) {
        char *value = strchr(line, ' ');
        size_t n = 1;
        if (!value)
            continue;
        *value++ = '\0';
        words[0] = value;
        if (is_list(line))
            for (n = 0; n < MF_SSH_WORDS && (words[n] = strsep(&value, " ")); n++) {
            }
        if (!mf_ssh_raw_set(raw, line, words, n))
            return false;
    }
    return true;
}

enum mf_err mf_ssh_config_ask(const struct mf_ssh_query *q, struct mf_ssh_raw *raw, struct mf_fault *fault)
{
    const struct mf_wait wait = {.deadline = q->deadline, .cancel = q->cancel};
    const char *argv[10] = {q->program ? q->program : "ssh", "-G"};
    struct mf_buf answer = {.len = 0};
    char port[16];
    size_t n = 2;
    if (q->file) {
        argv[n++] = "-F";
        argv[n++] = q->file;
    }
    if (q->user) {
        argv[n++] = "-l";
        argv[n++] = q->user;
    }
    if (q->port) {
        snprintf(port, sizeof port, "%d", q->port);
        argv[n++] = "-p";
        argv[n++] = port;
    }
    argv[n] = q->host;
    struct mf_stream_remote *r = mf_launch_program(argv, fault);
    if (!r)
        return fault->code;
    enum mf_err e = read_answer(r, &wait, &answer, fault);
    if (e == MF_OK)
        e = check_exit(r, &wait, fault);
    r->end.table->close(&r->end);
    if (e == MF_OK && !take_lines((char *)answer.data, raw))
        e = mf_fault_set(fault, MF_ENOMEM, "out of memory while reading the SSH configuration");
    mf_buf_release(&answer);
    return e;
}
