/* debug table, debug manifest, debug backup: what a file holds. Offline: reads the file and talks to nobody. */
#include "backup/depot.h"
#include "cli/debug_cli.h"
#include "env_posix/env_posix.h"
#include "env_posix/process.h"
#include "lsm/dump.h"

int debug_open(struct debug_place *p, struct cli *c, const char *dir)
{
    struct errbuf err = {.text = ""};
    const struct env_posix_options options = {.data_dir = dir, .log_level = LOG_ERROR};
    if (!process_is_dir(dir)) return cli_fail("%s: there is no such directory", dir);
    p->env = env_posix_new(&options, &err);
    if (p->env == NULL) return cli_fail("%s", err.text);
    if (encryption_begin(&p->encryption, p->env, args_text(&c->args, "encryption-keys", NULL), false, &err) !=
        STATUS_OK) {
        env_posix_free(p->env);
        return cli_fail("%s", err.text);
    }
    return CLI_OK;
}

int debug_close(struct debug_place *p, enum status s, const struct errbuf *err)
{
    encryption_end(&p->encryption);
    env_posix_free(p->env);
    return s == STATUS_OK ? CLI_OK : cli_fail("%s", err->text[0] != '\0' ? err->text : status_text(s));
}

/* "a/b/c" into "a/b" and "c"; levels: how many names the second one has, where there are so many. */
static bool split_path(const char *path, unsigned levels, char dir[DEBUG_PATH_MAX], const char **name)
{
    const char *slash = path + strlen(path);
    for (; levels > 0 && slash != NULL; levels--) {
        while (slash > path && *--slash != '/') {
        }
        if (*slash != '/') slash = NULL;
    }
    size_t size = slash == NULL ? 0 : (size_t)(slash - path);
    if (size >= DEBUG_PATH_MAX) return false;
    *name = slash == NULL ? path : slash + 1;
    memcpy(dir, slash == NULL ? "." : size == 0 ? "/" : path, slash == NULL || size == 0 ? 1 : size);
    dir[slash == NULL || size == 0 ? 1 : size] = '\0';
    return true;
}

static void show(void *ctx, struct buf *text)
{
    (void)ctx;
    out_buf(text);
}

static int dump(struct cli *c, enum status (*what)(const struct dump *, struct errbuf *), bool rows)
{
    const char *name;
    char dir[DEBUG_PATH_MAX];
    struct debug_place p;
    struct errbuf err = {.text = ""};
    if (!split_path(c->args.words[0], 1, dir, &name)) return cli_usage("%s: the path is too long", c->args.words[0]);
    int code = debug_open(&p, c, dir);
    if (code != CLI_OK) return code;
    const struct dump d = {.disk = p.env->disk, .path = name, .rows = rows, .show = show};
    enum status s = what(&d, &err);
    return debug_close(&p, s, &err);
}

int run_debug_table(struct cli *c)
{
    return dump(c, dump_table, args_switch(&c->args, "rows"));
}

int run_debug_manifest(struct cli *c)
{
    return dump(c, dump_manifest, false);
}

/* --- files of backups (docs/formats/backup.md) --- */

static void put_digest(struct buf *b, const struct backup_digest *d)
{
    buf_printf(b, "rows %llu rows_with_ttl %llu bytes %llu digest %016llx%016llx", (unsigned long long)d->rows,
               (unsigned long long)d->mortal, (unsigned long long)d->bytes, (unsigned long long)d->high,
               (unsigned long long)d->low);
}

static void put_keyspaces(struct buf *b, const struct backup_keyspace *k, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(
            b,
            "keyspace %u %.*s replication %u buckets %u ttl_ms %llu absent_until %llu dropped %llu known_upto %llu\n",
            k[i].id, (int)k[i].name.size, (const char *)k[i].name.data, k[i].replication, k[i].buckets,
            (unsigned long long)k[i].ttl_ms, (unsigned long long)k[i].absent_until, (unsigned long long)k[i].dropped_ts,
            (unsigned long long)k[i].known_upto);
}

static void put_cluster(struct buf *b, const struct cluster_id *id)
{
    buf_printf(b, "cluster %016llx%016llx ", (unsigned long long)be_u64(id->bytes),
               (unsigned long long)be_u64(id->bytes + 8));
}

/* Counts and digests them; in a chunk they must stand in order, and none may be deleted. */
static enum status put_rows(struct slice rows, bool is_chunk, bool shown, struct errbuf *err)
{
    static const char *const KINDS[] = {"del", "put", "counter"};
    struct cursor at = cursor_make(rows);
    struct backup_digest digest = {.rows = 0};
    struct backup_row r, last = {.key = SLICE_EMPTY};
    struct buf b;
    bool ordered = true;
    uint64_t count = 0;
    buf_init(&b, 1u << 24);
    for (; ordered && backup_row_next(&at, &r); count++) {
        bool first = count == 0;
        if (is_chunk)
            ordered = r.kind != BACKUP_DELETE && (first || slice_cmp(r.key, last.key) > 0);
        else
            ordered = first || r.keyspace != last.keyspace || r.ts >= last.ts;
        last = r;
        if (r.kind != BACKUP_DELETE) backup_digest_row(&digest, &r);
        if (!shown) continue;
        buf_printf(&b, "  %s %u ", KINDS[r.kind], r.keyspace);
        text_escape(&b, r.key);
        buf_printf(&b, " @%llu", (unsigned long long)r.ts);
        if (r.kind != BACKUP_DELETE) buf_append_str(&b, " = ");
        text_escape(&b, r.value);
        buf_append_str(&b, "\n");
        out_buf(&b);
    }
    buf_printf(&b, "%s %llu, not deleted: ", is_chunk ? "rows" : "changes", (unsigned long long)count);
    put_digest(&b, &digest);
    buf_append_str(&b, "\n");
    out_buf(&b);
    buf_free(&b);
    if (!at.failed && ordered) return STATUS_OK;
    errbuf_set(err, "row %llu makes no sense, or is out of order", (unsigned long long)count);
    return STATUS_CORRUPT;
}

static enum status show_changes(struct slice body, bool shown, struct arena *arena, struct errbuf *err)
{
    struct backup_changes g;
    struct buf b;
    if (backup_changes_get(body, arena, &g) != STATUS_OK) {
        errbuf_set(err, "the head of the changes makes no sense");
        return STATUS_CORRUPT;
    }
    buf_init(&b, 1u << 24);
    buf_append_str(&b, "changes of ");
    put_cluster(&b, &g.cluster);
    buf_printf(&b, "in (%llu, %llu]\n", (unsigned long long)g.from, (unsigned long long)g.to);
    put_keyspaces(&b, g.keyspaces, g.keyspace_count);
    out_buf(&b);
    buf_free(&b);
    return put_rows(g.rows, false, shown, err);
}

static enum status show_manifest(struct slice body, struct arena *arena, struct errbuf *err)
{
    struct backup_manifest m;
    struct buf b;
    if (backup_manifest_get(body, arena, &m) != STATUS_OK) {
        errbuf_set(err, "the manifest makes no sense");
        return STATUS_CORRUPT;
    }
    buf_init(&b, 1u << 28);
    buf_printf(&b, "%s backup of ", m.complete ? "complete" : "begun");
    put_cluster(&b, &m.cluster);
    buf_printf(&b, "from %llu as of %llu parent %llu\n", (unsigned long long)m.from, (unsigned long long)m.at,
               (unsigned long long)m.parent);
    put_keyspaces(&b, m.keyspaces, m.keyspace_count);
    for (size_t i = 0; i < m.chunk_count; i++) {
        const struct backup_chunk *k = &m.chunks[i];
        buf_printf(&b, "chunk %.*s keyspace %u ts %llu size %llu crc %08x ", k->name.size > 0 ? (int)k->name.size : 1,
                   k->name.size > 0 ? (const char *)k->name.data : "-", k->keyspace, (unsigned long long)k->ts,
                   (unsigned long long)k->file_bytes, k->crc);
        put_digest(&b, &k->digest);
        buf_append_str(&b, " from ");
        text_escape(&b, k->start);
        buf_append_str(&b, " to ");
        text_escape(&b, k->end);
        buf_append_str(&b, "\n");
    }
    out_buf(&b);
    buf_free(&b);
    return m.complete ? backup_manifest_check(&m, err) : STATUS_OK;
}

static enum status show_backup(struct disk *disk, const char *name, bool rows, struct errbuf *err)
{
    enum backup_file type = strncmp(name, "chunks/", 7) == 0    ? BACKUP_CHUNK
                            : strncmp(name, "changes/", 8) == 0 ? BACKUP_CHANGES
                                                                : BACKUP_MANIFEST;
    struct buf bytes;
    struct slice body = SLICE_EMPTY;
    struct arena arena;
    buf_init(&bytes, BACKUP_FILE_BYTES_MAX);
    arena_init(&arena, 4096);
    enum status s = depot_file(disk, name, type, &bytes, &body, err);
    if (s == STATUS_OK && type == BACKUP_CHUNK) s = put_rows(body, true, rows, err);
    if (s == STATUS_OK && type == BACKUP_CHANGES) s = show_changes(body, rows, &arena, err);
    if (s == STATUS_OK && type == BACKUP_MANIFEST) s = show_manifest(body, &arena, err);
    arena_free(&arena);
    buf_free(&bytes);
    return s;
}

/* A file is good under its name alone, that of its folder included. */
int run_debug_backup(struct cli *c)
{
    const char *path = c->args.words[0], *name;
    char dir[DEBUG_PATH_MAX];
    struct debug_place p;
    struct errbuf err = {.text = ""};
    if (!split_path(path, 2, dir, &name)) return cli_usage("%s: the path is too long", path);
    if (strncmp(name, "chunks/", 7) != 0 && strncmp(name, "changes/", 8) != 0) (void)split_path(path, 1, dir, &name);
    int code = debug_open(&p, c, dir);
    if (code != CLI_OK) return code;
    enum status s = show_backup(p.env->disk, name, args_switch(&c->args, "rows"), &err);
    return debug_close(&p, s, &err);
}
