/* A byte stream to a peer, whatever carries it: a const table of functions and the struct that embeds this one. Streams
 * never block, raise no SIGPIPE and hide EINTR; framing, queues and partial transfers are the link's business (link.h).
 * A stream belongs to one thread at a time. */
#ifndef MF_STREAM_H
#define MF_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "err.h"

struct iovec;
struct mf_stream_end;

struct mf_stream_table {
    const char *name; /* for messages: "socket" */

    /* Reads at most n bytes: > 0 how many, 0 = nothing now, -1 = the end or an error (last_error then). If the peer
     * passed a descriptor with the bytes and fd is not NULL, *fd is it (close-on-exec, the caller's), else *fd = -1. */
    ssize_t (*read)(struct mf_stream_end *s, void *bytes, size_t n, int *fd);

    /* Writes at most what the n pieces hold: >= 0 how many bytes, -1 = the peer is gone or an error. fd >= 0 goes along
     * with the first byte (only if passes_fds; the caller still owns it afterwards). With n = 0 it moves on what the stream
     * itself has taken and holds, which one with wants may do. */
    ssize_t (*write)(struct mf_stream_end *s, const struct iovec *pieces, int n, int fd);

    /* The descriptor to watch, for reading and for writing. */
    int (*fd)(const struct mf_stream_end *s);

    /* What to watch it for, enum mf_loop_event bits; writing: the caller has bytes that write did not take. It changes with
     * every read and write. On MF_LOOP_WRITE write, be it nothing; MF_LOOP_AGAIN means that read has something to give
     * whatever the descriptor says. NULL stands for MF_LOOP_READ, and MF_LOOP_WRITE if writing. */
    unsigned (*wants)(const struct mf_stream_end *s, bool writing);

    /* Another descriptor to watch for writing, where that is not fd; NULL: there is none. */
    int (*out_fd)(const struct mf_stream_end *s);

    /* Why the stream ended, in words: "closed by the peer", "Connection reset by peer". Never NULL. */
    const char *(*last_error)(const struct mf_stream_end *s);

    /* Closes and frees. */
    void (*close)(struct mf_stream_end *s);

    bool passes_fds;
    bool tells_again; /* while anything is left to read, fd polls readable: the stream itself holds nothing back. A
                         reader may then stop after a short read and wait, which saves a call. */
};

struct mf_stream_end {
    const struct mf_stream_table *table;
};

/* A stream over a connected socket, or over one end of a pipe (which then only reads or only writes); takes fd over on
 * success and makes it non-blocking and close-on-exec. NULL and a fault when memory is out or fd is no such thing; fd is
 * still the caller's then. */
struct mf_stream_end *mf_stream_fd_new(int fd, struct mf_fault *fault);

/* The same over two descriptors, one to read and one to write; takes over both on success. It never passes descriptors,
 * whatever they are: who is at the other end of standard streams is not known. */
struct mf_stream_end *mf_stream_pair_new(int in, int out, struct mf_fault *fault);

#endif
