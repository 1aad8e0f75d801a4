/* Design note: how a result is read. Bytes become values once, in the user value of the future's object; then the
 * bytes can go, unless another future waits for them as an argument. What a task printed is relayed once, before its
 * value is given. */
#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "../runtime/sys.h"
#include "interp.h"
#include "lib.h"

uint64_t mf_lib_check_deadline(lua_State *L, int idx)
{
    if (lua_isnoneornil(L, idx))
        return MF_SYS_NEVER;
    lua_Number seconds = luaL_checknumber(L, idx);
    luaL_argcheck(L, !isnan(seconds), idx, "a time limit cannot be nan");
    return mf_sys_after(seconds);
}

bool mf_lib_wait(lua_State *L, struct mf_future *f, uint64_t deadline)
{
    if (mf_future_final(f))
        return true;
    enum mf_err e = mf_session_wait(mf_session_get(L), &f, 1, 1, deadline);
    if (e == MF_EINTR)
        luaL_error(L, "interrupted!");
    return e == MF_OK;
}

static void print_output(lua_State *L, struct mf_lib_future *object)
{
    struct mf_future *f = object->future;
    if (object->printed)
        return;
    object->printed = true;
    if (!f->extra || !f->extra->output.len || f->output != MF_OUTPUT_RELAY)
        return;
    mf_relay_print(mf_interp_relay(L), f->extra->output.data, f->extra->output.len);
}

void mf_lib_finish(lua_State *L, struct mf_lib_future *object)
{
    mf_lib_wait(L, object->future, MF_SYS_NEVER);
    object->seen = true;
    print_output(L, object);
}

/* The values of a message; the argument is the blob. */
static int decode_body(lua_State *L)
{
    const struct mf_blob *bytes = lua_touserdata(L, 1);
    struct mf_decode_options options = {.trust = true, .holds = bytes->holds};
    struct mf_decoder *d = mf_decode_begin(L, bytes->data, bytes->len, &options);
    int base = lua_gettop(L);
    while (mf_decode_more(d)) {
        luaL_checkstack(L, 8, "too many results");
        mf_decode_value(L, d);
    }
    mf_decode_end(L, d);
    return lua_gettop(L) - base;
}

/* Leaves them on the stack. Returns how many. */
static int decode_all(lua_State *L, struct mf_blob *bytes)
{
    int base = lua_gettop(L);
    lua_pushcfunction(L, decode_body);
    lua_pushlightuserdata(L, bytes);
    mf_decode_call(L, 1, bytes->len);
    return lua_gettop(L) - base;
}

static const char *const kinds[] = {NULL, "error", "timeout", "cancelled", "lost"};

static void push_runtime_error(lua_State *L, const struct mf_lib_future *object)
{
    const struct mf_future *f = object->future;
    const char *text = f->extra && f->extra->fault[0] ? f->extra->fault : NULL;
    const char *label = mf_lib_label(f);
    char name[MF_LIB_NAME];
    lua_pushfstring(L, "%s%s%s%s%s%s", kinds[f->failure], label ? " of future '" : "", label ? label : "",
                    label ? "'" : "", text ? ": " : "", text ? text : "");
    mf_session_push_error(L, kinds[f->failure], lua_tostring(L, -1), label, mf_lib_worker(object, name));
    lua_remove(L, -2);
}

void mf_lib_read(lua_State *L, int idx, struct mf_lib_future *object)
{
    struct mf_future *f = object->future;
    idx = lua_absindex(L, idx);
    if (object->n != MF_LIB_UNREAD)
        return;
    int base = lua_gettop(L), n;
    bool failed = mf_future_state(f) != MF_FUTURE_DONE;
    if (f->result) {
        n = decode_all(L, f->result);
    } else {
        n = failed; /* else it is a chunk, and its results were collected */
        if (failed)
            push_runtime_error(L, object);
    }
    if (failed || n > 1) {
        lua_createtable(L, n, 0);
        lua_insert(L, base + 1);
        for (int i = n; i >= 1; i--)
            lua_rawseti(L, base + 1, i);
    }
    if (failed || n > 0)
        lua_setiuservalue(L, idx, 1);
    object->n = failed ? MF_LIB_FAILED : n;
    if (atomic_load(&f->refs) == 1) { /* no other future waits for it as an argument */
        mf_blob_unref(f->result);
        f->result = NULL;
    }
}

/* Pushes what a message of the read future's holds, in order. Returns how many values. */
static int push_content(lua_State *L, int idx, const struct mf_lib_future *object)
{
    if (object->n != MF_LIB_FAILED)
        return mf_lib_push_values(L, idx, object);
    lua_getiuservalue(L, idx, MF_LIB_RESULT);
    int t = lua_gettop(L);
    for (int i = 1; i <= 3; i++)
        lua_rawgeti(L, t, i);
    lua_remove(L, t);
    return 3;
}

void mf_lib_restore(lua_State *L, int idx, struct mf_lib_future *object)
{
    struct mf_future *f = object->future;
    bool has_words = object->n == MF_LIB_FAILED && f->failure != MF_FAILURE_ERROR;
    if (!mf_future_final(f) || f->result || object->n == MF_LIB_UNREAD || has_words)
        return;
    struct mf_buf *out = &mf_session_get(L)->args;
    struct mf_encode_options options = {0};
    size_t start = out->len;
    int top = lua_gettop(L), n = push_content(L, lua_absindex(L, idx), object);
    struct mf_encoder *e = mf_encode_begin(L, out, &options);
    for (int i = 1; i <= n; i++)
        mf_encode_value(L, e, top + i, "result", i);
    mf_encode_end(L, e);
    lua_settop(L, top);
    f->result = mf_session_blob(out, start);
    if (!f->result)
        luaL_error(L, "not enough memory");
}

int mf_lib_push_values(lua_State *L, int idx, const struct mf_lib_future *object)
{
    if (object->n == 0)
        return 0;
    lua_getiuservalue(L, idx, 1);
    if (object->n == 1)
        return 1;
    luaL_checkstack(L, object->n, "too many results");
    int t = lua_gettop(L);
    for (int i = 1; i <= object->n; i++)
        lua_rawgeti(L, t, i);
    lua_remove(L, t);
    return object->n;
}

static void set_info(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

/* The host of a cluster on which it ran; NULL: none, or after the shutdown. */
static const char *node_of(lua_State *L, const struct mf_lib_future *object)
{
    struct mf_session *s = mf_session_peek(L);
    return s && s->owner ? mf_runtime_host(s->owner, object->future) : NULL;
}

void mf_lib_push_failure(lua_State *L, int idx)
{
    struct mf_lib_future *object = mf_lib_check_future(L, idx);
    char name[MF_LIB_NAME];
    mf_lib_read(L, idx, object);
    lua_getiuservalue(L, idx, 1);
    int t = lua_gettop(L);
    lua_rawgeti(L, t, 1);
    lua_createtable(L, 0, 6);
    set_info(L, "kind", kinds[object->future->failure]);
    set_info(L, "label", mf_lib_label(object->future));
    set_info(L, "worker", mf_lib_worker(object, name));
    set_info(L, "node", node_of(L, object));
    lua_rawgeti(L, t, 2);
    lua_setfield(L, -2, "traceback");
    lua_rawgeti(L, t, 3);
    lua_setfield(L, -2, "element");
    lua_remove(L, t);
}

/* Raises the error of the future at idx again, and notes the worker's traceback for the message handler. */
static int raise_failure(lua_State *L, int idx)
{
    mf_lib_push_failure(L, idx);
    int info = lua_gettop(L);
    lua_getfield(L, info, "traceback");
    lua_getfield(L, info, "worker");
    lua_getfield(L, info, "node");
    lua_getfield(L, info, "label");
    const char *traceback = lua_tostring(L, -4), *worker = lua_tostring(L, -3), *node = lua_tostring(L, -2);
    const char *label = lua_tostring(L, -1);
    int text = 0;
    if (traceback) {
        const char *lines = strchr(traceback, '\n');
        lua_pushfstring(L, "remote traceback (worker %s%s%s%s%s%s):%s", worker ? worker : "?", node ? " on " : "",
                        node ? node : "", label ? ", '" : "", label ? label : "", label ? "'" : "", lines ? lines : "");
        text = lua_gettop(L);
    }
    lua_pushvalue(L, info - 1);
    mf_session_note(L, text);
    return lua_error(L);
}

int mf_lib_value(lua_State *L)
{
    struct mf_lib_future *object = mf_lib_check_future(L, 1);
    if (!mf_lib_wait(L, object->future, mf_lib_check_deadline(L, 2))) {
        lua_pushfstring(L, "no value within %f s; the future goes on", lua_tonumber(L, 2));
        mf_session_push_error(L, "timeout", lua_tostring(L, -1), mf_lib_label(object->future), NULL);
        return lua_error(L);
    }
    object->seen = true;
    print_output(L, object);
    mf_lib_read(L, 1, object);
    return object->n == MF_LIB_FAILED ? raise_failure(L, 1) : mf_lib_push_values(L, 1, object);
}

int mf_lib_result(lua_State *L)
{
    struct mf_lib_future *object = mf_lib_check_future(L, 1);
    mf_lib_finish(L, object);
    mf_lib_read(L, 1, object);
    lua_pushboolean(L, object->n != MF_LIB_FAILED);
    if (object->n != MF_LIB_FAILED)
        return 1 + mf_lib_push_values(L, 1, object);
    mf_lib_push_failure(L, 1);
    return 3;
}
