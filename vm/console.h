/* An interpreter with a person at its prompt: see mf_prompt_open. Everything belongs to the interpreter's thread. */
#ifndef MF_CONSOLE_H
#define MF_CONSOLE_H

#include <stdbool.h>

#include "moonfleet.h"

/* Has mf_prompt_open been called? */
bool mf_console_is_open(struct mf_interp *interp);

/* mf_eval of such an interpreter. */
enum mf_status mf_console_eval(struct mf_interp *interp, const char *text, size_t len);

#endif
