/* Design note: every message is packed and unpacked by a pair of functions that stand side by side and name the same
 * fields in the same order; the layouts are drawn in msg.h. Unpacking goes through a cursor that knows what is left, so
 * no length is used before it was compared with the bytes there are. */
#include "msg.h"

#include <stdio.h>
#include <string.h>

static const unsigned char magic[4] = {'M', 'o', 'o', 'F'};

#define HELLO_PREFIX (sizeof magic + 4 + 16) /* magic, version, program: the same in all versions */
#define HELLO_SIZE   (HELLO_PREFIX + 4 + 1 + 1 + 2 + 4 + 4 + 4 + 64)

/* --- Integers --------------------------------------------------------------------------------------------------- */

static void put(unsigned char *out, uint64_t n, int bytes)
{
    for (int i = 0; i < bytes; i++)
        out[i] = (unsigned char)(n >> (8 * i));
}

static uint64_t get(const unsigned char *in, int bytes)
{
    uint64_t n = 0;
    for (int i = 0; i < bytes; i++)
        n |= (uint64_t)in[i] << (8 * i);
    return n;
}

void mf_msg_put64(unsigned char *out, uint64_t n)
{
    put(out, n, 8);
}

uint64_t mf_msg_get64(const unsigned char *in)
{
    return get(in, 8);
}

static uint64_t double_bits(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static double bits_double(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* --- The cursor ------------------------------------------------------------------------------------------------- */

struct cursor {
    const unsigned char *at;
    size_t left;
    bool bad; /* something was asked for that is not there */
};

static const unsigned char *take_bytes(struct cursor *c, uint64_t n)
{
    if (n > c->left) {
        c->bad = true;
        return NULL;
    }
    const unsigned char *bytes = c->at;
    if (n > 0) /* at is NULL when there was nothing from the beginning */
        c->at += n;
    c->left -= (size_t)n;
    return bytes;
}

static uint64_t take(struct cursor *c, int bytes)
{
    const unsigned char *in = take_bytes(c, (uint64_t)bytes);
    return in ? get(in, bytes) : 0;
}

static struct mf_msg_part take_part(struct cursor *c, uint64_t n)
{
    struct mf_msg_part part = {take_bytes(c, n), (size_t)n};
    if (!part.bytes)
        part.n = 0;
    return part;
}

static struct mf_msg_part take_rest(struct cursor *c)
{
    return take_part(c, c->left);
}

static enum mf_err broken(struct mf_fault *fault, const char *kind)
{
    return mf_fault_set(fault, MF_EINVAL, "broken %s message", kind);
}

/* --- Head ------------------------------------------------------------------------------------------------------- */

static const char *const names[MF_MSG_KINDS] = {
    [MF_MSG_HELLO] = "HELLO",       [MF_MSG_INIT] = "INIT",     [MF_MSG_CODE] = "CODE",     [MF_MSG_FORGET] = "FORGET",
    [MF_MSG_TASK] = "TASK",         [MF_MSG_CANCEL] = "CANCEL", [MF_MSG_RECALL] = "RECALL", [MF_MSG_OUTPUT] = "OUTPUT",
    [MF_MSG_PROGRESS] = "PROGRESS", [MF_MSG_RESULT] = "RESULT", [MF_MSG_FETCH] = "FETCH",   [MF_MSG_MODULE] = "MODULE",
    [MF_MSG_PING] = "PING",         [MF_MSG_PONG] = "PONG",     [MF_MSG_BYE] = "BYE",       [MF_MSG_BLOCK] = "BLOCK",
    [MF_MSG_DROP] = "DROP",         [MF_MSG_HOLDS] = "HOLDS",   [MF_MSG_HELD] = "HELD",     [MF_MSG_FREED] = "FREED",
};

const char *mf_msg_name(uint8_t kind)
{
    return kind < MF_MSG_KINDS && names[kind] ? names[kind] : "?";
}

void mf_msg_pack_head(unsigned char out[MF_MSG_HEAD], const struct mf_msg_head *head)
{
    put(out, head->length + MF_MSG_HEAD - 4, 4);
    out[4] = head->kind;
    out[5] = head->flags;
    put(out + 6, 0, 2);
    put(out + 8, head->id, 8);
}

enum mf_err mf_msg_unpack_head(const unsigned char in[MF_MSG_HEAD], struct mf_msg_head *head, struct mf_fault *fault)
{
    uint64_t length = get(in, 4);
    head->kind = in[4];
    head->flags = in[5];
    head->id = get(in + 8, 8);
    head->length = 0;
    if (head->kind == 0 || head->kind >= MF_MSG_KINDS)
        return mf_fault_set(fault, MF_EINVAL, "unknown message kind %u", (unsigned)head->kind);
    if (length < MF_MSG_HEAD - 4 || length - (MF_MSG_HEAD - 4) > MF_MSG_MAX_INLINE)
        return mf_fault_set(fault, MF_EINVAL, "a %s message of impossible length %llu", mf_msg_name(head->kind),
                            (unsigned long long)length);
    head->length = length - (MF_MSG_HEAD - 4);
    bool own_fd = head->flags == MF_MSG_FD;
    if (get(in + 6, 2) != 0 || (head->flags & ~(unsigned)(MF_MSG_FD | MF_MSG_BESIDE)) ||
        (own_fd && (head->kind != MF_MSG_BLOCK || head->length > MF_MSG_FD_BODY)))
        return mf_fault_set(fault, MF_EINVAL, "a %s message with unknown flags", mf_msg_name(head->kind));
    uint64_t prefix = head->length - MF_MSG_BESIDE_BODY;
    if ((head->flags & MF_MSG_BESIDE) &&
        (head->length < MF_MSG_BESIDE_BODY || prefix > MF_AREA_PREFIX || prefix % 16 != 0))
        return mf_fault_set(fault, MF_EINVAL, "a %s message beside the stream with %llu bytes in it",
                            mf_msg_name(head->kind), (unsigned long long)head->length);
    return MF_OK;
}

/* --- HELLO ------------------------------------------------------------------------------------------------------ */

/* A text field is padded with zeros; its last byte is one. */
static void put_text(unsigned char *out, const char *text, size_t n)
{
    size_t len = 0;
    while (len < n - 1 && text[len])
        len++;
    memset(out, 0, n);
    memcpy(out, text, len);
}

/* It comes from outside and may be shown on a terminal. */
static void take_text(struct cursor *c, char *text, size_t n)
{
    const unsigned char *in = take_bytes(c, n);
    memset(text, 0, n);
    for (size_t i = 0; in && i < n - 1 && in[i]; i++)
        text[i] = in[i] >= ' ' && in[i] < 127 ? (char)in[i] : '?';
}

bool mf_msg_pack_hello(struct mf_buf *out, const struct mf_msg_hello *hello)
{
    unsigned char bytes[HELLO_SIZE], *at = bytes;
    memcpy(at, magic, sizeof magic);
    put(at += sizeof magic, hello->version, 4);
    put_text(at += 4, hello->program, sizeof hello->program);
    put(at += sizeof hello->program, hello->lua_version, 4);
    put(at += 4, hello->integer, 1);
    put(at += 1, hello->number, 1);
    put(at += 1, 0, 2);
    put(at += 2, hello->codec_version, 4);
    put(at += 4, hello->pid, 4);
    put(at += 4, hello->cores, 4);
    put_text(at + 4, hello->host, sizeof hello->host);
    return mf_buf_append(out, bytes, sizeof bytes);
}

enum mf_err mf_msg_unpack_hello(const void *body, size_t n, struct mf_msg_hello *hello, struct mf_fault *fault)
{
    struct cursor c = {.at = body, .left = n};
    const unsigned char *start = take_bytes(&c, sizeof magic);
    memset(hello, 0, sizeof *hello);
    if (!start || memcmp(start, magic, sizeof magic) != 0)
        return mf_fault_set(fault, MF_EINVAL, "not Moonfleet's protocol: the greeting does not begin with \"MooF\"");
    hello->version = (uint32_t)take(&c, 4);
    take_text(&c, hello->program, sizeof hello->program);
    if (c.bad)
        return broken(fault, "HELLO");
    if (hello->version != MF_MSG_VERSION)
        return MF_OK; /* what follows may be laid out otherwise */
    hello->lua_version = (uint32_t)take(&c, 4);
    hello->integer = (uint8_t)take(&c, 1);
    hello->number = (uint8_t)take(&c, 1);
    take(&c, 2);
    hello->codec_version = (uint32_t)take(&c, 4);
    hello->pid = (uint32_t)take(&c, 4);
    hello->cores = (uint32_t)take(&c, 4);
    take_text(&c, hello->host, sizeof hello->host);
    return c.bad || c.left ? broken(fault, "HELLO") : MF_OK;
}

size_t mf_msg_find_hello(const void *bytes, size_t n)
{
    static const unsigned char head[MF_MSG_HEAD - 4] = {MF_MSG_HELLO}; /* behind the length: kind, flags, zeros, id 0 */
    const unsigned char *b = bytes;
    for (size_t i = 0; i + MF_MSG_HEAD + sizeof magic <= n; i++)
        if (memcmp(b + i + 4, head, sizeof head) == 0 && memcmp(b + i + MF_MSG_HEAD, magic, sizeof magic) == 0)
            return i;
    return n;
}

enum mf_err mf_msg_check_hello(const struct mf_msg_hello *theirs, const struct mf_msg_hello *ours,
                               struct mf_fault *fault)
{
    if (theirs->version != ours->version)
        return mf_fault_set(fault, MF_EINVAL,
                            "the worker is Moonfleet %s with wire version %u, this is %s with wire version %u",
                            theirs->program, theirs->version, ours->program, ours->version);
    if (theirs->codec_version != ours->codec_version)
        return mf_fault_set(fault, MF_EINVAL,
                            "the worker is Moonfleet %s with value format %u, this is %s with value format %u",
                            theirs->program, theirs->codec_version, ours->program, ours->codec_version);
    if (theirs->lua_version != ours->lua_version)
        return mf_fault_set(fault, MF_EINVAL, "the worker runs Lua %u.%u, this is Lua %u.%u", theirs->lua_version / 100,
                            theirs->lua_version % 100, ours->lua_version / 100, ours->lua_version % 100);
    if (theirs->integer != ours->integer || theirs->number != ours->number)
        return mf_fault_set(fault, MF_EINVAL,
                            "the worker's Lua has integers of %d and numbers of %d bytes, this one of %d and %d",
                            theirs->integer, theirs->number, ours->integer, ours->number);
    return MF_OK;
}

/* --- INIT ------------------------------------------------------------------------------------------------------- */

void mf_msg_pack_init_head(unsigned char out[MF_MSG_INIT_HEAD], const struct mf_msg_init *init)
{
    put(out, init->workers, 4);
    put(out + 4, init->processes, 1);
    put(out + 5, init->grace, 8);
    put(out + 13, init->patience, 8);
    put(out + 21, init->settings.n, 4);
}

enum mf_err mf_msg_unpack_init(const void *body, size_t n, struct mf_msg_init *init, struct mf_msg_part *payload,
                               struct mf_fault *fault)
{
    struct cursor c = {.at = body, .left = n};
    init->workers = (uint32_t)take(&c, 4);
    uint64_t flags = take(&c, 1);
    init->processes = flags == 1;
    init->grace = take(&c, 8);
    init->patience = take(&c, 8);
    init->settings = take_part(&c, take(&c, 4));
    *payload = take_rest(&c);
    const struct mf_msg_part *texts = &init->settings;
    bool open_end = texts->n > 0 && texts->bytes[texts->n - 1] != '\0';
    return c.bad || open_end || flags > 1 || init->workers > MF_MSG_MAX_WORKERS ? broken(fault, "INIT") : MF_OK;
}

/* --- TASK ------------------------------------------------------------------------------------------------------- */

void mf_msg_pack_task_head(unsigned char out[MF_MSG_TASK_HEAD], const struct mf_msg_task *task)
{
    put(out, task->code, 8);
    put(out + 8, task->seed, 8);
    put(out + 16, task->stream, 8);
    put(out + 24, task->setup, 8);
    put(out + 32, task->worker, 4);
    put(out + 36, task->ndeps, 4);
    put(out + 40, task->args.n, 8);
}

bool mf_msg_pack_task(struct mf_buf *out, const struct mf_msg_task *task)
{
    unsigned char head[MF_MSG_TASK_HEAD];
    size_t len = out->len;
    mf_msg_pack_task_head(head, task);
    if (mf_buf_append(out, head, sizeof head) && mf_buf_append(out, task->args.bytes, task->args.n) &&
        mf_buf_append(out, task->deps.bytes, task->deps.n))
        return true;
    out->len = len;
    return false;
}

/* All dependencies are there, and nothing else. */
static bool deps_fit(struct mf_msg_part rest, uint32_t count)
{
    struct cursor c = {.at = rest.bytes, .left = rest.n};
    for (uint32_t i = 0; i < count && !c.bad; i++)
        take_bytes(&c, take(&c, 8));
    return !c.bad && c.left == 0;
}

enum mf_err mf_msg_unpack_task(const void *body, size_t n, struct mf_msg_task *task, struct mf_fault *fault)
{
    struct cursor c = {.at = body, .left = n};
    task->code = take(&c, 8);
    task->seed = take(&c, 8);
    task->stream = take(&c, 8);
    uint64_t flags = take(&c, 8);
    task->setup = flags == 1;
    task->worker = (uint32_t)take(&c, 4);
    task->ndeps = (uint32_t)take(&c, 4);
    task->args = take_part(&c, take(&c, 8));
    task->deps = take_rest(&c);
    return c.bad || flags > 1 || !deps_fit(task->deps, task->ndeps) ? broken(fault, "TASK") : MF_OK;
}

bool mf_msg_pack_dep(struct mf_buf *out, const void *bytes, size_t n)
{
    unsigned char length[8];
    put(length, n, 8);
    if (n > SIZE_MAX - 8 || !mf_buf_reserve(out, n + 8))
        return false;
    return mf_buf_append(out, length, 8) && mf_buf_append(out, bytes, n);
}

bool mf_msg_next_dep(struct mf_msg_part *rest, struct mf_msg_part *dep)
{
    struct cursor c = {.at = rest->bytes, .left = rest->n};
    if (rest->n == 0)
        return false;
    *dep = take_part(&c, take(&c, 8));
    *rest = take_rest(&c);
    return !c.bad;
}

/* --- RESULT, PROGRESS, OUTPUT, MODULE --------------------------------------------------------------------------- */

void mf_msg_pack_result_head(unsigned char out[MF_MSG_RESULT_HEAD], const struct mf_msg_result *result)
{
    put(out, result->outcome, 8);
    put(out + 8, result->nanoseconds, 8);
}

enum mf_err mf_msg_unpack_result(const void *body, size_t n, struct mf_msg_result *result, struct mf_fault *fault)
{
    struct cursor c = {.at = body, .left = n};
    uint64_t outcome = take(&c, 8);
    result->outcome = (uint8_t)outcome;
    result->nanoseconds = take(&c, 8);
    result->bytes = take_rest(&c);
    return c.bad || outcome > UINT8_MAX ? broken(fault, "RESULT") : MF_OK;
}

void mf_msg_pack_progress_head(unsigned char out[MF_MSG_PROGRESS_HEAD], double fraction)
{
    put(out, double_bits(fraction), 8);
}

enum mf_err mf_msg_unpack_progress(const void *body, size_t n, struct mf_msg_progress *progress, struct mf_fault *fault)
{
    struct cursor c = {.at = body, .left = n};
    progress->fraction = bits_double(take(&c, 8));
    progress->text = take_rest(&c);
    return c.bad ? broken(fault, "PROGRESS") : MF_OK;
}

enum mf_err mf_msg_unpack_output(const void *body, size_t n, struct mf_msg_output *output, struct mf_fault *fault)
{
    struct cursor c = {.at = body, .left = n};
    output->stream = (uint8_t)take(&c, 1);
    output->bytes = take_rest(&c);
    return c.bad ? broken(fault, "OUTPUT") : MF_OK;
}

void mf_msg_pack_module_head(unsigned char out[MF_MSG_MODULE_HEAD], bool found, size_t name_length)
{
    put(out, found, 1);
    put(out + 1, name_length, 4);
}

enum mf_err mf_msg_unpack_module(const void *body, size_t n, struct mf_msg_module *module, struct mf_fault *fault)
{
    struct cursor c = {.at = body, .left = n};
    uint64_t found = take(&c, 1);
    module->found = found == 1;
    module->name = take_part(&c, take(&c, 4));
    module->source = take_rest(&c);
    return c.bad || found > 1 ? broken(fault, "MODULE") : MF_OK;
}
