/* The log: any bytes as records under right checksums, and edits of headers whose checksums are then made right again: it is opened,
 * or refused, and if refused salvaged. Run by `make fuzz` and `make replay`. */
#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "lib/memdisk.h"
#include "lib/testenv.h"
#include "wal/wal_format.h"

#define FILE_BYTES (16u * WAL_BLOCK)
#define SEGMENT "wal/0000000000000001.wal"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t records, bytes;
};
static void on_group(void *ctx, uint64_t group, struct slice state)
{
    struct seen *s = ctx;
    ASSERT(group != 0);
    s->records++;
    for (size_t i = 0; i < state.size; i++) s->bytes += state.data[i]; /* the sanitizer sees each byte outside */
}
static void on_dropped(void *ctx, uint64_t group)
{
    ASSERT(group != 0);
    ((struct seen *)ctx)->records++;
}
static void on_hard_state(void *ctx, uint64_t group, const struct wal_hard_state *h)
{
    ASSERT(group != 0);
    ((struct seen *)ctx)->bytes += h->term;
}
static void on_entry(void *ctx, uint64_t group, const struct wal_entry *e)
{
    on_group(ctx, group, e->data);
}
static void on_reset(void *ctx, uint64_t group, uint64_t index, uint64_t term)
{
    ASSERT(group != 0);
    ((struct seen *)ctx)->bytes += index + term;
}

/* One segment: a header, a batch with this payload, a mark behind it. */
static void make_segment(uint8_t file[FILE_BYTES], struct slice payload, struct slice edits)
{
    struct wal_segment_header h = {
        .log_id = 7, .segment = 1, .epoch = 1, .segment_bytes = FILE_BYTES, .first_batch = 1, .oldest_epoch = 1};
    uint32_t chain = 0;
    uint64_t at = WAL_BLOCK;
    memset(file, 0, FILE_BYTES);
    wal_segment_header_encode(&h, file);
    for (size_t i = 0; i + 1 < edits.size; i += 2) file[edits.data[i] % 72] = edits.data[i + 1]; /* position, byte */
    le_set_u32(file + 68, crc32c(0, file, 68));
    for (unsigned n = 0; n < 2; n++) {
        struct wal_batch_header b = {.log_id = 7,
                                     .segment = 1,
                                     .epoch = 1,
                                     .offset = at,
                                     .number = 1 + n,
                                     .synced_through = n,
                                     .payload_bytes = n == 0 ? (uint32_t)payload.size : 0,
                                     .records = n == 0 && payload.size > 0 ? payload.data[0] : 0,
                                     .chain = chain};
        uint64_t bytes = wal_batch_size(b.payload_bytes);
        if (n == 0 && payload.size > 0) memcpy(file + at + WAL_BATCH_HEADER, payload.data, payload.size);
        b.payload_crc = crc32c(0, file + at + WAL_BATCH_HEADER, (size_t)bytes - WAL_BATCH_HEADER);
        wal_batch_header_encode(&b, file + at);
        chain = b.crc;
        at += bytes;
    }
}

static void put(struct disk *d, const uint8_t *bytes)
{
    struct disk_file *f = NULL;
    ASSERT(disk_mkdir(d, "wal") == STATUS_OK);
    ASSERT(disk_open(d, SEGMENT, DISK_WRITE | DISK_CREATE, &f, NULL) == STATUS_OK);
    ASSERT(disk_write(f, 0, bytes, FILE_BYTES) == STATUS_OK);
    ASSERT(disk_sync(f) == STATUS_OK);
    disk_close(f);
}

static void open_it(struct testenv *t)
{
    struct seen seen = {0, 0};
    const struct wal_options o = {
        .dir = "wal", .segment_bytes = FILE_BYTES, .spare_segments = 1, .skip_self_test = true};
    const struct wal_replay replay = {.group = on_group,
                                      .group_dropped = on_dropped,
                                      .hard_state = on_hard_state,
                                      .entry = on_entry,
                                      .reset = on_reset,
                                      .ctx = &seen};
    struct wal *w = NULL;
    struct errbuf err = {.text = ""};
    enum status s = wal_open(&t->env, &o, &replay, &w, &err);
    if (s == STATUS_CORRUPT) s = wal_salvage(&t->env, &o, &replay, &w, &err);
    if (s == STATUS_OK) {
        testenv_run(t);
        t->env.dead = true;
        testenv_cancel(t);
        wal_close(w);
    } else {
        ASSERT(err.text[0] != '\0');
        testenv_cancel(t);
    }
}

/* Edits: how many, then pairs; the rest is the payload. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[FILE_BYTES];
    struct testenv t;
    if (size == 0) return 0;
    size_t edits = 2 * (size_t)(data[0] % 8);
    if (1 + edits > size) return 0;
    size_t payload = size - 1 - edits < 3 * WAL_BLOCK ? size - 1 - edits : 3 * WAL_BLOCK;
    make_segment(file, slice_make(data + 1 + edits, payload), slice_make(data + 1, edits));
    struct memdisk *d = memdisk_new(1);
    put(memdisk_disk(d), file);
    testenv_init(&t, memdisk_disk(d), 1);
    open_it(&t);
    testenv_free(&t);
    memdisk_free(d);
    return 0;
}
