/* Design note: the same search as Lua's package.searchpath, done here because the question may come while the owner's
 * Lua computes, and a thread that turns the loop must answer without it. */
#include "modules.h"

#include <stdio.h>
#include <string.h>

#include "msg.h"

#define FILE_NAME_MAX 4096

/* Writes the template, up to its end, with name for each '?'. False when that is too long. */
static bool expand(const char *template, size_t n, const char *name, char *file)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (template[i] != '?') {
            if (at + 1 >= FILE_NAME_MAX)
                return false;
            file[at++] = template[i];
            continue;
        }
        for (const char *c = name; *c; c++) {
            if (at + 1 >= FILE_NAME_MAX)
                return false;
            file[at++] = *c == '.' ? '/' : *c;
        }
    }
    file[at] = '\0';
    return true;
}

static bool append_file(struct mf_buf *body, FILE *f)
{
    char bytes[8192];
    size_t n;
    while ((n = fread(bytes, 1, sizeof bytes, f)) > 0)
        if (body->len > MF_MODULES_MAX || !mf_buf_append(body, bytes, n))
            return false;
    return !ferror(f);
}

static bool append_head(struct mf_buf *body, bool found, const char *name)
{
    unsigned char head[MF_MSG_MODULE_HEAD];
    mf_msg_pack_module_head(head, found, strlen(name));
    return mf_buf_append(body, head, sizeof head) && mf_buf_append(body, name, strlen(name));
}

bool mf_modules_find(const char *path, const char *name, struct mf_buf *body)
{
    char file[FILE_NAME_MAX + 1];
    for (const char *p = path ? path : ""; *p;) {
        size_t n = strcspn(p, ";");
        file[0] = '@';
        FILE *f = expand(p, n, name, file + 1) ? fopen(file + 1, "re") : NULL;
        if (f) {
            size_t start = body->len;
            bool ok = append_head(body, true, file) && append_file(body, f);
            fclose(f);
            if (ok)
                return true;
            body->len = start;
        }
        p += n + (p[n] == ';');
    }
    return append_head(body, false, "");
}
