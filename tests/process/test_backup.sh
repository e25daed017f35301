#!/bin/sh
# Backups of a bank under load: a node killed meanwhile, a backup broken off and gone on with, the archive of changes, a restore into a
# new cluster whose digest is that of the old one; and every moment of a recorded history, exact to the transaction.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

bk=$work/bk
at_of() { json "d['timestamp']"; }

check "the cluster starts" cluster_start
check "a keyspace of many ranges" "$quorate" keyspace create wide --splits user/2,user/4,user/6
check "a keyspace spread by hash" "$quorate" keyspace create hashed --hash-buckets 5
python3 - >"$work/rows.ndjson" <<'PYTHON'
for i in range(3000): print('{"key":"user/%d/%d","value":"%s"}' % (i % 9, i, "v%d-" % i * 300))
PYTHON
check "rows" "$quorate" import wide "$work/rows.ndjson"
check "accounts" "$quorate" ledger create-accounts 1 2
check "a transfer" "$quorate" ledger transfer 1 2 70
check "a row with a time to live" "$quorate" put wide gone soon --ttl 3s

# A bank whose transfers are recorded: each leaves a row under its number in the same transaction.
python3 "$here/backup_bank.py" "$(gateway)" "$work/history" "$work/stop" >"$work/bank.out" 2>&1 &
bank=$!
sleep 1
victim=$(leader_of wide)
"$quorate" backup create "$bk" --rate 1 -o json >"$work/full" 2>"$work/full.err" &
creating=$!
range=$("$quorate" range list --keyspace wide -o json | json "[r['id'] for r in d['ranges']][1]")
sleep 0.3
check "a range is split during the backup" eventually "$quorate" range split "$range" --at user/3
sleep 0.4
check "kill -9 of $victim during the backup" kill -9 "$(pid_of "$victim")"
wait $creating
check "the backup is complete" at_of <"$work/full"
at=$(at_of <"$work/full")
expect "it is whole, and its ledger too" 0 "the ledger proves itself: 2 accounts, 1 transfers" "$quorate" backup verify "$bk" --at "$at"
expect "its chunks cover all keys" 0 "keyspaces without a hole or an overlap" "$quorate" backup verify "$bk" --at "$at"
"$quorate" backup verify "$bk" --at "$at" -o json >"$work/verified"
check "the cluster held the same at that timestamp" sh -c "'$quorate' backup digest --at $at -o json >'$work/live'"
check "digests are equal" same "$work/verified" "$work/live"
check "$victim starts again" "$quorate" cluster start "$victim"

check "an incremental backup" "$quorate" backup create "$bk" --incremental
"$quorate" backup follow "$bk" --every-ms 300 >"$work/follow" 2>&1 &
follow=$!
files() { [ "$(grep -c "archived to" "$work/$1")" -ge "$2" ]; } # NAME COUNT: so many have been written
check "changes are archived, file by file" eventually files follow 8
kill -9 $follow
wait $follow 2>/dev/null
"$quorate" backup follow "$bk" --every-ms 300 >"$work/follow.again" 2>&1 &
follow=$!
check "and once more" eventually files follow.again 1
expect "two cannot archive into one directory" 1 "wait for it, or end it" "$quorate" backup follow "$bk"
expect "what is archived can be verified meanwhile" 0 "whole, and restorable" "$quorate" backup verify "$bk"
check "a keyspace is made while changes are archived" "$quorate" keyspace create later
check "it is written to" "$quorate" put later a 1
check "and its changes are archived" eventually files follow.again $(($(grep -c "archived to" "$work/follow.again") + 5))
touch "$work/stop"
wait $bank
check "the bank went on" grep -q "transfers" "$work/bank.out"
sed 's/^/      /' "$work/bank.out"
kill -INT $follow
wait $follow
check "every moment is exact to the transaction" python3 "$here/backup_exact.py" "$quorate" "$bk" "$work/history" 12
sed 's/^/      /' "$work/check.out"

# Broken off, and gone on with.
"$quorate" backup create "$work/bk2" --rate 1 >/dev/null 2>&1 &
creating=$!
begun() { "$quorate" backup list "$work/bk2" 2>&1 | grep -q "was broken off"; }
check "another one is begun" eventually begun
kill -9 $creating
wait $creating 2>/dev/null
expect "a backup that was killed goes on" 0 "went on with one that was broken off" "$quorate" backup create "$work/bk2"
check "it is whole" "$quorate" backup verify "$work/bk2"

"$quorate" backup verify "$bk" -o json >"$work/last"
expect "a cluster that is not empty is refused" 1 "is not empty" "$quorate" backup restore "$bk"
old=$("$quorate" status -o json | json "d['cluster']")
expect "the data of a server that runs is left alone" 1 "quorate: " "$quorate" debug check "$QUORATE_DIR/node-1"
check "the old cluster stops" "$quorate" cluster stop

# What lies in files, offline.
for server in node-1 node-2 node-3 meta-1; do expect "the data of $server are sound" 0 "all of them sound" "$quorate" debug check "$QUORATE_DIR/$server"; done
expect "a log's groups are told" 0 "entries" "$quorate" debug log "$QUORATE_DIR/node-1"
expect "and its records" 0 " entry " "$quorate" debug log "$QUORATE_DIR/node-1" --rows
segment=$(find "$QUORATE_DIR/node-2/wal" -name '*.wal' | sort | head -n 1)
dd if=/dev/zero of="$segment" bs=4096 seek=0 count=3 conv=notrunc status=none
expect "a damaged log is named" 1 "damaged" "$quorate" debug check "$QUORATE_DIR/node-2"
for file in $(find "$bk/chunks" -name '0*' | head -n 1) $(find "$bk/changes" -name '0*' | head -n 1); do
    expect "$(basename "$(dirname "$file")"): a file is told" 0 "digest" "$quorate" debug backup "$file" --rows
done
expect "a manifest is told" 0 "complete backup of cluster" "$quorate" debug backup "$(find "$bk" -name 'backup-*' | head -n 1)"
expect "what is no file of a backup is refused" 1 "not a file of a backup" "$quorate" debug backup "$work/rows.ndjson"
expect "nor is a directory made" 1 "no such directory" "$quorate" debug check "$work/nowhere"
QUORATE_DIR=$work/new
base=
check "a new cluster starts" cluster_start
"$quorate" backup restore "$bk" >/dev/null 2>&1 &
restoring=$!
sleep 0.3
kill -9 $restoring
wait $restoring 2>/dev/null
# The rest as docs/operations.md says.
sed -n '/^When everything is lost/,/^## /p' "$here/../../docs/operations.md" | grep '^quorate ' >"$work/runbook"
check "the runbook has commands" test "$(wc -l <"$work/runbook")" -ge 5
while read -r line; do
    command=$(printf '%s' "$line" | sed -e "s#^quorate#$quorate#" -e "s#/backups/bank#$bk#")
    case $line in
    "quorate status") check "$line" eventually sh -c "$command" ;; # a new cluster may still be electing its first leaders
    *) check "$line" sh -c "$command" ;;
    esac
    case $line in *" restore "*)
        cp "$work/check.out" "$work/said"
        check "what was written was read back" grep -q "read back, and found equal" "$work/said"
        ;;
    esac
done <"$work/runbook"
"$quorate" backup digest -o json >"$work/restored"
check "it holds what the old one held" same "$work/last" "$work/restored"
check "its id is another" test "$old" != "$("$quorate" status -o json | json "d['cluster']")"
expect "a row that had ended stays away" 1 "no such key" "$quorate" get wide gone
check "the bank goes on in the new cluster" python3 "$here/backup_bank.py" "$(gateway)" "$work/history2" 50

expect "a backup of another cluster is not added to" 1 "of another cluster" "$quorate" backup create "$bk"
expect "nor its changes" 1 "of another cluster" "$quorate" backup follow "$bk" --from-now

# Damage is found, and named.
file=$(ls "$bk"/chunks/0* | head -n 1)
python3 - "$file" <<'PYTHON'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(100); b = f.read(1); f.seek(100); f.write(bytes([b[0] ^ 1]))
PYTHON
expect "a flipped bit is found" 1 "$(basename "$file")" "$quorate" backup verify "$bk"
expect "in the file itself, too" 1 "checksum" "$quorate" debug backup "$file"
rm "$file"
expect "a missing file is found" 1 "$(basename "$file")" "$quorate" backup verify "$bk"
finish
