/* Design note: the lists stand in one table with weak values, so that nobody has to say when a task is over. A list that
 * is gone while a task still needs it (nobody holds its future any more, and its worker died) makes that task fail. */
#include "live.h"

#include <lauxlib.h>

#include "ptrmap.h"

#define PAIR  16 /* bytes that a pair of a table counts for, beside what its strings hold */
#define DEPTH 100

static const char lists_key; /* registry: number -> list; [0]: the last number */

static void push_lists(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &lists_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &lists_key);
}

uint64_t mf_live_new(lua_State *L)
{
    luaL_checkstack(L, 6, NULL);
    lua_newtable(L);
    push_lists(L);
    lua_rawgeti(L, -1, 0);
    lua_Integer number = lua_tointeger(L, -1) + 1;
    lua_pop(L, 1);
    lua_pushinteger(L, number);
    lua_rawseti(L, -2, 0);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, number);
    lua_pop(L, 1);
    return (uint64_t)number;
}

bool mf_live_used(lua_State *L, int idx)
{
    return lua_rawlen(L, idx) > 0;
}

lua_Integer mf_live_add(lua_State *L, int list, int idx)
{
    lua_Integer place = (lua_Integer)lua_rawlen(L, list) + 1;
    lua_pushvalue(L, idx);
    lua_rawseti(L, list < 0 ? list - 1 : list, place);
    return place;
}

void mf_live_push(lua_State *L, uint64_t number, lua_Integer place)
{
    luaL_checkstack(L, 4, NULL);
    push_lists(L);
    if (lua_rawgeti(L, -1, (lua_Integer)number) != LUA_TTABLE || number == 0)
        luaL_error(L, "what the task refers to is gone: nobody held its future");
    if (lua_rawgeti(L, -1, place) == LUA_TNIL)
        luaL_error(L, "malformed message: a live value that was not there");
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* --- How large? -------------------------------------------------------------------------------------------------- */

struct measure {
    struct mf_ptrmap seen;
    size_t bytes, limit;
    int depth;
};

static void measure(lua_State *L, int idx, struct measure *m);

/* The key and the value on top of the stack. */
static void measure_pair(lua_State *L, struct measure *m)
{
    int top = lua_gettop(L);
    m->bytes += PAIR;
    measure(L, top - 1, m);
    measure(L, top, m);
}

static void measure_table(lua_State *L, int idx, struct measure *m)
{
    bool fresh = false;
    struct mf_ptrslot *slot = mf_ptrmap_put(&m->seen, lua_topointer(L, idx), 0, &fresh);
    if (slot && !fresh)
        return;
    if (!slot || ++m->depth > DEPTH || !lua_checkstack(L, 4)) {
        m->bytes = m->limit; /* too deep to tell: as if it were large */
        return;
    }
    for (lua_pushnil(L); m->bytes < m->limit && lua_next(L, idx); lua_pop(L, 1))
        measure_pair(L, m);
    m->depth--;
}

static void measure(lua_State *L, int idx, struct measure *m)
{
    int type = lua_type(L, idx), top = lua_gettop(L);
    if (type == LUA_TSTRING)
        m->bytes += lua_rawlen(L, idx);
    else if (type == LUA_TTABLE)
        measure_table(L, idx, m);
    lua_settop(L, top);
}

size_t mf_live_measure(lua_State *L, int idx, size_t limit)
{
    struct measure m = {.limit = limit};
    measure(L, lua_absindex(L, idx), &m);
    mf_ptrmap_release(&m.seen);
    return m.bytes < limit ? m.bytes : limit;
}
