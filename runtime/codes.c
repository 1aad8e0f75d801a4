/* Design note: short arrays, searched from the end, since the newest code is asked for nearly always. A code is retired
 * when the pool's reference is the last one: its map is over and no future of it is queued. */
#include "codes.h"

#include <stdlib.h>
#include <string.h>

static bool grow(void **items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    size_t bigger = *cap ? 2 * *cap : 16;
    void *p = realloc(*items, bigger * size);
    if (!p)
        return false;
    *items = p;
    *cap = bigger;
    return true;
}

enum mf_err mf_codes_number(struct mf_codes *codes, struct mf_blob *code, uint64_t *number)
{
    for (size_t i = codes->n; i > 0; i--)
        if (codes->entries[i - 1].code == code) {
            *number = codes->entries[i - 1].number;
            return MF_OK;
        }
    void *entries = codes->entries;
    bool grown = grow(&entries, codes->n, &codes->cap, sizeof *codes->entries);
    codes->entries = entries;
    if (!grown)
        return MF_ENOMEM;
    *number = ++codes->last;
    codes->entries[codes->n++] = (struct mf_codes_entry){.code = mf_blob_ref(code), .number = *number};
    return MF_OK;
}

uint64_t mf_codes_retire(struct mf_codes *codes)
{
    for (size_t i = 0; i < codes->n; i++) {
        struct mf_codes_entry e = codes->entries[i];
        if (atomic_load_explicit(&e.code->refs, memory_order_acquire) != 1)
            continue;
        memmove(codes->entries + i, codes->entries + i + 1, (--codes->n - i) * sizeof e);
        mf_blob_unref(e.code);
        return e.number;
    }
    return 0;
}

void mf_codes_release(struct mf_codes *codes)
{
    for (size_t i = 0; i < codes->n; i++)
        mf_blob_unref(codes->entries[i].code);
    free(codes->entries);
    memset(codes, 0, sizeof *codes);
}

static size_t find(const struct mf_codes_known *known, uint64_t number)
{
    for (size_t i = known->n; i > 0; i--)
        if (known->numbers[i - 1] == number)
            return i;
    return 0;
}

bool mf_codes_knows(const struct mf_codes_known *known, uint64_t number)
{
    return find(known, number) != 0;
}

enum mf_err mf_codes_learn(struct mf_codes_known *known, uint64_t number)
{
    void *numbers = known->numbers;
    bool grown = grow(&numbers, known->n, &known->cap, sizeof *known->numbers);
    known->numbers = numbers;
    if (!grown)
        return MF_ENOMEM;
    known->numbers[known->n++] = number;
    return MF_OK;
}

bool mf_codes_unlearn(struct mf_codes_known *known, uint64_t number)
{
    size_t i = find(known, number);
    if (i)
        memmove(known->numbers + i - 1, known->numbers + i, (known->n-- - i) * sizeof *known->numbers);
    return i != 0;
}

void mf_codes_forget_all(struct mf_codes_known *known)
{
    free(known->numbers);
    memset(known, 0, sizeof *known);
}
