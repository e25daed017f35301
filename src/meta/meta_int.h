/* Private to meta/. */
#ifndef QUORATE_META_META_INT_H
#define QUORATE_META_META_INT_H

#include "meta/meta.h"
#include "meta/salvage.h"
#include "meta/state.h"
#include "placement/plan.h"
#include "range/identity.h"
#include "rpc/rpc.h"

struct meta {
    struct actor actor;
    struct env *env;
    struct meta_options options;
    char *addresses[LIMIT_VOTERS];
    struct identity identity;
    struct rpc_identity self;
    struct rpc_server *server;
    struct host *host;
    struct meta_state state;
    struct meta_applied applied;
    bool loaded;  /* state agrees with the store */
    bool loading; /* a block is being fetched for the first scan */
    bool load_begun;
    struct buf load_at; /* user key up to which it has come */
    bool leads, stopping;
    uint64_t term; /* in which it leads */
    uint64_t stop_deadline_ns;
    uint32_t requests; /* under way */
    /* timestamps.c */
    uint64_t ts_next; /* 0: not yet known in this term */
    bool ts_bound_busy;
    struct list ts_parked; /* struct meta_request: confirmed, but the bound is too near */
    struct proposal ts_proposal;
    /* duties.c */
    uint64_t duties_at_ns, leads_since_ns;
    /* operators.c: range ids whose operator is proposed */
    struct map beginning;
    struct {
        uint64_t at_ns, rounds, took_ns;
        struct placement_plan plan; /* of the last round */
    } schedule;
    bool default_busy, drop_busy;
    struct proposal default_proposal, drop_proposal;
    /* news.c: descriptors that are newer than the map */
    struct map news; /* range id -> struct range_news */
    bool news_busy;
    struct proposal news_proposal;
    /* members.c */
    bool member_busy;
    struct proposal member_proposal;
    /* founding.c */
    struct meta_other {
        struct meta *meta;
        uint64_t id;
        struct rpc_peer *peer;
        bool busy, agrees; /* it is asked; it has said that all are empty whom we have heard to be empty */
    } others[LIMIT_VOTERS];
    size_t other_count;
    uint64_t ask_at_ns, say_at_ns;
    bool founding, joins; /* the group does not exist yet, as far as is known; it does, and has nothing here yet */
    struct meta_founders heard; /* while founding: the directories that are empty */
    struct arena arena;
    struct buf scratch;
};

/* A request under way: confirmed by a quorum (reads, timestamps) or proposed (commands); ends in one reply. */
struct meta_request {
    struct list link; /* in ts_parked */
    struct meta *meta;
    struct rpc_request *req;
    struct read_wait read;
    struct proposal proposal;
    uint32_t ts_count;
    uint64_t term; /* in which it was accepted: its confirmation is worth nothing in another */
};

/* serve.c */
void meta_on_request(void *ctx, struct rpc_request *req);
void meta_refuse(struct meta_request *q, enum status s, bool unknown, const char *message);
void meta_answer(struct meta_request *q, struct slice payload);
/* The orphan's range has been taken in by others, and only the map can tell it: it is to go. */
bool meta_was_taken_in(const struct meta *m, const struct meta_node *n, const struct range_orphan *o);
void meta_candidates(struct meta *m, struct meta_command *c); /* live nodes, in m->arena */

/* timestamps.c */
void timestamps_serve(struct meta_request *q);
void timestamps_reset(struct meta *m); /* leadership came or went */
void timestamps_step(struct meta *m);
/* For graces: near what is handed out, neither issued nor confirmed. */
uint64_t timestamps_about_now(const struct meta *m);
/* One, for a command that counts only if this member still leads. 0: the bound is near, or not known yet. */
uint64_t timestamps_take(struct meta *m);

/* operators.c */
void operators_begin(struct meta *m, const struct operator_row *row); /* proposes; nothing if the range has one */
/* What works on the range ends, unless it recovers it: for one that is begun when this has been applied. */
void operators_give_way(struct meta *m, uint64_t range_id);
/* Of the range, under way or proposed; NULL: none. Its texts are not there. */
const struct operator_row *operators_row_of(const struct meta *m, uint64_t range_id);
void operators_pass(struct meta *m, uint64_t now_ns);
enum operator_next operators_next(const struct meta *m, const struct operator_row *row, struct range_order *order,
                                  const char **what);
void operators_reset(struct meta *m); /* leadership came */
struct meta_operator *operator_by_id(const struct meta *m, uint64_t id);
void operators_orders(struct meta *m, uint64_t node_id, struct meta_heartbeat_reply *reply);
void operators_verdicts(struct meta *m, const struct order_verdict *verdicts, size_t count, uint64_t now_ns);

/* members.c */
const char *members_address_of(const struct meta *m, uint64_t id); /* NULL: not known */
void members_set_peer(struct meta *m, uint64_t id, struct slice address);
void members_learn(struct meta *m);
void members_look_ahead(struct meta *m); /* of who is in the log, and not in the rows yet */
size_t members_addresses(const struct meta *m, struct meta_address out[LIMIT_REPLICAS]);
void members_step(struct meta *m); /* the leader's */
MUST_CHECK enum status members_command(const struct meta *m, struct meta_command *c, struct errbuf *err);

/* founding.c */
void others_open(struct meta *m);
void others_close(struct meta *m);
uint64_t others_pass(struct meta *m, uint64_t now_ns);
void founding_begin(struct meta *m);
void founding_create(struct meta *m); /* the group as it is at first */
void founding_tell(const struct meta *m, struct meta_status_reply *reply);
bool founding_text(const struct meta *m, char *text, size_t size); /* for a person: whom it waits for */
void founders_set(struct meta_founders *f, uint64_t id, const uint8_t uuid[16]);
bool founders_name(const struct meta_founders *f, uint64_t id, const uint8_t uuid[16]);

/* salvage.c */
/* What is to become of every range without a quorum, by what has been told; changes nothing. In m->arena. */
struct recover_item *salvage_plan(struct meta *m, const struct meta_recover_request *asked, uint64_t now_ns,
                                  size_t *count);
void salvage_note(struct meta_node *n, const struct range_orphan *told, uint64_t now_ns);
void salvage_asked(struct meta *m, struct rpc_request *req); /* META_RECOVER */

/* schedule.c */
uint32_t schedule_replication(const struct meta *m, uint32_t keyspace); /* replicas that its ranges are to have */
uint64_t schedule_pass(struct meta *m, uint64_t now_ns);
enum placement_life schedule_life(const struct meta *m, const struct meta_node *n, uint64_t now_ns);
void schedule_note_load(struct meta_range *r, const struct range_report *report, uint64_t node_id, uint64_t hot_load,
                        uint64_t now_ns);

/* admin.c */
MUST_CHECK enum status admin_command(struct meta *m, const struct rpc_request *req, struct meta_command *c,
                                     struct errbuf *err);
bool admin_answers(struct meta *m, struct rpc_request *req);
bool admin_is_read(struct meta *m, const struct rpc_request *req);
void admin_read(struct meta_request *q);
/* upgrade.c */
/* Who runs what, and what stands in the way of finalising `version` (0: the newest that all support); in m->arena. */
void upgrade_survey(struct meta *m, uint32_t version, struct meta_upgrade_reply *out);
MUST_CHECK enum status upgrade_command(struct meta *m, const struct meta_upgrade_request *q, struct meta_command *c,
                                       struct errbuf *err);
void upgrade_note(struct meta *m); /* what has been finalised holds for this member, too */

/* news.c */
void news_take(struct meta *m, const struct range_desc *d);
bool news_wanted(const struct meta *m,
                 const struct range_report *r); /* the map is older, and nobody has told how it is */
void news_step(struct meta *m);
void news_clear(struct meta *m);

/* snapshots.c */
MUST_CHECK enum status snapshots_command(struct meta *m, struct meta_command *c, struct errbuf *err);
void snapshots_fill(struct meta *m, struct meta_snapshot_reply *reply); /* in m->arena */

/* drops.c */
void drops_step(struct meta *m); /* at most one proposal at a time */

/* timestamps.c: the term as others are told it: of a service that was made anew above all former ones. */
uint64_t meta_term_told(const struct meta *m);

/* duties.c */
uint64_t duties_pass(struct meta *m, uint64_t now_ns);
bool meta_node_alive(const struct meta *m, const struct meta_node *n, uint64_t now_ns);

#endif
