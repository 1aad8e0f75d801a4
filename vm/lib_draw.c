/* What generators draw, for Lua: a method for each distribution of the runtime's table, integers and samples.
 *
 * Design note: a method takes the distribution's parameters, then how many numbers are wanted; none means one
 * number, not in a list. Lists are filled through a buffer on the C stack, so that an error leaves nothing behind. */
#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>

#include "lib_array.h"
#include "lib_rng.h"
#include "numbers.h"
#include "raise.h"

#define CHUNK 512 /* numbers drawn at a time */

/* How many numbers the argument at idx asks for. */
static size_t check_n(lua_State *L, int idx, const char *name)
{
    lua_Integer n = 0;
    if (!mf_lib_rng_whole(L, idx, &n))
        mf_raise(L, "%s: how many numbers must be an integer, not %s", name, luaL_tolstring(L, idx, NULL));
    if (n < 0 || n > INT_MAX)
        mf_raise(L, "%s: how many numbers must be from 0 to %d, not %I", name, INT_MAX, (LUAI_UACINT)n);
    return (size_t)n;
}

/* --- Distributions ------------------------------------------------------------------------------------------------ */

static int parameters_of(const struct mf_rng_law *law)
{
    return law->parameter[1] ? 2 : 1;
}

static void read_parameters(lua_State *L, const struct mf_rng_law *law, double p[2])
{
    struct mf_fault fault;
    bool any = false;
    for (int i = 0; i < parameters_of(law); i++) {
        bool given = !lua_isnoneornil(L, 2 + i);
        p[i] = law->standard[i];
        if (given ? lua_type(L, 2 + i) != LUA_TNUMBER : p[i] != p[i])
            mf_raise(L, "%s: the %s must be a number, not %s", law->name, law->parameter[i],
                     given ? luaL_tolstring(L, 2 + i, NULL) : "nil");
        if (given)
            p[i] = lua_tonumber(L, 2 + i);
        any = any || given;
    }
    if (any && law->check(p, &fault) != MF_OK)
        mf_raise(L, "%s: %s", law->name, fault.text);
}

static void push_number(lua_State *L, const struct mf_rng_law *law, double x)
{
    if (law->whole)
        lua_pushinteger(L, (lua_Integer)x);
    else
        lua_pushnumber(L, x);
}

static void push_list(lua_State *L, const struct mf_rng_law *law, struct mf_rng *rng, const double *p, size_t n)
{
    double buffer[CHUNK];
    lua_createtable(L, (int)n, 0);
    for (size_t done = 0; done < n;) {
        size_t k = n - done < CHUNK ? n - done : CHUNK;
        law->fill(rng, p, buffer, k);
        for (size_t i = 0; i < k; i++) {
            push_number(L, law, buffer[i]);
            lua_rawseti(L, -2, (lua_Integer)++done);
        }
    }
}

/* Fills the array at idx. */
static void fill_array(lua_State *L, int idx, const struct mf_rng_law *law, struct mf_rng *rng, const double *p)
{
    size_t n;
    ptrdiff_t stride;
    double buffer[CHUNK], *out = mf_lib_array_write(L, idx, &n, &stride);
    if (!out)
        mf_raise(L, "%s: only an array of f64 whose elements lie at one distance can be filled", law->name);
    if (stride == 1) {
        law->fill(rng, p, out, n);
        return;
    }
    for (size_t done = 0, k; done < n; done += k) {
        k = n - done < CHUNK ? n - done : CHUNK;
        law->fill(rng, p, buffer, k);
        for (size_t i = 0; i < k; i++)
            out[(ptrdiff_t)(done + i) * stride] = buffer[i];
    }
}

static int draw(lua_State *L)
{
    const struct mf_rng_law *law = lua_touserdata(L, lua_upvalueindex(1));
    struct mf_rng *rng = mf_lib_rng_check(L, 1);
    int last = 2 + parameters_of(law);
    double p[2], x;
    read_parameters(L, law, p);
    if (!lua_isnoneornil(L, last)) {
        if (mf_lib_array_is(L, last)) {
            fill_array(L, last, law, rng, p);
            lua_settop(L, last);
            return 1;
        }
        push_list(L, law, rng, p, check_n(L, last, law->name));
        return 1;
    }
    law->fill(rng, p, &x, 1);
    push_number(L, law, x);
    return 1;
}

/* --- Integers ----------------------------------------------------------------------------------------------------- */

static lua_Integer check_bound(lua_State *L, int idx, const char *what)
{
    lua_Integer bound = 0;
    if (!mf_lib_rng_whole(L, idx, &bound))
        mf_raise(L, "integers: the %s must be an integer, not %s", what, luaL_tolstring(L, idx, NULL));
    return bound;
}

/* Fills the array at idx, of i64. */
static void fill_integers(lua_State *L, int idx, struct mf_rng *rng, int64_t low, int64_t high)
{
    size_t n;
    ptrdiff_t stride;
    int64_t *out = mf_lib_array_write_integers(L, idx, &n, &stride);
    if (!out)
        mf_raise(L, "integers: only an array of i64 whose elements lie at one distance can be filled");
    if (stride == 1)
        mf_rng_fill_integers(rng, low, high, out, n);
    else
        for (size_t i = 0; i < n; i++)
            mf_rng_fill_integers(rng, low, high, out + (ptrdiff_t)i * stride, 1);
}

/* g:integers(low, high, n) */
static int draw_integers(lua_State *L)
{
    struct mf_rng *rng = mf_lib_rng_check(L, 1);
    int64_t values[CHUNK];
    lua_settop(L, 4);
    lua_Integer low = check_bound(L, 2, "least number"), high = check_bound(L, 3, "greatest number");
    if (low > high)
        mf_raise(L, "integers: there is no integer from %I to %I", (LUAI_UACINT)low, (LUAI_UACINT)high);
    if (mf_lib_array_is(L, 4)) {
        fill_integers(L, 4, rng, low, high);
        return 1;
    }
    if (lua_isnil(L, 4)) {
        mf_rng_fill_integers(rng, low, high, values, 1);
        lua_pushinteger(L, values[0]);
        return 1;
    }
    size_t n = check_n(L, 4, "integers");
    lua_createtable(L, (int)n, 0);
    for (size_t done = 0; done < n;) {
        size_t k = n - done < CHUNK ? n - done : CHUNK;
        mf_rng_fill_integers(rng, low, high, values, k);
        for (size_t i = 0; i < k; i++) {
            lua_pushinteger(L, values[i]);
            lua_rawseti(L, -2, (lua_Integer)++done);
        }
    }
    return 1;
}

/* --- Samples ------------------------------------------------------------------------------------------------------ */

static void check_weights(lua_State *L, const struct mf_stats_view *w, lua_Integer population, bool replace,
                          lua_Integer n)
{
    lua_Integer positive = 0;
    if ((lua_Integer)w->n != population)
        mf_raise(L, "sample: %I weights for %I elements; there must be one for each", (LUAI_UACINT)w->n,
                 (LUAI_UACINT)population);
    for (lua_Integer i = 0; i < population; i++) {
        if (!(w->data[i * w->stride] >= 0 && isfinite(w->data[i * w->stride])))
            mf_raise(L, "sample: weight %I must be finite and not negative, not %f", (LUAI_UACINT)i + 1,
                     (LUAI_UACNUMBER)w->data[i * w->stride]);
        positive += w->data[i * w->stride] > 0;
    }
    if (positive < (replace ? n > 0 : n))
        mf_raise(L, "sample: %I elements cannot be drawn when %I of the weights are positive", (LUAI_UACINT)n,
                 (LUAI_UACINT)positive);
}

static enum mf_err draw_indices(lua_State *L, struct mf_rng *rng, lua_Integer population, bool replace, int64_t *out,
                                lua_Integer n)
{
    if (!lua_isnil(L, 5)) {
        struct mf_stats_view weights;
        mf_numbers_read(L, 5, "sample", "weights", &weights);
        check_weights(L, &weights, population, replace, n);
        return mf_rng_sample_weighted(rng, mf_numbers_contiguous(L, &weights), weights.n, replace, out, (size_t)n);
    }
    if (!replace)
        return mf_rng_sample(rng, (uint64_t)population, out, (size_t)n);
    mf_rng_fill_integers(rng, 0, population - 1, out, (size_t)n);
    return MF_OK;
}

/* g:indices(population, n, replace, weights): a list of n of the integers 1 .. population */
static int draw_sample(lua_State *L)
{
    struct mf_rng *rng = mf_lib_rng_check(L, 1);
    lua_Integer population = luaL_checkinteger(L, 2);
    bool replace = lua_toboolean(L, 4);
    lua_settop(L, 5);
    lua_Integer n = lua_isnil(L, 3) ? population : (lua_Integer)check_n(L, 3, "sample");
    if (population < 0 || n > INT_MAX)
        mf_raise(L, "sample: the number of elements must be from 0 to %d, not %I", INT_MAX, (LUAI_UACINT)population);
    if (n > 0 && (population == 0 || (!replace && n > population)))
        mf_raise(L, "sample: %I different elements cannot be drawn from %I%s", (LUAI_UACINT)n, (LUAI_UACINT)population,
                 population > 0 ? "; with replace = true they need not differ" : "");
    int64_t *out = lua_newuserdatauv(L, n ? (size_t)n * sizeof *out : 1, 0);
    if (n > 0 && draw_indices(L, rng, population, replace, out, n) != MF_OK)
        return luaL_error(L, "not enough memory");
    lua_createtable(L, (int)n, 0);
    for (lua_Integer i = 0; i < n; i++) {
        lua_pushinteger(L, out[i] + 1);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

void mf_lib_rng_draws(lua_State *L)
{
    const luaL_Reg functions[] = {{"integers", draw_integers}, {"indices", draw_sample}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    for (const struct mf_rng_law *law = mf_rng_laws; law->name; law++) {
        lua_pushlightuserdata(L, (void *)(uintptr_t)law);
        lua_pushcclosure(L, draw, 1);
        lua_setfield(L, -2, law->name);
    }
}
