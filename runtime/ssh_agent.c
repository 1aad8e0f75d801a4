/* Design note: two requests of the agent protocol (draft-miller-ssh-agent), each one message and one answer, a length in
 * front. Every length is checked before it is used. */
#define _GNU_SOURCE
#include "ssh_agent.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "buf.h"
#include "ssh_wire.h"
#include "sys.h"
#include "sys_fd.h"

#define ANSWER_BYTES ((size_t)256 * 1024) /* OpenSSH's own limit */

enum { ASK_KEYS = 11, KEYS = 12, ASK_SIGNATURE = 13, SIGNATURE = 14 };
enum { RSA_SHA2_256 = 2, RSA_SHA2_512 = 4 };

static bool put_number(struct mf_buf *out, size_t n)
{
    unsigned char bytes[4];
    mf_ssh_put_number(bytes, n);
    return mf_buf_append(out, bytes, 4);
}

static bool put_string(struct mf_buf *out, const void *bytes, size_t n)
{
    return put_number(out, n) && mf_buf_append(out, bytes, n);
}

/* --- Talking ------------------------------------------------------------------------------------------------------- */

static enum mf_err wait_for(int fd, short events, const struct mf_wait *wait, struct mf_fault *fault)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = wait->cancel, .events = POLLIN}, {.fd = fd, .events = events}};
        int n = mf_sys_poll(fds, 2, wait->deadline);
        if (n > 0 && fds[0].revents)
            return mf_fault_set(fault, MF_EINTR, "interrupted");
        if (n > 0)
            return MF_OK;
        if (mf_sys_now() >= wait->deadline)
            return mf_fault_set(fault, MF_ETIMEDOUT, "the agent does not answer");
    }
}

/* Sends or receives all of it. */
static enum mf_err carry(int fd, void *bytes, size_t n, bool sending, const struct mf_wait *wait,
                         struct mf_fault *fault)
{
    char *at = bytes;
    while (n > 0) {
        ssize_t done = sending ? send(fd, at, n, MSG_NOSIGNAL | MSG_DONTWAIT) : recv(fd, at, n, MSG_DONTWAIT);
        if (done > 0) {
            at += done;
            n -= (size_t)done;
            continue;
        }
        if (done == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
            return mf_fault_set(fault, MF_ESYS, "the agent: %s", done == 0 ? "closed the connection" : strerror(errno));
        enum mf_err e = wait_for(fd, sending ? POLLOUT : POLLIN, wait, fault);
        if (e != MF_OK)
            return e;
    }
    return MF_OK;
}

/* One request and its answer, to be freed. */
static enum mf_err ask(int fd, struct mf_buf *request, unsigned char **answer, size_t *n, const struct mf_wait *wait,
                       struct mf_fault *fault)
{
    unsigned char head[4];
    struct mf_ssh_wire c = {head, sizeof head};
    mf_ssh_put_number(head, request->len);
    enum mf_err e = carry(fd, head, sizeof head, true, wait, fault);
    if (e == MF_OK)
        e = carry(fd, request->data, request->len, true, wait, fault);
    if (e == MF_OK)
        e = carry(fd, head, sizeof head, false, wait, fault);
    if (e != MF_OK)
        return e;
    mf_ssh_take_number(&c, n);
    if (*n == 0 || *n > ANSWER_BYTES)
        return mf_fault_set(fault, MF_EINVAL, "the agent answers nonsense");
    *answer = malloc(*n);
    if (!*answer)
        return mf_fault_set(fault, MF_ENOMEM, "out of memory while asking the agent");
    e = carry(fd, *answer, *n, false, wait, fault);
    if (e != MF_OK) {
        free(*answer);
        *answer = NULL;
    }
    return e;
}

/* --- Keys ---------------------------------------------------------------------------------------------------------- */

static enum mf_err connect_to(int fd, const char *path, const struct mf_wait *wait, struct mf_fault *fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return mf_fault_set(fault, MF_ESYS, "the agent's path is too long");
    strcpy(address.sun_path, path);
    while (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        if (errno != EAGAIN && errno != EINTR) /* its backlog is full, or we were interrupted */
            return mf_fault_set(fault, MF_ESYS, "no agent at %s: %s", path, strerror(errno));
        struct mf_wait little = {.deadline = mf_sys_now() + 50000000, .cancel = wait->cancel};
        enum mf_err e = wait_for(-1, 0, &little, NULL);
        if (e == MF_EINTR || mf_sys_now() >= wait->deadline)
            return mf_fault_set(fault, e == MF_EINTR ? MF_EINTR : MF_ETIMEDOUT, "the agent does not answer");
    }
    return MF_OK;
}

static enum mf_err list(struct mf_ssh_agent *a, const struct mf_wait *wait, struct mf_fault *fault)
{
    unsigned char kind = ASK_KEYS;
    struct mf_buf request = {.len = 0};
    struct mf_ssh_wire c, blob, comment;
    size_t n, count;
    if (!mf_buf_append(&request, &kind, 1))
        return mf_fault_set(fault, MF_ENOMEM, "out of memory while asking the agent");
    enum mf_err e = ask(a->fd, &request, &a->answer, &n, wait, fault);
    mf_buf_release(&request);
    if (e != MF_OK)
        return e;
    c = (struct mf_ssh_wire){a->answer + 1, n - 1};
    if (a->answer[0] != KEYS || !mf_ssh_take_number(&c, &count))
        return mf_fault_set(fault, MF_EINVAL, "the agent refuses to list its keys");
    while (a->nkeys < count && a->nkeys < MF_SSH_AGENT_KEYS && mf_ssh_take_string(&c, &blob) &&
           mf_ssh_take_string(&c, &comment)) {
        a->keys[a->nkeys].blob = blob.at;
        a->keys[a->nkeys++].n = blob.left;
    }
    return MF_OK;
}

enum mf_err mf_ssh_agent_open(struct mf_ssh_agent *a, const char *path, const struct mf_wait *wait,
                              struct mf_fault *fault)
{
    memset(a, 0, sizeof *a);
    a->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (a->fd < 0)
        return mf_fault_set(fault, MF_ESYS, "cannot make a socket: %s", strerror(errno));
    mf_sys_fd_prepare(a->fd);
    enum mf_err e = connect_to(a->fd, path, wait, fault);
    if (e == MF_OK)
        e = list(a, wait, fault);
    if (e != MF_OK)
        mf_ssh_agent_close(a);
    return e;
}

void mf_ssh_agent_close(struct mf_ssh_agent *a)
{
    close(a->fd);
    free(a->answer);
    memset(a, 0, sizeof *a);
    a->fd = -1;
}

/* --- Signatures ---------------------------------------------------------------------------------------------------- */

/* What is signed names the algorithm (RFC 4252, 7): session, type of message, user, service, method, true, algorithm. */
static size_t flags_for(const void *data, size_t n)
{
    struct mf_ssh_wire c = {data, n}, text, algorithm;
    if (!mf_ssh_take_string(&c, &text) || c.left < 1)
        return 0;
    c.at++;
    c.left--;
    if (!mf_ssh_take_string(&c, &text) || !mf_ssh_take_string(&c, &text) || !mf_ssh_take_string(&c, &text) ||
        c.left < 1)
        return 0;
    c.at++;
    c.left--;
    if (!mf_ssh_take_string(&c, &algorithm) || algorithm.left != 12)
        return 0;
    if (memcmp(algorithm.at, "rsa-sha2-512", 12) == 0)
        return RSA_SHA2_512;
    return memcmp(algorithm.at, "rsa-sha2-256", 12) == 0 ? RSA_SHA2_256 : 0;
}

/* Takes the bare signature out of the answer. */
static enum mf_err unwrap(const unsigned char *answer, size_t n, unsigned char **signature, size_t *length,
                          struct mf_fault *fault)
{
    struct mf_ssh_wire c = {answer + 1, n - 1}, whole, name, bare;
    if (answer[0] != SIGNATURE)
        return mf_fault_set(fault, MF_EINVAL, "the agent refuses to sign");
    if (!mf_ssh_take_string(&c, &whole) || !mf_ssh_take_string(&whole, &name) || !mf_ssh_take_string(&whole, &bare))
        return mf_fault_set(fault, MF_EINVAL, "the agent answers nonsense");
    *signature = malloc(bare.left ? bare.left : 1);
    if (!*signature)
        return mf_fault_set(fault, MF_ENOMEM, "out of memory while asking the agent");
    memcpy(*signature, bare.at, bare.left);
    *length = bare.left;
    return MF_OK;
}

enum mf_err mf_ssh_agent_sign(struct mf_ssh_agent *a, size_t key, const void *data, size_t n, unsigned char **signature,
                              size_t *length, const struct mf_wait *wait, struct mf_fault *fault)
{
    unsigned char kind = ASK_SIGNATURE, *answer = NULL;
    struct mf_buf request = {.len = 0};
    size_t got;
    enum mf_err e = MF_OK;
    if (!mf_buf_append(&request, &kind, 1) || !put_string(&request, a->keys[key].blob, a->keys[key].n) ||
        !put_string(&request, data, n) || !put_number(&request, flags_for(data, n)))
        e = mf_fault_set(fault, MF_ENOMEM, "out of memory while asking the agent");
    if (e == MF_OK)
        e = ask(a->fd, &request, &answer, &got, wait, fault);
    if (e == MF_OK)
        e = unwrap(answer, got, signature, length, fault);
    mf_buf_release(&request);
    free(answer);
    return e;
}
