/* Generators for Lua: how they are made, their streams and states, and how they cross. What they draw is in
 * lib_draw.c.
 *
 * Design note: an object holds its state, or says that it stands for the current stream of a kind. The latter holds
 * nothing: it finds the running task's generator when it draws, so that one which a function has captured draws, in
 * every task, from that task's own stream. */
#include "lib_rng.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "instance.h"
#include "lib.h"
#include "raise.h"
#include "session.h"

#define RNG_TYPE "moonfleet.rng"
#define WORDS    6 /* of a state of MRG32k3a */

static const char metatable_key; /* registry: the metatable */

static const char *const kind_names[] = {"mrg32k3a", "philox", NULL};

struct object {
    bool current;
    enum mf_rng_kind kind;
    struct mf_rng rng;
};

static struct object *push_object(lua_State *L, enum mf_rng_kind kind)
{
    struct object *o = lua_newuserdatauv(L, sizeof *o, 0);
    memset(o, 0, sizeof *o);
    o->kind = kind;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    lua_setmetatable(L, -2);
    return o;
}

static bool is_object(lua_State *L, int idx)
{
    if (lua_type(L, idx) != LUA_TUSERDATA || !lua_getmetatable(L, idx))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static struct object *check_object(lua_State *L, int idx)
{
    if (!is_object(L, idx))
        mf_raise(L, "mf.rng: this is a method of generators, and was called on a %s (write g:normal(), not g.normal())",
                 luaL_typename(L, idx));
    return lua_touserdata(L, idx);
}

static struct mf_rng *state_of(lua_State *L, struct object *o)
{
    if (!o->current)
        return &o->rng;
    struct mf_instance *w = mf_instance_of(L);
    return mf_random_reach(w ? &w->random : &mf_session_get(L)->random, o->kind);
}

struct mf_rng *mf_lib_rng_check(lua_State *L, int idx)
{
    return state_of(L, check_object(L, idx));
}

static enum mf_rng_kind check_kind(lua_State *L, int idx)
{
    if (lua_isnoneornil(L, idx))
        return MF_RNG_MRG32K3A;
    const char *name = lua_type(L, idx) == LUA_TSTRING ? lua_tostring(L, idx) : "";
    for (int kind = 0; kind_names[kind]; kind++)
        if (strcmp(name, kind_names[kind]) == 0)
            return (enum mf_rng_kind)kind;
    mf_raise(L, "mf.rng: the kind must be \"mrg32k3a\" or \"philox\", not %s", luaL_tolstring(L, idx, NULL));
    return MF_RNG_MRG32K3A;
}

bool mf_lib_rng_whole(lua_State *L, int idx, lua_Integer *n)
{
    int whole = 0;
    if (lua_type(L, idx) == LUA_TNUMBER)
        *n = lua_tointegerx(L, idx, &whole);
    return whole;
}

/* A count at idx that is not negative; 1 when there is none. */
static uint64_t check_count(lua_State *L, int idx, const char *where)
{
    lua_Integer n = 1;
    if (!lua_isnoneornil(L, idx) && (!mf_lib_rng_whole(L, idx, &n) || n < 0))
        mf_raise(L, "%s: the count must be an integer that is not negative, not %s", where,
                 luaL_tolstring(L, idx, NULL));
    return (uint64_t)n;
}

/* --- Making ------------------------------------------------------------------------------------------------------- */

/* seeded(kind, seed) */
static int rng_seeded(lua_State *L)
{
    enum mf_rng_kind kind = check_kind(L, 1);
    lua_Integer seed = luaL_checkinteger(L, 2);
    mf_rng_seed(&push_object(L, kind)->rng, kind, seed);
    return 1;
}

/* current(kind): the stream of whatever task runs when it is drawn from */
static int rng_current(lua_State *L)
{
    push_object(L, check_kind(L, 1))->current = true;
    return 1;
}

static int rng_copy(lua_State *L)
{
    const struct mf_rng *from = mf_lib_rng_check(L, 1);
    push_object(L, from->kind)->rng = *from;
    return 1;
}

static int rng_next_stream(lua_State *L)
{
    const struct mf_rng *from = mf_lib_rng_check(L, 1);
    uint64_t n = check_count(L, 2, "next_stream");
    struct object *o = push_object(L, from->kind);
    o->rng = *from;
    mf_rng_skip_streams(&o->rng, n);
    return 1;
}

static int rng_next_substream(lua_State *L)
{
    const struct mf_rng *from = mf_lib_rng_check(L, 1);
    uint64_t n = check_count(L, 2, "next_substream");
    struct object *o = push_object(L, from->kind);
    o->rng = *from;
    mf_rng_skip_substreams(&o->rng, n);
    return 1;
}

static int rng_split(lua_State *L)
{
    struct mf_rng *from = mf_lib_rng_check(L, 1);
    bool one = lua_isnoneornil(L, 2);
    uint64_t n = check_count(L, 2, "split");
    if (one) {
        mf_rng_split(from, &push_object(L, from->kind)->rng);
        return 1;
    }
    lua_createtable(L, n < 1000000 ? (int)n : 0, 0);
    for (uint64_t i = 1; i <= n; i++) {
        mf_rng_split(from, &push_object(L, from->kind)->rng);
        lua_rawseti(L, -2, (lua_Integer)i);
    }
    return 1;
}

static int rng_skip(lua_State *L)
{
    struct mf_rng *rng = mf_lib_rng_check(L, 1);
    mf_rng_skip(rng, check_count(L, 2, "skip"));
    lua_settop(L, 1);
    return 1;
}

/* --- States ------------------------------------------------------------------------------------------------------- */

static void set_integer(lua_State *L, const char *name, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void push_state(lua_State *L, const struct mf_rng *rng)
{
    lua_createtable(L, WORDS, 4);
    lua_pushstring(L, kind_names[rng->kind]);
    lua_setfield(L, -2, "kind");
    if (rng->kind == MF_RNG_MRG32K3A) {
        for (int i = 0; i < WORDS; i++) {
            lua_pushinteger(L, rng->mrg.s[i]);
            lua_rawseti(L, -2, i + 1);
        }
    } else {
        set_integer(L, "key", rng->philox.key);
        set_integer(L, "substream", rng->philox.substream);
        set_integer(L, "position", rng->philox.position);
    }
}

static int rng_state(lua_State *L)
{
    push_state(L, mf_lib_rng_check(L, 1));
    return 1;
}

/* The integer in a state under the key on top, which is popped; what names it in errors. */
static lua_Integer state_integer(lua_State *L, int idx, const char *what)
{
    lua_rawget(L, idx);
    if (!lua_isinteger(L, -1))
        mf_raise(L, "mf.rng: %s of the state must be an integer, not %s", what, luaL_tolstring(L, -1, NULL));
    lua_Integer value = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

/* Six numbers below the moduli; R's, which are the same 32 bits with a sign, are taken too. */
static void read_mrg(lua_State *L, int idx, struct mf_rng_mrg *mrg)
{
    for (int i = 0; i < WORDS; i++) {
        lua_pushinteger(L, i + 1);
        lua_Integer value = state_integer(L, idx, "each of the six numbers");
        lua_Integer limit = i < 3 ? MF_RNG_MRG_M1 : MF_RNG_MRG_M2;
        if (value < INT32_MIN || value >= limit || (uint32_t)value >= limit)
            mf_raise(L, "mf.rng: number %d of the state must be from 0 to %I, not %I", i + 1, (LUAI_UACINT)limit - 1,
                     (LUAI_UACINT)value);
        mrg->s[i] = (uint32_t)value;
    }
    const uint32_t *s = mrg->s;
    if (!(s[0] | s[1] | s[2]) || !(s[3] | s[4] | s[5]))
        mf_raise(L, "mf.rng: the first three numbers of the state must not all be 0, nor the last three");
}

static void read_philox(lua_State *L, int idx, struct mf_rng_philox *philox)
{
    static const char *const names[] = {"key", "substream", "position"};
    lua_Integer values[3];
    for (int i = 0; i < 3; i++) {
        lua_pushstring(L, names[i]);
        values[i] = state_integer(L, idx, names[i]);
    }
    if (values[1] < 0 || values[1] > UINT32_MAX)
        mf_raise(L, "mf.rng: substream of the state must be from 0 to 4294967295, not %I", (LUAI_UACINT)values[1]);
    mf_rng_philox_set(philox, (uint64_t)values[0], (uint32_t)values[1], (uint64_t)values[2]);
}

/* Reads the table at idx, as push_state makes it; raises when it is none. */
static void read_state(lua_State *L, int idx, struct mf_rng *rng)
{
    idx = lua_absindex(L, idx);
    if (!lua_istable(L, idx))
        mf_raise(L, "mf.rng: the state must be a table that g:state() returned, not a %s", luaL_typename(L, idx));
    lua_getfield(L, idx, "kind");
    memset(rng, 0, sizeof *rng);
    rng->kind = check_kind(L, -1);
    lua_pop(L, 1);
    if (rng->kind == MF_RNG_MRG32K3A)
        read_mrg(L, idx, &rng->mrg);
    else
        read_philox(L, idx, &rng->philox);
}

/* from_state(state): a new generator */
static int rng_from_state(lua_State *L)
{
    struct mf_rng rng;
    read_state(L, 1, &rng);
    push_object(L, rng.kind)->rng = rng;
    return 1;
}

static int rng_set_state(lua_State *L)
{
    struct object *o = check_object(L, 1);
    struct mf_rng rng;
    read_state(L, 2, &rng);
    if (rng.kind != o->kind)
        mf_raise(L, "mf.rng: the state is one of kind \"%s\", the generator's kind is \"%s\"", kind_names[rng.kind],
                 kind_names[o->kind]);
    *state_of(L, o) = rng;
    lua_settop(L, 1);
    return 1;
}

static int rng_kind(lua_State *L)
{
    lua_pushstring(L, kind_names[check_object(L, 1)->kind]);
    return 1;
}

static int rng_tostring(lua_State *L)
{
    const struct object *o = check_object(L, 1);
    lua_pushfstring(L, "mf.rng: %s%s", kind_names[o->kind], o->current ? ", the current stream" : "");
    return 1;
}

/* What stands for the current stream crosses as that; others with their state. */
static int rng_save(lua_State *L)
{
    const struct object *o = check_object(L, 1);
    if (o->current)
        lua_pushstring(L, kind_names[o->kind]);
    else
        push_state(L, &o->rng);
    return 1;
}

static int rng_load(lua_State *L)
{
    if (lua_type(L, 1) == LUA_TSTRING)
        return rng_current(L);
    return rng_from_state(L);
}

/* --- The library -------------------------------------------------------------------------------------------------- */

/* rng(): all functions in one table, and the metatable of generators, whose __index is still to be set. Called once a
 * state, by rng.lua, in whose tables the codec finds the names of these functions. */
static int core_rng(lua_State *L)
{
    const luaL_Reg functions[] = {
        {"seeded", rng_seeded},
        {"current", rng_current},
        {"from_state", rng_from_state},
        {"copy", rng_copy},
        {"split", rng_split},
        {"next_stream", rng_next_stream},
        {"next_substream", rng_next_substream},
        {"skip", rng_skip},
        {"state", rng_state},
        {"set_state", rng_set_state},
        {"kind", rng_kind},
        {NULL, NULL},
    };
    const luaL_Reg meta[] = {{"__tostring", rng_tostring}, {"__save", rng_save}, {"__load", rng_load}, {NULL, NULL}};
    luaL_newlib(L, functions);
    mf_lib_rng_draws(L);
    luaL_newlib(L, meta);
    lua_pushliteral(L, RNG_TYPE);
    lua_setfield(L, -2, "__name");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
    return 2;
}

void mf_lib_rng(lua_State *L)
{
    lua_pushcfunction(L, core_rng);
    lua_setfield(L, -2, "rng");
}
