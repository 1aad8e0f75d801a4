/* Design note: one function for each method, each a call that is repeated while it would block. Callbacks find what they
 * need in the session, which libssh2 hands them as its abstract pointer. */
#include "stream_ssh_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"

#define ANSWER_BYTES 256
#define PROMPT_BYTES 256

enum mf_err mf_ssh_methods(struct mf_ssh *s, const char *user, char *methods, size_t room, const struct mf_wait *wait,
                           struct mf_fault *fault)
{
    char *list;
    methods[0] = '\0';
    while (!(list = libssh2_userauth_list(s->session, user, (unsigned)strlen(user)))) {
        if (libssh2_userauth_authenticated(s->session))
            return MF_OK;
        int rc = libssh2_session_last_errno(s->session);
        if (rc != LIBSSH2_ERROR_EAGAIN)
            return mf_ssh_failed(s, rc, fault);
        enum mf_err e = mf_ssh_block(s, wait);
        if (e != MF_OK)
            return mf_ssh_waited(e, fault);
    }
    snprintf(methods, room, "%s", list);
    return MF_OK;
}

bool mf_ssh_authenticated(struct mf_ssh *s)
{
    return libssh2_userauth_authenticated(s->session) != 0;
}

/* What the end of an attempt means. */
static enum mf_err outcome(struct mf_ssh *s, enum mf_err e, int rc, struct mf_fault *fault)
{
    if (e != MF_OK)
        return mf_ssh_waited(e, fault);
    if (rc == 0)
        return MF_OK;
    if (s->error || s->goodbye[0])
        return mf_fault_set(fault, MF_ELOST, "the server closed the connection (%s)", mf_ssh_lost(s));
    if (rc == LIBSSH2_ERROR_AUTHENTICATION_FAILED || rc == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED)
        return mf_fault_set(fault, MF_EINVAL, "refused");
    if (rc == LIBSSH2_ERROR_FILE || rc == LIBSSH2_ERROR_KEYFILE_AUTH_FAILED)
        return mf_fault_set(fault, MF_ESYS, "the key cannot be read");
    return mf_ssh_failed(s, rc, fault);
}

/* --- Keys ---------------------------------------------------------------------------------------------------------- */

static LIBSSH2_USERAUTH_PUBLICKEY_SIGN_FUNC(on_sign)
{
    struct mf_ssh *s = *abstract;
    (void)session;
    return s->sign(s->arg, data, data_len, sig, sig_len);
}

enum mf_err mf_ssh_auth_sign(struct mf_ssh *s, const char *user, const void *key, size_t n, mf_ssh_sign *sign,
                             void *arg, const struct mf_wait *wait, struct mf_fault *fault)
{
    void *session = s;
    int rc;
    enum mf_err e = MF_OK;
    s->sign = sign;
    s->arg = arg;
    while ((rc = libssh2_userauth_publickey(s->session, user, key, n, on_sign, &session)) == LIBSSH2_ERROR_EAGAIN &&
           e == MF_OK)
        e = mf_ssh_block(s, wait);
    return outcome(s, e, rc, fault);
}

enum mf_err mf_ssh_auth_file(struct mf_ssh *s, const char *user, const char *path, const char *passphrase,
                             const struct mf_wait *wait, struct mf_fault *fault)
{
    int rc;
    enum mf_err e = MF_OK;
    while ((rc = libssh2_userauth_publickey_fromfile_ex(s->session, user, (unsigned)strlen(user), NULL, path,
                                                        passphrase)) == LIBSSH2_ERROR_EAGAIN &&
           e == MF_OK)
        e = mf_ssh_block(s, wait);
    return outcome(s, e, rc, fault);
}

/* --- Passwords ----------------------------------------------------------------------------------------------------- */

enum mf_err mf_ssh_auth_password(struct mf_ssh *s, const char *user, const char *password, const struct mf_wait *wait,
                                 struct mf_fault *fault)
{
    int rc;
    enum mf_err e = MF_OK;
    while ((rc = libssh2_userauth_password_ex(s->session, user, (unsigned)strlen(user), password,
                                              (unsigned)strlen(password), NULL)) == LIBSSH2_ERROR_EAGAIN &&
           e == MF_OK)
        e = mf_ssh_block(s, wait);
    if (e == MF_OK && rc == LIBSSH2_ERROR_PASSWORD_EXPIRED)
        return mf_fault_set(fault, MF_EINVAL, "the password has expired; log in once by ssh to change it");
    return outcome(s, e, rc, fault);
}

/* A server's text, made printable. */
static void plain(char *out, size_t room, const char *text, size_t n)
{
    size_t at = 0;
    for (size_t i = 0; i < n && at + 1 < room; i++)
        out[at++] = (unsigned char)text[i] < ' ' || text[i] == 127 ? ' ' : text[i];
    out[at] = '\0';
}

static LIBSSH2_USERAUTH_KBDINT_RESPONSE_FUNC(on_prompts)
{
    struct mf_ssh *s = *abstract;
    char prompt[PROMPT_BYTES], answer[ANSWER_BYTES];
    (void)name, (void)name_len, (void)instruction, (void)instruction_len;
    for (int i = 0; i < num_prompts; i++) {
        plain(prompt, sizeof prompt, (const char *)prompts[i].text, prompts[i].length);
        responses[i].text = NULL;
        responses[i].length = 0;
        if (!s->prompt(s->arg, prompt, prompts[i].echo != 0, answer, sizeof answer))
            continue;
        responses[i].text = strdup(answer); /* the library frees it */
        responses[i].length = responses[i].text ? (unsigned)strlen(answer) : 0;
    }
    mf_hash_wipe(answer, sizeof answer);
}

enum mf_err mf_ssh_auth_keyboard(struct mf_ssh *s, const char *user, mf_ssh_prompt *prompt, void *arg,
                                 const struct mf_wait *wait, struct mf_fault *fault)
{
    int rc;
    enum mf_err e = MF_OK;
    s->prompt = prompt;
    s->arg = arg;
    while ((rc = libssh2_userauth_keyboard_interactive_ex(s->session, user, (unsigned)strlen(user), on_prompts)) ==
               LIBSSH2_ERROR_EAGAIN &&
           e == MF_OK)
        e = mf_ssh_block(s, wait);
    return outcome(s, e, rc, fault);
}
