/* Design note: no lock and no pthread_once. Threads that load the same library at the same time write the same addresses,
 * so it does no harm that they do it twice; a child that was forked meanwhile can load it anew; and what has failed may be
 * tried again once somebody has installed the library. */
#include "library.h"

#include <dlfcn.h>
#include <string.h>

#define WHY_BYTES 150 /* of the linker's words, so that there is room for what to do */

static enum mf_err failed(const struct mf_library *l, struct mf_fault *fault)
{
    const char *why = dlerror();
    size_t n = strlen(l->name);
    if (!why)
        why = "unknown error";
    if (strncmp(why, l->name, n) == 0 && strncmp(why + n, ": ", 2) == 0)
        why += n + 2;
    return mf_fault_set(fault, MF_ESYS, "cannot load %s: %.*s; %s", l->name, WHY_BYTES, why, l->instead);
}

/* A function's address, by way of memory: C has no conversion from void *. */
static mf_library_function *find(void *handle, const char *symbol)
{
    void *address = dlsym(handle, symbol);
    mf_library_function *function;
    memcpy(&function, &address, sizeof function);
    return function;
}

enum mf_err mf_library_load(const struct mf_library *l, struct mf_fault *fault)
{
    if (atomic_load_explicit(l->loaded, memory_order_acquire))
        return MF_OK;
    void *handle = dlopen(l->name, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return failed(l, fault);
    for (size_t i = 0; i < l->n; i++) {
        mf_library_function *function = find(handle, l->symbols[i]);
        if (!function) {
            enum mf_err e = failed(l, fault);
            dlclose(handle);
            return e;
        }
        atomic_store_explicit(&l->functions[i], function, memory_order_relaxed);
    }
    atomic_store_explicit(l->loaded, true, memory_order_release);
    return MF_OK;
}
