/* A stream whose far end is a program somewhere else, on its stdin and stdout: besides its bytes, what it writes to its
 * stderr, as lines, and how it ended. Made by stream_ssh.h (a channel of a session) and by launch_program.h (a program
 * of this machine, such as ssh). Like every stream it belongs to one thread at a time and nothing here blocks, save where it
 * says so. A remote lives until its stream is closed. */
#ifndef MF_STREAM_REMOTE_H
#define MF_STREAM_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "stream.h"

#define MF_REMOTE_LINE  240 /* bytes of a line of stderr with its end; a longer one comes in pieces */
#define MF_REMOTE_LINES 16  /* that are kept */

/* How the far program ended. */
enum mf_remote_how {
    MF_REMOTE_RUNS,   /* nothing is known of an end */
    MF_REMOTE_EXITED, /* with code */
    MF_REMOTE_KILLED, /* by signal */
    MF_REMOTE_LOST,   /* the way to it is gone; what became of it is unknown */
};
struct mf_remote_exit {
    enum mf_remote_how how;
    int code;
    char signal[16]; /* "SIGSEGV" */
};

struct mf_stream_remote;

struct mf_remote_table {
    /* Takes in what has come on stderr; false at its end. NULL: reading the stream does it. */
    bool (*collect)(struct mf_stream_remote *r);
    /* What is known of the end, waiting for it until the deadline (0: not at all). */
    void (*exit)(struct mf_stream_remote *r, struct mf_remote_exit *exit, uint64_t deadline);
    /* Kills the far program, so that what it has written is all that there will be to read; may wait for that for a moment.
     * NULL: it is not in this machine's power. */
    void (*kill)(struct mf_stream_remote *r);
    /* No more will be written: the far program reads the end of its stdin. 0: call it again when fd is writable, 1: done,
     * -1: the stream has ended. */
    int (*shut)(struct mf_stream_remote *r);
};

/* Part of the struct of each kind; only its makers look inside. */
struct mf_stream_remote {
    struct mf_stream_end end; /* the stream */
    const struct mf_remote_table *table;
    int errors_fd;
    void (*line)(void *arg, const char *line);
    void *arg;
    char lines[MF_REMOTE_LINES][MF_REMOTE_LINE]; /* a ring */
    unsigned nlines;                             /* that have come */
    char part[MF_REMOTE_LINE];                   /* what came behind the last of them */
    struct mf_buf ahead;                         /* to be read first: was read already, and given back */
    size_t ahead_taken;
};

/* line is called for each whole line of stderr without its end, from within read, collect and exit, bytes that are no
 * printable text replaced by '?'. Lines that came before are not repeated. NULL: nobody. */
void mf_remote_on_line(struct mf_stream_remote *r, void (*line)(void *arg, const char *line), void *arg);

/* A descriptor that polls readable when mf_remote_collect should be called; -1: reading the stream does it all. It stays
 * open until the stream is closed; at its end it is readable for ever, and mf_remote_collect returns false. */
int mf_remote_errors_fd(const struct mf_stream_remote *r);
bool mf_remote_collect(struct mf_stream_remote *r);

/* How it ended, as far as is known by now; to be asked when the stream has ended. It is known a moment after the stream's
 * end for a program of this machine. */
struct mf_remote_exit mf_remote_exit(struct mf_stream_remote *r);

/* The same, waiting until the deadline for what is not known yet. */
struct mf_remote_exit mf_remote_exit_by(struct mf_stream_remote *r, uint64_t deadline);

/* Kills the far program where that can be done. */
void mf_remote_kill(struct mf_stream_remote *r);

/* "exited with code 127", "killed by SIGSEGV", "the connection was lost". */
void mf_remote_describe(const struct mf_remote_exit *exit, char *text, size_t n);

/* The last lines of stderr, joined by " | "; "" when there were none. Returns text. */
const char *mf_remote_last(const struct mf_stream_remote *r, char *text, size_t n);

/* Gives bytes back that were read; the next read returns them. False when memory is out. */
bool mf_remote_unread(struct mf_stream_remote *r, const void *bytes, size_t n);

/* --- Blocking, for launchers ------------------------------------------------------------------------------------- */

/* How long a step may take, and who may end it. */
struct mf_wait {
    uint64_t deadline; /* of mf_sys_now's clock */
    int cancel;        /* polls readable when it is to end; -1: nobody */
};

/* Waits until the stream wants to be read or written. MF_OK (try), MF_ETIMEDOUT, MF_EINTR (cancelled). */
enum mf_err mf_remote_wait(struct mf_stream_remote *r, bool writing, const struct mf_wait *wait);

/* Reads until at least one byte has come. > 0 how many, 0 the stream has ended, -1 with *e MF_ETIMEDOUT or MF_EINTR. */
ssize_t mf_remote_read(struct mf_stream_remote *r, void *bytes, size_t n, const struct mf_wait *wait, enum mf_err *e);

/* Writes all. MF_OK, MF_ECLOSED (the stream has ended), MF_ETIMEDOUT, MF_EINTR. What the far side says meanwhile is kept
 * for the next read. */
enum mf_err mf_remote_write(struct mf_stream_remote *r, const void *bytes, size_t n, const struct mf_wait *wait);
enum mf_err mf_remote_shut(struct mf_stream_remote *r, const struct mf_wait *wait);

/* Waits for the end of the stream and then for how the program ended; what it still says is dropped. */
enum mf_err mf_remote_finish(struct mf_stream_remote *r, const struct mf_wait *wait, struct mf_remote_exit *exit);

/* --- For the makers ------------------------------------------------------------------------------------------------ */

void mf_remote_init(struct mf_stream_remote *r, const struct mf_stream_table *stream,
                    const struct mf_remote_table *table);
void mf_remote_release(struct mf_stream_remote *r);
void mf_remote_add(struct mf_stream_remote *r, const char *bytes, size_t n); /* came on stderr */
void mf_remote_end_line(struct mf_stream_remote *r);                         /* the end of stderr */
/* What was given back, for read: 0 when there is nothing (left). */
size_t mf_remote_take_ahead(struct mf_stream_remote *r, void *bytes, size_t n);

#endif
