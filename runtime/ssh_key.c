/* Design note: OpenSSH's own format begins with cipher and public key in the clear, so type and lock are read from there.
 * The older PEM formats tell both by their lines; the public key comes from the .pub file then, if there is one. */
#define _GNU_SOURCE
#include "ssh_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash.h"
#include "known_hosts.h"
#include "ssh_wire.h"

#define FILE_BYTES 32768 /* a larger file is no key */
#define PATH_BYTES 1100

static const char magic[] = "openssh-key-v1"; /* with its '\0' */

static bool keep_blob(struct mf_ssh_key *key, const void *bytes, size_t n)
{
    mf_known_hosts_type(bytes, n, key->type, sizeof key->type);
    if (!key->type[0] || key->blob)
        return false;
    key->blob = malloc(n);
    key->n = key->blob ? n : 0;
    if (key->blob)
        memcpy(key->blob, bytes, n);
    return key->blob != NULL;
}

/* The base64 text between two lines, without its line ends; how much of it there is. */
static size_t gather(char *out, const char *from, const char *to)
{
    size_t n = 0;
    for (; from < to; from++)
        if (*from != '\n' && *from != '\r')
            out[n++] = *from;
    return n;
}

static bool read_own_format(struct mf_ssh_key *key, const char *body)
{
    const char *end = strstr(body, "-----END");
    size_t room = end ? (size_t)(end - body) : 0, count;
    char *text = malloc(room + 1);
    unsigned char *bytes = malloc(room + 4);
    struct mf_ssh_wire cipher, kdf, options, public;
    bool good = false;
    if (end && text && bytes) {
        long n = mf_hash_unbase64(bytes, text, gather(text, body, end));
        struct mf_ssh_wire c = {bytes + sizeof magic, n > (long)sizeof magic ? (size_t)n - sizeof magic : 0};
        good = c.left > 0 && memcmp(bytes, magic, sizeof magic) == 0 && mf_ssh_take_string(&c, &cipher) &&
               mf_ssh_take_string(&c, &kdf) && mf_ssh_take_string(&c, &options) && mf_ssh_take_number(&c, &count) &&
               count == 1 && mf_ssh_take_string(&c, &public) && keep_blob(key, public.at, public.left);
        if (good)
            key->locked = cipher.left != 4 || memcmp(cipher.at, "none", 4) != 0;
        mf_hash_wipe(bytes, room + 4);
        mf_hash_wipe(text, room + 1);
    }
    free(text);
    free(bytes);
    return good;
}

/* A line "type base64 comment". */
static bool read_public(struct mf_ssh_key *key, char *text)
{
    char *rest = text, *type = strsep(&rest, " \t\r\n"), *body = rest ? strsep(&rest, " \t\r\n") : NULL;
    size_t n = body ? strlen(body) : 0;
    unsigned char *bytes = malloc(n + 4);
    if (!body || !bytes) {
        free(bytes);
        return false;
    }
    long got = mf_hash_unbase64(bytes, body, n);
    bool good = got > 0 && keep_blob(key, bytes, (size_t)got) && strcmp(key->type, type) == 0;
    free(bytes);
    return good;
}

static bool read_pem(struct mf_ssh_key *key, const char *text)
{
    static const struct {
        const char *line, *type;
    } kinds[] = {{"-----BEGIN RSA PRIVATE KEY-----", "ssh-rsa"},
                 {"-----BEGIN DSA PRIVATE KEY-----", "ssh-dss"},
                 {"-----BEGIN EC PRIVATE KEY-----", ""},
                 {"-----BEGIN PRIVATE KEY-----", ""},
                 {"-----BEGIN ENCRYPTED PRIVATE KEY-----", ""}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strncmp(text, kinds[i].line, strlen(kinds[i].line)) == 0) {
            snprintf(key->type, sizeof key->type, "%s", kinds[i].type);
            key->locked = strstr(text, "ENCRYPTED") != NULL;
            return true;
        }
    return false;
}

static bool read_text(struct mf_ssh_key *key, char *text)
{
    static const char own[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
    if (strncmp(text, own, sizeof own - 1) == 0)
        return read_own_format(key, text + sizeof own - 1);
    if (read_pem(key, text))
        return true;
    key->public_only = read_public(key, text);
    return key->public_only;
}

/* The whole file, ended by '\0', to be freed; NULL with errno set (0: too large). */
static char *read_file(const char *path, mode_t *mode)
{
    struct stat st;
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    errno = fstat(fd, &st) != 0 ? errno : S_ISDIR(st.st_mode) ? EISDIR : 0;
    if (errno == 0 && S_ISREG(st.st_mode) && st.st_size < FILE_BYTES && (text = malloc((size_t)st.st_size + 1))) {
        ssize_t n = read(fd, text, (size_t)st.st_size);
        text[n > 0 ? n : 0] = '\0';
        *mode = st.st_mode;
    }
    close(fd);
    return text;
}

static void look_beside(const char *path, struct mf_ssh_key *key)
{
    char beside[PATH_BYTES];
    mode_t mode;
    snprintf(beside, sizeof beside, "%s-cert.pub", path);
    key->certified = access(beside, F_OK) == 0;
    snprintf(beside, sizeof beside, "%s.pub", path);
    char *text = key->blob ? NULL : read_file(beside, &mode);
    if (text)
        read_public(key, text);
    free(text);
}

enum mf_err mf_ssh_key_look(const char *path, struct mf_ssh_key *key, struct mf_fault *fault)
{
    mode_t mode = 0;
    memset(key, 0, sizeof *key);
    char *text = read_file(path, &mode);
    if (!text && errno)
        return mf_fault_set(fault, MF_ESYS, "key %s: %s", path, strerror(errno));
    bool good = text && read_text(key, text);
    if (text)
        mf_hash_wipe(text, strlen(text));
    free(text);
    if (!good)
        return mf_fault_set(fault, MF_EINVAL, "key %s: this is no private key", path);
    if (!key->public_only && (mode & 077))
        return mf_fault_set(fault, MF_EINVAL, "key %s: others may read it (mode %04o); run: chmod 600 %s", path,
                            (unsigned)mode & 07777, path);
    look_beside(path, key);
    return MF_OK;
}

void mf_ssh_key_release(struct mf_ssh_key *key)
{
    free(key->blob);
    memset(key, 0, sizeof *key);
}
