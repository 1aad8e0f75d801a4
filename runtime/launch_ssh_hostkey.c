/* Design note: nothing is sent to a host before its key was checked here. What a person can do stands in every refusal, with
 * the exact command. The only softening is accept_new, and that only where nothing at all is known of a host: one that
 * shows a key of another type than is known may be anybody. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "launch_ssh_inner.h"

#define COMMAND_BYTES 400

void mf_launch_key_name(const struct mf_hop *hop, const char **host, int *port)
{
    *host = hop->config.alias ? hop->config.alias : hop->config.hostname;
    *port = hop->config.alias ? 22 : hop->config.port;
}

static void on_warning(void *arg, const char *text)
{
    mf_launch_note(arg, "%s", text);
}

struct mf_known_hosts *mf_launch_read_known(struct mf_launch_ssh *l, const struct mf_hop *hop)
{
    struct mf_fault fault;
    const char *const one[] = {l->options.known_hosts};
    size_t n = 0;
    while (hop->config.known[n])
        n++;
    struct mf_known_hosts *known =
        l->options.known_hosts ? mf_known_hosts_read(one, 1, on_warning, l, &fault)
                               : mf_known_hosts_read((const char *const *)hop->config.known, n, on_warning, l, &fault);
    if (!known)
        mf_launch_fail(l, fault.code, "%s", fault.text);
    return known;
}

/* Where a new key would be written to; NULL: nowhere. */
static const char *file_for(const struct mf_launch_ssh *l, const struct mf_hop *hop)
{
    return l->options.known_hosts ? l->options.known_hosts : hop->config.append;
}

/* The command that fetches the key of that type; through jump hosts there is none, but ssh asks. */
static void how_to_add(const struct mf_launch_ssh *l, const struct mf_hop *hop, const char *type,
                       char text[COMMAND_BYTES])
{
    const char *file = file_for(l, hop), *kind = strncmp(type, "ecdsa", 5) == 0 ? "ecdsa" : type + 4;
    if (hop == &l->hops[0] && !hop->config.alias && file)
        snprintf(text, COMMAND_BYTES, "ssh-keyscan -p %d -t %s %s >> %s", hop->config.port, kind, hop->config.hostname,
                 file);
    else
        snprintf(text, COMMAND_BYTES, "ssh %s", hop->name);
}

static enum mf_err refuse_unknown(struct mf_launch_ssh *l, const struct mf_hop *hop, const char *print,
                                  const char *type, const struct mf_known_hosts *known)
{
    char how[COMMAND_BYTES], unread[300] = "";
    how_to_add(l, hop, type, how);
    if (mf_known_hosts_unread(known))
        snprintf(unread, sizeof unread, " (%s)", mf_known_hosts_unread(known));
    return mf_launch_fail(l, MF_EINVAL,
                          "the host is not known%s; its key is %s (%s). If that is right, run: %s   or set accept_new",
                          unread, print, type, how);
}

static enum mf_err refuse_changed(struct mf_launch_ssh *l, const struct mf_hop *hop, const char *print,
                                  const char *type, const struct mf_known_place *place)
{
    const char *host;
    char name[300];
    int port;
    mf_launch_key_name(hop, &host, &port);
    mf_known_hosts_name(host, port, name, sizeof name);
    return mf_launch_fail(
        l, MF_EINVAL,
        "THE HOST'S KEY HAS CHANGED: it is %s (%s) now, and another one in %s line %u. Somebody may be "
        "listening in. If the host was set up anew, run: ssh-keygen -R '%s' -f %s",
        print, type, place->path, place->line, name, place->path);
}

static enum mf_err refuse_other(struct mf_launch_ssh *l, const struct mf_hop *hop, const char *print, const char *type,
                                const struct mf_known_hosts *known, const struct mf_known_place *place)
{
    const char *host, *types[MF_KNOWN_TYPES];
    char how[COMMAND_BYTES], all[200] = "";
    int port;
    mf_launch_key_name(hop, &host, &port);
    size_t n = mf_known_hosts_types(known, host, port, types);
    for (size_t i = 0; i < n; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? ", " : "", types[i]);
    how_to_add(l, hop, type, how);
    return mf_launch_fail(
        l, MF_EINVAL,
        "the host shows the key %s (%s), but only %s is known of it (%s line %u). If this one is right, "
        "too, run: %s",
        print, type, all, place->path, place->line, how);
}

static enum mf_err accept_new(struct mf_launch_ssh *l, const struct mf_hop *hop, const void *key, size_t n,
                              const char *print)
{
    struct mf_fault fault;
    const char *host, *file = file_for(l, hop);
    int port;
    mf_launch_key_name(hop, &host, &port);
    if (!file)
        return mf_launch_fail(l, MF_EINVAL, "the host is not known, and there is no known_hosts file to add it to");
    if (mf_known_hosts_append(file, host, port, key, n, hop->config.hashed, &fault) != MF_OK)
        return mf_launch_fail(l, fault.code, "the host is not known, and cannot be added: %s", fault.text);
    mf_launch_note(l, "added the key of %s, %s, to %s", hop->name, print, file);
    return MF_OK;
}

enum mf_err mf_launch_check_key(struct mf_launch_ssh *l, const struct mf_hop *hop, const struct mf_known_hosts *known,
                                struct mf_ssh *session)
{
    struct mf_known_place place;
    const char *host;
    char print[MF_KNOWN_FINGERPRINT], type[64];
    int port;
    size_t n;
    mf_launch_begin(l, MF_LAUNCH_HOST_KEY, l->options.limits.kex);
    const void *key = mf_ssh_host_key(session, &n);
    if (!key)
        return mf_launch_fail(l, MF_EINVAL, "the host has shown no key");
    mf_launch_key_name(hop, &host, &port);
    mf_known_hosts_fingerprint(key, n, print);
    mf_known_hosts_type(key, n, type, sizeof type);
    switch (mf_known_hosts_check(known, host, port, key, n, &place)) {
    case MF_KNOWN_SAME:
        return MF_OK;
    case MF_KNOWN_REVOKED:
        return mf_launch_fail(l, MF_EINVAL, "the host's key %s (%s) is revoked by %s line %u", print, type, place.path,
                              place.line);
    case MF_KNOWN_CHANGED:
        return refuse_changed(l, hop, print, type, &place);
    case MF_KNOWN_OTHER:
        return refuse_other(l, hop, print, type, known, &place);
    default:
        break;
    }
    if (l->options.accept_new && !mf_known_hosts_unread(known))
        return accept_new(l, hop, key, n, print);
    return refuse_unknown(l, hop, print, type, known);
}
