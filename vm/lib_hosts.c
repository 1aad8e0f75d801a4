/* Hosts of a cluster for Lua: the table that stdlib/moonfleet/hosts.lua has checked becomes the runtime's records. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/sys.h"
#include "lib.h"
#include "moonfleet.h"

#define HOSTS_TYPE "moonfleet.hosts"

/* --- Texts: kept one behind the other, pointed to when all are there --------------------------------------------- */

enum text { NAME, HOST, USER, PROGRAM, CONFIG, KNOWN_HOSTS, SSH, NODE_BUILD, COMMAND, CANNOT, TEXTS };

static const char *const text_fields[TEXTS] = {"name",        "host", "user",       "program", "config",
                                               "known_hosts", "ssh",  "node_build", "command", "library_cannot"};

static void no_memory(lua_State *L)
{
    luaL_error(L, "not enough memory");
}

static bool add_text(lua_State *L, struct mf_buf *texts, size_t *offset)
{
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    *offset = texts->len;
    if (text && !mf_buf_append(texts, text, len + 1))
        no_memory(L);
    return text != NULL;
}

/* Reads the list of keys; leaves how many there are. */
static size_t add_identities(lua_State *L, int idx, struct mf_host *host, size_t *offsets, size_t max)
{
    size_t n = 0;
    lua_getfield(L, idx, "identities");
    for (; lua_istable(L, -1) && n < max; n++) {
        if (lua_rawgeti(L, -1, (lua_Integer)n + 1) == LUA_TNIL) {
            lua_pop(L, 1);
            break;
        }
        add_text(L, &host->texts, &offsets[n]);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return n;
}

static void point_identities(lua_State *L, struct mf_host *host, const size_t *offsets, size_t n)
{
    if (n == 0)
        return;
    const char **list = calloc(n + 1, sizeof *list);
    if (!list)
        no_memory(L);
    for (size_t i = 0; i < n; i++)
        list[i] = (const char *)host->texts.data + offsets[i];
    host->ssh.identities = list;
}

static void read_texts(lua_State *L, int idx, struct mf_host *host)
{
    size_t offsets[TEXTS], keys[16];
    bool there[TEXTS];
    for (int i = 0; i < TEXTS; i++) {
        lua_getfield(L, idx, text_fields[i]);
        there[i] = add_text(L, &host->texts, &offsets[i]);
        lua_pop(L, 1);
    }
    size_t n = add_identities(L, idx, host, keys, sizeof keys / sizeof keys[0]);
    char *texts[TEXTS];
    for (int i = 0; i < TEXTS; i++)
        texts[i] = there[i] ? (char *)host->texts.data + offsets[i] : NULL;
    point_identities(L, host, keys, n);
    host->name = texts[NAME];
    host->program = texts[PROGRAM];
    host->ssh.host = texts[HOST];
    host->ssh.user = texts[USER];
    host->ssh.program = texts[PROGRAM];
    host->ssh.config = texts[CONFIG];
    host->ssh.known_hosts = texts[KNOWN_HOSTS];
    host->ssh.ssh = texts[SSH];
    host->ssh.node_build = texts[NODE_BUILD];
    host->ssh.command = texts[COMMAND];
    host->ssh.library_cannot = texts[CANNOT];
    host->ssh.name = texts[NAME];
    host->ssh.version = "Moonfleet " MF_VERSION;
}

/* --- The rest ---------------------------------------------------------------------------------------------------- */

static bool field_true(lua_State *L, int idx, const char *name)
{
    lua_getfield(L, idx, name);
    bool b = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return b;
}

static double field_number(lua_State *L, int idx, const char *name)
{
    lua_getfield(L, idx, name);
    double n = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return n;
}

/* Settings of the agent: msg.h, INIT. */
static void read_settings(lua_State *L, int idx, struct mf_buf *out)
{
    size_t ignored;
    lua_getfield(L, idx, "dir");
    bool dir = add_text(L, out, &ignored);
    lua_pop(L, 1);
    lua_getfield(L, idx, "env");
    bool env = lua_istable(L, -1);
    if (env && !dir && !mf_buf_append(out, "", 1))
        no_memory(L);
    for (lua_pushnil(L); env && lua_next(L, -2); lua_pop(L, 1)) {
        lua_pushfstring(L, "%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
        add_text(L, out, &ignored);
        lua_pop(L, 1);
    }
    if (!env)
        lua_pop(L, 1); /* lua_pushnil's */
    lua_pop(L, 1);
}

static void read_limits(lua_State *L, int idx, struct mf_launch_limits *limits)
{
    double timeout = field_number(L, idx, "timeout");
    *limits = (struct mf_launch_limits){timeout, timeout, timeout, timeout, 0, timeout};
}

static void read_host(lua_State *L, int idx, struct mf_host *host)
{
    static const char *const transports[] = {"auto", "libssh2", "openssh", "local", NULL};
    read_texts(L, idx, host);
    read_settings(L, idx, &host->settings);
    read_limits(L, idx, &host->ssh.limits);
    lua_getfield(L, idx, "transport");
    int transport = luaL_checkoption(L, -1, "auto", transports);
    lua_pop(L, 1);
    host->local = transport == 3;
    host->ssh.transport = host->local ? MF_LAUNCH_AUTO : (enum mf_launch_transport)transport;
    host->workers = (int)field_number(L, idx, "workers");
    host->ssh.port = (int)field_number(L, idx, "port");
    host->isolate = field_true(L, idx, "isolate");
    host->ssh.accept_new = field_true(L, idx, "accept_new");
    host->ssh.upload = field_true(L, idx, "upload");
}

/* Passwords and passphrases come from the terminal, whoever redirects what. */
static bool ask(void *arg, const struct mf_launch_question *question, char *answer, size_t room)
{
    (void)arg;
    return mf_sys_ask(question->text, question->echo, answer, room);
}

static int hosts_gc(lua_State *L)
{
    struct mf_hosts **box = luaL_checkudata(L, 1, HOSTS_TYPE);
    mf_hosts_free(*box);
    *box = NULL;
    return 0;
}

struct mf_hosts **mf_lib_push_hosts(lua_State *L, int idx)
{
    int n = (int)lua_rawlen(L, idx);
    struct mf_hosts **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, HOSTS_TYPE);
    *box = mf_hosts_new(n, mf_sys_can_ask() ? ask : NULL, NULL);
    if (!*box)
        luaL_error(L, "out of memory or descriptors for the hosts");
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, idx, i + 1);
        read_host(L, lua_gettop(L), &(*box)->hosts[i]);
        lua_pop(L, 1);
    }
    return box;
}

void mf_lib_push_host_states(lua_State *L, struct mf_pool *pool)
{
    static const char *const states[] = {"away", "called", "here"};
    const struct mf_hosts *hosts = pool->hosts;
    lua_createtable(L, hosts->n, 0);
    for (int i = 0; i < hosts->n; i++) {
        const struct mf_host *h = &hosts->hosts[i];
        char text[sizeof h->text];
        pthread_mutex_lock(&pool->owner->lock);
        enum mf_host_state state = h->state;
        int workers = h->lanes, first = h->first;
        double seconds = h->seconds;
        memcpy(text, h->text, sizeof text);
        pthread_mutex_unlock(&pool->owner->lock);
        lua_createtable(L, 0, 6);
        lua_pushstring(L, h->name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, states[state]);
        lua_setfield(L, -2, "state");
        lua_pushinteger(L, workers);
        lua_setfield(L, -2, "workers");
        lua_pushinteger(L, first);
        lua_setfield(L, -2, "first");
        lua_pushnumber(L, seconds);
        lua_setfield(L, -2, "seconds");
        lua_pushstring(L, text);
        lua_setfield(L, -2, "text");
        lua_rawseti(L, -2, i + 1);
    }
}

void mf_lib_hosts(lua_State *L)
{
    luaL_newmetatable(L, HOSTS_TYPE);
    lua_pushcfunction(L, hosts_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}
