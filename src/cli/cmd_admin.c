/* init, range list, node list, status, version, help. */
#include <stdio.h>

#include "cli/admin_int.h"
#include "gateway/health.h"
#include "gateway/json_out.h"
#include "meta/operator.h"

#define STATUS_MOVES_MAX 5u

void admin_end(struct admin_call *a, int code)
{
    a->session.exit_code = code;
    a->session.done = true;
}

int admin_open(struct admin_call *a, struct cli *c)
{
    memset(a, 0, sizeof(*a));
    arena_init(&a->arena, 4096);
    return session_open(&a->session, c);
}

int admin_close(struct admin_call *a)
{
    int code = session_wait(&a->session);
    session_close(&a->session);
    arena_free(&a->arena);
    return code;
}

static void print_cluster_id(struct buf *b, const struct cluster_id *id)
{
    for (size_t i = 0; i < CLUSTER_ID_BYTES; i++) buf_printf(b, "%02x", id->bytes[i]);
}

/* --- lists --- */

static int ask_and_show(struct admin_call *a)
{
    struct meta_map_reply map;
    int code = admin_ask_map(a, &map);
    return code == CLI_OK ? a->show(a, &map) : code;
}

int admin_map(struct cli *c, int (*show)(struct admin_call *, const struct meta_map_reply *))
{
    return admin_watch_map(c, ask_and_show, show);
}

void admin_print_json(void (*fill)(struct answer *, const struct meta_map_reply *), const struct meta_map_reply *map)
{
    struct answer answer;
    answer_init(&answer);
    fill(&answer, map);
    out_bytes(answer_body(&answer));
    answer_free(&answer);
}

void admin_print_table(struct text_table *t, enum output output)
{
    struct buf b;
    buf_init(&b, ANSWER_BODY_MAX);
    text_table_write(t, output, &b);
    out_buf(&b);
    buf_free(&b);
    text_table_free(t);
}

static int show_ranges(struct admin_call *a, const struct meta_map_reply *map)
{
    static const char *const heads[] = {"RANGE",    "KEYSPACE", "START", "END",    "LEADER",
                                        "REPLICAS", "EPOCH",    "TERM",  "WRITES", "READS"};
    enum output output = a->session.cli->output;
    if (output == OUTPUT_JSON) {
        admin_print_json(answer_ranges, map);
        return CLI_OK;
    }
    struct text_table t;
    text_table_init(&t, heads, 10);
    for (size_t i = 0; i < map->range_count; i++) {
        const struct range_desc *r = &map->ranges[i];
        struct errbuf replicas = {.text = ""};
        for (size_t j = 0; j < r->replica_count; j++) {
            struct errbuf before = replicas;
            errbuf_set(&replicas, "%.200s%s%llu%s", before.text, j > 0 ? "," : "",
                       (unsigned long long)r->replicas[j].node_id, r->replicas[j].role == 1 ? "" : "(learner)");
        }
        text_table_cell(&t, "%llu", (unsigned long long)r->id);
        text_table_cell_bytes(&t, map_keyspace_name(map, r->keyspace), 64);
        text_table_cell_bytes(&t, r->start.size > 0 ? r->start : slice_str("(first)"), 32);
        text_table_cell_bytes(&t, r->end.size > 0 ? r->end : slice_str("(last)"), 32);
        if (map->leaders[i] == 0)
            text_table_cell(&t, "none known");
        else
            text_table_cell(&t, "node %llu", (unsigned long long)map->leaders[i]);
        text_table_cell(&t, "%s", replicas.text);
        text_table_cell(&t, "%llu.%llu", (unsigned long long)r->epoch.conf_ver, (unsigned long long)r->epoch.version);
        text_table_cell(&t, "%llu", (unsigned long long)map->reports[i].term);
        text_table_cell(&t, "%llu", (unsigned long long)map->reports[i].writes);
        text_table_cell(&t, "%llu", (unsigned long long)map->reports[i].reads);
    }
    admin_print_table(&t, output);
    return CLI_OK;
}

int run_range_list(struct cli *c)
{
    return admin_map(c, show_ranges);
}

static int show_nodes(struct admin_call *a, const struct meta_map_reply *map)
{
    static const char *const heads[] = {"NODE", "ADDRESS", "HOST", "STATE", "RANGES", "LEADERS", "DATA"};
    enum output output = a->session.cli->output;
    if (output == OUTPUT_JSON) {
        admin_print_json(answer_nodes, map);
        return CLI_OK;
    }
    struct text_table t;
    text_table_init(&t, heads, 7);
    for (size_t i = 0; i < map->node_count; i++) {
        const struct node_info *n = &map->nodes[i];
        struct buf size;
        buf_init(&size, 64);
        text_size(&size, n->bytes);
        text_table_cell(&t, "%llu", (unsigned long long)n->id);
        text_table_cell_bytes(&t, n->address, LIMIT_ADDRESS_BYTES);
        text_table_cell_bytes(&t, n->host, 64);
        struct buf state;
        buf_init(&state, 128);
        node_state_text(n, &state);
        text_table_cell_bytes(&t, buf_slice(&state), 64);
        buf_free(&state);
        text_table_cell(&t, "%llu", (unsigned long long)n->range_count);
        text_table_cell(&t, "%llu", (unsigned long long)n->leader_count);
        text_table_cell_bytes(&t, buf_slice(&size), 64);
        buf_free(&size);
    }
    admin_print_table(&t, output);
    return CLI_OK;
}

int run_node_list(struct cli *c)
{
    return admin_map(c, show_nodes);
}

/* --- status: the map, for which a leader is looked for, then the status of whom was found: one that is cut off knows none --- */

static void show_health(struct buf *b, const struct meta_status_reply *status, const struct meta_map_reply *map)
{
    struct health h;
    health_assess(status, map, &h);
    buf_append_str(b, "cluster          ");
    print_cluster_id(b, &status->cluster);
    buf_printf(b, "\nmetadata         %u of %u servers up; ", h.members_healthy, h.members);
    if (status->leader_id == 0)
        buf_append_str(b, "no leader\n");
    else
        buf_printf(b, "leader %llu, term %llu\n", (unsigned long long)status->leader_id,
                   (unsigned long long)status->term);
    buf_printf(b, "storage nodes    %u of %u up\n", h.nodes_alive, h.nodes);
    buf_printf(b, "keyspaces        %zu\n", map->keyspace_count);
    buf_printf(b, "ranges           %u; %u with a leader", h.ranges, h.ranges_led);
    if (h.ranges_without_quorum > 0) buf_printf(b, "; %u WITHOUT QUORUM", h.ranges_without_quorum);
    buf_append_byte(b, '\n');
    for (size_t i = 0; i < map->node_count; i++) {
        uint64_t leads = 0, replicas = 0;
        for (size_t j = 0; j < map->range_count; j++) {
            leads += map->leaders[j] == map->nodes[i].id;
            replicas += range_desc_replica(&map->ranges[j], map->nodes[i].id) != NULL;
        }
        const struct node_info *n = &map->nodes[i];
        buf_printf(b, "  node %-3llu %-21.*s ", (unsigned long long)n->id, (int)n->address.size,
                   (const char *)n->address.data);
        node_state_text(n, b);
        buf_printf(b, "; %llu ranges, leads %llu; on %.*s\n", (unsigned long long)replicas, (unsigned long long)leads,
                   (int)n->host.size, (const char *)n->host.data);
    }
    buf_printf(b, "can still lose   %u metadata server%s and %u storage node%s\n", h.meta_tolerates,
               h.meta_tolerates == 1 ? "" : "s", h.data_tolerates, h.data_tolerates == 1 ? "" : "s");
    if (h.problem_count == 0) buf_append_str(b, "problems         none\n");
    for (unsigned i = 0; i < h.problem_count; i++)
        buf_printf(b, "%-16s %s\n", i == 0 ? "problems" : "", h.problems[i].text);
}

/* What moves and why, what is stuck and why. Nothing, when the metadata service has no leader to ask. */
static void show_moves(struct admin_call *a, struct buf *b)
{
    struct meta_ops_reply ops;
    size_t running = 0;
    if (admin_ask_operators(a, &ops) != CLI_OK) return;
    for (size_t i = 0; i < ops.op_count; i++) {
        const struct operator_info *o = &ops.ops[i];
        if (o->state != OPERATOR_RUNNING || ++running > STATUS_MOVES_MAX) continue;
        buf_printf(b, "%-16s %s of range %llu", running == 1 ? "moving" : "", operator_kind_name(o->kind),
                   (unsigned long long)o->range_id);
        if (o->from != 0) buf_printf(b, " from node %llu", (unsigned long long)o->from);
        if (o->to != 0) buf_printf(b, " to node %llu", (unsigned long long)o->to);
        buf_printf(b, ": %.*s; %.*s", (int)o->why.size, (const char *)o->why.data, (int)o->step.size,
                   (const char *)o->step.data);
        if (o->percent > 0) buf_printf(b, " (%u %%)", o->percent);
        buf_append_byte(b, '\n');
    }
    if (running == 0) buf_append_str(b, "moving           nothing\n");
    if (running > STATUS_MOVES_MAX)
        buf_printf(b, "%-16s and %zu more: `quorate op list`\n", "", running - STATUS_MOVES_MAX);
    for (size_t i = 0; i < ops.note_count; i++)
        buf_printf(b, "%-16s %.*s\n", i == 0 ? "not done" : "", (int)ops.notes[i].text.size,
                   (const char *)ops.notes[i].text.data);
}

static int show_status(struct admin_call *a, const struct meta_map_reply *map)
{
    struct meta_status_reply status;
    struct health h;
    if (unpack_meta_status_reply(a->status_payload, &a->arena, &status) != STATUS_OK) {
        return cli_fail("the metadata service's answer cannot be read");
    }
    if (a->session.cli->output == OUTPUT_JSON) {
        struct answer answer;
        answer_init(&answer);
        answer_status(&answer, &status, map);
        out_bytes(answer_body(&answer));
        answer_free(&answer);
    } else {
        struct buf b;
        buf_init(&b, 1u << 20);
        show_health(&b, &status, map);
        show_moves(a, &b);
        out_buf(&b);
        buf_free(&b);
    }
    health_assess(&status, map, &h);
    return h.ready ? CLI_OK : CLI_FAILED;
}

static int ask_status(struct admin_call *a)
{
    struct meta_map_reply map;
    int code = admin_ask_map(a, &map);
    if (code == CLI_OK)
        code = admin_ask(a, "the metadata service", METHOD_META_STATUS, SLICE_EMPTY, &a->status_payload);
    return code == CLI_OK ? show_status(a, &map) : code;
}

int run_status(struct cli *c)
{
    return admin_watch(c, ask_status);
}

/* --- init --- */

static void print_init(struct admin_call *a, const struct cluster_id *cluster)
{
    struct buf b;
    bool json = a->session.cli->output == OUTPUT_JSON;
    buf_init(&b, 256);
    buf_append_str(&b, json ? "{\"cluster\":\"" : "cluster ");
    print_cluster_id(&b, cluster);
    buf_append_str(&b, json ? "\"}\n" : "\n");
    out_buf(&b);
    buf_free(&b);
}

static int do_init(struct admin_call *a)
{
    struct errbuf err;
    uint64_t replication;
    if (args_number(&a->session.cli->args, "replication", 3, 1, LIMIT_VOTERS, &replication, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    struct meta_init_request request = {.replication = (uint32_t)replication};
    struct meta_init_reply reply;
    struct slice payload;
    struct buf params;
    buf_init(&params, 256);
    a->session.env->ops->random(a->session.env, request.cluster.bytes, CLUSTER_ID_BYTES);
    pack_meta_init_request(&params, &request);
    int code = admin_ask(a, "init", METHOD_META_INIT, buf_slice(&params), &payload);
    buf_free(&params);
    if (code != CLI_OK) return code;
    if (unpack_meta_init_reply(payload, &a->arena, &reply) != STATUS_OK)
        return cli_fail("the metadata service's answer cannot be read");
    if (memcmp(reply.cluster.bytes, request.cluster.bytes, CLUSTER_ID_BYTES) == 0) upgrade_new_cluster(a); /* ours */
    print_init(a, &reply.cluster);
    return CLI_OK;
}

int run_init(struct cli *c)
{
    return admin_watch(c, do_init);
}

/* --- version, help --- */

int run_version(struct cli *c)
{
    if (c->output == OUTPUT_JSON)
        out_printf("{\"version\":\"%s\",\"protocol\":%u,\"newest\":%u,\"oldest\":%u}\n", version_release(),
                   PROTOCOL_VERSION, (unsigned)version_newest(), (unsigned)version_oldest());
    else
        out_printf("quorate %s, protocol %u, cluster versions %u to %u\n", version_release(), PROTOCOL_VERSION,
                   (unsigned)version_oldest(), (unsigned)version_newest());
    return CLI_OK;
}

int run_help(struct cli *c)
{
    struct buf b, name;
    int code = CLI_OK;
    buf_init(&b, 1u << 16);
    buf_init(&name, 256);
    for (unsigned i = 0; i < c->args.word_count; i++) buf_printf(&name, "%s%s", i > 0 ? " " : "", c->args.words[i]);
    if (name.size == 0) {
        help_all(cli_commands, cli_command_count, &b);
    } else {
        for (size_t i = 0; i < cli_command_count; i++) {
            struct slice full = slice_str(cli_commands[i].name);
            bool group = slice_starts(full, buf_slice(&name)) && full.size > name.size && full.data[name.size] == ' ';
            if (slice_eq(full, buf_slice(&name)) || (group && !cli_commands[i].hidden))
                help_command(&cli_commands[i], &b);
        }
        if (b.size == 0)
            code = cli_usage("no command '%.*s'; `quorate help` lists them", (int)name.size, (const char *)name.data);
    }
    out_buf(&b);
    buf_free(&name);
    buf_free(&b);
    return code;
}
