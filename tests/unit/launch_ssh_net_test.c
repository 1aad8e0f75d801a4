/* Links that are cut, for long and for a moment, idle and with data on its way. Needs network namespaces; where they are
 * not allowed, only that is checked. */
#include "launch.h"

#include <poll.h>
#include <sys/uio.h>

#include "../../runtime/loop.h"
#include "../../runtime/sys_fd.h"

#define HOSTS 3

struct host {
    char namespace[64], address[64], link[64];
};

static struct host hosts[HOSTS];
static FILE *keeper; /* of the network */

static bool make_net(void)
{
    char ready[SSHD_TEXT], failed[SSHD_TEXT], command[2 * SSHD_TEXT];
    snprintf(command, sizeof command, "exec sh tests/support/net.sh %s %d", sshd_folder, HOSTS);
    sshd_path(ready, "hosts");
    sshd_path(failed, "failed");
    keeper = popen(command, "we");
    uint64_t until = mf_sys_after(60);
    while (access(ready, F_OK) != 0 && access(failed, F_OK) != 0 && mf_sys_now() < until)
        sshd_pause();
    FILE *f = fopen(ready, "r");
    for (int i = 0; f && i < HOSTS; i++)
        CHECK(fscanf(f, "%63s %63s %63s", hosts[i].namespace, hosts[i].address, hosts[i].link) == 3);
    if (f)
        fclose(f);
    return f != NULL;
}

static struct sshd start(const char *name, const struct host *host)
{
    char directive[SSHD_TEXT];
    snprintf(directive, sizeof directive, "'Netns %s %s'", host->namespace, host->address);
    return sshd_start(name, directive);
}

static struct mf_stream_remote *launch_on(const struct sshd *sshd, const struct host *host,
                                          enum mf_launch_transport transport, const char *command)
{
    struct mf_launch_ssh_options o = launch_options(sshd, transport);
    o.host = host->address;
    o.command = command;
    struct mf_launch_ssh_result r = launch_wait(&o);
    if (!CHECK(r.code == MF_OK))
        fprintf(stderr, "%s\n", r.text);
    if (r.remote)
        CHECK(launch_echoes(r.remote));
    return r.remote;
}

static void link_is(const struct host *host, const char *state)
{
    CHECK(sshd_shell("ip link set %s %s", host->link, state));
}

/* Reads and writes as a loop would, until the stream ends; whether it does before the time is up. */
static bool ends(struct mf_stream_remote *const remotes[], size_t n, bool writing, double seconds)
{
    static char bytes[65536];
    uint64_t until = mf_sys_after(seconds);
    bool over[HOSTS] = {false};
    size_t left = n;
    while (left > 0 && mf_sys_now() < until) {
        struct pollfd fds[HOSTS];
        for (size_t i = 0; i < n; i++) {
            const struct mf_stream_table *t = remotes[i]->end.table;
            struct iovec piece = {bytes, sizeof bytes};
            ssize_t got = over[i] ? 0 : t->read(&remotes[i]->end, bytes, sizeof bytes, NULL);
            if (got >= 0 && writing && !over[i])
                t->write(&remotes[i]->end, &piece, 1, -1);
            left -= got < 0;
            over[i] = over[i] || got < 0;
            unsigned wants = over[i] ? 0 : t->wants(&remotes[i]->end, writing);
            fds[i] = (struct pollfd){
                .fd = over[i] ? -1 : t->fd(&remotes[i]->end),
                .events = (short)((wants & MF_LOOP_READ ? POLLIN : 0) | (wants & MF_LOOP_WRITE ? POLLOUT : 0))};
        }
        if (left > 0)
            mf_sys_poll(fds, n, mf_sys_now() + 100000000);
    }
    return left == 0;
}

static void close_all(struct mf_stream_remote *remotes[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        remotes[i]->end.table->close(&remotes[i]->end);
}

/* N1, N2, N3: Cut for a moment: nothing is lost. Cut for good: the stream ends, idle or not, and closing it does not wait. */
static void test_cuts(void)
{
    struct sshd a = start("a", &hosts[0]), b = start("b", &hosts[1]), c = start("c", &hosts[2]);
    struct mf_stream_remote *idle[] = {launch_on(&a, &hosts[0], MF_LAUNCH_LIBSSH2, "exec cat"),
                                       launch_on(&b, &hosts[1], MF_LAUNCH_OPENSSH, "exec cat")};
    struct mf_stream_remote *busy[] = {launch_on(&c, &hosts[2], MF_LAUNCH_LIBSSH2, "exec cat")};
    if (!idle[0] || !idle[1] || !busy[0])
        return;
    for (int i = 0; i < HOSTS; i++)
        link_is(&hosts[i], "down");
    CHECK(!ends(idle, 2, false, 1));
    for (int i = 0; i < HOSTS; i++)
        link_is(&hosts[i], "up");
    CHECK(launch_echoes(idle[0]) && launch_echoes(idle[1]) && launch_echoes(busy[0]));
    CHECK(!ends(busy, 1, true, 0.5)); /* much is on its way now */
    for (int i = 0; i < HOSTS; i++)
        link_is(&hosts[i], "down");
    CHECK(ends(busy, 1, true, 60) && ends(idle, 2, false, 60));
    struct mf_remote_exit exit = mf_remote_exit(busy[0]);
    const char *why = busy[0]->end.table->last_error(&busy[0]->end);
    if (!CHECK(exit.how == MF_REMOTE_LOST && (strstr(why, "timed out") || strstr(why, "No route"))))
        fprintf(stderr, "%s\n", why);
    close_all(idle, 2);
    close_all(busy, 1);
    for (int i = 0; i < HOSTS; i++)
        link_is(&hosts[i], "up");
    sshd_stop(&a);
    sshd_stop(&b);
    sshd_stop(&c);
}

/* N26: No connection to a host that is not there; an address that nobody has. */
static void test_unreachable(void)
{
    struct mf_launch_ssh_options o = launch_options(NULL, MF_LAUNCH_LIBSSH2);
    char address[80];
    o.host = hosts[0].address;
    o.port = 22;
    o.command = "cat";
    CHECK(launch_fails(&o, MF_LAUNCH_CONNECT, "port 22: Connection refused", hosts[0].address));
    link_is(&hosts[0], "down");
    o.limits.connect = 0.5;
    CHECK(launch_fails(&o, MF_LAUNCH_CONNECT, "port 22: ", hosts[0].address));
    link_is(&hosts[0], "up");
    snprintf(address, sizeof address, "%s%s", hosts[0].address, "9"); /* .119: nobody */
    o.host = address;
    o.limits.connect = 5;
    CHECK(launch_fails(&o, MF_LAUNCH_CONNECT, "port 22: ", address));
}

int main(void)
{
    alarm(300);
    launch_begin("");
    if (make_net()) {
        test_cuts();
        test_unreachable();
    } else {
        char failed[SSHD_TEXT];
        CHECK(access(sshd_path(failed, "failed"), F_OK) == 0);
    }
    if (keeper)
        pclose(keeper);
    launch_end();
    return check_report();
}
