/* Finds the source of a Lua module for an agent that lacks it. Bytes only: a search path is templates with '?', and
 * nothing here knows what is in a file. */
#ifndef MF_MODULES_H
#define MF_MODULES_H

#include <stdbool.h>

#include "buf.h"

#define MF_MODULES_MAX ((size_t)64 << 20) /* bytes of a module's source */

/* Appends the body of a MODULE message (msg.h): found or not, the file's name as a chunk name ("@lib/fit.lua"), its
 * content. path is like Lua's package.path; dots of the name become slashes. False when memory is out. */
bool mf_modules_find(const char *path, const char *name, struct mf_buf *body);

#endif
