/* Design note: the hosts on the way, in the order in which they are reached. As in OpenSSH the jump hosts of a list are
 * looked up in the configuration like any host, and only the first of them may be reached through others of its own. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch_ssh_inner.h"

/* Makes room in front and fills it. */
static enum mf_err put_hop(struct mf_launch_ssh *l, size_t at, const char *host, const char *user, int port)
{
    struct mf_fault fault = {.code = MF_OK};
    if (l->nhops == MF_LAUNCH_HOPS)
        return mf_launch_fail(l, MF_ELIMIT, "more than %d jump hosts, or they go in a circle", MF_SSH_HOPS);
    memmove(&l->hops[at + 1], &l->hops[at], (l->nhops - at) * sizeof l->hops[0]);
    l->nhops++;
    struct mf_hop *hop = &l->hops[at];
    const struct mf_ssh_query query = {.host = host,
                                       .user = user,
                                       .port = port,
                                       .file = l->options.config,
                                       .program = l->options.ssh,
                                       .deadline = l->wait.deadline,
                                       .cancel = l->wait.cancel};
    memset(hop, 0, sizeof *hop);
    hop->name = strdup(host);
    enum mf_err e = mf_ssh_config_resolve(&query, &hop->config, &fault);
    if (e != MF_OK)
        return mf_launch_fail(l, e, "%s", fault.text);
    return hop->name ? MF_OK : mf_launch_fail(l, MF_ENOMEM, "out of memory");
}

/* Puts the hosts of "user@a:22,b" in front of all. */
static enum mf_err put_list(struct mf_launch_ssh *l, const char *list)
{
    char *copy = strdup(list), *rest = copy, *item;
    enum mf_err e = copy ? MF_OK : mf_launch_fail(l, MF_ENOMEM, "out of memory");
    for (size_t at = 0; e == MF_OK && (item = strsep(&rest, ",")); at++) {
        char *user, *host;
        int port;
        if (!mf_ssh_config_split(item, &user, &host, &port))
            e = mf_launch_fail(l, MF_EINVAL, "ProxyJump: '%.80s' is no host", list);
        else
            e = put_hop(l, at, host, user, port);
    }
    free(copy);
    return e;
}

enum mf_err mf_launch_find_hops(struct mf_launch_ssh *l)
{
    mf_launch_begin(l, MF_LAUNCH_CONFIG, l->options.limits.resolve);
    enum mf_err e = put_hop(l, 0, l->options.host, l->options.user, l->options.port);
    for (bool more = true; e == MF_OK && more;) {
        char *jump = l->hops[0].config.jump;
        l->hops[0].config.jump = NULL;
        more = jump != NULL;
        if (more)
            e = put_list(l, jump);
        free(jump);
    }
    return e;
}
