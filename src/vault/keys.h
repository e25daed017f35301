/* Master keys as the key file has them: docs/formats/vault.md. */
#ifndef QUORATE_VAULT_KEYS_H
#define QUORATE_VAULT_KEYS_H

#include "base/buf.h"
#include "base/status.h"

#define VAULT_KEY_BYTES 32u
#define VAULT_ID_BYTES 8u
#define VAULT_KEYS_MAX 64u

struct vault_key {
    uint8_t bytes[VAULT_KEY_BYTES], id[VAULT_ID_BYTES];
};
struct vault_keys { /* the last one is for what is written from now on */
    struct vault_key keys[VAULT_KEYS_MAX];
    size_t count;
};

MUST_CHECK enum status vault_keys_parse(struct slice text, struct vault_keys *out, struct errbuf *err);
const struct vault_key *vault_keys_find(const struct vault_keys *k,
                                        const uint8_t id[VAULT_ID_BYTES]); /* NULL: not here */
void vault_keys_wipe(struct vault_keys *k);
#define VAULT_ID_TEXT (2 * VAULT_ID_BYTES + 1)
void vault_id_text(const uint8_t id[VAULT_ID_BYTES], char text[VAULT_ID_TEXT]);

#endif
