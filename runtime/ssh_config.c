/* Design note: both sources, the program's answer and our own reading, end in the same struct of raw directives; what
 * makes a configuration of it (paths, defaults, what needs the program) stands here once. */
#define _GNU_SOURCE
#include "ssh_config.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "ssh_config_inner.h"

#define PATH_BYTES 1024
#define NAME_BYTES 255

/* --- Names --------------------------------------------------------------------------------------------------------- */

static enum mf_err check_name(const char *what, const char *name, const char *allowed, struct mf_fault *fault)
{
    char shown[64 * 4 + 1] = "";
    size_t bad = 0, at = 0;
    for (const char *c = name; *c; c++)
        bad += !isalnum((unsigned char)*c) && !strchr(allowed, *c);
    if (*name && *name != '-' && bad == 0 && strlen(name) <= NAME_BYTES)
        return MF_OK;
    for (const char *c = name; *c && c < name + 64; c++)
        at +=
            (size_t)snprintf(shown + at, sizeof shown - at, *c > ' ' && *c < 127 ? "%c" : "\\x%02x", (unsigned char)*c);
    return mf_fault_set(fault, MF_EINVAL, "'%.150s' is no %s's name%s", shown, what,
                        *name == '-' ? " (it would be taken for an option)" : "");
}

enum mf_err mf_ssh_config_check_host(const char *host, struct mf_fault *fault)
{
    return check_name("host", host, ".-_:%", fault);
}

enum mf_err mf_ssh_config_check_user(const char *user, struct mf_fault *fault)
{
    return check_name("user", user, ".-_@+", fault);
}

bool mf_ssh_config_split(char *text, char **user, char **host, int *port)
{
    char *at, *colon, *end;
    *user = NULL;
    *port = 0;
    if (strncmp(text, "ssh://", 6) == 0) {
        text += 6;
        if (*text && text[strlen(text) - 1] == '/')
            text[strlen(text) - 1] = '\0';
    }
    if ((at = strrchr(text, '@'))) {
        *at = '\0';
        *user = text;
        text = at + 1;
    }
    *host = text;
    if (*text == '[') {
        *host = text + 1;
        if (!(end = strchr(text, ']')) || (end[1] != '\0' && end[1] != ':'))
            return false;
        colon = end[1] ? end + 1 : NULL;
        *end = '\0';
    } else {
        colon = strchr(text, ':');
        if (colon && strchr(colon + 1, ':'))
            colon = NULL; /* an IPv6 address */
    }
    if (!colon)
        return **host != '\0';
    *colon = '\0';
    long n = strtol(colon + 1, &end, 10);
    *port = (int)n;
    return **host && isdigit((unsigned char)colon[1]) && *end == '\0' && n >= 1 && n <= 65535;
}

bool mf_ssh_config_has_program(const char *name)
{
    char path[PATH_BYTES];
    if (strchr(name, '/'))
        return access(name, X_OK) == 0;
    const char *at = getenv("PATH");
    while (at && *at) {
        size_t n = strcspn(at, ":");
        if (snprintf(path, sizeof path, "%.*s/%s", (int)n, n ? at : ".", name) < (int)sizeof path &&
            access(path, X_OK) == 0)
            return true;
        at += n + (at[n] == ':');
    }
    return false;
}

/* --- Raw directives ------------------------------------------------------------------------------------------------ */

static bool first(char **slot, const char *value)
{
    return *slot || (*slot = strdup(value));
}

static bool add(char *list[MF_SSH_FILES + 1], const char *value)
{
    size_t n = 0;
    while (list[n])
        n++;
    return n == MF_SSH_FILES || (list[n] = strdup(value));
}

/* Directives that only the program can follow, unless they say no. */
static void note_program(struct mf_ssh_raw *raw, const char *keyword, const char *value)
{
    static const struct {
        const char *keyword, *harmless;
    } names[] = {{"ProxyCommand", "none"},          {"CertificateFile", "none"},   {"PKCS11Provider", "none"},
                 {"HostbasedAuthentication", "no"}, {"KnownHostsCommand", "none"}, {"RevokedHostKeys", "none"},
                 {"BindAddress", "none"},           {"BindInterface", "none"},     {"SecurityKeyProvider", "internal"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcasecmp(names[i].keyword, keyword) == 0 && strcasecmp(names[i].harmless, value) != 0 &&
            !raw->needs_program[0])
            snprintf(raw->needs_program, sizeof raw->needs_program, "%s", names[i].keyword);
}

static char **slot_of(struct mf_ssh_raw *raw, const char *keyword)
{
    const struct {
        const char *keyword;
        char **slot;
    } slots[] = {
        {"HostName", &raw->hostname},
        {"User", &raw->user},
        {"Port", &raw->port},
        {"HostKeyAlias", &raw->alias},
        {"IdentitiesOnly", &raw->identities_only},
        {"IdentityAgent", &raw->agent},
        {"HashKnownHosts", &raw->hashed},
        {"ProxyJump", &raw->jump},
        {"AddressFamily", &raw->family},
        {"PubkeyAuthentication", &raw->publickey},
        {"KbdInteractiveAuthentication", &raw->keyboard},
        {"ChallengeResponseAuthentication", &raw->keyboard},
        {"PasswordAuthentication", &raw->password},
        {"GSSAPIAuthentication", &raw->gssapi},
    };
    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++)
        if (strcasecmp(slots[i].keyword, keyword) == 0)
            return slots[i].slot;
    return NULL;
}

bool mf_ssh_raw_set(struct mf_ssh_raw *raw, const char *keyword, char *const words[], size_t n)
{
    char **slot = slot_of(raw, keyword);
    bool good = true;
    if (n == 0)
        return true;
    note_program(raw, keyword, words[0]);
    if (slot)
        return first(slot, words[0]);
    if (strcasecmp(keyword, "IdentityFile") == 0)
        return add(raw->identities, words[0]);
    char **list = strcasecmp(keyword, "UserKnownHostsFile") == 0     ? raw->known
                  : strcasecmp(keyword, "GlobalKnownHostsFile") == 0 ? raw->global
                                                                     : NULL;
    for (size_t i = 0; list && i < n && (i > 0 || !list[0]); i++)
        good = good && add(list, words[i]);
    return good;
}

static void free_list(char *list[])
{
    for (size_t i = 0; list[i]; i++) {
        free(list[i]);
        list[i] = NULL;
    }
}

void mf_ssh_raw_release(struct mf_ssh_raw *r)
{
    char *all[] = {r->hostname, r->user,   r->alias,     r->port,     r->identities_only, r->agent, r->hashed,
                   r->jump,     r->family, r->publickey, r->keyboard, r->password,        r->gssapi};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    free_list(r->identities);
    free_list(r->known);
    free_list(r->global);
    memset(r, 0, sizeof *r);
}

size_t mf_ssh_words(char *line, char *words[MF_SSH_WORDS])
{
    size_t n = 0;
    char *at = line + strspn(line, " \t\r\n\f");
    while (*at && *at != '#' && n < MF_SSH_WORDS) {
        const char *ends = n == 0 ? " \t\r\n\f=" : " \t\r\n\f";
        bool quoted = *at == '"';
        char *end = quoted ? strchr(++at, '"') : at + strcspn(at, ends);
        if (!end)
            return n; /* a quote that is not closed */
        words[n++] = at;
        char stop = *end;
        *end = '\0';
        at = stop ? end + 1 : end;
        at += strspn(at, " \t\r\n\f");
        if (n == 1 && stop != '=' && *at == '=')
            at++;
        at += strspn(at, " \t\r\n\f");
    }
    return n;
}

/* --- Making it whole ----------------------------------------------------------------------------------------------- */

/* Who and where we are. */
struct me {
    char home[PATH_BYTES], name[NAME_BYTES + 1];
};

static enum mf_err find_me(struct me *me, struct mf_fault *fault)
{
    struct passwd pw, *found = NULL;
    char text[4096];
    if (getpwuid_r(getuid(), &pw, text, sizeof text, &found) == 0 && found) {
        snprintf(me->home, sizeof me->home, "%s", pw.pw_dir);
        snprintf(me->name, sizeof me->name, "%s", pw.pw_name);
        return MF_OK;
    }
    const char *home = getenv("HOME"), *name = getenv("USER");
    if (!name)
        return mf_fault_set(fault, MF_EINVAL, "user %ld has no name; say which one to log in as", (long)getuid());
    snprintf(me->home, sizeof me->home, "%s", home ? home : "/");
    snprintf(me->name, sizeof me->name, "%s", name);
    return MF_OK;
}

/* What a token of a path stands for, or NULL. */
static const char *token(char c, const struct mf_ssh_query *q, const struct mf_ssh_config *config, const struct me *me,
                         char number[16])
{
    switch (c) {
    case '%':
        return "%";
    case 'd':
        return me->home;
    case 'h':
        return config->hostname ? config->hostname : q->host;
    case 'n':
        return q->host;
    case 'p':
        snprintf(number, 16, "%d", config->port);
        return number;
    case 'r':
        return config->user;
    case 'u':
        return me->name;
    case 'i':
        snprintf(number, 16, "%ld", (long)getuid());
        return number;
    default:
        return NULL;
    }
}

/* "~/", %-tokens and ${NAME}; false when it does not fit or holds what is not known here. */
static bool expand(const char *from, char to[PATH_BYTES], const struct mf_ssh_query *q,
                   const struct mf_ssh_config *config, const struct me *me)
{
    size_t at = 0;
    char number[16], name[64];
    if (from[0] == '~' && from[1] == '/') {
        at = (size_t)snprintf(to, PATH_BYTES, "%s", me->home);
        from++;
    }
    for (; *from && at < PATH_BYTES - 1; from++) {
        const char *text = NULL;
        int n = 0; /* of a whole "${NAME}" */
        if (*from == '%') {
            text = token(*++from, q, config, me, number);
        } else if (sscanf(from, "${%63[A-Za-z0-9_]}%n", name, &n) == 1 && n > 0) {
            text = getenv(name);
            from += n - 1;
        } else {
            to[at++] = *from;
            continue;
        }
        if (!text || strlen(text) >= PATH_BYTES - at)
            return false;
        memcpy(to + at, text, strlen(text));
        at += strlen(text);
    }
    to[at] = '\0';
    return *from == '\0';
}

/* Is it one that OpenSSH looks for by itself? */
static bool is_default(const char *identity)
{
    static const char *const names[] = {"id_rsa",        "id_ecdsa", "id_ecdsa_sk", "id_ed25519",
                                        "id_ed25519_sk", "id_xmss",  "id_dsa"};
    const char *slash = strrchr(identity, '/');
    for (size_t i = 0; slash && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(slash + 1, names[i]) == 0 && strncmp(identity, "~/.ssh/", 7) == 0)
            return true;
    return false;
}

static bool is_yes(const char *value, bool without)
{
    return value ? strcasecmp(value, "yes") == 0 || strcasecmp(value, "true") == 0 : without;
}

static bool is_none(const char *value)
{
    return !value || strcasecmp(value, "none") == 0;
}

static void cannot_expand(struct mf_ssh_config *config, const char *directive)
{
    if (!config->needs_program[0])
        snprintf(config->needs_program, sizeof config->needs_program, "%s with its tokens", directive);
}

static bool set_identities(struct mf_ssh_config *c, const struct mf_ssh_raw *raw, const struct mf_ssh_query *q,
                           const struct me *me)
{
    static const char *const defaults[] = {"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa", NULL};
    const char *const *list = raw->identities[0] ? (const char *const *)raw->identities : defaults;
    char path[PATH_BYTES];
    for (size_t i = 0; list[i]; i++) {
        if (is_none(list[i]))
            continue;
        if (!expand(list[i], path, q, c, me)) {
            cannot_expand(c, "IdentityFile");
            continue;
        }
        bool there = access(path, F_OK) == 0;
        if (there && !add(c->identities, path))
            return false;
        if (!there && !is_default(list[i]) && !first(&c->missing, path))
            return false;
    }
    return true;
}

static bool set_known(struct mf_ssh_config *c, const struct mf_ssh_raw *raw, const struct mf_ssh_query *q,
                      const struct me *me)
{
    static const char *const user[] = {"~/.ssh/known_hosts", "~/.ssh/known_hosts2", NULL};
    static const char *const global[] = {"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2", NULL};
    const char *const *lists[] = {raw->known[0] ? (const char *const *)raw->known : user,
                                  raw->global[0] ? (const char *const *)raw->global : global};
    char path[PATH_BYTES];
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; lists[k][i]; i++) {
            if (is_none(lists[k][i]))
                continue;
            if (!expand(lists[k][i], path, q, c, me))
                cannot_expand(c, "UserKnownHostsFile");
            else if (!add(c->known, path) || (k == 0 && !first(&c->append, path)))
                return false;
        }
    return true;
}

static bool set_agent(struct mf_ssh_config *c, const struct mf_ssh_raw *raw, const struct mf_ssh_query *q,
                      const struct me *me)
{
    char path[PATH_BYTES];
    const char *value = raw->agent;
    if (value && strcasecmp(value, "none") == 0)
        return true;
    if (value && value[0] == '$' && value[1] != '{')
        value = getenv(value + 1);
    else if (!value || strcmp(value, "SSH_AUTH_SOCK") == 0)
        value = getenv("SSH_AUTH_SOCK");
    if (!value || !*value)
        return true;
    if (!expand(value, path, q, c, me)) {
        cannot_expand(c, "IdentityAgent");
        return true;
    }
    return first(&c->agent, path);
}

static bool set_names(struct mf_ssh_config *c, const struct mf_ssh_raw *raw, const struct mf_ssh_query *q,
                      const struct me *me)
{
    char name[PATH_BYTES];
    const char *user = q->user ? q->user : raw->user ? raw->user : me->name;
    if (!first(&c->user, user) || (!is_none(raw->jump) && !first(&c->jump, raw->jump)) ||
        (raw->alias && !first(&c->alias, raw->alias)))
        return false;
    c->port = q->port;
    if (c->port == 0)
        c->port = raw->port ? (int)strtol(raw->port, NULL, 10) : 22;
    if (raw->hostname && !expand(raw->hostname, name, q, c, me))
        cannot_expand(c, "HostName");
    return first(&c->hostname, raw->hostname && !c->needs_program[0] ? name : q->host);
}

static bool make_whole(struct mf_ssh_config *c, const struct mf_ssh_raw *raw, const struct mf_ssh_query *q,
                       const struct me *me)
{
    snprintf(c->needs_program, sizeof c->needs_program, "%s", raw->needs_program);
    c->identities_only = is_yes(raw->identities_only, false);
    c->hashed = is_yes(raw->hashed, false);
    c->inet4 = raw->family && strcasecmp(raw->family, "inet") == 0;
    c->inet6 = raw->family && strcasecmp(raw->family, "inet6") == 0;
    c->publickey = is_yes(raw->publickey, true) || (raw->publickey && strcasecmp(raw->publickey, "unbound") == 0) ||
                   (raw->publickey && strcasecmp(raw->publickey, "host-bound") == 0);
    c->keyboard = is_yes(raw->keyboard, true);
    c->password = is_yes(raw->password, true);
    c->gssapi = is_yes(raw->gssapi, false);
    return set_names(c, raw, q, me) && set_identities(c, raw, q, me) && set_known(c, raw, q, me) &&
           set_agent(c, raw, q, me);
}

enum mf_err mf_ssh_config_resolve(const struct mf_ssh_query *q, struct mf_ssh_config *config, struct mf_fault *fault)
{
    struct mf_ssh_raw raw = {.hostname = NULL};
    struct me me;
    memset(config, 0, sizeof *config);
    enum mf_err e = mf_ssh_config_check_host(q->host, fault);
    if (e == MF_OK && q->user)
        e = mf_ssh_config_check_user(q->user, fault);
    if (e == MF_OK)
        e = find_me(&me, fault);
    if (e == MF_OK)
        e = mf_ssh_config_has_program(q->program ? q->program : "ssh") ? mf_ssh_config_ask(q, &raw, fault)
                                                                       : mf_ssh_config_read(q, me.home, &raw, fault);
    if (e == MF_OK && !make_whole(config, &raw, q, &me))
        e = mf_fault_set(fault, MF_ENOMEM, "out of memory while reading the SSH configuration");
    if (e == MF_OK)
        e = mf_ssh_config_check_host(config->hostname, fault);
    if (e == MF_OK)
        e = mf_ssh_config_check_user(config->user, fault);
    if (e == MF_OK && (config->port < 1 || config->port > 65535))
        e = mf_fault_set(fault, MF_EINVAL, "port %d is none", config->port);
    mf_ssh_raw_release(&raw);
    return e;
}

void mf_ssh_config_release(struct mf_ssh_config *c)
{
    free(c->hostname);
    free(c->user);
    free(c->alias);
    free(c->missing);
    free(c->agent);
    free(c->append);
    free(c->jump);
    free_list(c->identities);
    free_list(c->known);
    memset(c, 0, sizeof *c);
}
