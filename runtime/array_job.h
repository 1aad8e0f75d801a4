/* What array_ops.c and array_assign.c share: one kernel, run over all elements of its operands. */
#ifndef MF_ARRAY_JOB_H
#define MF_ARRAY_JOB_H

#include "array_kernel.h"
#include "array_walk.h"

union mf_number {
    double f64;
    float f32;
    int64_t i64;
    int32_t i32;
    uint8_t u8;
};

#define MF_JOB_OPERANDS 3 /* the result is the first */

struct mf_job {
    mf_kernel *kernel;
    int n;                               /* operands */
    enum mf_dtype have[MF_JOB_OPERANDS]; /* an operand's dtype */
    enum mf_dtype want[MF_JOB_OPERANDS]; /* that which the kernel takes or gives */
    struct mf_operand operand[MF_JOB_OPERANDS];
    union mf_number number[MF_JOB_OPERANDS]; /* of operands that are no arrays */
    struct mf_walk walk;
};

/* Sets operand k > 0, which the kernel takes as dtype want; it must be there until the job has run. A number must fit. */
void mf_job_take(struct mf_job *j, int k, const struct mf_value *v, enum mf_dtype want);

/* Sets the result: what the kernel gives as dtype gives is written to data, which is out's. */
void mf_job_give(struct mf_job *j, const struct mf_array *out, void *data, enum mf_dtype gives);

/* Returns the number of elements, or that of the first one for which there is no result, in row-major order. */
size_t mf_job_run(struct mf_job *j);

/* May elements of out be written while those of x are read? Yes, if nothing that is written is read later. */
bool mf_job_is_safe(const struct mf_array *out, const struct mf_value *x);

#endif
