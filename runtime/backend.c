/* Design note: the one array of backends. */
#include "backend.h"

#include <string.h>

#include "backend_trace.h"
#include "log.h"

static const struct mf_backend *const backends[] = {
    &mf_backend_sequential, &mf_backend_threads, &mf_backend_forks, &mf_backend_processes, &mf_backend_cluster,
};

const char *mf_backend_name(int i)
{
    return i >= 0 && (size_t)i < sizeof backends / sizeof backends[0] ? backends[i]->name : NULL;
}

const struct mf_backend *mf_backend_find(const char *name)
{
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++)
        if (strcmp(backends[i]->name, name) == 0)
            return atomic_load(&mf_log_areas) & MF_LOG_BACKEND ? mf_backend_traced(backends[i]) : backends[i];
    return NULL;
}
