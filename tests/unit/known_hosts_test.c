/* known_hosts: all kinds of lines, hashed ones made by ssh-keygen, bad ones among good ones; verdicts; appending. */
#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../runtime/hash.h"
#include "../../runtime/known_hosts.h"

/* Three public keys, and two names hashed by OpenSSH 9.2. */
#define E1 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBzPhE83uQerxySxqidPuD1pZs3kwTpdavO/q5atDC9C"
#define E2 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIix5EgAezQo7KdswS9oKQAtVvs939HAU5v5zmO54YbG"
#define C1                                                                                                             \
    "ecdsa-sha2-nistp256 "                                                                                             \
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBAZaDkK7EoeJTCPah/xWfScIV4PZvHrbJPi+"                         \
    "QwRhp02GRt9WEMCq9Ube6WtusWtVJ+krrsNFX6ACG7mdtd0yNCA="
#define NODE1      "|1|wYLEbl8fSuY8cB9zsrFQTUMiOnI=|tYA3YyzKntFvQuoYVznKTDXxDBE="
#define NODE1_2222 "|1|JBkG5i0PpUAras5AjxoOtbYnlOw=|jGQcb7ZJOb8oLxl2TOvxwzBV5kw="

struct key {
    unsigned char bytes[200];
    size_t n;
};

static char folder[] = "/tmp/mf-known-XXXXXX";
static char file[64], other[64];
static char warnings[4096];

static struct key key_of(const char *line)
{
    struct key k = {.n = 0};
    const char *text = strchr(line, ' ') + 1;
    long n = mf_hash_unbase64(k.bytes, text, strlen(text));
    CHECK(n > 0 && n < (long)sizeof k.bytes);
    k.n = (size_t)n;
    return k;
}

static void on_warning(void *arg, const char *text)
{
    (void)arg;
    strncat(warnings, text, sizeof warnings - strlen(warnings) - 2);
    strcat(warnings, "\n");
}

static void write_file(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(text, 1, n, f) == n && fclose(f) == 0);
}

static struct mf_known_hosts *read_text(const char *text)
{
    const char *const paths[] = {file};
    write_file(file, text, strlen(text));
    warnings[0] = '\0';
    struct mf_known_hosts *k = mf_known_hosts_read(paths, 1, on_warning, NULL, NULL);
    CHECK(k && !mf_known_hosts_unread(k));
    return k;
}

/* The verdict on a key, and the line that decided. */
static enum mf_known_verdict ask(const struct mf_known_hosts *k, const char *host, int port, const char *line,
                                 unsigned *at)
{
    struct key key = key_of(line);
    struct mf_known_place place = {NULL, 77};
    enum mf_known_verdict v = mf_known_hosts_check(k, host, port, key.bytes, key.n, &place);
    CHECK(mf_known_hosts_check(k, host, port, key.bytes, key.n, NULL) == v);
    CHECK(v == MF_KNOWN_NOT ? place.line == 0 : strcmp(place.path, file) == 0);
    if (at)
        *at = place.line;
    return v;
}

static void test_plain(void)
{
    unsigned line;
    struct mf_known_hosts *k = read_text("# a comment\n"
                                         "\n"
                                         "alpha,10.0.0.1 " E1 " a comment\n"
                                         "  [alpha]:2222\t" C1 "\r\n"
                                         "Beta " E2);
    CHECK(warnings[0] == '\0');
    CHECK(ask(k, "alpha", 22, E1, &line) == MF_KNOWN_SAME && line == 3);
    CHECK(ask(k, "ALPHA", 22, E1, NULL) == MF_KNOWN_SAME && ask(k, "10.0.0.1", 22, E1, NULL) == MF_KNOWN_SAME);
    CHECK(ask(k, "alpha", 22, E2, &line) == MF_KNOWN_CHANGED && line == 3);
    CHECK(ask(k, "alpha", 22, C1, &line) == MF_KNOWN_OTHER && line == 3);
    CHECK(ask(k, "alpha", 2222, C1, &line) == MF_KNOWN_SAME && line == 4);
    CHECK(ask(k, "beta", 22, E2, &line) == MF_KNOWN_SAME && line == 5);
    CHECK(ask(k, "gamma", 22, E1, &line) == MF_KNOWN_NOT && ask(k, "alph", 22, E1, NULL) == MF_KNOWN_NOT);
    /* a port of its own: the bare name helps only with the same key */
    CHECK(ask(k, "alpha", 2222, E1, &line) == MF_KNOWN_SAME && line == 3);
    CHECK(ask(k, "alpha", 2223, E1, &line) == MF_KNOWN_SAME && line == 3);
    CHECK(ask(k, "alpha", 2223, E2, &line) == MF_KNOWN_NOT);
    mf_known_hosts_free(k);
}

static void test_hashed(void)
{
    struct mf_known_hosts *k = read_text(NODE1 " " E1 "\n" NODE1_2222 " " C1 "\n");
    CHECK(ask(k, "node1", 22, E1, NULL) == MF_KNOWN_SAME && ask(k, "NODE1", 22, E2, NULL) == MF_KNOWN_CHANGED);
    CHECK(ask(k, "node1", 2222, C1, NULL) == MF_KNOWN_SAME && ask(k, "node2", 22, E1, NULL) == MF_KNOWN_NOT);
    mf_known_hosts_free(k);
}

static void test_patterns(void)
{
    unsigned line;
    struct mf_known_hosts *k = read_text("*.example.org,!bad.example.org " E1 "\n"
                                         "node?,n*d*x " E2 "\n"
                                         "[10.0.0.*]:22?? " C1 "\n");
    CHECK(ask(k, "a.example.org", 22, E1, NULL) == MF_KNOWN_SAME &&
          ask(k, "a.b.EXAMPLE.org", 22, E1, NULL) == MF_KNOWN_SAME);
    CHECK(ask(k, "bad.example.org", 22, E1, NULL) == MF_KNOWN_NOT &&
          ask(k, "example.org", 22, E1, NULL) == MF_KNOWN_NOT);
    CHECK(ask(k, "node7", 22, E2, &line) == MF_KNOWN_SAME && line == 2 && ask(k, "node", 22, E2, NULL) == MF_KNOWN_NOT);
    CHECK(ask(k, "nodedyx", 22, E2, NULL) == MF_KNOWN_SAME && ask(k, "node77", 22, E2, NULL) == MF_KNOWN_NOT);
    CHECK(ask(k, "10.0.0.7", 2201, C1, NULL) == MF_KNOWN_SAME && ask(k, "10.0.0.7", 3301, C1, NULL) == MF_KNOWN_NOT);
    mf_known_hosts_free(k);
    k = read_text("a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b " E1 "\n"); /* over at once */
    CHECK(ask(k, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", 22, E1,
              NULL) == MF_KNOWN_NOT);
    mf_known_hosts_free(k);
}

/* S4 */
static void test_marks(void)
{
    unsigned line;
    const char *types[MF_KNOWN_TYPES];
    struct mf_known_place place;
    struct mf_known_hosts *k = read_text("alpha " E1 "\n"
                                         "alpha " C1 "\n"
                                         "@revoked * " E1 "\n"
                                         "@cert-authority *.example.org " E2 "\n");
    CHECK(ask(k, "alpha", 22, E1, &line) == MF_KNOWN_REVOKED && line == 3);
    CHECK(ask(k, "alpha", 22, C1, &line) == MF_KNOWN_SAME && line == 2);
    CHECK(ask(k, "unheard-of", 2200, E1, &line) == MF_KNOWN_REVOKED && line == 3);
    CHECK(ask(k, "a.example.org", 22, E2, NULL) == MF_KNOWN_NOT); /* an authority's key is no host's */
    CHECK(mf_known_hosts_certified(k, "a.example.org", 22, &place) && place.line == 4);
    CHECK(!mf_known_hosts_certified(k, "alpha", 22, NULL));
    CHECK(mf_known_hosts_types(k, "alpha", 22, types) == 1 && strcmp(types[0], "ecdsa-sha2-nistp256") == 0);
    CHECK(mf_known_hosts_types(k, "alpha", 2222, types) == 1 && mf_known_hosts_types(k, "beta", 22, types) == 0);
    mf_known_hosts_free(k);
    k = read_text("a " E1 "\na " C1 "\na " E2 "\n[a]:7 " C1 "\n");
    CHECK(mf_known_hosts_types(k, "a", 22, types) == 2 && strcmp(types[0], "ssh-ed25519") == 0);
    CHECK(mf_known_hosts_types(k, "a", 7, types) == 1 && strcmp(types[0], "ecdsa-sha2-nistp256") == 0);
    mf_known_hosts_free(k);
}

/* S5: Each bad line is named and skipped, and the good one behind it counts. */
static void test_bad_lines(void)
{
    static const struct {
        const char *line, *word;
    } bad[] = {
        {"alpha", "no key"},
        {"alpha ssh-ed25519", "no key"},
        {"alpha ssh-ed25519 AAAA!", "no base64"},
        {"alpha ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBzPhE83uQerxySxqidPuD1pZs3kwTpdavO/q5atDC9", "no base64"},
        {"alpha ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIBzPhE83uQerxySxqidPuD1pZs3kwTpdavO/q5atDC9C", "not of the type"},
        {"alpha 1024 35 1234567890", "version 1"},
        {"@forged alpha " E1, "unknown marker"},
        {"@revoked", "no key"},
        {"|1|abc|def " E1, "damaged"},
        {"|2|wYLEbl8fSuY8cB9zsrFQTUMiOnI=|tYA3YyzKntFvQuoYVznKTDXxDBE= " E1, "damaged"},
        {"\x01\x02\xff\xfe", "no key"}};
    char text[2000];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "%s\nalpha %s\n", bad[i].line, E2);
        struct mf_known_hosts *k = read_text(text);
        CHECK(strstr(warnings, bad[i].word) && strstr(warnings, "line 1: ") && strstr(warnings, file));
        CHECK(strchr(warnings, '\n') == warnings + strlen(warnings) - 1);
        CHECK(ask(k, "alpha", 22, E2, NULL) == MF_KNOWN_SAME && ask(k, "alpha", 22, E1, NULL) == MF_KNOWN_CHANGED);
        mf_known_hosts_free(k);
    }
}

/* S5: Lines too long, bytes that are no text. */
static void test_garbage(void)
{
    enum { LONG = 200000 };
    const char *const paths[] = {file};
    char *text = malloc(LONG + 400);
    memset(text, 'x', LONG);
    int n = snprintf(text + LONG, 400, "\nbeta %s\n", E1);
    write_file(file, text, LONG + (size_t)n);
    warnings[0] = '\0';
    struct mf_known_hosts *k = mf_known_hosts_read(paths, 1, on_warning, NULL, NULL);
    CHECK(strstr(warnings, "line 1: too long") && ask(k, "beta", 22, E1, NULL) == MF_KNOWN_SAME);
    mf_known_hosts_free(k);
    memcpy(text, "al\0pha \xff\n", 9);
    n = snprintf(text + 9, 400, "beta %s\r\n", E1);
    write_file(file, text, 9 + (size_t)n);
    warnings[0] = '\0';
    k = mf_known_hosts_read(paths, 1, on_warning, NULL, NULL);
    CHECK(strstr(warnings, "line 1: ") && ask(k, "beta", 22, E1, NULL) == MF_KNOWN_SAME);
    mf_known_hosts_free(k);
    free(text);
}

static void test_files(void)
{
    const char *const paths[] = {"/nowhere/at/all", folder, file, "/dev/null", other};
    struct key key = key_of(E2);
    struct mf_known_place place;
    write_file(file, "alpha " E1 "\n", strlen("alpha " E1 "\n"));
    write_file(other, "\nalpha " E2 "\n", strlen("\nalpha " E2 "\n"));
    warnings[0] = '\0';
    struct mf_known_hosts *k = mf_known_hosts_read(paths, 5, on_warning, NULL, NULL);
    CHECK(strstr(warnings, folder) && strstr(warnings, "directory") && !strstr(warnings, "nowhere"));
    CHECK(mf_known_hosts_unread(k) && strstr(mf_known_hosts_unread(k), folder));
    CHECK(mf_known_hosts_check(k, "alpha", 22, key.bytes, key.n, &place) == MF_KNOWN_SAME);
    CHECK(strcmp(place.path, other) == 0 && place.line == 2);
    mf_known_hosts_free(k);
    const char *const endless[] = {"/dev/zero"};
    k = mf_known_hosts_read(endless, 1, on_warning, NULL, NULL);
    CHECK(strstr(mf_known_hosts_unread(k), "too large"));
    mf_known_hosts_free(k);
    k = mf_known_hosts_read(NULL, 0, NULL, NULL, NULL);
    CHECK(k && mf_known_hosts_check(k, "alpha", 22, key.bytes, key.n, &place) == MF_KNOWN_NOT);
    mf_known_hosts_free(k);
    unlink(other);
}

static void test_fingerprints(void)
{
    struct key e = key_of(E1), c = key_of(C1);
    char text[MF_KNOWN_FINGERPRINT], type[64];
    mf_known_hosts_fingerprint(e.bytes, e.n, text);
    CHECK(strcmp(text, "SHA256:3dnFMRaTLbQQODlWwlMIsoNFtMNBxxl1HdWkPiE7CQ8") == 0);
    mf_known_hosts_fingerprint(c.bytes, c.n, text);
    CHECK(strcmp(text, "SHA256:yjCedGzPG5HfzF7ExC81LFEDQzrRLgMtAfNDtxJpP4w") == 0);
    mf_known_hosts_type(c.bytes, c.n, type, sizeof type);
    CHECK(strcmp(type, "ecdsa-sha2-nistp256") == 0);
    mf_known_hosts_type(c.bytes, 10, type, sizeof type);
    CHECK(type[0] == '\0');
    mf_known_hosts_type("\xff\xff\xff\xffssh", 7, type, sizeof type);
    CHECK(type[0] == '\0');
}

static void test_append(void)
{
    char path[96];
    struct stat st;
    struct mf_fault fault = {0};
    struct key e = key_of(E1), c = key_of(C1);
    const char *const paths[] = {path};
    snprintf(path, sizeof path, "%s/ssh/known_hosts", folder);
    CHECK(mf_known_hosts_append(path, "Alpha", 22, e.bytes, e.n, false, &fault) == MF_OK);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    FILE *f = fopen(path, "a");
    CHECK(f && fputs("beta is not", f) >= 0 && fclose(f) == 0); /* somebody's unfinished line */
    CHECK(mf_known_hosts_append(path, "alpha", 2222, c.bytes, c.n, true, &fault) == MF_OK);
    f = fopen(path, "r");
    char text[1000];
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    CHECK(strncmp(text, "alpha " E1 "\nbeta is not\n|1|", strlen("alpha " E1 "\nbeta is not\n|1|")) == 0);
    CHECK(!strstr(text, "2222") && text[strlen(text) - 1] == '\n');
    struct mf_known_hosts *k = mf_known_hosts_read(paths, 1, NULL, NULL, NULL);
    CHECK(mf_known_hosts_check(k, "alpha", 22, e.bytes, e.n, NULL) == MF_KNOWN_SAME);
    CHECK(mf_known_hosts_check(k, "alpha", 2222, c.bytes, c.n, NULL) == MF_KNOWN_SAME);
    mf_known_hosts_free(k);
    unlink(path);
    path[strlen(path) - strlen("/known_hosts")] = '\0';
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0700);
    rmdir(path);
    CHECK(mf_known_hosts_append("/nowhere/at/all", "alpha", 22, e.bytes, e.n, false, &fault) == MF_ESYS);
    CHECK(strstr(fault.text, "/nowhere/at/all") && strstr(fault.text, "No such"));
    CHECK(mf_known_hosts_append("/dev/full", "alpha", 22, e.bytes, e.n, false, &fault) == MF_ESYS);
    CHECK(strstr(fault.text, "No space"));
}

/* Writers at the same time: each line comes out whole. */
enum { WRITERS = 4, LINES = 200 };

static void *write_many(void *arg)
{
    struct key e = key_of(E1);
    char host[32];
    for (int i = 0; i < LINES; i++) {
        snprintf(host, sizeof host, "host-%d-%d", *(int *)arg, i);
        if (mf_known_hosts_append(file, host, 22, e.bytes, e.n, false, NULL) != MF_OK)
            CHECK(!"not appended");
    }
    return NULL;
}

/* S6 */
static void test_writers(void)
{
    const char *const paths[] = {file};
    pthread_t threads[WRITERS];
    int numbers[WRITERS];
    struct key e = key_of(E1);
    unlink(file);
    for (int i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, write_many, &numbers[i]) == 0);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    warnings[0] = '\0';
    struct mf_known_hosts *k = mf_known_hosts_read(paths, 1, on_warning, NULL, NULL);
    int known = 0;
    for (int i = 0; i < WRITERS * LINES; i++) {
        char host[32];
        snprintf(host, sizeof host, "host-%d-%d", i / LINES, i % LINES);
        known += mf_known_hosts_check(k, host, 22, e.bytes, e.n, NULL) == MF_KNOWN_SAME;
    }
    CHECK(known == WRITERS * LINES && warnings[0] == '\0');
    mf_known_hosts_free(k);
}

int main(void)
{
    CHECK(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/known_hosts", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    test_plain();
    test_hashed();
    test_patterns();
    test_marks();
    test_bad_lines();
    test_garbage();
    test_files();
    test_fingerprints();
    test_append();
    test_writers();
    mf_known_hosts_free(NULL);
    unlink(file);
    rmdir(folder);
    return check_report();
}
