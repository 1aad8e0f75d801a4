/* Design note: a line is formatted on the stack and leaves by one write(2); there is no buffer to flush and no lock. A
 * sink is counted in and out, so that whoever takes it away knows when nobody is in it any more. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sys.h"

#define LINE_MAX_BYTES 512

atomic_uint mf_log_areas;
static int log_fd = STDERR_FILENO; /* see the header: written once, before any worker */
static _Atomic(const struct mf_log_sink *) log_sink;
static atomic_int sink_users; /* threads that may be in the sink */

static const struct {
    const char *name;
    unsigned bits;
} areas[] = {
    {"future", MF_LOG_FUTURE},
    {"pool", MF_LOG_POOL},
    {"backend", MF_LOG_BACKEND},
    {"all", MF_LOG_FUTURE | MF_LOG_POOL | MF_LOG_BACKEND},
};

static unsigned area_bits(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof areas / sizeof areas[0]; i++)
        if (strlen(areas[i].name) == len && memcmp(areas[i].name, name, len) == 0)
            return areas[i].bits;
    return 0;
}

enum mf_err mf_log_configure(const char *spec, struct mf_fault *fault)
{
    unsigned bits = 0;
    const char *file = strchr(spec, ':');
    const char *end = file ? file : spec + strlen(spec);
    for (const char *p = spec; p <= end;) {
        size_t len = strcspn(p, ",:");
        unsigned bit = area_bits(p, len);
        if (!bit)
            return mf_fault_set(fault, MF_EINVAL, "log: unknown area '%.*s' (use future, pool, backend or all)",
                                (int)len, p);
        bits |= bit;
        p += len + 1;
    }
    if (file) {
        int fd = open(file + 1, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0)
            return mf_fault_set(fault, MF_ESYS, "log: cannot open '%s': %s", file + 1, strerror(errno));
        log_fd = fd;
    }
    atomic_store(&mf_log_areas, bits);
    return MF_OK;
}

/* Until nobody can be in the sink that was there. */
static void wait_for_users(void)
{
    for (unsigned turn = 0; atomic_load(&sink_users) > 0; turn++)
        mf_sys_spin(turn, 1);
}

void mf_log_to(const struct mf_log_sink *sink)
{
    atomic_store(&log_sink, sink);
    wait_for_users();
}

void mf_log_end(const struct mf_log_sink *sink)
{
    const struct mf_log_sink *expected = sink;
    if (!atomic_compare_exchange_strong(&log_sink, &expected, NULL))
        return;
    atomic_store(&mf_log_areas, 0);
    wait_for_users();
}

void mf_log_forget(void)
{
    if (atomic_exchange(&log_sink, NULL))
        atomic_store(&mf_log_areas, 0);
}

static void put_out(char *text, int n)
{
    atomic_fetch_add(&sink_users, 1);
    const struct mf_log_sink *sink = atomic_load(&log_sink);
    if (sink)
        sink->line(sink->arg, text, (size_t)n);
    atomic_fetch_sub(&sink_users, 1);
    if (sink)
        return;
    text[n] = '\n';
    ssize_t done = write(log_fd, text, (size_t)n + 1);
    (void)done; /* a trace line that cannot be written has nowhere to complain */
}

void mf_log_line(const char *file, int line, const char *format, ...)
{
    char text[LINE_MAX_BYTES];
    const char *base = strrchr(file, '/');
    int at = snprintf(text, sizeof text, "%.6f ", (double)mf_sys_now() / 1e9);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text + at, sizeof text - (size_t)at, format, args);
    va_end(args);
    at = n < 0 ? at : at + n;
    if (at > LINE_MAX_BYTES - 64)
        at = LINE_MAX_BYTES - 64;
    at += snprintf(text + at, sizeof text - (size_t)at, " (%.40s:%d)", base ? base + 1 : file, line);
    put_out(text, at < LINE_MAX_BYTES ? at : LINE_MAX_BYTES - 1);
}
