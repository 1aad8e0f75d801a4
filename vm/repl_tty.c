/* Design note: signal handlers set a flag and write a byte to a pipe, so that none is lost between looking at the flags and
 * going to sleep in poll. Signals that end the process give the terminal back first, by calls that handlers may make, and
 * then do what they would have done. An exit by other ways is caught by atexit. What handlers need is static: there is one
 * terminal. */
#include "repl_tty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#define PASTE_ON  "\033[?2004h" /* the terminal puts marks around what is pasted */
#define PASTE_OFF "\033[?2004l"

static const int fatal[] = {SIGHUP, SIGQUIT, SIGTERM, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
static const int noted[] = {SIGINT, SIGWINCH, SIGTSTP, SIGCONT};
static const int notes[] = {MF_REPL_NOTE_INTERRUPT, MF_REPL_NOTE_RESIZE, MF_REPL_NOTE_STOP, MF_REPL_NOTE_CONTINUE};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct {
    volatile sig_atomic_t flags[COUNT(noted)];
    volatile sig_atomic_t entered;
    struct termios modes;
    struct sigaction old_fatal[COUNT(fatal)], old_noted[COUNT(noted)];
    int wake[2];
    bool made, at_exit;
} tty;

static void write_all(int fd, const char *text, size_t n)
{
    ssize_t done = write(fd, text, n); /* of marks for the terminal: if it takes them not, nothing can be done */
    (void)done;
}

/* Async-signal-safe. A process in the background would be stopped for touching the terminal. */
static void give_back(void)
{
    if (!tty.entered || tcgetpgrp(STDIN_FILENO) != getpgrp())
        return;
    tty.entered = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &tty.modes);
    write_all(STDOUT_FILENO, PASTE_OFF "\r\n", sizeof PASTE_OFF "\r\n" - 1);
}

static void on_fatal(int sig)
{
    int saved = errno;
    give_back();
    for (size_t i = 0; i < COUNT(fatal); i++)
        if (fatal[i] == sig)
            sigaction(sig, &tty.old_fatal[i], NULL);
    raise(sig);
    errno = saved;
}

static void on_noted(int sig)
{
    int saved = errno;
    for (size_t i = 0; i < COUNT(noted); i++)
        if (noted[i] == sig)
            tty.flags[i] = 1;
    write_all(tty.wake[1], "", 1);
    errno = saved;
}

static void catch (const int *signals, size_t n, void (*handler)(int), struct sigaction *old)
{
    struct sigaction action = {.sa_handler = handler};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < n; i++) {
        sigaction(signals[i], NULL, &old[i]);
        bool ignored = old[i].sa_handler == SIG_IGN; /* by whoever started us, for a reason */
        if (!ignored)
            sigaction(signals[i], &action, NULL);
    }
}

static void let_go(const int *signals, size_t n, const struct sigaction *old)
{
    for (size_t i = 0; i < n; i++)
        sigaction(signals[i], &old[i], NULL);
}

static bool make_pipe(void)
{
    if (tty.made)
        return true;
    if (pipe(tty.wake) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        fcntl(tty.wake[i], F_SETFD, FD_CLOEXEC);
        fcntl(tty.wake[i], F_SETFL, O_NONBLOCK);
    }
    return tty.made = true;
}

bool mf_repl_tty_enter(void)
{
    if (!make_pipe() || tcgetattr(STDIN_FILENO, &tty.modes) != 0)
        return false;
    if (!tty.at_exit)
        tty.at_exit = atexit(give_back) == 0;
    for (size_t i = 0; i < COUNT(noted); i++)
        tty.flags[i] = 0;
    tty.entered = 1;
    catch (fatal, COUNT(fatal), on_fatal, tty.old_fatal);
    catch (noted, COUNT(noted), on_noted, tty.old_noted);
    return true;
}

void mf_repl_tty_ready(void)
{
    write_all(STDOUT_FILENO, PASTE_ON, sizeof PASTE_ON - 1);
}

void mf_repl_tty_leave(void)
{
    tty.entered = 0;
    let_go(noted, COUNT(noted), tty.old_noted);
    let_go(fatal, COUNT(fatal), tty.old_fatal);
    write_all(STDOUT_FILENO, PASTE_OFF, sizeof PASTE_OFF - 1);
}

int mf_repl_tty_fd(void)
{
    return tty.wake[0];
}

int mf_repl_tty_notes(void)
{
    char bytes[64];
    int sum = 0;
    while (read(tty.wake[0], bytes, sizeof bytes) > 0) {
    }
    for (size_t i = 0; i < COUNT(noted); i++) {
        if (tty.flags[i])
            sum |= notes[i];
        tty.flags[i] = 0;
    }
    return sum;
}

void mf_repl_tty_stop(void)
{
    struct sigaction plain = {.sa_handler = SIG_DFL}, ours;
    write_all(STDOUT_FILENO, PASTE_OFF, sizeof PASTE_OFF - 1);
    sigaction(SIGTSTP, &plain, &ours);
    raise(SIGTSTP);
    sigaction(SIGTSTP, &ours, NULL);
    write_all(STDOUT_FILENO, PASTE_ON, sizeof PASTE_ON - 1);
}
