/* Design note: a task runs under one pcall, with C frames that hold nothing but Lua values and borrowed bytes, so an
 * error anywhere unwinds cleanly. A chunk's elements are decoded one by one, called, and their results encoded at once:
 * no table of elements or results exists in the worker.
 *
 * What an interrupted task returns is dropped by the runtime, so nothing here tells an interrupt from an error, except
 * that collected errors must not swallow it. */
#include "run.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/msg.h"
#include "alloc.h"
#include "codec.h"
#include "instance.h"
#include "interrupt.h"
#include "lib_array_box.h"
#include "lib_share.h"
#include "live.h"
#include "moonfleet.h"
#include "session.h"

#define LARGE       MF_ALLOC_LARGE /* bytes of a message; below, the collector's own pace will do */
#define LARGE_TIMES 8              /* the large messages for which a collection is worth it, by what else there is */

/* Where things stand on the stack while a task runs. */
enum { FN = 1, FN2, ENV, DECODER, ENCODER, LIST, LIST2, FREE };

struct run {
    struct mf_instance *instance;
    const struct mf_task *task;
    struct mf_buf *result;
    struct mf_decoder *in;
    struct mf_encoder *out;
    lua_Integer element; /* the position of the element that is being worked on; 0 = none */
    enum mf_run_mode mode;
    lua_Integer flags, first, count;
};

static lua_Integer read_integer(lua_State *L, struct run *r)
{
    mf_decode_value(L, r->in);
    lua_Integer n = luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    return n;
}

/* --- A call ------------------------------------------------------------------------------------------------------ */

/* Replaces the argument at idx by the first value of a result. */
static void put_dependency(lua_State *L, int idx, struct mf_bytes result)
{
    struct mf_decode_options options = {.trust = true, .env = ENV, .holds = result.holds};
    struct mf_decoder *d = mf_decode_begin(L, result.data, result.len, &options);
    if (mf_decode_more(d))
        mf_decode_value(L, d);
    else
        lua_pushnil(L);
    lua_replace(L, idx);
    lua_pop(L, 1);
}

/* Pushes the arguments of a call; fn stands below them. */
static void push_arguments(lua_State *L, struct run *r)
{
    size_t ndeps = r->in ? (size_t)read_integer(L, r) : 0;
    if (ndeps != r->task->ndeps)
        luaL_error(L, "malformed message: wrong number of dependencies");
    int positions = lua_gettop(L);
    luaL_checkstack(L, (int)ndeps + 1, "too many dependencies");
    for (size_t i = 0; i < ndeps; i++)
        mf_decode_value(L, r->in);
    lua_pushvalue(L, FN);
    int fn = lua_gettop(L);
    while (r->in && mf_decode_more(r->in)) {
        luaL_checkstack(L, 4, "too many arguments");
        mf_decode_value(L, r->in);
    }
    for (size_t i = 0; i < ndeps; i++) {
        int idx = fn + (int)lua_tointeger(L, positions + 1 + (int)i);
        if (idx <= fn || idx > lua_gettop(L))
            luaL_error(L, "malformed message: a dependency for no argument");
        put_dependency(L, idx, r->task->deps[i]);
    }
    for (size_t i = 0; i < ndeps; i++)
        lua_remove(L, positions + 1);
}

static void run_call(lua_State *L, struct run *r)
{
    push_arguments(L, r);
    lua_call(L, lua_gettop(L) - FREE, LUA_MULTRET);
    int n = lua_gettop(L);
    for (int i = FREE; i <= n; i++)
        mf_encode_value(L, r->out, i, "result", i - FREE + 1);
}

/* --- A chunk ----------------------------------------------------------------------------------------------------- */

struct range {
    lua_Integer start, step;
    lua_Number fstart, fstep;
    bool is_integer;
};

static void read_range(lua_State *L, struct run *r, struct range *range)
{
    mf_decode_value(L, r->in);
    mf_decode_value(L, r->in);
    range->is_integer = lua_isinteger(L, -1) && lua_isinteger(L, -2);
    range->start = lua_tointeger(L, -2);
    range->step = lua_tointeger(L, -1);
    range->fstart = lua_tonumber(L, -2);
    range->fstep = lua_tonumber(L, -1);
    lua_pop(L, 2);
}

static void push_range(lua_State *L, const struct range *range, lua_Integer i)
{
    if (range->is_integer)
        lua_pushinteger(L,
                        (lua_Integer)((lua_Unsigned)range->start + (lua_Unsigned)(i - 1) * (lua_Unsigned)range->step));
    else
        lua_pushnumber(L, range->fstart + (lua_Number)(i - 1) * range->fstep);
}

/* Replaces the table on top by its elements 1..n (or #). Returns how many. */
static int unpack(lua_State *L)
{
    if (!lua_istable(L, -1))
        luaL_error(L, "starmap: an element must be a table of arguments, not a %s", luaL_typename(L, -1));
    int t = lua_gettop(L);
    lua_getfield(L, t, "n");
    lua_Integer n = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : (lua_Integer)lua_rawlen(L, t);
    lua_pop(L, 1);
    if (n < 0 || n > 1000000 || !lua_checkstack(L, (int)n + 1))
        luaL_error(L, "starmap: too many arguments");
    for (lua_Integer i = 1; i <= n; i++)
        lua_geti(L, t, i);
    lua_remove(L, t);
    return (int)n;
}

/* The element as it came, or from a list that this fork has inherited. */
static void push_listed(lua_State *L, struct run *r, int list)
{
    if (r->flags & MF_RUN_LIVE)
        lua_rawgeti(L, list, r->element);
    else
        mf_decode_value(L, r->in);
}

/* Pushes the arguments that the next element makes. Returns how many. */
static int push_element(lua_State *L, struct run *r, const struct range *range)
{
    if (r->flags & MF_RUN_RANGE) {
        push_range(L, range, r->element);
        return 1;
    }
    if (r->flags & MF_RUN_ARRAY) {
        mf_lib_array_push_row(L, lua_touserdata(L, LIST), (size_t)(r->element - r->first));
        return 1;
    }
    push_listed(L, r, LIST);
    if (r->flags & MF_RUN_STAR)
        return unpack(L);
    if (!(r->flags & MF_RUN_PAIRS))
        return 1;
    push_listed(L, r, LIST2);
    return 2;
}

static void must_stop(lua_State *L, const struct run *r)
{
    if (r->instance->exiting || atomic_load_explicit(r->task->wanted, memory_order_relaxed))
        lua_error(L);
}

/* Message handler: the error value stays as it is, the traceback goes beside it. */
static int add_traceback(lua_State *L)
{
    lua_settop(L, 1);
    luaL_traceback(L, L, NULL, 1);
    lua_createtable(L, 2, 0);
    lua_insert(L, 1);
    lua_rawseti(L, 1, 2);
    lua_rawseti(L, 1, 1);
    return 1;
}

/* Pushes the error value and the traceback that add_traceback boxed at idx; anything else (memory was out) is the error
 * value itself. */
static void push_boxed(lua_State *L, int idx)
{
    if (lua_istable(L, idx) && lua_rawgeti(L, idx, 2) == LUA_TSTRING) {
        lua_rawgeti(L, idx, 1);
        lua_insert(L, -2);
        return;
    }
    lua_settop(L, idx);
    lua_pushvalue(L, idx);
    lua_pushnil(L);
}

/* Under pcall, since __tostring is the user's. */
static int describe_error(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* Replaces an error value that cannot be sent by what it has to say. */
static void replace_error(lua_State *L, int idx)
{
    lua_pushcfunction(L, describe_error);
    lua_pushvalue(L, idx);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        lua_pop(L, 1);
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, idx));
    }
    lua_replace(L, idx);
}

/* Under pcall: can the value at 1 be sent at all? */
static int try_encode(lua_State *L)
{
    struct mf_encode_options options = {0};
    struct mf_encoder *e = mf_encode_begin(L, lua_touserdata(L, 2), &options);
    mf_encode_value(L, e, 1, "error", 0);
    mf_encode_end(L, e);
    return 0;
}

/* Replaces the error value on top by its description when it cannot be sent: an error that is collected must not spoil
 * the message in which the other results are. */
static void make_sendable(lua_State *L)
{
    struct mf_buf scratch = {0};
    int idx = lua_gettop(L);
    if (!lua_istable(L, idx) && !lua_isuserdata(L, idx) && !lua_isfunction(L, idx) && !lua_isthread(L, idx))
        return;
    lua_pushcfunction(L, try_encode);
    lua_pushvalue(L, idx);
    lua_pushlightuserdata(L, &scratch);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
        lua_settop(L, idx);
        replace_error(L, idx);
    }
    mf_buf_release(&scratch);
}

/* Calls the function under its nargs arguments; an error and its traceback are encoded in the place of the result.
 * False then. */
static bool call_collecting(lua_State *L, struct run *r, int nargs)
{
    int fn = lua_gettop(L) - nargs;
    lua_pushcfunction(L, add_traceback);
    lua_insert(L, fn);
    bool ok = lua_pcall(L, nargs, 1, fn) == LUA_OK;
    if (!ok)
        must_stop(L, r);
    lua_pushboolean(L, ok);
    mf_encode_value(L, r->out, -1, "result", 0);
    lua_pop(L, 1);
    if (ok)
        return true;
    push_boxed(L, lua_gettop(L));
    lua_insert(L, -2);
    make_sendable(L);
    mf_encode_value(L, r->out, -1, "error of element", r->element);
    mf_encode_value(L, r->out, -2, "traceback", 0);
    return false;
}

static void encode_element(lua_State *L, struct run *r)
{
    if (r->mode == MF_RUN_EACH)
        return;
    if (r->mode == MF_RUN_FILTER) {
        lua_pushboolean(L, lua_toboolean(L, -1));
        lua_replace(L, -2);
    }
    mf_encode_value(L, r->out, -1, "result of element", r->element);
}

static void begin_element(struct run *r, lua_Integer i)
{
    struct mf_instance *w = r->instance;
    r->element = i;
    w->serial++;
    mf_random_select(&w->random, r->task->seed, r->task->stream + (uint64_t)(i - r->first));
}

static void run_elements(lua_State *L, struct run *r, const struct range *range)
{
    for (lua_Integer i = r->first; i < r->first + r->count; i++) {
        begin_element(r, i);
        lua_pushvalue(L, FN);
        int nargs = push_element(L, r, range);
        bool ok = true;
        if (r->flags & MF_RUN_COLLECT)
            ok = call_collecting(L, r, nargs);
        else
            lua_call(L, nargs, 1);
        if (ok)
            encode_element(L, r);
        lua_settop(L, LIST2);
    }
}

static void run_fold(lua_State *L, struct run *r, const struct range *range)
{
    int fold = r->mode == MF_RUN_FOLD ? FN : FN2;
    for (lua_Integer i = r->first; i < r->first + r->count; i++) {
        begin_element(r, i);
        lua_pushvalue(L, fold);
        lua_insert(L, -2 + (i == r->first)); /* under the accumulator, if there is one */
        if (r->mode == MF_RUN_MAPFOLD)
            lua_pushvalue(L, FN);
        int nargs = push_element(L, r, range);
        if (r->mode == MF_RUN_MAPFOLD)
            lua_call(L, nargs, 1);
        else if (nargs != 1)
            luaL_error(L, "a fold takes elements of one value");
        if (i == r->first)
            lua_remove(L, -2);
        else
            lua_call(L, 2, 1);
    }
    mf_encode_value(L, r->out, -1, "result of reduce", 0);
}

static void read_lists(lua_State *L, struct run *r)
{
    if (!r->instance->forked)
        luaL_error(L, "malformed message: elements that were not sent");
    uint64_t number = (uint64_t)read_integer(L, r);
    for (int list = LIST; list <= (r->flags & MF_RUN_PAIRS ? LIST2 : LIST); list++) {
        mf_live_push(L, number, read_integer(L, r));
        luaL_checktype(L, -1, LUA_TTABLE);
        lua_replace(L, list);
    }
}

/* The rows of this chunk, in the place of a list. */
static void read_rows(lua_State *L, struct run *r)
{
    mf_decode_value(L, r->in);
    const struct mf_array *rows = mf_lib_array_test(L, -1);
    if (!rows || r->count < 0 || (lua_Unsigned)r->count != rows->shape[0])
        luaL_error(L, "malformed message: not the rows of a chunk");
    lua_replace(L, LIST);
}

static void run_chunk(lua_State *L, struct run *r)
{
    struct range range = {0};
    r->flags = read_integer(L, r);
    r->first = read_integer(L, r);
    r->count = read_integer(L, r);
    if (r->flags & MF_RUN_RANGE)
        read_range(L, r, &range);
    if (r->flags & MF_RUN_LIVE)
        read_lists(L, r);
    if (r->flags & MF_RUN_ARRAY)
        read_rows(L, r);
    if (r->mode == MF_RUN_FOLD || r->mode == MF_RUN_MAPFOLD)
        run_fold(L, r, &range);
    else
        run_elements(L, r, &range);
}

/* --- A task ------------------------------------------------------------------------------------------------------ */

static void begin_arguments(lua_State *L, struct run *r)
{
    struct mf_decode_options options = {
        .trust = true, .env = ENV, .live = r->instance->forked, .holds = r->task->args.holds};
    if (!r->task->args.len) {
        lua_pushnil(L); /* keeps the places */
        return;
    }
    r->in = mf_decode_begin(L, r->task->args.data, r->task->args.len, &options);
    r->mode = (enum mf_run_mode)read_integer(L, r);
}

static int body(lua_State *L)
{
    struct run *r = lua_touserdata(L, 1);
    struct mf_encode_options options = {.env = ENV, .holds = r->task->holds};
    lua_settop(L, 0);
    mf_prepared_push(L, &r->instance->prepared, r->task->code, r->task->setup);
    lua_pushvalue(L, ENV);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    begin_arguments(L, r);
    r->out = mf_encode_begin(L, r->result, &options);
    lua_settop(L, LIST2);
    if (r->mode == MF_RUN_CALL)
        run_call(L, r);
    else
        run_chunk(L, r);
    r->element = 0;
    if (r->in)
        mf_decode_end(L, r->in);
    mf_encode_end(L, r->out);
    return 0;
}

/* --- Errors ------------------------------------------------------------------------------------------------------ */

/* Under pcall: the run, the error value and the traceback. */
static int encode_error(lua_State *L)
{
    struct run *r = lua_touserdata(L, 1);
    struct mf_encode_options options = {0};
    struct mf_encoder *e = mf_encode_begin(L, r->result, &options);
    mf_encode_value(L, e, 2, "error", 0);
    mf_encode_value(L, e, 3, "traceback", 0);
    if (r->element)
        lua_pushinteger(L, r->element);
    else
        lua_pushnil(L);
    mf_encode_value(L, e, -1, "element", 0);
    mf_encode_end(L, e);
    return 0;
}

/* Encodes the failure whose error value and traceback are at value and value + 1. */
static bool encode_failure(lua_State *L, struct run *r, int value)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        r->result->len = 0;
        lua_pushcfunction(L, encode_error);
        lua_pushlightuserdata(L, r);
        lua_pushvalue(L, value);
        lua_pushvalue(L, value + 1);
        if (lua_pcall(L, 3, 0, 0) == LUA_OK)
            return true;
        lua_pop(L, 1);
        replace_error(L, value);
    }
    return false;
}

/* Under pcall (memory may be out): takes apart what add_traceback made, and encodes it. */
static int report(lua_State *L)
{
    struct run *r = lua_touserdata(L, 1);
    push_boxed(L, 2);
    if (r->instance->exiting) {
        lua_pushfstring(L, "os.exit(%d) was called in a task: that ends the task, not the program",
                        r->instance->exit_code);
        lua_replace(L, 3);
    }
    encode_failure(L, r, 3);
    return 0;
}

/* --- The runner -------------------------------------------------------------------------------------------------- */

static void begin_task(struct mf_instance *w, const struct mf_task *task)
{
    w->port = task->port;
    w->wanted = task->wanted;
    w->exiting = false;
    w->tasks++;
    w->serial++;
    mf_random_select(&w->random, task->seed, task->stream);
    mf_relay_attach(&w->relay, task->port);
}

static size_t large(size_t bytes)
{
    return bytes > LARGE ? bytes : 0;
}

/* A long string would wait for the collector long after the task; while such pass that are many times what else there
 * is, to collect at once costs next to nothing. (In a fork it would, for all that it has inherited.) */
static void collect(struct mf_instance *w, size_t bytes)
{
    w->large += bytes;
    if (w->large < LARGE_TIMES * w->rest)
        return;
    lua_gc(w->L, LUA_GCCOLLECT);
    w->large = 0;
    w->rest = (size_t)lua_gc(w->L, LUA_GCCOUNT) * 1024;
}

/* bytes: of the large messages of the task. */
static void end_task(struct mf_instance *w, size_t bytes)
{
    lua_State *L = w->L;
    lua_settop(L, 0);
    if (bytes > 0 && !w->forked)
        collect(w, bytes);
    mf_relay_attach(&w->relay, NULL);
    w->port = NULL;
    w->wanted = NULL;
    mf_instance_push_base(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
}

static enum mf_outcome run_task(void *worker, const struct mf_task *task, struct mf_buf *result)
{
    struct mf_instance *w = worker;
    lua_State *L = w->L;
    struct run r = {.instance = w, .task = task, .result = result};
    struct mf_sys_interrupt entry;
    begin_task(w, task);
    lua_pushcfunction(L, add_traceback);
    lua_pushcfunction(L, body);
    lua_pushlightuserdata(L, &r);
    mf_interrupt_enter(L, &entry);
    if (atomic_load_explicit(task->wanted, memory_order_acquire) || mf_sys_interrupt_wanted())
        mf_interrupt_state(L); /* the signal came before the entry stood */
    int status = lua_pcall(L, 1, 0, 1);
    mf_interrupt_leave(L, &entry);
    if (w->forked)
        fflush(NULL); /* a file that the owner has opened too: what the task wrote stands there when it has ended */
    if (status != LUA_OK) {
        lua_pushcfunction(L, report);
        lua_insert(L, -2);
        lua_pushlightuserdata(L, &r);
        lua_insert(L, -2);
        if (lua_pcall(L, 2, 0, 0) != LUA_OK)
            result->len = 0;
    }
    end_task(w, large(task->args.len) + large(result->len));
    return status == LUA_OK ? MF_OUTCOME_VALUE : MF_OUTCOME_ERROR;
}

static void *open_worker(const struct mf_worker_info *info, struct mf_fault *fault)
{
    return mf_instance_new(info, fault);
}

static void *adopt_owner(void *context, const struct mf_worker_info *info, struct mf_fault *fault)
{
    const struct mf_session *s = context;
    return mf_instance_adopt(s->main, info, fault);
}

static void idle(void *worker)
{
    struct mf_instance *w = worker;
    mf_prepared_trim(w->L, &w->prepared);
    mf_lib_share_trim(w->L);
    mf_lib_array_idle(w->L);
}

static void close_worker(void *worker)
{
    mf_instance_free(worker);
}

static void live(void *context, const char *worker_name, enum mf_stream stream, const void *bytes, size_t n)
{
    struct mf_session *s = context;
    if (s->holds && mf_session_hold(s, worker_name, bytes, n))
        return;
    mf_relay_live(s->relay, worker_name, stream, bytes, n);
}

static const struct mf_msg_hello hello = {
    .version = MF_MSG_VERSION,
    .lua_version = LUA_VERSION_NUM,
    .integer = sizeof(lua_Integer),
    .number = sizeof(lua_Number),
    .codec_version = MF_CODEC_VERSION,
    .program = MF_VERSION,
};

const struct mf_runner mf_run_runner = {
    .hello = &hello,
    .open = open_worker,
    .adopt = adopt_owner,
    .run = run_task,
    .idle = idle,
    .close = close_worker,
    .live = live,
};
