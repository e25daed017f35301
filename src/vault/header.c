#include "vault/header.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/cursor.h"

#define MAGIC 0x31746c7561567551ull /* "QuVault1" */
#define VERSION 1u
#define AT_ID 12u
#define AT_NONCE 20u
#define AT_KEY 32u
#define AT_TAG 96u
#define TAG_BYTES 16u
#define AT_CRC 112u
#define USED_BYTES 116u

/* None of these calls fails but for lack of memory, or a library without AES. */
static void must(int ok)
{
    ASSERT(ok == 1);
}

static EVP_CIPHER_CTX *context(void)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    ASSERT(c != NULL);
    return c;
}

/* --- header --- */

void vault_header_encode(const struct vault_secret *s, const struct vault_key *master,
                         const uint8_t nonce[VAULT_NONCE_BYTES], uint8_t out[VAULT_HEADER_BYTES])
{
    EVP_CIPHER_CTX *c = context();
    int n;
    memset(out, 0, VAULT_HEADER_BYTES);
    le_set_u64(out, MAGIC);
    out[8] = VERSION;
    out[9] = (uint8_t)s->mode;
    memcpy(out + AT_ID, master->id, VAULT_ID_BYTES);
    memcpy(out + AT_NONCE, nonce, VAULT_NONCE_BYTES);
    must(EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, master->bytes, nonce));
    must(EVP_EncryptUpdate(c, NULL, &n, out, AT_NONCE));
    must(EVP_EncryptUpdate(c, out + AT_KEY, &n, s->key, VAULT_DATA_KEY_BYTES));
    must(EVP_EncryptFinal_ex(c, out + AT_TAG, &n));
    must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, out + AT_TAG));
    EVP_CIPHER_CTX_free(c);
    le_set_u32(out + AT_CRC, crc32c(0, out, AT_CRC));
}

bool vault_header_is_blank(const uint8_t bytes[VAULT_HEADER_BYTES])
{
    uint8_t any = 0;
    for (size_t i = 0; i < USED_BYTES; i++) any |= bytes[i];
    return any == 0;
}

static bool unwrap(const uint8_t *bytes, const struct vault_key *master, uint8_t key[VAULT_DATA_KEY_BYTES])
{
    EVP_CIPHER_CTX *c = context();
    uint8_t tag[TAG_BYTES];
    int n;
    memcpy(tag, bytes + AT_TAG, sizeof(tag));
    must(EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, master->bytes, bytes + AT_NONCE));
    must(EVP_DecryptUpdate(c, NULL, &n, bytes, AT_NONCE));
    must(EVP_DecryptUpdate(c, key, &n, bytes + AT_KEY, VAULT_DATA_KEY_BYTES));
    must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag));
    bool good = EVP_DecryptFinal_ex(c, tag, &n) == 1;
    EVP_CIPHER_CTX_free(c);
    return good;
}

enum status vault_header_decode(const uint8_t bytes[VAULT_HEADER_BYTES], const struct vault_keys *keys,
                                struct vault_secret *out, uint8_t by[VAULT_ID_BYTES], struct errbuf *err)
{
    char id[VAULT_ID_TEXT];
    uint8_t rest = 0;
    for (size_t i = USED_BYTES; i < VAULT_HEADER_BYTES; i++) rest |= bytes[i];
    if (le_u64(bytes) != MAGIC || le_u32(bytes + AT_CRC) != crc32c(0, bytes, AT_CRC) || rest != 0) {
        errbuf_set(err, "not an encrypted file, or its header is damaged");
        return STATUS_CORRUPT;
    }
    if (bytes[8] != VERSION || bytes[9] < VAULT_CTR || bytes[9] > VAULT_SEALED || bytes[10] != 0 || bytes[11] != 0) {
        errbuf_set(err, "encrypted in a way that this program does not know (version %u, mode %u): use a newer one",
                   bytes[8], bytes[9]);
        return STATUS_UNSUPPORTED;
    }
    memcpy(by, bytes + AT_ID, VAULT_ID_BYTES);
    const struct vault_key *master = vault_keys_find(keys, by);
    vault_id_text(by, id);
    if (master == NULL) {
        errbuf_set(err, "it needs the master key %s, which is not among the %zu that --encryption-keys gives", id,
                   keys->count);
        return STATUS_UNSUPPORTED;
    }
    out->mode = (enum vault_mode)bytes[9];
    if (unwrap(bytes, master, out->key)) return STATUS_OK;
    errbuf_set(err, "its data key is not what was put under the master key %s: the header has been altered", id);
    return STATUS_CORRUPT;
}

/* --- content --- */

static void ctr(const struct vault_secret *s, uint64_t offset, const uint8_t *from, uint8_t *to, size_t size)
{
    EVP_CIPHER_CTX *c = context();
    uint8_t counter[16], skipped[16] = {0};
    int n, skip = (int)(offset % 16);
    uint64_t low = be_u64(s->key + 40), sum = low + offset / 16;
    be_set_u64(counter, be_u64(s->key + 32) + (sum < low));
    be_set_u64(counter + 8, sum);
    must(EVP_EncryptInit_ex(c, EVP_aes_256_ctr(), NULL, s->key, counter));
    if (skip > 0) must(EVP_EncryptUpdate(c, skipped, &n, skipped, skip));
    for (size_t done = 0; done < size;) {
        size_t part = size - done < (1u << 30) ? size - done : (1u << 30);
        must(EVP_EncryptUpdate(c, to + done, &n, from + done, (int)part));
        done += part;
    }
    EVP_CIPHER_CTX_free(c);
}

/* A unit that is cut short is sealed by stealing (IEEE 1619, 5.3.2), which wants 16 bytes at least. */
static void xts_unit(EVP_CIPHER_CTX *c, uint64_t number, uint64_t kind, const uint8_t *from, uint8_t *to, size_t size)
{
    uint8_t tweak[16];
    int n;
    le_set_u64(tweak, number);
    le_set_u64(tweak + 8, kind);
    must(EVP_CipherInit_ex(c, NULL, NULL, NULL, tweak, -1));
    must(EVP_CipherUpdate(c, to, &n, from, (int)size));
}

/* Less than 16 bytes at the end of a file: they are masked. */
static void mask_rest(const struct vault_secret *s, uint64_t number, const uint8_t *from, uint8_t *to, size_t size)
{
    EVP_CIPHER_CTX *c = context();
    uint8_t mask[16] = {0};
    must(EVP_CipherInit_ex(c, EVP_aes_256_xts(), NULL, s->key, NULL, 1));
    xts_unit(c, number, 1, mask, mask, sizeof(mask)); /* of a kind of its own: no unit of a file is under it */
    for (size_t i = 0; i < size; i++) to[i] = from[i] ^ mask[i];
    EVP_CIPHER_CTX_free(c);
}

static void xts(const struct vault_secret *s, uint64_t offset, const uint8_t *from, uint8_t *to, size_t size,
                int encrypts)
{
    EVP_CIPHER_CTX *c = context();
    ASSERT(offset % VAULT_UNIT_BYTES == 0);
    if (s->mode == VAULT_XTS) ASSERT(size % VAULT_UNIT_BYTES == 0);
    must(EVP_CipherInit_ex(c, EVP_aes_256_xts(), NULL, s->key, NULL, encrypts));
    for (size_t at = 0; at < size; at += VAULT_UNIT_BYTES) {
        size_t part = size - at < VAULT_UNIT_BYTES ? size - at : VAULT_UNIT_BYTES;
        uint64_t number = (offset + at) / VAULT_UNIT_BYTES;
        if (part < 16)
            mask_rest(s, number, from + at, to + at, part);
        else
            xts_unit(c, number, 0, from + at, to + at, part);
    }
    EVP_CIPHER_CTX_free(c);
}

void vault_encrypt(const struct vault_secret *s, uint64_t offset, const uint8_t *from, uint8_t *to, size_t size)
{
    if (s->mode == VAULT_CTR)
        ctr(s, offset, from, to, size);
    else
        xts(s, offset, from, to, size, 1);
}

void vault_decrypt(const struct vault_secret *s, uint64_t offset, const uint8_t *from, uint8_t *to, size_t size)
{
    if (s->mode == VAULT_CTR)
        ctr(s, offset, from, to, size);
    else
        xts(s, offset, from, to, size, 0);
}
