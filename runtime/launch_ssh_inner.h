/* What the files of launch_ssh share: one launch, as its thread sees it. Included by them only. */
#ifndef MF_LAUNCH_SSH_INNER_H
#define MF_LAUNCH_SSH_INNER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "known_hosts.h"
#include "launch_group.h"
#include "launch_ssh.h"
#include "ssh_config.h"
#include "stream_ssh.h"

#define MF_LAUNCH_HOPS (MF_SSH_HOPS + 1)

/* A host on the way: jump hosts, and the last one. */
struct mf_hop {
    char *name; /* as the user or the configuration names it */
    struct mf_ssh_config config;
};

struct mf_launch_ssh {
    struct mf_launch_group *group;
    struct mf_launch_ssh_options options; /* its texts are owned */
    void (*done)(void *arg);
    void *arg;
    pthread_t thread;
    int cancel[2];
    atomic_bool cancelled, finished;
    bool taken;
    struct mf_launch_ssh_result result;

    /* The thread's own. */
    struct mf_wait wait; /* of the step that is on */
    enum mf_launch_step step;
    const struct mf_hop *at; /* the jump host that the step is about; NULL: the host itself */
    uint64_t began, asked;   /* asked: nanoseconds that went to questions */
    struct mf_hop hops[MF_LAUNCH_HOPS];
    size_t nhops;
    char program_why[160]; /* why the ssh program may succeed where libssh2 has failed, or "" */
    bool again;            /* worth another try after a while */
    char remote[160];      /* what the host said when it lacked the program: "Linux x86_64" and what else it has */
};

/* Begins a step that may take so many seconds. */
void mf_launch_begin(struct mf_launch_ssh *l, enum mf_launch_step step, double seconds);

/* Ends the launch with words, in front of which host and step are put; returns code. */
enum mf_err mf_launch_fail(struct mf_launch_ssh *l, enum mf_err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds to the note. */
void mf_launch_note(struct mf_launch_ssh *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Asks a person; the time it takes does not count. See mf_launch_group_ask. */
bool mf_launch_ask_person(struct mf_launch_ssh *l, const char *text, bool echo, const char *key, bool again,
                          char *answer, size_t room);

/* Waits a little longer each time (try: from 0), by chance more or less. MF_OK, MF_EINTR. */
enum mf_err mf_launch_back_off(struct mf_launch_ssh *l, unsigned attempt);
#define MF_LAUNCH_TRIES 6

/* The configuration of the host and its jump hosts, into hops. */
enum mf_err mf_launch_find_hops(struct mf_launch_ssh *l);

/* A TCP connection to the hop: its descriptor in *fd. */
enum mf_err mf_launch_connect(struct mf_launch_ssh *l, const struct mf_hop *hop, int *fd);

/* What is known of the hop's key: read before the key exchange; NULL when the launch has failed. */
struct mf_known_hosts *mf_launch_read_known(struct mf_launch_ssh *l, const struct mf_hop *hop);
/* May the key be trusted? */
enum mf_err mf_launch_check_key(struct mf_launch_ssh *l, const struct mf_hop *hop, const struct mf_known_hosts *known,
                                struct mf_ssh *session);
/* The name and port under which its key stands. */
void mf_launch_key_name(const struct mf_hop *hop, const char **host, int *port);

/* Logs in. */
enum mf_err mf_launch_authenticate(struct mf_launch_ssh *l, const struct mf_hop *hop, struct mf_ssh *session);

/* How a transport has the host run commands, one after the other. */
struct mf_run {
    struct mf_launch_ssh *launch;
    struct mf_ssh *session; /* libssh2's, logged in; NULL: by the ssh program, which logs in for each command */
};

/* Starts a command; the fault says why it could not be. */
struct mf_stream_remote *mf_launch_run(struct mf_run *run, const char *command, struct mf_fault *fault);
/* Ends it; it has ended, or does at the end of its stdin. */
void mf_launch_end_run(struct mf_run *run, struct mf_stream_remote *remote);

/* Brings the agent up: starts it, or uploads a node build and starts that. On success the result has the remote, which
 * owns the session. */
enum mf_err mf_launch_agent(struct mf_run *run);

/* Uploads the node build (launch_ssh_upload.c). found: what the host said of itself when it had no program. */
enum mf_err mf_launch_upload(struct mf_run *run);

/* Reads what the host says until a whole line begins with the marker, and copies what follows it; what else it says is
 * skipped up to 64 KB. hello: until an agent's hello comes, too, which is given back; *line is empty then. The launch has
 * failed when this is not MF_OK: too much was said, or the command has ended (in which case that is told, with its
 * stderr), or time is up. */
#define MF_LAUNCH_MARKER "moonfleet-node: "
enum mf_err mf_launch_listen(struct mf_run *run, struct mf_stream_remote *remote, bool hello, char *line, size_t room);

/* The node build's hash in *hex and its size. */
enum mf_err mf_launch_build(struct mf_launch_ssh *l, char hex[65], uint64_t *size);

/* Copies text with @0@ to @9@ replaced by the values. False: it does not fit. */
bool mf_launch_fill(char *out, size_t room, const char *text, const char *const values[]);

/* The words in the host's shell that name the folders where a node build may be: in the user's cache, else below /tmp. */
#define MF_LAUNCH_CACHE "${XDG_CACHE_HOME:-${HOME:-/dev/null}/.cache}/moonfleet"
#define MF_LAUNCH_TEMP  "/tmp/moonfleet-$(id -u)"
#define MF_LAUNCH_HASH  32 /* characters of the hash that name the folder in them */

/* The two transports, from after the configuration to the agent's hello. */
enum mf_err mf_launch_by_libssh2(struct mf_launch_ssh *l);
enum mf_err mf_launch_by_program(struct mf_launch_ssh *l);

/* The ssh program with the host and a command as its arguments. */
struct mf_stream_remote *mf_launch_run_program(struct mf_launch_ssh *l, const char *command, struct mf_fault *fault);
/* Did it fail in one of its own steps? Then the launch's step is set to that (and again, where another try may help). */
bool mf_launch_program_failed(struct mf_launch_ssh *l, const struct mf_stream_remote *remote,
                              const struct mf_remote_exit *exit);

#endif
