/* Design note: both sides map the same pages, but not in the same way. The sender maps all of an area shared. The
 * receiver maps the control page shared, the page behind it private and writable, the body private and read-only; so the
 * blob's head, whose last byte is next to the body's first, is the receiver's own, and the sender cannot change it.
 *
 * Who may write the body is told by busy, in the control page: the sender sets it before it writes and does not write
 * while it is set; the receiver clears it when the last reference to the blob is gone. The size is sealed, and the
 * receiver checks that all pages exist, so reading never faults. A sender that writes while busy is set can change the
 * bytes under a reader; bodies are decoded as bytes that may be anything, each looked at once.
 *
 * New pages are written with pwrite, not through the mapping: when memory is out it returns ENOSPC where a store would
 * raise SIGBUS, and it need not clear them first. The receiver's mapping has two holders, the struct mf_area_in and the
 * blob, and the last one unmaps it. */
#define _GNU_SOURCE
#include "area.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys_fd.h"

#define HEAD offsetof(struct mf_blob, data)

/* The beginning of the control page. */
struct control {
    atomic_uint busy;
};

/* The beginning of the receiver's private page. */
struct private_head {
    atomic_uint holders;
    atomic_bool taken; /* there is a blob */
    pid_t pid;         /* a forked child has a copy of this page, but not of the control page */
    size_t bytes;
};

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static struct control *control_of(const struct mf_area *a)
{
    return (struct control *)(void *)a->base;
}

/* --- Sender ----------------------------------------------------------------------------------------------------- */

static bool busy(const struct mf_area *a)
{
    return atomic_load_explicit(&control_of(a)->busy, memory_order_acquire) != 0;
}

static void unmap(struct mf_area *a)
{
    if (a->base)
        munmap(a->base, a->bytes);
    a->base = NULL;
}

void mf_area_out_release(struct mf_area_out *out)
{
    for (int i = 0; i < MF_AREA_KEPT; i++)
        unmap(&out->kept[i]);
}

/* The smallest free area that has room for total bytes, or -1. */
static int find_fitting(const struct mf_area_out *out, size_t total)
{
    int best = -1;
    for (int i = 0; i < MF_AREA_KEPT; i++) {
        const struct mf_area *a = &out->kept[i];
        if (a->base && a->bytes - 2 * page_size() >= total && (best < 0 || a->bytes < out->kept[best].bytes) &&
            !busy(a))
            best = i;
    }
    return best;
}

/* Where to keep a new area of total bytes: an empty place, else that of the smallest free one, else MF_AREA_ONCE. */
static int find_place(const struct mf_area_out *out, size_t total)
{
    int best = MF_AREA_ONCE;
    if (total > MF_AREA_KEEP_MAX)
        return MF_AREA_ONCE;
    for (int i = 0; i < MF_AREA_KEPT; i++) {
        const struct mf_area *a = &out->kept[i];
        if (!a->base)
            return i;
        if ((best == MF_AREA_ONCE || a->bytes < out->kept[best].bytes) && !busy(a))
            best = i;
    }
    return best;
}

static void fill(const struct mf_area *a, const struct mf_msg_part *parts, int n)
{
    unsigned char *at = a->base + 2 * page_size();
    for (int i = 0; i < n; i++) {
        if (parts[i].n > 0)
            memcpy(at, parts[i].bytes, parts[i].n);
        at += parts[i].n;
    }
    atomic_store_explicit(&control_of(a)->busy, 1, memory_order_relaxed);
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

/* A limit on the size of files counts here too, and to meet it raises SIGXFSZ. */
static bool allowed(size_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= bytes;
}

/* A sealed memfd with the parts in it, or -1. */
static int make_memory(const struct mf_msg_part *parts, int n, size_t total)
{
    size_t at = 2 * page_size();
    int fd = allowed(at + total) ? mf_sys_memfd("moonfleet") : -1;
    if (fd < 0)
        return -1;
    bool good = posix_fallocate(fd, 0, (off_t)at) == 0;
    for (int i = 0; i < n && good; i++) {
        good = write_all(fd, parts[i].bytes, parts[i].n, at);
        at += parts[i].n;
    }
    if (good && mf_sys_memfd_seal(fd))
        return fd;
    close(fd);
    return -1;
}

int mf_area_put(struct mf_area_out *out, const struct mf_msg_part *parts, int n, size_t total, int *fd)
{
    int place = find_fitting(out, total);
    *fd = -1;
    if (place >= 0) {
        fill(&out->kept[place], parts, n);
        return place;
    }
    *fd = make_memory(parts, n, total);
    if (*fd < 0)
        return -1;
    place = find_place(out, total);
    if (place == MF_AREA_ONCE)
        return place;
    struct mf_area a = {.bytes = 2 * page_size() + total};
    void *base = mmap(NULL, a.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (base == MAP_FAILED)
        return MF_AREA_ONCE;
    a.base = base;
    atomic_store_explicit(&control_of(&a)->busy, 1, memory_order_relaxed);
    unmap(&out->kept[place]);
    out->kept[place] = a;
    return place;
}

/* --- Receiver --------------------------------------------------------------------------------------------------- */

static struct private_head *head_of(const struct mf_area *a)
{
    return (struct private_head *)(void *)(a->base + page_size());
}

static struct mf_blob *blob_of(const struct mf_area *a)
{
    return (struct mf_blob *)(void *)(a->base + 2 * page_size() - HEAD);
}

static void drop(struct mf_area *a)
{
    if (a->base && atomic_fetch_sub_explicit(&head_of(a)->holders, 1, memory_order_acq_rel) == 1)
        munmap(a->base, a->bytes);
    a->base = NULL;
}

void mf_area_in_release(struct mf_area_in *in)
{
    for (int i = 0; i < MF_AREA_KEPT; i++)
        drop(&in->kept[i]);
}

static void release_blob(struct mf_blob *blob)
{
    struct mf_area a = {.base = blob->data - 2 * page_size()};
    struct private_head *head = head_of(&a);
    bool mine = head->pid == getpid();
    a.bytes = head->bytes;
    atomic_store_explicit(&head->taken, false, memory_order_release); /* its head may be written again from here on */
    if (mine)
        atomic_store_explicit(&control_of(&a)->busy, 0, memory_order_release);
    drop(&a);
}

/* Checks that a memfd has that body, all of it in memory, and cannot shrink. */
static bool holds(int fd, uint64_t size, size_t *bytes)
{
    struct stat st;
    uint64_t heads = 2 * page_size();
    if (size == 0 || size > MF_MSG_MAX || fstat(fd, &st) != 0 || !mf_sys_memfd_sealed(fd))
        return false;
    if (st.st_size < 0 || (uint64_t)st.st_size < heads + size || (uint64_t)st.st_size > heads + MF_MSG_MAX)
        return false;
    if ((uint64_t)st.st_blocks < (uint64_t)st.st_size / 512)
        return false;
    *bytes = (size_t)st.st_size;
    return true;
}

static bool map(int fd, struct mf_area *a)
{
    size_t page = page_size();
    void *base = mmap(NULL, a->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (base == MAP_FAILED)
        return false;
    a->base = base;
    if (mmap(base, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
        mprotect(a->base + page, page, PROT_READ | PROT_WRITE) != 0) {
        unmap(a);
        return false;
    }
    struct private_head *head = head_of(a);
    atomic_init(&head->holders, 1);
    head->pid = getpid();
    head->bytes = a->bytes;
    atomic_init(&head->taken, false);
    return true;
}

static struct mf_blob *make_blob(const struct mf_area *a, size_t size)
{
    struct mf_blob *blob = blob_of(a);
    ((mf_blob_release *)(void *)blob)[-1] = release_blob;
    atomic_store_explicit(&head_of(a)->taken, true, memory_order_relaxed);
    atomic_fetch_add_explicit(&head_of(a)->holders, 1, memory_order_relaxed);
    blob->flags = MF_BLOB_PLACED;
    blob->len = size;
    blob->holds = NULL;
    atomic_init(&blob->refs, 1);
    return blob;
}

static struct mf_blob *take_new(struct mf_area_in *in, uint64_t number, uint64_t size, int fd, struct mf_fault *fault)
{
    struct mf_area a = {0};
    if (!holds(fd, size, &a.bytes)) {
        mf_fault_set(fault, MF_EINVAL, "shared memory that does not hold the %llu bytes that it should",
                     (unsigned long long)size);
        return NULL;
    }
    if (!map(fd, &a)) {
        mf_fault_set(fault, MF_ENOMEM, "cannot map %zu bytes of shared memory: %s", a.bytes, strerror(errno));
        return NULL;
    }
    struct mf_blob *blob = make_blob(&a, (size_t)size);
    if (number < MF_AREA_KEPT) {
        drop(&in->kept[number]);
        in->kept[number] = a;
    } else {
        drop(&a);
    }
    return blob;
}

static struct mf_blob *take_kept(const struct mf_area *a, uint64_t size, struct mf_fault *fault)
{
    if (!a->base || size == 0 || size > a->bytes - 2 * page_size() ||
        atomic_load_explicit(&head_of(a)->taken, memory_order_acquire)) {
        mf_fault_set(fault, MF_EINVAL, "%llu bytes in shared memory that was not handed over for it",
                     (unsigned long long)size);
        return NULL;
    }
    return make_blob(a, (size_t)size);
}

struct mf_blob *mf_area_take(struct mf_area_in *in, uint64_t number, uint64_t size, int fd, struct mf_fault *fault)
{
    struct mf_blob *blob = NULL;
    if (number > MF_AREA_ONCE || (fd < 0 && number == MF_AREA_ONCE))
        mf_fault_set(fault, MF_EINVAL, "there is no shared memory number %llu", (unsigned long long)number);
    else if (fd >= 0)
        blob = take_new(in, number, size, fd, fault);
    else
        blob = take_kept(&in->kept[number], size, fault);
    if (fd >= 0)
        close(fd);
    return blob;
}
