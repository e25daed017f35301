/* A disk over a disk, whose files are encrypted: docs/formats/vault.md. What lies above it knows nothing of it: sizes, alignment, what a
 * sync makes durable and what a torn write leaves are those of the disk below. Calls may come from any thread, as a disk's. */
#ifndef QUORATE_VAULT_VAULT_H
#define QUORATE_VAULT_VAULT_H

#include "base/log.h"
#include "env/disk.h"
#include "vault/keys.h"

struct vault;
/* keys: copied. below and log are borrowed. */
struct vault *vault_new(struct disk *below, const struct vault_keys *keys, struct logger *log);
void vault_free(struct vault *v);
struct disk *vault_disk(struct vault *v);

/* Whether this directory may be used with keys (v) or without (v NULL): STATUS_UNSUPPORTED with what to do. Marks a new one. */
MUST_CHECK enum status vault_check(struct vault *v, struct disk *below, struct errbuf *err);

/* From the loop: for files made or opened from now on. */
void vault_use(struct vault *v, const struct vault_keys *keys);
/* On a worker: headers that are under another key than the last are written again. changed: how many were. */
MUST_CHECK enum status vault_rewrap(struct vault *v, unsigned *changed, struct errbuf *err);

#endif
