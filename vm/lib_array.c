/* Design note: an array's object holds the struct itself; the heap that its memory comes from is a userdata in the
 * registry, which outlives all objects of its state. Arrays are garbage that Lua takes for small: so the heap asks for
 * a collection when it has grown by enough, and the larger Lua's own memory is, the more is enough. */
#include "lib_array.h"

#include "lib_array_box.h"
#include "lib_share.h"
#include "session.h"

#define EFFORT     4 /* bytes of arrays whose making takes as long as collecting one byte of Lua's */

#define IDLE_FRESH ((size_t)1 << 20) /* bytes of arrays for which an idle worker looks for garbage */

static const char metatable_key; /* registry: the metatable of arrays */
static const char heap_key;      /* registry: the heap */

/* --- The heap ---------------------------------------------------------------------------------------------------- */

static void collect(void *arg)
{
    lua_State *L = arg;
    struct mf_heap *heap = mf_lib_array_heap(L);
    if (lua_gc(L, LUA_GCISRUNNING))
        lua_gc(L, LUA_GCCOLLECT);
    size_t own = (size_t)lua_gc(L, LUA_GCCOUNT) << 10;
    mf_heap_collected(heap, EFFORT * own);
    struct mf_session *s = mf_session_peek(L);
    if (s && s->owner)
        mf_runtime_tidy(s->owner); /* so that others free what was shared while there is time */
}

static int heap_gc(lua_State *L)
{
    struct mf_heap *heap = lua_touserdata(L, 1);
    heap->collect = NULL;
    mf_heap_trim(heap);
    return 0;
}

static void open_heap(lua_State *L)
{
    struct mf_heap *heap = lua_newuserdatauv(L, sizeof *heap, 0);
    mf_heap_init(heap);
    heap->collect = collect;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, heap_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &heap_key);
}

struct mf_heap *mf_lib_array_heap(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &heap_key);
    struct mf_heap *heap = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (heap)
        heap->arg = L; /* the thread that runs now */
    return heap;
}

/* Arrays that are garbage may be all that keeps memory alive which others have let go of. */
void mf_lib_array_idle(lua_State *L)
{
    struct mf_heap *heap = mf_lib_array_heap(L);
    if (!heap)
        return;
    if (heap->fresh >= IDLE_FRESH)
        collect(L);
    mf_heap_trim(heap);
}

/* --- Objects ----------------------------------------------------------------------------------------------------- */

static void load_module(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "moonfleet.array");
    lua_call(L, 1, 0);
}

struct mf_array *mf_lib_array_box(lua_State *L)
{
    luaL_checkstack(L, 4, NULL);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key) != LUA_TTABLE) {
        lua_pop(L, 1);
        load_module(L);
        lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    }
    struct mf_array *a = lua_newuserdatauv(L, sizeof *a, 0);
    a->store = NULL;
    lua_insert(L, -2);
    lua_setmetatable(L, -2);
    return a;
}

struct mf_array *mf_lib_array_view(lua_State *L, const struct mf_array *a)
{
    struct mf_array *view = mf_lib_array_box(L);
    *view = mf_array_view(a);
    return view;
}

struct mf_array *mf_lib_array_test(lua_State *L, int idx)
{
    struct mf_array *a = lua_touserdata(L, idx);
    if (!a || !lua_getmetatable(L, idx))
        return NULL;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same && a->store ? a : NULL;
}

struct mf_array *mf_lib_array_check(lua_State *L, int idx)
{
    struct mf_array *a = mf_lib_array_test(L, idx);
    if (!a)
        luaL_typeerror(L, idx, "array");
    return a;
}

/* Others may have the memory too: they are told at the next chance. */
static int array_gc(lua_State *L)
{
    struct mf_array *a = luaL_checkudata(L, 1, "moonfleet.array");
    bool known = a->store && a->store->refs == 1 && atomic_load(&a->store->block->mark);
    mf_array_release(mf_lib_array_heap(L), a);
    if (known)
        mf_session_let_go(L);
    return 0;
}

/* --- Arguments --------------------------------------------------------------------------------------------------- */

struct mf_value mf_lib_array_value(lua_State *L, int idx, const char *expected)
{
    struct mf_value v = {0};
    if (lua_type(L, idx) == LUA_TNUMBER) {
        v.integer = lua_isinteger(L, idx);
        v.whole = lua_tointeger(L, idx);
        v.real = lua_tonumber(L, idx);
        return v;
    }
    v.array = mf_lib_array_test(L, idx);
    if (!v.array)
        luaL_typeerror(L, idx, expected);
    return v;
}

void mf_lib_array_push_value(lua_State *L, const struct mf_value *v)
{
    if (v->integer)
        lua_pushinteger(L, v->whole);
    else
        lua_pushnumber(L, v->real);
}

void mf_lib_array_push_row(lua_State *L, const struct mf_array *a, size_t i)
{
    if (a->ndim == 1) {
        struct mf_value v = mf_array_at(a, (ptrdiff_t)i * a->stride[0]);
        mf_lib_array_push_value(L, &v);
        return;
    }
    mf_array_pick(mf_lib_array_view(L, a), 0, i);
}

enum mf_dtype mf_lib_array_dtype(lua_State *L, int idx, enum mf_dtype standard)
{
    if (lua_isnoneornil(L, idx))
        return standard;
    enum mf_dtype t = mf_dtype_find(luaL_checkstring(L, idx));
    if (t == MF_DTYPES)
        luaL_argerror(
            L, idx,
            lua_pushfstring(L, "there is no dtype '%s'; there are f64, f32, i64, i32, u8", lua_tostring(L, idx)));
    return t;
}

static size_t read_extent(lua_State *L, int idx, int arg)
{
    int is_integer;
    lua_Integer n = lua_tointegerx(L, idx, &is_integer);
    if (!is_integer || lua_type(L, idx) != LUA_TNUMBER)
        luaL_argerror(L, arg, "a shape is made of integers");
    luaL_argcheck(L, n >= 0, arg, "a shape has no negative numbers");
    return (size_t)n;
}

int mf_lib_array_read_shape(lua_State *L, int first, int last, size_t *shape)
{
    bool table = lua_istable(L, first);
    lua_Integer n = table ? (lua_Integer)lua_rawlen(L, first) : last - first + 1;
    luaL_argcheck(L, n >= 1, first, "a shape has at least one axis");
    luaL_argcheck(L, n <= MF_ARRAY_DIMS, first, "a shape has at most 8 axes");
    for (int i = 0; i < (int)n; i++) {
        if (table)
            lua_rawgeti(L, first, i + 1);
        else
            lua_pushvalue(L, first + i);
        shape[i] = read_extent(L, -1, table ? first : first + i);
        lua_pop(L, 1);
    }
    return (int)n;
}

int mf_lib_array_axis(lua_State *L, int idx, const struct mf_array *a)
{
    lua_Integer axis = luaL_checkinteger(L, idx);
    lua_Integer from_one = axis < 0 ? axis + a->ndim + 1 : axis;
    if (from_one < 1 || from_one > a->ndim)
        luaL_argerror(L, idx, lua_pushfstring(L, "there is no axis %I in an array with %d", axis, a->ndim));
    return (int)from_one - 1;
}

void mf_lib_array_try(lua_State *L, enum mf_err e, const struct mf_fault *fault)
{
    if (e != MF_OK)
        luaL_error(L, "%s", fault->text);
}

/* --- For other modules (lib_array.h) ----------------------------------------------------------------------------- */

bool mf_lib_array_is(lua_State *L, int idx)
{
    return mf_lib_array_test(L, idx) != NULL;
}

static struct mf_array *test_line(lua_State *L, int idx, enum mf_dtype dtype, ptrdiff_t *stride)
{
    struct mf_array *a = mf_lib_array_test(L, idx);
    return a && a->dtype == dtype && mf_array_line(a, stride) ? a : NULL;
}

const double *mf_lib_array_read(lua_State *L, int idx, size_t *n, ptrdiff_t *stride)
{
    const struct mf_array *a = test_line(L, idx, MF_F64, stride);
    if (!a)
        return NULL;
    *n = a->count;
    return mf_array_data(a);
}

static void *write_line(lua_State *L, struct mf_array *a, size_t *n)
{
    struct mf_fault fault;
    void *data = mf_array_own(mf_lib_array_heap(L), a, &fault);
    if (!data)
        luaL_error(L, "%s", fault.text);
    *n = a->count;
    return data;
}

double *mf_lib_array_write(lua_State *L, int idx, size_t *n, ptrdiff_t *stride)
{
    struct mf_array *a = test_line(L, idx, MF_F64, stride);
    return a ? write_line(L, a, n) : NULL;
}

int64_t *mf_lib_array_write_integers(lua_State *L, int idx, size_t *n, ptrdiff_t *stride)
{
    struct mf_array *a = test_line(L, idx, MF_I64, stride);
    return a ? write_line(L, a, n) : NULL;
}

const double *mf_lib_array_doubles(lua_State *L, int idx, size_t *n)
{
    struct mf_fault fault;
    struct mf_array *a = mf_lib_array_test(L, idx);
    if (!a)
        return NULL;
    *n = a->count;
    if (a->dtype == MF_F64 && mf_array_is_contiguous(a)) {
        lua_pushvalue(L, idx);
        return mf_array_data(a);
    }
    struct mf_array *copy = mf_lib_array_box(L);
    mf_lib_array_try(L, mf_array_convert(mf_lib_array_heap(L), a, MF_F64, copy, &fault), &fault);
    return mf_array_data(copy);
}

static void *push_line(lua_State *L, size_t n, enum mf_dtype dtype)
{
    struct mf_fault fault;
    struct mf_array *a = mf_lib_array_box(L);
    struct mf_heap *heap = mf_lib_array_heap(L);
    mf_lib_array_try(L, mf_array_new(heap, a, dtype, 1, &n, false, &fault), &fault);
    return mf_array_own(heap, a, &fault); /* it is new: nothing to copy */
}

double *mf_lib_array_push(lua_State *L, size_t n)
{
    return push_line(L, n, MF_F64);
}

int64_t *mf_lib_array_push_integers(lua_State *L, size_t n)
{
    return push_line(L, n, MF_I64);
}

/* --- The module -------------------------------------------------------------------------------------------------- */

int mf_lib_array_core(lua_State *L)
{
    open_heap(L);
    lua_newtable(L);
    luaL_newmetatable(L, "moonfleet.array");
    lua_pushcfunction(L, array_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
    lua_setfield(L, -2, "metatable");
    lua_newtable(L);
    lua_setfield(L, -2, "methods");
    mf_lib_array_index(L);
    mf_lib_array_make(L);
    mf_lib_array_ops(L);
    mf_lib_array_shape(L);
    mf_lib_array_reduce(L);
    mf_lib_array_npy(L);
    mf_lib_array_shared(L);
    mf_lib_share(L);
    return 1;
}
