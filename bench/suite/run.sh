#!/bin/sh
# The suite: make bench. A local cluster (three nodes, three metadata servers, synced writes) under `quorate bench`: YCSB A to F,
# scans, sizes of values, connections, depth, ranges, rows beyond the cache. Each round goes through all of it; medians of ROUNDS. Every load begins on
# the rows of the one before, in a keyspace for each size. Lines: bench suite/... ours=... unit=...; and bench/RESULTS.md.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/../../tests/process/lib.sh"

results=${RESULTS:-$(cd "$(dirname "$0")/.." && pwd)/RESULTS.md}
rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-4}

one() { # one NAME COMMAND...: a line of JSON
    name=$1
    shift
    "$quorate" bench "$@" --seconds "$seconds" -o json >"$work/one.json" || { echo "bench $*: failed" >&2; return 1; }
    printf '%s\t%s\t%s\n' "$name" "$*" "$(tr -d '\n' <"$work/one.json")" >>"$work/runs"
}
loads() {
    for workload in a b c d e f; do one "ycsb_$workload" ycsb $workload --keyspace ycsb --connections 16 --depth 4; done
    one scan_100 scan --connections 16
    one mixed mixed --connections 16 --depth 4
    for bytes in 40 100 1000 4000 16000 65536; do
        one "put_${bytes}B" kv --keyspace "size$bytes" --keys 2000 --value-size $bytes --connections 16 --depth 4
    done
    for connections in 1 4 16 64 256; do one "put_${connections}x1" kv --connections $connections; done
    for connections in 1 4 16 64 256; do one "get_${connections}x1" kv --connections $connections --reads 100; done
    for depth in 1 8 32 128 256; do one "put_4x$depth" kv --connections 4 --depth $depth; done
    one txn_2+2 txn --keyspace ycsb --connections 16 --depth 4
    one txn_2+2_10_ranges txn --keyspace wide10 --connections 16 --depth 4
    for ranges in 10 100 256; do one "put_${ranges}_ranges" kv --keyspace "wide$ranges" --connections 16 --depth 4; done
}
large() { # large [--fill]: rows of 1 KB, 60 times what the cache of each node holds
    one get_larger_than_cache kv --keyspace large --keys 500000 --value-size 1000 --reads 100 --connections 16 --depth 4 "$@"
    one mixed_larger_than_cache mixed --keyspace large --keys 500000 --value-size 1000 --connections 16 --depth 4
}
many() { # many NAME RANGES: a keyspace of so many, a key or more in each
    "$quorate" keyspace create "$1" --timeout 60000 --splits "$(seq -f 'bench/%010g' -s, $((4000 / $2)) $((4000 / $2)) 3999)" >/dev/null
}

cluster_start >/dev/null || exit 1
"$quorate" scheduler pause split >/dev/null # what a line says of ranges stays true
for bytes in 40 100 1000 4000 16000 65536; do "$quorate" keyspace create "size$bytes" >/dev/null; done
for ranges in 10 100 256; do "$quorate" keyspace create "wide$ranges" --hash-buckets $ranges >/dev/null; done
"$quorate" keyspace create ycsb >/dev/null
ready() { curl -sf "$(gateway)/readyz"; }
eventually ready
for round in $(seq "$rounds"); do
    echo "round $round of $rounds" >&2
    loads
done
"$quorate" cluster stop >/dev/null
QUORATE_CACHE_MIB=8
export QUORATE_CACHE_MIB
cluster_start >/dev/null || exit 1
eventually ready
"$quorate" keyspace create large >/dev/null
for round in $(seq "$rounds"); do
    echo "round $round of $rounds, larger than the cache" >&2
    if [ "$round" = 1 ]; then large --fill; else large; fi
done
for ranges in 1000 4000; do # both at once: 5,000 ranges and 15,000 replicas on these cores
    many "many$ranges" "$ranges"
    for round in $(seq "$rounds"); do one "put_${ranges}_ranges" kv --keyspace "many$ranges" --keys 4000 --connections 16 --depth 4; done
done
many beside 4000 # more are not created in one go
many beside_too 1000
for round in $(seq "$rounds"); do one put_4000_of_10000_ranges kv --keyspace many4000 --keys 4000 --connections 16 --depth 4; done
python3 - "$work/runs" "$results" "$rounds" "$seconds" "$("$quorate" version)" <<'PYTHON'
import collections, datetime, json, os, platform, statistics, sys
path, results, rounds, seconds, version = sys.argv[1:]
runs, how = collections.OrderedDict(), {}
for line in open(path):
    name, command, text = line.rstrip("\n").split("\t")
    runs.setdefault(name, []).append(json.loads(text))
    how[name] = command
cpu = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
memory = int(open("/proc/meminfo").readline().split()[1]) // 1048576
out = ["# Results", "",
       "Written by `make bench`. %s; %s, %d cores, %d GiB, Linux %s; load average at the end %.1f." % (version.splitlines()[0], cpu, os.cpu_count(), memory, platform.release(), os.getloadavg()[0]),
       "%s. Three nodes, three metadata servers and the load itself share these cores and one disk; every write is synced on two nodes before its answer. One range unless the line says otherwise; cutting by load is paused." % datetime.date.today(),
       "Medians of %s rounds of %s s; in parentheses the lowest and highest. Latencies in milliseconds: reads where there are some, then writes, then scans." % (rounds, seconds), "",
       "| load | operations/s | p50 | p99 | p99.9 | errors | `quorate bench ...` |", "|---|---|---|---|---|---|---|"]
for name, all_of in runs.items():
    rates = [r["operations_per_second"] for r in all_of]
    rate = statistics.median(rates)
    def cell(q):
        return " / ".join("%.2f" % statistics.median(r[k][q] for r in all_of) for k in ("read_ms", "write_ms", "scan_ms") if all_of[0][k]["count"])
    errors = sum(r["errors_definite"] + r["errors_unknown"] for r in all_of)
    out.append("| %s | %.0f (%.0f to %.0f) | %s | %s | %s | %d | `%s` |" % (name, rate, min(rates), max(rates), cell("p50"), cell("p99"), cell("p99_9"), errors, how[name]))
    print("bench suite/%s ours=%.0f unit=op/s" % (name, rate))
open(results, "w").write("\n".join(out) + "\n")
PYTHON
finish >/dev/null
