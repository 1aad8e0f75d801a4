/* The history of statements in a file, shared by all sessions: MOONFLEET_HISTORY, or moonfleet/history in XDG_STATE_HOME or
 * ~/.local/state. Readable by its owner only; one statement a line, with \n and \\ for what a line cannot hold. */
#ifndef MF_REPL_HISTORY_H
#define MF_REPL_HISTORY_H

#include <stddef.h>

#define MF_REPL_HISTORY_MOST  2000  /* statements that are kept */
#define MF_REPL_HISTORY_BYTES 65536 /* of one statement; a longer one is not kept */

/* The file's path, allocated; its folders are made if need be. NULL when there is to be none: MOONFLEET_HISTORY is empty,
 * or no folder can be had. */
char *mf_repl_history_path(void);

/* Calls each with the last statements, the oldest first. A file that is not there, or not readable, has none. */
void mf_repl_history_load(const char *path, void (*each)(void *arg, const char *text, size_t len), void *arg);

/* Appends a statement in one write, so that two sessions lose nothing of each other's; every now and then drops the
 * oldest ones. Failures are silent: there is nobody to tell at each line. */
void mf_repl_history_append(const char *path, const char *text, size_t len);

#endif
