/* placement show, set, check: which nodes keyspaces want, what each node holds, and where the two differ. */
#include <stdio.h>

#include "cli/admin_int.h"
#include "gateway/health.h"
#include "gateway/json_out.h"
#include "placement/labels.h"

/* rule NULL: only reads. */
static int ask_rules(struct admin_call *a, const struct placement_rule *rule, struct meta_placement_reply *reply)
{
    const struct placement_rule none = {
        .keyspace = SLICE_EMPTY, .within = SLICE_EMPTY, .leaders = SLICE_EMPTY, .learners_within = SLICE_EMPTY};
    struct buf params;
    struct slice payload;
    buf_init(&params, 8192);
    pack_meta_placement_request(&params, &(struct meta_placement_request){.rule = rule != NULL ? *rule : none});
    int code = admin_ask(a, "placement", METHOD_META_PLACEMENT, buf_slice(&params), &payload);
    buf_free(&params);
    if (code == CLI_OK && reply != NULL && unpack_meta_placement_reply(payload, &a->arena, reply) != STATUS_OK)
        code = cli_fail("the metadata service's answer cannot be read");
    return code;
}

static const struct placement_rule *rule_of(const struct meta_placement_reply *rules, struct slice keyspace)
{
    for (size_t i = 0; i < rules->rule_count; i++) {
        if (slice_eq(rules->rules[i].keyspace, keyspace)) return &rules->rules[i];
    }
    return NULL;
}

/* --- show --- */

static void labels_cell(struct text_table *t, struct slice pattern)
{
    text_table_cell_bytes(t, pattern.size > 0 ? pattern : slice_str("any"), 60);
}

static void print_rules(enum output output, const struct meta_placement_reply *rules)
{
    static const char *const heads[] = {"KEYSPACE", "VOTERS", "LEARNERS", "WITHIN", "LEADERS", "LEARNERS WITHIN"};
    struct text_table t;
    text_table_init(&t, heads, 6);
    for (size_t i = 0; i < rules->rule_count; i++) {
        const struct placement_rule *r = &rules->rules[i];
        text_table_cell_bytes(&t, r->keyspace, LIMIT_KEYSPACE_NAME);
        text_table_cell(&t, "%u", r->voters);
        text_table_cell(&t, "%u", r->learners);
        labels_cell(&t, r->within);
        labels_cell(&t, r->leaders);
        labels_cell(&t, r->learners_within.size > 0 ? r->learners_within : r->within);
    }
    admin_print_table(&t, output);
}

static struct holding total_of(const struct meta_map_reply *map)
{
    struct holding all = {0};
    for (size_t i = 0; i < map->node_count; i++) {
        struct holding h = admin_holding(map, map->nodes[i].id);
        all.replicas += h.replicas;
        all.leaders += h.leaders;
        all.bytes += h.bytes;
    }
    return all;
}

static unsigned share(uint64_t part, uint64_t all)
{
    return all == 0 ? 0 : (unsigned)(part * 100 / all);
}

static void print_nodes(enum output output, const struct meta_map_reply *map)
{
    static const char *const heads[] = {"NODE",    "HOST",  "STATE", "REPLICAS", "SHARE",
                                        "LEADERS", "SHARE", "DATA",  "SHARE",    "DISK FREE"};
    struct holding all = total_of(map);
    struct text_table t;
    struct buf b;
    buf_init(&b, 4096);
    text_table_init(&t, heads, 10);
    for (size_t i = 0; i < map->node_count; i++) {
        const struct node_info *n = &map->nodes[i];
        struct holding h = admin_holding(map, n->id);
        text_table_cell(&t, "%llu", (unsigned long long)n->id);
        text_table_cell_bytes(&t, n->host, 64);
        buf_clear(&b);
        node_state_text(n, &b);
        text_table_cell_bytes(&t, buf_slice(&b), 64);
        text_table_cell(&t, "%llu", (unsigned long long)h.replicas);
        text_table_cell(&t, "%u %%", share(h.replicas, all.replicas));
        text_table_cell(&t, "%llu", (unsigned long long)h.leaders);
        text_table_cell(&t, "%u %%", share(h.leaders, all.leaders));
        buf_clear(&b);
        text_size(&b, h.bytes);
        text_table_cell_bytes(&t, buf_slice(&b), 64);
        text_table_cell(&t, "%u %%", share(h.bytes, all.bytes));
        buf_clear(&b);
        text_size(&b, n->disk_free);
        text_table_cell_bytes(&t, buf_slice(&b), 64);
    }
    buf_free(&b);
    admin_print_table(&t, output);
}

static void json_rule(struct buf *b, const struct placement_rule *r)
{
    buf_append_str(b, "{\"keyspace\":");
    json_text(b, r->keyspace);
    buf_printf(b, ",\"voters\":%u,\"learners\":%u,\"within\":", r->voters, r->learners);
    json_text(b, r->within);
    buf_append_str(b, ",\"leaders\":");
    json_text(b, r->leaders);
    buf_append_str(b, ",\"learners_within\":");
    json_text(b, r->learners_within);
    buf_append_byte(b, '}');
}

static void print_json(const struct meta_placement_reply *rules, const struct meta_map_reply *map)
{
    struct buf b;
    buf_init(&b, 16u << 20);
    buf_append_str(&b, "{\"rules\":[");
    for (size_t i = 0; i < rules->rule_count; i++) {
        if (i > 0) buf_append_byte(&b, ',');
        json_rule(&b, &rules->rules[i]);
    }
    buf_append_str(&b, "],\"nodes\":[");
    for (size_t i = 0; i < map->node_count; i++) {
        struct holding h = admin_holding(map, map->nodes[i].id);
        buf_printf(&b, "%s{\"node\":%llu,\"replicas\":%llu,\"leaders\":%llu,\"bytes\":%llu}", i > 0 ? "," : "",
                   (unsigned long long)map->nodes[i].id, (unsigned long long)h.replicas, (unsigned long long)h.leaders,
                   (unsigned long long)h.bytes);
    }
    buf_append_str(&b, "]}\n");
    out_buf(&b);
    buf_free(&b);
}

static int ask_all(struct admin_call *a, struct meta_placement_reply *rules, struct meta_map_reply *map)
{
    int code = ask_rules(a, NULL, rules);
    return code == CLI_OK ? admin_ask_map(a, map) : code;
}

static int do_show(struct admin_call *a)
{
    struct meta_placement_reply rules;
    struct meta_map_reply map;
    enum output output = a->session.cli->output;
    int code = ask_all(a, &rules, &map);
    if (code != CLI_OK) return code;
    if (output == OUTPUT_JSON) {
        print_json(&rules, &map);
        return CLI_OK;
    }
    print_rules(output, &rules);
    out_printf("\n");
    print_nodes(output, &map);
    return CLI_OK;
}

int run_placement_show(struct cli *c)
{
    return admin_watch(c, do_show);
}

/* --- set --- */

static void take_labels(const struct cli *c, const char *flag, struct slice *out)
{
    const char *text = args_text(&c->args, flag, NULL);
    if (text != NULL) *out = strcmp(text, "any") == 0 ? SLICE_EMPTY : slice_str(text);
}

static int set_voters(struct admin_call *a, uint64_t voters)
{
    struct buf params;
    struct slice payload;
    buf_init(&params, 1024);
    pack_meta_keyspace_alter_request(
        &params, &(struct meta_keyspace_alter_request){.name = slice_str(a->session.cli->args.words[0]),
                                                       .replication = (uint32_t)voters});
    int code = admin_ask(a, "placement set --voters", METHOD_META_KEYSPACE_ALTER, buf_slice(&params), &payload);
    buf_free(&params);
    return code;
}

static int do_set(struct admin_call *a)
{
    struct cli *c = a->session.cli;
    struct errbuf err;
    struct meta_placement_reply rules;
    uint64_t voters, learners;
    const char *name = c->args.words[0];
    int code = ask_rules(a, NULL, &rules);
    if (code != CLI_OK) return code;
    const struct placement_rule *now = rule_of(&rules, slice_str(name));
    if (now == NULL) return cli_fail("no keyspace is named '%s'; `quorate keyspace list` shows all", name);
    if (args_number(&c->args, "voters", now->voters, 1, LIMIT_VOTERS, &voters, &err) != STATUS_OK ||
        args_number(&c->args, "learners", now->learners, 0, LIMIT_VOTERS - 1, &learners, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    struct placement_rule rule = *now;
    rule.learners = (uint32_t)learners;
    take_labels(c, "within", &rule.within);
    take_labels(c, "leaders", &rule.leaders);
    take_labels(c, "learners-within", &rule.learners_within);
    if (voters != now->voters) code = set_voters(a, voters);
    if (code == CLI_OK) code = ask_rules(a, &rule, NULL);
    if (code == CLI_OK) code = ask_rules(a, NULL, &rules);
    if (code != CLI_OK) return code;
    now = rule_of(&rules, slice_str(name));
    rules.rules = now != NULL ? (struct placement_rule *)(uintptr_t)now : rules.rules;
    rules.rule_count = now != NULL ? 1 : 0;
    if (c->output == OUTPUT_JSON) {
        struct buf b;
        buf_init(&b, 65536);
        if (now != NULL) json_rule(&b, now);
        buf_append_byte(&b, '\n');
        out_buf(&b);
        buf_free(&b);
    } else {
        print_rules(c->output, &rules);
    }
    return CLI_OK;
}

int run_placement_set(struct cli *c)
{
    return admin_watch(c, do_set);
}

/* --- check --- */

struct fault {
    unsigned voters, learners, up, strangers; /* strangers: replicas on nodes that the rules do not name */
    bool joint, leads_badly;
};

static bool fits(const struct node_info *n, struct slice pattern)
{
    struct slice labels[PLACEMENT_LEVELS];
    labels_of(n->host, labels);
    return label_pattern_fits(pattern, labels);
}

/* Another voter could lead where the rules like it, and the leader is elsewhere. */
static bool leads_badly(const struct meta_map_reply *map, size_t range, const struct placement_rule *rule)
{
    const struct range_desc *d = &map->ranges[range];
    const struct node_info *leader = map_node(map, map->leaders[range]);
    if (leader == NULL || fits(leader, rule->leaders)) return false;
    for (size_t i = 0; i < d->replica_count; i++) {
        const struct node_info *n = map_node(map, d->replicas[i].node_id);
        bool free = n != NULL && n->alive && (n->flags & (NODE_DRAINED | NODE_DISK_SLOW | NODE_DISK_FULL)) == 0;
        if (free && d->replicas[i].role == RANGE_VOTER && fits(n, rule->leaders)) return true;
    }
    return false;
}

static struct fault fault_of(const struct meta_map_reply *map, size_t range, const struct placement_rule *rule)
{
    const struct range_desc *d = &map->ranges[range];
    struct fault f = {.joint = range_desc_joint(d), .leads_badly = leads_badly(map, range, rule)};
    for (size_t k = 0; k < d->replica_count; k++) {
        const struct node_info *n = map_node(map, d->replicas[k].node_id);
        bool learns = d->replicas[k].role == RANGE_LEARNER;
        struct slice asked = learns && rule->learners_within.size > 0 ? rule->learners_within : rule->within;
        f.learners += learns;
        f.voters += !learns;
        f.up += !learns && n != NULL && n->alive;
        f.strangers += n != NULL && !fits(n, asked);
    }
    return f;
}

static void describe(struct buf *b, const struct fault *f, const struct placement_rule *rule)
{
    buf_printf(b, "%u voters of %u asked for, %u on nodes that answer", f->voters, rule->voters, f->up);
    if (f->learners != rule->learners) buf_printf(b, "; %u learners of %u", f->learners, rule->learners);
    if (f->strangers > 0) buf_printf(b, "; %u on nodes that the rules do not name", f->strangers);
    if (f->leads_badly) buf_append_str(b, "; its leader is not where the rules want it");
    if (f->joint) buf_append_str(b, "; a change is under way");
}

/* Every range has the replicas that its keyspace's rules ask for, where they ask for them, on nodes that answer. */
static int do_check(struct admin_call *a)
{
    struct meta_placement_reply rules;
    struct meta_map_reply map;
    uint64_t wrong = 0;
    int code = ask_all(a, &rules, &map);
    if (code != CLI_OK) return code;
    bool json = a->session.cli->output == OUTPUT_JSON;
    struct buf b;
    buf_init(&b, 64u << 20);
    if (json) buf_append_str(&b, "{\"wrong\":[");
    for (size_t i = 0; i < map.range_count; i++) {
        const struct placement_rule *rule = rule_of(&rules, map_keyspace_name(&map, map.ranges[i].keyspace));
        if (rule == NULL) continue; /* its keyspace is being destroyed */
        struct fault f = fault_of(&map, i, rule);
        if (f.voters == rule->voters && f.up == f.voters && f.learners == rule->learners && f.strangers == 0 &&
            !f.leads_badly && !f.joint)
            continue;
        buf_printf(&b, json ? "%s{\"range\":%llu,\"why\":\"" : "%srange %llu: ", json && wrong > 0 ? "," : "",
                   (unsigned long long)map.ranges[i].id);
        describe(&b, &f, rule);
        buf_append_str(&b, json ? "\"}" : "\n");
        wrong++;
    }
    if (json)
        buf_printf(&b, "],\"ranges\":%zu}\n", map.range_count);
    else
        buf_printf(&b, "%llu of %zu ranges are not placed as they should be\n", (unsigned long long)wrong,
                   map.range_count);
    out_buf(&b);
    buf_free(&b);
    return wrong == 0 ? CLI_OK : CLI_FAILED;
}

int run_placement_check(struct cli *c)
{
    return admin_watch(c, do_check);
}
