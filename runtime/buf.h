/* Bytes: a growing buffer (one owner) and a blob (immutable, reference-counted, any thread).
 *
 * A message is written into a buffer and then frozen into a blob, which costs no copy when the buffer is
 * large: the buffer's storage always has room for a blob's head in front of its first byte. Long messages can be
 * written straight into memory whose pages are there already, or into memory that another process maps. */
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

struct mf_areas;
struct mf_pages;

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
    MF_BLOB_LENT = 2,   /* lies in an area that can be lent to another process (area.h) */
    MF_BLOB_READ = 4,   /* its first MF_BLOB_CUT_BYTES bytes cannot be written over */
    MF_BLOB_CUT = 8,    /* see mf_blob_cut */
};

/* Frees a placed blob. Called on the thread that let go of the last reference. */
typedef void (*mf_blob_release)(struct mf_blob *blob);

/* Where the storage of a buffer comes from. */
enum mf_buf_storage {
    MF_BUF_MALLOC,
    MF_BUF_PAGES, /* a block of pages */
    MF_BUF_AREA,  /* an area's body */
};

/* A growing buffer with one owner. All zero bytes is a valid empty buffer. */
struct mf_buf {
    unsigned char *data; /* NULL while cap is 0 */
    size_t len;          /* bytes written */
    size_t cap;          /* bytes that fit without growing */
    struct mf_holds *holds;
    enum mf_buf_storage storage;
    struct mf_pages *pages; /* borrowed; see mf_buf_use */
    struct mf_areas *areas;
};

void mf_buf_init(struct mf_buf *b);
void mf_buf_release(struct mf_buf *b); /* frees the storage and what it holds; b is usable again, with nothing to use */

/* What content that is large is written into from now on: free areas there are (area.h), blocks of pages (pages.h).
 * Either may be NULL; both must live as long as b holds bytes. */
void mf_buf_use(struct mf_buf *b, struct mf_pages *pages, struct mf_areas *areas);

/* Makes room for extra more bytes. False when memory is out or the size would overflow; b is unchanged then. */
bool mf_buf_reserve(struct mf_buf *b, size_t extra);

/* Appends n bytes. False when memory is out; b is unchanged then. */
bool mf_buf_append(struct mf_buf *b, const void *bytes, size_t n);

/* Turns what b holds into a blob with one reference and leaves b empty; b keeps its storage when the content was small
 * enough to copy. Returns NULL when memory is out; b is unchanged then, which happens to small content only. */
struct mf_blob *mf_buf_freeze(struct mf_buf *b);

/* A blob with one reference holding a copy of n bytes; NULL when memory is out. */
struct mf_blob *mf_blob_new(const void *bytes, size_t n);
struct mf_blob *mf_blob_ref(struct mf_blob *blob); /* NULL is allowed and returned */
void mf_blob_unref(struct mf_blob *blob);          /* NULL is allowed; frees at the last reference */

/* The blob without its first MF_BLOB_CUT_BYTES bytes, which it must have; it holds no blocks. Takes the reference over.
 * Copies only what somebody else holds too, what was cut before, and what is flagged MF_BLOB_READ; NULL when memory is
 * out for that. */
#define MF_BLOB_CUT_BYTES ((size_t)16)
struct mf_blob *mf_blob_cut(struct mf_blob *blob);

#endif
