/* debug log, debug check: a stopped server's data directory, offline. Nothing in it is changed. */
#include "base/cursor.h"
#include "base/map.h"
#include "base/mem.h"
#include "cli/debug_cli.h"
#include "lsm/dump.h"
#include "range/identity.h"
#include "wal/wal.h"

#include <stdarg.h>
#include <stdio.h>

#define WAL_DIR "wal"
#define STORE_DIR "store"

/* Whose it is; takes its lock: a server that runs is left alone. */
static enum status claim(struct env *env, struct identity *id, struct errbuf *err)
{
    struct disk_file *f = NULL;
    char text[4096];
    size_t got = 0;
    enum status s = disk_open(env->disk, "IDENTITY", DISK_READ, &f, err);
    if (s == STATUS_OK) s = disk_read(f, 0, text, sizeof text - 1, &got);
    disk_close(f);
    if (s != STATUS_OK) {
        errbuf_set(err, "IDENTITY cannot be read: %s", status_text(s));
        return s;
    }
    text[got] = '\0';
    return identity_open(env, strstr(text, "\nrole meta\n") != NULL ? ROLE_META : ROLE_NODE, id, err);
}

static int open_claimed(struct debug_place *p, struct cli *c, struct identity *id)
{
    struct errbuf err = {.text = ""};
    int code = debug_open(p, c, c->args.words[0]);
    if (code != CLI_OK) return code;
    enum status s = claim(p->env, id, &err);
    return s == STATUS_OK ? CLI_OK : debug_close(p, s, &err);
}

/* --- the log --- */

struct told_group {
    struct wal_hard_state hard_state;
    uint64_t entries, bytes, first, last, last_term, state_bytes;
    bool dropped;
};

struct told_log {
    struct map groups; /* struct told_group */
    struct buf text;
    bool records;
    uint64_t segments, entries;
};

static struct told_group *group_of(struct told_log *t, uint64_t group)
{
    struct told_group *g = map_get(&t->groups, group);
    if (g != NULL) return g;
    g = mem_zalloc(sizeof *g);
    (void)map_put(&t->groups, group, g);
    return g;
}

static void record(struct told_log *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void record(struct told_log *t, const char *fmt, ...)
{
    char line[200];
    if (!t->records) return;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    buf_append_str(&t->text, line);
    if (t->text.size > 65536) out_buf(&t->text);
}

static void on_group(void *ctx, uint64_t group, struct slice state)
{
    struct told_group *g = group_of(ctx, group);
    g->state_bytes = state.size;
    g->dropped = false;
    record(ctx, "group %llu state %zu bytes\n", (unsigned long long)group, state.size);
}

static void on_dropped(void *ctx, uint64_t group)
{
    *group_of(ctx, group) = (struct told_group){.dropped = true};
    record(ctx, "group %llu dropped\n", (unsigned long long)group);
}

static void on_hard_state(void *ctx, uint64_t group, const struct wal_hard_state *h)
{
    group_of(ctx, group)->hard_state = *h;
    record(ctx, "group %llu term %llu vote %llu commit %llu\n", (unsigned long long)group, (unsigned long long)h->term,
           (unsigned long long)h->vote, (unsigned long long)h->commit);
}

static void on_entry(void *ctx, uint64_t group, const struct wal_entry *e)
{
    struct told_log *t = ctx;
    struct told_group *g = group_of(t, group);
    if (g->entries == 0 || e->index < g->first) g->first = e->index;
    g->last = e->index;
    g->last_term = e->term;
    g->entries++;
    g->bytes += e->data.size;
    t->entries++;
    record(t, "group %llu entry %llu term %llu type %u %zu bytes\n", (unsigned long long)group,
           (unsigned long long)e->index, (unsigned long long)e->term, e->type, e->data.size);
}

static void on_reset(void *ctx, uint64_t group, uint64_t index, uint64_t term)
{
    struct told_group *g = group_of(ctx, group);
    g->entries = g->bytes = 0;
    g->first = index + 1;
    g->last = index;
    g->last_term = term;
    record(ctx, "group %llu begins anew behind %llu term %llu\n", (unsigned long long)group, (unsigned long long)index,
           (unsigned long long)term);
}

static void on_segment(void *ctx, const struct wal_segment_told *s)
{
    struct told_log *t = ctx;
    t->segments++;
    buf_printf(&t->text, "segment %016llx bytes %llu epoch %llu end %llu\n", (unsigned long long)s->number,
               (unsigned long long)s->bytes, (unsigned long long)s->epoch, (unsigned long long)s->end);
}

static void put_groups(struct told_log *t)
{
    uint64_t id;
    void *value;
    for (size_t it = 0; map_next(&t->groups, &it, &id, &value);) {
        const struct told_group *g = value;
        buf_printf(&t->text, "group %llu%s term %llu vote %llu commit %llu ", (unsigned long long)id,
                   g->dropped ? " dropped" : "", (unsigned long long)g->hard_state.term,
                   (unsigned long long)g->hard_state.vote, (unsigned long long)g->hard_state.commit);
        buf_printf(&t->text, "entries %llu from %llu to %llu of term %llu bytes %llu\n", (unsigned long long)g->entries,
                   (unsigned long long)g->first, (unsigned long long)g->last, (unsigned long long)g->last_term,
                   (unsigned long long)g->bytes);
        if (t->text.size > 65536) out_buf(&t->text);
    }
}

/* What could be read is told, whatever becomes of it. told: segments and groups are printed. */
static enum status look_at_log(struct env *env, bool told, bool records, struct errbuf *err)
{
    struct told_log t = {.records = records};
    uint64_t id;
    void *value;
    map_init(&t.groups);
    buf_init(&t.text, 1u << 24);
    const struct wal_replay replay = {.group = on_group,
                                      .group_dropped = on_dropped,
                                      .hard_state = on_hard_state,
                                      .entry = on_entry,
                                      .reset = on_reset,
                                      .ctx = &t};
    enum status s = wal_look(env, WAL_DIR, &replay, on_segment, err);
    if (told) put_groups(&t);
    if (!told) buf_clear(&t.text);
    if (!told && s == STATUS_OK)
        buf_printf(&t.text, "log: sound; segments %llu, groups %zu, entries %llu\n", (unsigned long long)t.segments,
                   t.groups.count, (unsigned long long)t.entries);
    out_buf(&t.text);
    for (size_t it = 0; map_next(&t.groups, &it, &id, &value);) mem_free(value);
    map_free(&t.groups);
    buf_free(&t.text);
    return s;
}

int run_debug_log(struct cli *c)
{
    struct debug_place p;
    struct identity id;
    struct errbuf err = {.text = ""};
    int code = open_claimed(&p, c, &id);
    if (code != CLI_OK) return code;
    enum status s = look_at_log(p.env, true, args_switch(&c->args, "rows"), &err);
    return debug_close(&p, s, &err);
}

/* --- everything --- */

struct check {
    struct disk *disk;
    unsigned tables, wrong;
};

static void swallow(void *ctx, struct buf *text)
{
    (void)ctx;
    buf_clear(text);
}

static void complain(struct check *k, const char *what, enum status s, const struct errbuf *err)
{
    if (s == STATUS_OK) return;
    k->wrong++;
    out_printf("%s: %s\n", what, err->text[0] != '\0' ? err->text : status_text(s));
}

static void check_store_file(void *ctx, const char *name)
{
    struct check *k = ctx;
    char path[300];
    struct errbuf err = {.text = ""};
    size_t size = strlen(name);
    bool is_manifest = strcmp(name, "MANIFEST") == 0;
    if (!is_manifest && (size < 4 || strcmp(name + size - 4, ".tbl") != 0)) return;
    (void)snprintf(path, sizeof path, STORE_DIR "/%.200s", name);
    const struct dump d = {.disk = k->disk, .path = path, .rows = true, .show = swallow};
    if (!is_manifest) k->tables++;
    complain(k, path, is_manifest ? dump_manifest(&d, &err) : dump_table(&d, &err), &err);
}

int run_debug_check(struct cli *c)
{
    struct debug_place p;
    struct identity id;
    struct errbuf err = {.text = ""};
    int code = open_claimed(&p, c, &id);
    if (code != CLI_OK) return code;
    struct check k = {.disk = p.env->disk};
    out_printf("identity: %s %llu, cluster %016llx%016llx, version %u\n", id.role == ROLE_META ? "member" : "node",
               (unsigned long long)id.node_id, (unsigned long long)be_u64(id.cluster.bytes),
               (unsigned long long)be_u64(id.cluster.bytes + 8), (unsigned)id.finalised);
    complain(&k, "log", identity_check_log(p.env, &id, WAL_DIR, &err), &err);
    enum status s = look_at_log(p.env, false, false, &err);
    if (s != STATUS_NOT_FOUND || id.has_log) complain(&k, "log", s, &err);
    s = disk_list(p.env->disk, STORE_DIR, check_store_file, &k);
    if (s != STATUS_NOT_FOUND) complain(&k, STORE_DIR, s, &err);
    out_printf("store: %u tables looked at, %s\n", k.tables, k.wrong == 0 ? "all of them sound" : "not all is sound");
    if (k.wrong > 0) errbuf_set(&err, "%u things are damaged: see above, and docs/runbooks.md", k.wrong);
    return debug_close(&p, k.wrong > 0 ? STATUS_CORRUPT : STATUS_OK, &err);
}
