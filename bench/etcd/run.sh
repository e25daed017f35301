#!/bin/sh
# Beside etcd on the same machine: make bench-vs-etcd. Three members of Debian's etcd-server and a local cluster, each on
# the same disk, by turns under the same load program (wrk) with the same 100-byte values over HTTP/JSON: etcd's gateway for
# its gRPC interface (/v3/kv/put, /v3/kv/range), Quorate's etcd surface with the same requests (v3), and its native one (/v1/kv). Reads are
# linearizable everywhere. Lines: bench etcd/... ours=... etcd=... ratio=... unit=...; then etcd's own `check perf` (gRPC), and ours over frames.
# SURFACE=only: the etcd surface and etcd at 1, 16, 64 and 256 connections, and no more.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/../../tests/process/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)
rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-3} connections=${CONNECTIONS:-64}
for tool in etcd etcdctl wrk; do
    command -v $tool >/dev/null || { echo "bench-vs-etcd wants etcd-server, etcd-client and wrk" >&2; exit 1; }
done

etcd_base=$(free_base_port)
members="m1=http://127.0.0.1:$((etcd_base + 1)),m2=http://127.0.0.1:$((etcd_base + 2)),m3=http://127.0.0.1:$((etcd_base + 3))"
etcd_pids=
for i in 1 2 3; do
    etcd --name m$i --data-dir "$work/etcd-$i" --log-level error --initial-cluster "$members" \
        --initial-advertise-peer-urls "http://127.0.0.1:$((etcd_base + i))" --listen-peer-urls "http://127.0.0.1:$((etcd_base + i))" \
        --advertise-client-urls "http://127.0.0.1:$((etcd_base + 10 + i))" --listen-client-urls "http://127.0.0.1:$((etcd_base + 10 + i))" \
        2>"$work/etcd-$i.log" &
    etcd_pids="$etcd_pids $!"
done
# shellcheck disable=SC2086 # words
trap 'kill $etcd_pids 2>/dev/null; cleanup' EXIT
cluster_start >/dev/null || exit 1
"$quorate" scheduler pause split >/dev/null # etcd has one range; so do we here
ETCDCTL_API=3 ETCDCTL_ENDPOINTS=
for i in 1 2 3; do ETCDCTL_ENDPOINTS="$ETCDCTL_ENDPOINTS${ETCDCTL_ENDPOINTS:+,}127.0.0.1:$((etcd_base + 10 + i))"; done
export ETCDCTL_API ETCDCTL_ENDPOINTS
for _ in $(seq 100); do etcdctl endpoint health >/dev/null 2>&1 && break; sleep 0.2; done
# Straight to the leader, as Quorate's gateway finds its own.
leader=$(etcdctl endpoint status -w json | json "[e['Endpoint'] for e in d if e['Status']['leader'] == e['Status']['header']['member_id']][0]")

under_wrk() { # under_wrk WHO WHAT URL CONNECTIONS: a line "WHAT_CONNECTIONS WHO operations-per-second p50-ms p99-ms"
    WHO=$1 WHAT=$2 wrk -t 1 -c "$4" -d "${seconds}s" -s "$here/load.lua" "$3" | awk -v key="$2_$4 $1" '/^RESULT/ { print key, $2, $3, $4 }' >>"$work/results"
}
for url in "http://$leader" "$(gateway)"; do # who has never been written to makes what it needs first
    curl -sf -d '{"key":"YQ==","value":"YQ=="}' "$url/v3/kv/put" >/dev/null || { echo "$url takes no put" >&2; exit 1; }
done
for _ in $(seq "$rounds"); do
    for what in put get; do
        for count in 1 16 "$connections" 256; do
            under_wrk etcd $what "http://$leader" "$count"
            under_wrk v3 $what "$(gateway)" "$count"
            if [ "${SURFACE:-}" != only ] && { [ "$count" = 1 ] || [ "$count" = "$connections" ]; }; then under_wrk ours $what "$(gateway)" "$count"; fi
        done
    done
done
python3 - "$work/results" <<'PYTHON'
import collections, statistics, sys
runs = collections.defaultdict(lambda: collections.defaultdict(list))
for line in open(sys.argv[1]):
    what, who, *numbers = line.split()
    runs[what][who].append([float(n) for n in numbers])
for what, by in runs.items():
    for who, surface in (("v3", "v3"), ("ours", "http")):
        if who not in by:
            continue
        for i, (name, unit) in enumerate((("", "op/s"), ("_p50", "ms"), ("_p99", "ms"))):
            mine, theirs = (statistics.median(r[i] for r in by[w]) for w in (who, "etcd"))
            print("bench etcd/%s_%s%s ours=%.3f etcd=%.3f ratio=%.2f unit=%s" % (surface, what, name, mine, theirs, mine / theirs, unit))
PYTHON
if [ "${SURFACE:-}" = only ]; then
    finish >/dev/null
    exit 0
fi
echo "etcdctl check perf --load=xl (gRPC):"
etcdctl check perf --load=xl 2>&1 | tr '\r' '\n' | grep -E '^(PASS|FAIL)'
"$quorate" bench kv --connections "$connections" --seconds "$seconds" --line etcd/frames_put
finish >/dev/null
