/* A C module for Lua that does what C modules do when they go wrong. */
#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int segfault(lua_State *L)
{
    (void)L;
    *(volatile int *)(lua_Integer)lua_gettop(L) = 1;
    return 0;
}

static int die_by(lua_State *L)
{
    raise((int)luaL_checkinteger(L, 1));
    return 0;
}

static int give_up(lua_State *L)
{
    (void)L;
    abort();
}

static int leave(lua_State *L)
{
    _exit((int)luaL_checkinteger(L, 1));
}

/* Needs more stack with each call. */
static int overflow(lua_State *L)
{
    volatile char room[4096] = {0};
    int more = lua_gettop(L) >= 0 ? overflow(L) : 0; /* for ever, which the compiler need not know */
    return room[17] + more;
}

/* Never returns; with an argument that is true it does not take signals either. */
static int spin(lua_State *L)
{
    sigset_t all;
    sigfillset(&all);
    if (lua_toboolean(L, 1))
        sigprocmask(SIG_SETMASK, &all, NULL);
    volatile unsigned long n = 1;
    while (n)
        n |= 1;
    return 0;
}

static int ignore(lua_State *L)
{
    for (int signal = 1; signal < 32; signal++)
        (void)!sigaction(signal, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    (void)L;
    return 0;
}

static int close_all(lua_State *L)
{
    for (lua_Integer fd = luaL_checkinteger(L, 1); fd <= luaL_checkinteger(L, 2); fd++)
        close((int)fd);
    return 0;
}

/* Writes to a descriptor behind everybody's back; true when all of it went. */
static int write_to(lua_State *L)
{
    size_t n, at = 0;
    int fd = (int)luaL_checkinteger(L, 1);
    const char *bytes = luaL_checklstring(L, 2, &n);
    while (at < n) {
        ssize_t done = write(fd, bytes + at, n - at);
        if (done < 0)
            break;
        at += (size_t)done;
    }
    lua_pushboolean(L, at == n);
    return 1;
}

int luaopen_crash(lua_State *L);

int luaopen_crash(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"segfault", segfault}, {"raise", die_by},  {"abort", give_up},   {"exit", leave},     {"overflow", overflow},
        {"spin", spin},         {"ignore", ignore}, {"close", close_all}, {"write", write_to}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
