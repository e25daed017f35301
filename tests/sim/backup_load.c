/*   CHAOS: as luck has it --> LAST: one more --> PROVING <--> READING, for some timestamps --> COMPARING with the cluster --> OVER
 *
 * The process does one job at a time, and beside it perhaps follows the changes. */
#include "sim/backup_load.h"

#include "backup/create.h"
#include "backup/inspect.h"
#include "backup/log.h"
#include "backup/verify.h"
#include "base/assert.h"
#include "base/mem.h"
#include "sim/workload_int.h"

#include <stdio.h>

enum { MOMENTS = 6, COPIED_ROWS = 8192 };

enum backup_phase { BACKUPS_CHAOS, BACKUPS_LAST, BACKUPS_PROVING, BACKUPS_READING, BACKUPS_COMPARING, BACKUPS_OVER };

struct backup_load {
    struct workload *load;
    struct cluster *cluster;
    struct world *world;
    struct process *process;
    enum backup_phase phase;
    struct depot *depot; /* of this life; as all that follows */
    struct catalog catalog;
    bool busy, over; /* a job is under way; it has ended, and is to be freed */
    bool is_last;    /* the job was begun when nobody wrote any more */
    struct backup_create *create;
    struct verify *verify;
    struct walk *walk;
    struct inspect *inspect;
    struct { /* the archive */
        struct actor actor;
        struct changes *changes; /* NULL: nobody follows */
        struct change_log log;
        uint64_t until_ns, stop_listed;
        bool over, from_now;
    } follow;
    /* what is judged */
    uint64_t moments[MOMENTS + 1]; /* the newest is the last */
    unsigned moment_count, moment;
    struct held held;   /* of the newest moment */
    struct held wanted; /* of the one that is restored */
    unsigned restored;  /* which */
    struct arena copies;
    struct scan_row *rows; /* of the workload's keyspace at a moment, copied */
    size_t row_count;
    uint64_t made, failed, archives;
};

static void act_later(struct backup_load *l, uint64_t ns);

void held_add(struct held *h, struct slice name, const struct backup_digest *d)
{
    if (h->count == HELD_MAX || name.size >= HELD_NAME) BUG("more keyspaces than a simulated backup has");
    memcpy(h->names[h->count], name.data, name.size);
    h->names[h->count][name.size] = '\0';
    h->digests[h->count++] = *d;
}

const struct backup_digest *held_find(const struct held *h, struct slice name)
{
    for (unsigned i = 0; i < h->count; i++)
        if (slice_eq(slice_str(h->names[i]), name)) return &h->digests[i];
    return NULL;
}

bool backup_may_fail(enum status s)
{
    return s == STATUS_TIMEOUT || s == STATUS_UNAVAILABLE || s == STATUS_BUSY || s == STATUS_RETRY ||
           s == STATUS_TOO_OLD || s == STATUS_NOT_LEADER || s == STATUS_EPOCH_MISMATCH || s == STATUS_RANGE_NOT_FOUND ||
           s == STATUS_BLOCKED || s == STATUS_CLOSED;
}

/* A job has ended: what it could not do must have a cause. */
static void told(struct backup_load *l, const char *what, enum status s, const char *text)
{
    world_note(l->world, 40, (uint64_t)s, (uint64_t)l->phase);
    world_trace(l->world, l->process, "backup: %s: %s %s", what, status_name(s), s != STATUS_OK ? text : "");
    bool damaged = s == STATUS_CORRUPT && cluster_damaged(l->cluster);
    if (s != STATUS_OK && !backup_may_fail(s) && !damaged)
        world_fail(l->world, "backup: %s: %s: %s", what, status_name(s), text);
}

static void job_over(struct backup_load *l, const char *what, enum status s, const char *text)
{
    told(l, what, s, text);
    l->over = true;
    act_later(l, s == STATUS_OK && l->phase != BACKUPS_CHAOS ? 0 : draw(l->world, 1, 500) * MS_NS);
}

static void jobs_free(struct backup_load *l)
{
    backup_create_free(l->create);
    if (l->create == NULL && l->busy) catalog_free(&l->catalog);
    verify_free(l->verify);
    walk_free(l->walk);
    inspect_free(l->inspect);
    l->create = NULL;
    l->verify = NULL;
    l->walk = NULL;
    l->inspect = NULL;
    l->busy = l->over = false;
}

/* --- the archive --- */

static void follow_free(struct backup_load *l)
{
    if (l->follow.changes == NULL) return;
    l->process->env.ops->detach(&l->process->env, &l->follow.actor);
    changes_free(l->follow.changes);
    change_log_free(&l->follow.log);
    l->follow.changes = NULL;
    l->follow.over = false;
}

/* When its time is over, all that was committed before is archived first. */
static uint64_t follow_pass(struct actor *actor, uint64_t now_ns)
{
    struct backup_load *l = LIST_ENTRY(actor, struct backup_load, follow.actor);
    struct change_log *log = &l->follow.log;
    if (l->follow.over || l->process->env.dead) return DEADLINE_NONE;
    bool stopping = l->phase != BACKUPS_CHAOS || l->world->now_ns > l->follow.until_ns;
    uint64_t listed = changes_listed(l->follow.changes);
    if (stopping && l->follow.stop_listed == 0) l->follow.stop_listed = listed;
    if (stopping && listed > l->follow.stop_listed && log->goal == 0) log->goal = listed;
    uint64_t deadline = change_log_pass(log, now_ns);
    bool ended = log->goal != 0 && log->written >= log->goal && !log->writing;
    if (log->status != STATUS_OK || ended) {
        l->follow.over = true;
        l->follow.from_now = log->status == STATUS_TOO_OLD;
        told(l, "follow", log->status, log->text);
        l->archives++;
    }
    uint64_t look_ns = now_ns + 100 * MS_NS;
    return deadline < look_ns ? deadline : look_ns;
}

static uint64_t archive_end(const struct catalog *c)
{
    uint64_t end = 0;
    if (c->backup_count > 0) return catalog_chain(c, c->backups[c->backup_count - 1].from, UINT64_MAX, NULL, NULL);
    for (size_t i = 0; i < c->change_count; i++)
        if (c->changes[i].to > end) end = c->changes[i].to;
    return end;
}

static struct cluster_id cluster_id(void) /* as it is booted */
{
    struct cluster_id id;
    memset(id.bytes, 0x51, CLUSTER_ID_BYTES);
    return id;
}

static void follow_begin(struct backup_load *l)
{
    struct errbuf err;
    struct catalog c;
    struct cluster_id id = cluster_id();
    struct env *env = &l->process->env;
    const struct backup_keyspace *known = NULL;
    size_t known_count = 0;
    uint64_t after = 0;
    enum status s = catalog_read(&c, l->depot, &err);
    if (s == STATUS_OK && !l->follow.from_now) after = archive_end(&c);
    if (s == STATUS_OK) s = catalog_keyspaces(&c, l->depot, after, &known, &known_count, &err);
    if (s != STATUS_OK) {
        if (!env->dead) world_fail(l->world, "backup: follow: %s", err.text);
        catalog_free(&c);
        return;
    }
    l->follow.changes = changes_new(env, l->process->server, after, known, known_count);
    change_log_init(&l->follow.log, env, l->depot, l->follow.changes, &id, (uint32_t)draw(l->world, 10, 2000));
    l->follow.until_ns = l->world->now_ns + draw(l->world, 100, 4000) * MS_NS;
    l->follow.stop_listed = 0;
    l->follow.over = l->follow.from_now = false;
    l->follow.actor = (struct actor){.pass = follow_pass};
    env->ops->attach(env, &l->follow.actor);
    catalog_free(&c);
}

/* --- making one --- */

static void created(void *ctx, const struct backup_report *r)
{
    struct backup_load *l = ctx;
    if (r->status == STATUS_OK) l->made++;
    if (r->status != STATUS_OK) l->failed++;
    if (r->status == STATUS_OK && l->is_last && r->at < l->load->history->commits.newest)
        world_fail(l->world, "backup: one that was begun behind commit %llu is as of %llu",
                   (unsigned long long)l->load->history->commits.newest, (unsigned long long)r->at);
    if (r->status == STATUS_OK && l->is_last) l->phase = BACKUPS_PROVING;
    job_over(l, "create", r->status, r->text);
}

static void create_begin(struct backup_load *l)
{
    struct world *w = l->world;
    bool slow = l->phase == BACKUPS_CHAOS && chance(w, 300);
    struct backup_create_options o = {.cluster = cluster_id(),
                                      .incremental = chance(w, 500),
                                      .parallel = (uint32_t)draw(w, 1, 4),
                                      .rate = slow ? draw(w, 5000, 200000) : 0,
                                      .chunk_bytes = (uint32_t)draw(w, 200, 20000),
                                      .timeout_ms = 5000};
    l->is_last = l->phase == BACKUPS_LAST;
    l->create = backup_create_new(&l->process->env, l->process->server, l->depot, &l->catalog, &o, created, l);
}

/* --- what it holds at a moment --- */

static void take_rows(void *ctx, struct walk_chunk *c)
{
    struct backup_load *l = ctx;
    struct backup_row row;
    size_t count;
    const struct backup_keyspace *k = walk_keyspaces(l->walk, &count);
    while (k->id != c->rows.chunk->keyspace) k++;
    bool mine = slice_eq(k->name, workload_keyspace);
    while (merged_next(&c->rows, &row)) {
        if (row.ts > walk_at(l->walk))
            world_fail(l->world, "backup: as of %llu it holds a row of %llu", (unsigned long long)walk_at(l->walk),
                       (unsigned long long)row.ts);
        if (!mine) continue;
        if (l->row_count == COPIED_ROWS) BUG("a backup of the simulator is larger than its reader");
        l->rows[l->row_count++] = (struct scan_row){.key = arena_dup_slice(&l->copies, row.key),
                                                    .value = arena_dup_slice(&l->copies, row.value),
                                                    .version = row.ts,
                                                    .is_counter = row.kind == BACKUP_COUNTER};
    }
    walk_chunk_done(c);
}

static bool of_bank(struct slice key, unsigned bank)
{
    return key.size > 2 && key.data[0] == 'a' && key.data[1] == '0' + bank && key.data[2] == '/';
}

static void judge_rows(struct backup_load *l, uint64_t at)
{
    struct workload *load = l->load;
    struct cut *cut = cuts_add(&load->cuts);
    *cut = (struct cut){.mode = READ_SNAPSHOT,
                        .ts = at,
                        .call_ns = l->world->now_ns,
                        .registers = (1u << l->cluster->knobs.register_keys) - 1,
                        .banks = (1u << load->money.bank_count) - 1};
    for (size_t i = 0; i < l->row_count; i++) {
        if (chain_has_key(l->rows[i].key)) continue;
        if (!read_look_at_row(cut, &l->rows[i])) world_fail(l->world, "backup: a row that nobody wrote");
    }
    struct scan_row *rows = mem_alloc((l->row_count + 1) * sizeof *rows);
    for (unsigned bank = 0; bank < load->money.bank_count; bank++) {
        struct scan_reply page = {.rows = rows};
        for (size_t i = 0; i < l->row_count; i++)
            if (of_bank(l->rows[i].key, bank)) rows[page.row_count++] = l->rows[i];
        if (load->money.funded_ts[bank] <= at) check_money_page(l->world, &load->money, bank, 0, &page, false);
    }
    mem_free(rows);
}

static void walked(void *ctx, enum status s, const char *text)
{
    struct backup_load *l = ctx;
    if (s == STATUS_OK) {
        judge_rows(l, walk_at(l->walk));
        l->phase = ++l->moment == l->moment_count ? BACKUPS_COMPARING : BACKUPS_PROVING;
    } else {
        world_fail(l->world, "backup: as of %llu: %s", (unsigned long long)walk_at(l->walk), text);
    }
    job_over(l, "rows", s, text);
}

static void nothing(void *ctx)
{
    (void)ctx;
}

static void walk_begin(struct backup_load *l)
{
    static const struct walk_events events = {.on_plan = nothing, .on_chunk = take_rows, .on_end = walked};
    struct walk_options o = {.at = l->moments[l->moment], .memory_bytes = chance(l->world, 500) ? 0 : 2000};
    struct errbuf err;
    arena_free(&l->copies);
    arena_init(&l->copies, 16384);
    l->row_count = 0;
    if (walk_new(&l->process->env, l->depot, &l->catalog, &o, &events, l, &l->walk, &err) != STATUS_OK)
        world_fail(l->world, "backup: as of %llu: %s", (unsigned long long)o.at, err.text);
}

static void verified(void *ctx, const struct verify_report *r)
{
    struct backup_load *l = ctx;
    struct held held = {.at = r->at};
    for (size_t i = 0; r->status == STATUS_OK && i < r->keyspace_count; i++)
        held_add(&held, r->keyspaces[i].name, &r->keyspaces[i].digest);
    if (r->status != STATUS_OK)
        world_fail(l->world, "backup: it cannot be restored as of %llu: %s", (unsigned long long)r->at, r->text);
    if (l->moment == l->restored) l->wanted = held;
    if (l->moment == l->moment_count - 1) l->held = held;
    l->phase = BACKUPS_READING;
    job_over(l, "verify", r->status, r->text);
}

static void verify_begin(struct backup_load *l)
{
    struct errbuf err;
    uint64_t at = l->moments[l->moment];
    if (verify_new(&l->process->env, l->depot, &l->catalog, at, verified, l, &l->verify, &err) != STATUS_OK)
        world_fail(l->world, "backup: as of %llu: %s", (unsigned long long)at, err.text);
}

/* Commits that some backup reaches, and what was just before them; and as late as there is anything. */
static void choose_moments(struct backup_load *l)
{
    const struct catalog *c = &l->catalog;
    const struct commits *commits = &l->load->history->commits;
    for (unsigned tries = 0; tries < 200 && commits->count > 0 && l->moment_count < MOMENTS; tries++) {
        uint64_t ts = commits->items[draw(l->world, 0, commits->count - 1)].ts - (chance(l->world, 500) ? 1 : 0);
        bool reached = false;
        for (size_t i = 0; i < c->backup_count; i++)
            reached = reached || (c->backups[i].at <= ts && ts <= catalog_chain(c, c->backups[i].from, ts, NULL, NULL));
        if (reached) l->moments[l->moment_count++] = ts;
    }
    const struct backup_manifest *newest = &c->backups[c->backup_count - 1];
    l->moments[l->moment_count++] = catalog_chain(c, newest->from, UINT64_MAX, NULL, NULL);
    l->restored = (unsigned)draw(l->world, 0, l->moment_count - 1);
    world_trace(l->world, l->process, "backup: %u moments of %zu backups", l->moment_count, c->backup_count);
}

/* --- what the cluster holds --- */

static void inspected(void *ctx, const struct inspect_report *r)
{
    struct backup_load *l = ctx;
    for (size_t i = 0; r->status == STATUS_OK && i < r->keyspace_count; i++) {
        const struct backup_digest *d = held_find(&l->held, r->keyspaces[i].name);
        if (d != NULL && backup_digest_eq(d, &r->keyspaces[i].digest)) continue;
        world_fail(l->world, "backup: as of %llu the cluster's %.*s is not the backup's: %llu rows, %llu rows",
                   (unsigned long long)r->at, (int)r->keyspaces[i].name.size, (const char *)r->keyspaces[i].name.data,
                   (unsigned long long)r->keyspaces[i].digest.rows, (unsigned long long)(d != NULL ? d->rows : 0));
    }
    if (r->status == STATUS_OK || r->status == STATUS_TOO_OLD) l->phase = BACKUPS_OVER;
    job_over(l, "digest", r->status, r->text);
}

/* --- what comes next --- */

static void job_begin(struct backup_load *l)
{
    struct errbuf err;
    enum status s = catalog_read(&l->catalog, l->depot, &err);
    if (s != STATUS_OK) {
        if (!l->process->env.dead) world_fail(l->world, "backup: the directory cannot be read: %s", err.text);
        catalog_free(&l->catalog);
        return;
    }
    l->busy = true;
    if (l->phase == BACKUPS_PROVING && l->moment_count == 0) choose_moments(l);
    switch (l->phase) {
    case BACKUPS_CHAOS:
    case BACKUPS_LAST: create_begin(l); break;
    case BACKUPS_PROVING: verify_begin(l); break;
    case BACKUPS_READING: walk_begin(l); break;
    case BACKUPS_COMPARING:
        l->inspect = inspect_new(&l->process->env, l->process->server, l->held.at, 0, inspected, l);
        break;
    case BACKUPS_OVER: break;
    }
}

/* Its own end, too: at an effect on the disk, or with its machine. */
static void draw_death(struct backup_load *l)
{
    struct world *w = l->world;
    if (l->phase != BACKUPS_CHAOS) return;
    if (chance(w, 200)) l->process->crash_at_effect = (unsigned)draw(w, 1, 60);
    if (chance(w, 100)) process_crash_soon(l->process, 2 * SEC_NS);
}

static void act(struct backup_load *l)
{
    if (depot_busy(l->depot) > 0 && (l->follow.over || l->over)) { /* what has failed may still be writing */
        if (l->busy) act_later(l, MS_NS);
        return;
    }
    if (l->follow.over) follow_free(l);
    if (l->over) jobs_free(l);
    if (!l->cluster->booted || l->phase == BACKUPS_OVER) return;
    draw_death(l);
    if (l->phase == BACKUPS_CHAOS && l->follow.changes == NULL && chance(l->world, 500)) follow_begin(l);
    bool archives = l->phase != BACKUPS_CHAOS && l->follow.changes != NULL; /* what it has goes first */
    if (!l->busy && !archives && (l->phase != BACKUPS_CHAOS || chance(l->world, 700))) job_begin(l);
}

struct turn {
    struct backup_load *load;
    unsigned life;
};

static void take_turn(struct world *w, void *ctx)
{
    struct turn *t = ctx;
    struct backup_load *l = t->load;
    struct process *p = l->process;
    if (!process_runs(p) || p->lives != t->life) return;
    act(l);
    if (!l->busy) act_later(l, draw(w, 10, 500) * MS_NS);
    process_pass_soon(p);
    process_settle(p);
}

static void act_later(struct backup_load *l, uint64_t ns)
{
    struct turn *t = world_alloc(l->world, sizeof *t);
    *t = (struct turn){.load = l, .life = l->process->lives};
    world_after(l->world, ns, take_turn, t);
}

/* --- its process --- */

static enum status archivist_start(struct process *p, struct errbuf *err)
{
    struct backup_load *l = p->owner;
    struct client *client = NULL;
    enum status s =
        client_new(&p->env, &(struct client_options){.meta_addresses = l->cluster->meta_addresses, .role = ROLE_CLIENT},
                   &client, err);
    p->server = client;
    if (s == STATUS_OK) s = depot_new(&p->env, &l->depot, err);
    if (s == STATUS_OK) act_later(l, draw(l->world, 1, 1000) * MS_NS);
    return s;
}

static void come_back(struct world *w, void *ctx)
{
    struct process *p = ctx;
    if (p->state == PROCESS_DOWN && !w->failed) (void)process_start(p);
}

static void archivist_end(struct process *p)
{
    struct backup_load *l = p->owner;
    follow_free(l);
    jobs_free(l);
    client_free(p->server);
    depot_free(l->depot);
    l->depot = NULL;
    if (l->phase == BACKUPS_CHAOS) world_after(l->world, draw(l->world, 1, 2000) * MS_NS, come_back, p);
}

static const struct process_ops ARCHIVIST_OPS = {.start = archivist_start, .free = archivist_end};

struct backup_load *backup_load_new(struct workload *load)
{
    struct backup_load *l = mem_zalloc(sizeof *l);
    l->load = load;
    l->cluster = load->cluster;
    l->world = load->world;
    l->process = process_new(l->world, "archivist", &ARCHIVIST_OPS, l, true);
    l->rows = mem_alloc(COPIED_ROWS * sizeof *l->rows);
    arena_init(&l->copies, 16384);
    return l;
}

void backup_load_free(struct backup_load *l)
{
    arena_free(&l->copies);
    mem_free(l->rows);
    mem_free(l);
}

void backup_load_last(struct backup_load *l)
{
    l->phase = BACKUPS_LAST;
    l->process->crash_at_effect = 0;
}

bool backup_load_over(const struct backup_load *l)
{
    return l->phase == BACKUPS_OVER && !l->busy;
}

void backup_load_describe(const struct backup_load *l)
{
    static const char *const PHASES[] = {"in the chaos", "making the last", "proving", "reading", "comparing", "over"};
    struct backup_progress p = {.doing = "nothing"};
    if (l->create != NULL) backup_create_progress(l->create, &p);
    world_trace(l->world, l->process, "backups: %s, moment %u of %u, %llu made, %llu not, %llu archives; doing: %s",
                PHASES[l->phase], l->moment, l->moment_count, (unsigned long long)l->made,
                (unsigned long long)l->failed, (unsigned long long)l->archives, p.doing);
}

struct memdisk *backup_load_take(struct backup_load *l, struct held *wanted)
{
    struct memdisk *disk = l->process->disk;
    l->process->disk = NULL;
    *wanted = l->wanted;
    return disk;
}
