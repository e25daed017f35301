/* What the evaluations of metadata commands share; by object: machine.c, keyspaces.c. */
#ifndef QUORATE_META_MACHINE_INT_H
#define QUORATE_META_MACHINE_INT_H

#include "meta/machine.h"

/* One evaluation: what it reads through and writes to. `failed` is the view's first failure: the evaluation is then void. */
struct eval {
    const struct txn_view *view;
    struct arena *arena;
    struct txn_writes *writes;
    size_t write_capacity;
    struct buf *answer;
    enum status failed;
    uint64_t index;
};

/* Keys of rows, in the arena. */
struct slice eval_key_text(struct eval *e, const char *prefix, struct slice rest);
struct slice eval_key_id(struct eval *e, const char *prefix, uint64_t id);
/* False: absent, or the view has failed (e->failed). */
bool eval_read(struct eval *e, struct slice user_key, struct slice *value);
uint64_t eval_read_number(struct eval *e, struct slice user_key, uint64_t absent);
bool eval_read_cluster(struct eval *e, struct meta_cluster_row *row);
void eval_write(struct eval *e, struct slice user_key, const struct buf *value);
void eval_write_number(struct eval *e, struct slice user_key, uint64_t n);
void eval_delete(struct eval *e, struct slice user_key);
/* Takes `count` ids of a kind. */
uint64_t eval_take_ids(struct eval *e, const char *kind, uint64_t first, uint64_t count);
void eval_raise_map_version(struct eval *e);
/* A refusal writes nothing. */
void eval_answer(struct eval *e, enum status s, const char *message, struct slice payload);
void eval_answer_not_initialized(struct eval *e);

#define ANSWER_WITH(e, name, ...)                                                                                      \
    do {                                                                                                               \
        struct buf payload;                                                                                            \
        buf_init(&payload, LIMIT_FRAME_BYTES);                                                                         \
        pack_##name(&payload, __VA_ARGS__);                                                                            \
        eval_answer(e, STATUS_OK, "", buf_slice(&payload));                                                            \
        buf_free(&payload);                                                                                            \
    } while (0)

bool eval_read_node(struct eval *e, uint64_t id, struct meta_node_row *row);
void eval_write_node(struct eval *e, const struct meta_node_row *row);

/* --- eval_operators.c --- */
void eval_operator_begin(struct eval *e, const struct operator_row *q);
void eval_operator_end(struct eval *e, const struct operator_row *q);
void eval_setting(struct eval *e, const struct meta_config_request *q);
void eval_give_up(struct eval *e, const struct meta_recover_request *q, uint64_t now_ms);
void eval_node_verb(struct eval *e, const struct meta_node_request *q, uint64_t now_ms);

/* --- eval_rebuild.c --- */
void eval_rebuild(struct eval *e, const struct meta_rebuild_request *q);

/* --- keyspaces.c --- */
void eval_keyspace_create(struct eval *e, const struct meta_command *c);
void eval_keyspace_alter(struct eval *e, const struct meta_keyspace_alter_request *q);
void eval_keyspace_drop(struct eval *e, const struct meta_keyspace_drop_request *q);
void eval_keyspace_destroy(struct eval *e, const struct meta_keyspace_destroy *d);
void eval_ranges_destroy(struct eval *e, const struct meta_command *c);
/* False: absent, or the view has failed. */
bool eval_read_keyspace(struct eval *e, struct slice name, struct meta_keyspace_row *row);

/* --- snapshots.c --- */
void eval_snapshot(struct eval *e, const struct meta_command *c, uint64_t version_keep);

/* --- rules.c --- */
void eval_placement(struct eval *e, const struct placement_rule *q);

/* --- ranges.c --- */
void eval_ranges(struct eval *e, struct meta_command *c);

#endif
