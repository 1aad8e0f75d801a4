/* The standard library's Lua sources, embedded in the program. scripts/embed.sh writes the table at build time
 * from stdlib/moonfleet: init.lua is the module "moonfleet", map.lua is "moonfleet.map". */
#ifndef MF_STDLIB_H
#define MF_STDLIB_H

#include <stddef.h>

struct mf_stdlib_entry {
    const char *name;          /* the module's name for require; NULL ends the table */
    const unsigned char *data; /* Lua source text, never bytecode; not terminated */
    size_t size;               /* bytes of data */
};

extern const struct mf_stdlib_entry mf_stdlib[]; /* sorted by file name; constant, any thread may read it */

#endif
