/* What the prompt and the reference need of the core: the futures that run or have ended unnoticed, the library's own
 * sources, and folders. Futures are tracked only when that was asked for: then each that is made is appended to a list
 * in the registry, which keeps it though no variable does. When the list has grown to twice what it was left with, those
 * that have ended and were noticed go, so that a loop which makes and collects a million keeps none of them; of the
 * unnoticed ones TOLD stay, and the others are only counted. */
#include <dirent.h>
#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../runtime/sys.h"
#include "lib.h"
#include "stdlib.h"

#define TOLD        1000  /* ended futures that nobody has asked about, kept */
#define TRACK_FIRST 4096  /* futures before the list is first looked through */
#define FOLDER_MOST 20000 /* entries of a folder */

static const char track_key; /* registry: the list */

/* --- Futures ----------------------------------------------------------------------------------------------------- */

static int core_track(lua_State *L)
{
    struct mf_session *s = mf_session_get(L);
    if (s->tracks)
        return 0;
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &track_key);
    s->track_limit = TRACK_FIRST;
    s->tracks = true;
    return 0;
}

static void count_untold(lua_State *L, struct mf_session *s, const struct mf_lib_future *object)
{
    s->untold[mf_future_state(object->future) != MF_FUTURE_DONE]++;
    lua_pop(L, 1);
}

/* Pushes the futures of the list (at the stack's top) that have ended unnoticed, at most TOLD, and leaves the rest in the
 * list: those that have not ended. Counts what is more. */
static void sort_out(lua_State *L, struct mf_session *s)
{
    int list = lua_gettop(L);
    lua_Integer n = (lua_Integer)lua_rawlen(L, list), kept = 0, told = 0;
    lua_newtable(L);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, list, i);
        struct mf_lib_future *object = lua_touserdata(L, -1);
        if (!mf_future_final(object->future))
            lua_rawseti(L, list, ++kept);
        else if (!object->seen && told < TOLD)
            lua_rawseti(L, list + 1, ++told);
        else if (!object->seen)
            count_untold(L, s, object);
        else
            lua_pop(L, 1);
    }
    for (lua_Integer i = n; i > kept; i--) {
        lua_pushnil(L);
        lua_rawseti(L, list, i);
    }
}

/* Puts what sort_out has pushed (at the stack's top, popped) back into the list below it. */
static void put_back(lua_State *L)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1), kept = (lua_Integer)lua_rawlen(L, -2);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, i);
        lua_rawseti(L, -3, kept + i);
    }
    lua_pop(L, 1);
}

void mf_lib_track(lua_State *L, struct mf_session *s)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &track_key);
    if (lua_rawlen(L, -1) >= s->track_limit) {
        sort_out(L, s);
        put_back(L);
        size_t twice = 2 * (size_t)lua_rawlen(L, -1);
        s->track_limit = twice > TRACK_FIRST ? twice : TRACK_FIRST;
    }
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
}

/* news(): a list of the futures that have ended and that nobody has asked about, each once, and how many more there were:
 * done, and otherwise ended */
static int core_news(lua_State *L)
{
    struct mf_session *s = mf_session_get(L);
    mf_runtime_tidy(s->owner);
    lua_settop(L, 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &track_key);
    sort_out(L, s);
    lua_pushinteger(L, (lua_Integer)s->untold[0]);
    lua_pushinteger(L, (lua_Integer)s->untold[1]);
    s->untold[0] = s->untold[1] = 0;
    return 3;
}

/* tracked(): a list of the futures that have not ended */
static int core_tracked(lua_State *L)
{
    lua_settop(L, 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &track_key);
    lua_newtable(L);
    lua_Integer n = lua_istable(L, 1) ? (lua_Integer)lua_rawlen(L, 1) : 0, open = 0;
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 1, i);
        struct mf_lib_future *object = lua_touserdata(L, -1);
        if (mf_future_final(object->future))
            lua_pop(L, 1);
        else
            lua_rawseti(L, 2, ++open);
    }
    return 1;
}

/* newest(): the number of the future that was made last; 0 if there is none */
static int core_newest(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)mf_session_get(L)->owner->next_id); /* which only this thread changes */
    return 1;
}

/* facts(future): a table of id, label, state, worker, seconds (that it has run). Asks for nothing. */
static int core_facts(lua_State *L)
{
    struct mf_lib_future *object = mf_lib_check_future(L, 1);
    struct mf_future *f = object->future;
    char name[MF_LIB_NAME];
    uint64_t running = mf_future_final(f) || !f->pool ? 0 : mf_runtime_running(mf_session_get(L)->owner, f);
    uint64_t time = mf_future_final(f) ? f->elapsed : running;
    lua_createtable(L, 0, 5);
    if (f->id) {
        lua_pushinteger(L, (lua_Integer)f->id);
        lua_setfield(L, -2, "id");
    }
    lua_pushstring(L, mf_lib_label(f));
    lua_setfield(L, -2, "label");
    lua_pushstring(L, mf_future_state_name(mf_future_state(f)));
    lua_setfield(L, -2, "state");
    lua_pushstring(L, mf_lib_worker(object, name));
    lua_setfield(L, -2, "worker");
    if (time) {
        lua_pushnumber(L, (lua_Number)time / 1e9);
        lua_setfield(L, -2, "seconds");
    }
    return 1;
}

/* failure(future): the error of one that has ended without a value. What its task printed stays where it is. */
static int core_failure(lua_State *L)
{
    struct mf_lib_future *object = mf_lib_check_future(L, 1);
    luaL_argcheck(L, mf_future_final(object->future) && mf_future_state(object->future) != MF_FUTURE_DONE, 1,
                  "has not failed");
    mf_lib_push_failure(L, 1);
    lua_pop(L, 1);
    return 1;
}

/* --- Sources ----------------------------------------------------------------------------------------------------- */

/* source(name): the text of a module of this library, as it is embedded; raises when there is none */
static int core_source(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    for (const struct mf_stdlib_entry *entry = mf_stdlib; entry->name; entry++) {
        if (strcmp(entry->name, name) == 0) {
            lua_pushlstring(L, (const char *)entry->data, entry->size);
            return 1;
        }
    }
    return luaL_error(L, "there is no module '%s' in the library", name);
}

/* --- Folders ----------------------------------------------------------------------------------------------------- */

static int folder_gc(lua_State *L)
{
    DIR **folder = lua_touserdata(L, 1);
    if (*folder)
        closedir(*folder);
    *folder = NULL;
    return 0;
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* folder(path): a list of what is in it, folders with a slash at the end; nil and a message */
static int core_folder(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    DIR **folder = lua_newuserdatauv(L, sizeof *folder, 0);
    *folder = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, folder_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, 2);
    *folder = opendir(path);
    if (!*folder) {
        lua_pushnil(L);
        lua_pushfstring(L, "%s: %s", path, strerror(errno));
        return 2;
    }
    lua_newtable(L);
    lua_Integer n = 0;
    for (struct dirent *entry; n < FOLDER_MOST && (entry = readdir(*folder));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        const char *whole = lua_pushfstring(L, "%s/%s", path, entry->d_name);
        lua_pushfstring(L, "%s%s", entry->d_name, is_folder(whole) ? "/" : "");
        lua_rawseti(L, 3, ++n);
        lua_pop(L, 1);
    }
    closedir(*folder);
    *folder = NULL;
    return 1;
}

void mf_lib_repl(lua_State *L)
{
    const luaL_Reg functions[] = {
        {"track", core_track},   {"tracked", core_tracked}, {"news", core_news},
        {"newest", core_newest}, {"facts", core_facts},     {"failure", core_failure},
        {"source", core_source}, {"folder", core_folder},   {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}
