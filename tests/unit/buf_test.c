/* Buffers, blobs and error records, without Lua. */
#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/buf.h"
#include "../../runtime/err.h"
#include "../../runtime/pages.h"

static void fill(struct mf_buf *b, size_t n)
{
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)(i * 7);
        ok = mf_buf_append(b, &byte, 1) && ok;
    }
    CHECK(ok);
}

static int holds(const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != (unsigned char)(i * 7))
            return 0;
    return 1;
}

static void test_growing(void)
{
    struct mf_buf b = {0};
    CHECK(mf_buf_append(&b, NULL, 0) && b.len == 0);
    fill(&b, 100000);
    CHECK(b.len == 100000 && b.cap >= b.len && holds(b.data, b.len));
    CHECK(mf_buf_reserve(&b, 5000000) && b.cap - b.len >= 5000000 && holds(b.data, b.len));
    mf_buf_release(&b);
    CHECK(!b.data && b.len == 0 && b.cap == 0);
    fill(&b, 3);
    CHECK(b.len == 3);
    mf_buf_release(&b);
}

static void test_refusals(void)
{
    struct mf_buf b;
    mf_buf_init(&b);
    fill(&b, 10);
    unsigned char *data = b.data;
    size_t cap = b.cap;
    CHECK(!mf_buf_reserve(&b, SIZE_MAX));
    CHECK(!mf_buf_reserve(&b, SIZE_MAX - 5));
    CHECK(!mf_buf_reserve(&b, SIZE_MAX / 2));
    CHECK(!mf_buf_append(&b, data, SIZE_MAX - 16));
    CHECK(b.data == data && b.len == 10 && b.cap == cap && holds(b.data, 10));
    CHECK(mf_blob_new(NULL, SIZE_MAX - 4) == NULL);
    mf_buf_release(&b);
}

static void test_freeze_small(void)
{
    struct mf_buf b = {0};
    fill(&b, 4096);
    unsigned char *data = b.data;
    struct mf_blob *blob = mf_buf_freeze(&b);
    CHECK(blob && blob->len == 4096 && holds(blob->data, 4096) && blob->data != data);
    CHECK(b.data == data && b.len == 0 && b.cap >= 4096);
    fill(&b, 10);
    CHECK(holds(blob->data, 4096));
    mf_blob_unref(blob);
    mf_buf_release(&b);
    blob = mf_buf_freeze(&b);
    CHECK(blob && blob->len == 0);
    mf_blob_unref(blob);
}

static void test_freeze_large(void)
{
    struct mf_buf b = {0};
    fill(&b, 1 << 20);
    b.len = b.cap; /* no slack: the storage itself must be handed over */
    memset(b.data + (1 << 20), 1, b.cap - (1 << 20));
    unsigned char *data = b.data;
    size_t len = b.len;
    struct mf_blob *blob = mf_buf_freeze(&b);
    CHECK(blob && blob->data == data && blob->len == len && holds(blob->data, 1 << 20));
    CHECK(blob->flags == 0 && atomic_load(&blob->refs) == 1);
    CHECK(!b.data && b.len == 0 && b.cap == 0);
    fill(&b, 5000);
    CHECK(mf_buf_reserve(&b, 1 << 22)); /* much slack: it is given back, the bytes stay */
    struct mf_blob *second = mf_buf_freeze(&b);
    CHECK(second && second->len == 5000 && holds(second->data, 5000));
    mf_blob_unref(second);
    mf_blob_unref(blob);
}

/* --- Large content ---------------------------------------------------------------------------------------------- */

/* In buffers that double, content of this size is in a block for sure, of half of it not yet. */
#define FROM MF_PAGES_LEAST
#define LONG (FROM / 2 * 3 + 4003)

/* Appends n bytes at once. */
static bool append_block(struct mf_buf *b, size_t n)
{
    unsigned char *bytes = malloc(n);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)((b->len + i) * 7);
    bool good = mf_buf_append(b, bytes, n);
    free(bytes);
    return good;
}

static void test_store(void)
{
    struct mf_pages *pages = mf_pages_new();
    struct mf_buf b = {0};
    mf_pages_warm(pages, UINT64_MAX);
    mf_buf_use(&b, pages, NULL);
    CHECK(append_block(&b, FROM / 2 - 1000) && b.storage == MF_BUF_MALLOC);
    CHECK(append_block(&b, FROM) && b.storage == MF_BUF_PAGES);
    CHECK(append_block(&b, 5000) && append_block(&b, 3) && b.storage == MF_BUF_PAGES);
    CHECK(!mf_buf_reserve(&b, SIZE_MAX / 2 - b.len - 200) && b.len == LONG);
    CHECK(holds(b.data, b.len));
    const unsigned char *data = b.data;
    struct mf_blob *blob = mf_buf_freeze(&b);
    CHECK(blob && blob->data == data && blob->len == LONG && holds(blob->data, blob->len));
    CHECK(!b.data && b.len == 0 && b.cap == 0 && b.pages == pages);
    mf_blob_unref(mf_blob_ref(blob));
    mf_blob_unref(blob);
    CHECK(append_block(&b, LONG) && b.storage == MF_BUF_PAGES);
    data = b.data;
    mf_blob_unref(mf_buf_freeze(&b));
    CHECK(append_block(&b, LONG) && b.data == data); /* the same block again */
    b.len = 100;
    blob = mf_buf_freeze(&b); /* little was left in it: a copy, and the block is let go of */
    CHECK(blob && blob->len == 100 && holds(blob->data, 100) && !b.data && b.storage == MF_BUF_MALLOC);
    mf_blob_unref(blob);
    CHECK(append_block(&b, LONG) && b.data == data);
    mf_buf_release(&b);
    CHECK(append_block(&b, FROM) && b.storage == MF_BUF_MALLOC); /* there is nothing to use any more */
    mf_buf_release(&b);
    mf_pages_unref(pages);
}

/* A blob in a block of pages may outlive the owner's reference to them. */
static void test_store_ends_first(void)
{
    struct mf_pages *pages = mf_pages_new();
    struct mf_buf b = {0};
    mf_buf_use(&b, pages, NULL);
    CHECK(append_block(&b, FROM) && mf_buf_reserve(&b, FROM));
    struct mf_blob *blob = mf_buf_freeze(&b); /* the slack is given back */
    mf_buf_release(&b);
    mf_pages_unref(pages);
    CHECK(blob && holds(blob->data, FROM));
    mf_blob_unref(blob);
}

static void test_cut(void)
{
    struct mf_pages *pages = mf_pages_new();
    struct mf_buf b = {0};
    mf_buf_use(&b, pages, NULL);
    fill(&b, 100);
    struct mf_blob *blob = mf_blob_cut(mf_buf_freeze(&b));
    CHECK(blob && blob->len == 84 && blob->data[0] == (unsigned char)(16 * 7) &&
          blob->data[83] == (unsigned char)(99 * 7));
    struct mf_blob *held = mf_blob_ref(blob), *again = mf_blob_cut(blob); /* of one that another holds: a copy */
    CHECK(again && again->len == 68 && again->data[0] == (unsigned char)(32 * 7) && held->len == 84);
    mf_blob_unref(again);
    again = mf_blob_cut(held); /* and of one that was cut */
    CHECK(again && again->len == 68 && again->data[67] == (unsigned char)(99 * 7));
    mf_blob_unref(again);
    fill(&b, 16);
    blob = mf_blob_cut(mf_buf_freeze(&b));
    CHECK(blob && blob->len == 0);
    mf_blob_unref(blob);
    CHECK(append_block(&b, FROM) && b.storage == MF_BUF_PAGES);
    const unsigned char *data = b.data;
    blob = mf_blob_cut(mf_buf_freeze(&b));
    CHECK(blob && blob->data == data + 16 && blob->len == FROM - 16);
    mf_blob_unref(blob);
    mf_buf_release(&b);
    mf_pages_unref(pages);
}

static void *ref_and_unref(void *blob)
{
    for (int i = 0; i < 20000; i++)
        mf_blob_unref(mf_blob_ref(blob));
    mf_blob_unref(blob);
    return NULL;
}

static void test_references(void)
{
    pthread_t threads[4];
    struct mf_blob *blob = mf_blob_new("hello", 5);
    CHECK(blob && blob->len == 5 && memcmp(blob->data, "hello", 5) == 0);
    CHECK(mf_blob_ref(NULL) == NULL);
    mf_blob_unref(NULL);
    for (int i = 0; i < 4; i++) {
        CHECK(mf_blob_ref(blob) == blob);
        CHECK(pthread_create(&threads[i], NULL, ref_and_unref, blob) == 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK(atomic_load(&blob->refs) == 1);
    mf_blob_unref(blob);
}

static void test_errors(void)
{
    struct mf_fault fault;
    for (int code = MF_OK; code <= MF_ESYS; code++)
        for (int other = MF_OK; other < code; other++)
            CHECK(strcmp(mf_err_text((enum mf_err)code), mf_err_text((enum mf_err)other)) != 0);
    CHECK(strcmp(mf_err_text(MF_ENOMEM), "out of memory") == 0);
    CHECK(mf_err_text((enum mf_err)12345) != NULL);
    CHECK(mf_fault_set(&fault, MF_EINVAL, "workers must be positive, not %d", -3) == MF_EINVAL);
    CHECK(fault.code == MF_EINVAL && strcmp(fault.text, "workers must be positive, not -3") == 0);
    CHECK(mf_fault_set(NULL, MF_ELOST, "nobody listens") == MF_ELOST);
    CHECK(mf_fault_set(&fault, MF_ESYS, "%0500d", 7) == MF_ESYS && strlen(fault.text) == sizeof fault.text - 1);
}

int main(void)
{
    test_growing();
    test_refusals();
    test_freeze_small();
    test_freeze_large();
    test_store();
    test_store_ends_first();
    test_cut();
    test_references();
    test_errors();
    return check_report();
}
