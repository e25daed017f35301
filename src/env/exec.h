/* The executor seam: blocking work as tasks. `execute` runs on a worker and touches only the task and frozen input;
 * `complete` runs on the loop, exactly once, never from inside exec_submit. Tasks of LANE_LOG run one after the other in
 * the order of submission; other lanes give no order. */
#ifndef QUORATE_ENV_EXEC_H
#define QUORATE_ENV_EXEC_H

#include "base/list.h"

enum exec_lane {
    LANE_LOG,        /* the write-ahead log's writes: one thread of its own */
    LANE_READ,       /* a request waits for it: block reads */
    LANE_BACKGROUND, /* flush, compaction, snapshots: niced */
    LANE_COUNT
};

struct task {
    void (*execute)(struct task *);
    void (*complete)(struct task *);
    bool cancelled; /* set before `complete` when the executor shut down before `execute` ran: release and do no more */
    struct list link; /* the executor's */
    enum exec_lane lane;
};

struct exec;
struct exec_ops {
    void (*submit)(struct exec *, enum exec_lane, struct task *);
};
struct exec {
    const struct exec_ops *ops;
};
static inline void exec_submit(struct exec *e, enum exec_lane lane, struct task *t)
{
    t->cancelled = false;
    t->lane = lane;
    e->ops->submit(e, lane, t);
}

#endif
