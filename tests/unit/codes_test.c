/* codes.c: numbers for code, what an agent knows, and what may be forgotten. */
#include "../../runtime/codes.h"

#include "check.h"

static struct mf_blob *blob(unsigned char content)
{
    return mf_blob_new(&content, 1);
}

static void test_numbers(void)
{
    struct mf_codes codes = {0};
    struct mf_blob *blobs[40];
    uint64_t number, again;
    for (unsigned i = 0; i < 40; i++) {
        blobs[i] = blob((unsigned char)i);
        CHECK(mf_codes_number(&codes, blobs[i], &number) == MF_OK);
        CHECK(number == i + 1);
    }
    for (unsigned i = 0; i < 40; i++)
        CHECK(mf_codes_number(&codes, blobs[i], &again) == MF_OK && again == i + 1);
    CHECK(mf_codes_retire(&codes) == 0); /* all are still referred to */
    mf_blob_unref(blobs[7]);
    CHECK(mf_codes_retire(&codes) == 8);
    CHECK(mf_codes_retire(&codes) == 0);
    blobs[7] = blob(7);
    CHECK(mf_codes_number(&codes, blobs[7], &number) == MF_OK && number == 41); /* never a number twice */
    mf_codes_release(&codes);
    for (unsigned i = 0; i < 40; i++) {
        CHECK(atomic_load(&blobs[i]->refs) == 1);
        mf_blob_unref(blobs[i]);
    }
}

static void test_known(void)
{
    struct mf_codes_known known = {0};
    CHECK(!mf_codes_knows(&known, 1) && !mf_codes_unlearn(&known, 1));
    for (uint64_t i = 1; i <= 100; i++)
        CHECK(mf_codes_learn(&known, i) == MF_OK);
    CHECK(mf_codes_unlearn(&known, 50) && !mf_codes_knows(&known, 50) && !mf_codes_unlearn(&known, 50));
    for (uint64_t i = 1; i <= 100; i++)
        CHECK(mf_codes_knows(&known, i) == (i != 50));
    mf_codes_forget_all(&known);
    CHECK(!mf_codes_knows(&known, 1));
}

int main(void)
{
    test_numbers();
    test_known();
    return check_report();
}
