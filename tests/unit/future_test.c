/* A future's record: states, legal moves, references, what it prints. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../runtime/future.h"

#define STATES (MF_FUTURE_LOST + 1)

/* rows: from, columns: to, in the order of the enum */
static const char *const legal[STATES] = {
    ".Q...FCL", /* created */
    "..SR..CL", /* queued */
    ".Q.R..CL", /* sent */
    ".QS.DFCL", /* running */
    "........", "........", "........", "........",
};

static struct mf_future *in_state(int state)
{
    struct mf_future *f = mf_future_new();
    atomic_store(&f->state, (uint8_t)state);
    return f;
}

/* A move that the table forbids must abort: tried in a child. */
static int aborts(int state, int from, int to)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(2);
        mf_future_move(in_state(state), (enum mf_future_state)from, (enum mf_future_state)to);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_moves(void)
{
    for (int from = 0; from < STATES; from++) {
        for (int to = 0; to < STATES; to++) {
            if (legal[from][to] == '.') {
                CHECK(aborts(from, from, to));
                continue;
            }
            struct mf_future *f = in_state(from);
            mf_future_move(f, (enum mf_future_state)from, (enum mf_future_state)to);
            CHECK(mf_future_state(f) == (enum mf_future_state)to);
            mf_future_unref(f);
        }
    }
    CHECK(aborts(MF_FUTURE_QUEUED, MF_FUTURE_CREATED, MF_FUTURE_QUEUED));
}

static void test_names(void)
{
    for (int i = 0; i < STATES; i++) {
        struct mf_future *f = in_state(i);
        CHECK(mf_future_final(f) == (i >= MF_FUTURE_DONE));
        CHECK(strlen(mf_future_state_name((enum mf_future_state)i)) >= 4);
        mf_future_unref(f);
    }
    CHECK(strcmp(mf_future_state_name(MF_FUTURE_CREATED), "created") == 0);
    CHECK(strcmp(mf_future_state_name(MF_FUTURE_LOST), "lost") == 0);
}

static void test_new(void)
{
    struct mf_future *f = mf_future_new();
    CHECK(mf_future_state(f) == MF_FUTURE_CREATED && !mf_future_final(f) && !f->extra && !f->result);
    CHECK(atomic_load(&f->refs) == 1 && mf_list_empty(&f->link));
    struct mf_future_extra *extra = mf_future_extra_get(f);
    CHECK(extra && mf_future_extra_get(f) == extra && extra->progress < 0 && !extra->label);
    mf_future_unref(f);
    mf_future_unref(NULL);
}

static void test_resolved(void)
{
    struct mf_future *done = mf_future_resolved(true, NULL), *failed = mf_future_resolved(false, "fit");
    CHECK(mf_future_state(done) == MF_FUTURE_DONE && done->failure == MF_FAILURE_NONE && !done->extra);
    CHECK(mf_future_state(failed) == MF_FUTURE_FAILED && failed->failure == MF_FAILURE_ERROR);
    CHECK(failed->extra && strcmp(failed->extra->label, "fit") == 0);
    mf_future_unref(done);
    mf_future_unref(failed);
}

/* The last reference frees code, args, result, label, output and what it depends on. */
static void test_owned(void)
{
    struct mf_future *f = mf_future_new(), *dep = mf_future_new();
    struct mf_blob *blob = mf_blob_new("x", 1);
    f->code = mf_blob_ref(blob);
    f->args = mf_blob_ref(blob);
    f->result = mf_blob_ref(blob);
    struct mf_future_extra *extra = mf_future_extra_get(f);
    extra->label = strdup("a label");
    extra->deps = malloc(sizeof(struct mf_future *));
    extra->deps[0] = mf_future_ref(dep);
    extra->ndeps = 1;
    CHECK(mf_future_print(f, MF_STDOUT, "text", 4));
    CHECK(atomic_load(&blob->refs) == 4 && atomic_load(&dep->refs) == 2);
    mf_future_unref(f);
    CHECK(atomic_load(&blob->refs) == 1 && atomic_load(&dep->refs) == 1);
    mf_blob_unref(blob);
    mf_future_unref(dep);
}

static void test_print(void)
{
    struct mf_future *f = mf_future_new();
    uint64_t len;
    CHECK(mf_future_print(f, MF_STDOUT, "hello", 5) && mf_future_print(f, MF_STDERR, "", 0));
    const unsigned char *p = f->extra->output.data;
    CHECK(f->extra->output.len == 5 + 2 * 9 && p[0] == MF_STDOUT);
    memcpy(&len, p + 1, sizeof len);
    CHECK(len == 5 && memcmp(p + 9, "hello", 5) == 0 && p[14] == MF_STDERR);
    memcpy(&len, p + 15, sizeof len);
    CHECK(len == 0);
    CHECK(!mf_future_print(f, MF_STDOUT, p, SIZE_MAX - 30) && f->extra->output.len == 23);
    mf_future_unref(f);
}

static void *ref_and_unref(void *future)
{
    for (int i = 0; i < 20000; i++)
        mf_future_unref(mf_future_ref(future));
    mf_future_unref(future);
    return NULL;
}

static void test_references(void)
{
    struct mf_future *f = mf_future_resolved(true, "shared");
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        CHECK(mf_future_ref(f) == f);
        CHECK(pthread_create(&threads[i], NULL, ref_and_unref, f) == 0);
    }
    mf_future_unref(f); /* whoever is last frees it */
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    alarm(60);
    test_moves();
    test_names();
    test_new();
    test_resolved();
    test_owned();
    test_print();
    test_references();
    return check_report();
}
