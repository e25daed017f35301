#!/bin/sh
# What encryption of the data costs: make bench-encryption. A plain and an encrypted local cluster, by turns, under the same puts; and the
# processor time of all their processes for one. Lines: bench encryption/... ours=... (encrypted) plain=... ratio=... unit=...
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/../../tests/process/lib.sh"
rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-5}

ticks() {
    total=0
    for p in $(all_pids); do total=$((total + $(awk '{ print $14 + $15 }' "/proc/$p/stat"))); done
    echo "$total"
}
round() { # round NAME VALUE-BYTES: "NAME WHAT operations-per-second microseconds-of-processor"
    before=$(ticks)
    "$quorate" bench kv --connections 64 --keys 20000 --value-size "$2" --reads 0 --seconds "$seconds" >"$work/bench.out"
    after=$(ticks)
    awk -v name="$1" -v what="put_$2" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" \
        '/^operations/ { n = $2; rate = $0; sub(/.*: /, "", rate); sub(/ .*/, "", rate); print what, name, rate, ticks / hz * 1e6 / n }' "$work/bench.out" >>"$work/results"
}
for name in plain encrypted; do
    QUORATE_DIR=$work/$name
    base=$(free_base_port)
    switch=
    [ "$name" = plain ] || switch=--encrypted
    "$quorate" cluster start --base-port "$base" --wait 30000 ${switch:+"$switch"} >/dev/null || exit 1
done
for _ in $(seq "$rounds"); do
    for size in 100 4000; do
        for name in plain encrypted; do
            QUORATE_DIR=$work/$name
            round "$name" "$size"
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
    for i, (name, unit) in enumerate((("", "op/s"), ("_cpu", "us/op"))):
        mine, plain = (statistics.median(r[i] for r in by[w]) for w in ("encrypted", "plain"))
        print("bench encryption/%s%s ours=%.1f plain=%.1f ratio=%.2f unit=%s" % (what, name, mine, plain, mine / plain, unit))
PYTHON
QUORATE_DIR=$work/plain "$quorate" cluster stop >/dev/null
QUORATE_DIR=$work/encrypted
finish >/dev/null
