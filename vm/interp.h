/* An interpreter as the files of the public API share it: how its calls are protected, and where what they leave behind is
 * kept. Everything belongs to the interpreter's thread. */
#ifndef MF_INTERP_H
#define MF_INTERP_H

#include <lua.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "../runtime/future.h"
#include "../runtime/log.h"
#include "../runtime/pages.h"
#include "embed.h"
#include "relay.h"

/* A future of the host's that mf_next has not given yet. */
struct mf_interp_open {
    mf_ticket ticket;
    struct mf_future *future; /* the Lua object's, which the registry keeps */
};

struct mf_interp {
    lua_State *L;    /* the Lua thread that runs, or main when none does */
    lua_State *main; /* NULL: none could be made */
    struct mf_embed *embed;
    struct mf_pages *pages; /* of the state's large blocks */
    bool bound;             /* the state knows the interpreter */
    bool ignore_env;
    bool captures;         /* output goes to the relay */
    struct mf_relay relay; /* and from there to port */
    struct mf_port port;
    void (*on_output)(void *arg, bool is_error, const char *bytes, size_t len);
    void (*on_log)(void *arg, const char *line, size_t len);
    struct mf_log_sink sink;
    volatile sig_atomic_t interrupted; /* set in a signal handler of this thread: the running call is to end */
    int depth;                         /* calls of the API within each other */
    bool exiting;                      /* os.exit was called */
    int exit_code;
    const char *message;         /* of the call that failed; the registry keeps it. Or NULL */
    mf_ticket last;              /* ticket */
    struct mf_interp_open *open; /* in the order of their making */
    size_t nopen, open_cap;
};

/* One call of the API, as its body sees it: what several of them have in common; others embed it as their first
 * member. */
struct mf_interp_call {
    struct mf_interp *interp;
    enum mf_status status;
};

/* Runs body in protected mode with call as its argument (mf_interp_body). A body returns nothing, or the message of an
 * error that it has already caught, and has set call->status then; an error that it raises makes it MF_RUN_ERROR or
 * MF_RUN_MEMORY. Returns that status, and keeps the message. */
enum mf_status mf_interp_protect(struct mf_interp *interp, lua_CFunction body, struct mf_interp_call *call);

/* In a body: takes the call off the stack, which is empty then. */
void *mf_interp_body(lua_State *L);

/* The end of a body: what a load or run left. Returns the number of the body's results. */
int mf_interp_finish(struct mf_interp_call *call, enum mf_status status);

/* Says that an argument is wrong, in the format of lua_pushfstring: a body's result. */
int mf_interp_misuse(lua_State *L, struct mf_interp_call *call, const char *format, ...);

/* Calls the function under its nargs arguments with a traceback. On failure the message is on top. */
enum mf_status mf_interp_run(lua_State *L, struct mf_interp *interp, int nargs, int nresults);

/* Fills results (room for *n, or none when n is NULL) from the values from index first on, and keeps them until the next
 * call; *n becomes their count. May raise. */
void mf_interp_results(lua_State *L, int first, struct mf_datum *results, size_t *n);

/* Pushes the module of that name, loaded if need be. May raise. */
void mf_interp_module(lua_State *L, const char *name);

/* Pushes what "a.b" names: fields below a global, or below a loaded module; nil when there is nothing. May raise. */
void mf_interp_named(lua_State *L, const char *name);

/* Pushes what is named so, which is to be called, and its arguments. True: done. False: there is nothing of that name, or there
 * are too many arguments, and the call is over (mf_interp_misuse). May raise. */
bool mf_interp_push_call(lua_State *L, struct mf_interp_call *call, const char *name, const struct mf_datum *args,
                         size_t nargs);

/* Makes the state the interpreter's. May raise. */
void mf_interp_bind(lua_State *L, struct mf_interp *interp);

/* The interpreter whose own state L is, or NULL in a worker's or a stock Lua's. */
struct mf_interp *mf_interp_of(lua_State *L);

/* The host's code runs now, called by the Lua thread L, and may use the API; returns what leave takes. leave raises when
 * that has called os.exit. */
lua_State *mf_interp_enter(struct mf_interp *interp, lua_State *L);
void mf_interp_leave(struct mf_interp *interp, lua_State *before, lua_State *L);

/* What os.exit does that may not exit: raises, and everything that runs within the call of the API ends. */
int mf_interp_exit(struct mf_interp *interp, lua_State *L);

/* Where the output of the owner L goes: a worker's relay, that of an interpreter which captures, or NULL: the process's
 * streams. */
struct mf_relay *mf_interp_relay(lua_State *L);

/* In a forked child, whose relay that is: nothing goes to the host's functions any more. */
void mf_interp_adopted(lua_State *L, struct mf_relay *relay);

/* Frees what embed_future.c keeps, before the state is closed. */
void mf_interp_forget_futures(struct mf_interp *interp);

#endif
