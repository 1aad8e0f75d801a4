/* Design note: the session is a userdata in the registry, so that a state closed without a shutdown still ends its
 * workers. Futures hold a pointer to it only while they are used through Lua, and the registry outlives them. */
#include "session.h"

#include <lauxlib.h>
#include <string.h>

#include "../runtime/block.h"
#include "../runtime/fnv.h"
#include "../runtime/sys.h"
#include "../runtime/sys_fd.h"
#include "alloc.h"
#include "instance.h"
#include "interp.h"
#include "run.h"

#define CODE_REMEMBERED 4096 /* bytes; larger code is rarely the same twice, and worth letting go of early */

#define LOOK_NS         100000000u /* how often a waiting stock Lua looks whether it was interrupted */

static const char session_key; /* registry: the session */
static const char note_key;    /* registry: error value and its traceback, in a table */

size_t mf_session_shutdown(lua_State *L)
{
    struct mf_session *s = mf_session_peek(L);
    if (!s || !s->owner)
        return 0;
    struct mf_owner *owner = s->owner;
    size_t open = mf_runtime_close(owner);
    s->owner = NULL;
    for (int i = 0; i < MF_SESSION_CODES; i++) {
        mf_blob_unref(s->codes[i]);
        s->codes[i] = NULL;
    }
    mf_buf_release(&s->code);
    mf_buf_release(&s->args);
    pthread_mutex_lock(&owner->output_lock); /* a worker that could not be stopped may still print */
    s->holds = false;
    pthread_mutex_unlock(&owner->output_lock);
    mf_buf_release(&s->held);
    mf_owner_unref(owner);
    return open;
}

void mf_session_forget(lua_State *L)
{
    struct mf_session *s = mf_session_peek(L);
    if (!s)
        return;
    s->owner = NULL; /* its finalizer must not close what is the parent's */
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &session_key);
}

/* The registry's entry is still there when the state's last finalizers run; a session that was forgotten is not it. */
static int session_gc(lua_State *L)
{
    if (lua_touserdata(L, 1) == mf_session_peek(L))
        mf_session_shutdown(L);
    return 0;
}

struct mf_session *mf_session_peek(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &session_key);
    struct mf_session *s = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s;
}

static struct mf_session *make(lua_State *L)
{
    struct mf_fault fault;
    struct mf_instance *instance = mf_instance_of(L);
    struct mf_session *s = lua_newuserdatauv(L, sizeof *s, 0);
    memset(s, 0, sizeof *s);
    s->instance = instance;
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    s->main = lua_tothread(L, -1);
    lua_pop(L, 1);
    s->stock = !instance && !mf_interp_of(L);
    s->seed = mf_sys_entropy();
    s->next_stream = 1;
    mf_buf_init(&s->held);
    mf_random_select(&s->random, s->seed, 0);
    s->relay = mf_interp_relay(L);
    struct mf_embed *embed = mf_embed_ref(mf_embed_of(L));
    s->owner = mf_runtime_new(embed ? &embed->runner : &mf_run_runner, s, &fault);
    if (!s->owner) {
        mf_embed_unref(embed);
        luaL_error(L, "moonfleet: %s", fault.text);
    }
    mf_owner_use(s->owner, mf_alloc_pages(L));
    mf_buf_use(&s->code, s->owner->pages, NULL);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, session_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &session_key);
    return s;
}

struct mf_session *mf_session_get(lua_State *L)
{
    struct mf_session *s = mf_session_peek(L);
    if (!s)
        s = make(L);
    if (!s->owner)
        luaL_error(L, "moonfleet: the interpreter is closing");
    return s;
}

/* Waits for the futures, or without any until the deadline; MF_ETIMEDOUT then. */
static enum mf_err wait_for(struct mf_session *s, struct mf_future *const *futures, size_t n, size_t need,
                            uint64_t deadline)
{
    return n > 0 ? mf_runtime_wait(s->owner, futures, n, need, deadline) : mf_runtime_sleep(s->owner, deadline);
}

static enum mf_err wait_and_look(struct mf_session *s, struct mf_future *const *futures, size_t n, size_t need,
                                 uint64_t deadline)
{
    if (!s->stock)
        return wait_for(s, futures, n, need, deadline);
    lua_Hook before = lua_gethook(s->main);
    for (;;) {
        uint64_t look = mf_sys_now() + LOOK_NS;
        enum mf_err e = wait_for(s, futures, n, need, look < deadline ? look : deadline);
        if (lua_gethook(s->main) != before) {
            lua_sethook(s->main, NULL, 0, 0);
            return MF_EINTR;
        }
        if (e != MF_ETIMEDOUT || look >= deadline)
            return e;
    }
}

enum mf_err mf_session_wait(struct mf_session *s, struct mf_future *const *futures, size_t n, size_t need,
                            uint64_t deadline)
{
    return n > 0 ? wait_and_look(s, futures, n, need, deadline) : MF_OK;
}

enum mf_err mf_session_sleep(struct mf_session *s, uint64_t deadline)
{
    return wait_and_look(s, NULL, 0, 0, deadline);
}

void mf_session_seed(struct mf_session *s, uint64_t seed)
{
    s->seed = seed;
    s->next_stream = 1;
    mf_random_select(&s->random, seed, 0);
    if (s->instance)
        s->serial = s->instance->serial;
}

uint64_t mf_session_streams(struct mf_session *s, uint64_t n)
{
    if (s->instance && s->instance->serial != s->serial)
        mf_session_seed(s, mf_random_inner_seed(&s->instance->random));
    uint64_t first = s->next_stream;
    s->next_stream += n;
    return first;
}

struct mf_buf *mf_session_args(struct mf_session *s, const struct mf_pool *pool)
{
    mf_buf_use(&s->args, s->owner->pages, pool->backend->maps ? s->owner->areas : NULL);
    return &s->args;
}

struct mf_blob *mf_session_blob(struct mf_buf *b, size_t start)
{
    struct mf_holds *holds = NULL;
    struct mf_blob *blob = NULL;
    if (start == 0) {
        blob = mf_buf_freeze(b);
    } else if (mf_holds_split(b, start, &holds)) {
        blob = mf_blob_new(b->data + start, b->len - start);
        if (blob)
            blob->holds = holds;
        else
            mf_holds_free(holds);
    }
    b->len = start;
    return blob;
}

void mf_session_let_go(lua_State *L)
{
    struct mf_session *s = mf_session_peek(L);
    if (!s || !s->owner)
        return;
    atomic_store(&s->owner->let_go, true);
    atomic_store(&s->owner->untidy, true);
}

/* Over all bytes: functions that differ may differ in any of them. */
static size_t hash(const unsigned char *bytes, size_t n)
{
    uint64_t h = mf_fnv(MF_FNV_START, bytes, n);
    return (size_t)(h ^ (h >> 32));
}

struct mf_blob *mf_session_code(struct mf_session *s, size_t start)
{
    const unsigned char *bytes = s->code.data + start;
    size_t n = s->code.len - start;
    bool holds = s->code.holds && mf_holds_before(&s->code, start) < s->code.holds->n;
    if (n > CODE_REMEMBERED || holds)
        return mf_session_blob(&s->code, start);
    struct mf_blob **known = &s->codes[hash(bytes, n) % MF_SESSION_CODES];
    if (*known && (*known)->len == n && memcmp((*known)->data, bytes, n) == 0) {
        s->code.len = start;
        return mf_blob_ref(*known);
    }
    struct mf_blob *blob = mf_session_blob(&s->code, start);
    if (blob) {
        mf_blob_unref(*known);
        *known = mf_blob_ref(blob);
    }
    return blob;
}

/* --- Live output, while a prompt waits ------------------------------------------------------------------------------ */

bool mf_session_hold(struct mf_session *s, const char *worker, const char *text, size_t n)
{
    bool ok = true;
    for (const char *at = text, *end = at + n, *next; ok && at < end; at = next) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        next = newline ? newline + 1 : end;
        ok = mf_buf_append(&s->held, "[", 1) && mf_buf_append(&s->held, worker, strlen(worker)) &&
             mf_buf_append(&s->held, "] ", 2) &&
             mf_buf_append(&s->held, at, (size_t)((newline ? newline : end) - at)) && mf_buf_append(&s->held, "\n", 1);
    }
    mf_sys_event_post(s->owner->notes);
    return ok;
}

void mf_session_take_held(lua_State *L, struct mf_session *s, bool hold)
{
    struct mf_buf *taken = lua_newuserdatauv(L, sizeof *taken, 0); /* in case pushing the string raises */
    mf_buf_init(taken);
    pthread_mutex_lock(&s->owner->output_lock);
    s->holds = hold && s->owner->notes[0] >= 0;
    struct mf_buf held = s->held;
    s->held = *taken;
    *taken = held;
    pthread_mutex_unlock(&s->owner->output_lock);
    lua_pushlstring(L, (const char *)taken->data, taken->len);
    mf_buf_release(taken);
    lua_remove(L, -2);
}

/* --- Failures ---------------------------------------------------------------------------------------------------- */

void mf_session_note(lua_State *L, int traceback)
{
    int value = lua_gettop(L);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, value);
    lua_rawseti(L, -2, 1);
    if (traceback)
        lua_pushvalue(L, traceback);
    else
        lua_pushnil(L);
    lua_rawseti(L, -2, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &note_key);
}

void mf_session_noted(lua_State *L, int idx)
{
    idx = lua_absindex(L, idx);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &note_key) != LUA_TTABLE)
        return;
    lua_rawgeti(L, -1, 1);
    bool same = lua_rawequal(L, -1, idx);
    lua_pop(L, 1);
    if (same)
        lua_rawgeti(L, -1, 2);
    else
        lua_pushnil(L);
    lua_remove(L, -2);
}

void mf_session_push_error(lua_State *L, const char *kind, const char *message, const char *label, const char *worker)
{
    lua_getglobal(L, "require");
    if (lua_isfunction(L, -1)) {
        lua_pushliteral(L, "moonfleet.error");
        lua_call(L, 1, 1);
    }
    lua_getfield(L, -1, "new");
    lua_remove(L, -2);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, label);
    lua_setfield(L, -2, "label");
    lua_pushstring(L, worker);
    lua_setfield(L, -2, "worker");
    lua_call(L, 1, 1);
}
