/* Private key files of all kinds that ssh-keygen makes, and files that are none; the agent: a real one, none, one that
 * hangs, one that talks nonsense. */
#include "agent_process.h"
#include "check.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../runtime/ssh_agent.h"
#include "../../runtime/ssh_key.h"
#include "../../runtime/sys.h"
#include "../../runtime/sys_fd.h"

#define TEXT 200

static char folder[] = "/tmp/mf-key-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[TEXT];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool shell(const char *command)
{
    char line[1000];
    snprintf(line, sizeof line, "cd %s && { %s; } >/dev/null 2>&1", folder, command);
    return system(line) == 0;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(path_of(name), "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0 && chmod(path_of(name), mode) == 0);
}

static void looks(const char *name, const char *type, bool locked, bool blob)
{
    struct mf_ssh_key key;
    struct mf_fault fault = {0};
    if (!CHECK(mf_ssh_key_look(path_of(name), &key, &fault) == MF_OK && strcmp(key.type, type) == 0 &&
               key.locked == locked && (key.blob != NULL) == blob))
        fprintf(stderr, "%s: '%s' %d %d %s\n", name, key.type, key.locked, key.blob != NULL, fault.text);
    mf_ssh_key_release(&key);
}

static void test_kinds(void)
{
    CHECK(shell("ssh-keygen -q -t ed25519 -N '' -f e && ssh-keygen -q -t ed25519 -N secret -f el"));
    CHECK(shell("ssh-keygen -q -t ecdsa -N '' -f c && ssh-keygen -q -t ecdsa -m PEM -N '' -f cp"));
    CHECK(shell("ssh-keygen -q -t rsa -b 1024 -m PEM -N secret -f rp && ssh-keygen -q -t rsa -b 1024 -N '' -f r"));
    CHECK(shell("ssh-keygen -q -t rsa -b 1024 -m PKCS8 -N secret -f r8 && rm r8.pub el.pub"));
    looks("e", "ssh-ed25519", false, true);
    looks("el", "ssh-ed25519", true, true);
    looks("c", "ecdsa-sha2-nistp256", false, true);
    looks("cp", "ecdsa-sha2-nistp256", false, true); /* by the .pub beside it */
    looks("rp", "ssh-rsa", true, true);
    looks("r", "ssh-rsa", false, true);
    looks("r8", "", true, false);
    struct mf_ssh_key key;
    CHECK(shell("ssh-keygen -q -s c -I me -n root e.pub"));
    CHECK(mf_ssh_key_look(path_of("e"), &key, NULL) == MF_OK && key.certified && !key.public_only);
    mf_ssh_key_release(&key);
    CHECK(mf_ssh_key_look(path_of("c.pub"), &key, NULL) == MF_OK && key.public_only && !key.certified);
    mf_ssh_key_release(&key);
}

static void refuses(const char *name, enum mf_err e, const char *word)
{
    struct mf_ssh_key key;
    struct mf_fault fault = {0};
    if (!CHECK(mf_ssh_key_look(path_of(name), &key, &fault) == e && strstr(fault.text, word) &&
               strstr(fault.text, path_of(name))))
        fprintf(stderr, "%s: %s\n", name, fault.text);
    mf_ssh_key_release(&key);
}

static void test_no_keys(void)
{
    refuses("gone", MF_ESYS, "No such file");
    CHECK(mkdir(path_of("folder"), 0700) == 0);
    refuses("folder", MF_ESYS, "directory");
    write_file("text", "just text\n", 0600);
    refuses("text", MF_EINVAL, "no private key");
    write_file("empty", "", 0600);
    refuses("empty", MF_EINVAL, "no private key");
    write_file("cut", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU=\n-----END", 0600);
    refuses("cut", MF_EINVAL, "no private key");
    write_file("half", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZX", 0600);
    refuses("half", MF_EINVAL, "no private key");
    CHECK(shell("cp e open && chmod 644 open && head -c 40000 /dev/zero > large && chmod 600 large"));
    refuses("open", MF_EINVAL, "chmod 600");
    refuses("large", MF_EINVAL, "no private key");
}

/* --- Agents -------------------------------------------------------------------------------------------------------- */

static struct mf_wait soon(double seconds)
{
    return (struct mf_wait){.deadline = mf_sys_after(seconds), .cancel = -1};
}

static void test_agent(void)
{
    struct mf_ssh_agent agent;
    struct mf_ssh_key key;
    struct mf_wait wait = soon(60);
    struct mf_fault fault = {0};
    unsigned char *signature = NULL;
    size_t n = 0;
    FILE *keeper = agent_start(path_of("socket"));
    CHECK(shell("export SSH_AUTH_SOCK=$PWD/socket; ssh-add e && ssh-add c"));
    CHECK(mf_ssh_agent_open(&agent, path_of("socket"), &wait, &fault) == MF_OK && agent.nkeys == 3); /* a certificate */
    CHECK(mf_ssh_key_look(path_of("e"), &key, NULL) == MF_OK);
    CHECK(agent.keys[0].n == key.n && memcmp(agent.keys[0].blob, key.blob, key.n) == 0);
    CHECK(mf_ssh_agent_sign(&agent, 0, "data", 4, &signature, &n, &wait, &fault) == MF_OK && n == 64);
    free(signature);
    CHECK(shell("SSH_AUTH_SOCK=$PWD/socket ssh-add -D"));
    CHECK(mf_ssh_agent_sign(&agent, 0, "data", 4, &signature, &n, &wait, &fault) == MF_EINVAL &&
          strstr(fault.text, "refuses to sign"));
    mf_ssh_key_release(&key);
    mf_ssh_agent_close(&agent);
    CHECK(mf_ssh_agent_open(&agent, path_of("socket"), &wait, &fault) == MF_OK && agent.nkeys == 0);
    mf_ssh_agent_close(&agent);
    agent_stop(keeper);
    CHECK(mf_ssh_agent_open(&agent, path_of("socket"), &wait, &fault) == MF_ESYS && strstr(fault.text, "agent"));
}

/* A listening socket that nobody serves. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path_of(name));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0);
    return fd;
}

static void test_strange_agents(void)
{
    struct mf_ssh_agent agent;
    struct mf_fault fault = {0};
    struct mf_wait wait = soon(0.05);
    int silent = listen_at("silent"), event[2];
    CHECK(mf_ssh_agent_open(&agent, path_of("silent"), &wait, &fault) == MF_ETIMEDOUT);
    CHECK(mf_sys_event_new(event));
    mf_sys_event_post(event);
    wait = (struct mf_wait){.deadline = mf_sys_after(60), .cancel = event[0]};
    CHECK(mf_ssh_agent_open(&agent, path_of("silent"), &wait, &fault) == MF_EINTR);
    mf_sys_event_close(event);
    close(silent);
    CHECK(mf_ssh_agent_open(&agent, path_of("silent"), &wait, &fault) == MF_ESYS && strstr(fault.text, "refused"));
    char longest[300];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    CHECK(mf_ssh_agent_open(&agent, longest, &wait, &fault) == MF_ESYS && strstr(fault.text, "too long"));
}

/* What an agent may answer to the first request. */
static void answers(const char *bytes, size_t n, enum mf_err expected)
{
    struct mf_ssh_agent agent;
    struct mf_fault fault = {0};
    struct mf_wait wait = soon(60);
    int fd = listen_at("strange");
    pid_t pid = fork();
    if (pid == 0) {
        char request[5];
        int c = accept(fd, NULL, NULL);
        ssize_t done = recv(c, request, sizeof request, MSG_WAITALL) + send(c, bytes, n, MSG_NOSIGNAL);
        _exit(done == 0);
    }
    enum mf_err e = mf_ssh_agent_open(&agent, path_of("strange"), &wait, &fault);
    if (!CHECK(e == expected))
        fprintf(stderr, "%s\n", fault.text);
    if (e == MF_OK) {
        CHECK(agent.nkeys == 0);
        mf_ssh_agent_close(&agent);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(fd);
    unlink(path_of("strange"));
}

static void test_nonsense(void)
{
    answers("", 0, MF_ESYS);
    answers("\0\0\0\0", 4, MF_EINVAL);
    answers("\xff\xff\xff\xff", 4, MF_EINVAL);
    answers("\0\0\0\1\5", 5, MF_EINVAL);                        /* failure */
    answers("\0\0\0\5\14\xff\xff\xff\xff", 9, MF_OK);           /* says many, has none */
    answers("\0\0\0\11\14\0\0\0\1\xff\xff\xff\xff", 13, MF_OK); /* a key longer than all */
    answers("\0\0\0\5\14\0", 6, MF_ESYS);                       /* cut */
}

int main(void)
{
    alarm(120);
    CHECK(mkdtemp(folder));
    test_kinds();
    test_no_keys();
    test_agent();
    test_strange_agents();
    test_nonsense();
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK(system(command) == 0);
    return check_report();
}
