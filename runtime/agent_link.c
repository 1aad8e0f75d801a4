/* Design note: the end of the stream ends the process at once, with its process group: nobody is left to take a result.
 * Where nobody turns the loop in that moment (the interpreter is being closed, or there is no thread for the alarm),
 * SIGHUP does so, which the system sends when the master ends. */
#include "agent_link.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks.h"
#include "stream.h"
#include "sys.h"
#include "sys_fd.h"

struct code {
    struct mf_list link;
    uint64_t id;
    struct mf_blob *blob;
};

#define SIGNS 24 /* that something is heard of the master, in the time of its patience */

static const char cannot_write[] = "the connection to the master is broken";

/* --- The end ------------------------------------------------------------------------------------------------------ */

void mf_agent_link_end_leftovers(void)
{
    pid_t self = getpid();
    if (getpgrp() == self)
        (void)setpgid(0, getpgid(getppid()));
    kill(-self, SIGKILL);
}

_Noreturn void mf_agent_link_abort(const char *why)
{
    if (why) {
        signal(SIGPIPE, SIG_IGN);                             /* nobody may be left to read it */
        dprintf(STDERR_FILENO, "moonfleet agent: %s\n", why); /* the lock of stderr may be held */
    }
    mf_agent_link_end_leftovers();
    _exit(EXIT_FAILURE);
}

static void on_hangup(int signal)
{
    (void)signal;
    mf_agent_link_abort(NULL);
}

static void end_with_master(void)
{
    struct sigaction action = {.sa_handler = on_hangup};
    sigemptyset(&action.sa_mask);
    sigaction(SIGHUP, &action, NULL);
    mf_sys_signal_with_parent(SIGHUP);
}

/* --- Code and tasks ------------------------------------------------------------------------------------------------- */

static struct code *find_code(struct mf_agent_link *a, uint64_t id)
{
    for (struct mf_list *l = a->codes.next; l != &a->codes; l = l->next) {
        struct code *c = MF_LIST_ENTRY(l, struct code, link);
        if (c->id == id)
            return c;
    }
    return NULL;
}

struct mf_blob *mf_agent_link_own(const struct mf_link_frame *frame)
{
    return frame->blob ? mf_blob_ref(frame->blob) : mf_blob_new(frame->body, (size_t)frame->head.length);
}

static enum mf_err on_code(struct mf_agent_link *a, const struct mf_link_frame *frame)
{
    struct code *c = calloc(1, sizeof *c);
    struct mf_blob *blob = mf_agent_link_own(frame);
    if (!c || !blob || find_code(a, frame->head.id)) {
        enum mf_err e = c && blob ? MF_EINVAL : MF_ENOMEM;
        free(c);
        mf_blob_unref(blob);
        return e;
    }
    struct mf_share_lists holds = mf_share_take(&a->share, frame->head.id);
    blob->holds = mf_share_list(&holds, 0);
    mf_share_lists_release(&holds);
    c->id = frame->head.id;
    c->blob = blob;
    mf_list_insert(a->codes.next, &c->link); /* the newest first: it is asked for most */
    return MF_OK;
}

static void free_code(struct code *c)
{
    mf_list_remove(&c->link);
    mf_blob_unref(c->blob);
    free(c);
}

static enum mf_err on_forget(struct mf_agent_link *a, const struct mf_link_frame *frame)
{
    struct code *c = find_code(a, frame->head.id);
    if (c)
        free_code(c);
    return MF_OK;
}

static enum mf_err on_task(struct mf_agent_link *a, const struct mf_link_frame *frame)
{
    struct mf_agent_job *j = calloc(1, sizeof *j);
    struct mf_blob *bytes = mf_agent_link_own(frame);
    enum mf_err e = j && bytes ? mf_msg_unpack_task(bytes->data, bytes->len, &j->task, NULL) : MF_ENOMEM;
    struct code *c = e == MF_OK ? find_code(a, j->task.code) : NULL;
    if (!c) {
        free(j);
        mf_blob_unref(bytes);
        return e == MF_OK ? MF_EINVAL : e;
    }
    j->id = frame->head.id;
    j->bytes = bytes;
    j->code = mf_blob_ref(c->blob);
    j->holds = mf_share_take(&a->share, j->id);
    mf_list_init(&j->link);
    mf_list_insert(&a->queue, &j->link);
    if (a->work && a->work->arrived)
        a->work->arrived(a);
    return MF_OK;
}

struct mf_agent_job *mf_agent_link_next(struct mf_agent_link *a)
{
    if (mf_list_empty(&a->queue))
        return NULL;
    struct mf_agent_job *j = MF_LIST_ENTRY(a->queue.next, struct mf_agent_job, link);
    mf_list_remove(&j->link);
    return j;
}

/* Takes a task that was not started out of the queue, and says so. What is done already needs no answer: its result is on
 * its way. */
static bool give_back(struct mf_agent_link *a, uint64_t id)
{
    for (struct mf_list *l = a->queue.next; l != &a->queue; l = l->next) {
        struct mf_agent_job *j = MF_LIST_ENTRY(l, struct mf_agent_job, link);
        if (j->id != id)
            continue;
        mf_list_remove(&j->link);
        mf_agent_job_free(j);
        mf_agent_link_result(a, id, MF_MSG_RECALLED, 0, (struct mf_msg_part){NULL, 0}, NULL);
        return true;
    }
    return false;
}

void mf_agent_job_free(struct mf_agent_job *j)
{
    mf_blob_unref(j->code);
    mf_blob_unref(j->bytes);
    mf_share_lists_release(&j->holds);
    free(j);
}

struct mf_bytes *mf_agent_link_deps(const struct mf_agent_job *j)
{
    const struct mf_msg_task *t = &j->task;
    struct mf_bytes *deps = calloc(t->ndeps ? t->ndeps : 1, sizeof *deps);
    struct mf_msg_part rest = t->deps, dep;
    for (uint32_t i = 0; deps && i < t->ndeps && mf_msg_next_dep(&rest, &dep); i++)
        deps[i] = (struct mf_bytes){dep.bytes, dep.n, i + 1 < j->holds.n ? j->holds.lists[i + 1] : NULL};
    return deps;
}

static bool set_variable(const char *setting)
{
    const char *equals = strchr(setting, '=');
    char *name = equals ? strndup(setting, (size_t)(equals - setting)) : NULL;
    bool ok = name && setenv(name, equals + 1, 1) == 0;
    free(name);
    return ok;
}

/* A folder to work in, and the environment. */
static void apply_settings(struct mf_agent_link *a)
{
    const char *at = (const char *)a->init.settings.bytes, *end = at + a->init.settings.n;
    if (a->init.settings.n == 0)
        return;
    if (*at && chdir(at) != 0) {
        snprintf(a->cannot, sizeof a->cannot, "cannot work in folder '%.120s' (option 'dir'): %s", at, strerror(errno));
        return;
    }
    for (at += strlen(at) + 1; at < end; at += strlen(at) + 1)
        if (!set_variable(at))
            snprintf(a->cannot, sizeof a->cannot, "cannot set the variable %.120s (option 'env')", at);
}

static enum mf_err on_init(struct mf_agent_link *a, const struct mf_link_frame *frame)
{
    struct mf_msg_part payload;
    if (a->greeted || mf_msg_unpack_init(frame->body, (size_t)frame->head.length, &a->init, &payload, NULL) != MF_OK)
        return MF_EINVAL;
    a->greeted = true;
    apply_settings(a);
    a->init.settings = (struct mf_msg_part){NULL, 0}; /* they do not outlive the frame */
    a->payload = mf_blob_new(payload.bytes, payload.n);
    return a->payload ? MF_OK : MF_ENOMEM;
}

static enum mf_err received(void *arg, struct mf_link_frame *frame)
{
    struct mf_agent_link *a = arg;
    if (!a->greeted && frame->head.kind != MF_MSG_INIT && frame->head.kind != MF_MSG_BYE)
        return MF_EINVAL;
    switch (frame->head.kind) {
    case MF_MSG_INIT:
        return on_init(a, frame);
    case MF_MSG_CODE:
        return on_code(a, frame);
    case MF_MSG_FORGET:
        return on_forget(a, frame);
    case MF_MSG_TASK:
        return on_task(a, frame);
    case MF_MSG_CANCEL:
        if (give_back(a, frame->head.id))
            atomic_store(mf_sys_interrupt_asked(), false); /* for a fork's first task a signal comes before this */
        else if (a->work)
            a->work->cancel(a, frame->head.id);
        return MF_OK;
    case MF_MSG_RECALL:
        give_back(a, frame->head.id);
        return MF_OK;
    case MF_MSG_MODULE:
        return a->work ? a->work->module(a, frame) : MF_EINVAL;
    case MF_MSG_DROP: /* workers of a pool here are told in turn */
        atomic_store(&a->owner->let_go, true);
        atomic_store(&a->owner->untidy, true);
        return mf_share_received(&a->share, frame, true);
    case MF_MSG_BLOCK:
    case MF_MSG_HOLDS:
        return mf_share_received(&a->share, frame, true);
    case MF_MSG_PING: /* the answer also says that INIT was obeyed */
        if (!a->cannot[0])
            mf_agent_link_send(a, MF_MSG_PONG, frame->head.id, NULL, 0);
        return MF_OK;
    case MF_MSG_PONG:
        return MF_OK;
    case MF_MSG_BYE:
        a->bye = true;
        return MF_OK;
    default:
        return MF_EINVAL;
    }
}

/* --- The loop ------------------------------------------------------------------------------------------------------- */

static void update_watch(struct mf_agent_link *a)
{
    unsigned wants = mf_link_wants(a->link);
    if (a->has_out) {
        mf_loop_change(a->loop, &a->out, wants & MF_LOOP_WRITE);
        wants &= ~(unsigned)MF_LOOP_WRITE;
    }
    mf_loop_change(a->loop, &a->watch, wants);
}

static void look_if_drained(struct mf_agent_link *a)
{
    if (a->work && a->work->drained && mf_link_pending(a->link) == 0)
        a->work->drained(a);
}

static void write_waiting(struct mf_agent_link *a)
{
    if (mf_link_flush(a->link) != MF_OK)
        mf_agent_link_abort(cannot_write);
    look_if_drained(a);
}

/* Something has come. A master that sends a long message over a slow link is told that it arrives, since its questions
 * wait behind it. */
static void hear(struct mf_agent_link *a)
{
    a->heard = mf_sys_now();
    if (!a->greeted || a->cannot[0] || a->init.patience == 0 || a->heard - a->said < a->init.patience / SIGNS)
        return;
    a->said = a->heard;
    mf_agent_link_send(a, MF_MSG_PONG, 0, NULL, 0);
}

static void ready(struct mf_loop_watch *watch, unsigned events)
{
    struct mf_agent_link *a = (struct mf_agent_link *)(void *)((char *)watch - offsetof(struct mf_agent_link, watch));
    struct mf_fault fault = {0};
    if (events & MF_LOOP_WRITE)
        write_waiting(a);
    if (events & (MF_LOOP_READ | MF_LOOP_HANGUP)) {
        enum mf_err e = mf_link_read(a->link, &fault);
        if (e != MF_OK)
            mf_agent_link_abort(fault.text); /* if the master is gone, it is not heard */
        hear(a);
    }
    update_watch(a);
}

static void ready_out(struct mf_loop_watch *watch, unsigned events)
{
    struct mf_agent_link *a = (struct mf_agent_link *)(void *)((char *)watch - offsetof(struct mf_agent_link, out));
    if (events & MF_LOOP_HANGUP)
        mf_agent_link_abort(NULL);
    write_waiting(a);
    update_watch(a);
}

/* --- Sending -------------------------------------------------------------------------------------------------------- */

void mf_agent_link_send(struct mf_agent_link *a, enum mf_msg_kind kind, uint64_t id, const struct mf_msg_part *parts,
                        int n)
{
    bool waiting = mf_link_pending(a->link) > 0;
    enum mf_err e = mf_link_send(a->link, kind, id, parts, n);
    if (e != MF_OK)
        mf_agent_link_abort(e == MF_ECLOSED ? cannot_write : mf_err_text(e));
    update_watch(a);
    if (waiting)
        look_if_drained(a);
}

void mf_agent_link_result(struct mf_agent_link *a, uint64_t id, unsigned outcome, uint64_t nanoseconds,
                          struct mf_msg_part bytes, const struct mf_holds *holds)
{
    unsigned char head[MF_MSG_RESULT_HEAD];
    const struct mf_msg_result r = {.outcome = (uint8_t)outcome, .nanoseconds = nanoseconds};
    mf_msg_pack_result_head(head, &r);
    const struct mf_msg_part parts[] = {{head, sizeof head}, bytes};
    if (holds && mf_share_queue(&a->share, a->link, id, &holds, 1) != MF_OK)
        mf_agent_link_abort("out of memory while sending a result");
    mf_agent_link_send(a, MF_MSG_RESULT, id, parts, 2);
}

/* What lies in an area already goes as it is. */
void mf_agent_link_answer(struct mf_agent_link *a, uint64_t id, unsigned outcome, uint64_t nanoseconds,
                          struct mf_buf *result)
{
    unsigned char head[MF_MSG_RESULT_HEAD];
    const struct mf_msg_part part = {head, sizeof head};
    const struct mf_msg_result r = {.outcome = (uint8_t)outcome, .nanoseconds = nanoseconds};
    struct mf_blob *blob = result->storage == MF_BUF_AREA ? mf_buf_freeze(result) : NULL;
    if (!blob) {
        mf_agent_link_result(a, id, outcome, nanoseconds, (struct mf_msg_part){result->data, result->len},
                             result->holds);
        return;
    }
    const struct mf_holds *holds = blob->holds;
    mf_msg_pack_result_head(head, &r);
    enum mf_err e = holds ? mf_share_queue(&a->share, a->link, id, &holds, 1) : MF_OK;
    if (e == MF_OK)
        e = mf_link_queue_blob(a->link, MF_MSG_RESULT, id, &part, blob);
    if (e == MF_OK)
        e = mf_link_flush(a->link);
    if (e != MF_OK)
        mf_agent_link_abort(e == MF_ECLOSED ? cannot_write : mf_err_text(e));
    mf_blob_unref(blob);
    update_watch(a);
}

void mf_agent_link_tidy(struct mf_agent_link *a)
{
    struct mf_block *late[MF_SHARE_LATE];
    size_t n = mf_share_take_late(&a->share, late);
    if (n > 0) {
        pthread_mutex_unlock(&a->owner->lock);
        while (n > 0)
            mf_block_unref(late[--n]);
        pthread_mutex_lock(&a->owner->lock);
    }
    if (!mf_share_tidy(&a->share, a->link))
        return;
    if (mf_link_flush(a->link) != MF_OK)
        mf_agent_link_abort(NULL);
    update_watch(a);
}

void mf_agent_link_output(struct mf_agent_link *a, uint64_t id, enum mf_stream stream, const void *bytes, size_t n)
{
    unsigned char tag = (unsigned char)stream;
    const struct mf_msg_part parts[] = {{&tag, 1}, {bytes, n}};
    mf_agent_link_send(a, MF_MSG_OUTPUT, id, parts, 2);
}

void mf_agent_link_progress(struct mf_agent_link *a, uint64_t id, double fraction, const char *text)
{
    unsigned char head[MF_MSG_PROGRESS_HEAD];
    mf_msg_pack_progress_head(head, fraction);
    const struct mf_msg_part parts[] = {{head, sizeof head}, {(const unsigned char *)text, text ? strlen(text) : 0}};
    mf_agent_link_send(a, MF_MSG_PROGRESS, id, parts, 2);
}

void mf_agent_link_bye(struct mf_agent_link *a, const char *why)
{
    const struct mf_msg_part part = {(const unsigned char *)why, strlen(why)};
    mf_agent_link_send(a, MF_MSG_BYE, 0, &part, 1);
    while (mf_link_pending(a->link))
        mf_loop_turn(a->loop, MF_SYS_NEVER, 0);
}

/* --- Beginning and end ---------------------------------------------------------------------------------------------- */

void mf_agent_link_greet(struct mf_agent_link *a, const struct mf_msg_hello *known)
{
    struct mf_msg_hello hello = *known;
    struct mf_buf body = {0};
    hello.version = MF_MSG_VERSION;
    hello.pid = (uint32_t)getpid();
    hello.cores = (uint32_t)mf_sys_cores();
    if (gethostname(hello.host, sizeof hello.host - 1) != 0)
        memcpy(hello.host, "?", 2);
    if (!mf_msg_pack_hello(&body, &hello))
        mf_agent_link_abort("out of memory");
    const struct mf_msg_part part = {body.data, body.len};
    mf_agent_link_send(a, MF_MSG_HELLO, 0, &part, 1);
    mf_buf_release(&body);
    while (!a->greeted && !a->bye)
        mf_loop_turn(a->loop, MF_SYS_NEVER, 0);
}

static bool open_link(struct mf_agent_link *a, int in, int out, struct mf_fault *fault)
{
    struct mf_stream_end *stream = in == out ? mf_stream_fd_new(in, fault) : mf_stream_pair_new(in, out, fault);
    a->link = stream ? mf_link_new(stream, received, a, fault) : NULL;
    if (!a->link)
        return false;
    mf_link_use(a->link, a->owner->pages, a->owner->areas);
    a->watch = (struct mf_loop_watch){.fd = mf_link_fd(a->link), .events = MF_LOOP_READ, .ready = ready};
    if (mf_loop_add(a->loop, &a->watch) != MF_OK)
        return false;
    a->has_out = in != out;
    a->out = (struct mf_loop_watch){.fd = out, .ready = ready_out};
    return !a->has_out || mf_loop_add(a->loop, &a->out) == MF_OK;
}

/* What on_alarm does is set by whoever runs the tasks. */
static uint64_t nothing_due(struct mf_owner *owner)
{
    (void)owner;
    return MF_SYS_NEVER;
}

void mf_agent_link_open(struct mf_agent_link *a, int in, int out, const struct mf_runner *runner)
{
    struct mf_fault fault = {0};
    *a = (struct mf_agent_link){.runner = runner, .share = {.lazy = true}};
    mf_list_init(&a->codes);
    mf_list_init(&a->queue);
    mf_hooks_agent();
    end_with_master();
    a->owner = mf_owner_new(runner, a, nothing_due, &fault);
    if (a->owner) {
        struct mf_pages *pages = mf_pages_new();
        mf_owner_use(a->owner, pages);
        mf_pages_unref(pages);
        mf_owner_share(a->owner);
        pthread_mutex_lock(&a->owner->lock);
        a->loop = mf_owner_loop(a->owner, &fault);
    }
    if (!a->loop || !open_link(a, in, out, &fault))
        mf_agent_link_abort(fault.text);
    pthread_mutex_unlock(&a->owner->lock);
}

void mf_agent_link_close(struct mf_agent_link *a)
{
    mf_owner_alarm_stop(a->owner);
    pthread_mutex_lock(&a->owner->lock);
    mf_loop_remove(a->loop, &a->watch);
    mf_loop_remove(a->loop, &a->out);
    for (struct mf_agent_job *j; (j = mf_agent_link_next(a)) != NULL;)
        mf_agent_job_free(j);
    while (!mf_list_empty(&a->codes))
        free_code(MF_LIST_ENTRY(a->codes.next, struct code, link));
    mf_blob_unref(a->payload);
    mf_share_release(&a->share);
    mf_link_free(a->link);
    pthread_mutex_unlock(&a->owner->lock);
    mf_owner_unref(a->owner);
    mf_agent_link_end_leftovers();
}
