/* Small files and rows: identity, key files, headers of encrypted files, users and roles, certificates' neighbours. The first byte says which.
 * Run by `make fuzz` and `make replay`. */
#include "auth/book.h"
#include "base/assert.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "lib/memdisk.h"
#include "lib/testenv.h"
#include "range/identity.h"
#include "vault/header.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_identity(struct slice bytes, bool right_checksum)
{
    struct memdisk *d = memdisk_new(1);
    struct testenv t;
    struct disk_file *f = NULL;
    struct identity id;
    struct errbuf err = {.text = ""};
    struct buf text;
    buf_init(&text, 1u << 16);
    buf_append_slice(&text, bytes);
    if (right_checksum) buf_printf(&text, "crc32c %08x\n", crc32c(0, text.data, text.size));
    ASSERT(disk_open(memdisk_disk(d), "IDENTITY", DISK_WRITE | DISK_CREATE, &f, NULL) == STATUS_OK);
    ASSERT(disk_write(f, 0, text.data, text.size) == STATUS_OK);
    disk_close(f);
    testenv_init(&t, memdisk_disk(d), 1);
    if (identity_open(&t.env, ROLE_NODE, &id, &err) != STATUS_OK) ASSERT(err.text[0] != '\0');
    testenv_free(&t);
    memdisk_free(d);
    buf_free(&text);
}

static void try_keys(struct slice bytes)
{
    struct vault_keys k;
    struct errbuf err;
    if (vault_keys_parse(bytes, &k, &err) == STATUS_OK) ASSERT(k.count > 0 && k.count <= VAULT_KEYS_MAX);
}

static void try_header(struct slice bytes)
{
    static uint8_t header[VAULT_HEADER_BYTES];
    struct vault_keys k = {.count = 1};
    struct vault_secret secret;
    uint8_t by[VAULT_ID_BYTES];
    struct errbuf err;
    memset(header, 0, sizeof(header));
    memcpy(header, bytes.data, bytes.size < 112 ? bytes.size : 112);
    le_set_u32(header + 112, crc32c(0, header, 112));
    ASSERT(vault_header_decode(header, &k, &secret, by, &err) != STATUS_OK); /* nobody guesses a tag */
}

/* Key size, key, value. */
static void try_row(struct slice bytes)
{
    size_t key = bytes.size == 0 ? 0 : bytes.data[0] % bytes.size;
    struct book *b = book_new();
    struct auth_need need = {.verb = AUTH_READ, .keyspace = slice_str("k"), .start = slice_str("a"), .one_key = true};
    if (bytes.size > 0 && book_add(b, slice_make(bytes.data + 1, key),
                                   slice_make(bytes.data + 1 + key, bytes.size - 1 - key), 7) == STATUS_OK) {
        const struct auth_user *u = book_user_at(b, 0);
        const struct auth_role *r = book_role_at(b, 0);
        if (u != NULL) ASSERT(auth_name_valid(u->name) && u->role_count <= AUTH_ROLES_MAX);
        if (u != NULL) (void)book_may(b, u->name, &need);
        if (r != NULL) ASSERT(r->right_count <= AUTH_RIGHTS_MAX);
    }
    book_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct slice rest = slice_make(data + 1, size - 1);
    switch (data[0] % 5) {
    case 0: try_identity(rest, false); break;
    case 1: try_identity(rest, true); break;
    case 2: try_keys(rest); break;
    case 3: try_header(rest); break;
    default: try_row(rest);
    }
    return 0;
}
