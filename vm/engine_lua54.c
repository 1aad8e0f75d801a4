/* PUC Lua 5.4: the layout of a dump and the numbers of the few opcodes that touch upvalues. Both are the same from
 * 5.4.0 to the last 5.4.x.
 *
 * The scan walks the dump once, function by function. Every upvalue of the function at hand has a mark that says
 * whether it is the environment and whether its cell lies outside the scanned function; an inner function inherits
 * marks through its upvalue descriptors. So a local named _ENV is left out by itself, and a stripped dump works as
 * well. The scan holds no resource: found() may leave it by a Lua error. */
#include "engine.h"

#include <lauxlib.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#if LUA_VERSION_NUM != 504
#error "engine_lua54.c is for Lua 5.4"
#endif

enum opcode { OP_GETUPVAL = 9, OP_SETUPVAL = 10, OP_GETTABUP = 11, OP_SETTABUP = 15 };
enum constant { K_NIL = 0, K_FALSE = 1, K_TRUE = 17, K_INT = 3, K_FLOAT = 19, K_SHORT = 4, K_LONG = 20 };
enum mark { IS_ENV = 1, IS_OUTER = 2 };

#define SIGNATURE    "\x1bLua\x54\x00\x19\x93\r\n\x1a\n"
#define HEADER_SIZE  (12 + 3 + sizeof(lua_Integer) + sizeof(lua_Number))
#define MAX_UPVALUES 255
#define MAX_NESTING  200 /* the compiler's own limit on nested functions */

/* ---- dump and load ---- */

struct sink {
    struct mf_buf *out;
    size_t skip; /* bytes of the header still to drop */
};

static int sink_write(lua_State *L, const void *bytes, size_t n, void *ud)
{
    struct sink *s = ud;
    size_t drop = n < s->skip ? n : s->skip;
    (void)L;
    s->skip -= drop;
    n -= drop;
    if (s->out->cap - s->out->len >= n) { /* most writes are of a few bytes */
        memcpy(s->out->data + s->out->len, (const char *)bytes + drop, n);
        s->out->len += n;
        return 0;
    }
    return mf_buf_append(s->out, (const char *)bytes + drop, n) ? 0 : 1;
}

bool mf_engine_dump(lua_State *L, int idx, struct mf_buf *out)
{
    struct sink s = {.out = out, .skip = HEADER_SIZE};
    size_t before = out->len;
    mf_buf_reserve(out, 512); /* a refusal will show again */
    lua_pushvalue(L, idx);
    bool ok = lua_dump(L, sink_write, &s, 0) == 0;
    lua_pop(L, 1);
    if (!ok)
        out->len = before;
    return ok;
}

struct source {
    const char *part[2];
    size_t size[2];
    int next;
};

static const char *source_read(lua_State *L, void *ud, size_t *n)
{
    struct source *s = ud;
    (void)L;
    if (s->next == 2)
        return NULL;
    *n = s->size[s->next];
    return s->part[s->next++];
}

static void make_header(char header[HEADER_SIZE])
{
    lua_Integer integer = 0x5678;
    lua_Number number = (lua_Number)370.5;
    memcpy(header, SIGNATURE, 12);
    header[12] = 4;
    header[13] = (char)sizeof integer;
    header[14] = (char)sizeof number;
    memcpy(header + 15, &integer, sizeof integer);
    memcpy(header + 15 + sizeof integer, &number, sizeof number);
}

void mf_engine_load(lua_State *L, const void *bytes, size_t n, int upvalues)
{
    char header[HEADER_SIZE];
    make_header(header);
    struct source s = {.part = {header, bytes}, .size = {sizeof header, n}};
    if (n == 0 || *(const unsigned char *)bytes != upvalues)
        luaL_error(L, "malformed message: a function's upvalues do not match its bytecode");
    if (lua_load(L, source_read, &s, "=function", "b") != LUA_OK)
        lua_error(L);
    if (upvalues > 0) {
        lua_pushnil(L); /* lua_load put the globals there, whatever the upvalue is */
        lua_setupvalue(L, -2, 1);
    }
}

/* ---- scan ---- */

struct scan {
    const unsigned char *at, *end;
    void (*found)(void *ud, const char *name, size_t len);
    void *ud;
    unsigned traits;
};

struct code {
    const unsigned char *bytes;
    size_t count;
};

static const unsigned char *take(struct scan *s, size_t n)
{
    const unsigned char *from = s->at;
    s->at = n <= (size_t)(s->end - s->at) ? s->at + n : s->end;
    return from;
}

static unsigned take_byte(struct scan *s)
{
    return s->at < s->end ? *s->at++ : 0;
}

/* Seven bits a byte, most significant first, the last byte flagged. */
static size_t take_size(struct scan *s)
{
    size_t x = 0;
    while (s->at < s->end) {
        unsigned b = *s->at++;
        x = (x << 7) | (b & 0x7f);
        if (b & 0x80)
            return x;
    }
    return 0;
}

static const char *take_string(struct scan *s, size_t *len)
{
    size_t size = take_size(s);
    *len = size ? size - 1 : 0;
    const char *text = (const char *)take(s, *len);
    if (*len > (size_t)((const char *)s->at - text))
        *len = (size_t)((const char *)s->at - text);
    return text;
}

/* Steps over one constant; its text when it is a string, else NULL. */
static const char *take_constant(struct scan *s, size_t *len)
{
    switch (take_byte(s)) {
    case K_INT:
        take(s, sizeof(lua_Integer));
        return NULL;
    case K_FLOAT:
        take(s, sizeof(lua_Number));
        return NULL;
    case K_SHORT:
    case K_LONG:
        return take_string(s, len);
    default:
        return NULL;
    }
}

static uint32_t instruction(const struct code *c, size_t i)
{
    uint32_t word;
    memcpy(&word, c->bytes + 4 * i, 4);
    return word;
}

static unsigned field_a(uint32_t w)
{
    return (w >> 7) & 0xff;
}

static unsigned field_b(uint32_t w)
{
    return (w >> 16) & 0xff;
}

static unsigned field_c(uint32_t w)
{
    return w >> 24;
}

/* Marks in wanted[] the constants that name globals the code reads; true when the environment is used as a value. */
static bool read_code(struct scan *s, const struct code *c, const unsigned char *marks, bool wanted[256])
{
    bool as_value = false;
    for (size_t i = 0; i < c->count; i++) {
        uint32_t w = instruction(c, i);
        switch (w & 0x7f) {
        case OP_GETUPVAL:
            as_value |= (marks[field_b(w)] & IS_ENV) != 0;
            break;
        case OP_SETUPVAL:
            if (marks[field_b(w)] & IS_OUTER)
                s->traits |= MF_ENGINE_SETS_UPVALUE;
            break;
        case OP_GETTABUP:
            if (marks[field_b(w)] & IS_ENV)
                wanted[field_c(w)] = true;
            break;
        case OP_SETTABUP:
            if (marks[field_a(w)] & IS_ENV)
                s->traits |= MF_ENGINE_SETS_GLOBAL;
            break;
        default:
            break;
        }
    }
    return as_value;
}

static bool names_constant(struct scan *s, size_t count, const bool wanted[256], const char *name)
{
    struct scan peek = *s;
    size_t len;
    for (size_t i = 0; i < count && i < 256; i++) {
        const char *text = take_constant(&peek, &len);
        if (text && wanted[i] && len == strlen(name) && memcmp(text, name, len) == 0)
            return true;
    }
    return false;
}

static void report_constants(struct scan *s, size_t count, const bool wanted[256], bool all)
{
    for (size_t i = 0; i < count && s->at < s->end; i++) {
        size_t len;
        const char *text = take_constant(s, &len);
        if (text && (all || (i < 256 && wanted[i])))
            s->found(s->ud, text, len);
    }
}

/* An inner function's marks come from its upvalue descriptors: a register of the parent is a local, fresh with
 * every call; another upvalue of the parent is what it was there. */
static void take_descriptors(struct scan *s, const unsigned char *parent, unsigned char *marks)
{
    size_t count = take_size(s);
    for (size_t i = 0; i < count && s->at < s->end; i++) {
        bool in_stack = take_byte(s) != 0;
        unsigned idx = take_byte(s);
        take_byte(s);
        if (parent && i < MAX_UPVALUES)
            marks[i] = in_stack ? 0 : parent[idx];
    }
}

static void skip_debug(struct scan *s)
{
    size_t len;
    take(s, take_size(s));
    for (size_t n = take_size(s); n > 0 && s->at < s->end; n--) {
        take_size(s);
        take_size(s);
    }
    for (size_t n = take_size(s); n > 0 && s->at < s->end; n--) {
        take_string(s, &len);
        take_size(s);
        take_size(s);
    }
    for (size_t n = take_size(s); n > 0 && s->at < s->end; n--)
        take_string(s, &len);
}

static struct code take_code(struct scan *s)
{
    size_t len;
    take_string(s, &len);
    take_size(s);
    take_size(s);
    take(s, 3);
    struct code c = {.count = take_size(s)};
    if (c.count > (size_t)(s->end - s->at) / 4)
        c.count = 0;
    c.bytes = take(s, 4 * c.count);
    return c;
}

/* Finds where the descriptors start without reporting anything. */
static struct scan after_constants(const struct scan *s, size_t count)
{
    struct scan ahead = *s;
    size_t len;
    for (size_t i = 0; i < count && ahead.at < ahead.end; i++)
        take_constant(&ahead, &len);
    return ahead;
}

/* The descriptors stand behind the code and constants that they give a meaning to, so they are read ahead. all: the
 * environment escaped as a value in an outer function, and a local may hold it. */
static void scan_function(struct scan *s, const unsigned char *parent, const unsigned char *root, bool all, int depth)
{
    unsigned char marks[256] = {0};
    bool wanted[256] = {false};
    struct code c = take_code(s);
    size_t constants = take_size(s);
    struct scan ahead = after_constants(s, constants);
    if (root)
        memcpy(marks, root, sizeof marks);
    take_descriptors(&ahead, parent, marks);
    if (read_code(s, &c, marks, wanted) || names_constant(s, constants, wanted, "_G")) {
        s->traits |= MF_ENGINE_SETS_GLOBAL | MF_ENGINE_USES_ENV;
        all = true;
    }
    report_constants(s, constants, wanted, all);
    s->at = ahead.at;
    for (size_t n = take_size(s); n > 0 && s->at < s->end && depth < MAX_NESTING; n--)
        scan_function(s, marks, NULL, all, depth + 1);
    skip_debug(s);
}

unsigned mf_engine_scan(const void *bytes, size_t n, const bool *is_env, int upvalues,
                        void (*found)(void *ud, const char *name, size_t len), void *ud)
{
    struct scan s = {.at = bytes, .end = (const unsigned char *)bytes + n, .found = found, .ud = ud};
    unsigned char marks[256] = {0};
    for (int i = 0; i < upvalues && i < MAX_UPVALUES; i++)
        marks[i] = (unsigned char)(IS_OUTER | (is_env[i] ? IS_ENV : 0));
    take_byte(&s);
    scan_function(&s, NULL, marks, false, 0);
    return s.traits;
}

/* ---- the collector ---- */

#define REST_LEAST 1024 /* KB; smaller states rest as if they were so large */

/* A step of a negative size is so much allowance. */
void mf_engine_rest(lua_State *L)
{
    int size = lua_gc(L, LUA_GCCOUNT);
    lua_gc(L, LUA_GCSTEP, size > REST_LEAST ? -size : -REST_LEAST);
}

/* ---- C functions ---- */

/* The beginning of the engine's CClosure in every 5.4. */
struct closure_head {
    void *next;
    unsigned char tt, marked, upvalues;
    void *list;
    lua_CFunction f;
};

bool mf_engine_retarget(lua_State *L, int idx, lua_CFunction f)
{
    struct closure_head *h = (struct closure_head *)(uintptr_t)lua_topointer(L, idx);
    lua_CFunction present = lua_tocfunction(L, idx);
    int upvalues = 0;
    while (lua_getupvalue(L, idx, upvalues + 1)) {
        lua_pop(L, 1);
        upvalues++;
    }
    if (!present || upvalues == 0 || h->upvalues != upvalues || h->f != present)
        return false;
    h->f = f;
    return true;
}

/* ---- arrays ---- */

/* The beginning of the engine's Table, and its TValue, in every 5.4. Only read, and only when the trial below has
 * shown that this build has them. */
struct table_head {
    void *next;
    unsigned char tt, marked, flags, lsizenode;
    unsigned int limit; /* never more than the slots of items */
    const struct slot *items;
};

struct slot {
    union {
        lua_Integer integer;
        lua_Number number;
        uint64_t bits;
    } value;
    unsigned char tag;
};

static const struct table_head *head_of(lua_State *L, int idx)
{
    return lua_topointer(L, idx);
}

/* Fills a table of a given size with numbers and compares what the layout says with what was put in. The slots are
 * looked at only when the sizes were right. */
static bool try_size(lua_State *L, int size)
{
    lua_createtable(L, size, 0);
    const struct table_head *h = head_of(L, -1);
    bool ok = h->limit == (unsigned)size && h->items != NULL;
    for (int i = 0; i < size; i++) {
        if (i % 2 == 0)
            lua_pushinteger(L, i * 1000003);
        else
            lua_pushnumber(L, i / (lua_Number)7);
        lua_rawseti(L, -2, i + 1);
    }
    ok = ok && h->limit == (unsigned)size;
    for (int i = 0; ok && i < size; i++) {
        const struct slot *s = &h->items[i];
        ok = i % 2 == 0 ? s->tag == K_INT && s->value.integer == i * 1000003
                        : s->tag == K_FLOAT && s->value.number == i / (lua_Number)7;
    }
    lua_pop(L, 1);
    return ok;
}

/* A state is as good as any other of this process: they share one engine. */
static bool layout_is_known(lua_State *L)
{
    static atomic_int known; /* 0 = not tried, 1 = yes, -1 = no */
    int k = atomic_load_explicit(&known, memory_order_relaxed);
    if (k == 0) {
        bool ok = sizeof(lua_Integer) == 8 && sizeof(lua_Number) == 8 && LUA_VERSION_NUM == (int)lua_version(L);
        k = ok && try_size(L, 3) && try_size(L, 37) && try_size(L, 129) ? 1 : -1;
        atomic_store_explicit(&known, k, memory_order_relaxed);
    }
    return k > 0;
}

struct mf_engine_array mf_engine_array(lua_State *L, int idx)
{
    if (!layout_is_known(L))
        return (struct mf_engine_array){NULL, 0};
    const struct table_head *h = head_of(L, idx);
    return (struct mf_engine_array){h->items, h->limit};
}

size_t mf_engine_numbers(const struct mf_engine_array *a, size_t from, size_t max, uint64_t *out, bool *is_float)
{
    const struct slot *s = (const struct slot *)a->items + from;
    if (max == 0 || (s->tag != K_INT && s->tag != K_FLOAT))
        return 0;
    unsigned char tag = s->tag;
    size_t n = 0;
    for (; n < max && s[n].tag == tag; n++)
        out[n] = s[n].value.bits;
    *is_float = tag == K_FLOAT;
    return n;
}
