/* Digests and base64 against published vectors; files; text that is no base64; digests while the process ends. */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../runtime/hash.h"

static bool is_hex(const unsigned char *bytes, size_t n, const char *hex)
{
    char text[2 * MF_HASH_SHA256 + 1] = "";
    for (size_t i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return strcmp(text, hex) == 0;
}

static void test_digests(void)
{
    unsigned char sum[MF_HASH_SHA256], mac[MF_HASH_SHA1], key[20];
    CHECK(mf_hash_sha256("abc", 3, sum));
    CHECK(is_hex(sum, sizeof sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    CHECK(mf_hash_sha256("", 0, sum));
    CHECK(is_hex(sum, sizeof sum, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    memset(key, 0x0b, sizeof key);
    CHECK(mf_hash_hmac_sha1(key, sizeof key, "Hi There", 8, mac)); /* RFC 2202 */
    CHECK(is_hex(mac, sizeof mac, "b617318655057264e28bc0b6fb378c8ef146be00"));
    CHECK(mf_hash_hmac_sha1("Jefe", 4, "what do ya want for nothing?", 28, mac));
    CHECK(is_hex(mac, sizeof mac, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"));
}

static void test_file(void)
{
    char path[] = "/tmp/mf-hash-XXXXXX", hex[2 * MF_HASH_SHA256 + 1];
    uint64_t size = 0;
    struct mf_fault fault = {0};
    int fd = mkstemp(path);
    for (int i = 0; i < 10000; i++)
        CHECK(write(fd,
                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                    100) == 100);
    close(fd);
    CHECK(mf_hash_file(path, hex, &size, &fault) == MF_OK && size == 1000000);
    CHECK(strcmp(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0") == 0);
    unlink(path);
    CHECK(mf_hash_file(path, hex, &size, &fault) == MF_ESYS && strstr(fault.text, path) &&
          strstr(fault.text, "No such"));
    CHECK(mf_hash_file("/tmp", hex, &size, &fault) == MF_ESYS && strstr(fault.text, "directory"));
}

static void test_base64(void)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    static const char *const bad[] = {"Zg", "Zg=", "Z===", "Zm9v Zg=", "Zm9vZg=a", "====", " Zm9", "Zm9\n", "Zg==Zg=="};
    char text[MF_HASH_BASE64(6)];
    unsigned char bytes[16];
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        size_t n = strlen(pairs[i][0]);
        mf_hash_base64(text, pairs[i][0], n);
        CHECK(strcmp(text, pairs[i][1]) == 0);
        CHECK(mf_hash_unbase64(bytes, text, strlen(text)) == (long)n && memcmp(bytes, pairs[i][0], n) == 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(mf_hash_unbase64(bytes, bad[i], strlen(bad[i])) == -1);
}

static void test_wipe(void)
{
    char secret[] = "secret";
    mf_hash_wipe(secret, sizeof secret);
    for (size_t i = 0; i < sizeof secret; i++)
        CHECK(secret[i] == 0);
}

/* Called when the process ends, after whatever the library has registered for that. */
static void hash_at_end(void)
{
    unsigned char sum[MF_HASH_SHA256];
    _exit(mf_hash_sha256("abc", 3, sum) && sum[0] == 0xba ? EXIT_SUCCESS : EXIT_FAILURE);
}

static void test_end(void)
{
    unsigned char sum[MF_HASH_SHA256];
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        atexit(hash_at_end);
        exit(mf_hash_sha256("", 0, sum) ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
}

int main(void)
{
    test_end(); /* before anything else has loaded the library */
    test_digests();
    test_file();
    test_base64();
    test_wipe();
    return check_report();
}
