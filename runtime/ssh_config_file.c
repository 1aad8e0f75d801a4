/* Design note: our own reader of the files, for machines without the ssh program. It goes through them once, with one
 * bit of state: whether the directives that it meets are for this host. Included files are read in place, if that is set,
 * and what they change of it ends with them. */
#define _GNU_SOURCE
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "known_hosts.h"
#include "ssh_config_inner.h"

#define LINE_BYTES 4096
#define PATH_BYTES 1024
#define DEPTH      8 /* of files that include files */

struct reader {
    const struct mf_ssh_query *query;
    const char *home;
    struct mf_ssh_raw *raw;
    struct mf_fault *fault;
    int depth;
};

static enum mf_err read_file(struct reader *r, const char *path, bool must);

/* Do the patterns of a Host line fit? */
static bool is_for(char *const patterns[], size_t n, const char *host)
{
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        bool negated = patterns[i][0] == '!';
        if (!mf_known_hosts_match(patterns[i] + negated, strlen(patterns[i] + negated), host))
            continue;
        if (negated)
            return false;
        found = true;
    }
    return found;
}

/* A pattern without a folder stands beside the user's configuration. */
static enum mf_err include(struct reader *r, const char *pattern)
{
    char path[PATH_BYTES];
    glob_t found;
    enum mf_err e = MF_OK;
    if (strncmp(pattern, "~/", 2) == 0)
        snprintf(path, sizeof path, "%s%s", r->home, pattern + 1);
    else if (pattern[0] == '/')
        snprintf(path, sizeof path, "%s", pattern);
    else
        snprintf(path, sizeof path, "%s/.ssh/%s", r->home, pattern);
    if (glob(path, 0, NULL, &found) != 0)
        return MF_OK;
    for (size_t i = 0; i < found.gl_pathc && e == MF_OK; i++)
        e = read_file(r, found.gl_pathv[i], true);
    globfree(&found);
    return e;
}

static enum mf_err read_line(struct reader *r, const char *path, unsigned number, char *line, bool *applies)
{
    char *words[MF_SSH_WORDS];
    size_t n = mf_ssh_words(line, words);
    if (n == 0)
        return MF_OK;
    if (strcasecmp(words[0], "Match") == 0)
        return mf_fault_set(r->fault, MF_EINVAL, "%s line %u: only the ssh program can follow Match; install it", path,
                            number);
    if (n == 1)
        return mf_fault_set(r->fault, MF_EINVAL, "%s line %u: %s has no value", path, number, words[0]);
    if (strcasecmp(words[0], "Host") == 0) {
        *applies = is_for(words + 1, n - 1, r->query->host);
        return MF_OK;
    }
    for (size_t i = 1; i < n && *applies && strcasecmp(words[0], "Include") == 0; i++) {
        enum mf_err e = include(r, words[i]);
        if (e != MF_OK)
            return e;
    }
    if (*applies && !mf_ssh_raw_set(r->raw, words[0], words + 1, n - 1))
        return mf_fault_set(r->fault, MF_ENOMEM, "out of memory while reading %s", path);
    return MF_OK;
}

static enum mf_err read_file(struct reader *r, const char *path, bool must)
{
    char line[LINE_BYTES];
    bool applies = true;
    enum mf_err e = MF_OK;
    if (r->depth == DEPTH)
        return mf_fault_set(r->fault, MF_EINVAL, "%s: files that include files, more than %d deep", path, DEPTH);
    FILE *f = fopen(path, "re");
    if (!f)
        return must || errno != ENOENT ? mf_fault_set(r->fault, MF_EINVAL, "cannot read %s: %s", path, strerror(errno))
                                       : MF_OK;
    r->depth++;
    for (unsigned number = 1; e == MF_OK && fgets(line, sizeof line, f); number++) {
        if (!strchr(line, '\n') && !feof(f))
            e = mf_fault_set(r->fault, MF_EINVAL, "%s line %u: too long", path, number);
        else
            e = read_line(r, path, number, line, &applies);
    }
    r->depth--;
    fclose(f);
    return e;
}

enum mf_err mf_ssh_config_read(const struct mf_ssh_query *q, const char *home, struct mf_ssh_raw *raw,
                               struct mf_fault *fault)
{
    struct reader r = {.query = q, .home = home, .raw = raw, .fault = fault};
    char path[PATH_BYTES];
    if (q->file)
        return strcmp(q->file, "none") == 0 ? MF_OK : read_file(&r, q->file, true);
    snprintf(path, sizeof path, "%s/.ssh/config", home);
    enum mf_err e = read_file(&r, path, false);
    return e == MF_OK ? read_file(&r, "/etc/ssh/ssh_config", false) : e;
}
