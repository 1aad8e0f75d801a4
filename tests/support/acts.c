/* A C module with what tests need and Lua has not: processes, signals, C streams, user values, calls of exit. */
#define _GNU_SOURCE
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OBJECT "acts.object"

static int acts_pid(lua_State *L)
{
    lua_pushinteger(L, getpid());
    return 1;
}

static int acts_raise(lua_State *L)
{
    raise((int)luaL_checkinteger(L, 1));
    return 0;
}

/* exit(code): the C library's. */
static int acts_exit(lua_State *L)
{
    exit((int)luaL_checkinteger(L, 1));
}

/* say(text, where): by the C library's stream, which is not flushed. */
static int acts_say(lua_State *L)
{
    fputs(luaL_checkstring(L, 1), strcmp(luaL_checkstring(L, 2), "stderr") == 0 ? stderr : stdout);
    return 0;
}

/* twin(): forks, and the child does nothing until it is killed; it has all descriptors of its parent. */
static int acts_twin(lua_State *L)
{
    pid_t pid = fork();
    while (pid == 0)
        pause();
    lua_pushinteger(L, pid);
    return 1;
}

/* reap(): waits for any child, as hosts do that think all children are their own. */
static int acts_reap(lua_State *L)
{
    pid_t pid;
    do
        pid = waitpid(-1, NULL, 0);
    while (pid < 0 && errno == EINTR);
    lua_pushinteger(L, pid);
    return 1;
}

/* children(how): what becomes of SIGCHLD, "ignore" or "default". */
static int acts_children(lua_State *L)
{
    signal(SIGCHLD, strcmp(luaL_checkstring(L, 1), "ignore") == 0 ? SIG_IGN : SIG_DFL);
    return 0;
}

/* --- Something that is noted in a file, whoever does it -------------------------------------------------------- */

static void note(const char *path, const char *text)
{
    FILE *f = fopen(path, "a");
    if (f) {
        fputs(text, f);
        fclose(f);
    }
}

static char at_exit_path[256];

static void note_exit(void)
{
    note(at_exit_path, "exit\n");
}

/* at_exit(path) */
static int acts_at_exit(lua_State *L)
{
    snprintf(at_exit_path, sizeof at_exit_path, "%s", luaL_checkstring(L, 1));
    lua_pushboolean(L, atexit(note_exit) == 0);
    return 1;
}

struct object {
    char path[256];
    int number;
};

/* object(path, number): a user value whose finalizer writes into that file. */
static int acts_object(lua_State *L)
{
    struct object *o = lua_newuserdatauv(L, sizeof *o, 0);
    snprintf(o->path, sizeof o->path, "%s", luaL_checkstring(L, 1));
    o->number = (int)luaL_checkinteger(L, 2);
    luaL_setmetatable(L, OBJECT);
    return 1;
}

static int object_number(lua_State *L)
{
    lua_pushinteger(L, ((struct object *)luaL_checkudata(L, 1, OBJECT))->number);
    return 1;
}

static int object_gc(lua_State *L)
{
    note(((struct object *)luaL_checkudata(L, 1, OBJECT))->path, "finalized\n");
    return 0;
}

int luaopen_acts(lua_State *L);

int luaopen_acts(lua_State *L)
{
    const luaL_Reg functions[] = {
        {"pid", acts_pid},       {"raise", acts_raise}, {"exit", acts_exit},         {"say", acts_say},
        {"twin", acts_twin},     {"reap", acts_reap},   {"children", acts_children}, {"at_exit", acts_at_exit},
        {"object", acts_object}, {NULL, NULL},
    };
    const luaL_Reg methods[] = {{"number", object_number}, {NULL, NULL}};
    luaL_newmetatable(L, OBJECT);
    lua_pushcfunction(L, object_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
