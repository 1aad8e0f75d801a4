/* Design note: a huge page is mapped by one fault in the place of 512, and cleared at twice the speed; so blocks begin
 * at an address that is a multiple of one. All of a block is advised to lie in such pages, since one whose parts differ
 * cannot be moved; what is left behind the last whole one lies in small pages by itself.
 *
 * A copy that is larger than the caches is faster past them: what is written need not be read first, and nothing that
 * is of use is driven out. The C library does so as well, but on some processors in an order that takes half as long
 * again. */
#define _GNU_SOURCE
#include "sys_mem.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

#define STREAM    ((size_t)16 << 20) /* bytes from which copies go past the caches */
#define LINE      64                 /* bytes of a line of the cache */
#define AHEAD     1024               /* bytes that are asked for ahead */
#define HUGE_PAGE ((size_t)2 << 20)  /* of most machines; where it is another, some of the blocks are in small pages */

/* What only a block refers to is no leak; the sanitizer must be told where to look. */
static void *begin(void *block, size_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    if (block)
        __lsan_register_root_region(block, bytes);
#endif
    (void)bytes;
    return block;
}

static void end(const void *block, size_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    __lsan_unregister_root_region(block, bytes);
#endif
    (void)block;
    (void)bytes;
}

size_t mf_sys_page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t in_pages(size_t bytes)
{
    size_t page = mf_sys_page();
    return bytes > SIZE_MAX - page ? 0 : (bytes + page - 1) / page * page;
}

static void *map(size_t bytes)
{
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return block == MAP_FAILED ? NULL : block;
}

/* Cuts what stands before the first multiple of a huge page off, and what is too much behind. */
static void *align(unsigned char *wide, size_t bytes)
{
    size_t before = (HUGE_PAGE - (uintptr_t)wide % HUGE_PAGE) % HUGE_PAGE;
    if (before > 0)
        munmap(wide, before);
    if (before < HUGE_PAGE)
        munmap(wide + before + bytes, HUGE_PAGE - before);
    return wide + before;
}

static void *map_aligned(size_t bytes)
{
    void *wide = bytes >= HUGE_PAGE && bytes <= SIZE_MAX - HUGE_PAGE ? map(bytes + HUGE_PAGE) : NULL;
    return wide ? align(wide, bytes) : map(bytes);
}

static void advise_huge(void *block, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    madvise(block, bytes, MADV_HUGEPAGE);
#else
    (void)block;
    (void)bytes;
#endif
}

void *mf_sys_map(size_t bytes)
{
    bytes = in_pages(bytes);
    void *block = bytes > 0 ? map_aligned(bytes) : NULL;
    if (block)
        advise_huge(block, bytes);
    return begin(block, bytes);
}

void mf_sys_unmap(void *block, size_t bytes)
{
    bytes = in_pages(bytes);
    if (!block)
        return;
    end(block, bytes);
    munmap(block, bytes);
}

#ifdef __linux__
void *mf_sys_remap(void *block, size_t from, size_t to)
{
    from = in_pages(from);
    to = in_pages(to);
    void *moved = to > 0 ? mremap(block, from, to, 0) : MAP_FAILED;
    if (moved == MAP_FAILED && to > from) {
        void *place = map_aligned(to);
        if (!place)
            return NULL;
        moved = mremap(block, from, to, MREMAP_MAYMOVE | MREMAP_FIXED, place);
        if (moved == MAP_FAILED)
            munmap(place, to);
    }
    if (moved == MAP_FAILED)
        return NULL;
    end(block, from);
    advise_huge(moved, to);
    return begin(moved, to);
}
#else
void *mf_sys_remap(void *block, size_t from, size_t to)
{
    void *moved = mf_sys_map(to);
    if (!moved)
        return NULL;
    memcpy(moved, block, from < to ? from : to);
    mf_sys_unmap(block, from);
    return moved;
}
#endif

void mf_sys_spare(void *block, size_t bytes)
{
#ifdef MADV_FREE
    madvise(block, in_pages(bytes), MADV_FREE);
#else
    (void)block;
    (void)bytes;
#endif
}

#ifdef __SSE2__
/* One line; to is a multiple of one. */
static inline void stream_line(unsigned char *to, const unsigned char *from)
{
    __m128i a = _mm_loadu_si128((const __m128i *)(const void *)from);
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(from + LINE / 4));
    __m128i c = _mm_loadu_si128((const __m128i *)(const void *)(from + LINE / 2));
    __m128i d = _mm_loadu_si128((const __m128i *)(const void *)(from + LINE / 4 * 3));
    _mm_stream_si128((__m128i *)(void *)to, a);
    _mm_stream_si128((__m128i *)(void *)(to + LINE / 4), b);
    _mm_stream_si128((__m128i *)(void *)(to + LINE / 2), c);
    _mm_stream_si128((__m128i *)(void *)(to + LINE / 4 * 3), d);
}

/* Returns how much of it was copied: the end that is no whole line is not. */
static size_t stream(unsigned char *to, const unsigned char *from, size_t bytes)
{
    size_t at = (LINE - (uintptr_t)to % LINE) % LINE;
    memcpy(to, from, at);
    for (; bytes - at >= LINE; at += LINE) {
        _mm_prefetch((const char *)((uintptr_t)from + at + AHEAD), _MM_HINT_NTA); /* past the end it does nothing */
        stream_line(to + at, from + at);
    }
    _mm_sfence();
    return at;
}
#else
static size_t stream(unsigned char *to, const unsigned char *from, size_t bytes)
{
    (void)to;
    (void)from;
    (void)bytes;
    return 0;
}
#endif

void mf_sys_copy(void *to, const void *from, size_t bytes)
{
    size_t done = bytes >= STREAM ? stream(to, from, bytes) : 0;
    memcpy((unsigned char *)to + done, (const unsigned char *)from + done, bytes - done);
}
