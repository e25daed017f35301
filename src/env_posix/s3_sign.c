#include "env_posix/s3_sign.h"

#include "base/assert.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#define HASH_BYTES 32u
#define SECRET_MAX 512u

static void hex_of(const uint8_t hash[HASH_BYTES], char hex[S3_HASH_TEXT])
{
    for (size_t i = 0; i < HASH_BYTES; i++) (void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
}

void s3_hash(struct slice bytes, char hex[S3_HASH_TEXT])
{
    uint8_t hash[HASH_BYTES];
    int ok = EVP_Digest(bytes.size > 0 ? bytes.data : (const uint8_t *)"", bytes.size, hash, NULL, EVP_sha256(), NULL);
    ASSERT(ok == 1);
    hex_of(hash, hex);
}

static void mac(const uint8_t *key, size_t key_size, struct slice text, uint8_t out[HASH_BYTES])
{
    uint8_t result[HASH_BYTES];
    ASSERT(HMAC(EVP_sha256(), key, (int)key_size, text.data, text.size, result, NULL) != NULL);
    memcpy(out, result, HASH_BYTES);
}

/* The day's key of a region, from the secret one. */
static void signing_key(const struct s3_keys *keys, const char *date, uint8_t out[HASH_BYTES])
{
    char secret[SECRET_MAX];
    int size = snprintf(secret, sizeof secret, "AWS4%s", keys->secret_key);
    ASSERT((size_t)size < sizeof secret);
    mac((const uint8_t *)secret, (size_t)size, slice_make(date, 8), out);
    mac(out, HASH_BYTES, slice_str(keys->region), out);
    mac(out, HASH_BYTES, slice_str("s3"), out);
    mac(out, HASH_BYTES, slice_str("aws4_request"), out);
    OPENSSL_cleanse(secret, sizeof secret);
}

void s3_sign(const struct s3_keys *keys, const struct s3_to_sign *r, struct buf *headers)
{
    bool token = keys->session_token[0] != '\0';
    const char *names =
        token ? "host;x-amz-content-sha256;x-amz-date;x-amz-security-token" : "host;x-amz-content-sha256;x-amz-date";
    char scope[160], hash[S3_HASH_TEXT], signature[S3_HASH_TEXT];
    uint8_t key[HASH_BYTES], result[HASH_BYTES];
    struct buf b;
    (void)snprintf(scope, sizeof scope, "%.8s/%.100s/s3/aws4_request", r->date, keys->region);
    buf_init(&b, 1u << 16);
    buf_printf(&b, "%s\n%s\n%s\nhost:%s\nx-amz-content-sha256:%s\nx-amz-date:%s\n", r->method, r->path, r->query,
               r->host, r->payload_hash, r->date);
    if (token) buf_printf(&b, "x-amz-security-token:%s\n", keys->session_token);
    buf_printf(&b, "\n%s\n%s", names, r->payload_hash);
    ASSERT(!b.overflow);
    s3_hash(buf_slice(&b), hash);
    buf_clear(&b);
    buf_printf(&b, "AWS4-HMAC-SHA256\n%s\n%s\n%s", r->date, scope, hash);
    signing_key(keys, r->date, key);
    mac(key, sizeof key, buf_slice(&b), result);
    hex_of(result, signature);
    buf_free(&b);
    buf_printf(headers, "Host: %s\r\nx-amz-content-sha256: %s\r\nx-amz-date: %s\r\n", r->host, r->payload_hash,
               r->date);
    if (token) buf_printf(headers, "x-amz-security-token: %s\r\n", keys->session_token);
    buf_printf(headers, "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s\r\n",
               keys->access_key, scope, names, signature);
}

void s3_encode(struct buf *out, const char *text, bool in_path)
{
    for (const char *p = text; *p != '\0'; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '-' ||
                     *p == '.' || *p == '_' || *p == '~' || (*p == '/' && in_path);
        if (plain)
            buf_append_byte(out, (uint8_t)*p);
        else
            buf_printf(out, "%%%02X", (unsigned)(uint8_t)*p);
    }
}
