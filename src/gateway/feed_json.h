/* Changes as JSON: what watches and change feeds are made of. */
#ifndef QUORATE_GATEWAY_FEED_JSON_H
#define QUORATE_GATEWAY_FEED_JSON_H

#include "client/watch.h"

/* The members of a change, after what the caller has put into the object: key, value or deleted, ttl_ms. */
void feed_json_members(struct buf *b, const struct feed_change *change, bool force_base64);
/* A batch as lines: a change each, {"version","key","value"} or {"version","key","deleted":true}, then {"resolved"}: nothing up to there is still
 * to come. A reader that begins anew behind the last resolved line misses nothing. */
void feed_json_lines(struct buf *b, const struct client_watch_batch *batch, bool force_base64);

#endif
