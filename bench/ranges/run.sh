#!/bin/sh
# How long requests stand still when their range splits or merges, whatever its size, and how long a hot range takes to be split and
# spread: make bench-ranges MB=300 TRIALS=10. Lines: bench ranges/... ours=... unit=...
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/../../tests/process/lib.sh"

trials=${TRIALS:-10}
mb=${MB:-300}
connections=8

ids() { "$quorate" range list --keyspace cut -o json | json "' '.join(str(r['id']) for r in d['ranges'])"; }
aim() { "$quorate" bench kv --keyspace cut --prefix aim/ --keys 1000 --connections "$connections" --reads 50 "$@"; }

# during NAME COMMAND...: a load, all of it on keys that are concerned; in its midst the command.
during() {
    name=$1
    shift
    aim --rate 1500 --seconds 3 -o json >"$work/bench.json" 2>"$work/bench.err" &
    load=$!
    sleep 1.5
    "$@" >"$work/during.out" 2>&1 || fail "$name: $(cat "$work/during.out")"
    wait "$load" || fail "$name: $(cat "$work/bench.err")"
    json "d['longest_pause_ms']" <"$work/bench.json" >>"$work/$name"
    json "d['errors_definite'] + d['errors_unknown']" <"$work/bench.json" >>"$work/$name.errors"
}
say() { # NAME: median and worst pause, requests that failed
    sort -n "$work/$1" | python3 -c 'import sys
v = [float(x) for x in sys.stdin]
print("bench ranges/%s_median ours=%.1f unit=ms" % (sys.argv[1], v[len(v) // 2]))
print("bench ranges/%s_worst ours=%.1f unit=ms" % (sys.argv[1], v[-1]))' "$1"
    awk '{ n += $1 } END { printf "bench ranges/%s_errors ours=%d unit=requests\n", name, n }' name="$1" "$work/$1.errors"
}
cut() { "$quorate" range split "$(ids)" --at "aim/$1"; }
join() {
    # shellcheck disable=SC2046 # two words
    "$quorate" range merge $(ids)
}
rounds() { # SUFFIX
    for _ in $(seq "$trials"); do
        during "nothing$1" true
        during "split$1" cut 0000000500
        during "merge$1" join
    done
    for what in nothing split merge; do say "$what$1"; done
}

cluster_start >/dev/null || exit 1
for off in split merge balance leaders; do "$quorate" scheduler pause "$off" >/dev/null; done
"$quorate" keyspace create cut >/dev/null
aim --total 2000 --spread sequential >/dev/null
rounds ""
"$quorate" bench kv --keyspace cut --prefix a/ --keys $((mb * 64)) --total $((mb * 64)) --value-size 16384 --spread sequential --connections 4 \
    --depth 4 >/dev/null
rounds "_${mb}_mib"

# A hot range: from the first request until three nodes lead some of it, and none has more than half of what is asked.
for on in split leaders; do "$quorate" scheduler resume "$on" >/dev/null; done
"$quorate" keyspace create hot >/dev/null
"$quorate" bench kv --keyspace hot --keys 20000 --total 20000 --connections 8 --depth 8 --spread sequential >/dev/null
sleep 12 # that load is forgotten
"$quorate" bench kv --keyspace hot --keys 20000 --connections 16 --reads 50 --seconds 30 -o json >"$work/hot.json" 2>&1 &
load=$!
python3 - "$quorate" <<'PYTHON'
import json, subprocess, sys, time
def look():
    text = subprocess.run([sys.argv[1], "range", "list", "--keyspace", "hot", "-o", "json"], capture_output=True, text=True).stdout
    return {(r["id"], r["leader"]): r["reads"] + r["writes"] for r in json.loads(text)["ranges"]}
begun, before, even = time.time(), look(), 0
while time.time() < begun + 30:
    time.sleep(1)
    now, by_node = look(), {}
    for at, count in now.items():
        by_node[at[1]] = by_node.get(at[1], 0) + max(0, count - before.get(at, 0))
    before, total = now, sum(by_node.values())
    even = even + 1 if len(by_node) >= 3 and total > 0 and max(by_node.values()) <= total / 2 else 0
    if even == 2: # twice in a row
        break
took = time.time() - begun
print("bench ranges/hot_spread ours=%s unit=s" % ("%.0f" % took if even == 2 else "never"))
print("bench ranges/hot_ranges ours=%d unit=ranges" % len(before))
PYTHON
wait "$load"
json "'bench ranges/hot_errors ours=%d unit=requests' % (d['errors_definite'] + d['errors_unknown'])" <"$work/hot.json"
json "'bench ranges/hot_longest_pause ours=%.1f unit=ms' % d['longest_pause_ms']" <"$work/hot.json"
finish >/dev/null
