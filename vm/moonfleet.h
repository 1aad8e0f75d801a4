/* Moonfleet as a library: an interpreter for Lua scripts whose futures and maps run on all cores. Plain C, no
 * Lua headers; link with libmoonfleet.a, Lua 5.4, -pthread -lm -ldl.
 *
 * An interpreter belongs to one thread at a time; several may exist side by side. No call leaves by longjmp, exits
 * the process, prints anything of its own or changes signal handlers other than SIGURG's (which interrupts the
 * library's own threads and passes on to a handler that was there). Strings given are copied or not used after
 * the call; strings returned belong to the interpreter and live until its next call. */
#ifndef MOONFLEET_H
#define MOONFLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MF_API     __attribute__((visibility("default")))

#define MF_VERSION "0.1.0"

struct mf_interp; /* a Lua state with Moonfleet's library, and the workers it has started */

enum mf_status {
    MF_RUN_OK,
    MF_RUN_ERROR,       /* mf_error says what */
    MF_RUN_INTERRUPTED, /* ended by mf_interrupt; mf_error has the traceback */
    MF_RUN_INCOMPLETE   /* mf_eval only: more lines are needed */
};

/* How to open an interpreter. All zero bytes is a good configuration. */
struct mf_config {
    bool ignore_env;   /* do not read LUA_INIT, LUA_PATH, LUA_CPATH and Moonfleet's own variables */
    const char *plan;  /* for example "threads:4" or "sequential"; NULL: MOONFLEET_PLAN, or threads on all cores */
    const char *hosts; /* of a cluster, "a,bob@b:2222", in place of a plan; NULL: none */
    int workers;       /* of the plan, or of each host; 0: as the plan says */
    bool has_seed;     /* use seed for the random streams; otherwise each run differs */
    int64_t seed;
    const char *log; /* trace lines: "area[,area...][:file]"; NULL: MOONFLEET_LOG, or none */
};

/* Opens an interpreter (config may be NULL). On MF_RUN_ERROR, *interp is NULL if memory was out; otherwise
 * mf_error(*interp) says what was wrong and mf_close is its only other use. Starts no thread. */
MF_API enum mf_status mf_open(const struct mf_config *config, struct mf_interp **interp);

/* Cancels the futures that are not done, joins the workers (seconds at most, whatever they run), runs finalisers
 * and frees everything. Returns how many futures were cancelled. NULL is allowed. */
MF_API size_t mf_close(struct mf_interp *interp);

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

/* Switches the messages of warn() on or off; they start off. */
MF_API void mf_warnings(struct mf_interp *interp, bool on);

/* Runs the lines typed so far, len bytes without the last newline: as an expression whose values go through the
 * global print, or as statements. A first "=" means return. MF_RUN_INCOMPLETE: call again with one line more. */
MF_API enum mf_status mf_eval(struct mf_interp *interp, const char *text, size_t len);

/* The prompt for a first line, or for a further one: the globals _PROMPT and _PROMPT2, "> " and ">> " by default. */
MF_API const char *mf_prompt(struct mf_interp *interp, bool first);

/* Stops soon what the calling thread runs in any interpreter: its call returns MF_RUN_INTERRUPTED. Nothing happens
 * when nothing runs. Async-signal-safe: made for a handler of SIGINT. */
MF_API void mf_interrupt(void);

/* What the last call that did not return MF_RUN_OK had to say, with a traceback where there is one; else "". */
MF_API const char *mf_error(const struct mf_interp *interp);

/* Serves as a worker process, or as the workers of a node, for the master at the other end of descriptor 3, or of the
 * standard streams (stdio), until it says so or is gone. name is the worker's. Returns the process's exit status. For a
 * program that may be started as its own worker: call it first when argv[1] is "--agent", with argv[2], and stdio if
 * argv[3] is "--stdio". */
MF_API int mf_serve(const char *name, bool stdio);

/* One line that names Moonfleet's version and Lua's. Constant; any thread. */
MF_API const char *mf_version(void);

#ifdef __cplusplus
}
#endif

#endif
