/* Error codes and the fault record: how every call of the runtime says what went wrong.
 *
 * A call that can fail returns enum mf_err (or NULL / false) and, where words help, fills a caller-owned
 * struct mf_fault. Nothing here allocates or blocks; every function may be called from any thread. */
#ifndef MF_ERR_H
#define MF_ERR_H

#include <stddef.h>

enum mf_err {
    MF_OK,
    MF_ENOMEM,     /* an allocation failed */
    MF_EINVAL,     /* an argument is out of its range */
    MF_ELIMIT,     /* a named limit was reached */
    MF_ETIMEDOUT,  /* the deadline passed */
    MF_EINTR,      /* interrupted (Ctrl-C, or the waiting task was cancelled) */
    MF_ECANCELLED, /* the future was cancelled */
    MF_ELOST,      /* the worker died or had to be given up */
    MF_ECLOSED,    /* the pool or runtime is closed */
    MF_ESYS,       /* a system call failed; the text names it */
};

/* What went wrong, in words. Owned by the caller; text is always terminated and is cut, never overrun. */
struct mf_fault {
    enum mf_err code;
    char text[248];
};

/* The fixed English text of a code, for example "out of memory". Never NULL. */
const char *mf_err_text(enum mf_err code);

/* Fills *fault (which may be NULL) from a printf format and returns code, so that a caller can write
 * return mf_fault_set(fault, MF_EINVAL, "workers must be positive, not %d", n); */
enum mf_err mf_fault_set(struct mf_fault *fault, enum mf_err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Shows bytes that somebody else has sent in a message: plain text as it is, the rest, quotes and backslashes as \xNN and
 * \n. Ends out, which has room bytes, and cuts rather than overruns. */
void mf_err_show(char *out, size_t room, const void *bytes, size_t n);

#endif
