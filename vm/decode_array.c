/* Bytes to arrays: the mirror of encode_array.c. Nothing is believed: numbers must be there, and what is held must be large
 * enough for every element that the strides lead to. */
#include "decoder.h"

#include <string.h>

#include "array_tags.h"
#include "lib_array_box.h"
#include "lib_share.h"

/* An array as the message describes it. */
struct head {
    unsigned flags;
    enum mf_dtype dtype;
    int ndim;
    size_t shape[MF_ARRAY_DIMS];
    size_t count;
};

static void read_head(lua_State *L, struct mf_decoder *d, struct head *h)
{
    h->flags = mf_decoder_byte(L, d);
    h->dtype = (enum mf_dtype)(h->flags & MF_ARRAY_DTYPE);
    h->ndim = (int)mf_decoder_byte(L, d);
    if (h->flags & ~(unsigned)(MF_ARRAY_DTYPE | MF_ARRAY_HELD | MF_ARRAY_READ_ONLY) || h->dtype >= MF_DTYPES ||
        h->ndim < 1 || h->ndim > MF_ARRAY_DIMS)
        mf_decoder_malformed(L, d, "an array of an unknown kind");
    for (int i = 0; i < h->ndim; i++) {
        uint64_t n = mf_decoder_varint(L, d);
        if (n > SIZE_MAX / 64)
            mf_decoder_malformed(L, d, "an array's shape is too large");
        h->shape[i] = (size_t)n;
    }
    h->count = mf_array_elements(h->ndim, h->shape);
    if (h->count == SIZE_MAX)
        mf_decoder_malformed(L, d, "an array's shape is too large");
}

static void read_numbers(lua_State *L, struct mf_decoder *d, const struct head *h, struct mf_array *a)
{
    struct mf_fault fault;
    size_t bytes = h->count * mf_dtypes[h->dtype].size;
    if (bytes > mf_decoder_left(d))
        mf_decoder_malformed(L, d, "an array's numbers pass the end");
    struct mf_heap *heap = mf_lib_array_heap(L);
    mf_lib_array_try(L, mf_array_new(heap, a, h->dtype, h->ndim, h->shape, false, &fault), &fault);
    if (bytes > 0)
        mf_array_unpack(a, mf_array_own(heap, a, &fault), mf_decoder_take(L, d, bytes));
    if (h->flags & MF_ARRAY_READ_ONLY)
        a->store->guard = MF_GUARD_SHARED;
}

static ptrdiff_t read_stride(lua_State *L, struct mf_decoder *d)
{
    uint64_t n = mf_decoder_varint(L, d);
    return (ptrdiff_t)(n >> 1 ^ (0 - (n & 1)));
}

/* Moves *low and *high, the bytes that are reached, by what an axis reaches. False when that leaves the block. */
static bool reach(size_t extent, ptrdiff_t stride, size_t size, size_t *low, size_t *high, size_t bytes)
{
    size_t step = stride < 0 ? 0 - (size_t)stride : (size_t)stride;
    if (extent <= 1 || step == 0)
        return true;
    if (step > bytes / size / (extent - 1))
        return false;
    size_t far = step * (extent - 1) * size;
    if (stride < 0 ? far > *low : far > bytes - *high)
        return false;
    if (stride < 0)
        *low -= far;
    else
        *high += far;
    return true;
}

/* Takes the place and the strides, and checks that all elements are inside the block. */
static void read_layout(lua_State *L, struct mf_decoder *d, const struct mf_block *block, const struct head *h,
                        struct mf_array *a)
{
    size_t size = mf_dtypes[h->dtype].size, low = (size_t)mf_decoder_varint(L, d), high = low + size;
    bool good = low <= block->bytes && size <= block->bytes - low && ((uintptr_t)block->data + low) % size == 0;
    a->offset = low;
    for (int i = 0; i < h->ndim; i++) {
        a->stride[i] = read_stride(L, d);
        good = good && reach(h->shape[i], a->stride[i], size, &low, &high, block->bytes);
    }
    if (!good || h->count == 0)
        mf_decoder_malformed(L, d, "an array that does not lie in its memory");
}

/* A block by its place in what the message holds. */
static struct mf_block *read_block(lua_State *L, struct mf_decoder *d)
{
    uint64_t n = mf_decoder_varint(L, d);
    if (!d->holds || n >= d->holds->n)
        mf_decoder_malformed(L, d, "memory that the message does not hold");
    return d->holds->items[n].block;
}

static void read_held(lua_State *L, struct mf_decoder *d, const struct head *h, struct mf_array *a)
{
    struct mf_block *block = read_block(L, d);
    struct mf_array layout = {0};
    read_layout(L, d, block, h, &layout);
    enum mf_guard guard = h->flags & MF_ARRAY_READ_ONLY ? MF_GUARD_SHARED : MF_GUARD_NONE;
    if (mf_array_wrap(a, block, layout.offset, h->dtype, h->ndim, h->shape, guard) != MF_OK)
        luaL_error(L, "not enough memory to decode the array");
    memcpy(a->stride, layout.stride, sizeof a->stride);
    mf_lib_array_heap(L)->fresh += block->bytes;
    mf_array_narrow(a);
}

void mf_decoder_array(lua_State *L, struct mf_decoder *d)
{
    struct head h;
    read_head(L, d, &h);
    struct mf_array *a = mf_lib_array_box(L);
    if (h.flags & MF_ARRAY_HELD)
        read_held(L, d, &h, a);
    else
        read_numbers(L, d, &h, a);
    mf_decoder_keep(L, d);
}

void mf_decoder_array_apart(lua_State *L)
{
    const struct mf_array *a = lua_type(L, -1) == LUA_TUSERDATA ? mf_lib_array_test(L, -1) : NULL;
    if (!a || a->store->guard != MF_GUARD_NONE || a->store->block->kind == MF_BLOCK_SHARED)
        return;
    struct mf_array *out = mf_lib_array_box(L);
    struct mf_store *store = a->store;
    if (mf_array_wrap(out, store->block, a->offset - store->skip, a->dtype, a->ndim, a->shape, MF_GUARD_NONE) != MF_OK)
        luaL_error(L, "not enough memory to decode the array");
    memcpy(out->stride, a->stride, sizeof a->stride);
    mf_array_narrow(out);
    lua_replace(L, -2);
}

void mf_decoder_share(lua_State *L, struct mf_decoder *d)
{
    mf_lib_share_push(L, read_block(L, d));
    mf_decoder_keep(L, d);
}
