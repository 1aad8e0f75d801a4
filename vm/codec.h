/* The codec: Lua values <-> bytes. encode.c and decode.c mirror each other, tag by tag, in the order below.
 *
 * A message is one header byte (enum mf_codec_flag) and any number of top-level values. Numbers are little
 * endian; counts, lengths and references are varints (7 bits a byte, least significant first, high bit = more).
 *
 *   NIL FALSE TRUE
 *   INT1 INT2 INT4 INT8   two's complement of 1, 2, 4, 8 bytes; the shortest that holds the integer
 *   FLOAT                 the 8 bytes of an IEEE double, NaN payloads and -0.0 included
 *   STR len bytes         STRKEEP: the same, and the string takes the next string number
 *   STRREF number         a string that took a number before
 *   TABLE array hash ...  array: count of leading values at 1..array; hash: one byte, 0 = no other keys,
 *                         n = at most 2^(n-1) of them (a size hint only). Values 1..array, then key and value
 *                         pairs, then END. If META follows END's place: META and the metatable, before END.
 *                         A table takes the next object number when its tag is read (so cycles work).
 *   REF number            an object (table, function, user value, environment) that took a number before
 *   FUNC ...              bytecode, then its upvalues; see encode.c. Takes an object number
 *   UPVAL, UPREF          an upvalue cell met for the first time (then its value), or met again
 *   NAMED n module field* a value that package.loaded owns, found on the other side by require and n fields (one
 *                         byte; each text a length and bytes). Takes an object number
 *   USER loader value     what __save returned, and before it the metatable (NAMED) that owns the __load which
 *                         takes it, or that function. Takes an object number when its tag is read
 *   ARRAY ...             numbers, or where they are in what the message holds; see array_tags.h. Takes an object
 *                         number
 *   SHARE place           a share (lib_share.h): the place of its block in what the message holds. Takes an object
 *                         number
 *   ENV number            an environment of functions: 0 is the state's own, the others are met in any order
 *   GLOBAL env name value a name (length and bytes) and its value in an environment; follows a top-level value
 *   STD env name          the same where the receiver has the value itself
 *   LIVE list place       a value that the receiver inherited (live.h). Takes an object number
 *
 * 0x80..0xff               the small integers 0..127
 *
 * Limits are the constants below; a sender that would pass one raises an error that names the path of the
 * value, so that an honest peer never makes a message that the reader refuses. A reader checks every length,
 * count, reference and tag against what is left before it uses it, and spends memory only as bytes arrive. */
#ifndef MF_CODEC_H
#define MF_CODEC_H

#include <lua.h>
#include <stdint.h>

#include "../runtime/buf.h"

#define MF_CODEC_VERSION     3
#define MF_CODEC_DEPTH       100000                      /* nested tables, functions and upvalues */
#define MF_CODEC_GLOBALS_MAX ((size_t)500 * 1024 * 1024) /* bytes of snapshotted globals, by default */

enum mf_codec_flag {
    MF_CODEC_GLOBALS = 1, /* environments carry values of their own */
    MF_CODEC_CLOSED = 2,  /* decoding once and calling many times cannot be told from decoding each time: no
                             table or user value of its own, no function that sets an upvalue or a global */
    MF_CODEC_REFS = 4,    /* REF occurs: the reader must remember objects (the codec's own business) */
    MF_CODEC_MODULES = 8, /* it names something beyond Lua's standard library, or what finds modules and code (require,
                             load, debug, _G ...): what it does may depend on what the reader has loaded, and when,
                             and on the host */
};

struct mf_encoder;
struct mf_decoder;

struct mf_encode_options { /* all zero: the defaults; the indices must stay valid until the end of the message */
    bool no_scan;          /* do not look for the globals that functions name (globals = false) */
    int globals;           /* stack index of a table name -> value that adds to and overrides them, or 0 */
    int skip;              /* stack index of a table name -> value: globals that the workers already have and that
                           are not sent while the value is still the same (raw equality), or 0 */
    size_t globals_max;    /* bytes; 0 = MF_CODEC_GLOBALS_MAX */
    int env;               /* stack index of a table that also counts as environment 0 (a task's own), or 0 */
    int live;              /* stack index of a list (live.h): what is large, or cannot be sent but inherited, goes
                              there; or 0 */
    uint64_t live_number;  /* the list's number */
    bool holds;            /* large arrays are not copied: the message refers to their memory, which out->holds keeps,
                              and the caller passes that on with the bytes (mf_session_blob does) */
    bool parts;            /* with holds: arrays are parts of one that goes to all, however small they are */
    bool freeze;           /* arrays become read-only for who reads the message */
};

/* Starts a message at the end of out, which the caller owns and keeps alive. Nested use (a __save that encodes
 * something itself) is allowed. Raises a Lua error when memory is out. Leaves the encoder, a userdata, on the
 * Lua stack: the caller must keep it there, and below everything it pushes later, until mf_encode_end. */
struct mf_encoder *mf_encode_begin(lua_State *L, struct mf_buf *out, const struct mf_encode_options *options);

/* Appends the value at idx, which must not change until the end of the message (it need not stay reachable: the
 * encoder holds on to it), and the globals that its functions name. what names it in errors, with an optional
 * number: ("argument", 2), ("element", 17),
 * ("function", 0). A value that cannot be sent is a Lua error such as
 *   cannot send a coroutine (upvalue 'co' of function at fit.lua:12)
 *   cannot send a file handle (argument 2.log[3])
 * after which out is cut back to where the message began and the encoder needs no further call. */
void mf_encode_value(lua_State *L, struct mf_encoder *e, int idx, const char *what, lua_Integer number);

/* The reader will require modules because of the message, whatever its values refer to. */
void mf_encode_modules(struct mf_encoder *e);

/* Ends the message: writes the header byte and returns it. The caller may then pop the encoder. */
unsigned mf_encode_end(lua_State *L, struct mf_encoder *e);

struct mf_decode_options {
    bool trust; /* false: bytecode and functions by name are refused (bytes from outside); true: local peers */
    int env;    /* stack index of the table that is environment 0, into which GLOBALS are set directly; 0: the
                   state's globals, left untouched: GLOBALS make an environment of their own that inherits them */
    bool live;  /* the state is a fork of the sender's: LIVE is understood */
    const struct mf_holds *holds; /* what the message refers to; NULL: nothing. Must stay until the end */
};

/* Starts reading a message; bytes must stay alive and unchanged until the end. Leaves the decoder, a userdata, on
 * the Lua stack (keep it below everything pushed later). Malformed bytes raise a Lua error that begins with
 * "malformed message". */
struct mf_decoder *mf_decode_begin(lua_State *L, const void *bytes, size_t len,
                                   const struct mf_decode_options *options);
unsigned mf_decode_flags(const struct mf_decoder *d);     /* the header byte */
bool mf_decode_more(const struct mf_decoder *d);          /* is there another top-level value? */
void mf_decode_value(lua_State *L, struct mf_decoder *d); /* pushes it */
void mf_decode_end(lua_State *L, struct mf_decoder *d);   /* raises if bytes are left over */

/* Calls the C function under its nargs arguments, which decodes len bytes, and leaves all its results, as lua_call
 * would. While a long message is read the collector stands still: nothing of it is garbage yet, and going over half of
 * it again and again costs more than reading it. */
void mf_decode_call(lua_State *L, int nargs, size_t len);

/* Where a lib or state keeps what the codec must know of the state it runs in; called once for each state when its
 * standard libraries are open and before user code runs: remembers the pristine globals (name -> value). */
void mf_codec_open(lua_State *L);

/* The same in a Lua that has run user code before: only what is the standard library's counts as pristine. */
void mf_codec_open_stock(lua_State *L);

/* In a fork of an owner: from now on the table at base holds the state's globals; the one at pristine holds what counts as
 * pristine among them. Functions of the standard library may have been replaced. */
void mf_codec_adopt(lua_State *L, int base, int pristine);

/* What package.loaded owns may have changed: the index of it is built anew at the next message. */
void mf_codec_forget(lua_State *L);

#endif
