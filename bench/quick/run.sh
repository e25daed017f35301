#!/bin/sh
# The regression guard: make bench-quick. A local cluster and the bare server of bench/floor.c by turns; each figure is
# divided by the bare server's at the same time, so that a slower or busier machine matters less. Compared with the last
# recorded ratios (recorded.txt); RECORD=1 records these. Under two minutes. Lines: bench quick/... ours=... unit=...
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/../../tests/process/lib.sh"

recorded=$(cd "$(dirname "$0")" && pwd)/recorded.txt
rounds=${ROUNDS:-3}

one() { # one NAME FLOOR ARGUMENTS...: a line "NAME FLOOR operations-per-second"
    name=$1 floor=$2
    shift 2
    "$quorate" bench kv --seconds 2 -o json "$@" >"$work/one.json" || return 1
    printf '%s %s %s\n' "$name" "$floor" "$(json "d['operations_per_second'] if d['errors_definite'] + d['errors_unknown'] == 0 else 0" <"$work/one.json")" >>"$work/ours"
}

cluster_start >/dev/null || exit 1
"$quorate" scheduler pause split >/dev/null # one range, as when it was recorded
for _ in $(seq "$rounds"); do
    "$build/bench/floor" "$work" 1 >>"$work/floor" || exit 1
    one put_1 put_1 --connections 1
    one put_64 put_64 --connections 64
    one put_8x32 put_64 --connections 8 --depth 32
    one read_64 read_64 --connections 64 --reads 100 --fill
    one transfer_8x32 put_64 --connections 8 --depth 32 --transfers 100
done
"$quorate" cluster stop >/dev/null

python3 - "$work" "$recorded" "${RECORD:-}" <<'PYTHON'
import collections, os, statistics, sys
work, recorded, record = sys.argv[1:]
floor, ours, base = collections.defaultdict(list), collections.defaultdict(list), {}
for line in open(work + "/floor"):
    _, name, rate, _ = line.split()
    floor[name].append(float(rate))
for line in open(work + "/ours"):
    name, of, rate = line.split()
    ours[name].append(float(rate))
    base[name] = of
ratios = {n: statistics.median(ours[n]) / statistics.median(floor[base[n]]) for n in ours}
before = dict(l.split() for l in open(recorded)) if os.path.exists(recorded) else {}
slower = 0
for name, ratio in ratios.items():
    rate, old = statistics.median(ours[name]), float(before.get(name, 0))
    print("bench quick/%s ours=%.0f unit=op/s" % (name, rate))
    print("bench quick/%s_ratio ours=%.3f unit=of_the_bare_server" % (name, ratio))
    if old and ratio < 0.75 * old:
        print("SLOWER: %s is %.3f of the bare server; %.3f was recorded" % (name, ratio, old))
        slower += 1
if record:
    with open(recorded, "w") as f:
        f.writelines("%s %.4f\n" % r for r in ratios.items())
sys.exit(1 if slower else 0)
PYTHON
status=$?
finish >/dev/null
exit $status
