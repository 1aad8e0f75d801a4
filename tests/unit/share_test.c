/* Blocks over links: what crosses, how often, and what is told when they are gone; and hostile frames. */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/share.h"
#include "../../runtime/sys_fd.h"

#define LARGE ((size_t)5 << 20)

/* One end of a link, and what came there. */
struct side {
    struct mf_link *link;
    struct mf_share share;
    bool trusted;
    int frames, blocks, drops, with_fd;
    struct mf_share_lists lists; /* of the last message */
    enum mf_err e;
};

static enum mf_err received(void *arg, struct mf_link_frame *f)
{
    struct side *s = arg;
    s->frames++;
    s->blocks += f->head.kind == MF_MSG_BLOCK;
    s->drops += f->head.kind == MF_MSG_DROP;
    s->with_fd += f->fd >= 0;
    if (f->head.kind != MF_MSG_TASK)
        return s->e = mf_share_received(&s->share, f, s->trusted);
    mf_share_lists_release(&s->lists);
    s->lists = mf_share_take(&s->share, f->head.id);
    return MF_OK;
}

static struct side master, agent;

/* pipes: the link passes no descriptors */
static void open_sides(bool pipes)
{
    int fds[2], to[2], from[2];
    struct mf_fault fault;
    struct mf_stream_end *ends[2];
    if (pipes) {
        CHECK(mf_sys_pipe(to) && mf_sys_pipe(from));
        ends[0] = mf_stream_pair_new(from[0], to[1], &fault);
        ends[1] = mf_stream_pair_new(to[0], from[1], &fault);
    } else {
        CHECK(mf_sys_socketpair(fds));
        ends[0] = mf_stream_fd_new(fds[0], &fault);
        ends[1] = mf_stream_fd_new(fds[1], &fault);
    }
    master = (struct side){.link = mf_link_new(ends[0], received, &master, &fault)};
    agent = (struct side){.link = mf_link_new(ends[1], received, &agent, &fault), .trusted = true};
    CHECK(master.link && agent.link && mf_link_passes_fds(master.link) == !pipes);
}

static void close_sides(void)
{
    struct side *sides[2] = {&master, &agent};
    for (int i = 0; i < 2; i++) {
        mf_share_lists_release(&sides[i]->lists);
        mf_share_release(&sides[i]->share);
        mf_link_free(sides[i]->link);
    }
}

static void deliver(struct side *from, struct side *to)
{
    struct mf_fault fault;
    for (int before = -1; mf_link_pending(from->link) > 0 || to->frames != before;) {
        before = to->frames;
        mf_link_flush(from->link);
        if (mf_link_read(to->link, &fault) != MF_OK)
            return;
    }
}

/* A message with that id, whose parts hold these. */
static void send_message(struct side *from, struct side *to, uint64_t id, const struct mf_holds *a,
                         const struct mf_holds *b)
{
    const struct mf_holds *parts[2] = {a, b};
    CHECK(mf_share_queue(&from->share, from->link, id, parts, 2) == MF_OK);
    CHECK(mf_link_queue(from->link, MF_MSG_TASK, id, NULL, 0) == MF_OK);
    deliver(from, to);
}

static struct mf_block *filled(size_t bytes)
{
    struct mf_block *b = mf_block_new(bytes, false);
    for (size_t i = 0; i < bytes; i++)
        b->data[i] = (unsigned char)(i * 13 >> 3);
    return b;
}

static bool same(const struct mf_block *a, const struct mf_block *b)
{
    return a != b && a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

static void test_crossing(bool pipes)
{
    struct mf_block *large = filled(LARGE), *small = filled(100), *empty = filled(0), *both[2] = {large, small};
    struct mf_holds *two = mf_holds_new(both, 2), *one = mf_holds_new(&empty, 1);
    open_sides(pipes);
    send_message(&master, &agent, 7, NULL, NULL);
    CHECK(agent.frames == 1 && agent.lists.n == 0);
    send_message(&master, &agent, 8, two, one);
    CHECK(agent.blocks == 3 && agent.with_fd == (pipes ? 0 : 1));
    CHECK(agent.lists.n == 2 && agent.lists.lists[0]->n == 2 && agent.lists.lists[1]->n == 1);
    const struct mf_hold *got = agent.lists.lists[0]->items;
    CHECK(same(got[0].block, large) && same(got[1].block, small));
    CHECK(agent.lists.lists[1]->items[0].block->bytes == 0);
    struct mf_block *theirs = got[0].block;
    send_message(&master, &agent, 9, NULL, two);
    CHECK(agent.blocks == 3 && agent.lists.lists[0] == NULL && agent.lists.lists[1]->items[0].block == theirs);
    mf_holds_free(two);
    CHECK(mf_block_own(large));
    large->data[0] = 99; /* other bytes: another block, as far as they know */
    two = mf_holds_new(both, 2);
    send_message(&master, &agent, 10, two, NULL);
    CHECK(agent.drops == 1 && agent.blocks == 4 && agent.lists.lists[0]->items[0].block->data[0] == 99);
    mf_holds_free(two);
    mf_holds_free(one);
    mf_block_unref(large);
    mf_block_unref(small);
    mf_block_unref(empty);
    CHECK(mf_share_tidy(&master.share, master.link) && !mf_share_tidy(&master.share, master.link));
    deliver(&master, &agent);
    CHECK(agent.drops == 4 && agent.share.ngot == 0);
    CHECK(agent.lists.lists[0]->items[0].block->data[0] == 99); /* who still needs it has it */
    close_sides();
}

/* Large blocks are let go of when there is time, as long as they are not too many. */
static void test_late(void)
{
    struct mf_block *late[MF_SHARE_LATE], *none[MF_SHARE_LATE], *blocks[MF_SHARE_LATE + 2];
    open_sides(false);
    agent.share.lazy = true;
    for (int i = 0; i < MF_SHARE_LATE + 2; i++)
        blocks[i] = filled(i == 0 ? 100 : LARGE);
    struct mf_holds *holds = mf_holds_new(blocks, MF_SHARE_LATE + 2);
    send_message(&master, &agent, 1, holds, NULL);
    mf_share_lists_release(&agent.lists);
    mf_holds_free(holds);
    for (int i = 0; i < MF_SHARE_LATE + 2; i++)
        mf_block_unref(blocks[i]);
    CHECK(mf_share_tidy(&master.share, master.link));
    deliver(&master, &agent);
    CHECK(agent.drops == MF_SHARE_LATE + 2 && agent.share.ngot == 0);
    size_t n = mf_share_take_late(&agent.share, late);
    CHECK(n == MF_SHARE_LATE && mf_share_take_late(&agent.share, none) == 0);
    while (n > 0) {
        CHECK(atomic_load(&late[--n]->refs) == 1);
        mf_block_unref(late[n]);
    }
    close_sides();
}

/* What a block refers to comes with it; what came goes back. */
static void test_nested(void)
{
    struct mf_block *inner = filled(LARGE), *outer = filled(50);
    outer->holds = mf_holds_new(&inner, 1);
    struct mf_holds *holds = mf_holds_new(&outer, 1);
    open_sides(false);
    send_message(&master, &agent, 1, holds, NULL);
    struct mf_block *theirs = agent.lists.lists[0]->items[0].block;
    CHECK(agent.blocks == 2 && same(theirs, outer) && same(theirs->holds->items[0].block, inner));
    send_message(&agent, &master, 2, agent.lists.lists[0], NULL);
    struct mf_block *back = master.lists.lists[0]->items[0].block;
    CHECK(master.e == MF_OK && same(back, outer) && same(back->holds->items[0].block, inner));
    mf_holds_free(holds);
    mf_block_unref(inner);
    mf_block_unref(outer);
    close_sides();
}

static void test_shared(bool pipes)
{
    struct mf_fault fault;
    struct mf_block *b = mf_block_new_shared(100, &fault);
    struct mf_holds *holds = mf_holds_new(&b, 1);
    const struct mf_holds *parts[1] = {holds};
    open_sides(pipes);
    enum mf_err e = mf_share_queue(&master.share, master.link, 1, parts, 1);
    CHECK(e == (pipes ? MF_ELIMIT : MF_OK));
    if (e == MF_OK) {
        send_message(&master, &agent, 1, holds, NULL);
        CHECK(agent.e == MF_EINVAL); /* announced twice before one message */
    }
    close_sides();
    open_sides(false);
    send_message(&master, &agent, 2, holds, NULL);
    agent.lists.lists[0]->items[0].block->data[7] = 5;
    CHECK(b->data[7] == 5 && agent.lists.lists[0]->items[0].block->kind == MF_BLOCK_SHARED);
    close_sides();
    mf_holds_free(holds);
    mf_block_unref(b);
}

/* A frame as it would come; the agent must refuse it. */
static void refuse(enum mf_msg_kind kind, uint64_t id, const uint64_t *words, size_t n)
{
    unsigned char body[128];
    struct mf_link_frame f = {.head = {.length = 8 * n, .kind = (uint8_t)kind, .id = id}, .body = body, .fd = -1};
    struct mf_share s = {0};
    for (size_t i = 0; i < n; i++)
        mf_msg_put64(body + 8 * i, words[i]);
    CHECK(mf_share_received(&s, &f, true) == MF_EINVAL);
    CHECK(s.ngot == 0 && s.next.n == 0);
    mf_share_release(&s);
}

static void test_hostile(void)
{
    refuse(MF_MSG_BLOCK, 1, (uint64_t[]){8, 0, 0}, 3);                            /* too short */
    refuse(MF_MSG_BLOCK, 1, (uint64_t[]){8, 0, 0, 0, 0}, 5);                      /* no padding */
    refuse(MF_MSG_BLOCK, 1, (uint64_t[]){9, 0, 0, 0, 0, 0, 0, 0, 1}, 9);          /* another length */
    refuse(MF_MSG_BLOCK, 1, (uint64_t[]){8, 0, 0, UINT64_MAX, 0, 0, 0, 0, 1}, 9); /* so many references */
    refuse(MF_MSG_BLOCK, 1, (uint64_t[]){8, 0, 0, 1, 5, 0, 0, 0, 1}, 9);          /* to what is not there */
    refuse(MF_MSG_DROP, 1, NULL, 0);
    refuse(MF_MSG_HOLDS, 1, (uint64_t[]){1}, 1);
    refuse(MF_MSG_HOLDS, 1, (uint64_t[]){1, 3}, 2);
    refuse(MF_MSG_HOLDS, 1, (uint64_t[]){UINT64_MAX, 3}, 2);
    refuse(MF_MSG_HOLDS, 1, (uint64_t[]){0, 1}, 2);
}

/* Memory that can still shrink is not taken from who is not trusted. */
static void test_descriptors(void)
{
    unsigned char body[32] = {0};
    int fd = mf_sys_memfd("test");
    struct mf_share s = {0};
    struct mf_link_frame f = {.head = {.length = 32, .kind = MF_MSG_BLOCK, .id = 1}, .body = body, .fd = fd};
    CHECK(write(fd, "01234567", 8) == 8);
    mf_msg_put64(body, 8);
    CHECK(mf_share_received(&s, &f, false) == MF_EINVAL);
    CHECK(mf_sys_memfd_seal(fd, MF_SYS_SEAL_SIZE));
    CHECK(mf_share_received(&s, &f, false) == MF_OK && s.ngot == 1);
    mf_msg_put64(body, 9);
    f.head.id = 2;
    CHECK(mf_share_received(&s, &f, false) == MF_EINVAL && mf_share_received(&s, &f, true) == MF_EINVAL);
    mf_msg_put64(body, 4);
    mf_msg_put64(body + 8, UINT64_MAX);
    CHECK(mf_share_received(&s, &f, true) == MF_EINVAL);
    mf_msg_put64(body + 8, 4);
    mf_msg_put64(body + 16, 1); /* in front of common memory there must be room for its words */
    CHECK(mf_share_received(&s, &f, true) == MF_EINVAL);
    mf_msg_put64(body + 16, 8);
    CHECK(mf_share_received(&s, &f, true) == MF_EINVAL);
    CHECK(s.ngot == 1);
    mf_share_release(&s);
    close(fd);
}

/* More blocks than descriptors may wait at a time. */
static void test_many(void)
{
    enum { N = 100 };
    struct mf_block *blocks[N];
    for (int i = 0; i < N; i++) {
        blocks[i] = filled(i % 2 ? MF_BLOCK_PAGES_MIN : MF_BLOCK_EXPORT_MIN);
        blocks[i]->data[0] = (unsigned char)i;
    }
    struct mf_holds *holds = mf_holds_new(blocks, N);
    open_sides(false);
    send_message(&master, &agent, 1, holds, NULL);
    CHECK(agent.blocks == N && agent.lists.n == 2 && agent.lists.lists[0]->n == N);
    bool good = agent.lists.n == 2;
    for (int i = 0; good && i < N; i++)
        good = same(agent.lists.lists[0]->items[i].block, blocks[i]);
    CHECK(good);
    mf_holds_free(holds);
    for (int i = 0; i < N; i++)
        mf_block_unref(blocks[i]);
    close_sides();
}

int main(void)
{
    int fd = mf_sys_memfd("test");
    test_crossing(true);
    test_hostile();
    if (fd >= 0) {
        close(fd);
        test_crossing(false);
        test_nested();
        test_late();
        test_shared(false);
        test_shared(true);
        test_descriptors();
        test_many();
    }
    return check_report();
}
