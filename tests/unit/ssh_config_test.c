/* SSH configuration: names, `ssh -G` and our own reader side by side, what needs the program, deadlines. */
#include "check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../runtime/ssh_config.h"
#include "../../runtime/sys.h"
#include "../../runtime/sys_fd.h"

#define TEXT 256

static char folder[] = "/tmp/mf-config-XXXXXX";
static char file[TEXT], key[TEXT], gone[TEXT], known[TEXT];

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* Both sources: the program, and our own reading. */
enum { PROGRAM, OWN };
static const char *const programs[] = {"ssh", "/nowhere/ssh"};

static enum mf_err resolve(int source, const char *host, struct mf_ssh_config *c, struct mf_fault *fault)
{
    const struct mf_ssh_query q = {
        .host = host, .file = file, .program = programs[source], .deadline = mf_sys_after(60), .cancel = -1};
    return mf_ssh_config_resolve(&q, c, fault);
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void test_values(void)
{
    char text[2000];
    snprintf(text, sizeof text,
             "# a comment\n"
             "Host alpha a*.example.org !alarm.example.org\n"
             "    HostName 10.0.0.%%%%h\n"
             "    User=bob\n"
             "    Port = 2222\n"
             "    IdentityFile \"%s\"\n"
             "    IdentityFile %s\n"
             "    IdentitiesOnly yes\n"
             "    IdentityAgent %s/agent-%%%%r-%%%%p\n"
             "    UserKnownHostsFile %s %s/other\n"
             "    GlobalKnownHostsFile none\n"
             "    HostKeyAlias the-alpha\n"
             "    HashKnownHosts yes\n"
             "    AddressFamily inet6\n"
             "    PasswordAuthentication no\n"
             "Host *\n"
             "    ProxyJump carol@gate:99,second\n"
             "    User nobody\n"
             "    KbdInteractiveAuthentication no\n",
             key, gone, folder, known, folder);
    for (char *c = text; (c = strstr(c, "%%")); c++)
        memmove(c, c + 1, strlen(c));
    write_file(file, text);
    for (int source = PROGRAM; source <= OWN; source++) {
        struct mf_ssh_config c;
        struct mf_fault fault = {0};
        char agent[2 * TEXT], other[2 * TEXT];
        snprintf(agent, sizeof agent, "%s/agent-bob-2222", folder);
        snprintf(other, sizeof other, "%s/other", folder);
        if (!CHECK(resolve(source, "alpha", &c, &fault) == MF_OK))
            fprintf(stderr, "%s\n", fault.text);
        CHECK(same(c.hostname, "10.0.0.alpha") && same(c.user, "bob") && c.port == 2222 && same(c.alias, "the-alpha"));
        CHECK(same(c.identities[0], key) && !c.identities[1] && same(c.missing, gone) && c.identities_only);
        CHECK(same(c.agent, agent) && same(c.known[0], known) && same(c.known[1], other) && !c.known[2]);
        CHECK(same(c.append, known) && c.hashed && same(c.jump, "carol@gate:99,second"));
        CHECK(c.inet6 && !c.inet4 && c.publickey && !c.password && !c.keyboard && !c.needs_program[0]);
        mf_ssh_config_release(&c);
        CHECK(resolve(source, "alarm.example.org", &c, &fault) == MF_OK);
        CHECK(same(c.hostname, "alarm.example.org") && same(c.user, "nobody") && c.port == 22 && !c.alias);
        CHECK(!c.identities_only && c.password && !c.missing);
        mf_ssh_config_release(&c);
        CHECK(resolve(source, "axy.example.org", &c, &fault) == MF_OK && c.port == 2222);
        mf_ssh_config_release(&c);
    }
}

/* What the caller says wins. */
static void test_given(void)
{
    write_file(file, "Host a\nUser bob\nPort 2222\nProxyJump none\n");
    for (int source = PROGRAM; source <= OWN; source++) {
        struct mf_ssh_config c;
        struct mf_ssh_query q = {.host = "a",
                                 .user = "dora",
                                 .port = 77,
                                 .file = file,
                                 .program = programs[source],
                                 .deadline = mf_sys_after(60),
                                 .cancel = -1};
        CHECK(mf_ssh_config_resolve(&q, &c, NULL) == MF_OK && same(c.user, "dora") && c.port == 77 && !c.jump);
        mf_ssh_config_release(&c);
        q.file = "none";
        q.user = NULL;
        q.port = 0;
        CHECK(mf_ssh_config_resolve(&q, &c, NULL) == MF_OK && c.user && c.port == 22 && same(c.hostname, "a"));
        CHECK(c.known[0] && c.append && strstr(c.append, "/.ssh/known_hosts") && c.append[0] == '/');
        mf_ssh_config_release(&c);
    }
}

static void test_agents(void)
{
    static const char *const texts[] = {"IdentityAgent none\n", "IdentityAgent SSH_AUTH_SOCK\n", "",
                                        "IdentityAgent $MF_TEST_AGENT\n"};
    static const char *const expected[] = {NULL, "/the/usual", "/the/usual", "/another"};
    setenv("SSH_AUTH_SOCK", "/the/usual", 1);
    setenv("MF_TEST_AGENT", "/another", 1);
    for (size_t i = 0; i < 4; i++) {
        write_file(file, texts[i]);
        for (int source = PROGRAM; source <= OWN; source++) {
            struct mf_ssh_config c;
            CHECK(resolve(source, "a", &c, NULL) == MF_OK && same(c.agent, expected[i]));
            mf_ssh_config_release(&c);
        }
    }
    unsetenv("SSH_AUTH_SOCK");
}

static void test_needs_program(void)
{
    static const struct {
        const char *text, *directive;
    } cases[] = {{"ProxyCommand nc %h %p\n", "ProxyCommand"},
                 {"ProxyCommand none\n", ""},
                 {"CertificateFile /x/y\n", "CertificateFile"},
                 {"PKCS11Provider /x/y.so\n", "PKCS11Provider"},
                 {"HostbasedAuthentication yes\n", "HostbasedAuthentication"},
                 {"BindAddress 127.0.0.1\n", "BindAddress"},
                 {"RevokedHostKeys /x\n", "RevokedHostKeys"},
                 {"IdentityFile /x/%C\n", "IdentityFile with its tokens"},
                 {"IdentityFile /x/${MF_TEST_NO_SUCH_NAME}\n", "IdentityFile with its tokens"},
                 {"IdentityFile /x/%\n", "IdentityFile with its tokens"},
                 {"IdentityFile /x/${HOME\n", ""},
                 {"Compression yes\n", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file(file, cases[i].text);
        for (int source = PROGRAM; source <= OWN; source++) {
            struct mf_ssh_config c;
            if (!CHECK(resolve(source, "a", &c, NULL) == MF_OK && same(c.needs_program, cases[i].directive)))
                fprintf(stderr, "%s: '%s'\n", cases[i].text, c.needs_program);
            mf_ssh_config_release(&c);
        }
    }
}

static void test_includes(void)
{
    char text[4 * TEXT], part[2 * TEXT];
    snprintf(part, sizeof part, "%s/part.conf", folder);
    snprintf(text, sizeof text, "Host b\nInclude %s/*.conf\nHost *\nPort 5\n", folder);
    write_file(part, "User fromb\nHost c\nUser never\n");
    write_file(file, text);
    for (int source = PROGRAM; source <= OWN; source++) {
        struct mf_ssh_config c;
        CHECK(resolve(source, "b", &c, NULL) == MF_OK && same(c.user, "fromb") && c.port == 5);
        mf_ssh_config_release(&c);
        CHECK(resolve(source, "c", &c, NULL) == MF_OK && !same(c.user, "fromb") && !same(c.user, "never"));
        mf_ssh_config_release(&c);
    }
    snprintf(text, sizeof text, "Include %s\n", part); /* itself, for ever */
    write_file(part, text);
    write_file(file, text);
    struct mf_ssh_config c;
    struct mf_fault fault = {0};
    CHECK(resolve(OWN, "b", &c, &fault) == MF_EINVAL && strstr(fault.text, "deep"));
    mf_ssh_config_release(&c);
    unlink(part);
}

static void test_bad_files(void)
{
    struct mf_ssh_config c;
    struct mf_fault fault = {0};
    write_file(file, "Host a\nMatch user bob\n");
    CHECK(resolve(OWN, "a", &c, &fault) == MF_EINVAL && strstr(fault.text, "line 2") && strstr(fault.text, "Match"));
    mf_ssh_config_release(&c);
    write_file(file, "Bogus yes\n");
    CHECK(resolve(PROGRAM, "a", &c, &fault) == MF_EINVAL && strstr(fault.text, "ssh -G exited with code"));
    CHECK(strstr(fault.text, "ogus"));
    mf_ssh_config_release(&c);
    write_file(file, "Port\n");
    CHECK(resolve(OWN, "a", &c, &fault) == MF_EINVAL && strstr(fault.text, "Port has no value"));
    mf_ssh_config_release(&c);
    write_file(file, "Port 99999\n");
    CHECK(resolve(OWN, "a", &c, &fault) == MF_EINVAL && strstr(fault.text, "99999"));
    mf_ssh_config_release(&c);
    write_file(file, "HostName -oProxyCommand=x\n");
    CHECK(resolve(OWN, "a", &c, &fault) == MF_EINVAL && strstr(fault.text, "option"));
    mf_ssh_config_release(&c);
    unlink(file);
    CHECK(resolve(OWN, "a", &c, &fault) == MF_EINVAL && strstr(fault.text, file));
    mf_ssh_config_release(&c);
}

/* A program that hangs is killed at the deadline, or when it is cancelled. */
static void test_time(void)
{
    char program[TEXT + 16];
    struct mf_ssh_config c;
    struct mf_fault fault = {0};
    int event[2];
    snprintf(program, sizeof program, "%s/ssh", folder);
    write_file(program, "#!/bin/sh\necho user bob\nexec sleep 1000\n");
    chmod(program, 0700);
    struct mf_ssh_query q = {.host = "a", .program = program, .deadline = mf_sys_after(0.05), .cancel = -1};
    CHECK(mf_ssh_config_resolve(&q, &c, &fault) == MF_ETIMEDOUT && strstr(fault.text, "did not end in time"));
    mf_ssh_config_release(&c);
    CHECK(mf_sys_event_new(event));
    mf_sys_event_post(event);
    q.deadline = mf_sys_after(60);
    q.cancel = event[0];
    CHECK(mf_ssh_config_resolve(&q, &c, &fault) == MF_EINTR);
    mf_ssh_config_release(&c);
    mf_sys_event_close(event);
    write_file(program, "#!/bin/sh\nexec yes\n");
    q.cancel = -1;
    CHECK(mf_ssh_config_resolve(&q, &c, &fault) == MF_EINVAL && strstr(fault.text, "too much"));
    mf_ssh_config_release(&c);
    unlink(program);
}

static void test_names(void)
{
    static const char *const good[] = {"a", "node-1.example.org", "10.0.0.1", "fe80::1%eth0", "under_score"};
    static const char *const bad[] = {
        "",    "-oProxyCommand=x", "a b",     "a;b", "a'b", "a\"b", "a\nb", "$(x)", "a`b`", "a&b", "a|b", "a\\b",
        "a/b", "\xc3\xa4",         "a\x1b[1m"};
    struct mf_fault fault = {0};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CHECK(mf_ssh_config_check_host(good[i], &fault) == MF_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(mf_ssh_config_check_host(bad[i], &fault) == MF_EINVAL && !strchr(fault.text, '\n'));
        CHECK(mf_ssh_config_check_user(bad[i], &fault) == MF_EINVAL && !strchr(fault.text, '\x1b'));
    }
    CHECK(mf_ssh_config_check_user("bob@realm", &fault) == MF_OK);
    CHECK(mf_ssh_config_has_program("sh") && mf_ssh_config_has_program("/bin/sh"));
    CHECK(!mf_ssh_config_has_program("/nowhere/sh") && !mf_ssh_config_has_program("moonfleet-no-such-program"));
}

static void split(const char *text, bool good, const char *user, const char *host, int port)
{
    char copy[100], *u, *h;
    int p;
    strcpy(copy, text);
    CHECK(mf_ssh_config_split(copy, &u, &h, &p) == good);
    if (good && !CHECK(same(u, user) && same(h, host) && p == port))
        fprintf(stderr, "%s\n", text);
}

static void test_split(void)
{
    split("a", true, NULL, "a", 0);
    split("bob@a", true, "bob", "a", 0);
    split("bob@realm@a:22", true, "bob@realm", "a", 22);
    split("a:2222", true, NULL, "a", 2222);
    split("[fe80::1]:2222", true, NULL, "fe80::1", 2222);
    split("bob@[fe80::1]", true, "bob", "fe80::1", 0);
    split("fe80::1", true, NULL, "fe80::1", 0);
    split("ssh://bob@a:7/", true, "bob", "a", 7);
    split("a:", false, NULL, NULL, 0);
    split("a:b", false, NULL, NULL, 0);
    split("a:0", false, NULL, NULL, 0);
    split("a:65536", false, NULL, NULL, 0);
    split("[a", false, NULL, NULL, 0);
    split("", false, NULL, NULL, 0);
    split("bob@", false, NULL, NULL, 0);
}

int main(void)
{
    alarm(120);
    CHECK(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/config", folder);
    snprintf(key, sizeof key, "%s/a key", folder);
    snprintf(gone, sizeof gone, "%s/gone", folder);
    snprintf(known, sizeof known, "%s/known", folder);
    write_file(key, "no key, but there\n");
    test_values();
    test_given();
    test_agents();
    test_needs_program();
    test_includes();
    test_bad_files();
    test_time();
    test_names();
    test_split();
    unlink(key);
    rmdir(folder);
    return check_report();
}
