/* quorate key new|list|drop: files of master keys, for --encryption-keys. Offline. */
#include <openssl/rand.h>
#include <stdio.h>

#include "cli/cli_int.h"
#include "env_posix/process.h"
#include "vault/keys.h"

#define KEYS_TEXT_MAX 65536u

/* STATUS_NOT_FOUND: there is no such file yet; text is empty. */
static enum status keys_load(const char *path, struct buf *text, struct vault_keys *keys, struct errbuf *err)
{
    enum status s = process_file_read(path, text, err);
    keys->count = 0;
    return s == STATUS_OK ? vault_keys_parse(buf_slice(text), keys, err) : s;
}

enum status key_append(const char *path, struct errbuf *err)
{
    struct buf text;
    struct vault_keys keys;
    uint8_t bytes[VAULT_KEY_BYTES];
    buf_init(&text, KEYS_TEXT_MAX);
    enum status s = keys_load(path, &text, &keys, err);
    if (s == STATUS_NOT_FOUND) s = STATUS_OK;
    if (s == STATUS_OK && keys.count == VAULT_KEYS_MAX) {
        errbuf_set(err, "%s has %u keys: drop some first", path, VAULT_KEYS_MAX);
        s = STATUS_TOO_LARGE;
    }
    if (s == STATUS_OK && RAND_bytes(bytes, sizeof(bytes)) != 1) {
        errbuf_set(err, "no random numbers can be had");
        s = STATUS_IO;
    }
    if (s == STATUS_OK) {
        if (text.size > 0 && text.data[text.size - 1] != '\n') buf_append_byte(&text, '\n');
        for (size_t i = 0; i < sizeof(bytes); i++) buf_printf(&text, "%02x", bytes[i]);
        buf_append_byte(&text, '\n');
        s = process_secret_write(path, buf_slice(&text), err);
    }
    vault_keys_wipe(&keys);
    buf_free(&text);
    return s;
}

int run_key_new(struct cli *c)
{
    struct errbuf err;
    if (key_append(c->args.words[0], &err) != STATUS_OK) return cli_fail("%s", err.text);
    return run_key_list(c);
}

int run_key_list(struct cli *c)
{
    struct buf text;
    struct vault_keys keys;
    struct errbuf err;
    buf_init(&text, KEYS_TEXT_MAX);
    enum status s = keys_load(c->args.words[0], &text, &keys, &err);
    for (size_t i = 0; s == STATUS_OK && i < keys.count; i++) {
        char id[VAULT_ID_TEXT];
        vault_id_text(keys.keys[i].id, id);
        out_printf("%s  %s\n", id, i + 1 == keys.count ? "for what is written from now on" : "for reading");
    }
    vault_keys_wipe(&keys);
    buf_free(&text);
    return s == STATUS_OK ? CLI_OK : cli_fail("%s", err.text);
}

/* All but the last, and only by name: whether a key is still needed is in the servers' logs (vault.rotated). */
int run_key_drop(struct cli *c)
{
    struct buf text, rest;
    struct vault_keys keys;
    struct errbuf err;
    const char *path = c->args.words[0], *wanted = c->args.words[1];
    bool found = false;
    int code = CLI_OK;
    buf_init(&text, KEYS_TEXT_MAX);
    buf_init(&rest, KEYS_TEXT_MAX);
    if (keys_load(path, &text, &keys, &err) != STATUS_OK) code = cli_fail("%s", err.text);
    for (size_t i = 0; code == CLI_OK && i < keys.count; i++) {
        char id[VAULT_ID_TEXT];
        vault_id_text(keys.keys[i].id, id);
        if (strcmp(id, wanted) == 0 && i + 1 < keys.count) {
            found = true;
            continue;
        }
        if (strcmp(id, wanted) == 0)
            code = cli_fail("%s is the key that is written with: add another first (`quorate key new %s`)", id, path);
        for (size_t b = 0; b < VAULT_KEY_BYTES; b++) buf_printf(&rest, "%02x", keys.keys[i].bytes[b]);
        buf_append_byte(&rest, '\n');
    }
    if (code == CLI_OK && !found) code = cli_fail("%s has no key %s", path, wanted);
    if (code == CLI_OK && process_secret_write(path, buf_slice(&rest), &err) != STATUS_OK)
        code = cli_fail("%s", err.text);
    vault_keys_wipe(&keys);
    buf_free(&text);
    buf_free(&rest);
    return code;
}
