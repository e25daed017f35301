/* Where a backup lies: a directory or an object store, encrypted or not. */
#include "cli/backup_cli.h"

#include "env_posix/env_posix.h"
#include "env_posix/process.h"
#include "env_posix/s3_disk.h"

/* Keys as all programs for such stores take them: from the environment, where no list of processes shows them. */
static int store_open(struct backup_command *k, struct cli *c, const char *url)
{
    struct errbuf err;
    struct s3_disk_options o = {.url = url,
                                .endpoint = args_text(&c->args, "s3-endpoint", process_getenv("AWS_ENDPOINT_URL")),
                                .region = process_getenv("AWS_REGION"),
                                .access_key = process_getenv("AWS_ACCESS_KEY_ID"),
                                .secret_key = process_getenv("AWS_SECRET_ACCESS_KEY"),
                                .session_token = process_getenv("AWS_SESSION_TOKEN"),
                                .ca_file = process_getenv("AWS_CA_BUNDLE")};
    if (o.access_key == NULL || o.secret_key == NULL)
        return cli_usage("%s: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY have to be in the environment", url);
    int code = session_open(&k->session, c);
    if (code != CLI_OK) return code;
    if (s3_disk_new(&o, k->session.env->log, &k->store, &err) != STATUS_OK) {
        session_close(&k->session);
        return cli_fail("%s", err.text);
    }
    k->session.env->disk = k->store;
    return CLI_OK;
}

static void place_close(struct backup_command *k)
{
    depot_free(k->depot);
    encryption_end(&k->encryption);
    if (k->store != NULL) k->session.env->disk = NULL;
    s3_disk_free(k->store);
    session_close(&k->session);
}

int backup_open(struct backup_command *k, struct cli *c, const char *place)
{
    struct errbuf err;
    *k = (struct backup_command){.depot = NULL};
    bool store = place != NULL && s3_disk_is_url(place);
    int code = store ? store_open(k, c, place) : session_open_in(&k->session, c, place);
    if (code != CLI_OK) return code;
    k->began_ms = env_mono_ns(k->session.env) / NS_PER_MS;
    if (place == NULL) return CLI_OK;
    const char *keys = args_text(&c->args, "encryption-keys", NULL);
    if (encryption_begin(&k->encryption, k->session.env, keys, true, &err) == STATUS_OK &&
        depot_new(k->session.env, &k->depot, &err) == STATUS_OK &&
        catalog_read(&k->catalog, k->depot, &err) == STATUS_OK)
        return CLI_OK;
    place_close(k);
    return cli_fail("%s: %s", place, err.text);
}

int backup_close(struct backup_command *k)
{
    env_posix_quiesce(k->session.env);
    place_close(k);
    if (k->lock != NULL) env_posix_free(k->lock);
    return k->code;
}
