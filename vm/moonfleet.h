/* Moonfleet as a library: an interpreter for Lua scripts whose futures and maps run on all cores. Plain C, no
 * Lua headers. `pkg-config --cflags --libs moonfleet` says how to link (with --static for libmoonfleet.a).
 *
 * An interpreter belongs to one thread at a time; several may exist side by side. No call leaves by longjmp, ends the
 * process, prints anything of its own or changes signal handlers other than SIGURG's (which interrupts the
 * library's own threads and passes on to a handler that was there). Strings given are copied or not used after
 * the call; strings and numbers returned belong to the interpreter and live until its next call.
 *
 * Under the plan processes the workers end with the thread that made the first future; let it live on. */
#ifndef MOONFLEET_H
#define MOONFLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MF_API     __attribute__((visibility("default")))

#define MF_VERSION "0.1.0"

struct mf_interp;   /* a Lua state with Moonfleet's library, and the workers it has started */
struct mf_addition; /* a Lua state that is being made: on_state's */
struct mf_call;     /* a call of one of the host's functions by Lua */
struct lua_State;   /* for hosts that use Lua's own API, too */

enum mf_status {
    MF_RUN_OK,
    MF_RUN_ERROR,       /* mf_error says what, with a traceback where there is one */
    MF_RUN_INTERRUPTED, /* ended by mf_interrupt; mf_error has the traceback */
    MF_RUN_INCOMPLETE,  /* mf_eval only: more lines are needed */
    MF_RUN_EXIT,        /* the script called os.exit: see may_exit, mf_exit_code */
    MF_RUN_MEMORY,      /* memory is out */
    MF_RUN_MISUSE,      /* an argument that no program should give: mf_error names it */
    MF_RUN_PENDING,     /* the future is not resolved yet */
    MF_RUN_TIMEOUT,     /* the time given has passed; of a future: its own limit */
    MF_RUN_CANCELLED,   /* the future was cancelled */
    MF_RUN_LOST         /* the future's worker was lost; mf_error says how */
};

/* A few words for a status, such as "memory is out". Constant; any thread. */
MF_API const char *mf_status_text(enum mf_status status);

/* ---- Values: what goes from C to Lua and back ---------------------------------------------------------------- */

enum mf_type {
    MF_TYPE_NIL,
    MF_TYPE_BOOLEAN,
    MF_TYPE_INTEGER,
    MF_TYPE_NUMBER,
    MF_TYPE_STRING,  /* any bytes, len of them; what comes from Lua has a zero byte behind them */
    MF_TYPE_NUMBERS, /* len doubles. To Lua: an array (mf.array) of f64, a copy. From Lua: any array, its elements in
                        order, or a table whose elements 1, 2, ... are all numbers (an empty one: len is 0) */
    MF_TYPE_OTHER    /* from Lua only: another table, a function, ...; string names the type, "table" */
};

struct mf_datum {
    enum mf_type type;
    size_t len; /* of string (bytes) or numbers (how many) */
    union {
        bool boolean;
        int64_t integer;
        double number;
        const char *string;
        const double *numbers;
    };
};

static inline struct mf_datum mf_from_nil(void)
{
    struct mf_datum d;
    memset(&d, 0, sizeof d);
    return d;
}

static inline struct mf_datum mf_from_boolean(bool b)
{
    struct mf_datum d = mf_from_nil();
    d.type = MF_TYPE_BOOLEAN;
    d.boolean = b;
    return d;
}

static inline struct mf_datum mf_from_integer(int64_t n)
{
    struct mf_datum d = mf_from_nil();
    d.type = MF_TYPE_INTEGER;
    d.integer = n;
    return d;
}

static inline struct mf_datum mf_from_number(double x)
{
    struct mf_datum d = mf_from_nil();
    d.type = MF_TYPE_NUMBER;
    d.number = x;
    return d;
}

static inline struct mf_datum mf_from_bytes(const char *bytes, size_t len)
{
    struct mf_datum d = mf_from_nil();
    d.type = MF_TYPE_STRING;
    d.string = bytes;
    d.len = len;
    return d;
}

static inline struct mf_datum mf_from_string(const char *text)
{
    return mf_from_bytes(text, strlen(text));
}

static inline struct mf_datum mf_from_numbers(const double *numbers, size_t n)
{
    struct mf_datum d = mf_from_nil();
    d.type = MF_TYPE_NUMBERS;
    d.numbers = numbers;
    d.len = n;
    return d;
}

/* The number in an integer, a number, or anything else (0). */
static inline double mf_to_number(const struct mf_datum *d)
{
    return d->type == MF_TYPE_INTEGER ? (double)d->integer : d->type == MF_TYPE_NUMBER ? d->number : 0;
}

/* ---- Opening and closing ------------------------------------------------------------------------------------- */

/* How to open an interpreter. All zero bytes is a good configuration. Texts are copied. */
struct mf_config {
    bool ignore_env;   /* do not read LUA_INIT, LUA_PATH, LUA_CPATH and Moonfleet's own variables */
    const char *plan;  /* for example "threads:4" or "sequential"; NULL: MOONFLEET_PLAN, or threads on all cores */
    const char *hosts; /* of a cluster, "a,bob@b:2222", in place of a plan; NULL: none */
    int workers;       /* of the plan, or of each host; 0: as the plan says */
    bool has_seed;     /* use seed for the random streams; otherwise each run differs */
    int64_t seed;
    const char *log; /* trace lines: "area[,area...][:file]"; NULL: MOONFLEET_LOG, or none */

    /* What worker processes run. NULL: the moonfleet program that MOONFLEET_PROGRAM names, or that stands beside this
     * library or on PATH; these have none of the host's functions. With serves, the host's program itself, which
     * then must call mf_serve before anything else. */
    const char *program;
    bool serves;

    bool may_exit; /* os.exit in a script ends the process, as in the lua program; otherwise the call that runs it
                      returns MF_RUN_EXIT. In a task it never ends more than the task, or its process */

    void *arg; /* for the functions below, which must not call this interface, but for what on_state is for */

    /* Called with every Lua state that is made, before any code runs in it: the interpreter's own and each worker's, on
     * the worker's thread and, with serves, in worker processes; several may be made at a time. For
     * mf_add_function. */
    void (*on_state)(struct mf_addition *addition, void *arg);

    /* What Lua code prints (print, io.write, io.stdout, io.stderr, warn), and what of tasks is relayed, in pieces as
     * it was written; is_error: to standard error. On the interpreter's thread, but for tasks with output = "live",
     * whose pieces come from any thread. NULL: to the process's standard streams. */
    void (*on_output)(void *arg, bool is_error, const char *bytes, size_t len);

    /* The lines of log, without newline, in place of stderr or the file; from any thread. Tracing is the process's:
     * the interpreter opened last gets it all, until it is closed. */
    void (*on_log)(void *arg, const char *line, size_t len);

    /* Memory of all Lua states, as Lua's own manual has it: size 0 frees, else returns size bytes that begin with what
     * memory (of old_size bytes, or NULL) holds, or NULL. From any thread, for each state one at a time. A worker that
     * could not be stopped (one long C call) may call it after mf_close. NULL: malloc and free. */
    void *(*alloc)(void *arg, void *memory, size_t old_size, size_t size);
};

/* Opens an interpreter (config may be NULL). On failure, *interp is NULL if memory was out; otherwise
 * mf_error(*interp) says what was wrong and mf_close is its only other use. Starts no thread. */
MF_API enum mf_status mf_open(const struct mf_config *config, struct mf_interp **interp);

/* Cancels the futures that are not done, joins the workers (seconds at most, whatever they run), runs finalisers
 * and frees everything. Returns how many futures were cancelled. NULL is allowed. Not from a function that Lua called. */
MF_API size_t mf_close(struct mf_interp *interp);

/* What the last call that did not return MF_RUN_OK had to say, with a traceback where there is one; else "". */
MF_API const char *mf_error(const struct mf_interp *interp);

/* What os.exit was called with, after MF_RUN_EXIT. */
MF_API int mf_exit_code(const struct mf_interp *interp);

/* Was this process started to be a worker? Then serves as one until its master says so or is gone, sets *exit_status,
 * with which the program should end, and returns true; config has what workers need (on_state, alloc, arg) and may be
 * NULL. For the first line of main in programs that set serves. */
MF_API bool mf_serve(const struct mf_config *config, int argc, char *const argv[], int *exit_status);

/* One line that names Moonfleet's version and Lua's. Constant; any thread. */
MF_API const char *mf_version(void);

/* ---- The host's functions in Lua ------------------------------------------------------------------------------- */

/* Called by Lua code as name(...), on whatever thread that runs. It may run the interpreter whose code calls it again,
 * if that is not a worker's; it must not close it. A C++ exception must not leave it. */
typedef void mf_function(struct mf_call *call, void *arg);

/* Makes the global `name` of the state a function of the host's; "a.b" puts it into the global table a, which is
 * made if need be and can also be required. In a task such functions count as part of the standard library: they are
 * found by name, not sent. Nothing raised: when memory is out, the state is not made, and mf_open or the task says
 * so. */
MF_API void mf_add_function(struct mf_addition *addition, const char *name, mf_function *fn, void *arg);

/* Is it a worker's state, not the interpreter's own? */
MF_API bool mf_is_worker(const struct mf_addition *addition);

/* The state itself, with the standard libraries open, for Lua's own API (of the Lua that the library is linked to).
 * Whatever may raise an error must run in lua_pcall; leave the stack as it was. */
MF_API struct lua_State *mf_lua_state(const struct mf_addition *addition);

/* The arguments: how many, and the i-th from 0 (nil past the last). Strings and numbers live until the function
 * returns. */
MF_API size_t mf_argument_count(const struct mf_call *call);
MF_API struct mf_datum mf_argument(const struct mf_call *call, size_t i);

/* Adds a result. MF_RUN_MEMORY or MF_RUN_MISUSE; the call fails then, whatever else it does. */
MF_API enum mf_status mf_return(struct mf_call *call, struct mf_datum value);

/* The call raises this error when the function returns. */
MF_API void mf_fail(struct mf_call *call, const char *text);

/* ---- Running ----------------------------------------------------------------------------------------------------- */

/* Makes the global table arg: argv[script] is arg[0], what follows 1, 2, ..., what precedes negative. Pass
 * script == argc when there is no script: argv[0] is arg[0] then. */
MF_API enum mf_status mf_set_args(struct mf_interp *interp, int argc, char *const argv[], int script);

/* Runs what LUA_INIT_5_4, or else LUA_INIT, holds: code, or a file's name after "@". Nothing if ignore_env. */
MF_API enum mf_status mf_run_init(struct mf_interp *interp);

/* Runs a file (NULL: standard input to its end). With with_args the elements 1, 2, ... of the global arg are its
 * arguments. A byte order mark and a first line that starts with "#" are skipped. */
MF_API enum mf_status mf_run_file(struct mf_interp *interp, const char *path, bool with_args);

/* Runs source text of len bytes. name appears in messages as the source: "=(command line)", "@file.lua". */
MF_API enum mf_status mf_run_string(struct mf_interp *interp, const char *text, size_t len, const char *name);

/* Requires a module into a global. "a.b" and "a.b-v2" set the global "a.b"; "g=a.b" sets "g". */
MF_API enum mf_status mf_require(struct mf_interp *interp, const char *name);

/* Calls a Lua function: the global of that name, or for "a.b" the field b of the global or loaded module a. nresults
 * (NULL: no results wanted) holds how many results have room, and afterwards how many there were; those that had
 * no room are dropped. */
MF_API enum mf_status mf_run_function(struct mf_interp *interp, const char *name, const struct mf_datum *args,
                                      size_t nargs, struct mf_datum *results, size_t *nresults);

/* Sets a global; reads one ("a.b" as for mf_run_function). */
MF_API enum mf_status mf_set_global(struct mf_interp *interp, const char *name, struct mf_datum value);
MF_API enum mf_status mf_get_global(struct mf_interp *interp, const char *name, struct mf_datum *value);

/* Switches the messages of warn() on or off; they start off. */
MF_API void mf_warnings(struct mf_interp *interp, bool on);

/* Runs the lines typed so far, len bytes without the last newline: as an expression whose values go through the
 * global print, or as statements. A first "=" means return. MF_RUN_INCOMPLETE: call again with one line more. */
MF_API enum mf_status mf_eval(struct mf_interp *interp, const char *text, size_t len);

/* The prompt for a first line, or for a further one: the globals _PROMPT and _PROMPT2, "> " and ">> " by default. */
MF_API const char *mf_prompt(struct mf_interp *interp, bool first);

/* ---- A prompt for a person --------------------------------------------------------------------------------------- */

/* Makes the interpreter one for a person at a prompt. There are the globals mf, help and jobs, unless others have these
 * names; mf_eval shows values in full (strings quoted, tables with their fields) and keeps the last one in the
 * global _, unless the user does; locals of its outermost block live on as globals; and what it is interrupted in
 * leaves none of the futures running that it has made. */
MF_API enum mf_status mf_prompt_open(struct mf_interp *interp);

/* What a person should know by now: a line, with its end, for each future that has ended and that nobody has waited
 * for. Each is told once; "" for nothing. Call it when mf_fd's descriptor is readable, and before a prompt. */
MF_API const char *mf_prompt_news(struct mf_interp *interp);

/* How the text (len bytes, up to the cursor, with the earlier lines of the statement) can go on: what to insert, a
 * newline, and when there are several ways, each with a newline behind it. Runs none of the user's code. */
MF_API const char *mf_prompt_complete(struct mf_interp *interp, const char *text, size_t len);

/* How many futures, chunks of maps included, have not ended. */
MF_API size_t mf_prompt_jobs(struct mf_interp *interp);

/* Stops soon what the calling thread runs in any interpreter: its call returns MF_RUN_INTERRUPTED. Nothing happens
 * when nothing runs. Async-signal-safe: made for a handler of SIGINT. */
MF_API void mf_interrupt(void);

/* ---- Futures ----------------------------------------------------------------------------------------------------- */

/* A future of this interpreter; its number is never used again. 0 is none. A number that is none (any more) is
 * MF_RUN_MISUSE. */
typedef int64_t mf_ticket;

/* Options of a future. All zero bytes are good. */
struct mf_task_options {
    const char *label; /* in messages; NULL: none */
    double timeout;    /* seconds that the task may run; 0: no limit */
    int retries;       /* how often it is run again when its worker is lost */
    int priority;      /* higher goes first */
    bool has_seed;     /* seed is the task's own; otherwise the interpreter's streams go on */
    int64_t seed;
};

/* Makes a future of a call of a Lua function (named as for mf_run_function) under the interpreter's plan: the function, what
 * it captured and the globals that it names are sent to a worker with the arguments. Returns at once, but under the plans
 * sequential (the task runs now) and forks (waits for a worker). options may be NULL. */
MF_API enum mf_status mf_submit(struct mf_interp *interp, const struct mf_task_options *options, const char *name,
                                const struct mf_datum *args, size_t nargs, mf_ticket *ticket);

/* Is it resolved? MF_RUN_OK or MF_RUN_PENDING. Never waits. */
MF_API enum mf_status mf_poll(struct mf_interp *interp, mf_ticket ticket);

/* Waits until need of n futures (0: all) are resolved: MF_RUN_OK, or MF_RUN_TIMEOUT when the seconds (negative: no
 * limit) are over, or MF_RUN_INTERRUPTED. Futures of the scripts' own get along meanwhile, too. */
MF_API enum mf_status mf_wait(struct mf_interp *interp, const mf_ticket *tickets, size_t n, size_t need,
                              double seconds);

/* Takes the values of a resolved future (as mf_run_function gives results) and forgets it. MF_RUN_PENDING: it is not
 * resolved and still there. MF_RUN_ERROR, MF_RUN_TIMEOUT, MF_RUN_CANCELLED, MF_RUN_LOST: its task failed like that;
 * mf_error says more; the future is forgotten. What the task printed is put out first. */
MF_API enum mf_status mf_take(struct mf_interp *interp, mf_ticket ticket, struct mf_datum *results, size_t *nresults);

/* Cancels it; whether that changed anything. It is still to be taken, or dropped. */
MF_API bool mf_cancel(struct mf_interp *interp, mf_ticket ticket);

/* Forgets it: the task runs on, its result is dropped. */
MF_API void mf_drop(struct mf_interp *interp, mf_ticket ticket);

/* For a host with an event loop of its own: a descriptor that becomes readable when a future has been resolved, the
 * interpreter's. Wait for that, then call mf_progress. -1 (mf_error says why) when none can be made; closed by mf_close.
 * Nobody has to call anything for tasks to run and results to arrive, but under the plan sequential, whose tasks run when
 * they are made. */
MF_API int mf_fd(struct mf_interp *interp);

/* Does what there is to do for the interpreter, without waiting; the descriptor is not readable afterwards. Then each
 * call of mf_next gives one future that was resolved and has not been given before, 0 when there is none. */
MF_API enum mf_status mf_progress(struct mf_interp *interp);
MF_API mf_ticket mf_next(struct mf_interp *interp);

#ifdef __cplusplus
}
#endif

#endif
