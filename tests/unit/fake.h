/* A runner without Lua, for the tests of the runtime. The first byte of a task's code says what it does with its
 * args; what the workers do is counted in fake, and every change of a count can be waited for. One test program is
 * one translation unit, so the state stands here. */
#ifndef MF_FAKE_H
#define MF_FAKE_H

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/runner.h"
#include "../../runtime/runtime.h"
#include "../../runtime/sys.h"
#include "check.h"

/* A check that is made in every call of the runner: counted only when it fails. */
#define FAKE_MUST(condition) ((void)((condition) || CHECK(condition)))

#define FAKE_ECHO            "e" /* the result is the args */
#define FAKE_FAIL            "f" /* an error; its bytes are the args */
#define FAKE_BLOCK           "b" /* until the gate opens, or the task is not wanted (then an error) */
#define FAKE_STUCK           "u" /* until the gate opens, wanted or not */
#define FAKE_MEET            "m" /* until as many of these as the first byte of args says run at once, or not wanted */
#define FAKE_NTH             "n" /* fails until it has been run as often as the first byte of args says */
#define FAKE_PRINT           "p" /* args to stdout, "oops" to stderr, progress 0.5 "half" */
#define FAKE_ORDER           "o" /* appends args to fake.order */
#define FAKE_SETUP           "s" /* counts in the worker */
#define FAKE_WHERE           "w" /* the result is "worker's name:setups that it ran" */
#define FAKE_DEPS            "d" /* the result is the results of the dependencies, one after the other */
#define FAKE_SEED            "x" /* the result is "seed,stream" */
#define FAKE_HOOK            "h" /* calls fake.hook */

struct fake_waiter {
    sem_t wake;
    struct fake_waiter *next;
};

struct fake_instance {
    char name[32];
    int setups;
    pthread_t thread;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool gate;
    struct fake_waiter *waiters;
    int refuse; /* so many calls of open fail; negative = all */
    int tries, opened, closed, idled, runs, inside, met, setups;
    char init[32], order[256], live[256];
    void (*hook)(void);
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static inline void fake_add(int *count, int n)
{
    pthread_mutex_lock(&fake.lock);
    *count += n;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.lock);
}

static inline int fake_get(const int *count)
{
    pthread_mutex_lock(&fake.lock);
    int n = *count;
    pthread_mutex_unlock(&fake.lock);
    return n;
}

/* Waits until the count is at least n; the alarm of the test program ends it when that never happens. */
static inline void fake_await(const int *count, int n)
{
    pthread_mutex_lock(&fake.lock);
    while (*count < n)
        pthread_cond_wait(&fake.changed, &fake.lock);
    pthread_mutex_unlock(&fake.lock);
}

static inline void fake_wake_waiters(void)
{
    for (struct fake_waiter *w = fake.waiters; w; w = w->next)
        sem_post(&w->wake);
    pthread_cond_broadcast(&fake.changed);
}

static inline void fake_open_gate(void)
{
    pthread_mutex_lock(&fake.lock);
    fake.gate = true;
    fake_wake_waiters();
    pthread_mutex_unlock(&fake.lock);
}

/* Everything as at the start, between two tests. */
static inline void fake_reset(void)
{
    pthread_mutex_lock(&fake.lock);
    fake.gate = false;
    fake.refuse = fake.tries = fake.opened = fake.closed = fake.idled = fake.runs = fake.met = fake.setups = 0;
    fake.init[0] = fake.order[0] = fake.live[0] = '\0';
    fake.hook = NULL;
    pthread_mutex_unlock(&fake.lock);
}

/* --- The runner ------------------------------------------------------------------------------------------------- */

static inline void *fake_open(const struct mf_worker_info *info, struct mf_fault *fault)
{
    pthread_mutex_lock(&fake.lock);
    bool refused = fake.refuse != 0;
    fake.refuse -= fake.refuse > 0;
    if (info->init)
        snprintf(fake.init, sizeof fake.init, "%.*s", (int)info->init->len, (const char *)info->init->data);
    pthread_mutex_unlock(&fake.lock);
    fake_add(&fake.tries, 1);
    struct fake_instance *instance = refused ? NULL : calloc(1, sizeof *instance);
    if (!instance) {
        mf_fault_set(fault, MF_ESYS, "no interpreter today");
        return NULL;
    }
    snprintf(instance->name, sizeof instance->name, "%s", info->name);
    instance->thread = pthread_self();
    fake_add(&fake.opened, 1);
    return instance;
}

static inline void fake_post(void *waiter)
{
    sem_post(&((struct fake_waiter *)waiter)->wake);
}

/* Until done() under the lock, or until the task is not wanted; false then. */
static inline bool fake_wait(const struct mf_task *task, bool (*done)(const struct mf_task *task))
{
    struct fake_waiter self = {.next = NULL}, **at;
    struct mf_sys_interrupt entry = {.action = fake_post, .arg = &self};
    sem_init(&self.wake, 0, 0);
    mf_sys_interrupt_push(&entry);
    pthread_mutex_lock(&fake.lock);
    self.next = fake.waiters;
    fake.waiters = &self;
    while (!atomic_load(task->wanted) && !done(task)) {
        pthread_mutex_unlock(&fake.lock);
        sem_wait(&self.wake);
        pthread_mutex_lock(&fake.lock);
    }
    bool good = done(task);
    for (at = &fake.waiters; *at != &self; at = &(*at)->next) {
    }
    *at = self.next;
    pthread_mutex_unlock(&fake.lock);
    mf_sys_interrupt_pop(&entry);
    sem_destroy(&self.wake);
    return good;
}

static inline bool fake_gate_is_open(const struct mf_task *task)
{
    (void)task;
    return fake.gate;
}

static inline bool fake_all_met(const struct mf_task *task)
{
    return fake.met >= task->args.data[0];
}

static inline void fake_meet(void)
{
    pthread_mutex_lock(&fake.lock);
    fake.met++;
    fake_wake_waiters();
    pthread_mutex_unlock(&fake.lock);
}

static inline void fake_print(const struct mf_task *task)
{
    task->port->emit(task->port, MF_STDOUT, task->args.data, task->args.len);
    task->port->emit(task->port, MF_STDERR, "oops", 4);
    task->port->progress(task->port, 0.5, "half");
}

static inline void fake_append(struct mf_buf *result, const void *bytes, size_t n)
{
    FAKE_MUST(mf_buf_append(result, bytes, n));
}

static inline void fake_echo(struct mf_bytes bytes, struct mf_buf *result)
{
    if (bytes.len)
        fake_append(result, bytes.data, bytes.len);
}

static inline void fake_note_order(const struct mf_task *task)
{
    pthread_mutex_lock(&fake.lock);
    strncat(fake.order, (const char *)task->args.data, task->args.len);
    pthread_mutex_unlock(&fake.lock);
}

static inline void fake_describe(const struct fake_instance *instance, const struct mf_task *task,
                                 struct mf_buf *result)
{
    char text[64];
    if (task->code->data[0] == *FAKE_WHERE)
        snprintf(text, sizeof text, "%s:%d", instance->name, instance->setups);
    else
        snprintf(text, sizeof text, "%llu,%llu", (unsigned long long)task->seed, (unsigned long long)task->stream);
    fake_append(result, text, strlen(text));
}

static inline bool fake_act(struct fake_instance *instance, const struct mf_task *task, struct mf_buf *result, int run)
{
    switch (task->code->data[0]) {
    case 'f':
        fake_echo(task->args, result);
        return false;
    case 'b':
        return fake_wait(task, fake_gate_is_open);
    case 'm':
        fake_meet();
        return fake_wait(task, fake_all_met);
    case 'n':
        return run >= task->args.data[0];
    case 'p':
        fake_print(task);
        return true;
    case 'o':
        fake_note_order(task);
        return true;
    case 's':
        instance->setups++;
        return true;
    case 'w':
    case 'x':
        fake_describe(instance, task, result);
        return true;
    case 'h':
        fake.hook();
        return true;
    case 'd':
        for (size_t i = 0; i < task->ndeps; i++)
            fake_echo(task->deps[i], result);
        return true;
    case 'u':
        pthread_mutex_lock(&fake.lock);
        while (!fake.gate)
            pthread_cond_wait(&fake.changed, &fake.lock);
        pthread_mutex_unlock(&fake.lock);
        return true;
    default:
        fake_echo(task->args, result);
        return true;
    }
}

static inline enum mf_outcome fake_run(void *worker, const struct mf_task *task, struct mf_buf *result)
{
    struct fake_instance *instance = worker;
    FAKE_MUST(pthread_equal(instance->thread, pthread_self()));
    pthread_mutex_lock(&fake.lock);
    int run = ++fake.runs;
    fake.setups += task->setup;
    fake.inside++;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.lock);
    bool good = fake_act(instance, task, result, run);
    fake_add(&fake.inside, -1);
    return good ? MF_OUTCOME_VALUE : MF_OUTCOME_ERROR;
}

static inline void fake_idle(void *worker)
{
    (void)worker;
    fake_add(&fake.idled, 1);
}

static inline void fake_close(void *worker)
{
    struct fake_instance *instance = worker;
    FAKE_MUST(pthread_equal(instance->thread, pthread_self()));
    free(instance);
    fake_add(&fake.closed, 1);
}

static inline void fake_live(void *ctx, const char *name, enum mf_stream stream, const void *bytes, size_t n)
{
    size_t at = strlen(fake.live);
    snprintf(fake.live + at, sizeof fake.live - at, "%s|%s|%d|%.*s\n", (const char *)ctx, name, (int)stream, (int)n,
             (const char *)bytes);
}

/* --- Short ways to say things ----------------------------------------------------------------------------------- */

static inline struct mf_owner *fake_owner(void)
{
    static const struct mf_runner runner = {
        .open = fake_open, .run = fake_run, .idle = fake_idle, .close = fake_close, .live = fake_live};
    static char context[] = "ctx";
    struct mf_owner *owner = mf_runtime_new(&runner, context, NULL);
    if (!owner)
        exit(!CHECK(owner));
    return owner;
}

static inline struct mf_pool *fake_pool(struct mf_owner *owner, const char *backend, int workers)
{
    struct mf_pool_options options = {.workers = workers, .grace = 30};
    struct mf_pool *pool = mf_runtime_pool(owner, backend, &options, NULL);
    if (!pool)
        exit(!CHECK(pool));
    return pool;
}

static inline struct mf_blob *fake_blob(const char *text)
{
    return mf_blob_new(text, strlen(text));
}

/* Submits spec with that code and those args filled in. */
static inline struct mf_future *fake_submit(struct mf_pool *pool, const char *code, const char *args,
                                            struct mf_future_spec spec)
{
    spec.code = fake_blob(code);
    spec.args = args ? fake_blob(args) : NULL;
    return mf_runtime_submit(pool, &spec, NULL);
}

static inline struct mf_future *fake_plain(struct mf_pool *pool, const char *code, const char *args)
{
    struct mf_future_spec spec = {0};
    return fake_submit(pool, code, args, spec);
}

static inline bool fake_finish(struct mf_owner *owner, struct mf_future *f)
{
    return mf_runtime_wait(owner, &f, 1, 1, MF_SYS_NEVER) == MF_OK;
}

/* Is f in that final state, with that result (or, when the text is of the runtime, with that fault)? Drops f. */
static inline bool fake_ended(struct mf_owner *owner, struct mf_future *f, enum mf_future_state state, const char *text)
{
    bool good = fake_finish(owner, f) && mf_future_state(f) == state;
    const char *fault = f->extra ? f->extra->fault : "";
    if (!f->result)
        good = good && (!text || strstr(fault, text));
    else
        good = good && text && f->result->len == strlen(text) && memcmp(f->result->data, text, f->result->len) == 0;
    if (!good)
        fprintf(stderr, "ended %s: '%.*s' %s\n", mf_future_state_name(mf_future_state(f)),
                f->result ? (int)f->result->len : 0, f->result ? (const char *)f->result->data : "", fault);
    mf_future_unref(f);
    return good;
}

/* Closes the runtime; every interpreter that was opened must be closed. */
static inline void fake_end(struct mf_owner *owner)
{
    mf_runtime_close(owner);
    mf_owner_unref(owner);
    fake_await(&fake.closed, fake.opened);
    CHECK(fake.closed == fake.opened && fake.inside == 0);
    fake_reset();
}

#endif
