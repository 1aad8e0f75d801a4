/* Trace lines: which areas, where to, and that lines of several threads never mix. */
#include "check.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/log.h"

#define ALL (MF_LOG_FUTURE | MF_LOG_POOL | MF_LOG_BACKEND)

static char folder[256], path[300];

/* The file's content, terminated; its length. */
static size_t slurp(char *bytes, size_t size)
{
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(bytes, 1, size - 1, f) : 0;
    if (f)
        fclose(f);
    bytes[n] = '\0';
    return n;
}

static unsigned configured(const char *spec)
{
    struct mf_fault fault = {0};
    CHECK(mf_log_configure(spec, &fault) == MF_OK);
    return atomic_load(&mf_log_areas);
}

static void test_areas(void)
{
    CHECK(atomic_load(&mf_log_areas) == 0);
    CHECK(configured("future") == MF_LOG_FUTURE);
    CHECK(configured("pool") == MF_LOG_POOL);
    CHECK(configured("backend") == MF_LOG_BACKEND);
    CHECK(configured("all") == ALL);
    CHECK(configured("backend,future") == (MF_LOG_BACKEND | MF_LOG_FUTURE));
    CHECK(configured("pool,pool,pool") == MF_LOG_POOL);
}

static void test_refusals(void)
{
    static const char *const bad[] = {"", "futures", "fut", "pool,", ",pool", "pool,,future", "Pool", " pool", "pool "};
    struct mf_fault fault;
    configured("pool");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(mf_log_configure(bad[i], &fault) == MF_EINVAL);
        CHECK(fault.code == MF_EINVAL && strstr(fault.text, "unknown area '"));
    }
    CHECK(mf_log_configure("pool,wrong:x", &fault) == MF_EINVAL && strstr(fault.text, "'wrong'"));
    CHECK(strstr(fault.text, "future, pool, backend or all"));
    CHECK(mf_log_configure("all:/no such folder/file", &fault) == MF_ESYS);
    CHECK(strstr(fault.text, "'/no such folder/file'"));
    CHECK(mf_log_configure("all:", NULL) == MF_ESYS);
    CHECK(atomic_load(&mf_log_areas) == MF_LOG_POOL); /* as it was */
}

static int evaluated(int *count)
{
    return ++*count;
}

static void test_lines(void)
{
    char spec[400], text[2000];
    int count = 0;
    snprintf(spec, sizeof spec, "pool:%s", path);
    CHECK(configured(spec) == MF_LOG_POOL);
    mf_log(MF_LOG_FUTURE, "not wanted %d", evaluated(&count));
    CHECK(slurp(text, sizeof text) == 0 && count == 0);
    mf_log(MF_LOG_POOL, "worker %s: %d", "threads/1", evaluated(&count));
    CHECK(slurp(text, sizeof text) > 0 && count == 1);
    CHECK(strstr(text, "worker threads/1: 1 (log_test.c:") && text[strlen(text) - 1] == '\n');
    CHECK(!strstr(text, "tests/"));
    CHECK(configured(spec) == MF_LOG_POOL); /* appends */
    mf_log(MF_LOG_POOL, "second%s", "");
    slurp(text, sizeof text);
    CHECK(strstr(text, "worker threads/1") && strstr(text, "second (log_test.c:"));
}

static void test_long_line(void)
{
    char text[4000], name[300];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    mf_log_line("a.c", 1, "%01000d", 5);
    mf_log_line(name, 2, "%01000d", 5);
    size_t n = slurp(text, sizeof text);
    CHECK(n < 2000 && text[n - 1] == '\n' && strstr(text, "0 (a.c:1)\n") && strstr(text, ":2)\n"));
}

enum { THREADS = 4, LINES = 500 };

static void *write_lines(void *arg)
{
    char mark = *(const char *)arg, fill[101];
    memset(fill, mark, sizeof fill - 1);
    fill[sizeof fill - 1] = '\0';
    for (int i = 0; i < LINES; i++)
        mf_log(MF_LOG_POOL, "<%s>", fill);
    return NULL;
}

/* Every line that has a mark has exactly 100 of one letter. */
static int whole_lines(char *text)
{
    int whole = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *start = strchr(line, '<');
        if (!start)
            continue;
        char letter[2] = {start[1], '\0'};
        whole += strspn(start + 1, letter) == 100 && start[101] == '>';
    }
    return whole;
}

static void test_threads(void)
{
    static const char marks[THREADS] = {'a', 'b', 'c', 'd'};
    pthread_t threads[THREADS];
    size_t size = (size_t)1 << 20;
    char *text = malloc(size);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, write_lines, (void *)(uintptr_t)&marks[i]) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK(slurp(text, size) > 0 && whole_lines(text) == THREADS * LINES);
    free(text);
}

/* --- A sink --- */

static atomic_int sunk;
static char last_line[600];

static void sink_line(void *arg, const char *text, size_t n)
{
    CHECK(arg == &sunk && text[n - 1] != '\n' && n < sizeof last_line);
    memcpy(last_line, text, n);
    last_line[n] = '\0';
    atomic_fetch_add(&sunk, 1);
}

/* Lines go to the sink as they would to the file; who ends another's sink changes nothing. */
static void test_sink(void)
{
    const struct mf_log_sink sink = {.line = sink_line, .arg = &sunk}, other = sink;
    char spec[400];
    struct mf_fault fault;
    snprintf(spec, sizeof spec, "pool:%s", path);
    CHECK(mf_log_configure(spec, &fault) == MF_OK);
    CHECK(truncate(path, 0) == 0);
    mf_log_to(&sink);
    mf_log(MF_LOG_POOL, "to the %s", "sink");
    mf_log(MF_LOG_FUTURE, "not this");
    CHECK(sunk == 1 && strstr(last_line, "to the sink (log_test.c:"));
    char *text = malloc(4096);
    CHECK(slurp(text, 4096) == 0);
    mf_log_end(&other);
    mf_log(MF_LOG_POOL, "again");
    CHECK(sunk == 2);
    mf_log_end(&sink);
    mf_log(MF_LOG_POOL, "tracing has ended");
    CHECK(sunk == 2 && mf_log_areas == 0 && slurp(text, 4096) == 0);
    mf_log_configure(spec, &fault);
    mf_log_to(&sink);
    mf_log_forget(); /* as in a fork */
    mf_log(MF_LOG_POOL, "nobody");
    CHECK(sunk == 2 && slurp(text, 4096) == 0);
    mf_log_configure(spec, &fault);
    mf_log_forget(); /* a file stays */
    mf_log(MF_LOG_POOL, "in the file");
    CHECK(slurp(text, 4096) > 0 && strstr(text, "in the file"));
    free(text);
}

int main(void)
{
    const char *tmp = getenv("TMPDIR");
    alarm(60);
    snprintf(folder, sizeof folder, "%s/mf-log-XXXXXX", tmp ? tmp : "/tmp");
    if (!CHECK(mkdtemp(folder) != NULL))
        return check_report();
    snprintf(path, sizeof path, "%s/trace", folder);
    test_areas();
    test_refusals();
    test_lines();
    test_long_line();
    test_threads();
    test_sink();
    unlink(path);
    rmdir(folder);
    return check_report();
}
