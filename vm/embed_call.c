/* The host calls Lua functions, and sets and reads globals. */
#include <lauxlib.h>

#include "interp.h"

struct call {
    struct mf_interp_call base;
    const char *name;
    const struct mf_datum *args;
    size_t nargs;
    struct mf_datum *results;
    size_t *nresults;
};

static int body_function(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    if (!mf_interp_push_call(L, &call->base, call->name, call->args, call->nargs))
        return 1;
    enum mf_status status = mf_interp_run(L, call->base.interp, (int)call->nargs, call->nresults ? LUA_MULTRET : 0);
    if (status == MF_RUN_OK)
        mf_interp_results(L, 1, call->results, call->nresults);
    return mf_interp_finish(&call->base, status);
}

enum mf_status mf_run_function(struct mf_interp *interp, const char *name, const struct mf_datum *args, size_t nargs,
                               struct mf_datum *results, size_t *nresults)
{
    struct call call = {.name = name, .args = args, .nargs = nargs, .results = results, .nresults = nresults};
    return mf_interp_protect(interp, body_function, &call.base);
}

static int body_set(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    mf_embed_push(L, call->args);
    lua_setglobal(L, call->name);
    return 0;
}

enum mf_status mf_set_global(struct mf_interp *interp, const char *name, struct mf_datum value)
{
    struct call call = {.name = name, .args = &value};
    return mf_interp_protect(interp, body_set, &call.base);
}

static int body_get(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    size_t one = 1;
    mf_interp_named(L, call->name);
    mf_interp_results(L, 1, call->results, &one);
    return 0;
}

enum mf_status mf_get_global(struct mf_interp *interp, const char *name, struct mf_datum *value)
{
    struct call call = {.name = name, .results = value};
    *value = mf_from_nil();
    return mf_interp_protect(interp, body_get, &call.base);
}
