/* A message from begin to end: taking an encoder and giving it back, options, and the one protected call in which
 * values are written. */
#include "encoder.h"

#include <stdlib.h>
#include <string.h>

#include "../runtime/block.h"

#define KEEP_ANCHORED 16 /* anchors that are cleared one by one rather than with their table */
#define KEEP_FRAMES   64

static const char registry_key;

void mf_encoder_anchor(lua_State *L, struct mf_encoder *e, int idx)
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

void mf_encoder_collector(lua_State *L, struct mf_encoder *e, bool on)
{
    if (!on) {
        e->restart = lua_gc(L, LUA_GCISRUNNING) != 0;
        lua_gc(L, LUA_GCSTOP);
    } else if (e->restart) {
        lua_gc(L, LUA_GCRESTART);
    }
}

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
    e->opt_live = absolute(o->live, e->self);
    e->live_number = o->live_number;
    e->live_bytes = 0;
    e->globals = mf_names_globals(e->names);
    e->globals2 = o->env ? lua_topointer(L, absolute(o->env, e->self)) : e->globals;
    e->no_scan = o->no_scan;
    e->holds = o->holds;
    e->parts = o->parts;
    e->freeze = o->freeze;
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
    mf_holds_cut(out, e->start); /* what a message that was given up has left */
    e->holds_before = mf_holds_before(out, e->start);
    e->depth = 0;
    e->string_count = e->object_count = e->cell_count = e->env_count = 0;
    e->flags = MF_CODEC_CLOSED;
    e->named_ready = e->overridden = e->have_main = false;
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
        mf_encoder_anchor(L, e, SLOT_VALUE);
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
    push_option(L, e->opt_live);
    lua_pushvalue(L, idx);
    if (lua_pcall(L, SLOT_VALUE, 0, 0) == LUA_OK)
        return;
    e->out->len = e->start;
    mf_holds_cut(e->out, e->start);
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
            mf_encoder_scalar(L, e, type);
            lua_pop(L, 1);
            return;
        }
    }
    put_protected(L, e, idx);
}

void mf_encode_modules(struct mf_encoder *e)
{
    e->flags |= MF_CODEC_MODULES;
}

unsigned mf_encode_end(lua_State *L, struct mf_encoder *e)
{
    unsigned flags = e->flags;
    e->out->data[e->start] = (unsigned char)flags;
    luaL_checkstack(L, 4, NULL);
    give_back(L, e);
    return flags;
}
