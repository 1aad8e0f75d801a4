/* SSH streams against a real sshd: bytes, stderr, ends; bulk in both directions at once with tiny socket buffers, with
 * keys exchanged again in between, and over jump hosts; the loop's events. */
#include "sshd.h"

#include <errno.h>
#include <poll.h>
#include <sys/uio.h>

#include "../../runtime/loop.h"
#include "../../runtime/sys_fd.h"

static struct sshd plain;

static void end(struct mf_stream_remote *r)
{
    r->end.table->close(&r->end);
}

static bool read_all(struct mf_stream_remote *r, char *bytes, size_t n)
{
    struct mf_wait wait = sshd_soon();
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
    struct mf_wait wait = sshd_soon();
    struct mf_remote_exit exit;
    struct mf_stream_remote *r = sshd_run(&plain, 0, "cat");
    char text[16];
    CHECK(strcmp(r->end.table->name, "ssh") == 0 && mf_remote_errors_fd(r) == -1 && !mf_remote_collect(r));
    CHECK(mf_remote_exit(r).how == MF_REMOTE_RUNS);
    for (int i = 0; i < 100; i++)
        CHECK(mf_remote_write(r, "hello", 5, &wait) == MF_OK && read_all(r, text, 5) && memcmp(text, "hello", 5) == 0);
    CHECK(mf_remote_shut(r, &wait) == MF_OK && mf_remote_finish(r, &wait, &exit) == MF_OK);
    CHECK(exit.how == MF_REMOTE_EXITED && exit.code == 0);
    CHECK(strcmp(r->end.table->last_error(&r->end), "closed by the other side") == 0);
    CHECK(r->end.table->read(&r->end, text, 1, NULL) == -1 && mf_remote_write(r, "x", 1, &wait) == MF_ECLOSED);
    end(r);
}

static void test_errors_and_exits(void)
{
    struct mf_wait wait = sshd_soon();
    struct mf_remote_exit exit;
    char text[400];
    struct mf_stream_remote *r = sshd_run(&plain, 0, "echo out; echo one >&2; printf two >&2; exit 3");
    CHECK(read_all(r, text, 4) && memcmp(text, "out\n", 4) == 0);
    CHECK(mf_remote_finish(r, &wait, &exit) == MF_OK && exit.how == MF_REMOTE_EXITED && exit.code == 3);
    CHECK(strcmp(mf_remote_last(r, text, sizeof text), "one | two") == 0);
    end(r);
    r = sshd_run(&plain, 0, "kill -SEGV $$");
    CHECK(mf_remote_finish(r, &wait, &exit) == MF_OK && exit.how == MF_REMOTE_KILLED);
    mf_remote_describe(&exit, text, sizeof text);
    CHECK(strcmp(text, "killed by SIGSEGV") == 0);
    end(r);
    r = sshd_run(&plain, 0, "exec moonfleet-that-is-not-there");
    CHECK(mf_remote_finish(r, &wait, &exit) == MF_OK && exit.how == MF_REMOTE_EXITED && exit.code == 127);
    CHECK(strstr(mf_remote_last(r, text, sizeof text), "not found"));
    end(r);
}

/* Far more on stderr than a window holds, while nobody asks for it. */
static void test_many_errors(void)
{
    struct mf_wait wait = sshd_soon();
    struct mf_remote_exit exit;
    struct mf_stream_remote *r = sshd_run(&plain, 0, "head -c 6000000 /dev/zero | tr '\\0' x >&2; echo done");
    char text[5];
    CHECK(read_all(r, text, 5) && memcmp(text, "done\n", 5) == 0);
    CHECK(mf_remote_finish(r, &wait, &exit) == MF_OK && exit.code == 0);
    CHECK(r->nlines == (6000000 + MF_REMOTE_LINE - 2) / (MF_REMOTE_LINE - 1));
    end(r);
}

/* --- Bulk ---------------------------------------------------------------------------------------------------------- */

static unsigned char pattern(size_t i)
{
    size_t x = (i + 1) * 0x9E3779B97F4A7C15u;
    return (unsigned char)((x ^ x >> 29) * 0xBF58476D1CE4E5B9u >> 56);
}

/* Echoes total bytes through the stream as a loop's owner would: both directions at once, all events as it wants them. */
static bool echo(struct mf_stream_remote *r, size_t total, unsigned *again)
{
    enum { PIECE = 100000 };
    static unsigned char out[PIECE], in[65536];
    const struct mf_stream_table *table = r->end.table;
    size_t sent = 0, got = 0;
    uint64_t until = mf_sys_after(110);
    bool good = true;
    while (good && got < total && mf_sys_now() < until) {
        unsigned wants = table->wants(&r->end, sent < total);
        struct pollfd fd = {.fd = table->fd(&r->end),
                            .events =
                                (short)((wants & MF_LOOP_READ ? POLLIN : 0) | (wants & MF_LOOP_WRITE ? POLLOUT : 0))};
        *again += (wants & MF_LOOP_AGAIN) != 0;
        if (sent > 0 || got > 0)
            mf_sys_poll(&fd, 1, wants & MF_LOOP_AGAIN ? 0 : until);
        ssize_t n = table->read(&r->end, in, sizeof in, NULL);
        for (ssize_t i = 0; i < n; i++)
            good = good && in[i] == pattern(got + (size_t)i);
        if (n < 0)
            break;
        got += (size_t)n;
        size_t some = total - sent < sizeof out ? total - sent : sizeof out;
        for (size_t i = 0; i < some; i++)
            out[i] = pattern(sent + i);
        struct iovec pieces[] = {{out, some / 3}, {out + some / 3, 0}, {out + some / 3, some - some / 3}};
        n = table->write(&r->end, pieces, 3, -1);
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    if (!good || got != total)
        fprintf(stderr, "%zu of %zu bytes sent, %zu echoed, bytes %s; %s\n", sent, total, got, good ? "right" : "wrong",
                table->last_error(&r->end));
    return good && got == total;
}

static void bulk(const struct sshd *sshd, int buffer, size_t total)
{
    unsigned again = 0;
    struct mf_stream_remote *r = sshd_run(sshd, buffer, "cat");
    if (!CHECK(r && echo(r, total, &again)))
        fprintf(stderr, "with buffers of %d and %s\n", buffer, sshd->name);
    CHECK(again > 0); /* packets that no poll could have seen */
    if (r)
        end(r);
}

/* S26, N25 */
static void test_bulk(void)
{
    bulk(&plain, 0, 20000000);
    bulk(&plain, 4096, 100000000);
    for (int i = 0; i < 20; i++)
        bulk(&plain, i % 2 ? 4096 : 16384, 2000000);
}

/* S23 */
static void test_rekey(void)
{
    struct sshd often = sshd_start("rekey", "'RekeyLimit 1M'");
    bulk(&often, 0, 10000000);
    bulk(&often, 4096, 20000000);
    sshd_stop(&often);
}

/* --- The ways of a connection -------------------------------------------------------------------------------------- */

/* A relay through one or two servers to a third. */
static struct mf_ssh *jump(const struct sshd *over, const struct sshd *to, struct mf_ssh *from, int buffer)
{
    struct mf_wait wait = sshd_soon();
    struct mf_fault fault = {0};
    struct mf_ssh *s = from ? from : sshd_login(sshd_connect(over->port, buffer), NULL);
    int fd = -1;
    if (!CHECK(s && mf_ssh_relay(s, over->name, "127.0.0.1", to->port, &fd, &wait, &fault) == MF_OK))
        return NULL;
    return sshd_login(fd, s);
}

static void test_jumps(void)
{
    struct mf_wait wait = sshd_soon();
    struct sshd one = sshd_start("one", ""), two = sshd_start("two", "");
    unsigned again = 0;
    for (int i = 0; i < 2; i++) {
        struct mf_ssh *s = jump(&one, &two, NULL, i ? 4096 : 0);
        s = s ? jump(&two, &plain, s, 0) : NULL;
        struct mf_stream_remote *r = s ? mf_ssh_exec(s, "cat", &wait, NULL) : NULL;
        if (!CHECK(r != NULL)) {
            mf_ssh_free(s);
            continue;
        }
        mf_ssh_give(s, r);
        CHECK(echo(r, 10000000, &again));
        end(r);
    }
    sshd_stop(&one);
    sshd_stop(&two);
}

/* S24, S25: The session's own server or the jump host dies in the middle: the stream ends, and says where. */
static void test_deaths(void)
{
    struct mf_wait wait = sshd_soon();
    struct mf_remote_exit exit;
    struct sshd mortal = sshd_start("mortal", "");
    struct mf_stream_remote *r = sshd_run(&mortal, 0, "cat");
    sshd_stop(&mortal);
    CHECK(mf_remote_finish(r, &wait, &exit) == MF_OK && exit.how == MF_REMOTE_LOST);
    CHECK(*r->end.table->last_error(&r->end));
    end(r);
    mortal = sshd_start("mortal", "");
    struct mf_ssh *s = jump(&mortal, &plain, NULL, 0);
    r = s ? mf_ssh_exec(s, "cat", &wait, NULL) : NULL;
    CHECK(r != NULL);
    sshd_stop(&mortal);
    if (r) {
        mf_ssh_give(s, r);
        CHECK(mf_remote_finish(r, &wait, &exit) == MF_OK && exit.how == MF_REMOTE_LOST);
        CHECK(strstr(r->end.table->last_error(&r->end), "through mortal"));
        end(r);
    }
}

static void test_refused_relay(void)
{
    struct mf_wait wait = sshd_soon();
    struct mf_fault fault = {0};
    struct sshd closed = sshd_start("closed", "'AllowTcpForwarding no'");
    int fd = -1;
    struct mf_ssh *s = sshd_login(sshd_connect(closed.port, 0), NULL);
    CHECK(mf_ssh_relay(s, "closed", "127.0.0.1", plain.port, &fd, &wait, &fault) == MF_EINVAL && fd == -1);
    CHECK(strstr(fault.text, "refuses"));
    mf_ssh_free(s);
    s = sshd_login(sshd_connect(plain.port, 0), NULL);
    CHECK(mf_ssh_relay(s, "plain", "127.0.0.1", 1, &fd, &wait, &fault) == MF_EINVAL && strstr(fault.text, "port 1"));
    mf_ssh_free(s);
    sshd_stop(&closed);
}

/* --- Sessions ------------------------------------------------------------------------------------------------------ */

/* One command after the other, though the server allows one at a time only. */
static void test_commands(void)
{
    struct mf_wait wait = sshd_soon();
    struct sshd single = sshd_start("single", "'MaxSessions 1'");
    struct mf_ssh *s = sshd_login(sshd_connect(single.port, 0), NULL);
    char text[8];
    for (int i = 0; i < 5; i++) {
        struct mf_stream_remote *r = mf_ssh_exec(s, i % 2 ? "echo hello; exec cat" : "echo hello", &wait, NULL);
        CHECK(r && read_all(r, text, 6) && memcmp(text, "hello\n", 6) == 0);
        if (r)
            CHECK(mf_ssh_end_exec(s, r, &wait) == MF_OK);
    }
    struct mf_stream_remote *r = mf_ssh_exec(s, "cat", &wait, NULL);
    struct mf_fault fault = {0};
    if (CHECK(r != NULL)) {
        CHECK(!mf_ssh_exec(s, "cat", &wait, &fault) && fault.code == MF_EINVAL && strstr(fault.text, "no channel"));
        end(r);
    }
    mf_ssh_free(s);
    sshd_stop(&single);
}

static void test_cancel(void)
{
    struct mf_fault fault = {0};
    int event[2], pair[2];
    bool early;
    CHECK(mf_sys_event_new(event) && mf_sys_socketpair(pair));
    struct mf_ssh *s = mf_ssh_new(pair[0], NULL, NULL);
    struct mf_wait wait = {.deadline = mf_sys_after(0.01), .cancel = event[0]};
    CHECK(mf_ssh_handshake(s, NULL, 0, &wait, &early, &fault) == MF_ETIMEDOUT && early);
    CHECK(strstr(fault.text, "did not say anything"));
    mf_ssh_free(s);
    close(pair[1]);
    CHECK(mf_sys_socketpair(pair));
    s = mf_ssh_new(pair[0], NULL, NULL);
    wait.deadline = mf_sys_after(60);
    mf_sys_event_post(event);
    CHECK(mf_ssh_handshake(s, NULL, 0, &wait, &early, &fault) == MF_EINTR);
    mf_ssh_free(s);
    close(pair[1]);
    mf_sys_event_close(event);
}

static void handshake_with(const char *speech, enum mf_err expected, bool expect_early, const char *word)
{
    struct mf_wait wait = sshd_soon();
    struct mf_fault fault = {0};
    int pair[2];
    bool early;
    CHECK(mf_sys_socketpair(pair));
    struct mf_ssh *s = mf_ssh_new(pair[0], NULL, NULL);
    CHECK(send(pair[1], speech, strlen(speech), MSG_NOSIGNAL) == (ssize_t)strlen(speech));
    shutdown(pair[1], SHUT_WR);
    CHECK(mf_ssh_handshake(s, NULL, 0, &wait, &early, &fault) == expected && early == expect_early);
    if (!CHECK(strstr(fault.text, word)))
        fprintf(stderr, "%s\n", fault.text);
    mf_ssh_free(s);
    close(pair[1]);
}

static void test_strange_servers(void)
{
    handshake_with("", MF_ELOST, true, "closed");
    handshake_with("HTTP/1.1 400 \"Bad\"\r\n\x1b[1m", MF_EINVAL, false, "it says \"HTTP/1.1 400 \\x22Bad");
    handshake_with("Exceeded MaxStartups\r\n", MF_ELOST, true, "no more log-ins");
    handshake_with("SSH-2.0-strange\r\n", MF_ELOST, false, "closed");
    handshake_with("SSH-1.5-old\r\n", MF_ELOST, false, "");
}

static void on_signal(int signal)
{
    (void)signal;
}

/* N28: Signals every millisecond, none of them seen. */
static void test_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal}, old;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec often = {{0, 1000000}, {0, 1000000}};
    timer_t timer;
    unsigned again = 0;
    sigaction(SIGUSR1, &action, &old);
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &often, NULL) == 0);
    struct mf_ssh *s = sshd_login(sshd_connect(plain.port, 4096), NULL);
    struct mf_wait wait = sshd_soon();
    struct mf_stream_remote *r = s ? mf_ssh_exec(s, "cat", &wait, NULL) : NULL;
    CHECK(r && echo(r, 5000000, &again));
    timer_delete(timer);
    sigaction(SIGUSR1, &old, NULL);
    if (r)
        mf_ssh_give(s, r), end(r);
}

int main(void)
{
    alarm(600);
    sshd_begin("");
    plain = sshd_start("plain", "");
    test_echo();
    test_errors_and_exits();
    test_many_errors();
    test_bulk();
    test_rekey();
    test_jumps();
    test_deaths();
    test_refused_relay();
    test_commands();
    test_cancel();
    test_strange_servers();
    test_signals();
    mf_ssh_free(NULL);
    sshd_stop(&plain);
    sshd_end();
    return check_report();
}
