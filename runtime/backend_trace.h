/* The tracing twin of every backend: logs each call (log area backend) and forwards it. */
#ifndef MF_BACKEND_TRACE_H
#define MF_BACKEND_TRACE_H

#include "backend.h"

/* A table that behaves like the backend and logs; the backend itself when there is none. */
const struct mf_backend *mf_backend_traced(const struct mf_backend *backend);

#endif
