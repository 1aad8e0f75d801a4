/* Design note: every line that makes sense becomes one entry, in the files' order; a question goes through all of them,
 * which is quick enough for thousands and keeps the rules readable. Hashed names are compared by hashing the name that is
 * asked for with the entry's salt, so nothing but the lines themselves is kept. */
#define _GNU_SOURCE
#include "known_hosts.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash.h"
#include "sys.h"

#define LINE_BYTES   65536     /* a longer line is no key's */
#define FILE_BYTES   100000000 /* a longer file is none of hosts */
#define NAME_BYTES   512
#define DEFAULT_PORT 22
#define TEXT_BYTES   512

enum mark { PLAIN, REVOKED, AUTHORITY };

struct entry {
    const char *path; /* the record's */
    unsigned line;
    enum mark mark;
    char *names; /* owns the other texts too: "names\0type\0" */
    const char *type;
    unsigned char *key;
    size_t n;
};

struct mf_known_hosts {
    struct entry *entries;
    size_t count, cap;
    char **paths;
    size_t npaths;
    char *unread;
};

/* What a reader of one file has in hand. */
struct reader {
    struct mf_known_hosts *known;
    const char *path;
    unsigned line;
    mf_known_warning *warning;
    void *arg;
    size_t bytes; /* that were read */
    bool no_memory;
};

static void warn(const struct reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void warn(const struct reader *r, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list args;
    if (!r->warning)
        return;
    int at = r->line ? snprintf(text, sizeof text, "%s line %u: ", r->path, r->line)
                     : snprintf(text, sizeof text, "%s: ", r->path);
    if (at < 0 || (size_t)at >= sizeof text)
        return;
    va_start(args, format);
    vsnprintf(text + at, sizeof text - (size_t)at, format, args);
    va_end(args);
    r->warning(r->arg, text);
}

/* --- Keys in wire form --------------------------------------------------------------------------------------------- */

void mf_known_hosts_type(const void *key, size_t n, char *text, size_t room)
{
    const unsigned char *b = key;
    text[0] = '\0';
    if (n < 4)
        return;
    size_t len = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
    if (len == 0 || len > n - 4 || len >= room)
        return;
    for (size_t i = 0; i < len; i++)
        if (b[4 + i] <= ' ' || b[4 + i] > '~')
            return;
    memcpy(text, b + 4, len);
    text[len] = '\0';
}

void mf_known_hosts_fingerprint(const void *key, size_t n, char text[MF_KNOWN_FINGERPRINT])
{
    unsigned char sum[MF_HASH_SHA256];
    char sum64[MF_HASH_BASE64(sizeof sum)];
    if (!mf_hash_sha256(key, n, sum)) {
        snprintf(text, MF_KNOWN_FINGERPRINT, "SHA256:?");
        return;
    }
    mf_hash_base64(sum64, sum, sizeof sum);
    sum64[strcspn(sum64, "=")] = '\0';
    snprintf(text, MF_KNOWN_FINGERPRINT, "SHA256:%s", sum64);
}

/* --- Reading ------------------------------------------------------------------------------------------------------- */

/* The next word of a line, ended with '\0'; NULL when there is none. */
static char *next_word(char **rest)
{
    char *word = *rest + strspn(*rest, " \t");
    if (*word == '\0')
        return NULL;
    char *end = word + strcspn(word, " \t");
    *rest = *end ? end + 1 : end;
    *end = '\0';
    return word;
}

static bool read_mark(const char *word, enum mark *mark)
{
    if (strcmp(word, "@revoked") == 0)
        *mark = REVOKED;
    else if (strcmp(word, "@cert-authority") == 0)
        *mark = AUTHORITY;
    else
        return false;
    return true;
}

/* "|1|salt|hash" taken apart; false when it is not whole. */
static bool read_hashed(const char *name, unsigned char salt[MF_HASH_SHA1 + 4], unsigned char hash[MF_HASH_SHA1 + 4])
{
    const char *first = name + 3, *second = strncmp(name, "|1|", 3) == 0 ? strchr(first, '|') : NULL;
    const size_t length = MF_HASH_BASE64(MF_HASH_SHA1) - 1;
    return second && (size_t)(second - first) == length && strlen(second + 1) == length &&
           mf_hash_unbase64(salt, first, length) == MF_HASH_SHA1 &&
           mf_hash_unbase64(hash, second + 1, length) == MF_HASH_SHA1;
}

static bool grow(struct mf_known_hosts *k)
{
    if (k->count < k->cap)
        return true;
    size_t cap = k->cap ? k->cap * 2 : 16;
    struct entry *more = realloc(k->entries, cap * sizeof *more);
    if (!more)
        return false;
    k->entries = more;
    k->cap = cap;
    return true;
}

static void free_entry(struct entry *e)
{
    free(e->names);
    free(e->key);
}

/* Makes an entry of the words of a line; why it cannot be one, or NULL. */
static const char *add_entry(struct reader *r, enum mark mark, const char *names, const char *type, const char *key)
{
    unsigned char salt[MF_HASH_SHA1 + 4], hash[MF_HASH_SHA1 + 4];
    char real[64];
    if (names[0] == '|' && !read_hashed(names, salt, hash))
        return "the hashed name is damaged";
    if (isdigit((unsigned char)type[0]))
        return "a key of SSH version 1";
    size_t name_n = strlen(names) + 1, type_n = strlen(type) + 1, n = strlen(key);
    struct entry e = {.path = r->path, .line = r->line, .mark = mark};
    e.names = malloc(name_n + type_n);
    e.key = malloc(n / 4 * 3 + 3);
    if (!e.names || !e.key || !grow(r->known)) {
        r->no_memory = true;
        free_entry(&e);
        return "out of memory";
    }
    long got = mf_hash_unbase64(e.key, key, n);
    e.n = got > 0 ? (size_t)got : 0;
    mf_known_hosts_type(e.key, e.n, real, sizeof real);
    if (strcmp(real, type) != 0) {
        free_entry(&e);
        return got < 0 ? "the key is no base64" : "the key is not of the type that stands before it";
    }
    memcpy(e.names, names, name_n);
    e.type = memcpy(e.names + name_n, type, type_n);
    r->known->entries[r->known->count++] = e;
    return NULL;
}

static void read_line(struct reader *r, char *line)
{
    enum mark mark = PLAIN;
    char *rest = line, *names = next_word(&rest);
    if (!names || names[0] == '#')
        return;
    if (names[0] == '@') {
        if (!read_mark(names, &mark)) {
            warn(r, "unknown marker; line ignored");
            return;
        }
        names = next_word(&rest);
    }
    char *type = names ? next_word(&rest) : NULL, *key = type ? next_word(&rest) : NULL;
    const char *bad = key ? add_entry(r, mark, names, type, key) : "no key";
    if (bad)
        warn(r, "%s; line ignored", bad);
}

/* Reads one line into text: its length without its end, or -1 at the end of the file. *whole: it fits and has no NUL. */
static long get_line(struct reader *r, FILE *f, char *text, bool *whole)
{
    size_t n = 0;
    int c = EOF;
    *whole = true;
    while (r->bytes++ < FILE_BYTES && (c = getc_unlocked(f)) != EOF && c != '\n') {
        if (n < LINE_BYTES - 1 && c != '\0')
            text[n++] = (char)c;
        else
            *whole = false;
    }
    if (r->bytes > FILE_BYTES || (c == EOF && n == 0))
        return -1;
    if (n > 0 && text[n - 1] == '\r')
        n--;
    text[n] = '\0';
    return (long)n;
}

static void read_lines(struct reader *r, FILE *f)
{
    char *text = malloc(LINE_BYTES);
    bool whole;
    if (!text) {
        r->no_memory = true;
        return;
    }
    while (!r->no_memory && get_line(r, f, text, &whole) >= 0) {
        r->line++;
        if (whole)
            read_line(r, text);
        else
            warn(r, "too long, or binary; line ignored");
    }
    free(text);
}

/* Opened without waiting, should it be a pipe; NULL with errno set. */
static FILE *open_file(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) {
        close(fd);
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        return NULL;
    }
    FILE *f = fdopen(fd, "r");
    if (!f)
        close(fd);
    return f;
}

static void note_unread(struct reader *r, int error)
{
    char text[TEXT_BYTES];
    r->line = 0;
    warn(r, "cannot be read: %s", strerror(error));
    if (r->known->unread)
        return;
    snprintf(text, sizeof text, "%s: %s", r->path, strerror(error));
    r->known->unread = strdup(text);
    r->no_memory = !r->known->unread;
}

static void read_file(struct reader *r)
{
    FILE *f = open_file(r->path);
    if (!f) {
        if (errno != ENOENT && errno != ENOTDIR)
            note_unread(r, errno);
        return;
    }
    read_lines(r, f);
    if (ferror(f) || r->bytes > FILE_BYTES)
        note_unread(r, ferror(f) ? errno : EFBIG);
    fclose(f);
}

struct mf_known_hosts *mf_known_hosts_read(const char *const paths[], size_t n, mf_known_warning *warning, void *arg,
                                           struct mf_fault *fault)
{
    struct mf_known_hosts *k = calloc(1, sizeof *k);
    bool good = k && (k->paths = calloc(n ? n : 1, sizeof *k->paths));
    for (size_t i = 0; i < n && good; i++) {
        k->paths[k->npaths] = strdup(paths[i]);
        if (!k->paths[k->npaths])
            good = false;
        struct reader r = {.known = k, .path = k->paths[k->npaths++], .warning = warning, .arg = arg};
        if (good)
            read_file(&r);
        good = good && !r.no_memory;
    }
    if (good)
        return k;
    mf_known_hosts_free(k);
    mf_fault_set(fault, MF_ENOMEM, "out of memory while reading known_hosts");
    return NULL;
}

void mf_known_hosts_free(struct mf_known_hosts *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->count; i++)
        free_entry(&k->entries[i]);
    for (size_t i = 0; i < k->npaths; i++)
        free(k->paths[i]);
    free(k->entries);
    free(k->paths);
    free(k->unread);
    free(k);
}

const char *mf_known_hosts_unread(const struct mf_known_hosts *k)
{
    return k->unread;
}

/* --- Names --------------------------------------------------------------------------------------------------------- */

void mf_known_hosts_name(const char *host, int port, char *text, size_t room)
{
    if (port == DEFAULT_PORT)
        snprintf(text, room, "%s", host);
    else
        snprintf(text, room, "[%s]:%d", host, port);
    for (char *c = text; *c; c++)
        *c = (char)tolower((unsigned char)*c);
}

/* Goes back to the last star only, which is enough and never takes long. */
bool mf_known_hosts_match(const char *pattern, size_t n, const char *name)
{
    size_t p = 0, star = n;
    const char *after = NULL;
    while (*name) {
        if (p < n && pattern[p] == '*') {
            star = p++;
            after = name;
        } else if (p < n &&
                   (pattern[p] == '?' || tolower((unsigned char)pattern[p]) == tolower((unsigned char)*name))) {
            p++;
            name++;
        } else if (after) {
            p = star + 1;
            name = ++after;
        } else {
            return false;
        }
    }
    while (p < n && pattern[p] == '*')
        p++;
    return p == n;
}

static bool hash_matches(const char *hashed, const char *name)
{
    unsigned char salt[MF_HASH_SHA1 + 4], hash[MF_HASH_SHA1 + 4], mine[MF_HASH_SHA1];
    return read_hashed(hashed, salt, hash) && mf_hash_hmac_sha1(salt, MF_HASH_SHA1, name, strlen(name), mine) &&
           memcmp(mine, hash, sizeof mine) == 0;
}

static bool is_for(const struct entry *e, const char *name)
{
    bool found = false;
    if (e->names[0] == '|')
        return hash_matches(e->names, name);
    for (const char *at = e->names; *at;) {
        size_t n = strcspn(at, ",");
        bool negated = *at == '!';
        if (mf_known_hosts_match(at + negated, n - negated, name)) {
            if (negated)
                return false;
            found = true;
        }
        at += n + (at[n] == ',');
    }
    return found;
}

/* --- Questions ----------------------------------------------------------------------------------------------------- */

/* What one entry that is for the host says of the key. */
static enum mf_known_verdict says(const struct entry *e, const char *type, const void *key, size_t n)
{
    bool same = e->n == n && memcmp(e->key, key, n) == 0;
    if (e->mark == REVOKED)
        return same ? MF_KNOWN_REVOKED : MF_KNOWN_NOT;
    if (e->mark == AUTHORITY)
        return MF_KNOWN_NOT;
    if (same)
        return MF_KNOWN_SAME;
    return strcmp(e->type, type) == 0 ? MF_KNOWN_CHANGED : MF_KNOWN_OTHER;
}

static enum mf_known_verdict check_name(const struct mf_known_hosts *k, const char *name, const void *key, size_t n,
                                        struct mf_known_place *place)
{
    static const int weight[] = {
        [MF_KNOWN_NOT] = 0, [MF_KNOWN_OTHER] = 1, [MF_KNOWN_CHANGED] = 2, [MF_KNOWN_SAME] = 3, [MF_KNOWN_REVOKED] = 4};
    enum mf_known_verdict verdict = MF_KNOWN_NOT;
    char type[64];
    mf_known_hosts_type(key, n, type, sizeof type);
    *place = (struct mf_known_place){NULL, 0};
    for (size_t i = 0; i < k->count; i++) {
        if (!is_for(&k->entries[i], name))
            continue;
        enum mf_known_verdict v = says(&k->entries[i], type, key, n);
        if (weight[v] <= weight[verdict])
            continue;
        verdict = v;
        *place = (struct mf_known_place){k->entries[i].path, k->entries[i].line};
    }
    return verdict;
}

enum mf_known_verdict mf_known_hosts_check(const struct mf_known_hosts *k, const char *host, int port, const void *key,
                                           size_t n, struct mf_known_place *place)
{
    char name[NAME_BYTES];
    struct mf_known_place here, bare;
    mf_known_hosts_name(host, port, name, sizeof name);
    enum mf_known_verdict verdict = check_name(k, name, key, n, &here);
    if (port != DEFAULT_PORT && (verdict == MF_KNOWN_NOT || verdict == MF_KNOWN_OTHER)) {
        mf_known_hosts_name(host, DEFAULT_PORT, name, sizeof name);
        enum mf_known_verdict v = check_name(k, name, key, n, &bare);
        if (v == MF_KNOWN_SAME || v == MF_KNOWN_REVOKED) {
            verdict = v;
            here = bare;
        }
    }
    if (place)
        *place = here;
    return verdict;
}

static bool is_revoked(const struct mf_known_hosts *k, const char *name, const struct entry *e)
{
    struct mf_known_place place;
    return check_name(k, name, e->key, e->n, &place) == MF_KNOWN_REVOKED;
}

static size_t types_of(const struct mf_known_hosts *k, const char *name, const char *types[MF_KNOWN_TYPES])
{
    size_t n = 0;
    for (size_t i = 0; i < k->count && n < MF_KNOWN_TYPES; i++) {
        const struct entry *e = &k->entries[i];
        bool seen = e->mark != PLAIN || !is_for(e, name) || is_revoked(k, name, e);
        for (size_t j = 0; j < n && !seen; j++)
            seen = strcmp(types[j], e->type) == 0;
        if (!seen)
            types[n++] = e->type;
    }
    return n;
}

size_t mf_known_hosts_types(const struct mf_known_hosts *k, const char *host, int port,
                            const char *types[MF_KNOWN_TYPES])
{
    char name[NAME_BYTES];
    mf_known_hosts_name(host, port, name, sizeof name);
    size_t n = types_of(k, name, types);
    if (n > 0 || port == DEFAULT_PORT)
        return n;
    mf_known_hosts_name(host, DEFAULT_PORT, name, sizeof name);
    return types_of(k, name, types);
}

bool mf_known_hosts_certified(const struct mf_known_hosts *k, const char *host, int port, struct mf_known_place *place)
{
    char name[NAME_BYTES];
    mf_known_hosts_name(host, port, name, sizeof name);
    for (size_t i = 0; i < k->count; i++)
        if (k->entries[i].mark == AUTHORITY && is_for(&k->entries[i], name)) {
            if (place)
                *place = (struct mf_known_place){k->entries[i].path, k->entries[i].line};
            return true;
        }
    return false;
}

/* --- Appending ----------------------------------------------------------------------------------------------------- */

/* The name as it is written: hashed with a fresh salt, or plain. */
static bool name_to_write(const char *host, int port, bool hashed, char *text, size_t room)
{
    uint64_t random[3] = {mf_sys_entropy(), mf_sys_entropy(), mf_sys_entropy()};
    unsigned char hash[MF_HASH_SHA1];
    char salt64[MF_HASH_BASE64(MF_HASH_SHA1)], hash64[MF_HASH_BASE64(MF_HASH_SHA1)], name[NAME_BYTES];
    mf_known_hosts_name(host, port, name, sizeof name);
    if (!hashed) {
        snprintf(text, room, "%s", name);
        return true;
    }
    if (!mf_hash_hmac_sha1(random, MF_HASH_SHA1, name, strlen(name), hash))
        return false;
    mf_hash_base64(salt64, random, MF_HASH_SHA1);
    mf_hash_base64(hash64, hash, sizeof hash);
    snprintf(text, room, "|1|%s|%s", salt64, hash64);
    return true;
}

/* Its directory, if that is missing and its own is there. */
static void make_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash && slash > path ? strndup(path, (size_t)(slash - path)) : NULL;
    if (folder)
        mkdir(folder, 0700);
    free(folder);
}

/* Does what is there end with a whole line? */
static bool ends_whole(int fd)
{
    char last;
    off_t end = lseek(fd, 0, SEEK_END);
    return end <= 0 || pread(fd, &last, 1, end - 1) != 1 || last == '\n';
}

static enum mf_err write_line(const char *path, const char *line, struct mf_fault *fault)
{
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return mf_fault_set(fault, MF_ESYS, "cannot open %s: %s", path, strerror(errno));
    if (ends_whole(fd))
        line++; /* the newline in front of it is not needed */
    size_t n = strlen(line);
    ssize_t done = write(fd, line, n);
    int error = done < 0 ? errno : ENOSPC;
    if (close(fd) != 0 && done == (ssize_t)n) {
        error = errno;
        done = -1;
    }
    if (done != (ssize_t)n)
        return mf_fault_set(fault, MF_ESYS, "cannot write to %s: %s", path, strerror(error));
    return MF_OK;
}

enum mf_err mf_known_hosts_append(const char *path, const char *host, int port, const void *key, size_t n, bool hashed,
                                  struct mf_fault *fault)
{
    char name[NAME_BYTES], type[64];
    size_t room = sizeof name + sizeof type + MF_HASH_BASE64(n) + 8;
    char *line = malloc(room), *key64 = malloc(MF_HASH_BASE64(n));
    enum mf_err e = MF_OK;
    mf_known_hosts_type(key, n, type, sizeof type);
    if (!line || !key64)
        e = mf_fault_set(fault, MF_ENOMEM, "out of memory while writing to %s", path);
    else if (!type[0] || !name_to_write(host, port, hashed, name, sizeof name))
        e = mf_fault_set(fault, MF_EINVAL, "cannot write to %s: this is no key, or its name cannot be hashed", path);
    if (e == MF_OK) {
        mf_hash_base64(key64, key, n);
        snprintf(line, room, "\n%s %s %s\n", name, type, key64);
        make_directory(path);
        e = write_line(path, line, fault);
    }
    free(line);
    free(key64);
    return e;
}
