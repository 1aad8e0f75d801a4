/* The bytes of scalars: numbers in their shortest form, strings whole or by number. */
#include "encoder.h"

#include <stdlib.h>
#include <string.h>

#include "../runtime/sys_mem.h"

#define SHORT_STRING 40 /* strings up to this are interned by the engine: equal means same address */

/* ---- bytes ---- */

void mf_encoder_grow(lua_State *L, struct mf_encoder *e, size_t n)
{
    mf_encoder_check_limit(L, e);
    if (!mf_buf_reserve(e->out, n))
        luaL_error(L, "not enough memory to encode the value");
}

void mf_encoder_byte(lua_State *L, struct mf_encoder *e, unsigned byte)
{
    *mf_encoder_room(L, e, 1) = (unsigned char)byte;
    e->out->len++;
}

static inline size_t write_varint(unsigned char *to, uint64_t n)
{
    size_t i = 0;
    for (; n >= 0x80; n >>= 7)
        to[i++] = (unsigned char)(n | 0x80);
    to[i++] = (unsigned char)n;
    return i;
}

void mf_encoder_varint(lua_State *L, struct mf_encoder *e, uint64_t n)
{
    e->out->len += write_varint(mf_encoder_room(L, e, 10), n);
}

void mf_encoder_tagged(lua_State *L, struct mf_encoder *e, unsigned tag, uint64_t n)
{
    unsigned char *to = mf_encoder_room(L, e, 11);
    to[0] = (unsigned char)tag;
    e->out->len += 1 + write_varint(to + 1, n);
}

void mf_encoder_text(lua_State *L, struct mf_encoder *e, const char *text, size_t len)
{
    mf_encoder_varint(L, e, len);
    unsigned char *to = mf_encoder_room(L, e, len);
    if (len)
        mf_sys_copy(to, text, len);
    e->out->len += len;
}

/* ---- scalars ---- */

static inline size_t write_integer(unsigned char *to, lua_Integer v)
{
    if (v >= 0 && v <= 127) {
        to[0] = (unsigned char)(MF_TAG_SMALL + v);
        return 1;
    }
    if (v >= INT16_MIN && v <= INT16_MAX) {
        bool one = v >= INT8_MIN && v <= INT8_MAX;
        to[0] = one ? MF_TAG_INT1 : MF_TAG_INT2;
        mf_encoder_write_le(to + 1, (uint64_t)v, 2);
        return one ? 2 : 3;
    }
    if (v >= INT32_MIN && v <= INT32_MAX) {
        to[0] = MF_TAG_INT4;
        mf_encoder_write_le(to + 1, (uint64_t)v, 4);
        return 5;
    }
    to[0] = MF_TAG_INT8;
    mf_encoder_write_le(to + 1, (uint64_t)v, 8);
    return 9;
}

static void put_integer(lua_State *L, struct mf_encoder *e, lua_Integer v)
{
    e->out->len += write_integer(mf_encoder_room(L, e, 9), v);
}

static void put_float(lua_State *L, struct mf_encoder *e, double v)
{
    unsigned char *to = mf_encoder_room(L, e, 9);
    uint64_t bits;
    memcpy(&bits, &v, 8);
    to[0] = MF_TAG_FLOAT;
    mf_encoder_write_le(to + 1, bits, 8);
    e->out->len += 9;
}

_Noreturn void mf_encoder_too_many(lua_State *L)
{
    luaL_error(L, "cannot send the value: it holds too many objects, or memory is out");
    abort(); /* luaL_error does not return */
}

static void put_kept(lua_State *L, struct mf_encoder *e, const char *s, size_t len)
{
    bool fresh;
    struct mf_ptrslot *slot = mf_ptrmap_put(&e->strings, s, e->string_count, &fresh);
    if (!slot || e->string_count >= MF_MAX_IDS)
        mf_encoder_too_many(L);
    if (!fresh) {
        mf_encoder_tagged(L, e, MF_TAG_STRREF, slot->number);
        return;
    }
    e->string_count++;
    mf_encoder_byte(L, e, MF_TAG_STRKEEP);
    mf_encoder_text(L, e, s, len);
}

/* A top-level string is not kept: nothing holds it until the end of the message. */
void mf_encoder_string(lua_State *L, struct mf_encoder *e, int idx, bool keep)
{
    size_t len;
    const char *s = lua_tolstring(L, idx, &len);
    if (keep || (len > SHORT_STRING && e->depth > 0)) {
        put_kept(L, e, s, len);
        return;
    }
    struct mf_ptrslot *slot = mf_ptrmap_get(&e->strings, s);
    if (slot) {
        mf_encoder_tagged(L, e, MF_TAG_STRREF, slot->number);
        return;
    }
    unsigned char *to = mf_encoder_room(L, e, len + 11);
    to[0] = MF_TAG_STR;
    to += 1 + write_varint(to + 1, len);
    if (len)
        mf_sys_copy(to, s, len);
    e->out->len = (size_t)(to - e->out->data) + len;
}

/* Writes the value on the top when it is a scalar other than a string; false when it is something else. */
bool mf_encoder_scalar(lua_State *L, struct mf_encoder *e, int type)
{
    switch (type) {
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1))
            put_integer(L, e, lua_tointeger(L, -1));
        else
            put_float(L, e, lua_tonumber(L, -1));
        return true;
    case LUA_TBOOLEAN:
        mf_encoder_byte(L, e, lua_toboolean(L, -1) ? MF_TAG_TRUE : MF_TAG_FALSE);
        return true;
    case LUA_TNIL:
        mf_encoder_byte(L, e, MF_TAG_NIL);
        return true;
    default:
        return false;
    }
}

void mf_encoder_numbers(lua_State *L, struct mf_encoder *e, const uint64_t *bits, size_t n, bool floats)
{
    unsigned char *to = mf_encoder_room(L, e, 9 * n);
    unsigned char *const start = to;
    for (size_t i = 0; i < n; i++) {
        if (floats) {
            to[0] = MF_TAG_FLOAT;
            mf_encoder_write_le(to + 1, bits[i], 8);
            to += 9;
        } else {
            to += write_integer(to, (lua_Integer)bits[i]);
        }
    }
    e->out->len += (size_t)(to - start);
}
