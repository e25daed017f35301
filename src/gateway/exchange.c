#include "gateway/exchange.h"

#include <lz4frame.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/mutant.h"

/* --- names --- */

static bool lower_hex(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f'))) return false;
    }
    return true;
}

/* 00-<32 hex>-<16 hex>-<2 hex>; a later version may go on behind a dash. */
bool traceparent_parse(const char *text, struct exchange *out)
{
    static const char zeros[] = "00000000000000000000000000000000";
    size_t size = text == NULL ? 0 : strlen(text);
    if (size < 55 || !lower_hex(text, 2) || memcmp(text, "ff", 2) == 0) return false;
    if (memcmp(text, "00", 2) == 0 ? size != 55 : size > 55 && text[55] != '-') return false;
    if (text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
    if (!lower_hex(text + 3, 32) || !lower_hex(text + 36, 16) || !lower_hex(text + 53, 2)) return false;
    if (memcmp(text + 3, zeros, 32) == 0 || memcmp(text + 36, zeros, 16) == 0) return false;
    memcpy(out->trace, text + 3, TRACE_ID_TEXT);
    memcpy(out->span, text + 36, SPAN_ID_TEXT);
    out->trace[TRACE_ID_TEXT] = out->span[SPAN_ID_TEXT] = '\0';
    char last = text[54];
    out->sampled = ((last >= 'a' ? last - 'a' + 10 : last - '0') & 1) != 0;
    return true;
}

bool request_id_valid(const char *text)
{
    size_t size = text == NULL ? 0 : strlen(text);
    if (size == 0 || size > REQUEST_ID_MAX) return false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && strchr("._:/+=-", c) == NULL) return false;
    }
    return true;
}

/* --- what the client takes --- */

static struct slice trimmed(const char *from, const char *to)
{
    while (from < to && (*from == ' ' || *from == '\t')) from++;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t')) to--;
    return slice_make(from, (size_t)(to - from));
}

/* The next element of a list with commas; false: there is none. */
static bool list_next(const char **at, struct slice *out)
{
    if (*at == NULL || **at == '\0') return false;
    const char *comma = strchr(*at, ',');
    const char *end = comma != NULL ? comma : *at + strlen(*at);
    *out = trimmed(*at, end);
    *at = comma != NULL ? comma + 1 : end;
    return true;
}

bool accepts_coding(const char *header, const char *coding)
{
    struct slice item;
    bool any = false;
    while (list_next(&header, &item)) {
        const char *text = (const char *)item.data, *end = text + item.size, *semicolon = memchr(text, ';', item.size);
        struct slice name = trimmed(text, semicolon != NULL ? semicolon : end);
        bool refused = false;
        if (semicolon != NULL) {
            struct slice weight = trimmed(semicolon + 1, end); /* q=0, q=0.0...: not this one */
            refused = weight.size >= 3 && memcmp(weight.data, "q=0", 3) == 0;
            for (size_t i = 3; refused && i < weight.size; i++)
                refused = weight.data[i] == '0' || weight.data[i] == '.';
        }
        if (slice_eq(name, slice_str(coding))) return !refused;
        if (slice_eq(name, slice_str("*"))) any = !refused;
    }
    return any;
}

/* lz4 costs this loop a tenth of gzip; but "*" is said by many who cannot read it. */
const char *coding_of(const char *accepted)
{
    bool named = accepted != NULL && strstr(accepted, "lz4") != NULL;
    if (named && accepts_coding(accepted, "lz4")) return "lz4";
    return accepts_coding(accepted, "gzip") ? "gzip" : NULL;
}

bool origin_allowed(const char *allowed, const char *origin)
{
    struct slice item;
    if (origin == NULL) return false;
    while (list_next(&allowed, &item)) {
        if (slice_eq(item, slice_str("*")) || slice_eq(item, slice_str(origin))) return true;
    }
    return false;
}

/* --- from where --- */

static bool is_ip(struct slice name)
{
    if (name.size > 0 && name.data[0] == '[') return true;
    for (size_t i = 0; i < name.size; i++) {
        if ((name.data[i] < '0' || name.data[i] > '9') && name.data[i] != '.') return false;
    }
    return name.size > 0;
}

/* Without the port. */
static struct slice name_of(const char *host)
{
    const char *bracket = host[0] == '[' ? strchr(host, ']') : NULL;
    return slice_make(host, bracket != NULL ? (size_t)(bracket + 1 - host) : strcspn(host, ":"));
}

static bool is_name(struct slice a, struct slice b)
{
    return a.size == b.size && strncasecmp((const char *)a.data, (const char *)b.data, a.size) == 0;
}

bool address_is_local(const char *address)
{
    struct slice name = name_of(address);
    return slice_starts(name, slice_str("127.")) || slice_eq(name, slice_str("[::1]")) ||
           slice_eq(name, slice_str("localhost")) || slice_eq(name, slice_str("unix"));
}

bool host_admitted(const char *names, const char *host)
{
    struct slice item, name = host != NULL ? name_of(host) : SLICE_EMPTY;
    if (MUTANT(any_host_admitted)) return true;
    if (host == NULL || is_ip(name) || is_name(name, slice_str("localhost"))) return true;
    while (list_next(&names, &item)) {
        if (slice_eq(item, slice_str("*")) || is_name(item, name)) return true;
    }
    return false;
}

bool origin_admitted(const char *allowed, const char *origin, const char *host)
{
    if (origin == NULL || origin_allowed(allowed, origin)) return true;
    const char *own = strstr(origin, "://");
    return own != NULL && host != NULL && strcasecmp(own + 3, host) == 0;
}

/* --- gzip, lz4 --- */

static void *zip_alloc(void *ctx, unsigned count, unsigned size)
{
    (void)ctx;
    return mem_zalloc((size_t)count * size);
}

static void zip_free(void *ctx, void *p)
{
    (void)ctx;
    mem_free(p);
}

bool gzip_append(struct buf *out, struct slice text)
{
    z_stream z = {.zalloc = zip_alloc, .zfree = zip_free};
    /* 15 + 16: the largest window, in gzip's frame; level 1: an answer waits for it, and so does everybody on this loop */
    if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return false;
    size_t room = text.size, begun = out->size;
    uint8_t *to = buf_extend(out, room);
    bool done = false;
    if (to != NULL) {
        union {
            const uint8_t *in;
            Bytef *zlib; /* only read */
        } from = {.in = text.data};
        z.next_in = from.zlib;
        z.avail_in = (uInt)text.size;
        z.next_out = to;
        z.avail_out = (uInt)room;
        done = deflate(&z, Z_FINISH) == Z_STREAM_END;
    }
    if (to != NULL) out->size = begun + (done ? room - z.avail_out : 0);
    (void)deflateEnd(&z);
    return done;
}

bool lz4_append(struct buf *out, struct slice text)
{
    LZ4F_preferences_t how = {
        .frameInfo = {.contentSize = text.size, .contentChecksumFlag = LZ4F_contentChecksumEnabled}};
    size_t room = LZ4F_compressFrameBound(text.size, &how), begun = out->size;
    uint8_t *to = buf_extend(out, room);
    if (to == NULL) return false;
    size_t size = LZ4F_compressFrame(to, room, text.data, text.size, &how);
    bool done = !LZ4F_isError(size) && size < text.size;
    out->size = begun + (done ? size : 0);
    return done;
}
