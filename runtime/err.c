/* One array of texts, indexed by code; a fault's words are cut to the record's size, never allocated. */
#include "err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

const char *mf_err_text(enum mf_err code)
{
    static const char *const texts[] = {
        [MF_OK] = "no error",
        [MF_ENOMEM] = "out of memory",
        [MF_EINVAL] = "argument out of range",
        [MF_ELIMIT] = "a limit was reached",
        [MF_ETIMEDOUT] = "timed out",
        [MF_EINTR] = "interrupted",
        [MF_ECANCELLED] = "cancelled",
        [MF_ELOST] = "worker lost",
        [MF_ECLOSED] = "closed",
        [MF_ESYS] = "system call failed",
    };
    unsigned i = (unsigned)code;
    return i < sizeof texts / sizeof texts[0] ? texts[i] : "unknown error";
}

enum mf_err mf_fault_set(struct mf_fault *fault, enum mf_err code, const char *format, ...)
{
    if (!fault)
        return code;
    va_list args;
    va_start(args, format);
    fault->code = code;
    if (vsnprintf(fault->text, sizeof fault->text, format, args) < 0)
        fault->text[0] = '\0';
    va_end(args);
    return code;
}

void mf_err_show(char *out, size_t room, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n && at + 5 < room; i++) {
        bool plain = b[i] >= ' ' && b[i] < 127 && b[i] != '"' && b[i] != '\\';
        at += (size_t)snprintf(out + at, room - at, plain ? "%c" : b[i] == '\n' ? "\\n" : "\\x%02x", b[i]);
    }
}
