/*
 * The floor for work over SSH: what a bare program moves over one connection, with libssh2 and nothing above it, and
 * with the ssh program behind a socket pair.
 *
 *     ssh_floor libssh2|openssh PORT USER KEY CONFIG [MEASURE...]
 *
 * connects to 127.0.0.1 (the servers of the benchmark; no host key is checked) and prints a line "name value unit" for each
 * measure: round_trip, of one byte through `cat`, its median; up, 64 MB to a command that drops them, until it says so;
 * down, 64 MB from one that makes them. CONFIG is the ssh program's configuration.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <libssh2.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BYTES ((size_t)64 << 20)
#define TRIPS 2000
#define PIECE 65536

static const char drop[] = "head -c 67108864 >/dev/null; echo done";
static const char make[] = "head -c 67108864 /dev/zero";

static void die(const char *what)
{
    fprintf(stderr, "ssh_floor: %s\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare);
    return values[n / 2];
}

/* One command at a time at the far end: bytes to it and from it, blocking. */
struct line {
    int fd;
    pid_t pid; /* openssh */
    LIBSSH2_SESSION *session;
    LIBSSH2_CHANNEL *channel;
};

static const char *port, *user, *key, *config;

/* ---- libssh2 ---- */

static void wait_for(const struct line *l)
{
    int directions = libssh2_session_block_directions(l->session);
    struct pollfd p = {.fd = l->fd, .events = POLLIN};
    if (directions & LIBSSH2_SESSION_BLOCK_OUTBOUND)
        p.events |= POLLOUT;
    poll(&p, 1, -1);
}

static void log_in(struct line *l)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int on = 1, rc;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    l->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(l->fd, (struct sockaddr *)&a, sizeof a) != 0)
        die("cannot connect");
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    l->session = libssh2_session_init();
    libssh2_session_set_blocking(l->session, 0);
    while ((rc = libssh2_session_handshake(l->session, l->fd)) == LIBSSH2_ERROR_EAGAIN)
        wait_for(l);
    while (rc == 0 &&
           (rc = libssh2_userauth_publickey_fromfile(l->session, user, NULL, key, NULL)) == LIBSSH2_ERROR_EAGAIN) {
        wait_for(l);
        rc = 0;
    }
    if (rc != 0)
        die("libssh2 cannot log in");
}

static void start_libssh2(struct line *l, const char *command)
{
    int rc;
    log_in(l);
    while (!(l->channel = libssh2_channel_open_session(l->session)) &&
           libssh2_session_last_errno(l->session) == LIBSSH2_ERROR_EAGAIN)
        wait_for(l);
    if (!l->channel)
        die("libssh2 opens no channel");
    while ((rc = libssh2_channel_exec(l->channel, command)) == LIBSSH2_ERROR_EAGAIN)
        wait_for(l);
    if (rc != 0)
        die("libssh2 runs no command");
}

static ssize_t write_libssh2(const struct line *l, const char *bytes, size_t n)
{
    ssize_t done;
    while ((done = libssh2_channel_write(l->channel, bytes, n)) == LIBSSH2_ERROR_EAGAIN)
        wait_for(l);
    return done;
}

static ssize_t read_libssh2(const struct line *l, char *bytes, size_t n)
{
    ssize_t got;
    while ((got = libssh2_channel_read(l->channel, bytes, n)) == LIBSSH2_ERROR_EAGAIN)
        wait_for(l);
    return got;
}

static void stop_libssh2(struct line *l)
{
    libssh2_session_set_blocking(l->session, 1);
    libssh2_session_disconnect(l->session, "done");
    libssh2_session_free(l->session);
    close(l->fd);
}

/* ---- the ssh program ---- */

static void start_openssh(struct line *l, const char *command)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        die("no socket pair");
    l->pid = fork();
    if (l->pid == 0) {
        dup2(pair[1], 0);
        dup2(pair[1], 1);
        execlp("ssh", "ssh", "-F", config, "-o", "BatchMode=yes", "-T", "-p", port, "-l", user, "-i", key, "127.0.0.1",
               command, (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    l->fd = pair[0];
}

static ssize_t write_openssh(const struct line *l, const char *bytes, size_t n)
{
    return send(l->fd, bytes, n, MSG_NOSIGNAL);
}

static ssize_t read_openssh(const struct line *l, char *bytes, size_t n)
{
    return recv(l->fd, bytes, n, 0);
}

static void stop_openssh(struct line *l)
{
    close(l->fd);
    waitpid(l->pid, NULL, 0);
}

static const struct kind {
    const char *name;
    void (*start)(struct line *l, const char *command);
    ssize_t (*write)(const struct line *l, const char *bytes, size_t n);
    ssize_t (*read)(const struct line *l, char *bytes, size_t n);
    void (*stop)(struct line *l);
} kinds[] = {{"libssh2", start_libssh2, write_libssh2, read_libssh2, stop_libssh2},
             {"openssh", start_openssh, write_openssh, read_openssh, stop_openssh}};

/* ---- measures ---- */

static void read_all(const struct kind *k, const struct line *l, size_t n)
{
    static char bytes[PIECE];
    while (n > 0) {
        ssize_t got = k->read(l, bytes, n < sizeof bytes ? n : sizeof bytes);
        if (got <= 0)
            die("the connection has ended");
        n -= (size_t)got;
    }
}

static void write_all(const struct kind *k, const struct line *l, size_t n)
{
    static char bytes[PIECE];
    while (n > 0) {
        ssize_t done = k->write(l, bytes, n < sizeof bytes ? n : sizeof bytes);
        if (done <= 0)
            die("the connection has ended");
        n -= (size_t)done;
    }
}

static double round_trip(const struct kind *k)
{
    static double trips[TRIPS];
    struct line l = {0};
    k->start(&l, "exec cat");
    for (int i = -100; i < TRIPS; i++) { /* the first ones wait for the log-in */
        double since = now();
        write_all(k, &l, 1);
        read_all(k, &l, 1);
        if (i >= 0)
            trips[i] = 1e6 * (now() - since);
    }
    k->stop(&l);
    return median(trips, TRIPS);
}

/* MB/s of one way; a byte has gone to and fro first, so that the log-in does not count. */
static double move(const struct kind *k, bool up)
{
    char command[200];
    struct line l = {0};
    snprintf(command, sizeof command, "head -c 1; %s", up ? drop : make);
    k->start(&l, command);
    write_all(k, &l, 1);
    read_all(k, &l, 1);
    double since = now();
    if (up)
        write_all(k, &l, BYTES);
    read_all(k, &l, up ? 5 : BYTES);
    double taken = now() - since;
    k->stop(&l);
    return (double)BYTES / 1e6 / taken;
}

static double up(const struct kind *k)
{
    return move(k, true);
}

static double down(const struct kind *k)
{
    return move(k, false);
}

static const struct measure {
    const char *name, *unit;
    double (*measure)(const struct kind *k);
} measures[] = {{"round_trip", "us", round_trip}, {"up", "MB/s", up}, {"down", "MB/s", down}};

static bool is_wanted(const struct measure *m, char *const names[], int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], m->name) == 0)
            return true;
    return n == 0;
}

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(name, kinds[i].name) == 0)
            return &kinds[i];
    die("there is libssh2 and openssh");
    return NULL;
}

int main(int argc, char *argv[])
{
    if (argc < 6)
        die("usage: ssh_floor libssh2|openssh port user key config [measure...]");
    const struct kind *k = find_kind(argv[1]);
    port = argv[2];
    user = argv[3];
    key = argv[4];
    config = argv[5];
    libssh2_init(0);
    for (size_t i = 0; i < sizeof measures / sizeof measures[0]; i++)
        if (is_wanted(&measures[i], argv + 6, argc - 6))
            printf("%s %.1f %s\n", measures[i].name, measures[i].measure(k), measures[i].unit);
    return 0;
}
