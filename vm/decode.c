/* Bytes to Lua values: the mirror of encode.c, frame for frame. Every value ends on the top of the Lua stack, from
 * where the frame below takes it.
 *
 * Nothing is believed. Each length is compared with the bytes that are left, each number with what was handed
 * out; a table's size hints are paid from a budget of one slot for each byte of the message, so that memory stays
 * proportional to it whatever nested headers claim. Three memo tables (strings, objects, functions that own
 * upvalue cells) and the environments lie in four stack slots while a value is read, and in the decoder's user values
 * between top-level values; they are made when first needed. */
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "codec_tags.h"
#include "engine.h"
#include "names.h"

#define MAX_PRESIZE 65536
#define FRAMES_AHEAD 8 /* for which stack space is claimed at once */
#define KEEP_BYTES ((size_t)4096) /* of frames, and of cells */

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
    bool trust, used; /* used: memo tables were stored in the user values */
    int self, env;    /* stack indices of the caller */
    int memo;         /* stack index of the first memo slot */
};

static const char registry_key;

/* ---- bytes ---- */

static _Noreturn void malformed(lua_State *L, const struct mf_decoder *d, const char *what)
{
    luaL_error(L, "malformed message: %s at byte %d", what, (int)(d->p - d->start));
    abort(); /* luaL_error does not return */
}

static inline size_t left(const struct mf_decoder *d)
{
    return (size_t)(d->end - d->p);
}

static inline const unsigned char *take(lua_State *L, struct mf_decoder *d, size_t n)
{
    const unsigned char *from = d->p;
    if (n > left(d))
        malformed(L, d, "the end came too early");
    d->p += n;
    return from;
}

static inline unsigned take_byte(lua_State *L, struct mf_decoder *d)
{
    return *take(L, d, 1);
}

static uint64_t take_varint(lua_State *L, struct mf_decoder *d)
{
    uint64_t n = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned b = take_byte(L, d);
        if (shift == 63 && b > 1)
            break;
        n |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return n;
    }
    malformed(L, d, "a number is too large");
}

static inline uint64_t take_le(lua_State *L, struct mf_decoder *d, size_t bytes)
{
    const unsigned char *from = take(L, d, bytes);
    uint64_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        n |= (uint64_t)from[i] << (8 * i);
    return n;
}

static const char *take_text(lua_State *L, struct mf_decoder *d, size_t *len)
{
    uint64_t n = take_varint(L, d);
    if (n > left(d))
        malformed(L, d, "a length passes the end");
    *len = (size_t)n;
    return (const char *)take(L, d, *len);
}

static void push_text(lua_State *L, struct mf_decoder *d)
{
    size_t len;
    const char *text = take_text(L, d, &len);
    lua_pushlstring(L, text, len);
}

/* ---- memo ---- */

static void memo_make(lua_State *L, struct mf_decoder *d, int which)
{
    if (lua_istable(L, d->memo + which))
        return;
    lua_createtable(L, 4, 0);
    lua_replace(L, d->memo + which);
}

static void keep_string(lua_State *L, struct mf_decoder *d)
{
    memo_make(L, d, MEMO_STRINGS);
    lua_pushvalue(L, -1);
    lua_rawseti(L, d->memo + MEMO_STRINGS, ++d->strings);
}

/* Gives the value on the top the next object number. */
static void keep_object(lua_State *L, struct mf_decoder *d)
{
    d->objects++;
    if (d->flags & MF_CODEC_REFS) {
        memo_make(L, d, MEMO_OBJECTS);
        lua_pushvalue(L, -1);
        lua_rawseti(L, d->memo + MEMO_OBJECTS, d->objects);
    }
}

static void push_string_ref(lua_State *L, struct mf_decoder *d)
{
    uint64_t n = take_varint(L, d);
    if (n >= (uint64_t)d->strings)
        malformed(L, d, "a reference to a string that was not there");
    lua_rawgeti(L, d->memo + MEMO_STRINGS, (lua_Integer)n + 1);
}

static void push_object_ref(lua_State *L, struct mf_decoder *d)
{
    uint64_t n = take_varint(L, d);
    if (n >= (uint64_t)d->objects || !(d->flags & MF_CODEC_REFS))
        malformed(L, d, "a reference to an object that was not there");
    if (lua_rawgeti(L, d->memo + MEMO_OBJECTS, (lua_Integer)n + 1) == LUA_TBOOLEAN)
        malformed(L, d, "a reference to an unfinished object");
}

/* ---- environments ---- */

static void push_base(lua_State *L)
{
    mf_names_push(L);
    lua_getiuservalue(L, -1, MF_NAMES_BASE);
    lua_remove(L, -2);
}

/* Stack: a fresh table. Gives it a metatable through which the base globals show. */
static void inherit_base(lua_State *L, bool write_through)
{
    lua_createtable(L, 0, 2);
    push_base(L);
    lua_pushliteral(L, "__index");
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
    if (write_through) {
        lua_pushliteral(L, "__newindex");
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    lua_pop(L, 1);
    lua_setmetatable(L, -2);
}

static void push_env(lua_State *L, struct mf_decoder *d, uint64_t n)
{
    if (n == 0 && d->env) {
        lua_pushvalue(L, d->env);
        return;
    }
    if (n == 0 && !(d->flags & MF_CODEC_GLOBALS)) {
        push_base(L);
        return;
    }
    if (n > INT32_MAX)
        malformed(L, d, "an environment's number is too large");
    memo_make(L, d, MEMO_ENVS);
    if (lua_rawgeti(L, d->memo + MEMO_ENVS, (lua_Integer)n + 1) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    inherit_base(L, n == 0);
    lua_pushvalue(L, -1);
    lua_rawseti(L, d->memo + MEMO_ENVS, (lua_Integer)n + 1);
}

/* STD: the receiver's own value, bound directly. The environment's own name for itself is the environment. */
static void bind_std(lua_State *L, int env, int name)
{
    push_base(L);
    if (!lua_rawequal(L, -1, env)) {
        lua_pushvalue(L, name);
        lua_pushvalue(L, name);
        lua_rawget(L, -3);
        if (lua_rawequal(L, -1, -3))
            lua_copy(L, env, -1);
        lua_rawset(L, env);
    }
    lua_pop(L, 1);
}

/* ---- names ---- */

static void require_module(lua_State *L, struct mf_decoder *d, int module)
{
    mf_names_push(L);
    lua_getiuservalue(L, -1, MF_NAMES_LOADED);
    lua_pushvalue(L, module);
    lua_rawget(L, -2);
    if (lua_isnil(L, -1) && d->trust) {
        lua_getiuservalue(L, -3, MF_NAMES_BASE);
        lua_pushliteral(L, "require");
        lua_rawget(L, -2);
        lua_pushvalue(L, module);
        if (lua_pcall(L, 1, 1, 0) != LUA_OK)
            luaL_error(L, "a value that module '%s' owns was sent by name, but the module cannot be loaded here: %s",
                       lua_tostring(L, module), luaL_tolstring(L, -1, NULL));
    }
    lua_replace(L, module + 1);
    lua_settop(L, module + 1);
    if (lua_isnil(L, -1))
        luaL_error(L, "a value that module '%s' owns was sent by name, but the module is not loaded here",
                   lua_tostring(L, module));
}

static void push_named(lua_State *L, struct mf_decoder *d)
{
    unsigned fields = take_byte(L, d);
    if (fields > MF_CODEC_MAX_FIELDS)
        malformed(L, d, "too many fields in a name");
    int module = lua_gettop(L) + 1;
    luaL_checkstack(L, 12, NULL);
    push_text(L, d);
    lua_pushnil(L);
    require_module(L, d, module);
    while (fields-- > 0) {
        push_text(L, d);
        lua_pushvalue(L, -1);
        if (lua_istable(L, -3))
            lua_rawget(L, -3);
        if (!lua_istable(L, -3) || lua_isnil(L, -1))
            luaL_error(L, "module '%s' has no field '%s' here, which a value was sent by", lua_tostring(L, module),
                       lua_tostring(L, module + 2));
        lua_replace(L, module + 1);
        lua_settop(L, module + 1);
    }
    lua_remove(L, module);
    if (!d->trust && !lua_istable(L, -1))
        malformed(L, d, "a function by name from a peer that is not trusted");
    keep_object(L, d);
}

/* ---- containers ---- */

static void push_frame(lua_State *L, struct mf_decoder *d, enum frame_kind kind, enum frame_phase phase, int base,
                       uint64_t count)
{
    if (d->depth >= MF_CODEC_DEPTH)
        malformed(L, d, "values are nested too deep");
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
    if (n > left(d))
        n = left(d);
    if (n > d->budget)
        n = d->budget;
    d->budget -= n;
    return (int)n;
}

static void begin_table(lua_State *L, struct mf_decoder *d)
{
    uint64_t items = take_varint(L, d);
    unsigned hint = take_byte(L, d);
    if (items > left(d) || hint > 63)
        malformed(L, d, "a table's size passes the end");
    push_frame(L, d, FRAME_TABLE, items ? TABLE_ITEMS : TABLE_KEY, lua_gettop(L) + 1, items);
    int array = presize(d, items);
    lua_createtable(L, array, presize(d, hint ? UINT64_C(1) << (hint - 1) : 0));
    keep_object(L, d);
}

static void begin_function(lua_State *L, struct mf_decoder *d)
{
    if (!d->trust)
        malformed(L, d, "a function from a peer that is not trusted");
    unsigned upvalues = take_byte(L, d);
    size_t size = (size_t)take_le(L, d, 4);
    const unsigned char *code = take(L, d, size);
    push_frame(L, d, FRAME_FUNC, FUNC_UPVALUES, lua_gettop(L) + 1, upvalues);
    mf_engine_load(L, code, size, (int)upvalues);
    keep_object(L, d);
}

/* The number of a user value is taken before there is a value; false stands for it meanwhile. */
static void begin_user(lua_State *L, struct mf_decoder *d)
{
    push_frame(L, d, FRAME_USER, USER_LOADER, lua_gettop(L) + 1, (uint64_t)d->objects + 1);
    lua_pushboolean(L, 0);
    keep_object(L, d);
    lua_pop(L, 1);
}

/* ---- values ---- */

static void push_float(lua_State *L, struct mf_decoder *d)
{
    uint64_t bits = take_le(L, d, 8);
    double v;
    memcpy(&v, &bits, 8);
    lua_pushnumber(L, v);
}

/* Reads one value: it is on the top (true), or a frame was pushed for it (false). */
static bool read_value(lua_State *L, struct mf_decoder *d)
{
    unsigned tag = take_byte(L, d);
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
        lua_pushinteger(L, (int8_t)take_byte(L, d));
        return true;
    case MF_TAG_INT2:
        lua_pushinteger(L, (int16_t)take_le(L, d, 2));
        return true;
    case MF_TAG_INT4:
        lua_pushinteger(L, (int32_t)take_le(L, d, 4));
        return true;
    case MF_TAG_INT8:
        lua_pushinteger(L, (lua_Integer)take_le(L, d, 8));
        return true;
    case MF_TAG_FLOAT:
        push_float(L, d);
        return true;
    case MF_TAG_STR:
        push_text(L, d);
        return true;
    case MF_TAG_STRREF:
        push_string_ref(L, d);
        return true;
    case MF_TAG_STRKEEP:
        push_text(L, d);
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
        push_named(L, d);
        return true;
    case MF_TAG_USER:
        begin_user(L, d);
        return false;
    case MF_TAG_ENV:
        push_env(L, d, take_varint(L, d));
        return true;
    default:
        d->p--;
        malformed(L, d, "an unknown tag");
    }
}

static void check_key(lua_State *L, struct mf_decoder *d)
{
    if (lua_isnil(L, -1) || (lua_type(L, -1) == LUA_TNUMBER && isnan(lua_tonumber(L, -1))))
        malformed(L, d, "a table key that is nil or not a number");
}

static void set_metatable(lua_State *L, struct mf_decoder *d, int table)
{
    if (!lua_istable(L, -1))
        malformed(L, d, "a metatable that is no table");
    if (!d->trust) {
        lua_pushliteral(L, "__gc"); /* a finaliser is not the peer's to call on values of its making */
        if (lua_rawget(L, -2) != LUA_TNIL)
            malformed(L, d, "a metatable with a finaliser from a peer that is not trusted");
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

/* Array items that are numbers, as long as the longest of them is sure to fit in what is left. */
static void take_numbers(lua_State *L, struct mf_decoder *d, struct frame *f)
{
    while (f->at < f->count && left(d) >= 9) {
        unsigned tag = *d->p;
        if (tag >= MF_TAG_SMALL)
            d->p++, lua_pushinteger(L, (lua_Integer)(tag - MF_TAG_SMALL));
        else if (tag == MF_TAG_INT2)
            d->p++, lua_pushinteger(L, (int16_t)take_le(L, d, 2));
        else if (tag == MF_TAG_INT4)
            d->p++, lua_pushinteger(L, (int32_t)take_le(L, d, 4));
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
    unsigned tag = take_byte(L, d);
    if (tag == MF_TAG_END)
        return true;
    if (f->phase == TABLE_END)
        malformed(L, d, "something after a metatable");
    if (tag == MF_TAG_META)
        f->phase = TABLE_META;
    else
        d->p--;
    return false;
}

/* Pairs whose key is a string met before, which is how records come. */
static bool step_record(lua_State *L, struct mf_decoder *d, struct frame *f)
{
    while (left(d) > 0 && *d->p == MF_TAG_STRREF) {
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
    memo_make(L, d, MEMO_CELLS);
    lua_pushvalue(L, f->base);
    d->cell_index[d->cells++] = (unsigned char)f->at;
    lua_rawseti(L, d->memo + MEMO_CELLS, (lua_Integer)d->cells);
}

static void join_cell(lua_State *L, struct mf_decoder *d, const struct frame *f)
{
    uint64_t n = take_varint(L, d);
    if (n >= d->cells)
        malformed(L, d, "a reference to an upvalue that was not there");
    lua_rawgeti(L, d->memo + MEMO_CELLS, (lua_Integer)n + 1);
    lua_upvaluejoin(L, f->base, (int)f->at, -1, d->cell_index[n]);
    lua_pop(L, 1);
}

static bool step_function(lua_State *L, struct mf_decoder *d, struct frame *f)
{
    while (f->at < f->count) {
        unsigned tag = take_byte(L, d);
        f->at++;
        if (tag == MF_TAG_UPREF) {
            join_cell(L, d, f);
            continue;
        }
        if (tag != MF_TAG_UPVAL)
            malformed(L, d, "no upvalue where one must be");
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
        malformed(L, d, "no __load for a user value");
}

static bool step_user(lua_State *L, struct mf_decoder *d, struct frame *f)
{
    while (f->phase < USER_DONE) {
        if (f->phase == USER_LOADER && !d->trust && left(d) > 0 && *d->p != MF_TAG_NAMED && *d->p != MF_TAG_REF)
            malformed(L, d, "a user value without a named owner from a peer that is not trusted");
        if (!read_value(L, d))
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

static void decode_one(lua_State *L, struct mf_decoder *d)
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

static void decode_global(lua_State *L, struct mf_decoder *d)
{
    bool std = take_byte(L, d) == MF_TAG_STD;
    uint64_t n = take_varint(L, d);
    if (n == 0 && !d->env && !(d->flags & MF_CODEC_GLOBALS) && !std)
        malformed(L, d, "a global without leave");
    push_env(L, d, n);
    int env = lua_gettop(L);
    push_text(L, d);
    if (!std) {
        decode_one(L, d);
        lua_rawset(L, env);
    } else if (n > 0 || d->env) {
        bind_std(L, env, env + 1);
    }
    lua_settop(L, env - 1);
}

/* ---- a message ---- */

static void release(struct mf_decoder *d)
{
    free(d->frames);
    free(d->cell_index);
    d->frames = NULL;
    d->cell_index = NULL;
    d->frames_cap = d->cells_cap = 0;
}

static int decoder_gc(lua_State *L)
{
    release(lua_touserdata(L, 1));
    return 0;
}

/* One idle decoder waits in the registry, as in encode.c. */
static struct mf_decoder *take_decoder(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key) == LUA_TUSERDATA) {
        lua_pushnil(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
        return lua_touserdata(L, -1);
    }
    lua_pop(L, 1);
    struct mf_decoder *d = lua_newuserdatauv(L, sizeof *d, MEMO_COUNT);
    memset(d, 0, sizeof *d);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, decoder_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return d;
}

struct mf_decoder *mf_decode_begin(lua_State *L, const void *bytes, size_t len, const struct mf_decode_options *options)
{
    luaL_checkstack(L, 8, NULL);
    int env = options->env ? lua_absindex(L, options->env) : 0;
    struct mf_decoder *d = take_decoder(L);
    d->self = lua_gettop(L);
    d->env = env;
    d->trust = options->trust;
    d->start = d->p = bytes;
    d->end = d->start + len;
    d->depth = d->cells = 0;
    d->strings = d->objects = 0;
    d->budget = len;
    d->flags = take_byte(L, d);
    if (d->flags & ~(unsigned)(MF_CODEC_GLOBALS | MF_CODEC_CLOSED | MF_CODEC_REFS))
        malformed(L, d, "an unknown flag");
    return d;
}

unsigned mf_decode_flags(const struct mf_decoder *d)
{
    return d->flags;
}

bool mf_decode_more(const struct mf_decoder *d)
{
    return d->p < d->end;
}

static void load_memo(lua_State *L, struct mf_decoder *d)
{
    d->memo = lua_gettop(L) + 1;
    for (int i = 0; i < MEMO_COUNT; i++) {
        if (d->used)
            lua_getiuservalue(L, d->self, i + 1);
        else
            lua_pushnil(L);
    }
}

/* Stack: the memo slots, the value. Leaves the value. */
static void store_memo(lua_State *L, struct mf_decoder *d)
{
    if (mf_decode_more(d)) {
        d->used = true;
        for (int i = 0; i < MEMO_COUNT; i++) {
            lua_pushvalue(L, d->memo + i);
            lua_setiuservalue(L, d->self, i + 1);
        }
    }
    lua_replace(L, d->memo);
    lua_settop(L, d->memo);
}

void mf_decode_value(lua_State *L, struct mf_decoder *d)
{
    luaL_checkstack(L, 24, NULL);
    load_memo(L, d);
    decode_one(L, d);
    while (mf_decode_more(d) && (*d->p == MF_TAG_GLOBAL || *d->p == MF_TAG_STD))
        decode_global(L, d);
    store_memo(L, d);
}

void mf_decode_end(lua_State *L, struct mf_decoder *d)
{
    if (mf_decode_more(d))
        malformed(L, d, "bytes are left over");
    luaL_checkstack(L, 4, NULL);
    for (int i = 0; d->used && i < MEMO_COUNT; i++) {
        lua_pushnil(L);
        lua_setiuservalue(L, d->self, i + 1);
    }
    d->used = false;
    if (d->frames_cap * sizeof *d->frames > KEEP_BYTES || d->cells_cap > KEEP_BYTES)
        release(d);
    lua_pushvalue(L, d->self);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
}
