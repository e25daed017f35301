/* upgrade status, check, finalize (docs/upgrade.md). */
#include <stdio.h>

#include "cli/admin_int.h"
#include "gateway/json_out.h"

#define NEW_CLUSTER_TRIES 10u
#define NEW_CLUSTER_PAUSE_MS 200u

static int ask_survey(struct admin_call *a, struct meta_upgrade_reply *reply)
{
    struct buf params;
    struct slice payload;
    buf_init(&params, 64);
    pack_meta_upgrade_request(&params, &(struct meta_upgrade_request){.finalize = false});
    int code = admin_ask(a, "upgrade", METHOD_META_UPGRADE, buf_slice(&params), &payload);
    buf_free(&params);
    if (code == CLI_OK && unpack_meta_upgrade_reply(payload, &a->arena, reply) != STATUS_OK)
        code = cli_fail("the metadata service's answer cannot be read");
    return code;
}

static const char *role_name(enum role r)
{
    switch (r) {
    case ROLE_META: return "meta";
    case ROLE_NODE: return "node";
    case ROLE_GATEWAY: return "gateway";
    case ROLE_CLIENT: return "client";
    }
    return "?";
}

static void print_json(const struct meta_upgrade_reply *reply)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    buf_printf(&b, "{\"version\":%u,\"next\":%u,\"ready\":%s,\"processes\":[", (unsigned)reply->finalised,
               (unsigned)reply->target, reply->fault_count == 0 ? "true" : "false");
    for (size_t i = 0; i < reply->process_count; i++) {
        const struct upgrade_process *p = &reply->processes[i];
        buf_printf(&b, "%s{\"role\":\"%s\",\"id\":%llu,\"address\":", i > 0 ? "," : "", role_name(p->role),
                   (unsigned long long)p->id);
        json_text(&b, p->address);
        buf_append_str(&b, ",\"release\":");
        json_text(&b, p->release);
        buf_printf(&b, ",\"up\":%s,\"newest\":%u,\"oldest\":%u}", p->newest != 0 ? "true" : "false",
                   (unsigned)p->newest, (unsigned)p->oldest);
    }
    buf_append_str(&b, "],\"faults\":[");
    for (size_t i = 0; i < reply->fault_count; i++) {
        if (i > 0) buf_append_byte(&b, ',');
        json_text(&b, reply->faults[i]);
    }
    buf_append_str(&b, "]}\n");
    out_buf(&b);
    buf_free(&b);
}

static void print_processes(const struct meta_upgrade_reply *reply, enum output output)
{
    static const char *const heads[] = {"PROCESS", "ADDRESS", "RELEASE", "VERSIONS"};
    struct text_table t;
    text_table_init(&t, heads, 4);
    for (size_t i = 0; i < reply->process_count; i++) {
        const struct upgrade_process *p = &reply->processes[i];
        if (p->id != 0)
            text_table_cell(&t, "%s %llu", role_name(p->role), (unsigned long long)p->id);
        else
            text_table_cell(&t, "%s", role_name(p->role));
        text_table_cell_bytes(&t, p->address, LIMIT_ADDRESS_BYTES);
        if (p->newest == 0)
            text_table_cell(&t, "DOWN");
        else
            text_table_cell_bytes(&t, p->release.size > 0 ? p->release : slice_str("before 0.2"), RELEASE_BYTES);
        text_table_cell(&t, "%u to %u", (unsigned)p->oldest, (unsigned)p->newest);
    }
    admin_print_table(&t, output);
}

static void print_versions(const struct meta_upgrade_reply *reply)
{
    out_printf("the cluster is at version %u", (unsigned)reply->finalised);
    for (unsigned f = 0; f < FEATURE_COUNT; f++) {
        enum feature feature = (enum feature)f;
        out_printf("%s%s %s", f == 0 ? ": " : ", ", feature_name(feature),
                   feature_on(reply->finalised, feature) ? "on" : "off");
    }
    out_printf("\n");
}

static int do_status(struct admin_call *a)
{
    struct meta_upgrade_reply reply;
    int code = ask_survey(a, &reply);
    if (code != CLI_OK) return code;
    if (a->session.cli->output == OUTPUT_JSON) {
        print_json(&reply);
        return CLI_OK;
    }
    print_processes(&reply, a->session.cli->output);
    print_versions(&reply);
    return CLI_OK;
}

int run_upgrade_status(struct cli *c)
{
    return admin_watch(c, do_status);
}

static int do_check(struct admin_call *a)
{
    struct meta_upgrade_reply reply;
    int code = ask_survey(a, &reply);
    if (code != CLI_OK) return code;
    if (a->session.cli->output == OUTPUT_JSON) {
        print_json(&reply);
    } else {
        for (size_t i = 0; i < reply.fault_count; i++)
            out_printf("%.*s\n", (int)reply.faults[i].size, (const char *)reply.faults[i].data);
        if (reply.fault_count > 0)
            out_printf("the cluster is at version %u; %u cannot be finalised yet\n", (unsigned)reply.finalised,
                       (unsigned)reply.target);
        else if (reply.target == reply.finalised)
            out_printf("the cluster is at version %u, the newest that its programs support\n",
                       (unsigned)reply.finalised);
        else
            out_printf("version %u can be finalised: `quorate upgrade finalize`. There is no way back but a restore\n",
                       (unsigned)reply.target);
    }
    return reply.fault_count == 0 ? CLI_OK : CLI_FAILED;
}

int run_upgrade_check(struct cli *c)
{
    return admin_watch(c, do_check);
}

static enum status finalize(struct admin_call *a, uint32_t version, bool quiet, int *code)
{
    struct buf params;
    struct slice payload;
    buf_init(&params, 64);
    pack_meta_upgrade_request(&params, &(struct meta_upgrade_request){.version = version, .finalize = true});
    a->last = STATUS_OK;
    *code = quiet ? admin_try_meta(a, METHOD_META_UPGRADE, buf_slice(&params), &payload)
                  : admin_ask(a, "upgrade finalize", METHOD_META_UPGRADE, buf_slice(&params), &payload);
    buf_free(&params);
    return a->last;
}

static int do_finalize(struct admin_call *a)
{
    struct errbuf err;
    uint64_t version;
    struct meta_upgrade_reply reply;
    int code = CLI_OK;
    if (args_number(&a->session.cli->args, "version", 0, 1, UINT32_MAX, &version, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    (void)finalize(a, (uint32_t)version, false, &code);
    if (code == CLI_OK) code = ask_survey(a, &reply);
    if (code != CLI_OK) return code;
    if (a->session.cli->output == OUTPUT_JSON)
        print_json(&reply);
    else
        print_versions(&reply);
    return CLI_OK;
}

int run_upgrade_finalize(struct cli *c)
{
    return admin_watch(c, do_finalize);
}

/* A cluster that has just been made is at the newest version as soon as its members are all up; else somebody is told. */
void upgrade_new_cluster(struct admin_call *a)
{
    int code = CLI_OK;
    for (unsigned i = 0; i < NEW_CLUSTER_TRIES; i++) {
        if (i > 0) admin_pause(a, NEW_CLUSTER_PAUSE_MS);
        (void)finalize(a, 0, true, &code);
        if (code == CLI_OK) return;
    }
    cli_note("the cluster stays at version 1 for the time being: %s", a->last_text);
}
