/* A shared library that is loaded when it is first needed: a program that never needs it does not pay for it at each of
 * its starts and forks. Its headers are compiled against as if it were linked. Any thread; loading blocks on the disk. */
#ifndef MF_LIBRARY_H
#define MF_LIBRARY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "err.h"

typedef void mf_library_function(void); /* stands for one of any type */

struct mf_library {
    const char *name;           /* as the dynamic linker knows it: "libssh2.so.1" */
    const char *instead;        /* what a person can do who lacks it: "install libssh2, or ..." */
    const char *const *symbols; /* the functions that are needed */
    size_t n;
    _Atomic(mf_library_function *) *functions; /* where they come, in that order; written by mf_library_load only */
    atomic_bool *loaded;                       /* false before that */
};

/* Makes the functions ready; at once when they are. The library stays for the rest of the process. MF_ESYS and a fault that
 * says which library, why and what to do, when it cannot be loaded or lacks one of them: another call tries again. */
enum mf_err mf_library_load(const struct mf_library *library, struct mf_fault *fault);

/* The function of that name, as its header declares it, at its place among the functions: to be defined as what the name
 * stands for, so that calls look as ever. The library must be loaded. */
#define MF_LIBRARY_FUNCTION(name, place) ((__typeof__(&name))atomic_load_explicit(&(place), memory_order_relaxed))

#endif
