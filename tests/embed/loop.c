/* A host with an event loop of its own, which waits for its standard input and for futures at once. Each line that it reads is a
 * number whose square is computed by a worker; results are printed as they come, in any order. */
#include <moonfleet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char code[] = "function square(x) return x, x * x end";

struct server {
    struct mf_interp *interp;
    char line[256]; /* what has come of a line */
    size_t len;
    int open; /* futures */
};

static void must(struct mf_interp *interp, enum mf_status status)
{
    if (status == MF_RUN_OK)
        return;
    fprintf(stderr, "loop: %s: %s\n", mf_status_text(status), mf_error(interp));
    mf_close(interp);
    exit(EXIT_FAILURE);
}

static void submit(struct server *s)
{
    struct mf_datum x = mf_from_integer(strtoll(s->line, NULL, 10));
    mf_ticket ticket;
    must(s->interp, mf_submit(s->interp, NULL, "square", &x, 1, &ticket));
    s->open++;
}

/* What there is on standard input; false at its end. */
static bool read_lines(struct server *s)
{
    char bytes[64];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] != '\n' && s->len < sizeof s->line - 1) {
            s->line[s->len++] = bytes[i];
            continue;
        }
        s->line[s->len] = '\0';
        s->len = 0;
        submit(s);
    }
    return n > 0;
}

static void print_results(struct server *s)
{
    must(s->interp, mf_progress(s->interp));
    for (mf_ticket t; (t = mf_next(s->interp)) != 0; s->open--) {
        struct mf_datum values[2];
        size_t n = 2;
        must(s->interp, mf_take(s->interp, t, values, &n));
        printf("%lld: %lld\n", (long long)values[0].integer, (long long)values[1].integer);
    }
}

int main(void)
{
    struct server s = {0};
    bool reading = true;
    must(NULL, mf_open(NULL, &s.interp));
    must(s.interp, mf_run_string(s.interp, code, strlen(code), "=loop"));
    struct pollfd fds[] = {{.fd = mf_fd(s.interp), .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    while (reading || s.open > 0) {
        if (poll(fds, reading ? 2 : 1, -1) < 0)
            continue;
        if (reading && fds[1].revents)
            reading = read_lines(&s);
        if (fds[0].revents)
            print_results(&s);
    }
    mf_close(s.interp);
    return EXIT_SUCCESS;
}
