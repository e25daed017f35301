/* Where a backup lies: a directory, with whole files that never change. A file is there under its name, complete and durable, or it is not.
 * Reading and writing are tasks; each call ends in one callback, from the loop. */
#ifndef QUORATE_BACKUP_DEPOT_H
#define QUORATE_BACKUP_DEPOT_H

#include "backup/format.h"
#include "env/env.h"

struct depot;
/* env->disk is rooted at the directory. */
MUST_CHECK enum status depot_new(struct env *env, struct depot **out, struct errbuf *err);
/* Calls under way end without a callback, in their own time: the depot is freed by the last of them. */
void depot_free(struct depot *d);

/* *bytes: what was written; their memory is the receiver's if he takes it, for the next file. */
typedef void (*depot_done)(void *ctx, enum status s, const char *text, struct buf *bytes);
/* Takes the bytes, a whole file; `b` is left empty. An existing file of the name is replaced; a chunk's is not: STATUS_EXISTS. */
void depot_write(struct depot *d, const char *name, struct buf *b, depot_done done, void *ctx);
/* On success *bytes hold the file, which has been opened and checked (backup_file_open); the receiver frees them. */
typedef void (*depot_read_done)(void *ctx, enum status s, const char *text, struct buf *bytes, struct slice body);
void depot_read(struct depot *d, const char *name, enum backup_file type, depot_read_done done, void *ctx);

/* The same, of any directory; blocks. */
MUST_CHECK enum status depot_file(struct disk *disk, const char *name, enum backup_file type, struct buf *bytes,
                                  struct slice *body, struct errbuf *err);
/* While nobody waits for the loop: at the beginning of a command. */
MUST_CHECK enum status depot_read_now(struct depot *d, const char *name, enum backup_file type, struct buf *bytes,
                                      struct slice *body, struct errbuf *err);
MUST_CHECK enum status depot_list(struct depot *d, const char *folder, void (*each)(void *ctx, const char *name),
                                  void *ctx, struct errbuf *err);
/* The first bytes of a file, as many as there are; not checked. */
MUST_CHECK enum status depot_peek(struct depot *d, const char *name, void *head, size_t head_bytes,
                                  uint64_t *file_bytes, struct errbuf *err);
void depot_remove(struct depot *d, const char *name);
size_t depot_busy(const struct depot *d); /* calls under way */

#endif
