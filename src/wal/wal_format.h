/* The bytes of the log: docs/formats/wal.md. Pure: no I/O. Encoders write into memory of the size that is asked for;
 * decoders take any bytes. */
#ifndef QUORATE_WAL_WAL_FORMAT_H
#define QUORATE_WAL_WAL_FORMAT_H

#include "base/cursor.h"
#include "wal/wal.h"

#define WAL_BLOCK 4096u
#define WAL_BATCH_HEADER 80u
#define WAL_BATCH_LOG_ID_AT 8u /* in all versions */
#define WAL_PAYLOAD_MAX (1u << 30)
#define WAL_RECORD_HEAD_MAX 48u /* bytes of a record besides its data */

struct wal_segment_header {
    uint64_t log_id, segment, epoch, segment_bytes, first_batch, oldest_epoch;
    uint32_t chain;
};

struct wal_batch_header {
    uint64_t log_id, segment, epoch, offset, number, synced_through;
    uint32_t payload_bytes, records, chain, payload_crc;
    uint32_t crc; /* of the header: the chain value of the next batch; set by encode and decode */
};

enum wal_record_kind { WAL_GROUP = 1, WAL_GROUP_DROPPED = 2, WAL_HARD_STATE = 3, WAL_ENTRY = 4, WAL_RESET = 5 };

struct wal_record {
    enum wal_record_kind kind;
    uint64_t group;
    struct slice state;               /* WAL_GROUP */
    struct wal_hard_state hard_state; /* WAL_HARD_STATE */
    struct wal_entry entry;           /* WAL_ENTRY; WAL_RESET has index and term here */
};

/* Size on disk of a batch with that much payload: whole blocks. */
static inline uint64_t wal_batch_size(uint32_t payload_bytes)
{
    return ((uint64_t)WAL_BATCH_HEADER + payload_bytes + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK;
}

/* A blank header (epoch, log id and first batch 0) is put on a new segment when its zeros are durable. */
void wal_segment_header_encode(const struct wal_segment_header *h, uint8_t block[WAL_BLOCK]);
/* STATUS_OK; STATUS_NOT_FOUND: no segment header (or a damaged one); STATUS_UNSUPPORTED: one of a newer version. Does not
 * know where the block comes from: the caller compares segment number and size, and looks whether it is blank. */
MUST_CHECK enum status wal_segment_header_decode(const uint8_t block[WAL_BLOCK], struct wal_segment_header *h);

void wal_batch_header_encode(struct wal_batch_header *h, uint8_t bytes[WAL_BATCH_HEADER]);
/* As above. Says nothing about the payload or the place. */
MUST_CHECK enum status wal_batch_header_decode(const uint8_t bytes[WAL_BATCH_HEADER], struct wal_batch_header *h);

/* Writes the record without its data (WAL_GROUP's state, WAL_ENTRY's data), which follows; returns the bytes written. */
size_t wal_record_encode_head(const struct wal_record *r, uint8_t head[WAL_RECORD_HEAD_MAX]);
/* The next record; slices are borrowed from the cursor's bytes. STATUS_CORRUPT: it is malformed; STATUS_UNSUPPORTED: its
 * kind is not known. */
MUST_CHECK enum status wal_record_decode(struct cursor *c, struct wal_record *r);

#endif
