/* Design note: the library is loaded by name and not linked, so that a node without it can run the same program. It is
 * never unloaded, since its threads cannot be. */
#include "array_blas.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#ifdef MF_OPENBLAS
static const char *const names[] = {"libopenblas.so.0", "libopenblas.so", "libopenblas.dylib", NULL};
#else
static const char *const names[] = {NULL};
#endif
#ifndef RTLD_NODELETE
#define RTLD_NODELETE 0
#endif

/* A function's address, by way of memory: C has no conversion from void *. */
static void find(void *library, const char *name, void *function)
{
    void *address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
}

void mf_blas_open(struct mf_blas *b)
{
    void *library = NULL;
    if (b->tried)
        return;
    b->tried = true;
    for (int i = 0; !library && names[i]; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library)
        return;
    void (*set_threads)(int) = NULL;
    find(library, "openblas_set_num_threads", &set_threads);
    find(library, "cblas_dgemm", &b->dgemm);
    find(library, "cblas_sgemm", &b->sgemm);
    if (set_threads)
        set_threads(1);
}
