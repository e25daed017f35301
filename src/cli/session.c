/* A command's session with a cluster: an environment, a client, a loop until the answer is there. */
#include <stdio.h>

#include "cli/cli_int.h"
#include "cli/local.h"
#include "env_posix/env_posix.h"
#include "env_posix/process.h"

const char *cli_cluster_dir(const struct cli *c)
{
    const char *dir = args_text(&c->args, "dir", NULL);
    if (dir == NULL) dir = process_getenv("QUORATE_DIR");
    return dir != NULL && dir[0] != '\0' ? dir : "./quorate-data";
}

void cli_meta_addresses(const struct cli *c, char *text, size_t size)
{
    const char *given = args_text(&c->args, "meta", args_text(&c->args, "endpoints", NULL));
    if (given == NULL) given = process_getenv("QUORATE_META");
    if (given != NULL && given[0] != '\0') {
        snprintf(text, size, "%s", given);
        return;
    }
    struct local_cluster local;
    struct errbuf err;
    if (local_load(&local, cli_cluster_dir(c), &err) != STATUS_OK) local_default(&local, cli_cluster_dir(c));
    local_meta_addresses(&local, text, size);
}

int cli_certs_take(struct cli *c, bool serves, bool ask_peers)
{
    struct errbuf err;
    char local[LOCAL_PATH_MAX];
    if (c->certs.on) return CLI_OK;
    const char *prefix = args_text(&c->args, "certs", NULL);
    if (prefix == NULL && !serves) prefix = process_getenv("QUORATE_CERTS");
    if (prefix == NULL && !serves && certs_of_local(cli_cluster_dir(c), TLS_ROLE_ADMIN, local)) prefix = local;
    if (prefix == NULL) return CLI_OK;
    return certs_read(&c->certs, prefix, ask_peers, &err) == STATUS_OK ? CLI_OK : cli_fail("%s", err.text);
}

const struct tls_options *cli_tls(const struct cli *c)
{
    return c->certs.on ? &c->certs.options : NULL;
}

int session_open(struct session *s, struct cli *c)
{
    return session_open_in(s, c, NULL);
}

int session_open_in(struct session *s, struct cli *c, const char *dir)
{
    struct errbuf err;
    char addresses[LIMIT_REPLICAS * LIMIT_ADDRESS_BYTES];
    int code = cli_certs_take(c, false, false);
    if (code != CLI_OK) return code;
    struct env_posix_options options = {
        .log_level = c->log_level_given ? c->log_level : LOG_ERROR, .tls = cli_tls(c), .data_dir = dir};
    *s = (struct session){.cli = c};
    s->env = env_posix_new(&options, &err);
    if (s->env == NULL) return cli_fail("%s", err.text);
    cli_meta_addresses(c, addresses, sizeof(addresses));
    struct client_options client = {.meta_addresses = addresses, .role = ROLE_CLIENT};
    if (client_new(s->env, &client, &s->client, &err) != STATUS_OK) {
        env_posix_free(s->env);
        return cli_usage("--meta %s: %s", addresses, err.text);
    }
    return CLI_OK;
}

static bool session_done(void *ctx)
{
    return ((struct session *)ctx)->done;
}

int session_wait(struct session *s)
{
    if (!s->done)
        env_posix_run_until(s->env, session_done, s, DEADLINE_NONE); /* every client call ends by its own timeout */
    return s->exit_code;
}

void session_close(struct session *s)
{
    env_posix_quiesce(s->env);
    client_free(s->client);
    env_posix_free(s->env);
}
