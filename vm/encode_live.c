/* What a fork inherits instead of being sent a copy (live.h): large values that a function has captured or that were
 * found or given, long strings wherever they are, and what could not be sent at all. Only what stands at the top or in an
 * upvalue is measured: what it holds has then been measured with it. */
#include "encoder.h"
#include "live.h"

/* The object's number was taken by whoever looked it up. */
static bool put_live(lua_State *L, struct mf_encoder *e, size_t bytes)
{
    lua_Integer place = mf_live_add(L, SLOT_LIVE, -1);
    mf_encoder_tagged(L, e, MF_TAG_LIVE, e->live_number);
    mf_encoder_varint(L, e, (uint64_t)place);
    e->flags &= ~(unsigned)MF_CODEC_CLOSED;
    e->live_bytes += bytes;
    if (e->item)
        mf_encoder_check_limit(L, e);
    lua_pop(L, 1);
    return true;
}

bool mf_encoder_live_table(lua_State *L, struct mf_encoder *e)
{
    bool captured = e->depth == 0 || e->frames[e->depth - 1].kind == FRAME_FUNC;
    if (!e->opt_live || !captured)
        return false;
    size_t bytes = mf_live_measure(L, -1, MF_LIVE_BYTES);
    return bytes >= MF_LIVE_BYTES && put_live(L, e, bytes);
}

bool mf_encoder_live_string(lua_State *L, struct mf_encoder *e)
{
    return put_live(L, e, (size_t)lua_rawlen(L, -1));
}

bool mf_encoder_live_other(lua_State *L, struct mf_encoder *e)
{
    return e->opt_live && put_live(L, e, 0);
}
