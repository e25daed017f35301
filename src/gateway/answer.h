/* Results to HTTP answers. Pure: each function fills a struct answer from what the client handed back. */
#ifndef QUORATE_GATEWAY_ANSWER_H
#define QUORATE_GATEWAY_ANSWER_H

#include "client/client.h"
#include "env/http.h"
#include "gateway/page.h"
#include "gateway/parse.h"

#define ANSWER_HEADERS_MAX 16u
/* A page of 1 MiB and its last row, each byte at worst written as \u00XX. */
#define ANSWER_BODY_MAX (16u * 1024u * 1024u)

struct answer {
    int code;
    const char *content_type; /* NULL: none */
    struct http_header headers[ANSWER_HEADERS_MAX];
    size_t header_count;
    char text[ANSWER_HEADERS_MAX][48]; /* values made here */
    struct slice borrowed;             /* the body when it is not in `body`: a value as it came */
    struct buf body;
};
void answer_init(struct answer *a);
void answer_header(struct answer *a, const char *name, const char *value); /* both live until it is sent */
void answer_free(struct answer *a);
struct slice answer_body(const struct answer *a);

/* {"error":{"code","message","outcome"}}; the HTTP status is the status's own, or 504 when the outcome is unknown. */
void answer_error(struct answer *a, enum status s, bool unknown_outcome, struct slice message);
void answer_client_error(struct answer *a, const struct client_error *e);
void answer_method_not_allowed(struct answer *a, enum endpoint e);
void answer_allow(struct answer *a, enum endpoint e); /* the header */

void answer_get(struct answer *a, const struct kv_action *action,
                const struct get_reply *reply); /* GET and HEAD of a key */
void answer_write(struct answer *a, const struct kv_action *action,
                  const struct txn_result *r); /* PUT and DELETE of a key */
void answer_txn(struct answer *a, const struct txn_result *r);
/* alone: the transaction of this operation alone, whose version it tells; NULL: of several, or a read. */
void json_txn_op_result(struct buf *b, const struct txn_op_result *op, const struct txn_result *alone);
/* Without what its operations have read; nothing, if it is a refusal. */
void answer_txn_bare(struct answer *a, const struct txn_result *r);
void answer_scan(struct answer *a, const struct scan_action *action, const struct scan_reply *reply);

void answer_keyspaces(struct answer *a, const struct meta_map_reply *map);
void answer_keyspace(struct answer *a, struct slice name, const struct meta_map_reply *map);
void json_snapshots(struct buf *b, const struct meta_snapshot_reply *reply);
void json_snapshot(struct buf *b, const struct past_snapshot *s, enum snapshot_verb verb, bool changed);
void answer_keyspace_changed(struct answer *a, struct slice name, bool create, const struct meta_keyspace_reply *reply);
void answer_ranges(struct answer *a, const struct meta_map_reply *map);
void answer_nodes(struct answer *a, const struct meta_map_reply *map);
void answer_status(struct answer *a, const struct meta_status_reply *status, const struct meta_map_reply *map);
void answer_ready(struct answer *a, const struct meta_status_reply *status, const struct meta_map_reply *map);
/* GET /: the console for whoever accepts HTML, else the list of endpoints as text. page: borrowed until it is sent. */
void answer_root(struct answer *a, const struct page *page, const struct input *in);

/* The same objects for the command line. */
void json_read_mark(struct buf *b,
                    const struct read_mark *mark); /* fields read, timestamp, staleness_ms, as far as known */
void json_keyspace(struct buf *b, const struct meta_map_reply *map, const struct keyspace_info *k);
void json_range(struct buf *b, const struct meta_map_reply *map, size_t index);
void json_node(struct buf *b, const struct node_info *node);

#endif
