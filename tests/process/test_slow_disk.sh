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
gave_away() { # within 18 s
    for _ in $(seq 90); do
        if [ "$(state_of "$1")" = True ] && [ "$(leader)" != "$1" ] && [ "$(leader)" != 0 ]; then return 0; fi
        sleep 0.2
    done
    return 1
}

check "strace is there" command -v strace
check "the cluster starts" cluster_start
"$quorate" bench kv --connections 16 --seconds 600 >"$work/load.out" 2>&1 &
load=$!
sleep 2
from=$(leader)
slow_down "$(leader_of default)" 20
check "the node with the slow disk gives its leadership away" gave_away "$from"
expect "status says why" 0 "is slow" "$quorate" status
kill "$held_up"
wait "$held_up"
check "the load ends well" load_ended
check "no request failed" grep -qE '^errors +0 definite, 0 unknown' "$work/load.out"
cat "$work/load.out"
finish
