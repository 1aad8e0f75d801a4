/* Design note: libssh2 is used non-blocking throughout, also in the blocking calls of a log-in, so that each has a
 * deadline and can be cancelled. Bytes go through our own send and receive callbacks: they hide EINTR, keep errno for the
 * messages and the first bytes received (a server that speaks something else), and make a session that is to be freed
 * dead, so that freeing never waits. */
#define _GNU_SOURCE
#include "stream_ssh_inner.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hash.h"
#include "sys.h"
#include "sys_fd.h"

#define FREE_TRIES 100
#define TYPES_TEXT 512
#define RSA_SINCE  0x010b00 /* the version that signs with rsa-sha2 */

/* --- Bytes --------------------------------------------------------------------------------------------------------- */

static ssize_t on_receive(libssh2_socket_t fd, void *bytes, size_t n, int flags, void **abstract)
{
    struct mf_ssh *s = *abstract;
    ssize_t got;
    (void)flags;
    if (s->dead)
        return 0;
    do
        got = recv(fd, bytes, n, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return -EAGAIN;
    if (got <= 0)
        s->error = got < 0 ? errno : -1;
    for (ssize_t i = 0; i < got && s->nfirst < sizeof s->first; i++)
        s->first[s->nfirst++] = ((unsigned char *)bytes)[i];
    return got < 0 ? -s->error : got;
}

static ssize_t on_send(libssh2_socket_t fd, const void *bytes, size_t n, int flags, void **abstract)
{
    struct mf_ssh *s = *abstract;
    ssize_t sent;
    (void)flags;
    if (s->dead)
        return -EPIPE;
    do
        sent = send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS))
        return -EAGAIN;
    if (sent < 0)
        s->error = errno;
    return sent < 0 ? -s->error : sent;
}

static LIBSSH2_DISCONNECT_FUNC(on_disconnect)
{
    struct mf_ssh *s = *abstract;
    (void)session, (void)reason, (void)language, (void)language_len;
    mf_err_show(s->goodbye, sizeof s->goodbye, message, message_len > 0 ? (size_t)message_len : 0);
}

/* --- Life ---------------------------------------------------------------------------------------------------------- */

/* State of the process, which a loaded library is: each of these is written once, and by mf_ssh_load only. */
_Atomic(mf_library_function *) mf_ssh_functions[MF_SSH_FUNCTION_COUNT];
static atomic_bool loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT; /* the library's own initialisation is not thread-safe */

static void prepare_library(void)
{
    libssh2_init(0);
}

enum mf_err mf_ssh_load(struct mf_fault *fault)
{
    static const char *const symbols[] = {
#define X(name) #name,
        MF_SSH_FUNCTIONS(X)
#undef X
    };
    static const struct mf_library library = {.name = MF_LIBSSH2,
                                              .instead = "install libssh2, or set transport = \"openssh\"",
                                              .symbols = symbols,
                                              .n = MF_SSH_FUNCTION_COUNT,
                                              .functions = mf_ssh_functions,
                                              .loaded = &loaded};
    enum mf_err e = mf_library_load(&library, fault);
    if (e == MF_OK)
        e = mf_hash_load(fault); /* before libssh2 uses libcrypto, too: see there */
    if (e == MF_OK)
        pthread_once(&once, prepare_library);
    return e;
}

/* The callback setter takes a void pointer, which C cannot make of a function without this. */
static void set_callbacks(LIBSSH2_SESSION *session)
{
    union {
        LIBSSH2_RECV_FUNC((*receive));
        LIBSSH2_SEND_FUNC((*send));
        LIBSSH2_DISCONNECT_FUNC((*disconnect));
        void *pointer;
    } u;
    u.receive = on_receive;
    libssh2_session_callback_set(session, LIBSSH2_CALLBACK_RECV, u.pointer);
    u.send = on_send;
    libssh2_session_callback_set(session, LIBSSH2_CALLBACK_SEND, u.pointer);
    u.disconnect = on_disconnect;
    libssh2_session_callback_set(session, LIBSSH2_CALLBACK_DISCONNECT, u.pointer);
}

struct mf_ssh *mf_ssh_new(int fd, struct mf_ssh *below, struct mf_fault *fault)
{
    if (mf_ssh_load(fault) != MF_OK)
        return NULL;
    struct mf_ssh *s = calloc(1, sizeof *s);
    if (s)
        s->session = libssh2_session_init_ex(NULL, NULL, NULL, s);
    if (!s || !s->session || !mf_sys_fd_prepare(fd)) {
        if (s && s->session)
            libssh2_session_free(s->session);
        free(s);
        mf_fault_set(fault, MF_ENOMEM, "out of memory while making an SSH session");
        return NULL;
    }
    libssh2_session_set_blocking(s->session, 0);
    set_callbacks(s->session);
    s->fd = fd;
    s->below = below;
    return s;
}

void mf_ssh_free(struct mf_ssh *s)
{
    if (!s)
        return;
    mf_ssh_relay_stop(s);
    if (!s->dead && !s->error && !(libssh2_session_block_directions(s->session) & LIBSSH2_SESSION_BLOCK_OUTBOUND))
        libssh2_session_disconnect(s->session, "done");
    s->dead = true;
    for (int i = 0; i < FREE_TRIES && libssh2_session_free(s->session) == LIBSSH2_ERROR_EAGAIN; i++) {
    }
    close(s->fd);
    mf_ssh_free(s->below);
    free(s);
}

bool mf_ssh_knows_rsa(void)
{
    return mf_ssh_load(NULL) == MF_OK && libssh2_version(RSA_SINCE) != NULL;
}

const char *mf_ssh_library_version(void)
{
    return mf_ssh_load(NULL) == MF_OK ? libssh2_version(0) : "(missing)";
}

/* --- Waiting and failing ------------------------------------------------------------------------------------------- */

enum mf_err mf_ssh_block(struct mf_ssh *s, const struct mf_wait *wait)
{
    int directions = libssh2_session_block_directions(s->session);
    short events = (short)((directions & LIBSSH2_SESSION_BLOCK_OUTBOUND ? POLLOUT : 0) |
                           (directions & LIBSSH2_SESSION_BLOCK_INBOUND || !directions ? POLLIN : 0));
    struct pollfd fds[] = {{.fd = wait->cancel, .events = POLLIN}, {.fd = s->fd, .events = events}};
    int n = mf_sys_poll(fds, 2, wait->deadline);
    if (n > 0)
        return fds[0].revents ? MF_EINTR : MF_OK;
    return mf_sys_now() >= wait->deadline ? MF_ETIMEDOUT : MF_OK;
}

enum mf_err mf_ssh_waited(enum mf_err e, struct mf_fault *fault)
{
    return mf_fault_set(fault, e, "%s", e == MF_ETIMEDOUT ? "no answer in time" : mf_err_text(e));
}

const char *mf_ssh_lost(const struct mf_ssh *s)
{
    const char *end = s->below ? mf_ssh_relay_end(s->below) : NULL;
    if (s->goodbye[0])
        return s->goodbye;
    if (end)
        return end;
    return s->error > 0 ? strerror(s->error) : "closed by the other side";
}

enum mf_err mf_ssh_failed(struct mf_ssh *s, int rc, struct mf_fault *fault)
{
    char *text = NULL;
    if (rc == LIBSSH2_ERROR_ALLOC)
        return mf_fault_set(fault, MF_ENOMEM, "out of memory in an SSH session");
    bool lost = s->error || rc == LIBSSH2_ERROR_SOCKET_DISCONNECT || rc == LIBSSH2_ERROR_SOCKET_RECV ||
                rc == LIBSSH2_ERROR_SOCKET_SEND;
    if (lost)
        return mf_fault_set(fault, MF_ELOST, "connection lost: %s", mf_ssh_lost(s));
    libssh2_session_last_error(s->session, &text, NULL, 0);
    return mf_fault_set(fault, MF_EINVAL, "%s (libssh2 error %d)", text && *text ? text : "failed", rc);
}

/* --- Handshake ----------------------------------------------------------------------------------------------------- */

static bool listed(const char *const types[], size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(types[i], name) == 0 || (strcmp(types[i], "ssh-rsa") == 0 && strncmp(name, "rsa-sha2-", 9) == 0))
            return true;
    return false;
}

/* The library's key types, those that are known for the host in front. */
static void prefer_types(struct mf_ssh *s, const char *const types[], size_t n)
{
    const char **names = NULL;
    char text[TYPES_TEXT] = "";
    int count = n ? libssh2_session_supported_algs(s->session, LIBSSH2_METHOD_HOSTKEY, &names) : 0;
    if (count <= 0)
        return;
    for (int known = 1; known >= 0; known--)
        for (int i = 0; i < count; i++)
            if (listed(types, n, names[i]) == known && strlen(text) + strlen(names[i]) + 2 < sizeof text) {
                strcat(text, text[0] ? "," : "");
                strcat(text, names[i]);
            }
    libssh2_free(s->session, names);
    libssh2_session_method_pref(s->session, LIBSSH2_METHOD_HOSTKEY, text);
}

/* What OpenSSH's server says in place of its banner when it wants to be asked later. */
static bool says_later(const struct mf_ssh *s)
{
    static const char *const texts[] = {"Exceeded MaxStartups", "Not allowed at this time"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (s->nfirst >= strlen(texts[i]) && memcmp(s->first, texts[i], strlen(texts[i])) == 0)
            return true;
    return false;
}

/* Words for a handshake that failed before or after the server's banner. */
static enum mf_err handshake_failed(struct mf_ssh *s, enum mf_err e, int rc, bool *early, struct mf_fault *fault)
{
    char shown[MF_SSH_FIRST * 4 + 8];
    bool spoke = s->nfirst > 0, ssh = s->nfirst >= 4 && memcmp(s->first, "SSH-", 4) == 0;
    *early = !spoke || says_later(s);
    if (says_later(s) && e == MF_OK)
        return mf_fault_set(fault, MF_ELOST, "the server takes no more log-ins at the moment");
    if (spoke && !ssh && e != MF_EINTR) {
        mf_err_show(shown, sizeof shown, s->first, s->nfirst);
        return mf_fault_set(fault, MF_EINVAL, "this is no SSH server; it says \"%s\"", shown);
    }
    if (e == MF_ETIMEDOUT)
        return mf_fault_set(fault, e,
                            spoke ? "the key exchange did not end in time" : "the server did not say anything in time");
    if (e != MF_OK)
        return mf_ssh_waited(e, fault);
    if (rc == LIBSSH2_ERROR_KEX_FAILURE || rc == LIBSSH2_ERROR_METHOD_NONE)
        return mf_fault_set(fault, MF_EINVAL, "no key exchange, key type, cipher or MAC in common with libssh2 %s%s",
                            libssh2_version(0),
                            mf_ssh_knows_rsa() ? "" : " (a host with an RSA key only needs libssh2 1.11)");
    return mf_ssh_failed(s, rc, fault);
}

enum mf_err mf_ssh_handshake(struct mf_ssh *s, const char *const types[], size_t n, const struct mf_wait *wait,
                             bool *early, struct mf_fault *fault)
{
    int rc;
    enum mf_err e = MF_OK;
    *early = false;
    prefer_types(s, types, n);
    while ((rc = libssh2_session_handshake(s->session, s->fd)) == LIBSSH2_ERROR_EAGAIN && e == MF_OK)
        e = mf_ssh_block(s, wait);
    if (rc != 0)
        return handshake_failed(s, e, rc, early, fault);
    const char *banner = libssh2_session_banner_get(s->session);
    mf_err_show(s->banner, sizeof s->banner, banner, banner ? strlen(banner) : 0);
    return MF_OK;
}

const void *mf_ssh_host_key(struct mf_ssh *s, size_t *n)
{
    int type;
    return libssh2_session_hostkey(s->session, n, &type);
}

const char *mf_ssh_banner(struct mf_ssh *s)
{
    return s->banner;
}
