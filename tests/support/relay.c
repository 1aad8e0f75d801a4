/* A middle box for tests: passes TCP connections on to a server, and does to them what it is told.
 *
 *     relay ADDRESS PORT FOLDER <commands
 *
 * Listens on a port of 127.0.0.1, which it writes to FOLDER/port. A command is a line; when it is obeyed, its number (from 1)
 * stands in FOLDER/done. The relay ends with its input.
 *
 *     pass                 as a good network does
 *     hold                 nothing passes, nobody is told
 *     delay MS             all bytes come so much later
 *     trickle              one byte at a time
 *     WHAT down|up N       once, when N more bytes have passed to the client (down) or to the server (up):
 *                          flip (a bit), repeat (32 bytes), insert (16 bytes), fin, rst (both ways)
 *     count                writes "UP DOWN", the bytes that have passed so far, to FOLDER/count
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 64
#define PIECE       16384
#define WAITING     (4 << 20) /* bytes that may be on their way in one direction */

struct piece {
    struct piece *next;
    int64_t due; /* milliseconds */
    size_t n, sent;
    char bytes[PIECE + 64];
};

/* One direction of a connection. */
struct way {
    struct piece *first, *last;
    size_t waiting;
    bool ended; /* nothing more is read */
};

struct connection {
    int fd[2]; /* client, server */
    bool used;
    struct way way[2]; /* from the client, from the server */
};

static struct connection connections[CONNECTIONS];
static struct {
    const char *address, *folder;
    int port, commands;
    bool hold, trickle;
    int delay;
    char damage[16]; /* "" none */
    int direction;   /* whose: 0 from the client, 1 from the server */
    long long offset, passed[2];
} relay;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Whole or not at all. */
static void tell(const char *name, const char *text)
{
    char path[512], scratch[520];
    snprintf(path, sizeof path, "%s/%s", relay.folder, name);
    snprintf(scratch, sizeof scratch, "%s.new", path);
    FILE *f = fopen(scratch, "w");
    if (!f || fprintf(f, "%s\n", text) < 0 || fclose(f) != 0 || rename(scratch, path) != 0)
        exit(EXIT_FAILURE);
}

static void end(struct connection *c, bool reset)
{
    struct linger at_once = {1, 0};
    for (int i = 0; i < 2; i++) {
        if (reset)
            setsockopt(c->fd[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(c->fd[i]);
        for (struct piece *p = c->way[i].first, *next; p; p = next) {
            next = p->next;
            free(p);
        }
    }
    *c = (struct connection){.used = false};
}

/* --- Commands ------------------------------------------------------------------------------------------------------- */

static void count(void)
{
    char text[64];
    snprintf(text, sizeof text, "%lld %lld", relay.passed[0], relay.passed[1]);
    tell("count", text);
}

static void obey(const char *line)
{
    char what[16] = "", where[16] = "", text[16];
    long long n = 0;
    if (sscanf(line, "%15s %15s %lld", what, where, &n) < 1)
        return;
    if (strcmp(what, "count") == 0) {
        count();
    } else {
        relay.hold = strcmp(what, "hold") == 0;
        relay.trickle = strcmp(what, "trickle") == 0;
        relay.delay = strcmp(what, "delay") == 0 ? atoi(where) : 0;
        relay.direction = strcmp(where, "down") == 0;
        relay.offset = n;
        relay.damage[0] = '\0';
        if (strcmp(where, "down") == 0 || strcmp(where, "up") == 0)
            strcpy(relay.damage, what);
    }
    snprintf(text, sizeof text, "%d", ++relay.commands);
    tell("done", text);
}

static void read_commands(void)
{
    static char line[256];
    static size_t n;
    char bytes[256];
    ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
    if (got <= 0)
        exit(EXIT_SUCCESS);
    for (ssize_t i = 0; i < got; i++) {
        if (bytes[i] != '\n' && n < sizeof line - 1) {
            line[n++] = bytes[i];
            continue;
        }
        line[n] = '\0';
        n = 0;
        obey(line);
    }
}

/* --- Bytes ---------------------------------------------------------------------------------------------------------- */

/* Makes the piece longer by n bytes at that place. */
static void widen(struct piece *p, size_t at, const char *bytes, size_t n)
{
    memmove(p->bytes + at + n, p->bytes + at, p->n - at);
    memcpy(p->bytes + at, bytes, n);
    p->n += n;
}

/* Does what was ordered, if its place is in this piece. False: the connection is over. */
static bool damage(struct connection *c, int from, struct piece *p)
{
    char copy[32];
    if (!relay.damage[0] || from != relay.direction)
        return true;
    if (relay.offset >= (long long)p->n) {
        relay.offset -= (long long)p->n;
        return true;
    }
    size_t at = (size_t)relay.offset, n = at < sizeof copy ? at : sizeof copy;
    char what = relay.damage[0], which = relay.damage[1];
    relay.damage[0] = '\0';
    if (what == 'f' && which == 'l') {
        p->bytes[at] ^= 1;
    } else if (what == 'i') {
        widen(p, at, "sixteen bytes ..", 16);
    } else if (what == 'r' && which == 'e') {
        memcpy(copy, p->bytes + at - n, n);
        widen(p, at, copy, n);
    } else {
        send(c->fd[!from], p->bytes, at, MSG_NOSIGNAL | MSG_DONTWAIT);
        free(p);
        end(c, what == 'r');
        return false;
    }
    return true;
}

/* False: the connection is over. */
static bool take(struct connection *c, int from)
{
    struct way *w = &c->way[from];
    struct piece *p = malloc(sizeof *p);
    ssize_t got = recv(c->fd[from], p->bytes, PIECE, MSG_DONTWAIT);
    if (got <= 0) {
        free(p);
        w->ended = got == 0;
        if (got == 0 && !w->first)
            shutdown(c->fd[!from], SHUT_WR);
        if (got == 0 || errno == EAGAIN || errno == EINTR)
            return true;
        end(c, false);
        return false;
    }
    p->next = NULL;
    p->n = (size_t)got;
    p->sent = 0;
    p->due = now() + relay.delay;
    if (!damage(c, from, p))
        return false;
    *(w->first ? &w->last->next : &w->first) = p;
    w->last = p;
    w->waiting += p->n;
    relay.passed[from] += got;
    return true;
}

/* False: the connection is over. */
static bool give(struct connection *c, int from)
{
    struct way *w = &c->way[from];
    while (w->first && w->first->due <= now()) {
        struct piece *p = w->first;
        size_t n = relay.trickle ? 1 : p->n - p->sent;
        ssize_t done = send(c->fd[!from], p->bytes + p->sent, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (done < 0) {
            end(c, false);
            return false;
        }
        p->sent += (size_t)done;
        w->waiting -= (size_t)done;
        if (p->sent < p->n)
            continue;
        w->first = p->next;
        free(p);
    }
    if (w->ended && !w->first)
        shutdown(c->fd[!from], SHUT_WR);
    return true;
}

/* --- Connections ---------------------------------------------------------------------------------------------------- */

static int listen_somewhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof address;
    char text[16];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, n) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &n) != 0)
        exit(EXIT_FAILURE);
    snprintf(text, sizeof text, "%d", ntohs(address.sin_port));
    tell("port", text);
    return fd;
}

static void accept_one(int listener)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)relay.port)};
    struct connection *c = connections;
    int client = accept(listener, NULL, NULL), server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    inet_pton(AF_INET, relay.address, &address.sin_addr);
    while (c < connections + CONNECTIONS && c->used)
        c++;
    if (c == connections + CONNECTIONS || connect(server, (struct sockaddr *)&address, sizeof address) != 0) {
        close(server);
        close(client);
        return;
    }
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *c = (struct connection){.fd = {client, server}, .used = true};
}

static short wants(const struct connection *c, int i)
{
    const struct way *from = &c->way[i], *to = &c->way[!i];
    bool sends = to->first && to->first->due <= now();
    return relay.hold ? 0 : (short)((from->ended || from->waiting > WAITING ? 0 : POLLIN) | (sends ? POLLOUT : 0));
}

static void serve(struct connection *c, const struct pollfd *polls)
{
    for (int i = 0; i < 2 && !relay.hold; i++)
        if ((polls[i].revents & (POLLIN | POLLHUP | POLLERR) && !c->way[i].ended && !take(c, i)) || !give(c, i))
            return;
    if (c->way[0].ended && c->way[1].ended && !c->way[0].first && !c->way[1].first)
        end(c, false);
}

int main(int argc, char *argv[])
{
    struct pollfd polls[2 + 2 * CONNECTIONS];
    if (argc != 4)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    relay.address = argv[1];
    relay.port = atoi(argv[2]);
    relay.folder = argv[3];
    int listener = listen_somewhere();
    for (;;) {
        polls[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
        polls[1] = (struct pollfd){.fd = listener, .events = POLLIN};
        for (int i = 0; i < 2 * CONNECTIONS; i++) {
            struct connection *c = &connections[i / 2];
            short events = c->used ? wants(c, i % 2) : 0;
            polls[2 + i] = (struct pollfd){.fd = events ? c->fd[i % 2] : -1, .events = events};
        }
        poll(polls, 2 + 2 * CONNECTIONS, relay.delay ? 1 : 10);
        for (int i = 0; i < CONNECTIONS; i++)
            if (connections[i].used)
                serve(&connections[i], &polls[2 + 2 * i]);
        if (polls[1].revents)
            accept_one(listener);
        if (polls[0].revents)
            read_commands();
    }
}
