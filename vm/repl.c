/* Design note: read, evaluate, repeat. At a terminal the interpreter is a person's (mf_prompt_open); through a pipe it is
 * what the lua program is, to the letter.
 *
 * SIGINT has two handlers, and one of them is always installed. At the prompt it does nothing but make the read return.
 * While code runs it interrupts, once: SA_RESETHAND lets a second Ctrl-C kill a program that does not listen. */
#include "repl.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "repl_input.h"

struct repl {
    struct mf_interp *interp;
    struct mf_repl_editor *editor; /* or NULL */
    struct mf_repl_text typed;     /* the lines of one statement */
    bool person;                   /* sits at a terminal */
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

static void complain(const char *text)
{
    fflush(stdout);
    fprintf(stderr, "%s\n", text);
}

static enum mf_repl_input read_line(struct repl *r, const char *prompt, struct mf_repl_text *line)
{
    if (r->editor)
        return mf_repl_editor_read(r->editor, prompt, &r->typed, line);
    return mf_repl_plain_read(prompt, line);
}

/* Reads one more line of the statement. */
static enum mf_repl_input read_more(struct repl *r)
{
    struct mf_repl_text line = {0}, prompt = {0};
    bool first = !r->typed.bytes;
    if (r->person && first)
        fputs(mf_prompt_news(r->interp), stdout);
    const char *text = mf_prompt(r->interp, first);
    enum mf_repl_input input = MF_REPL_GONE;
    if (mf_repl_text_add(&prompt, text, strlen(text))) /* completion calls the interpreter, which then forgets it */
        input = read_line(r, prompt.bytes, &line);
    if (input == MF_REPL_LINE) {
        bool ok = (first || mf_repl_text_add(&r->typed, "\n", 1)) && mf_repl_text_add(&r->typed, line.bytes, line.len);
        if (!ok) {
            complain("not enough memory for this line");
            input = MF_REPL_INTERRUPTED;
        }
    }
    mf_repl_text_clear(&line);
    mf_repl_text_clear(&prompt);
    return input;
}

/* Evaluates what was typed, unless it needs more lines. */
static void evaluate(struct repl *r)
{
    catch_sigint(on_sigint_running, SA_RESETHAND);
    enum mf_status status = mf_eval(r->interp, r->typed.bytes, r->typed.len);
    catch_sigint(on_sigint_prompt, 0);
    if (status == MF_RUN_INCOMPLETE)
        return;
    if (status == MF_RUN_INTERRUPTED && r->person)
        putchar('\n'); /* behind the ^C of the terminal */
    if (status != MF_RUN_OK)
        complain(mf_error(r->interp));
    fflush(stdout);
    if (r->editor)
        mf_repl_editor_remember(r->editor, r->typed.bytes, r->typed.len);
    mf_repl_text_clear(&r->typed);
}

/* Asks whether to leave though futures run. A second Ctrl-D means yes. */
static bool may_leave(struct repl *r)
{
    size_t n = r->person ? mf_prompt_jobs(r->interp) : 0;
    struct mf_repl_text answer = {0};
    char question[80];
    if (n == 0)
        return true;
    snprintf(question, sizeof question, "%zu future%s; leave and cancel? [y/N] ", n, n == 1 ? " runs" : "s run");
    enum mf_repl_input input = read_line(r, question, &answer);
    bool yes = input == MF_REPL_END || input == MF_REPL_GONE ||
               (input == MF_REPL_LINE && answer.len > 0 && (answer.bytes[0] == 'y' || answer.bytes[0] == 'Y'));
    if (input == MF_REPL_INTERRUPTED || input == MF_REPL_END)
        putchar('\n');
    mf_repl_text_clear(&answer);
    return yes;
}

/* What input that is no line means. True when the prompt is to end. */
static bool ends(struct repl *r, enum mf_repl_input input)
{
    bool typed = r->typed.bytes != NULL;
    if (input != MF_REPL_INTERRUPTED && typed && r->person && input != MF_REPL_GONE)
        complain("\n(unfinished statement dropped)");
    else
        putchar('\n');
    mf_repl_text_clear(&r->typed);
    if (input == MF_REPL_INTERRUPTED || (typed && r->person && input == MF_REPL_END))
        return false;
    return input == MF_REPL_GONE || may_leave(r);
}

static void become_personal(struct repl *r)
{
    if (!isatty(STDIN_FILENO))
        return;
    if (mf_prompt_open(r->interp) != MF_RUN_OK) {
        complain(mf_error(r->interp));
        return;
    }
    r->person = true;
    if (isatty(STDOUT_FILENO))
        r->editor = mf_repl_editor_new(r->interp);
}

void mf_repl(struct mf_interp *interp)
{
    struct repl r = {.interp = interp};
    struct sigaction earlier;
    sigaction(SIGINT, NULL, &earlier);
    catch_sigint(on_sigint_prompt, 0);
    become_personal(&r);
    for (;;) {
        enum mf_repl_input input = read_more(&r);
        if (input == MF_REPL_LINE)
            evaluate(&r);
        else if (ends(&r, input))
            break;
    }
    fflush(stdout);
    mf_repl_text_clear(&r.typed);
    mf_repl_editor_free(r.editor);
    sigaction(SIGINT, &earlier, NULL);
}
