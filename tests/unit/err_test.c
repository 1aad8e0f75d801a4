/* Error codes and fault records. */
#include "check.h"

#include <string.h>
#include <unistd.h>

#include "../../runtime/err.h"

static void test_texts(void)
{
    for (int code = MF_OK; code <= MF_ESYS; code++) {
        CHECK(mf_err_text((enum mf_err)code)[0] != '\0');
        for (int other = MF_OK; other < code; other++)
            CHECK(strcmp(mf_err_text((enum mf_err)code), mf_err_text((enum mf_err)other)) != 0);
    }
    CHECK(strcmp(mf_err_text(MF_ENOMEM), "out of memory") == 0);
    CHECK(mf_err_text((enum mf_err)(MF_ESYS + 1)) != NULL && mf_err_text((enum mf_err) - 1) != NULL);
}

static void test_faults(void)
{
    struct mf_fault fault;
    memset(&fault, 'x', sizeof fault);
    CHECK(mf_fault_set(&fault, MF_EINVAL, "workers must be positive, not %d", -3) == MF_EINVAL);
    CHECK(fault.code == MF_EINVAL && strcmp(fault.text, "workers must be positive, not -3") == 0);
    CHECK(mf_fault_set(NULL, MF_ELOST, "nobody listens to %s", "this") == MF_ELOST);
    CHECK(mf_fault_set(&fault, MF_OK, "%s", "") == MF_OK && fault.code == MF_OK && fault.text[0] == '\0');
}

static void test_long_text_is_cut(void)
{
    struct {
        struct mf_fault fault;
        char behind[8];
    } s;
    memset(&s, 'x', sizeof s);
    CHECK(mf_fault_set(&s.fault, MF_ESYS, "%0500d", 7) == MF_ESYS);
    CHECK(strlen(s.fault.text) == sizeof s.fault.text - 1 && memcmp(s.behind, "xxxxxxxx", 8) == 0);
}

static void test_shown_bytes(void)
{
    char text[40], small[12];
    mf_err_show(text, sizeof text, "a \"b\"\n\x1b[1m\0\xff\\", 13);
    CHECK(strcmp(text, "a \\x22b\\x22\\n\\x1b[1m\\x00\\xff\\x5c") == 0);
    mf_err_show(small, sizeof small, "\x01\x02\x03\x04", 4);
    CHECK(strcmp(small, "\\x01\\x02") == 0);
    mf_err_show(text, sizeof text, NULL, 0);
    CHECK(text[0] == '\0');
}

int main(void)
{
    alarm(60);
    test_texts();
    test_faults();
    test_long_text_is_cut();
    test_shown_bytes();
    return check_report();
}
