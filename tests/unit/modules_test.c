/* modules.c: a module is found by templates, and its file arrives whole. */
#include "../../runtime/modules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../runtime/msg.h"
#include "check.h"

static char folder[] = "/tmp/modules_test.XXXXXX";

static void write_file(const char *name, const char *text, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    CHECK(f && fwrite(text, 1, n, f) == n && fclose(f) == 0);
}

static void find(const char *path, const char *name, struct mf_buf *body, struct mf_msg_module *module)
{
    body->len = 0;
    CHECK(mf_modules_find(path, name, body));
    CHECK(mf_msg_unpack_module(body->data, body->len, module, NULL) == MF_OK);
}

static void test_search(void)
{
    static char large[100000];
    struct mf_buf body = {0};
    struct mf_msg_module module;
    char path[1024], expected[256];
    memset(large, 'x', sizeof large);
    write_file("one.lua", "return 1", 8);
    write_file("sub/two.lua", large, sizeof large);
    snprintf(path, sizeof path, "%s/nowhere/?.lua;;%s/?.lua;%s/?/?.lua", folder, folder, folder);
    find(path, "one", &body, &module);
    snprintf(expected, sizeof expected, "@%s/one.lua", folder);
    CHECK(module.found && module.source.n == 8 && memcmp(module.source.bytes, "return 1", 8) == 0);
    CHECK(module.name.n == strlen(expected) && memcmp(module.name.bytes, expected, module.name.n) == 0);
    find(path, "sub.two", &body, &module);
    CHECK(module.found && module.source.n == sizeof large && memcmp(module.source.bytes, large, sizeof large) == 0);
    find(path, "three", &body, &module);
    CHECK(!module.found && module.source.n == 0);
    find(NULL, "one", &body, &module);
    CHECK(!module.found);
    find("", "one", &body, &module);
    CHECK(!module.found);
    mf_buf_release(&body);
}

static void test_too_long(void)
{
    static char name[5000];
    struct mf_buf body = {0};
    struct mf_msg_module module;
    memset(name, 'n', sizeof name - 1);
    find("?;?.lua", name, &body, &module);
    CHECK(!module.found);
    mf_buf_release(&body);
}

static void remove_file(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK(remove(path) == 0);
}

int main(void)
{
    char sub[256];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(sub, sizeof sub, "%s/sub", folder);
    CHECK(mkdir(sub, 0700) == 0);
    test_search();
    test_too_long();
    remove_file("one.lua");
    remove_file("sub/two.lua");
    CHECK(rmdir(sub) == 0 && rmdir(folder) == 0);
    return check_report();
}
