/* The program's interactive prompt. Part of the program, not of the library. */
#ifndef MF_REPL_H
#define MF_REPL_H

#include "moonfleet.h"

/* Reads lines from standard input and evaluates them until the input ends; at a terminal for a person (mf_prompt_open),
 * with an editor where there can be one. While it runs SIGINT is its own: Ctrl-C stops what runs (a second one kills the
 * process), or drops what was typed. Owner's thread only. */
void mf_repl(struct mf_interp *interp);

#endif
