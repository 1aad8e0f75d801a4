/* A program that loads libmoonfleet.so, named by its argument, as a plug-in: for itself only. Runs code that needs a
 * C module, in the interpreter and in a worker. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../vm/moonfleet.h"

static const char code[] =
    "local encode = function() return require('cjson').encode({ 1 }) end "
    "assert(encode() == '[1]') "
    "local mf = require('moonfleet') mf.plan('threads:1') assert(mf.future(encode):value() == '[1]')";

static void *find(void *library, const char *name)
{
    void *found = library ? dlsym(library, name) : NULL;
    if (!found) {
        fprintf(stderr, "%s\n", dlerror());
        exit(EXIT_FAILURE);
    }
    return found;
}

int main(int argc, char *argv[])
{
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    enum mf_status (*open_one)(const struct mf_config *, struct mf_interp **) = find(library, "mf_open");
    enum mf_status (*run)(struct mf_interp *, const char *, size_t, const char *) = find(library, "mf_run_string");
    const char *(*error)(const struct mf_interp *) = find(library, "mf_error");
    size_t (*close_one)(struct mf_interp *) = find(library, "mf_close");
    struct mf_interp *interp;
    int failed = open_one(NULL, &interp) != MF_RUN_OK || run(interp, code, strlen(code), "=plugin") != MF_RUN_OK;
    if (failed)
        fprintf(stderr, "%s\n", error(interp));
    close_one(interp);
    dlclose(library);
    return failed;
}
