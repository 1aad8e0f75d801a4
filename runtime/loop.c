/* Design note: all watches are in a list; what poll sees is a copy of it, a table of pollfd and watch side by side, so
 * that other threads may add, change and remove watches while one thread is inside poll. They never touch the table's
 * pollfds then: they set stale and wake the poll, and the thread that turns makes the copy anew. Removing clears the
 * watch's place in the table (slot), so that what poll says of a closed, perhaps reused descriptor goes nowhere. Slot 0
 * is the descriptor that wakes.
 *
 * woken and kicked say that the poll shall end: woken from anywhere (mf_loop_wake), kicked because another thread wants
 * to turn. Their setters post to the descriptor only if asleep is set; the sleeper sets asleep before it looks at them.
 * All three are sequentially consistent, so one of the two sees the other. A thread that was kicked leaves woken set
 * for the one that comes, because a signal handler means its own thread. handed keeps the place for the thread that
 * waited for it. */
#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "sys.h"
#include "sys_fd.h"

#define FIRST_CAP 8

struct table {
    size_t cap, n;
    struct mf_loop_watch **watches; /* NULL: removed since; points behind the pollfds */
    struct pollfd polls[];
};

struct mf_loop {
    pthread_mutex_t *lock;
    pthread_cond_t left; /* a thread has stopped turning */
    struct mf_list watches;
    size_t count;
    struct table *table, *next; /* next: a larger one to go over to, or NULL */
    int event[2];
    int waiting; /* threads that want to turn */
    int again;   /* watches with MF_LOOP_AGAIN */
    int bulk;    /* watches with MF_LOOP_BULK */
    bool turning, polling, stale, handed;
    atomic_bool woken, kicked, asleep;
};

static struct table *table_new(size_t cap)
{
    size_t polls = sizeof(struct pollfd) * cap;
    struct table *t = malloc(sizeof *t + polls + sizeof(struct mf_loop_watch *) * cap);
    if (!t)
        return NULL;
    t->cap = cap;
    t->n = 0;
    t->watches = (struct mf_loop_watch **)(void *)((char *)t->polls + polls);
    return t;
}

static void free_all(struct mf_loop *l)
{
    free(l->table);
    free(l->next);
    free(l);
}

struct mf_loop *mf_loop_new(pthread_mutex_t *lock, struct mf_fault *fault)
{
    struct mf_loop *l = calloc(1, sizeof *l);
    if (l)
        l->table = table_new(FIRST_CAP);
    if (!l || !l->table || mf_sys_cond_init(&l->left) != MF_OK) {
        mf_fault_set(fault, MF_ENOMEM, "out of memory while making the event loop");
        goto fail;
    }
    if (!mf_sys_event_new(l->event)) {
        mf_fault_set(fault, MF_ESYS, "cannot make the event loop's descriptor: %s", strerror(errno));
        pthread_cond_destroy(&l->left);
        goto fail;
    }
    l->lock = lock;
    l->stale = true;
    mf_list_init(&l->watches);
    return l;
fail:
    if (l)
        free_all(l);
    return NULL;
}

void mf_loop_forget(struct mf_loop *l)
{
    if (!l)
        return;
    mf_sys_event_close(l->event);
    free_all(l);
}

void mf_loop_free(struct mf_loop *l)
{
    if (!l)
        return;
    pthread_cond_destroy(&l->left);
    mf_loop_forget(l);
}

/* --- Watches ---------------------------------------------------------------------------------------------------- */

/* The table no longer says what is watched. */
static void make_stale(struct mf_loop *l)
{
    l->stale = true;
    if (l->polling)
        mf_sys_event_post(l->event);
}

/* The table in use must not move while a thread polls it. */
static bool make_room(struct mf_loop *l)
{
    size_t cap = l->next ? l->next->cap : l->table->cap;
    if (l->count + 2 <= cap) /* one for the descriptor that wakes */
        return true;
    struct table *larger = table_new(cap * 2);
    if (!larger)
        return false;
    free(l->next);
    l->next = larger;
    return true;
}

static void count_flags(struct mf_loop *l, unsigned before, unsigned now)
{
    l->again += ((now & MF_LOOP_AGAIN) != 0) - ((before & MF_LOOP_AGAIN) != 0);
    l->bulk += ((now & MF_LOOP_BULK) != 0) - ((before & MF_LOOP_BULK) != 0);
}

enum mf_err mf_loop_add(struct mf_loop *l, struct mf_loop_watch *watch)
{
    if (!make_room(l))
        return MF_ENOMEM;
    l->count++;
    count_flags(l, 0, watch->events);
    watch->slot = 0;
    mf_list_insert(&l->watches, &watch->link);
    make_stale(l);
    return MF_OK;
}

static short poll_events(unsigned events)
{
    return (short)((events & MF_LOOP_READ ? POLLIN : 0) | (events & MF_LOOP_WRITE ? POLLOUT : 0));
}

void mf_loop_change(struct mf_loop *l, struct mf_loop_watch *watch, unsigned events)
{
    if (watch->events == events)
        return;
    count_flags(l, watch->events, events);
    watch->events = events;
    if (watch->slot && !l->polling)
        l->table->polls[watch->slot].events = poll_events(events);
    else
        make_stale(l);
}

void mf_loop_remove(struct mf_loop *l, struct mf_loop_watch *watch)
{
    if (!watch->link.next || mf_list_empty(&watch->link))
        return;
    mf_list_remove(&watch->link);
    l->count--;
    count_flags(l, watch->events, 0);
    if (watch->slot)
        l->table->watches[watch->slot] = NULL;
    watch->slot = 0;
    make_stale(l);
}

bool mf_loop_empty(const struct mf_loop *l)
{
    return l->count == 0;
}

static void copy_watches(struct mf_loop *l)
{
    if (l->next) {
        free(l->table);
        l->table = l->next;
        l->next = NULL;
    }
    struct table *t = l->table;
    t->polls[0] = (struct pollfd){.fd = l->event[0], .events = POLLIN};
    t->watches[0] = NULL;
    t->n = 1;
    for (struct mf_list *at = l->watches.next; at != &l->watches; at = at->next) {
        struct mf_loop_watch *watch = MF_LIST_ENTRY(at, struct mf_loop_watch, link);
        watch->slot = (int)t->n;
        t->polls[t->n] = (struct pollfd){.fd = watch->fd, .events = poll_events(watch->events)};
        t->watches[t->n++] = watch;
    }
    l->stale = false;
}

/* --- Turning ---------------------------------------------------------------------------------------------------- */

static bool shall_return(const struct mf_loop *l)
{
    return atomic_load(&l->woken) || atomic_load(&l->kicked);
}

/* Polls without sleeping until something comes or the time is over. Yields each time: who is to send what this waits for
 * may need this very processor. */
static int poll_awake(struct mf_loop *l, uint64_t until)
{
    struct table *t = l->table;
    for (;;) {
        int n = mf_sys_poll(t->polls, t->n, 0);
        if (n != 0 || shall_return(l) || until == 0 || mf_sys_now() >= until)
            return n;
        mf_sys_yield();
    }
}

static int poll_asleep(struct mf_loop *l, uint64_t deadline)
{
    atomic_store(&l->asleep, true);
    int n = mf_sys_poll(l->table->polls, l->table->n, shall_return(l) ? 0 : deadline);
    atomic_store(&l->asleep, false);
    return n;
}

/* What poll says: > 0 how many are ready, 0 none, -1 a signal handler ran. Lock not held. */
static int wait_for_any(struct mf_loop *l, uint64_t deadline, uint64_t spin)
{
    if (spin > 0) {
        uint64_t until = mf_sys_now() + spin;
        int n = poll_awake(l, until < deadline ? until : deadline);
        if (n != 0)
            return n;
    }
    return poll_asleep(l, deadline);
}

static void call_ready(struct mf_loop *l)
{
    struct table *t = l->table;
    for (size_t i = 1; i < t->n; i++) {
        struct mf_loop_watch *watch = t->watches[i];
        short got = t->polls[i].revents;
        if (!watch || (!got && !(watch->events & MF_LOOP_AGAIN)))
            continue;
        unsigned events = (got & POLLIN ? MF_LOOP_READ : 0u) | (got & POLLOUT ? MF_LOOP_WRITE : 0u);
        events &= watch->events; /* an earlier callback may have changed them */
        if (watch->events & MF_LOOP_AGAIN)
            events |= MF_LOOP_READ;
        if (got & (POLLHUP | POLLERR | POLLNVAL))
            events |= MF_LOOP_HANGUP;
        if (events)
            watch->ready(watch, events);
    }
}

/* Waits for the turn of the calling thread and takes it. Did another thread turn meanwhile? */
static bool enter(struct mf_loop *l)
{
    bool waited = false;
    while (l->turning || (l->handed && !waited)) {
        if (l->turning) {
            atomic_store(&l->kicked, true);
            if (atomic_load(&l->asleep))
                mf_sys_event_post(l->event);
        }
        l->waiting++;
        pthread_cond_wait(&l->left, l->lock);
        l->waiting--;
        waited = true;
    }
    l->handed = false;
    l->turning = true;
    atomic_store(&l->kicked, l->waiting > 0);
    return waited;
}

static void leave(struct mf_loop *l)
{
    l->turning = false;
    if (l->waiting > 0) {
        l->handed = true;
        pthread_cond_broadcast(&l->left);
    } else {
        atomic_store(&l->woken, false);
    }
}

/* One poll and its callbacks. Lock held, but not during the poll. */
static enum mf_err turn_once(struct mf_loop *l, uint64_t deadline, uint64_t spin, bool *again)
{
    if (l->stale)
        copy_watches(l);
    bool held = l->again > 0, bulk = l->bulk > 0;
    l->polling = true;
    pthread_mutex_unlock(l->lock);
    int n = held ? wait_for_any(l, 0, 0) : wait_for_any(l, deadline, bulk ? 0 : spin);
    bool interrupted = n < 0 && errno == EINTR;
    pthread_mutex_lock(l->lock);
    l->polling = false;
    *again = false;
    if (n < 0)
        return interrupted ? MF_EINTR : MF_OK;
    if (l->table->polls[0].revents) {
        mf_sys_event_drain(l->event);
        n--;
    }
    if (n > 0 || held) {
        call_ready(l);
        return MF_OK;
    }
    *again = !shall_return(l);
    return MF_OK;
}

enum mf_err mf_loop_turn(struct mf_loop *l, uint64_t deadline, uint64_t spin)
{
    enum mf_err e;
    bool again, waited = enter(l);
    do {
        e = turn_once(l, waited ? 0 : deadline, waited ? 0 : spin, &again);
        if (again && deadline != MF_SYS_NEVER && mf_sys_now() >= deadline) {
            e = MF_ETIMEDOUT;
            again = false;
        }
    } while (again && !waited);
    leave(l);
    return e;
}

bool mf_loop_turning(const struct mf_loop *l)
{
    return l->turning;
}

void mf_loop_wake(struct mf_loop *l)
{
    atomic_store(&l->woken, true);
    if (atomic_load(&l->asleep))
        mf_sys_event_post(l->event);
}
