#include "gateway/page.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "base/assert.h"
#include "gateway/assets.h"
#include "gateway/codec.h"

#define PAGE_MAX (1024u * 1024u)
#define HASH_TEXT 64u

struct slice asset_find(const char *name)
{
    for (const struct asset *a = assets; a->name != NULL; a++) {
        if (strcmp(a->name, name) == 0) return slice_make(a->data, a->size);
    }
    BUG("a file is not embedded");
}

static void hash_text(struct slice s, char out[HASH_TEXT])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    struct buf text;
    if (EVP_Digest(s.data, s.size, digest, &size, EVP_sha256(), NULL) != 1) BUG("SHA-256 is missing in libcrypto");
    buf_init(&text, HASH_TEXT - 1);
    base64_append(&text, slice_make(digest, size));
    ASSERT(!text.overflow);
    memcpy(out, text.data, text.size);
    out[text.size] = '\0';
    buf_free(&text);
}

/* Copies html up to a mark, then the part that goes before the mark. */
static struct slice page_put(struct buf *body, struct slice html, const char *mark, struct slice part)
{
    size_t length = strlen(mark), at = 0;
    while (at + length <= html.size && memcmp(html.data + at, mark, length) != 0) at++;
    ASSERT(at + length <= html.size);
    buf_append(body, html.data, at);
    buf_append(body, part.data, part.size);
    return slice_make(html.data + at, html.size - at);
}

void page_init(struct page *p)
{
    char style_hash[HASH_TEXT], script_hash[HASH_TEXT], whole[HASH_TEXT];
    struct slice html = asset_find("index.html"), style = asset_find("console.css"), script = asset_find("console.js");
    buf_init(&p->body, PAGE_MAX);
    html = page_put(&p->body, html, "</style>", style);
    html = page_put(&p->body, html, "</script>", script);
    buf_append(&p->body, html.data, html.size);
    ASSERT(!p->body.overflow);
    hash_text(style, style_hash);
    hash_text(script, script_hash);
    hash_text(buf_slice(&p->body), whole);
    int n = snprintf(p->policy, sizeof(p->policy),
                     "default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; connect-src 'self'; "
                     "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
                     script_hash, style_hash);
    ASSERT(n > 0 && (size_t)n < sizeof(p->policy));
    (void)snprintf(p->etag, sizeof(p->etag), "\"%.20s\"", whole);
}

void page_free(struct page *p)
{
    buf_free(&p->body);
}
