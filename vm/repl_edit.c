/* Design note: libedit edits the line; this file feeds it. libedit asks for each character by a function of ours
 * (read_char), which sleeps in poll on the keyboard, on the signals that repl_tty.c has noted, and on the interpreter's
 * descriptor, so that futures are announced while the prompt waits: the typed line is wiped, the news are written, and
 * libedit draws the line anew.
 *
 * Lines are any bytes, libedit's are wide characters (repl_wide.c). The locale is this thread's, and only
 * while libedit works: Lua code runs in the program's own. Where the environment names none, UTF-8 is meant.
 *
 * libedit draws the whole line for each character, so a long paste would take the square of its length: a paste that the
 * terminal has marked, and characters that come faster than anybody types, are put in as one piece. */
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "repl_history.h"
#include "repl_input.h"
#include "repl_libedit.h"
#include "repl_tty.h"
#include "repl_wide.h"

#define ESCAPE     27
#define BATCH      16  /* characters that come at once are a paste */
#define CANDIDATES 200 /* shown */
#define NEWS_PAUSE 100 /* milliseconds between two announcements */

struct mf_repl_editor {
    struct mf_interp *interp;
    EditLine *el;
    HistoryW *history;
    FILE *nowhere;
    char *path; /* of the history's file, or NULL */
    struct mf_repl_wide wide;
    wchar_t *prompt;
    const struct mf_repl_text *earlier;
    char keys[4096]; /* read and not given to libedit yet */
    size_t key, nkeys;
    int since_escape; /* characters given since the last escape */
    bool ready, pasting, interrupted, gone, quiet;
};

/* --- Drawing ----------------------------------------------------------------------------------------------------- */

static int columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* The row below the prompt's in which the cursor stands. */
static int cursor_row(struct mf_repl_editor *e)
{
    const LineInfoW *line = el_wline(e->el);
    struct mf_repl_place place = {.columns = columns()};
    for (const wchar_t *c = e->prompt; *c; c++)
        mf_repl_wide_advance(&place, *c);
    for (const wchar_t *c = line->buffer; c < line->cursor; c++)
        mf_repl_wide_advance(&place, *c);
    return place.row;
}

/* Takes the prompt and the line off the screen; the cursor stands where the prompt began. */
static void wipe(struct mf_repl_editor *e)
{
    int row = cursor_row(e);
    if (row > 0)
        printf("\033[%dA", row);
    printf("\r\033[J");
    fflush(stdout);
}

/* Writes text, whole lines, in the place of the prompt, which is drawn below it. */
static void write_above(struct mf_repl_editor *e, const char *text)
{
    wipe(e);
    fputs(text, stdout);
    fflush(stdout);
    el_wset(e->el, EL_REFRESH);
}

static void announce(struct mf_repl_editor *e)
{
    locale_t before = uselocale(LC_GLOBAL_LOCALE);
    const char *news = mf_prompt_news(e->interp);
    uselocale(before);
    if (*news)
        write_above(e, news);
}

/* Ctrl-C: the line stays as it is, and is left. */
static void abandon(struct mf_repl_editor *e)
{
    const LineInfoW *line = el_wline(e->el);
    wipe(e);
    el_cursor(e->el, (int)(line->lastchar - line->cursor));
    el_wset(e->el, EL_REFRESH);
    printf("^C");
    fflush(stdout);
    e->interrupted = true;
}

/* --- Keys -------------------------------------------------------------------------------------------------------- */

static void suspend(struct mf_repl_editor *e)
{
    el_wset(e->el, EL_PREP_TERM, 0);
    printf("\r\n");
    fflush(stdout);
    mf_repl_tty_stop();
}

static void heed_signals(struct mf_repl_editor *e)
{
    int notes = mf_repl_tty_notes();
    if (notes & MF_REPL_NOTE_INTERRUPT)
        abandon(e);
    if (notes & MF_REPL_NOTE_STOP)
        suspend(e);
    if (notes & (MF_REPL_NOTE_STOP | MF_REPL_NOTE_CONTINUE)) {
        el_wset(e->el, EL_PREP_TERM, 0); /* it must not think that the modes are still its own */
        el_wset(e->el, EL_PREP_TERM, 1);
    }
    if (notes & (MF_REPL_NOTE_STOP | MF_REPL_NOTE_CONTINUE | MF_REPL_NOTE_RESIZE)) {
        if (!(notes & MF_REPL_NOTE_STOP))
            wipe(e);
        el_resize(e->el);
        el_wset(e->el, EL_REFRESH);
    }
}

/* Reads what the keyboard has: one byte, so that what is typed ahead stays where programs find it, or all of a paste. */
static void read_keys(struct mf_repl_editor *e, bool many)
{
    ssize_t n = read(STDIN_FILENO, e->keys, many ? sizeof e->keys : 1);
    e->key = 0;
    e->nkeys = n > 0 ? (size_t)n : 0;
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
        e->gone = true;
}

/* Sleeps until there is a key, or the line is over. The news may come again after a pause, so that a storm of them leaves
 * time to type. */
static void wait_for_key(struct mf_repl_editor *e)
{
    struct pollfd p[3] = {{.fd = STDIN_FILENO, .events = POLLIN},
                          {.fd = mf_repl_tty_fd(), .events = POLLIN},
                          {.fd = e->quiet ? -1 : mf_fd(e->interp), .events = POLLIN}};
    int n = poll(p, 3, e->quiet ? NEWS_PAUSE : -1);
    if (n < 0 && errno != EINTR)
        e->gone = true;
    if (n == 0)
        e->quiet = false;
    if (n <= 0)
        return;
    if (p[1].revents)
        heed_signals(e);
    if (p[2].revents && !e->interrupted) {
        announce(e);
        e->quiet = true;
    }
    if (p[0].revents && !e->interrupted)
        read_keys(e, e->pasting);
}

/* The next character; false when the line is over. */
static bool next_character(struct mf_repl_editor *e, wchar_t *c)
{
    for (;;) {
        if (mf_repl_wide_get(&e->wide, c))
            return true;
        if (e->key < e->nkeys)
            mf_repl_wide_put(&e->wide, e->keys[e->key++]);
        else if (e->interrupted || e->gone)
            return false;
        else
            wait_for_key(e);
    }
}

/* When characters come at once, puts them into the line, up to the first that is a command. */
static void insert_batch(struct mf_repl_editor *e)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    int waiting = 0;
    if (e->key < e->nkeys || e->since_escape < BATCH || poll(&p, 1, 0) <= 0 ||
        ioctl(STDIN_FILENO, FIONREAD, &waiting) != 0 || waiting < BATCH)
        return;
    wchar_t batch[sizeof e->keys + 1];
    size_t n = 0;
    read_keys(e, true);
    while (e->key < e->nkeys && (unsigned char)e->keys[e->key] >= ' ' && e->keys[e->key] != 127) {
        mf_repl_wide_put(&e->wide, e->keys[e->key++]);
        while (mf_repl_wide_get(&e->wide, &batch[n]))
            n++;
    }
    batch[n] = L'\0';
    if (n == 0)
        return;
    wipe(e);
    el_winsertstr(e->el, batch);
    el_wset(e->el, EL_REFRESH);
}

static struct mf_repl_editor *editor_of(EditLine *el)
{
    void *editor = NULL;
    el_wget(el, EL_CLIENTDATA, &editor);
    return editor;
}

/* libedit's source of characters. */
static int read_char(EditLine *el, wchar_t *c)
{
    struct mf_repl_editor *e = editor_of(el);
    if (!e->ready)
        mf_repl_tty_ready();
    e->ready = true;
    if (!e->pasting)
        insert_batch(e);
    if (!next_character(e, c))
        return e->gone ? 0 : -1;
    e->since_escape = *c == ESCAPE ? 0 : e->since_escape + 1;
    return 1;
}

/* --- Commands ---------------------------------------------------------------------------------------------------- */

/* The terminal has sent the mark that a paste begins; what follows, up to the mark of its end, is text. */
static unsigned char paste(EditLine *el, int key)
{
    static const wchar_t end[] = L"\033[201~";
    const size_t mark = sizeof end / sizeof *end - 1;
    struct mf_repl_editor *e = editor_of(el);
    struct mf_repl_wide_text text = {0};
    wchar_t c;
    (void)key;
    e->pasting = true;
    while (next_character(e, &c)) {
        if (c == L'\r')
            c = L'\n';
        if (c != L'\0' && !mf_repl_wide_add(&text, c))
            break;
        if (text.len >= mark && wmemcmp(text.chars + text.len - mark, end, mark) == 0) {
            text.len -= mark;
            text.chars[text.len] = L'\0';
            break;
        }
    }
    e->pasting = false;
    while (text.len > 0 && text.chars[text.len - 1] == L'\n') /* Enter is the user's to press */
        text.chars[--text.len] = L'\0';
    bool ok = text.len == 0 || el_winsertstr(el, text.chars) == 0;
    free(text.chars);
    return ok ? CC_REFRESH : CC_ERROR;
}

/* Writes the candidates, each behind a newline in list, in columns below the line. */
static void show_candidates(const char *list)
{
    size_t widest = 0, shown = 0, all = 0;
    for (const char *at = list; *at; at = strchr(at, '\n') + 1, all++) {
        size_t n = strcspn(at, "\n");
        widest = n > widest ? n : widest;
    }
    size_t across = (size_t)columns() / (widest + 2);
    printf("\n");
    for (const char *at = list; *at && shown < CANDIDATES; at = strchr(at, '\n') + 1, shown++) {
        int n = (int)strcspn(at, "\n");
        bool last = across < 2 || shown % across == across - 1 || shown + 1 == all;
        printf("%-*.*s%s", last ? 0 : (int)widest + 2, n, at, last ? "\n" : "");
    }
    if (all > shown)
        printf("%s(%zu more)\n", across < 2 || shown % across == 0 ? "" : "\n", all - shown);
    fflush(stdout);
}

/* The statement up to the cursor. */
static bool text_before_cursor(struct mf_repl_editor *e, struct mf_repl_text *text)
{
    const LineInfoW *line = el_wline(e->el);
    if (e->earlier && e->earlier->bytes &&
        !(mf_repl_text_add(text, e->earlier->bytes, e->earlier->len) && mf_repl_text_add(text, "\n", 1)))
        return false;
    return mf_repl_wide_to(line->buffer, (size_t)(line->cursor - line->buffer), text);
}

static bool is_blank(const LineInfoW *line)
{
    for (const wchar_t *c = line->buffer; c < line->cursor; c++)
        if (*c != L' ' && *c != L'\t')
            return false;
    return true;
}

/* Tab: indents an empty line, completes any other. */
static unsigned char complete(EditLine *el, int key)
{
    struct mf_repl_editor *e = editor_of(el);
    struct mf_repl_text text = {0};
    unsigned char result = CC_ERROR;
    (void)key;
    if (is_blank(el_wline(el)))
        return el_winsertstr(el, L"    ") == 0 ? CC_REFRESH : CC_ERROR;
    if (text_before_cursor(e, &text)) {
        locale_t before = uselocale(LC_GLOBAL_LOCALE);
        const char *answer = mf_prompt_complete(e->interp, text.bytes, text.len);
        uselocale(before);
        size_t n = strcspn(answer, "\n");
        const char *list = answer[n] ? answer + n + 1 : "";
        wchar_t *insert = mf_repl_wide_from(answer, n);
        if (n > 0 && insert && el_winsertstr(el, insert) == 0) {
            result = CC_REFRESH;
        } else if (*list) {
            show_candidates(list);
            result = CC_REDISPLAY;
        }
        free(insert);
    }
    mf_repl_text_clear(&text);
    return result;
}

static wchar_t *prompt_of(EditLine *el)
{
    return editor_of(el)->prompt;
}

/* --- History ----------------------------------------------------------------------------------------------------- */

static void enter_history(void *arg, const char *text, size_t len)
{
    struct mf_repl_editor *e = arg;
    HistEventW event;
    wchar_t *wide = mf_repl_wide_from(text, len);
    if (wide)
        history_w(e->history, &event, H_ENTER, wide);
    free(wide);
}

void mf_repl_editor_remember(struct mf_repl_editor *e, const char *text, size_t len)
{
    if (strspn(text, " \t\n") == len)
        return;
    locale_t before = uselocale(e->wide.locale);
    enter_history(e, text, len);
    uselocale(before);
    if (e->path)
        mf_repl_history_append(e->path, text, len);
}

/* --- Opening and reading ----------------------------------------------------------------------------------------- */

/* Can the terminal move its cursor? */
static bool is_able(const char *terminal)
{
    static const char *const dumb[] = {"", "dumb", "unknown", "emacs", "cons25"};
    for (size_t i = 0; terminal && i < sizeof dumb / sizeof *dumb; i++)
        if (strcmp(terminal, dumb[i]) == 0)
            return false;
    return terminal != NULL;
}

static bool knows_terminal(EditLine *el)
{
    char *up = NULL, *clear = NULL;
    return el_get(el, EL_GETTC, "up", &up) == 0 && up && *up && el_get(el, EL_GETTC, "ce", &clear) == 0 && clear &&
           *clear;
}

/* libedit's own keys are those of emacs. Its mark is taken away: once text in front of it was deleted it lies outside of
 * the line, and what uses it then crashes. So does the command line that M-x opens. */
static const wchar_t *const bindings[][2] = {
    {L"\t", L"mf-complete"},
    {L"\033[200~", L"mf-paste"},
    {L"^R", L"em-inc-search-prev"},
    {L"\033[1;5C", L"em-next-word"},
    {L"\033[1;5D", L"ed-prev-word"},
    {L"\033[3~", L"ed-delete-next-char"},
    {L"^W", L"ed-delete-prev-word"},
    {L"^@", L"ed-unassigned"},
    {L"\033w", L"ed-unassigned"},
    {L"\033W", L"ed-unassigned"},
    {L"\033x", L"ed-unassigned"},
    {L"\033X", L"ed-unassigned"},
    {L"-r", L"^X^X"},
};

static void set_up(struct mf_repl_editor *e)
{
    HistEventW event;
    el_wset(e->el, EL_CLIENTDATA, e);
    el_wset(e->el, EL_PROMPT_ESC, prompt_of, L'\1');
    el_wset(e->el, EL_EDITOR, L"emacs");
    el_wset(e->el, EL_GETCFN, read_char);
    el_wset(e->el, EL_HIST, history_w, e->history);
    el_wset(e->el, EL_ADDFN, L"mf-complete", L"Complete the name before the cursor", complete);
    el_wset(e->el, EL_ADDFN, L"mf-paste", L"Insert what is pasted", paste);
    for (size_t i = 0; i < sizeof bindings / sizeof *bindings; i++)
        el_wset(e->el, EL_BIND, bindings[i][0], bindings[i][1], NULL);
    history_w(e->history, &event, H_SETSIZE, MF_REPL_HISTORY_MOST);
    history_w(e->history, &event, H_SETUNIQUE, 1);
    if (e->path)
        mf_repl_history_load(e->path, enter_history, e);
}

static bool open_all(struct mf_repl_editor *e)
{
    e->nowhere = fopen("/dev/null", "we"); /* libedit's complaints about the terminal */
    e->history = history_winit();
    e->el = e->nowhere && e->history ? el_init("moonfleet", stdin, stdout, e->nowhere) : NULL;
    return e->el && knows_terminal(e->el);
}

struct mf_repl_editor *mf_repl_editor_new(struct mf_interp *interp)
{
    bool can = is_able(getenv("TERM")) && mf_repl_libedit_load();
    struct mf_repl_editor *e = can ? calloc(1, sizeof *e) : NULL;
    if (!e)
        return NULL;
    e->interp = interp;
    if (!mf_repl_wide_open(&e->wide)) {
        free(e);
        return NULL;
    }
    locale_t before = uselocale(e->wide.locale);
    bool ok = open_all(e);
    if (ok) {
        e->path = mf_repl_history_path();
        set_up(e);
    }
    uselocale(before);
    if (!ok) {
        mf_repl_editor_free(e);
        return NULL;
    }
    return e;
}

void mf_repl_editor_free(struct mf_repl_editor *e)
{
    if (!e)
        return;
    if (e->el)
        el_end(e->el);
    if (e->history)
        history_wend(e->history);
    if (e->nowhere)
        fclose(e->nowhere);
    mf_repl_wide_close(&e->wide);
    free(e->path);
    free(e);
}

/* Reads a line with the locale set. */
static enum mf_repl_input edit(struct mf_repl_editor *e, struct mf_repl_text *line)
{
    int count = 0;
    e->ready = e->interrupted = e->gone = false;
    e->since_escape = BATCH;
    const wchar_t *text = el_wgets(e->el, &count);
    if (text && count > 0) {
        size_t n = (size_t)count - (text[count - 1] == L'\n');
        return mf_repl_wide_to(text, n, line) ? MF_REPL_LINE : MF_REPL_GONE;
    }
    e->wide.n = 0; /* of a character that has begun */
    if (e->interrupted) {
        e->key = e->nkeys = 0;
        return MF_REPL_INTERRUPTED;
    }
    return e->gone ? MF_REPL_GONE : MF_REPL_END;
}

enum mf_repl_input mf_repl_editor_read(struct mf_repl_editor *e, const char *prompt, const struct mf_repl_text *earlier,
                                       struct mf_repl_text *line)
{
    enum mf_repl_input input = MF_REPL_GONE;
    fflush(stdout);
    if (!mf_repl_tty_enter())
        return mf_repl_plain_read(prompt, line);
    locale_t before = uselocale(e->wide.locale);
    e->earlier = earlier;
    e->prompt = mf_repl_wide_from(prompt, strlen(prompt));
    if (e->prompt)
        input = edit(e, line);
    free(e->prompt);
    e->prompt = NULL;
    e->earlier = NULL;
    uselocale(before);
    mf_repl_tty_leave();
    return input;
}
