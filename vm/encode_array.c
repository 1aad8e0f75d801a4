/* Arrays to bytes. A small one is written with its numbers: one copy. A large one is not copied at all: the message refers
 * to its block and holds it, and whoever writes to the numbers next, here or there, makes a copy then (block.h). That
 * needs a caller who passes on what the message holds. */
#include "encoder.h"

#include "../runtime/block.h"
#include "array_tags.h"
#include "lib_array_box.h"
#include "lib_share.h"

#define WORTH ((size_t)64 << 10) /* bytes of an array that are not copied */
#define SHARE 8                  /* a part of its block that an array must be, so that the block goes along */

/* Memory that everybody writes to has to stay where it is; otherwise it must be worth it. */
static bool is_held(const struct mf_encoder *e, const struct mf_array *a)
{
    size_t bytes = a->count * mf_dtypes[a->dtype].size;
    if (a->store->block->kind == MF_BLOCK_SHARED)
        return true;
    if ((!e->holds && !e->opt_live) || bytes == 0)
        return false;
    size_t whole = a->store->block->bytes;
    return a->store->guard == MF_GUARD_SHARED || (e->parts && whole >= WORTH) ||
           (bytes >= WORTH && bytes >= whole / SHARE);
}

static void put_head(lua_State *L, struct mf_encoder *e, const struct mf_array *a, bool held)
{
    unsigned flags = (unsigned)a->dtype | (held ? MF_ARRAY_HELD : 0) |
                     (e->freeze || a->store->guard == MF_GUARD_SHARED ? MF_ARRAY_READ_ONLY : 0);
    mf_encoder_byte(L, e, MF_TAG_ARRAY);
    mf_encoder_byte(L, e, flags);
    mf_encoder_byte(L, e, (unsigned)a->ndim);
    for (int i = 0; i < a->ndim; i++)
        mf_encoder_varint(L, e, a->shape[i]);
}

/* Holds the block, and writes its place in the list. */
static void put_block(lua_State *L, struct mf_encoder *e, struct mf_block *block)
{
    if (!mf_holds_add(e->out, block))
        luaL_error(L, "not enough memory to encode the value");
    mf_encoder_varint(L, e, e->out->holds->n - 1 - e->holds_before);
}

static void put_held(lua_State *L, struct mf_encoder *e, const struct mf_array *a)
{
    put_block(L, e, a->store->block);
    mf_encoder_varint(L, e, a->offset - a->store->skip);
    for (int i = 0; i < a->ndim; i++) {
        int64_t stride = a->stride[i];
        mf_encoder_varint(L, e, (uint64_t)stride << 1 ^ (uint64_t)(stride >> 63));
    }
}

static void put_numbers(lua_State *L, struct mf_encoder *e, const struct mf_array *a)
{
    size_t bytes = a->count * mf_dtypes[a->dtype].size;
    unsigned char *to = mf_encoder_room(L, e, bytes);
    mf_array_pack(a, to);
    e->out->len += bytes;
}

bool mf_encoder_array(lua_State *L, struct mf_encoder *e)
{
    const struct mf_array *a = mf_lib_array_test(L, -1);
    if (!a)
        return false;
    bool held = is_held(e, a);
    if (held && e->opt_live)
        return mf_encoder_live_other(L, e);
    if (held && !e->holds)
        mf_encoder_refuse(L, e, "an array of shared memory", ": it goes to tasks of this machine only");
    put_head(L, e, a, held);
    if (held)
        put_held(L, e, a);
    else if (a->count > 0)
        put_numbers(L, e, a);
    lua_pop(L, 1);
    return true;
}

bool mf_encoder_share(lua_State *L, struct mf_encoder *e)
{
    struct mf_block *block = mf_lib_share_test(L, -1);
    if (!block)
        return false;
    if (e->opt_live)
        return mf_encoder_live_other(L, e);
    if (!e->holds)
        mf_encoder_refuse(L, e, "a share", ": it goes to tasks, and back from them, only");
    mf_encoder_byte(L, e, MF_TAG_SHARE);
    put_block(L, e, block);
    lua_pop(L, 1);
    return true;
}
