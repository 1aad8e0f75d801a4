/* Futures for the host. A ticket is a key in a table of the registry, where the Lua object of the future is; so a
 * wrong ticket is an error and not a wild pointer. Those that mf_next has not given yet also stand in an array, to
 * be looked through without Lua; their records live as long as the objects, which leave the table and the array
 * together. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/sys.h"
#include "interp.h"
#include "lib.h"

static const char tickets_key; /* registry: ticket -> future */

struct call {
    struct mf_interp_call base;
    const struct mf_task_options *options;
    const char *name;
    const struct mf_datum *args;
    size_t nargs;
    struct mf_datum *results;
    size_t *nresults;
    const mf_ticket *tickets;
    size_t n, need;
    double seconds;
    mf_ticket ticket;
    bool changed;
    int fd;
};

static void push_tickets(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &tickets_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &tickets_key);
}

/* Pushes the object; NULL (and pushes nothing) when the ticket is none. */
static struct mf_lib_future *push_future(lua_State *L, mf_ticket ticket)
{
    push_tickets(L);
    lua_rawgeti(L, -1, (lua_Integer)ticket);
    lua_remove(L, -2);
    struct mf_lib_future *object = lua_isnil(L, -1) ? NULL : mf_lib_check_future(L, -1);
    if (!object)
        lua_pop(L, 1);
    return object;
}

static int no_future(lua_State *L, struct call *call, mf_ticket ticket)
{
    return mf_interp_misuse(L, &call->base, "ticket %I is no future: it was never given, or was taken or dropped",
                            (LUAI_UACINT)ticket);
}

/* --- The array ----------------------------------------------------------------------------------------------------- */

static bool make_room(struct mf_interp *interp)
{
    if (interp->nopen < interp->open_cap)
        return true;
    size_t cap = interp->open_cap ? 2 * interp->open_cap : 16;
    struct mf_interp_open *open = realloc(interp->open, cap * sizeof *open);
    if (!open)
        return false;
    interp->open = open;
    interp->open_cap = cap;
    return true;
}

static void remove_at(struct mf_interp *interp, size_t i)
{
    memmove(&interp->open[i], &interp->open[i + 1], (interp->nopen - i - 1) * sizeof *interp->open);
    interp->nopen--;
}

/* Takes the future out of the array, if it is there, and out of the table. */
static void forget(lua_State *L, struct mf_interp *interp, mf_ticket ticket)
{
    for (size_t i = 0; i < interp->nopen; i++)
        if (interp->open[i].ticket == ticket) {
            remove_at(interp, i);
            break;
        }
    push_tickets(L);
    lua_pushnil(L);
    lua_rawseti(L, -2, (lua_Integer)ticket);
    lua_pop(L, 1);
}

void mf_interp_forget_futures(struct mf_interp *interp)
{
    free(interp->open);
    interp->open = NULL;
    interp->nopen = interp->open_cap = 0;
}

/* --- Making one ---------------------------------------------------------------------------------------------------- */

static void set_integer(lua_State *L, const char *name, lua_Integer n)
{
    lua_pushinteger(L, n);
    lua_setfield(L, -2, name);
}

/* The table that mf.future takes. */
static void push_options(lua_State *L, const struct mf_task_options *o)
{
    lua_createtable(L, 0, 5);
    if (o->label) {
        lua_pushstring(L, o->label);
        lua_setfield(L, -2, "label");
    }
    if (o->timeout > 0) {
        lua_pushnumber(L, o->timeout);
        lua_setfield(L, -2, "timeout");
    }
    if (o->retries > 0)
        set_integer(L, "retries", o->retries);
    if (o->priority)
        set_integer(L, "priority", o->priority);
    if (o->has_seed)
        set_integer(L, "seed", (lua_Integer)o->seed);
}

static int body_submit(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    struct mf_interp *interp = call->base.interp;
    mf_interp_module(L, "moonfleet.future");
    lua_getfield(L, 1, "future");
    lua_replace(L, 1);
    if (call->options)
        push_options(L, call->options);
    if (!mf_interp_push_call(L, &call->base, call->name, call->args, call->nargs))
        return 1;
    if (!make_room(interp))
        return luaL_error(L, "not enough memory");
    enum mf_status status = mf_interp_run(L, interp, lua_gettop(L) - 1, 1);
    if (status != MF_RUN_OK)
        return mf_interp_finish(&call->base, status);
    push_tickets(L);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, (lua_Integer)interp->last + 1);
    call->ticket = ++interp->last;
    interp->open[interp->nopen++] = (struct mf_interp_open){call->ticket, mf_lib_check_future(L, 1)->future};
    return 0;
}

enum mf_status mf_submit(struct mf_interp *interp, const struct mf_task_options *options, const char *name,
                         const struct mf_datum *args, size_t nargs, mf_ticket *ticket)
{
    struct call call = {.options = options, .name = name, .args = args, .nargs = nargs};
    enum mf_status status = mf_interp_protect(interp, body_submit, &call.base);
    *ticket = call.ticket;
    return status;
}

/* --- Asking for one ------------------------------------------------------------------------------------------------ */

static bool is_resolved(lua_State *L, struct mf_future *f)
{
    return mf_future_final(f) || mf_runtime_poll(mf_session_get(L)->owner, f);
}

static int body_poll(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    struct mf_lib_future *object = push_future(L, call->ticket);
    if (!object)
        return no_future(L, call, call->ticket);
    return mf_interp_finish(&call->base, is_resolved(L, object->future) ? MF_RUN_OK : MF_RUN_PENDING);
}

enum mf_status mf_poll(struct mf_interp *interp, mf_ticket ticket)
{
    struct call call = {.ticket = ticket};
    return mf_interp_protect(interp, body_poll, &call.base);
}

static enum mf_status status_of(const struct mf_future *f)
{
    switch (f->failure) {
    case MF_FAILURE_TIMEOUT:
        return MF_RUN_TIMEOUT;
    case MF_FAILURE_CANCELLED:
        return MF_RUN_CANCELLED;
    case MF_FAILURE_LOST:
        return MF_RUN_LOST;
    default:
        return MF_RUN_ERROR;
    }
}

static int body_take(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    struct mf_interp *interp = call->base.interp;
    struct mf_lib_future *object = push_future(L, call->ticket);
    if (!object)
        return no_future(L, call, call->ticket);
    if (!is_resolved(L, object->future))
        return mf_interp_finish(&call->base, MF_RUN_PENDING);
    bool done = mf_future_state(object->future) == MF_FUTURE_DONE;
    enum mf_status failure = done ? MF_RUN_OK : status_of(object->future);
    forget(L, interp, call->ticket);
    lua_pushcfunction(L, mf_lib_value);
    lua_pushvalue(L, 1);
    enum mf_status status = mf_interp_run(L, interp, 1, LUA_MULTRET);
    if (status == MF_RUN_OK)
        mf_interp_results(L, 2, call->results, call->nresults);
    else if (!done && status == MF_RUN_ERROR)
        status = failure;
    return mf_interp_finish(&call->base, status);
}

enum mf_status mf_take(struct mf_interp *interp, mf_ticket ticket, struct mf_datum *results, size_t *nresults)
{
    struct call call = {.ticket = ticket, .results = results, .nresults = nresults};
    return mf_interp_protect(interp, body_take, &call.base);
}

static int body_cancel(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    struct mf_lib_future *object = push_future(L, call->ticket);
    if (!object)
        return no_future(L, call, call->ticket);
    struct mf_future *f = object->future;
    call->changed = !mf_future_final(f) && mf_runtime_cancel(mf_session_get(L)->owner, f);
    return 0;
}

bool mf_cancel(struct mf_interp *interp, mf_ticket ticket)
{
    struct call call = {.ticket = ticket};
    mf_interp_protect(interp, body_cancel, &call.base);
    return call.changed;
}

static int body_drop(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    forget(L, call->base.interp, call->ticket);
    return 0;
}

void mf_drop(struct mf_interp *interp, mf_ticket ticket)
{
    struct call call = {.ticket = ticket};
    mf_interp_protect(interp, body_drop, &call.base);
}

/* --- Waiting ------------------------------------------------------------------------------------------------------- */

static int body_wait(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    uint64_t deadline = call->seconds < 0 ? MF_SYS_NEVER : mf_sys_after(call->seconds);
    struct mf_future **futures = lua_newuserdatauv(L, (call->n ? call->n : 1) * sizeof *futures, 0);
    for (size_t i = 0; i < call->n; i++) {
        struct mf_lib_future *object = push_future(L, call->tickets[i]);
        if (!object)
            return no_future(L, call, call->tickets[i]);
        futures[i] = object->future; /* the table keeps it */
        lua_pop(L, 1);
    }
    if (!call->n)
        return 0;
    size_t need = call->need ? call->need : call->n;
    enum mf_err e = mf_runtime_wait(mf_session_get(L)->owner, futures, call->n, need, deadline);
    if (e == MF_OK)
        return 0;
    lua_pushstring(L, e == MF_EINTR ? "interrupted!" : "the futures were not resolved in time; they go on");
    return mf_interp_finish(&call->base, e == MF_EINTR ? MF_RUN_INTERRUPTED : MF_RUN_TIMEOUT);
}

enum mf_status mf_wait(struct mf_interp *interp, const mf_ticket *tickets, size_t n, size_t need, double seconds)
{
    struct call call = {.tickets = tickets, .n = n, .need = need, .seconds = seconds};
    return mf_interp_protect(interp, body_wait, &call.base);
}

/* --- In the host's own event loop ---------------------------------------------------------------------------------- */

static int body_fd(lua_State *L)
{
    struct call *call = mf_interp_body(L);
    call->fd = mf_owner_notes(mf_session_get(L)->owner);
    return call->fd >= 0 ? 0 : luaL_error(L, "cannot make a descriptor to wait for");
}

int mf_fd(struct mf_interp *interp)
{
    struct call call = {.fd = -1};
    mf_interp_protect(interp, body_fd, &call.base);
    return call.fd;
}

/* Notes are read first: a future that is resolved later makes a new one. */
static int body_progress(lua_State *L)
{
    mf_interp_body(L);
    struct mf_owner *owner = mf_session_get(L)->owner;
    mf_owner_read_notes(owner);
    mf_runtime_turn(owner);
    return 0;
}

enum mf_status mf_progress(struct mf_interp *interp)
{
    struct call call = {0};
    return mf_interp_protect(interp, body_progress, &call.base);
}

mf_ticket mf_next(struct mf_interp *interp)
{
    for (size_t i = 0; i < interp->nopen; i++) {
        mf_ticket ticket = interp->open[i].ticket;
        if (!mf_future_final(interp->open[i].future))
            continue;
        remove_at(interp, i);
        return ticket;
    }
    return 0;
}
