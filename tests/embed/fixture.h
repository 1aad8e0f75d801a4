/* What the programs api.c and tasks.c give the library, and how they check what comes of it. */
#ifndef MF_TEST_EMBED_FIXTURE_H
#define MF_TEST_EMBED_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../vm/moonfleet.h"

#define LIMIT 30.0 /* seconds; only ever reached when something hangs */

/* ThreadSanitizer forbids threads in a fork of a process with threads. */
#ifdef __SANITIZE_THREAD__
#define FORKS "processes"
#else
#define FORKS "forks"
#endif

static int failures;

#define CHECK(condition)                                                                                               \
    ((condition) ? 0 : (failures++, fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition)))

/* Of one interpreter, or of several. */
struct host {
    pthread_mutex_t lock;
    char out[4096], err[4096], log[65536]; /* what came, cut off at the end */
    atomic_long blocks, bytes, limit;      /* of memory; limit 0: none */
    atomic_long calls, last;               /* of calls for more memory; last: all behind it fail, 0: none */
    atomic_int states, workers;
    int stage; /* what the host is at */
};

static struct host host = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline void append(char *text, size_t room, const char *bytes, size_t n)
{
    size_t len = strlen(text);
    if (n > room - len - 1)
        n = room - len - 1;
    memcpy(text + len, bytes, n);
    text[len + n] = '\0';
}

static inline void on_output(void *arg, bool is_error, const char *bytes, size_t len)
{
    struct host *h = arg;
    pthread_mutex_lock(&h->lock);
    append(is_error ? h->err : h->out, sizeof h->out, bytes, len);
    pthread_mutex_unlock(&h->lock);
}

static inline void on_log(void *arg, const char *line, size_t len)
{
    struct host *h = arg;
    pthread_mutex_lock(&h->lock);
    append(h->log, sizeof h->log, line, len);
    append(h->log, sizeof h->log, "\n", 1);
    pthread_mutex_unlock(&h->lock);
}

static inline void *counting(void *arg, void *memory, size_t old_size, size_t size)
{
    struct host *h = arg;
    if (size > old_size && h->last && ++h->calls > h->last)
        return NULL;
    if (size > old_size && h->limit && h->bytes + (long)(size - old_size) > h->limit)
        return NULL;
    if (size == 0) {
        free(memory);
        h->blocks--;
        h->bytes -= (long)old_size;
        return NULL;
    }
    void *made = realloc(memory, size);
    if (made) {
        h->blocks += memory == NULL;
        h->bytes += (long)size - (long)old_size;
    }
    return made;
}

/* Returns its arguments. */
static inline void echo(struct mf_call *call, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < mf_argument_count(call); i++)
        mf_return(call, mf_argument(call, i));
}

/* The sum of a list or array of numbers. */
static inline void total(struct mf_call *call, void *arg)
{
    struct mf_datum list = mf_argument(call, 0);
    double sum = 0;
    (void)arg;
    if (list.type != MF_TYPE_NUMBERS) {
        mf_fail(call, "total: expected numbers");
        return;
    }
    for (size_t i = 0; i < list.len; i++)
        sum += list.numbers[i];
    mf_return(call, mf_from_number(sum));
}

/* What its argument is called. */
static inline void kind(struct mf_call *call, void *arg)
{
    struct mf_datum d = mf_argument(call, 0);
    (void)arg;
    mf_return(call, d.type == MF_TYPE_OTHER ? mf_from_string(d.string) : mf_from_integer((int64_t)d.type));
}

/* The host's stage. */
static inline void stage(struct mf_call *call, void *arg)
{
    (void)arg;
    mf_return(call, mf_from_integer(host.stage));
}

static inline void on_state(struct mf_addition *addition, void *arg)
{
    struct host *h = arg;
    if (h) {
        h->states++;
        h->workers += mf_is_worker(addition);
    }
    mf_add_function(addition, "echo", echo, NULL);
    mf_add_function(addition, "host.math.total", total, NULL);
    mf_add_function(addition, "host.kind", kind, NULL);
    mf_add_function(addition, "stage", stage, NULL);
}

static inline struct mf_config config_of(const char *plan)
{
    return (struct mf_config){
        .ignore_env = true, .plan = plan, .serves = true, .arg = &host, .on_state = on_state, .on_output = on_output};
}

static inline struct mf_interp *open_with(const struct mf_config *config)
{
    struct mf_interp *interp;
    if (mf_open(config, &interp) != MF_RUN_OK) {
        fprintf(stderr, "%s\n", mf_error(interp));
        exit(EXIT_FAILURE);
    }
    return interp;
}

static inline struct mf_interp *open_plan(const char *plan)
{
    struct mf_config config = config_of(plan);
    return open_with(&config);
}

static inline enum mf_status run(struct mf_interp *interp, const char *code)
{
    return mf_run_string(interp, code, strlen(code), "=host");
}

static inline void must(struct mf_interp *interp, const char *code)
{
    if (CHECK(run(interp, code) == MF_RUN_OK))
        fprintf(stderr, "%s\n", mf_error(interp));
}

struct test {
    const char *name;
    void (*run)(void);
};

/* Runs the test that the argument names, or serves as a worker. */
static inline int host_main(int argc, char **argv, const struct test *tests, size_t n)
{
    const struct mf_config worker = {.on_state = on_state};
    int status;
    if (mf_serve(&worker, argc, argv, &status))
        return status;
    for (size_t i = 0; i < n; i++)
        if (argc == 2 && strcmp(argv[1], tests[i].name) == 0) {
            tests[i].run();
            return failures ? EXIT_FAILURE : EXIT_SUCCESS;
        }
    fprintf(stderr, "which part?\n");
    return EXIT_FAILURE;
}

#endif
