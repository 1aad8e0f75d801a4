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
#define POLLS_PER_YIELD 4u

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

struct mf_loop *mf_loop_new(pthread_mutex_t *lock, struct mf_fault *fault)
{
    struct mf_loop *l = calloc(1, sizeof *l);
    if (!l || !(l->table = table_new(FIRST_CAP)) || mf_sys_cond_init(&l->left) != MF_OK)
        goto no_memory;
    if (!mf_sys_event_new(l->event)) {
        mf_fault_set(fault, MF_ESYS, "cannot make the event loop's descriptor: %s", strerror(errno));
        pthread_cond_destroy(&l->left);
        mf_loop_forget(l);
        return NULL;
    }
    l->lock = lock;
    l->stale = true;
    mf_list_init(&l->watches);
    return l;
no_memory:
    free(l ? l->table : NULL);
    free(l);
    mf_fault_set(fault, MF_ENOMEM, "out of memory while making the event loop");
    return NULL;
}
