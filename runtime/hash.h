/* Digests, over OpenSSL's libcrypto: libssh2 as Debian builds it brings that library into the process anyway, and libsodium
 * has no SHA-1, which hashed known_hosts entries need. The only file that knows it; it is loaded at the first digest. Base64,
 * without any library. Any thread; only the first digest and mf_hash_file block, on the disk. */
#ifndef MF_HASH_H
#define MF_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define MF_HASH_SHA256 32
#define MF_HASH_SHA1   20

/* Loads the library, if that was not done yet. MF_ESYS and a fault that says what is missing and what to do. */
enum mf_err mf_hash_load(struct mf_fault *fault);

/* False when the library is missing, or refuses (a machine that allows no SHA-1, say). */
bool mf_hash_sha256(const void *bytes, size_t n, unsigned char out[MF_HASH_SHA256]);
bool mf_hash_hmac_sha1(const void *key, size_t key_n, const void *bytes, size_t n, unsigned char out[MF_HASH_SHA1]);

/* A whole file's SHA-256 in hexadecimal, and its size. MF_ESYS and a fault that names it, or what
 * mf_hash_load says. */
enum mf_err mf_hash_file(const char *path, char hex[2 * MF_HASH_SHA256 + 1], uint64_t *size, struct mf_fault *fault);

/* Base64 with its padding and an end; room for MF_HASH_BASE64(n) bytes. */
#define MF_HASH_BASE64(n) (((n) + 2) / 3 * 4 + 1)
void mf_hash_base64(char *out, const void *bytes, size_t n);

/* The other way; out has room for n / 4 * 3 + 3 bytes. -1 when text is no base64, else how many bytes it makes. */
long mf_hash_unbase64(unsigned char *out, const char *text, size_t n);

/* Overwrites a secret; not optimised away. */
void mf_hash_wipe(void *bytes, size_t n);

#endif
