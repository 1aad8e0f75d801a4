/* A bad cable for tests: passes Ethernet frames between a new interface of this network namespace and a new one, eth0, of
 * another, late and not all of them as they were sent. Needs root. It ends, and the interfaces with it, when it is killed.
 *
 *     wire INTERFACE NAMESPACE DELAY LOSS DUPLICATES REORDERED     milliseconds each way; frames of 1000
 *
 * Prints "up" when both interfaces are there. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define FRAME   2048
#define WAITING 16384

struct frame {
    int64_t due; /* microseconds */
    int to;
    size_t n;
    unsigned char bytes[FRAME];
};

static struct frame *queue; /* a ring */
static size_t first, last;
static int ends[2];
static int delay, loss, duplicates, reordered;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void give_up(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static int make_interface(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0)
        give_up(name);
    return fd;
}

static int make_interface_in(const char *namespace)
{
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", namespace);
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), other = open(path, O_RDONLY | O_CLOEXEC);
    if (own < 0 || other < 0 || setns(other, CLONE_NEWNET) != 0)
        give_up(path);
    int fd = make_interface("eth0");
    if (setns(own, CLONE_NEWNET) != 0)
        give_up(path);
    close(own);
    close(other);
    return fd;
}

static bool happens(int of_thousand)
{
    return rand() % 1000 < of_thousand;
}

/* One that is not delayed overtakes others only if it stands before them. */
static void enqueue(const unsigned char *bytes, size_t n, int to)
{
    int64_t due = now() + delay * 1000;
    if (happens(loss) || (last + 1) % WAITING == first)
        return;
    struct frame *f = &queue[last];
    last = (last + 1) % WAITING;
    *f = (struct frame){.due = due, .to = to, .n = n};
    memcpy(f->bytes, bytes, n);
    size_t before = (last + WAITING - 2) % WAITING;
    if (f != &queue[first] && happens(reordered)) {
        struct frame copy = *f;
        *f = queue[before];
        queue[before] = copy;
    }
}

static void take(int from)
{
    unsigned char bytes[FRAME];
    for (int i = 0; i < 64; i++) {
        ssize_t n = read(ends[from], bytes, sizeof bytes);
        if (n <= 0)
            return;
        enqueue(bytes, (size_t)n, !from);
        if (happens(duplicates))
            enqueue(bytes, (size_t)n, !from);
    }
}

/* Gives what is due; the microseconds until the next is. */
static int64_t give(void)
{
    while (first != last && queue[first].due <= now()) {
        const struct frame *f = &queue[first];
        if (write(ends[f->to], f->bytes, f->n) < 0) {
            /* the interface is down, or full: lost */
        }
        first = (first + 1) % WAITING;
    }
    return first == last ? 1000000 : queue[first].due - now();
}

int main(int argc, char *argv[])
{
    if (argc != 7)
        return 2;
    ends[0] = make_interface(argv[1]);
    ends[1] = make_interface_in(argv[2]);
    delay = atoi(argv[3]);
    loss = atoi(argv[4]);
    duplicates = atoi(argv[5]);
    reordered = atoi(argv[6]);
    queue = calloc(WAITING, sizeof *queue);
    if (!queue)
        give_up("memory");
    srand(1);
    puts("up");
    fflush(stdout);
    for (;;) {
        int64_t wait = give();
        struct timespec time = {wait > 0 ? wait / 1000000 : 0, wait > 0 ? wait % 1000000 * 1000 : 0};
        struct pollfd polls[] = {{.fd = ends[0], .events = POLLIN}, {.fd = ends[1], .events = POLLIN}};
        ppoll(polls, 2, &time, NULL);
        take(0);
        take(1);
    }
}
