/* The header of an encrypted file, and the ciphers of its content: docs/formats/vault.md. No files here. */
#ifndef QUORATE_VAULT_HEADER_H
#define QUORATE_VAULT_HEADER_H

#include "vault/keys.h"

#define VAULT_HEADER_BYTES 4096u
#define VAULT_DATA_KEY_BYTES 64u
#define VAULT_NONCE_BYTES 12u
#define VAULT_UNIT_BYTES 4096u /* of XTS */

/* CTR: appended in any portions. XTS: whole units, in place. SEALED: written once, from the start on, in whole units but the last. */
enum vault_mode { VAULT_CTR = 1, VAULT_XTS = 2, VAULT_SEALED = 3 };
struct vault_secret { /* of one file */
    enum vault_mode mode;
    uint8_t key[VAULT_DATA_KEY_BYTES];
};

void vault_header_encode(const struct vault_secret *s, const struct vault_key *master,
                         const uint8_t nonce[VAULT_NONCE_BYTES], uint8_t out[VAULT_HEADER_BYTES]);
bool vault_header_is_blank(const uint8_t bytes[VAULT_HEADER_BYTES]);
/* by: the id of the master key that it names. STATUS_UNSUPPORTED: another version, or that key is not here; STATUS_CORRUPT. */
MUST_CHECK enum status vault_header_decode(const uint8_t bytes[VAULT_HEADER_BYTES], const struct vault_keys *keys,
                                           struct vault_secret *out, uint8_t by[VAULT_ID_BYTES], struct errbuf *err);

/* Content at an offset, in place or not. XTS: whole units. SEALED: from the start of a unit on; its last one may be cut short if it is the
 * file's last. */
void vault_encrypt(const struct vault_secret *s, uint64_t offset, const uint8_t *from, uint8_t *to, size_t size);
void vault_decrypt(const struct vault_secret *s, uint64_t offset, const uint8_t *from, uint8_t *to, size_t size);

#endif
