#include "meta/state.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "meta/salvage.h"

static void free_slice(struct slice s)
{
    mem_free((void *)(uintptr_t)s.data);
}

void meta_state_init(struct meta_state *s)
{
    memset(s, 0, sizeof *s);
    map_init(&s->ranges_by_id);
    operators_init(&s->operators);
    meta_catalogue_init(&s->catalogue);
    settings_default(&s->settings);
    s->finalised = VERSION_FIRST;
}

void meta_state_clear(struct meta_state *s)
{
    for (size_t i = 0; i < s->keyspace_count; i++) {
        free_slice(s->keyspaces[i].name);
        free_slice(s->keyspaces[i].rules_row);
    }
    for (size_t i = 0; i < s->node_count; i++) {
        free_slice(s->nodes[i]->row);
        orphans_clear(&s->nodes[i]->orphans);
        mem_free(s->nodes[i]);
    }
    for (size_t i = 0; i < s->range_count; i++) {
        free_slice(s->ranges[i]->row);
        mem_free(s->ranges[i]);
    }
    free_slice(s->snapshots_row);
    mem_free(s->keyspaces);
    mem_free(s->nodes);
    mem_free(s->ranges);
    map_free(&s->ranges_by_id);
    operators_clear(&s->operators);
    meta_catalogue_clear(&s->catalogue);
    meta_state_init(s);
}

/* Room for one more element of an array. */
static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) return items;
    *capacity = *capacity == 0 ? 16 : *capacity * 2;
    return mem_realloc(items, *capacity * size);
}

static void row_keyspace(struct meta_state *s, struct slice name, struct slice value)
{
    struct meta_keyspace_row row;
    if (meta_keyspace_row_decode(value, &row) != STATUS_OK) BUG("a keyspace row of the metadata is damaged");
    for (size_t i = 0; i < s->keyspace_count; i++) {
        if (!slice_eq(s->keyspaces[i].name, name)) continue;
        s->keyspaces[i].row = row;
        return;
    }
    s->keyspaces = grow(s->keyspaces, s->keyspace_count, &s->keyspace_capacity, sizeof *s->keyspaces);
    s->keyspaces[s->keyspace_count++] = (struct meta_keyspace){.name = mem_dup_slice(name), .row = row};
}

static void keyspace_gone(struct meta_state *s, struct slice name)
{
    for (size_t i = 0; i < s->keyspace_count; i++) {
        if (!slice_eq(s->keyspaces[i].name, name)) continue;
        free_slice(s->keyspaces[i].name);
        free_slice(s->keyspaces[i].rules_row);
        memmove(&s->keyspaces[i], &s->keyspaces[i + 1], (s->keyspace_count - i - 1) * sizeof *s->keyspaces);
        s->keyspace_count--;
        return;
    }
}

/* A keyspace that is made anew has another id, and no rules. */
static void row_rules(struct meta_state *s, uint64_t keyspace, struct slice value)
{
    for (size_t i = 0; i < s->keyspace_count; i++) {
        struct meta_keyspace *k = &s->keyspaces[i];
        if (k->row.id != keyspace) continue;
        free_slice(k->rules_row);
        k->rules_row = mem_dup_slice(value);
        if (meta_rules_row_decode(k->rules_row, &k->rules) != STATUS_OK)
            BUG("a row of placement rules of the metadata is damaged");
        return;
    }
}

static void row_node(struct meta_state *s, struct slice value)
{
    struct slice owned = mem_dup_slice(value);
    struct meta_node_row row;
    if (meta_node_row_decode(owned, &row) != STATUS_OK) BUG("a node row of the metadata is damaged");
    struct meta_node *n = meta_state_node(s, row.id);
    if (n == NULL) {
        n = mem_zalloc(sizeof *n);
        n->id = row.id;
        map_init(&n->orphans);
        s->nodes = grow(s->nodes, s->node_count, &s->node_capacity, sizeof *s->nodes);
        size_t at = s->node_count++;
        while (at > 0 && s->nodes[at - 1]->id > row.id) {
            s->nodes[at] = s->nodes[at - 1];
            at--;
        }
        s->nodes[at] = n;
    } else {
        free_slice(n->row);
    }
    n->row = owned;
    n->info.id = row.id;
    n->info.address = row.address;
    n->info.host = row.host;
    n->drained = row.drained;
    n->leaving = row.leaving;
    n->maintenance_until_ms = row.maintenance_until_ms;
    n->lost_ms = row.lost_ms;
}

static void row_member(struct meta_state *s, uint64_t id, struct slice value, bool is_delete)
{
    size_t at = 0;
    while (at < s->member_count && s->members[at].id != id) at++;
    s->members_changed = true;
    if (is_delete && at < s->member_count) s->members[at] = s->members[--s->member_count];
    if (is_delete || at == LIMIT_REPLICAS) return;
    struct meta_member_row *row = &s->members[at];
    struct unpack u = unpack_make(value);
    if (!unpack_array_of(&u, 2)) BUG("a member's row of the metadata is damaged");
    struct slice address = unpack_bin(&u);
    if (address.size > LIMIT_ADDRESS_BYTES) BUG("a member's row of the metadata is damaged");
    *row = (struct meta_member_row){.id = id, .stays = unpack_bool(&u)};
    memcpy(row->address, address.data, address.size);
    if (at == s->member_count) s->member_count++;
}

static bool range_before(const struct range_desc *a, const struct range_desc *b)
{
    if (a->keyspace != b->keyspace) return a->keyspace < b->keyspace;
    return slice_cmp(a->start, b->start) < 0;
}

static void row_range(struct meta_state *s, struct slice value)
{
    struct slice owned = mem_dup_slice(value);
    struct arena arena;
    arena_init(&arena, 1024);
    struct range_desc desc;
    if (unpack_range_desc(owned, &arena, &desc) != STATUS_OK) BUG("a range row of the metadata is damaged");
    arena_free(&arena);
    struct meta_range *r = meta_state_range(s, desc.id);
    if (r != NULL) {
        free_slice(r->row);
        r->row = owned;
        r->desc = desc;
        return;
    }
    r = mem_zalloc(sizeof *r);
    r->row = owned;
    r->desc = desc;
    s->ranges = grow(s->ranges, s->range_count, &s->range_capacity, sizeof *s->ranges);
    size_t at = s->range_count++;
    while (!s->in_bulk && at > 0 && range_before(&desc, &s->ranges[at - 1]->desc)) {
        s->ranges[at] = s->ranges[at - 1];
        at--;
    }
    s->ranges[at] = r;
    map_put(&s->ranges_by_id, desc.id, r);
}

static int by_place(const void *a, const void *b)
{
    const struct range_desc *x = &(*(struct meta_range *const *)a)->desc, *y = &(*(struct meta_range *const *)b)->desc;
    return range_before(x, y) ? -1 : range_before(y, x);
}

void meta_state_bulk(struct meta_state *s, bool begins)
{
    s->in_bulk = begins;
    if (!begins && s->range_count > 0) qsort(s->ranges, s->range_count, sizeof *s->ranges, by_place);
}

static void range_gone(struct meta_state *s, uint64_t id)
{
    struct meta_range *r = map_remove(&s->ranges_by_id, id);
    size_t at = 0;
    if (r == NULL) return;
    while (s->ranges[at] != r) at++;
    memmove(s->ranges + at, s->ranges + at + 1, (s->range_count - at - 1) * sizeof(struct meta_range *));
    s->range_count--;
    free_slice(r->row);
    mem_free(r);
}

static uint64_t number(struct slice value)
{
    uint64_t n;
    if (meta_number_row_decode(value, &n) != STATUS_OK) BUG("a number row of the metadata is damaged");
    return n;
}

/* An empty value: the default. One that this version does not know, a later one may. */
static void row_setting(struct meta_state *s, struct slice name, struct slice value)
{
    enum setting_id id = setting_find(name);
    if (id == SETTING_COUNT) return;
    struct settings defaults;
    settings_default(&defaults);
    s->settings.values[id] = value.size == 0 ? defaults.values[id] : number(value);
}

void meta_state_row(struct meta_state *s, struct slice user_key, struct slice value, bool is_delete)
{
    if (user_key.size == 0) return;
    meta_catalogue_row(&s->catalogue, user_key, value, is_delete);
    struct slice rest = user_key.size > 2 ? slice_make(user_key.data + 2, user_key.size - 2) : SLICE_EMPTY;
    if (is_delete) {
        if (user_key.data[0] == 'k') keyspace_gone(s, rest);
        if (user_key.data[0] == 'o') operators_row(&s->operators, user_key, value, true);
        if (user_key.data[0] == 'm' && rest.size == 8) row_member(s, be_u64(rest.data), SLICE_EMPTY, true);
        if (user_key.data[0] == 's') row_setting(s, rest, SLICE_EMPTY);
        if (user_key.data[0] == 'r' && rest.size == 8) range_gone(s, be_u64(rest.data));
        return;
    }
    switch (user_key.data[0]) {
    case 'c':
        s->has_cluster = true;
        if (meta_cluster_row_decode(value, &s->cluster) != STATUS_OK) BUG("the cluster row of the metadata is damaged");
        return;
    case 'k': row_keyspace(s, rest, value); return;
    case 'p': row_rules(s, rest.size == 8 ? be_u64(rest.data) : 0, value); return;
    case 'm': row_member(s, rest.size == 8 ? be_u64(rest.data) : 0, value, false); return;
    case 'n': row_node(s, value); return;
    case 'r': row_range(s, value); return;
    case 'o':
    case 'e': operators_row(&s->operators, user_key, value, false); return;
    case 's': row_setting(s, rest, value); return;
    case 'f': s->finalised = (uint32_t)number(value); return;
    case 'h':
        free_slice(s->snapshots_row);
        s->snapshots_row = mem_dup_slice(value);
        return;
    case 'b': s->lives = number(value); return;
    case 't': s->ts_bound = number(value); return;
    case 'v': s->map_version = number(value); return;
    default: return; /* ids and uuids: only the machine reads them */
    }
}

struct meta_node *meta_state_node(const struct meta_state *s, uint64_t id)
{
    for (size_t i = 0; i < s->node_count; i++) {
        if (s->nodes[i]->id == id) return s->nodes[i];
    }
    return NULL;
}

struct meta_range *meta_state_range(const struct meta_state *s, uint64_t id)
{
    return map_get(&s->ranges_by_id, id);
}

const struct meta_keyspace *meta_state_keyspace(const struct meta_state *s, struct slice name)
{
    for (size_t i = 0; i < s->keyspace_count; i++) {
        if (slice_eq(s->keyspaces[i].name, name)) return &s->keyspaces[i];
    }
    return NULL;
}

/* Like one whose name was lost, which might be that of the users: gateways that start would let nobody in. A backup of such a cluster has
 * one, and it must come back. */
const char *keyspace_name_fault(const struct meta_state *s, struct slice name)
{
    static const char begin[] = KEYSPACE_RECOVERED_BEGIN;
    const struct meta_keyspace *mark = meta_state_keyspace(s, slice_str(KEYSPACE_RESTORING));
    size_t at = sizeof begin - 1;
    if (name.size == at || !slice_starts(name, slice_str(begin))) return NULL;
    while (at < name.size && name.data[at] >= '0' && name.data[at] <= '9') at++;
    bool restoring = mark != NULL && mark->row.dropped_ts == 0;
    if (at < name.size || restoring || meta_state_keyspace(s, name) != NULL) return NULL;
    return "recovered-NUMBER is what a keyspace is called whose name was lost: choose another name";
}
