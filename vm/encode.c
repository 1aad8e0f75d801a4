/* Lua values to bytes. An explicit stack of frames in C memory replaces recursion; each frame keeps its container
 * and the key it has reached on the Lua stack. Identity is by address, in two hashes: strings and objects. An
 * address stays an identity because nothing is released while a message is written: top-level values and what
 * __save returned are anchored, and the collector stands still while a __save runs.
 *
 * A table is traversed once. When the engine knows the array part up to the border, that is read directly, and lua_next
 * goes on from the border. Else lua_next does it all: as long as the keys come as 1, 2, 3 ... they are the array;
 * when that order breaks before the border, the rest is fetched by index and skipped in what follows.
 *
 * Functions, tables and user values each take an object number when their tag is written; what is named or refused
 * is decided before that. FUNC is followed by the number of upvalues (1 byte), the size of the bytecode (4 bytes),
 * the bytecode, and for each upvalue UPREF number or UPVAL value. */
#include "encoder.h"

#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define SHORT_STRING  40 /* strings up to this are interned by the engine: equal means same address */
#define KEEP_ANCHORED 16
#define NUMBERS 64 /* fetched at once */
#define FRAMES_AHEAD 8 /* for which stack space is claimed at once */
#define KEEP_FRAMES 64

static const char registry_key;

/* ---- bytes ---- */

static void grow(lua_State *L, struct mf_encoder *e, size_t n)
{
    mf_encoder_check_limit(L, e);
    if (!mf_buf_reserve(e->out, n))
        luaL_error(L, "not enough memory to encode the value");
}

/* Where the next n bytes go; the caller moves out->len. */
static inline unsigned char *room(lua_State *L, struct mf_encoder *e, size_t n)
{
    if (e->out->cap - e->out->len < n)
        grow(L, e, n);
    return e->out->data + e->out->len;
}

void mf_encoder_byte(lua_State *L, struct mf_encoder *e, unsigned byte)
{
    *room(L, e, 1) = (unsigned char)byte;
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
    e->out->len += write_varint(room(L, e, 10), n);
}

static void put_tagged(lua_State *L, struct mf_encoder *e, unsigned tag, uint64_t n)
{
    unsigned char *to = room(L, e, 11);
    to[0] = (unsigned char)tag;
    e->out->len += 1 + write_varint(to + 1, n);
}

void mf_encoder_text(lua_State *L, struct mf_encoder *e, const char *text, size_t len)
{
    mf_encoder_varint(L, e, len);
    unsigned char *to = room(L, e, len);
    if (len)
        memcpy(to, text, len);
    e->out->len += len;
}

static inline void write_le(unsigned char *to, uint64_t n, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (unsigned char)(n >> (8 * i));
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
        write_le(to + 1, (uint64_t)v, 2);
        return one ? 2 : 3;
    }
    if (v >= INT32_MIN && v <= INT32_MAX) {
        to[0] = MF_TAG_INT4;
        write_le(to + 1, (uint64_t)v, 4);
        return 5;
    }
    to[0] = MF_TAG_INT8;
    write_le(to + 1, (uint64_t)v, 8);
    return 9;
}

static void put_integer(lua_State *L, struct mf_encoder *e, lua_Integer v)
{
    e->out->len += write_integer(room(L, e, 9), v);
}

static void put_float(lua_State *L, struct mf_encoder *e, double v)
{
    unsigned char *to = room(L, e, 9);
    uint64_t bits;
    memcpy(&bits, &v, 8);
    to[0] = MF_TAG_FLOAT;
    write_le(to + 1, bits, 8);
    e->out->len += 9;
}

static _Noreturn void too_many(lua_State *L)
{
    luaL_error(L, "cannot send the value: it holds too many objects, or memory is out");
    abort(); /* luaL_error does not return */
}

static void put_kept(lua_State *L, struct mf_encoder *e, const char *s, size_t len)
{
    bool fresh;
    struct mf_ptrslot *slot = mf_ptrmap_put(&e->strings, s, e->string_count, &fresh);
    if (!slot || e->string_count >= MF_MAX_IDS)
        too_many(L);
    if (!fresh) {
        put_tagged(L, e, MF_TAG_STRREF, slot->number);
        return;
    }
    e->string_count++;
    mf_encoder_byte(L, e, MF_TAG_STRKEEP);
    mf_encoder_text(L, e, s, len);
}

/* A top-level string is not kept: nothing holds it until the end of the message. */
static void put_string(lua_State *L, struct mf_encoder *e, int idx, bool keep)
{
    size_t len;
    const char *s = lua_tolstring(L, idx, &len);
    if (keep || (len > SHORT_STRING && e->depth > 0)) {
        put_kept(L, e, s, len);
        return;
    }
    struct mf_ptrslot *slot = mf_ptrmap_get(&e->strings, s);
    if (slot) {
        put_tagged(L, e, MF_TAG_STRREF, slot->number);
        return;
    }
    unsigned char *to = room(L, e, len + 11);
    to[0] = MF_TAG_STR;
    to += 1 + write_varint(to + 1, len);
    if (len)
        memcpy(to, s, len);
    e->out->len = (size_t)(to - e->out->data) + len;
}

/* Writes the value on the top when it is a scalar other than a string; false when it is something else. */
static inline bool put_scalar(lua_State *L, struct mf_encoder *e, int type)
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

/* ---- frames and identity ---- */

static struct mf_frame *push_frame(lua_State *L, struct mf_encoder *e, enum mf_frame_kind kind,
                                   enum mf_frame_phase phase, int base)
{
    if (e->depth >= MF_CODEC_DEPTH)
        mf_encoder_refuse(L, e, "a value nested deeper than 100000 levels", "");
    if (e->depth == e->frames_cap) {
        size_t cap = e->frames_cap ? 2 * e->frames_cap : 16;
        struct mf_frame *frames = realloc(e->frames, cap * sizeof *frames);
        if (!frames)
            luaL_error(L, "not enough memory to encode the value");
        e->frames = frames;
        e->frames_cap = cap;
    }
    if (e->depth % FRAMES_AHEAD == 0 && !lua_checkstack(L, 4 * FRAMES_AHEAD + 20))
        mf_encoder_refuse(L, e, "a value nested so deep that the Lua stack is full", "");
    struct mf_frame *f = &e->frames[e->depth++];
    *f = (struct mf_frame){.kind = (unsigned char)kind, .phase = (unsigned char)phase, .base = base};
    if (e->item)
        mf_encoder_check_limit(L, e);
    return f;
}

/* True when the object on the top was written before: then REF is written and the object popped. Else it now has a
 * number. */
static bool put_ref(lua_State *L, struct mf_encoder *e, struct mf_ptrslot **slot)
{
    bool fresh;
    *slot = mf_ptrmap_put(&e->objects, lua_topointer(L, -1), e->object_count, &fresh);
    if (!*slot || e->object_count >= MF_MAX_IDS)
        too_many(L);
    if (fresh) {
        e->object_count++;
        return false;
    }
    uint32_t number = (*slot)->number;
    if (number & MF_OPEN_MARK)
        mf_encoder_refuse(L, e, "a value whose __save returns something that holds the value itself", "");
    if (number & MF_ENV_MARK) {
        put_tagged(L, e, MF_TAG_ENV, number & MF_MAX_IDS);
    } else {
        put_tagged(L, e, MF_TAG_REF, number);
        e->flags |= MF_CODEC_REFS;
    }
    lua_pop(L, 1);
    return true;
}

/* Looks the value at idx up among the names; writes NAMED when it is there. */
static bool find_name(lua_State *L, struct mf_encoder *e, int idx, struct mf_name_part *parts, int *count)
{
    if (!e->named_ready) {
        mf_names_refresh(L, SLOT_NAMES);
        e->named_ready = true;
    }
    *count = mf_names_find(L, SLOT_NAMES, idx, parts);
    return *count > 0;
}

static bool put_named(lua_State *L, struct mf_encoder *e)
{
    struct mf_name_part parts[MF_NAMES_FIELDS + 1];
    int count;
    if (!find_name(L, e, -1, parts, &count))
        return false;
    mf_encoder_byte(L, e, MF_TAG_NAMED);
    mf_encoder_byte(L, e, (unsigned)count - 1);
    for (int i = 0; i < count; i++)
        mf_encoder_text(L, e, parts[i].text, parts[i].len);
    lua_pop(L, 1);
    return true;
}

/* ---- __save ---- */

static void anchor(lua_State *L, struct mf_encoder *e, int idx)
{
    lua_pushvalue(L, idx);
    if (lua_getiuservalue(L, SLOT_ENCODER, KEEP_ANCHORS) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 4, 0);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, SLOT_ENCODER, KEEP_ANCHORS);
    }
    lua_insert(L, -2);
    lua_rawseti(L, -2, ++e->anchors);
    lua_pop(L, 1);
}

static bool get_method(lua_State *L, int metatable, int which)
{
    lua_getiuservalue(L, SLOT_ENCODER, which);
    return lua_rawget(L, metatable) == LUA_TFUNCTION;
}

static void set_collector(lua_State *L, struct mf_encoder *e, bool on)
{
    if (!on) {
        e->restart = lua_gc(L, LUA_GCISRUNNING) != 0;
        lua_gc(L, LUA_GCSTOP);
    } else if (e->restart) {
        lua_gc(L, LUA_GCRESTART);
    }
    e->saving = !on;
}

/* Stack: object, __save. Leaves: object, what __save returned. */
static void call_save(lua_State *L, struct mf_encoder *e)
{
    int object = lua_gettop(L) - 1;
    lua_pushvalue(L, object);
    set_collector(L, e, false);
    int status = lua_pcall(L, 1, 2, 0);
    set_collector(L, e, true);
    if (status != LUA_OK || (lua_isnil(L, -2) && !lua_isnil(L, -1)))
        mf_encoder_refuse_value(L, e, object, lua_pushfstring(L, ": %s", luaL_tolstring(L, -1, NULL)));
    lua_pop(L, 1);
    anchor(L, e, -1);
}

/* Writes the object on the top through __save; false, with the stack as it was, when it has none. */
static bool put_user(lua_State *L, struct mf_encoder *e, struct mf_ptrslot *slot)
{
    struct mf_name_part parts[MF_NAMES_FIELDS + 1];
    int count, object = lua_gettop(L);
    if (!lua_checkstack(L, 12))
        mf_encoder_refuse(L, e, "a value nested so deep that the Lua stack is full", "");
    if (!lua_getmetatable(L, object))
        return false;
    if (!get_method(L, object + 1, KEEP_SAVE)) {
        lua_settop(L, object);
        return false;
    }
    slot->number |= MF_OPEN_MARK;
    if (!get_method(L, object + 1, KEEP_LOAD))
        mf_encoder_refuse_value(L, e, object, ": its metatable has __save but no function __load");
    if (!find_name(L, e, object + 1, parts, &count))
        lua_copy(L, -1, object + 1);
    lua_pop(L, 1);
    lua_pushvalue(L, object);
    lua_insert(L, -2);
    call_save(L, e);
    lua_remove(L, -2);
    mf_encoder_byte(L, e, MF_TAG_USER);
    push_frame(L, e, FRAME_USER, USER_LOADER, object);
    return true;
}

/* ---- containers: each leaves a frame (true), or is complete and popped (false) ---- */

static bool put_table(lua_State *L, struct mf_encoder *e)
{
    struct mf_ptrslot *slot;
    const void *p = lua_topointer(L, -1);
    bool environment = p == e->globals || p == e->globals2;
    if (environment) {
        put_tagged(L, e, MF_TAG_ENV, 0);
        lua_pop(L, 1);
    }
    if (environment || put_ref(L, e, &slot)) {
        if (e->depth == 0 || e->frames[e->depth - 1].kind != FRAME_FUNC)
            e->flags &= ~(unsigned)MF_CODEC_CLOSED; /* an environment may be passed on as a value */
        return false;
    }
    if (put_named(L, e))
        return false;
    e->flags &= ~(unsigned)MF_CODEC_CLOSED;
    bool has_meta = lua_getmetatable(L, -1);
    if (has_meta) {
        lua_pop(L, 1);
        if (put_user(L, e, slot))
            return true;
    }
    struct mf_frame *f = push_frame(L, e, FRAME_TABLE, TABLE_ARRAY, lua_gettop(L));
    f->has_meta = has_meta;
    f->last = lua_rawlen(L, -1);
    f->skip = 1;
    if (f->last > 0 && f->last <= mf_engine_array(L, -1).count)
        f->phase = TABLE_DIRECT;
    put_tagged(L, e, MF_TAG_TABLE, f->last);
    f->hint = e->out->len;
    mf_encoder_byte(L, e, 0);
    lua_pushnil(L);
    return true;
}

static bool put_function(lua_State *L, struct mf_encoder *e)
{
    struct mf_ptrslot *slot;
    if (put_ref(L, e, &slot) || put_named(L, e))
        return false;
    if (lua_iscfunction(L, -1))
        mf_encoder_refuse(L, e, "a C function that no loaded module owns", "");
    int f = lua_gettop(L);
    push_frame(L, e, FRAME_FUNC, FUNC_UPVALUES, f);
    *room(L, e, 6) = MF_TAG_FUNC;
    size_t offset = e->out->len += 6;
    if (!mf_engine_dump(L, f, e->out))
        luaL_error(L, "not enough memory to encode the function");
    size_t len = e->out->len - offset;
    if (len > UINT32_MAX)
        mf_encoder_refuse(L, e, "a function with more than 4 GB of bytecode", "");
    unsigned upvalues = e->out->data[offset];
    e->out->data[offset - 5] = (unsigned char)upvalues;
    write_le(e->out->data + offset - 4, len, 4);
    e->frames[e->depth - 1].last = upvalues;
    mf_encoder_scan(L, e, f, offset, len, (int)upvalues);
    return true;
}

static bool put_userdata(lua_State *L, struct mf_encoder *e)
{
    struct mf_ptrslot *slot;
    if (put_ref(L, e, &slot) || put_named(L, e))
        return false;
    e->flags &= ~(unsigned)MF_CODEC_CLOSED;
    if (!put_user(L, e, slot))
        mf_encoder_refuse_value(L, e, -1, "");
    return true;
}

/* Writes the value on the top and pops it (false), or leaves a frame for it (true). */
static bool put_value(lua_State *L, struct mf_encoder *e)
{
    int type = lua_type(L, -1);
    if (!put_scalar(L, e, type)) {
        switch (type) {
        case LUA_TSTRING:
            put_string(L, e, -1, false);
            break;
        case LUA_TTABLE:
            return put_table(L, e);
        case LUA_TFUNCTION:
            return put_function(L, e);
        case LUA_TUSERDATA:
            return put_userdata(L, e);
        default:
            mf_encoder_refuse_value(L, e, -1, "");
        }
    }
    lua_pop(L, 1);
    return false;
}

/* ---- steps: each goes on with a frame; true when the frame is complete, false when a child was pushed ---- */

/* Stack: table, key, value. */
static bool put_pair(lua_State *L, struct mf_encoder *e, struct mf_frame *f)
{
    f->pairs++;
    f->phase = TABLE_PAIRS;
    if (lua_type(L, -2) == LUA_TSTRING) {
        put_string(L, e, -2, true);
        return put_value(L, e);
    }
    f->phase = TABLE_VALUE;
    lua_pushvalue(L, -2);
    if (put_value(L, e))
        return true;
    f->phase = TABLE_PAIRS;
    return put_value(L, e);
}

static void put_numbers(lua_State *L, struct mf_encoder *e, const uint64_t *bits, size_t n, bool floats)
{
    unsigned char *to = room(L, e, 9 * n);
    unsigned char *const start = to;
    for (size_t i = 0; i < n; i++) {
        if (floats) {
            to[0] = MF_TAG_FLOAT;
            write_le(to + 1, bits[i], 8);
            to += 9;
        } else {
            to += write_integer(to, (lua_Integer)bits[i]);
        }
    }
    e->out->len += (size_t)(to - start);
}

/* The array part as the engine keeps it: numbers in bulk, other values one by one. Stack: table, key. */
static bool step_direct(lua_State *L, struct mf_encoder *e, struct mf_frame *f)
{
    uint64_t bits[NUMBERS];
    bool floats;
    struct mf_engine_array a = mf_engine_array(L, f->base);
    while (f->at < f->last) {
        if (a.count < f->last) { /* a __save has changed the table */
            f->phase = TABLE_FILL;
            return false;
        }
        size_t max = f->last - f->at < NUMBERS ? f->last - f->at : NUMBERS;
        size_t n = mf_engine_numbers(&a, f->at, max, bits, &floats);
        f->at += n;
        if (n > 0) {
            put_numbers(L, e, bits, n, floats);
            continue;
        }
        lua_rawgeti(L, f->base, (lua_Integer)++f->at);
        if (put_value(L, e))
            return true;
    }
    f->skip = f->last + 1;
    f->phase = TABLE_PAIRS;
    lua_pop(L, 1);
    lua_pushinteger(L, (lua_Integer)f->last);
    return false;
}

/* The value at the next index, or a key out of turn. Stack: table, key. True: a child was pushed. */
static bool step_array(lua_State *L, struct mf_encoder *e, struct mf_frame *f)
{
    while (f->at < f->last) {
        if (!lua_next(L, f->base)) {
            lua_pushnil(L);
            f->phase = TABLE_FILL;
            break;
        }
        if (!lua_isinteger(L, -2) || (lua_Unsigned)lua_tointeger(L, -2) != f->at + 1) {
            lua_pop(L, 1);
            f->phase = TABLE_FILL;
            break;
        }
        f->at++;
        if (lua_isinteger(L, -1)) {
            put_integer(L, e, lua_tointeger(L, -1));
            lua_pop(L, 1);
        } else if (put_value(L, e)) {
            return true;
        }
    }
    f->skip = f->at + 1;
    if (f->phase == TABLE_ARRAY)
        f->phase = TABLE_PAIRS;
    return false;
}

static bool step_fill(lua_State *L, struct mf_encoder *e, struct mf_frame *f)
{
    while (f->at < f->last) {
        lua_rawgeti(L, f->base, (lua_Integer)++f->at);
        if (put_value(L, e))
            return true;
    }
    f->phase = TABLE_RESUME;
    return false;
}

static bool is_written(lua_State *L, const struct mf_frame *f, int key)
{
    if (f->skip > f->last || !lua_isinteger(L, key))
        return false;
    lua_Unsigned k = (lua_Unsigned)lua_tointeger(L, key);
    return k - f->skip < f->last + 1 - f->skip;
}

/* The key at which the array's order broke was not written yet, unless it is an index. */
static bool step_resume(lua_State *L, struct mf_encoder *e, struct mf_frame *f)
{
    f->phase = TABLE_PAIRS;
    if (lua_isnil(L, -1) || is_written(L, f, -1))
        return false;
    lua_pushvalue(L, -1);
    lua_rawget(L, f->base);
    return put_pair(L, e, f);
}

static bool step_pairs(lua_State *L, struct mf_encoder *e, struct mf_frame *f)
{
    while (lua_next(L, f->base)) {
        if (is_written(L, f, -2))
            lua_pop(L, 1);
        else if (put_pair(L, e, f))
            return true;
    }
    f->phase = TABLE_META;
    unsigned hint = 0;
    if (f->pairs)
        for (hint = 1; ((size_t)1 << (hint - 1)) < f->pairs; hint++)
            ;
    e->out->data[f->hint] = (unsigned char)hint;
    if (!f->has_meta || !lua_getmetatable(L, f->base))
        return false;
    mf_encoder_byte(L, e, MF_TAG_META);
    return put_value(L, e);
}

static bool step_table(lua_State *L, struct mf_encoder *e, struct mf_frame *f)
{
    if (f->phase == TABLE_VALUE) {
        f->phase = TABLE_PAIRS;
        if (put_value(L, e))
            return false;
    }
    if (f->phase == TABLE_DIRECT && step_direct(L, e, f))
        return false;
    if (f->phase == TABLE_ARRAY && step_array(L, e, f))
        return false;
    if (f->phase == TABLE_FILL && step_fill(L, e, f))
        return false;
    if (f->phase == TABLE_RESUME && step_resume(L, e, f))
        return false;
    if (f->phase == TABLE_PAIRS && step_pairs(L, e, f))
        return false;
    mf_encoder_byte(L, e, MF_TAG_END);
    return true;
}

static bool step_function(lua_State *L, struct mf_encoder *e, struct mf_frame *f)
{
    while (f->at < f->last) {
        bool fresh;
        int i = (int)++f->at;
        struct mf_ptrslot *slot = mf_ptrmap_put(&e->objects, lua_upvalueid(L, f->base, i), e->cell_count, &fresh);
        if (!slot || e->cell_count >= MF_MAX_IDS)
            too_many(L);
        if (!fresh) {
            put_tagged(L, e, MF_TAG_UPREF, slot->number);
            continue;
        }
        e->cell_count++;
        mf_encoder_byte(L, e, MF_TAG_UPVAL);
        lua_getupvalue(L, f->base, i);
        if (put_value(L, e))
            return false;
    }
    return true;
}

static bool step_user(lua_State *L, struct mf_encoder *e, struct mf_frame *f)
{
    while (f->phase < USER_DONE) {
        lua_pushvalue(L, f->base + (f->phase == USER_LOADER ? 1 : 2));
        f->phase++;
        if (put_value(L, e))
            return false;
    }
    mf_ptrmap_get(&e->objects, lua_topointer(L, f->base))->number &= ~MF_OPEN_MARK;
    return true;
}

static bool step(lua_State *L, struct mf_encoder *e, struct mf_frame *f)
{
    switch (f->kind) {
    case FRAME_TABLE:
        return step_table(L, e, f);
    case FRAME_FUNC:
        return step_function(L, e, f);
    default:
        return step_user(L, e, f);
    }
}

void mf_encoder_value(lua_State *L, struct mf_encoder *e)
{
    if (!put_value(L, e))
        return;
    while (e->depth > 0) {
        struct mf_frame *f = &e->frames[e->depth - 1];
        if (step(L, e, f)) {
            lua_settop(L, f->base - 1);
            e->depth--;
        }
    }
}

/* ---- a message ---- */

static int encoder_gc(lua_State *L)
{
    struct mf_encoder *e = lua_touserdata(L, 1);
    mf_ptrmap_release(&e->strings);
    mf_ptrmap_release(&e->objects);
    mf_encoder_globals_release(e);
    free(e->frames);
    e->frames = NULL;
    return 0;
}

static struct mf_encoder *new_encoder(lua_State *L)
{
    struct mf_encoder *e = lua_newuserdatauv(L, sizeof *e, KEEP_COUNT);
    memset(e, 0, sizeof *e);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, encoder_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    e->names = mf_names_push(L);
    lua_setiuservalue(L, -2, KEEP_NAMES);
    lua_pushliteral(L, "__save");
    lua_setiuservalue(L, -2, KEEP_SAVE);
    lua_pushliteral(L, "__load");
    lua_setiuservalue(L, -2, KEEP_LOAD);
    return e;
}

/* One idle encoder waits in the registry. Whoever takes it leaves the place empty; so an encoder whose caller failed
 * half way is simply collected. */
static struct mf_encoder *take_encoder(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key) != LUA_TUSERDATA) {
        lua_pop(L, 1);
        return new_encoder(L);
    }
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
    return lua_touserdata(L, -1);
}

static void drop_anchors(lua_State *L, struct mf_encoder *e)
{
    if (e->anchors > KEEP_ANCHORED) {
        lua_pushnil(L);
        lua_setiuservalue(L, e->self, KEEP_ANCHORS);
    } else if (e->anchors > 0) {
        lua_getiuservalue(L, e->self, KEEP_ANCHORS);
        for (; e->anchors > 0; e->anchors--) {
            lua_pushnil(L);
            lua_rawseti(L, -2, e->anchors);
        }
        lua_pop(L, 1);
    }
    if (e->queue_tail > 0) {
        lua_pushnil(L);
        lua_setiuservalue(L, e->self, KEEP_QUEUE);
    }
}

static void give_back(lua_State *L, struct mf_encoder *e)
{
    drop_anchors(L, e);
    mf_ptrmap_clear(&e->strings);
    mf_ptrmap_clear(&e->objects);
    mf_encoder_globals_clear(e);
    if (e->frames_cap > KEEP_FRAMES) {
        free(e->frames);
        e->frames = NULL;
        e->frames_cap = 0;
    }
    e->out = NULL;
    lua_pushvalue(L, e->self);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
}

/* Indices that count from the top mean the caller's top, below the encoder. */
static int absolute(int idx, int self)
{
    return idx < 0 && idx > LUA_REGISTRYINDEX ? self + idx : idx;
}

static void set_options(lua_State *L, struct mf_encoder *e, const struct mf_encode_options *options)
{
    static const struct mf_encode_options defaults;
    const struct mf_encode_options *o = options ? options : &defaults;
    e->opt_globals = absolute(o->globals, e->self);
    e->opt_skip = absolute(o->skip, e->self);
    e->globals = mf_names_globals(e->names);
    e->globals2 = o->env ? lua_topointer(L, absolute(o->env, e->self)) : e->globals;
    e->no_scan = o->no_scan;
    e->limit = o->globals_max ? o->globals_max : MF_CODEC_GLOBALS_MAX;
}

struct mf_encoder *mf_encode_begin(lua_State *L, struct mf_buf *out, const struct mf_encode_options *options)
{
    luaL_checkstack(L, 12, NULL);
    int self = lua_gettop(L) + 1;
    if (!mf_buf_reserve(out, 64))
        luaL_error(L, "not enough memory to encode the value");
    struct mf_encoder *e = take_encoder(L);
    e->self = self;
    set_options(L, e, options);
    e->out = out;
    e->start = out->len;
    e->depth = 0;
    e->string_count = e->object_count = e->cell_count = e->env_count = 0;
    e->flags = MF_CODEC_CLOSED;
    e->named_ready = e->saving = e->overridden = e->have_main = false;
    e->anchors = e->queue_head = e->queue_tail = 0;
    e->main_env = 0;
    e->used = e->item = 0;
    e->global = NULL;
    mf_encoder_byte(L, e, 0);
    return e;
}

/* Everything else that may raise runs in here; see encoder.h for the stack. */
static int encode_protected(lua_State *L)
{
    struct mf_encoder *e = lua_touserdata(L, SLOT_ENCODER);
    lua_getiuservalue(L, SLOT_ENCODER, KEEP_NAMES);
    lua_replace(L, SLOT_NAMES);
    int type = lua_type(L, SLOT_VALUE);
    if (type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TUSERDATA)
        anchor(L, e, SLOT_VALUE);
    lua_pushvalue(L, SLOT_VALUE);
    mf_encoder_value(L, e);
    mf_encoder_globals(L, e);
    return 0;
}

static void push_option(lua_State *L, int idx)
{
    if (idx)
        lua_pushvalue(L, idx);
    else
        lua_pushnil(L);
}

static void put_protected(lua_State *L, struct mf_encoder *e, int idx)
{
    lua_pushcfunction(L, encode_protected);
    lua_pushvalue(L, e->self);
    push_option(L, e->opt_globals);
    push_option(L, e->opt_skip);
    lua_pushnil(L);
    lua_pushvalue(L, idx);
    if (lua_pcall(L, SLOT_VALUE, 0, 0) == LUA_OK)
        return;
    if (e->saving)
        set_collector(L, e, true);
    e->out->len = e->start;
    give_back(L, e);
    lua_error(L);
}

void mf_encode_value(lua_State *L, struct mf_encoder *e, int idx, const char *what, lua_Integer number)
{
    luaL_checkstack(L, SLOT_VALUE + 4, NULL);
    idx = lua_absindex(L, idx);
    int type = lua_type(L, idx);
    e->what = what;
    e->number = number;
    if (type <= LUA_TBOOLEAN || type == LUA_TNUMBER) {
        if (mf_buf_reserve(e->out, 16)) {
            lua_pushvalue(L, idx);
            put_scalar(L, e, type);
            lua_pop(L, 1);
            return;
        }
    }
    put_protected(L, e, idx);
}

unsigned mf_encode_end(lua_State *L, struct mf_encoder *e)
{
    unsigned flags = e->flags;
    e->out->data[e->start] = (unsigned char)flags;
    luaL_checkstack(L, 4, NULL);
    give_back(L, e);
    return flags;
}
