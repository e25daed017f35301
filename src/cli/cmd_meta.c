/* meta list, transfer, add, remove: the metadata service's own members. */
#include <stdio.h>

#include "cli/admin_int.h"
#include "gateway/json_out.h"

#define LOOK_AGAIN_MS 50u

static int ask_status(struct admin_call *a, struct meta_status_reply *status)
{
    struct slice payload;
    int code = admin_ask(a, "the metadata service", METHOD_META_STATUS, SLICE_EMPTY, &payload);
    if (code == CLI_OK && unpack_meta_status_reply(payload, &a->arena, status) != STATUS_OK)
        code = cli_fail("the metadata service's answer cannot be read");
    return code;
}

struct member {
    uint64_t id;
    struct slice address;
    bool up, votes;
    struct meta_status_reply status; /* its own word, when it is up */
};

static bool same_members(const struct meta_status_reply *a, const struct meta_status_reply *b)
{
    bool same = a->member_count == b->member_count;
    for (size_t i = 0; same && i < a->member_count; i++)
        same = a->members[i].id == b->members[i].id && a->members[i].votes == b->members[i].votes;
    return same;
}

/* Each member of `any` says itself how far it is; whom the most recent term's leader is, the newest word tells. */
static uint64_t ask_each(struct admin_call *a, const struct meta_status_reply *any, struct member *members)
{
    uint64_t leader = 0, term = 0;
    for (size_t i = 0; i < any->member_count; i++) {
        struct slice payload;
        struct member *m = &members[i];
        *m = (struct member){
            .id = any->members[i].id, .address = any->members[i].address, .votes = any->members[i].votes};
        uint32_t timeout_ms = a->session.cli->timeout_ms;
        if (timeout_ms > 1000) a->session.cli->timeout_ms = 1000; /* one that is down is no reason to wait long */
        m->up = admin_try_node(a, m->address, METHOD_META_STATUS, SLICE_EMPTY, &payload) == CLI_OK &&
                unpack_meta_status_reply(payload, &a->arena, &m->status) == STATUS_OK;
        a->session.cli->timeout_ms = timeout_ms;
        if (!m->up || m->status.leader_id == 0 || m->status.term < term) continue;
        term = m->status.term;
        leader = m->status.leader_id;
    }
    return leader;
}

/* Who the members are, a follower that is behind or one that was taken out may not know: `any`, the first answer, becomes that
 * of the member which has applied most. */
static uint64_t ask_members(struct admin_call *a, struct meta_status_reply *any, struct member *members)
{
    for (;;) {
        uint64_t leader = ask_each(a, any, members);
        struct meta_status_reply newest = *any;
        for (size_t i = 0; i < any->member_count; i++) {
            if (members[i].up && members[i].status.applied > newest.applied) newest = members[i].status;
        }
        bool same = same_members(&newest, any);
        *any = newest;
        if (same) return leader;
    }
}

static void print_json(const struct member *members, size_t count, uint64_t leader)
{
    struct buf b;
    buf_init(&b, 65536);
    buf_append_str(&b, "{\"members\":[");
    for (size_t i = 0; i < count; i++) {
        const struct member *m = &members[i];
        buf_printf(&b, "%s{\"id\":%llu,\"address\":", i > 0 ? "," : "", (unsigned long long)m->id);
        json_text(&b, m->address);
        buf_printf(&b, ",\"votes\":%s", m->votes ? "true" : "false");
        buf_printf(&b, ",\"up\":%s,\"leads\":%s,\"term\":%llu,\"applied\":%llu,\"map_version\":%llu}",
                   m->up ? "true" : "false", m->up && m->id == leader ? "true" : "false",
                   (unsigned long long)m->status.term, (unsigned long long)m->status.applied,
                   (unsigned long long)m->status.map_version);
    }
    buf_printf(&b, "],\"leader\":%llu}\n", (unsigned long long)leader);
    out_buf(&b);
    buf_free(&b);
}

static int do_list(struct admin_call *a)
{
    static const char *const heads[] = {"MEMBER", "ADDRESS", "STATE", "TERM", "APPLIED", "MAP"};
    struct meta_status_reply any;
    struct member members[LIMIT_REPLICAS];
    int code = ask_status(a, &any);
    if (code != CLI_OK) return code;
    uint64_t leader = ask_members(a, &any, members);
    if (a->session.cli->output == OUTPUT_JSON) {
        print_json(members, any.member_count, leader);
        return CLI_OK;
    }
    struct text_table t;
    text_table_init(&t, heads, 6);
    for (size_t i = 0; i < any.member_count; i++) {
        const struct member *m = &members[i];
        text_table_cell(&t, "%llu", (unsigned long long)m->id);
        text_table_cell_bytes(&t, m->address, LIMIT_ADDRESS_BYTES);
        text_table_cell(&t, "%s", !m->up ? "DOWN" : !m->votes ? "up, joins" : m->id == leader ? "up, leads" : "up");
        text_table_cell(&t, "%llu", (unsigned long long)m->status.term);
        text_table_cell(&t, "%llu", (unsigned long long)m->status.applied);
        text_table_cell(&t, "%llu", (unsigned long long)m->status.map_version);
    }
    admin_print_table(&t, a->session.cli->output);
    return CLI_OK;
}

int run_meta_list(struct cli *c)
{
    return admin_watch(c, do_list);
}

/* The leader begins; then it is looked who leads. */
static int do_transfer(struct admin_call *a)
{
    struct cli *c = a->session.cli;
    struct meta_status_reply any;
    struct member members[LIMIT_REPLICAS];
    uint64_t to = 0, deadline_ms = env_wall_ms(a->session.env) + c->timeout_ms;
    int code = CLI_OK;
    if (!admin_number(c, 0, "meta", &to, &code)) return code;
    code = ask_status(a, &any);
    if (code != CLI_OK) return code;
    size_t at = 0;
    while (at < any.member_count && any.members[at].id != to) at++;
    if (at == any.member_count)
        return cli_fail("there is no metadata server %llu; `quorate meta list` shows all", (unsigned long long)to);
    struct buf params;
    buf_init(&params, 64);
    pack_range_transfer_request(&params, &(struct range_transfer_request){.range_id = 1, .node_id = to});
    bool done = false;
    while (!done && code == CLI_OK && env_wall_ms(a->session.env) < deadline_ms) {
        struct slice payload;
        uint64_t leader = ask_members(a, &any, members);
        done = leader == to;
        if (!done) code = admin_ask(a, "meta transfer", METHOD_RANGE_TRANSFER, buf_slice(&params), &payload);
        if (!done) admin_pause(a, LOOK_AGAIN_MS);
    }
    buf_free(&params);
    if (code != CLI_OK) return code;
    if (!done)
        return cli_fail("not done after %u ms: member %llu did not take it", c->timeout_ms, (unsigned long long)to);
    char json[64], text[64];
    (void)snprintf(json, sizeof json, "\"leader\":%llu", (unsigned long long)to);
    (void)snprintf(text, sizeof text, "member %llu leads the metadata service", (unsigned long long)to);
    admin_done(a, json, text);
    return CLI_OK;
}

int run_meta_transfer(struct cli *c)
{
    return admin_watch(c, do_transfer);
}

/* --- add, remove --- */

static const struct member *find_member(const struct member *members, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].id == id) return &members[i];
    }
    return NULL;
}

/* The leader has taken it as a goal: it is followed until it is so. */
static int wait_member(struct admin_call *a, const struct meta_member_request *q)
{
    uint64_t deadline_ms = env_wall_ms(a->session.env) + a->session.cli->timeout_ms;
    bool told = false;
    while (env_wall_ms(a->session.env) < deadline_ms) {
        struct meta_status_reply any;
        struct member members[LIMIT_REPLICAS];
        arena_reset(&a->arena);
        int code = ask_status(a, &any);
        if (code != CLI_OK) return code;
        (void)ask_members(a, &any, members);
        const struct member *m = find_member(members, any.member_count, q->id);
        if (q->remove ? m == NULL : m != NULL && m->votes) return CLI_OK;
        if (!told && !q->remove && m != NULL && a->session.cli->output != OUTPUT_JSON)
            out_printf("it is a member without a vote, and catches up: start it with --join if it does not run\n");
        told = told || m != NULL;
        admin_pause(a, 4 * LOOK_AGAIN_MS);
    }
    return cli_fail("not done after %u ms; it goes on by itself: `quorate meta list` shows how far it is%s",
                    a->session.cli->timeout_ms, q->remove ? "" : ". The new member runs with --join?");
}

static int do_member(struct admin_call *a, bool remove)
{
    struct cli *c = a->session.cli;
    struct meta_member_request q = {.remove = remove, .address = SLICE_EMPTY};
    struct buf params;
    struct slice payload;
    int code = CLI_OK;
    if (!admin_number(c, 0, "meta", &q.id, &code)) return code;
    if (!remove) q.address = slice_str(c->args.words[1]);
    buf_init(&params, 1024);
    pack_meta_member_request(&params, &q);
    code = admin_ask(a, remove ? "meta remove" : "meta add", METHOD_META_MEMBER, buf_slice(&params), &payload);
    buf_free(&params);
    if (code == CLI_OK) code = wait_member(a, &q);
    if (code != CLI_OK) return code;
    char json[64], text[160];
    (void)snprintf(json, sizeof json, "\"member\":%llu", (unsigned long long)q.id);
    (void)snprintf(text, sizeof text,
                   remove ? "member %llu is removed: its process has ended, its directory may go" : "member %llu votes",
                   (unsigned long long)q.id);
    admin_done(a, json, text);
    return CLI_OK;
}

static int do_add(struct admin_call *a)
{
    return do_member(a, false);
}

static int do_remove(struct admin_call *a)
{
    return do_member(a, true);
}

int run_meta_add(struct cli *c)
{
    return admin_watch(c, do_add);
}

int run_meta_remove(struct cli *c)
{
    return admin_watch(c, do_remove);
}
