/* Trace lines for developers and for bug reports: what the program's option --log and MOONFLEET_LOG switch on.
 *
 * The one piece of process-wide state beside signals: where the lines go and which areas are wanted, since tracing
 * is about the whole process and must work before a runtime exists. Written by mf_log_configure before the first
 * worker starts, only read afterwards. A line is one write, so lines of several threads never mix. */
#ifndef MF_LOG_H
#define MF_LOG_H

#include <stdatomic.h>
#include <stddef.h>

#include "err.h"

enum mf_log_area {
    MF_LOG_FUTURE = 1,  /* every change of a future's state */
    MF_LOG_POOL = 2,    /* workers: start, stop, loss */
    MF_LOG_BACKEND = 4, /* every call of a backend's table */
};

extern atomic_uint mf_log_areas; /* the areas that are on */

/* SPEC is "area[,area...][:file]" with the areas future, pool, backend, all; lines go to stderr or are appended to
 * the file. Returns MF_EINVAL naming an unknown area, MF_ESYS naming a file that cannot be opened. */
enum mf_err mf_log_configure(const char *spec, struct mf_fault *fault);

/* Lines go to sink (without the newline; any thread, also several at once) from now on, in place of stderr or a file, or no
 * longer when it is NULL; sink must live on until another call has returned. */
struct mf_log_sink {
    void (*line)(void *arg, const char *text, size_t n);
    void *arg;
};
void mf_log_to(const struct mf_log_sink *sink);

/* The same, but only if sink is where they go, and tracing ends. */
void mf_log_end(const struct mf_log_sink *sink);

/* In a forked child: what the parent's sink does is not for its child. */
void mf_log_forget(void);

/* Writes one line if the area is on. Any thread; not from a signal handler. */
#define mf_log(area, ...)                                                                                              \
    do {                                                                                                               \
        if (atomic_load_explicit(&mf_log_areas, memory_order_relaxed) & (area))                                        \
            mf_log_line(__FILE__, __LINE__, __VA_ARGS__);                                                              \
    } while (0)

void mf_log_line(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
