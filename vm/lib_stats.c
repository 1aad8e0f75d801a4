/* Statistics for Lua: reads lists, ranges and arrays, calls the runtime, pushes what it returns. stats.lua
 * documents them. */
#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "lib.h"
#include "numbers.h"
#include "raise.h"

/* The weights at idx for x: NULL when there are none. Pushes one value. */
static const struct mf_stats_view *read_weights(lua_State *L, int idx, const char *where, size_t n,
                                                struct mf_stats_view *w)
{
    if (lua_isnoneornil(L, idx)) {
        lua_pushnil(L);
        return NULL;
    }
    mf_numbers_read(L, idx, where, "the weights", w);
    if (w->n != n)
        mf_raise(L, "%s: %I weights for %I numbers; there must be one for each", where, (LUAI_UACINT)w->n,
                 (LUAI_UACINT)n);
    for (size_t i = 0; i < n; i++) {
        double v = w->data[(ptrdiff_t)i * w->stride];
        if (!(v >= 0 && isfinite(v)))
            mf_raise(L, "%s: weight %I must be finite and not negative, not %f", where, (LUAI_UACINT)i + 1,
                     (LUAI_UACNUMBER)v);
    }
    return w;
}

/* --- One variable ------------------------------------------------------------------------------------------------- */

static int stats_mean(lua_State *L)
{
    struct mf_stats_view x, weights;
    lua_settop(L, 2);
    mf_numbers_read(L, 1, "mf.stats.mean", "x", &x);
    const struct mf_stats_view *w = read_weights(L, 2, "mf.stats.mean", x.n, &weights);
    lua_pushnumber(L, w ? mf_stats_weighted_mean(&x, w) : mf_stats_mean(&x));
    return 1;
}

static double read_variance(lua_State *L, const char *where)
{
    struct mf_stats_view x, weights;
    mf_numbers_read(L, 1, where, "x", &x);
    const struct mf_stats_view *w = read_weights(L, 2, where, x.n, &weights);
    if (w)
        return mf_stats_covariance(&x, &x, w);
    struct mf_stats_moments m = mf_stats_moments(&x);
    return mf_stats_variance(&m);
}

static int stats_var(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushnumber(L, read_variance(L, "mf.stats.var"));
    return 1;
}

static int stats_sd(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushnumber(L, sqrt(read_variance(L, "mf.stats.sd")));
    return 1;
}

/* moments(x): count, mean, sum of squared distances from it, least, greatest */
static int stats_moments(lua_State *L)
{
    struct mf_stats_view x;
    double least, greatest;
    lua_settop(L, 1);
    mf_numbers_read(L, 1, "mf.stats.summary", "x", &x);
    struct mf_stats_moments m = mf_stats_moments(&x);
    bool any = mf_stats_range(&x, &least, &greatest);
    lua_pushinteger(L, (lua_Integer)x.n);
    lua_pushnumber(L, x.n && !isnan(m.mean) ? m.mean : mf_stats_mean(&x)); /* infinite ones have a mean */
    lua_pushnumber(L, m.m2);
    lua_pushnumber(L, any ? least : NAN);
    lua_pushnumber(L, any ? greatest : NAN);
    return 5;
}

/* --- Order -------------------------------------------------------------------------------------------------------- */

/* Quantiles of the numbers at 1, with the weights at 3, into out. Stack: three arguments. */
static void quantiles(lua_State *L, const char *where, const double *p, size_t count, double *out)
{
    struct mf_stats_view x, weights;
    mf_numbers_read(L, 1, where, "x", &x);
    const struct mf_stats_view *w = read_weights(L, 3, where, x.n, &weights);
    if (w) {
        struct mf_stats_pair *pairs = lua_newuserdatauv(L, (x.n ? x.n : 1) * sizeof *pairs, 0);
        for (size_t i = 0; i < x.n; i++) {
            pairs[i].value = x.data[(ptrdiff_t)i * x.stride];
            pairs[i].weight = w->data[(ptrdiff_t)i * w->stride];
        }
        mf_stats_weighted_quantiles(pairs, x.n, p, count, out);
    } else {
        double *copy = mf_numbers_buffer(L, x.n);
        for (size_t i = 0; i < x.n; i++)
            copy[i] = x.data[(ptrdiff_t)i * x.stride];
        mf_stats_quantiles(copy, x.n, p, count, out);
    }
}

static int stats_median(lua_State *L)
{
    double half = 0.5, out;
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    quantiles(L, "mf.stats.median", &half, 1, &out);
    lua_pushnumber(L, out);
    return 1;
}

/* quantile(x, p, weights): a number for a number, a list for a list */
static int stats_quantile(lua_State *L)
{
    static const char where[] = "mf.stats.quantile";
    double one, single;
    struct mf_stats_view p = {.data = &one, .stride = 1, .n = 1};
    lua_settop(L, 3);
    bool list = lua_type(L, 2) != LUA_TNUMBER;
    if (list)
        mf_numbers_read(L, 2, where, "p", &p);
    else
        one = lua_tonumber(L, 2);
    const double *probabilities = list ? mf_numbers_contiguous(L, &p) : p.data;
    for (size_t i = 0; i < p.n; i++)
        if (!(probabilities[i] >= 0 && probabilities[i] <= 1))
            mf_raise(L, "%s: p must be from 0 to 1, not %f", where, (LUAI_UACNUMBER)probabilities[i]);
    double *out = list ? mf_numbers_buffer(L, p.n) : &single;
    quantiles(L, where, probabilities, p.n, out);
    if (list)
        mf_numbers_push(L, out, p.n);
    else
        lua_pushnumber(L, single);
    return 1;
}

/* count(x, edges): the list of counts, and how many numbers lie outside */
static int stats_count(lua_State *L)
{
    static const char where[] = "mf.stats.histogram";
    struct mf_stats_view x, edges;
    lua_settop(L, 2);
    mf_numbers_read(L, 1, where, "x", &x);
    mf_numbers_read(L, 2, where, "edges", &edges);
    const double *edge = mf_numbers_contiguous(L, &edges);
    for (size_t i = 0; i < edges.n; i++)
        if (edge[i] != edge[i] || (i > 0 && edge[i] < edge[i - 1]))
            mf_raise(L, "%s: the edges must ascend; edge %I does not", where, (LUAI_UACINT)i + 1);
    if (edges.n < 2)
        mf_raise(L, "%s: there must be at least two edges", where);
    double *counts = mf_numbers_buffer(L, edges.n - 1);
    memset(counts, 0, (edges.n - 1) * sizeof *counts);
    size_t outside = mf_stats_count(&x, edge, edges.n - 1, counts);
    lua_createtable(L, (int)(edges.n - 1), 0);
    for (size_t i = 0; i + 1 < edges.n; i++) {
        lua_pushinteger(L, (lua_Integer)counts[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushinteger(L, (lua_Integer)outside);
    return 2;
}

/* --- Several variables -------------------------------------------------------------------------------------------- */

typedef double two_variables(const struct mf_stats_view *x, const struct mf_stats_view *y,
                             const struct mf_stats_view *w);

/* The matrix, a list of rows, of all pairs of the variables at 1. */
static int matrix(lua_State *L, const char *where, two_variables *measure)
{
    size_t count;
    struct mf_stats_view weights, *x = mf_numbers_variables(L, 1, where, "x", &count);
    const struct mf_stats_view *w = read_weights(L, 3, where, x->n, &weights);
    lua_createtable(L, (int)count, 0);
    int rows = lua_gettop(L);
    for (size_t i = 1; i <= count; i++) {
        lua_createtable(L, (int)count, 0);
        lua_rawseti(L, rows, (lua_Integer)i);
    }
    for (size_t i = 0; i < count; i++)
        for (size_t j = i; j < count; j++) {
            double value = measure(&x[i], &x[j], w);
            for (int turn = 0; turn < 2; turn++) {
                lua_rawgeti(L, rows, (lua_Integer)(turn ? j : i) + 1);
                lua_pushnumber(L, value);
                lua_rawseti(L, -2, (lua_Integer)(turn ? i : j) + 1);
                lua_pop(L, 1);
            }
        }
    return 1;
}

static int pair(lua_State *L, const char *where, two_variables *measure)
{
    struct mf_stats_view x, y, weights;
    lua_settop(L, 3);
    if (lua_isnil(L, 2))
        return matrix(L, where, measure);
    mf_numbers_read(L, 1, where, "x", &x);
    mf_numbers_read(L, 2, where, "y", &y);
    if (x.n != y.n)
        mf_raise(L, "%s: x has %I numbers, y has %I; there must be as many", where, (LUAI_UACINT)x.n, (LUAI_UACINT)y.n);
    const struct mf_stats_view *w = read_weights(L, 3, where, x.n, &weights);
    lua_pushnumber(L, measure(&x, &y, w));
    return 1;
}

static int stats_cov(lua_State *L)
{
    return pair(L, "mf.stats.cov", mf_stats_covariance);
}

static int stats_cor(lua_State *L)
{
    return pair(L, "mf.stats.cor", mf_stats_correlation);
}

/* --- Regression --------------------------------------------------------------------------------------------------- */

struct fit {
    struct mf_stats_view y, *x;
    const struct mf_stats_view *w;
    size_t n, variables, p, used; /* p: coefficients; used: observations with a weight above zero */
    bool intercept;
};

static double weight_of(const struct fit *f, size_t i)
{
    return f->w ? f->w->data[(ptrdiff_t)i * f->w->stride] : 1;
}

/* Column j of the model at row i: the intercept first. */
static double model(const struct fit *f, size_t j, size_t i)
{
    if (f->intercept && j == 0)
        return 1;
    const struct mf_stats_view *x = &f->x[j - f->intercept];
    return x->data[(ptrdiff_t)i * x->stride];
}

/* All columns and y, each row times the root of its weight. Pushes one value. */
static double *design(lua_State *L, const struct fit *f)
{
    if (f->n > SIZE_MAX / sizeof(double) / (f->p + 1))
        luaL_error(L, "not enough memory");
    double *columns = mf_numbers_buffer(L, f->n * (f->p + 1));
    for (size_t j = 0; j <= f->p; j++)
        for (size_t i = 0; i < f->n; i++) {
            double v = j < f->p ? model(f, j, i) : f->y.data[(ptrdiff_t)i * f->y.stride];
            columns[j * f->n + i] = f->w ? v * sqrt(weight_of(f, i)) : v;
            if (!isfinite(v))
                mf_raise(L, "mf.stats.regression: all numbers must be finite; observation %I is not",
                         (LUAI_UACINT)i + 1);
        }
    return columns;
}

static void set_number(lua_State *L, const char *name, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

/* Pushes the lists of fitted values and residuals, and sets the sums of squares in the table at idx: rss of the
 * residuals, mss of the fitted values (about their mean when there is an intercept). */
static void push_fitted(lua_State *L, int idx, const struct fit *f, const double *b)
{
    double *fitted = mf_numbers_buffer(L, f->n), *residuals = mf_numbers_buffer(L, f->n), rss = 0, mss = 0;
    struct mf_stats_view ones = {.data = &(double){1}, .n = f->n}, all = {.data = fitted, .stride = 1, .n = f->n};
    for (size_t i = 0; i < f->n; i++) {
        fitted[i] = 0;
        for (size_t j = 0; j < f->p; j++)
            fitted[i] += b[j] * model(f, j, i);
        residuals[i] = f->y.data[(ptrdiff_t)i * f->y.stride] - fitted[i];
    }
    double mean = f->intercept ? mf_stats_weighted_mean(&all, f->w ? f->w : &ones) : 0;
    for (size_t i = 0; i < f->n; i++) {
        rss += weight_of(f, i) * residuals[i] * residuals[i];
        mss += weight_of(f, i) * (fitted[i] - mean) * (fitted[i] - mean);
    }
    mf_numbers_push(L, fitted, f->n);
    lua_setfield(L, idx, "fitted");
    mf_numbers_push(L, residuals, f->n);
    lua_setfield(L, idx, "residuals");
    lua_settop(L, idx);
    set_number(L, "rss", rss);
    set_number(L, "mss", mss);
}

/* The lengths of the inverse's rows: standard errors of the coefficients in units of the residuals' one. */
static void push_scales(lua_State *L, const double *inverse, size_t p)
{
    lua_createtable(L, (int)p, 0);
    for (size_t i = 0; i < p; i++) {
        double sum = 0;
        for (size_t k = i; k < p; k++)
            sum += inverse[i * p + k] * inverse[i * p + k];
        lua_pushnumber(L, sqrt(sum));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void check_fit(lua_State *L, struct fit *f)
{
    if (f->y.n != f->n)
        mf_raise(L, "mf.stats.regression: y has %I numbers, each variable has %I; there must be as many",
                 (LUAI_UACINT)f->y.n, (LUAI_UACINT)f->n);
    for (size_t i = 0; i < f->n; i++)
        f->used += weight_of(f, i) > 0;
    if (f->used < f->p)
        mf_raise(L, "mf.stats.regression: %I observations are too few for %I coefficients", (LUAI_UACINT)f->used,
                 (LUAI_UACINT)f->p);
}

static int dependent(lua_State *L, const struct fit *f, size_t column)
{
    if (f->intercept && column == 0)
        return mf_raise(L, "mf.stats.regression: there is nothing to fit an intercept to");
    return mf_raise(L, "mf.stats.regression: variable %I is a linear combination of %s before it; leave it out",
                    (LUAI_UACINT)(column + 1 - f->intercept), f->intercept ? "the intercept and those" : "those");
}

/* fit(y, variables, intercept, weights): a table with coefficients, scales (push_scales), fitted, residuals, rss,
 * mss, and used: how many observations have a weight above zero */
static int stats_fit(lua_State *L)
{
    static const char where[] = "mf.stats.regression";
    struct mf_stats_view weights;
    struct fit f = {.intercept = lua_toboolean(L, 3)};
    lua_settop(L, 4);
    mf_numbers_read(L, 1, where, "y", &f.y);
    f.x = mf_numbers_variables(L, 2, where, "x", &f.variables);
    f.n = f.x->n;
    f.p = f.variables + f.intercept;
    f.w = read_weights(L, 4, where, f.n, &weights);
    check_fit(L, &f);
    double *b = mf_numbers_buffer(L, f.p), *inverse = mf_numbers_buffer(L, f.p * f.p);
    size_t bad = mf_stats_least_squares(design(L, &f), f.n, f.p, b, inverse);
    if (bad < f.p)
        return dependent(L, &f, bad);
    lua_newtable(L);
    int result = lua_gettop(L);
    mf_numbers_push(L, b, f.p);
    lua_setfield(L, result, "coefficients");
    push_scales(L, inverse, f.p);
    lua_setfield(L, result, "scales");
    lua_pushinteger(L, (lua_Integer)f.used);
    lua_setfield(L, result, "used");
    push_fitted(L, result, &f, b);
    return 1;
}

/* student(t, df): the probability of a t further from 0 */
static int stats_student(lua_State *L)
{
    lua_pushnumber(L, mf_stats_student(luaL_checknumber(L, 1), luaL_checknumber(L, 2)));
    return 1;
}

/* stats(): a table of these functions */
static int core_stats(lua_State *L)
{
    const luaL_Reg functions[] = {
        {"mean", stats_mean},         {"var", stats_var},     {"sd", stats_sd},           {"moments", stats_moments},
        {"median", stats_median},     {"count", stats_count}, {"cov", stats_cov},         {"cor", stats_cor},
        {"quantile", stats_quantile}, {"fit", stats_fit},     {"student", stats_student}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}

void mf_lib_stats(lua_State *L)
{
    lua_pushcfunction(L, core_stats);
    lua_setfield(L, -2, "stats");
}
