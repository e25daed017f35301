#!/bin/sh
# Every process of a cluster is restarted in turn under load, as for an upgrade: a node is drained, stopped, started, undrained; a
# metadata server hands its leadership over first. No request fails, and afterwards all replicas hold the same rows.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

node_of() { "$quorate" node list -o json | json "[n['id'] for n in d['nodes'] if n['address'].endswith(':$((base + 10 + $1))')][0]"; }
restarted() { # NAME PID: another process of that name runs
    for _ in $(seq 100); do
        now=$("$quorate" cluster status -o json | json "[p['pid'] for p in d['processes'] if p['name'] == '$1' and p['pid']][0]" 2>/dev/null)
        if [ -n "$now" ] && [ "$now" != "$2" ]; then return 0; fi
        sleep 0.1
    done
    return 1
}
restart() { # NAME
    old=$(pid_of "$1")
    kill -TERM "$old"
    restarted "$1" "$old"
}
caught_up() { # the next one may go only when all replicas of all ranges are there again
    for _ in $(seq 50); do
        if "$quorate" range check >"$work/caught_up" 2>&1; then return 0; fi
        sleep 0.2
    done
    cat "$work/caught_up"
    return 1
}
roll_node() { # NUMBER
    id=$(node_of "$1")
    "$quorate" node drain "$id" && restart "node-$1" && caught_up && "$quorate" node undrain "$id"
}
roll_meta() { # NUMBER
    if [ "$(meta_leader)" = "meta-$1" ]; then "$quorate" meta transfer $(($1 % 3 + 1)) || return 1; fi
    restart "meta-$1" || return 1
    for _ in $(seq 50); do
        if "$quorate" meta list -o json | json "all(m['up'] for m in d['members'])" | grep -q True; then return 0; fi
        sleep 0.1
    done
    return 1
}

check "the cluster starts" cluster_start
check "a keyspace of six ranges" "$quorate" keyspace create rolled \
    --splits "$(python3 -c "print(','.join('bench/%016d' % (i * 2000 // 6) for i in range(1, 6)))")"
"$quorate" bench kv --keyspace rolled --connections 8 --keys 2000 --reads 50 --rate 400 --seconds 120 --timeout 8000 >"$work/load.out" 2>&1 &
load=$!
sleep 1
for n in 1 2 3; do check "node-$n is drained, restarted and taken back" roll_node $n; done
for n in 1 2 3; do check "meta-$n is restarted" roll_meta $n; done
check "the gateway is restarted" restart gateway
kill -INT "$load"
check "the load ends well" wait "$load"
check "no request has failed" grep -qE '^errors +0 definite, 0 unknown' "$work/load.out"
cat "$work/load.out"
check "all replicas hold the same rows" "$quorate" range check
finish
