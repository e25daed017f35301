/* HTTP messages, requests and responses: however the bytes are cut, the same message is read or the same refusal made, within the
 * ceilings. The first byte says what is read and how it is cut. See Makefile, fuzz. */
#include "base/assert.h"
#include "http/reader.h"

#include <string.h>

#define MAX_HEAD 512
#define MAX_BODY 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_all(struct http_reader *r, bool of_requests, struct slice bytes, size_t step)
{
    size_t at = 0;
    http_reader_init(r, of_requests, MAX_HEAD, MAX_BODY);
    http_reader_begin(r, false);
    while (at < bytes.size && r->state != READER_DONE && r->state != READER_BAD) {
        size_t n = bytes.size - at < step ? bytes.size - at : step;
        at += http_reader_feed(r, slice_make(bytes.data + at, n));
    }
    if (!of_requests) http_reader_end(r);
    ASSERT(r->head.size <= MAX_HEAD);
    ASSERT(r->body.size <= MAX_BODY);
    ASSERT(r->field_count <= HTTP_HEADERS_MAX);
    for (size_t i = 0; i < r->field_count && r->state == READER_DONE; i++) {
        const char *name = (char *)r->head.data + r->fields[i].name;
        ASSERT(r->fields[i].value + strlen((char *)r->head.data + r->fields[i].value) < r->head.size);
        ASSERT(http_reader_field(r, name) != NULL);
    }
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct http_reader whole, cut;
    struct slice bytes = slice_make(data + 1, size - 1);
    bool of_requests = (data[0] & 1) != 0;
    size_t taken = read_all(&whole, of_requests, bytes, SIZE_MAX);
    size_t taken_cut = read_all(&cut, of_requests, bytes, (size_t)(data[0] >> 1) + 1);
    if (whole.state == READER_DONE) {
        ASSERT(cut.state == READER_DONE);
        ASSERT(taken == taken_cut);
        ASSERT(whole.keep_alive == cut.keep_alive && whole.field_count == cut.field_count);
        ASSERT(slice_eq(buf_slice(&whole.body), buf_slice(&cut.body)));
        if (of_requests) ASSERT(whole.method == cut.method && whole.target == cut.target);
    } else {
        ASSERT(cut.state != READER_DONE);
    }
    http_reader_free(&whole);
    http_reader_free(&cut);
    return 0;
}
