/* A plain prompt: getline, evaluate, repeat.
 *
 * SIGINT has two handlers, and one of them is always installed. At the prompt it does nothing but make getline
 * return (there is no SA_RESTART; the terminal has dropped the line by itself). While code runs it interrupts, once:
 * SA_RESETHAND lets a second Ctrl-C kill a program that does not listen. */
#include "repl.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct typed {
    char *text; /* the lines of one statement, without the last newline */
    size_t len;
};

static void on_sigint_prompt(int sig)
{
    (void)sig;
}

static void on_sigint_running(int sig)
{
    (void)sig;
    mf_interrupt();
}

static void catch_sigint(void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

enum input { INPUT_LINE, INPUT_INTERRUPTED, INPUT_END };

/* Appends one line to typed. */
static enum input read_line(struct mf_interp *interp, struct typed *typed)
{
    char *line = NULL;
    size_t size = 0;
    fputs(mf_prompt(interp, !typed->text), stdout);
    fflush(stdout);
    errno = 0;
    ssize_t n = getline(&line, &size, stdin);
    char *grown = n < 0 ? NULL : realloc(typed->text, typed->len + (size_t)n + 2);
    if (!grown) {
        bool interrupted = n < 0 && errno == EINTR;
        free(line);
        clearerr(stdin);
        return interrupted ? INPUT_INTERRUPTED : INPUT_END;
    }
    if (typed->text)
        grown[typed->len++] = '\n';
    if (n > 0 && line[n - 1] == '\n')
        n--;
    memcpy(grown + typed->len, line, (size_t)n);
    typed->text = grown;
    typed->len += (size_t)n;
    free(line);
    return INPUT_LINE;
}

static void forget(struct typed *typed)
{
    free(typed->text);
    *typed = (struct typed){0};
}

/* Evaluates what was typed, unless it needs more lines. */
static void evaluate(struct mf_interp *interp, struct typed *typed)
{
    catch_sigint(on_sigint_running, SA_RESETHAND);
    enum mf_status status = mf_eval(interp, typed->text, typed->len);
    catch_sigint(on_sigint_prompt, 0);
    if (status == MF_RUN_INCOMPLETE)
        return;
    if (status != MF_RUN_OK) {
        fflush(stdout);
        fprintf(stderr, "%s\n", mf_error(interp));
    }
    forget(typed);
}

void mf_repl(struct mf_interp *interp)
{
    struct typed typed = {0};
    struct sigaction earlier;
    enum input input;
    sigaction(SIGINT, NULL, &earlier);
    catch_sigint(on_sigint_prompt, 0);
    while ((input = read_line(interp, &typed)) != INPUT_END) {
        if (input == INPUT_LINE) {
            evaluate(interp, &typed);
        } else {
            putchar('\n');
            forget(&typed);
        }
    }
    putchar('\n');
    fflush(stdout);
    forget(&typed);
    sigaction(SIGINT, &earlier, NULL);
}
