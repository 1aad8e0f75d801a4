/* Programs at the far end of a stream, and what all remotes have in common: bytes both ways, stderr as lines, given-back
 * bytes, ends, deadlines, cancels. */
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/launch_program.h"
#include "../../runtime/loop.h"
#include "../../runtime/sys.h"
#include "../../runtime/sys_fd.h"

static struct mf_wait soon(void)
{
    return (struct mf_wait){.deadline = mf_sys_after(30), .cancel = -1};
}

static struct mf_stream_remote *run(const char *script)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct mf_fault fault = {0};
    struct mf_stream_remote *r = mf_launch_program(argv, &fault);
    if (!CHECK(r))
        fprintf(stderr, "%s\n", fault.text);
    return r;
}

static void end(struct mf_stream_remote *r)
{
    r->end.table->close(&r->end);
}

/* Reads exactly n bytes. */
static bool read_all(struct mf_stream_remote *r, char *bytes, size_t n)
{
    struct mf_wait wait = soon();
    enum mf_err e;
    while (n > 0) {
        ssize_t got = mf_remote_read(r, bytes, n, &wait, &e);
        if (got <= 0)
            return false;
        bytes += got;
        n -= (size_t)got;
    }
    return true;
}

static void test_echo(void)
{
    enum { MANY = 1000000 };
    struct mf_wait wait = soon();
    struct mf_remote_exit exit;
    struct mf_stream_remote *r = run("cat");
    char *out = malloc(MANY), *in = malloc(MANY);
    for (int i = 0; i < MANY; i++)
        out[i] = (char)(i * 7 + (i >> 9));
    CHECK(mf_remote_write(r, "hello", 5, &wait) == MF_OK && read_all(r, in, 5) && memcmp(in, "hello", 5) == 0);
    /* far more than fits in between: what comes back is kept, as far as the launchers' limit goes */
    CHECK(mf_remote_write(r, out, 60000, &wait) == MF_OK && read_all(r, in, 60000) && memcmp(in, out, 60000) == 0);
    CHECK(mf_remote_exit(r).how == MF_REMOTE_RUNS);
    CHECK(mf_remote_write(r, out, MANY, &wait) == MF_OK); /* does not hang, though nobody reads */
    CHECK(mf_remote_shut(r, &wait) == MF_OK);
    CHECK(mf_remote_finish(r, &wait, &exit) == MF_OK && exit.how == MF_REMOTE_EXITED && exit.code == 0);
    end(r);
    free(out);
    free(in);
}

static char seen[200];

static void on_line(void *arg, const char *line)
{
    CHECK(arg == seen);
    strcat(seen, line);
    strcat(seen, ";");
}

static void test_lines(void)
{
    struct mf_wait wait = soon();
    struct mf_remote_exit exit;
    char text[400];
    struct mf_stream_remote *r = run("seq 1 20 >&2; printf 'a\\033[1mb\\tc' >&2; exit 3");
    mf_remote_on_line(r, on_line, seen);
    CHECK(mf_remote_errors_fd(r) >= 0);
    CHECK(mf_remote_finish(r, &wait, &exit) == MF_OK && exit.how == MF_REMOTE_EXITED && exit.code == 3);
    CHECK(strcmp(seen, "1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20;a?[1mb c;") == 0);
    mf_remote_last(r, text, sizeof text);
    CHECK(strncmp(text, "6 | 7 | 8", 9) == 0 && strcmp(text + strlen(text) - 15, "| 20 | a?[1mb c") == 0);
    CHECK(strcmp(mf_remote_last(r, text, 9), "6 | 7 | ") == 0);
    mf_remote_describe(&exit, text, sizeof text);
    CHECK(strcmp(text, "exited with code 3") == 0);
    CHECK(!mf_remote_collect(r));
    end(r);
}

/* A line without end is cut into pieces, and lines that nobody collects do not block the program for ever. */
static void test_long_line(void)
{
    struct mf_wait wait = soon();
    struct mf_remote_exit exit;
    struct mf_stream_remote *r = run("head -c 1000000 /dev/zero | tr '\\0' x >&2");
    CHECK(mf_remote_finish(r, &wait, &exit) == MF_OK && exit.code == 0);
    CHECK(r->nlines == (1000000 + MF_REMOTE_LINE - 2) / (MF_REMOTE_LINE - 1));
    end(r);
}

static void test_signal(void)
{
    struct mf_wait wait = soon();
    struct mf_remote_exit exit;
    char text[64];
    struct mf_stream_remote *r = run("kill -SEGV $$");
    CHECK(mf_remote_finish(r, &wait, &exit) == MF_OK && exit.how == MF_REMOTE_KILLED);
    mf_remote_describe(&exit, text, sizeof text);
    CHECK(strcmp(text, "killed by SIGSEGV") == 0);
    end(r);
}

static void test_given_back(void)
{
    struct mf_wait wait = soon();
    struct mf_stream_remote *r = run("cat");
    char in[16];
    CHECK(mf_remote_write(r, "defg", 4, &wait) == MF_OK);
    CHECK(mf_remote_unread(r, "bc", 2) && mf_remote_unread(r, "a", 1));
    CHECK(r->end.table->wants(&r->end, false) == (MF_LOOP_READ | MF_LOOP_AGAIN));
    CHECK(mf_remote_write(r, "h", 1, &wait) == MF_OK);
    CHECK(r->end.table->read(&r->end, in, 2, NULL) == 2 && memcmp(in, "ab", 2) == 0);
    CHECK(mf_remote_unread(r, "AB", 2));
    CHECK(read_all(r, in, 8) && memcmp(in, "ABcdefgh", 8) == 0);
    CHECK(r->end.table->wants(&r->end, true) == (MF_LOOP_READ | MF_LOOP_WRITE));
    end(r);
}

static void test_time(void)
{
    struct mf_wait wait = {.deadline = mf_sys_after(0.01), .cancel = -1};
    int event[2];
    enum mf_err e = MF_OK;
    char c;
    struct mf_stream_remote *r = run("trap '' TERM; sleep 1000 & wait");
    CHECK(mf_remote_read(r, &c, 1, &wait, &e) == -1 && e == MF_ETIMEDOUT);
    CHECK(mf_sys_event_new(event));
    mf_sys_event_post(event);
    wait = (struct mf_wait){.deadline = mf_sys_after(30), .cancel = event[0]};
    CHECK(mf_remote_read(r, &c, 1, &wait, &e) == -1 && e == MF_EINTR);
    mf_sys_event_close(event);
    end(r); /* kills it, and what it has started */
}

static void test_death_on_close(void)
{
    struct mf_stream_remote *r = run("sleep 1000 & echo $!; wait");
    char text[16] = "";
    for (size_t i = 0; i + 1 < sizeof text && read_all(r, text + i, 1) && text[i] != '\n'; i++) {
    }
    pid_t pid = (pid_t)atol(text);
    CHECK(pid > 1 && kill(pid, 0) == 0);
    end(r);
    uint64_t until = mf_sys_after(30);
    char path[64], state = 'R';
    while (state != 'Z' && kill(pid, 0) == 0 &&
           mf_sys_now() < until) { /* whoever inherits it collects it, perhaps late */
        snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
        FILE *f = fopen(path, "r");
        if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
            state = 'Z';
        if (f)
            fclose(f);
        mf_sys_yield();
    }
    CHECK(mf_sys_now() < until);
}

static void test_missing(void)
{
    const char *const argv[] = {"moonfleet-no-such-program", NULL};
    struct mf_fault fault = {0};
    CHECK(!mf_launch_program(argv, &fault) && fault.code == MF_ESYS);
    CHECK(strstr(fault.text, "moonfleet-no-such-program") && strstr(fault.text, "No such file"));
}

/* With the standard descriptors closed, ours take their numbers. */
static void test_closed_descriptors(void)
{
    struct mf_wait wait = soon();
    struct mf_remote_exit exit = {.how = MF_REMOTE_RUNS};
    char in[8] = "", text[64] = "";
    int saved[3];
    for (int i = 0; i < 3; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 20);
        close(i);
    }
    const char *const argv[] = {"sh", "-c", "cat; echo oops >&2", NULL};
    struct mf_stream_remote *r = mf_launch_program(argv, NULL);
    bool good = r && mf_remote_write(r, "hello", 5, &wait) == MF_OK && read_all(r, in, 5) &&
                mf_remote_shut(r, &wait) == MF_OK && mf_remote_finish(r, &wait, &exit) == MF_OK;
    if (r) {
        mf_remote_last(r, text, sizeof text);
        end(r);
    }
    for (int i = 0; i < 3; i++) {
        dup2(saved[i], i);
        close(saved[i]);
    }
    CHECK(good && strcmp(in, "hello") == 0 && exit.how == MF_REMOTE_EXITED && strcmp(text, "oops") == 0);
}

int main(void)
{
    alarm(120);
    test_echo();
    test_lines();
    test_long_line();
    test_signal();
    test_given_back();
    test_time();
    test_death_on_close();
    test_missing();
    test_closed_descriptors();
    return check_report();
}
