/* Hostile bytes to a link: the input is what a peer sends, in pieces of any size, with descriptors at any place. The
 * first byte chooses whether a greeting must come first, how large the pieces are, and what goes along with a piece
 * that begins like a frame beside the stream: a sealed memfd, an unsealed one, nothing, one whose size only is sealed.
 * Where no greeting is needed, the peer has shown its board before. Every frame that arrives is read to its last byte
 * and unpacked as what it claims to be; blobs are kept for a while and let go of out of order. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../runtime/link.h"
#include "../../runtime/sys_fd.h"

#define KEPT   3
#define MEMORY 20000 /* bytes behind the descriptors */

struct hostile {
    struct mf_stream_end end;
    const uint8_t *bytes;
    size_t left;
    uint8_t choice;
    bool shown; /* the board */
};

static struct mf_link *reader;
static struct mf_blob *kept[KEPT];
static unsigned frames;
static volatile uint8_t sink;

enum kind { SEALED, UNSEALED, NOTHING, SIZE_SEALED };

static int memory(size_t size, enum kind kind)
{
    static uint8_t bytes[MEMORY];
    int fd = mf_sys_memfd("fuzz");
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size ||
        (kind != UNSEALED && !mf_sys_memfd_seal(fd, kind == SEALED ? MF_SYS_SEAL_CONTENT : MF_SYS_SEAL_SIZE)))
        abort();
    return fd;
}

/* The descriptor that goes along with a piece beginning with this byte, or -1. 28 is the first byte of a frame whose body
 * is beside the stream, and more when some of the body is in it. */
static int descriptor_for(uint8_t byte, enum kind kind)
{
    static int made[4] = {-1, -1, -1, -1};
    if (byte < 28 || byte > 28 + MF_AREA_PREFIX || (byte - 28) % 16 != 0 || kind == NOTHING)
        return -1;
    if (made[kind] < 0)
        made[kind] = memory(MEMORY, kind);
    return fcntl(made[kind], F_DUPFD_CLOEXEC, 0);
}

/* The frame that shows the board, with its descriptor. */
static ssize_t show_board(uint8_t *bytes, int *fd)
{
    static int board = -1;
    static uint8_t *page;
    size_t n = (size_t)mf_area_board_bytes();
    const struct mf_msg_head head = {
        .length = MF_MSG_BESIDE_BODY, .kind = MF_MSG_TASK, .flags = MF_MSG_BESIDE | MF_MSG_FD};
    if (board < 0) {
        board = memory(n, SIZE_SEALED);
        page = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, board, 0);
    }
    memset(page, 0, n);
    *fd = fcntl(board, F_DUPFD_CLOEXEC, 0);
    mf_msg_pack_head(bytes, &head);
    mf_msg_put64(bytes + MF_MSG_HEAD, n);
    mf_msg_put64(bytes + MF_MSG_HEAD + 8, MF_AREA_BOARD);
    return MF_MSG_HEAD + MF_MSG_BESIDE_BODY;
}

static ssize_t hostile_read(struct mf_stream_end *s, void *bytes, size_t n, int *fd)
{
    struct hostile *h = (struct hostile *)(void *)s;
    size_t most = (h->choice & 15u) == 15u ? SIZE_MAX : 1 + (h->choice & 15u) * 5u;
    *fd = -1;
    if (!h->shown && !(h->choice & 16u)) {
        h->shown = true;
        return show_board(bytes, fd);
    }
    if (h->left == 0)
        return -1;
    n = n < most ? n : most;
    n = n < h->left ? n : h->left;
    *fd = descriptor_for(h->bytes[0], (enum kind)(h->choice >> 6));
    memcpy(bytes, h->bytes, n);
    h->bytes += n;
    h->left -= n;
    return (ssize_t)n;
}

static ssize_t hostile_write(struct mf_stream_end *s, const struct iovec *pieces, int n, int fd)
{
    const struct hostile *h = (const struct hostile *)(const void *)s;
    (void)fd;
    return n == 0 || h->choice & 32u ? -1 : (ssize_t)(pieces[0].iov_len / 2);
}

static int hostile_fd(const struct mf_stream_end *s)
{
    (void)s;
    return -1;
}

static const char *hostile_error(const struct mf_stream_end *s)
{
    (void)s;
    return "closed by the peer";
}

static void hostile_close(struct mf_stream_end *s)
{
    (void)s;
}

static const struct mf_stream_table table = {.name = "hostile",
                                             .read = hostile_read,
                                             .write = hostile_write,
                                             .fd = hostile_fd,
                                             .last_error = hostile_error,
                                             .close = hostile_close,
                                             .passes_fds = true};

static void read_part(struct mf_msg_part part)
{
    for (size_t i = 0; i < part.n; i++)
        sink ^= part.bytes[i];
}

static void unpack_task(const struct mf_link_frame *f)
{
    struct mf_msg_task task;
    struct mf_msg_part dep;
    uint32_t count = 0;
    if (mf_msg_unpack_task(f->body, (size_t)f->head.length, &task, NULL) != MF_OK)
        return;
    read_part(task.args);
    for (; mf_msg_next_dep(&task.deps, &dep); count++)
        read_part(dep);
    if (count != task.ndeps)
        abort();
}

static void unpack(const struct mf_link_frame *f)
{
    size_t n = (size_t)f->head.length;
    struct mf_msg_hello hello, own = {.version = MF_MSG_VERSION, .program = "0.1.0"};
    struct mf_msg_result result;
    struct mf_msg_progress progress;
    struct mf_msg_output output;
    struct mf_msg_module module;
    struct mf_fault fault;
    if (f->head.kind == MF_MSG_TASK)
        unpack_task(f);
    if (mf_msg_unpack_hello(f->body, n, &hello, &fault) == MF_OK)
        mf_msg_check_hello(&hello, &own, &fault);
    if (mf_msg_unpack_result(f->body, n, &result, &fault) == MF_OK)
        read_part(result.bytes);
    if (mf_msg_unpack_progress(f->body, n, &progress, &fault) == MF_OK)
        read_part(progress.text);
    if (mf_msg_unpack_output(f->body, n, &output, &fault) == MF_OK)
        read_part(output.bytes);
    if (mf_msg_unpack_module(f->body, n, &module, &fault) == MF_OK) {
        read_part(module.name);
        read_part(module.source);
    }
}

/* Some without their first bytes, as results are. */
static void keep(struct mf_link_frame *f)
{
    struct mf_blob **place = &kept[frames % KEPT];
    bool cut = f->blob && f->head.kind == MF_MSG_RESULT && f->blob->len >= MF_BLOB_CUT_BYTES;
    mf_blob_unref(*place);
    *place = cut ? mf_blob_cut(f->blob) : mf_blob_ref(f->blob);
    if (cut)
        f->blob = NULL;
    if (*place)
        read_part((struct mf_msg_part){(*place)->data, (*place)->len});
}

static enum mf_err received(void *arg, struct mf_link_frame *f)
{
    (void)arg;
    if (f->head.kind == 0 || f->head.kind >= MF_MSG_KINDS || f->head.flags)
        abort();
    frames++;
    read_part((struct mf_msg_part){f->body, (size_t)f->head.length});
    unpack(f);
    if (f->head.kind != MF_MSG_FORGET) /* so that some areas are free again at once */
        keep(f);
    if (f->head.kind == MF_MSG_PING)
        mf_link_send(reader, MF_MSG_PONG, f->head.id, NULL, 0);
    return f->head.kind == MF_MSG_BYE && f->head.id == 99 ? MF_ELIMIT : MF_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mf_fault fault;
    if (size == 0)
        return 0;
    struct hostile h = {.end = {&table}, .bytes = data + 1, .left = size - 1, .choice = data[0]};
    enum mf_err e = MF_OK;
    struct mf_areas *areas = mf_areas_new();
    reader = mf_link_new(&h.end, received, NULL, &fault);
    mf_link_use(reader, NULL, areas);
    if (data[0] & 16u)
        mf_link_limit(reader, MF_MSG_MAX_HELLO);
    while (e == MF_OK)
        e = mf_link_read(reader, &fault);
    if (mf_link_read(reader, NULL) != e || fault.text[0] == '\0')
        abort();
    mf_link_free(reader);
    mf_areas_unref(areas);
    for (int i = 0; i < KEPT; i++) {
        mf_blob_unref(kept[i]);
        kept[i] = NULL;
    }
    frames = 0;
    return 0;
}
