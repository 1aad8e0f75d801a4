/* The C half of the Lua modules: moonfleet.core, which stdlib/ is written on. Each lib_*.c adds its functions to the
 * module's table; none of them is for users. */
#ifndef MF_LIB_H
#define MF_LIB_H

#include <lua.h>

#include "../runtime/runtime.h"
#include "codec.h"
#include "session.h"

/* Opens the module "moonfleet.core". */
int mf_lib_core(lua_State *L);

/* Each adds functions to the table on top. */
void mf_lib_pool(lua_State *L);
void mf_lib_future(lua_State *L);
void mf_lib_chunk(lua_State *L);
void mf_lib_rng(lua_State *L);
void mf_lib_stats(lua_State *L);
void mf_lib_hosts(lua_State *L);
void mf_lib_repl(lua_State *L);

/* Hosts of a cluster (lib_hosts.c): makes them of the list at idx and pushes their owner, which frees them unless the
 * pointer is taken out. */
struct mf_hosts **mf_lib_push_hosts(lua_State *L, int idx);

/* Pushes a list, for each host of the pool: { name, state = "here"|"called"|"away", workers, first (worker),
 * seconds, text }. */
void mf_lib_push_host_states(lua_State *L, struct mf_pool *pool);

/* The open pool at idx; raises when it is none, or closed. */
struct mf_pool *mf_lib_check_pool(lua_State *L, int idx);

/* Pushes an object that owns a blob reference, NULL at first, and drops it when it is collected. */
struct mf_blob **mf_lib_push_blob(lua_State *L);

/* The Lua object of a future. */
struct mf_lib_future {
    struct mf_future *future; /* a reference; NULL only while it is being made */
    struct mf_blob *code;     /* a reference; NULL but while it is being made */
    const char *backend;      /* its name, constant; NULL for a future that came over the wire */
    int n;         /* what the first user value holds: n values (one: itself, more: a table), or a code below */
    bool printed;  /* what the task printed has been relayed */
    bool seen;     /* somebody has waited for it, or found that it is resolved */
    bool collects; /* for chunks: an element's error is a result */
    uint8_t mode;  /* for chunks: enum mf_run_mode */
    lua_Integer first, count; /* for chunks: the elements; count is 0 for other futures and once it was collected */
};

enum { MF_LIB_RESULT = 1, MF_LIB_LIVE, MF_LIB_VALUES = MF_LIB_LIVE }; /* user values: see n; what the task refers to */

enum { MF_LIB_UNREAD = -1, MF_LIB_FAILED = -2 }; /* FAILED: the user value is { value, traceback, element } */

/* Pushes an object for a future that is yet to be made. */
struct mf_lib_future *mf_lib_push_future(lua_State *L);
struct mf_lib_future *mf_lib_check_future(lua_State *L, int idx);
struct mf_lib_future *mf_lib_test_future(lua_State *L, int idx); /* NULL if it is none */

/* What submit and chunk read from the table of options at idx (nil: nothing). */
void mf_lib_read_spec(lua_State *L, int idx, struct mf_future_spec *spec);

/* Pushes the fields globals, skip and packages of the options at idx (three values) and points encode at them. */
int mf_lib_push_encode_options(lua_State *L, int idx, struct mf_encode_options *encode);

/* Under a plan whose workers are forks made for the moment: pushes a list for live values (live.h) and has encode
 * use it; returns its number. Else 0, and nothing is pushed. */
uint64_t mf_lib_begin_live(lua_State *L, const struct mf_pool *pool, struct mf_encode_options *encode);

/* Appends a number that is not the user's: part of the layout of arguments (run.h). */
void mf_lib_encode_integer(lua_State *L, struct mf_encoder *e, lua_Integer n);

/* Makes the object's future from spec, whose code and args are taken over; raises on failure. */
void mf_lib_submit(lua_State *L, struct mf_lib_future *object, struct mf_pool *pool, struct mf_future_spec *spec);

#define MF_LIB_NAME 48 /* bytes that a worker's name needs */

const char *mf_lib_label(const struct mf_future *f); /* or NULL */

/* The name of the worker that ran it last, written to name (MF_LIB_NAME bytes), or NULL. */
const char *mf_lib_worker(const struct mf_lib_future *object, char *name);

/* Keeps the future on top for the prompt's jobs and news (lib_repl.c), if that was asked for. */
void mf_lib_track(lua_State *L, struct mf_session *s);

/* --- Results (lib_result.c) -------------------------------------------------------------------------------------- */

/* The moment that the seconds at idx (nil: never) lie ahead. */
uint64_t mf_lib_check_deadline(lua_State *L, int idx);

/* Waits for one future. False when the deadline passed; raises when interrupted. */
bool mf_lib_wait(lua_State *L, struct mf_future *f, uint64_t deadline);

/* Waits until it is final, without a limit; raises when interrupted. Prints what its task printed, once. */
void mf_lib_finish(lua_State *L, struct mf_lib_future *object);

/* Reads a final future's bytes into the user value of the object at idx, once. */
void mf_lib_read(lua_State *L, int idx, struct mf_lib_future *object);

/* Gives a final future that was read its bytes back, made anew from its values, because another one shall have it as an
 * argument. Raises when memory is out. */
void mf_lib_restore(lua_State *L, int idx, struct mf_lib_future *object);

/* Pushes the values of a future that is DONE and read. Returns how many. */
int mf_lib_push_values(lua_State *L, int idx, const struct mf_lib_future *object);

/* For a final future that has no value: pushes the error value, and the info table that result() gives. */
void mf_lib_push_failure(lua_State *L, int idx);

int mf_lib_value(lua_State *L);  /* the method value */
int mf_lib_result(lua_State *L); /* the method result */

#endif
