/* Characters for the editor: from bytes to wide characters and back without loss, and how much room they take. The locale
 * whose characters are meant is set by the caller (uselocale), for all but open and close. */
#ifndef MF_REPL_WIDE_H
#define MF_REPL_WIDE_H

#include <locale.h>
#include <stdbool.h>
#include <wchar.h>

#include "repl_input.h"

struct mf_repl_wide {
    locale_t locale;
    char bytes[8]; /* put and not yet got */
    size_t n;
};

/* The locale of the environment, with UTF-8 where that names none. False when it cannot be had. */
bool mf_repl_wide_open(struct mf_repl_wide *wide);
void mf_repl_wide_close(struct mf_repl_wide *wide);

/* Bytes go in one by one; before the next one, all characters that there are must be got. get is false when there is no
 * whole one yet. */
void mf_repl_wide_put(struct mf_repl_wide *wide, char byte);
bool mf_repl_wide_get(struct mf_repl_wide *wide, wchar_t *c);

/* The characters of n bytes, allocated and terminated; NULL when memory is out. */
wchar_t *mf_repl_wide_from(const char *bytes, size_t n);

/* Adds the bytes of n characters to a text; false when memory is out. */
bool mf_repl_wide_to(const wchar_t *chars, size_t n, struct mf_repl_text *text);

struct mf_repl_wide_text {
    wchar_t *chars; /* terminated; NULL when empty; the caller frees it */
    size_t len, room;
};

bool mf_repl_wide_add(struct mf_repl_wide_text *text, wchar_t c); /* false when memory is out */

/* Where the cursor is, below and right of where a text begins; columns is the terminal's. */
struct mf_repl_place {
    int columns, row, column;
    bool hidden; /* between two \1, where terminal codes stand */
};

/* Moves behind one more character, as libedit draws it. */
void mf_repl_wide_advance(struct mf_repl_place *place, wchar_t c);

#endif
