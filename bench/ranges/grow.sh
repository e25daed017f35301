#!/bin/sh
# A fourth node comes to a cluster of three under load: how near to a quarter of ranges, bytes and leaders it gets. Then the metadata
# service's leader is killed under load, again and again: make bench-growth RANGES=240 TRIALS=5.
# Lines: bench growth/... ours=... unit=...
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/../../tests/process/lib.sh"

ranges=${RANGES:-240}
trials=${TRIALS:-5}

load() { # OUT READS SECONDS RATE
    "$quorate" bench kv --keyspace grown --connections 8 --keys 40000 --reads "$2" --rate "$4" --seconds "$3" -o json >"$work/$1.json" 2>"$work/$1.err" &
    load=$!
}
errors() { json "d['errors_definite'] + d['errors_unknown']" <"$work/$1.json"; }
pause() { json "d['longest_pause_ms']" <"$work/$1.json"; }
settled() { # where replicas and leaderships are stays so for five seconds
    for _ in $(seq 400); do
        "$quorate" placement show -o json | json "[(n['node'], n['replicas'], n['leaders']) for n in d['nodes']]" >"$work/now"
        if cmp -s "$work/now" "$work/then"; then same=$((same + 1)); else same=0; fi
        if [ "$same" -ge 7 ]; then return 0; fi
        mv "$work/now" "$work/then"
        sleep 0.7
    done
    return 1
}

cluster_start >/dev/null || exit 1
for off in split merge; do "$quorate" scheduler pause "$off" >/dev/null; done
# Ranges of one to three shares of the keys, and little enough in each that a range as such would else weigh more than its bytes.
splits=$(python3 -c "
import random
random.seed(1)
cuts, n = [0.0], $ranges
for i in range(n): cuts.append(cuts[-1] + random.uniform(1, 3))
print(','.join('bench/%010d' % (40000 * c / cuts[-1]) for c in cuts[1:-1]))")
"$quorate" config set balance.range_cost_bytes 4096 >/dev/null
"$quorate" keyspace create grown --splits "$splits" >/dev/null
"$quorate" bench kv --keyspace grown --connections 8 --depth 8 --keys 40000 --total 40000 --value-size 2000 --spread sequential >/dev/null
settled
load grow 50 600 1000
grow=$load
sleep 1
begun=$(python3 -c "import time; print(time.time())")
"$quorate" cluster add-node >/dev/null
sleep 3
settled
"$quorate" placement show -o json >"$work/placement.json"
"$quorate" range list --keyspace grown -o json >"$work/ranges.json"
python3 - "$work" "$begun" <<'PYTHON'
import json, sys, time
work, begun = sys.argv[1], float(sys.argv[2])
nodes = json.load(open(work + "/placement.json"))["nodes"]
last = max(n["node"] for n in nodes)
print("bench growth/took ours=%.0f unit=s" % (time.time() - begun - 5)) # five seconds of quiet
for what, name in (("replicas", "ranges"), ("bytes", "bytes"), ("leaders", "leaders")):
    mean = sum(n[what] for n in nodes) / len(nodes)
    print("bench growth/fourth_node_%s ours=%.1f unit=%%_of_its_share" % (name, 100 * next(n[what] for n in nodes if n["node"] == last) / mean))
    print("bench growth/furthest_off_%s ours=%.1f unit=%%" % (name, max(abs(n[what] - mean) for n in nodes) / mean * 100))
PYTHON
kill -INT "$grow" 2>/dev/null
wait "$grow"
echo "bench growth/errors ours=$(errors grow) unit=requests"

for trial in $(seq "$trials"); do
    load "writes$trial" 0 6 400
    writes=$load
    load "reads$trial" 100 6 400
    sleep 2
    leads=$(meta_leader)
    "$quorate" cluster kill "$leads" >/dev/null
    wait "$load"
    wait "$writes"
    "$quorate" cluster start "$leads" >/dev/null 2>&1
    sleep 2
done
for what in writes reads; do
    for trial in $(seq "$trials"); do pause "$what$trial"; done | sort -n | python3 -c 'import sys
v = [float(x) for x in sys.stdin]
print("bench growth/meta_killed_%s_median ours=%.0f unit=ms" % (sys.argv[1], v[len(v) // 2]))
print("bench growth/meta_killed_%s_worst ours=%.0f unit=ms" % (sys.argv[1], v[-1]))' "$what"
    total=0
    for trial in $(seq "$trials"); do total=$((total + $(errors "$what$trial"))); done
    echo "bench growth/meta_killed_${what}_errors ours=$total unit=requests"
done
finish >/dev/null
