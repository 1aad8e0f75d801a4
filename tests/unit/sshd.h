/* Real SSH servers for the C tests, by tests/support/sshd.sh; and a session with one of them, logged in. */
#ifndef MF_TEST_SSHD_H
#define MF_TEST_SSHD_H

#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <time.h>
#include <unistd.h>

#include "../../runtime/stream_ssh.h"
#include "../../runtime/sys.h"
#include "check.h"

#define SSHD_TEXT 256

static char sshd_folder[SSHD_TEXT];
static const char *sshd_user;

struct sshd {
    FILE *keeper; /* closing it ends the server */
    char name[32];
    int port;
    pid_t pid;
};

static inline void sshd_pause(void)
{
    nanosleep(&(struct timespec){0, 5000000}, NULL);
}

static inline char *sshd_path(char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A path in the folder of all servers; path has SSHD_TEXT bytes. */
static inline char *sshd_path(char *path, const char *format, ...)
{
    va_list args;
    int at = snprintf(path, SSHD_TEXT, "%s/", sshd_folder);
    va_start(args, format);
    vsnprintf(path + at, SSHD_TEXT - (size_t)at, format, args);
    va_end(args);
    return path;
}

static inline bool sshd_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline bool sshd_shell(const char *format, ...)
{
    char command[2000];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    return system(command) == 0;
}

/* Makes the folder and the users' keys; types: more of them, "rsa" or "". */
static inline void sshd_begin(const char *types)
{
    strcpy(sshd_folder, "/tmp/mf-sshd-XXXXXX");
    CHECK(mkdtemp(sshd_folder) != NULL);
    const struct passwd *pw = getpwuid(getuid());
    sshd_user = pw ? pw->pw_name : "root";
    CHECK(sshd_shell("sh tests/support/sshd.sh %s keys %s", sshd_folder, types));
}

static inline void sshd_end(void)
{
    CHECK(sshd_shell("rm -rf %s", sshd_folder));
}

static inline long sshd_number(const char *name, const char *file)
{
    char path[SSHD_TEXT];
    long n = 0;
    FILE *f = fopen(sshd_path(path, "%s/%s", name, file), "r");
    if (f && fscanf(f, "%ld", &n) != 1)
        n = 0;
    if (f)
        fclose(f);
    return n;
}

/* Starts a server; directives: quoted for the shell, "'MaxStartups 1' 'HostKeys rsa'". */
static inline struct sshd sshd_start(const char *name, const char *directives)
{
    struct sshd s = {.port = 0};
    char command[1500], ready[SSHD_TEXT], failed[SSHD_TEXT];
    snprintf(s.name, sizeof s.name, "%s", name);
    sshd_path(ready, "%s/ready", name);
    sshd_path(failed, "%s/failed", name);
    unlink(ready);
    snprintf(command, sizeof command, "exec sh tests/support/sshd.sh %s %s %s", sshd_folder, name, directives);
    s.keeper = popen(command, "we");
    uint64_t until = mf_sys_after(60);
    while (access(ready, F_OK) != 0 && access(failed, F_OK) != 0 && mf_sys_now() < until)
        sshd_pause();
    s.port = (int)sshd_number(name, "port");
    s.pid = (pid_t)sshd_number(name, "pid");
    CHECK(s.keeper && s.port > 0 && access(ready, F_OK) == 0);
    return s;
}

static inline void sshd_stop(struct sshd *s)
{
    if (s->keeper)
        pclose(s->keeper);
    s->keeper = NULL;
}

/* --- Sessions ------------------------------------------------------------------------------------------------------ */

static inline struct mf_wait sshd_soon(void)
{
    return (struct mf_wait){.deadline = mf_sys_after(60), .cancel = -1};
}

/* A socket connected to that port, its buffers so many bytes (0: as they are). */
static inline int sshd_connect(int port, int buffer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (buffer > 0) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    }
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

/* Logs in with id_ed25519 over a connected socket; NULL (and a failed check) when that did not work. */
static inline struct mf_ssh *sshd_login(int fd, struct mf_ssh *below)
{
    struct mf_wait wait = sshd_soon();
    struct mf_fault fault = {0};
    bool early;
    char path[SSHD_TEXT];
    struct mf_ssh *s = mf_ssh_new(fd, below, &fault);
    if (!CHECK(s != NULL))
        return NULL;
    if (!CHECK(mf_ssh_handshake(s, NULL, 0, &wait, &early, &fault) == MF_OK) ||
        !CHECK(mf_ssh_auth_file(s, sshd_user, sshd_path(path, "id_ed25519"), NULL, &wait, &fault) == MF_OK)) {
        fprintf(stderr, "%s\n", fault.text);
        mf_ssh_free(s);
        return NULL;
    }
    return s;
}

/* Runs a command in a session of its own. */
static inline struct mf_stream_remote *sshd_run(const struct sshd *sshd, int buffer, const char *command)
{
    struct mf_wait wait = sshd_soon();
    struct mf_fault fault = {0};
    struct mf_ssh *s = sshd_login(sshd_connect(sshd->port, buffer), NULL);
    struct mf_stream_remote *r = s ? mf_ssh_exec(s, command, &wait, &fault) : NULL;
    if (!CHECK(r != NULL)) {
        fprintf(stderr, "%s\n", fault.text);
        mf_ssh_free(s);
        return NULL;
    }
    mf_ssh_give(s, r);
    return r;
}

#endif
