/* Stands in the place of repl_edit.c and what that needs, where there is no libedit: there is no editor. */
#include "repl_input.h"

struct mf_repl_editor *mf_repl_editor_new(struct mf_interp *interp)
{
    (void)interp;
    return NULL;
}

void mf_repl_editor_free(struct mf_repl_editor *editor)
{
    (void)editor;
}

enum mf_repl_input mf_repl_editor_read(struct mf_repl_editor *editor, const char *prompt,
                                       const struct mf_repl_text *earlier, struct mf_repl_text *line)
{
    (void)editor;
    (void)earlier;
    return mf_repl_plain_read(prompt, line);
}

void mf_repl_editor_remember(struct mf_repl_editor *editor, const char *text, size_t len)
{
    (void)editor;
    (void)text;
    (void)len;
}
