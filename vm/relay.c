/* Design note: a worker's io.stdout and io.stderr are real file handles whose C stream calls back (sys.h), so that
 * io.write, file:write, io.output and file:seek behave as ever. They are unbuffered, which keeps standard output and
 * standard error in the order in which they were written. */
#include "relay.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

#include "../runtime/sys.h"
#include "registry.h"

static const char warner_key; /* registry: what warn needs */

void mf_relay_init(struct mf_relay *relay)
{
    pthread_mutex_init(&relay->lock, NULL);
    relay->port = NULL;
    relay->out = relay->err = NULL;
    relay->successor = NULL;
    relay->outermost = false;
}

void mf_relay_release(struct mf_relay *relay)
{
    if (relay->out)
        fclose(relay->out);
    if (relay->err)
        fclose(relay->err);
    pthread_mutex_destroy(&relay->lock);
}

void mf_relay_attach(struct mf_relay *relay, struct mf_port *port)
{
    pthread_mutex_lock(&relay->lock);
    relay->port = port;
    pthread_mutex_unlock(&relay->lock);
}

void mf_relay_write(struct mf_relay *relay, enum mf_stream stream, const void *bytes, size_t n)
{
    while (relay->successor)
        relay = relay->successor;
    pthread_mutex_lock(&relay->lock);
    if (relay->port && n)
        relay->port->emit(relay->port, stream, bytes, n);
    pthread_mutex_unlock(&relay->lock);
}

/* --- The worker's end -------------------------------------------------------------------------------------------- */

static void to_stdout(void *relay, const char *bytes, size_t n)
{
    mf_relay_write(relay, MF_STDOUT, bytes, n);
}

static void to_stderr(void *relay, const char *bytes, size_t n)
{
    mf_relay_write(relay, MF_STDERR, bytes, n);
}

/* print: the whole line as one piece, so that lines of nested tasks do not mix. */
static int relay_print(lua_State *L)
{
    struct mf_relay *relay = lua_touserdata(L, lua_upvalueindex(1));
    int n = lua_gettop(L);
    luaL_Buffer line;
    luaL_buffinit(L, &line);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&line, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&line);
    }
    luaL_addchar(&line, '\n');
    luaL_pushresult(&line);
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    mf_relay_write(relay, MF_STDOUT, text, len);
    return 0;
}

/* warn, as the lua program has it: off until "@on". */
struct warner {
    struct mf_relay *relay;
    bool on, continues;
};

static void warning(void *ud, const char *text, int tocont)
{
    struct warner *w = ud;
    if (!w->continues && !tocont && *text == '@') {
        if (strcmp(text, "@on") == 0 || strcmp(text, "@off") == 0)
            w->on = text[2] == 'n';
        return;
    }
    if (w->on) {
        if (!w->continues)
            mf_relay_write(w->relay, MF_STDERR, "Lua warning: ", 13);
        mf_relay_write(w->relay, MF_STDERR, text, strlen(text));
        if (!tocont)
            mf_relay_write(w->relay, MF_STDERR, "\n", 1);
    }
    w->continues = tocont;
}

static int close_stream(lua_State *L)
{
    luaL_Stream *s = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    s->closef = close_stream; /* stays open, like the standard files of the lua program */
    luaL_pushfail(L);
    lua_pushliteral(L, "cannot close standard file");
    return 2;
}

/* Pushes a file handle that writes to the sink; the C stream itself is the relay's. */
static FILE *push_stream(lua_State *L, struct mf_sys_sink *sink)
{
    luaL_Stream *s = lua_newuserdatauv(L, sizeof *s, 0);
    s->closef = NULL; /* a closed file until the stream is there */
    luaL_setmetatable(L, LUA_FILEHANDLE);
    s->f = mf_sys_stream(sink);
    if (!s->f)
        luaL_error(L, "cannot make an output stream: %s", strerror(errno));
    s->closef = close_stream;
    return s->f;
}

void mf_relay_make(lua_State *L, struct mf_relay *relay)
{
    luaL_checkstack(L, MF_RELAY_PARTS + 4, NULL);
    mf_registry_reserve(L, &warner_key);
    lua_pushlightuserdata(L, relay);
    lua_pushcclosure(L, relay_print, 1);
    struct warner *w = lua_newuserdatauv(L, sizeof *w, 0);
    *w = (struct warner){.relay = relay};
    relay->to_out = (struct mf_sys_sink){.write = to_stdout, .arg = relay};
    relay->out = push_stream(L, &relay->to_out);
    relay->to_err = (struct mf_sys_sink){.write = to_stderr, .arg = relay};
    relay->err = push_stream(L, &relay->to_err);
}

void mf_relay_install(lua_State *L, int parts)
{
    lua_pushvalue(L, parts + MF_RELAY_PRINT);
    lua_setglobal(L, "print");
    struct warner *w = lua_touserdata(L, parts + MF_RELAY_WARNER);
    lua_pushvalue(L, parts + MF_RELAY_WARNER);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &warner_key);
    lua_setwarnf(L, warning, w);
    lua_getglobal(L, LUA_IOLIBNAME);
    lua_pushvalue(L, parts + MF_RELAY_ERR);
    lua_setfield(L, -2, "stderr");
    lua_getfield(L, -1, "output");
    lua_pushvalue(L, parts + MF_RELAY_OUT);
    lua_call(L, 1, 0);
    lua_pushvalue(L, parts + MF_RELAY_OUT);
    lua_setfield(L, -2, "stdout");
    lua_pop(L, 1);
}

void mf_relay_capture(lua_State *L, struct mf_relay *relay)
{
    int parts = lua_gettop(L) + 1;
    mf_relay_make(L, relay);
    mf_relay_install(L, parts);
    lua_settop(L, parts - 1);
}

static void redirect(lua_State *L, const char *name, FILE *f)
{
    lua_getfield(L, -1, name);
    luaL_Stream *s = luaL_testudata(L, -1, LUA_FILEHANDLE);
    if (s && s->closef)
        s->f = f;
    lua_pop(L, 1);
}

void mf_relay_redirect(lua_State *L, struct mf_relay *relay)
{
    lua_getglobal(L, LUA_IOLIBNAME);
    redirect(L, "stdout", relay->out);
    redirect(L, "stderr", relay->err);
    lua_pop(L, 1);
    mf_sys_replace_stdio(relay->out, relay->err);
}

/* --- The owner's end --------------------------------------------------------------------------------------------- */

static void write_out(struct mf_relay *relay, enum mf_stream stream, const void *bytes, size_t n)
{
    if (relay)
        mf_relay_write(relay, stream, bytes, n);
    else
        fwrite(bytes, 1, n, stream == MF_STDERR ? stderr : stdout);
}

/* Takes the next record off the front: its stream, or 0 at the end. */
static int next_record(const unsigned char **at, size_t *left, const char **bytes, size_t *n)
{
    uint64_t len;
    if (*left < 1 + sizeof len)
        return 0;
    int stream = **at;
    memcpy(&len, *at + 1, sizeof len);
    *bytes = (const char *)*at + 1 + sizeof len;
    *n = (size_t)len;
    *at += 1 + sizeof len + len;
    *left -= 1 + sizeof len + len;
    return stream;
}

void mf_relay_print(struct mf_relay *relay, const void *records, size_t len)
{
    const unsigned char *at = records;
    const char *bytes;
    size_t n;
    int last = 0;
    for (int stream; (stream = next_record(&at, &len, &bytes, &n)) != 0; last = stream) {
        if (!relay && last && last != stream)
            fflush(stdout); /* one terminal may show both: keep their order */
        write_out(relay, (enum mf_stream)stream, bytes, n);
    }
}

void mf_relay_live(struct mf_relay *relay, const char *worker, enum mf_stream stream, const void *bytes, size_t n)
{
    const char *at = bytes, *end = at + n;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *next = newline ? newline + 1 : end;
        char head[64];
        int width = snprintf(head, sizeof head, "[%s] ", worker);
        if (!relay || relay->outermost)
            write_out(relay, stream, head, (size_t)width);
        write_out(relay, stream, at, (size_t)(next - at));
        at = next;
    }
    if (!relay)
        fflush(stream == MF_STDERR ? stderr : stdout);
}

void mf_relay_push(lua_State *L, const void *records, size_t len)
{
    for (int wanted = MF_STDOUT; wanted <= MF_STDERR; wanted++) {
        const unsigned char *at = records;
        const char *bytes;
        size_t n, left = len;
        luaL_Buffer text;
        luaL_buffinit(L, &text);
        for (int stream; (stream = next_record(&at, &left, &bytes, &n)) != 0;)
            if (stream == wanted)
                luaL_addlstring(&text, bytes, n);
        luaL_pushresult(&text);
    }
}
