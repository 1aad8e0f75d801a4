/* The wire messages between a master and an agent. One frame:
 *
 *   0        4     5     6        8               16
 *   | length | kind| flags| zero  | id            | body ...
 *
 * length counts what follows it (12 + body), little endian like all integers; kind is enum mf_msg_kind; id names the
 * task or code it is about, 0 if none. A body longer than MF_MSG_INLINE may travel beside the stream, in memory that
 * both sides map (area.h): flag MF_MSG_BESIDE is set then, and what stands in the stream is the size (8) of what lies
 * there, the number of the area (8), and the body's first bytes, which lie not there (at most MF_AREA_PREFIX, a
 * multiple of 16). Flag MF_MSG_FD as well says that the area's descriptor goes along. Before the first such frame comes
 * another one of the same kind, with number MF_AREA_BOARD: that is the links' own business, and no message.
 *
 *   HELLO    agent -> master, first   body: struct mf_msg_hello, packed field by field
 *   INIT     master -> agent, second  body: workers 4 (0: the agent itself is the one), flags 1 (they are processes = 1),
 *                                            nanoseconds: grace 8, patience 8; length of settings 4, settings: a folder to work
 *                                            in (may be empty) and NAME=value for the environment, a zero byte behind
 *                                            each; then the pool's init for the runner
 *   CODE     master -> agent   id: code number   body: code bytes; kept by the agent until FORGET
 *   FORGET   master -> agent   id: code number
 *   TASK     master -> agent   id: task          body: code number 8, seed 8, stream 8, flags 8 (setup = 1), worker 4
 *                                                      (0: any; a setup: all that start later), number of
 *                                                      dependencies 4, length of args 8, args, then each dependency's
 *                                                      length 8 and bytes
 *   CANCEL   master -> agent   id: task
 *   RECALL   master -> agent   id: task          give it back if it has not been started; answered by a RESULT with
 *                                                      outcome 2 (MF_MSG_RECALLED) and nothing else, or by its own.
 *                                                      Outcome 3 (MF_MSG_LOST): a node's worker died; the bytes say how
 *   HELD     agent -> master   id: task          it waits for its worker, which is busy, and those behind it may be started
 *   FREED    agent -> master   id: task          that was held: it does no more, and may be started
 *   OUTPUT   agent -> master   id: task          body: stream 1, bytes
 *   PROGRESS agent -> master   id: task          body: fraction 8 (IEEE double), text
 *   RESULT   agent -> master   id: task          body: outcome 8, nanoseconds it ran 8, bytes
 *   FETCH    agent -> master   id: request       body: name of a Lua module that the worker lacks
 *   MODULE   master -> agent   id: request       body: found 1, chunk name length 4, chunk name, source
 *   PING     either way, PONG back with the same id; an agent that cannot do what INIT asked for says BYE instead.
 *            A node says PONG with id 0 by itself, too, while a long message comes slowly
 *   BLOCK    either way        id: block number  body: bytes 8, offset 8, flags 8, number of blocks that it refers to 8,
 *                                                      their numbers 8 each; and without a descriptor (flag
 *                                                      MF_MSG_FD), zeros up to a multiple of 64 and the bytes
 *   DROP     either way        id: block number  that the other end may let go of
 *   HOLDS    either way        id: of the next message, a CODE, TASK or RESULT; what each of its parts (a task's: arguments and
 *                                                      dependencies) refers to: how many blocks 8, their numbers 8 each
 *   BYE      master -> agent: end when the queue is empty; agent -> master: body: why it ends, in words
 *
 * Limits are the constants below. A reader checks kind, length, flags and every inner length before it uses them. */
#ifndef MF_MSG_H
#define MF_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "area.h"
#include "buf.h"
#include "err.h"

#define MF_MSG_VERSION     4
#define MF_MSG_HEAD        16                        /* bytes of length, kind, flags, zero, id */
#define MF_MSG_MAX         MF_AREA_MAX               /* bytes of a body beside the stream */
#define MF_MSG_INLINE      MF_AREA_LEAST             /* longer bodies go beside the stream where that is possible */
#define MF_MSG_BESIDE_BODY 16                        /* bytes in the stream for it, at least */
#define MF_MSG_FD_BODY     ((size_t)16 * 1024)       /* bytes of the body of a BLOCK with a descriptor, at most */
#define MF_MSG_MAX_INLINE  ((size_t)0xfffffff0 - 16) /* bytes of a body in the stream */
#define MF_MSG_MAX_HELLO   256                       /* bytes of the first frame */

enum mf_msg_kind {
    MF_MSG_HELLO = 1,
    MF_MSG_INIT,
    MF_MSG_CODE,
    MF_MSG_FORGET,
    MF_MSG_TASK,
    MF_MSG_CANCEL,
    MF_MSG_RECALL,
    MF_MSG_OUTPUT,
    MF_MSG_PROGRESS,
    MF_MSG_RESULT,
    MF_MSG_FETCH,
    MF_MSG_MODULE,
    MF_MSG_PING,
    MF_MSG_PONG,
    MF_MSG_BYE,
    MF_MSG_BLOCK,
    MF_MSG_DROP,
    MF_MSG_HOLDS,
    MF_MSG_HELD,
    MF_MSG_FREED,
    MF_MSG_KINDS
};

/* In the place of a result's outcome. */
enum mf_msg_outcome {
    MF_MSG_RECALLED = 2, /* cancelled, or recalled before it was started */
    MF_MSG_LOST = 3,
};

enum mf_msg_flag {
    MF_MSG_FD = 1,
    MF_MSG_BESIDE = 2,
};

/* A frame's head, unpacked. */
struct mf_msg_head {
    uint64_t length; /* of the body */
    uint8_t kind, flags;
    uint64_t id;
};

/* What an agent says of itself. Fixed size on the wire. Magic, version and program come first for ever, so that each
 * version can name the other; unpacking another version's fills in these two and leaves the rest zero. Texts that do
 * not fit are cut; bytes in them that are no printable ASCII arrive as '?'. */
struct mf_msg_hello {
    uint32_t version;        /* MF_MSG_VERSION */
    uint32_t lua_version;    /* 504 */
    uint8_t integer, number; /* bytes of a lua_Integer and a lua_Number */
    uint32_t codec_version;
    uint32_t pid;
    uint32_t cores;
    char program[16]; /* Moonfleet's version: "0.1.0" */
    char host[64];
};

/* Packs a head for a body of length bytes. */
void mf_msg_pack_head(unsigned char out[MF_MSG_HEAD], const struct mf_msg_head *head);

/* Unpacks and checks one; length is that of what stands in the stream. MF_OK, or MF_EINVAL and a fault in words
 * ("unknown message kind 77"). */
enum mf_err mf_msg_unpack_head(const unsigned char in[MF_MSG_HEAD], struct mf_msg_head *head, struct mf_fault *fault);

bool mf_msg_pack_hello(struct mf_buf *out, const struct mf_msg_hello *hello);
enum mf_err mf_msg_unpack_hello(const void *body, size_t n, struct mf_msg_hello *hello, struct mf_fault *fault);

/* Where in the bytes a HELLO frame of any version begins, head first; n when there is none (or not enough of it yet): for
 * what a login shell says in front of it. */
size_t mf_msg_find_hello(const void *bytes, size_t n);

/* Compares an agent's hello with one's own. MF_OK, or MF_EINVAL and a fault that names both sides' values. */
enum mf_err mf_msg_check_hello(const struct mf_msg_hello *theirs, const struct mf_msg_hello *ours,
                               struct mf_fault *fault);

/* Bytes within a body. */
struct mf_msg_part {
    const unsigned char *bytes;
    size_t n;
};

/* INIT, without settings and payload, which follow it. */
#define MF_MSG_INIT_HEAD   25
#define MF_MSG_MAX_WORKERS 4096
struct mf_msg_init {
    uint32_t workers;
    bool processes;
    uint64_t grace;              /* that a task has to stop */
    uint64_t patience;           /* a node that hears nothing of its master for so long ends; 0: it does not mind */
    struct mf_msg_part settings; /* as above; empty, or its last byte is zero */
};
void mf_msg_pack_init_head(unsigned char out[MF_MSG_INIT_HEAD], const struct mf_msg_init *init);
enum mf_err mf_msg_unpack_init(const void *body, size_t n, struct mf_msg_init *init, struct mf_msg_part *payload,
                               struct mf_fault *fault);

/* A TASK's body, its parts pointing into the bytes. */
struct mf_msg_task {
    uint64_t code, seed, stream;
    bool setup;
    uint32_t worker;
    struct mf_msg_part args;
    uint32_t ndeps;
    struct mf_msg_part deps; /* all dependencies, one behind the other; see mf_msg_next_dep */
};
enum mf_err mf_msg_unpack_task(const void *body, size_t n, struct mf_msg_task *task, struct mf_fault *fault);
bool mf_msg_pack_task(struct mf_buf *out, const struct mf_msg_task *task); /* task->deps: packed by mf_msg_pack_dep */
bool mf_msg_pack_dep(struct mf_buf *out, const void *bytes, size_t n);
bool mf_msg_next_dep(struct mf_msg_part *rest, struct mf_msg_part *dep); /* false at the end; lengths were checked */

/* The same in two steps, so that args need not be copied: the head, then the args' bytes, then those of deps. */
#define MF_MSG_TASK_HEAD 48
void mf_msg_pack_task_head(unsigned char out[MF_MSG_TASK_HEAD], const struct mf_msg_task *task);

/* The heads of bodies that end in bytes; send them as parts: head, bytes. What is unpacked points into the body. The
 * sizes of those that may end in very many are multiples of 16, for mf_link_queue_blob. */
#define MF_MSG_RESULT_HEAD 16
struct mf_msg_result {
    uint8_t outcome;
    uint64_t nanoseconds;
    struct mf_msg_part bytes; /* not packed */
};
void mf_msg_pack_result_head(unsigned char out[MF_MSG_RESULT_HEAD], const struct mf_msg_result *result);
enum mf_err mf_msg_unpack_result(const void *body, size_t n, struct mf_msg_result *result, struct mf_fault *fault);

#define MF_MSG_PROGRESS_HEAD 8
struct mf_msg_progress {
    double fraction; /* anything, NaN too */
    struct mf_msg_part text;
};
void mf_msg_pack_progress_head(unsigned char out[MF_MSG_PROGRESS_HEAD], double fraction);
enum mf_err mf_msg_unpack_progress(const void *body, size_t n, struct mf_msg_progress *progress,
                                   struct mf_fault *fault);

struct mf_msg_output { /* its head is the one byte of the stream */
    uint8_t stream;
    struct mf_msg_part bytes;
};
enum mf_err mf_msg_unpack_output(const void *body, size_t n, struct mf_msg_output *output, struct mf_fault *fault);

#define MF_MSG_MODULE_HEAD 5
struct mf_msg_module {
    bool found;
    struct mf_msg_part name, source;
};
void mf_msg_pack_module_head(unsigned char out[MF_MSG_MODULE_HEAD], bool found, size_t name_length);
enum mf_err mf_msg_unpack_module(const void *body, size_t n, struct mf_msg_module *module, struct mf_fault *fault);

/* Integers on the wire. */
void mf_msg_put64(unsigned char *out, uint64_t n);
uint64_t mf_msg_get64(const unsigned char *in);

const char *mf_msg_name(uint8_t kind); /* "RESULT"; "?" when there is none */

#endif
