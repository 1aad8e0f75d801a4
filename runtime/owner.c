/* Design note: a future that the owner waits for is marked; whoever makes a marked future final counts watch_left
 * down, and at zero posts the semaphore if the owner sleeps. Before it sleeps the owner spins on watch_left, because
 * waking a thread costs more than most short tasks. An interrupt (Ctrl-C, or cancelling the task in which this owner
 * runs) posts the semaphore from its signal handler.
 *
 * The alarm is one thread, made when the first time limit is set. It keeps no heap of timers: deadlines belong to
 * workers, of which there are few, so on_alarm looks at all of them and says when it wants to look again. */
#include "owner.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sys.h"
#include "sys_fd.h"

#define SPIN_NS             60000 /* about what one sleep and wake-up costs */
#define SPIN_TURNS_PER_LOOK 16u   /* looking at the clock costs as much as some pauses */
#define YIELD_EVERY         4u    /* pauses of a waiting owner: a worker may need this core */
#define ALARM_STACK         ((size_t)256 * 1024)
#define WARM_NS             5000000000u

/* A host that has been here. */
struct mf_place {
    struct mf_place *next;
    char name[];
};

static void free_places(struct mf_place *p)
{
    while (p) {
        struct mf_place *next = p->next;
        free(p);
        p = next;
    }
}

struct mf_owner *mf_owner_new(const struct mf_runner *runner, void *context, uint64_t (*on_alarm)(struct mf_owner *),
                              struct mf_fault *fault)
{
    struct mf_owner *o = calloc(1, sizeof *o);
    if (!o || mf_sys_mutex_init(&o->lock) != MF_OK || sem_init(&o->wake, 0, 0) != 0 ||
        pthread_mutex_init(&o->output_lock, NULL) != 0 || mf_sys_cond_init(&o->alarm_changed) != MF_OK) {
        free(o);
        mf_fault_set(fault, MF_ENOMEM, "out of memory while opening the runtime");
        return NULL;
    }
    if (mf_sys_interrupt_ready(fault) != MF_OK) {
        free(o);
        return NULL;
    }
    o->thread = pthread_self();
    o->runner = runner;
    o->context = context;
    o->on_alarm = on_alarm;
    o->warm = WARM_NS;
    o->cool_at = MF_SYS_NEVER;
    o->notes[0] = o->notes[1] = -1;
    atomic_init(&o->refs, 1);
    mf_list_init(&o->pools);
    return o;
}

void mf_owner_ref(struct mf_owner *o)
{
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
}

void mf_owner_unref(struct mf_owner *o)
{
    if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
        return;
    const struct mf_runner *runner = o->runner;
    mf_loop_free(o->loop);
    mf_areas_unref(o->areas);
    mf_pages_unref(o->pages);
    free_places(o->places);
    if (o->notes[0] >= 0)
        mf_sys_event_close(o->notes);
    sem_destroy(&o->wake);
    pthread_cond_destroy(&o->alarm_changed);
    pthread_mutex_destroy(&o->output_lock);
    pthread_mutex_destroy(&o->lock);
    free(o);
    if (runner->dropped)
        runner->dropped(runner);
}

void mf_owner_use(struct mf_owner *o, struct mf_pages *pages)
{
    mf_pages_ref(pages);
    mf_pages_unref(o->pages);
    o->pages = pages;
}

void mf_owner_share(struct mf_owner *o)
{
    if (!o->areas)
        o->areas = mf_areas_new();
}

const char *mf_owner_place(struct mf_owner *o, const char *name)
{
    size_t n = strlen(name) + 1;
    struct mf_place *p = o->places;
    while (p && strcmp(p->name, name) != 0)
        p = p->next;
    if (p || !(p = malloc(sizeof *p + n)))
        return p ? p->name : NULL;
    memcpy(p->name, name, n);
    p->next = o->places;
    o->places = p;
    return p->name;
}

/* --- Waiting ---------------------------------------------------------------------------------------------------- */

void mf_owner_watch(struct mf_owner *o, struct mf_future *const *futures, size_t n, size_t need)
{
    size_t final = 0, open = 0; /* a future that is twice in the list is open once */
    bool twice = false;
    for (size_t i = 0; i < n; i++) {
        if (mf_future_final(futures[i])) {
            final++;
        } else if (!futures[i]->watched) {
            futures[i]->watched = true;
            open++;
        } else {
            twice = true;
        }
    }
    size_t left = need > final ? need - final : 0;
    if (twice && left > 1)
        left = 1; /* one future may count for several: look again whenever one is final */
    atomic_store(&o->watch_left, left < open ? left : open);
}

void mf_owner_unwatch(struct mf_owner *o, struct mf_future *const *futures, size_t n)
{
    for (size_t i = 0; i < n; i++)
        futures[i]->watched = false;
    atomic_store(&o->watch_left, 0);
}

static void wake_action(void *arg)
{
    struct mf_owner *o = arg;
    atomic_store(&o->interrupted, true);
    if (o->loop)
        mf_loop_wake(o->loop);
    sem_post(&o->wake);
}

static bool done(struct mf_owner *o)
{
    return atomic_load_explicit(&o->watch_left, memory_order_acquire) == 0 ||
           atomic_load_explicit(&o->interrupted, memory_order_relaxed) ||
           atomic_load_explicit(&o->nudged, memory_order_relaxed);
}

static bool spin(struct mf_owner *o, uint64_t deadline)
{
    uint64_t end = mf_sys_now() + SPIN_NS;
    if (deadline < end)
        end = deadline;
    for (unsigned turn = 0;; turn++) {
        if (done(o))
            return true;
        if (turn % SPIN_TURNS_PER_LOOK == 0 && mf_sys_now() >= end)
            return false;
        mf_sys_spin(turn, YIELD_EVERY);
    }
}

/* With links to agents, the owner waits by turning the loop, so that a result has no thread to pass through. */
static bool sleep_in_loop(struct mf_owner *o, uint64_t deadline)
{
    enum mf_err e = MF_OK;
    o->turns = true;
    while (!done(o) && e == MF_OK) {
        uint64_t now = mf_sys_now();
        e = mf_loop_turn(o->loop, deadline, o->expected > now + SPIN_NS ? o->expected - now : SPIN_NS);
    }
    o->turns = false;
    return e != MF_ETIMEDOUT;
}

static bool sleep_on_semaphore(struct mf_owner *o, uint64_t deadline)
{
    bool woken = true;
    pthread_mutex_unlock(&o->lock);
    bool finished = spin(o, deadline);
    pthread_mutex_lock(&o->lock);
    if (!finished && !done(o)) {
        o->sleeping = true;
        pthread_mutex_unlock(&o->lock);
        woken = mf_sys_sem_wait_until(&o->wake, deadline);
        pthread_mutex_lock(&o->lock);
        o->sleeping = false;
    }
    return woken;
}

enum mf_err mf_owner_sleep(struct mf_owner *o, uint64_t deadline)
{
    struct mf_sys_interrupt entry = {.action = wake_action, .arg = o};
    atomic_store(&o->interrupted, false);
    atomic_store(&o->nudged, false);
    mf_sys_interrupt_push(&entry);
    if (mf_sys_interrupt_wanted()) /* the signal may have come before the push */
        atomic_store(&o->interrupted, true);
    bool woken = o->loop && !mf_loop_empty(o->loop) ? sleep_in_loop(o, deadline) : sleep_on_semaphore(o, deadline);
    while (sem_trywait(&o->wake) == 0) { /* a post that came while we were waking up */
    }
    mf_sys_interrupt_pop(&entry);
    if (atomic_exchange(&o->interrupted, false))
        return MF_EINTR;
    return woken || atomic_load(&o->watch_left) == 0 || mf_sys_now() < deadline ? MF_OK : MF_ETIMEDOUT;
}

struct mf_loop *mf_owner_loop(struct mf_owner *o, struct mf_fault *fault)
{
    if (!o->loop)
        o->loop = mf_loop_new(&o->lock, fault);
    return o->loop;
}

void mf_owner_nudge(struct mf_owner *o)
{
    atomic_store_explicit(&o->nudged, true, memory_order_relaxed);
    if (o->turns && !pthread_equal(pthread_self(), o->thread))
        mf_loop_wake(o->loop);
    if (!o->sleeping)
        return;
    o->sleeping = false; /* one post is enough */
    sem_post(&o->wake);
}

int mf_owner_notes(struct mf_owner *o)
{
    pthread_mutex_lock(&o->lock);
    if (o->notes[0] < 0 && !mf_sys_event_new(o->notes))
        o->notes[0] = o->notes[1] = -1;
    if (o->notes[0] >= 0)
        mf_sys_event_post(o->notes); /* futures may have been resolved before */
    pthread_mutex_unlock(&o->lock);
    return o->notes[0];
}

void mf_owner_read_notes(struct mf_owner *o)
{
    pthread_mutex_lock(&o->lock);
    if (o->notes[0] >= 0)
        mf_sys_event_drain(o->notes);
    pthread_mutex_unlock(&o->lock);
}

void mf_owner_resolved(struct mf_owner *o, struct mf_future *f)
{
    if (o->notes[0] >= 0)
        mf_sys_event_post(o->notes);
    if (o->hooks)
        o->hooks->final(o, f);
    if (!f->watched)
        return;
    f->watched = false;
    size_t left = atomic_load_explicit(&o->watch_left, memory_order_relaxed);
    if (left == 0)
        return;
    atomic_store_explicit(&o->watch_left, left - 1, memory_order_release);
    if (left == 1)
        mf_owner_nudge(o);
}

/* --- Memory that is kept ----------------------------------------------------------------------------------------- */

/* Without an alarm nothing would give it back, so then nothing is kept. */
void mf_owner_warm(struct mf_owner *o)
{
    uint64_t until = mf_sys_now() + o->warm;
    if (o->closing)
        return;
    o->cool_at = until;
    mf_owner_alarm(o, until);
    if (o->alarm_runs && o->pages)
        mf_pages_warm(o->pages, until);
}

/* Lock held on entry and exit, but not while memory is given back, which takes time. */
static void cool(struct mf_owner *o)
{
    uint64_t now = mf_sys_now();
    if (now < o->cool_at)
        return;
    o->cool_at = MF_SYS_NEVER;
    pthread_mutex_unlock(&o->lock);
    if (o->pages)
        mf_pages_cool(o->pages, now);
    bool all = !o->areas || mf_areas_cool(o->areas);
    pthread_mutex_lock(&o->lock);
    if (!all && o->cool_at == MF_SYS_NEVER)
        o->cool_at = now + o->warm;
}

/* --- The alarm -------------------------------------------------------------------------------------------------- */

static void *watch_clock(void *arg)
{
    struct mf_owner *o = arg;
    pthread_mutex_lock(&o->lock);
    while (!o->closing) {
        if (o->alarm > mf_sys_now()) {
            mf_sys_cond_wait_until(&o->alarm_changed, &o->lock, o->alarm);
            continue;
        }
        cool(o);
        uint64_t next = o->on_alarm(o);
        o->alarm = next < o->cool_at ? next : o->cool_at;
    }
    pthread_mutex_unlock(&o->lock);
    return NULL;
}

void mf_owner_alarm(struct mf_owner *o, uint64_t moment)
{
    if (!o->alarm_runs) {
        struct mf_fault fault;
        o->alarm = moment;
        if (mf_sys_thread_start(&o->alarm_thread, ALARM_STACK, watch_clock, o, &fault) != MF_OK) {
            mf_log(MF_LOG_POOL, "time limits do not work: %s", fault.text);
            return;
        }
        o->alarm_runs = true;
    } else if (moment < o->alarm) {
        o->alarm = moment;
        pthread_cond_signal(&o->alarm_changed);
    }
}

void mf_owner_alarm_stop(struct mf_owner *o)
{
    pthread_mutex_lock(&o->lock);
    o->closing = true;
    bool runs = o->alarm_runs;
    o->alarm_runs = false;
    pthread_cond_signal(&o->alarm_changed);
    pthread_mutex_unlock(&o->lock);
    if (runs)
        pthread_join(o->alarm_thread, NULL);
}
