/* Reads by mode (docs/reads.md): a register, a bank's page or everything, at whichever replica the mode allows. What each saw is
 * kept, and judged at the end by check_reads.c, when every commit is known. */
#include "base/assert.h"
#include "sim/backup_load.h"
#include "sim/workload_int.h"

#include <stdio.h>
#include <stdlib.h>

/* A timestamp that somebody was told lately: of a commit or of a read. */
static uint64_t past_ts(struct workload *l)
{
    const struct commits *c = &l->history->commits;
    uint64_t kept = l->keeps != NULL && chance(l->world, 300) ? keep_load_ts(l->keeps) : 0;
    if (kept != 0) return kept;
    size_t deepest = chance(l->world, 800) ? 30 : 1000;
    if (c->count == 0) return 0;
    size_t back = (size_t)draw(l->world, 1, c->count < deepest ? c->count : deepest);
    uint64_t ts = c->items[c->count - back].ts;
    return chance(l->world, 500) ? ts : ts - 1;
}

void read_begin_task(struct worker *w)
{
    struct workload *l = w->load;
    struct world *world = l->world;
    w->task = TASK_READ;
    worker_begin_txn(w, false);
    uint64_t luck = draw(world, 0, 99);
    w->how = (struct read_how){.mode = luck < 30   ? READ_STRONG
                                       : luck < 65 ? READ_SNAPSHOT
                                       : luck < 85 ? READ_BOUNDED
                                                   : READ_EVENTUAL};
    if (w->how.mode == READ_STRONG) w->how.any_replica = chance(world, 500);
    if (w->how.mode == READ_SNAPSHOT) {
        w->how.any_replica = chance(world, 500);
        if (chance(world, 600)) w->how.ts = past_ts(l);
    }
    if (w->how.mode == READ_BOUNDED)
        w->how.max_staleness_ms = (uint32_t)draw(world, 1, chance(world, 500) ? 500 : 3000);
    uint64_t what = draw(world, 0, 2);
    w->read_what = what == 0 ? READ_REGISTER : what == 1 ? READ_BANK : READ_ALL;
    w->bank = (unsigned)draw(world, 0, l->money.bank_count - 1);
    w->read_key = (unsigned)draw(world, 0, l->cluster->knobs.register_keys - 1);
}

static unsigned number(const char *text, const char **behind)
{
    char *end;
    unsigned n = (unsigned)strtoul(text, &end, 10);
    *behind = end;
    return n;
}

bool read_look_at_row(struct cut *cut, const struct scan_row *row)
{
    char key[64] = "", value[32] = "";
    const char *behind = key;
    if (row->key.size >= sizeof key) return false;
    memcpy(key, row->key.data, row->key.size);
    memcpy(value, row->value.data, row->value.size < sizeof value - 1 ? row->value.size : sizeof value - 1);
    unsigned bank = key[0] == 'a' ? number(key + 1, &behind) : 0;
    unsigned account = strncmp(behind, "/c/", 3) == 0 ? number(behind + 3, &behind) : ACCOUNTS_MAX;
    if (key[0] == 'a' && bank < BANKS_MAX && account < ACCOUNTS_MAX) {
        cut->balance[bank][account] = strtoll(value, NULL, 10);
        cut->balances[bank]++;
        return true;
    }
    unsigned at = key[0] == 'k' ? number(key + 1, &behind) : REGISTERS_MAX;
    if (at < REGISTERS_MAX) {
        cut->version[at] = row->version;
        return true;
    }
    return key[0] == 'a' || key[0] == 't';
}

/* When it was asked for, less what it was allowed to be late: acknowledged before, it must be there. */
static uint64_t must_see_ns(const struct worker *w, const struct read_mark *mark)
{
    uint64_t late_ns = UINT64_MAX;
    if (w->how.mode == READ_STRONG || (w->how.mode == READ_SNAPSHOT && w->how.ts == 0)) late_ns = 0;
    if (w->how.mode == READ_BOUNDED) late_ns = (uint64_t)w->how.max_staleness_ms * MS_NS;
    if (w->how.mode != READ_SNAPSHOT && mark->staleness_ms != STALENESS_UNKNOWN &&
        (uint64_t)mark->staleness_ms * MS_NS < late_ns)
        late_ns = (uint64_t)mark->staleness_ms * MS_NS;
    if (late_ns == UINT64_MAX) return 0;
    /* Nodes trust their clock's rate to 2 %; here it may be off by more. */
    late_ns += late_ns / 1000000 * 2 * w->load->world->knobs.clock_drift_ppm;
    return w->page_ns > late_ns ? w->page_ns - late_ns : 0;
}

static struct cut *read_answered(struct worker *w, const struct client_error *e, const struct read_mark *mark)
{
    struct workload *l = w->load;
    world_note(l->world, 26, (uint64_t)e->status, mark != NULL ? mark->ts : 0);
    if (e->status != STATUS_OK) {
        bool damaged = e->status == STATUS_CORRUPT && !cluster_damaged(l->cluster);
        if (e->status == STATUS_INVALID || damaged)
            world_fail(l->world, "reads: a %s read as of %llu was answered %s: %.*s", read_mode_name(w->how.mode),
                       (unsigned long long)w->how.ts, status_name(e->status), (int)e->message.size,
                       (const char *)e->message.data);
        if (e->status == STATUS_TOO_OLD && l->keeps != NULL && w->how.mode == READ_SNAPSHOT && w->how.ts != 0)
            keep_load_too_old(l->keeps, w->how.ts, w->page_ns);
        worker_finish(w);
        return NULL;
    }
    l->answers++;
    if (mark->mode != w->how.mode) world_fail(l->world, "reads: asked for one mode, told another");
    if (w->how.mode == READ_SNAPSHOT && (mark->ts == 0 || (w->how.ts != 0 && mark->ts != w->how.ts)))
        world_fail(l->world, "reads: a snapshot as of %llu is said to be as of %llu", (unsigned long long)w->how.ts,
                   (unsigned long long)mark->ts);
    struct cut *cut = cuts_add(&l->cuts);
    cut->mode = w->how.mode;
    cut->ts = mark->ts;
    cut->call_ns = w->page_ns;
    cut->must_see_ns = must_see_ns(w, mark);
    if (w->how.mode == READ_STRONG) cut->must_see_ts = w->read_floor_ts;
    /* Measured: whatever was acknowledged so long ago, anywhere, is below the timestamp. */
    bool one_range =
        w->read_what == READ_REGISTER || (w->read_what == READ_BANK && !cluster_splits(&l->cluster->knobs));
    cut->is_aged =
        w->how.mode >= READ_BOUNDED && mark->staleness_ms != 0 && one_range && mark->staleness_ms != STALENESS_UNKNOWN;
    if (w->how.mode == READ_SNAPSHOT && mark->ts > l->history->commits.newest) l->history->commits.newest = mark->ts;
    if (w->how.mode == READ_SNAPSHOT && w->how.ts == 0 && mark->ts < w->read_floor_ts)
        world_fail(l->world, "reads: a snapshot as of now is as of %llu, but %llu had been answered before",
                   (unsigned long long)mark->ts, (unsigned long long)w->read_floor_ts);
    return cut;
}

/* The registers' own reads are strong ones: judged as such too. */
void read_note_strong(struct worker *w, unsigned key, uint64_t version)
{
    struct cut *cut = cuts_add(&w->load->cuts);
    cut->mode = READ_STRONG;
    cut->call_ns = cut->must_see_ns = w->page_ns;
    cut->must_see_ts = w->read_floor_ts;
    cut->registers = 1u << key;
    cut->version[key] = version;
}

static void get_done(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct worker *w = ctx;
    struct cut *cut = read_answered(w, e, reply != NULL ? &reply->mark : NULL);
    if (cut == NULL) return;
    cut->registers = 1u << w->read_key;
    cut->version[w->read_key] = reply->found ? reply->version : 0;
    worker_finish(w);
}

static void scan_done(void *ctx, const struct client_error *e, const struct scan_reply *page)
{
    struct worker *w = ctx;
    struct workload *l = w->load;
    struct cut *cut = read_answered(w, e, page != NULL ? &page->mark : NULL);
    if (cut == NULL) return;
    for (size_t i = 0; i < page->row_count; i++) {
        if (chain_has_key(page->rows[i].key)) continue; /* another checker's */
        if (!read_look_at_row(cut, &page->rows[i])) world_fail(l->world, "reads: a row that nobody wrote");
    }
    if (w->read_what == READ_BANK) {
        cut->banks = 1u << w->bank;
        /* A page of one range is one instant of it, however old: sums and history rows fit together. */
        bool one_instant = cut->mode == READ_SNAPSHOT || !cluster_splits(&l->cluster->knobs);
        if (!page->more && cut->balances[w->bank] > 0 && one_instant)
            check_money_page(l->world, &l->money, w->bank, cut->must_see_ns, page, false);
    } else if (!page->more) {
        cut->banks = (1u << l->money.bank_count) - 1;
        cut->registers = (1u << l->cluster->knobs.register_keys) - 1;
    }
    if (page->more) cut->banks = 0; /* cut short by its size: nothing is missing for sure */
    worker_finish(w);
}

void read_call(struct worker *w)
{
    struct workload *l = w->load;
    char start[KEY_TEXT] = "", end[KEY_TEXT] = "";
    w->page_ns = l->world->now_ns;
    w->read_floor_ts = l->history->commits.newest;
    if (w->read_what == READ_REGISTER) {
        (void)snprintf(w->keys[0], KEY_TEXT, "k%u", w->read_key);
        worker_ask_get(w, slice_str(w->keys[0]), &w->how, get_done);
        return;
    }
    if (w->read_what == READ_BANK) {
        (void)snprintf(start, sizeof start, "a%u/", w->bank);
        (void)snprintf(end, sizeof end, "a%u0", w->bank);
    }
    struct client_scan scan = {.start = slice_str(start), .end = slice_str(end), .how = w->how};
    worker_ask_scan(w, &scan, scan_done);
}
