#!/bin/sh
# Transfers beside PostgreSQL, in one run, by turns: make bench-bank ROUNDS=3 SECONDS=8. The same work for both: a guarded debit and a
# credit, 64 under way, a row for each, accounts uniform or ten hot ones. Lines: bench bank/... ours=... postgres=... ratio=...
# (medians of the rounds). Of PostgreSQL counts the better of row locks and SERIALIZABLE with retries.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/../../tests/process/lib.sh"
# shellcheck source=bench/bank/postgres.sh
. "$(dirname "$0")/postgres.sh"

rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-8} accounts=100000
trap 'pg_stop; "$quorate" cluster stop >/dev/null 2>&1; cleanup' EXIT
if [ -z "$pg_bin" ] || ! [ -x "$pg_bin/pgbench" ]; then
    echo "PostgreSQL is missing: apt-get install postgresql-15"
    exit 1
fi

cluster_start >/dev/null || exit 1
"$quorate" scheduler pause split >/dev/null # of one range, or of eight: as the line says
"$quorate" keyspace create one >/dev/null || exit 1
"$quorate" keyspace create many --hash-buckets 8 >/dev/null || exit 1
pg_start $((base + 90)) || exit 1
pg_fill "$accounts" || exit 1
for w in uniform hot; do pg_script "$accounts" "$w" >"$work/$w.sql"; done

ours() { # ours NAME KEYSPACE ARGUMENTS...: a round, its rate appended to NAME
    name=$1 keyspace=$2
    shift 2
    "$quorate" bench bank --keyspace "$keyspace" --accounts "$accounts" --seconds "$seconds" --connections 4 --depth 16 "$@" --ids \
        --line round >"$work/ours.out" 2>&1 || { cat "$work/ours.out" >&2; exit 1; }
    sed -n 's/^bench round ours=\([0-9]*\) .*/\1/p' "$work/ours.out" >>"$work/$name"
}
ledger() { # ledger NAME ARGUMENTS...: likewise of the ledger, over HTTP
    name=$1
    shift
    "$quorate" bench ledger --accounts "$accounts" --seconds "$seconds" "$@" --line round >"$work/ours.out" 2>&1 ||
        { cat "$work/ours.out" >&2; exit 1; }
    sed -n 's/^bench round.* ours=\([0-9]*\) .*/\1/p' "$work/ours.out" >>"$work/$name"
}
theirs() { # theirs NAME LEVEL
    pg_run "$1" "$2" 64 "$seconds" >>"$work/pg_$1_$(printf %s "$2" | tr -d ' ')" || exit 1
}
for round in $(seq "$rounds"); do
    theirs uniform "read committed"
    ours one_uniform one
    theirs uniform serializable
    ours many_uniform many
    theirs hot "read committed"
    ours one_hot one --hot 10
    theirs hot serializable
    ours many_hot many --hot 10
    ours many_read many --audit --audit-every 1000
    ours many_unread many
    ledger ledger_uniform --connections 64
    ledger ledger_hot --connections 64 --hot 10
    ledger ledger_batches_uniform --connections 8 --batch 1000
    ledger ledger_batches_hot --connections 8 --batch 1000 --hot 10
    echo "round $round of $rounds done" >&2
done
check "PostgreSQL's books are right" pg_audit "$accounts"

python3 - "$work" <<'PYTHON' || exit 1
import sys, statistics
work = sys.argv[1]
def median(name, column=0):
    return statistics.median(float(l.split()[column]) for l in open(work + "/" + name))
read, unread = median("many_read"), median("many_unread")
print("bench bank/many_while_read ours=%.0f unread=%.0f unit=transfer/s ratio=%.3f" % (read, unread, read / unread))
for load in ("uniform", "hot"):
    locks, ssi = median("pg_%s_readcommitted" % load), median("pg_%s_serializable" % load)
    peer = max(locks, ssi)
    if peer == 0: sys.exit("PostgreSQL has done nothing in its time: give it more (SECONDS_EACH)")
    for shards in ("one", "many", "ledger", "ledger_batches"):
        mine = median("%s_%s" % (shards, load))
        print("bench bank/%s_%s ours=%.0f postgres=%.0f unit=transfer/s ratio=%.2f" % (shards, load, mine, peer, mine / peer))
    print("bench bank/postgres_%s_retries ours=%.0f unit=retries_under_serializable" % (load, median("pg_%s_serializable" % load, 1)))
PYTHON
finish >/dev/null
