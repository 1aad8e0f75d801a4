/* A connection that is damaged on its way: changed, repeated, inserted bytes, resets and ends at any offset end it with
 * words and never deliver a wrong byte; one that only crawls is only slow. And launches without descriptors. */
#include "launch.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum damage { PASS, FIN, RST, FLIP, REPEAT, INSERT, TRICKLE };
static const char *const damage_names[] = {"pass", "fin", "rst", "flip", "repeat", "insert", "trickle"};

static struct sshd plain;

/* --- The proxy: a process of its own ------------------------------------------------------------------------------- */

struct proxy {
    pid_t pid;
    int port;
};

static void reset(int fd)
{
    struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static bool send_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = send(fd, bytes, n, MSG_NOSIGNAL);
        if (done <= 0)
            return false;
        bytes += done;
        n -= (size_t)done;
    }
    return true;
}

/* Passes what the server says on, with the damage at byte offset of it. False: the connection is over. */
static bool damage_bytes(enum damage damage, size_t offset, size_t seen, char *bytes, size_t n, int client)
{
    bool here = offset >= seen && offset < seen + n;
    size_t at = here ? offset - seen : 0;
    if (damage == TRICKLE) {
        for (size_t i = 0; i < n; i++)
            if (!send_all(client, bytes + i, 1))
                return false;
        return true;
    }
    if (!here || damage == PASS)
        return send_all(client, bytes, n);
    if (damage == FLIP)
        bytes[at] ^= 1;
    if (!send_all(client, bytes, damage == FLIP ? n : at) || damage == FIN || damage == RST)
        return damage == FLIP;
    if (damage == REPEAT && !send_all(client, bytes + (at > 32 ? at - 32 : 0), at > 32 ? 32 : at))
        return false;
    if (damage == INSERT && !send_all(client, "sixteen bytes ..", 16))
        return false;
    return damage == FLIP || send_all(client, bytes + at, n - at);
}

static void proxy_connection(int client, int port, enum damage damage, size_t offset)
{
    int server = sshd_connect(port, 0), on = 1;
    char bytes[16384];
    size_t seen = 0;
    bool good = true;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    while (good) {
        struct pollfd fds[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
        poll(fds, 2, -1);
        if (fds[0].revents) {
            ssize_t n = recv(client, bytes, sizeof bytes, 0);
            good = n > 0 && send_all(server, bytes, (size_t)n);
        }
        if (good && fds[1].revents) {
            ssize_t n = recv(server, bytes, sizeof bytes, 0);
            good = n > 0 && damage_bytes(damage, offset, seen, bytes, (size_t)n, client);
            seen += n > 0 ? (size_t)n : 0;
        }
    }
    if (damage == RST)
        reset(client);
    close(server);
}

static struct proxy start_proxy(enum damage damage, size_t offset)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof address;
    struct proxy p;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, n) == 0 && listen(fd, 8) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &n) == 0);
    p.port = ntohs(address.sin_port);
    p.pid = fork();
    if (p.pid == 0) {
        alarm(100);
        for (;;) {
            int client = accept(fd, NULL, NULL);
            proxy_connection(client, plain.port, damage, offset);
            if (damage != RST)
                close(client);
        }
    }
    close(fd);
    return p;
}

static void stop_proxy(struct proxy *p)
{
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
}

/* --- Through it ---------------------------------------------------------------------------------------------------- */

/* Launches through the proxy and echoes some bytes: how far it came. */
enum outcome { NO_LAUNCH, WRONG, ENDED, WHOLE };

static enum outcome echo_through(const struct proxy *p, enum mf_launch_transport transport,
                                 struct mf_launch_ssh_result *r)
{
    enum { TOTAL = 20000 };
    static char out[TOTAL], in[TOTAL];
    struct mf_wait wait = sshd_soon();
    char known[SSHD_TEXT];
    struct mf_launch_ssh_options o = launch_options(&plain, transport);
    size_t n = 0;
    enum mf_err e;
    sshd_shell("sed 's/]:[0-9]*/]:%d/' %s > %s", p->port, launch_known, sshd_path(known, "known_proxy"));
    o.port = p->port;
    o.known_hosts = known;
    o.command = "exec cat";
    o.limits = (struct mf_launch_limits){.connect = 5, .kex = 5, .auth = 5, .hello = 5};
    *r = launch_wait(&o);
    if (!r->remote)
        return NO_LAUNCH;
    for (int i = 0; i < TOTAL; i++)
        out[i] = (char)(i * 7 + (i >> 8));
    wait.deadline = mf_sys_after(20);
    enum outcome outcome = ENDED;
    if (mf_remote_write(r->remote, out, TOTAL, &wait) == MF_OK) {
        ssize_t got = 1;
        while (n < TOTAL && (got = mf_remote_read(r->remote, in + n, TOTAL - n, &wait, &e)) > 0)
            n += (size_t)got;
        outcome = n == TOTAL ? WHOLE : ENDED;
    }
    if (memcmp(in, out, n) != 0)
        outcome = WRONG;
    launch_close(r);
    return outcome;
}

/* N8: An undamaged one, and one that crawls. */
static void test_harmless(void)
{
    static const enum damage harmless[] = {PASS, TRICKLE};
    for (int i = 0; i < 2; i++) {
        struct proxy p = start_proxy(harmless[i], 0);
        struct mf_launch_ssh_result r;
        CHECK(echo_through(&p, MF_LAUNCH_LIBSSH2, &r) == WHOLE);
        CHECK(echo_through(&p, MF_LAUNCH_OPENSSH, &r) == WHOLE);
        stop_proxy(&p);
    }
}

/* N4, N5, N12, N14: From the banner over key exchange and log-in into the bytes that are echoed. */
static void test_damage(void)
{
    static const size_t offsets[] = {0, 3, 40, 45, 300, 1100, 1500, 1800, 2100, 2600, 3000, 5000, 9000, 20000};
    int ends = 0, refusals = 0;
    for (enum damage d = FIN; d <= INSERT; d++)
        for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
            if ((d == FIN || d == RST) && offsets[i] < 2000 && offsets[i] != 1100)
                continue; /* ends before the log-in are tried again and again, which takes long */
            struct proxy p = start_proxy(d, offsets[i]);
            struct mf_launch_ssh_result r = {.code = MF_OK};
            enum outcome outcome = echo_through(&p, MF_LAUNCH_LIBSSH2, &r);
            if (!CHECK(outcome != WRONG && (outcome != NO_LAUNCH || (r.code != MF_OK && r.text[0]))))
                fprintf(stderr, "%s at %zu: %d %s\n", damage_names[d], offsets[i], (int)outcome, r.text);
            ends += outcome == ENDED;
            refusals += outcome == NO_LAUNCH;
            stop_proxy(&p);
        }
    CHECK(ends > 5 && refusals > 10);
    for (enum damage d = FIN; d <= INSERT; d++) { /* the program, at some places only: it takes longer */
        struct proxy p = start_proxy(d, 9000);
        struct mf_launch_ssh_result r;
        CHECK(echo_through(&p, MF_LAUNCH_OPENSSH, &r) != WRONG);
        stop_proxy(&p);
    }
}

/* --- Descriptors --------------------------------------------------------------------------------------------------- */

/* With so few descriptors that every call that makes one fails once: words, and nothing left behind. */
static void test_few_descriptors(void)
{
    struct rlimit limit, low;
    int first = dup(0), works = 0, fails = 0;
    close(first);
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (int t = 0; t < 2; t++)
        for (int n = 0; n < 16; n++) {
            struct mf_launch_ssh_options o = launch_options(&plain, t ? MF_LAUNCH_OPENSSH : MF_LAUNCH_LIBSSH2);
            struct mf_launch_ssh_result r = {.code = MF_EINVAL};
            struct mf_fault fault = {.code = MF_OK};
            sem_t sem;
            sem_init(&sem, 0, 0);
            o.command = "exec cat";
            low = limit;
            low.rlim_cur = (rlim_t)(first + n);
            setrlimit(RLIMIT_NOFILE, &low);
            struct mf_launch_ssh *l = mf_launch_ssh_start(launch_group, &o, launch_post, &sem, &fault);
            if (l) {
                while (sem_wait(&sem) != 0) {
                }
                CHECK(mf_launch_ssh_take(l, &r));
            }
            setrlimit(RLIMIT_NOFILE, &limit);
            CHECK(r.code == MF_OK ? r.remote != NULL : r.text[0] || fault.text[0]);
            works += r.code == MF_OK;
            fails += r.code != MF_OK;
            launch_close(&r);
            mf_launch_ssh_free(l);
            sem_destroy(&sem);
        }
    CHECK(works > 4 && fails > 6);
    int next = dup(0);
    CHECK(next == first);
    close(next);
}

int main(void)
{
    alarm(600);
    launch_begin("");
    plain = sshd_start("plain", "");
    test_harmless();
    test_damage();
    test_few_descriptors();
    sshd_stop(&plain);
    launch_end();
    return check_report();
}
