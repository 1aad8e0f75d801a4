/* Design note: the transport over libssh2. Hosts on the way are logged in to one after the other, each over the relay of
 * the one before; a session owns those below it, so that freeing the last frees them all. A try that the server has cut
 * short before it said anything (its log-ins were too many at that moment) is made again after a while, from the
 * beginning. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "launch_ssh_inner.h"

/* Can libssh2 check what is known of the host's key? */
static enum mf_err check_known(struct mf_launch_ssh *l, const struct mf_hop *hop, const struct mf_known_hosts *known,
                               const char *const types[], size_t n)
{
    struct mf_known_place place;
    const char *host;
    int port;
    bool rsa = n > 0 && !mf_ssh_knows_rsa();
    mf_launch_key_name(hop, &host, &port);
    for (size_t i = 0; i < n; i++)
        rsa = rsa && strcmp(types[i], "ssh-rsa") == 0;
    if (rsa) {
        snprintf(l->program_why, sizeof l->program_why, "only an RSA key is known of %s, which libssh2 %s cannot check",
                 hop->name, mf_ssh_library_version());
        return mf_launch_fail(l, MF_EINVAL, "%s; add its ed25519 or ecdsa key, or set transport = \"openssh\"",
                              l->program_why);
    }
    if (n == 0 && mf_known_hosts_certified(known, host, port, &place)) {
        snprintf(l->program_why, sizeof l->program_why, "%s is known by a certificate authority", hop->name);
        return mf_launch_fail(l, MF_EINVAL, "%s (%s line %u), which libssh2 cannot check; set transport = \"openssh\"",
                              l->program_why, place.path, place.line);
    }
    return MF_OK;
}

/* What a failed key exchange says of the library's limits. */
static void note_limits(struct mf_launch_ssh *l, const struct mf_fault *fault)
{
    if (fault->code == MF_EINVAL && strstr(fault->text, "in common"))
        snprintf(l->program_why, sizeof l->program_why, "%.150s", fault->text);
}

static enum mf_err exchange_keys(struct mf_launch_ssh *l, const struct mf_hop *hop, struct mf_ssh *session)
{
    const char *types[MF_KNOWN_TYPES], *host;
    struct mf_fault fault;
    bool early;
    int port;
    mf_launch_begin(l, MF_LAUNCH_HOST_KEY, l->options.limits.kex);
    struct mf_known_hosts *known = mf_launch_read_known(l, hop);
    if (!known)
        return l->result.code;
    mf_launch_key_name(hop, &host, &port);
    size_t n = mf_known_hosts_types(known, host, port, types);
    enum mf_err e = check_known(l, hop, known, types, n);
    if (e == MF_OK) {
        mf_launch_begin(l, MF_LAUNCH_KEX, l->options.limits.kex);
        e = mf_ssh_handshake(session, types, n, &l->wait, &early, &fault);
        l->again = e == MF_ELOST;
        note_limits(l, &fault);
        if (e != MF_OK)
            mf_launch_fail(l, e, "%s port %d: %s", hop->config.hostname, hop->config.port, fault.text);
    }
    if (e == MF_OK)
        e = mf_launch_check_key(l, hop, known, session);
    mf_known_hosts_free(known);
    return e;
}

/* A descriptor that leads to the hop: a connection of our own, or one that the host below makes. */
static enum mf_err reach(struct mf_launch_ssh *l, const struct mf_hop *hop, struct mf_ssh *below, int *fd)
{
    struct mf_fault fault;
    if (!below)
        return mf_launch_connect(l, hop, fd);
    l->at = hop - 1;
    mf_launch_begin(l, MF_LAUNCH_FORWARD, l->options.limits.connect);
    enum mf_err e = mf_ssh_relay(below, hop[-1].name, hop->config.hostname, hop->config.port, fd, &l->wait, &fault);
    if (e != MF_OK)
        mf_launch_fail(l, e, "%s", fault.text);
    return e;
}

/* below is taken over. NULL: the launch has failed. */
static struct mf_ssh *log_in(struct mf_launch_ssh *l, const struct mf_hop *hop, struct mf_ssh *below)
{
    struct mf_fault fault;
    int fd = -1;
    if (reach(l, hop, below, &fd) != MF_OK) {
        mf_ssh_free(below);
        return NULL;
    }
    l->at = hop == &l->hops[l->nhops - 1] ? NULL : hop;
    struct mf_ssh *session = mf_ssh_new(fd, below, &fault);
    if (!session) {
        close(fd);
        mf_ssh_free(below);
        mf_launch_fail(l, fault.code, "%s", fault.text);
        return NULL;
    }
    enum mf_err e = exchange_keys(l, hop, session);
    if (e == MF_OK)
        e = mf_launch_authenticate(l, hop, session);
    if (e == MF_OK)
        return session;
    mf_ssh_free(session);
    return NULL;
}

static enum mf_err once(struct mf_launch_ssh *l)
{
    struct mf_run run = {.launch = l};
    char gate[300];
    for (size_t i = 0; i < l->nhops; i++) {
        const struct mf_hop *hop = &l->hops[i];
        l->at = i + 1 < l->nhops ? hop : NULL;
        snprintf(gate, sizeof gate, "%s:%d", hop->config.hostname, hop->config.port);
        if (!mf_launch_group_enter(l->group, gate, &l->cancelled)) {
            mf_ssh_free(run.session);
            return mf_launch_fail(l, MF_ENOMEM, "out of memory");
        }
        run.session = log_in(l, hop, run.session);
        mf_launch_group_leave(l->group, gate);
        if (!run.session)
            return l->result.code;
    }
    enum mf_err e = mf_launch_agent(&run);
    if (e != MF_OK)
        mf_ssh_free(run.session);
    return e;
}

enum mf_err mf_launch_by_libssh2(struct mf_launch_ssh *l)
{
    l->result.transport = MF_LAUNCH_LIBSSH2;
    for (unsigned attempt = 0;; attempt++) {
        l->again = false;
        enum mf_err e = once(l);
        if (e == MF_OK || !l->again || attempt + 1 == MF_LAUNCH_TRIES)
            return e;
        l->result.note[0] = '\0'; /* the next try says it again */
        if (mf_launch_back_off(l, attempt) != MF_OK)
            return mf_launch_fail(l, MF_EINTR, "cancelled");
    }
}
