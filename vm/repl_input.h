/* Where the prompt's lines come from: an editor on the terminal (repl_edit.c, on libedit; repl_noedit.c stands in its
 * place where there is none), or plain reading (repl_plain.c). Part of the program, not of the library; owner's thread
 * only. */
#ifndef MF_REPL_INPUT_H
#define MF_REPL_INPUT_H

#include <stddef.h>

#include "moonfleet.h"

/* A text that grows; all zero bytes is an empty one. */
struct mf_repl_text {
    char *bytes; /* with a zero byte behind them; NULL when nothing was added */
    size_t len;
};

/* False, and nothing is changed, when memory is out. */
bool mf_repl_text_add(struct mf_repl_text *text, const char *bytes, size_t n);
void mf_repl_text_clear(struct mf_repl_text *text);

enum mf_repl_input {
    MF_REPL_LINE,        /* a line has been added to the text, without its newline */
    MF_REPL_INTERRUPTED, /* Ctrl-C */
    MF_REPL_END,         /* Ctrl-D, or the end of the input */
    MF_REPL_GONE,        /* the input has ended for good */
};

/* Prints the prompt and reads a line from standard input, adding it to the text. */
enum mf_repl_input mf_repl_plain_read(const char *prompt, struct mf_repl_text *text);

struct mf_repl_editor;

/* An editor for the terminal on standard input and output, with the history of earlier sessions; NULL where there can be
 * none (a dumb terminal, no library, no memory). */
struct mf_repl_editor *mf_repl_editor_new(struct mf_interp *interp);
void mf_repl_editor_free(struct mf_repl_editor *editor); /* NULL allowed */

/* Reads a line like mf_repl_plain_read; earlier is what the statement has by now, for completion, and may be NULL. What
 * mf_prompt_news says meanwhile appears above the prompt. */
enum mf_repl_input mf_repl_editor_read(struct mf_repl_editor *editor, const char *prompt,
                                       const struct mf_repl_text *earlier, struct mf_repl_text *line);

/* Puts a statement into the history. */
void mf_repl_editor_remember(struct mf_repl_editor *editor, const char *text, size_t len);

#endif
