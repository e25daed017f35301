#include "meta/rebuild.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/cursor.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "meta/machine.h"
#include "range/state.h"

#define U(v) ((unsigned long long)(v))
#define ALIVE_MS 10000u     /* a metadata service that answered a node so lately lives */
#define TS_MARGIN_MS 120000 /* copies of the bound lag by a minute, and clocks differ */
#define PIECE_BYTES (1u << 20)

enum { LINES_MAX = 20, IDS_STEP = 1000000, NODE_IDS_STEP = 100 };

/* A range as the newest replica knows it. */
struct known {
    struct range_desc desc;
    uint64_t node; /* who told it */
    bool led, shadowed;
};

struct rebuild {
    const struct rebuild_asked *asked;
    struct arena *arena;
    struct rebuild_plan *out;
    size_t fault_count, remark_count, row_capacity;
    const struct catalogue *newest;
    struct catalogue_rows old; /* of the newest catalogue */
    struct known *ranges;      /* by keyspace, start */
    size_t range_count;
    uint64_t lives, map_version, range_max, node_max, keyspace_max;
};

__attribute__((format(printf, 4, 5))) static void say(struct buf *b, size_t *count, const char *more,
                                                      const char *format, ...)
{
    char line[400];
    va_list args;
    if (++*count > LINES_MAX + 1) return;
    if (*count > LINES_MAX) {
        buf_append_str(b, more);
        return;
    }
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    buf_append_str(b, line);
    buf_append_byte(b, '\n');
}
#define FAULT(w, ...) say(&(w)->out->faults, &(w)->fault_count, "... and more\n", __VA_ARGS__)
#define REMARK(w, ...) say(&(w)->out->remarks, &(w)->remark_count, "... and more\n", __VA_ARGS__)

/* A key for a person: 24 bytes of it. */
struct key_text {
    char text[112];
};
static struct key_text key_text(struct slice key)
{
    struct key_text t;
    size_t at = 0, shown = key.size < 24 ? key.size : 24;
    for (size_t i = 0; i < shown; i++) {
        uint8_t c = key.data[i];
        bool plain = c > 0x20 && c < 0x7f && c != '\\';
        at += (size_t)snprintf(t.text + at, sizeof t.text - at, plain ? "%c" : "\\x%02x", c);
    }
    (void)snprintf(t.text + at, sizeof t.text - at, "%s", shown < key.size ? "..." : "");
    return t;
}

/* --- rows --- */

static void add_row(struct rebuild *w, struct slice key, struct slice value)
{
    struct rebuild_plan *p = w->out;
    if (p->row_count == w->row_capacity) {
        size_t capacity = w->row_capacity == 0 ? 256 : w->row_capacity * 2;
        struct catalogue_row *rows = arena_alloc(w->arena, capacity * sizeof *rows);
        if (p->row_count > 0) memcpy(rows, p->rows, p->row_count * sizeof *rows);
        p->rows = rows;
        w->row_capacity = capacity;
    }
    p->rows[p->row_count++] = (struct catalogue_row){.key = key, .value = value};
}

static struct slice key_of_id(struct rebuild *w, char prefix, uint64_t id)
{
    uint8_t *key = arena_alloc(w->arena, 10);
    key[0] = (uint8_t)prefix;
    key[1] = '/';
    be_set_u64(key + 2, id);
    return slice_make(key, 10);
}

static struct slice dup_and_free(struct rebuild *w, struct buf *b)
{
    struct slice s = arena_dup_slice(w->arena, buf_slice(b));
    buf_free(b);
    return s;
}

static struct slice number(struct rebuild *w, uint64_t n)
{
    struct buf b;
    buf_init(&b, 16);
    pack_uint(&b, n);
    return dup_and_free(w, &b);
}

static void add_node(struct rebuild *w, const struct meta_node_row *row)
{
    struct buf b;
    buf_init(&b, 4096);
    meta_node_row_encode(row, &b);
    add_row(w, key_of_id(w, 'n', row->id), dup_and_free(w, &b));
    uint8_t *key = arena_alloc(w->arena, 2 + row->uuid.size);
    memcpy(key, "u/", 2);
    if (row->uuid.size > 0) memcpy(key + 2, row->uuid.data, row->uuid.size);
    add_row(w, slice_make(key, 2 + row->uuid.size), number(w, row->id));
    if (row->id > w->node_max) w->node_max = row->id;
    w->out->nodes++;
}

static void add_range(struct rebuild *w, const struct range_desc *d)
{
    struct buf b;
    buf_init(&b, 64 * 1024);
    pack_range_desc(&b, d);
    add_row(w, key_of_id(w, 'r', d->id), dup_and_free(w, &b));
}

static bool starts(const struct catalogue_row *row, char prefix)
{
    return row->key.data[0] == (uint8_t)prefix;
}

static uint64_t id_of_row(const struct catalogue_row *row)
{
    return row->key.size == 10 ? be_u64(row->key.data + 2) : 0;
}

static uint64_t number_of_row(const struct catalogue_row *row)
{
    uint64_t n;
    return meta_number_row_decode(row->value, &n) == STATUS_OK ? n : 0;
}

/* --- who tells --- */

static bool told(const struct rebuild *w, uint64_t node_id)
{
    for (size_t i = 0; i < w->asked->node_count; i++) {
        if (w->asked->nodes[i].node_id == node_id) return true;
    }
    return false;
}

static bool is_without(const struct rebuild *w, uint64_t node_id)
{
    for (size_t i = 0; i < w->asked->without_count; i++) {
        if (w->asked->without[i] == node_id) return true;
    }
    return false;
}

/* Given up for ever, by the catalogue: it tells nothing. */
static bool is_lost(const struct rebuild *w, uint64_t node_id)
{
    struct meta_node_row row;
    for (size_t i = 0; i < w->old.row_count; i++) {
        if (starts(&w->old.rows[i], 'n') && id_of_row(&w->old.rows[i]) == node_id)
            return meta_node_row_decode(w->old.rows[i].value, &row) == STATUS_OK && row.lost_ms != 0;
    }
    return false;
}

static void look_at_tellers(struct rebuild *w)
{
    const struct node_holds_reply *nodes = w->asked->nodes;
    for (size_t i = 0; i < w->asked->node_count; i++) {
        const struct node_holds_reply *n = &nodes[i];
        const struct catalogue *c = &n->catalogue;
        if (memcmp(n->cluster.bytes, nodes[0].cluster.bytes, CLUSTER_ID_BYTES) != 0)
            FAULT(w, "node %llu belongs to another cluster than node %llu", U(n->node_id), U(nodes[0].node_id));
        for (size_t k = 0; k < i; k++) {
            if (nodes[k].node_id == n->node_id)
                FAULT(w, "two answer as node %llu: name each address once; a copy of a data directory must not run",
                      U(n->node_id));
        }
        if (n->heard_ms < ALIVE_MS)
            FAULT(w,
                  "node %llu was answered by a metadata service %llu ms ago: it lives. Nothing is lost; or stop it for "
                  "good, wait 10 s, and ask again",
                  U(n->node_id), U(n->heard_ms));
        if (c->map_version > w->map_version) w->map_version = c->map_version;
        if (META_TERM_LIFE(c->term) > w->lives) w->lives = META_TERM_LIFE(c->term);
        if (c->rows.size == 0) continue;
        bool newer = w->newest == NULL || c->map_version > w->newest->map_version ||
                     (c->map_version == w->newest->map_version && c->ts_bound > w->newest->ts_bound);
        if (newer) w->newest = c;
    }
    if (w->asked->node_count == 0) {
        FAULT(w, "no storage node has answered");
    } else if (w->newest == NULL) {
        FAULT(w, "no node keeps a catalogue: names of keyspaces and of nodes are nowhere");
    } else if (unpack_catalogue_rows(w->newest->rows, w->arena, &w->old) != STATUS_OK) {
        FAULT(w, "the newest catalogue cannot be read");
    }
}

/* Nodes by the catalogue, and those that came after it was told. Where they are reached they say themselves. */
static void take_nodes(struct rebuild *w)
{
    struct map seen;
    map_init(&seen);
    for (size_t i = 0; i < w->old.row_count; i++) {
        struct meta_node_row row;
        if (!starts(&w->old.rows[i], 'n') || meta_node_row_decode(w->old.rows[i].value, &row) != STATUS_OK) continue;
        for (size_t k = 0; k < w->asked->node_count; k++) {
            const struct node_holds_reply *n = &w->asked->nodes[k];
            if (n->node_id != row.id) continue;
            if (row.uuid.size == n->uuid.size && !slice_eq(row.uuid, n->uuid))
                FAULT(w, "the directory that answers as node %llu is not the one that was registered", U(row.id));
            row.address = n->address;
            row.host = n->host;
        }
        map_put(&seen, row.id, w);
        add_node(w, &row);
        if (!told(w, row.id) && row.lost_ms == 0 && !row.leaving && !is_without(w, row.id))
            FAULT(w, "node %llu (%.*s) has not answered: start it, or say --without %llu if it never comes back",
                  U(row.id), (int)row.address.size, (const char *)row.address.data, U(row.id));
    }
    for (size_t k = 0; k < w->asked->node_count; k++) {
        const struct node_holds_reply *n = &w->asked->nodes[k];
        if (map_get(&seen, n->node_id) != NULL) continue;
        map_put(&seen, n->node_id, w);
        REMARK(w, "node %llu is not in the catalogue: it had just come", U(n->node_id));
        add_node(w, &(struct meta_node_row){.id = n->node_id, .uuid = n->uuid, .address = n->address, .host = n->host});
    }
    map_free(&seen);
}

/* --- ranges --- */

static bool is_newer(const struct range_epoch *a, const struct range_epoch *than)
{
    return a->version > than->version || (a->version == than->version && a->conf_ver > than->conf_ver);
}

static bool same_desc(const struct range_desc *a, const struct range_desc *b)
{
    bool same = a->keyspace == b->keyspace && slice_eq(a->start, b->start) && slice_eq(a->end, b->end) &&
                a->replica_count == b->replica_count;
    for (size_t i = 0; same && i < a->replica_count; i++) {
        const struct range_replica *x = &a->replicas[i], *y = range_desc_replica(b, x->node_id);
        same = y != NULL && x->replica_id == y->replica_id && x->role == y->role;
    }
    return same;
}

static void gather_one(struct rebuild *w, struct map *by_id, const struct held_replica *h, uint64_t node_id)
{
    struct known *k = map_get(by_id, h->desc.id);
    if (h->desc.id > w->range_max) w->range_max = h->desc.id;
    if (h->desc.keyspace > w->keyspace_max) w->keyspace_max = h->desc.keyspace;
    if (!h->whole) return;
    if (k == NULL) {
        k = &w->ranges[w->range_count++];
        *k = (struct known){.desc = h->desc, .node = node_id};
        map_put(by_id, h->desc.id, k);
    } else if (is_newer(&h->desc.epoch, &k->desc.epoch)) {
        k->desc = h->desc;
        k->node = node_id;
    } else if (!is_newer(&k->desc.epoch, &h->desc.epoch) && !same_desc(&k->desc, &h->desc)) {
        FAULT(w, "two truths: nodes %llu and %llu tell range %llu differently, in the same epoch", U(k->node),
              U(node_id), U(h->desc.id));
    }
    k->led = k->led || h->leads;
}

static int by_place(const void *a, const void *b)
{
    const struct range_desc *x = &((const struct known *)a)->desc, *y = &((const struct known *)b)->desc;
    if (x->keyspace != y->keyspace) return x->keyspace < y->keyspace ? -1 : 1;
    int order = slice_cmp(x->start, y->start);
    return order != 0 ? order : x->id < y->id ? -1 : 1;
}

static void gather(struct rebuild *w)
{
    struct map by_id;
    size_t room = 1;
    map_init(&by_id);
    for (size_t i = 0; i < w->asked->node_count; i++) room += w->asked->nodes[i].held_count;
    w->ranges = arena_alloc(w->arena, room * sizeof *w->ranges);
    for (size_t i = 0; i < w->asked->node_count; i++) {
        const struct node_holds_reply *n = &w->asked->nodes[i];
        if (is_lost(w, n->node_id)) {
            REMARK(w, "node %llu was given up by unsafe-recover: what it holds counts for nothing", U(n->node_id));
            continue;
        }
        for (size_t k = 0; k < n->held_count; k++) gather_one(w, &by_id, &n->held[k], n->node_id);
    }
    map_free(&by_id);
    if (w->range_count > 0) qsort(w->ranges, w->range_count, sizeof *w->ranges, by_place);
}

/* Of two that have a key the one with the higher version is newer, whatever it is called: the other one was split, or taken in. */
static void shadow(struct rebuild *w, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        struct known *a = &w->ranges[i];
        for (size_t k = i + 1; k < end; k++) {
            struct known *b = &w->ranges[k];
            if (!range_desc_overlaps(&a->desc, &b->desc)) break; /* by start: nor does any behind it */
            uint64_t x = a->desc.epoch.version, y = b->desc.epoch.version;
            if (x == y)
                FAULT(
                    w,
                    "two truths: range %llu (told by node %llu) and range %llu (told by node %llu) have the same keys "
                    "from '%s', both in version %llu",
                    U(a->desc.id), U(a->node), U(b->desc.id), U(b->node), key_text(b->desc.start).text, U(x));
            if (x < y) a->shadowed = true;
            if (y < x) b->shadowed = true;
        }
    }
}

static bool name_is(const struct catalogue_row *row, uint32_t keyspace, struct meta_keyspace_row *out)
{
    return starts(row, 'k') && meta_keyspace_row_decode(row->value, out) == STATUS_OK && out->id == keyspace;
}

static bool is_destroyed(const struct rebuild *w, uint32_t keyspace)
{
    for (size_t i = 0; i < w->old.row_count; i++) {
        if (starts(&w->old.rows[i], 'x') && id_of_row(&w->old.rows[i]) == keyspace) return true;
    }
    return false;
}

/* The ranges [first, end) lie end to end from the first key to the last. */
static void look_for_holes(struct rebuild *w, struct slice name, size_t first, size_t end)
{
    struct slice at = SLICE_EMPTY;
    uint64_t before = 0;
    bool over = false;
    for (size_t i = first; i < end; i++) {
        const struct known *k = &w->ranges[i];
        if (k->shadowed) continue;
        if (over || slice_cmp(k->desc.start, at) != 0)
            FAULT(w, "a hole in keyspace '%.*s': no node tells who has its keys from '%s' to '%s' (behind range %llu)",
                  (int)name.size, (const char *)name.data, key_text(at).text, key_text(k->desc.start).text, U(before));
        at = k->desc.end;
        over = at.size == 0;
        before = k->desc.id;
    }
    if (!over)
        FAULT(w, "a hole in keyspace '%.*s': no node tells who has its keys from '%s' on (behind range %llu)",
              (int)name.size, (const char *)name.data, key_text(at).text, U(before));
}

static struct slice name_unknown(struct rebuild *w, uint32_t keyspace, const struct known *first)
{
    char *name = arena_alloc(w->arena, 40);
    struct meta_keyspace_row row = {.id = keyspace, .splits_hash = 1};
    struct buf b;
    (void)snprintf(name, 40, KEYSPACE_RECOVERED, keyspace);
    for (size_t i = 0; i < first->desc.replica_count; i++)
        row.replication +=
            first->desc.replicas[i].role == RANGE_VOTER || first->desc.replicas[i].role == RANGE_INCOMING;
    buf_init(&b, 256);
    meta_keyspace_row_encode(&row, &b);
    uint8_t *key = arena_alloc(w->arena, 44);
    memcpy(key, "k/", 2);
    memcpy(key + 2, name, strlen(name));
    add_row(w, slice_make(key, 2 + strlen(name)), dup_and_free(w, &b));
    w->out->keyspaces++;
    REMARK(w,
           "keyspace %u is newer than every catalogue: it is called '%s'; whether it is by hash, and its default "
           "time to live, nobody knows",
           keyspace, name);
    return slice_make(name, strlen(name));
}

static void take_range(struct rebuild *w, const struct known *k)
{
    if (k->shadowed) {
        REMARK(w, "range %llu, as node %llu has it, is of the past: newer ones have its keys", U(k->desc.id),
               U(k->node));
        return;
    }
    if (!k->led && !w->asked->leaderless)
        FAULT(w,
              "range %llu from '%s' has no leader, so nobody knows whether it has changed: start its nodes, or say "
              "--leaderless, and unsafe-recover behind it",
              U(k->desc.id), key_text(k->desc.start).text);
    add_range(w, &k->desc);
    w->out->ranges++;
}

/* A destroyed keyspace's ranges are no more, and whoever still holds some is told. */
static void destroy_range(struct rebuild *w, const struct known *k)
{
    struct range_desc gone = k->desc;
    gone.replica_count = 0;
    gone.epoch.conf_ver = META_DESTROYED_CONF_VER;
    add_range(w, &gone);
}

static void take_keyspace(struct rebuild *w, uint32_t keyspace, size_t first, size_t end)
{
    struct meta_keyspace_row row;
    struct slice name = SLICE_EMPTY;
    if (is_destroyed(w, keyspace)) {
        for (size_t i = first; i < end; i++) destroy_range(w, &w->ranges[i]);
        return;
    }
    for (size_t i = 0; i < w->old.row_count; i++) {
        const struct catalogue_row *old = &w->old.rows[i];
        if (name_is(old, keyspace, &row)) name = slice_make(old->key.data + 2, old->key.size - 2);
    }
    if (name.size == 0) name = name_unknown(w, keyspace, &w->ranges[first]);
    shadow(w, first, end);
    look_for_holes(w, name, first, end);
    for (size_t i = first; i < end; i++) take_range(w, &w->ranges[i]);
}

static void take_ranges(struct rebuild *w)
{
    struct map seen;
    map_init(&seen);
    for (size_t first = 0, end; first < w->range_count; first = end) {
        uint32_t keyspace = w->ranges[first].desc.keyspace;
        for (end = first; end < w->range_count && w->ranges[end].desc.keyspace == keyspace;) end++;
        map_put(&seen, keyspace, w);
        take_keyspace(w, keyspace, first, end);
    }
    for (size_t i = 0; i < w->old.row_count; i++) {
        const struct catalogue_row *old = &w->old.rows[i];
        struct meta_keyspace_row row;
        if (!starts(old, 'k') || meta_keyspace_row_decode(old->value, &row) != STATUS_OK) continue;
        if (map_get(&seen, row.id) == NULL)
            FAULT(w, "no node tells of any range of keyspace '%.*s'", (int)old->key.size - 2,
                  (const char *)old->key.data + 2);
    }
    map_free(&seen);
}

/* --- the rest --- */

static void take_catalogue(struct rebuild *w)
{
    for (size_t i = 0; i < w->old.row_count; i++) {
        const struct catalogue_row *row = &w->old.rows[i];
        struct meta_keyspace_row keyspace;
        if (starts(row, 'b') && number_of_row(row) > w->lives) w->lives = number_of_row(row);
        if (starts(row, 'x') && id_of_row(row) > w->keyspace_max) w->keyspace_max = id_of_row(row);
        if (starts(row, 'k') && meta_keyspace_row_decode(row->value, &keyspace) == STATUS_OK) {
            if (keyspace.id > w->keyspace_max) w->keyspace_max = keyspace.id;
            w->out->keyspaces++;
        }
        if (memchr("fhkpsx", row->key.data[0], 6) != NULL) add_row(w, row->key, row->value);
    }
}

/* Above every timestamp that was ever handed out. Wall time pushes them; a bound that leapt ahead of it the nodes have noted. */
static uint64_t newest_timestamp(const struct rebuild *w)
{
    uint64_t newest = w->asked->wall_ms << TS_COUNTER_BITS;
    for (size_t i = 0; i < w->asked->node_count; i++) {
        const struct node_holds_reply *n = &w->asked->nodes[i];
        uint64_t wall = n->wall_ms << TS_COUNTER_BITS;
        if (wall > newest) newest = wall;
        if (MUTANT(rebuilt_at_the_clock)) continue;
        if (n->newest_ts > newest) newest = n->newest_ts;
        if (n->catalogue.ts_bound > newest) newest = n->catalogue.ts_bound;
    }
    return newest;
}

static uint64_t step_above(uint64_t n, uint64_t step)
{
    return (n / step + 1) * step;
}

/* Ids go on far above those that are known: some that were handed out are perhaps only on nodes that tell nothing. */
static void take_numbers(struct rebuild *w)
{
    uint64_t lives = w->lives + 1;
    w->out->next_range = step_above(w->range_max, IDS_STEP);
    w->out->ts_bound = newest_timestamp(w) + ((uint64_t)TS_MARGIN_MS << TS_COUNTER_BITS);
    add_row(w, slice_str("i/range"), number(w, w->out->next_range));
    add_row(w, slice_str("i/node"), number(w, step_above(w->node_max, NODE_IDS_STEP) + 1));
    add_row(w, slice_str("i/keyspace"), number(w, step_above(w->keyspace_max, NODE_IDS_STEP) + 1));
    add_row(w, slice_str("i/operator"), number(w, lives * IDS_STEP + 1));
    add_row(w, slice_str("i/user"), number(w, (lives << 40) + 1));
    add_row(w, slice_str("b"), number(w, lives));
    add_row(w, slice_str("v"), number(w, w->map_version + IDS_STEP));
    add_row(w, slice_str("t"), number(w, w->out->ts_bound));
    for (size_t i = 0; i < w->old.row_count; i++) {
        if (starts(&w->old.rows[i], 'c')) add_row(w, w->old.rows[i].key, w->old.rows[i].value);
    }
}

void rebuild_plan_make(const struct rebuild_asked *asked, struct arena *arena, struct rebuild_plan *out)
{
    struct rebuild w = {.asked = asked, .arena = arena, .out = out};
    memset(out, 0, sizeof *out);
    buf_init(&out->faults, 64 * 1024);
    buf_init(&out->remarks, 64 * 1024);
    look_at_tellers(&w);
    if (w.fault_count > 0) return;
    take_catalogue(&w);
    take_nodes(&w);
    gather(&w);
    take_ranges(&w);
    take_numbers(&w);
    if (!starts(&out->rows[out->row_count - 1], 'c')) FAULT(&w, "the catalogue does not say which cluster it is of");
}

void rebuild_plan_free(struct rebuild_plan *p)
{
    buf_free(&p->faults);
    buf_free(&p->remarks);
}

bool rebuild_plan_piece(const struct rebuild_plan *p, size_t *at, struct buf *out, bool *last)
{
    size_t first = *at, bytes = 0;
    if (first == p->row_count) return false;
    while (*at < p->row_count && bytes < PIECE_BYTES) {
        bytes += p->rows[*at].key.size + p->rows[*at].value.size;
        ++*at;
    }
    buf_clear(out);
    pack_catalogue_rows(out, &(struct catalogue_rows){.rows = p->rows + first, .row_count = *at - first});
    *last = *at == p->row_count;
    return true;
}
