/* Design note: thin calls of libcrypto's one-step functions. Its base64 reader forgives blanks and does not say where the
 * padding is, so the form is checked here first. */
#include "hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define CHUNK 65536

bool mf_hash_sha256(const void *bytes, size_t n, unsigned char out[MF_HASH_SHA256])
{
    return EVP_Digest(bytes, n, out, NULL, EVP_sha256(), NULL) == 1;
}

bool mf_hash_hmac_sha1(const void *key, size_t key_n, const void *bytes, size_t n, unsigned char out[MF_HASH_SHA1])
{
    return HMAC(EVP_sha1(), key, (int)key_n, bytes, n, out, NULL) != NULL;
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
    enum mf_err e = MF_OK;
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

void mf_hash_base64(char *out, const void *bytes, size_t n)
{
    EVP_EncodeBlock((unsigned char *)out, bytes, (int)n);
    out[MF_HASH_BASE64(n) - 1] = '\0';
}

long mf_hash_unbase64(unsigned char *out, const char *text, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t plain = 0, padding = 0;
    while (plain < n && text[plain] && strchr(digits, text[plain]))
        plain++;
    while (plain + padding < n && text[plain + padding] == '=')
        padding++;
    if (n % 4 != 0 || n > INT32_MAX || plain + padding != n || padding > 2)
        return -1;
    int got = n ? EVP_DecodeBlock(out, (const unsigned char *)text, (int)n) : 0;
    return got < 0 ? -1 : got - (long)padding;
}

void mf_hash_wipe(void *bytes, size_t n)
{
    OPENSSL_cleanse(bytes, n);
}
