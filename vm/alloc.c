/* Design note: a block is malloc's or in pages of its own by its size alone, which Lua tells with every call; so
 * nothing need be written down. (The size that Lua tells with a new block is a small number: what it is for.) */
#include "alloc.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_large(size_t bytes)
{
    return bytes >= MF_ALLOC_LARGE;
}

static void *get(struct mf_pages *pages, size_t bytes)
{
    return is_large(bytes) ? mf_pages_get(pages, bytes) : malloc(bytes);
}

static void put(struct mf_pages *pages, void *block, size_t bytes)
{
    if (is_large(bytes))
        mf_pages_put(pages, block, bytes);
    else
        free(block);
}

/* From one kind to the other, or from nothing, or to nothing. */
static void *move(struct mf_pages *pages, void *block, size_t from, size_t to)
{
    void *moved = to > 0 ? get(pages, to) : NULL;
    if (block && (moved || to == 0)) {
        if (moved)
            memcpy(moved, block, from < to ? from : to);
        put(pages, block, from);
    }
    return moved;
}

/* Not inlined, so that the short way saves no registers. */
__attribute__((noinline)) static void *allocate_large(void *pages, void *block, size_t from, size_t to)
{
    if (is_large(from) && is_large(to))
        return mf_pages_resize(pages, block, from, to);
    return move(pages, block, from, to);
}

static void *allocate(void *pages, void *block, size_t from, size_t to)
{
    if (is_large(from) || is_large(to))
        return allocate_large(pages, block, from, to);
    if (to > 0)
        return realloc(block, to);
    free(block);
    return NULL;
}

lua_State *mf_alloc_newstate(struct mf_pages *pages)
{
    lua_State *L = luaL_newstate(); /* whose allocator is malloc's; a new state has no large blocks */
    if (L)
        lua_setallocf(L, allocate, pages);
    return L;
}

struct mf_pages *mf_alloc_pages(lua_State *L)
{
    void *pages;
    return lua_getallocf(L, &pages) == allocate ? pages : NULL;
}
