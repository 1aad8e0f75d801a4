/* SSH sessions by libssh2, which is loaded when it is first needed, and the streams over them. libssh2.h is included only
 * by stream_ssh*.
 *
 * A session belongs to one thread at a time. Its log-in is made of blocking calls, for a launcher's thread; each takes a
 * struct mf_wait and returns MF_OK or one of: MF_ETIMEDOUT, MF_EINTR (cancelled), MF_ELOST (the connection broke or was
 * closed by the other side: worth another try where that says so), MF_EINVAL (refused, or not to be had), MF_ENOMEM,
 * MF_ESYS; the fault says what the library said. The stream that it ends in never blocks. */
#ifndef MF_STREAM_SSH_H
#define MF_STREAM_SSH_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "stream_remote.h"

struct mf_ssh; /* a session */

/* Loads libssh2 and libcrypto, which is needed beside it (digests, known_hosts), and makes them ready, if that was not done
 * yet; what needs them does so, too. MF_ESYS and a fault that says what
 * is missing and what to do, also later from these. */
enum mf_err mf_ssh_load(struct mf_fault *fault);

/* Over a connected socket, which the session takes over, made non-blocking. below: the session through whose server it
 * goes, already a relay (mf_ssh_relay), or NULL; taken over as well. NULL and a fault when memory is out or the library is
 * missing: both are still the caller's. */
struct mf_ssh *mf_ssh_new(int fd, struct mf_ssh *below, struct mf_fault *fault);

/* Says good-bye if that can be done without waiting, closes the connection, ends relays. NULL allowed. */
void mf_ssh_free(struct mf_ssh *s);

/* Can the library sign with RSA keys in a way that today's servers accept, and check such host keys? Not where it is
 * missing. */
bool mf_ssh_knows_rsa(void);
const char *mf_ssh_library_version(void); /* "1.10.0"; "(missing)" */

/* Exchanges banners and keys. types: the host's known key types, wanted first (none: the library's order). MF_EINVAL: no
 * key type or cipher in common. MF_ELOST before the server's banner is worth another try after a while (*early). */
enum mf_err mf_ssh_handshake(struct mf_ssh *s, const char *const types[], size_t n, const struct mf_wait *wait,
                             bool *early, struct mf_fault *fault);

/* The host's key in wire form; the session's. Valid after the handshake. */
const void *mf_ssh_host_key(struct mf_ssh *s, size_t *n);

/* The server's banner line ("SSH-2.0-OpenSSH_9.2p1"), bytes that are not printable replaced. Never NULL. */
const char *mf_ssh_banner(struct mf_ssh *s);

/* --- Authentication. Each: MF_OK: logged in, or, where the server wants one more (*partial), on the way; MF_EINVAL:
 * refused. ----------------------------------------------------------------------------------------------------------- */

/* The methods that the server offers, "publickey,password"; "" when it lets the user in without any. */
enum mf_err mf_ssh_methods(struct mf_ssh *s, const char *user, char *methods, size_t room, const struct mf_wait *wait,
                           struct mf_fault *fault);

/* Signs data with a key; 0 and *signature (from malloc) in the form that the wire wants: the bytes after the algorithm's
 * name. */
typedef int mf_ssh_sign(void *arg, const unsigned char *data, size_t n, unsigned char **signature, size_t *length);

/* With a public key in wire form. sign is called only if the server would take that key; its failing counts as refused,
 * so a sign that fails asks whether a key would do. */
enum mf_err mf_ssh_auth_sign(struct mf_ssh *s, const char *user, const void *key, size_t n, mf_ssh_sign *sign,
                             void *arg, const struct mf_wait *wait, struct mf_fault *fault);

/* With a private key's file. passphrase may be NULL. MF_ESYS: the file cannot be read that way (wrong passphrase). */
enum mf_err mf_ssh_auth_file(struct mf_ssh *s, const char *user, const char *path, const char *passphrase,
                             const struct mf_wait *wait, struct mf_fault *fault);

enum mf_err mf_ssh_auth_password(struct mf_ssh *s, const char *user, const char *password, const struct mf_wait *wait,
                                 struct mf_fault *fault);

/* Asks the person at the terminal: false when there is none or no answer. echo: the answer may be seen. */
typedef bool mf_ssh_prompt(void *arg, const char *prompt, bool echo, char *answer, size_t room);

/* Keyboard-interactive; name, instruction and prompts are the server's, made printable. */
enum mf_err mf_ssh_auth_keyboard(struct mf_ssh *s, const char *user, mf_ssh_prompt *prompt, void *arg,
                                 const struct mf_wait *wait, struct mf_fault *fault);

bool mf_ssh_authenticated(struct mf_ssh *s);

/* --- Channels ------------------------------------------------------------------------------------------------------ */

/* Runs a command on the far side, without a terminal. The stream uses the session, which must outlive it; only one
 * channel of a session at a time. NULL and a fault: MF_EINVAL, the server refuses a channel or the command; others as
 * above, in fault->code. */
struct mf_stream_remote *mf_ssh_exec(struct mf_ssh *s, const char *command, const struct mf_wait *wait,
                                     struct mf_fault *fault);

/* Closing the stream frees the session too, from now on. */
void mf_ssh_give(struct mf_ssh *s, struct mf_stream_remote *stream);

/* Ends a command's channel and waits until the server agrees, so that it does not count any more; then closes the
 * stream. The session goes on. The command must have ended or end at the end of its stdin: servers wait for it. */
enum mf_err mf_ssh_end_exec(struct mf_ssh *s, struct mf_stream_remote *stream, const struct mf_wait *wait);

/* Has the server connect to host and port, and starts a thread that carries bytes between that and *fd, one end of a
 * socket pair (the caller's). The session is a relay from then on: it may only be given to mf_ssh_new as below, or be
 * freed. name: of this session's host, for messages. MF_EINVAL: the server refuses or cannot connect. */
enum mf_err mf_ssh_relay(struct mf_ssh *s, const char *name, const char *host, int port, int *fd,
                         const struct mf_wait *wait, struct mf_fault *fault);

#endif
