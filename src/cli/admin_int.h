/* What the administrative subcommands share: one session, one call after another, an exit code. */
#ifndef QUORATE_CLI_ADMIN_INT_H
#define QUORATE_CLI_ADMIN_INT_H

#include "cli/cli_int.h"
#include "gateway/answer.h"

struct admin_call {
    struct session session;
    struct arena arena;
    struct slice status_payload;
    const char *keyspace;
    bool creates, goes_on; /* keyspace commands: goes_on: after the map another call is made */
    uint64_t grace_ms;
    enum status last; /* why admin_try_node failed */
    char last_text[400];
    /* Prints the map; the exit code. */
    int (*show)(struct admin_call *a, const struct meta_map_reply *map);
};

int admin_open(struct admin_call *a, struct cli *c); /* CLI_OK, or an exit code with the text already printed */
void admin_end(struct admin_call *a, int code);      /* from a callback: the command is over */
int admin_close(struct admin_call *a);               /* waits for admin_end; the exit code */
/* A whole command: shows the shard map, of --keyspace if given. */
int admin_map(struct cli *c, int (*show)(struct admin_call *, const struct meta_map_reply *));
void admin_print_json(void (*fill)(struct answer *, const struct meta_map_reply *), const struct meta_map_reply *map);
/* One question, waited for: CLI_OK and the answer in the arena, or an exit code with the text already printed. */
int admin_ask(struct admin_call *a, const char *what, enum method method, struct slice params, struct slice *payload);
/* The same of a node, by its address. */
int admin_ask_node(struct admin_call *a, const char *what, const char *address, enum method method, struct slice params,
                   struct slice *payload);
/* Likewise one node or metadata member; nothing is printed: a->last and a->last_text say why it failed. */
int admin_try_node(struct admin_call *a, struct slice address, enum method method, struct slice params,
                   struct slice *payload);
int admin_try_meta(struct admin_call *a, enum method method, struct slice params, struct slice *payload);
void upgrade_new_cluster(struct admin_call *a); /* cmd_upgrade.c: it gets the newest version */
int admin_ask_map(struct admin_call *a, struct meta_map_reply *map);
int admin_ask_operators(struct admin_call *a, struct meta_ops_reply *ops);
void admin_pause(struct admin_call *a, uint32_t ms);
/* A whole command that asks; with --watch again every second. */
int admin_watch(struct cli *c, int (*show)(struct admin_call *a));
int admin_watch_map(struct cli *c, int (*show)(struct admin_call *a),
                    int (*show_map)(struct admin_call *, const struct meta_map_reply *)); /* a->show */
/* The word as a number above 0; false: a usage error was printed. */
bool admin_number(struct cli *c, unsigned word, const char *what, uint64_t *out, int *code);
/* What a node holds and leads, by the map. */
struct holding {
    uint64_t replicas, leaders, bytes;
};
struct holding admin_holding(const struct meta_map_reply *map, uint64_t node_id);
/* What takes long says how far it is: percent, and about how long it will take. */
struct admin_progress {
    struct admin_call *call;
    uint64_t total, began_ms, told_ms;
    const char *unit;
};
struct admin_progress admin_progress_begin(struct admin_call *a, uint64_t total, const char *unit);
void admin_progress_tell(struct admin_progress *p, uint64_t done);
/* An order was taken: in words, or as a JSON object whose members are given. */
void admin_done(struct admin_call *a, const char *json, const char *text);
void admin_print_table(struct text_table *t, enum output output); /* and frees it */

#endif
