/* A cluster whose hosts are hands (hand.h): each is attached as if a launcher had started it. One test program is one
 * translation unit, so the state stands here. */
#ifndef MF_FAR_H
#define MF_FAR_H

#include "fake.h"
#include "hand.h"

#include "../../runtime/backend.h"
#include "../../runtime/host.h"
#include "../../runtime/loop.h"
#include "../../runtime/peer.h"
#include "../../runtime/sched.h"
#include "../../runtime/stream_remote.h"

#define FAR_HOSTS 3

static struct {
    struct mf_owner *owner;
    struct mf_pool *pool;
    struct mf_hosts *hosts;     /* the pool's */
    struct mf_remote_exit exit; /* how far programs end */
} far;

/* --- A stream to a far program: a socket ---------------------------------------------------------------------------- */

struct far_stream {
    struct mf_stream_remote remote;
    struct mf_stream_end *socket;
};

static inline struct far_stream *far_own(const void *s)
{
    return (struct far_stream *)(uintptr_t)s;
}

static inline ssize_t far_read(struct mf_stream_end *s, void *bytes, size_t n, int *fd)
{
    if (fd)
        *fd = -1;
    return far_own(s)->socket->table->read(far_own(s)->socket, bytes, n, NULL);
}

static inline ssize_t far_write(struct mf_stream_end *s, const struct iovec *pieces, int n, int fd)
{
    (void)fd;
    return far_own(s)->socket->table->write(far_own(s)->socket, pieces, n, -1);
}

static inline int far_fd(const struct mf_stream_end *s)
{
    return far_own(s)->socket->table->fd(far_own(s)->socket);
}

static inline const char *far_error(const struct mf_stream_end *s)
{
    return far_own(s)->socket->table->last_error(far_own(s)->socket);
}

static inline void far_close(struct mf_stream_end *s)
{
    struct far_stream *f = far_own(s);
    f->socket->table->close(f->socket);
    mf_remote_release(&f->remote);
    free(f);
}

static inline void far_exit(struct mf_stream_remote *r, struct mf_remote_exit *exit, uint64_t deadline)
{
    (void)r;
    (void)deadline;
    *exit = far.exit;
}

static inline struct mf_stream_remote *far_new(int *other)
{
    static const struct mf_stream_table stream = {.name = "far",
                                                  .read = far_read,
                                                  .write = far_write,
                                                  .fd = far_fd,
                                                  .last_error = far_error,
                                                  .close = far_close,
                                                  .tells_again = true};
    static const struct mf_remote_table table = {.exit = far_exit};
    struct far_stream *f = calloc(1, sizeof *f);
    int fds[2];
    CHECK(f && mf_sys_socketpair(fds));
    mf_remote_init(&f->remote, &stream, &table);
    f->socket = mf_stream_fd_new(fds[0], NULL);
    *other = fds[1];
    return &f->remote;
}

/* --- The cluster ---------------------------------------------------------------------------------------------------- */

static inline void far_lock(void)
{
    pthread_mutex_lock(&far.owner->lock);
}

static inline void far_unlock(void)
{
    pthread_mutex_unlock(&far.owner->lock);
}

/* The master goes on for a moment. */
static inline void far_turn(void)
{
    far_lock();
    if (far.owner->loop && !mf_loop_empty(far.owner->loop))
        mf_loop_turn(far.owner->loop, mf_sys_now() + 20000, 0);
    bool untidy = atomic_load(&far.owner->untidy);
    far_unlock();
    if (untidy)
        mf_runtime_turn(far.owner);
}

static inline const struct mf_msg_hello *far_hello(void)
{
    static struct mf_msg_hello hello;
    hello = hand_hello();
    return &hello;
}

/* A pool of hosts "a", "b", ... that nobody can call. heartbeat 0: the default. */
static inline void far_begin(int n, double heartbeat)
{
    static struct mf_runner runner = {
        .open = fake_open, .run = fake_run, .idle = fake_idle, .close = fake_close, .live = fake_live};
    static char context[] = "ctx";
    static const char *const names[FAR_HOSTS] = {"a", "b", "c"};
    static char program[] = "/no/such/program";
    runner.hello = far_hello();
    far.owner = mf_runtime_new(&runner, context, NULL);
    far.exit = (struct mf_remote_exit){.how = MF_REMOTE_KILLED, .signal = "SIGKILL"};
    far.hosts = mf_hosts_new(n, NULL, NULL);
    if (!CHECK(far.owner && far.hosts))
        exit(EXIT_FAILURE);
    for (int i = 0; i < n; i++) {
        struct mf_host *h = &far.hosts->hosts[i];
        CHECK(mf_buf_append(&h->texts, names[i], 2));
        h->name = (char *)h->texts.data;
        h->local = true;
        h->program = program;
        h->workers = 2;
        h->retry = MF_SYS_NEVER;
    }
    struct mf_pool_options options = {.hosts = far.hosts, .grace = 0.02, .heartbeat = heartbeat};
    far.pool = mf_runtime_pool(far.owner, "cluster", &options, NULL);
    if (!CHECK(far.pool))
        exit(EXIT_FAILURE);
}

/* The agent of host i, which has yet to greet. */
static inline struct hand *far_attach(int i)
{
    struct mf_fault fault = {0};
    int fd;
    struct mf_stream_remote *remote = far_new(&fd);
    far_lock();
    far.hosts->hosts[i].state = MF_HOST_CALLED;
    CHECK(mf_peer_attach(far.pool, &far.hosts->hosts[i], remote, &fault) == MF_OK);
    far_unlock();
    return hand_new(fd, far_turn);
}

/* The same, greeted and here; the first messages have been read. */
static inline struct hand *far_join(int i)
{
    struct hand *h = far_attach(i);
    hand_greet(h, far_hello());
    hand_expect(h, MF_MSG_INIT);
    const struct hand_frame *ping = hand_expect(h, MF_MSG_PING);
    CHECK(ping && ping->id == MF_PEER_READY);
    hand_send(h, MF_MSG_PONG, MF_PEER_READY, NULL, 0);
    while (far.hosts->hosts[i].state != MF_HOST_HERE)
        hand_look(h);
    return h;
}

/* The next task that the agent is sent; other code comes and goes. */
static inline uint64_t far_task(struct hand *h)
{
    const struct hand_frame *f;
    do
        f = hand_expect(h, 0);
    while (f && (f->kind == MF_MSG_CODE || f->kind == MF_MSG_FORGET));
    CHECK(f && f->kind == MF_MSG_TASK);
    return f ? f->id : 0;
}

/* Tasks take that long, as far as the pool knows; so many stand ahead. */
static inline void far_mean(uint64_t nanoseconds)
{
    far_lock();
    far.pool->mean = nanoseconds;
    far_unlock();
}

/* Ends everything; hands that are there stay. */
static inline void far_end(void)
{
    mf_runtime_close(far.owner);
    mf_owner_unref(far.owner);
    fake_reset();
}

static inline bool far_is(struct mf_future *f, enum mf_future_state state)
{
    bool is = mf_future_state(f) == state;
    if (!is)
        fprintf(stderr, "the future is %s: %s\n", mf_future_state_name(mf_future_state(f)),
                f->extra ? f->extra->fault : "");
    return is;
}

/* Turns until f is in that state. */
static inline bool far_becomes(struct mf_future *f, enum mf_future_state state)
{
    uint64_t end = mf_sys_after(20);
    while (mf_future_state(f) != state && !mf_future_final(f) && mf_sys_now() < end)
        far_turn();
    return far_is(f, state);
}

#endif
