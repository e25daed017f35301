/* Versions of the cluster and the features that they brought (docs/upgrade.md). A feature is understood always, and used only
 * when the cluster has been finalised at its version. Pure. */
#ifndef QUORATE_WIRE_VERSIONS_H
#define QUORATE_WIRE_VERSIONS_H

#include <stdbool.h>
#include <stdint.h>

#define VERSION_FIRST 1u /* what says nothing of its version has this one */
#define RELEASE_BYTES 24u

/* X(enumerator, version that brought it, name). Append only. */
#define FEATURE_MAP(X)                                                                                                 \
    X(SNAPSHOT_COMPRESSED, 2, "snapshot.compressed")                                                                   \
    X(SNAPSHOT_REGISTERED, 2, "snapshot.registered")                                                                   \
    X(MERGE_END_SINCE, 2, "merge.end_since")                                                                           \
    X(KEYSPACE_COMPARED, 2, "keyspace.compared")                                                                       \
    X(PREPARES_SHARED, 2, "transaction.prepares_shared")

enum feature {
#define FEATURE_ENUM(id, since, name) FEATURE_##id,
    FEATURE_MAP(FEATURE_ENUM)
#undef FEATURE_ENUM
        FEATURE_COUNT
};

uint32_t version_newest(void); /* that this program can run at */
uint32_t version_oldest(void);
const char *version_release(void);
uint32_t feature_since(enum feature f);
const char *feature_name(enum feature f);
bool feature_on(uint32_t finalised, enum feature f);

#endif
