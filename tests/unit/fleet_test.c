/* Who gets which task when: in turn, ahead of time, back again; agents that die unseen, fall silent, are asked to leave; how
 * much waits for a slow one. */
#include "far.h"

#include <sys/socket.h>

#include "../../runtime/fleet.h"

static struct hand *hands[FAR_HOSTS];

static void begin(int n, double heartbeat)
{
    far_begin(n, heartbeat);
    for (int i = 0; i < n; i++)
        hands[i] = far_join(i);
}

static void end(int n)
{
    far_end();
    for (int i = 0; i < n; i++)
        if (hands[i])
            hand_free(hands[i]);
}

static void submit(struct mf_future **futures, int n)
{
    for (int i = 0; i < n; i++)
        futures[i] = fake_plain(far.pool, FAKE_ECHO, "x");
}

static void drop(struct mf_future **futures, int n)
{
    for (int i = 0; i < n; i++)
        mf_future_unref(futures[i]);
}

/* So many tasks have been sent to it, and nothing else. Their numbers. */
static void expect_tasks(struct hand *h, uint64_t *ids, int n)
{
    for (int i = 0; i < n; i++)
        ids[i] = far_task(h);
    CHECK(hand_silent(h));
}

static void answer(struct hand *h, const uint64_t *ids, int n)
{
    for (int i = 0; i < n; i++)
        hand_result(h, ids[i], MF_OUTCOME_VALUE, "");
}

static void all_done(struct mf_future **futures, int n)
{
    for (int i = 0; i < n; i++)
        CHECK(far_becomes(futures[i], MF_FUTURE_DONE));
}

/* --- Sending ---------------------------------------------------------------------------------------------------------- */

/* While nothing is known of how long tasks take, each worker gets one, and all get some before one gets more. */
static void test_one_each(void)
{
    struct mf_future *f[7];
    uint64_t ids[3][4];
    begin(3, 0);
    submit(f, 7);
    for (int i = 0; i < 3; i++)
        expect_tasks(hands[i], ids[i], 2);
    CHECK(far_is(f[6], MF_FUTURE_QUEUED));
    answer(hands[1], ids[1], 1);
    expect_tasks(hands[1], &ids[1][2], 1);
    CHECK(far_is(f[6], MF_FUTURE_RUNNING));
    answer(hands[0], ids[0], 2);
    answer(hands[1], &ids[1][1], 2);
    answer(hands[2], ids[2], 2);
    all_done(f, 7);
    drop(f, 7);
    end(3);
}

/* Short ones are sent ahead: work for a millisecond, and not more than there is room for. */
static void test_ahead(uint64_t mean, int expected)
{
    enum { MANY = 500 };
    struct mf_future *f[MANY];
    uint64_t ids[MANY];
    begin(1, 0);
    far_mean(mean);
    submit(f, MANY);
    CHECK(far.pool->sent + far.pool->running == expected &&
          atomic_load(&far.pool->queue.pending) == (size_t)(MANY - expected));
    expect_tasks(hands[0], ids, expected);
    drop(f, MANY);
    end(1);
}

static uint64_t trip(uint64_t set)
{
    far_lock();
    struct mf_peer *a = mf_peer_at(far.pool, 0);
    if (set)
        a->trip = set;
    uint64_t now = a->trip;
    far_unlock();
    return now;
}

/* Where the way is long, so much stands ahead that each worker has work until more is there. */
static void test_far_away(void)
{
    enum { N = 24 };
    struct mf_future *f[N];
    uint64_t ids[N];
    begin(1, 0);
    far_mean(10000000);
    trip(40000000);
    submit(f, N);
    expect_tasks(hands[0], ids, 2 * 5);
    drop(f, N);
    end(1);
}

/* How long it is, tasks that have not waited for others tell; the shortest of late counts most. */
static void test_trip(void)
{
    enum { LONG = 1000000000 };
    struct mf_future *f[3];
    uint64_t ids[3];
    begin(1, 0);
    far_mean(1000);
    CHECK(trip(0) == 0);
    submit(f, 3);
    expect_tasks(hands[0], ids, 3);
    uint64_t sent = mf_sys_now();
    while (mf_sys_now() < sent + 5000000)
        far_turn();
    answer(hands[0], ids, 2);
    CHECK(far_becomes(f[0], MF_FUTURE_DONE) && far_becomes(f[1], MF_FUTURE_DONE));
    CHECK(trip(0) >= 5000000 && trip(LONG) == LONG);
    answer(hands[0], ids + 2, 1);
    CHECK(far_becomes(f[2], MF_FUTURE_DONE) && trip(0) == LONG);
    drop(f, 3);
    submit(f, 1);
    expect_tasks(hands[0], ids, 1);
    answer(hands[0], ids, 1);
    CHECK(far_becomes(f[0], MF_FUTURE_DONE) && trip(0) < LONG);
    drop(f, 1);
    end(1);
}

/* A slow one is not sent more than it can take. */
static void test_back_pressure(void)
{
    enum { N = 64, SIZE = 200000 };
    char *text = calloc(1, SIZE + 1);
    struct mf_future *f[N];
    begin(1, 0);
    far_mean(1000);
    hands[0]->deaf = true;
    memset(text, 'x', SIZE);
    for (int i = 0; i < N; i++)
        f[i] = fake_plain(far.pool, FAKE_ECHO, text);
    for (int i = 0; i < 100; i++)
        far_turn();
    far_lock();
    size_t waits = mf_link_pending(mf_peer_at(far.pool, 0)->link), queued = atomic_load(&far.pool->queue.pending);
    far_unlock();
    CHECK(waits > 1000000 && waits < 1500000 && queued > 40);
    hands[0]->deaf = false;
    for (int i = 0; i < N; i++)
        hand_result(hands[0], far_task(hands[0]), MF_OUTCOME_VALUE, "");
    all_done(f, N);
    drop(f, N);
    free(text);
    end(1);
}

/* Nor one that takes much, but is slow to work on it: both sides keep what was sent ahead. */
static void test_large_ahead(void)
{
    enum { N = 32, SIZE = 1 << 20, AHEAD = 5 };
    char *text = calloc(1, SIZE + 1);
    struct mf_future *f[N];
    uint64_t ids[N];
    begin(1, 0);
    far_mean(1000);
    memset(text, 'x', SIZE);
    for (int i = 0; i < N; i++) {
        f[i] = fake_plain(far.pool, FAKE_ECHO, text);
        hand_silent(hands[0]); /* it takes all that is sent */
    }
    expect_tasks(hands[0], ids, AHEAD);
    answer(hands[0], ids, 3);
    expect_tasks(hands[0], ids + AHEAD, 3);
    answer(hands[0], ids + 3, AHEAD);
    for (int i = AHEAD + 3; i < N; i++)
        hand_result(hands[0], far_task(hands[0]), MF_OUTCOME_VALUE, "");
    all_done(f, N);
    drop(f, N);
    free(text);
    end(1);
}

/* --- Back again --------------------------------------------------------------------------------------------------------- */

/* What stands behind a long task goes to one that has nothing to do; and not back to where it was. */
static void test_recall(void)
{
    struct mf_future *f[8];
    uint64_t first[8], second[8];
    begin(2, 0);
    far_mean(1000);
    hands[1]->deaf = true; /* it seems to be as busy */
    submit(f, 8);
    expect_tasks(hands[0], first, 4);
    hands[1]->deaf = false;
    expect_tasks(hands[1], second, 4);
    answer(hands[1], second, 4); /* and has nothing to do now */
    for (int i = 2; i < 4; i++) {
        const struct hand_frame *recall = hand_expect(hands[0], MF_MSG_RECALL);
        CHECK(recall && recall->id == first[i]);
    }
    CHECK(hand_silent(hands[0])); /* asked for once */
    uint64_t again;
    hand_result(hands[0], first[2], MF_MSG_RECALLED, "");
    expect_tasks(hands[1], &again, 1);
    CHECK(again == first[2] && hand_silent(hands[0]));
    hand_result(hands[0], first[0], MF_OUTCOME_VALUE, ""); /* and the last one has been started meanwhile */
    hand_result(hands[0], first[3], MF_OUTCOME_VALUE, "");
    answer(hands[1], &again, 1);
    answer(hands[0], &first[1], 1);
    all_done(f, 8);
    drop(f, 8);
    end(2);
}

/* One that has been asked for work back gets no more ahead before it has done something. */
static void test_behind(void)
{
    struct mf_future *f[12];
    uint64_t first[12], second[12];
    begin(2, 0);
    far_mean(1000);
    submit(f, 8);
    expect_tasks(hands[0], first, 4);
    expect_tasks(hands[1], second, 4);
    answer(hands[1], second, 4);
    for (int i = 2; i < 4; i++)
        hand_expect(hands[0], MF_MSG_RECALL);
    for (int i = 2; i < 4; i++)
        hand_result(hands[0], first[i], MF_MSG_RECALLED, "");
    expect_tasks(hands[1], second, 2);
    far_mean(1000);
    submit(&f[8], 4);
    expect_tasks(hands[1], &second[2], 4);
    CHECK(hand_silent(hands[0]));
    answer(hands[0], first, 2);
    answer(hands[1], second, 6);
    all_done(f, 12);
    drop(f, 12);
    end(2);
}

/* --- Ends --------------------------------------------------------------------------------------------------------------- */

static void cut(int i)
{
    hand_free(hands[i]);
    hands[i] = NULL;
}

/* One that died while nobody looked is not sent anything. */
static void test_idle_death(void)
{
    struct mf_future *f[2];
    uint64_t ids[2];
    begin(2, 0);
    far.exit.how = MF_REMOTE_LOST;
    far_lock(); /* nobody turns the loop */
    cut(0);
    far_unlock();
    submit(f, 2);
    expect_tasks(hands[1], ids, 2);
    CHECK(far.hosts->hosts[0].state == MF_HOST_AWAY);
    answer(hands[1], ids, 2);
    all_done(f, 2);
    drop(f, 2);
    end(2);
}

/* One that does not answer is given up after three heartbeats, and others take over what it cannot have begun. */
static void test_silence(void)
{
    struct mf_future *f[3];
    begin(2, 0.2);
    hands[0]->mute = hands[0]->deaf = true;
    submit(f, 3);
    while (far.hosts->hosts[0].state == MF_HOST_HERE)
        hand_look(hands[1]);
    CHECK(strstr(far.hosts->hosts[0].text, "host a does not answer") && !hands[1]->ended);
    int lost = 0;
    for (int i = 0; i < 3; i++)
        lost += mf_future_state(f[i]) == MF_FUTURE_LOST;
    CHECK(lost >= 1 && lost <= 2);
    drop(f, 3);
    end(2);
}

/* A long message that comes slowly is no silence, if it is not too slow. */
static void test_slow_message(bool slow)
{
    enum { SIZE = 100000 };
    struct mf_msg_head head = {.length = SIZE, .kind = MF_MSG_RESULT};
    unsigned char bytes[MF_MSG_HEAD + 2000] = {0};
    struct mf_future *f;
    begin(1, 0.2);
    hands[0]->mute = true;
    submit(&f, 1);
    head.id = far_task(hands[0]);
    mf_msg_pack_head(bytes, &head);
    bytes[3] = 0;
    CHECK(send(hands[0]->fd, bytes, MF_MSG_HEAD, MSG_NOSIGNAL) == MF_MSG_HEAD);
    uint64_t next = mf_sys_now();
    for (int sent = 0; (slow || sent < 15) && far.hosts->hosts[0].state == MF_HOST_HERE;) {
        far_turn();
        if (mf_sys_now() < next)
            continue;
        next = mf_sys_now() + 60000000;
        CHECK(send(hands[0]->fd, bytes + MF_MSG_HEAD, slow ? 10 : 2000, MSG_NOSIGNAL) > 0 || slow);
        sent++;
    }
    CHECK((far.hosts->hosts[0].state == MF_HOST_HERE) != slow);
    CHECK(slow == mf_future_final(f));
    mf_future_unref(f);
    end(1);
}

/* --- Leaving ------------------------------------------------------------------------------------------------------------ */

static void test_retire(void)
{
    struct mf_future *f[2];
    uint64_t ids[2];
    begin(2, 0);
    submit(f, 1);
    expect_tasks(hands[0], ids, 1);
    mf_runtime_retire(far.pool);
    hand_expect(hands[1], MF_MSG_BYE); /* it has nothing to do */
    CHECK(hand_silent(hands[0]));
    answer(hands[0], ids, 1);
    hand_expect(hands[0], MF_MSG_BYE);
    all_done(f, 1);
    drop(f, 1);
    end(2);
}

/* The answer to a cancel is waited for. */
static void test_retire_cancelled(void)
{
    struct mf_future *f;
    uint64_t id;
    begin(1, 0);
    submit(&f, 1);
    id = far_task(hands[0]);
    CHECK(mf_runtime_cancel(far.owner, f));
    hand_expect(hands[0], MF_MSG_CANCEL);
    mf_runtime_retire(far.pool);
    CHECK(hand_silent(hands[0]));
    hand_result(hands[0], id, MF_MSG_RECALLED, "");
    hand_expect(hands[0], MF_MSG_BYE);
    mf_future_unref(f);
    end(1);
}

/* One that does not end in spite of that is ended. */
static void test_does_not_leave(void)
{
    begin(1, 0);
    mf_runtime_retire(far.pool);
    hand_expect(hands[0], MF_MSG_BYE);
    while (far.pool->alive > 0)
        far_turn();
    CHECK(strstr(far.hosts->hosts[0].text, "host a did not stop"));
    end(1);
}

/* Everywhere reaches those that are there; the others get it when they come. */
static void test_present(void)
{
    begin(2, 0);
    CHECK(mf_runtime_has_worker(far.pool, 1) && mf_runtime_has_worker(far.pool, 4) &&
          !mf_runtime_has_worker(far.pool, 5));
    int gone = far.hosts->hosts[0].first;
    cut(0);
    CHECK(!mf_runtime_has_worker(far.pool, gone) && mf_runtime_workers(far.pool) == 4);
    struct mf_future_spec spec = {.worker = gone};
    struct mf_future *f = fake_submit(far.pool, FAKE_ECHO, "x", spec);
    CHECK(far_becomes(f, MF_FUTURE_LOST) && strstr(f->extra->fault, "its worker's host is gone"));
    mf_future_unref(f);
    hands[0] = far_attach(0);
    CHECK(far.hosts->hosts[0].first == gone && !mf_runtime_has_worker(far.pool, gone));
    end(2);
}

/* When nobody is left, what waits is lost, and what comes later too. */
static void test_nobody(void)
{
    struct mf_future *f[3];
    begin(2, 0);
    submit(f, 3);
    for (int i = 0; i < 2; i++)
        cut(i);
    for (int i = 0; i < 3; i++)
        CHECK(far_becomes(f[i], MF_FUTURE_LOST));
    drop(f, 3);
    submit(f, 1);
    CHECK(far_becomes(f[0], MF_FUTURE_LOST) && strstr(f[0]->extra->fault, "no host of the cluster is left: "));
    CHECK(strstr(f[0]->extra->fault, "/no/such/program"));
    drop(f, 1);
    end(2);
}

int main(void)
{
    alarm(100);
    test_one_each();
    test_ahead(0, 2);
    test_ahead(2000000, 2);
    test_ahead(400000, 6);
    test_ahead(1000, 128);
    test_far_away();
    test_trip();
    test_back_pressure();
    test_large_ahead();
    test_recall();
    test_behind();
    test_idle_death();
    test_silence();
    test_slow_message(false);
    test_slow_message(true);
    test_retire();
    test_retire_cancelled();
    test_does_not_leave();
    test_present();
    test_nobody();
    return check_report();
}
