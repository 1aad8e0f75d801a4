/* Design note: libedit and what it brings along is loaded by name and not linked, since a script and a worker process need
 * none of it and would pay for it at each start. It stays loaded: it may have left handlers behind. */
#include "repl_libedit.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

struct mf_libedit mf_libedit;

static const struct {
    const char *symbol;
    void *place;
} functions[] = {
#define X(name) {#name, &name},
    MF_LIBEDIT_FUNCTIONS(X)
#undef X
};

bool mf_repl_libedit_load(void)
{
    void *library = dlopen(MF_LIBEDIT, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return false;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *address = dlsym(library, functions[i].symbol);
        if (!address) {
            dlclose(library);
            return false;
        }
        memcpy(functions[i].place, &address, sizeof address);
    }
    return true;
}
