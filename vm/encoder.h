/* What encode.c, encode_globals.c and encode_path.c share, and nobody else includes: the encoder and its frames.
 *
 * All of an encode runs in one protected call whose stack begins with the slots below; so an error of any kind
 * comes back to one place that cuts the message off and gives the encoder back. */
#ifndef MF_ENCODER_H
#define MF_ENCODER_H

#include <lauxlib.h>
#include <stdint.h>

#include "codec.h"
#include "codec_tags.h"
#include "names.h"
#include "ptrmap.h"

enum { SLOT_ENCODER = 1, SLOT_GLOBALS, SLOT_SKIP, SLOT_NAMES, SLOT_LIVE, SLOT_VALUE };

/* User values of the encoder. */
enum { KEEP_NAMES = 1, KEEP_SAVE, KEEP_LOAD, KEEP_QUEUE, KEEP_ANCHORS, KEEP_COUNT = KEEP_ANCHORS };

enum mf_frame_kind { FRAME_TABLE, FRAME_FUNC, FRAME_USER };

enum mf_frame_phase {
    TABLE_DIRECT,  /* table, key (not used): values 1..at are written, by index */
    TABLE_ARRAY,   /* table, key: values 1..at are written, in the order of lua_next */
    TABLE_FILL,    /* table, key: lua_next left that order; the rest of 1..last is fetched by index */
    TABLE_RESUME,  /* table, key: the key that lua_next left it with is still to do */
    TABLE_PAIRS,   /* table, key */
    TABLE_VALUE,   /* table, key, value: a key that was a container is written */
    TABLE_META,    /* table: its metatable is written */
    FUNC_UPVALUES, /* function: upvalues 1..at are written */
    USER_LOADER,   /* object, loader, saved */
    USER_SAVED,
    USER_DONE,
};

/* A container that is being written. Its stack slots begin at base; its children lie above them. */
struct mf_frame {
    unsigned char kind, phase;
    bool has_meta;
    int base;
    lua_Unsigned at, last; /* index reached, and where the array part or the upvalues end */
    lua_Unsigned skip;     /* integer keys skip..last are written already */
    size_t hint;           /* offset of the table's size hint */
    size_t pairs;
};

struct mf_large {
    size_t bytes;
    char name[48];
};

#define MF_LARGEST 5

struct mf_encoder {
    struct mf_buf *out; /* NULL: not in use */
    size_t start;       /* where the message begins */
    struct mf_ptrmap strings, objects;
    struct mf_frame *frames;
    size_t depth, frames_cap;
    uint32_t string_count, object_count, cell_count, env_count;
    unsigned flags;
    bool named_ready;               /* the index of names was brought up to date for this message */
    bool restart;                   /* the collector ran before a __save was called */
    const void *globals, *globals2; /* tables that are environment 0 */
    struct mf_names *names;

    int self, opt_globals, opt_skip, opt_live; /* stack indices of the caller */
    uint64_t live_number;
    size_t live_bytes; /* of the present global: what its live values would have taken */
    bool no_scan;
    bool holds, parts, freeze; /* as in the options */
    size_t holds_before;       /* what out held before the message */
    lua_Integer anchors;       /* values held until the end of the message */

    lua_Integer queue_head, queue_tail; /* globals found and not yet written */
    struct mf_ptrmap *seen;             /* for each environment, the names that were looked up */
    uint32_t seen_cap;
    bool overridden, have_main;
    uint32_t main_env;        /* the environment of the first function */
    size_t limit, used, item; /* bytes of globals: allowed, written, where the present one starts (0 = none) */
    struct mf_large largest[MF_LARGEST];

    const char *what; /* names the top-level value in errors */
    lua_Integer number;
    const char *global; /* or the global that is being written */
};

#define MF_ENV_MARK  0x80000000u /* in a number of the objects map: the table is an environment */
#define MF_OPEN_MARK 0x40000000u /* what __save returned is still being written */
#define MF_MAX_IDS   0x3fffffffu

/* encode.c */
void mf_encoder_value(lua_State *L, struct mf_encoder *e); /* writes the value on the top and pops it */

/* encode_scalar.c: all append, and raise when memory is out */
void mf_encoder_grow(lua_State *L, struct mf_encoder *e, size_t n);

/* Where the next n bytes go; the caller moves out->len. */
static inline unsigned char *mf_encoder_room(lua_State *L, struct mf_encoder *e, size_t n)
{
    if (e->out->cap - e->out->len < n)
        mf_encoder_grow(L, e, n);
    return e->out->data + e->out->len;
}

static inline void mf_encoder_write_le(unsigned char *to, uint64_t n, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (unsigned char)(n >> (8 * i));
}

void mf_encoder_byte(lua_State *L, struct mf_encoder *e, unsigned byte);
void mf_encoder_varint(lua_State *L, struct mf_encoder *e, uint64_t n);
void mf_encoder_tagged(lua_State *L, struct mf_encoder *e, unsigned tag, uint64_t n);
void mf_encoder_text(lua_State *L, struct mf_encoder *e, const char *text, size_t len); /* length and bytes */
void mf_encoder_numbers(lua_State *L, struct mf_encoder *e, const uint64_t *bits, size_t n, bool floats);

/* The string at idx; keep: it is a key, likely to come again. */
void mf_encoder_string(lua_State *L, struct mf_encoder *e, int idx, bool keep);

/* Writes the value on the top when it is a scalar other than a string; false when it is something else. */
bool mf_encoder_scalar(lua_State *L, struct mf_encoder *e, int type);

_Noreturn void mf_encoder_too_many(lua_State *L); /* objects */

/* encode_live.c */

/* Writes LIVE for the value on the top, whose object number is taken, and pops it, if it is to be inherited rather than
 * sent; else false. */
bool mf_encoder_live_table(lua_State *L, struct mf_encoder *e);
bool mf_encoder_live_string(lua_State *L, struct mf_encoder *e);
bool mf_encoder_live_other(lua_State *L, struct mf_encoder *e);
/* encode_array.c: writes the value on the top and pops it, if it is an array; else false */
bool mf_encoder_array(lua_State *L, struct mf_encoder *e);
bool mf_encoder_share(lua_State *L, struct mf_encoder *e); /* the same for a share */

/* encode_message.c */
void mf_encoder_anchor(lua_State *L, struct mf_encoder *e, int idx);    /* holds the value until the message ends */
void mf_encoder_collector(lua_State *L, struct mf_encoder *e, bool on); /* stops it, or lets it run as before */

/* encode_globals.c */

/* The environment that the table at idx, value of an upvalue of that name, stands for: its number + 1, or 0. */
uint32_t mf_encoder_env(lua_State *L, struct mf_encoder *e, int idx, const char *upvalue);

/* Scans the function at idx, whose bytecode lies in e->out at offset, and queues the globals that it names. */
void mf_encoder_scan(lua_State *L, struct mf_encoder *e, int idx, size_t offset, size_t len, int upvalues);

/* Writes the globals that are queued, and those that they lead to. */
void mf_encoder_globals(lua_State *L, struct mf_encoder *e);

/* Raises an error when the globals written so far pass the limit. */
void mf_encoder_check_limit(lua_State *L, struct mf_encoder *e);

void mf_encoder_globals_clear(struct mf_encoder *e);
void mf_encoder_globals_release(struct mf_encoder *e);

/* encode_path.c */

/* Raises "cannot send <thing> (<path of the value at hand>)<tail>". */
_Noreturn void mf_encoder_refuse(lua_State *L, struct mf_encoder *e, const char *thing, const char *tail);

/* The same for the value at idx, described by its type. */
_Noreturn void mf_encoder_refuse_value(lua_State *L, struct mf_encoder *e, int idx, const char *tail);

#endif
