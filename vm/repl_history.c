/* Design note: each statement is appended under a lock on the file. When the file has grown to twice what is kept, whoever
 * appends writes the newer half to a file beside it and renames that over the old one, still under the lock; a session
 * that waited for the lock meanwhile sees that its descriptor is not the file any more, and opens again. So no statement
 * is lost, and no half file ever stands under the name. */
#include "repl_history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BYTES_MOST ((size_t)8 << 20) /* of the file; what lies before is not read */
#define TRIES      8                 /* at a file that others keep renaming */
#define PATIENCE   100               /* times 10 ms for the lock, which a stopped process might keep */

/* --- Where it is ------------------------------------------------------------------------------------------------- */

static char *join(const char *a, const char *b)
{
    size_t n = strlen(a) + strlen(b) + 1;
    char *text = malloc(n);
    if (text)
        snprintf(text, n, "%s%s", a, b);
    return text;
}

/* Makes the folders that lead to path. */
static bool make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool there = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!there)
            return false;
    }
    return true;
}

char *mf_repl_history_path(void)
{
    const char *own = getenv("MOONFLEET_HISTORY"), *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (own)
        path = *own ? join(own, "") : NULL;
    else if (state && *state == '/')
        path = join(state, "/moonfleet/history");
    else if (home && *home)
        path = join(home, "/.local/state/moonfleet/history");
    if (path && !make_folders(path)) {
        free(path);
        path = NULL;
    }
    return path;
}

/* --- Lines ------------------------------------------------------------------------------------------------------- */

/* The statement as a line; NULL when memory is out. */
static char *encode(const char *text, size_t len, size_t *n)
{
    char *line = malloc(2 * len + 1);
    *n = 0;
    for (size_t i = 0; line && i < len; i++) {
        if (text[i] == '\n' || text[i] == '\\')
            line[(*n)++] = '\\';
        line[(*n)++] = text[i] == '\n' ? 'n' : text[i];
    }
    if (line)
        line[(*n)++] = '\n';
    return line;
}

/* In place; returns the statement's length. */
static size_t decode(char *line, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        bool escaped = line[i] == '\\' && i + 1 < len;
        i += escaped;
        line[n++] = escaped && line[i] == 'n' ? '\n' : line[i];
    }
    return n;
}

/* The file's end, from the beginning of a line on, allocated; NULL when there is none. */
static char *read_end(int fd, size_t *len)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || status.st_size <= 0)
        return NULL;
    size_t size = (size_t)status.st_size < BYTES_MOST ? (size_t)status.st_size : BYTES_MOST;
    off_t start = status.st_size - (off_t)size;
    char *bytes = malloc(size);
    ssize_t got = bytes ? pread(fd, bytes, size, start) : -1;
    if (got <= 0) {
        free(bytes);
        return NULL;
    }
    *len = (size_t)got;
    char *newline = start > 0 ? memchr(bytes, '\n', *len) : NULL;
    if (newline) {
        *len -= (size_t)(newline + 1 - bytes);
        memmove(bytes, newline + 1, *len);
    }
    return bytes;
}

/* Where the last most lines of the text begin, and how many lines there are. */
static char *last_lines(char *text, size_t len, size_t most, size_t *count)
{
    char *start = text;
    *count = 0;
    for (char *at = text + len; at > text; at--) {
        if (at[-1] != '\n')
            continue;
        if (*count == most) /* it ends the line before the last ones */
            start = at;
        (*count)++;
    }
    return start;
}

void mf_repl_history_load(const char *path, void (*each)(void *arg, const char *text, size_t len), void *arg)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t len = 0, count;
    char *text = fd >= 0 ? read_end(fd, &len) : NULL;
    if (fd >= 0)
        close(fd);
    if (!text)
        return;
    char *end = text + len;
    for (char *line = last_lines(text, len, MF_REPL_HISTORY_MOST, &count), *next; line < end; line = next) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        next = newline ? newline + 1 : end;
        size_t n = decode(line, (size_t)((newline ? newline : end) - line));
        if (n > 0)
            each(arg, line, n);
    }
    free(text);
}

/* --- Appending --------------------------------------------------------------------------------------------------- */

/* Is what the path names the file behind the descriptor? */
static bool is_current(const char *path, int fd)
{
    struct stat named, opened;
    return stat(path, &named) == 0 && fstat(fd, &opened) == 0 && named.st_dev == opened.st_dev &&
           named.st_ino == opened.st_ino;
}

static bool is_file(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

static bool lock_file(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    const struct timespec pause = {.tv_nsec = 10000000};
    for (int i = 0; i < PATIENCE; i++) {
        if (fcntl(fd, F_SETLK, &lock) == 0)
            return true;
        if (errno != EACCES && errno != EAGAIN && errno != EINTR)
            return false;
        nanosleep(&pause, NULL);
    }
    return false;
}

/* The file, open and locked; -1 when it cannot be had. */
static int open_locked(const char *path)
{
    for (int i = 0; i < TRIES; i++) {
        int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
        if (fd < 0)
            return -1;
        if (!is_file(fd) || !lock_file(fd)) {
            close(fd);
            return -1;
        }
        if (is_current(path, fd))
            return fd;
        close(fd);
    }
    return -1;
}

static bool write_whole(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        n -= (size_t)done;
    }
    return true;
}

/* Writes the last statements to a file beside it, which takes its place. */
static void replace(const char *path, const char *bytes, size_t n)
{
    char *fresh = join(path, ".XXXXXX");
    int fd = fresh ? mkstemp(fresh) : -1;
    if (fd >= 0) {
        bool ok = write_whole(fd, bytes, n);
        ok = close(fd) == 0 && ok;
        if (!ok || rename(fresh, path) != 0)
            unlink(fresh);
    }
    free(fresh);
}

static void trim(const char *path, int fd)
{
    size_t len = 0, count;
    char *text = read_end(fd, &len);
    if (!text)
        return;
    const char *kept = last_lines(text, len, MF_REPL_HISTORY_MOST, &count);
    if (count >= 2 * (size_t)MF_REPL_HISTORY_MOST)
        replace(path, kept, (size_t)(text + len - kept));
    free(text);
}

/* Counting lines at each statement would be too much: the file is looked at only when it may be too long. */
static bool may_be_long(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_size >= 4 * (off_t)MF_REPL_HISTORY_MOST;
}

void mf_repl_history_append(const char *path, const char *text, size_t len)
{
    size_t n;
    if (len == 0 || len > MF_REPL_HISTORY_BYTES)
        return;
    char *line = encode(text, len, &n);
    int fd = line ? open_locked(path) : -1;
    if (fd >= 0) {
        if (write_whole(fd, line, n) && may_be_long(fd))
            trim(path, fd);
        close(fd);
    }
    free(line);
}
