/* config, scheduler: the settings of the cluster; what the scheduler does, does not, and why. */
#include <stdio.h>

#include "cli/admin_int.h"
#include "gateway/json_out.h"

/* --- settings --- */

static int ask_settings(struct admin_call *a, const char *name, const char *value, struct meta_config_reply *reply)
{
    struct buf params;
    struct slice payload;
    buf_init(&params, 4096);
    pack_meta_config_request(&params,
                             &(struct meta_config_request){.name = slice_str(name), .value = slice_str(value)});
    int code = admin_ask(a, "config", METHOD_META_CONFIG, buf_slice(&params), &payload);
    buf_free(&params);
    if (code == CLI_OK && reply != NULL && unpack_meta_config_reply(payload, &a->arena, reply) != STATUS_OK)
        code = cli_fail("the metadata service's answer cannot be read");
    return code;
}

static int print_settings(struct admin_call *a, struct slice prefix, const char *only)
{
    static const char *const heads[] = {"NAME", "VALUE"};
    struct meta_config_reply reply;
    struct text_table t;
    size_t shown = 0;
    int code = ask_settings(a, "", "", &reply);
    if (code != CLI_OK) return code;
    struct buf b;
    buf_init(&b, 65536);
    text_table_init(&t, heads, 2);
    for (size_t i = 0; i < reply.setting_count; i++) {
        const struct setting *s = &reply.settings[i];
        if (!slice_starts(s->name, prefix) || (only != NULL && !slice_eq(s->name, slice_str(only)))) continue;
        buf_append_str(&b, shown++ == 0 ? "{" : ",");
        json_text(&b, s->name);
        buf_append_byte(&b, ':');
        json_text(&b, s->value);
        text_table_cell_bytes(&t, s->name, 64);
        text_table_cell_bytes(&t, s->value, 64);
    }
    buf_append_str(&b, shown == 0 ? "{}\n" : "}\n");
    bool none = only != NULL && shown == 0, json = a->session.cli->output == OUTPUT_JSON;
    if (json && !none) out_buf(&b);
    if (json || none)
        text_table_free(&t);
    else
        admin_print_table(&t, a->session.cli->output);
    buf_free(&b);
    return none ? cli_fail("no setting is named '%s'; `quorate config get` lists them", only) : CLI_OK;
}

static int do_config_get(struct admin_call *a)
{
    const struct args *args = &a->session.cli->args;
    return print_settings(a, SLICE_EMPTY, args->word_count > 0 ? args->words[0] : NULL);
}

int run_config_get(struct cli *c)
{
    return admin_watch(c, do_config_get);
}

static int do_config_set(struct admin_call *a)
{
    const struct args *args = &a->session.cli->args;
    const char *value = strcmp(args->words[1], "default") == 0 ? "" : args->words[1];
    int code = ask_settings(a, args->words[0], value, NULL);
    return code != CLI_OK ? code : print_settings(a, SLICE_EMPTY, args->words[0]);
}

int run_config_set(struct cli *c)
{
    return admin_watch(c, do_config_set);
}

/* --- the scheduler --- */

static int do_scheduler_list(struct admin_call *a)
{
    return print_settings(a, slice_str("scheduler."), NULL);
}

int run_scheduler_list(struct cli *c)
{
    return admin_watch(c, do_scheduler_list);
}

static int switch_scheduler(struct admin_call *a, const char *value)
{
    static const char *const all[] = {"repair", "balance", "leaders", "split", "merge"};
    char name[100];
    const char *asked = a->session.cli->args.words[0];
    size_t at = 0;
    while (at < sizeof all / sizeof *all && strcmp(all[at], asked) != 0) at++;
    if (at == sizeof all / sizeof *all)
        return cli_usage("there is no scheduler '%s': repair, balance, leaders, split or merge", asked);
    (void)snprintf(name, sizeof name, "scheduler.%.80s", asked);
    int code = ask_settings(a, name, value, NULL);
    if (code != CLI_OK) return code;
    char json[128], text[128];
    (void)snprintf(json, sizeof json, "\"%s\":\"%s\"", name, value);
    (void)snprintf(text, sizeof text, "%s is %s", name, value);
    admin_done(a, json, text);
    return CLI_OK;
}

static int do_pause(struct admin_call *a)
{
    return switch_scheduler(a, "off");
}
static int do_resume(struct admin_call *a)
{
    return switch_scheduler(a, "on");
}
int run_scheduler_pause(struct cli *c)
{
    return admin_watch(c, do_pause);
}
int run_scheduler_resume(struct cli *c)
{
    return admin_watch(c, do_resume);
}

static int do_describe(struct admin_call *a)
{
    struct meta_ops_reply ops;
    int code = admin_ask_operators(a, &ops);
    if (code != CLI_OK) return code;
    struct buf b;
    buf_init(&b, 1u << 20);
    bool json = a->session.cli->output == OUTPUT_JSON;
    size_t running = 0;
    for (size_t i = 0; i < ops.op_count; i++) running += ops.ops[i].state == OPERATOR_RUNNING;
    if (json) {
        buf_printf(&b,
                   "{\"rounds\":%llu,\"round_us\":%llu,\"running\":%zu,\"failures_borne\":%llu,\"ranges_short\":%llu,"
                   "\"ranges_stopped\":%llu,\"notes\":[",
                   (unsigned long long)ops.rounds, (unsigned long long)(ops.round_ns / 1000), running,
                   (unsigned long long)ops.failures_borne, (unsigned long long)ops.ranges_short,
                   (unsigned long long)ops.ranges_stopped);
    } else {
        buf_printf(&b, "rounds           %llu, the last took %llu us\noperators        %zu under way\n",
                   (unsigned long long)ops.rounds, (unsigned long long)(ops.round_ns / 1000), running);
        if (ops.note_count == 0) buf_append_str(&b, "nothing that should be done is left undone\n");
    }
    for (size_t i = 0; i < ops.note_count; i++) {
        const struct scheduler_note *n = &ops.notes[i];
        if (json) {
            buf_printf(&b, "%s{\"count\":%llu,\"range\":%llu,\"text\":", i > 0 ? "," : "", (unsigned long long)n->count,
                       (unsigned long long)n->range_id);
            json_text(&b, n->text);
            buf_append_byte(&b, '}');
            continue;
        }
        buf_printf(&b, "%-16.*s %.*s", (int)n->name.size, (const char *)n->name.data, (int)n->text.size,
                   (const char *)n->text.data);
        if (n->count > 0) buf_printf(&b, " (%llu times", (unsigned long long)n->count);
        if (n->range_id > 0) buf_printf(&b, ", e.g. range %llu", (unsigned long long)n->range_id);
        buf_append_str(&b, n->count > 0 ? ")\n" : "\n");
    }
    if (json) buf_append_str(&b, "]}\n");
    out_buf(&b);
    buf_free(&b);
    return CLI_OK;
}

int run_scheduler_describe(struct cli *c)
{
    return admin_watch(c, do_describe);
}
