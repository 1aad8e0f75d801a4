/* What the owner may ask without changing anything. */
#include <string.h>

#include "runtime.h"
#include "sys.h"

static size_t count_open(const struct mf_pool *pool)
{
    size_t n = atomic_load(&pool->queue.pending) + (size_t)pool->running + (size_t)pool->sent;
    for (const struct mf_list *l = pool->created.next; l != &pool->created; l = l->next)
        n += !MF_LIST_ENTRY(l, struct mf_future, link)->lazy;
    return n;
}

static size_t count_all_open(struct mf_owner *owner)
{
    size_t open = 0;
    for (struct mf_list *l = owner->pools.next; l != &owner->pools; l = l->next)
        open += count_open(MF_LIST_ENTRY(l, struct mf_pool, link));
    return open;
}

size_t mf_runtime_open_count(struct mf_owner *owner)
{
    pthread_mutex_lock(&owner->lock);
    size_t open = count_all_open(owner);
    pthread_mutex_unlock(&owner->lock);
    return open;
}

bool mf_runtime_output(struct mf_owner *owner, struct mf_future *f, struct mf_buf *out)
{
    bool ok = true;
    pthread_mutex_lock(&owner->lock);
    if (f->extra && f->extra->output.len)
        ok = mf_buf_append(out, f->extra->output.data, f->extra->output.len);
    pthread_mutex_unlock(&owner->lock);
    return ok;
}

bool mf_runtime_progress(struct mf_owner *owner, struct mf_future *f, double *fraction, char *text)
{
    bool reported = false;
    pthread_mutex_lock(&owner->lock);
    if (f->extra && f->extra->progress >= 0) {
        *fraction = f->extra->progress;
        memcpy(text, f->extra->progress_text, sizeof f->extra->progress_text);
        reported = true;
    }
    pthread_mutex_unlock(&owner->lock);
    return reported;
}

const char *mf_runtime_host(struct mf_owner *owner, const struct mf_future *f)
{
    pthread_mutex_lock(&owner->lock);
    const char *host = f->host;
    pthread_mutex_unlock(&owner->lock);
    return host;
}

uint64_t mf_runtime_running(struct mf_owner *owner, struct mf_future *f)
{
    uint64_t since = 0;
    pthread_mutex_lock(&owner->lock);
    int index = mf_future_state(f) == MF_FUTURE_RUNNING ? atomic_load(&f->worker) : 0;
    const struct mf_pool *pool = f->pool; /* valid, since f is not final */
    if (index > 0 && index <= pool->size && pool->workers[index - 1] && pool->workers[index - 1]->running == f)
        since = pool->workers[index - 1]->started;
    pthread_mutex_unlock(&owner->lock);
    return since ? mf_sys_now() - since : 0;
}
