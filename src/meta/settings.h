/* Settings of the cluster: numbers with names, defaults and bounds; those that an admin has set are rows of the metadata
 * group (`s/<name>`). Pure. */
#ifndef QUORATE_META_SETTINGS_H
#define QUORATE_META_SETTINGS_H

#include "base/slice.h"
#include "base/status.h"

/* X(enumerator, name, default, lowest, highest) */
#define SETTING_MAP(X)                                                                                                 \
    X(REPAIR, "scheduler.repair", 1, 0, 1)                                                                             \
    X(BALANCE, "scheduler.balance", 1, 0, 1)                                                                           \
    X(LEADERS, "scheduler.leaders", 1, 0, 1)                                                                           \
    X(SPLIT, "scheduler.split", 1, 0, 1)                                                                               \
    X(MERGE, "scheduler.merge", 1, 0, 1)                                                                               \
    X(ROUND_MS, "scheduler.round_ms", 1000, 50, 60000)                                                                 \
    X(GRACE_MS, "scheduler.grace_ms", 5000, 0, 600000)                                                                 \
    X(OPERATORS_MAX, "scheduler.operators_max", 64, 1, 1024)                                                           \
    X(PATIENCE_S, "operator.patience_s", 600, 1, 86400)                                                                \
    X(DEAD_AFTER_S, "node.dead_after_s", 300, 1, 604800)                                                               \
    X(ARRIVALS_MAX, "move.arrivals_max", 2, 1, 64)                                                                     \
    X(DEPARTURES_MAX, "move.departures_max", 4, 1, 64)                                                                 \
    X(MOVE_BYTES_PER_S, "move.bytes_per_s", 64u << 20, 0, 1ull << 40)                                                  \
    X(SLACK_PERCENT, "balance.slack_percent", 5, 1, 50)                                                                \
    X(RANGE_COST_BYTES, "balance.range_cost_bytes", 16u << 20, 0, 1u << 30)                                            \
    X(SPLIT_BYTES, "range.split_bytes", 256u << 20, 1u << 12, 1ull << 40)                                              \
    X(MERGE_BYTES, "range.merge_bytes", 64u << 20, 0, 1ull << 38)                                                      \
    X(SPLIT_LOAD, "range.split_load", 2000, 10, 100000000)                                                             \
    X(SPLIT_LOAD_S, "range.split_load_s", 10, 0, 86400)                                                                \
    X(MERGE_LOAD, "range.merge_load", 100, 0, 1000000)                                                                 \
    X(MERGE_AGE_S, "range.merge_age_s", 600, 1, 86400)

enum setting_id {
#define SETTING_ENUM(id, name, value, low, high) SETTING_##id,
    SETTING_MAP(SETTING_ENUM)
#undef SETTING_ENUM
        SETTING_COUNT
};

struct settings {
    uint64_t values[SETTING_COUNT];
};
void settings_default(struct settings *s);
const char *setting_name(enum setting_id id);
/* SETTING_COUNT: no setting has that name. */
enum setting_id setting_find(struct slice name);
/* A number, or on or off for a switch; empty: the default. STATUS_INVALID: err says what is accepted. */
MUST_CHECK enum status setting_parse(enum setting_id id, struct slice text, uint64_t *value, struct errbuf *err);
bool setting_is_switch(enum setting_id id);

#endif
