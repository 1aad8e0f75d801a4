/* Design note: a byte that is no character becomes RAW plus itself, a character for private use, which terminals show as a
 * box, and goes back to what it was. The few such characters that a text may have for its own are taken for bytes, too. (A
 * surrogate would be no character of any text, but libedit shows it as a code of seven columns, and draws beyond its
 * screen when there are many.) */
#define _XOPEN_SOURCE 700 /* wcwidth */
#include "repl_wide.h"

#include <langinfo.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

#define RAW         0xF700
#define RAW_FIRST   (RAW + 0x80)
#define RAW_LAST    (RAW + 0xFF)
#define HIDE        L'\1'
#define TAB_STOP    8
#define CODE_WIDTH  7 /* of a character that cannot be printed: \U+0085 */
#define LARGE_WIDTH 8

bool mf_repl_wide_open(struct mf_repl_wide *wide)
{
    *wide = (struct mf_repl_wide){.locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0)};
    bool is_plain = !wide->locale || strcmp(nl_langinfo_l(CODESET, wide->locale), "ANSI_X3.4-1968") == 0;
    locale_t better = is_plain ? newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0) : (locale_t)0;
    if (better) {
        if (wide->locale)
            freelocale(wide->locale);
        wide->locale = better;
    }
    return wide->locale != (locale_t)0;
}

void mf_repl_wide_close(struct mf_repl_wide *wide)
{
    if (wide->locale)
        freelocale(wide->locale);
    wide->locale = (locale_t)0;
}

void mf_repl_wide_put(struct mf_repl_wide *wide, char byte)
{
    wide->bytes[wide->n++] = byte;
}

/* Takes the first used bytes away. */
static void take(struct mf_repl_wide *wide, size_t used)
{
    wide->n -= used;
    memmove(wide->bytes, wide->bytes + used, wide->n);
}

static wchar_t raw(char byte)
{
    return (unsigned char)byte < 0x80 ? byte : RAW + (unsigned char)byte;
}

bool mf_repl_wide_get(struct mf_repl_wide *wide, wchar_t *c)
{
    mbstate_t state = {0};
    if (wide->n == 0)
        return false;
    size_t used = mbrtowc(c, wide->bytes, wide->n, &state);
    if (used == (size_t)-2 && wide->n < sizeof wide->bytes)
        return false;
    bool is_private = used > 1 && used < (size_t)-2 && *c >= RAW_FIRST && *c <= RAW_LAST;
    if (used == (size_t)-1 || used == (size_t)-2 || is_private) {
        *c = raw(wide->bytes[0]);
        used = 1;
    }
    take(wide, used > 0 ? used : 1);
    return true;
}

wchar_t *mf_repl_wide_from(const char *bytes, size_t n)
{
    struct mf_repl_wide wide = {0};
    size_t len = 0;
    wchar_t *chars = malloc((n + 1) * sizeof *chars);
    for (size_t i = 0; chars && i < n; i++) {
        mf_repl_wide_put(&wide, bytes[i]);
        while (mf_repl_wide_get(&wide, &chars[len]))
            len++;
    }
    for (size_t i = 0; chars && i < wide.n; i++) /* the beginning of a character */
        chars[len++] = raw(wide.bytes[i]);
    if (chars)
        chars[len] = L'\0';
    return chars;
}

bool mf_repl_wide_to(const wchar_t *chars, size_t n, struct mf_repl_text *text)
{
    char bytes[256];
    size_t len = 0;
    mbstate_t state = {0};
    if (!mf_repl_text_add(text, "", 0))
        return false;
    for (size_t i = 0; i < n; i++) {
        bool is_raw = chars[i] >= RAW_FIRST && chars[i] <= RAW_LAST;
        size_t made = is_raw ? (size_t)-1 : wcrtomb(bytes + len, chars[i], &state);
        if (made == (size_t)-1) {
            bytes[len] = is_raw ? (char)(chars[i] - RAW) : '?';
            made = 1;
            state = (mbstate_t){0};
        }
        len += made;
        if (len + MB_LEN_MAX > sizeof bytes || i + 1 == n) {
            if (!mf_repl_text_add(text, bytes, len))
                return false;
            len = 0;
        }
    }
    return true;
}

bool mf_repl_wide_add(struct mf_repl_wide_text *text, wchar_t c)
{
    if (text->len + 2 > text->room) {
        size_t room = text->room ? 2 * text->room : 256;
        wchar_t *grown = realloc(text->chars, room * sizeof *grown);
        if (!grown)
            return false;
        text->chars = grown;
        text->room = room;
    }
    text->chars[text->len++] = c;
    text->chars[text->len] = L'\0';
    return true;
}

static int width(const struct mf_repl_place *place, wchar_t c)
{
    if (c == L'\t')
        return TAB_STOP - place->column % TAB_STOP;
    if (c < 0x80 && iswcntrl((wint_t)c))
        return 2; /* ^X */
    if (iswprint((wint_t)c))
        return wcwidth(c) > 0 ? wcwidth(c) : 0;
    return c > 0xFFFF ? LARGE_WIDTH : CODE_WIDTH;
}

static void next_row(struct mf_repl_place *place)
{
    place->row++;
    place->column = 0;
}

void mf_repl_wide_advance(struct mf_repl_place *place, wchar_t c)
{
    if (c == HIDE)
        place->hidden = !place->hidden;
    if (place->hidden || c == HIDE)
        return;
    if (c == L'\n') {
        next_row(place);
        return;
    }
    int w = width(place, c);
    bool is_one = iswprint((wint_t)c) != 0; /* a wide one is not divided; codes are */
    if (is_one && place->column + w > place->columns)
        next_row(place);
    place->column += w;
    while (place->column >= place->columns) {
        place->column -= place->columns;
        place->row++;
    }
}
