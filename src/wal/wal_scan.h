/* Looking at the log's files while it is being opened: which there are, what their headers say, their bytes in order. Shared
 * by wal_recover.c (a sound log) and wal_salvage.c (a damaged one). Reads only. */
#ifndef QUORATE_WAL_WAL_SCAN_H
#define QUORATE_WAL_WAL_SCAN_H

#include "wal/wal_int.h"

/* A segment file as found. */
struct wal_found {
    uint64_t number, bytes;
    struct disk_file *file;
    bool whole;      /* it was made completely: header and file agree on number and size, blank or not */
    bool has_header; /* and it counts */
    struct wal_segment_header header;
};

/* Sequential reading through one buffer. */
struct wal_reader {
    const struct wal_found *f;
    uint8_t *memory;
    size_t capacity;
    uint64_t base; /* offset of memory[0] */
    size_t have;
};

struct wal_scan {
    struct wal *w;
    struct errbuf *err;
    struct wal_found *found; /* by epoch; those without a header first */
    size_t count, capacity;
    struct wal_reader reader;
    uint64_t max_epoch;  /* seen anywhere */
    uint64_t next_batch; /* for messages: the one that is looked for */
};

/* Lists, opens and sorts the segments, reads their headers. Sets next_segment and `direct` of the log. */
MUST_CHECK enum status wal_scan_open(struct wal_scan *v, struct wal *w, struct errbuf *err);
void wal_scan_close(struct wal_scan *v);
uint64_t wal_found_epoch(const struct wal_found *f); /* 0: its header does not count */
/* `size` bytes at `offset`, both whole blocks: *at borrowed until the next call, NULL when the file ends before. */
MUST_CHECK enum status wal_scan_read(struct wal_scan *v, const struct wal_found *f, uint64_t offset, size_t size,
                                     const uint8_t **at);
/* Writes the message; returns s. */
enum status wal_scan_fail(struct wal_scan *v, enum status s, const struct wal_found *f, uint64_t offset,
                          const char *what);

#endif
