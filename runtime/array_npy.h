/* Files in numpy's format .npy, versions 1.0 to 3.0 to read and 1.0 to write. Everything may wait for the disk. Faults name
 * the path. */
#ifndef MF_ARRAY_NPY_H
#define MF_ARRAY_NPY_H

#include "array_ops.h"

/* Writes a, in row-major order, beside the path and gives it that name when it is whole, so that there is never a part of a
 * file under it. MF_ESYS and a fault; nothing is left then. */
enum mf_err mf_npy_save(struct mf_heap *heap, const struct mf_array *a, const char *path, struct mf_fault *fault);

/* Reads a file as a new array. Of other kinds of numbers, booleans become u8, narrower integers i32 and u32 i64; both
 * byte orders are read. A file in column-major order gives an array whose axes are turned. */
enum mf_err mf_npy_load(struct mf_heap *heap, const char *path, struct mf_array *out, struct mf_fault *fault);

/* Maps a file instead: what is read from it is loaded as it is looked at. With writable, what is written stays in this
 * program; otherwise the array is read-only. Needs one of our own dtypes in this machine's byte order, and that the file
 * stays as long as it is used. */
enum mf_err mf_npy_map(const char *path, bool writable, struct mf_array *out, struct mf_fault *fault);

/* --- For fuzzing and tests --------------------------------------------------------------------------------------- */

/* What a file's beginning says. */
struct mf_npy_head {
    char kind; /* 'f', 'i', 'u', 'b' */
    unsigned size;
    bool swapped; /* not this machine's byte order */
    bool columns; /* column-major */
    int ndim;     /* at least 1 */
    size_t shape[MF_ARRAY_DIMS];
    size_t data; /* byte at which the numbers begin */
};

/* Reads the head of a file of which the first n bytes are given. MF_ELIMIT: more of them are needed, head->data at
 * least; MF_EINVAL and a fault: it is no such file, or has what is not supported. */
enum mf_err mf_npy_parse(const unsigned char *bytes, size_t n, struct mf_npy_head *head, struct mf_fault *fault);

#endif
