/* Key files and headers: the example of docs/formats/vault.md, there and back, and that nothing altered passes. */
#include "base/prng.h"
#include "lib/suite.h"
#include "lib/txn_example.h"
#include "vault/header.h"

#include <stdio.h>
#include <string.h>

static struct vault_keys keys_of(const char *text)
{
    struct vault_keys k;
    struct errbuf err;
    ck_assert_int_eq(vault_keys_parse(slice_str(text), &k, &err), STATUS_OK);
    return k;
}

static const char one[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
static const char two[] = "# the next one\n\nFF0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\r\n";

START_TEST(example_of_the_document)
{
    struct vault_keys k = keys_of(one);
    struct vault_secret s = {.mode = VAULT_CTR};
    uint8_t nonce[VAULT_NONCE_BYTES], header[VAULT_HEADER_BYTES];
    struct buf bytes, fresh;
    for (size_t i = 0; i < sizeof(nonce); i++) nonce[i] = (uint8_t)(0xa0 + i);
    for (size_t i = 0; i < sizeof(s.key); i++) s.key[i] = (uint8_t)(0x40 + i);
    vault_header_encode(&s, &k.keys[0], nonce, header);
    buf_init(&bytes, 4096);
    buf_init(&fresh, 4096);
    for (size_t i = 0; i < 116; i++) buf_printf(&fresh, "%02x%s", header[i], i % 16 == 15 ? "\n" : " ");
    ck_assert_msg(example_load("docs/formats/vault.md", "vault", &bytes), "the example is:\n%.*s", (int)fresh.size,
                  (const char *)fresh.data);
    ck_assert_uint_eq(bytes.size, 116);
    ck_assert_int_eq(memcmp(bytes.data, header, bytes.size), 0);
    buf_free(&bytes);
    buf_free(&fresh);
}
END_TEST

START_TEST(key_files)
{
    struct vault_keys k = keys_of(two);
    struct errbuf err;
    char text[65 * 70] = "";
    ck_assert_uint_eq(k.count, 1);
    ck_assert_uint_eq(k.keys[0].bytes[0], 0xff);
    ck_assert_int_eq(vault_keys_parse(slice_str("# none\n"), &k, &err), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "quorate key new"));
    ck_assert_int_eq(vault_keys_parse(slice_str("\nabc\n"), &k, &err), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "line 2"));
    ck_assert_ptr_null(strstr(err.text, "abc"));
    for (int i = 0; i < 65; i++) (void)snprintf(text + 65 * i, 66, "%s", one);
    ck_assert_int_eq(vault_keys_parse(slice_str(text), &k, &err), STATUS_TOO_LARGE);
}
END_TEST

/* Each bit of a header counts, the zeros too; and another key of the same id does not open it. */
START_TEST(nothing_altered_passes)
{
    struct vault_keys k = keys_of(one), other = keys_of(two);
    struct vault_secret s = {.mode = VAULT_XTS}, out;
    uint8_t nonce[VAULT_NONCE_BYTES] = {7}, header[VAULT_HEADER_BYTES], by[VAULT_ID_BYTES];
    char id[VAULT_ID_TEXT];
    struct errbuf err;
    memset(s.key, 9, sizeof(s.key));
    s.key[0] = 1;
    vault_header_encode(&s, &k.keys[0], nonce, header);
    ck_assert_int_eq(vault_header_decode(header, &k, &out, by, &err), STATUS_OK);
    ck_assert_int_eq(out.mode, VAULT_XTS);
    ck_assert_int_eq(memcmp(out.key, s.key, sizeof(s.key)), 0);
    for (size_t bit = 0; bit < 8 * 160; bit++) {
        header[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_eq(vault_header_decode(header, &k, &out, by, &err), STATUS_CORRUPT);
        header[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert_int_eq(vault_header_decode(header, &other, &out, by, &err), STATUS_UNSUPPORTED);
    vault_id_text(k.keys[0].id, id);
    ck_assert_ptr_nonnull(strstr(err.text, id));
    memcpy(other.keys[0].id, k.keys[0].id, VAULT_ID_BYTES);
    ck_assert_int_eq(vault_header_decode(header, &other, &out, by, &err), STATUS_CORRUPT);
    ck_assert(!vault_header_is_blank(header));
    memset(header, 0, sizeof(header));
    ck_assert(vault_header_is_blank(header));
}
END_TEST

/* Any part of a content deciphers as the whole does; two places never look alike. */
START_TEST(parts_of_content)
{
    struct prng p;
    static uint8_t plain[65536], sealed[65536], part[65536];
    struct vault_secret s = {.mode = VAULT_CTR};
    prng_init(&p, 5);
    for (size_t i = 0; i < sizeof(s.key); i++) s.key[i] = (uint8_t)prng_next(&p);
    memset(s.key + 40, 0xff, 8); /* the counter's lower half runs over at once */
    vault_encrypt(&s, 0, plain, sealed, sizeof(plain));
    for (unsigned round = 0; round < 300; round++) {
        size_t from = prng_below(&p, sizeof(plain)), size = prng_below(&p, sizeof(plain) - from + 1);
        vault_decrypt(&s, from, sealed + from, part, size);
        ck_assert_int_eq(memcmp(part, plain + from, size), 0);
    }
    s.mode = VAULT_XTS;
    vault_encrypt(&s, VAULT_UNIT_BYTES, plain, sealed, sizeof(plain));
    vault_decrypt(&s, 3 * VAULT_UNIT_BYTES, sealed + 2 * VAULT_UNIT_BYTES, part, VAULT_UNIT_BYTES);
    ck_assert_int_eq(memcmp(part, plain, VAULT_UNIT_BYTES), 0);
    for (size_t at = 16; at < sizeof(sealed); at += 16) ck_assert_int_ne(memcmp(sealed, sealed + at, 16), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("vault_header");
    TCase *t = tcase_create("header");
    tcase_add_test(t, example_of_the_document);
    tcase_add_test(t, key_files);
    tcase_add_test(t, nothing_altered_passes);
    tcase_add_test(t, parts_of_content);
    suite_add_tcase(s, t);
    return run_suite(s);
}
