/* range check: the replicas of ranges compared on demand. Each hashes all rows that it holds as of one entry of the log, and what
 * it did since the last comparison; one that differs from a majority takes itself out and is rebuilt. */
#include <stdio.h>

#include "cli/admin_int.h"
#include "gateway/health.h"
#include "gateway/json_out.h"

#define CHECK_LOOK_MS 50u
#define CHECK_MAP_LOOKS 8u /* so often the map is asked again */

struct compared { /* one replica */
    uint64_t node_id;
    uint8_t role;
    bool asked; /* it has answered */
    char why[200];
    struct range_check_reply reply;
};
struct check {
    struct admin_call *call;
    const struct meta_map_reply *map;
    const struct range_desc *range;
    struct compared replicas[LIMIT_REPLICAS];
    uint64_t index; /* of the comparison */
    const char *verdict;
    bool good;
    bool moved; /* a node has no replica any more, or not yet: the map is older than that */
    bool gone;  /* the range is no more */
};

static bool is_silent(const struct check *k, uint64_t node_id)
{
    const struct node_info *n = map_node(k->map, node_id);
    return n == NULL || !n->alive;
}

static bool ask_replica(struct check *k, uint64_t node_id, bool begin, struct range_check_reply *reply)
{
    struct admin_call *a = k->call;
    const struct node_info *n = map_node(k->map, node_id);
    struct buf params;
    struct slice payload;
    if (is_silent(k, node_id)) {
        (void)snprintf(a->last_text, sizeof a->last_text, "its node is silent");
        return false;
    }
    buf_init(&params, 64);
    pack_range_check_request(&params, &(struct range_check_request){.range_id = k->range->id, .begin = begin});
    int code = admin_try_node(a, n->address, METHOD_RANGE_CHECK, buf_slice(&params), &payload);
    buf_free(&params);
    k->moved = k->moved || (code != CLI_OK && a->last == STATUS_RANGE_NOT_FOUND);
    return code == CLI_OK && unpack_range_check_reply(payload, &a->arena, reply) == STATUS_OK;
}

/* The replicas in turn, until one leads. */
static bool begin(struct check *k)
{
    for (size_t i = 0; i < k->range->replica_count; i++) {
        struct range_check_reply reply;
        if (!ask_replica(k, k->range->replicas[i].node_id, true, &reply)) continue;
        k->index = reply.index;
        return true;
    }
    return false;
}

static bool is_settled(const struct compared *r, uint64_t index)
{
    return r->asked && (r->reply.diverged || r->reply.index > index || (r->reply.index == index && r->reply.done));
}

/* Whether there is nothing left to wait for. The map is as old as the call: for a node that it calls silent nobody waits. */
static bool look(struct check *k)
{
    bool settled = true;
    for (size_t i = 0; i < k->range->replica_count; i++) {
        struct compared *r = &k->replicas[i];
        r->node_id = k->range->replicas[i].node_id;
        r->role = k->range->replicas[i].role;
        if (is_settled(r, k->index)) continue;
        r->asked = ask_replica(k, r->node_id, false, &r->reply);
        if (!r->asked) (void)snprintf(r->why, sizeof r->why, "%.190s", k->call->last_text);
        settled = settled && (is_settled(r, k->index) || is_silent(k, r->node_id));
    }
    return settled;
}

static const char *state_of(const struct check *k, const struct compared *r)
{
    if (!r->asked) return r->why;
    if (r->reply.diverged) return "OUT OF SERVICE: it was found to differ, and waits to be rebuilt";
    if (r->reply.index != k->index) return r->reply.index > k->index ? "another comparison has begun" : "lags behind";
    if (!r->reply.done) return "still reads";
    return r->reply.failed ? "CANNOT READ all of its rows" : "";
}

static void judge(struct check *k)
{
    const struct range_check_reply *first = NULL;
    unsigned voters = 0, told = 0;
    bool differ = false, out = false;
    for (size_t i = 0; i < k->range->replica_count; i++) {
        const struct compared *r = &k->replicas[i];
        voters += r->role != RANGE_LEARNER;
        out = out || (r->asked && (r->reply.diverged || r->reply.failed));
        if (state_of(k, r)[0] != '\0') continue;
        told += r->role != RANGE_LEARNER;
        if (first == NULL) first = &r->reply;
        differ = differ || r->reply.rows_hash != first->rows_hash ||
                 (r->reply.whole && first->whole && r->reply.effects_hash != first->effects_hash);
    }
    k->good = !differ && !out && told == voters;
    k->verdict = differ || out    ? "REPLICAS DIFFER"
                 : told == voters ? "all replicas hold the same rows"
                                  : "not all replicas have answered";
}

/* By the map of this moment; false: nothing has changed since the last one. */
static bool has_changed(struct check *k)
{
    const struct range_desc *before = k->range;
    struct meta_map_reply *map = arena_alloc(&k->call->arena, sizeof *map);
    if (admin_ask_map(k->call, map) != CLI_OK) return false;
    k->map = map;
    k->range = NULL;
    for (size_t i = 0; i < map->range_count && k->range == NULL; i++)
        if (map->ranges[i].id == before->id) k->range = &map->ranges[i];
    k->gone = k->range == NULL;
    if (k->gone) k->range = before;
    return k->gone || k->range->epoch.conf_ver != before->epoch.conf_ver ||
           k->range->epoch.version != before->epoch.version;
}

/* False: the range has other replicas than those that were asked. */
static bool wait_for_replicas(struct check *k, uint64_t deadline_ms)
{
    for (unsigned looks = 1; !look(k) && env_wall_ms(k->call->session.env) < deadline_ms; looks++) {
        if (looks % CHECK_MAP_LOOKS == 0 && has_changed(k)) return false;
        admin_pause(k->call, CHECK_LOOK_MS);
    }
    return !k->moved || !has_changed(k);
}

static bool nobody_is_silent(const struct check *k)
{
    for (size_t i = 0; i < k->range->replica_count; i++)
        if (is_silent(k, k->range->replicas[i].node_id)) return false;
    return true;
}

/* False: it is to be asked again. */
static bool compare(struct check *k, uint64_t deadline_ms)
{
    k->index = 0;
    k->moved = false;
    memset(k->replicas, 0, sizeof k->replicas);
    if (!begin(k)) {
        k->verdict = "NOT COMPARED: no replica leads it, or none answers";
        (void)has_changed(k);
        return !nobody_is_silent(k);
    }
    k->verdict = "NOT COMPARED: its replicas change all the time";
    if (!wait_for_replicas(k, deadline_ms)) return false;
    judge(k);
    /* Whoever differs finds out when it has heard of the others: look again, so that it is told here too. */
    if (!k->good) {
        admin_pause(k->call, 300);
        for (size_t i = 0; i < k->range->replica_count; i++)
            (void)ask_replica(k, k->replicas[i].node_id, false, &k->replicas[i].reply);
        judge(k);
    }
    return true;
}

/* A replica that goes to another node while it is asked is looked for there; a leader that goes, likewise. */
static bool check_range(struct check *k, uint64_t deadline_ms)
{
    while (!compare(k, deadline_ms) && !k->gone && env_wall_ms(k->call->session.env) < deadline_ms)
        admin_pause(k->call, CHECK_LOOK_MS * CHECK_MAP_LOOKS);
    if (k->gone) k->verdict = "NOT COMPARED: it was merged into its left neighbour meanwhile; check again";
    if (k->gone) k->index = 0;
    return k->good;
}

static void print_json(const struct check *k, bool first, struct buf *b)
{
    buf_printf(b, "%s{\"range\":%llu,\"same\":%s,\"index\":%llu,\"verdict\":", first ? "" : ",",
               (unsigned long long)k->range->id, k->good ? "true" : "false", (unsigned long long)k->index);
    json_str(b, k->verdict);
    buf_append_str(b, ",\"replicas\":[");
    for (size_t i = 0; k->index != 0 && i < k->range->replica_count; i++) {
        const struct compared *r = &k->replicas[i];
        buf_printf(b, "%s{\"node\":%llu,\"rows\":%llu,\"bytes\":%llu,\"hash\":\"%016llx\",\"state\":", i > 0 ? "," : "",
                   (unsigned long long)r->node_id, (unsigned long long)r->reply.rows,
                   (unsigned long long)r->reply.bytes, (unsigned long long)r->reply.rows_hash);
        json_str(b, state_of(k, r));
        buf_append_byte(b, '}');
    }
    buf_append_str(b, "]}");
}

static void print_text(const struct check *k, bool detail, struct buf *b)
{
    buf_printf(b, "range %llu: %s", (unsigned long long)k->range->id, k->verdict);
    if (k->good) {
        buf_printf(b, ": %llu rows, ", (unsigned long long)k->replicas[0].reply.rows);
        text_size(b, k->replicas[0].reply.bytes);
    }
    buf_append_byte(b, '\n');
    for (size_t i = 0; k->index != 0 && (detail || !k->good) && i < k->range->replica_count; i++) {
        const struct compared *r = &k->replicas[i];
        buf_printf(b, "  node %llu%s: hash %016llx at index %llu, %llu rows, ", (unsigned long long)r->node_id,
                   r->role == RANGE_LEARNER ? " (learner)" : "", (unsigned long long)r->reply.rows_hash,
                   (unsigned long long)r->reply.index, (unsigned long long)r->reply.rows);
        text_size(b, r->reply.bytes);
        buf_printf(b, "%s%s\n", state_of(k, r)[0] != '\0' ? "; " : "", state_of(k, r));
    }
}

static bool is_wanted(const struct meta_map_reply *map, const struct range_desc *d, uint64_t id, const char *keyspace)
{
    if (id != 0) return d->id == id;
    return keyspace == NULL || slice_eq(map_keyspace_name(map, d->keyspace), slice_str(keyspace));
}

static int do_check(struct admin_call *a)
{
    struct cli *c = a->session.cli;
    const char *keyspace = args_text(&c->args, "keyspace", NULL);
    struct meta_map_reply map;
    uint64_t id = 0, wanted = 0, done = 0, bad = 0;
    int code = CLI_OK;
    if (c->args.word_count > 0 && !admin_number(c, 0, "range", &id, &code)) return code;
    code = admin_ask_map(a, &map);
    if (code != CLI_OK) return code;
    for (size_t i = 0; i < map.range_count; i++) wanted += is_wanted(&map, &map.ranges[i], id, keyspace);
    if (wanted == 0) return cli_fail("there is no such range; `quorate range list` shows all");
    struct admin_progress progress = admin_progress_begin(a, wanted, "ranges");
    struct buf b;
    buf_init(&b, 16u << 20);
    bool json = c->output == OUTPUT_JSON;
    if (json) buf_append_str(&b, "{\"ranges\":[");
    for (size_t i = 0; i < map.range_count && !out_failed(); i++) {
        if (!is_wanted(&map, &map.ranges[i], id, keyspace)) continue;
        struct check k = {.call = a, .map = &map, .range = &map.ranges[i]};
        if (!check_range(&k, env_wall_ms(a->session.env) + c->timeout_ms)) bad++;
        if (json) {
            print_json(&k, done == 0, &b);
        } else {
            print_text(&k, wanted == 1, &b);
            out_buf(&b);
        }
        admin_progress_tell(&progress, ++done);
    }
    if (json) buf_printf(&b, "],\"differ\":%llu}\n", (unsigned long long)bad);
    out_buf(&b);
    buf_free(&b);
    if (bad > 0)
        return cli_fail("%llu of %llu ranges need a look", (unsigned long long)bad, (unsigned long long)wanted);
    return CLI_OK;
}

int run_range_check(struct cli *c)
{
    return admin_watch(c, do_check);
}
