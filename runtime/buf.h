/* Bytes: a growing buffer (one owner) and a blob (immutable, reference-counted, any thread).
 *
 * A message is written into a buffer and then frozen into a blob, which costs no copy when the buffer is
 * large: the buffer's storage always has room for a blob's head in front of its first byte. */
#ifndef MF_BUF_H
#define MF_BUF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The blocks that a message refers to beside its bytes, by their place in this list (block.h has the functions). A buffer
 * carries it along to the blob that it becomes. */
struct mf_hold {
    struct mf_block *block; /* a reference */
    size_t at;              /* how long the buffer was when it was added */
};
struct mf_holds {
    void (*release)(struct mf_holds *holds); /* lets go of all and frees the list */
    size_t n, cap;
    struct mf_hold *items;
};

/* Immutable bytes. The creator holds one reference. The counter may be changed by any thread; the bytes
 * and flags must not change once a second thread can see the blob. */
struct mf_blob {
    atomic_uint refs;
    uint32_t flags; /* enum mf_blob_flag */
    size_t len;
    struct mf_holds *holds; /* or NULL; the blob's own */
    unsigned char data[];
};

enum mf_blob_flag {
    MF_BLOB_PLACED = 1, /* not from malloc: right in front of it stands an mf_blob_release */
};

/* Frees a placed blob. Called on the thread that let go of the last reference. */
typedef void (*mf_blob_release)(struct mf_blob *blob);

/* A growing buffer with one owner. All zero bytes is a valid empty buffer. */
struct mf_buf {
    unsigned char *data; /* NULL while cap is 0 */
    size_t len;          /* bytes written */
    size_t cap;          /* bytes that fit without growing */
    struct mf_holds *holds;
};

void mf_buf_init(struct mf_buf *b);
void mf_buf_release(struct mf_buf *b); /* frees the storage and what it holds; b is empty and usable again */

/* Makes room for extra more bytes. False when memory is out or the size would overflow; b is unchanged then. */
bool mf_buf_reserve(struct mf_buf *b, size_t extra);

/* Appends n bytes. False when memory is out; b is unchanged then. */
bool mf_buf_append(struct mf_buf *b, const void *bytes, size_t n);

/* Turns what b holds into a blob with one reference and leaves b empty; b keeps its storage when the content
 * was small enough to copy. Returns NULL when memory is out; b is unchanged then. */
struct mf_blob *mf_buf_freeze(struct mf_buf *b);

/* A blob with one reference holding a copy of n bytes; NULL when memory is out. */
struct mf_blob *mf_blob_new(const void *bytes, size_t n);
struct mf_blob *mf_blob_ref(struct mf_blob *blob); /* NULL is allowed and returned */
void mf_blob_unref(struct mf_blob *blob);          /* NULL is allowed; frees at the last reference */

#endif
