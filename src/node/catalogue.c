#include "node/catalogue.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "base/mem.h"

#define FILE_NAME "CATALOGUE"
#define FILE_TEMP "CATALOGUE.new"
#define FILE_MAX (LIMIT_FRAME_BYTES + 4096u)
#define AGAIN_NS (10000 * NS_PER_MS) /* after the disk was full */
/* The bound of timestamps that is in the file may lag by so much. */
#define BOUND_LAG ((uint64_t)60000 << TS_COUNTER_BITS)

enum { HEAD_BYTES = 16 };
static const char MAGIC[8] = {'Q', 'C', 'A', 'T', 'L', 'O', 'G', '1'};

/* --- the file's bytes --- */

void catalogue_file_encode(const struct catalogue *c, struct buf *out)
{
    struct buf payload;
    uint8_t head[HEAD_BYTES];
    buf_init(&payload, FILE_MAX);
    pack_catalogue(&payload, c);
    memcpy(head, MAGIC, sizeof MAGIC);
    le_set_u32(head + 8, crc32c(0, payload.data, payload.size));
    le_set_u32(head + 12, (uint32_t)payload.size);
    buf_append(out, head, sizeof head);
    buf_append(out, payload.data, payload.size);
    buf_free(&payload);
}

enum status catalogue_file_decode(struct slice bytes, struct catalogue *out)
{
    struct arena arena;
    if (bytes.size < HEAD_BYTES || memcmp(bytes.data, MAGIC, sizeof MAGIC) != 0) return STATUS_CORRUPT;
    struct slice payload = slice_make(bytes.data + HEAD_BYTES, bytes.size - HEAD_BYTES);
    if (le_u32(bytes.data + 12) != payload.size) return STATUS_CORRUPT;
    if (le_u32(bytes.data + 8) != crc32c(0, payload.data, payload.size)) return STATUS_CORRUPT;
    arena_init(&arena, 64);
    enum status s = unpack_catalogue(payload, &arena, out);
    arena_free(&arena);
    return s == STATUS_OK ? STATUS_OK : STATUS_CORRUPT;
}

/* --- what it is --- */

static void take_rows(struct node_catalogue *c, struct slice rows)
{
    buf_clear(&c->rows);
    buf_append(&c->rows, rows.data, rows.size);
    c->now.rows = buf_slice(&c->rows);
    c->hash = rows.size == 0 ? 0 : hash_bytes(rows, 0);
}

static void read_file(struct node_catalogue *c)
{
    struct disk_file *f = NULL;
    uint64_t size = 0;
    size_t got = 0;
    if (disk_open(c->env->disk, FILE_NAME, DISK_READ, &f, NULL) != STATUS_OK) return;
    enum status s = disk_size(f, &size);
    if (s == STATUS_OK && size > 0 && size <= FILE_MAX) {
        uint8_t *bytes = mem_alloc((size_t)size);
        struct catalogue found;
        s = disk_read(f, 0, bytes, (size_t)size, &got);
        if (s == STATUS_OK && catalogue_file_decode(slice_make(bytes, got), &found) == STATUS_OK) {
            c->now = found;
            take_rows(c, found.rows);
            c->written_ts_bound = found.ts_bound;
        } else {
            COVER("catalogue.damaged");
            log_event(c->env->log, LOG_WARN, "catalogue.damaged", "why=\"it is asked for anew\"");
        }
        mem_free(bytes);
    }
    disk_close(f);
}

void catalogue_learn(struct node_catalogue *c, const struct meta_heartbeat_reply *reply, uint64_t now_ns)
{
    c->heard_ns = now_ns;
    if (reply->ts_bound == 0 || reply->term < c->now.term) return; /* an older service's, or no whole answer */
    if (reply->catalogue.size > 0) {
        take_rows(c, reply->catalogue);
        c->stale = true;
    }
    c->now.map_version = reply->map_version;
    c->now.term = reply->term;
    if (reply->ts_bound > c->now.ts_bound) c->now.ts_bound = reply->ts_bound;
    if (c->now.ts_bound > c->written_ts_bound + BOUND_LAG && c->hash != 0) c->stale = true;
}

/* A node's row begins with its id, its uuid and its address (meta/machine.h). */
static void node_of_row(const struct catalogue_row *row, void (*each)(void *ctx, uint64_t id, const char *address),
                        void *ctx)
{
    struct unpack u = unpack_make(row->value);
    char address[LIMIT_ADDRESS_BYTES + 1];
    (void)unpack_open(&u, 3);
    uint64_t id = unpack_uint(&u);
    (void)unpack_bin(&u);
    struct slice text = unpack_bin(&u);
    if (u.failed || text.size == 0 || text.size > LIMIT_ADDRESS_BYTES) return;
    memcpy(address, text.data, text.size);
    address[text.size] = '\0';
    each(ctx, id, address);
}

void catalogue_each_node(const struct node_catalogue *c, void (*each)(void *ctx, uint64_t id, const char *address),
                         void *ctx)
{
    struct arena arena;
    struct catalogue_rows rows;
    if (c->now.rows.size == 0) return;
    arena_init(&arena, 4096);
    if (unpack_catalogue_rows(c->now.rows, &arena, &rows) == STATUS_OK) {
        for (size_t i = 0; i < rows.row_count; i++) {
            if (rows.rows[i].key.data[0] == 'n') node_of_row(&rows.rows[i], each, ctx);
        }
    }
    arena_free(&arena);
}

/* --- writing it --- */

static void write_execute(struct task *t)
{
    struct node_catalogue *c = LIST_ENTRY(t, struct node_catalogue, task);
    struct disk *d = c->env->disk;
    struct disk_file *f = NULL;
    enum status s = disk_open(d, FILE_TEMP, DISK_WRITE | DISK_CREATE, &f, NULL);
    if (s == STATUS_OK) s = disk_truncate(f, 0);
    if (s == STATUS_OK) s = disk_write(f, 0, c->file.data, c->file.size);
    if (s == STATUS_OK) s = disk_sync(f);
    disk_close(f);
    if (s == STATUS_OK) s = disk_rename(d, FILE_TEMP, FILE_NAME);
    if (s == STATUS_OK) s = disk_sync_dir(d, "");
    c->status = s;
}

static void write_complete(struct task *t)
{
    struct node_catalogue *c = LIST_ENTRY(t, struct node_catalogue, task);
    c->busy = false;
    buf_free(&c->file);
    if (t->cancelled) return;
    if (c->status == STATUS_NO_SPACE) {
        c->stale = true;
        c->at_ns = env_mono_ns(c->env) + AGAIN_NS;
    } else if (c->status != STATUS_OK) {
        c->env->ops->fatal(c->env, "the file CATALOGUE cannot be written: check the disk");
    }
    c->env->ops->wake(c->env);
}

uint64_t catalogue_pass(struct node_catalogue *c, uint64_t now_ns)
{
    if (!c->stale || c->busy) return DEADLINE_NONE;
    if (now_ns < c->at_ns) return c->at_ns;
    c->stale = false;
    c->busy = true;
    c->written_ts_bound = c->now.ts_bound;
    buf_init(&c->file, 2 * FILE_MAX);
    catalogue_file_encode(&c->now, &c->file);
    ASSERT(!c->file.overflow);
    exec_submit(c->env->exec, LANE_BACKGROUND, &c->task);
    return DEADLINE_NONE;
}

void catalogue_open(struct node_catalogue *c, struct env *env)
{
    *c = (struct node_catalogue){.env = env, .now = {.rows = SLICE_EMPTY}};
    c->task = (struct task){.execute = write_execute, .complete = write_complete};
    list_init(&c->task.link);
    buf_init(&c->rows, FILE_MAX);
    read_file(c);
}

void catalogue_free(struct node_catalogue *c)
{
    if (c->env == NULL) return;
    ASSERT(!c->busy);
    buf_free(&c->rows);
}
