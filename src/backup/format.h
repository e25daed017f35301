/* The files of a backup directory, as bytes: docs/formats/backup.md. Pure.
 *
 *   chunk     the rows of a span of a keyspace, as of a timestamp of its own
 *   changes   what changed in all keyspaces in (from, to]
 *   manifest  a backup: chunks that cover every keyspace without a hole or an overlap, and the timestamp from which they are good
 *
 * What the cluster held at T is: each chunk's rows, and the newest change of each key in (the chunk's timestamp, T]. */
#ifndef QUORATE_BACKUP_FORMAT_H
#define QUORATE_BACKUP_FORMAT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/cursor.h"
#include "base/i128.h"
#include "base/limits.h"
#include "base/status.h"
#include "wire/descriptors.h"

#define BACKUP_NAME_MAX 96u
#define BACKUP_FILE_BYTES_MAX (512u << 20)

enum backup_file { BACKUP_CHUNK = 'C', BACKUP_CHANGES = 'L', BACKUP_MANIFEST = 'M' };
/* A file is begun, its body appended, and ended with its name, which it is good under alone. */
void backup_file_begin(struct buf *b, enum backup_file type);
void backup_file_end(struct buf *b, const char *name);
/* The body, borrowed; STATUS_CORRUPT. */
MUST_CHECK enum status backup_file_open(struct slice bytes, enum backup_file type, const char *name, struct slice *body,
                                        struct errbuf *err);

enum backup_kind { BACKUP_DELETE = 0, BACKUP_RAW = 1, BACKUP_COUNTER = 2 };
struct backup_row {
    uint32_t keyspace;
    uint8_t kind; /* enum backup_kind */
    uint64_t ts;
    uint64_t ttl_ms;         /* 0: it stays */
    struct slice key, value; /* the key as the keyspace holds it; a counter's decimal digits */
};
void backup_row_put(struct buf *b, const struct backup_row *r);
/* The next one; false: there is none, or c->failed. */
bool backup_row_next(struct cursor *c, struct backup_row *r);

/* Tells contents apart: the sum over rows of 128-bit hashes of key, kind and value. Rows that end by themselves are counted, not summed: when a
 * restored cluster is looked at, some have ended. */
struct backup_digest {
    uint64_t low, high, rows, mortal, bytes;
};
void backup_digest_row(struct backup_digest *d, const struct backup_row *r);
void backup_digest_add(struct backup_digest *d, const struct backup_digest *other);
bool backup_digest_eq(const struct backup_digest *a, const struct backup_digest *b);

struct backup_keyspace {
    uint32_t id;
    struct slice name;
    uint32_t replication, buckets;
    uint64_t ttl_ms;
    uint64_t absent_until; /* it was not there at this timestamp; 0: it was there before the backup */
    uint64_t dropped_ts;   /* 0: it is in use */
    uint64_t known_upto;   /* of a dropped one: its changes are here up to this timestamp */
};
bool backup_keyspace_is_there(const struct backup_keyspace *k, uint64_t at);

struct backup_chunk {
    uint32_t keyspace;
    struct slice start, end; /* as the keyspace holds keys; empty end: to its end */
    uint64_t ts;
    uint64_t file_bytes;
    uint32_t crc; /* of the file */
    struct backup_digest digest;
    struct slice name; /* of the file; empty: no rows, no file */
};
struct backup_changes {
    struct cluster_id cluster;
    uint64_t from, to;
    struct backup_keyspace *keyspaces;
    size_t keyspace_count;
    struct slice rows; /* by keyspace, then timestamp */
};
#define BACKUP_CHANGES_HEAD_BYTES 24u                                   /* of a file: the magic, and whose it is */
void backup_changes_put(struct buf *b, const struct backup_changes *c); /* all but the rows: append them */
MUST_CHECK enum status backup_changes_get(struct slice body, struct arena *arena, struct backup_changes *out);

struct backup_manifest {
    struct cluster_id cluster;
    bool complete;
    uint64_t from;               /* changes after it are kept for it */
    uint64_t at;                 /* complete: from here on it can be restored */
    uint64_t parent;             /* `at` of the backup that it shares chunks with; 0: none */
    uint64_t began_ms, ended_ms; /* wall time, for people */
    struct backup_keyspace *keyspaces;
    size_t keyspace_count;
    struct backup_chunk *chunks; /* by keyspace and start, when complete */
    size_t chunk_count;
};
void backup_manifest_put(struct buf *b, const struct backup_manifest *m);
MUST_CHECK enum status backup_manifest_get(struct slice body, struct arena *arena, struct backup_manifest *out);
/* No hole and no overlap in any keyspace, and no chunk newer than `at`. Says where if not. */
MUST_CHECK enum status backup_manifest_check(const struct backup_manifest *m, struct errbuf *err);
int backup_chunk_compare(const void *a, const void *b);

/* Names within the directory. */
void backup_manifest_name(char name[BACKUP_NAME_MAX], bool complete, uint64_t ts);
void backup_chunk_name(char name[BACKUP_NAME_MAX], uint64_t from, uint64_t number);
void backup_changes_name(char name[BACKUP_NAME_MAX], uint64_t from, uint64_t to);
bool backup_name_read(const char *name, const char *prefix, unsigned count, uint64_t numbers[2]);
bool backup_chunk_name_read(const char *name, uint64_t *from, uint64_t *number); /* without its folder */

#endif
