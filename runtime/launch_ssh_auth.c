/* Design note: the order is OpenSSH's: keys of the agent that are also configured, other keys of the agent (unless
 * IdentitiesOnly), configured files, then what a person is asked for. A server allows few attempts, so a key is offered
 * once, and a locked file is unlocked only when the server has said that it would take that key: libssh2 calls for a
 * signature then, and one that fails costs nothing.
 *
 * What was tried, and with what outcome, is collected in words for the refusal. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "launch_ssh_inner.h"
#include "ssh_agent.h"
#include "ssh_key.h"
#include "sys.h"

#define TRIED_BYTES   900
#define METHODS_BYTES 200
#define SECRET_BYTES  256
#define SECRET_TRIES  3
#define AGENT_SECONDS 5 /* an agent that does not answer is passed over; one that asks a person to sign may be slow */

struct login {
    struct mf_launch_ssh *l;
    const struct mf_hop *hop;
    struct mf_ssh *session;
    struct mf_ssh_agent agent;
    bool has_agent;
    size_t key;      /* of the agent: the one that is tried */
    bool would_take; /* the server has asked for a signature */
    bool unanswered; /* a question of the server's */
    bool in;
    char methods[METHODS_BYTES];
    char tried[TRIED_BYTES];
    struct mf_ssh_key keys[MF_SSH_FILES];
    const char *paths[MF_SSH_FILES];
    bool offered[MF_SSH_FILES];
    size_t nkeys;
};

static void tell(struct login *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(struct login *a, const char *format, ...)
{
    size_t at = strlen(a->tried);
    va_list args;
    if (at > 0 && at + 3 < sizeof a->tried) {
        strcpy(a->tried + at, "; ");
        at += 2;
    }
    va_start(args, format);
    vsnprintf(a->tried + at, sizeof a->tried - at, format, args);
    va_end(args);
}

static bool offers(const struct login *a, const char *method)
{
    size_t n = strlen(method);
    for (const char *at = a->methods; *at;) {
        size_t len = strcspn(at, ",");
        if (len == n && strncmp(at, method, n) == 0)
            return true;
        at += len + (at[len] == ',');
    }
    return false;
}

/* Asks for the methods that go on from here. */
static enum mf_err ask_methods(struct login *a)
{
    struct mf_fault fault;
    enum mf_err e = mf_ssh_methods(a->session, a->hop->config.user, a->methods, sizeof a->methods, &a->l->wait, &fault);
    a->in = e == MF_OK && mf_ssh_authenticated(a->session);
    return e == MF_OK ? e : mf_launch_fail(a->l, e, "%s", fault.text);
}

/* After an attempt: MF_OK to go on (or in), else the launch has failed. what: "/home/a/id: refused". */
static enum mf_err after(struct login *a, enum mf_err e, const struct mf_fault *fault, const char *what)
{
    if (e == MF_OK) {
        a->in = true;
        return MF_OK;
    }
    tell(a, "%s: %s", what, fault->text);
    if (e == MF_ELOST)
        return mf_launch_fail(a->l, e,
                              "%s. If that was too many keys, set IdentitiesOnly or name the right one "
                              "(identity)",
                              a->tried);
    if (e == MF_ETIMEDOUT || e == MF_EINTR || e == MF_ENOMEM)
        return mf_launch_fail(a->l, e, "%s", a->tried);
    return a->would_take ? ask_methods(a) : MF_OK; /* accepted, but the server may want more than this */
}

/* --- Keys ---------------------------------------------------------------------------------------------------------- */

/* A key that this libssh2 cannot use is passed over; why the ssh program should be tried. */
static bool cannot_use(struct login *a, const char *type, const char *name)
{
    const char *why = NULL;
    if (strcmp(type, "ssh-rsa") == 0 && !mf_ssh_knows_rsa())
        why = "an RSA key";
    else if (strncmp(type, "sk-", 3) == 0)
        why = "a key on a security token";
    else if (strstr(type, "-cert-v01@"))
        why = "a certificate";
    if (!why)
        return false;
    tell(a, "%s: passed over, libssh2 %s cannot use %s", name, mf_ssh_library_version(), why);
    snprintf(a->l->program_why, sizeof a->l->program_why, "libssh2 %s cannot use %s", mf_ssh_library_version(), why);
    return true;
}

static int sign_by_agent(void *arg, const unsigned char *data, size_t n, unsigned char **signature, size_t *length)
{
    struct login *a = arg;
    struct mf_fault fault;
    a->would_take = true;
    if (mf_ssh_agent_sign(&a->agent, a->key, data, n, signature, length, &a->l->wait, &fault) == MF_OK)
        return 0;
    tell(a, "%s", fault.text);
    return -1;
}

static enum mf_err try_agent_key(struct login *a, size_t key)
{
    struct mf_fault fault = {.code = MF_OK};
    char print[MF_KNOWN_FINGERPRINT], type[64], what[200];
    mf_known_hosts_fingerprint(a->agent.keys[key].blob, a->agent.keys[key].n, print);
    mf_known_hosts_type(a->agent.keys[key].blob, a->agent.keys[key].n, type, sizeof type);
    snprintf(what, sizeof what, "key %s of the agent", print);
    if (cannot_use(a, type, what))
        return MF_OK;
    a->key = key;
    a->would_take = false;
    enum mf_err e = mf_ssh_auth_sign(a->session, a->hop->config.user, a->agent.keys[key].blob, a->agent.keys[key].n,
                                     sign_by_agent, a, &a->l->wait, &fault);
    return after(a, e, &fault, what);
}

/* The configured key that the agent has, too; or nkeys. */
static size_t configured(const struct login *a, size_t key)
{
    size_t i = 0;
    while (i < a->nkeys && (a->keys[i].n != a->agent.keys[key].n || !a->keys[i].blob ||
                            memcmp(a->keys[i].blob, a->agent.keys[key].blob, a->keys[i].n) != 0))
        i++;
    return i;
}

static enum mf_err try_agent(struct login *a)
{
    struct mf_fault fault;
    struct mf_wait wait = {.deadline = mf_sys_after(AGENT_SECONDS), .cancel = a->l->wait.cancel};
    enum mf_err e = MF_OK;
    if (!a->hop->config.agent)
        return MF_OK;
    if (mf_ssh_agent_open(&a->agent, a->hop->config.agent, &wait, &fault) != MF_OK) {
        tell(a, "%s", fault.text);
        return MF_OK;
    }
    a->has_agent = true;
    for (int wanted = 1; wanted >= a->hop->config.identities_only; wanted--)
        for (size_t i = 0; i < a->agent.nkeys && e == MF_OK && !a->in && offers(a, "publickey"); i++) {
            size_t own = configured(a, i);
            if ((own < a->nkeys) != wanted)
                continue;
            if (own < a->nkeys)
                a->offered[own] = true;
            e = try_agent_key(a, i);
        }
    return e;
}

/* Signs nothing: only asks whether the key would do. */
static int sign_nothing(void *arg, const unsigned char *data, size_t n, unsigned char **signature, size_t *length)
{
    (void)data, (void)n, (void)signature, (void)length;
    ((struct login *)arg)->would_take = true;
    return -1;
}

/* Asks for the passphrase, up to three times. */
static enum mf_err unlock(struct login *a, const char *path, struct mf_fault *fault)
{
    char question[1200], secret[SECRET_BYTES];
    enum mf_err e = MF_ESYS;
    snprintf(question, sizeof question, "Passphrase for %s: ", path);
    for (int i = 0; i < SECRET_TRIES && e == MF_ESYS; i++) {
        if (!mf_launch_ask_person(a->l, question, false, path, i > 0, secret, sizeof secret)) {
            const char *why = mf_launch_group_can_ask(a->l->group) ? "no passphrase was given"
                                                                   : "it is locked by a passphrase, and there is no "
                                                                     "terminal to ask at; use ssh-add";
            return mf_fault_set(fault, MF_EINVAL, "%s", why);
        }
        e = mf_ssh_auth_file(a->session, a->hop->config.user, path, secret, &a->l->wait, fault);
    }
    mf_hash_wipe(secret, sizeof secret);
    return e == MF_ESYS ? mf_fault_set(fault, MF_EINVAL, "wrong passphrase") : e;
}

static enum mf_err try_file(struct login *a, size_t i)
{
    const struct mf_ssh_key *key = &a->keys[i];
    struct mf_fault fault = {.code = MF_OK};
    enum mf_err e = MF_OK;
    if (key->certified && !a->l->program_why[0])
        snprintf(a->l->program_why, sizeof a->l->program_why, "%.100s has a certificate", a->paths[i]);
    if (cannot_use(a, key->type, a->paths[i]))
        return MF_OK;
    if (key->public_only) {
        tell(a, "%s: a public key, and no agent has the private one", a->paths[i]);
        return MF_OK;
    }
    a->would_take = false;
    if (key->blob) {
        e = mf_ssh_auth_sign(a->session, a->hop->config.user, key->blob, key->n, sign_nothing, a, &a->l->wait, &fault);
        if (!a->would_take)
            return after(a, e, &fault, a->paths[i]);
    }
    e = key->locked ? unlock(a, a->paths[i], &fault)
                    : mf_ssh_auth_file(a->session, a->hop->config.user, a->paths[i], NULL, &a->l->wait, &fault);
    return after(a, e, &fault, a->paths[i]);
}

/* Looks at the identities that are named, in order. */
static void look_at_files(struct login *a)
{
    struct mf_fault fault;
    const char *const *given = a->l->options.identities;
    char *const *own = a->hop->config.identities;
    for (size_t i = 0; a->nkeys < MF_SSH_FILES && ((given && *given) || *own); i++) {
        const char *path = given && *given ? *given++ : *own++;
        if (mf_ssh_key_look(path, &a->keys[a->nkeys], &fault) == MF_OK) {
            a->paths[a->nkeys++] = path;
        } else {
            tell(a, "%s", fault.text);
            mf_ssh_key_release(&a->keys[a->nkeys]);
        }
    }
    if (a->hop->config.missing)
        tell(a, "key %s: not there", a->hop->config.missing);
}

static enum mf_err try_keys(struct login *a)
{
    look_at_files(a);
    enum mf_err e = try_agent(a);
    for (size_t i = 0; i < a->nkeys && e == MF_OK && !a->in && offers(a, "publickey"); i++)
        if (!a->offered[i])
            e = try_file(a, i);
    return e;
}

/* --- What a person knows ------------------------------------------------------------------------------------------- */

static bool on_prompt(void *arg, const char *prompt, bool echo, char *answer, size_t room)
{
    struct login *a = arg;
    char question[400];
    snprintf(question, sizeof question, "(%s@%s) %s", a->hop->config.user, a->hop->name, prompt);
    bool answered = mf_launch_ask_person(a->l, question, echo, NULL, false, answer, room);
    a->unanswered = a->unanswered || !answered;
    return answered;
}

static enum mf_err try_keyboard(struct login *a)
{
    struct mf_fault fault = {.code = MF_OK};
    enum mf_err e = MF_OK;
    for (int i = 0; i < SECRET_TRIES && e == MF_OK && !a->in && offers(a, "keyboard-interactive"); i++) {
        a->would_take = i + 1 < SECRET_TRIES; /* one more method may be wanted; to ask for it counts as an attempt */
        e = mf_ssh_auth_keyboard(a->session, a->hop->config.user, on_prompt, a, &a->l->wait, &fault);
        e = after(a, e, &fault, "keyboard-interactive");
        if (a->unanswered)
            break;
    }
    return e;
}

static enum mf_err try_password(struct login *a)
{
    struct mf_fault fault = {.code = MF_OK};
    char question[400], key[400], secret[SECRET_BYTES];
    enum mf_err e = MF_OK;
    snprintf(question, sizeof question, "Password of %s@%s: ", a->hop->config.user, a->hop->name);
    snprintf(key, sizeof key, "password %s@%s:%d", a->hop->config.user, a->hop->config.hostname, a->hop->config.port);
    a->would_take = false; /* asking for the methods again would count as an attempt */
    for (int i = 0; i < SECRET_TRIES && e == MF_OK && !a->in && offers(a, "password"); i++) {
        if (!mf_launch_ask_person(a->l, question, false, key, i > 0, secret, sizeof secret)) {
            tell(a, "password: none was given");
            break;
        }
        e = mf_ssh_auth_password(a->session, a->hop->config.user, secret, &a->l->wait, &fault);
        e = after(a, e, &fault, "password");
    }
    mf_hash_wipe(secret, sizeof secret);
    return e;
}

/* --- All of it ----------------------------------------------------------------------------------------------------- */

static enum mf_err refuse(struct login *a)
{
    const struct mf_ssh_config *c = &a->hop->config;
    bool asks = offers(a, "password") || offers(a, "keyboard-interactive");
    if (offers(a, "gssapi-with-mic") && c->gssapi && !a->l->program_why[0])
        snprintf(a->l->program_why, sizeof a->l->program_why, "libssh2 knows no Kerberos");
    return mf_launch_fail(a->l, MF_EINVAL, "user %s is not let in. Tried: %s. The server takes: %s%s%s%s", c->user,
                          a->tried[0] ? a->tried : "nothing", a->methods[0] ? a->methods : "nothing",
                          asks && !mf_launch_group_can_ask(a->l->group) ? " (there is no terminal to ask at)" : "",
                          a->l->program_why[0] ? "; transport = \"openssh\" may do better: " : "", a->l->program_why);
}

static enum mf_err try_all(struct login *a)
{
    const struct mf_ssh_config *c = &a->hop->config;
    bool ask = mf_launch_group_can_ask(a->l->group);
    enum mf_err e = ask_methods(a);
    if (e == MF_OK && !a->in && c->publickey && offers(a, "publickey"))
        e = try_keys(a);
    if (e == MF_OK && !a->in && ask && c->keyboard && offers(a, "keyboard-interactive"))
        e = try_keyboard(a);
    if (e == MF_OK && !a->in && ask && c->password && offers(a, "password"))
        e = try_password(a);
    return e == MF_OK && !a->in ? refuse(a) : e;
}

enum mf_err mf_launch_authenticate(struct mf_launch_ssh *l, const struct mf_hop *hop, struct mf_ssh *session)
{
    struct login *a = calloc(1, sizeof *a);
    mf_launch_begin(l, MF_LAUNCH_AUTH, l->options.limits.auth);
    if (!a)
        return mf_launch_fail(l, MF_ENOMEM, "out of memory");
    a->l = l;
    a->hop = hop;
    a->session = session;
    enum mf_err e = try_all(a);
    for (size_t i = 0; i < a->nkeys; i++)
        mf_ssh_key_release(&a->keys[i]);
    if (a->has_agent)
        mf_ssh_agent_close(&a->agent);
    free(a);
    return e;
}
