/* A worker's interpreter: its Lua state and what belongs to it. Everything belongs to the thread that runs the worker,
 * except the relay, which has a lock of its own. */
#ifndef MF_INSTANCE_H
#define MF_INSTANCE_H

#include <lua.h>
#include <stdbool.h>

#include "../runtime/runner.h"
#include "embed.h"
#include "prepared.h"
#include "random.h"
#include "relay.h"

struct mf_instance {
    lua_State *L;
    const char *name;       /* of the worker */
    struct mf_embed *embed; /* a reference; NULL in a worker of a stock Lua */
    struct mf_relay relay;
    struct mf_random random;
    struct mf_prepared prepared;
    struct mf_port *port;       /* of the running task, or NULL */
    const atomic_bool *wanted;  /* of the running task: it must stop */
    uint64_t tasks;             /* counts tasks */
    uint64_t serial;            /* counts tasks and elements, so that others notice that a new one began */
    const struct mf_blob *init; /* of a fork: the pool's init, as long as nobody has asked for it */
    bool process;               /* it has a process of its own */
    bool forked;                /* it is a fork of its owner's interpreter: live values (live.h) are here */
    bool exiting;               /* the task called os.exit */
    size_t large, rest; /* bytes of large messages since the collector has run for them, and of what was left then */
    int exit_code;
};

/* A new interpreter: libraries open, output captured, os.exit and math.random replaced, the pool's init applied (see
 * mf_instance_init). NULL and a fault on failure. */
struct mf_instance *mf_instance_new(const struct mf_worker_info *info, struct mf_fault *fault);
void mf_instance_free(struct mf_instance *instance);

/* In an owner that will have forks for workers: makes what all of them need, so that a fork has little to do and copies
 * few pages. Idempotent. May raise. */
void mf_instance_prepare(lua_State *L);

/* In such a fork: makes the interpreter of the owner, of which main is the main thread, a worker's. What the owner
 * has loaded stays; its globals, futures and plan do not. The tasks run on a Lua thread of their own. As for
 * mf_instance_new. */
struct mf_instance *mf_instance_adopt(lua_State *main, const struct mf_worker_info *info, struct mf_fault *fault);

/* --- What mf_instance_new and mf_instance_adopt share ------------------------------------------------------------- */

struct mf_instance *mf_instance_alloc(void);                            /* without a Lua state; NULL: no memory */
void mf_instance_release(struct mf_instance *instance);                 /* all but the Lua state */
void mf_instance_reserve(lua_State *L);                                 /* places in the registry for the next line */
void mf_instance_bind(lua_State *L, struct mf_instance *instance);      /* the globals are its base */
void mf_instance_push_exit(lua_State *L, struct mf_instance *instance); /* os.exit for tasks */
void mf_instance_push_require(lua_State *L);                            /* require for tasks, of the globals' */

/* The instance whose state L is, or NULL when L is no worker's. */
struct mf_instance *mf_instance_of(lua_State *L);

/* Pushes the value that the pool's init carried under that name ("nested", "path", ...). */
void mf_instance_push_init(lua_State *L, const char *name);

/* Encodes what a pool of this owner tells its workers: search paths as they are now, and the nested plan, which is at
 * stack index nested. May raise. */
void mf_instance_encode_init(lua_State *L, int nested, struct mf_buf *out);

/* The key in the registry of the table of globals that the state began with: a task's environment inherits it. */
void mf_instance_push_base(lua_State *L);

#endif
