/* Registered snapshots (docs/reads.md): from their timestamps on every version is kept. Codecs: messages.h. */
#ifndef QUORATE_WIRE_MESSAGES_KEEP_H
#define QUORATE_WIRE_MESSAGES_KEEP_H

#include "wire/descriptors.h"

enum snapshot_verb { SNAPSHOT_VERB_LIST = 1, SNAPSHOT_VERB_REGISTER, SNAPSHOT_VERB_EXTEND, SNAPSHOT_VERB_DROP };
struct past_snapshot {
    struct slice name;
    uint64_t ts, expires_ts;
};
struct meta_snapshot_request { /* LIST: no name */
    enum snapshot_verb verb;
    struct slice name;
    uint64_t ts;          /* REGISTER: 0: now */
    uint64_t lifetime_ms; /* REGISTER, EXTEND: from now on */
};
struct meta_snapshot_reply {
    struct past_snapshot *snapshots; /* LIST: all that live, by timestamp; else the one */
    size_t snapshot_count;
    bool changed;
    uint64_t now_ts;  /* near what is handed out */
    uint64_t line_ts; /* nodes may drop what newer versions hide up to here, and not above */
};

#define KEEP_MESSAGE_MAP(X)                                                                                            \
    X(meta_snapshot_request)                                                                                           \
    X(meta_snapshot_reply)

#endif
