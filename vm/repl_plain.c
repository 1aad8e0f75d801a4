/* Lines without an editor, and the text that both kinds of reading fill. SIGINT's handler is the caller's: here the read
 * only returns (there is no SA_RESTART; the terminal has dropped the line by itself). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repl_input.h"

bool mf_repl_text_add(struct mf_repl_text *text, const char *bytes, size_t n)
{
    char *grown = realloc(text->bytes, text->len + n + 1);
    if (!grown)
        return false;
    if (n > 0)
        memcpy(grown + text->len, bytes, n);
    text->bytes = grown;
    text->len += n;
    grown[text->len] = '\0';
    return true;
}

void mf_repl_text_clear(struct mf_repl_text *text)
{
    free(text->bytes);
    *text = (struct mf_repl_text){0};
}

enum mf_repl_input mf_repl_plain_read(const char *prompt, struct mf_repl_text *text)
{
    char *line = NULL;
    size_t size = 0;
    fputs(prompt, stdout);
    fflush(stdout);
    errno = 0;
    ssize_t n = getline(&line, &size, stdin);
    enum mf_repl_input input = n >= 0 ? MF_REPL_LINE : errno == EINTR ? MF_REPL_INTERRUPTED : MF_REPL_END;
    if (n > 0 && line[n - 1] == '\n')
        n--;
    if (n >= 0 && !mf_repl_text_add(text, line, (size_t)n))
        input = MF_REPL_GONE;
    free(line);
    clearerr(stdin);
    return input;
}
