/* Design note: small blocks lie behind their struct in one piece of malloc; large ones are pages, in huge ones where the
 * system has them, since new pages cost more than most of what is done with the numbers in them.
 *
 * A block of pages becomes exportable without changing its address: its bytes are written to a memfd, which is then
 * mapped privately over them. Whoever reads at that moment reads the same bytes before and after. Whoever writes later
 * (as the only holder, so nobody else reads) gets pages of his own from the system, the memfd stays as it was for those
 * who have mapped it, and mf_block_own has forgotten it. */
#define _GNU_SOURCE
#include "block.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys_fd.h"

#define ALIGN     64
#define HUGE_PAGE ((size_t)2 << 20)
#define HEAD      ((sizeof(struct mf_block) + ALIGN - 1) / ALIGN * ALIGN)

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* --- Making and freeing ------------------------------------------------------------------------------------------ */

static void init(struct mf_block *b, enum mf_block_kind kind, unsigned char *data, size_t bytes)
{
    memset(b, 0, sizeof *b);
    atomic_init(&b->refs, 1);
    b->kind = (uint8_t)kind;
    b->data = data;
    b->bytes = bytes;
    b->fd = -1;
}

static struct mf_block *new_head(enum mf_block_kind kind, size_t bytes)
{
    struct mf_block *b = malloc(sizeof *b);
    if (!b)
        return NULL;
    init(b, kind, NULL, bytes);
    if (pthread_mutex_init(&b->lock, NULL) == 0)
        return b;
    free(b);
    return NULL;
}

static void free_head(struct mf_block *b)
{
    pthread_mutex_destroy(&b->lock);
    free(b);
}

/* Pages that begin where a huge page would; *mapped: bytes of the mapping. */
static unsigned char *map_pages(size_t bytes, size_t *mapped)
{
    size_t align = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : page_size();
    size_t want = round_up(bytes, page_size()), room = want + align - page_size();
    if (room < bytes)
        return NULL;
    unsigned char *p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    size_t front = (size_t)(-(uintptr_t)p & (align - 1));
    if (front)
        munmap(p, front);
    if (room - front > want)
        munmap(p + front + want, room - front - want);
#ifdef MADV_HUGEPAGE
    if (align == HUGE_PAGE)
        madvise(p + front, want, MADV_HUGEPAGE);
#endif
    *mapped = want;
    return p + front;
}

static struct mf_block *new_pages(size_t bytes)
{
    struct mf_block *b = new_head(MF_BLOCK_PAGES, bytes);
    if (!b)
        return NULL;
    b->base = map_pages(bytes, &b->mapped);
    if (b->base) {
        b->data = b->base;
        return b;
    }
    free_head(b);
    return NULL;
}

struct mf_block *mf_block_new(size_t bytes, bool zero)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    if (bytes >= MF_BLOCK_PAGES_MIN)
        return new_pages(bytes);
    struct mf_block *b = malloc(HEAD + bytes);
    if (!b)
        return NULL;
    init(b, MF_BLOCK_HEAP, (unsigned char *)b + HEAD, bytes);
    if (zero)
        memset(b->data, 0, bytes);
    return b;
}

struct mf_block *mf_block_ref(struct mf_block *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void mf_block_unmark(struct mf_block_mark *mark)
{
    if (mark && atomic_fetch_sub_explicit(&mark->refs, 1, memory_order_acq_rel) == 1)
        free(mark);
}

/* What was said of the bytes does not hold any more. Only holder. */
static void forget(struct mf_block *b)
{
    struct mf_block_mark *mark = atomic_exchange_explicit(&b->mark, NULL, memory_order_acq_rel);
    if (mark)
        atomic_store_explicit(&mark->gone, true, memory_order_release);
    mf_block_unmark(mark);
    if (b->fd >= 0)
        close(b->fd);
    b->fd = -1;
}

void mf_block_unref(struct mf_block *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    forget(b);
    if (b->base)
        munmap(b->base, b->mapped);
    mf_blob_unref(b->blob);
    mf_holds_free(b->holds);
    if (b->kind == MF_BLOCK_HEAP)
        free(b);
    else
        free_head(b);
}

bool mf_block_own(struct mf_block *b)
{
    if (b->kind == MF_BLOCK_SHARED)
        return true;
    if (b->read_only || b->kind == MF_BLOCK_BLOB || atomic_load_explicit(&b->refs, memory_order_acquire) != 1)
        return false;
    if (b->fd >= 0 || atomic_load_explicit(&b->mark, memory_order_relaxed))
        forget(b);
    return true;
}

struct mf_block_mark *mf_block_mark(struct mf_block *b)
{
    struct mf_block_mark *mark = atomic_load_explicit(&b->mark, memory_order_acquire);
    if (!mark) {
        struct mf_block_mark *fresh = malloc(sizeof *fresh);
        if (!fresh)
            return NULL;
        atomic_init(&fresh->refs, 1);
        atomic_init(&fresh->gone, false);
        if (atomic_compare_exchange_strong(&b->mark, &mark, fresh))
            mark = fresh;
        else
            free(fresh); /* another thread was first */
    }
    atomic_fetch_add_explicit(&mark->refs, 1, memory_order_relaxed);
    return mark;
}

/* --- Between processes ------------------------------------------------------------------------------------------- */

/* pwrite of all the bytes: when memory is out it returns ENOSPC where a store would raise SIGBUS. */
static bool write_all(int fd, const unsigned char *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t done = pwrite(fd, bytes + at, n - at, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        at += (size_t)done;
    }
    return true;
}

/* A limit on the size of files counts here too, and to meet it raises SIGXFSZ. */
static bool is_allowed(size_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= bytes;
}

/* Sealed memory with a copy of the block's pages, or -1. */
static int copy_pages(const struct mf_block *b)
{
    int fd = is_allowed(b->mapped) ? mf_sys_memfd("moonfleet") : -1;
    if (fd < 0)
        return -1;
    if (write_all(fd, b->base, b->mapped) && mf_sys_memfd_seal(fd, MF_SYS_SEAL_SIZE))
        return fd;
    close(fd);
    return -1;
}

int mf_block_export(struct mf_block *b, off_t *offset)
{
    if (b->kind == MF_BLOCK_HEAP || b->kind == MF_BLOCK_BLOB)
        return -1;
    pthread_mutex_lock(&b->lock);
    if (b->kind != MF_BLOCK_SHARED && b->fd < 0 && b->bytes >= MF_BLOCK_EXPORT_MIN) {
        int fd = copy_pages(b);
        int protection = b->read_only ? PROT_READ : PROT_READ | PROT_WRITE;
        if (fd >= 0 && mmap(b->base, b->mapped, protection, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED) {
            close(fd); /* the pages stand as they were */
            fd = -1;
        }
        b->fd = fd;
        b->offset = b->data - b->base;
    }
    int fd = b->fd;
    pthread_mutex_unlock(&b->lock);
    *offset = b->offset;
    return fd;
}

void mf_block_economise(struct mf_block *b)
{
    if (b->kind != MF_BLOCK_MAPPED || b->fd < 0 || b->bytes >= MF_BLOCK_KEEP_MIN)
        return;
    close(b->fd);
    b->fd = -1;
}

static enum mf_err cannot_map(struct mf_fault *fault, size_t bytes)
{
    return mf_fault_set(fault, MF_ENOMEM, "cannot map %zu bytes: %s", bytes, strerror(errno));
}

static bool map_file(struct mf_block *b, int fd, off_t offset, enum mf_block_access access)
{
    size_t before = access == MF_BLOCK_COMMON ? page_size() : (size_t)offset % page_size();
    int protection = access == MF_BLOCK_READ ? PROT_READ : PROT_READ | PROT_WRITE;
    int flags = access == MF_BLOCK_COMMON ? MAP_SHARED : MAP_PRIVATE;
    b->mapped = before + b->bytes;
    void *base = mmap(NULL, b->mapped, protection, flags, fd, offset - (off_t)before);
    if (base == MAP_FAILED)
        return false;
    b->base = base;
    b->data = b->base + before;
    b->read_only = access == MF_BLOCK_READ;
    b->fd = fd;
    b->offset = offset;
    return true;
}

struct mf_block *mf_block_map(int fd, off_t offset, size_t bytes, enum mf_block_access access, struct mf_fault *fault)
{
    struct stat st;
    off_t least = access == MF_BLOCK_COMMON ? (off_t)page_size() : 0; /* the words stand in front */
    if (offset < least || bytes == 0 || fstat(fd, &st) != 0 || st.st_size < offset ||
        (uint64_t)(st.st_size - offset) < bytes) {
        mf_fault_set(fault, MF_EINVAL, "there are fewer than %zu bytes to map", bytes);
        close(fd);
        return NULL;
    }
    struct mf_block *b = new_head(access == MF_BLOCK_COMMON ? MF_BLOCK_SHARED : MF_BLOCK_MAPPED, bytes);
    if (b && map_file(b, fd, offset, access))
        return b;
    cannot_map(fault, bytes);
    if (b)
        free_head(b);
    close(fd);
    return NULL;
}

bool mf_block_is_sound(int fd, off_t offset, size_t bytes)
{
    struct stat st;
    return fstat(fd, &st) == 0 && mf_sys_memfd_sealed(fd, MF_SYS_SEAL_SIZE) && offset >= 0 && st.st_size >= offset &&
           (uint64_t)(st.st_size - offset) >= bytes && (uint64_t)st.st_blocks >= (uint64_t)st.st_size / 512;
}

struct mf_block *mf_block_new_shared(size_t bytes, struct mf_fault *fault)
{
    size_t page = page_size(), size = round_up(bytes, page) + page;
    if (bytes == 0 || size < bytes || !is_allowed(size)) {
        mf_fault_set(fault, MF_ENOMEM, "cannot share %zu bytes", bytes);
        return NULL;
    }
    int fd = mf_sys_memfd("moonfleet shared"), e = errno;
    if (fd >= 0)
        while ((e = posix_fallocate(fd, 0, (off_t)size)) == EINTR) {
        }
    if (fd >= 0 && e == 0 && !mf_sys_memfd_seal(fd, MF_SYS_SEAL_SIZE))
        e = errno;
    if (e != 0) {
        mf_fault_set(fault, e == ENOSPC ? MF_ENOMEM : MF_ESYS, "cannot share %zu bytes: %s", bytes, strerror(e));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    return mf_block_map(fd, (off_t)page, bytes, MF_BLOCK_COMMON, fault);
}

atomic_uint *mf_block_words(struct mf_block *b)
{
    return (atomic_uint *)(void *)b->base;
}

struct mf_block *mf_block_of_blob(struct mf_blob *blob, size_t offset, size_t bytes)
{
    if ((uintptr_t)(blob->data + offset) % 16 != 0)
        return NULL;
    struct mf_block *b = new_head(MF_BLOCK_BLOB, bytes);
    if (!b)
        return NULL;
    b->data = blob->data + offset;
    b->blob = mf_blob_ref(blob);
    return b;
}

/* --- What a message refers to ------------------------------------------------------------------------------------ */

static void release(struct mf_holds *h)
{
    for (size_t i = 0; i < h->n; i++)
        mf_block_unref(h->items[i].block);
    free(h->items);
    free(h);
}

static bool reserve(struct mf_holds *h, size_t n)
{
    if (n <= h->cap)
        return true;
    size_t cap = h->cap ? 2 * h->cap : 4;
    cap = cap < n ? n : cap;
    struct mf_hold *items = realloc(h->items, cap * sizeof *items);
    if (!items)
        return false;
    h->items = items;
    h->cap = cap;
    return true;
}

static struct mf_holds *new_holds(void)
{
    struct mf_holds *h = calloc(1, sizeof *h);
    if (h)
        h->release = release;
    return h;
}

bool mf_holds_add(struct mf_buf *b, struct mf_block *block)
{
    if (!b->holds && !(b->holds = new_holds()))
        return false;
    struct mf_holds *h = b->holds;
    if (!reserve(h, h->n + 1))
        return false;
    h->items[h->n++] = (struct mf_hold){mf_block_ref(block), b->len};
    return true;
}

struct mf_holds *mf_holds_new(struct mf_block *const *blocks, size_t n)
{
    struct mf_holds *h = n ? new_holds() : NULL;
    if (!h || !reserve(h, n)) {
        free(h);
        return NULL;
    }
    for (; h->n < n; h->n++)
        h->items[h->n] = (struct mf_hold){mf_block_ref(blocks[h->n]), 0};
    return h;
}

size_t mf_holds_before(const struct mf_buf *b, size_t start)
{
    size_t n = b->holds ? b->holds->n : 0;
    while (n > 0 && b->holds->items[n - 1].at >= start)
        n--;
    return n;
}

void mf_holds_cut(struct mf_buf *b, size_t start)
{
    size_t keep = mf_holds_before(b, start);
    while (b->holds && b->holds->n > keep)
        mf_block_unref(b->holds->items[--b->holds->n].block);
}

bool mf_holds_split(struct mf_buf *b, size_t start, struct mf_holds **out)
{
    size_t keep = mf_holds_before(b, start), n = b->holds ? b->holds->n - keep : 0;
    *out = NULL;
    if (n == 0)
        return true;
    struct mf_holds *h = new_holds();
    if (!h || !reserve(h, n)) {
        free(h);
        return false;
    }
    memcpy(h->items, b->holds->items + keep, n * sizeof *h->items);
    h->n = n;
    b->holds->n = keep;
    *out = h;
    return true;
}

void mf_holds_export(const struct mf_holds *holds)
{
    off_t offset;
    for (size_t i = 0; holds && i < holds->n; i++)
        mf_block_export(holds->items[i].block, &offset);
}

void mf_holds_free(struct mf_holds *holds)
{
    if (holds)
        holds->release(holds);
}
