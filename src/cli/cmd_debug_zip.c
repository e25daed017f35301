/* quorate debug zip FILE: what support needs to see, in one file, without what nobody else may see (redact.h). Each part is what a command of
 * ours prints; one that fails says so in its place: a cluster that is ill is when this is wanted. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/admin_int.h"
#include "cli/files.h"
#include "cli/http_load.h"
#include "cli/local.h"
#include "cli/redact.h"
#include "cli/zip.h"
#include "env_posix/crash.h"
#include "env_posix/process.h"

#define ZIP_BYTES_MAX (256u << 20)
#define PART_BYTES_MAX (64u << 20)
#define LOG_LINES_DEFAULT 20000u
#define PART_TIMEOUT "5000"
#define PART_TIMEOUT_ILL "1000" /* once one has failed: the others ask the same servers */

struct debug_zip {
    struct cli *cli;
    struct zip zip;
    struct buf text; /* of the part at hand */
    char meta[LIMIT_REPLICAS * LIMIT_ADDRESS_BYTES];
    unsigned failed;
};

static void add_text(struct debug_zip *d, const char *name)
{
    struct buf out;
    buf_init(&out, 2 * PART_BYTES_MAX);
    redact_append(&out, buf_slice(&d->text));
    if (out.size > 0 && !zip_add(&d->zip, name, buf_slice(&out))) d->failed++;
    buf_free(&out);
    buf_clear(&d->text);
}

static bool take_line(void *ctx, struct slice line)
{
    struct debug_zip *d = ctx;
    buf_append_slice(&d->text, line);
    buf_append_byte(&d->text, '\n');
    return !d->text.overflow;
}

/* --- what commands say --- */

static void add_command(struct debug_zip *d, const char *name, const char *a, const char *b, const char *output)
{
    const char *argv[16], *certs = args_text(&d->cli->args, "certs", NULL), *dir = cli_cluster_dir(d->cli);
    struct errbuf err;
    size_t n = 0;
    argv[n++] = d->cli->self;
    argv[n++] = a;
    if (b != NULL) argv[n++] = b;
    const char *const more[] = {"-o",     output,  "--timeout", d->failed > 0 ? PART_TIMEOUT_ILL : PART_TIMEOUT,
                                "--meta", d->meta, "--dir",     dir};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) argv[n++] = more[i];
    if (certs != NULL) {
        argv[n++] = "--certs";
        argv[n++] = certs;
    }
    argv[n] = NULL;
    if (process_read_lines(argv, take_line, d, &err) != STATUS_OK) {
        d->failed++;
        buf_printf(&d->text, "%s\n", err.text);
    }
    add_text(d, name);
}

static void add_commands(struct debug_zip *d)
{
    static const struct {
        const char *name, *a, *b, *output;
    } PARTS[] = {{"version.json", "version", NULL, "json"},
                 {"status.txt", "status", NULL, "table"},
                 {"status.json", "status", NULL, "json"},
                 {"upgrade.json", "upgrade", "status", "json"},
                 {"meta.json", "meta", "list", "json"},
                 {"nodes.json", "node", "list", "json"},
                 {"ranges.json", "range", "list", "json"},
                 {"hot.json", "range", "hot", "json"},
                 {"keyspaces.json", "keyspace", "list", "json"},
                 {"placement.json", "placement", "show", "json"},
                 {"operators.json", "op", "list", "json"},
                 {"history.json", "op", "history", "json"},
                 {"scheduler.json", "scheduler", "describe", "json"},
                 {"settings.json", "config", "get", "json"},
                 {"auth.json", "auth", "status", "json"},
                 {"cluster.json", "cluster", "status", "json"}};
    for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++)
        add_command(d, PARTS[i].name, PARTS[i].a, PARTS[i].b, PARTS[i].output);
}

/* --- logs --- */

static void add_log(struct debug_zip *d, const char *path, const char *name)
{
    uint64_t lines;
    struct errbuf err;
    char in_zip[300];
    if (args_number(&d->cli->args, "lines", LOG_LINES_DEFAULT, 1, 10000000, &lines, &err) != STATUS_OK)
        lines = LOG_LINES_DEFAULT;
    file_tail(path, (unsigned)lines, &d->text);
    (void)snprintf(in_zip, sizeof in_zip, "logs/%.200s", name);
    add_text(d, in_zip);
}

/* Where there is one: add_text leaves out what is empty. */
static void add_crash(struct debug_zip *d, const struct local_cluster *cluster, const char *process, const char *file)
{
    char within[100], path[LOCAL_PATH_MAX], name[200];
    (void)snprintf(within, sizeof within, "%.60s/%.30s", process, file);
    local_path(cluster, within, path);
    (void)snprintf(name, sizeof name, "%.60s-%.30s", process, file);
    add_log(d, path, name);
}

static void add_local_logs(struct debug_zip *d)
{
    struct local_cluster cluster;
    struct errbuf err;
    if (local_load(&cluster, cli_cluster_dir(d->cli), &err) != STATUS_OK) return;
    for (unsigned i = 0; i <= cluster.process_count; i++) {
        char path[LOCAL_PATH_MAX], name[80];
        const char *of = i < cluster.process_count ? cluster.processes[i].name : "supervisor";
        local_log_path(&cluster, of, path);
        (void)snprintf(name, sizeof name, "%.60s.log", of);
        add_log(d, path, name);
        add_crash(d, &cluster, of, CRASH_NAME);
        add_crash(d, &cluster, of, CRASH_FORMER_NAME);
    }
}

static void add_named_logs(struct debug_zip *d)
{
    char *list = mem_strdup(args_text(&d->cli->args, "logs", ""));
    for (char *at = list; *at != '\0';) {
        char *end = strchr(at, ','), *slash;
        if (end != NULL) *end = '\0';
        slash = strrchr(at, '/');
        add_log(d, at, slash != NULL ? slash + 1 : at);
        at = end != NULL ? end + 1 : at + strlen(at);
    }
    mem_free(list);
}

int run_debug_zip(struct cli *c)
{
    struct debug_zip d = {.cli = c};
    struct errbuf err;
    cli_meta_addresses(c, d.meta, sizeof d.meta);
    zip_init(&d.zip, ZIP_BYTES_MAX);
    buf_init(&d.text, PART_BYTES_MAX);
    add_commands(&d);
    add_local_logs(&d);
    add_named_logs(&d);
    struct slice bytes = zip_end(&d.zip);
    int code = bytes.size == 0 ? cli_fail("there is too much for one file: --lines says how much of each log") : CLI_OK;
    if (code == CLI_OK && process_secret_write(c->args.words[0], bytes, &err) != STATUS_OK)
        code = cli_fail("%s", err.text);
    if (code == CLI_OK)
        out_printf("%s: %u parts%s; keys, values, passwords and tokens are left out, names of keyspaces, users and "
                   "hosts are in it\n",
                   c->args.words[0], d.zip.count, d.failed > 0 ? ", some of which say why they are empty" : "");
    buf_free(&d.text);
    zip_free(&d.zip);
    return code;
}
