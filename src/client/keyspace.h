/* Private to client/: what its keyspace makes of a request. */
#ifndef QUORATE_CLIENT_KEYSPACE_H
#define QUORATE_CLIENT_KEYSPACE_H

#include "client/client_int.h"

uint8_t keyspace_bucket(uint32_t buckets, struct slice key);
/* The key as the keyspace holds it: `key`, or a copy in the arena. */
struct slice keyspace_place(struct arena *arena, uint32_t buckets, struct slice key);
void keyspace_look_up(struct request *r); /* if it is known and in use */
/* Each time before it is routed. STEP_AGAIN: go on; else the request waits, or has ended. */
enum step keyspace_enter(struct request *r);
enum step keyspace_still(struct request *r); /* of a step or piece, whose owner has entered it */
/* The bytes that travel. False: they are too many. */
bool keyspace_encode_txn(struct request *r, const struct txn *t);

/* buckets.c: a scan of a keyspace by hash */
enum step buckets_start(struct request *r);
enum step buckets_take(struct request *r);

#endif
