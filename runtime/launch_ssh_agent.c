/* Design note: what the host is told is one word in single quotes for its login shell, whatever that is, and in it a script
 * for sh: without single quotes, backslashes, exclamation marks and line ends it means the same to sh, csh and fish. It
 * looks for the program in three places and replaces itself by it, or says on one marked line that there is none.
 *
 * Login shells may print things first. What they say is skipped until the hello's frame (msg.h) or the marked line. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "launch_ssh_inner.h"
#include "log.h"
#include "msg.h"
#include "sys.h"

#define NOISE_BYTES  ((size_t)64 * 1024)
#define SCRIPT_BYTES 2000
#define SHOWN_BYTES  100 /* of the noise, in messages */

/* --- Running ------------------------------------------------------------------------------------------------------- */

struct mf_stream_remote *mf_launch_run(struct mf_run *run, const char *command, struct mf_fault *fault)
{
    struct mf_launch_ssh *l = run->launch;
    const struct mf_launch_limits *limits = &l->options.limits;
    double login = run->session ? 0 : limits->connect + limits->kex + limits->auth; /* is the program's part */
    mf_launch_begin(l, MF_LAUNCH_EXEC, limits->hello + login);
    return run->session ? mf_ssh_exec(run->session, command, &l->wait, fault)
                        : mf_launch_run_program(l, command, fault);
}

void mf_launch_end_run(struct mf_run *run, struct mf_stream_remote *remote)
{
    struct mf_remote_exit exit;
    mf_remote_finish(remote, &run->launch->wait, &exit);
    if (run->session)
        mf_ssh_end_exec(run->session, remote, &run->launch->wait);
    else
        remote->end.table->close(&remote->end);
}

/* --- Listening ----------------------------------------------------------------------------------------------------- */

struct noise {
    unsigned char bytes[NOISE_BYTES];
    size_t n;
};

/* What follows the marker on a whole line, or NULL. */
static const char *find_marker(const struct noise *noise, size_t *n)
{
    static const char marker[] = MF_LAUNCH_MARKER;
    const char *at = (const char *)noise->bytes, *end = at + noise->n;
    while (at && (size_t)(end - at) > sizeof marker - 1) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop && (size_t)(stop - at) >= sizeof marker - 1 && memcmp(at, marker, sizeof marker - 1) == 0) {
            *n = (size_t)(stop - at) - (sizeof marker - 1);
            return at + sizeof marker - 1;
        }
        at = stop ? stop + 1 : NULL;
    }
    return NULL;
}

static void log_noise(const struct mf_launch_ssh *l, const struct noise *noise, size_t n)
{
    char shown[SHOWN_BYTES * 4];
    mf_err_show(shown, sizeof shown, noise->bytes, n < SHOWN_BYTES ? n : SHOWN_BYTES);
    if (n > 0)
        mf_log(MF_LOG_POOL, "%s: skipped %zu bytes in front of the agent's: \"%s\"", l->options.host, n, shown);
}

/* Words for an end that came too early. */
static enum mf_err tell_end(struct mf_run *run, struct mf_stream_remote *remote, const struct noise *noise)
{
    struct mf_launch_ssh *l = run->launch;
    struct mf_remote_exit exit = {.how = MF_REMOTE_RUNS};
    char how[200], last[900], shown[SHOWN_BYTES * 4];
    mf_remote_finish(remote, &l->wait, &exit);
    mf_remote_describe(&exit, how, sizeof how);
    mf_remote_last(remote, last, sizeof last);
    if (!run->session && mf_launch_program_failed(l, remote, &exit))
        return mf_launch_fail(l, MF_EINVAL, "ssh: %s", last[0] ? last : how);
    if (exit.how == MF_REMOTE_LOST)
        snprintf(how, sizeof how, "the connection was lost: %s", remote->end.table->last_error(&remote->end));
    mf_err_show(shown, sizeof shown, noise->bytes, noise->n < SHOWN_BYTES ? noise->n : SHOWN_BYTES);
    const char *advice = "";
    if (l->options.program && exit.how == MF_REMOTE_EXITED && (exit.code == 127 || exit.code == 126))
        advice = exit.code == 127 ? "; is that program there, with all its libraries?"
                                  : "; it is there, but cannot be executed (wrong machine, or no permission)";
    return mf_launch_fail(
        l, MF_ELOST, "%s %s%s%s%s%s%s%s", l->options.program ? l->options.program : "the host's shell", how, advice,
        last[0] ? "; it said: " : "", last, shown[0] ? "; its output begins \"" : "", shown, shown[0] ? "\"" : "");
}

static enum mf_err tell_wait(struct mf_launch_ssh *l, enum mf_err e, const struct mf_stream_remote *remote,
                             const struct noise *noise)
{
    char last[900], shown[SHOWN_BYTES * 4];
    mf_remote_last(remote, last, sizeof last);
    mf_err_show(shown, sizeof shown, noise->bytes, noise->n < SHOWN_BYTES ? noise->n : SHOWN_BYTES);
    return mf_launch_fail(l, e, "no answer in time%s%s%s%s%s", last[0] ? "; it said: " : "", last,
                          shown[0] ? "; its output begins \"" : "", shown, shown[0] ? "\"" : "");
}

/* Reads a little more and looks. *found: it is there. */
static enum mf_err read_more(struct mf_run *run, struct mf_stream_remote *remote, struct noise *noise)
{
    struct mf_launch_ssh *l = run->launch;
    enum mf_err e = MF_OK;
    if (noise->n == sizeof noise->bytes) {
        char shown[SHOWN_BYTES * 4];
        mf_err_show(shown, sizeof shown, noise->bytes, SHOWN_BYTES);
        return mf_launch_fail(l, MF_ELIMIT, "the host says other things without end, such as \"%s\"", shown);
    }
    ssize_t n = mf_remote_read(remote, noise->bytes + noise->n, sizeof noise->bytes - noise->n, &l->wait, &e);
    if (n < 0)
        return tell_wait(l, e, remote, noise);
    noise->n += (size_t)n;
    return n == 0 ? tell_end(run, remote, noise) : MF_OK;
}

static enum mf_err listen_for(struct mf_run *run, struct mf_stream_remote *remote, struct noise *noise, bool hello,
                              char *line, size_t room)
{
    for (;;) {
        size_t at = hello ? mf_msg_find_hello(noise->bytes, noise->n) : noise->n, n = 0;
        if (at < noise->n) {
            log_noise(run->launch, noise, at);
            if (mf_remote_unread(remote, noise->bytes + at, noise->n - at))
                return MF_OK;
            return mf_launch_fail(run->launch, MF_ENOMEM, "out of memory");
        }
        const char *found = find_marker(noise, &n);
        if (found) {
            snprintf(line, room, "%.*s", (int)n, found);
            return MF_OK;
        }
        enum mf_err e = read_more(run, remote, noise);
        if (e != MF_OK)
            return e;
    }
}

enum mf_err mf_launch_listen(struct mf_run *run, struct mf_stream_remote *remote, bool hello, char *line, size_t room)
{
    struct noise *noise = malloc(sizeof *noise);
    if (!noise)
        return mf_launch_fail(run->launch, MF_ENOMEM, "out of memory");
    noise->n = 0;
    line[0] = '\0';
    enum mf_err e = listen_for(run, remote, noise, hello, line, room);
    free(noise);
    return e;
}

/* --- Starting ------------------------------------------------------------------------------------------------------ */

enum mf_err mf_launch_build(struct mf_launch_ssh *l, char hex[65], uint64_t *size)
{
    struct mf_fault fault;
    enum mf_err e = mf_hash_file(l->options.node_build, hex, size, &fault);
    return e == MF_OK ? e : mf_launch_fail(l, e, "the node build: %s", fault.text);
}

bool mf_launch_fill(char *out, size_t room, const char *text, const char *const values[])
{
    size_t at = 0;
    for (; *text && at + 1 < room; text++) {
        if (text[0] != '@' || text[1] < '0' || text[1] > '9' || text[2] != '@') {
            out[at++] = *text;
            continue;
        }
        at += (size_t)snprintf(out + at, room - at, "%s", values[text[1] - '0']);
        text += 2;
    }
    if (at >= room)
        return false;
    out[at] = '\0';
    return *text == '\0';
}

/* @N@: 0 places of a node build, 1 our version, 2 the worker's name. A folder below /tmp counts only if it is the user's own
 * and no link. */
static const char script[] = "exec sh -c 't=" MF_LAUNCH_TEMP "; w=; for p in moonfleet@0@; do "
                             "case $p in $t/*) [ -O $t ] || continue; [ -h $t ] && continue;; esac; "
                             "set -- $(\"$p\" --version 2>/dev/null </dev/null); "
                             "[ \"$1 $2\" = \"@1@\" ] && exec \"$p\" --agent @2@ --stdio; w=\"$w $*\"; done; "
                             "echo \"" MF_LAUNCH_MARKER "none $(uname -s) $(uname -m)$w\"; exit 127'";

static enum mf_err make_command(struct mf_launch_ssh *l, char command[SCRIPT_BYTES])
{
    static const char *const place = " \"" MF_LAUNCH_CACHE "/@0@/moonfleet\" \"$t/@0@/moonfleet\"";
    const struct mf_launch_ssh_options *o = &l->options;
    char hex[65] = "", folder[MF_LAUNCH_HASH + 1], places[400] = "";
    const char *const values[] = {places, o->version, o->name}, *const folders[] = {folder};
    uint64_t size;
    if (o->command || o->program) {
        snprintf(command, SCRIPT_BYTES, o->command ? "%s" : "%s --agent %s --stdio",
                 o->command ? o->command : o->program, o->name);
        return MF_OK;
    }
    enum mf_err e = o->node_build ? mf_launch_build(l, hex, &size) : MF_OK;
    if (e != MF_OK)
        return e;
    snprintf(folder, sizeof folder, "%.*s", MF_LAUNCH_HASH, hex);
    if (o->node_build)
        mf_launch_fill(places, sizeof places, place, folders);
    if (!mf_launch_fill(command, SCRIPT_BYTES, script, values))
        return mf_launch_fail(l, MF_EINVAL, "the command is too long");
    return MF_OK;
}

/* Starts it and waits for its hello. *missing: there is no such program on the host. */
static enum mf_err start(struct mf_run *run, bool *missing)
{
    struct mf_launch_ssh *l = run->launch;
    struct mf_fault fault;
    char command[SCRIPT_BYTES], line[200] = "";
    *missing = false;
    l->step = MF_LAUNCH_EXEC;
    enum mf_err e = make_command(l, command);
    if (e != MF_OK)
        return e;
    struct mf_stream_remote *remote = mf_launch_run(run, command, &fault);
    if (!remote)
        return mf_launch_fail(l, fault.code, "%s", fault.text);
    l->step = l->options.command ? l->step : MF_LAUNCH_HELLO;
    if (!l->options.command)
        e = mf_launch_listen(run, remote, true, line, sizeof line);
    *missing = e == MF_OK && line[0];
    if (e == MF_OK && !*missing) {
        if (run->session)
            mf_ssh_give(run->session, remote);
        l->result.remote = remote;
        return MF_OK;
    }
    snprintf(l->remote, sizeof l->remote, "%.*s", (int)sizeof l->remote - 1,
             strncmp(line, "none ", 5) == 0 ? line + 5 : line);
    if (*missing)
        mf_launch_end_run(run, remote);
    else
        remote->end.table->close(&remote->end);
    return e;
}

enum mf_err mf_launch_agent(struct mf_run *run)
{
    struct mf_launch_ssh *l = run->launch;
    bool missing;
    enum mf_err e = start(run, &missing);
    if (e != MF_OK || !missing)
        return e;
    if (!l->options.upload || !l->options.node_build)
        return mf_launch_fail(
            l, MF_EINVAL, "the host (%s) has no %s, and %s. Install it there, or name it (program = \"...\")",
            l->remote, l->options.version, l->options.upload ? "there is no node build to upload" : "upload is off");
    e = mf_launch_upload(run);
    if (e != MF_OK)
        return e;
    l->result.uploaded = true;
    e = start(run, &missing);
    if (e == MF_OK && missing)
        return mf_launch_fail(l, MF_EINVAL, "the node build was uploaded, but the host does not find it (%s)",
                              l->remote);
    return e;
}
