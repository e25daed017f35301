#!/bin/sh
# How long writes stand still when a leader is killed, and when its disk hangs: make
# bench-failover TRIALS=20. One range, 16 connections, one write at a time on each, ids, so that a router repeats what had no
# answer. The pause is the longest time without an acknowledged write. Lines: bench failover/... ours=... unit=...
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/../../tests/process/lib.sh"

trials=${TRIALS:-20}
faults_prepare
load_begin() { # load_begin SECONDS
    "$quorate" bench kv --connections 16 --seconds "$1" --ids --timeout 20000 -o json >"$work/bench.json" 2>"$work/bench.err" &
    load=$!
    sleep 1
}
load_end() { # load_end NAME: the pause in ms, appended to NAME
    if wait "$load"; then
        json "d['longest_pause_ms']" <"$work/bench.json" >>"$work/$1"
        json "d['errors_definite'] + d['errors_unknown']" <"$work/bench.json" >>"$work/$1.errors"
    else
        fail "$1: $(cat "$work/bench.err")"
    fi
}
line() { # line NAME FILE RANK-EXPRESSION DIVISOR UNIT
    sort -n "$work/$2" | python3 -c 'import sys
v = [float(x) for x in sys.stdin]
print("bench failover/%s ours=%.3f unit=%s" % (sys.argv[1], eval(sys.argv[2]) / float(sys.argv[3]), sys.argv[4]))' "$1" "$3" "$4" "$5"
}
errors() { awk '{ n += $1 } END { printf "bench failover/%s_errors ours=%d unit=requests\n", name, n }' name="$1" "$work/$1.errors"; }

cluster_start >/dev/null || exit 1
for _ in $(seq "$trials"); do
    load_begin 4
    leader=$(leader_of default)
    "$quorate" cluster kill "$leader" >/dev/null
    load_end kill
    "$quorate" cluster start "$leader" >/dev/null
    sleep 1
done
line kill_median kill 'v[len(v) // 2]' 1000 s
line kill_worst kill 'v[-1]' 1000 s
errors kill

for _ in $(seq $(((trials + 4) / 5))); do
    load_begin 8
    leader=$(leader_of default)
    fault "$leader" hang
    load_end hang
    fault "$leader" ""
    sleep 2
done
line hang_median hang 'v[len(v) // 2]' 1000 s
line hang_worst hang 'v[-1]' 1000 s
errors hang

finish >/dev/null
