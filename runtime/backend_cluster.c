/* Design note: each host has one agent, which runs all of that host's workers; the rest is the fleet's. All hosts are called
 * at the same time when the pool is opened, and their workers take slots as they come in. A host that is lost is called
 * again for as long as the pool is in use; its work goes to the others. When nobody is left and nobody comes, what is
 * queued is lost, rather than that somebody waits for ever. */
#include "backend.h"

#include <stdio.h>
#include <string.h>

#include "fleet.h"
#include "host.h"
#include "log.h"
#include "owner.h"
#include "peer.h"
#include "pool.h"
#include "sched.h"
#include "sys.h"
#include "sys_fd.h"

static bool anybody_is(const struct mf_pool *pool, enum mf_host_state state)
{
    for (int i = 0; i < pool->hosts->n; i++)
        if (pool->hosts->hosts[i].state == state)
            return true;
    return false;
}

/* The agent, when there is one, has to greet and to get ready; until then the host is still CALLED. */
static void welcome(struct mf_pool *pool, struct mf_host *host, struct mf_stream_remote *remote)
{
    struct mf_fault fault = {0};
    if (remote && mf_peer_attach(pool, host, remote, &fault) != MF_OK)
        mf_host_departed(host, fault.text);
    if (host->state == MF_HOST_AWAY) {
        mf_log(MF_LOG_POOL, "host %s: %s", host->name, host->text);
        mf_owner_alarm(pool->owner, host->retry);
    }
    mf_owner_nudge(pool->owner);
}

static void call(struct mf_pool *pool, struct mf_host *host)
{
    struct mf_stream_remote *remote;
    mf_host_call(pool->hosts, host, &remote);
    if (host->launch)
        pool->starting++; /* so that the loop is turned */
    welcome(pool, host, remote);
}

static void on_wake(struct mf_loop_watch *watch, unsigned events)
{
    struct mf_pool *pool = (struct mf_pool *)(void *)((char *)watch - offsetof(struct mf_pool, hosts_watch));
    struct mf_stream_remote *remote;
    struct mf_fault fault;
    (void)events;
    mf_sys_event_drain(pool->hosts->wake);
    for (int i = 0; i < pool->hosts->n; i++)
        if (mf_host_take(&pool->hosts->hosts[i], &remote)) {
            pool->starting--;
            welcome(pool, &pool->hosts->hosts[i], remote);
        }
    if (atomic_load(&pool->queue.pending) && !pool->closing && pool->backend->feed(pool, &fault) != MF_OK)
        mf_sched_lose_all(pool, fault.text);
}

static enum mf_err watch(struct mf_pool *pool, struct mf_fault *fault)
{
    struct mf_loop *loop = mf_owner_loop(pool->owner, fault);
    if (!loop)
        return MF_ESYS;
    if (pool->hosts_watch.ready)
        return MF_OK;
    pool->hosts_watch = (struct mf_loop_watch){.fd = pool->hosts->wake[0], .events = MF_LOOP_READ, .ready = on_wake};
    return mf_loop_add(loop, &pool->hosts_watch) == MF_OK ? MF_OK : mf_fault_set(fault, MF_ENOMEM, "out of memory");
}

/* All that are away. */
static void call_hosts(struct mf_pool *pool, uint64_t now)
{
    for (int i = 0; i < pool->hosts->n; i++)
        if (pool->hosts->hosts[i].state == MF_HOST_AWAY && pool->hosts->hosts[i].retry <= now)
            call(pool, &pool->hosts->hosts[i]);
}

/* Why nobody is here. */
static void tell_reasons(const struct mf_pool *pool, char *text, size_t n)
{
    size_t at = (size_t)snprintf(text, n, "no host of the cluster is left");
    for (int i = 0; i < pool->hosts->n && at < n; i++)
        at += (size_t)snprintf(text + at, n - at, "%s %s", i ? ";" : ":", pool->hosts->hosts[i].text);
}

/* Futures for workers that are gone cannot wait for them. */
static void lose_homeless(struct mf_pool *pool)
{
    while (!mf_list_empty(&pool->queue.homeless)) {
        struct mf_future *f = MF_LIST_ENTRY(pool->queue.homeless.next, struct mf_future, link);
        mf_sched_finish(f, MF_FUTURE_LOST, MF_FAILURE_LOST, NULL, "its worker's host is gone");
    }
}

static enum mf_err cluster_feed(struct mf_pool *pool, struct mf_fault *fault)
{
    char text[sizeof fault->text];
    enum mf_err e = watch(pool, fault);
    if (e != MF_OK)
        return e;
    mf_fleet_send(pool);
    lose_homeless(pool);
    if (!atomic_load(&pool->queue.pending) || anybody_is(pool, MF_HOST_HERE) || anybody_is(pool, MF_HOST_CALLED))
        return MF_OK;
    if (!pool->desperate) { /* there is nobody: all are called once more, at once */
        pool->desperate = true;
        call_hosts(pool, MF_SYS_NEVER);
        if (anybody_is(pool, MF_HOST_CALLED) || anybody_is(pool, MF_HOST_HERE))
            return MF_OK;
    }
    pool->desperate = false;
    tell_reasons(pool, text, sizeof text);
    return mf_fault_set(fault, MF_ELOST, "%s", text);
}

static void cluster_departed(struct mf_pool *pool, struct mf_host *host, const char *text)
{
    mf_host_departed(host, text);
    mf_owner_nudge(pool->owner);
    if (!pool->closing && !pool->retired)
        mf_owner_alarm(pool->owner, host->retry);
}

/* Agents are asked whether they are there, and hosts that are away are called. */
static uint64_t cluster_beat(struct mf_pool *pool, uint64_t now)
{
    uint64_t next = mf_fleet_beat(pool, now);
    if (pool->closing || pool->retired || !pool->hosts_watch.ready)
        return next;
    call_hosts(pool, now);
    for (int i = 0; i < pool->hosts->n; i++)
        if (pool->hosts->hosts[i].state == MF_HOST_AWAY && pool->hosts->hosts[i].retry < next)
            next = pool->hosts->hosts[i].retry;
    return next;
}

static void cluster_remember(struct mf_pool *pool, const struct mf_setup *setup)
{
    for (int i = 0; i < pool->size; i++) {
        struct mf_peer *a = mf_peer_at(pool, i);
        if (!a || !a->greeted || a->dying)
            continue;
        if (mf_peer_send_setup(a, setup) == MF_OK)
            mf_peer_flush(a);
        else
            mf_log(MF_LOG_POOL, "%s: a call of everywhere could not be sent", a->name);
    }
}

static void cluster_leave(struct mf_pool *pool)
{
    if (pool->closing)
        mf_hosts_cancel(pool->hosts);
    mf_fleet_leave(pool);
}

/* All hosts at the same time; returns when each is here or away. */
static enum mf_err cluster_open(struct mf_pool *pool, struct mf_fault *fault)
{
    struct mf_owner *owner = pool->owner;
    pthread_mutex_lock(&owner->lock);
    enum mf_err e = watch(pool, fault);
    if (e == MF_OK)
        call_hosts(pool, MF_SYS_NEVER);
    while (e == MF_OK && anybody_is(pool, MF_HOST_CALLED)) {
        atomic_store(&owner->watch_left, 1);
        e = mf_owner_sleep(owner, MF_SYS_NEVER);
        atomic_store(&owner->watch_left, 0);
    }
    mf_owner_alarm(owner, mf_sys_now());
    pthread_mutex_unlock(&owner->lock);
    return e;
}

const struct mf_backend mf_backend_cluster = {
    .name = "cluster",
    .asynchronous = true,
    .open = cluster_open,
    .feed = cluster_feed,
    .overdue = mf_fleet_overdue,
    .beat = cluster_beat,
    .withdraw = mf_fleet_withdraw,
    .remember = cluster_remember,
    .departed = cluster_departed,
    .tidy = mf_fleet_tidy,
    .interrupt = mf_fleet_interrupt,
    .abandon = mf_fleet_abandon,
    .leave = cluster_leave,
    .join = mf_fleet_join,
};
