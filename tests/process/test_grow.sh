#!/bin/sh
# A cluster grows from three nodes to five and gives one back, under load: no request fails, each new node gets its share, the one that
# leaves ends with nothing. Then every process is drained and restarted in turn.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

load_start() { # NAME: until load_clean
    "$quorate" bench kv --keyspace grown --connections 8 --keys 20000 --reads 50 --rate 1500 --seconds 600 >"$work/$1.out" 2>&1 &
    load=$!
}
load_clean() { # NAME: it ended well, and nothing failed
    load_ended && grep -qE '^errors +0 definite, 0 unknown' "$work/$1.out"
}
holds() { "$quorate" range list -o json | json "sum($1 in [p['node'] for p in r['replicas']] for r in d['ranges'])"; }
quiet() { [ "$("$quorate" op list -o json | json "len(d['operators'])")" = 0 ]; }
settled() { # no operator for a while
    for _ in $(seq 100); do
        sleep 0.3
        if quiet && sleep 1.2 && quiet; then return 0; fi
    done
    return 1
}
compared() { # again and again while replicas move: each is found where it is now
    for _ in $(seq 40); do
        "$quorate" range check --keyspace grown >"$work/compared" 2>&1 || { cat "$work/compared"; return 1; }
        if quiet; then return 0; fi
    done
}
shares() { # every node that stays holds within two of the mean, by and by
    for _ in $(seq 100); do
        "$quorate" range list -o json | json "(lambda c, m: (all(abs(x - m) <= 2 for x in c.values()) and len(c) == $1, c))(
            {n: sum(n in [p['node'] for p in r['replicas']] for r in d['ranges']) for n in {p['node'] for r in d['ranges'] for p in r['replicas']}},
            sum(len(r['replicas']) for r in d['ranges']) / $1)" >"$work/shares"
        if grep -q True "$work/shares"; then return 0; fi
        sleep 0.3
    done
    cat "$work/shares"
    "$quorate" op list
    "$quorate" scheduler describe
    "$quorate" placement show
    return 1
}
node_of() { "$quorate" node list -o json | json "[n['id'] for n in d['nodes'] if n['address'].endswith(':$((base + 10 + $1))')][0]"; }

check "the cluster starts" cluster_start
check "a keyspace of twelve ranges" "$quorate" keyspace create grown \
    --splits "$(python3 -c "print(','.join('bench/%010d' % (i * 20000 // 12) for i in range(1, 12)))")"
check "data" "$quorate" bench kv --keyspace grown --connections 8 --depth 8 --keys 20000 --total 20000 --spread sequential
load_start grow
sleep 1
check "a fourth node" "$quorate" cluster add-node
check "a fifth node" "$quorate" cluster add-node
begins() { ! quiet; }
check "operators begin" eventually begins
check "replicas are compared while they move" compared
check "operators end" settled
check "each of the five has its share" shares 5
check "no request has failed meanwhile" load_clean grow
cat "$work/grow.out"
"$quorate" op history -o json >"$work/history.json"
check "replicas were moved" sh -c "grep -q '\"kind\":\"move\",\"state\":\"done\"' '$work/history.json'"

load_start leave
sleep 1
first=$(node_of 1)
comes "a node is decommissioned" 0 "holds nothing any more" "$quorate" node decommission "$first"
holds_nothing() { [ "$(holds "$first")" = 0 ]; }
check "it holds no replica" eventually holds_nothing
check "no request has failed meanwhile" load_clean leave
cat "$work/leave.out"
check "placement is as asked for" eventually "$quorate" placement check
comes "a second one may go" 0 "other nodes" "$quorate" node decommission "$(node_of 2)" --dry-run
comes "taken back" 0 "again" "$quorate" node recommission "$first"
finish
