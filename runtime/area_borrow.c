/* Design note: the receiver. It maps an area's body to read, behind a page of its own; a blob's head lies at the end of
 * that page, with what came in the stream between head and body, so that the sender can change neither. The mapping has
 * two holders, the link's end and the blob, and the last one unmaps it.
 *
 * Size and content are sealed, and all pages are there: that is checked before the mapping, and stays so. */
#define _GNU_SOURCE
#include "area.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "area_map.h"
#include "sys_fd.h"
#include "sys_mem.h"

#define HEAD offsetof(struct mf_blob, data)

/* The beginning of the page. */
struct head {
    atomic_uint holders;
    atomic_bool taken; /* there is a blob */
    pid_t pid;         /* a forked child has a copy of this page, but not of the board */
    size_t bytes;
    struct mf_area_board *board; /* a reference */
    unsigned number;
};

static struct head *head_of(const struct mf_area_map *map)
{
    return (struct head *)(void *)map->base;
}

static void drop(struct mf_area_map *map)
{
    if (!map->base || atomic_fetch_sub_explicit(&head_of(map)->holders, 1, memory_order_acq_rel) != 1) {
        map->base = NULL;
        return;
    }
    mf_area_board_unref(head_of(map)->board);
    map->bytes = head_of(map)->bytes;
    mf_area_unmap(map);
}

bool mf_area_drop_unused(struct mf_area_end *end)
{
    bool left = false;
    for (int i = 0; i < MF_AREA_KEPT; i++) {
        unsigned state = MF_AREA_FREE;
        if (!end->kept[i].base)
            continue;
        if (atomic_compare_exchange_strong(&end->borrows->state[i], &state, MF_AREA_DROPPED))
            drop(&end->kept[i]);
        else
            left = true;
    }
    return !left;
}

void mf_area_drop_all(struct mf_area_end *end)
{
    for (int i = 0; i < MF_AREA_KEPT; i++)
        drop(&end->kept[i]);
}

/* --- Claims ----------------------------------------------------------------------------------------------------- */

/* Checks that a memfd has that many bytes, all of them in memory, and is sealed; *bytes: of the whole. */
static bool holds(int fd, uint64_t size, enum mf_sys_seal seal, size_t *bytes)
{
    struct stat st;
    if (size == 0 || size > MF_AREA_MAX || fstat(fd, &st) != 0 || !mf_sys_memfd_sealed(fd, seal))
        return false;
    if (st.st_size < 0 || (uint64_t)st.st_size < size || (uint64_t)st.st_size > MF_AREA_MAX)
        return false;
    if ((uint64_t)st.st_blocks < (uint64_t)st.st_size / 512)
        return false;
    *bytes = (size_t)st.st_size;
    return true;
}

enum mf_err mf_area_take_board(struct mf_area_end *end, uint64_t size, int fd, struct mf_fault *fault)
{
    size_t bytes;
    enum mf_err e = MF_OK;
    if (!end->areas || end->borrows || size != mf_sys_page() || !holds(fd, size, MF_SYS_SEAL_SIZE, &bytes)) {
        e = mf_fault_set(fault, MF_EINVAL, "shared memory that is no board");
    } else {
        end->borrows = mf_area_board_map(fd);
        if (!end->borrows)
            e = mf_fault_set(fault, MF_ENOMEM, "cannot map a page of shared memory: %s", strerror(errno));
    }
    if (fd >= 0)
        close(fd);
    return e;
}

/* --- Blobs ------------------------------------------------------------------------------------------------------ */

static void release_blob(struct mf_blob *blob)
{
    uintptr_t page = mf_sys_page(), at = (uintptr_t)blob;
    struct mf_area_map map = {.base = (unsigned char *)(at - at % page)};
    struct head *head = head_of(&map);
    atomic_uint *state = head->pid == getpid() && head->board ? &head->board->state[head->number] : NULL;
    atomic_store_explicit(&head->taken, false, memory_order_release); /* it may be written again from here on */
    if (state)
        atomic_store_explicit(state, MF_AREA_FREE, memory_order_release);
    drop(&map);
}

static struct mf_blob *make_blob(const struct mf_area_map *map, size_t size, const struct mf_area_part *prefix)
{
    unsigned char *data = map->base + mf_sys_page() - prefix->n;
    struct mf_blob *blob = (struct mf_blob *)(void *)(data - HEAD);
    if (prefix->n > 0)
        memcpy(data, prefix->bytes, prefix->n);
    ((mf_blob_release *)(void *)blob)[-1] = release_blob;
    atomic_store_explicit(&head_of(map)->taken, true, memory_order_relaxed);
    atomic_fetch_add_explicit(&head_of(map)->holders, 1, memory_order_relaxed);
    blob->flags = MF_BLOB_PLACED | (prefix->n < MF_BLOB_CUT_BYTES ? MF_BLOB_READ : 0u);
    blob->len = prefix->n + size;
    blob->holds = NULL;
    atomic_init(&blob->refs, 1);
    return blob;
}

/* Without a mapping: read, into memory of one's own. */
static struct mf_blob *copy(int fd, size_t size, const struct mf_area_part *prefix, struct mf_fault *fault)
{
    struct mf_buf b = {0};
    struct mf_blob *blob = NULL;
    if (mf_buf_append(&b, prefix->bytes, prefix->n) && mf_buf_reserve(&b, size)) {
        for (ssize_t n = 1; n > 0 && b.len<prefix->n + size; b.len += n> 0 ? (size_t)n : 0)
            n = pread(fd, b.data + b.len, prefix->n + size - b.len, (off_t)(b.len - prefix->n));
        if (b.len == prefix->n + size)
            blob = mf_buf_freeze(&b);
    }
    mf_buf_release(&b);
    if (!blob)
        mf_fault_set(fault, MF_ENOMEM, "neither mapping nor reading %zu bytes of shared memory is possible: %s", size,
                     strerror(errno));
    return blob;
}

static struct mf_blob *take_new(struct mf_area_end *end, unsigned number, uint64_t size,
                                const struct mf_area_part *prefix, int fd, struct mf_fault *fault)
{
    struct mf_area_map map = {0};
    size_t bytes;
    if (!holds(fd, size, MF_SYS_SEAL_CONTENT, &bytes)) {
        mf_fault_set(fault, MF_EINVAL, "shared memory that does not hold the %llu bytes that it should",
                     (unsigned long long)size);
        return NULL;
    }
    bool keeps = number < MF_AREA_KEPT;
    if (!mf_area_map(&map, fd, bytes, false)) {
        struct mf_blob *blob = copy(fd, (size_t)size, prefix, fault);
        if (blob && keeps) {
            drop(&end->kept[number]);
            atomic_store_explicit(&end->borrows->state[number], MF_AREA_DROPPED, memory_order_release);
        }
        return blob;
    }
    struct head *head = head_of(&map);
    atomic_init(&head->holders, 1);
    atomic_init(&head->taken, false);
    head->pid = getpid();
    head->bytes = bytes;
    head->board = keeps ? mf_area_board_ref(end->borrows) : NULL;
    head->number = number;
    struct mf_blob *blob = make_blob(&map, (size_t)size, prefix);
    if (keeps) {
        drop(&end->kept[number]);
        end->kept[number] = map;
    } else {
        drop(&map);
    }
    return blob;
}

static struct mf_blob *take_kept(const struct mf_area_map *map, uint64_t size, const struct mf_area_part *prefix,
                                 struct mf_fault *fault)
{
    if (!map->base || size == 0 || size > map->bytes ||
        atomic_load_explicit(&head_of(map)->taken, memory_order_acquire)) {
        mf_fault_set(fault, MF_EINVAL, "%llu bytes in shared memory that was not handed over for it",
                     (unsigned long long)size);
        return NULL;
    }
    return make_blob(map, (size_t)size, prefix);
}

struct mf_blob *mf_area_take(struct mf_area_end *end, uint64_t number, uint64_t size, const struct mf_area_part *prefix,
                             int fd, struct mf_fault *fault)
{
    struct mf_blob *blob = NULL;
    if (!end->areas || number > MF_AREA_ONCE || (number == MF_AREA_ONCE ? fd < 0 : !end->borrows)) {
        mf_fault_set(fault, MF_EINVAL, "there is no shared memory number %llu", (unsigned long long)number);
    } else {
        pthread_mutex_lock(&end->areas->lock);
        if (fd >= 0)
            blob = take_new(end, (unsigned)number, size, prefix, fd, fault);
        else
            blob = take_kept(&end->kept[number], size, prefix, fault);
        pthread_mutex_unlock(&end->areas->lock);
    }
    if (fd >= 0)
        close(fd);
    return blob;
}
