/* The scheduler's rounds: what the leader knows, as placement/ wants it; what placement/ decides, as operators. */
#include "base/assert.h"
#include "base/mem.h"
#include "meta/meta_int.h"
#include "placement/labels.h"

#define LOAD_WINDOW_NS (10000 * NS_PER_MS) /* of the averaged operations per second */
#define SILENT_NS (2000 * NS_PER_MS)

/* --- load --- */

/* An exponentially weighted mean, from counters that begin anew with every leader. */
void schedule_note_load(struct meta_range *r, const struct range_report *report, uint64_t node_id, uint64_t hot_load,
                        uint64_t now_ns)
{
    uint64_t total = report->writes + report->reads;
    if (report->epoch.version != r->load_version) { /* other keys: nothing is known of them */
        r->load_version = report->epoch.version;
        r->changed_ns = now_ns;
        r->load = 0;
        r->load_at_ns = 0;
    }
    bool same = r->load_node == node_id && total >= r->load_total && r->load_at_ns != 0;
    if (same && now_ns < r->load_at_ns + 200 * NS_PER_MS) return;
    if (same) {
        uint64_t passed = now_ns - r->load_at_ns;
        uint64_t rate = (total - r->load_total) * 1000 * NS_PER_MS / passed;
        uint64_t weight = passed < LOAD_WINDOW_NS ? passed * 1000 / LOAD_WINDOW_NS : 1000;
        uint64_t load = (r->load * (1000 - weight) + rate * weight) / 1000;
        r->load = load > UINT32_MAX ? UINT32_MAX : (uint32_t)load;
    }
    if (r->load <= hot_load) {
        r->hot_since_ns = 0;
    } else if (r->hot_since_ns == 0) {
        r->hot_since_ns = now_ns;
    }
    r->load_node = node_id;
    r->load_total = total;
    r->load_at_ns = now_ns;
}

/* --- the view --- */

enum placement_life schedule_life(const struct meta *m, const struct meta_node *n, uint64_t now_ns)
{
    uint64_t since = n->heard_ns > m->leads_since_ns ? n->heard_ns : m->leads_since_ns;
    uint64_t silence = now_ns - since;
    bool heard = n->heard_ns != 0 && silence < SILENT_NS;
    bool maintained = n->maintenance_until_ms > env_wall_ms(m->env);
    if (n->lost_ms != 0) return PLACEMENT_DEAD;
    if (maintained && !n->leaving) return PLACEMENT_DRAINING;
    if (!heard) {
        uint64_t dead_after = m->state.settings.values[SETTING_DEAD_AFTER_S] * 1000 * NS_PER_MS;
        return silence < dead_after ? PLACEMENT_SILENT : PLACEMENT_DEAD;
    }
    if (n->leaving) return PLACEMENT_LEAVING;
    return n->drained ? PLACEMENT_DRAINING : PLACEMENT_UP;
}

static struct placement_site *view_sites(struct meta *m, uint64_t now_ns)
{
    struct placement_site *sites = arena_zalloc(&m->arena, (m->state.node_count + 1) * sizeof *sites);
    for (size_t i = 0; i < m->state.node_count; i++) {
        const struct meta_node *n = m->state.nodes[i];
        const uint32_t full = NODE_DISK_TIGHT | NODE_DISK_FULL, weak = NODE_DISK_SLOW | NODE_DISK_FULL;
        sites[i] = (struct placement_site){.id = n->id,
                                           .life = schedule_life(m, n, now_ns),
                                           .absent = !meta_node_alive(m, n, now_ns),
                                           .given_up = n->lost_ms != 0,
                                           .takes_replicas = (n->info.flags & full) == 0,
                                           .takes_leaders = (n->info.flags & weak) == 0 && !n->drained,
                                           .capacity_bytes = n->info.disk_total};
        labels_of(n->info.host, sites[i].labels);
    }
    return sites;
}

/* Nodes lie by id. */
static uint32_t site_of(const struct meta *m, uint64_t node_id)
{
    size_t low = 0, high = m->state.node_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->state.nodes[middle]->id < node_id)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < m->state.node_count && m->state.nodes[low]->id == node_id;
    return found ? (uint32_t)low : PLACEMENT_NO_SITE;
}

uint32_t schedule_replication(const struct meta *m, uint32_t keyspace)
{
    for (size_t i = 0; i < m->state.keyspace_count; i++) {
        if (m->state.keyspaces[i].row.id == keyspace) return m->state.keyspaces[i].row.replication;
    }
    return m->state.cluster.replication;
}

static uint32_t rules_of(const struct meta *m, uint32_t keyspace)
{
    for (size_t i = 0; i < m->state.keyspace_count; i++) {
        if (m->state.keyspaces[i].row.id == keyspace) return (uint32_t)i;
    }
    return (uint32_t)m->state.keyspace_count;
}

/* A range that an operator works on counts as what it will be: else every round until then would send more the same way. Not so
 * when a node is in trouble: then it counts as what it is. */
static void view_outcome(const struct meta *m, const struct operator_row *row, uint64_t now_ns,
                         struct placement_range *g)
{
    uint32_t to = row->to == 0 ? PLACEMENT_NO_SITE : site_of(m, row->to);
    uint32_t from = row->from == 0 ? PLACEMENT_NO_SITE : site_of(m, row->from);
    if (to == PLACEMENT_NO_SITE || schedule_life(m, m->state.nodes[to], now_ns) != PLACEMENT_UP) return;
    bool moves = row->kind == OPERATOR_REPLACE && from != PLACEMENT_NO_SITE &&
                 schedule_life(m, m->state.nodes[from], now_ns) == PLACEMENT_UP;
    uint8_t kept = 0, from_seat = PLACEMENT_NOBODY, to_seat = PLACEMENT_NOBODY;
    for (uint8_t i = 0; i < g->seats; i++) {
        if (g->nodes[i] == from) from_seat = i;
        if (g->nodes[i] == to) to_seat = i;
    }
    if (row->kind == OPERATOR_TRANSFER && to_seat != PLACEMENT_NOBODY) g->leader = to_seat;
    if (!moves || from_seat == PLACEMENT_NOBODY) return;
    if (to_seat == PLACEMENT_NOBODY) {
        g->nodes[from_seat] = to;
        return;
    }
    uint8_t leader = PLACEMENT_NOBODY, learners = 0;
    for (uint8_t i = 0; i < g->seats; i++) { /* both are there: from goes, to votes */
        if (i == from_seat) continue;
        if (i == g->leader) leader = kept;
        if (i != to_seat && (g->learners >> i & 1) != 0) learners = (uint8_t)(learners | 1u << kept);
        g->nodes[kept++] = g->nodes[i];
    }
    g->leader = leader;
    g->seats = kept;
    g->learners = learners;
}

static uint32_t hot_s(const struct meta_range *r, uint64_t now_ns)
{
    return r->hot_since_ns == 0 ? 0 : (uint32_t)((now_ns - r->hot_since_ns) / (1000 * NS_PER_MS));
}

static void view_range(const struct meta *m, const struct meta_range *r, uint64_t now_ns, struct placement_range *g)
{
    const struct range_desc *d = &r->desc;
    uint64_t born = r->changed_ns > m->leads_since_ns ? r->changed_ns : m->leads_since_ns;
    *g = (struct placement_range){.id = d->id,
                                  .bytes = r->report.bytes,
                                  .load = r->load,
                                  .rules = rules_of(m, d->keyspace),
                                  .keyspace = d->keyspace,
                                  .age_s = (uint32_t)((now_ns - born) / (1000 * NS_PER_MS)),
                                  .hot_s = hot_s(r, now_ns),
                                  .conf_ver = (uint32_t)d->epoch.conf_ver,
                                  .calm = now_ns < r->calm_until_ns,
                                  .leader = PLACEMENT_NOBODY};
    for (size_t i = 0; i < d->replica_count; i++) {
        uint32_t site = site_of(m, d->replicas[i].node_id);
        if (site == PLACEMENT_NO_SITE) {
            g->busy = true; /* of a node that this member does not know yet */
            continue;
        }
        if (d->replicas[i].role == RANGE_LEARNER) g->learners = (uint8_t)(g->learners | 1u << g->seats);
        if (d->replicas[i].node_id == r->leader) g->leader = g->seats;
        g->nodes[g->seats++] = site;
    }
    if (range_desc_joint(d) || r->report.epoch.conf_ver > d->epoch.conf_ver) g->busy = true;
    const struct operator_row *row = operators_row_of(m, d->id);
    if (row == NULL) return;
    g->busy = true;
    view_outcome(m, row, now_ns, g);
}

static void view_traffic(struct meta *m, struct placement_view *v)
{
    const struct map *running = &m->state.operators.running;
    struct placement_traffic *traffic = arena_alloc(&m->arena, (running->count + 1) * sizeof *traffic);
    uint64_t range;
    void *value;
    for (size_t it = 0; map_next(running, &it, &range, &value);) {
        const struct operator_row *row = &((struct meta_operator *)value)->row;
        if (row->kind > OPERATOR_REMOVE && row->kind != OPERATOR_LEARNER) continue; /* what moves no rows */
        traffic[v->traffic_count++] =
            (struct placement_traffic){.from = row->from == 0 ? PLACEMENT_NO_SITE : site_of(m, row->from),
                                       .to = row->to == 0 ? PLACEMENT_NO_SITE : site_of(m, row->to)};
    }
    v->traffic = traffic;
}

/* An operator merges the two: it moves the second one's replicas, too. */
static bool is_taken_in(const struct meta *m, uint64_t left, uint64_t right)
{
    const struct operator_row *row = operators_row_of(m, left);
    return row != NULL && row->kind == OPERATOR_MERGE && row->other == right;
}

/* Which nodes a keyspace's rules name; NULL: all, for everything. */
static const uint8_t *view_fit(struct meta *m, const struct meta_rules_row *rules, const struct placement_site *sites)
{
    if (rules->within.size == 0 && rules->leaders.size == 0 && rules->learners_within.size == 0) return NULL;
    uint8_t *fit = arena_zalloc(&m->arena, m->state.node_count + 1);
    for (size_t i = 0; i < m->state.node_count; i++) {
        const struct slice *labels = sites[i].labels;
        struct slice learners = rules->learners_within.size > 0 ? rules->learners_within : rules->within;
        unsigned bits = label_pattern_fits(rules->within, labels) ? PLACEMENT_FIT_VOTER : 0;
        if (label_pattern_fits(rules->leaders, labels)) bits |= PLACEMENT_FIT_LEADER;
        if (label_pattern_fits(learners, labels)) bits |= PLACEMENT_FIT_LEARNER;
        fit[i] = (uint8_t)bits;
    }
    return fit;
}

static void view_fill(struct meta *m, uint64_t now_ns, struct placement_view *v)
{
    size_t count = m->state.keyspace_count;
    struct placement_rules *rules = arena_zalloc(&m->arena, (count + 1) * sizeof *rules);
    const struct placement_site *sites = view_sites(m, now_ns);
    for (size_t i = 0; i < count; i++) {
        const struct meta_keyspace *k = &m->state.keyspaces[i];
        rules[i] = (struct placement_rules){.voters = k->row.replication,
                                            .learners = k->rules.learners,
                                            .fit = view_fit(m, &k->rules, sites),
                                            .pinned = k->row.splits_hash != 0 || k->row.buckets != 0};
    }
    rules[count] = (struct placement_rules){.voters = m->state.cluster.replication, .pinned = true};
    struct placement_range *ranges = arena_alloc(&m->arena, (m->state.range_count + 1) * sizeof *ranges);
    size_t range_count = 0;
    for (size_t i = 0; i < m->state.range_count; i++) {
        if (m->state.ranges[i]->desc.replica_count == 0) continue;
        view_range(m, m->state.ranges[i], now_ns, &ranges[range_count++]);
        if (range_count > 1 && is_taken_in(m, ranges[range_count - 2].id, ranges[range_count - 1].id))
            ranges[range_count - 1].busy = true;
    }
    *v = (struct placement_view){.sites = sites,
                                 .site_count = m->state.node_count,
                                 .rules = rules,
                                 .rules_count = count + 1,
                                 .ranges = ranges,
                                 .range_count = range_count,
                                 .round = m->schedule.rounds};
    view_traffic(m, v);
}

/* --- rounds --- */

static void options_of(const struct meta *m, struct placement_options *o)
{
    const uint64_t *v = m->state.settings.values;
    size_t running = m->state.operators.running.count + m->beginning.count;
    placement_options_default(o);
    o->ops_max = running >= v[SETTING_OPERATORS_MAX] ? 0 : (unsigned)(v[SETTING_OPERATORS_MAX] - running);
    o->arrivals_max = (unsigned)v[SETTING_ARRIVALS_MAX];
    o->departures_max = (unsigned)v[SETTING_DEPARTURES_MAX];
    o->slack_percent = (unsigned)v[SETTING_SLACK_PERCENT];
    o->range_cost_bytes = v[SETTING_RANGE_COST_BYTES];
    o->split_bytes = v[SETTING_SPLIT_BYTES];
    o->merge_bytes = v[SETTING_MERGE_BYTES];
    o->split_load = (uint32_t)v[SETTING_SPLIT_LOAD];
    o->split_load_s = (uint32_t)v[SETTING_SPLIT_LOAD_S];
    o->merge_load = (uint32_t)v[SETTING_MERGE_LOAD];
    o->merge_age_s = (uint32_t)v[SETTING_MERGE_AGE_S];
    o->pause_repair = v[SETTING_REPAIR] == 0;
    o->pause_balance = v[SETTING_BALANCE] == 0;
    o->pause_leaders = v[SETTING_LEADERS] == 0;
    o->pause_split = v[SETTING_SPLIT] == 0;
    o->pause_merge = v[SETTING_MERGE] == 0;
}

/* Enumerators of the two sides, in the same order. */
static enum operator_kind kind_of(enum placement_kind k)
{
    static const enum operator_kind kinds[] = {
        [PLACEMENT_ADD] = OPERATOR_ADD,        [PLACEMENT_REPLACE] = OPERATOR_REPLACE,
        [PLACEMENT_REMOVE] = OPERATOR_REMOVE,  [PLACEMENT_TRANSFER] = OPERATOR_TRANSFER,
        [PLACEMENT_SPLIT] = OPERATOR_SPLIT,    [PLACEMENT_MERGE] = OPERATOR_MERGE,
        [PLACEMENT_LEARNER] = OPERATOR_LEARNER};
    return kinds[k];
}

static void round_begin_all(struct meta *m, const struct placement_view *v)
{
    const struct placement_plan *p = &m->schedule.plan;
    for (size_t i = 0; i < p->op_count; i++) {
        const struct placement_op *op = &p->ops[i];
        struct operator_row row = {.range_id = op->range,
                                   .kind = kind_of(op->kind),
                                   .conf_ver = op->conf_ver,
                                   .other = op->other,
                                   .began_ms = env_wall_ms(m->env),
                                   .why = slice_str(placement_reason_text(op->why)),
                                   .state = OPERATOR_RUNNING,
                                   .how_ended = SLICE_EMPTY};
        if (op->from != PLACEMENT_NO_SITE) row.from = v->sites[op->from].id;
        if (op->to != PLACEMENT_NO_SITE) row.to = v->sites[op->to].id;
        if (op->kind == PLACEMENT_SPLIT && op->why == PLACEMENT_WHY_LOAD) row.kind = OPERATOR_SPLIT_HOT;
        operators_begin(m, &row);
    }
}

/* Whoever may be up has said what it leads: before that a range may look as if it lacked a leader, or a replica. One that stays
 * silent is not waited for for ever. */
static bool all_told(const struct meta *m, uint64_t now_ns)
{
    uint64_t grace_ns = m->state.settings.values[SETTING_GRACE_MS] * NS_PER_MS;
    bool patience = now_ns < m->leads_since_ns + 3 * grace_ns;
    if (now_ns < m->leads_since_ns + grace_ns) return false;
    for (size_t i = 0; i < m->state.node_count && patience; i++) {
        if (m->state.nodes[i]->heard_ns == 0 && m->state.nodes[i]->lost_ms == 0) return false;
    }
    return true;
}

uint64_t schedule_pass(struct meta *m, uint64_t now_ns)
{
    const uint64_t *v = m->state.settings.values;
    if (now_ns < m->schedule.at_ns) return m->schedule.at_ns;
    m->schedule.at_ns = now_ns + v[SETTING_ROUND_MS] * NS_PER_MS;
    if (!all_told(m, now_ns)) return m->schedule.at_ns;
    arena_reset(&m->arena);
    struct placement_view view;
    struct placement_options options;
    view_fill(m, now_ns, &view);
    options_of(m, &options);
    placement_round(&view, &options, &m->schedule.plan);
    m->schedule.rounds++;
    m->schedule.took_ns = env_mono_ns(m->env) - now_ns;
    round_begin_all(m, &view);
    return m->schedule.at_ns;
}
