/* Design note: stream k of a seed is the one that R's future.apply gives to element k: the seed's state, k - 1 streams
 * on, then one substream on. Elements of a chunk follow each other, so where the last stream began is kept, and
 * the next one is one jump from there. Philox has a key for each stream and needs no jumps. */
#include "random.h"

#include <lauxlib.h>
#include <lualib.h>

#include "engine.h"

#define NEAR 32 /* up to so many streams ahead, single jumps are faster than squaring matrices */

static void find_start(struct mf_random *r)
{
    if (r->start_stream == 0 || r->start_seed != r->seed || r->stream < r->start_stream) {
        mf_rng_seed(&r->start, MF_RNG_MRG32K3A, (int64_t)r->seed);
        r->start_seed = r->seed;
        r->start_stream = 1;
    }
    uint64_t ahead = r->stream - r->start_stream;
    if (ahead > NEAR)
        mf_rng_skip_streams(&r->start, ahead);
    else
        for (; ahead > 0; ahead--)
            mf_rng_skip_streams(&r->start, 1);
    r->start_stream = r->stream;
}

static void reach(struct mf_random *r, enum mf_rng_kind kind)
{
    struct mf_rng *rng = &r->rng[kind];
    if (kind == MF_RNG_MRG32K3A && r->stream > 0) {
        find_start(r);
        *rng = r->start;
        mf_rng_skip_substreams(rng, 1);
    } else {
        mf_rng_seed(rng, kind, (int64_t)r->seed);
        if (r->stream > 0)
            mf_rng_skip_streams(rng, r->stream);
    }
    r->reached |= 1u << kind;
}

struct mf_rng *mf_random_reach(struct mf_random *r, enum mf_rng_kind kind)
{
    if (!(r->reached & 1u << kind))
        reach(r, kind);
    return &r->rng[kind];
}

uint64_t mf_random_inner_seed(const struct mf_random *r)
{
    uint64_t x = r->seed * 0x9e3779b97f4a7c15u + r->stream; /* the finaliser of splitmix64 */
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Uniform on 0..limit, without bias: numbers beyond the last whole multiple are drawn again. */
static lua_Unsigned below(struct mf_rng *rng, lua_Unsigned limit)
{
    if (limit == ~(lua_Unsigned)0)
        return mf_rng_bits(rng);
    lua_Unsigned range = limit + 1, bits;
    lua_Unsigned usable = ~(lua_Unsigned)0 - (~(lua_Unsigned)0 % range + 1) % range;
    do {
        bits = mf_rng_bits(rng);
    } while (bits > usable);
    return bits % range;
}

static int math_random(lua_State *L)
{
    struct mf_rng *rng = mf_random_reach(lua_touserdata(L, lua_upvalueindex(1)), MF_RNG_MRG32K3A);
    lua_Integer low = 1, up;
    switch (lua_gettop(L)) {
    case 0:
        lua_pushnumber(L, mf_rng_uniform(rng));
        return 1;
    case 1:
        up = luaL_checkinteger(L, 1);
        if (up == 0) {
            lua_pushinteger(L, (lua_Integer)mf_rng_bits(rng));
            return 1;
        }
        break;
    case 2:
        low = luaL_checkinteger(L, 1);
        up = luaL_checkinteger(L, 2);
        break;
    default:
        return luaL_error(L, "wrong number of arguments");
    }
    luaL_argcheck(L, low <= up, 1, "interval is empty");
    lua_pushinteger(L, (lua_Integer)((lua_Unsigned)low + below(rng, (lua_Unsigned)up - (lua_Unsigned)low)));
    return 1;
}

/* With a seed: the rest of the task draws from that seed. Without: back to the start of its own stream. */
static int math_randomseed(lua_State *L)
{
    struct mf_random *r = lua_touserdata(L, lua_upvalueindex(1));
    if (lua_isnoneornil(L, 1)) {
        r->reached = 0;
        return 0;
    }
    lua_Integer seed = lua_isinteger(L, 1) ? lua_tointeger(L, 1) : (lua_Integer)luaL_checknumber(L, 1);
    uint64_t second = (uint64_t)luaL_optinteger(L, 2, 0);
    for (int kind = 0; kind < MF_RANDOM_KINDS; kind++)
        mf_rng_seed(&r->rng[kind], (enum mf_rng_kind)kind, (int64_t)((uint64_t)seed ^ second << 32));
    r->reached = (1u << MF_RANDOM_KINDS) - 1;
    return 0;
}

static const luaL_Reg functions[] = {{"random", math_random}, {"randomseed", math_randomseed}, {NULL, NULL}};

void mf_random_open(lua_State *L, struct mf_random *r)
{
    lua_getglobal(L, LUA_MATHLIBNAME);
    lua_pushlightuserdata(L, r);
    luaL_setfuncs(L, functions, 1);
    lua_pop(L, 1);
}

/* Both of the library's functions have one upvalue: its generator, or ours. */
static bool take_over(lua_State *L, int idx, lua_CFunction f, struct mf_random *r)
{
    if (!lua_iscfunction(L, idx) || (lua_tocfunction(L, idx) != f && !mf_engine_retarget(L, idx, f)))
        return false;
    lua_pushlightuserdata(L, r);
    lua_setupvalue(L, idx, 1);
    return true;
}

void mf_random_take_over(lua_State *L, struct mf_random *r)
{
    bool all = true;
    lua_getglobal(L, LUA_MATHLIBNAME);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_getfield(L, -1, f->name);
        all = take_over(L, lua_gettop(L), f->func, r) && all;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    if (!all)
        mf_random_open(L, r);
}
