/* The room on the node's disk: how much there is, what it allows, and a reserve file that is given up when it gets short, so
 * that flushes and compactions, which free room in the end, can go on.
 *
 * Looked at once a second, by a task. The reserve is made bit by bit when there is plenty of room, removed when less than
 * twice its size is free, and removed before anything else when the node starts on such a disk. */
#ifndef QUORATE_NODE_DISK_SPACE_H
#define QUORATE_NODE_DISK_SPACE_H

#include "env/env.h"

enum space_level {
    SPACE_OK,
    SPACE_TIGHT, /* less than a tenth of the disk and 64 GiB is free: no new replicas */
    SPACE_FULL   /* less than a twentieth and 32 GiB: no writes that add rows */
};
/* Pure. A level is left again when a quarter more is free than what led to it. total 0: unknown, SPACE_OK. */
enum space_level space_judge(enum space_level was, uint64_t free_bytes, uint64_t total_bytes);

struct disk_space {
    struct task task;
    struct env *env;
    uint64_t reserve_bytes; /* 0: none is kept */
    enum space_level level;
    uint64_t free_bytes, total_bytes; /* 0, 0: not known yet */
    uint64_t look_at_ns;
    bool busy;
    /* the task's: */
    uint64_t reserved_bytes; /* size of the file; what it is to be when `grow` or `drop` is set */
    bool grow, drop;
    enum status status;
};

/* Blocks: makes room if there is hardly any. */
void disk_space_open(struct disk_space *s, struct env *env, uint64_t reserve_bytes);
uint64_t disk_space_pass(struct disk_space *s, uint64_t now_ns); /* the next deadline */

#endif
