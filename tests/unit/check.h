/* CHECK for the plain C tests: prints what failed and where, and goes on; check_report ends main. */
#ifndef MF_CHECK_H
#define MF_CHECK_H

#include <stdatomic.h>
#include <stdio.h>

static atomic_int check_passed, check_failed;

/* Counts one check. Any thread. */
#define CHECK(condition) check_note(!!(condition), #condition, __FILE__, __LINE__)

static inline int check_note(int ok, const char *text, const char *file, int line)
{
    if (ok) {
        check_passed++;
    } else {
        check_failed++;
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
    }
    return ok;
}

/* Prints the totals; the exit code. A test that checked nothing has failed. */
static inline int check_report(void)
{
    printf("%d passed, %d failed\n", check_passed, check_failed);
    return check_failed > 0 || check_passed == 0;
}

#endif
