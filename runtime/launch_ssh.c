/* Design note: the launch itself: options, thread, result, and what all steps need: time, words, questions. What a step
 * does stands in launch_ssh_*.c. The result belongs to the thread until finished is set and to the caller afterwards, so
 * there is no lock. */
#define _GNU_SOURCE
#include "launch_ssh_inner.h"

#include <ctype.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sys.h"
#include "sys_fd.h"

#define STACK      ((size_t)1 << 20)
#define FIRST_NS   200000000u  /* the first wait before another try */
#define LONGEST_NS 5000000000u /* the longest */

const char *mf_launch_step_name(enum mf_launch_step step)
{
    static const char *const names[MF_LAUNCH_STEPS] = {
        [MF_LAUNCH_CONFIG] = "configuration", [MF_LAUNCH_RESOLVE] = "name look-up", [MF_LAUNCH_CONNECT] = "connect",
        [MF_LAUNCH_KEX] = "key exchange",     [MF_LAUNCH_HOST_KEY] = "host key",    [MF_LAUNCH_AUTH] = "authentication",
        [MF_LAUNCH_FORWARD] = "forwarding",   [MF_LAUNCH_EXEC] = "start",           [MF_LAUNCH_UPLOAD] = "upload",
        [MF_LAUNCH_HELLO] = "hello"};
    return (unsigned)step < MF_LAUNCH_STEPS ? names[step] : "?";
}

/* --- What steps need ----------------------------------------------------------------------------------------------- */

void mf_launch_begin(struct mf_launch_ssh *l, enum mf_launch_step step, double seconds)
{
    l->step = step;
    l->wait = (struct mf_wait){.deadline = mf_sys_after(seconds), .cancel = l->cancel[0]};
}

enum mf_err mf_launch_fail(struct mf_launch_ssh *l, enum mf_err code, const char *format, ...)
{
    struct mf_launch_ssh_result *r = &l->result;
    va_list args;
    r->code = atomic_load(&l->cancelled) ? MF_EINTR : code;
    r->step = l->step;
    int at = snprintf(r->text, sizeof r->text, "%s: %s%s%s: ", l->options.host, mf_launch_step_name(l->step),
                      l->at ? " at jump host " : "", l->at ? l->at->name : "");
    va_start(args, format);
    vsnprintf(r->text + at, sizeof r->text - (size_t)at, r->code == MF_EINTR ? "cancelled" : format, args);
    va_end(args);
    return r->code;
}

void mf_launch_note(struct mf_launch_ssh *l, const char *format, ...)
{
    char *note = l->result.note;
    size_t at = strlen(note), room = sizeof l->result.note;
    va_list args;
    if (at > 0 && at + 3 < room) {
        strcpy(note + at, "; ");
        at += 2;
    }
    va_start(args, format);
    vsnprintf(note + at, room - at, format, args);
    va_end(args);
}

bool mf_launch_ask_person(struct mf_launch_ssh *l, const char *text, bool echo, const char *key, bool again,
                          char *answer, size_t room)
{
    const struct mf_launch_question question = {.host = l->options.host, .text = text, .echo = echo};
    uint64_t before = mf_sys_now();
    bool given = mf_launch_group_ask(l->group, &question, key, again, answer, room, &l->cancelled);
    uint64_t took = mf_sys_now() - before;
    l->asked += took;
    if (l->wait.deadline != MF_SYS_NEVER)
        l->wait.deadline += took;
    return given;
}

enum mf_err mf_launch_back_off(struct mf_launch_ssh *l, unsigned attempt)
{
    uint64_t longest = (uint64_t)FIRST_NS << attempt;
    if (longest > LONGEST_NS)
        longest = LONGEST_NS;
    uint64_t until = mf_sys_now() + longest / 2 + mf_sys_entropy() % (longest / 2);
    struct pollfd cancel = {.fd = l->cancel[0], .events = POLLIN};
    while (!atomic_load(&l->cancelled) && mf_sys_now() < until)
        mf_sys_poll(&cancel, 1, until);
    return atomic_load(&l->cancelled) ? MF_EINTR : MF_OK;
}

/* --- Options ------------------------------------------------------------------------------------------------------- */

static bool copy_text(const char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return !from || *to;
}

static bool copy_identities(struct mf_launch_ssh_options *to, const struct mf_launch_ssh_options *from)
{
    size_t n = 0;
    to->identities = NULL;
    while (from->identities && from->identities[n])
        n++;
    if (!from->identities)
        return true;
    const char **list = calloc(n + 1, sizeof *list);
    to->identities = list;
    for (size_t i = 0; list && i < n; i++)
        if (!copy_text(&list[i], from->identities[i]))
            return false;
    return list != NULL;
}

static double or_default(double seconds, double usual)
{
    return seconds > 0 ? seconds : usual;
}

static bool copy_options(struct mf_launch_ssh_options *to, const struct mf_launch_ssh_options *from)
{
    *to = *from;
    to->limits = (struct mf_launch_limits){or_default(from->limits.resolve, 10), or_default(from->limits.connect, 10),
                                           or_default(from->limits.kex, 15),     or_default(from->limits.auth, 30),
                                           or_default(from->limits.upload, 120), or_default(from->limits.hello, 30)};
    bool good = copy_identities(to, from);
    good &= copy_text(&to->host, from->host);
    good &= copy_text(&to->user, from->user);
    good &= copy_text(&to->config, from->config);
    good &= copy_text(&to->known_hosts, from->known_hosts);
    good &= copy_text(&to->ssh, from->ssh ? from->ssh : "ssh");
    good &= copy_text(&to->name, from->name);
    good &= copy_text(&to->program, from->program);
    good &= copy_text(&to->version, from->version);
    good &= copy_text(&to->node_build, from->node_build);
    good &= copy_text(&to->command, from->command);
    return good & copy_text(&to->library_cannot, from->library_cannot);
}

static void free_options(struct mf_launch_ssh_options *o)
{
    const char *const texts[] = {o->host,    o->user,    o->config,     o->known_hosts, o->ssh,           o->name,
                                 o->program, o->version, o->node_build, o->command,     o->library_cannot};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free((void *)(uintptr_t)texts[i]);
    for (size_t i = 0; o->identities && o->identities[i]; i++)
        free((void *)(uintptr_t)o->identities[i]);
    free((void *)(uintptr_t)o->identities);
}

/* Words that go into a command line of an unknown shell as they are. */
static bool is_plain(const char *text, const char *allowed)
{
    for (const char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr(allowed, *c))
            return false;
    return *text && *text != '-';
}

static enum mf_err check_options(const struct mf_launch_ssh_options *o, struct mf_fault *fault)
{
    enum mf_err e = mf_ssh_config_check_host(o->host, fault);
    if (e == MF_OK && o->user)
        e = mf_ssh_config_check_user(o->user, fault);
    if (e != MF_OK)
        return e;
    if (o->port < 0 || o->port > 65535)
        return mf_fault_set(fault, MF_EINVAL, "%s: port %d is none", o->host, o->port);
    if (o->command)
        return MF_OK;
    if (!o->name || !is_plain(o->name, "._/-+:@"))
        return mf_fault_set(fault, MF_EINVAL, "%s: the worker's name has shell characters", o->host);
    if (o->program && !is_plain(o->program, "._/-+:@~,=%"))
        return mf_fault_set(fault, MF_EINVAL, "%s: program: '%.100s' has blanks, quotes or shell characters", o->host,
                            o->program);
    if (!o->program && (!o->version || !is_plain(o->version, "._-+ ")))
        return mf_fault_set(fault, MF_EINVAL, "%s: no version to look for", o->host);
    return MF_OK;
}

/* --- The thread ---------------------------------------------------------------------------------------------------- */

static enum mf_err by_program(struct mf_launch_ssh *l, const char *why)
{
    l->at = NULL;
    l->result.note[0] = '\0';
    mf_launch_note(l, "by the ssh program: %s", why);
    mf_log(MF_LOG_POOL, "%s: %s", l->options.host, l->result.note);
    return mf_launch_by_program(l);
}

/* Why libssh2 is no way to reach the host, as far as the configuration tells; "" if it may be one. */
static const char *library_cannot(const struct mf_launch_ssh *l)
{
    if (l->options.library_cannot)
        return l->options.library_cannot;
    for (size_t i = 0; i < l->nhops; i++)
        if (l->hops[i].config.needs_program[0])
            return l->hops[i].config.needs_program;
    return "";
}

static enum mf_err choose(struct mf_launch_ssh *l)
{
    struct mf_fault missing;
    bool have = mf_ssh_config_has_program(l->options.ssh);
    const char *why = library_cannot(l);
    if (l->options.transport == MF_LAUNCH_OPENSSH && !have)
        return mf_launch_fail(l, MF_EINVAL, "there is no program '%s'", l->options.ssh);
    if (l->options.transport == MF_LAUNCH_OPENSSH)
        return mf_launch_by_program(l);
    if (*why && (l->options.transport == MF_LAUNCH_LIBSSH2 || !have))
        return mf_launch_fail(l, MF_EINVAL, "libssh2 cannot follow %s; the ssh program can (%s)", why,
                              have ? "transport = \"openssh\"" : "it is not installed here");
    if (*why)
        return by_program(l, why);
    bool other = l->options.transport != MF_LAUNCH_LIBSSH2 && have;
    if (mf_ssh_load(&missing) != MF_OK)
        return other ? by_program(l, missing.text) : mf_launch_fail(l, missing.code, "%s", missing.text);
    enum mf_err e = mf_launch_by_libssh2(l);
    if (e == MF_OK || e == MF_EINTR || !other || !l->program_why[0])
        return e;
    return by_program(l, l->program_why);
}

static void *run(void *arg)
{
    struct mf_launch_ssh *l = arg;
    l->began = mf_sys_now();
    enum mf_err e = mf_launch_find_hops(l);
    if (e == MF_OK)
        e = choose(l);
    l->result.code = e;
    if (e == MF_OK)
        l->result.text[0] = '\0';
    l->result.seconds = (double)(mf_sys_now() - l->began - l->asked) / 1e9;
    mf_log(MF_LOG_POOL, "%s: %s in %.3f s", l->options.host, e == MF_OK ? "launched" : l->result.text,
           l->result.seconds);
    atomic_store(&l->finished, true);
    l->done(l->arg);
    return NULL;
}

/* --- The caller's side --------------------------------------------------------------------------------------------- */

static void free_launch(struct mf_launch_ssh *l)
{
    for (size_t i = 0; i < l->nhops; i++) {
        free(l->hops[i].name);
        mf_ssh_config_release(&l->hops[i].config);
    }
    if (l->cancel[0] >= 0)
        mf_sys_event_close(l->cancel);
    free_options(&l->options);
    free(l);
}

struct mf_launch_ssh *mf_launch_ssh_start(struct mf_launch_group *group, const struct mf_launch_ssh_options *options,
                                          void (*done)(void *arg), void *arg, struct mf_fault *fault)
{
    if (check_options(options, fault) != MF_OK)
        return NULL;
    struct mf_launch_ssh *l = calloc(1, sizeof *l);
    if (!l) {
        mf_fault_set(fault, MF_ENOMEM, "out of memory while launching");
        return NULL;
    }
    l->group = group;
    l->done = done;
    l->arg = arg;
    l->result.transport = MF_LAUNCH_LIBSSH2;
    l->cancel[0] = -1;
    atomic_init(&l->cancelled, false);
    atomic_init(&l->finished, false);
    enum mf_err e = MF_OK;
    if (!copy_options(&l->options, options) || !mf_sys_event_new(l->cancel))
        e = mf_fault_set(fault, MF_ENOMEM, "out of memory or descriptors while launching");
    if (e == MF_OK)
        e = mf_sys_thread_start(&l->thread, STACK, run, l, fault);
    if (e == MF_OK)
        return l;
    free_launch(l);
    return NULL;
}

bool mf_launch_ssh_take(struct mf_launch_ssh *l, struct mf_launch_ssh_result *result)
{
    if (!atomic_load(&l->finished) || l->taken)
        return false;
    l->taken = true;
    *result = l->result;
    return true;
}

void mf_launch_ssh_cancel(struct mf_launch_ssh *l)
{
    atomic_store(&l->cancelled, true);
    mf_sys_event_post(l->cancel);
    mf_launch_group_wake(l->group);
}

void mf_launch_ssh_free(struct mf_launch_ssh *l)
{
    if (!l)
        return;
    mf_launch_ssh_cancel(l);
    pthread_join(l->thread, NULL);
    if (!l->taken && l->result.remote)
        l->result.remote->end.table->close(&l->result.remote->end);
    free_launch(l);
}
