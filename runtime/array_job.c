/* Design note: a line of the walk is one call of the kernel. Operands of another dtype than the kernel's are converted piece
 * by piece, on the stack, so that no array is made for them. */
#include "array_job.h"

#include <string.h>

#define PIECE 512 /* elements that are converted at once */

void mf_job_take(struct mf_job *j, int k, const struct mf_value *v, enum mf_dtype want)
{
    j->want[k] = want;
    if (v->array) {
        j->have[k] = v->array->dtype;
        j->operand[k] = (struct mf_operand){v->array, mf_array_data(v->array), 0};
        return;
    }
    j->have[k] = want;
    if (v->integer)
        mf_kernels_cast[MF_I64][want](&j->number[k], 1, &v->whole, 1, NULL, 0, 1);
    else
        mf_kernels_cast[MF_F64][want](&j->number[k], 1, &v->real, 1, NULL, 0, 1);
    j->operand[k] = (struct mf_operand){NULL, &j->number[k], mf_dtypes[want].size};
}

void mf_job_give(struct mf_job *j, const struct mf_array *out, void *data, enum mf_dtype gives)
{
    j->have[0] = out->dtype;
    j->want[0] = gives;
    j->operand[0] = (struct mf_operand){out, data, 0};
}

/* The piece of an operand from element first on, as the kernel wants it: where it is, or converted into room. */
static const void *fetch(const struct mf_job *j, int k, size_t first, size_t n, void *room, ptrdiff_t *step)
{
    const char *at = j->walk.at[k] + (ptrdiff_t)first * j->walk.step[k] * (ptrdiff_t)mf_dtypes[j->have[k]].size;
    *step = j->walk.step[k];
    if (j->have[k] == j->want[k])
        return at;
    mf_kernels_cast[j->have[k]][j->want[k]](room, 1, at, *step, NULL, 0, *step == 0 ? 1 : n);
    *step = *step == 0 ? 0 : 1;
    return room;
}

static size_t run_piece(const struct mf_job *j, size_t first, size_t n)
{
    union mf_number a_room[PIECE], b_room[PIECE], out_room[PIECE];
    ptrdiff_t sa, sb = 0, so = j->walk.step[0];
    const void *a = fetch(j, 1, first, n, a_room, &sa);
    const void *b = j->n > 2 ? fetch(j, 2, first, n, b_room, &sb) : NULL;
    char *out = j->walk.at[0] + (ptrdiff_t)first * so * (ptrdiff_t)mf_dtypes[j->have[0]].size;
    if (j->have[0] == j->want[0])
        return j->kernel(out, so, a, sa, b, sb, n);
    size_t good = j->kernel(out_room, 1, a, sa, b, sb, n);
    return good < n ? good : mf_kernels_cast[j->want[0]][j->have[0]](out, so, out_room, 1, NULL, 0, n);
}

static size_t run_line(const struct mf_job *j, bool casts)
{
    const struct mf_walk *w = &j->walk;
    if (!casts)
        return j->kernel(w->at[0], w->step[0], w->at[1], w->step[1], j->n > 2 ? w->at[2] : NULL,
                         j->n > 2 ? w->step[2] : 0, w->n);
    for (size_t first = 0; first < w->n; first += PIECE) {
        size_t size = w->n - first < PIECE ? w->n - first : PIECE;
        size_t good = run_piece(j, first, size);
        if (good < size)
            return first + good;
    }
    return w->n;
}

size_t mf_job_run(struct mf_job *j)
{
    const struct mf_array *out = j->operand[0].array;
    bool casts = false;
    size_t done = 0, good;
    if (!mf_walk_begin(&j->walk, out->ndim, out->shape, j->operand, j->n))
        return 0;
    for (int k = 0; k < j->n; k++)
        casts = casts || j->have[k] != j->want[k];
    do {
        good = run_line(j, casts);
        done += good;
    } while (good == j->walk.n && mf_walk_next(&j->walk));
    return done;
}

bool mf_job_is_safe(const struct mf_array *out, const struct mf_value *v)
{
    const struct mf_array *x = v->array;
    if (!x || !mf_array_overlaps(out, x))
        return true;
    return out->offset - out->store->skip == x->offset - x->store->skip && out->dtype == x->dtype &&
           mf_array_same_shape(out, x) && memcmp(out->stride, x->stride, (size_t)x->ndim * sizeof x->stride[0]) == 0;
}
