/* What a message only names: environments and the values of loaded modules. */
#include "decoder.h"

#include "names.h"

static void push_base(lua_State *L)
{
    mf_names_push(L);
    lua_getiuservalue(L, -1, MF_NAMES_BASE);
    lua_remove(L, -2);
}

/* Stack: a fresh table. Gives it a metatable through which the base globals show. */
static void inherit_base(lua_State *L, bool write_through)
{
    lua_createtable(L, 0, 2);
    push_base(L);
    lua_pushliteral(L, "__index");
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
    if (write_through) {
        lua_pushliteral(L, "__newindex");
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    lua_pop(L, 1);
    lua_setmetatable(L, -2);
}

void mf_decoder_env(lua_State *L, struct mf_decoder *d, uint64_t n)
{
    if (n == 0 && d->env) {
        lua_pushvalue(L, d->env);
        return;
    }
    if (n == 0 && !(d->flags & MF_CODEC_GLOBALS)) {
        push_base(L);
        return;
    }
    if (n > INT32_MAX)
        mf_decoder_malformed(L, d, "an environment's number is too large");
    mf_decoder_memo(L, d, MEMO_ENVS);
    if (lua_rawgeti(L, d->memo + MEMO_ENVS, (lua_Integer)n + 1) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    inherit_base(L, n == 0);
    lua_pushvalue(L, -1);
    lua_rawseti(L, d->memo + MEMO_ENVS, (lua_Integer)n + 1);
}

/* STD: the receiver's own value, bound directly. The environment's own name for itself is the environment. */
void mf_decoder_bind(lua_State *L, int env, int name)
{
    push_base(L);
    if (!lua_rawequal(L, -1, env)) {
        lua_pushvalue(L, name);
        lua_pushvalue(L, name);
        lua_rawget(L, -3);
        if (lua_rawequal(L, -1, -3))
            lua_copy(L, env, -1);
        lua_rawset(L, env);
    }
    lua_pop(L, 1);
}

/* ---- names ---- */

static void require_module(lua_State *L, struct mf_decoder *d, int module)
{
    mf_names_push(L);
    lua_getiuservalue(L, -1, MF_NAMES_LOADED);
    lua_pushvalue(L, module);
    lua_rawget(L, -2);
    if (lua_isnil(L, -1) && d->trust) {
        lua_getiuservalue(L, -3, MF_NAMES_BASE);
        lua_pushliteral(L, "require");
        lua_rawget(L, -2);
        lua_pushvalue(L, module);
        if (lua_pcall(L, 1, 1, 0) != LUA_OK)
            luaL_error(L, "a value that module '%s' owns was sent by name, but the module cannot be loaded here: %s",
                       lua_tostring(L, module), luaL_tolstring(L, -1, NULL));
    }
    lua_replace(L, module + 1);
    lua_settop(L, module + 1);
    if (lua_isnil(L, -1))
        luaL_error(L, "a value that module '%s' owns was sent by name, but the module is not loaded here",
                   lua_tostring(L, module));
}

void mf_decoder_named(lua_State *L, struct mf_decoder *d)
{
    unsigned fields = mf_decoder_byte(L, d);
    if (fields > MF_CODEC_MAX_FIELDS)
        mf_decoder_malformed(L, d, "too many fields in a name");
    int module = lua_gettop(L) + 1;
    luaL_checkstack(L, 12, NULL);
    mf_decoder_text(L, d);
    lua_pushnil(L);
    require_module(L, d, module);
    while (fields-- > 0) {
        mf_decoder_text(L, d);
        lua_pushvalue(L, -1);
        if (lua_istable(L, -3))
            lua_rawget(L, -3);
        if (!lua_istable(L, -3) || lua_isnil(L, -1))
            luaL_error(L, "module '%s' has no field '%s' here, which a value was sent by", lua_tostring(L, module),
                       lua_tostring(L, module + 2));
        lua_replace(L, module + 1);
        lua_settop(L, module + 1);
    }
    lua_remove(L, module);
    if (!d->trust && !lua_istable(L, -1))
        mf_decoder_malformed(L, d, "a function by name from a peer that is not trusted");
    mf_decoder_keep(L, d);
}
