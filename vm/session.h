/* A session: what a Lua state that makes futures has. Made at the first use in that state; belongs to its thread. */
#ifndef MF_SESSION_H
#define MF_SESSION_H

#include <lua.h>
#include <stdint.h>

#include "../runtime/runtime.h"
#include "random.h"

#define MF_SESSION_CODES 64 /* code blobs remembered, so that the same function is one blob for many futures */

struct mf_instance;

struct mf_session {
    struct mf_owner *owner;       /* NULL after the shutdown */
    struct mf_instance *instance; /* the worker in whose state this is, or NULL in the program's */
    struct mf_relay *relay;       /* where its output goes; NULL: the process's streams */
    lua_State *main;              /* the state's main thread */
    bool stock;                   /* of a Lua that was not opened by this library */
    struct mf_buf code, args;     /* messages are built here, one behind the other when nested */
    struct mf_blob *codes[MF_SESSION_CODES];
    uint64_t seed, next_stream; /* random streams of the futures made here */
    struct mf_random random;    /* what the program itself draws: the seed's own numbers. In a worker: not used */
    bool holds;         /* live output goes to held: a prompt waits; like held, guarded by the owner's output_lock */
    struct mf_buf held; /* lines */
    bool tracks;        /* see mf_lib_track */
    size_t track_limit; /* futures that are kept before the list is looked through */
    size_t untold[2];   /* futures that were not kept for want of room: done, and otherwise ended */
    uint64_t serial;    /* the instance's task for which seed holds */
};

/* The state's session; raises when there is none and none can be made, or after the shutdown. */
struct mf_session *mf_session_get(lua_State *L);

/* The state's session if there is one. */
struct mf_session *mf_session_peek(lua_State *L);

/* mf_runtime_wait and mf_runtime_sleep for this session. In a stock Lua, whose handler of SIGINT only puts a hook on the
 * state, they look for a new hook now and then and return MF_EINTR when there is one, with the hook taken off. */
enum mf_err mf_session_wait(struct mf_session *s, struct mf_future *const *futures, size_t n, size_t need,
                            uint64_t deadline);
enum mf_err mf_session_sleep(struct mf_session *s, uint64_t deadline);

/* Numbers for n streams, one after the other; returns the first. In a worker they start anew with every task. */
uint64_t mf_session_streams(struct mf_session *s, uint64_t n);
void mf_session_seed(struct mf_session *s, uint64_t seed);

/* s->args, for a message to workers of that pool: a large one is written where they can read it. */
struct mf_buf *mf_session_args(struct mf_session *s, const struct mf_pool *pool);

/* For finalizers: something was let go of that others may have too; they are told at the next chance. */
void mf_session_let_go(lua_State *L);

/* A blob of what b has (and holds) from start on, which is cut off; NULL when memory is out. Does not raise. */
struct mf_blob *mf_session_blob(struct mf_buf *b, size_t start);

/* The same for code, but the same bytes give the same blob as long as it is remembered. */
struct mf_blob *mf_session_code(struct mf_session *s, size_t start);

/* In a forked child: the session is the parent's; one that is asked for from now on is a new one. */
void mf_session_forget(lua_State *L);

/* Adds live output to what is held, line by line with the worker's name in front, and rings (mf_owner_notes). False when
 * memory is out. The owner's output_lock is held. */
bool mf_session_hold(struct mf_session *s, const char *worker, const char *text, size_t n);

/* From now on live output is held, or not; pushes what has been held until now, whole lines. */
void mf_session_take_held(lua_State *L, struct mf_session *s, bool hold);

/* Closes the runtime; see mf_state_shutdown. */
size_t mf_session_shutdown(lua_State *L);

/* --- Failures ---------------------------------------------------------------------------------------------------- */

/* Remembers the traceback (string at idx, or 0 for none) of the error value on top, which is about to be raised, so that
 * the program's message handler can show it. */
void mf_session_note(lua_State *L, int traceback);

/* Pushes the remembered traceback if the error value at idx is the one it belongs to, else nil. */
void mf_session_noted(lua_State *L, int idx);

/* Pushes an error object: kind is "timeout", "cancelled", "lost", "closed", "interrupted"; label and worker may be NULL. */
void mf_session_push_error(lua_State *L, const char *kind, const char *message, const char *label, const char *worker);

#endif
