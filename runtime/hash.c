/* Design note: digests are thin calls of libcrypto's one-step functions. Base64 is our own, since it must not fail for
 * want of a library, and libcrypto's reader forgives blanks and does not say where the padding is. */
#include "hash.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "library.h"

#define CHUNK 65536

/* --- The library --------------------------------------------------------------------------------------------------- */

/* All that are called. */
#define FUNCTIONS(X)                                                                                                   \
    X(EVP_Digest)                                                                                                      \
    X(EVP_DigestFinal_ex)                                                                                              \
    X(EVP_DigestInit_ex)                                                                                               \
    X(EVP_DigestUpdate)                                                                                                \
    X(EVP_MD_CTX_free)                                                                                                 \
    X(EVP_MD_CTX_new)                                                                                                  \
    X(EVP_sha1)                                                                                                        \
    X(EVP_sha256)                                                                                                      \
    X(HMAC)                                                                                                            \
    X(OPENSSL_init_crypto)

enum place {
#define X(name) AT_##name,
    FUNCTIONS(X)
#undef X
        FUNCTION_COUNT
};

/* State of the process, which a loaded library is: each of these is written once, and by mf_hash_load only. */
static _Atomic(mf_library_function *) functions[FUNCTION_COUNT];
static atomic_bool loaded;

static enum mf_err load(struct mf_fault *fault)
{
    static const char *const symbols[] = {
#define X(name) #name,
        FUNCTIONS(X)
#undef X
    };
    static const struct mf_library library = {
        .name = MF_LIBCRYPTO,
        .instead = "install OpenSSL's libcrypto, or set transport = \"openssh\" and upload = false",
        .symbols = symbols,
        .n = FUNCTION_COUNT,
        .functions = functions,
        .loaded = &loaded};
    return mf_library_load(&library, fault);
}

#define FUNCTION(name)      MF_LIBRARY_FUNCTION(name, functions[AT_##name])
#define EVP_Digest          FUNCTION(EVP_Digest)
#define EVP_DigestFinal_ex  FUNCTION(EVP_DigestFinal_ex)
#define EVP_DigestInit_ex   FUNCTION(EVP_DigestInit_ex)
#define EVP_DigestUpdate    FUNCTION(EVP_DigestUpdate)
#define EVP_MD_CTX_free     FUNCTION(EVP_MD_CTX_free)
#define EVP_MD_CTX_new      FUNCTION(EVP_MD_CTX_new)
#define EVP_sha1            FUNCTION(EVP_sha1)
#define EVP_sha256          FUNCTION(EVP_sha256)
#define HMAC                FUNCTION(HMAC)
#define OPENSSL_init_crypto FUNCTION(OPENSSL_init_crypto)

/* A program may call exit while other threads still talk over encrypted connections, so the library must not tidy up. That
 * has to be said before anything else is asked of it. */
enum mf_err mf_hash_load(struct mf_fault *fault)
{
    enum mf_err e = load(fault);
    if (e == MF_OK)
        OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
    return e;
}

/* --- Digests ------------------------------------------------------------------------------------------------------- */

bool mf_hash_sha256(const void *bytes, size_t n, unsigned char out[MF_HASH_SHA256])
{
    return mf_hash_load(NULL) == MF_OK && EVP_Digest(bytes, n, out, NULL, EVP_sha256(), NULL) == 1;
}

bool mf_hash_hmac_sha1(const void *key, size_t key_n, const void *bytes, size_t n, unsigned char out[MF_HASH_SHA1])
{
    return mf_hash_load(NULL) == MF_OK && HMAC(EVP_sha1(), key, (int)key_n, bytes, n, out, NULL) != NULL;
}

/* Feeds the file to the digest; false on an error of either (errno is 0 for the digest's). */
static bool digest_file(FILE *f, EVP_MD_CTX *context, uint64_t *size)
{
    unsigned char bytes[CHUNK];
    size_t n;
    *size = 0;
    errno = 0;
    while ((n = fread(bytes, 1, sizeof bytes, f)) > 0) {
        *size += n;
        if (EVP_DigestUpdate(context, bytes, n) != 1)
            return false;
    }
    return !ferror(f);
}

enum mf_err mf_hash_file(const char *path, char hex[2 * MF_HASH_SHA256 + 1], uint64_t *size, struct mf_fault *fault)
{
    unsigned char sum[MF_HASH_SHA256];
    enum mf_err e = mf_hash_load(fault);
    if (e != MF_OK)
        return e;
    FILE *f = fopen(path, "rb");
    if (!f)
        return mf_fault_set(fault, MF_ESYS, "cannot read %s: %s", path, strerror(errno));
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!context || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        e = mf_fault_set(fault, MF_ENOMEM, "cannot compute the SHA-256 of %s: out of memory", path);
    else if (!digest_file(f, context, size) || EVP_DigestFinal_ex(context, sum, NULL) != 1)
        e = mf_fault_set(fault, MF_ESYS, "cannot read %s: %s", path, errno ? strerror(errno) : "libcrypto failed");
    EVP_MD_CTX_free(context);
    fclose(f);
    for (size_t i = 0; e == MF_OK && i < sizeof sum; i++)
        snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    return e;
}

/* --- Base64 -------------------------------------------------------------------------------------------------------- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void mf_hash_base64(char *out, const void *bytes, size_t n)
{
    const unsigned char *from = bytes;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t group = (uint32_t)from[i] << 16;
        group |= left > 1 ? (uint32_t)from[i + 1] << 8 : 0;
        group |= left > 2 ? from[i + 2] : 0;
        *out++ = digits[group >> 18];
        *out++ = digits[group >> 12 & 63];
        *out++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[group & 63] : '=';
    }
    *out = '\0';
}

/* What a character stands for; -1: nothing. */
static int digit_of(char c)
{
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

long mf_hash_unbase64(unsigned char *out, const char *text, size_t n)
{
    size_t padding = 0, done = 0;
    uint32_t group = 0;
    while (padding < 2 && padding < n && text[n - padding - 1] == '=')
        padding++;
    if (n % 4 != 0 || n > LONG_MAX)
        return -1;
    for (size_t i = 0; i < n; i++) {
        int digit = i < n - padding ? digit_of(text[i]) : 0;
        if (digit < 0)
            return -1;
        group = group << 6 | (uint32_t)digit;
        if (i % 4 == 3)
            for (int shift = 16; shift >= 0; shift -= 8)
                out[done++] = (unsigned char)(group >> shift);
    }
    return (long)(done - padding);
}

void mf_hash_wipe(void *bytes, size_t n)
{
    volatile unsigned char *at = bytes;
    while (n-- > 0)
        *at++ = 0;
}
