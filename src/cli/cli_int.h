/* What the subcommands share: the parsed command line, output, and a session with a cluster. */
#ifndef QUORATE_CLI_CLI_INT_H
#define QUORATE_CLI_CLI_INT_H

#include "cli/args.h"
#include "cli/certs.h"
#include "client/client.h"

#define CLI_OK 0
#define CLI_FAILED 1
#define CLI_USAGE 2

enum output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_PLAIN };

struct cli {
    struct args args;
    enum output output;
    uint32_t timeout_ms;
    enum log_level log_level;
    bool log_level_given;
    const char *self; /* path of this binary */
    int trace_fd;     /* of --raft-trace */
    struct certs certs;
};

/* Every subcommand: app/commands.c, which stands above all that it names. */
extern const struct command cli_commands[];
extern const size_t cli_command_count;

/* --- output (out.c) --- */
void out_bytes(struct slice s); /* to stdout, unbuffered: build lines in a buf first */
void out_buf(struct buf *b);    /* writes and clears it */
bool out_failed(void);          /* nobody reads any more: stop early */
void out_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_note(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* a line on stderr that is no complaint */
int cli_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));  /* "quorate: ..." on stderr; CLI_FAILED */
int cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* the same; CLI_USAGE */
int cli_client_failed(const char *what, const struct client_error *e);

/* Bytes for a terminal or a pipe: backslash, control characters and what is not UTF-8 as \\, \t, \n, \xHH. */
void text_escape(struct buf *b, struct slice s);
void text_duration(struct buf *b, uint64_t ms); /* "4m 07s" */
void text_size(struct buf *b, uint64_t bytes);  /* "1.5 MiB" */

/* A table of text cells: aligned columns under a heading, or TAB-separated lines without one (OUTPUT_PLAIN). */
#define TABLE_COLUMNS_MAX 10u
struct text_table {
    const char *const *heads;
    unsigned columns;
    struct arena arena;
    struct slice *cells; /* row after row */
    size_t cell_count, cell_capacity;
};
void text_table_init(struct text_table *t, const char *const *heads, unsigned columns);
void text_table_free(struct text_table *t);
void text_table_cell(struct text_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_table_cell_bytes(struct text_table *t, struct slice s,
                           size_t shown_max); /* escaped, and cut with an ellipsis */
void text_table_write(const struct text_table *t, enum output output, struct buf *out);

/* --- a cluster's addresses (session.c) --- */
/* --meta, --endpoints, $QUORATE_META, the local cluster's in its data directory, 127.0.0.1:7401,... in this order. */
void cli_meta_addresses(const struct cli *c, char *text, size_t size);
const char *cli_cluster_dir(const struct cli *c);
/* --certs, $QUORATE_CERTS, the local cluster's, none, in this order; a server takes the first alone. Read once. An exit code, with the
 * text already printed. */
int cli_certs_take(struct cli *c, bool serves, bool ask_peers);
const struct tls_options *cli_tls(const struct cli *c); /* NULL: none */

/* A command's life with a cluster: open, start calls, wait until one sets done, close. */
struct session {
    struct cli *cli;
    struct env *env;
    struct client *client;
    bool done;
    int exit_code;
};
int session_open(struct session *s, struct cli *c); /* CLI_OK, or an exit code with the text already printed */
int session_open_in(struct session *s, struct cli *c, const char *dir); /* with a directory for files; made if absent */
int session_wait(struct session *s);                                    /* runs the loop until done; the exit code */
void session_close(struct session *s);

/* --- the subcommands, by file --- */
int run_meta(struct cli *c); /* cmd_server.c */
int run_node(struct cli *c);
int run_gateway(struct cli *c);
int run_get(struct cli *c); /* cmd_data.c */
int run_put(struct cli *c);
int run_del(struct cli *c);
int run_scan(struct cli *c);
int run_txn(struct cli *c);
int run_auth_status(struct cli *c); /* cmd_auth.c */
int run_auth_enable(struct cli *c);
int run_auth_disable(struct cli *c);
int run_user_list(struct cli *c);
int run_user_set(struct cli *c);
int run_user_drop(struct cli *c);
int run_role_list(struct cli *c);
int run_role_set(struct cli *c);
int run_role_drop(struct cli *c);
int run_init(struct cli *c);            /* cmd_admin.c */
int run_snapshot_create(struct cli *c); /* cmd_snapshot.c */
int run_snapshot_extend(struct cli *c);
int run_snapshot_drop(struct cli *c);
int run_snapshot_list(struct cli *c);
int run_keyspace_create(struct cli *c); /* cmd_keyspace.c */
int run_keyspace_alter(struct cli *c);
int run_keyspace_drop(struct cli *c);
int run_keyspace_list(struct cli *c);
int run_keyspace_show(struct cli *c);
int run_range_list(struct cli *c);
int run_range_split(struct cli *c); /* cmd_reshape.c */
int run_range_merge(struct cli *c);
int run_range_transfer(struct cli *c); /* cmd_leaders.c */
int run_node_drain(struct cli *c);
int run_node_undrain(struct cli *c);
int run_node_list(struct cli *c);
int run_status(struct cli *c);
int run_top(struct cli *c);     /* cmd_top.c */
int run_op_list(struct cli *c); /* cmd_ops.c */
int run_op_show(struct cli *c);
int run_op_cancel(struct cli *c);
int run_op_history(struct cli *c);
int run_range_show(struct cli *c);
int run_range_move(struct cli *c);
int run_range_scatter(struct cli *c);
int run_range_hot(struct cli *c);
int run_meta_list(struct cli *c); /* cmd_meta.c */
int run_meta_transfer(struct cli *c);
struct read_how;
int cli_read_arguments(struct cli *c, struct read_how *how); /* cmd_data.c: --read and what goes with it */
int run_import(struct cli *c);                               /* cmd_import.c */
int run_export(struct cli *c);                               /* cmd_export.c */
int run_upgrade_status(struct cli *c);                       /* cmd_upgrade.c */
int run_upgrade_check(struct cli *c);
int run_upgrade_finalize(struct cli *c);
int run_shell(struct cli *c); /* cmd_shell.c */
int run_completion(struct cli *c);
int run_complete(struct cli *c);
int run_range_check(struct cli *c); /* cmd_check.c */
int run_config_get(struct cli *c);
int run_config_set(struct cli *c);
int run_scheduler_list(struct cli *c);
int run_scheduler_pause(struct cli *c);
int run_scheduler_resume(struct cli *c);
int run_scheduler_describe(struct cli *c);
int run_node_show(struct cli *c); /* cmd_nodes.c */
int run_node_decommission(struct cli *c);
int run_node_recommission(struct cli *c);
int run_node_maintenance(struct cli *c);
int run_placement_show(struct cli *c); /* cmd_placement.c */
int run_placement_set(struct cli *c);
int run_placement_check(struct cli *c);
int run_unsafe_recover(struct cli *c);
int run_meta_add(struct cli *c);
int run_meta_remove(struct cli *c);
int run_meta_rebuild(struct cli *c);
int run_version(struct cli *c);
int run_manual(struct cli *c);
int run_help(struct cli *c);
int run_cluster_start(struct cli *c); /* cmd_cluster.c */
int run_cluster_stop(struct cli *c);
int run_cluster_status(struct cli *c);
int run_cluster_kill(struct cli *c);
int run_cluster_add_node(struct cli *c);
int run_cluster_supervise(struct cli *c); /* supervisor.c */
int run_cert_authority(struct cli *c);    /* cmd_cert.c */
int run_cert_issue(struct cli *c);
int run_cert_revoke(struct cli *c);
int run_cert_show(struct cli *c);
int run_key_new(struct cli *c); /* cmd_key.c */
int run_key_list(struct cli *c);
int run_key_drop(struct cli *c);
MUST_CHECK enum status key_append(const char *path,
                                  struct errbuf *err); /* a new one, to a file that may not be there yet */
int run_debug_table(struct cli *c);                    /* cmd_debug.c */
int run_debug_backup(struct cli *c);
int run_debug_log(struct cli *c); /* cmd_debug_data.c */
int run_debug_check(struct cli *c);
int run_debug_manifest(struct cli *c);
int run_debug_zip(struct cli *c);     /* cmd_debug_zip.c */
int run_changefeed(struct cli *c);    /* cmd_changefeed.c */
int run_backup_create(struct cli *c); /* cmd_backup.c */
int run_backup_list(struct cli *c);
int run_backup_verify(struct cli *c);
int run_backup_restore(struct cli *c);
int run_backup_dump(struct cli *c);   /* cmd_backup_dump.c */
int run_backup_follow(struct cli *c); /* cmd_follow.c */
int run_backup_digest(struct cli *c);

#endif
