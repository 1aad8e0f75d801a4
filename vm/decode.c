/* Bytes to Lua values: the mirror of encode.c, frame for frame. Every value ends on the top of the Lua stack, from
 * where the frame below takes it.
 *
 * Nothing is believed, and nothing is looked at twice as if it were the same, since the bytes may lie in memory that
 * the sender can still write: what was read and checked is what is used. Each length is compared with the bytes that
 * are left, each number with what was handed out; a table's size hints are paid from a budget of one slot for each byte
 * of the message, so that memory stays proportional to it whatever nested headers claim. Three memo tables (strings,
 * objects, functions that own upvalue cells) and the environments lie in four stack slots while a value is read, and in
 * the decoder's user values between top-level values; they are made when first needed. */
#include "decoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "live.h"

#define MAX_PRESIZE  65536
#define FRAMES_AHEAD 8 /* for which stack space is claimed at once */

/* ---- bytes and memo ---- */

_Noreturn void mf_decoder_malformed(lua_State *L, const struct mf_decoder *d, const char *what)
{
    luaL_error(L, "malformed message: %s at byte %d", what, (int)(d->p - d->start));
    abort(); /* luaL_error does not return */
}

static const char *take_text(lua_State *L, struct mf_decoder *d, size_t *len)
{
    uint64_t n = mf_decoder_varint(L, d);
    if (n > mf_decoder_left(d))
        mf_decoder_malformed(L, d, "a length passes the end");
    *len = (size_t)n;
    return (const char *)mf_decoder_take(L, d, *len);
}

void mf_decoder_text(lua_State *L, struct mf_decoder *d)
{
    size_t len;
    const char *text = take_text(L, d, &len);
    lua_pushlstring(L, text, len);
}

void mf_decoder_memo(lua_State *L, struct mf_decoder *d, int which)
{
    if (lua_istable(L, d->memo + which))
        return;
    lua_createtable(L, 4, 0);
    lua_replace(L, d->memo + which);
}

static void keep_string(lua_State *L, struct mf_decoder *d)
{
    mf_decoder_memo(L, d, MEMO_STRINGS);
    lua_pushvalue(L, -1);
    lua_rawseti(L, d->memo + MEMO_STRINGS, ++d->strings);
}

/* Gives the value on the top the next object number. */
void mf_decoder_keep(lua_State *L, struct mf_decoder *d)
{
    d->objects++;
    if (d->flags & MF_CODEC_REFS) {
        mf_decoder_memo(L, d, MEMO_OBJECTS);
        lua_pushvalue(L, -1);
        lua_rawseti(L, d->memo + MEMO_OBJECTS, d->objects);
    }
}

static void push_string_ref(lua_State *L, struct mf_decoder *d)
{
    uint64_t n = mf_decoder_varint(L, d);
    if (n >= (uint64_t)d->strings)
        mf_decoder_malformed(L, d, "a reference to a string that was not there");
    lua_rawgeti(L, d->memo + MEMO_STRINGS, (lua_Integer)n + 1);
}

static void push_object_ref(lua_State *L, struct mf_decoder *d)
{
    uint64_t n = mf_decoder_varint(L, d);
    if (n >= (uint64_t)d->objects || !(d->flags & MF_CODEC_REFS))
        mf_decoder_malformed(L, d, "a reference to an object that was not there");
    if (lua_rawgeti(L, d->memo + MEMO_OBJECTS, (lua_Integer)n + 1) == LUA_TBOOLEAN)
        mf_decoder_malformed(L, d, "a reference to an unfinished object");
}

/* ---- containers ---- */

static void push_frame(lua_State *L, struct mf_decoder *d, enum frame_kind kind, enum frame_phase phase, int base,
                       uint64_t count)
{
    if (d->depth >= MF_CODEC_DEPTH)
        mf_decoder_malformed(L, d, "values are nested too deep");
    if (d->depth == d->frames_cap) {
        size_t cap = d->frames_cap ? 2 * d->frames_cap : 16;
        struct frame *frames = realloc(d->frames, cap * sizeof *frames);
        if (!frames)
            luaL_error(L, "not enough memory to decode the message");
        d->frames = frames;
        d->frames_cap = cap;
    }
    if (d->depth % FRAMES_AHEAD == 0)
        luaL_checkstack(L, 3 * FRAMES_AHEAD + 20, "values are nested too deep");
    d->frames[d->depth++] = (struct frame){(unsigned char)kind, (unsigned char)phase, base, 0, count};
}

static int presize(struct mf_decoder *d, uint64_t wanted)
{
    size_t n = wanted < MAX_PRESIZE ? (size_t)wanted : MAX_PRESIZE;
    if (n > mf_decoder_left(d))
        n = mf_decoder_left(d);
    if (n > d->budget)
        n = d->budget;
    d->budget -= n;
    return (int)n;
}

static void begin_table(lua_State *L, struct mf_decoder *d)
{
    uint64_t items = mf_decoder_varint(L, d);
    unsigned hint = mf_decoder_byte(L, d);
    if (items > mf_decoder_left(d) || hint > 63)
        mf_decoder_malformed(L, d, "a table's size passes the end");
    push_frame(L, d, FRAME_TABLE, items ? TABLE_ITEMS : TABLE_KEY, lua_gettop(L) + 1, items);
    int array = presize(d, items);
    lua_createtable(L, array, presize(d, hint ? UINT64_C(1) << (hint - 1) : 0));
    mf_decoder_keep(L, d);
}

static void begin_function(lua_State *L, struct mf_decoder *d)
{
    if (!d->trust)
        mf_decoder_malformed(L, d, "a function from a peer that is not trusted");
    unsigned upvalues = mf_decoder_byte(L, d);
    size_t size = (size_t)mf_decoder_le(L, d, 4);
    const unsigned char *code = mf_decoder_take(L, d, size);
    push_frame(L, d, FRAME_FUNC, FUNC_UPVALUES, lua_gettop(L) + 1, upvalues);
    mf_engine_load(L, code, size, (int)upvalues);
    mf_decoder_keep(L, d);
}

/* The number of a user value is taken before there is a value; false stands for it meanwhile. */
static void begin_user(lua_State *L, struct mf_decoder *d)
{
    push_frame(L, d, FRAME_USER, USER_LOADER, lua_gettop(L) + 1, (uint64_t)d->objects + 1);
    lua_pushboolean(L, 0);
    mf_decoder_keep(L, d);
    lua_pop(L, 1);
}

/* ---- values ---- */

static void push_live(lua_State *L, struct mf_decoder *d)
{
    uint64_t number = mf_decoder_varint(L, d), place = mf_decoder_varint(L, d);
    if (!d->live)
        mf_decoder_malformed(L, d, "a live value from a peer that this is no fork of");
    mf_live_push(L, number, (lua_Integer)place);
    mf_decoder_array_apart(L);
    mf_decoder_keep(L, d);
}

static void push_float(lua_State *L, struct mf_decoder *d)
{
    uint64_t bits = mf_decoder_le(L, d, 8);
    double v;
    memcpy(&v, &bits, 8);
    lua_pushnumber(L, v);
}

/* Reads what follows a tag: the value is on the top (true), or a frame was pushed for it (false). */
static bool read_tagged(lua_State *L, struct mf_decoder *d, unsigned tag)
{
    if (tag >= MF_TAG_SMALL) {
        lua_pushinteger(L, (lua_Integer)(tag - MF_TAG_SMALL));
        return true;
    }
    switch (tag) {
    case MF_TAG_NIL:
        lua_pushnil(L);
        return true;
    case MF_TAG_FALSE:
    case MF_TAG_TRUE:
        lua_pushboolean(L, tag == MF_TAG_TRUE);
        return true;
    case MF_TAG_INT1:
        lua_pushinteger(L, (int8_t)mf_decoder_byte(L, d));
        return true;
    case MF_TAG_INT2:
        lua_pushinteger(L, (int16_t)mf_decoder_le(L, d, 2));
        return true;
    case MF_TAG_INT4:
        lua_pushinteger(L, (int32_t)mf_decoder_le(L, d, 4));
        return true;
    case MF_TAG_INT8:
        lua_pushinteger(L, (lua_Integer)mf_decoder_le(L, d, 8));
        return true;
    case MF_TAG_FLOAT:
        push_float(L, d);
        return true;
    case MF_TAG_STR:
        mf_decoder_text(L, d);
        return true;
    case MF_TAG_STRREF:
        push_string_ref(L, d);
        return true;
    case MF_TAG_STRKEEP:
        mf_decoder_text(L, d);
        keep_string(L, d);
        return true;
    case MF_TAG_TABLE:
        begin_table(L, d);
        return false;
    case MF_TAG_REF:
        push_object_ref(L, d);
        return true;
    case MF_TAG_FUNC:
        begin_function(L, d);
        return false;
    case MF_TAG_NAMED:
        mf_decoder_named(L, d);
        return true;
    case MF_TAG_USER:
        begin_user(L, d);
        return false;
    case MF_TAG_ARRAY:
        mf_decoder_array(L, d);
        return true;
    case MF_TAG_SHARE:
        mf_decoder_share(L, d);
        return true;
    case MF_TAG_ENV:
        mf_decoder_env(L, d, mf_decoder_varint(L, d));
        return true;
    case MF_TAG_LIVE:
        push_live(L, d);
        return true;
    default:
        d->p--;
        mf_decoder_malformed(L, d, "an unknown tag");
    }
}

static bool read_value(lua_State *L, struct mf_decoder *d)
{
    return read_tagged(L, d, mf_decoder_byte(L, d));
}

static void check_key(lua_State *L, struct mf_decoder *d)
{
    if (lua_isnil(L, -1) || (lua_type(L, -1) == LUA_TNUMBER && isnan(lua_tonumber(L, -1))))
        mf_decoder_malformed(L, d, "a table key that is nil or not a number");
}

static void set_metatable(lua_State *L, struct mf_decoder *d, int table)
{
    if (!lua_istable(L, -1))
        mf_decoder_malformed(L, d, "a metatable that is no table");
    if (!d->trust) {
        lua_pushliteral(L, "__gc"); /* a finaliser is not the peer's to call on values of its making */
        if (lua_rawget(L, -2) != LUA_TNIL)
            mf_decoder_malformed(L, d, "a metatable with a finaliser from a peer that is not trusted");
        lua_pop(L, 1);
    }
    lua_setmetatable(L, table);
}

/* ---- steps ---- */

/* Takes the value on the top into the frame. */
static void accept(lua_State *L, struct mf_decoder *d, struct frame *f)
{
    switch (f->phase) {
    case TABLE_ITEMS:
        lua_rawseti(L, f->base, (lua_Integer)++f->at);
        if (f->at == f->count)
            f->phase = TABLE_KEY;
        break;
    case TABLE_KEY:
        check_key(L, d);
        f->phase = TABLE_VALUE;
        break;
    case TABLE_VALUE:
        lua_rawset(L, f->base);
        f->phase = TABLE_KEY;
        break;
    case TABLE_META:
        set_metatable(L, d, f->base);
        f->phase = TABLE_END;
        break;
    case FUNC_UPVALUES:
        lua_setupvalue(L, f->base, (int)f->at);
        break;
    default:
        f->phase++;
    }
}

void mf_decoder_plain(lua_State *L, struct mf_decoder *d, unsigned tag)
{
    read_tagged(L, d, tag);
}

/* Array items that are numbers, as long as the longest of them is sure to fit in what is left. */
static void take_numbers(lua_State *L, struct mf_decoder *d, struct frame *f)
{
    while (f->at < f->count && mf_decoder_left(d) >= 9) {
        unsigned tag = *d->p;
        if (tag >= MF_TAG_SMALL)
            d->p++, lua_pushinteger(L, (lua_Integer)(tag - MF_TAG_SMALL));
        else if (tag == MF_TAG_INT2)
            d->p++, lua_pushinteger(L, (int16_t)mf_decoder_le(L, d, 2));
        else if (tag == MF_TAG_INT4)
            d->p++, lua_pushinteger(L, (int32_t)mf_decoder_le(L, d, 4));
        else if (tag == MF_TAG_FLOAT)
            d->p++, push_float(L, d);
        else
            return;
        lua_rawseti(L, f->base, (lua_Integer)++f->at);
    }
}

static bool step_items(lua_State *L, struct mf_decoder *d, struct frame *f)
{
    while (f->at < f->count) {
        take_numbers(L, d, f);
        if (f->at == f->count)
            break;
        if (!read_value(L, d))
            return false;
        lua_rawseti(L, f->base, (lua_Integer)++f->at);
    }
    f->phase = TABLE_KEY;
    return true;
}

/* Looks at the tag in a key's place; true when the table is complete. */
static bool at_end(lua_State *L, struct mf_decoder *d, struct frame *f)
{
    unsigned tag = mf_decoder_byte(L, d);
    if (tag == MF_TAG_END)
        return true;
    if (f->phase == TABLE_END)
        mf_decoder_malformed(L, d, "something after a metatable");
    if (tag == MF_TAG_META)
        f->phase = TABLE_META;
    else
        d->p--;
    return false;
}

/* Pairs whose key is a string met before, which is how records come. */
static bool step_record(lua_State *L, struct mf_decoder *d, struct frame *f)
{
    while (mf_decoder_left(d) > 0 && *d->p == MF_TAG_STRREF) {
        d->p++;
        push_string_ref(L, d);
        f->phase = TABLE_VALUE;
        if (!read_value(L, d))
            return false;
        lua_rawset(L, f->base);
        f->phase = TABLE_KEY;
    }
    return true;
}

static bool step_table(lua_State *L, struct mf_decoder *d, struct frame *f)
{
    if (f->phase == TABLE_ITEMS && !step_items(L, d, f))
        return false;
    for (;;) {
        if (f->phase == TABLE_KEY && !step_record(L, d, f))
            return false;
        if ((f->phase == TABLE_KEY || f->phase == TABLE_END) && at_end(L, d, f))
            return true;
        if (!read_value(L, d))
            return false;
        accept(L, d, f);
    }
}

static void add_cell(lua_State *L, struct mf_decoder *d, const struct frame *f)
{
    if (d->cells == d->cells_cap) {
        size_t cap = d->cells_cap ? 2 * d->cells_cap : 64;
        unsigned char *index = realloc(d->cell_index, cap);
        if (!index)
            luaL_error(L, "not enough memory to decode the message");
        d->cell_index = index;
        d->cells_cap = cap;
    }
    mf_decoder_memo(L, d, MEMO_CELLS);
    lua_pushvalue(L, f->base);
    d->cell_index[d->cells++] = (unsigned char)f->at;
    lua_rawseti(L, d->memo + MEMO_CELLS, (lua_Integer)d->cells);
}

static void join_cell(lua_State *L, struct mf_decoder *d, const struct frame *f)
{
    uint64_t n = mf_decoder_varint(L, d);
    if (n >= d->cells)
        mf_decoder_malformed(L, d, "a reference to an upvalue that was not there");
    lua_rawgeti(L, d->memo + MEMO_CELLS, (lua_Integer)n + 1);
    lua_upvaluejoin(L, f->base, (int)f->at, -1, d->cell_index[n]);
    lua_pop(L, 1);
}

static bool step_function(lua_State *L, struct mf_decoder *d, struct frame *f)
{
    while (f->at < f->count) {
        unsigned tag = mf_decoder_byte(L, d);
        f->at++;
        if (tag == MF_TAG_UPREF) {
            join_cell(L, d, f);
            continue;
        }
        if (tag != MF_TAG_UPVAL)
            mf_decoder_malformed(L, d, "no upvalue where one must be");
        add_cell(L, d, f);
        if (!read_value(L, d))
            return false;
        accept(L, d, f);
    }
    return true;
}

/* Puts the function that takes what __save returned in the loader's place. */
static void find_loader(lua_State *L, struct mf_decoder *d, int loader)
{
    if (lua_istable(L, loader)) {
        lua_pushliteral(L, "__load");
        lua_rawget(L, loader);
        lua_replace(L, loader);
    }
    if (!lua_isfunction(L, loader))
        mf_decoder_malformed(L, d, "no __load for a user value");
}

static bool step_user(lua_State *L, struct mf_decoder *d, struct frame *f)
{
    while (f->phase < USER_DONE) {
        unsigned tag = mf_decoder_byte(L, d);
        if (f->phase == USER_LOADER && !d->trust && tag != MF_TAG_NAMED && tag != MF_TAG_REF)
            mf_decoder_malformed(L, d, "a user value without a named owner from a peer that is not trusted");
        if (!read_tagged(L, d, tag))
            return false;
        accept(L, d, f);
    }
    lua_Integer number = (lua_Integer)f->count;
    find_loader(L, d, f->base);
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1))
        luaL_error(L, "__load returned nothing for a value that was sent");
    if (d->flags & MF_CODEC_REFS) {
        lua_pushvalue(L, -1);
        lua_rawseti(L, d->memo + MEMO_OBJECTS, number);
    }
    return true;
}

static bool step(lua_State *L, struct mf_decoder *d, struct frame *f)
{
    switch (f->kind) {
    case FRAME_TABLE:
        return step_table(L, d, f);
    case FRAME_FUNC:
        return step_function(L, d, f);
    default:
        return step_user(L, d, f);
    }
}

void mf_decoder_value(lua_State *L, struct mf_decoder *d)
{
    if (read_value(L, d))
        return;
    while (d->depth > 0) {
        if (!step(L, d, &d->frames[d->depth - 1]))
            continue;
        d->depth--;
        if (d->depth > 0)
            accept(L, d, &d->frames[d->depth - 1]);
    }
}
