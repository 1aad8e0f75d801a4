/* The terminal while the prompt waits on it: signals that are noted instead of taking effect, and the terminal's modes,
 * which are given back however the process ends (SIGKILL excepted). One at a time in a process, on its main thread. */
#ifndef MF_REPL_TTY_H
#define MF_REPL_TTY_H

#include <signal.h>
#include <stdbool.h>

enum mf_repl_note {
    MF_REPL_NOTE_INTERRUPT = 1, /* Ctrl-C */
    MF_REPL_NOTE_RESIZE = 2,
    MF_REPL_NOTE_STOP = 4,     /* Ctrl-Z: the terminal is to be given back, then mf_repl_tty_stop called */
    MF_REPL_NOTE_CONTINUE = 8, /* the process goes on: the terminal's modes may be others */
};

/* Catches signals and remembers the terminal's modes, which must be those of a shell. False when descriptors are out. */
bool mf_repl_tty_enter(void);

/* The prompt is there: what is pasted from now on may be marked. */
void mf_repl_tty_ready(void);

/* Undoes both. The modes must have been given back. */
void mf_repl_tty_leave(void);

/* A descriptor that becomes readable when something was noted. */
int mf_repl_tty_fd(void);

/* What was noted since the last call, as a sum of enum mf_repl_note. */
int mf_repl_tty_notes(void);

/* Stops the process as Ctrl-Z would have; returns when it is continued. */
void mf_repl_tty_stop(void);

#endif
