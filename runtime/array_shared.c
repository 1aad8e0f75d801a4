/* Design note: the state of the meeting point is one 64-bit word, so that coming and giving up are one step each: how many
 * have come, and the number of the meeting, which changes when it takes place. Beside it stands a word to sleep on. */
#include "array_shared.h"

#include <string.h>

#include "array_job.h"
#include "sys.h"
#include "sys_fd.h"

#define LOOK_NS 100000000u /* between looks whether a signal came just before the sleep */

enum mf_err mf_array_new_shared(struct mf_array *a, enum mf_dtype dtype, int ndim, const size_t *shape,
                                struct mf_fault *fault)
{
    char text[MF_ARRAY_TEXT];
    size_t n = mf_array_elements(ndim, shape);
    if (n == SIZE_MAX || n == 0)
        return mf_fault_set(fault, MF_ELIMIT, "cannot share an array of shape %s",
                            mf_array_shape_text(ndim, shape, text));
    struct mf_block *block = mf_block_new_shared(n * mf_dtypes[dtype].size, fault);
    if (!block)
        return fault->code;
    enum mf_err e = mf_array_wrap(a, block, 0, dtype, ndim, shape, MF_GUARD_NONE);
    mf_block_unref(block);
    return e == MF_OK ? e : mf_fault_set(fault, e, "not enough memory");
}

/* --- Adding ------------------------------------------------------------------------------------------------------ */

#define ADD_FLOAT(T, WORD)                                                                                             \
    do {                                                                                                               \
        WORD old = __atomic_load_n((WORD *)p, __ATOMIC_RELAXED), new;                                                  \
        T now;                                                                                                         \
        do {                                                                                                           \
            memcpy(&now, &old, sizeof now);                                                                            \
            now += *(const T *)(const void *)v;                                                                        \
            memcpy(&new, &now, sizeof new);                                                                            \
        } while (!__atomic_compare_exchange_n((WORD *)p, &old, new, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));           \
        memcpy(sum, &now, sizeof now);                                                                                 \
    } while (0)

#define ADD_INTEGER(WORD)                                                                                              \
    do {                                                                                                               \
        WORD now = __atomic_add_fetch((WORD *)p, *(const WORD *)(const void *)v, __ATOMIC_ACQ_REL);                    \
        memcpy(sum, &now, sizeof now);                                                                                 \
    } while (0)

/* Adds the number at v to the one at p, both of that dtype; sum: the result. */
static void add(enum mf_dtype t, void *p, const union mf_number *v, union mf_number *sum)
{
    switch (t) {
    case MF_F64:
        ADD_FLOAT(double, uint64_t);
        break;
    case MF_F32:
        ADD_FLOAT(float, uint32_t);
        break;
    case MF_I64:
        ADD_INTEGER(uint64_t);
        break;
    case MF_I32:
        ADD_INTEGER(uint32_t);
        break;
    default:
        ADD_INTEGER(uint8_t);
    }
}

enum mf_err mf_array_atomic_add(struct mf_heap *heap, struct mf_array *a, ptrdiff_t distance, const struct mf_value *v,
                                struct mf_value *sum, struct mf_fault *fault)
{
    union mf_number number, result;
    enum mf_err e = mf_array_put(a, &number, 0, v, fault);
    char *data = e == MF_OK ? mf_array_own(heap, a, fault) : NULL;
    if (!data)
        return e == MF_OK ? fault->code : e;
    add(a->dtype, data + distance * (ptrdiff_t)mf_dtypes[a->dtype].size, &number, &result);
    sum->array = NULL;
    sum->integer = mf_dtypes[a->dtype].integer;
    if (sum->integer)
        mf_kernels_cast[a->dtype][MF_I64](&sum->whole, 1, &result, 1, NULL, 0, 1);
    else
        mf_kernels_cast[a->dtype][MF_F64](&sum->real, 1, &result, 1, NULL, 0, 1);
    return MF_OK;
}

/* --- Meeting ----------------------------------------------------------------------------------------------------- */

/* Where a meeting point's words are in front of the block. */
struct place {
    atomic_uint_least64_t *state; /* number of the meeting << 32 | how many have come */
    atomic_uint *sleep;           /* changes when a meeting takes place */
};

static struct place place_of(struct mf_block *block)
{
    atomic_uint *words = mf_block_words(block);
    return (struct place){(atomic_uint_least64_t *)(void *)words, words + 2};
}

static unsigned meeting(uint64_t state)
{
    return (unsigned)(state >> 32);
}

/* Comes to the meeting, whose number is in *number. True: it takes place with this caller. */
static bool come(const struct place *p, unsigned callers, unsigned *number)
{
    uint64_t old = atomic_load(p->state), new;
    bool complete;
    do {
        *number = meeting(old);
        complete = (unsigned)old + 1 >= callers;
        new = complete ? (uint64_t)(*number + 1) << 32 : old + 1;
    } while (!atomic_compare_exchange_weak(p->state, &old, new));
    if (!complete)
        return false;
    atomic_fetch_add(p->sleep, 1);
    mf_sys_word_wake(p->sleep);
    return true;
}

/* False: the meeting has taken place after all. */
static bool give_up(const struct place *p, unsigned number, unsigned *came)
{
    uint64_t old = atomic_load(p->state);
    do {
        if (meeting(old) != number)
            return false;
        *came = (unsigned)old;
    } while (!atomic_compare_exchange_weak(p->state, &old, old - 1));
    return true;
}

static void note(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
}

/* Until the meeting has taken place (MF_OK), or there is a reason to give up. */
static enum mf_err wait_for(const struct place *p, unsigned number, uint64_t deadline)
{
    atomic_bool interrupted = false;
    struct mf_sys_interrupt entry = {.action = note, .arg = &interrupted};
    enum mf_err e = MF_OK;
    mf_sys_interrupt_push(&entry);
    while (e == MF_OK) {
        unsigned value = atomic_load(p->sleep);
        uint64_t now = mf_sys_now();
        if (meeting(atomic_load(p->state)) != number)
            break;
        if (atomic_load(&interrupted) || mf_sys_interrupt_wanted())
            e = MF_EINTR;
        else if (now >= deadline)
            e = MF_ETIMEDOUT;
        else
            mf_sys_word_wait(p->sleep, value, deadline - now < LOOK_NS ? deadline : now + LOOK_NS);
    }
    mf_sys_interrupt_pop(&entry);
    return e;
}

enum mf_err mf_array_meet(struct mf_block *block, unsigned callers, uint64_t deadline, unsigned *came)
{
    struct place p = place_of(block);
    unsigned number;
    if (come(&p, callers, &number))
        return MF_OK;
    enum mf_err e = wait_for(&p, number, deadline);
    return e == MF_OK || give_up(&p, number, came) ? e : MF_OK;
}
