#include "base/assert.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "base/mem.h"
#include "range/comparison_int.h"
#include "range/host_int.h"

enum { COMPARISON_KIND = 32, COMPARISON_BYTES = 9 }; /* docs/formats/ranges.md */
enum { STEP_BYTES = 8 << 20 };                       /* hashed by one task: others wait behind it */

/* A view of the rows as of the entry, read step by step on a worker. */
struct comparing {
    struct task task;
    struct host *host;
    uint64_t group, index, ends_after;
    uint32_t rows_life;
    struct lsm_view *view;
    struct buf last; /* key of the newest version seen */
    uint64_t hash, rows, bytes;
    enum status status; /* STATUS_OK: there is more */
};

void comparison_encode(uint64_t ends_after, struct buf *out)
{
    buf_put_u8(out, COMPARISON_KIND);
    buf_put_u64(out, ends_after);
}

bool comparison_is(const struct raft_entry *e)
{
    return e->type == RAFT_ENTRY_COMMAND && e->data.size == COMPARISON_BYTES && e->data.data[0] == COMPARISON_KIND;
}

/* Only what every replica must hold: shadowed versions, tombstones and rows that have ended go when each store compacts. */
static void compare_row(struct comparing *c, const struct lsm_write *row)
{
    if (c->last.size > 0 && slice_eq(row->key, buf_slice(&c->last))) return;
    buf_clear(&c->last);
    buf_append_slice(&c->last, row->key);
    if (row->kind == LSM_DELETE) return;
    uint64_t (*expires)(struct slice, uint64_t, struct slice) = c->host->options.lsm.expires;
    if (expires != NULL && expires(row->key, row->ts, row->value) <= c->ends_after) return;
    c->hash = hash_bytes(row->value, hash_bytes(row->key, hash_u64(c->hash ^ row->ts)));
    c->rows++;
    c->bytes += row->key.size + row->value.size;
}

/* Worker: touches its own view alone. */
static void comparing_execute(struct task *t)
{
    struct comparing *c = LIST_ENTRY(t, struct comparing, task);
    struct lsm_write row;
    uint64_t read = 0;
    while (read < STEP_BYTES && (c->status = lsm_view_next(c->view, &row)) == STATUS_OK) {
        compare_row(c, &row);
        read += row.key.size + row.value.size + 16;
    }
}

static void comparing_end(struct comparing *c, bool cancelled)
{
    struct host *h = c->host;
    struct replica *r = map_get(&h->replicas, c->group);
    bool ours = r != NULL && r->divergence.comparison != NULL && r->divergence.comparison->index == c->index &&
                r->rows_life == c->rows_life;
    h->comparisons--;
    lsm_view_free(c->view);
    if (!cancelled && ours) {
        r->divergence.comparison->done = true;
        r->divergence.comparison->failed = c->status != STATUS_END; /* a damaged table: damage.c sees to it */
        r->divergence.comparison->rows_hash = c->hash;
        r->divergence.comparison->rows = c->rows;
        r->divergence.comparison->bytes = c->bytes;
        if (!r->divergence.comparison->failed && r->state == REPLICA_RUNNING) {
            effects_add_rows(&r->divergence.effects, c->index, c->hash);
            r->divergence.news = true;
            host_mark_ready(h, r);
        }
        h->env->ops->wake(h->env);
    }
    buf_free(&c->last);
    mem_free(c);
}

static void comparing_complete(struct task *t)
{
    struct comparing *c = LIST_ENTRY(t, struct comparing, task);
    if (!t->cancelled && c->status == STATUS_OK && !c->host->stopping) {
        exec_submit(c->host->env->exec, LANE_BACKGROUND, &c->task);
    } else {
        comparing_end(c, t->cancelled);
    }
}

void comparison_applied(struct replica *r, const struct raft_entry *e)
{
    struct cursor bytes = cursor_make(e->data);
    (void)cursor_u8(&bytes);
    struct host *h = r->host;
    if (r->divergence.comparison == NULL) r->divergence.comparison = mem_zalloc(sizeof *r->divergence.comparison);
    *r->divergence.comparison = (struct comparison){.index = e->index};
    COVER("range.compared");
    if (effects_cut(&r->divergence.effects, &r->divergence.comparison->whole, &r->divergence.comparison->effects_hash))
        r->divergence.news = true;
    struct comparing *c = mem_zalloc(sizeof *c);
    c->task = (struct task){.execute = comparing_execute, .complete = comparing_complete};
    list_init(&c->task.link);
    c->host = h;
    c->group = r->desc->id;
    c->index = e->index;
    c->ends_after = cursor_u64(&bytes);
    c->rows_life = r->rows_life;
    c->hash = 1;
    buf_init(&c->last, LSM_KEY_MAX);
    struct slice start, end;
    replica_span(r, &start, &end);
    c->view = lsm_view_new(h->lsm, start, end);
    h->comparisons++;
    exec_submit(h->env->exec, LANE_BACKGROUND, &c->task);
}

void replica_comparison(const struct replica *r, struct comparison *out)
{
    *out = r->divergence.comparison != NULL ? *r->divergence.comparison : (struct comparison){.index = 0};
}

void comparison_free(struct replica *r)
{
    mem_free(r->divergence.comparison);
    r->divergence.comparison = NULL;
}
