/* Published limits (docs/limits.md), in one place. Sizes in bytes. Configuration may lower them, never raise them. */
#ifndef QUORATE_BASE_LIMITS_H
#define QUORATE_BASE_LIMITS_H

#define LIMIT_KEY_BYTES 4096u                   /* a user key */
#define LIMIT_VALUE_BYTES (1024u * 1024u)       /* a value */
#define LIMIT_TXN_BYTES (8u * 1024u * 1024u)    /* an encoded transaction */
#define LIMIT_TXN_OPS 8192u                     /* compares + operations of a transaction */
#define LIMIT_FRAME_BYTES (16u * 1024u * 1024u) /* one frame on the wire */
#define LIMIT_SCAN_ROWS 10000u                  /* rows in one page of a scan */
#define LIMIT_SCAN_BYTES (1024u * 1024u)        /* soft ceiling of a page: it ends with the row that crosses it */
#define LIMIT_KEYSPACE_NAME 64u                 /* bytes: [a-z0-9_-] */
#define LIMIT_ADDRESS_BYTES 128u                /* "host:port" */
#define LIMIT_VOTERS 7u                         /* of one range */
#define LIMIT_REPLICAS 8u                       /* of one range: the voters, and one that comes or goes */
#define LIMIT_SPLIT_KEYS 4096u                  /* initial ranges of a keyspace */
#define LIMIT_HASH_BUCKETS 256u                 /* of a keyspace by hash */
#define LIMIT_ID_LIFE_MS 172800000u /* an idempotency id acts once for so long: 24 h even if a clock leaps by a day */
#define LIMIT_TTL_MS 3155760000000u /* 100 years: the longest time to live */
#define LIMIT_DROP_GRACE_MS 7776000000u /* 90 days: between a keyspace's drop and its end */
#define LIMIT_SNAPSHOTS 64u             /* registered snapshots of a cluster */
#define LIMIT_SNAPSHOT_NAME 64u         /* bytes: [a-z0-9_-] */
#define LIMIT_SNAPSHOT_LIFE_MS                                                                                         \
    604800000u /* 7 days: so long a registered snapshot lives, from when it was registered or extended */
#define LIMIT_HTTP_BODY_BYTES (12u * 1024u * 1024u)
#define LIMIT_HTTP_HEADER_BYTES (16u * 1024u)
#define LIMIT_JSON_DEPTH 32u
#define TS_COUNTER_BITS 18u /* a timestamp is milliseconds << 18 | counter */

_Static_assert(LIMIT_TXN_BYTES > LIMIT_VALUE_BYTES + LIMIT_KEY_BYTES, "a transaction holds at least one largest row");
_Static_assert(LIMIT_FRAME_BYTES >= LIMIT_TXN_BYTES + 65536u, "a frame holds a transaction");
_Static_assert(LIMIT_HTTP_BODY_BYTES > LIMIT_TXN_BYTES, "a body holds a transaction's raw bytes");

#endif
