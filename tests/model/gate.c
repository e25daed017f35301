/* In flight: a queue in order of arrival, and a count per hash of written key. A reader whose key nobody writes passes at once;
 * otherwise it waits for all that arrived before it: two comparisons, whatever the number in flight. */
#include "gate.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "txn/txn_int.h"

struct gate {
    struct list in_flight; /* by ticket */
    size_t count;
    struct map writers; /* hash of a store key -> struct writers */
    uint64_t next_ticket;
    uint64_t floor;
};
struct writers {
    size_t count;
};

struct gate *gate_new(uint64_t floor)
{
    struct gate *g = mem_zalloc(sizeof(*g));
    list_init(&g->in_flight);
    map_init(&g->writers);
    g->next_ticket = 1;
    g->floor = floor;
    return g;
}

void gate_free(struct gate *g)
{
    if (g == NULL) return;
    LIST_FOR(it, &g->in_flight)
    {
        gate_leave(g, LIST_ENTRY(it, struct gate_entry, link));
    }
    ASSERT(g->count == 0 && g->writers.count == 0);
    map_free(&g->writers);
    mem_free(g);
}

static uint64_t key_hash(struct slice store_key)
{
    return hash_bytes(store_key, 5);
}

static void note_writer(struct gate *g, uint64_t hash)
{
    struct writers *w = map_get(&g->writers, hash);
    if (w == NULL) {
        w = mem_zalloc(sizeof(*w));
        (void)map_put(&g->writers, hash, w);
    }
    w->count++;
}

static void note_keys(struct gate *g, struct gate_entry *e, const struct txn *t, const struct txn_op *ops, size_t count)
{
    struct buf key;
    buf_init(&key, 4 * LIMIT_KEY_BYTES);
    for (size_t i = 0; i < count; i++) {
        if (!txn_op_writes(ops[i].kind)) continue;
        buf_clear(&key);
        key_encode_data(&key, t->keyspace, ops[i].key);
        e->keys[e->key_count++] = key_hash(buf_slice(&key));
        note_writer(g, e->keys[e->key_count - 1]);
    }
    buf_free(&key);
}

void gate_enter(struct gate *g, struct gate_entry *e, const struct txn *t)
{
    *e = (struct gate_entry){.ticket = g->next_ticket++};
    e->keys = mem_alloc((t->op_count + t->else_count + 1) * sizeof(*e->keys));
    note_keys(g, e, t, t->ops, t->op_count);
    note_keys(g, e, t, t->else_ops, t->else_count);
    list_init(&e->link);
    list_push_back(&g->in_flight, &e->link);
    g->count++;
}

enum status gate_stamp(struct gate *g, struct gate_entry *e, uint64_t ts)
{
    ASSERT(e->ticket != 0 && e->index == 0);
    if (ts <= g->floor) {
        COVER("gate.asked_again");
        return STATUS_RETRY;
    }
    e->ts = g->floor = ts;
    return STATUS_OK;
}

void gate_leave(struct gate *g, struct gate_entry *e)
{
    if (e->ticket == 0) return;
    list_remove(&e->link);
    g->count--;
    for (size_t i = 0; i < e->key_count; i++) {
        struct writers *w = map_get(&g->writers, e->keys[i]);
        if (--w->count > 0) continue;
        (void)map_remove(&g->writers, e->keys[i]);
        mem_free(w);
    }
    mem_free(e->keys);
    *e = (struct gate_entry){.ticket = 0};
    list_init(&e->link);
}

void gate_raise(struct gate *g, uint64_t ts)
{
    if (ts > g->floor) g->floor = ts;
}

void gate_arrive(const struct gate *g, struct slice store_key, struct gate_read *r)
{
    bool conflict = store_key.size == 0 ? g->count > 0 : map_get(&g->writers, key_hash(store_key)) != NULL;
    *r = (struct gate_read){.ticket = conflict ? g->next_ticket : 0};
}

bool gate_may_pass(const struct gate *g, const struct gate_read *r)
{
    if (r->ticket == 0 || list_empty(&g->in_flight)) return true;
    return LIST_ENTRY(g->in_flight.next, struct gate_entry, link)->ticket >= r->ticket;
}

uint64_t gate_floor(const struct gate *g)
{
    return g->floor;
}

size_t gate_in_flight(const struct gate *g)
{
    return g->count;
}
