/* What goes on between those who write to the same array (blocks of kind SHARED): additions that none of them loses, and
 * meeting points. */
#ifndef MF_ARRAY_SHARED_H
#define MF_ARRAY_SHARED_H

#include "array_ops.h"

/* A new array of zeros in memory that is shared with whoever gets it, in processes of this machine too. */
enum mf_err mf_array_new_shared(struct mf_array *a, enum mf_dtype dtype, int ndim, const size_t *shape,
                                struct mf_fault *fault);

/* Adds v to the element at that distance in one step, whoever else does so; *sum: what it is then. Integers wrap around.
 * MF_EINVAL and a fault: the array is read-only, or v does not fit its dtype. */
enum mf_err mf_array_atomic_add(struct mf_heap *heap, struct mf_array *a, ptrdiff_t distance, const struct mf_value *v,
                                struct mf_value *sum, struct mf_fault *fault);

/* Waits until that many callers (2 or more, all say the same) wait here for this array's memory, then all go on; it can be
 * used again at once. MF_ETIMEDOUT: *came of them, this one included, had come when the deadline passed. MF_EINTR. Either way
 * this caller is not counted any more. */
enum mf_err mf_array_meet(struct mf_block *block, unsigned callers, uint64_t deadline, unsigned *came);

#endif
