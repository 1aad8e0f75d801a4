/* Design note: the transport over the user's own ssh, which follows the whole of the user's configuration. It gets no
 * terminal and asks nothing (BatchMode), forwards nothing, and is as strict about host keys as the other transport; what
 * it says on stderr when it fails tells which step that was. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch_program.h"
#include "launch_ssh_inner.h"

#define ARGUMENTS    80
#define OPTION_BYTES 1200

struct arguments {
    const char *argv[ARGUMENTS + 1];
    size_t n;
    char known[OPTION_BYTES], timeout[40], port[16];
};

static void add(struct arguments *a, const char *word)
{
    if (a->n < ARGUMENTS)
        a->argv[a->n++] = word;
}

static void add_option(struct arguments *a, const char *option)
{
    add(a, "-o");
    add(a, option);
}

/* A path as a value that ssh reads: quoted, with its tokens' signs doubled. */
static void quote(char *out, size_t room, const char *option, const char *path)
{
    size_t at = (size_t)snprintf(out, room, "%s=\"", option);
    for (; *path && at + 4 < room; path++) {
        if (*path == '%')
            out[at++] = '%';
        out[at++] = *path;
    }
    snprintf(out + at, room - at, "\"");
}

static void add_files(struct arguments *a, const struct mf_launch_ssh_options *o)
{
    if (o->config) {
        add(a, "-F");
        add(a, o->config);
    }
    if (o->known_hosts) {
        quote(a->known, sizeof a->known, "UserKnownHostsFile", o->known_hosts);
        add_option(a, a->known);
        add_option(a, "GlobalKnownHostsFile=none");
    }
    for (size_t i = 0; o->identities && o->identities[i] && i < MF_SSH_FILES; i++) {
        add(a, "-i");
        add(a, o->identities[i]);
    }
    if (o->user) {
        add(a, "-l");
        add(a, o->user);
    }
    if (o->port) {
        snprintf(a->port, sizeof a->port, "%d", o->port);
        add(a, "-p");
        add(a, a->port);
    }
}

static void make_arguments(struct arguments *a, const struct mf_launch_ssh_options *o, const char *command)
{
    /* on a dead link ssh ends some 15 s after its master, which may not be there to end it */
    static const char *const options[] = {
        "BatchMode=yes",         "ClearAllForwardings=yes", "ServerAliveInterval=5",      "ServerAliveCountMax=2",
        "PermitLocalCommand=no", "RequestTTY=no",           "RemoteCommand=none",         "ControlMaster=no",
        "ControlPath=none",      "EscapeChar=none",         "ForkAfterAuthentication=no", "StdinNull=no",
        "SessionType=default",   "VisualHostKey=no",        "UpdateHostKeys=no"};
    a->n = 0;
    add(a, o->ssh);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        add_option(a, options[i]);
    add(a, "-T");
    add(a, "-a");
    add(a, "-x");
    snprintf(a->timeout, sizeof a->timeout, "ConnectTimeout=%.0f", o->limits.connect < 1 ? 1 : o->limits.connect);
    add_option(a, a->timeout);
    add_option(a, o->accept_new ? "StrictHostKeyChecking=accept-new" : "StrictHostKeyChecking=yes");
    add_files(a, o);
    add(a, o->host);
    add(a, command);
    a->argv[a->n] = NULL;
}

struct mf_stream_remote *mf_launch_run_program(struct mf_launch_ssh *l, const char *command, struct mf_fault *fault)
{
    struct arguments *a = calloc(1, sizeof *a);
    if (!a) {
        mf_fault_set(fault, MF_ENOMEM, "out of memory");
        return NULL;
    }
    make_arguments(a, &l->options, command);
    struct mf_stream_remote *r = mf_launch_program(a->argv, fault);
    free(a);
    return r;
}

bool mf_launch_program_failed(struct mf_launch_ssh *l, const struct mf_stream_remote *remote,
                              const struct mf_remote_exit *exit)
{
    static const struct {
        const char *words;
        enum mf_launch_step step;
        bool again;
    } signs[] = {
        {"Could not resolve hostname", MF_LAUNCH_RESOLVE, false},
        {"Host key verification failed", MF_LAUNCH_HOST_KEY, false},
        {"IDENTIFICATION HAS CHANGED", MF_LAUNCH_HOST_KEY, false},
        {"host key is known for", MF_LAUNCH_HOST_KEY, false},
        {"Permission denied (", MF_LAUNCH_AUTH, false},
        {"Too many authentication failures", MF_LAUNCH_AUTH, false},
        {"stdio forwarding failed", MF_LAUNCH_FORWARD, false},
        {"open failed:", MF_LAUNCH_FORWARD, false},
        {"Bad configuration option", MF_LAUNCH_CONFIG, false},
        {"exec request failed", MF_LAUNCH_EXEC, false},
        {"shell request failed", MF_LAUNCH_EXEC, false},
        {"ssh: connect to host", MF_LAUNCH_CONNECT, false},
        {"banner exchange", MF_LAUNCH_KEX, false},
        {"Connection timed out", MF_LAUNCH_KEX, false},
        {"kex_exchange_identification", MF_LAUNCH_KEX, true},
        {"Connection reset by", MF_LAUNCH_KEX, true},
        {"Connection closed by", MF_LAUNCH_KEX, true},
        {"Unable to negotiate", MF_LAUNCH_KEX, false},
        {"ssh: ", MF_LAUNCH_CONNECT, false},
    };
    char text[MF_REMOTE_LINE * MF_REMOTE_LINES];
    if (exit->how != MF_REMOTE_EXITED || exit->code != 255)
        return false;
    mf_remote_last(remote, text, sizeof text);
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (strstr(text, signs[i].words)) {
            l->step = signs[i].step;
            l->again = signs[i].again;
            return true;
        }
    return false; /* so it ends for a command that a signal has killed, too */
}

enum mf_err mf_launch_by_program(struct mf_launch_ssh *l)
{
    struct mf_run run = {.launch = l};
    const struct mf_ssh_config *first = &l->hops[0].config;
    char gate[300];
    l->result.transport = MF_LAUNCH_OPENSSH;
    snprintf(gate, sizeof gate, "%s:%d", first->hostname, first->port);
    for (unsigned attempt = 0;; attempt++) {
        l->again = false;
        if (!mf_launch_group_enter(l->group, gate, &l->cancelled))
            return mf_launch_fail(l, MF_ENOMEM, "out of memory");
        enum mf_err e = mf_launch_agent(&run);
        mf_launch_group_leave(l->group, gate);
        if (e == MF_OK || !l->again || attempt + 1 == MF_LAUNCH_TRIES)
            return e;
        if (mf_launch_back_off(l, attempt) != MF_OK)
            return mf_launch_fail(l, MF_EINTR, "cancelled");
    }
}
