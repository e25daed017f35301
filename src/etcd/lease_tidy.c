/* Rows of what is attached to leases whose keys have gone, or are another lease's by now: whoever deletes or puts a key does not know of them. They
 * go with their lease (lease_end.c); a lease that lives for ever would collect them. So a gateway walks over all of them, slowly, and takes
 * those away that are left over; quickly only where there are some.
 *
 *   (idle) --due--> LOOKING at a page --> READING its keys' rows --+--none is left over--> (idle) a second; behind the last page: a minute
 *      ^                  |                   |                    +--> TIDYING, if they still are --> (idle) nine times what it took
 *      '------------------+---it fails--------'                                                          */
#include "base/assert.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "etcd/lease.h"

#define PAGE_ROWS 128u
#define READS_AT_ONCE 16u /* values are read along, and may be large */
#define REST_NS (1000 * NS_PER_MS)
#define ROUND_REST_NS (60000 * NS_PER_MS)
#define TIDY_REST 9u /* times what a page took: a tenth of a gateway */

struct tidier {
    struct etcd *etcd;
    struct arena arena; /* of a page */
    struct buf from;    /* of the next page; empty: from the beginning */
    uint64_t due_ns, begun_ns, ts;
    bool working, more, failed;
    struct attached_row {
        struct tidier *tidier;
        struct slice key;
    } * rows;
    size_t count, at, reading;
    struct txn_compare *compares;
    struct txn_op *ops;
    size_t left_over;
};

struct tidier *tidier_new(void)
{
    struct tidier *t = mem_zalloc(sizeof(*t));
    arena_init(&t->arena, 1024);
    buf_init(&t->from, LIMIT_KEY_BYTES + 2);
    return t;
}

void tidier_free(struct tidier *t)
{
    arena_free(&t->arena);
    buf_free(&t->from);
    mem_free(t);
}

static void page_end(struct tidier *t)
{
    struct env *env = t->etcd->env;
    uint64_t now_ns = env_mono_ns(env), took_ns = now_ns - t->begun_ns;
    uint64_t rest_ns = t->failed || !t->more ? ROUND_REST_NS : t->left_over > 0 ? TIDY_REST * took_ns : REST_NS;
    if (!t->failed) t->from.size = 0;
    if (!t->failed && t->more) {
        buf_append_slice(&t->from, t->rows[t->count - 1].key);
        buf_append_byte(&t->from, 0);
    }
    t->working = false;
    t->due_ns = now_ns + (rest_ns < ROUND_REST_NS ? rest_ns : ROUND_REST_NS);
    env->ops->wake(env); /* its pass has told no deadline */
}

static void tidied(void *ctx, const struct client_error *e, const struct txn_result *r)
{
    struct tidier *t = ctx;
    (void)e; /* what was put or deleted meanwhile, the next round finds */
    (void)r;
    page_end(t);
}

static void tidy(struct tidier *t)
{
    COVER("etcd.attached_left_over");
    struct txn txn = {.compares = t->compares, .compare_count = t->left_over, .ops = t->ops, .op_count = t->left_over};
    client_txn(t->etcd->client, etcd_keyspace, &txn, ETCD_CALL_MS, tidied, t);
}

static struct slice user_row(struct tidier *t, struct slice attached)
{
    return key_row(&t->arena, ROW_OF_USER, slice_make(attached.data + 9, attached.size - 9));
}

static void read_some(struct tidier *t);

static void row_read(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct attached_row *row = ctx;
    struct tidier *t = row->tidier;
    uint64_t lease = be_u64(row->key.data + 1);
    t->reading--;
    t->failed = t->failed || e->status != STATUS_OK;
    bool bound = !t->failed && reply->found && revised_read(reply->value, reply->version).lease == lease;
    if (!t->failed && !bound) {
        t->ops[t->left_over] = (struct txn_op){.kind = TXN_DELETE, .key = row->key, .value = SLICE_EMPTY};
        t->compares[t->left_over++] = (struct txn_compare){.target = TXN_TARGET_LEASE,
                                                           .relation = TXN_NOT_EQUAL,
                                                           .key = user_row(t, row->key),
                                                           .version = lease,
                                                           .value = SLICE_EMPTY};
    }
    read_some(t);
}

static void read_some(struct tidier *t)
{
    const struct read_how how = {.mode = READ_SNAPSHOT, .ts = t->ts};
    while (t->at < t->count && t->reading < READS_AT_ONCE && !t->failed && !t->etcd->stopping) {
        struct attached_row *row = &t->rows[t->at++];
        t->reading++;
        client_get_how(t->etcd->client, etcd_keyspace, user_row(t, row->key), &how, ETCD_CALL_MS, row_read, row);
    }
    if (t->reading > 0) return;
    if (t->failed || t->left_over == 0)
        page_end(t);
    else
        tidy(t);
}

static void looked(void *ctx, const struct client_error *e, const struct scan_reply *page)
{
    struct tidier *t = ctx;
    t->failed = e->status != STATUS_OK;
    if (t->failed || page->row_count == 0) {
        t->more = false;
        page_end(t);
        return;
    }
    t->ts = page->mark.ts;
    t->more = page->more;
    t->rows = arena_zalloc(&t->arena, page->row_count * sizeof(*t->rows));
    t->compares = arena_zalloc(&t->arena, page->row_count * sizeof(*t->compares));
    t->ops = arena_zalloc(&t->arena, page->row_count * sizeof(*t->ops));
    for (size_t i = 0; i < page->row_count; i++)
        t->rows[t->count++] = (struct attached_row){.tidier = t, .key = arena_dup_slice(&t->arena, page->rows[i].key)};
    read_some(t);
}

static void look(struct etcd *e)
{
    struct tidier *t = e->tidier;
    t->etcd = e;
    t->working = true;
    t->begun_ns = env_mono_ns(e->env);
    t->count = t->at = t->left_over = 0;
    arena_reset(&t->arena);
    struct client_scan scan = {.start = t->from.size > 0 ? buf_slice(&t->from)
                                                         : key_row(&t->arena, ROW_OF_ATTACHED, SLICE_EMPTY),
                               .end = key_row(&t->arena, ROW_OF_ATTACHED + 1, SLICE_EMPTY),
                               .limit_rows = PAGE_ROWS,
                               .keys_only = true,
                               .how = {.mode = READ_SNAPSHOT}};
    client_scan(e->client, etcd_keyspace, &scan, ETCD_CALL_MS, looked, t);
}

uint64_t tidy_pass(struct etcd *e, uint64_t now_ns)
{
    struct tidier *t = e->tidier;
    if (e->stopping || t->working) return DEADLINE_NONE;
    if (t->due_ns == 0) t->due_ns = now_ns + ROUND_REST_NS;
    if (now_ns < t->due_ns) return t->due_ns;
    look(e);
    return DEADLINE_NONE;
}
