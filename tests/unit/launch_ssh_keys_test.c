/* Whom a launch trusts and who trusts it: host keys unknown, changed, revoked, of other types; users' keys of all kinds,
 * agents, passphrases, methods that ask. */
#include "agent_process.h"
#include "launch.h"

#include <fcntl.h>
#include <sys/un.h>

static struct sshd plain;
static const enum mf_launch_transport both[] = {MF_LAUNCH_LIBSSH2, MF_LAUNCH_OPENSSH};

static struct mf_launch_ssh_options options_for(const struct sshd *sshd, enum mf_launch_transport transport)
{
    struct mf_launch_ssh_options o = launch_options(sshd, transport);
    static char program[SSHD_TEXT];
    o.program = sshd_path(program, "moonfleet");
    return o;
}

static void read_file(const char *path, char *text, size_t room)
{
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, room - 1, f) : 0;
    text[n] = '\0';
    if (f)
        fclose(f);
}

/* --- Host keys ----------------------------------------------------------------------------------------------------- */

static char known[SSHD_TEXT];

/* Makes a known_hosts file of lines "[127.0.0.1]:port key", for the servers' host keys that are named. */
static void know(const struct sshd *as, const struct sshd *of, const char *type, const char *mark)
{
    char key[SSHD_TEXT], path[SSHD_TEXT];
    read_file(sshd_path(path, "%s/host_%s.pub", of->name, type), key, sizeof key);
    FILE *f = fopen(known, "a");
    CHECK(f && fprintf(f, "%s[127.0.0.1]:%d %s", mark, as->port, key) > 0 && fclose(f) == 0);
}

static void fingerprint(const struct sshd *of, const char *type, char *text)
{
    char command[3 * SSHD_TEXT], path[SSHD_TEXT];
    snprintf(command, sizeof command, "ssh-keygen -lf %s", sshd_path(path, "%s/host_%s.pub", of->name, type));
    FILE *f = popen(command, "re");
    CHECK(f && fscanf(f, "%*d %60s", text) == 1 && pclose(f) == 0);
}

/* S1 */
static void test_unknown(void)
{
    char print[64], other[64], command[SSHD_TEXT];
    fingerprint(&plain, "ed25519", print);
    fingerprint(&plain, "ecdsa", other);
    snprintf(command, sizeof command, "ssh-keyscan -p %d -t", plain.port);
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = options_for(&plain, both[t]);
        o.known_hosts = known;
        unlink(known);
        CHECK(launch_fails(&o, MF_LAUNCH_HOST_KEY, t == 0 ? "is not known" : "known", NULL));
        struct mf_launch_ssh_result r = launch_wait(&o);
        CHECK(t == 1 || (strstr(r.text, command) && strstr(r.text, known) && strstr(r.text, "accept_new")));
        CHECK(t == 1 || strstr(r.text, print) || strstr(r.text, other));
        CHECK(access(known, F_OK) != 0); /* nothing was written */
        o.accept_new = true;
        r = launch_wait(&o);
        CHECK(r.code == MF_OK && (t == 1 || strstr(r.note, "added the key of 127.0.0.1, SHA256:")));
        launch_close(&r);
        o.accept_new = false;
        CHECK(launch_works(&o)); /* it is known now */
        struct stat st;
        CHECK(stat(known, &st) == 0 && (t == 1 || (st.st_mode & 0777) == 0600));
    }
    unlink(known);
}

/* S2 */
static void test_changed(const struct sshd *other)
{
    char print[64], place[2 * SSHD_TEXT];
    fingerprint(&plain, "ed25519", print);
    for (int t = 0; t < 2; t++)
        for (int accept = 0; accept < 2; accept++) {
            struct mf_launch_ssh_options o = options_for(&plain, both[t]);
            o.known_hosts = known;
            o.accept_new = accept;
            unlink(known);
            launch_write(known, "# a comment\n", 0600);
            know(&plain, other, "ed25519", "");
            snprintf(place, sizeof place, t == 0 ? "%s line 2" : "%s:2", known);
            CHECK(launch_fails(&o, MF_LAUNCH_HOST_KEY, "HAS CHANGED", place));
            if (t == 0) {
                CHECK(launch_fails(&o, MF_LAUNCH_HOST_KEY, print, "ssh-keygen -R '[127.0.0.1]:"));
            }
        }
    unlink(known);
}

/* S3 */
static void test_other_types(const struct sshd *other)
{
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = options_for(&plain, both[t]);
        o.known_hosts = known;
        unlink(known);
        know(&plain, &plain, "ed25519", ""); /* ecdsa would be agreed on if nobody asked for the known type */
        CHECK(launch_works(&o));
        unlink(known);
        know(&plain, &plain, "ecdsa", "");
        CHECK(launch_works(&o));
    }
    /* nothing but a type that the host does not have: not a new host, even with accept_new */
    struct mf_launch_ssh_options o = options_for(other, MF_LAUNCH_LIBSSH2);
    o.known_hosts = known;
    o.accept_new = true;
    unlink(known);
    know(other, &plain, "ecdsa", "");
    CHECK(launch_fails(&o, MF_LAUNCH_HOST_KEY, "only ecdsa-sha2-nistp256 is known", "line 1"));
    unlink(known);
}

/* S4 */
static void test_revoked(void)
{
    for (int t = 0; t < 2; t++)
        for (int accept = 0; accept < 2; accept++) {
            struct mf_launch_ssh_options o = options_for(&plain, both[t]);
            o.known_hosts = known;
            o.accept_new = accept;
            unlink(known);
            know(&plain, &plain, "ed25519", "");
            know(&plain, &plain, "ed25519", "@revoked ");
            know(&plain, &plain, "ecdsa", "@revoked ");
            CHECK(launch_fails(&o, MF_LAUNCH_HOST_KEY, t == 0 ? "is revoked" : "REVOKED", NULL));
        }
    unlink(known);
}

/* S5: Lines that make no sense are told and passed over; a file that cannot be read is no excuse for accepting anybody. */
static void test_bad_files(void)
{
    struct mf_launch_ssh_options o = options_for(&plain, MF_LAUNCH_LIBSSH2);
    o.known_hosts = known;
    launch_write(known, "nonsense\n", 0600);
    know(&plain, &plain, "ed25519", "");
    struct mf_launch_ssh_result r = launch_wait(&o);
    CHECK(r.code == MF_OK && strstr(r.note, "line 1: no key"));
    launch_close(&r);
    o.known_hosts = sshd_folder;
    o.accept_new = true;
    CHECK(launch_fails(&o, MF_LAUNCH_HOST_KEY, "is not known", "Is a directory"));
    o.known_hosts = "/nowhere/at/all";
    CHECK(launch_fails(&o, MF_LAUNCH_HOST_KEY, "cannot be added", "/nowhere/at/all"));
    unlink(known);
}

/* S7: A host with RSA keys only, and one that is known by nothing else; a certificate authority. */
static void test_rsa_hosts(void)
{
    struct sshd rsa = sshd_start("rsa", "'HostKeys rsa'");
    struct mf_launch_ssh_options o = options_for(&rsa, MF_LAUNCH_LIBSSH2);
    if (!mf_ssh_knows_rsa()) {
        CHECK(launch_fails(&o, MF_LAUNCH_HOST_KEY, "only an RSA key is known", "transport = \"openssh\""));
        o.known_hosts = known;
        CHECK(launch_fails(&o, MF_LAUNCH_KEX, "in common", "RSA key only needs libssh2 1.11"));
    }
    o = options_for(&rsa, MF_LAUNCH_AUTO);
    struct mf_launch_ssh_result r = launch_wait(&o);
    CHECK(r.code == MF_OK && (mf_ssh_knows_rsa() || (r.transport == MF_LAUNCH_OPENSSH && strstr(r.note, "RSA key"))));
    launch_close(&r);
    sshd_stop(&rsa);
    char path[SSHD_TEXT], ca[SSHD_TEXT];
    struct sshd signed_one = sshd_start("signed", "\"HostCertificate $PWD_OF_TESTS/signed/host_ed25519-cert.pub\"");
    CHECK(sshd_shell("ssh-keygen -q -s %s -h -I signed %s", sshd_path(ca, "id_ecdsa"),
                     sshd_path(path, "signed/host_ed25519.pub")));
    sshd_stop(&signed_one); /* it reads the certificate at its start */
    signed_one = sshd_start("signed", "\"HostCertificate $PWD_OF_TESTS/signed/host_ed25519-cert.pub\"");
    char key[SSHD_TEXT];
    read_file(sshd_path(path, "id_ecdsa.pub"), key, sizeof key);
    FILE *f = fopen(known, "w");
    CHECK(f && fprintf(f, "@cert-authority [127.0.0.1]:* %s", key) > 0 && fclose(f) == 0);
    o = options_for(&signed_one, MF_LAUNCH_LIBSSH2);
    o.known_hosts = known;
    CHECK(launch_fails(&o, MF_LAUNCH_HOST_KEY, "certificate authority", "line 1"));
    o.transport = MF_LAUNCH_AUTO;
    r = launch_wait(&o);
    if (!CHECK(r.code == MF_OK && r.transport == MF_LAUNCH_OPENSSH && strstr(r.note, "certificate authority")))
        fprintf(stderr, "%s\n", r.text);
    launch_close(&r);
    sshd_stop(&signed_one);
    unlink(known);
}

/* --- Users' keys --------------------------------------------------------------------------------------------------- */

/* A configuration with these lines and no keys of its own. */
static const char *config_with(const char *lines)
{
    static char path[SSHD_TEXT];
    char text[2000];
    snprintf(text, sizeof text, "%s\nUserKnownHostsFile %s\nGlobalKnownHostsFile none\nUser %s\n", lines, launch_known,
             sshd_user);
    launch_write(sshd_path(path, "own_config"), text, 0600);
    return path;
}

static const char *identity(const char *name)
{
    static char line[2 * SSHD_TEXT];
    char path[SSHD_TEXT];
    snprintf(line, sizeof line, "IdentityAgent none\nIdentityFile %s", sshd_path(path, "%s", name));
    return line;
}

/* S9 */
static void test_key_files(void)
{
    char path[SSHD_TEXT], text[2 * SSHD_TEXT];
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = options_for(&plain, both[t]);
        o.config = config_with(identity("id_ecdsa"));
        CHECK(launch_works(&o));
        o.config = config_with(identity("nowhere"));
        const char *const ids[] = {sshd_path(path, "id_ed25519"), NULL};
        o.identities = ids;
        CHECK(launch_works(&o)); /* the caller's come first */
        o.identities = NULL;
        CHECK(launch_fails(&o, MF_LAUNCH_AUTH, t == 0 ? "/nowhere: not there" : "Permission denied", "publickey"));
    }
    struct mf_launch_ssh_options o = options_for(&plain, MF_LAUNCH_LIBSSH2);
    launch_write(sshd_path(path, "text"), "no key\n", 0600);
    o.config = config_with(identity("text"));
    CHECK(launch_fails(&o, MF_LAUNCH_AUTH, path, "this is no private key"));
    CHECK(sshd_shell("cd %s && cp id_ed25519 open && chmod 644 open", sshd_folder));
    o.config = config_with(identity("open"));
    snprintf(text, sizeof text, "chmod 600 %s", sshd_path(path, "open"));
    CHECK(launch_fails(&o, MF_LAUNCH_AUTH, "others may read it", text));
    CHECK(sshd_shell("ssh-keygen -q -t ed25519 -N '' -f %s", sshd_path(path, "stranger")));
    o.config = config_with(identity("stranger"));
    CHECK(launch_fails(&o, MF_LAUNCH_AUTH, "/stranger: refused", "The server takes: publickey"));
}

/* S7 */
static void test_rsa_keys(void)
{
    struct mf_launch_ssh_options o = options_for(&plain, MF_LAUNCH_LIBSSH2);
    o.config = config_with(identity("id_rsa"));
    if (mf_ssh_knows_rsa()) {
        CHECK(launch_works(&o));
        return;
    }
    CHECK(launch_fails(&o, MF_LAUNCH_AUTH, "cannot use an RSA key", "transport = \"openssh\""));
    o.transport = MF_LAUNCH_AUTO;
    struct mf_launch_ssh_result r = launch_wait(&o);
    CHECK(r.code == MF_OK && r.transport == MF_LAUNCH_OPENSSH && strstr(r.note, "RSA"));
    launch_close(&r);
    o.ssh = "/nowhere/ssh"; /* nothing to fall to; the configuration is read by our own code */
    CHECK(launch_fails(&o, MF_LAUNCH_AUTH, "cannot use an RSA key", NULL));
}

/* What only the program can follow. */
static void test_needs_program(void)
{
    struct mf_launch_ssh_options o = options_for(&plain, MF_LAUNCH_AUTO);
    char lines[1000];
    snprintf(lines, sizeof lines, "%s\nProxyCommand sh -c 'exec ssh -F %s -p %d -W 127.0.0.1:%d 127.0.0.1'",
             identity("id_ed25519"), launch_config, plain.port, plain.port);
    o.config = config_with(lines);
    struct mf_launch_ssh_result r = launch_wait(&o);
    if (!CHECK(r.code == MF_OK && r.transport == MF_LAUNCH_OPENSSH && strstr(r.note, "ProxyCommand")))
        fprintf(stderr, "%s\n", r.text);
    launch_close(&r);
    o.transport = MF_LAUNCH_LIBSSH2;
    CHECK(launch_fails(&o, MF_LAUNCH_CONFIG, "ProxyCommand", "openssh"));
    o.transport = MF_LAUNCH_OPENSSH;
    o.ssh = "/nowhere/ssh";
    CHECK(launch_fails(&o, MF_LAUNCH_CONFIG, "/nowhere/ssh", NULL));
    o = options_for(&plain, MF_LAUNCH_AUTO);
    o.library_cannot = "the phase of the moon";
    r = launch_wait(&o);
    CHECK(r.code == MF_OK && r.transport == MF_LAUNCH_OPENSSH && strstr(r.note, "phase of the moon"));
    launch_close(&r);
}

/* --- Agents -------------------------------------------------------------------------------------------------------- */

/* S10 */
static void test_agents(void)
{
    char socket[SSHD_TEXT], lines[4 * SSHD_TEXT], path[SSHD_TEXT];
    FILE *agent = agent_start(sshd_path(socket, "agent"));
    CHECK(sshd_shell("SSH_AUTH_SOCK=%s ssh-add -q %s", socket, sshd_path(path, "id_ed25519")));
    for (int t = 0; t < 2; t++) {
        struct mf_launch_ssh_options o = options_for(&plain, both[t]);
        snprintf(lines, sizeof lines, "IdentityAgent %s\nIdentityFile none", socket);
        o.config = config_with(lines);
        CHECK(launch_works(&o));
        snprintf(lines, sizeof lines, "IdentityAgent %s\nIdentitiesOnly yes\nIdentityFile %s.pub", socket, path);
        o.config = config_with(lines);
        CHECK(launch_works(&o)); /* a public key names the agent's */
        snprintf(lines, sizeof lines, "IdentityAgent %s\nIdentitiesOnly yes\nIdentityFile %s/stranger", socket,
                 sshd_folder);
        o.config = config_with(lines);
        CHECK(launch_fails(&o, MF_LAUNCH_AUTH, t == 0 ? "/stranger: refused" : "Permission denied", NULL));
    }
    agent_stop(agent);
    struct mf_launch_ssh_options o = options_for(&plain, MF_LAUNCH_LIBSSH2);
    snprintf(lines, sizeof lines, "IdentityAgent %s\nIdentityFile %s", socket, path);
    o.config = config_with(lines);
    CHECK(launch_works(&o)); /* without the agent */
    snprintf(lines, sizeof lines, "IdentityAgent %s\nIdentityFile none", socket);
    o.config = config_with(lines);
    CHECK(launch_fails(&o, MF_LAUNCH_AUTH, "no agent at", "agent"));
}

/* S10: An agent that does not answer is passed over after a while. */
static void test_silent_agent(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char socket_path[SSHD_TEXT], lines[4 * SSHD_TEXT], path[SSHD_TEXT];
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", sshd_path(socket_path, "silent"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 4) == 0);
    struct mf_launch_ssh_options o = options_for(&plain, MF_LAUNCH_LIBSSH2);
    snprintf(lines, sizeof lines, "IdentityAgent %s\nIdentityFile %s", socket_path, sshd_path(path, "id_ed25519"));
    o.config = config_with(lines);
    CHECK(launch_works(&o));
    close(fd);
}

/* S11: Only so many keys may be offered; those that are configured come first, and IdentitiesOnly keeps the rest back. */
static void test_too_many_keys(void)
{
    char socket[SSHD_TEXT], lines[3 * SSHD_TEXT], path[SSHD_TEXT];
    struct sshd strict = sshd_start("strict", "'MaxAuthTries 2'");
    FILE *agent = agent_start(sshd_path(socket, "agent2"));
    for (int i = 0; i < 4; i++)
        CHECK(sshd_shell("cd %s && ssh-keygen -q -t ed25519 -N '' -f many%d && SSH_AUTH_SOCK=%s ssh-add -q many%d",
                         sshd_folder, i, socket, i));
    CHECK(sshd_shell("SSH_AUTH_SOCK=%s ssh-add -q %s", socket, sshd_path(path, "id_ed25519")));
    struct mf_launch_ssh_options o = options_for(&strict, MF_LAUNCH_LIBSSH2);
    snprintf(lines, sizeof lines, "IdentityAgent %s\nIdentityFile none", socket);
    o.config = config_with(lines);
    CHECK(launch_fails(&o, MF_LAUNCH_AUTH, "Too many authentication failures", "IdentitiesOnly"));
    snprintf(lines, sizeof lines, "IdentityAgent %s\nIdentityFile %s", socket, path);
    o.config = config_with(lines);
    CHECK(launch_works(&o)); /* the agent's last, but the only one that is named */
    snprintf(lines, sizeof lines, "IdentityAgent %s\nIdentitiesOnly yes\nIdentityFile %s/id_ecdsa", socket,
             sshd_folder);
    o.config = config_with(lines);
    CHECK(launch_works(&o));
    agent_stop(agent);
    sshd_stop(&strict);
}

/* --- Questions ----------------------------------------------------------------------------------------------------- */

struct person {
    const char *answers[4]; /* in turn; NULL: none */
    int asked;
    char questions[600];
    pthread_mutex_t lock;
};

static bool ask(void *arg, const struct mf_launch_question *q, char *answer, size_t room)
{
    struct person *p = arg;
    pthread_mutex_lock(&p->lock);
    const char *text = p->asked < 4 ? p->answers[p->asked] : NULL;
    p->asked++;
    strncat(p->questions, q->text, sizeof p->questions - strlen(p->questions) - 1);
    pthread_mutex_unlock(&p->lock);
    CHECK(strcmp(q->host, "127.0.0.1") == 0 && !q->echo);
    if (text)
        snprintf(answer, room, "%s", text);
    return text != NULL;
}

/* S8 */
static void test_passphrases(void)
{
    struct mf_launch_ssh_options o = options_for(&plain, MF_LAUNCH_LIBSSH2);
    char path[SSHD_TEXT];
    o.config = config_with(identity("id_locked"));
    CHECK(launch_fails(&o, MF_LAUNCH_AUTH, "locked by a passphrase", "no terminal"));
    struct person p = {.answers = {"wrong", "secret"}, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct mf_launch_group *group = mf_launch_group_new(ask, &p);
    for (int i = 0; i < 2; i++) { /* the second finds the answer that was right */
        struct mf_launch_ssh_result r = launch_wait_in(group, &o);
        CHECK(r.code == MF_OK && p.asked == 2 && strstr(p.questions, sshd_path(path, "id_locked")));
        launch_close(&r);
    }
    mf_launch_group_free(group);
    p = (struct person){.answers = {"a", "b", "c"}, .lock = PTHREAD_MUTEX_INITIALIZER};
    group = mf_launch_group_new(ask, &p);
    struct mf_launch_ssh_result r = launch_wait_in(group, &o);
    CHECK(r.code != MF_OK && p.asked == 3 && strstr(r.text, "wrong passphrase"));
    mf_launch_group_free(group);
    p = (struct person){.answers = {NULL}, .lock = PTHREAD_MUTEX_INITIALIZER};
    group = mf_launch_group_new(ask, &p);
    for (int i = 0; i < 2; i++) { /* who does not answer is not asked again */
        r = launch_wait_in(group, &o);
        CHECK(r.code != MF_OK && p.asked == 1 && strstr(r.text, "no passphrase was given"));
    }
    /* a key that the server would not take is not asked for */
    CHECK(sshd_shell("ssh-keygen -q -t ed25519 -N other -f %s", sshd_path(path, "locked_stranger")));
    o.config = config_with(identity("locked_stranger"));
    r = launch_wait_in(group, &o);
    CHECK(r.code != MF_OK && p.asked == 1 && strstr(r.text, "/locked_stranger: refused"));
    mf_launch_group_free(group);
}

/* S12: Nobody here has a password that a test could know, but the ways to it are the same. */
static void test_methods(void)
{
    struct sshd asking = sshd_start("asking", "'PasswordAuthentication yes' 'PubkeyAuthentication no'");
    struct mf_launch_ssh_options o = options_for(&asking, MF_LAUNCH_LIBSSH2);
    CHECK(launch_fails(&o, MF_LAUNCH_AUTH, "The server takes: password", "no terminal to ask at"));
    struct person p = {.answers = {"x", "y"}, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct mf_launch_group *group = mf_launch_group_new(ask, &p);
    struct mf_launch_ssh_result r = launch_wait_in(group, &o);
    CHECK(r.code != MF_OK && p.asked == 3 && strstr(p.questions, "Password of ") &&
          strstr(r.text, "password: refused"));
    mf_launch_group_free(group);
    o.transport = MF_LAUNCH_OPENSSH; /* which never asks */
    CHECK(launch_fails(&o, MF_LAUNCH_AUTH, "Permission denied", "password"));
    sshd_stop(&asking);
    /* a key first, and then a password, too */
    struct sshd two = sshd_start("two", "'PasswordAuthentication yes' 'AuthenticationMethods publickey,password'");
    o = options_for(&two, MF_LAUNCH_LIBSSH2);
    p = (struct person){.answers = {"x", NULL}, .lock = PTHREAD_MUTEX_INITIALIZER};
    group = mf_launch_group_new(ask, &p);
    r = launch_wait_in(group, &o);
    CHECK(r.code != MF_OK && p.asked == 2 && strstr(r.text, "The server takes: password"));
    mf_launch_group_free(group);
    sshd_stop(&two);
    char directive[SSHD_TEXT];
    snprintf(directive, sizeof directive, "'DenyUsers %s'", sshd_user);
    struct sshd denying = sshd_start("denying", directive);
    o = options_for(&denying, MF_LAUNCH_LIBSSH2);
    CHECK(launch_fails(&o, MF_LAUNCH_AUTH, "id_ed25519: refused", "The server takes: publickey"));
    o.transport = MF_LAUNCH_OPENSSH;
    CHECK(launch_fails(&o, MF_LAUNCH_AUTH, "Permission denied (publickey)", NULL));
    sshd_stop(&denying);
}

int main(void)
{
    char program[SSHD_TEXT];
    alarm(600);
    launch_begin("rsa");
    setenv("PWD_OF_TESTS", sshd_folder, 1);
    sshd_path(known, "own_known");
    launch_write_program(sshd_path(program, "moonfleet"), LAUNCH_VERSION, 0);
    plain = sshd_start("plain", "");
    struct sshd other = sshd_start("other", "'HostKeys ed25519'");
    test_unknown();
    test_changed(&other);
    test_other_types(&other);
    test_revoked();
    test_bad_files();
    test_rsa_hosts();
    test_key_files();
    test_rsa_keys();
    test_needs_program();
    test_agents();
    test_silent_agent();
    test_too_many_keys();
    test_passphrases();
    test_methods();
    sshd_stop(&other);
    sshd_stop(&plain);
    launch_end();
    return check_report();
}
