/* The storage of a buffer is one block: room for a blob's head, then the bytes. data points behind the head, so
 * freezing a large buffer fills in the head and hands the block over. Small content is copied instead, because
 * the buffer's owner will want its storage again for the next message. */
#include "buf.h"

#include <stdlib.h>
#include <string.h>

#define HEAD       offsetof(struct mf_blob, data)
#define FIRST_CAP  ((size_t)256 - HEAD)
#define COPY_LIMIT 4096 /* bytes up to which freezing copies */

static unsigned char *block_of(const struct mf_buf *b)
{
    return b->data ? b->data - HEAD : NULL;
}

void mf_buf_init(struct mf_buf *b)
{
    memset(b, 0, sizeof *b);
}

static void release_holds(struct mf_holds *holds)
{
    if (holds)
        holds->release(holds);
}

void mf_buf_release(struct mf_buf *b)
{
    free(block_of(b));
    release_holds(b->holds);
    mf_buf_init(b);
}

static bool set_capacity(struct mf_buf *b, size_t cap)
{
    unsigned char *block = realloc(block_of(b), HEAD + cap);
    if (!block)
        return false;
    b->data = block + HEAD;
    b->cap = cap;
    return true;
}

bool mf_buf_reserve(struct mf_buf *b, size_t extra)
{
    if (extra <= b->cap - b->len)
        return true;
    if (extra > SIZE_MAX / 2 - HEAD - b->len)
        return false;
    size_t need = b->len + extra;
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    while (cap < need)
        cap = cap * 2 + HEAD; /* keeps the block a power of two */
    return set_capacity(b, cap) || set_capacity(b, need);
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

static void fill_head(struct mf_blob *blob, size_t len)
{
    atomic_init(&blob->refs, 1);
    blob->flags = 0;
    blob->len = len;
    blob->holds = NULL;
}

struct mf_blob *mf_blob_new(const void *bytes, size_t n)
{
    struct mf_blob *blob = n <= SIZE_MAX / 2 ? malloc(HEAD + n) : NULL;
    if (!blob)
        return NULL;
    fill_head(blob, n);
    if (n)
        memcpy(blob->data, bytes, n);
    return blob;
}

struct mf_blob *mf_buf_freeze(struct mf_buf *b)
{
    if (b->len <= COPY_LIMIT) {
        struct mf_blob *copy = mf_blob_new(b->data, b->len);
        if (copy) {
            copy->holds = b->holds;
            b->holds = NULL;
            b->len = 0;
        }
        return copy;
    }
    if (b->cap - b->len > b->len / 8)
        set_capacity(b, b->len); /* a failure to shrink only leaves the slack */
    struct mf_blob *blob = (struct mf_blob *)(void *)block_of(b);
    fill_head(blob, b->len);
    blob->holds = b->holds;
    mf_buf_init(b);
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
    if (blob->flags & MF_BLOB_PLACED)
        ((const mf_blob_release *)(const void *)blob)[-1](blob);
    else
        free(blob);
}
