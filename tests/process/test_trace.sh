#!/bin/sh
# --raft-trace: all servers write their Raft events to one file while a leader is killed; what it says agrees with Raft.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

QUORATE_RAFT_TRACE=$work/trace.ndjson
export QUORATE_RAFT_TRACE
check "the cluster starts" cluster_start
"$quorate" bench kv --connections 4 --rate 300 --seconds 4 --ids >"$work/load.out" 2>&1 &
load=$!
sleep 1.5
check "a leader is killed" "$quorate" cluster kill "$(leader_of default)"
check "the load goes on" load_wait
check "the cluster stops" "$quorate" cluster stop
expect "the trace agrees with Raft" 0 "VERDICT fine" python3 "$here/trace_check.py" "$QUORATE_RAFT_TRACE"
cat "$work/expect.out"
sed 's/"name":"SendAppendEntriesRequest"/"name":"Ready"/' "$QUORATE_RAFT_TRACE" >"$work/unsent.ndjson"
expect "messages that nobody sent are found" 1 "received, and never sent" python3 "$here/trace_check.py" "$work/unsent.ndjson"
sed 's/"name":"BecomeFollower"/"name":"BecomeLeader"/' "$QUORATE_RAFT_TRACE" >"$work/two.ndjson"
expect "two leaders of a term are found" 1 "a second leader in a term" python3 "$here/trace_check.py" "$work/two.ndjson"
finish
