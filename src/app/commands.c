/* The registry: every subcommand is one row. */
#include "bench/commands.h"
#include "cli/cli_int.h"
#include "cli/ledger_cli.h"

static const struct flag flags_meta[] = {
    {"data", FLAG_TEXT, "DIR", "data directory"},
    {"id", FLAG_NUMBER, "N", "which of --members this is"},
    {"members", FLAG_TEXT, "1=HOST:PORT,...", "all metadata servers"},
    {"listen", FLAG_TEXT, "HOST:PORT", "address to bind; default: its own of --members"},
    {"join", FLAG_SWITCH, "", "the service runs already, and takes this one in: `quorate meta add`"},
    {"election-ms", FLAG_NUMBER, "MS", "silence after which a follower campaigns"},
    {"heartbeat-ms", FLAG_NUMBER, "MS", "between heartbeats"},
    {"support-ms", FLAG_NUMBER, "MS",
     "so long peers promise to follow this one's leaders; starts after it was lowered are slower for it"},
    {"raft-trace", FLAG_TEXT, "FILE",
     "every Raft event as a line of JSON; servers of a machine may share it; default: $QUORATE_RAFT_TRACE"},
    {"encryption-keys", FLAG_TEXT, "FILE|'|COMMAND'",
     "encrypt the data directory: master keys, the last one for new files"},
    {"insecure", FLAG_SWITCH, "", "listen beyond this machine without --certs"},
    {"log", FLAG_TEXT, "FILE", "where log lines go; default: stderr"},
};
static const struct flag flags_node[] = {
    {"data", FLAG_TEXT, "DIR", "data directory"},
    {"listen", FLAG_TEXT, "HOST:PORT", "address to bind"},
    {"advertise", FLAG_TEXT, "HOST:PORT", "address that others connect to; default: --listen"},
    {"reserve-mib", FLAG_NUMBER, "MIB", "of disk kept back for compaction when it gets full; default 64, 0: none"},
    {"cache-mib", FLAG_NUMBER, "MIB", "of memory for blocks of tables; default: $QUORATE_CACHE_MIB, or 128"},
    {"host", FLAG_TEXT, "LABEL", "machine: two replicas of a range avoid the same one"},
    {"election-ms", FLAG_NUMBER, "MS", "silence after which a follower campaigns"},
    {"heartbeat-ms", FLAG_NUMBER, "MS", "between heartbeats"},
    {"support-ms", FLAG_NUMBER, "MS",
     "so long peers promise to follow this one's leaders; starts after it was lowered are slower for it"},
    {"raft-trace", FLAG_TEXT, "FILE",
     "every Raft event as a line of JSON; servers of a machine may share it; default: $QUORATE_RAFT_TRACE"},
    {"encryption-keys", FLAG_TEXT, "FILE|'|COMMAND'",
     "encrypt the data directory: master keys, the last one for new files"},
    {"insecure", FLAG_SWITCH, "", "listen beyond this machine without --certs"},
    {"log", FLAG_TEXT, "FILE", "where log lines go; default: stderr"},
};
static const struct flag flags_meta_rebuild[] = {
    {"nodes", FLAG_TEXT, "HOST:PORT,...", "the storage nodes, all of them"},
    {"without", FLAG_TEXT, "NODES", "storage nodes that never come back: 4,5"},
    {"leaderless", FLAG_SWITCH, "", "ranges without a leader are taken as their newest replica knows them"},
    {"dry-run", FLAG_SWITCH, "", "only say what would be"},
    {"accept", FLAG_SWITCH, "", "do it: the former metadata servers never run again"},
};
static const struct flag flags_gateway[] = {
    {"listen", FLAG_TEXT, "HOST:PORT", "address to bind; default 127.0.0.1:7480"},
    {"insecure", FLAG_SWITCH, "", "listen beyond this machine without --certs"},
    {"cors", FLAG_TEXT, "ORIGIN,...", "whose web pages may use it, or *; default: only its own console"},
    {"hosts", FLAG_TEXT, "NAME,...",
     "Host headers besides addresses and localhost, or *; default: none on this machine without --certs, else *"},
    {"slow-ms", FLAG_NUMBER, "MS", "log requests that take longer, with their stages; default 500"},
    {"log", FLAG_TEXT, "FILE", "where log lines go; default: stderr"},
};
static const struct flag flags_init[] = {
    {"replication", FLAG_NUMBER, "N", "replicas of a range unless a keyspace says otherwise; default 3"},
};
static const struct flag flags_cluster_start[] = {
    {"base-port", FLAG_NUMBER, "PORT", "metadata at +1..3, nodes at +11..., gateway at +80; default 7400"},
    {"nodes", FLAG_NUMBER, "N", "storage nodes of a new cluster; default 3"},
    {"wait", FLAG_NUMBER, "MS", "how long to wait until it is ready; default 60000"},
    {"secure", FLAG_SWITCH, "", "a new cluster whose connections are encrypted, with certificates in DIR/certs"},
    {"encrypted", FLAG_SWITCH, "", "a new cluster whose data is encrypted, with the master key in DIR/encryption.keys"},
};
static const struct flag flags_put[] = {
    {"id", FLAG_TEXT, "TEXT", "idempotency id: with the same one it acts once"},
    {"if-version", FLAG_TEXT, "VERSION|*", "only if the key has this version, or any"},
    {"if-absent", FLAG_SWITCH, "", "only if the key is not there"},
    {"ttl", FLAG_TEXT, "DURATION", "the row vanishes after it: 500ms, 30s, 24h, 7d, none; default: the keyspace's"},
};
static const struct flag flags_del[] = {
    {"id", FLAG_TEXT, "TEXT", "idempotency id: with the same one it acts once"},
    {"if-version", FLAG_TEXT, "VERSION|*", "only if the key has this version, or any"},
};
#define FLAGS_READ                                                                                                     \
    {"read", FLAG_TEXT, "strong|snapshot|bounded|eventual", "how fresh; default strong"},                              \
        {"at", FLAG_TEXT, "TIMESTAMP", "with --read snapshot: as of it; default: now"},                                \
        {"max-staleness-ms", FLAG_NUMBER, "MS", "with --read bounded: at most so old"},                                \
    {                                                                                                                  \
        "replica", FLAG_TEXT, "leader|any", "with strong or snapshot: who may answer; default leader"                  \
    }
static const struct flag flags_get[] = {FLAGS_READ};
static const struct flag flags_scan[] = {
    {"start", FLAG_TEXT, "KEY", "first key"},
    {"end", FLAG_TEXT, "KEY", "before this key"},
    {"prefix", FLAG_TEXT, "TEXT", "keys that begin with it"},
    {"limit", FLAG_NUMBER, "N", "at most so many rows; default: all"},
    {"reverse", FLAG_SWITCH, "", "from the end"},
    {"keys-only", FLAG_SWITCH, "", "without values"},
    FLAGS_READ,
};
#define FLAGS_BACKUP_PLACE                                                                                             \
    {"encryption-keys", FLAG_TEXT, "FILE|'|COMMAND'",                                                                  \
     "its files are encrypted: master keys, the last one for new files"},                                              \
    {                                                                                                                  \
        "s3-endpoint", FLAG_TEXT, "URL", "of an object store; default: $AWS_ENDPOINT_URL, or AWS's of $AWS_REGION"     \
    }
#define FLAGS_BACKUP                                                                                                   \
    FLAGS_BACKUP_PLACE, {"rate", FLAG_NUMBER, "MIB", "at most so many MiB a second; default: as fast as it goes"},     \
    {                                                                                                                  \
        "parallel", FLAG_NUMBER, "N", "chunks at a time; default 4, restore 8"                                         \
    }
#define FLAG_BACKUP_AT                                                                                                 \
    {                                                                                                                  \
        "at", FLAG_TEXT, "TIMESTAMP|TIME", "as of it: a timestamp, or 2026-01-31T12:00:00Z; default: the latest"       \
    }
static const struct flag flags_backup_create[] = {
    {"incremental", FLAG_SWITCH, "", "only what has changed since the newest backup in the directory"},
    FLAGS_BACKUP,
};
static const struct flag flags_backup_list[] = {FLAGS_BACKUP_PLACE};
static const struct flag flags_backup_verify[] = {FLAG_BACKUP_AT, FLAGS_BACKUP_PLACE};
static const struct flag flags_backup_digest[] = {FLAG_BACKUP_AT};
static const struct flag flags_changefeed[] = {
    {"from", FLAG_NUMBER, "TIMESTAMP", "changes above it; default: from now on, or where the sink stands"},
    {"start", FLAG_TEXT, "KEY", "first key"},
    {"end", FLAG_TEXT, "KEY", "before this key"},
    {"prefix", FLAG_TEXT, "TEXT", "keys that begin with it"},
    {"sink", FLAG_TEXT, "-|file:PATH|http://...", "where lines of JSON go; a file keeps its own position"},
    {"state", FLAG_TEXT, "FILE", "keeps the position of standard output or a webhook"},
};
static const struct flag flags_backup_dump[] = {
    FLAG_BACKUP_AT,
    {"keyspace", FLAG_TEXT, "NAME", "only its rows"},
    FLAGS_BACKUP_PLACE,
};
static const struct flag flags_backup_restore[] = {
    FLAG_BACKUP_AT,
    {"no-check", FLAG_SWITCH, "", "do not read everything back in the end"},
    FLAGS_BACKUP,
};
static const struct flag flags_backup_follow[] = {
    {"every-ms", FLAG_NUMBER, "MS", "what is not archived yet is younger than this and what it takes; default 2000"},
    {"from-now", FLAG_SWITCH, "", "although changes since the newest backup are gone: take a new backup then"},
    FLAGS_BACKUP_PLACE,
};
static const struct flag flags_keyspace_create[] = {
    {"splits", FLAG_TEXT, "KEY,KEY,...", "keys at which to split from the start, ascending"},
    {"replication", FLAG_NUMBER, "N", "replicas of its ranges; default: the cluster's"},
    {"hash-buckets", FLAG_NUMBER, "N", "spread keys by hash over so many ranges; default: by range"},
    {"ttl", FLAG_TEXT, "DURATION", "rows put without a time to live vanish after it: 30s, 24h, 7d; default none"},
};
static const struct flag flags_keyspace_alter[] = {
    {"replication", FLAG_NUMBER, "N", "replicas of its ranges"},
    {"ttl", FLAG_TEXT, "DURATION|none", "of rows put from now on without one of their own"},
    {"restore", FLAG_SWITCH, "", "take a dropped keyspace back while its grace lasts"},
};
static const struct flag flags_snapshot_create[] = {
    {"at", FLAG_TEXT, "TIMESTAMP", "of the last minute, as reads tell it; default: now"},
    {"lifetime", FLAG_TEXT, "DURATION", "at most 7d; default 1h"},
};
static const struct flag flags_snapshot_extend[] = {
    {"lifetime", FLAG_TEXT, "DURATION", "from now on; at most 7d; default 1h"},
};
static const struct flag flags_keyspace_drop[] = {
    {"grace", FLAG_TEXT, "DURATION", "until its ranges are destroyed; default 24h"},
    {"dry-run", FLAG_SWITCH, "", "only say what would go"},
    {"yes", FLAG_SWITCH, "", "do it"},
};
#define FLAG_WATCH                                                                                                     \
    {                                                                                                                  \
        "watch", FLAG_SWITCH, "", "again every second"                                                                 \
    }
static const struct flag flags_watch[] = {FLAG_WATCH};
static const struct flag flags_top[] = {
    {"once", FLAG_SWITCH, "", "one screen, of one second"},
    {"every-ms", FLAG_NUMBER, "MS", "between screens; default 1000"},
    {"gateway", FLAG_TEXT, "HOST:PORT", "whose requests; default: the local cluster's"},
};
static const struct flag flags_import[] = {
    {"format", FLAG_TEXT, "csv|ndjson|raw", "default: as the file begins"},
    {"key", FLAG_TEXT, "COLUMN", "CSV: which column holds the key; default key, or key_b64"},
    {"value", FLAG_TEXT, "COLUMN", "CSV: the value; default value, or value_b64; without one: all others as JSON"},
    {"if-absent", FLAG_SWITCH, "", "leave rows that are there as they are"},
    {"rejects", FLAG_TEXT, "FILE", "rows that were refused, with line numbers and reasons; default: FILE.rejects"},
    {"batch", FLAG_NUMBER, "N", "rows of a range that are put together; default 128"},
};
static const struct flag flags_export[] = {
    {"format", FLAG_TEXT, "csv|ndjson|raw", "default ndjson"},
    {"start", FLAG_TEXT, "KEY", "first key"},
    {"end", FLAG_TEXT, "KEY", "before this key"},
    {"prefix", FLAG_TEXT, "TEXT", "keys that begin with it"},
    {"parallel", FLAG_NUMBER, "N", "ranges at a time; default 4; 1: in the order of keys"},
    FLAGS_READ,
};
static const struct flag flags_upgrade_finalize[] = {
    {"version", FLAG_NUMBER, "N", "default: the newest that this release supports"},
};
static const struct flag flags_range_split[] = {
    {"at", FLAG_TEXT, "KEY", "where the new range begins; without it the node chooses, near the middle"},
};
static const struct flag flags_range_list[] = {
    {"keyspace", FLAG_TEXT, "NAME", "only its ranges"},
    FLAG_WATCH,
};
static const struct flag flags_range_move[] = {
    {"from", FLAG_NUMBER, "NODE", "the replica there goes; alone: the range has one replica less"},
    {"to", FLAG_NUMBER, "NODE", "a replica comes there; alone: the range has one more"},
    {"no-wait", FLAG_SWITCH, "", "print the operator's id and do not follow it"},
};
static const struct flag flags_decommission[] = {
    {"dry-run", FLAG_SWITCH, "", "only say whether it can be done, and what it would take"},
    {"no-wait", FLAG_SWITCH, "", "do not follow it"},
};
static const struct flag flags_unsafe_recover[] = {
    {"lost", FLAG_TEXT, "NODE,...", "nodes that never come back; they must have been silent for 10 s"},
    {"dry-run", FLAG_SWITCH, "", "only say which ranges go on where, and what may be lost"},
    {"accept-data-loss", FLAG_SWITCH, "", "do it"},
};
static const struct flag flags_placement_set[] = {
    {"voters", FLAG_NUMBER, "N", "replicas that vote; the same as keyspace alter --replication"},
    {"learners", FLAG_NUMBER, "N", "further replicas, which only follow: for reads that need not be fresh"},
    {"within", FLAG_TEXT, "LABELS|any",
     "nodes that may hold it: region=X, zone=X, host=X; several with commas between"},
    {"leaders", FLAG_TEXT, "LABELS|any", "nodes that are to lead it, as long as they can"},
    {"learners-within", FLAG_TEXT, "LABELS|any", "nodes that may hold its learners; default: those of --within"},
};
static const struct flag flags_maintenance[] = {
    {"minutes", FLAG_NUMBER, "N", "how long; default 60"},
    {"end", FLAG_SWITCH, "", "it is over"},
};
static const struct flag flags_demo_records[] = {
    {"gateway", FLAG_TEXT, "HOST:PORT", "default: the local cluster's"},
    {"connections", FLAG_NUMBER, "N", "HTTP connections; default 64"},
    {"report", FLAG_TEXT, "FILE", "where the result's lines are also written"},
    {"ranges", FLAG_NUMBER, "N", "ranges of a new keyspace; default 12"},
};
static const struct flag flags_demo_bank[] = {
    {"gateway", FLAG_TEXT, "HOST:PORT", "default: the local cluster's"},
    {"connections", FLAG_NUMBER, "N", "HTTP connections; default 64"},
    {"report", FLAG_TEXT, "FILE", "where the result's lines are also written"},
    {"count", FLAG_NUMBER, "N", "transactions; default 60000"},
    {"seconds", FLAG_NUMBER, "S", "end earlier after so long; default 30"},
    {"accounts", FLAG_NUMBER, "N", "in each of ten branches; default 1000. Keep it from run to run"},
    {"no-kill", FLAG_SWITCH, "", "do not kill a leader half way"},
    {"acks", FLAG_TEXT, "FILE", "where each acknowledged id is written, below DIR/demo; default bank-acknowledged.txt"},
};

#define FLAG_CERTS_OUT                                                                                                 \
    {                                                                                                                  \
        "out", FLAG_TEXT, "DIR", "where certificates and keys are; default ./certs"                                    \
    }
#define FLAG_CERT_DAYS(text)                                                                                           \
    {                                                                                                                  \
        "days", FLAG_NUMBER, "N", text                                                                                 \
    }
static const struct flag flags_cert_authority[] = {
    FLAG_CERTS_OUT,
    FLAG_CERT_DAYS("valid for; default 3650"),
    {"name", FLAG_TEXT, "NAME", "of the authority; default quorate"},
};
static const struct flag flags_cert_revoke[] = {FLAG_CERTS_OUT};
static const struct flag flags_cert_issue[] = {
    FLAG_CERTS_OUT,
    FLAG_CERT_DAYS("valid for; default 365"),
    {"role", FLAG_TEXT, "server|admin", "default server"},
    {"hosts", FLAG_TEXT, "HOST,IP,...", "under which others reach this server"},
    {"renew", FLAG_SWITCH, "", "replace a certificate that exists; servers take it up while they run"},
};

static const struct flag flags_debug_table[] = {
    {"rows", FLAG_SWITCH, "", "every row too, or every record"},
    {"encryption-keys", FLAG_TEXT, "FILE|'|COMMAND'", "of an encrypted data directory"},
};
static const struct flag flags_debug_backup[] = {
    {"rows", FLAG_SWITCH, "", "every row too"},
    {"encryption-keys", FLAG_TEXT, "FILE|'|COMMAND'", "of an encrypted backup"},
};
static const struct flag flags_debug_zip[] = {
    {"logs", FLAG_TEXT, "FILE,...", "log files to be put in; those of a local cluster are in it without"},
    {"lines", FLAG_NUMBER, "N", "of each log at most the last so many; default 20000"},
};
static const struct flag flags_debug_manifest[] = {
    {"encryption-keys", FLAG_TEXT, "FILE|'|COMMAND'", "of an encrypted data directory"},
};
static const struct flag flags_user_set[] = {
    {"password-stdin", FLAG_SWITCH, "", "a new password: the first line of standard input"},
    {"roles", FLAG_TEXT, "NAME,...", "all of the user's roles; root may do everything"},
    {"disable", FLAG_SWITCH, "", "neither password nor tokens are good any more"},
    {"enable", FLAG_SWITCH, "", "good again"},
    {"rate", FLAG_NUMBER, "N", "requests a second through one gateway; 0: any number"},
    {"quota", FLAG_NUMBER, "BYTES", "of requests and answers a day, through all gateways; 0: any number"},
    {"revoke", FLAG_SWITCH, "", "all tokens end"},
};
static const struct flag flags_bench_kv[] = {
    {"keyspace", FLAG_TEXT, "NAME", "default: default"},
    {"prefix", FLAG_TEXT, "TEXT", "of the keys; default bench/, with --history one of this run's own"},
    {"connections", FLAG_NUMBER, "N", "default 64"},
    {"depth", FLAG_NUMBER, "N", "operations under way on each connection; default 1"},
    {"keys", FLAG_NUMBER, "N", "default 10000; scan, mixed, ycsb: 100000"},
    {"value-size", FLAG_NUMBER, "BYTES", "default 100; ycsb: 1000"},
    {"noise", FLAG_SWITCH, "", "values that no compression makes smaller"},
    {"reads", FLAG_NUMBER, "PERCENT", "gets; what no share is left for are puts"},
    {"scans", FLAG_NUMBER, "PERCENT", "scans of 1 to --scan-rows rows"},
    {"scan-rows", FLAG_NUMBER, "N", "default 100"},
    {"inserts", FLAG_NUMBER, "PERCENT", "puts of new keys"},
    {"modifies", FLAG_NUMBER, "PERCENT", "a get, then a put of the same key"},
    {"cas", FLAG_NUMBER, "PERCENT", "compare-and-swaps"},
    {"deletes", FLAG_NUMBER, "PERCENT", "deletes"},
    {"txn-reads", FLAG_NUMBER, "N", "gets in a transaction of `bench txn`; default 2"},
    {"txn-writes", FLAG_NUMBER, "N", "puts in it; default 2"},
    {"transfers", FLAG_NUMBER, "PERCENT", "1 from one counter to another: two guarded additions"},
    {"spread", FLAG_TEXT, "uniform|zipfian|latest|sequential", "which keys; zipfian and latest are YCSB's, 0.99"},
    {"fill", FLAG_SWITCH, "", "write every key once before the clock starts"},
    {"seconds", FLAG_NUMBER, "S", "default 10, without a limit when --total is given"},
    {"total", FLAG_NUMBER, "N", "end after so many operations"},
    {"rate", FLAG_NUMBER, "N", "operations a second; default: as fast as they are answered"},
    {"ids", FLAG_SWITCH, "", "an idempotency id for each write: what had no answer is sent again until --timeout"},
    {"http", FLAG_TEXT, "URL", "through this gateway, for example http://127.0.0.1:7480"},
    {"history", FLAG_TEXT, "FILE", "what was done, one operation a line (docs/formats/history.md)"},
    {"line", FLAG_TEXT, "NAME", "print the result as lines 'bench NAME/... ours=... unit=...'"},
    {"seed", FLAG_NUMBER, "N", "of the choice of keys and operations; default: a random one"},
};
static const struct flag flags_bench_bank[] = {
    {"keyspace", FLAG_TEXT, "NAME",
     "default: default; of one range, or of many: then transfers go over several ranges"},
    {"accounts", FLAG_NUMBER, "N", "default 100000; made first, this run's own"},
    {"hot", FLAG_NUMBER, "N", "transfers go among so many of them alone"},
    {"connections", FLAG_NUMBER, "N", "default 4"},
    {"depth", FLAG_NUMBER, "N", "transfers under way on each connection; default 64"},
    {"seconds", FLAG_NUMBER, "S", "default 10"},
    {"ids", FLAG_SWITCH, "", "an idempotency id for each transfer"},
    {"audit", FLAG_SWITCH, "", "read all balances as of one timestamp again and again meanwhile"},
    {"audit-every", FLAG_NUMBER, "MS", "begin a reading so long after the one before began; default 0: at once"},
    {"audit-turns", FLAG_NUMBER, "MS",
     "readings in every second turn of so long only, and how much they slow the transfers: medians; default 0: no "
     "turns"},
    {"history", FLAG_TEXT, "FILE", "each such reading, one line (docs/formats/history.md)"},
    {"line", FLAG_TEXT, "NAME", "print the result as lines 'bench NAME/... ours=... unit=...'"},
};
static const struct flag flags_bench_append[] = {
    {"keyspace", FLAG_TEXT, "NAME", "default: default; of many ranges: then transactions go over several"},
    {"clients", FLAG_NUMBER, "N", "transactions under way; default 8"},
    {"lists", FLAG_NUMBER, "N", "lists in use at a time; default 6"},
    {"seconds", FLAG_NUMBER, "S", "default 10"},
    {"history", FLAG_TEXT, "FILE", "what was done, two lines a transaction (docs/formats/history.md)"},
};
static const struct flag flags_bench_transfer[] = {
    {"count", FLAG_NUMBER, "N", "transfers; default 20"},
};

#define FLAGS_LEDGER                                                                                                   \
    {                                                                                                                  \
        "scale", FLAG_NUMBER, "DIGITS",                                                                                \
            "show amounts with so many digits behind the point; default: as the ledger's currency"                     \
    }
static const struct flag flags_ledger_accounts[] = {
    {"ledger", FLAG_NUMBER, "N", "default 1"},
    {"code", FLAG_NUMBER, "N", "default 1"},
    {"flags", FLAG_TEXT, "FLAG,...", "debits_must_not_exceed_credits, credits_must_not_exceed_debits, linked, history"},
};
static const struct flag flags_ledger_transfer[] = {
    {"id", FLAG_TEXT, "ID", "acts once, for ever; default: a random one"},
    {"ledger", FLAG_NUMBER, "N", "default 1"},
    {"code", FLAG_NUMBER, "N", "default 1"},
    {"flags", FLAG_TEXT, "FLAG,...", "pending, balancing_debit, balancing_credit, closing_debit, closing_credit"},
    {"expires-s", FLAG_NUMBER, "SECONDS", "of a pending one"},
};
static const struct flag flags_ledger_second[] = {
    {"id", FLAG_TEXT, "ID", "acts once, for ever; default: a random one"},
    {"amount", FLAG_TEXT, "AMOUNT", "default: all that is pending"},
};
static const struct flag flags_ledger_account[] = {
    {"at", FLAG_NUMBER, "TIMESTAMP", "as of it; default: now"},
    FLAGS_LEDGER,
};
static const struct flag flags_ledger_list[] = {
    {"limit", FLAG_NUMBER, "N", "default 100"},
    {"from", FLAG_NUMBER, "TIMESTAMP", "from it on"},
    {"to", FLAG_NUMBER, "TIMESTAMP", "before it"},
    {"code", FLAG_NUMBER, "N", "only with this code"},
    {"ledger", FLAG_NUMBER, "N", "only of this ledger"},
    {"reverse", FLAG_SWITCH, "", "newest first"},
    FLAGS_LEDGER,
};
static const struct flag flags_ledger_show[] = {FLAGS_LEDGER};
static const struct flag flags_ledger_currency[] = {
    {"scale", FLAG_NUMBER, "DIGITS", "behind the point, for people; 0 to 18"},
    {"name", FLAG_TEXT, "NAME", "such as EUR; default: none"},
};
static const struct flag flags_ledger_import[] = {
    {"rejects", FLAG_TEXT, "FILE", "rows that were refused, with reasons; default: FILE.rejects"},
    {"batch", FLAG_NUMBER, "N", "rows at a time; default 8190"},
};
static const struct flag flags_bench_ledger[] = {
    {"gateway", FLAG_TEXT, "HOST:PORT", "default: the local cluster's"},
    {"connections", FLAG_NUMBER, "N", "default 64, in batches 8"},
    {"batch", FLAG_NUMBER, "N", "transfers in a request; default 1"},
    {"accounts", FLAG_NUMBER, "N", "default 100000"},
    {"hot", FLAG_NUMBER, "N", "only between so many of them"},
    {"funds", FLAG_NUMBER, "AMOUNT", "of each account; default 1000000000"},
    {"seconds", FLAG_NUMBER, "S", "default 10"},
    {"line", FLAG_TEXT, "NAME", "print the result as a line 'bench NAME/... ours=... unit=...'"},
    {"report", FLAG_TEXT, "FILE", "where the result's lines are also written"},
};

#define FLAGS(f) f, sizeof(f) / sizeof((f)[0])
#define NO_FLAGS NULL, 0

const struct command cli_commands[] = {
    {"cluster start", "[NAME]", "start a local cluster, or a process of it that was held down", run_cluster_start, 0, 1,
     FLAGS(flags_cluster_start), false},
    {"cluster stop", "", "stop the local cluster cleanly", run_cluster_stop, 0, 0, NO_FLAGS, false},
    {"cluster status", "", "the local cluster's processes", run_cluster_status, 0, 0, NO_FLAGS, false},
    {"cluster kill", "NAME", "kill -9 a process of the local cluster and hold it down", run_cluster_kill, 1, 1,
     NO_FLAGS, false},
    {"cluster add-node", "", "start one more storage node, with the next number", run_cluster_add_node, 0, 0, NO_FLAGS,
     false},
    {"cluster supervise", "", "the local cluster's parent process", run_cluster_supervise, 0, 0, NO_FLAGS, true},
    {"status", "", "one screen: what is up, what may still fail, what is wrong", run_status, 0, 0, FLAGS(flags_watch),
     false},
    {"top", "", "what happens now: nodes, latencies, the busiest ranges; again every second", run_top, 0, 0,
     FLAGS(flags_top), false},
    {"get", "KEYSPACE KEY", "print a value", run_get, 2, 2, FLAGS(flags_get), false},
    {"put", "KEYSPACE KEY VALUE|-", "write a value; - reads it from standard input", run_put, 3, 3, FLAGS(flags_put),
     false},
    {"del", "KEYSPACE KEY", "delete a key", run_del, 2, 2, FLAGS(flags_del), false},
    {"scan", "KEYSPACE", "print rows in key order; json: one object a line", run_scan, 1, 1, FLAGS(flags_scan), false},
    {"txn", "FILE|-", "run a transaction given as JSON (as POST /v1/txn)", run_txn, 1, 1, NO_FLAGS, false},
    {"keyspace create", "NAME", "make a keyspace; one that is there already and all that is asked for stays as it is",
     run_keyspace_create, 1, 1, FLAGS(flags_keyspace_create), false},
    {"keyspace alter", "NAME", "change replication or time to live, or restore a dropped keyspace", run_keyspace_alter,
     1, 1, FLAGS(flags_keyspace_alter), false},
    {"keyspace drop", "NAME", "refuse it at once, destroy it after a grace", run_keyspace_drop, 1, 1,
     FLAGS(flags_keyspace_drop), false},
    {"keyspace show", "NAME", "one keyspace", run_keyspace_show, 1, 1, NO_FLAGS, false},
    {"keyspace list", "", "all keyspaces", run_keyspace_list, 0, 0, NO_FLAGS, false},
    {"snapshot create", "NAME", "keep the past from now on readable, whatever is written since", run_snapshot_create, 1,
     1, FLAGS(flags_snapshot_create), false},
    {"snapshot extend", "NAME", "a registered snapshot lives longer", run_snapshot_extend, 1, 1,
     FLAGS(flags_snapshot_extend), false},
    {"snapshot drop", "NAME", "a registered snapshot ends", run_snapshot_drop, 1, 1, NO_FLAGS, false},
    {"snapshot list", "", "registered snapshots, and how long they live", run_snapshot_list, 0, 0, FLAGS(flags_watch),
     false},
    {"range list", "", "all ranges with their leaders", run_range_list, 0, 0, FLAGS(flags_range_list), false},
    {"range transfer", "RANGE NODE", "give a range's leadership to its replica on that node", run_range_transfer, 2, 2,
     NO_FLAGS, false},
    {"node drain", "NODE", "give away all leaderships of a node, and keep them away", run_node_drain, 1, 1, NO_FLAGS,
     false},
    {"node undrain", "NODE", "let a drained node lead again", run_node_undrain, 1, 1, NO_FLAGS, false},
    {"node list", "", "all storage nodes", run_node_list, 0, 0, FLAGS(flags_watch), false},
    {"init", "", "give a new cluster its identity, once; harmless when repeated", run_init, 0, 0, FLAGS(flags_init),
     false},
    {"meta", "", "run a metadata server", run_meta, 0, 0, FLAGS(flags_meta), false},
    {"meta list", "", "the metadata servers: who leads, who is up, how far each is", run_meta_list, 0, 0,
     FLAGS(flags_watch), false},
    {"meta add", "MEMBER HOST:PORT", "take in a metadata server, which runs with --join there", run_meta_add, 2, 2,
     NO_FLAGS, false},
    {"meta remove", "MEMBER", "take a metadata server out", run_meta_remove, 1, 1, NO_FLAGS, false},
    {"meta rebuild", "", "last resort: the metadata is lost; make it anew, in new servers, from what the nodes hold",
     run_meta_rebuild, 0, 0, FLAGS(flags_meta_rebuild), false},
    {"meta transfer", "MEMBER", "give the metadata service's leadership to that member", run_meta_transfer, 1, 1,
     NO_FLAGS, false},
    {"node", "", "run a storage node", run_node, 0, 0, FLAGS(flags_node), false},
    {"gateway", "", "run an HTTP gateway", run_gateway, 0, 0, FLAGS(flags_gateway), false},
    {"range show", "RANGE", "one range: span, replicas, size", run_range_show, 1, 1, FLAGS(flags_watch), false},
    {"range split", "RANGE", "cut a range in two", run_range_split, 1, 1, FLAGS(flags_range_split), false},
    {"range merge", "RANGE RANGE", "a range takes in the one behind it", run_range_merge, 2, 2, NO_FLAGS, false},
    {"range move", "RANGE", "move a replica, or add or remove one", run_range_move, 1, 1, FLAGS(flags_range_move),
     false},
    {"range transfer-leader", "RANGE NODE", "the same as range transfer", run_range_transfer, 2, 2, NO_FLAGS, false},
    {"range scatter", "KEYSPACE", "deal its leaderships out over the nodes", run_range_scatter, 1, 1, NO_FLAGS, false},
    {"range hot", "", "the ranges with most operations per second", run_range_hot, 0, 0, FLAGS(flags_watch), false},
    {"range check", "[RANGE]", "compare what all replicas hold; exit status 1 if any differs", run_range_check, 0, 1,
     FLAGS(flags_range_list), false},
    {"node show", "NODE", "one node: state, replicas, disk", run_node_show, 1, 1, FLAGS(flags_watch), false},
    {"node decommission", "NODE", "move all its replicas elsewhere, then it may be stopped for good",
     run_node_decommission, 1, 1, FLAGS(flags_decommission), false},
    {"node recommission", "NODE", "take it back: it takes replicas and leaderships again", run_node_recommission, 1, 1,
     NO_FLAGS, false},
    {"node maintenance", "NODE", "it leads nothing and is not replaced for a while", run_node_maintenance, 1, 1,
     FLAGS(flags_maintenance), false},
    {"op list", "", "operators under way: what moves, why, what it waits for", run_op_list, 0, 0, FLAGS(flags_watch),
     false},
    {"op show", "OP", "one operator", run_op_show, 1, 1, FLAGS(flags_watch), false},
    {"op cancel", "OP", "stop an operator where it is", run_op_cancel, 1, 1, NO_FLAGS, false},
    {"op history", "", "operators that have ended, and how", run_op_history, 0, 0, FLAGS(flags_watch), false},
    {"scheduler list", "", "the schedulers and whether they are on", run_scheduler_list, 0, 0, FLAGS(flags_watch),
     false},
    {"scheduler pause", "NAME", "repair, balance, leaders, split or merge: off", run_scheduler_pause, 1, 1, NO_FLAGS,
     false},
    {"scheduler resume", "NAME", "on again", run_scheduler_resume, 1, 1, NO_FLAGS, false},
    {"scheduler describe", "", "what is not done, and why", run_scheduler_describe, 0, 0, FLAGS(flags_watch), false},
    {"placement set", "KEYSPACE", "which nodes a keyspace wants: voters, learners, leaders, labels", run_placement_set,
     1, 1, FLAGS(flags_placement_set), false},
    {"placement show", "", "the keyspaces' rules; what each node holds, and its share", run_placement_show, 0, 0,
     FLAGS(flags_watch), false},
    {"placement check", "", "which ranges are not as their rules ask; exit status 1 if any", run_placement_check, 0, 0,
     FLAGS(flags_watch), false},
    {"unsafe-recover", "", "last resort: ranges whose quorum is gone for ever go on with what is left; loses data",
     run_unsafe_recover, 0, 0, FLAGS(flags_unsafe_recover), false},
    {"import", "KEYSPACE FILE|-", "rows of CSV, lines of JSON or raw rows; harmless when repeated", run_import, 2, 2,
     FLAGS(flags_import), false},
    {"export", "KEYSPACE [FILE|-]", "all rows of one snapshot as CSV, lines of JSON or raw rows", run_export, 1, 2,
     FLAGS(flags_export), false},
    {"upgrade status", "", "which release each process runs, and the version that the cluster is finalised at",
     run_upgrade_status, 0, 0, FLAGS(flags_watch), false},
    {"upgrade check", "", "what stands in the way of finalising; exit status 1 if anything does", run_upgrade_check, 0,
     0, FLAGS(flags_watch), false},
    {"upgrade finalize", "", "use what the new release brought: no way back to the former one", run_upgrade_finalize, 0,
     0, FLAGS(flags_upgrade_finalize), false},
    {"config get", "[NAME]", "settings of the cluster", run_config_get, 0, 1, FLAGS(flags_watch), false},
    {"config set", "NAME VALUE|default", "change one", run_config_set, 2, 2, NO_FLAGS, false},
    {"demo records", "", "store the package index from standard input, read it back, compare", run_demo_records, 0, 0,
     FLAGS(flags_demo_records), false},
    {"demo bank", "", "transfers of a ledger with a leader killed half way", run_demo_bank, 0, 0,
     FLAGS(flags_demo_bank), false},
    {"bench kv", "", "load with single-key operations: throughput, latencies, errors, longest pause", run_bench_kv, 0,
     0, FLAGS(flags_bench_kv), false},
    {"bench scan", "", "the same with scans alone", run_bench_scan, 0, 0, FLAGS(flags_bench_kv), false},
    {"bench mixed", "", "the same with some of everything", run_bench_mixed, 0, 0, FLAGS(flags_bench_kv), false},
    {"bench txn", "", "the same with transactions of several keys", run_bench_txn, 0, 0, FLAGS(flags_bench_kv), false},
    {"bench ycsb", "a|b|c|d|e|f", "a core workload of YCSB", run_bench_ycsb, 1, 1, FLAGS(flags_bench_kv), false},
    {"ledger create-accounts", "ID...", "make accounts", run_ledger_create_accounts, 1, ARGS_WORDS_MAX,
     FLAGS(flags_ledger_accounts), false},
    {"ledger transfer", "DEBIT CREDIT AMOUNT", "move an amount from one account to another", run_ledger_transfer, 3, 3,
     FLAGS(flags_ledger_transfer), false},
    {"ledger post", "PENDING", "post a pending transfer, or part of it", run_ledger_post, 1, 1,
     FLAGS(flags_ledger_second), false},
    {"ledger void", "PENDING", "give back what a pending transfer reserved", run_ledger_void, 1, 1,
     FLAGS(flags_ledger_second), false},
    {"ledger account", "ID", "an account and its balances", run_ledger_account, 1, 1, FLAGS(flags_ledger_account),
     false},
    {"ledger lookup", "ID", "a transfer and its state", run_ledger_lookup, 1, 1, FLAGS(flags_ledger_show), false},
    {"ledger transfers", "[ACCOUNT]", "an account's transfers by time, or all by id", run_ledger_transfers, 0, 1,
     FLAGS(flags_ledger_list), false},
    {"ledger balances", "ACCOUNT", "an account's balances behind each transfer, newest first", run_ledger_balances, 1,
     1, FLAGS(flags_ledger_list), false},
    {"ledger audit", "", "prove from the rows that debits equal credits and balances their postings",
     run_ledger_audit_command, 0, 0, FLAGS(flags_ledger_account), false},
    {"ledger currency", "LEDGER", "say how people write the amounts of a ledger", run_ledger_currency, 1, 1,
     FLAGS(flags_ledger_currency), false},
    {"ledger currencies", "", "what the ledgers' amounts are", run_ledger_currencies, 0, 0, NO_FLAGS, false},
    {"ledger import", "FILE|-", "accounts and transfers from CSV or lines of JSON; harmless when repeated",
     run_ledger_import, 1, 1, FLAGS(flags_ledger_import), false},
    {"ledger dump", "", "all accounts and transfers of one snapshot, a line each", run_ledger_dump, 0, 0, NO_FLAGS,
     false},
    {"changefeed", "KEYSPACE", "every change as a line of JSON, at least once, to a file, a webhook or standard output",
     run_changefeed, 1, 1, FLAGS(flags_changefeed), false},
    {"backup create", "DIR|s3://...", "copy everything, as of one timestamp, while it is used; run again, it goes on",
     run_backup_create, 1, 1, FLAGS(flags_backup_create), false},
    {"backup list", "DIR|s3://...", "the backups of a directory, and up to when each can be brought", run_backup_list,
     1, 1, FLAGS(flags_backup_list), false},
    {"backup verify", "DIR|s3://...", "read everything that a restore would, and prove it whole", run_backup_verify, 1,
     1, FLAGS(flags_backup_verify), false},
    {"backup restore", "DIR|s3://...", "into a new, empty cluster; run again, it goes on", run_backup_restore, 1, 1,
     FLAGS(flags_backup_restore), false},
    {"backup dump", "DIR|s3://...", "the rows that a restore would write, a line of JSON each", run_backup_dump, 1, 1,
     FLAGS(flags_backup_dump), false},
    {"backup follow", "DIR|s3://...", "archive every change as it is made, until it is stopped: for --at any moment",
     run_backup_follow, 1, 1, FLAGS(flags_backup_follow), false},
    {"backup digest", "", "what the cluster holds, as a number for each keyspace: equal numbers, equal contents",
     run_backup_digest, 0, 0, FLAGS(flags_backup_digest), false},
    {"bench ledger", "", "transfers over HTTP: throughput, latencies", run_bench_ledger, 0, 0,
     FLAGS(flags_bench_ledger), false},
    {"bench bank", "", "transfers between accounts, in one range or over many: throughput, latencies, exact sums",
     run_bench_bank, 0, 0, FLAGS(flags_bench_bank), false},
    {"bench append", "", "transactions that read lists and append to them, for a checker of histories",
     run_bench_append, 0, 0, FLAGS(flags_bench_append), false},
    {"bench transfer", "", "move a range's leadership round under load: pauses, failed requests", run_bench_transfer, 0,
     0, FLAGS(flags_bench_transfer), false},
    {"auth status", "", "whether the gateways ask who a request is from", run_auth_status, 0, 0, NO_FLAGS, false},
    {"auth enable", "", "from now on they ask; somebody must be there who may administer", run_auth_enable, 0, 0,
     NO_FLAGS, false},
    {"auth disable", "", "everybody who can reach a gateway may do everything", run_auth_disable, 0, 0, NO_FLAGS,
     false},
    {"user list", "", "all users", run_user_list, 0, 0, NO_FLAGS, false},
    {"user set", "NAME", "make a user, or change one", run_user_set, 1, 1, FLAGS(flags_user_set), false},
    {"user drop", "NAME", "the user is gone, and so are the tokens", run_user_drop, 1, 1, NO_FLAGS, false},
    {"role list", "", "all roles and their rights", run_role_list, 0, 0, NO_FLAGS, false},
    {"role set", "NAME VERBS[:KEYSPACE[:PREFIX]]...", "what a role may do: read, write, ledger, admin", run_role_set, 1,
     ARGS_WORDS_MAX, NO_FLAGS, false},
    {"role drop", "NAME", "nobody has it any more", run_role_drop, 1, 1, NO_FLAGS, false},
    {"cert authority", "", "make an authority for certificates", run_cert_authority, 0, 0, FLAGS(flags_cert_authority),
     false},
    {"cert issue", "NAME", "make a key and a certificate, signed by it", run_cert_issue, 1, 1, FLAGS(flags_cert_issue),
     false},
    {"cert revoke", "NAME", "it is believed no more: copy DIR/authority.crl to all servers", run_cert_revoke, 1, 1,
     FLAGS(flags_cert_revoke), false},
    {"cert show", "FILE...", "what certificates say", run_cert_show, 1, ARGS_WORDS_MAX, NO_FLAGS, false},
    {"key new", "FILE", "add a master key to a file for --encryption-keys, which may not be there yet", run_key_new, 1,
     1, NO_FLAGS, false},
    {"key list", "FILE", "the keys' ids", run_key_list, 1, 1, NO_FLAGS, false},
    {"key drop", "FILE ID", "take out a key that is no longer needed", run_key_drop, 2, 2, NO_FLAGS, false},
    {"debug table", "FILE", "what a table of the store holds, offline: properties, blocks, damage", run_debug_table, 1,
     1, FLAGS(flags_debug_table), false},
    {"debug check", "DIR",
     "a stopped server's data directory, offline: identity, log, manifest, every block of every table", run_debug_check,
     1, 1, FLAGS(flags_debug_manifest), false},
    {"debug log", "DIR", "what the log of a stopped server's data directory holds, offline: segments, groups",
     run_debug_log, 1, 1, FLAGS(flags_debug_table), false},
    {"debug backup", "FILE", "what a file of a backup holds, offline: a chunk, changes, a manifest", run_debug_backup,
     1, 1, FLAGS(flags_debug_backup), false},
    {"debug zip", "FILE", "one file for support: status, ranges, operators, logs; without keys, values and secrets",
     run_debug_zip, 1, 1, FLAGS(flags_debug_zip), false},
    {"debug manifest", "FILE", "which tables a store's manifest names, offline", run_debug_manifest, 1, 1,
     FLAGS(flags_debug_manifest), false},
    {"shell", "", "commands line by line, with history and completion; or from standard input", run_shell, 0, 0,
     NO_FLAGS, false},
    {"completion", "bash", "completion for a shell: source <(quorate completion bash)", run_completion, 1, 1, NO_FLAGS,
     false},
    {"complete", "-- WORD...", "what may come next", run_complete, 0, ARGS_WORDS_MAX, NO_FLAGS, true},
    {"manual", "", "quorate(1), for man", run_manual, 0, 0, NO_FLAGS, true},
    {"version", "", "version of this binary", run_version, 0, 0, NO_FLAGS, false},
    {"help", "[COMMAND]", "this list, or a command's flags", run_help, 0, 2, NO_FLAGS, false},
};
const size_t cli_command_count = sizeof(cli_commands) / sizeof(cli_commands[0]);
