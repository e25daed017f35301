/* Encrypted data directories, for whoever opens one: master keys are read from --encryption-keys, looked for again while a server runs,
 * and files follow them (docs/security.md).
 *
 *   IDLE --every five seconds--> READING (a task) --others--> REWRAPPING (a task) --nothing left to change--> IDLE
 *                                      '--the same--> IDLE               '--some were changed--> IDLE, and once more */
#ifndef QUORATE_CLI_ENCRYPTION_H
#define QUORATE_CLI_ENCRYPTION_H

#include "env/env.h"
#include "vault/vault.h"

struct encryption {
    struct env *env;
    struct disk *below;  /* env->disk before it was covered */
    struct vault *vault; /* NULL: not encrypted */
    const char *source;
    struct vault_keys keys, next;
    struct task task;
    bool busy, rotating;
    unsigned changed;
    enum status status;
    struct errbuf why;
    uint64_t next_ns;
};

/* From a file, or `|command`: what it prints. Blocks. */
MUST_CHECK enum status encryption_keys_read(const char *source, struct vault_keys *out, struct errbuf *err);
/* Covers env->disk. source NULL: no keys; then a directory that needs some is refused. strict: the directory must say so too. */
MUST_CHECK enum status encryption_begin(struct encryption *e, struct env *env, const char *source, bool strict,
                                        struct errbuf *err);
uint64_t encryption_pass(struct encryption *e, uint64_t now_ns); /* on the loop; when it wants the next */
void encryption_end(struct encryption *e);                       /* no file is open and no task under way: uncovers */

#endif
