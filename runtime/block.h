/* Blocks: memory that is read by many without a copy, counted by references across threads.
 *
 * A block may be changed in place by who holds its only reference (mf_block_own), and by nobody while there are more;
 * so a value can be handed over by a reference and still be a value: whoever wants to write copies first. Blocks of kind
 * SHARED are the exception: all who hold one write to the same memory, whatever process they are in.
 *
 * Between processes of one machine a block goes by a descriptor (mf_block_export, mf_block_map), as often as one likes
 * and without a second copy of it. Any thread may call anything here; nothing blocks but for memory and files. */
#ifndef MF_BLOCK_H
#define MF_BLOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "err.h"

#define MF_BLOCK_PAGES_MIN  ((size_t)128 << 10) /* bytes from which a block is pages of its own */
#define MF_BLOCK_EXPORT_MIN ((size_t)4 << 20)   /* from which it is worth a descriptor, of which a process has few */
#define MF_BLOCK_KEEP_MIN   ((size_t)32 << 20)  /* and from which one that came along is kept */

enum mf_block_kind {
    MF_BLOCK_HEAP,   /* from malloc */
    MF_BLOCK_PAGES,  /* pages of its own */
    MF_BLOCK_MAPPED, /* pages of a file, or of memory that another process made; what is written stays here */
    MF_BLOCK_BLOB,   /* inside a message */
    MF_BLOCK_SHARED, /* one memory for all who hold it, in any process */
};

/* Tells who remembers a block without holding it that it is gone, or holds other bytes than it did. */
struct mf_block_mark {
    atomic_uint refs;
    atomic_bool gone;
};

struct mf_block {
    atomic_uint refs;
    uint8_t kind;           /* enum mf_block_kind */
    bool read_only;         /* MAPPED: writing would be a fault */
    unsigned char *data;    /* aligned to 16 bytes, unless it is mapped from a file's odd place */
    size_t bytes;           /* of data */
    struct mf_holds *holds; /* blocks that the bytes refer to, or NULL */

    /* block.c's own */
    unsigned char *base;  /* of the mapping; NULL: none */
    size_t mapped;        /* bytes of it */
    pthread_mutex_t lock; /* of the change from pages to pages behind a descriptor; not for HEAP */
    int fd;               /* memory behind a descriptor that has the same bytes, or -1 */
    off_t offset;         /* where in it they begin */
    struct mf_block_mark *_Atomic mark;
    struct mf_blob *blob; /* BLOB: a reference */
};

/* A block with one reference; zero: its bytes are zero, otherwise anything. NULL when memory is out. */
struct mf_block *mf_block_new(size_t bytes, bool zero);
struct mf_block *mf_block_ref(struct mf_block *block);
void mf_block_unref(struct mf_block *block); /* NULL is allowed */

/* May the caller, who holds a reference, write in place? If so, nothing that was said of the bytes holds any more (the
 * mark, the descriptor), so ask only when about to write. */
bool mf_block_own(struct mf_block *block);

/* --- Between processes ------------------------------------------------------------------------------------------ */

/* A descriptor of memory that holds the block's bytes from *offset on, for mf_block_map elsewhere. It is the block's and
 * lasts as long as the caller's reference and nobody owns the block. The first call for a block of pages copies them into
 * such memory, which then takes their place: there is no second copy afterwards. -1: there is none (a small block, no
 * such memory on this system, no room): send the bytes. */
int mf_block_export(struct mf_block *block, off_t *offset);

/* Gives a mapped block's descriptor up, unless it is worth keeping; the block can be exported all the same. Only holder. */
void mf_block_economise(struct mf_block *block);

enum mf_block_access {
    MF_BLOCK_READ,    /* reading only */
    MF_BLOCK_PRIVATE, /* what is written stays in this process */
    MF_BLOCK_COMMON,  /* all see what is written: SHARED */
};

/* A block that is the bytes of a descriptor from offset on (any offset). Takes fd over, in any case. NULL and a fault when
 * that is impossible or the file is shorter. */
struct mf_block *mf_block_map(int fd, off_t offset, size_t bytes, enum mf_block_access access, struct mf_fault *fault);

/* Is fd memory that was made for this, holds that many bytes from offset on, and cannot shrink any more? For
 * descriptors that a process sent which is not believed. */
bool mf_block_is_sound(int fd, off_t offset, size_t bytes);

/* New memory of kind SHARED, all zero, that is gone with its last process. NULL and a fault. */
struct mf_block *mf_block_new_shared(size_t bytes, struct mf_fault *fault);

/* The words in front of a SHARED block's bytes, zero at first: for what goes on between those who hold it. */
#define MF_BLOCK_WORDS 16
atomic_uint *mf_block_words(struct mf_block *block);

/* A block that is a part of a message: refers to the blob. NULL when memory is out, or the bytes are not aligned to 16. */
struct mf_block *mf_block_of_blob(struct mf_blob *blob, size_t offset, size_t bytes);

/* The block's mark, which becomes gone when the block is gone or somebody owns it; the caller lets go of it with
 * mf_block_unmark. NULL when memory is out. */
struct mf_block_mark *mf_block_mark(struct mf_block *block);
void mf_block_unmark(struct mf_block_mark *mark);

/* --- What a message refers to ------------------------------------------------------------------------------------ */

/* Adds a block (a new reference) behind what the buffer holds. False when memory is out. */
bool mf_holds_add(struct mf_buf *b, struct mf_block *block);

/* A list of references to n blocks; NULL when memory is out or n is 0. */
struct mf_holds *mf_holds_new(struct mf_block *const *blocks, size_t n);

/* How many of the buffer's were added while it was shorter than start. */
size_t mf_holds_before(const struct mf_buf *b, size_t start);

/* Lets go of those that were added since the buffer was as long as start. */
void mf_holds_cut(struct mf_buf *b, size_t start);

/* Takes these out instead, as a list of its own: *out, NULL if there are none. False when memory is out. */
bool mf_holds_split(struct mf_buf *b, size_t start, struct mf_holds **out);

/* Makes all that can be exportable, so that it need not be done while somebody waits. NULL is allowed. */
void mf_holds_export(const struct mf_holds *holds);

void mf_holds_free(struct mf_holds *holds); /* NULL is allowed */

#endif
