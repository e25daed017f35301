#!/bin/sh
# Moving a large range, and draining a node with many leaderships, under load: make bench-moves MB=1024 RANGES=4100.
# Lines: bench moves/... ours=... unit=...
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/../../tests/process/lib.sh"

mb=${MB:-1024}
ranges=${RANGES:-4100}

load() { # SECONDS KEYSPACE OUT
    "$quorate" bench kv --keyspace "$2" --prefix aim/ --keys 1000 --connections 8 --reads 50 --rate 500 --seconds "$1" -o json >"$work/$3.json" 2>"$work/$3.err" &
    load=$!
}
say() { # NAME OUT: errors, p99 of reads and writes, longest pause
    python3 - "$1" "$work/$2.json" <<'PYTHON'
import json, sys
d = json.load(open(sys.argv[2]))
print("bench moves/%s_errors ours=%d unit=requests" % (sys.argv[1], d["errors_definite"] + d["errors_unknown"]))
print("bench moves/%s_p99_reads ours=%.2f unit=ms" % (sys.argv[1], d["read_ms"]["p99"]))
print("bench moves/%s_p99_writes ours=%.2f unit=ms" % (sys.argv[1], d["write_ms"]["p99"]))
print("bench moves/%s_longest_pause ours=%.1f unit=ms" % (sys.argv[1], d["longest_pause_ms"]))
PYTHON
}
seconds() { python3 -c "import time; print(time.time())"; }

cluster_start >/dev/null || exit 1
"$quorate" cluster add-node >/dev/null
for off in split merge balance leaders repair; do "$quorate" scheduler pause "$off" >/dev/null; done

"$quorate" keyspace create large >/dev/null
"$quorate" bench kv --keyspace large --prefix a/ --keys $((mb * 64)) --total $((mb * 64)) --value-size 16384 --noise --spread sequential --connections 4 --depth 4 >/dev/null
"$quorate" bench kv --keyspace large --prefix aim/ --keys 1000 --total 1000 --spread sequential >/dev/null
sleep 5
range=$("$quorate" range list --keyspace large -o json | json "d['ranges'][0]['id']")
load 20 large still
wait "$load"
say nothing still
bytes=$((mb << 20)) # of values, which no compression makes smaller
sent() { curl -s "$(gateway)/metrics/cluster" | awk '/^quorate_snapshot_bytes_total/ { n += $2 } END { printf "%d\n", n }'; }
move() { # NAME SECONDS: from a follower to the node that has no replica, under load for about as long as it takes
    from=$("$quorate" range list --keyspace large -o json | json "[p['node'] for p in d['ranges'][0]['replicas'] if p['node'] != d['ranges'][0]['leader']][0]")
    to=$("$quorate" range list --keyspace large -o json | json "({1, 2, 3, 4} - {p['node'] for p in d['ranges'][0]['replicas']}).pop()")
    load "$2" large "$1"
    sleep 1
    before=$(sent)
    begun=$(seconds)
    "$quorate" range move "$range" --from "$from" --to "$to" --timeout 120000 >/dev/null || echo "the move failed"
    python3 -c "
took = $(seconds) - $begun
print('bench moves/$1_%d_mib ours=%.1f unit=s' % ($bytes >> 20, took))
print('bench moves/$1_rate ours=%.0f unit=MB/s' % ($bytes / 1e6 / took))
print('bench moves/$1_sent ours=%.0f unit=MB/s' % (($(sent) - $before) / 1e6 / took))"
    wait "$load"
    say "$1" "$1"
}
"$quorate" config set move.bytes_per_s 0 >/dev/null # no limit
move unthrottled 12
"$quorate" config set move.bytes_per_s default >/dev/null
move by_default 20
"$quorate" config set move.bytes_per_s 33554432 >/dev/null
move at_32_mib_s 36
"$quorate" config set move.bytes_per_s default >/dev/null
"$quorate" keyspace drop large --grace 0 >/dev/null 2>&1

splits=$(python3 -c "print(','.join('aim/%010d' % i for i in range(1, $ranges)))")
"$quorate" keyspace create many --splits "$splits" >/dev/null
"$quorate" scheduler resume leaders >/dev/null
for _ in $(seq 60); do
    sleep 1
    led=$("$quorate" node show 1 -o json | json "d['nodes'][0]['leaders']")
    if [ "$led" -ge $((ranges / 4)) ] && [ "$("$quorate" op list -o json | json "len(d['operators'])")" = 0 ]; then break; fi
done
"$quorate" scheduler pause leaders >/dev/null
load 20 many drained
sleep 2
led=$("$quorate" node show 1 -o json | json "d['nodes'][0]['leaders']")
begun=$(seconds)
"$quorate" node drain 1 --timeout 60000 >/dev/null || echo "the drain failed"
python3 -c "
print('bench moves/drain_leaders ours=$led unit=leaders')
print('bench moves/drain ours=%.2f unit=s' % ($(seconds) - $begun))"
wait "$load"
say drain drained
finish >/dev/null
