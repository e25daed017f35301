/* range check: the replicas of ranges compared on demand. Each hashes all rows that it holds as of one entry of the log, and what
 * it did since the last comparison; one that differs from a majority takes itself out and is rebuilt. */
#include <stdio.h>

#include "cli/admin_int.h"
#include "gateway/health.h"
#include "gateway/json_out.h"

#define CHECK_LOOK_MS 50u
#define CHECK_MAP_MS 1000u /* so often the map is asked whether the range has other replicas now */
#define CHECK_AGAIN_MS 200u

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
    bool stale;   /* a voter's node has no replica any more, or a new one, or somebody else compares, too */
    bool differs; /* which no later look takes back */
    uint64_t asked_map_ms;
    const struct meta_map_reply *newer; /* of this range alone */
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

/* Whether there is nothing left to wait for: not for learners, which do not count, nor for a node that the map calls silent. */
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
        if (r->role == RANGE_LEARNER) continue;
        k->stale = k->stale || (r->asked ? r->reply.index > k->index : k->call->last == STATUS_RANGE_NOT_FOUND);
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
    k->differs = differ || out;
    k->good = !k->differs && told == voters;
    k->verdict = k->differs       ? "REPLICAS DIFFER"
                 : told == voters ? "all replicas hold the same rows"
                                  : "not all replicas have answered";
}

/* What the map says of the range at this moment; NULL: it is not there any more. */
static const struct range_desc *range_now(const struct check *k)
{
    const struct meta_map_reply *map = k->newer == NULL ? k->map : k->newer;
    for (size_t i = 0; i < map->range_count; i++)
        if (map->ranges[i].id == k->range->id) return &map->ranges[i];
    return NULL;
}

static void ask_again(struct check *k)
{
    struct admin_call *a = k->call;
    struct meta_map_reply *map = arena_alloc(&a->arena, sizeof *map);
    struct buf params;
    struct slice payload;
    k->asked_map_ms = env_wall_ms(a->session.env);
    buf_init(&params, LIMIT_KEY_BYTES + 1024);
    pack_meta_map_request(&params, &(struct meta_map_request){.keyspace = map_keyspace_name(k->map, k->range->keyspace),
                                                              .has_key = true,
                                                              .key = k->range->start});
    int code = admin_try_meta(a, METHOD_META_MAP, buf_slice(&params), &payload);
    buf_free(&params);
    if (code == CLI_OK && unpack_meta_map_reply(payload, &a->arena, map) == STATUS_OK) k->newer = map;
}

/* A voter that cannot tell: its replica may have come after the comparison, or have gone. */
static bool is_stale(struct check *k)
{
    if (k->stale || env_wall_ms(k->call->session.env) < k->asked_map_ms + CHECK_MAP_MS) return k->stale;
    ask_again(k);
    const struct range_desc *now = range_now(k);
    k->stale =
        now == NULL || now->epoch.conf_ver != k->range->epoch.conf_ver || now->epoch.version != k->range->epoch.version;
    return k->stale;
}

static bool has_quorum(const struct check *k)
{
    size_t voters = 0, up = 0;
    for (size_t i = 0; i < k->range->replica_count; i++) {
        if (k->range->replicas[i].role == RANGE_LEARNER) continue;
        voters++;
        up += !is_silent(k, k->range->replicas[i].node_id);
    }
    return up > voters / 2;
}

/* False: it is to be compared again, for a replica moved meanwhile, somebody else compared, or its leadership is on its way. */
static bool compare(struct check *k, uint64_t deadline_ms)
{
    k->index = 0;
    k->stale = false;
    k->asked_map_ms = env_wall_ms(k->call->session.env);
    memset(k->replicas, 0, sizeof k->replicas);
    if (!begin(k)) {
        k->verdict = "NOT COMPARED: no replica leads it, or none answers";
        return !has_quorum(k);
    }
    while (!look(k) && !is_stale(k)) {
        if (env_wall_ms(k->call->session.env) >= deadline_ms) break;
        admin_pause(k->call, CHECK_LOOK_MS);
    }
    judge(k);
    if (k->stale) return k->good || k->differs;
    /* Whoever differs finds out when it has heard of the others: look again, so that it is told here too. */
    if (!k->good) {
        admin_pause(k->call, 300);
        for (size_t i = 0; i < k->range->replica_count; i++)
            (void)ask_replica(k, k->replicas[i].node_id, false, &k->replicas[i].reply);
        judge(k);
    }
    return true;
}

/* A replica that went to another node while it was asked is looked for there. */
static bool check_range(struct check *k, uint64_t deadline_ms)
{
    while (!compare(k, deadline_ms) && env_wall_ms(k->call->session.env) < deadline_ms) {
        admin_pause(k->call, CHECK_AGAIN_MS);
        ask_again(k);
        if (range_now(k) == NULL) {
            k->verdict = "NOT COMPARED: it was merged into its left neighbour meanwhile; check again";
            k->index = 0;
            break;
        }
        k->range = range_now(k);
        k->map = k->newer == NULL ? k->map : k->newer;
    }
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
