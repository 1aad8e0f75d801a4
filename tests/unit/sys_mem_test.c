/* Pages: what sys_mem.h promises of each. */
#include "check.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/sys_mem.h"

#define MEGABYTE ((size_t)1 << 20)

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 7 + (i >> 12));
}

static void fill(unsigned char *bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        bytes[i] = pattern(i);
}

static bool holds(const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != pattern(i))
            return false;
    return true;
}

static void test_mapping(void)
{
    static const size_t sizes[] = {1, 4096, 100000, 2 * MEGABYTE, 2 * MEGABYTE + 1, 7 * MEGABYTE};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *block = mf_sys_map(sizes[i]);
        if (!CHECK(block && (uintptr_t)block % mf_sys_page() == 0))
            return;
        CHECK(block[0] == 0 && block[sizes[i] - 1] == 0);
        fill(block, 0, sizes[i]);
        CHECK(holds(block, sizes[i]));
        mf_sys_unmap(block, sizes[i]);
    }
    mf_sys_unmap(NULL, 5);
}

static void test_too_much(void)
{
    CHECK(mf_sys_map(0) == NULL && mf_sys_map(SIZE_MAX) == NULL && mf_sys_map(SIZE_MAX / 2) == NULL);
    unsigned char *block = mf_sys_map(MEGABYTE);
    fill(block, 0, MEGABYTE);
    CHECK(mf_sys_remap(block, MEGABYTE, SIZE_MAX / 2) == NULL && holds(block, MEGABYTE));
    mf_sys_unmap(block, MEGABYTE);
}

/* Growing and shrinking, also where something stands behind the block. */
static void test_remapping(void)
{
    size_t size = 3 * MEGABYTE;
    unsigned char *block = mf_sys_map(size), *others[8];
    fill(block, 0, size);
    for (int i = 0; i < 8; i++)
        others[i] = mf_sys_map(MEGABYTE);
    for (int i = 0; i < 5; i++) {
        unsigned char *larger = mf_sys_remap(block, size, 2 * size);
        if (!CHECK(larger && holds(larger, size)))
            return;
        fill(larger, size, 2 * size);
        block = larger;
        size *= 2;
    }
    block = mf_sys_remap(block, size, size / 4 + 1);
    size = size / 4 + 1;
    CHECK(block && holds(block, size));
    for (int i = 0; i < 8; i++)
        mf_sys_unmap(others[i], MEGABYTE);
    mf_sys_unmap(block, size);
}

static void test_sparing(void)
{
    unsigned char *block = mf_sys_map(5 * MEGABYTE);
    fill(block, 0, 5 * MEGABYTE);
    mf_sys_spare(block, 5 * MEGABYTE);
    fill(block, 0, 5 * MEGABYTE);
    CHECK(holds(block, 5 * MEGABYTE));
    mf_sys_unmap(block, 5 * MEGABYTE);
}

/* All sizes around those where the way of copying changes, at odd addresses, and nothing beside it is touched. */
static void test_copying(void)
{
    static const size_t sizes[] = {0, 1, 63, 64, 65, 1000, 16 * MEGABYTE - 1, 16 * MEGABYTE, 17 * MEGABYTE + 13};
    size_t room = 18 * MEGABYTE;
    unsigned char *from = malloc(room), *to = malloc(room);
    fill(from, 0, room);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t shift = 0; shift < 4; shift++) {
            memset(to, 0xee, sizes[i] + 100);
            mf_sys_copy(to + 17 * shift, from + 5 * shift, sizes[i]);
            CHECK(memcmp(to + 17 * shift, from + 5 * shift, sizes[i]) == 0);
            CHECK(to[17 * shift + sizes[i]] == 0xee && (shift == 0 || to[17 * shift - 1] == 0xee));
        }
    free(from);
    free(to);
}

int main(void)
{
    test_mapping();
    test_too_much();
    test_remapping();
    test_sparing();
    test_copying();
    return check_report();
}
