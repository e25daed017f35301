#!/bin/sh
# The leader's disk gets slow under load (each write of its log is held up by 60 ms): it hands its leaderships over by itself
# within seconds, says so, and no request fails.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

held_up=
slow_down() { # slow_down NAME SECONDS
    timeout "$2" strace -f -q -o "$work/strace.out" -p "$(pid_of "$1")" -e trace=pwrite64 -e inject=pwrite64:delay_enter=60000 &
    held_up=$!
}
state_of() { "$quorate" node list -o json | json "[n['disk_slow'] for n in d['nodes'] if n['id'] == $1][0]"; }
leader() { "$quorate" range list --keyspace default -o json | json "d['ranges'][0]['leader']"; }
id_of_node() { "$quorate" node list -o json | json "[n['id'] for n in d['nodes'] if n['address'].endswith(':$((base + 10 + ${1#node-}))')][0]"; }
gave_away() {
    now=$(leader)
    [ "$(state_of "$1")" = True ] && [ "$now" != "$1" ] && [ "$now" != 0 ]
}

check "strace is there" command -v strace
check "the cluster starts" cluster_start
"$quorate" bench kv --connections 16 --seconds 600 >"$work/load.out" 2>&1 &
load=$!
sleep 2
name=$(leader_of default)
from=$(id_of_node "$name")
slow_down "$name" 60
check "the node with the slow disk gives its leadership away" within 45 gave_away "$from"
comes "status says why" 0 "is slow" "$quorate" status
kill "$held_up"
wait "$held_up"
check "the load ends well" load_ended
check "no request failed" grep -qE '^errors +0 definite, 0 unknown' "$work/load.out"
cat "$work/load.out"
finish
