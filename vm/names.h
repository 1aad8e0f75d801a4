/* What package.loaded owns, found by identity: the values that cross by name. Also the home of what the codec
 * remembers of a state: its pristine globals. One userdata for each state, kept in the registry. */
#ifndef MF_NAMES_H
#define MF_NAMES_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#define MF_NAMES_FIELDS 3 /* longest path of fields below a module */

struct mf_names;

/* User values of the userdata. */
enum mf_names_value {
    MF_NAMES_LOADED = 1,   /* package.loaded */
    MF_NAMES_PRISTINE = 2, /* name -> value of the globals as mf_codec_open saw them */
    MF_NAMES_BASE = 3,     /* the globals table itself */
    MF_NAMES_PACKAGE = 4,  /* the package library */
    MF_NAMES_FOUND = 5,    /* modules known to be findable by require */
};

/* Pushes the userdata of this state, made when it is not there yet. May raise when memory is out. */
struct mf_names *mf_names_push(lua_State *L);

/* The address of the state's globals table. */
const void *mf_names_globals(const struct mf_names *n);

/* Brings the index up to date when a module was loaded, dropped or replaced since. ud is the userdata's stack index.
 * May raise. */
void mf_names_refresh(lua_State *L, int ud);

/* Is the value at idx owned by a loaded module, here and now? Then fills parts[] with the module's name and the
 * fields below it, and returns how many there are; else 0. The texts end in a zero byte, and stay valid until the next
 * refresh. May raise. */
struct mf_name_part {
    const char *text;
    size_t len;
};
int mf_names_find(lua_State *L, int ud, int idx, struct mf_name_part parts[MF_NAMES_FIELDS + 1]);

/* Is what was found there Lua's own, and nothing that finds modules or code? */
bool mf_names_is_standard(const struct mf_name_part *parts, int count);

/* Is the global of that name Lua's own, and nothing that finds modules or code (require, load, debug ...)? What it does
 * depends on neither modules nor the host, unlike the host's functions. */
bool mf_names_is_plain(const char *global);

#endif
