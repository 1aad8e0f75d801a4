/* Design note: the head of a .npy file is a line of Python: a dict with three known keys. It is read by looking for each
 * key and the value behind it, whatever their order and spacing; whatever is not understood is refused. */
#include "array_npy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "array_kernel.h"
#include "sys.h"

#define MAGIC       "\x93NUMPY"
#define MAGIC_BYTES 6
#define HEAD_MAX    ((size_t)1 << 20) /* bytes of a head that are believed */
#define FIRST_READ  ((size_t)4096)

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define FOREIGN '<'
#define NATIVE  '>'
#else
#define FOREIGN '>'
#define NATIVE  '<'
#endif

/* --- The head ---------------------------------------------------------------------------------------------------- */

static const char *skip_spaces(const char *p)
{
    while (*p == ' ' || *p == '\t')
        p++;
    return p;
}

/* Where the value of a key of the dict begins, or NULL. */
static const char *find_key(const char *text, const char *key)
{
    size_t n = strlen(key);
    for (const char *p = text; (p = strstr(p, key)) != NULL; p++) {
        if (p == text || (p[-1] != '\'' && p[-1] != '"') || p[n] != p[-1])
            continue;
        const char *value = skip_spaces(p + n + 1);
        if (*value == ':')
            return skip_spaces(value + 1);
    }
    return NULL;
}

static bool parse_kind(const char *p, struct mf_npy_head *h)
{
    char quote = p ? *p : 0;
    char order, kind, end;
    unsigned size;
    if ((quote != '\'' && quote != '"') || sscanf(p + 1, "%c%c%u%c", &order, &kind, &size, &end) != 4 || end != quote)
        return false;
    h->kind = kind;
    h->size = size;
    h->swapped = order == FOREIGN && size > 1;
    return order == '<' || order == '>' || order == '|' || order == '=';
}

static bool parse_order(const char *p, struct mf_npy_head *h)
{
    h->columns = p && strncmp(p, "True", 4) == 0;
    return h->columns || (p && strncmp(p, "False", 5) == 0);
}

/* "(3, 4)", "(3,)", "()". */
static bool parse_shape(const char *p, struct mf_npy_head *h)
{
    h->ndim = 0;
    if (!p || *p != '(')
        return false;
    for (p = skip_spaces(p + 1); *p != ')'; p = skip_spaces(p)) {
        char *end;
        if (h->ndim == MF_ARRAY_DIMS || *p < '0' || *p > '9')
            return false;
        errno = 0;
        unsigned long long n = strtoull(p, &end, 10);
        if (errno != 0 || n > SIZE_MAX / 2)
            return false;
        h->shape[h->ndim++] = (size_t)n;
        p = skip_spaces(end);
        if (*p == ',')
            p++;
        else if (*p != ')')
            return false;
    }
    if (h->ndim == 0)
        h->shape[h->ndim++] = 1;
    return true;
}

static bool is_supported(const struct mf_npy_head *h)
{
    switch (h->kind) {
    case 'f':
        return h->size == 4 || h->size == 8;
    case 'i':
        return h->size == 1 || h->size == 2 || h->size == 4 || h->size == 8;
    case 'u':
        return h->size == 1 || h->size == 2 || h->size == 4;
    default:
        return h->kind == 'b' && h->size == 1;
    }
}

static enum mf_err parse_text(char *text, struct mf_npy_head *h, struct mf_fault *fault)
{
    if (!parse_kind(find_key(text, "descr"), h) || !is_supported(h))
        return mf_fault_set(
            fault, MF_EINVAL,
            "its numbers are of a kind that is not supported (there are f8, f4, i8, i4, i2, i1, u4, u2, u1, b1)");
    if (!parse_order(find_key(text, "fortran_order"), h) || !parse_shape(find_key(text, "shape"), h))
        return mf_fault_set(fault, MF_EINVAL, "its head is damaged, or its shape has more than %d axes", MF_ARRAY_DIMS);
    return MF_OK;
}

enum mf_err mf_npy_parse(const unsigned char *bytes, size_t n, struct mf_npy_head *h, struct mf_fault *fault)
{
    h->data = 12;
    if (n < MAGIC_BYTES + 4 || memcmp(bytes, MAGIC, MAGIC_BYTES) != 0)
        return mf_fault_set(fault, MF_EINVAL, "it is no .npy file");
    bool wide = bytes[6] >= 2; /* the version */
    if (n < h->data)
        return MF_ELIMIT;
    if (bytes[6] < 1 || bytes[6] > 3)
        return mf_fault_set(fault, MF_EINVAL, "it is of version %d.%d of the format", bytes[6], bytes[7]);
    size_t start = wide ? 12 : 10, len = bytes[8] | (size_t)bytes[9] << 8;
    if (wide)
        len |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    h->data = start + len;
    if (h->data > HEAD_MAX)
        return mf_fault_set(fault, MF_EINVAL, "its head is longer than %zu bytes", HEAD_MAX);
    if (n < h->data)
        return MF_ELIMIT;
    char *text = malloc(len + 1);
    if (!text)
        return mf_fault_set(fault, MF_ENOMEM, "not enough memory");
    memcpy(text, bytes + start, len);
    text[len] = '\0';
    enum mf_err e = parse_text(text, h, fault);
    free(text);
    return e;
}

/* --- Reading ----------------------------------------------------------------------------------------------------- */

static enum mf_err fail(struct mf_fault *fault, const char *what, const char *path, const char *why)
{
    return mf_fault_set(fault, MF_ESYS, "cannot %s %.120s: %.100s", what, path, why);
}

/* Reads n bytes at a place of the file, or what there is of them: how many, -1 on error. */
static ssize_t read_at(int fd, void *bytes, size_t n, size_t at)
{
    size_t done = 0;
    while (done < n) {
        ssize_t r = pread(fd, (char *)bytes + done, n - done, (off_t)(at + done));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -1;
        if (r == 0)
            break;
        done += (size_t)r;
    }
    return (ssize_t)done;
}

/* Opens the file and reads its head: the descriptor, or -1 and a fault. */
static int open_npy(const char *path, struct mf_npy_head *h, struct mf_fault *fault)
{
    struct mf_fault why = {.text = ""};
    enum mf_err e = MF_ENOMEM;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail(fault, "read", path, strerror(errno));
        return -1;
    }
    unsigned char *bytes = malloc(HEAD_MAX);
    ssize_t n = bytes ? read_at(fd, bytes, FIRST_READ, 0) : 0;
    if (n >= 0 && bytes)
        e = mf_npy_parse(bytes, (size_t)n, h, &why);
    if (e == MF_ELIMIT && (n = read_at(fd, bytes, h->data, 0)) >= 0)
        e = mf_npy_parse(bytes, (size_t)n, h, &why);
    free(bytes);
    if (e == MF_OK)
        return fd;
    fail(fault, "read", path, n < 0 ? strerror(errno) : e == MF_ELIMIT ? "it ends too early" : why.text);
    close(fd);
    return -1;
}

/* The dtype that has the file's numbers as they are, or MF_DTYPES. */
static enum mf_dtype exact_dtype(const struct mf_npy_head *h)
{
    if (h->kind == 'f')
        return h->size == 8 ? MF_F64 : MF_F32;
    if (h->kind == 'i' && h->size >= 4)
        return h->size == 8 ? MF_I64 : MF_I32;
    return h->kind != 'i' && h->size == 1 ? MF_U8 : MF_DTYPES;
}

/* The dtype that the file's numbers fit. */
static enum mf_dtype wide_dtype(const struct mf_npy_head *h)
{
    enum mf_dtype t = exact_dtype(h);
    if (t != MF_DTYPES)
        return t;
    return h->size == 4 ? MF_I64 : MF_I32;
}

static void swap_bytes(unsigned char *p, size_t n, size_t size)
{
    for (; n > 0; n--, p += size)
        for (size_t i = 0; i < size / 2; i++) {
            unsigned char t = p[i];
            p[i] = p[size - 1 - i];
            p[size - 1 - i] = t;
        }
}

/* Integers that have no dtype of their own, to the one they fit. In place: from the last on, since they grow. */
static void widen(const struct mf_npy_head *h, unsigned char *data, size_t n)
{
    for (size_t i = n; i > 0; i--) {
        const unsigned char *from = data + (i - 1) * h->size;
        int8_t i1;
        int16_t i2;
        uint16_t u2;
        uint32_t u4;
        memcpy(&i1, from, 1);
        memcpy(&i2, from, h->size >= 2 ? 2 : 0);
        memcpy(&u2, from, h->size >= 2 ? 2 : 0);
        memcpy(&u4, from, h->size >= 4 ? 4 : 0);
        if (h->size == 4)
            ((int64_t *)(void *)data)[i - 1] = u4;
        else
            ((int32_t *)(void *)data)[i - 1] = h->size == 1 ? i1 : h->kind == 'i' ? i2 : u2;
    }
}

/* The file's elements in its own order, read into a new array's memory. */
static enum mf_err read_numbers(struct mf_heap *heap, int fd, const char *path, const struct mf_npy_head *h,
                                const size_t *shape, struct mf_array *out, struct mf_fault *fault)
{
    struct stat st;
    size_t n = mf_array_elements(h->ndim, shape), bytes = n * h->size;
    if (n == SIZE_MAX || fstat(fd, &st) != 0 || (size_t)st.st_size < h->data || (size_t)st.st_size - h->data < bytes)
        return fail(fault, "read", path, "it ends before its last number");
    enum mf_err e = mf_array_new(heap, out, wide_dtype(h), h->ndim, shape, false, fault);
    if (e != MF_OK)
        return e;
    unsigned char *data = mf_array_own(heap, out, fault);
    ssize_t got = read_at(fd, data, bytes, h->data);
    if (got != (ssize_t)bytes) {
        mf_array_release(heap, out);
        return fail(fault, "read", path, got < 0 ? strerror(errno) : "it ends before its last number");
    }
    if (h->swapped)
        swap_bytes(data, n, h->size);
    if (exact_dtype(h) == MF_DTYPES)
        widen(h, data, n);
    return MF_OK;
}

/* The shape in the order in which the numbers lie, and afterwards the axes as they are meant. */
static void turn_shape(const struct mf_npy_head *h, size_t *shape)
{
    for (int i = 0; i < h->ndim; i++)
        shape[i] = h->columns ? h->shape[h->ndim - 1 - i] : h->shape[i];
}

static void turn_axes(const struct mf_npy_head *h, struct mf_array *a)
{
    int axes[MF_ARRAY_DIMS];
    for (int i = 0; i < h->ndim; i++)
        axes[i] = h->columns ? h->ndim - 1 - i : i;
    mf_array_permute(a, axes);
}

enum mf_err mf_npy_load(struct mf_heap *heap, const char *path, struct mf_array *out, struct mf_fault *fault)
{
    struct mf_npy_head h;
    size_t shape[MF_ARRAY_DIMS];
    int fd = open_npy(path, &h, fault);
    if (fd < 0)
        return MF_ESYS;
    turn_shape(&h, shape);
    enum mf_err e = read_numbers(heap, fd, path, &h, shape, out, fault);
    close(fd);
    if (e == MF_OK)
        turn_axes(&h, out);
    return e;
}

enum mf_err mf_npy_map(const char *path, bool writable, struct mf_array *out, struct mf_fault *fault)
{
    struct mf_npy_head h;
    struct mf_fault why;
    size_t shape[MF_ARRAY_DIMS];
    int fd = open_npy(path, &h, fault);
    if (fd < 0)
        return MF_ESYS;
    turn_shape(&h, shape);
    enum mf_dtype t = exact_dtype(&h);
    size_t n = mf_array_elements(h.ndim, shape);
    if (t == MF_DTYPES || h.swapped || h.data % h.size != 0 || n == 0 || n == SIZE_MAX) {
        close(fd);
        return fail(fault, "map", path, "its numbers are not as this machine has them; load it instead");
    }
    struct mf_block *block =
        mf_block_map(fd, (off_t)h.data, n * h.size, writable ? MF_BLOCK_PRIVATE : MF_BLOCK_READ, &why);
    if (!block)
        return fail(fault, "map", path, why.text);
    enum mf_err e = mf_array_wrap(out, block, 0, t, h.ndim, shape, writable ? MF_GUARD_NONE : MF_GUARD_MAPPED);
    mf_block_unref(block);
    if (e != MF_OK)
        return fail(fault, "map", path, "not enough memory");
    turn_axes(&h, out);
    return MF_OK;
}

/* --- Writing ----------------------------------------------------------------------------------------------------- */

/* The head of version 1.0, padded so that the numbers begin at a multiple of 64: its length. */
static size_t make_head(const struct mf_array *a, char head[512])
{
    char text[400];
    int n = snprintf(text, sizeof text, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                     a->dtype == MF_U8 ? '|' : NATIVE, mf_dtypes[a->dtype].npy + 1);
    for (int i = 0; i < a->ndim; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%zu%s", a->shape[i],
                      a->ndim == 1      ? ","
                      : i + 1 < a->ndim ? ", "
                                        : "");
    n += snprintf(text + n, sizeof text - (size_t)n, "), }");
    size_t len = (10 + (size_t)n + 1 + 63) / 64 * 64 - 10;
    memcpy(head, MAGIC "\x01\x00", MAGIC_BYTES + 2);
    head[8] = (char)(len & 255);
    head[9] = (char)(len >> 8);
    memset(head + 10, ' ', len);
    memcpy(head + 10, text, (size_t)n);
    head[10 + len - 1] = '\n';
    return 10 + len;
}

static bool write_all(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return false;
        p += w;
        n -= (size_t)w;
    }
    return true;
}

/* A new file beside the path: its descriptor, and its name in *name, which the caller frees. -1 with errno set. */
static int open_beside(const char *path, char **name)
{
    size_t n = strlen(path) + 24;
    *name = malloc(n);
    if (!*name)
        return -1;
    snprintf(*name, n, "%s.%016llx", path, (unsigned long long)mf_sys_entropy());
    return open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
}

/* Writes a contiguous array; 0, or what errno says. */
static int write_file(const struct mf_array *a, const char *path)
{
    char head[512], *name = NULL;
    size_t len = make_head(a, head);
    int fd = open_beside(path, &name), e = fd < 0 ? errno : 0;
    if (fd >= 0) {
        if (!write_all(fd, head, len) || !write_all(fd, mf_array_data(a), a->count * mf_dtypes[a->dtype].size) ||
            fsync(fd) != 0)
            e = errno;
        if (close(fd) != 0 && e == 0)
            e = errno;
        if (e == 0 && rename(name, path) != 0)
            e = errno;
        if (e != 0)
            unlink(name);
    }
    free(name);
    return e;
}

enum mf_err mf_npy_save(struct mf_heap *heap, const struct mf_array *a, const char *path, struct mf_fault *fault)
{
    struct mf_array flat = {0};
    if (mf_array_is_contiguous(a)) {
        int e = write_file(a, path);
        return e == 0 ? MF_OK : fail(fault, "write", path, strerror(e));
    }
    enum mf_err e = mf_array_convert(heap, a, a->dtype, &flat, fault);
    if (e == MF_OK)
        e = mf_npy_save(heap, &flat, path, fault);
    mf_array_release(heap, &flat);
    return e;
}
