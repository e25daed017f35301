/* debug table, debug manifest: what a file of the store holds. Offline: reads the file and talks to nobody. */
#include "cli/cli_int.h"
#include "cli/encryption.h"
#include "env_posix/env_posix.h"
#include "lsm/dump.h"

static void show(void *ctx, struct buf *text)
{
    (void)ctx;
    out_buf(text);
}

static int dump(struct cli *c, enum status (*what)(const struct dump *, struct errbuf *), bool rows)
{
    const char *path = c->args.words[0], *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    char dir[4096] = ".";
    if (slash != NULL && (size_t)(slash - path) >= sizeof(dir)) return cli_usage("%s: the path is too long", path);
    if (slash != NULL) {
        size_t size = slash == path ? 1 : (size_t)(slash - path);
        memcpy(dir, path, size);
        dir[size] = '\0';
    }
    struct errbuf err = {.text = ""};
    const struct env_posix_options options = {.data_dir = dir, .log_level = LOG_ERROR};
    struct env *env = env_posix_new(&options, &err);
    if (env == NULL) return cli_fail("%s", err.text);
    struct encryption e;
    enum status s = encryption_begin(&e, env, args_text(&c->args, "encryption-keys", NULL), false, &err);
    const struct dump d = {.disk = env->disk, .path = name, .rows = rows, .show = show};
    if (s == STATUS_OK) s = what(&d, &err);
    encryption_end(&e);
    env_posix_free(env);
    return s == STATUS_OK ? CLI_OK : cli_fail("%s", err.text[0] != '\0' ? err.text : status_text(s));
}

int run_debug_table(struct cli *c)
{
    return dump(c, dump_table, args_switch(&c->args, "rows"));
}

int run_debug_manifest(struct cli *c)
{
    return dump(c, dump_manifest, false);
}
