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
#include "live.h"

#define NUMBERS      64 /* fetched at once */
#define FRAMES_AHEAD 8  /* for which stack space is claimed at once */

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
        mf_encoder_too_many(L);
    if (fresh) {
        e->object_count++;
        return false;
    }
    uint32_t number = (*slot)->number;
    if (number & MF_OPEN_MARK)
        mf_encoder_refuse(L, e, "a value whose __save returns something that holds the value itself", "");
    if (number & MF_ENV_MARK) {
        mf_encoder_tagged(L, e, MF_TAG_ENV, number & MF_MAX_IDS);
    } else {
        mf_encoder_tagged(L, e, MF_TAG_REF, number);
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
    if (!mf_names_is_standard(parts, count) || (lua_isfunction(L, -1) && !lua_iscfunction(L, -1)))
        mf_encode_modules(e);
    mf_encoder_byte(L, e, MF_TAG_NAMED);
    mf_encoder_byte(L, e, (unsigned)count - 1);
    for (int i = 0; i < count; i++)
        mf_encoder_text(L, e, parts[i].text, parts[i].len);
    lua_pop(L, 1);
    return true;
}

/* ---- __save ---- */

static bool get_method(lua_State *L, int metatable, int which)
{
    lua_getiuservalue(L, SLOT_ENCODER, which);
    return lua_rawget(L, metatable) == LUA_TFUNCTION;
}

/* Stack: object, __save. Leaves: object, what __save returned. */
static void call_save(lua_State *L, struct mf_encoder *e)
{
    int object = lua_gettop(L) - 1;
    lua_pushvalue(L, object);
    mf_encoder_collector(L, e, false);
    int status = lua_pcall(L, 1, 2, 0);
    mf_encoder_collector(L, e, true);
    if (status != LUA_OK || (lua_isnil(L, -2) && !lua_isnil(L, -1)))
        mf_encoder_refuse_value(L, e, object, lua_pushfstring(L, ": %s", luaL_tolstring(L, -1, NULL)));
    lua_pop(L, 1);
    mf_encoder_anchor(L, e, -1);
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
        mf_encoder_tagged(L, e, MF_TAG_ENV, 0);
        lua_pop(L, 1);
    }
    if (environment || put_ref(L, e, &slot)) {
        if (e->depth == 0 || e->frames[e->depth - 1].kind != FRAME_FUNC) { /* an environment passed on as a value */
            e->flags &= ~(unsigned)MF_CODEC_CLOSED;
            if (environment)
                mf_encode_modules(e);
        }
        return false;
    }
    if (put_named(L, e) || mf_encoder_live_table(L, e))
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
    mf_encoder_tagged(L, e, MF_TAG_TABLE, f->last);
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
    if (lua_iscfunction(L, -1) && mf_encoder_live_other(L, e))
        return false;
    if (lua_iscfunction(L, -1))
        mf_encoder_refuse(L, e, "a C function that no loaded module owns", "");
    int f = lua_gettop(L);
    push_frame(L, e, FRAME_FUNC, FUNC_UPVALUES, f);
    *mf_encoder_room(L, e, 6) = MF_TAG_FUNC;
    size_t offset = e->out->len += 6;
    if (!mf_engine_dump(L, f, e->out))
        luaL_error(L, "not enough memory to encode the function");
    size_t len = e->out->len - offset;
    if (len > UINT32_MAX)
        mf_encoder_refuse(L, e, "a function with more than 4 GB of bytecode", "");
    unsigned upvalues = e->out->data[offset];
    e->out->data[offset - 5] = (unsigned char)upvalues;
    mf_encoder_write_le(e->out->data + offset - 4, len, 4);
    e->frames[e->depth - 1].last = upvalues;
    mf_encoder_scan(L, e, f, offset, len, (int)upvalues);
    return true;
}

/* Does a fork inherit the user value on the top rather than get a copy? What has no __save cannot be copied; a type may
 * say in its metatable that inheriting is the better way (__inherit). */
static bool inherits(lua_State *L)
{
    bool saves = luaL_getmetafield(L, -1, "__save") != LUA_TNIL;
    if (saves)
        lua_pop(L, 1);
    bool wanted = saves && luaL_getmetafield(L, -1, "__inherit") != LUA_TNIL;
    if (wanted)
        lua_pop(L, 1);
    return !saves || wanted;
}

static bool put_userdata(lua_State *L, struct mf_encoder *e)
{
    struct mf_ptrslot *slot;
    if (put_ref(L, e, &slot) || put_named(L, e))
        return false;
    e->flags &= ~(unsigned)MF_CODEC_CLOSED;
    if (mf_encoder_array(L, e) || mf_encoder_share(L, e))
        return false;
    if (inherits(L) && mf_encoder_live_other(L, e))
        return false;
    if (!put_user(L, e, slot))
        mf_encoder_refuse_value(L, e, -1, "");
    return true;
}

/* A long string that a fork inherits counts as an object. */
static bool put_long_string(lua_State *L, struct mf_encoder *e)
{
    struct mf_ptrslot *slot;
    if (!e->opt_live || lua_rawlen(L, -1) < MF_LIVE_BYTES)
        return false;
    return put_ref(L, e, &slot) || mf_encoder_live_string(L, e);
}

/* Writes the value on the top and pops it (false), or leaves a frame for it (true). */
static bool put_value(lua_State *L, struct mf_encoder *e)
{
    int type = lua_type(L, -1);
    if (!mf_encoder_scalar(L, e, type)) {
        switch (type) {
        case LUA_TSTRING:
            if (put_long_string(L, e))
                return false;
            mf_encoder_string(L, e, -1, false);
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
        mf_encoder_string(L, e, -2, true);
        return put_value(L, e);
    }
    f->phase = TABLE_VALUE;
    lua_pushvalue(L, -2);
    if (put_value(L, e))
        return true;
    f->phase = TABLE_PAIRS;
    return put_value(L, e);
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
            mf_encoder_numbers(L, e, bits, n, floats);
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
        if (put_value(L, e))
            return true;
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
            mf_encoder_too_many(L);
        if (!fresh) {
            mf_encoder_tagged(L, e, MF_TAG_UPREF, slot->number);
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
