/* A metadata service that is made anew gets its rows in pieces, one behind the other; with the last one comes the row of the cluster,
 * and it serves (rebuild.h). */
#include "base/assert.h"
#include "meta/machine_int.h"

static bool is_number(struct slice value)
{
    uint64_t n;
    return meta_number_row_decode(value, &n) == STATUS_OK;
}

/* What is read back without a look is looked at here. */
static bool row_is_good(struct eval *e, const struct catalogue_row *row)
{
    struct meta_node_row node;
    struct meta_keyspace_row keyspace;
    struct meta_rules_row rules;
    struct meta_cluster_row cluster;
    struct range_desc desc;
    struct meta_snapshot_reply snapshots;
    bool has_id = row->key.size == 10;
    switch (row->key.data[0]) {
    case 'c': return row->key.size == 1 && meta_cluster_row_decode(row->value, &cluster) == STATUS_OK;
    case 'k': return row->key.size > 2 && meta_keyspace_row_decode(row->value, &keyspace) == STATUS_OK;
    case 'p': return has_id && meta_rules_row_decode(row->value, &rules) == STATUS_OK;
    case 'n': return has_id && meta_node_row_decode(row->value, &node) == STATUS_OK;
    case 'r': return has_id && unpack_range_desc(row->value, e->arena, &desc) == STATUS_OK;
    case 'h': return row->key.size == 1 && unpack_meta_snapshot_reply(row->value, e->arena, &snapshots) == STATUS_OK;
    case 'x': return has_id && is_number(row->value);
    case 'u': return row->key.size == 18 && is_number(row->value);
    case 'i':
    case 's': return row->key.size > 2 && is_number(row->value);
    case 'b':
    case 'f':
    case 't':
    case 'v': return row->key.size == 1 && is_number(row->value);
    default: return false;
    }
}

static void take_rows(struct eval *e, const struct catalogue_rows *rows)
{
    for (size_t i = 0; i < rows->row_count; i++) {
        struct buf value;
        buf_init(&value, LIMIT_FRAME_BYTES);
        buf_append_slice(&value, rows->rows[i].value);
        eval_write(e, rows->rows[i].key, &value);
        buf_free(&value);
    }
}

void eval_rebuild(struct eval *e, const struct meta_rebuild_request *q)
{
    struct meta_cluster_row cluster;
    struct catalogue_rows rows;
    struct slice key = slice_str("y");
    uint64_t came = eval_read_number(e, key, 0);
    if (q->piece + 1 == came && e->failed == STATUS_OK) { /* once more */
        eval_answer(e, STATUS_OK, "", SLICE_EMPTY);
        return;
    }
    if (eval_read_cluster(e, &cluster)) {
        eval_answer(e, STATUS_EXISTS,
                    "this metadata service has a cluster already: only a new one, with empty directories, is made anew",
                    SLICE_EMPTY);
        return;
    }
    if (e->failed != STATUS_OK) return;
    if (q->piece != came) {
        eval_answer(e, STATUS_CONDITION_FAILED,
                    "another rebuild began here and did not come to its end: start its members with empty directories",
                    SLICE_EMPTY);
        return;
    }
    bool good = unpack_catalogue_rows(q->rows, e->arena, &rows) == STATUS_OK;
    for (size_t i = 0; good && i < rows.row_count; i++) {
        bool is_cluster = rows.rows[i].key.data[0] == 'c';
        good = row_is_good(e, &rows.rows[i]) && (!is_cluster || q->last);
    }
    if (!good) {
        eval_answer(e, STATUS_INVALID, "these are no rows of a metadata service", SLICE_EMPTY);
        return;
    }
    take_rows(e, &rows);
    eval_write_number(e, key, came + 1);
    if (q->last) COVER("meta.rebuilt");
    eval_answer(e, STATUS_OK, "", SLICE_EMPTY);
}
