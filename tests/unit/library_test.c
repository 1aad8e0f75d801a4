/* Libraries by name: one that is there (the C library itself), one that is not, one that lacks a function; many threads at
 * once; another try. */
#define _GNU_SOURCE
#include "check.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/library.h"

enum { THREADS = 8, ROUNDS = 200 };

static const char *const symbols[] = {"strlen", "getpid"};
static const char *const lacking[] = {"strlen", "mf_no_such_function"};
static _Atomic(mf_library_function *) functions[2];
static atomic_bool loaded;
static char path[4096]; /* of the C library */

static struct mf_library library(const char *name)
{
    return (struct mf_library){
        .name = name, .instead = "install it", .symbols = symbols, .n = 2, .functions = functions, .loaded = &loaded};
}

static void forget(void)
{
    for (int i = 0; i < 2; i++)
        atomic_store(&functions[i], NULL);
    atomic_store(&loaded, false);
}

static bool works(void)
{
    return MF_LIBRARY_FUNCTION(strlen, functions[0])("four") == 4 &&
           MF_LIBRARY_FUNCTION(getpid, functions[1])() == getpid();
}

static void test_load(void)
{
    struct mf_library l = library(path);
    struct mf_fault fault;
    forget();
    CHECK(mf_library_load(&l, &fault) == MF_OK && atomic_load(&loaded) && works());
    l.name = "/no/such/library.so"; /* it is not looked for again */
    CHECK(mf_library_load(&l, &fault) == MF_OK && works());
}

static void test_missing(void)
{
    struct mf_library l = library("libmoonfleet-no-such.so.7");
    struct mf_fault fault;
    forget();
    CHECK(mf_library_load(&l, &fault) == MF_ESYS && fault.code == MF_ESYS && !atomic_load(&loaded));
    static const char head[] = "cannot load libmoonfleet-no-such.so.7: ", tail[] = "; install it";
    size_t n = strlen(fault.text);
    CHECK(strncmp(fault.text, head, strlen(head)) == 0 && n > strlen(head) + strlen(tail));
    CHECK(strcmp(fault.text + n - strlen(tail), tail) == 0);
    CHECK(!strstr(fault.text + strlen(head), "no-such")); /* named once */
    CHECK(mf_library_load(&l, NULL) == MF_ESYS);
    l.name = path; /* somebody has installed it */
    CHECK(mf_library_load(&l, &fault) == MF_OK && works());
}

static void test_lacking(void)
{
    struct mf_library l = library(path);
    struct mf_fault fault;
    forget();
    l.symbols = lacking;
    CHECK(mf_library_load(&l, &fault) == MF_ESYS && !atomic_load(&loaded));
    CHECK(strstr(fault.text, path) && strstr(fault.text, "mf_no_such_function") && strstr(fault.text, "; install it"));
}

/* However long the linker's words are, what to do stands at the end. */
static void test_long_words(void)
{
    char name[400] = "";
    const char *const longest[] = {name, name};
    struct mf_library l = library(path);
    struct mf_fault fault;
    forget();
    memset(name, 'x', sizeof name - 1);
    l.symbols = longest;
    CHECK(mf_library_load(&l, &fault) == MF_ESYS && strstr(fault.text, "xxx; install it"));
    l.name = name; /* cut, not overrun */
    CHECK(mf_library_load(&l, &fault) == MF_ESYS && strlen(fault.text) == sizeof fault.text - 1);
}

static void *load(void *arg)
{
    struct mf_library l = library(path);
    pthread_barrier_wait(arg);
    CHECK(mf_library_load(&l, NULL) == MF_OK && works());
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[THREADS];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int round = 0; round < ROUNDS; round++) {
        forget();
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_create(&threads[i], NULL, load, &barrier) == 0);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&barrier);
}

/* Which file has getpid. */
static bool find_path(void)
{
    void *address = dlsym(RTLD_DEFAULT, "getpid");
    Dl_info info;
    if (!address || !dladdr(address, &info))
        return false;
    snprintf(path, sizeof path, "%s", info.dli_fname);
    return true;
}

int main(void)
{
    if (CHECK(find_path())) {
        test_load();
        test_missing();
        test_lacking();
        test_long_words();
        test_threads();
    }
    return check_report();
}
