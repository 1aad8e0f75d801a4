/* The storage of a buffer is one block: room for a blob's head, then the bytes. data points behind the head, so
 * freezing a large buffer fills in the head and hands the block over. Small content is copied instead, because
 * the buffer's owner will want its storage again for the next message.
 *
 * Storage is of three kinds: malloc's, in which every buffer begins; a block of pages (pages.h), in front of whose head
 * stands what is needed to give it back; an area, which cannot grow. Storage moves from one kind to another by a copy;
 * the first move is early (MF_AREA_LEAST), the second spares the clearing of as many new pages. */
#include "buf.h"

#include <stdlib.h>
#include <string.h>

#include "area.h"
#include "pages.h"
#include "sys_mem.h"

#define HEAD       offsetof(struct mf_blob, data)
#define FIRST_CAP  ((size_t)256 - HEAD)
#define COPY_LIMIT 4096 /* bytes up to which freezing copies */
#define SLACK      4096 /* behind large content that came at once: what ends the message */

/* What stands in front of the blob's head in a block of pages. */
struct front {
    struct mf_pages *pages; /* a reference, once it is a blob */
    size_t bytes;           /* of the block */
    mf_blob_release release;
};

#define AROUND (sizeof(struct front) + HEAD)

static void release_holds(struct mf_holds *holds)
{
    if (holds)
        holds->release(holds);
}

/* --- Storage ---------------------------------------------------------------------------------------------------- */

static struct front *front_of(const unsigned char *data)
{
    return (struct front *)(void *)(uintptr_t)(data - AROUND);
}

static void let_go(const struct mf_buf *b)
{
    if (!b->data)
        return;
    if (b->storage == MF_BUF_AREA)
        mf_area_return(b->data);
    else if (b->storage == MF_BUF_PAGES)
        mf_pages_put(b->pages, front_of(b->data), front_of(b->data)->bytes);
    else
        free(b->data - HEAD);
}

static void drop_storage(struct mf_buf *b)
{
    let_go(b);
    b->data = NULL;
    b->len = b->cap = 0;
    b->storage = MF_BUF_MALLOC;
}

/* New storage holds what the old one held. */
static void move(struct mf_buf *b, enum mf_buf_storage storage, unsigned char *data, size_t cap)
{
    if (b->len > 0)
        mf_sys_copy(data, b->data, b->len);
    let_go(b);
    b->data = data;
    b->cap = cap;
    b->storage = storage;
}

static bool move_to_area(struct mf_buf *b, size_t need)
{
    size_t cap;
    unsigned char *data = mf_area_storage(b->areas, need, &cap);
    if (data)
        move(b, MF_BUF_AREA, data, cap);
    return data != NULL;
}

static bool set_block(struct mf_buf *b, size_t cap)
{
    struct front *front, *old = b->storage == MF_BUF_PAGES ? front_of(b->data) : NULL;
    front = old ? mf_pages_resize(b->pages, old, old->bytes, AROUND + cap) : mf_pages_get(b->pages, AROUND + cap);
    if (!front)
        return false;
    front->bytes = AROUND + cap;
    if (!old) {
        move(b, MF_BUF_PAGES, (unsigned char *)front + AROUND, cap);
        return true;
    }
    b->data = (unsigned char *)front + AROUND;
    b->cap = cap;
    return true;
}

static bool set_malloc(struct mf_buf *b, size_t cap)
{
    bool resizes = b->storage == MF_BUF_MALLOC && b->data;
    unsigned char *block = realloc(resizes ? b->data - HEAD : NULL, HEAD + cap);
    if (!block)
        return false;
    if (resizes) {
        b->data = block + HEAD;
        b->cap = cap;
    } else {
        move(b, MF_BUF_MALLOC, block + HEAD, cap);
    }
    return true;
}

static bool set_capacity(struct mf_buf *b, size_t cap)
{
    if (b->storage == MF_BUF_PAGES || (b->pages && AROUND + cap >= MF_PAGES_LEAST))
        return set_block(b, cap);
    return set_malloc(b, cap);
}

/* --- Buffers ---------------------------------------------------------------------------------------------------- */

void mf_buf_init(struct mf_buf *b)
{
    memset(b, 0, sizeof *b);
}

void mf_buf_release(struct mf_buf *b)
{
    let_go(b);
    release_holds(b->holds);
    mf_buf_init(b);
}

void mf_buf_use(struct mf_buf *b, struct mf_pages *pages, struct mf_areas *areas)
{
    if (b->len == 0 && b->storage != MF_BUF_MALLOC)
        drop_storage(b);
    b->areas = areas;
    b->pages = pages;
}

/* The capacity for need bytes, of which extra come now. A block grows in place, so it need not double. */
static size_t better_capacity(const struct mf_buf *b, size_t need, size_t extra)
{
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    if (b->pages && need >= MF_PAGES_LEAST)
        return extra > b->len ? need + SLACK : need + need / 2;
    while (cap < need)
        cap = cap * 2 + HEAD; /* keeps the block a power of two */
    return cap;
}

bool mf_buf_reserve(struct mf_buf *b, size_t extra)
{
    if (extra <= b->cap - b->len)
        return true;
    if (extra > SIZE_MAX / 2 - AROUND - b->len)
        return false;
    size_t need = b->len + extra;
    if (b->areas && need >= MF_AREA_LEAST && move_to_area(b, need))
        return true;
    return set_capacity(b, better_capacity(b, need, extra)) || set_capacity(b, need);
}

bool mf_buf_append(struct mf_buf *b, const void *bytes, size_t n)
{
    if (!mf_buf_reserve(b, n))
        return false;
    if (n)
        memcpy(b->data + b->len, bytes, n);
    b->len += n;
    return true;
}

/* --- Blobs ------------------------------------------------------------------------------------------------------ */

static struct mf_blob *fill_head(unsigned char *data, uint32_t flags, size_t len)
{
    struct mf_blob *blob = (struct mf_blob *)(void *)(data - HEAD);
    atomic_init(&blob->refs, 1);
    blob->flags = flags;
    blob->len = len;
    blob->holds = NULL;
    return blob;
}

struct mf_blob *mf_blob_new(const void *bytes, size_t n)
{
    unsigned char *block = n <= SIZE_MAX / 2 ? malloc(HEAD + n) : NULL;
    if (!block)
        return NULL;
    if (n)
        memcpy(block + HEAD, bytes, n);
    return fill_head(block + HEAD, 0, n);
}

static void release_block(struct mf_blob *blob)
{
    struct front *front = front_of(blob->data);
    struct mf_pages *pages = front->pages;
    mf_pages_put(pages, front, front->bytes);
    mf_pages_unref(pages);
}

/* The storage becomes a blob. */
static struct mf_blob *hand_over(const struct mf_buf *b)
{
    if (b->storage == MF_BUF_AREA)
        return mf_area_blob(b->data, b->len);
    if (b->storage == MF_BUF_MALLOC)
        return fill_head(b->data, 0, b->len);
    struct front *front = front_of(b->data);
    front->pages = mf_pages_ref(b->pages);
    front->release = release_block;
    return fill_head(b->data, MF_BLOB_PLACED, b->len);
}

struct mf_blob *mf_buf_freeze(struct mf_buf *b)
{
    struct mf_blob *blob;
    if (b->len <= COPY_LIMIT) {
        blob = mf_blob_new(b->data, b->len);
        if (!blob)
            return NULL;
        blob->holds = b->holds;
        b->holds = NULL;
        b->len = 0;
        if (b->storage != MF_BUF_MALLOC)
            drop_storage(b);
        return blob;
    }
    if (b->storage != MF_BUF_AREA && b->cap - b->len > b->len / 8)
        set_capacity(b, b->len); /* a failure to shrink only leaves the slack */
    blob = hand_over(b);
    blob->holds = b->holds;
    b->holds = NULL;
    b->data = NULL;
    b->len = b->cap = 0;
    b->storage = MF_BUF_MALLOC;
    return blob;
}

struct mf_blob *mf_blob_ref(struct mf_blob *blob)
{
    if (blob)
        atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);
    return blob;
}

void mf_blob_unref(struct mf_blob *blob)
{
    if (!blob || atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel) != 1)
        return;
    release_holds(blob->holds);
    if (blob->flags & MF_BLOB_CUT)
        blob = (struct mf_blob *)(void *)((unsigned char *)blob - MF_BLOB_CUT_BYTES);
    if (blob->flags & MF_BLOB_PLACED)
        ((const mf_blob_release *)(const void *)blob)[-1](blob);
    else
        free(blob);
}

/* The new head lies in what is cut off, but for its beginning; the old one is needed again at the end, but for its
 * holds. */
struct mf_blob *mf_blob_cut(struct mf_blob *blob)
{
    if (blob->flags & (MF_BLOB_CUT | MF_BLOB_READ) || atomic_load_explicit(&blob->refs, memory_order_acquire) != 1) {
        struct mf_blob *copy = mf_blob_new(blob->data + MF_BLOB_CUT_BYTES, blob->len - MF_BLOB_CUT_BYTES);
        mf_blob_unref(blob);
        return copy;
    }
    return fill_head(blob->data + MF_BLOB_CUT_BYTES, blob->flags | MF_BLOB_CUT, blob->len - MF_BLOB_CUT_BYTES);
}
