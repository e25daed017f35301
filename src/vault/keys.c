#include "vault/keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool key_read(struct slice line, struct vault_key *out)
{
    static const char label[] = "quorate master key";
    uint8_t input[sizeof(label) - 1 + VAULT_KEY_BYTES], hash[SHA256_DIGEST_LENGTH];
    if (line.size != 2 * VAULT_KEY_BYTES) return false;
    for (size_t i = 0; i < VAULT_KEY_BYTES; i++) {
        int high = digit(line.data[2 * i]), low = digit(line.data[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out->bytes[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(input, label, sizeof(label) - 1);
    memcpy(input + sizeof(label) - 1, out->bytes, VAULT_KEY_BYTES);
    (void)SHA256(input, sizeof(input), hash);
    memcpy(out->id, hash, VAULT_ID_BYTES);
    OPENSSL_cleanse(input, sizeof(input));
    return true;
}

static struct slice line_of(struct slice *rest)
{
    const uint8_t *end = memchr(rest->data, '\n', rest->size);
    size_t size = end == NULL ? rest->size : (size_t)(end - rest->data), used = end == NULL ? size : size + 1;
    struct slice line = slice_make(rest->data, size);
    *rest = slice_make(rest->data + used, rest->size - used);
    while (line.size > 0 && strchr(" \t\r", line.data[line.size - 1]) != NULL) line.size--;
    return line;
}

enum status vault_keys_parse(struct slice text, struct vault_keys *out, struct errbuf *err)
{
    enum status s = STATUS_OK;
    memset(out, 0, sizeof(*out));
    for (unsigned number = 1; text.size > 0 && s == STATUS_OK; number++) {
        struct slice line = line_of(&text);
        if (line.size == 0 || line.data[0] == '#') continue;
        if (out->count == VAULT_KEYS_MAX) {
            errbuf_set(err, "more than %u keys: take out those that are not used any more", VAULT_KEYS_MAX);
            s = STATUS_TOO_LARGE;
        } else if (!key_read(line, &out->keys[out->count])) {
            errbuf_set(err, "line %u is not a key: 64 hexadecimal digits",
                       number); /* the line itself may be a secret */
            s = STATUS_INVALID;
        } else {
            out->count++;
        }
    }
    if (s == STATUS_OK && out->count == 0) {
        errbuf_set(err, "no key in it: `quorate key new FILE` makes one");
        s = STATUS_INVALID;
    }
    if (s != STATUS_OK) vault_keys_wipe(out);
    return s;
}

const struct vault_key *vault_keys_find(const struct vault_keys *k, const uint8_t id[VAULT_ID_BYTES])
{
    for (size_t i = 0; i < k->count; i++) {
        if (memcmp(k->keys[i].id, id, VAULT_ID_BYTES) == 0) return &k->keys[i];
    }
    return NULL;
}

void vault_keys_wipe(struct vault_keys *k)
{
    OPENSSL_cleanse(k, sizeof(*k));
}

void vault_id_text(const uint8_t id[VAULT_ID_BYTES], char text[VAULT_ID_TEXT])
{
    for (size_t i = 0; i < VAULT_ID_BYTES; i++) {
        text[2 * i] = "0123456789abcdef"[id[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[id[i] & 15];
    }
    text[VAULT_ID_TEXT - 1] = '\0';
}
