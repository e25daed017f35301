/* bench append: transactions that read lists and append to them, as an application does that reads first and decides then. What they
 * did goes into a history that a checker judges (docs/formats/history.md).
 *
 *   each list is read by itself -> one transaction: if none of them has changed, write the longer ones --ok--> the next
 *      ^                              |  one has changed: nothing happened        unknown: a process of another name goes on
 *      +---- again, TRIES times ------+
 *
 * A transaction that only reads is one transaction of reads. A list is left for a new one when it has grown to LIST_MAX values. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/prng.h"
#include "bench/commands.h"
#include "cli/cli_int.h"
#include "env_posix/env_posix.h"
#include "env_posix/process.h"
#include "gateway/json_out.h"

enum { ITEMS_MAX = 3, LIST_MAX = 64, LIST_TEXT = 1024, KEY_TEXT = 32, TRIES = 8, LANES_MAX = 256 };
#define HISTORY_BYTES_MAX (4u << 20)
#define FLUSH_BYTES (32u * 1024u)

struct item {
    char key[KEY_TEXT];
    bool appends;
    uint64_t value, version;
    char list[LIST_TEXT]; /* as it is stored: numbers, each with a comma behind it */
};

struct lane {
    struct bench *bench;
    uint64_t process;
    struct item items[ITEMS_MAX];
    unsigned count, at, tries;
    bool read_only;
};

struct growing {
    uint64_t number;
    unsigned appends; /* tried */
};

struct bench {
    struct session session;
    struct slice keyspace;
    const char *history_path;
    uint64_t run, clients, list_count, seconds, last_process, last_value, last_list, end_ns;
    struct growing *lists;
    struct lane *lanes;
    struct prng prng;
    struct buf history;
    unsigned busy;
    uint64_t ok, failed, unknown, conflicts;
    bool history_failed;
};

static void lane_next(struct lane *l);
static void lane_read(struct lane *l);

/* --- the history --- */

static void flush(struct bench *b)
{
    struct errbuf err;
    if (b->history_path == NULL || b->history.size == 0 || b->history_failed) return;
    if (process_file_append(b->history_path, buf_slice(&b->history), &err) != STATUS_OK) {
        b->history_failed = true;
        (void)cli_fail("--history: %s", err.text);
    }
    buf_clear(&b->history);
}

static void note_item(struct buf *h, const struct item *it, bool known)
{
    buf_append_str(h, it->appends ? "[\"append\"," : "[\"r\",");
    json_str(h, it->key);
    if (it->appends) {
        buf_printf(h, ",%llu]", (unsigned long long)it->value);
    } else if (known) {
        size_t size = strlen(it->list);
        buf_printf(h, ",[%.*s]]", (int)(size > 0 ? size - 1 : 0), it->list);
    } else {
        buf_append_str(h, ",null]");
    }
}

static void note(struct lane *l, const char *type)
{
    struct buf *h = &l->bench->history;
    if (l->bench->history_path == NULL) return;
    buf_printf(h, "{\"type\":\"%s\",\"process\":%llu,\"time\":%llu,\"value\":[", type, (unsigned long long)l->process,
               (unsigned long long)env_mono_ns(l->bench->session.env));
    for (unsigned i = 0; i < l->count; i++) {
        if (i > 0) buf_append_byte(h, ',');
        note_item(h, &l->items[i], strcmp(type, "ok") == 0);
    }
    buf_append_str(h, "]}\n");
    if (h->size >= FLUSH_BYTES) flush(l->bench);
}

/* --- a transaction --- */

static void lane_ended(struct lane *l, const char *type)
{
    struct bench *b = l->bench;
    note(l, type);
    if (strcmp(type, "info") == 0) l->process = ++b->last_process;
    b->busy--;
    lane_next(l);
}

static void lane_failed(struct lane *l, const struct client_error *e)
{
    l->bench->unknown += e->unknown_outcome;
    l->bench->failed += !e->unknown_outcome;
    lane_ended(l, e->unknown_outcome ? "info" : "fail");
}

static void take_list(struct item *it, bool found, struct slice value)
{
    size_t size = found && value.size < LIST_TEXT ? value.size : 0;
    memcpy(it->list, value.data, size);
    it->list[size] = '\0';
}

static void txn_done(void *ctx, const struct client_error *e, const struct txn_result *r)
{
    struct lane *l = ctx;
    struct bench *b = l->bench;
    if (e->status != STATUS_OK) {
        lane_failed(l, e);
        return;
    }
    if (r->status == STATUS_CONDITION_FAILED && ++l->tries < TRIES) {
        b->conflicts++;
        l->at = 0;
        lane_read(l);
        return;
    }
    for (unsigned i = 0; l->read_only && i < l->count && i < r->op_count; i++) {
        take_list(&l->items[i], r->ops[i].found, r->ops[i].value);
    }
    b->ok += r->status == STATUS_OK;
    b->failed += r->status != STATUS_OK;
    lane_ended(l, r->status == STATUS_OK ? "ok" : "fail");
}

static void lane_commit(struct lane *l)
{
    struct bench *b = l->bench;
    struct txn_compare compares[ITEMS_MAX];
    struct txn_op ops[ITEMS_MAX];
    char longer[ITEMS_MAX][LIST_TEXT];
    struct txn t = {.compares = compares, .ops = ops};
    for (unsigned i = 0; i < l->count; i++) {
        const struct item *it = &l->items[i];
        struct slice key = slice_str(it->key);
        if (!l->read_only) {
            compares[t.compare_count++] = (struct txn_compare){.target = TXN_TARGET_VERSION,
                                                               .relation = TXN_EQUAL,
                                                               .key = key,
                                                               .version = it->version,
                                                               .value = SLICE_EMPTY};
        }
        if (it->appends) {
            snprintf(longer[i], LIST_TEXT, "%s%llu,", it->list, (unsigned long long)it->value);
            ops[t.op_count++] = (struct txn_op){.kind = TXN_PUT, .key = key, .value = slice_str(longer[i])};
        } else if (l->read_only) {
            ops[t.op_count++] = (struct txn_op){.kind = TXN_GET, .key = key, .value = SLICE_EMPTY};
        }
    }
    client_txn(b->session.client, b->keyspace, &t, b->session.cli->timeout_ms, txn_done, l);
}

static void read_done(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct lane *l = ctx;
    struct item *it = &l->items[l->at];
    if (e->status != STATUS_OK) { /* nothing was written */
        l->bench->failed++;
        lane_ended(l, "fail");
        return;
    }
    take_list(it, reply->found, reply->value);
    it->version = reply->found ? reply->version : 0;
    l->at++;
    lane_read(l);
}

static void lane_read(struct lane *l)
{
    struct bench *b = l->bench;
    if (l->read_only || l->at == l->count) {
        lane_commit(l);
    } else {
        client_get(b->session.client, b->keyspace, slice_str(l->items[l->at].key), b->session.cli->timeout_ms,
                   read_done, l);
    }
}

static void draw_item(struct bench *b, struct item *it, uint64_t at, bool appends)
{
    struct growing *list = &b->lists[at % b->list_count];
    if (list->appends >= LIST_MAX) *list = (struct growing){.number = ++b->last_list};
    *it = (struct item){.appends = appends};
    /* The number in front: so that lists lie apart, and in several ranges of a keyspace that is split by keys. */
    snprintf(it->key, sizeof it->key, "%llu/list/%06x", (unsigned long long)list->number,
             (unsigned)(b->run & 0xFFFFFF));
    if (!appends) return;
    list->appends++;
    it->value = ++b->last_value;
}

static void lane_next(struct lane *l)
{
    struct bench *b = l->bench;
    if (env_mono_ns(b->session.env) >= b->end_ns) {
        if (b->busy == 0) b->session.done = true;
        return;
    }
    uint64_t first = prng_below(&b->prng, b->list_count), most = b->list_count < ITEMS_MAX ? b->list_count : ITEMS_MAX;
    l->read_only = prng_below(&b->prng, 10) < 3;
    l->count = 1 + (unsigned)prng_below(&b->prng, most);
    l->at = l->tries = 0;
    for (unsigned i = 0; i < l->count; i++) {
        bool appends = !l->read_only && (i == 0 || prng_below(&b->prng, 2) == 0);
        draw_item(b, &l->items[i], first + i, appends);
    }
    b->busy++;
    note(l, "invoke");
    lane_read(l);
}

/* --- life --- */

static int append_options(struct bench *b, const struct args *a)
{
    struct errbuf err;
    if (args_number(a, "clients", 8, 1, LANES_MAX, &b->clients, &err) != STATUS_OK ||
        args_number(a, "lists", 6, 1, 1000, &b->list_count, &err) != STATUS_OK ||
        args_number(a, "seconds", 10, 1, 86400, &b->seconds, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    b->keyspace = slice_str(args_text(a, "keyspace", "default"));
    b->history_path = args_text(a, "history", NULL);
    if (b->history_path != NULL && process_file_write(b->history_path, SLICE_EMPTY, &err) != STATUS_OK)
        return cli_fail("--history: %s", err.text);
    return CLI_OK;
}

/* A signal: what is under way ends, nothing is begun. */
static void on_stop(void *ctx)
{
    struct bench *b = ctx;
    b->end_ns = env_mono_ns(b->session.env);
}

static int append_run(struct bench *b)
{
    struct env *env = b->session.env;
    env_posix_on_signal(env, on_stop, b);
    env->ops->random(env, &b->run, sizeof b->run);
    prng_init(&b->prng, b->run);
    buf_init(&b->history, HISTORY_BYTES_MAX);
    b->lists = mem_zalloc(b->list_count * sizeof *b->lists);
    b->lanes = mem_zalloc(b->clients * sizeof *b->lanes);
    for (uint64_t i = 0; i < b->list_count; i++) b->lists[i].number = ++b->last_list;
    uint64_t begun_ns = env_mono_ns(env);
    b->end_ns = begun_ns + b->seconds * 1000 * NS_PER_MS;
    for (uint64_t i = 0; i < b->clients; i++) {
        b->lanes[i] = (struct lane){.bench = b, .process = ++b->last_process};
        lane_next(&b->lanes[i]);
    }
    int code = session_wait(&b->session);
    flush(b);
    out_printf("transactions    %llu in %.1f s; %llu conflicts, %llu failed, %llu unknown\n", (unsigned long long)b->ok,
               (double)(env_mono_ns(env) - begun_ns) / 1e9, (unsigned long long)b->conflicts,
               (unsigned long long)b->failed, (unsigned long long)b->unknown);
    buf_free(&b->history);
    mem_free(b->lists);
    mem_free(b->lanes);
    return b->history_failed ? CLI_FAILED : code;
}

int run_bench_append(struct cli *c)
{
    struct bench *b = mem_zalloc(sizeof *b);
    int code = append_options(b, &c->args);
    if (code == CLI_OK) code = session_open(&b->session, c);
    if (code == CLI_OK) {
        code = append_run(b);
        session_close(&b->session);
    }
    mem_free(b);
    return code;
}
