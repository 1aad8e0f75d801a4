/* Node builds: found, uploaded once, by several at the same time, refused with words; hosts without a home, without space,
 * with a /tmp that executes nothing. */
#include "launch.h"

#include <dirent.h>

static char build[SSHD_TEXT];
static const enum mf_launch_transport both[] = {MF_LAUNCH_LIBSSH2, MF_LAUNCH_OPENSSH};

static struct mf_launch_ssh_options options_for(const struct sshd *sshd, enum mf_launch_transport transport)
{
    struct mf_launch_ssh_options o = launch_options(sshd, transport);
    o.node_build = build;
    return o;
}

static void forget(const struct sshd *sshd)
{
    CHECK(sshd_shell("rm -rf %s/%s/home/.cache", sshd_folder, sshd->name));
}

/* How many files the server's cache has; their mode, if there is one. */
static int cached(const struct sshd *sshd, mode_t *mode)
{
    char path[SSHD_TEXT], command[2 * SSHD_TEXT];
    int n = 0;
    unsigned m = 0;
    snprintf(command, sizeof command, "find %s -type f -printf '%%m\\n' 2>/dev/null",
             sshd_path(path, "%s/home/.cache/moonfleet", sshd->name));
    FILE *f = popen(command, "re");
    while (f && fscanf(f, "%o", &m) == 1)
        n++;
    if (f)
        pclose(f);
    *mode = m;
    return n;
}

static void test_upload(const struct sshd *plain)
{
    mode_t mode;
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = options_for(plain, both[t]);
        forget(plain);
        for (int i = 0; i < 2; i++) { /* the second time it is there */
            struct mf_launch_ssh_result r = launch_wait(&o);
            if (!CHECK(r.code == MF_OK && r.uploaded == (i == 0) && launch_says_hello(r.remote)))
                fprintf(stderr, "%s\n", r.text);
            CHECK(r.remote && launch_echoes(r.remote));
            launch_close(&r);
            CHECK(cached(plain, &mode) == 1 && mode == 0700);
        }
    }
}

/* One that the host has already is used, if it is of our version. */
static void test_installed(void)
{
    char path[SSHD_TEXT], directive[2 * SSHD_TEXT];
    mode_t mode;
    CHECK(mkdir(sshd_path(path, "bin"), 0755) == 0);
    snprintf(directive, sizeof directive, "'ForceCommand PATH=%s:$PATH sh -c \"$SSH_ORIGINAL_COMMAND\"'", path);
    launch_write_program(sshd_path(path, "bin/moonfleet"), LAUNCH_VERSION, 0);
    struct sshd having = sshd_start("having", directive);
    struct mf_launch_ssh_options o = options_for(&having, MF_LAUNCH_LIBSSH2);
    struct mf_launch_ssh_result r = launch_wait(&o);
    CHECK(r.code == MF_OK && !r.uploaded && launch_says_hello(r.remote) && cached(&having, &mode) == 0);
    launch_close(&r);
    launch_write_program(path, "Moonfleet 1.1.1", 0);
    r = launch_wait(&o);
    CHECK(r.code == MF_OK && r.uploaded && launch_says_hello(r.remote) && cached(&having, &mode) == 1);
    launch_close(&r);
    forget(&having);
    o.upload = false;
    CHECK(launch_fails(&o, MF_LAUNCH_HELLO, "Moonfleet 1.1.1", "upload is off"));
    o.upload = true;
    o.node_build = NULL;
    CHECK(launch_fails(&o, MF_LAUNCH_HELLO, "has no Moonfleet 9.9.9", "no node build"));
    o.node_build = "/nowhere/build";
    CHECK(launch_fails(&o, MF_LAUNCH_EXEC, "/nowhere/build", "No such file"));
    sshd_stop(&having);
    unlink(path);
}

/* S15: A server that allows one command at a time gets one at a time. */
static void test_single(void)
{
    struct sshd single = sshd_start("single", "'MaxSessions 1'");
    struct mf_launch_ssh_options o = options_for(&single, MF_LAUNCH_LIBSSH2);
    struct mf_launch_ssh_result r = launch_wait(&o);
    CHECK(r.code == MF_OK && r.uploaded && launch_says_hello(r.remote));
    launch_close(&r);
    sshd_stop(&single);
}

/* Several masters find nothing, and all upload. */
static void test_together(const struct sshd *plain)
{
    enum { TOGETHER = 6 };
    struct mf_launch_ssh *launches[TOGETHER];
    mode_t mode;
    sem_t sem;
    sem_init(&sem, 0, 0);
    forget(plain);
    for (int i = 0; i < TOGETHER; i++) {
        struct mf_launch_ssh_options o = options_for(plain, both[i % 2]);
        launches[i] = mf_launch_ssh_start(launch_group, &o, launch_post, &sem, NULL);
    }
    for (int i = 0; i < TOGETHER; i++)
        while (sem_wait(&sem) != 0) {
        }
    for (int i = 0; i < TOGETHER; i++) {
        struct mf_launch_ssh_result r = {.code = MF_EINVAL};
        if (!CHECK(mf_launch_ssh_take(launches[i], &r) && r.code == MF_OK && launch_says_hello(r.remote)))
            fprintf(stderr, "%s\n", r.text);
        launch_close(&r);
        mf_launch_ssh_free(launches[i]);
    }
    CHECK(cached(plain, &mode) == 1 && mode == 0700); /* and nothing half */
    sem_destroy(&sem);
}

/* --- Hosts that cannot take it ------------------------------------------------------------------------------------- */

static void expect_refusal(const char *name, const char *directive, const char *a, const char *b)
{
    struct sshd sshd = sshd_start(name, directive);
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = options_for(&sshd, both[t]);
        if (!CHECK(launch_fails(&o, MF_LAUNCH_UPLOAD, a, b)))
            fprintf(stderr, "on %s\n", name);
    }
    sshd_stop(&sshd);
}

/* S16 */
static void test_wrong_machine(void)
{
    char path[SSHD_TEXT], directive[2 * SSHD_TEXT];
    CHECK(mkdir(sshd_path(path, "other"), 0755) == 0);
    snprintf(directive, sizeof directive, "'ForceCommand PATH=%s:$PATH sh -c \"$SSH_ORIGINAL_COMMAND\"'", path);
    launch_write(sshd_path(path, "other/uname"), "#!/bin/sh\n[ $1 = -m ] && echo z80 || echo CPM\n", 0755);
    expect_refusal("machine", directive, "the host is a CPM z80", "node build is for");
}

/* S16: A build that the host cannot run, as a wrong library or a wrong machine would be. */
static void test_does_not_run(const struct sshd *plain)
{
    char path[SSHD_TEXT];
    mode_t mode;
    launch_write(sshd_path(path, "broken"), "#!/bin/sh\necho no such library >&2\nexit 127\n", 0755);
    forget(plain);
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = options_for(plain, both[t]);
        o.node_build = path;
        CHECK(launch_fails(&o, MF_LAUNCH_UPLOAD, "does not run there", "no such library"));
        CHECK(cached(plain, &mode) == 0);
    }
}

/* S29: Without a home the build goes below /tmp; mount namespaces give each its own. */
static void test_places(void)
{
    static const char script[] = "'ForceCommand exec unshare --mount sh -c \"umount -l /proc/fs 2>/dev/null; "
                                 "mount -t tmpfs -o %s tmpfs /tmp && exec env -u XDG_CACHE_HOME HOME=%s "
                                 "sh -c \\\"\\$SSH_ORIGINAL_COMMAND\\\"\"'";
    char directive[600];
    if (system("unshare --mount true 2>/dev/null") != 0)
        return; /* not allowed here */
    snprintf(directive, sizeof directive, script, "noexec", "/dev/null");
    expect_refusal("noexec", directive, "programs may not be executed there", "no place");
    snprintf(directive, sizeof directive, script, "size=64k", "/dev/null");
    expect_refusal("small", directive, "bytes were written to /tmp/moonfleet-", NULL);
    snprintf(directive, sizeof directive, script, "ro", "/proc");
    expect_refusal("readonly", directive, "no place", "/proc");
    snprintf(directive, sizeof directive, script, "size=10m", "/dev/null");
    struct sshd homeless = sshd_start("homeless", directive);
    struct mf_launch_ssh_options o = options_for(&homeless, MF_LAUNCH_LIBSSH2);
    struct mf_launch_ssh_result r = launch_wait(&o);
    /* each command has a /tmp of its own there, so what was uploaded is gone again */
    CHECK(r.code != MF_OK && r.step == MF_LAUNCH_HELLO &&
          strstr(r.text, "was uploaded, but the host does not find it"));
    launch_close(&r);
    sshd_stop(&homeless);
}

/* Somebody else's folder below /tmp is not used. */
static void test_foreign_folder(void)
{
    static const char script[] = "'ForceCommand exec unshare --mount sh -c \"mount -t tmpfs tmpfs /tmp && %s && "
                                 "exec env -u XDG_CACHE_HOME HOME=/dev/null sh -c \\\"\\$SSH_ORIGINAL_COMMAND\\\"\"'";
    char directive[600];
    if (getuid() != 0 || system("unshare --mount true 2>/dev/null") != 0)
        return;
    snprintf(directive, sizeof directive, script, "mkdir -m 777 /tmp/moonfleet-0 && chown 12345 /tmp/moonfleet-0");
    expect_refusal("foreign", directive, "belongs to somebody else", NULL);
    snprintf(directive, sizeof directive, script, "ln -s /root /tmp/moonfleet-0");
    expect_refusal("link", directive, "is a link", NULL);
}

int main(void)
{
    alarm(600);
    launch_begin("");
    launch_write_program(sshd_path(build, "build"), LAUNCH_VERSION, 3000000);
    struct sshd plain = sshd_start("plain", "");
    test_upload(&plain);
    test_installed();
    test_single();
    test_together(&plain);
    test_wrong_machine();
    test_does_not_run(&plain);
    test_places();
    test_foreign_folder();
    sshd_stop(&plain);
    launch_end();
    return check_report();
}
