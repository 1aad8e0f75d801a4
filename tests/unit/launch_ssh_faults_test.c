/* Hosts on which a launch must fail with words, or work all the same: servers that are none, shells of all kinds, programs
 * that do not run, endless text, jump hosts that refuse. */
#include "launch.h"

#include <signal.h>
#include <sys/wait.h>

static struct sshd plain;
static char program[SSHD_TEXT];
static const enum mf_launch_transport both[] = {MF_LAUNCH_LIBSSH2, MF_LAUNCH_OPENSSH};

static struct mf_launch_ssh_options options_for(const struct sshd *sshd, enum mf_launch_transport transport)
{
    struct mf_launch_ssh_options o = launch_options(sshd, transport);
    o.program = program;
    return o;
}

/* --- Servers that are none ----------------------------------------------------------------------------------------- */

/* A process that answers each connection with these bytes and closes it. */
static pid_t serve(const char *bytes, int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, n) == 0 && listen(fd, 8) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &n) == 0);
    *port = ntohs(address.sin_port);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(120);
        for (;;) {
            int c = accept(fd, NULL, NULL);
            char request[300];
            if (recv(c, request, sizeof request, 0) > 0) /* the client's banner */
                send(c, bytes, strlen(bytes), MSG_NOSIGNAL);
            close(c);
        }
    }
    close(fd);
    return pid;
}

/* S13, N26 */
static void test_strange_servers(void)
{
    int port;
    pid_t pid = serve("HTTP/1.1 400 Bad Request\r\n\x1b[31mred\r\n", &port);
    struct mf_launch_ssh_options o = options_for(&plain, MF_LAUNCH_LIBSSH2);
    o.port = port;
    CHECK(launch_fails(&o, MF_LAUNCH_KEX, "no SSH server", "HTTP/1.1 400"));
    o.transport = MF_LAUNCH_OPENSSH;
    CHECK(launch_fails(&o, MF_LAUNCH_KEX, "ssh:", NULL));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    o.port = 1; /* nobody listens */
    CHECK(launch_fails(&o, MF_LAUNCH_CONNECT, "onnection refused", "port 1"));
    o.transport = MF_LAUNCH_LIBSSH2;
    CHECK(launch_fails(&o, MF_LAUNCH_CONNECT, "127.0.0.1 port 1: Connection refused", NULL));
    o.host = "no-such-host.invalid";
    CHECK(launch_fails(&o, MF_LAUNCH_RESOLVE, "cannot find the host 'no-such-host.invalid'", NULL));
    o.transport = MF_LAUNCH_OPENSSH;
    CHECK(launch_fails(&o, MF_LAUNCH_RESOLVE, "no-such-host.invalid", NULL));
}

/* --- Programs that do not run -------------------------------------------------------------------------------------- */

/* S16 */
static void test_programs(void)
{
    char path[SSHD_TEXT];
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = options_for(&plain, both[t]);
        o.program = "/nowhere/moonfleet";
        CHECK(launch_fails(&o, MF_LAUNCH_HELLO, "/nowhere/moonfleet exited with code 127", "is that program there"));
        launch_write(sshd_path(path, "text"), "#!/bin/sh\n", 0644);
        o.program = path;
        CHECK(launch_fails(&o, MF_LAUNCH_HELLO, "exited with code 126", "cannot be executed"));
        launch_write(sshd_path(path, "elf"),
                     "\x7f"
                     "ELF\2\1\1 of no machine",
                     0755);
        CHECK(launch_fails(&o, MF_LAUNCH_HELLO, "exited with code 126", "Exec format error"));
        launch_write(sshd_path(path, "crash"), "#!/bin/sh\necho going down >&2\nkill -SEGV $$\n", 0755);
        CHECK(launch_fails(&o, MF_LAUNCH_HELLO, "going down", t == 0 ? "SIGSEGV" : ""));
        launch_write(sshd_path(path, "library"),
                     "#!/bin/sh\necho 'error while loading shared libraries: liblua5.4.so.0' >&2\n"
                     "exit 127\n",
                     0755);
        CHECK(launch_fails(&o, MF_LAUNCH_HELLO, "with all its libraries", "liblua5.4.so.0"));
        launch_write(sshd_path(path, "quiet"), "#!/bin/sh\n", 0755);
        CHECK(launch_fails(&o, MF_LAUNCH_HELLO, "exited with code 0", NULL));
    }
}

/* S19 */
static void test_endless(void)
{
    struct sshd endless = sshd_start("endless", "'ForceCommand yes \"what a host\"'");
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = options_for(&endless, both[t]);
        CHECK(launch_fails(&o, MF_LAUNCH_HELLO, "without end", "what a host"));
    }
    sshd_stop(&endless);
}

/* --- Shells -------------------------------------------------------------------------------------------------------- */

/* A server whose commands are run by another shell. */
static struct sshd shell_server(const char *shell)
{
    char directive[SSHD_TEXT];
    snprintf(directive, sizeof directive, "'ForceCommand exec %s -c \"$SSH_ORIGINAL_COMMAND\"'", shell);
    return sshd_start(shell, directive);
}

/* S22 */
static void test_shells(void)
{
    static const char *const shells[] = {"sh", "bash", "dash", "ksh", "mksh", "zsh", "tcsh", "csh", "fish"};
    char build[SSHD_TEXT], command[100];
    launch_write_program(sshd_path(build, "build"), LAUNCH_VERSION, 1000);
    int tried = 0;
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        snprintf(command, sizeof command, "command -v %s >/dev/null", shells[i]);
        if (system(command) != 0)
            continue;
        struct sshd sshd = shell_server(shells[i]);
        struct mf_launch_ssh_options o = options_for(&sshd, MF_LAUNCH_LIBSSH2);
        CHECK(launch_works(&o));
        o.program = NULL;
        o.node_build = build;
        if (!CHECK(launch_works(&o))) /* looks, uploads, starts */
            fprintf(stderr, "with %s\n", shells[i]);
        sshd_stop(&sshd);
        tried++;
    }
    CHECK(tried >= 2);
}

/* S22, S32 */
static void test_no_shell(void)
{
    struct sshd none = sshd_start("none", "'ForceCommand echo This account is currently not available.; exit 1'");
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = options_for(&none, both[t]);
        CHECK(launch_fails(&o, MF_LAUNCH_HELLO, "exited with code 1", "currently not available"));
    }
    sshd_stop(&none);
    /* the words of a host may hold anything; only plain text of it is shown */
    char banner[SSHD_TEXT], directives[3 * SSHD_TEXT];
    launch_write(sshd_path(banner, "banner"), "\x1b[2J\x1b[31mYou are being watched\x07\n", 0644);
    snprintf(directives, sizeof directives, "'Banner %s' 'ForceCommand printf \"\\033[31mred\\n\" >&2; exit 5'",
             banner);
    struct sshd loud = sshd_start("loud", directives);
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = options_for(&loud, both[t]);
        CHECK(launch_fails(&o, MF_LAUNCH_HELLO, "exited with code 5", "?[31mred"));
    }
    sshd_stop(&loud);
}

/* S30: Limits of the host's: what fails there is told. */
static void test_host_limits(void)
{
    struct sshd few = sshd_start("few", "'ForceCommand exec prlimit --nofile=1:1 $SSH_ORIGINAL_COMMAND'");
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = options_for(&few, both[t]);
        CHECK(launch_fails(&o, MF_LAUNCH_HELLO, "exited with code", "cannot open shared object file"));
    }
    sshd_stop(&few);
}

/* S21: A log-in that takes its time is waited for, and others get on meanwhile. */
static void test_slow(void)
{
    struct sshd slow = sshd_start("slow", "'ForceCommand sleep 1; exec $SSH_ORIGINAL_COMMAND'");
    struct mf_launch_ssh_options o = options_for(&slow, MF_LAUNCH_LIBSSH2);
    sem_t sem;
    sem_init(&sem, 0, 0);
    struct mf_launch_ssh *l = mf_launch_ssh_start(launch_group, &o, launch_post, &sem, NULL);
    struct mf_launch_ssh_options quick = options_for(&plain, MF_LAUNCH_LIBSSH2);
    CHECK(launch_works(&quick));
    while (sem_wait(&sem) != 0) {
    }
    struct mf_launch_ssh_result r = {.code = MF_EINVAL};
    CHECK(mf_launch_ssh_take(l, &r) && r.code == MF_OK && launch_says_hello(r.remote));
    launch_close(&r);
    mf_launch_ssh_free(l);
    sem_destroy(&sem);
    sshd_stop(&slow);
}

/* --- Jump hosts ---------------------------------------------------------------------------------------------------- */

static const char *jump_config(const struct sshd *over, const struct sshd *to)
{
    static char path[SSHD_TEXT];
    char text[1000];
    snprintf(
        text, sizeof text,
        "Host target\nHostName 127.0.0.1\nPort %d\nProxyJump gate\nHost gate\nHostName 127.0.0.1\nPort %d\nHost *\n"
        "Include %s\n",
        to->port, over->port, launch_config);
    launch_write(sshd_path(path, "jump_config"), text, 0600);
    return path;
}

/* S25 */
static void test_jumps(void)
{
    struct sshd gate = sshd_start("gate", ""), closed = sshd_start("closed", "'AllowTcpForwarding no'"), gone = plain;
    gone.port = 1;
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = options_for(NULL, both[t]);
        o.host = "target";
        o.config = jump_config(&gate, &plain);
        CHECK(launch_works(&o));
        o.config = jump_config(&closed, &plain);
        CHECK(launch_fails(&o, MF_LAUNCH_FORWARD, t == 0 ? "at jump host gate" : "open failed", NULL));
        o.config = jump_config(&gate, &gone);
        CHECK(launch_fails(&o, MF_LAUNCH_FORWARD, t == 0 ? "port 1" : "open failed", NULL));
        o.config = jump_config(&gone, &plain);
        CHECK(launch_fails(&o, MF_LAUNCH_CONNECT, "refused", t == 0 ? "at jump host gate" : NULL));
        o.config = jump_config(&gate, &plain);
        struct mf_launch_ssh_result r = launch_wait(&o);
        CHECK(r.code == MF_OK && launch_says_hello(r.remote));
        sshd_stop(&gate); /* under way */
        struct mf_wait wait = sshd_soon();
        struct mf_remote_exit exit;
        CHECK(r.remote && mf_remote_finish(r.remote, &wait, &exit) == MF_OK);
        CHECK(t == 1 ||
              (exit.how == MF_REMOTE_LOST && strstr(r.remote->end.table->last_error(&r.remote->end), "through gate")));
        launch_close(&r);
        gate = sshd_start("gate", "");
    }
    sshd_stop(&gate);
    sshd_stop(&closed);
}

int main(void)
{
    alarm(600);
    launch_begin("");
    launch_write_program(sshd_path(program, "moonfleet"), LAUNCH_VERSION, 0);
    plain = sshd_start("plain", "");
    test_strange_servers();
    test_programs();
    test_endless();
    test_shells();
    test_no_shell();
    test_host_limits();
    test_slow();
    test_jumps();
    sshd_stop(&plain);
    launch_end();
    return check_report();
}
