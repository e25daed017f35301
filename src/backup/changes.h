/* What changes in all keyspaces, in the order of timestamps in each, up to a timestamp that all have passed. One watch (client/watch.h) for each
 * keyspace; which keyspaces there are is asked for again and again.
 *
 * The resolved timestamp R: everything that was committed at or below it, in whatever keyspace, is here. It is no higher than
 *   - where the watch of each keyspace in use stands;
 *   - a timestamp that was issued before the list of keyspaces was last read: whatever is not in that list had no rows by then. */
#ifndef QUORATE_BACKUP_CHANGES_H
#define QUORATE_BACKUP_CHANGES_H

#include "backup/format.h"
#include "client/watch.h"

struct changes;
/* Changes above `after`; 0: above a timestamp that is issued now. `known`: keyspaces as they stood at `after`, copied: of those that had been
 * dropped, less is known; if they are taken back, their changes are told from there on. */
struct changes *changes_new(struct env *env, struct client *client, uint64_t after, const struct backup_keyspace *known,
                            size_t known_count);
void changes_free(struct changes *c); /* before the client */
/* Not OK: it has failed for good. TOO_OLD: versions that it needs are gone. */
enum status changes_status(const struct changes *c, const char **text);
uint64_t changes_from(const struct changes *c);     /* 0: not known yet */
uint64_t changes_resolved(const struct changes *c); /* R; at least changes_from */
/* Somebody waits for R to pass ts, which has been issued: nothing pauses until then. */
void changes_hurry(struct changes *c, uint64_t ts);
/* How much is left until R has passed ts: falls as anything gets on; 0: nothing is. *who (or NULL): what is furthest behind, for a person. */
uint64_t changes_behind(const struct changes *c, uint64_t ts, struct errbuf *who);
size_t changes_bytes(const struct changes *c); /* rows that wait to be taken */
/* The highest timestamp above `from`, R at most, up to which no more than `bytes` of rows wait; of one transaction, more. */
uint64_t changes_upto(const struct changes *c, uint64_t from, size_t bytes);
/* Appends the rows up to `upto` <= R; those of a keyspace in their order. */
void changes_take(struct changes *c, uint64_t upto, struct buf *rows);
/* All keyspaces ever seen. Borrowed until the next pass. */
const struct backup_keyspace *changes_keyspaces(struct changes *c, size_t *count);
uint64_t changes_listed(const struct changes *c); /* a timestamp; 0: the keyspaces have not been read yet */
/* Of the list as it was first read: the ranges, for those who scan. NULL: not yet. */
const struct meta_map_reply *changes_first_map(const struct changes *c);

#endif
