/* meta list, meta transfer: the metadata service's own members. */
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
    bool up;
    struct meta_status_reply status; /* its own word, when it is up */
};

/* Each member says itself how far it is; whom the most recent term's leader is, the newest word tells. */
static uint64_t ask_members(struct admin_call *a, const struct meta_status_reply *any, struct member *members)
{
    uint64_t leader = 0, term = 0;
    for (size_t i = 0; i < any->member_count; i++) {
        struct slice payload;
        struct member *m = &members[i];
        *m = (struct member){.id = any->members[i].id, .address = any->members[i].address};
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

static void print_json(const struct member *members, size_t count, uint64_t leader)
{
    struct buf b;
    buf_init(&b, 65536);
    buf_append_str(&b, "{\"members\":[");
    for (size_t i = 0; i < count; i++) {
        const struct member *m = &members[i];
        buf_printf(&b, "%s{\"id\":%llu,\"address\":", i > 0 ? "," : "", (unsigned long long)m->id);
        json_text(&b, m->address);
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
    struct member members[LIMIT_VOTERS];
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
        text_table_cell(&t, "%s", !m->up ? "DOWN" : m->id == leader ? "up, leads" : "up");
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
    struct member members[LIMIT_VOTERS];
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
