/* Placement rules of keyspaces: rows `p/<keyspace id>`. How many voters it has stays in the keyspace's own row. */
#include "meta/machine_int.h"
#include "placement/labels.h"

void meta_rules_row_encode(const struct meta_rules_row *row, struct buf *out)
{
    pack_array(out, 4);
    pack_uint(out, row->learners);
    pack_bin(out, row->within);
    pack_bin(out, row->leaders);
    pack_bin(out, row->learners_within);
}

enum status meta_rules_row_decode(struct slice value, struct meta_rules_row *out)
{
    struct unpack u = unpack_make(value);
    if (!unpack_array_of(&u, 4)) return STATUS_CORRUPT;
    out->learners = (uint32_t)unpack_uint(&u);
    out->within = unpack_bin(&u);
    out->leaders = unpack_bin(&u);
    out->learners_within = unpack_bin(&u);
    return u.failed ? STATUS_CORRUPT : STATUS_OK;
}

static const char *fault(const struct placement_rule *q, const struct meta_keyspace_row *row)
{
    if (q->learners + row->replication >= LIMIT_REPLICAS) return "a range has at most 7 replicas, voters and learners";
    if (!label_pattern_good(q->within) || !label_pattern_good(q->leaders) || !label_pattern_good(q->learners_within))
        return "a label pattern is region=X, zone=X or host=X, or several of them with commas between";
    return NULL;
}

void eval_placement(struct eval *e, const struct placement_rule *q)
{
    struct meta_keyspace_row row;
    if (!eval_read_keyspace(e, q->keyspace, &row)) {
        if (e->failed == STATUS_OK) eval_answer(e, STATUS_NOT_FOUND, "there is no keyspace of that name", SLICE_EMPTY);
        return;
    }
    const char *wrong = fault(q, &row);
    if (wrong != NULL) {
        eval_answer(e, STATUS_INVALID, wrong, SLICE_EMPTY);
        return;
    }
    struct meta_rules_row rules = {
        .learners = q->learners, .within = q->within, .leaders = q->leaders, .learners_within = q->learners_within};
    struct buf b;
    buf_init(&b, 4096);
    meta_rules_row_encode(&rules, &b);
    eval_write(e, eval_key_id(e, "p/", row.id), &b);
    buf_free(&b);
    eval_answer(e, STATUS_OK, "", SLICE_EMPTY);
}
