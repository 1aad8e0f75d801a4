/* Arrays: numbers of one type in one or more dimensions, row-major, as views of storage that several of them may share.
 *
 * A struct mf_array is a value that its holder keeps (a local variable, a Lua userdata) and gives back with
 * mf_array_release; it refers to a store. All arrays of one interpreter that show the same numbers refer to one store,
 * so what is written through one is seen through all. The store refers to a block (block.h), which other interpreters
 * and messages may refer to as well: mf_array_own makes a copy before the first write then. An array belongs to the thread
 * of its interpreter.
 *
 * Axes and indices count from 0 here; texts for users count from 1. Strides count elements. */
#ifndef MF_ARRAY_H
#define MF_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "block.h"
#include "err.h"
#include "heap.h"

#define MF_ARRAY_DIMS 8 /* dimensions at most */

enum mf_dtype { MF_F64, MF_F32, MF_I64, MF_I32, MF_U8, MF_DTYPES };

struct mf_dtype_info {
    const char *name; /* "f64" */
    unsigned char size;
    bool integer;
    int64_t least, most; /* of integers */
    const char *npy;     /* as .npy files and numpy write it, little endian */
};
extern const struct mf_dtype_info mf_dtypes[MF_DTYPES];

/* The dtype of that name, or MF_DTYPES. */
enum mf_dtype mf_dtype_find(const char *name);

/* Why a store may not be written. */
enum mf_guard {
    MF_GUARD_NONE,
    MF_GUARD_SHARED, /* a share, whatever else it is */
    MF_GUARD_MAPPED, /* a file that is mapped to be read */
};

struct mf_store {
    unsigned refs;
    uint8_t guard; /* enum mf_guard */
    bool counted;  /* the block came from the interpreter's heap */
    struct mf_block *block;
    size_t skip;       /* the number of the block's first byte */
    size_t first, end; /* bytes that arrays of this store can show: see mf_array_narrow */
};

struct mf_array {
    struct mf_store *store; /* a reference */
    size_t offset;          /* bytes from byte 0 of the store to the first element */
    enum mf_dtype dtype;
    int ndim; /* 1 or more */
    size_t count;
    size_t shape[MF_ARRAY_DIMS];
    ptrdiff_t stride[MF_ARRAY_DIMS];
};

/* --- Making and letting go --------------------------------------------------------------------------------------- */

/* Elements of that shape; SIZE_MAX when there are more than memory could hold. */
size_t mf_array_elements(int ndim, const size_t *shape);

/* A new array, contiguous; zero: of zeros, otherwise of anything. MF_ENOMEM or MF_ELIMIT and a fault: *a is not set. */
enum mf_err mf_array_new(struct mf_heap *heap, struct mf_array *a, enum mf_dtype dtype, int ndim, const size_t *shape,
                         bool zero, struct mf_fault *fault);

/* An array whose numbers stand in a block from offset on, contiguous: takes a reference to the block. MF_ENOMEM. */
enum mf_err mf_array_wrap(struct mf_array *a, struct mf_block *block, size_t offset, enum mf_dtype dtype, int ndim,
                          const size_t *shape, enum mf_guard guard);

/* Another view of the same: its holder may then cut it with what follows. */
struct mf_array mf_array_view(const struct mf_array *a);

/* Gives the array back; *a is nothing then. An array that is nothing already (store is NULL) stays so. */
void mf_array_release(struct mf_heap *heap, struct mf_array *a);

/* --- The numbers ------------------------------------------------------------------------------------------------- */

/* The first element, to be read. */
static inline const void *mf_array_data(const struct mf_array *a)
{
    return a->store->block->data + (a->offset - a->store->skip);
}

/* The first element, to be written, when the store may be: numbers that others read have become a copy of the store's own.
 * NULL and a fault when it is read-only (MF_EINVAL) or memory is out. Pointers got before are not good any more. */
void *mf_array_own(struct mf_heap *heap, struct mf_array *a, struct mf_fault *fault);

/* For the only array of a store: no other will ever show more than it spans, so a copy before a write needs no more. */
void mf_array_narrow(struct mf_array *a);

/* The first and last byte (in the store) that an array with elements shows: [*first, *end). */
void mf_array_span(const struct mf_array *a, size_t *first, size_t *end);

/* Do two arrays show any byte in common, as far as their spans tell? */
bool mf_array_overlaps(const struct mf_array *a, const struct mf_array *b);

bool mf_array_is_contiguous(const struct mf_array *a);

/* Do the elements, in row-major order, lie at one distance? Then *stride is it. */
bool mf_array_line(const struct mf_array *a, ptrdiff_t *stride);

bool mf_array_same_shape(const struct mf_array *a, const struct mf_array *b);

/* --- Views: what follows changes *a, never the numbers ----------------------------------------------------------- */

/* Keeps count elements of the axis, every step-th from first on; they must be there. */
void mf_array_slice(struct mf_array *a, int axis, size_t first, size_t count, ptrdiff_t step);

/* Keeps element i of the axis, and drops the axis; an array of one dimension keeps it, with one element. */
void mf_array_pick(struct mf_array *a, int axis, size_t i);

/* Puts the axes into that order (a permutation). */
void mf_array_permute(struct mf_array *a, const int *axes);

/* The same elements in row-major order under another shape of as many elements. False when no strides can show them so: a
 * copy must be made. */
bool mf_array_reshape(struct mf_array *a, int ndim, const size_t *shape);

/* Shows the array under a shape that it can be broadcast to (mf_array_broadcast). */
void mf_array_stretch(struct mf_array *a, int ndim, const size_t *shape);

/* --- Shapes ------------------------------------------------------------------------------------------------------ */

#define MF_ARRAY_TEXT 112 /* bytes that the text of a shape needs, at most (longer ones are cut) */

/* "(3,4)" */
const char *mf_array_shape_text(int ndim, const size_t *shape, char text[MF_ARRAY_TEXT]);

/* The shape that both can be broadcast to, as in numpy: axes are matched from the last on, and an axis of 1 stretches.
 * Returns its dimensions, or -1 and a fault: "cannot <what> shapes (3,4) and (5): axis 2 has 4 elements and 5". */
int mf_array_broadcast(const struct mf_array *a, const struct mf_array *b, size_t *shape, const char *what,
                       struct mf_fault *fault);

#endif
