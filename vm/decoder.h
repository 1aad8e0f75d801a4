/* What decode.c, decode_names.c and decode_message.c share, and nobody else includes: the decoder and its reader. */
#ifndef MF_DECODER_H
#define MF_DECODER_H

#include <lauxlib.h>
#include <stdint.h>

#include "codec.h"
#include "codec_tags.h"

/* Tables: numbered strings, numbered objects, functions that own upvalue cells, environments. */
enum { MEMO_STRINGS, MEMO_OBJECTS, MEMO_CELLS, MEMO_ENVS, MEMO_COUNT };

enum frame_kind { FRAME_TABLE, FRAME_FUNC, FRAME_USER };
enum frame_phase {
    TABLE_ITEMS,
    TABLE_KEY,
    TABLE_VALUE,
    TABLE_META,
    TABLE_END,
    FUNC_UPVALUES,
    USER_LOADER,
    USER_SAVED,
    USER_DONE
};

struct frame {
    unsigned char kind, phase;
    int base;
    uint64_t at, count; /* index reached and number of array items or upvalues; a user value's object number */
};

struct mf_decoder {
    const unsigned char *start, *p, *end;
    struct frame *frames;
    size_t depth, frames_cap;
    unsigned char *cell_index; /* which upvalue of its function a cell is */
    size_t cells, cells_cap;
    size_t budget; /* table slots that may still be reserved ahead */
    lua_Integer strings, objects;
    unsigned flags;
    const struct mf_holds *holds; /* or NULL */
    bool trust, live;
    bool used;     /* memo tables were stored in the user values */
    int self, env; /* stack indices of the caller */
    int memo;      /* stack index of the first memo slot */
};

/* Bytes: each takes from the message and raises when it ends too early. */

_Noreturn void mf_decoder_malformed(lua_State *L, const struct mf_decoder *d, const char *what);

static inline size_t mf_decoder_left(const struct mf_decoder *d)
{
    return (size_t)(d->end - d->p);
}

static inline const unsigned char *mf_decoder_take(lua_State *L, struct mf_decoder *d, size_t n)
{
    const unsigned char *from = d->p;
    if (n > mf_decoder_left(d))
        mf_decoder_malformed(L, d, "the end came too early");
    d->p += n;
    return from;
}

static inline unsigned mf_decoder_byte(lua_State *L, struct mf_decoder *d)
{
    return *mf_decoder_take(L, d, 1);
}

static inline uint64_t mf_decoder_le(lua_State *L, struct mf_decoder *d, size_t bytes)
{
    const unsigned char *from = mf_decoder_take(L, d, bytes);
    uint64_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        n |= (uint64_t)from[i] << (8 * i);
    return n;
}

static inline uint64_t mf_decoder_varint(lua_State *L, struct mf_decoder *d)
{
    uint64_t n = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned b = mf_decoder_byte(L, d);
        if (shift == 63 && b > 1)
            break;
        n |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return n;
    }
    mf_decoder_malformed(L, d, "a number is too large");
}

/* decode.c */
void mf_decoder_value(lua_State *L, struct mf_decoder *d);           /* reads one value and leaves it on the top */
void mf_decoder_text(lua_State *L, struct mf_decoder *d);            /* reads length and bytes and pushes the string */
void mf_decoder_memo(lua_State *L, struct mf_decoder *d, int which); /* makes a memo table unless it is there */
void mf_decoder_keep(lua_State *L, struct mf_decoder *d); /* gives the value on the top the next object number */

/* decode_array.c */
void mf_decoder_array(lua_State *L, struct mf_decoder *d); /* reads what follows ARRAY, pushes the array */
/* Replaces the value on the top, if it is an array that was inherited, by one of the same numbers that changes apart. */
void mf_decoder_array_apart(lua_State *L);
void mf_decoder_share(lua_State *L, struct mf_decoder *d); /* the same for SHARE */

/* decode_names.c */
void mf_decoder_env(lua_State *L, struct mf_decoder *d, uint64_t n); /* pushes environment n */
void mf_decoder_named(lua_State *L, struct mf_decoder *d);           /* reads what follows NAMED, pushes the value */

/* Sets the name at stack index name in the environment at env to the value that this state has for it. */
void mf_decoder_bind(lua_State *L, int env, int name);

/* Does a value with that tag stand for itself, without the memo and without a frame? mf_decoder_plain pushes one whose
 * tag was read. */
static inline bool mf_decoder_is_plain(unsigned tag)
{
    return tag <= MF_TAG_STR || tag >= MF_TAG_SMALL;
}
void mf_decoder_plain(lua_State *L, struct mf_decoder *d, unsigned tag);

#endif
