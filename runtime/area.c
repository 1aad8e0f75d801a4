/* Design note: the sender. An area is in the hands of at most one buffer or blob here (held), and lent to at most one
 * link at a time; it is filled again when neither is the case. Whether it is still lent is told by the board, a page
 * that each link has for itself: the sender sets the area's place to LENT before it passes the number on, the receiver
 * sets it back when the last reference to the blob is gone. So no message is needed to give an area back, and a
 * receiver that lies on its board gets wrong bytes itself, and nobody else does.
 *
 * New areas are made only by mf_area_put, with pwrite: when memory is out it returns ENOSPC where a store through a
 * mapping would raise SIGBUS, and it need not clear the pages first. Then size and content are sealed; the mapping that
 * the sender has by then is the only one that can ever write. Nothing can punch a hole into a sealed area either, so
 * that reading never faults, and for the same reason memory comes back only when both sides have unmapped it. */
#define _GNU_SOURCE
#include "area.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "area_map.h"
#include "sys_fd.h"
#include "sys_mem.h"

#define HEAD  offsetof(struct mf_blob, data)
#define SLACK 16 /* a kept area has room for a sixteenth more than its first body */

/* The beginning of the sender's own page. */
struct head {
    struct mf_areas *areas;
    int index;
};

/* --- Mappings and boards ---------------------------------------------------------------------------------------- */

bool mf_area_map(struct mf_area_map *map, int fd, size_t bytes, bool writes)
{
    size_t page = mf_sys_page();
    int access = writes ? PROT_READ | PROT_WRITE : PROT_READ;
    unsigned char *base =
        mmap(NULL, page + bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return false;
    if (mmap(base + page, bytes, access, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        munmap(base, page + bytes);
        return false;
    }
    *map = (struct mf_area_map){base, bytes};
    return true;
}

void mf_area_unmap(struct mf_area_map *map)
{
    if (map->base)
        munmap(map->base, mf_sys_page() + map->bytes);
    map->base = NULL;
}

struct mf_area_board *mf_area_board_map(int fd)
{
    struct mf_area_board *board = malloc(sizeof *board);
    void *page = board ? mmap(NULL, mf_sys_page(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (page == MAP_FAILED) {
        free(board);
        return NULL;
    }
    atomic_init(&board->refs, 1);
    board->state = page;
    return board;
}

struct mf_area_board *mf_area_board_ref(struct mf_area_board *board)
{
    if (board)
        atomic_fetch_add_explicit(&board->refs, 1, memory_order_relaxed);
    return board;
}

void mf_area_board_unref(struct mf_area_board *board)
{
    if (!board || atomic_fetch_sub_explicit(&board->refs, 1, memory_order_acq_rel) != 1)
        return;
    munmap((void *)(uintptr_t)board->state, mf_sys_page());
    free(board);
}

uint64_t mf_area_board_bytes(void)
{
    return mf_sys_page();
}

/* --- All areas of an owner -------------------------------------------------------------------------------------- */

struct mf_areas *mf_areas_new(void)
{
    struct mf_areas *a = calloc(1, sizeof *a);
    if (!a || pthread_mutex_init(&a->lock, NULL) != 0) {
        free(a);
        return NULL;
    }
    atomic_init(&a->refs, 1);
    a->pid = getpid();
    mf_list_init(&a->ends);
    return a;
}

bool mf_areas_mine(const struct mf_areas *a)
{
    return a->pid == getpid();
}

static void destroy(struct mf_areas *a, struct mf_area *area)
{
    if (!area->map.base)
        return;
    a->total -= area->map.bytes;
    mf_area_unmap(&area->map);
    close(area->fd);
    *area = (struct mf_area){0};
}

static void unref(struct mf_areas *a)
{
    if (atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (int i = 0; i < MF_AREA_KEPT; i++)
        destroy(a, &a->kept[i]);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

void mf_areas_unref(struct mf_areas *a)
{
    if (a)
        unref(a);
}

/* Lock held, here and in what follows. */
static bool is_lent(struct mf_areas *a, int i)
{
    struct mf_area *area = &a->kept[i];
    if (area->end && atomic_load_explicit(&area->end->lends->state[i], memory_order_acquire) != MF_AREA_IS_LENT)
        area->end = NULL;
    return area->end != NULL;
}

static bool is_free(struct mf_areas *a, int i)
{
    const struct mf_area *area = &a->kept[i];
    return area->map.base && !area->held && !area->doomed && !is_lent(a, i);
}

bool mf_areas_cool(struct mf_areas *a)
{
    bool left = false;
    if (!mf_areas_mine(a))
        return true;
    pthread_mutex_lock(&a->lock);
    for (int i = 0; i < MF_AREA_KEPT; i++) {
        if (is_free(a, i))
            destroy(a, &a->kept[i]);
        left |= a->kept[i].map.base != NULL;
    }
    for (struct mf_list *l = a->ends.next; l != &a->ends; l = l->next)
        left |= !mf_area_drop_unused(MF_LIST_ENTRY(l, struct mf_area_end, link));
    pthread_mutex_unlock(&a->lock);
    return !left;
}

/* --- Buffers ---------------------------------------------------------------------------------------------------- */

static unsigned char *body_of(const struct mf_area *area)
{
    return area->map.base + mf_sys_page();
}

static struct head *head_of(const unsigned char *body)
{
    return (struct head *)(void *)(uintptr_t)(body - mf_sys_page());
}

unsigned char *mf_area_storage(struct mf_areas *a, size_t need, size_t *cap)
{
    int best = -1;
    if (!mf_areas_mine(a))
        return NULL;
    pthread_mutex_lock(&a->lock);
    for (int i = 0; i < MF_AREA_KEPT; i++) {
        size_t bytes = a->kept[i].map.bytes;
        if (bytes >= need && is_free(a, i) && (best < 0 || bytes > a->kept[best].map.bytes))
            best = i;
    }
    unsigned char *body = best >= 0 ? body_of(&a->kept[best]) : NULL;
    if (body) {
        a->kept[best].held = true;
        *cap = a->kept[best].map.bytes;
        *head_of(body) = (struct head){a, best};
        atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&a->lock);
    return body;
}

void mf_area_return(unsigned char *storage)
{
    struct head head = *head_of(storage);
    struct mf_areas *a = head.areas;
    if (!mf_areas_mine(a))
        return;
    pthread_mutex_lock(&a->lock);
    struct mf_area *area = &a->kept[head.index];
    area->held = false;
    if (area->doomed)
        destroy(a, area);
    pthread_mutex_unlock(&a->lock);
    unref(a);
}

static void release_blob(struct mf_blob *blob)
{
    mf_area_return(blob->data);
}

struct mf_blob *mf_area_blob(unsigned char *storage, size_t len)
{
    struct mf_blob *blob = (struct mf_blob *)(void *)(storage - HEAD);
    ((mf_blob_release *)(void *)blob)[-1] = release_blob;
    atomic_init(&blob->refs, 1);
    blob->flags = MF_BLOB_PLACED | MF_BLOB_LENT;
    blob->len = len;
    blob->holds = NULL;
    return blob;
}

/* --- Ends ------------------------------------------------------------------------------------------------------- */

void mf_area_open(struct mf_area_end *end, struct mf_areas *a)
{
    end->areas = a;
    pthread_mutex_lock(&a->lock);
    mf_list_insert(&a->ends, &end->link);
    pthread_mutex_unlock(&a->lock);
}

/* The other side may be dead and still be said to read, or alive and read on. */
static void forget(struct mf_areas *a, const struct mf_area_end *end)
{
    for (int i = 0; i < MF_AREA_KEPT; i++) {
        struct mf_area *area = &a->kept[i];
        if (area->end != end || !is_lent(a, i))
            continue;
        area->end = NULL;
        area->doomed = true;
        if (!area->held)
            destroy(a, area);
    }
}

void mf_area_close(struct mf_area_end *end)
{
    struct mf_areas *a = end->areas;
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    forget(a, end);
    mf_list_remove(&end->link);
    mf_area_drop_all(end);
    pthread_mutex_unlock(&a->lock);
    mf_area_board_unref(end->lends);
    mf_area_board_unref(end->borrows);
    *end = (struct mf_area_end){0};
}

/* A limit on the size of files counts here too, and to meet it raises SIGXFSZ. */
static bool allowed(size_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= bytes;
}

static int make_board(void)
{
    size_t page = mf_sys_page();
    int fd = allowed(page) ? mf_sys_memfd("moonfleet board") : -1;
    if (fd >= 0 && posix_fallocate(fd, 0, (off_t)page) == 0 && mf_sys_memfd_seal(fd, MF_SYS_SEAL_SIZE))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

bool mf_area_show_board(struct mf_area_end *end, int *fd)
{
    *fd = -1;
    if (end->lends)
        return true;
    if (!end->areas || !mf_areas_mine(end->areas))
        return false;
    *fd = make_board();
    end->lends = *fd >= 0 ? mf_area_board_map(*fd) : NULL;
    if (end->lends || *fd < 0)
        return false;
    close(*fd);
    *fd = -1;
    return false;
}

/* --- Lending ---------------------------------------------------------------------------------------------------- */

/* Lends area i to the end. The receiver may drop its mapping of it at this very moment: one of the two is first. */
static bool lend(struct mf_area_end *end, int i, int *fd)
{
    struct mf_area *area = &end->areas->kept[i];
    unsigned before = atomic_exchange_explicit(&end->lends->state[i], MF_AREA_IS_LENT, memory_order_acq_rel);
    if (before != MF_AREA_FREE || end->serial[i] != area->serial) {
        *fd = fcntl(area->fd, F_DUPFD_CLOEXEC, 0);
        if (*fd < 0) {
            atomic_store_explicit(&end->lends->state[i], before, memory_order_release);
            return false;
        }
    }
    end->serial[i] = area->serial;
    area->end = end;
    return true;
}

int mf_area_lend(struct mf_area_end *end, const struct mf_blob *blob, int *fd)
{
    struct mf_areas *a = end->areas;
    *fd = -1;
    if (!(blob->flags & MF_BLOB_LENT) || head_of(blob->data)->areas != a || !mf_areas_mine(a))
        return -1;
    int i = head_of(blob->data)->index;
    pthread_mutex_lock(&a->lock);
    bool good = !a->kept[i].doomed && !is_lent(a, i) && lend(end, i, fd);
    pthread_mutex_unlock(&a->lock);
    return good ? i : -1;
}

/* Takes the smallest free area that has room for total bytes, and lends it: its number, or -1; and where its body
 * begins, which nobody else touches now. */
static int lend_fitting(struct mf_area_end *end, size_t total, unsigned char **body, int *fd)
{
    struct mf_areas *a = end->areas;
    int best = -1;
    pthread_mutex_lock(&a->lock);
    for (int i = 0; i < MF_AREA_KEPT; i++) {
        size_t bytes = a->kept[i].map.bytes;
        if (bytes >= total && is_free(a, i) && (best < 0 || bytes < a->kept[best].map.bytes))
            best = i;
    }
    if (best >= 0 && !lend(end, best, fd))
        best = -1;
    *body = best >= 0 ? body_of(&a->kept[best]) : NULL;
    pthread_mutex_unlock(&a->lock);
    return best;
}

static void fill(unsigned char *at, const struct mf_area_part *parts, int n)
{
    for (int i = 0; i < n; i++) {
        if (parts[i].n > 0)
            mf_sys_copy(at, parts[i].bytes, parts[i].n);
        at += parts[i].n;
    }
}

/* pwrite of all the bytes. */
static bool write_all(int fd, const unsigned char *bytes, size_t n, size_t at)
{
    while (n > 0) {
        ssize_t done = pwrite(fd, bytes, n, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        at += (size_t)done;
        n -= (size_t)done;
    }
    return true;
}

/* A memfd of that many bytes that begins with the parts, or -1. */
static int make_memory(const struct mf_area_part *parts, int n, size_t bytes)
{
    size_t at = 0;
    int fd = allowed(bytes) ? mf_sys_memfd("moonfleet") : -1;
    bool good = fd >= 0;
    for (int i = 0; i < n && good; i++) {
        good = write_all(fd, parts[i].bytes, parts[i].n, at);
        at += parts[i].n;
    }
    if (good && bytes > at)
        good = posix_fallocate(fd, (off_t)at, (off_t)(bytes - at)) == 0;
    if (good || fd < 0)
        return fd;
    close(fd);
    return -1;
}

/* The next message may be a little longer. */
static size_t with_slack(size_t total)
{
    size_t page = mf_sys_page();
    return (total + total / SLACK + page - 1) / page * page;
}

/* Where to keep a new area of that many bytes: an empty place, or one whose area was destroyed for it, the smallest
 * first; -1 when there is no room. */
static int make_place(struct mf_areas *a, size_t bytes)
{
    for (;;) {
        int empty = -1, smallest = -1;
        for (int i = MF_AREA_KEPT - 1; i >= 0; i--) {
            if (!a->kept[i].map.base)
                empty = i;
            else if (is_free(a, i) && (smallest < 0 || a->kept[i].map.bytes < a->kept[smallest].map.bytes))
                smallest = i;
        }
        if (empty >= 0 && a->total + bytes <= MF_AREA_KEEP_MAX)
            return empty;
        if (smallest < 0)
            return -1;
        destroy(a, &a->kept[smallest]);
    }
}

/* Keeps the memory behind fd as a new area and lends it. Takes map and fd over, if it returns other than -1. */
static int keep(struct mf_area_end *end, struct mf_area_map map, int fd, int *passed)
{
    struct mf_areas *a = end->areas;
    pthread_mutex_lock(&a->lock);
    int place = make_place(a, map.bytes);
    if (place >= 0) {
        a->kept[place] = (struct mf_area){.map = map, .fd = fd, .serial = ++a->last};
        a->total += map.bytes;
        if (!lend(end, place, passed)) {
            a->total -= map.bytes;
            a->kept[place] = (struct mf_area){0};
            place = -1;
        }
    }
    pthread_mutex_unlock(&a->lock);
    return place;
}

int mf_area_give(const struct mf_area_part *parts, int n, size_t total)
{
    int fd = make_memory(parts, n, total);
    if (fd < 0 || mf_sys_memfd_seal(fd, MF_SYS_SEAL_CONTENT))
        return fd;
    close(fd);
    return -1;
}

int mf_area_put(struct mf_area_end *end, const struct mf_area_part *parts, int n, size_t total, int *fd)
{
    struct mf_area_map map = {0};
    *fd = -1;
    if (!mf_areas_mine(end->areas))
        return -1;
    unsigned char *body;
    int number = lend_fitting(end, total, &body, fd);
    if (number >= 0) {
        fill(body, parts, n);
        return number;
    }
    size_t bytes = with_slack(total);
    int made = make_memory(parts, n, bytes <= MF_AREA_KEEP_MAX ? bytes : total);
    if (made < 0)
        return -1;
    if (bytes <= MF_AREA_KEEP_MAX)
        mf_area_map(&map, made, bytes, true);
    if (!mf_sys_memfd_seal(made, MF_SYS_SEAL_CONTENT)) {
        mf_area_unmap(&map);
        close(made);
        return -1;
    }
    number = map.base ? keep(end, map, made, fd) : -1;
    if (number >= 0)
        return number;
    mf_area_unmap(&map);
    *fd = made;
    return MF_AREA_ONCE;
}
