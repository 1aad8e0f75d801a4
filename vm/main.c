/* The program moonfleet: a drop-in for the lua program, with options for the plan. An embedder like any other: it
 * includes the public header only.
 *
 * Options are read twice, as in lua: first all are checked and what concerns the opening is noted, then those that
 * run something (-e -l -W) are carried out in their order. */
#include "moonfleet.h"
#include "repl.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_INTERRUPTED 130 /* what a shell reports for a death by SIGINT */

static const char program[] = "moonfleet";

struct options {
    struct mf_config config;
    bool interactive, version, execute; /* -i, -v, -e */
    bool help;
    int script; /* index in argv, or argc */
};

static const char usage[] = "usage: moonfleet [options] [script [args]]\n"
                            "Available options are:\n"
                            "  -e stat   execute string 'stat'\n"
                            "  -i        enter interactive mode after executing 'script'\n"
                            "  -l mod    require library 'mod' into global 'mod'\n"
                            "  -l g=mod  require library 'mod' into global 'g'\n"
                            "  -v        show version information (also --version)\n"
                            "  -E        ignore environment variables\n"
                            "  -W        turn warnings on\n"
                            "  -j n      use n workers\n"
                            "  --hosts h use the cores of these hosts: a,user@b:port (-j n: n workers of each)\n"
                            "  --plan p  how futures are resolved, for example 'threads:4' or 'sequential'\n"
                            "  --seed n  make random streams repeatable\n"
                            "  --log s   trace lines: area[,area...][:file]; areas: future pool backend all\n"
                            "  --help    show this text\n"
                            "  --        stop handling options\n"
                            "  -         stop handling options and execute stdin\n"
                            "Or: moonfleet check host...   look whether hosts can be used\n";

static void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void complain(const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "%s: ", program);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* ---- options ---- */

static bool show_usage(void)
{
    fputs(usage, stderr);
    return false;
}

static bool unrecognized(const char *option)
{
    complain("unrecognized option '%s'", option);
    return show_usage();
}

static bool lacks_argument(const char *option)
{
    complain("'%s' needs argument", option);
    return show_usage();
}

static bool parse_integer(const char *text, long long min, long long max, long long *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return end != text && *end == '\0' && errno == 0 && *value >= min && *value <= max;
}

static bool set_workers(struct options *o, const char *text)
{
    long long n;
    if (!parse_integer(text, 1, INT_MAX, &n)) {
        complain("option -j needs a number of workers, 1 or more, not '%s'", text);
        return show_usage();
    }
    o->config.workers = (int)n;
    return true;
}

static bool set_seed(struct options *o, const char *text)
{
    long long n;
    if (!parse_integer(text, INT64_MIN, INT64_MAX, &n)) {
        complain("option --seed needs an integer, not '%s'", text);
        return show_usage();
    }
    o->config.has_seed = true;
    o->config.seed = n;
    return true;
}

static bool set_plan(struct options *o, const char *text)
{
    o->config.plan = text;
    return true;
}

static bool set_hosts(struct options *o, const char *text)
{
    o->config.hosts = text;
    return true;
}

static bool set_log(struct options *o, const char *text)
{
    o->config.log = text;
    return true;
}

static const struct long_option {
    const char *name;
    bool (*set)(struct options *o, const char *text);
} long_options[] = {{"--plan", set_plan}, {"--hosts", set_hosts}, {"--seed", set_seed}, {"--log", set_log}};

/* "--name value" or "--name=value". */
static bool read_long(struct options *o, char *argv[], int *i)
{
    for (size_t k = 0; k < sizeof long_options / sizeof *long_options; k++) {
        const struct long_option *option = &long_options[k];
        size_t len = strlen(option->name);
        if (strncmp(argv[*i], option->name, len) != 0)
            continue;
        if (argv[*i][len] == '=')
            return option->set(o, argv[*i] + len + 1);
        if (argv[*i][len] == '\0')
            return argv[*i + 1] ? option->set(o, argv[++*i]) : lacks_argument(argv[*i]);
    }
    if (strcmp(argv[*i], "--help") == 0)
        o->help = true;
    else if (strcmp(argv[*i], "--version") == 0)
        o->version = true;
    else
        return unrecognized(argv[*i]);
    return true;
}

/* The argument of a one-letter option: the rest of the word, or the next word unless that is an option. */
static const char *argument(char *argv[], int *i)
{
    if (argv[*i][2] != '\0')
        return argv[*i] + 2;
    if (!argv[*i + 1] || argv[*i + 1][0] == '-')
        return NULL;
    return argv[++*i];
}

static bool read_with_argument(struct options *o, char *argv[], int *i)
{
    const char *option = argv[*i];
    const char *text = argument(argv, i);
    if (!text)
        return lacks_argument(option);
    if (option[1] == 'j')
        return set_workers(o, text);
    o->execute |= option[1] == 'e';
    return true;
}

static bool read_flag(struct options *o, const char *option)
{
    if (option[2] != '\0')
        return unrecognized(option);
    switch (option[1]) {
    case 'E':
        o->config.ignore_env = true;
        return true;
    case 'i':
        o->interactive = true;
        o->version = true;
        return true;
    case 'v':
        o->version = true;
        return true;
    case 'W':
        return true;
    default:
        return unrecognized(option);
    }
}

static bool read_options(struct options *o, int argc, char *argv[])
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        bool ok;
        if (argv[i][1] == '-')
            ok = read_long(o, argv, &i);
        else if (strchr("elj", argv[i][1]))
            ok = read_with_argument(o, argv, &i);
        else
            ok = read_flag(o, argv[i]);
        if (!ok)
            return false;
    }
    o->script = i;
    return true;
}

/* ---- running ---- */

static void on_sigint(int sig)
{
    (void)sig;
    mf_interrupt();
}

/* The first Ctrl-C interrupts what runs; SA_RESETHAND lets the second one kill. */
static void catch_sigint(void)
{
    struct sigaction action = {.sa_handler = on_sigint, .sa_flags = SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

/* Takes the status of a call that ran with SIGINT caught, and returns the exit code that it means. */
static int done(struct mf_interp *interp, enum mf_status status)
{
    signal(SIGINT, SIG_DFL);
    if (status == MF_RUN_OK)
        return EXIT_SUCCESS;
    complain("%s", mf_error(interp));
    return status == MF_RUN_INTERRUPTED ? EXIT_INTERRUPTED : EXIT_FAILURE;
}

static int run_option(struct mf_interp *interp, int letter, const char *text)
{
    catch_sigint();
    if (letter == 'e')
        return done(interp, mf_run_string(interp, text, strlen(text), "=(command line)"));
    return done(interp, mf_require(interp, text));
}

/* The options that run something, up to the script; the rest was dealt with before. */
static int run_options(struct mf_interp *interp, char *argv[], int script)
{
    int code = EXIT_SUCCESS;
    for (int i = 1; i < script && code == EXIT_SUCCESS; i++) {
        int letter = argv[i][1];
        struct options ignored = {0};
        if (letter == '-' && argv[i][2] != '\0')
            read_long(&ignored, argv, &i);
        else if (letter == 'W')
            mf_warnings(interp, true);
        else if (letter == 'j')
            argument(argv, &i);
        else if (letter == 'e' || letter == 'l')
            code = run_option(interp, letter, argument(argv, &i));
    }
    return code;
}

static int run_file(struct mf_interp *interp, const char *path, bool with_args)
{
    catch_sigint();
    return done(interp, mf_run_file(interp, path, with_args));
}

static int run_script(struct mf_interp *interp, char *argv[], int script)
{
    const char *path = argv[script];
    bool is_stdin = strcmp(path, "-") == 0 && strcmp(argv[script - 1], "--") != 0;
    return run_file(interp, is_stdin ? NULL : path, true);
}

static int run_prompt(struct mf_interp *interp)
{
    mf_repl(interp);
    return EXIT_SUCCESS;
}

/* What comes after the options and the script. */
static int run_rest(struct mf_interp *interp, const struct options *o, int argc)
{
    if (o->interactive)
        return run_prompt(interp);
    if (o->script < argc || o->execute || o->version)
        return EXIT_SUCCESS;
    if (!isatty(STDIN_FILENO))
        return run_file(interp, NULL, false);
    puts(mf_version());
    return run_prompt(interp);
}

/* moonfleet check a b: looks whether hosts can be used. */
static bool is_check(int argc, char *argv[])
{
    return argc > 2 && strcmp(argv[1], "check") == 0 && access("check", F_OK) != 0;
}

static int run_check(struct mf_interp *interp, int argc, char *argv[])
{
    static const char code[] = "os.exit(require('moonfleet.check').main(arg), true)";
    int status = done(interp, mf_set_args(interp, argc, argv, 1));
    catch_sigint();
    return status == EXIT_SUCCESS ? done(interp, mf_run_string(interp, code, sizeof code - 1, "=check")) : status;
}

static int run_all(struct mf_interp *interp, const struct options *o, int argc, char *argv[])
{
    int code = done(interp, mf_set_args(interp, argc, argv, o->script));
    if (code == EXIT_SUCCESS) {
        catch_sigint();
        code = done(interp, mf_run_init(interp));
    }
    if (code == EXIT_SUCCESS)
        code = run_options(interp, argv, o->script);
    if (code == EXIT_SUCCESS && o->script < argc)
        code = run_script(interp, argv, o->script);
    return code == EXIT_SUCCESS ? run_rest(interp, o, argc) : code;
}

static void close_all(struct mf_interp *interp)
{
    size_t n = mf_close(interp);
    if (n == 1)
        complain("1 future was still running and has been cancelled");
    else if (n > 1)
        complain("%zu futures were still running and have been cancelled", n);
}

int main(int argc, char *argv[])
{
    struct options o = {.config = {.serves = true, .may_exit = true}};
    struct mf_interp *interp;
    int served;
    if (mf_serve(NULL, argc, argv, &served)) /* started by a master, not by a person */
        return served;
    if (!read_options(&o, argc, argv))
        return EXIT_FAILURE;
    if (o.help) {
        fputs(usage, stdout);
        return EXIT_SUCCESS;
    }
    if (o.version) {
        puts(mf_version());
        fflush(stdout);
    }
    enum mf_status status = mf_open(&o.config, &interp);
    int code = done(interp, status);
    if (code == EXIT_SUCCESS)
        code = is_check(argc, argv) ? run_check(interp, argc, argv) : run_all(interp, &o, argc, argv);
    close_all(interp);
    return code;
}
