#!/bin/sh
# Every process of a cluster is restarted in turn under load, as for an upgrade: a node is drained, stopped, started, undrained; a
# metadata server hands its leadership over first. No request fails, and afterwards all replicas hold the same rows.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

admin=$quorate
# shellcheck source=tests/process/rolling.sh
. "$(dirname "$0")/rolling.sh"

check "the cluster starts" cluster_start
check "a keyspace of six ranges" "$quorate" keyspace create rolled \
    --splits "$(python3 -c "print(','.join('bench/%016d' % (i * 2000 // 6) for i in range(1, 6)))")"
"$quorate" bench kv --keyspace rolled --connections 8 --keys 2000 --reads 50 --rate 400 --seconds 600 --timeout 8000 >"$work/load.out" 2>&1 &
load=$!
sleep 1
for n in 1 2 3; do check "node-$n is drained, restarted and taken back" roll_node $n; done
for n in 1 2 3; do check "meta-$n is restarted" roll_meta $n; done
check "the gateway is restarted" restart gateway
check "the load ends well" load_ended
check "no request has failed" grep -qE '^errors +0 definite, 0 unknown' "$work/load.out"
cat "$work/load.out"
check "all replicas hold the same rows" "$quorate" range check
finish
