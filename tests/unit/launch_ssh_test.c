/* Launches that work, over both transports: a command, an agent behind noise, jump hosts, many at the same time; names that
 * are refused; limits and cancels. */
#include "launch.h"

#include <netdb.h>

static struct sshd plain;
static const enum mf_launch_transport both[] = {MF_LAUNCH_LIBSSH2, MF_LAUNCH_OPENSSH};

static void test_command(void)
{
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = launch_options(&plain, both[t]);
        o.command = "exec cat";
        CHECK(launch_works(&o));
        struct mf_launch_ssh_result r = launch_wait(&o);
        CHECK(r.transport == both[t] && r.note[0] == '\0' && r.text[0] == '\0' && !r.uploaded);
        struct mf_wait wait = sshd_soon();
        struct mf_remote_exit exit;
        CHECK(r.remote && mf_remote_shut(r.remote, &wait) == MF_OK);
        CHECK(mf_remote_finish(r.remote, &wait, &exit) == MF_OK && exit.how == MF_REMOTE_EXITED && exit.code == 0);
        launch_close(&r);
    }
}

static void test_program(void)
{
    char program[SSHD_TEXT];
    launch_write_program(sshd_path(program, "moonfleet"), LAUNCH_VERSION, 0);
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = launch_options(&plain, both[t]);
        o.program = program;
        CHECK(launch_works(&o));
    }
}

/* S18, S20: Text in front of the hello, on stdout and on stderr, in pieces. */
static void test_noise(void)
{
    char program[SSHD_TEXT], directive[2 * SSHD_TEXT];
    sshd_path(program, "moonfleet");
    snprintf(directive, sizeof directive,
             "'ForceCommand printf \"Welcome, MooF\\n\"; echo on stderr >&2; head -c 60000 /dev/zero; exec "
             "$SSH_ORIGINAL_COMMAND'");
    struct sshd noisy = sshd_start("noisy", directive);
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = launch_options(&noisy, both[t]);
        char last[200];
        o.program = program;
        struct mf_launch_ssh_result r = launch_wait(&o);
        CHECK(r.remote && launch_says_hello(r.remote) && launch_echoes(r.remote));
        CHECK(r.remote && strstr(mf_remote_last(r.remote, last, sizeof last), "on stderr"));
        launch_close(&r);
    }
    sshd_stop(&noisy);
}

/* The configuration of a chain: names for the servers, and ProxyJump for the last ones. */
static void write_chain(const char *path, const struct sshd *one, const struct sshd *two, const struct sshd *three)
{
    char text[2000], line[300] = "";
    FILE *f = fopen(launch_config, "r");
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    f = fopen(path, "w");
    fprintf(f, "Host one\nHostName 127.0.0.1\nPort %d\n", one->port);
    fprintf(f, "Host two\nHostName 127.0.0.1\nPort %d\nProxyJump one\n", two->port);
    fprintf(f, "Host three\nHostName 127.0.0.1\nPort %d\nProxyJump two\n", three->port);
    fprintf(f, "Host listed\nHostName 127.0.0.1\nPort %d\nProxyJump %s@127.0.0.1:%d,two\n", three->port, sshd_user,
            one->port);
    fprintf(f, "Host circle\nProxyJump circle\nHost *\n%s%s", text, line);
    CHECK(fclose(f) == 0);
}

static void test_jumps(void)
{
    static const char *const hosts[] = {"one", "two", "three", "listed"};
    char config[SSHD_TEXT];
    struct sshd one = sshd_start("one", ""), two = sshd_start("two", "");
    write_chain(sshd_path(config, "chain"), &one, &two, &plain);
    for (int t = 0; t < 2; t++)
        for (size_t i = 0; i < 4; i++) {
            struct mf_launch_ssh_options o = launch_options(NULL, both[t]);
            o.host = hosts[i];
            o.config = config;
            o.command = "exec cat";
            CHECK(launch_works(&o));
        }
    struct mf_launch_ssh_options o = launch_options(NULL, MF_LAUNCH_LIBSSH2);
    o.host = "circle";
    o.config = config;
    o.command = "cat";
    CHECK(launch_fails(&o, MF_LAUNCH_CONFIG, "circle", NULL));
    sshd_stop(&one);
    o.host = "three";
    CHECK(launch_fails(&o, MF_LAUNCH_CONNECT, "at jump host one", "refused"));
    sshd_stop(&two);
}

/* --- Many ---------------------------------------------------------------------------------------------------------- */

enum { MANY = 64 };

/* S14: All at the same time, on a server that refuses log-ins beyond 10: places are shared out. */
static void test_many(void)
{
    char program[SSHD_TEXT];
    sshd_path(program, "moonfleet");
    struct sshd usual = sshd_start("usual", "'MaxStartups 10:30:100'");
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = launch_options(&usual, both[t]);
        struct mf_launch_ssh *launches[MANY];
        sem_t sem;
        sem_init(&sem, 0, 0);
        o.program = program;
        int many = t == 0 ? MANY : 16; /* the program takes half a second of a core each */
        for (int i = 0; i < many; i++) {
            launches[i] = mf_launch_ssh_start(launch_group, &o, launch_post, &sem, NULL);
            CHECK(launches[i] != NULL);
        }
        for (int i = 0; i < many; i++)
            while (sem_wait(&sem) != 0) {
            }
        for (int i = 0; i < many; i++) {
            struct mf_launch_ssh_result r = {.code = MF_EINVAL};
            CHECK(mf_launch_ssh_take(launches[i], &r) && r.code == MF_OK && launch_says_hello(r.remote) &&
                  launch_echoes(r.remote));
            if (r.code != MF_OK)
                fprintf(stderr, "%s\n", r.text);
            launch_close(&r);
            mf_launch_ssh_free(launches[i]);
        }
        sem_destroy(&sem);
    }
    sshd_stop(&usual);
}

/* S14: One place only, which another log-in holds for a moment: another try. */
static void test_back_off(void)
{
    struct sshd narrow = sshd_start("narrow", "'MaxStartups 1'");
    int fd = sshd_connect(narrow.port, 0);
    char banner[16];
    CHECK(recv(fd, banner, sizeof banner, 0) > 4); /* the place is taken */
    struct mf_launch_ssh_options o = launch_options(&narrow, MF_LAUNCH_LIBSSH2);
    sem_t sem;
    sem_init(&sem, 0, 0);
    o.command = "exec cat";
    struct mf_launch_ssh *l = mf_launch_ssh_start(launch_group, &o, launch_post, &sem, NULL);
    char log[SSHD_TEXT];
    uint64_t until = mf_sys_after(60);
    sshd_path(log, "narrow/log");
    while (!sshd_shell("grep -q 'past MaxStartups' %s", log) && mf_sys_now() < until) /* it was refused */
        sshd_pause();
    close(fd);
    while (sem_wait(&sem) != 0) {
    }
    struct mf_launch_ssh_result r = {.code = MF_EINVAL};
    CHECK(mf_launch_ssh_take(l, &r) && r.code == MF_OK && launch_echoes(r.remote));
    launch_close(&r);
    mf_launch_ssh_free(l);
    sem_destroy(&sem);
    sshd_stop(&narrow);
}

/* --- Ends ---------------------------------------------------------------------------------------------------------- */

/* A listener that nobody serves: the kernel connects, and nothing is ever said. */
static int listen_silently(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, n) == 0 && listen(fd, 8) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &n) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* S13 */
static void test_limits(void)
{
    int port, fd = listen_silently(&port);
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = launch_options(&plain, both[t]);
        o.port = port;
        o.command = "cat";
        o.limits = (struct mf_launch_limits){.connect = 0.2, .kex = 0.2, .auth = 0.2, .hello = 0.2};
        struct mf_launch_ssh_result r = launch_wait(&o);
        if (t == 0) /* the program is running already when a command is all that is wanted */
            CHECK(r.code == MF_ETIMEDOUT && r.step == MF_LAUNCH_KEX && strstr(r.text, "did not say anything in time"));
        launch_close(&r);
        o.command = NULL;
        o.program = "moonfleet";
        CHECK(launch_fails(&o, t == 0 ? MF_LAUNCH_KEX : MF_LAUNCH_HELLO, "in time", NULL));
    }
    close(fd);
    struct sshd slow = sshd_start("slow", "'ForceCommand echo almost; exec cat >/dev/null'");
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = launch_options(&slow, both[t]);
        o.program = "moonfleet";
        o.limits = (struct mf_launch_limits){.connect = 1, .kex = 1, .auth = 1, .hello = 1};
        CHECK(launch_fails(&o, MF_LAUNCH_HELLO, "no answer in time", "almost"));
    }
    sshd_stop(&slow);
}

static void test_cancel(void)
{
    int port, fd = listen_silently(&port);
    for (int t = 0; t < 2; t++)
        for (int twice = 0; twice < 2; twice++) {
            struct mf_launch_ssh_options o = launch_options(&plain, both[t]);
            struct mf_launch_ssh_result r = {.code = MF_OK};
            sem_t sem;
            sem_init(&sem, 0, 0);
            o.port = port;
            o.program = "moonfleet";
            struct mf_launch_ssh *l = mf_launch_ssh_start(launch_group, &o, launch_post, &sem, NULL);
            CHECK(l && !mf_launch_ssh_take(l, &r));
            if (twice) {
                mf_launch_ssh_cancel(l);
                mf_launch_ssh_cancel(l);
                while (sem_wait(&sem) != 0) {
                }
                CHECK(mf_launch_ssh_take(l, &r) && r.code == MF_EINTR && strstr(r.text, "cancelled"));
            }
            mf_launch_ssh_free(l); /* cancels by itself */
            sem_destroy(&sem);
        }
    close(fd);
}

/* A result that nobody takes is closed. */
static void test_not_taken(void)
{
    struct mf_launch_ssh_options o = launch_options(&plain, MF_LAUNCH_LIBSSH2);
    sem_t sem;
    sem_init(&sem, 0, 0);
    o.command = "exec cat";
    struct mf_launch_ssh *l = mf_launch_ssh_start(launch_group, &o, launch_post, &sem, NULL);
    while (sem_wait(&sem) != 0) {
    }
    mf_launch_ssh_free(l);
    mf_launch_ssh_free(NULL);
    sem_destroy(&sem);
}

/* S31 */
static void test_names(void)
{
    static const char *const bad[] = {"-oProxyCommand=touch /tmp/x", "a b", "a'b", "$(x)", ""};
    struct mf_fault fault = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct mf_launch_ssh_options o = launch_options(&plain, MF_LAUNCH_AUTO);
        o.host = bad[i];
        CHECK(!mf_launch_ssh_start(launch_group, &o, launch_post, NULL, &fault) && fault.code == MF_EINVAL);
        o.host = "a";
        o.user = bad[i];
        CHECK(!mf_launch_ssh_start(launch_group, &o, launch_post, NULL, &fault) && fault.code == MF_EINVAL);
        o.user = NULL;
        o.program = bad[i];
        CHECK(!mf_launch_ssh_start(launch_group, &o, launch_post, NULL, &fault) && fault.code == MF_EINVAL);
        o.program = NULL;
        o.name = bad[i];
        CHECK(!mf_launch_ssh_start(launch_group, &o, launch_post, NULL, &fault) && fault.code == MF_EINVAL);
    }
    struct mf_launch_ssh_options o = launch_options(&plain, MF_LAUNCH_AUTO);
    o.port = 65536;
    CHECK(!mf_launch_ssh_start(launch_group, &o, launch_post, NULL, &fault) && strstr(fault.text, "65536"));
}

int main(void)
{
    alarm(600);
    launch_begin("");
    plain = sshd_start("plain", "");
    test_command();
    test_program();
    test_noise();
    test_jumps();
    test_many();
    test_back_off();
    test_limits();
    test_cancel();
    test_not_taken();
    test_names();
    sshd_stop(&plain);
    launch_end();
    return check_report();
}
