/* Files of the user's SSH folder, whatever they hold: known_hosts, configuration, private keys. The first byte says which;
 * the rest is the file. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../runtime/known_hosts.h"
#include "../../runtime/ssh_config.h"
#include "../../runtime/ssh_key.h"
#include "../../runtime/sys.h"
#include "../../runtime/sys_fd.h"

static void must(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s\n", what);
    abort();
}

static void fuzz_known_hosts(const char *path)
{
    static const unsigned char key[] = {0,   0,   0,   11,  's', 's', 'h', '-', 'e', 'd',
                                        '2', '5', '5', '1', '9', 0,   0,   0,   1,   7};
    const char *types[MF_KNOWN_TYPES];
    struct mf_known_place place;
    struct mf_known_hosts *k = mf_known_hosts_read(&path, 1, NULL, NULL, NULL);
    if (!k)
        return;
    enum mf_known_verdict v = mf_known_hosts_check(k, "alpha", 2222, key, sizeof key, &place);
    must((v == MF_KNOWN_NOT) == (place.line == 0), "a verdict has its place");
    size_t n = mf_known_hosts_types(k, "alpha", 2222, types);
    must(n <= MF_KNOWN_TYPES && (n == 0 || types[0][0]), "types have names");
    mf_known_hosts_certified(k, "alpha", 22, NULL);
    mf_known_hosts_free(k);
}

static void fuzz_config(const char *path)
{
    const struct mf_ssh_query q = {
        .host = "alpha", .file = path, .program = "/nowhere/ssh", .deadline = mf_sys_after(10), .cancel = -1};
    struct mf_ssh_config c;
    struct mf_fault fault = {.code = MF_OK};
    if (mf_ssh_config_resolve(&q, &c, &fault) == MF_OK) {
        must(mf_ssh_config_check_host(c.hostname, NULL) == MF_OK, "the host's name is harmless");
        must(mf_ssh_config_check_user(c.user, NULL) == MF_OK, "the user's name is harmless");
        must(c.port > 0 && c.port < 65536, "the port is one");
    } else {
        must(fault.text[0] != '\0', "a fault has words");
    }
    mf_ssh_config_release(&c);
}

static void fuzz_key(const char *path)
{
    struct mf_ssh_key key;
    struct mf_fault fault = {.code = MF_OK};
    if (mf_ssh_key_look(path, &key, &fault) == MF_OK)
        must(!key.blob || key.type[0], "a key that is there has a type");
    else
        must(fault.text[0] != '\0', "a fault has words");
    mf_ssh_key_release(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = size > 0 ? mf_sys_memfd("ssh") : -1;
    if (fd < 0)
        return 0;
    fchmod(fd, 0600);
    must(write(fd, data + 1, size - 1) == (ssize_t)size - 1, "the file is written");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (data[0] % 3 == 0)
        fuzz_known_hosts(path);
    else if (data[0] % 3 == 1)
        fuzz_config(path);
    else
        fuzz_key(path);
    close(fd);
    return 0;
}
