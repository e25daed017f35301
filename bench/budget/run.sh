#!/bin/sh
# Where an operation's time goes: make bench-budget. A local cluster under one load after another, of one client alone and of
# many; of each its rate and median, and per operation and kind of process: microseconds of processor time in the program and in the
# kernel, system calls, changes of thread. Beside it the bare server of bench/floor.c. WHICH=yes: which system calls, too (strace).
# As root, for perf. Lines: bench budget/... ours=... unit=...; a table for docs/performance.md.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/../../tests/process/lib.sh"

warm=2 window=${WINDOW:-3}
for tool in perf strace; do
    command -v $tool >/dev/null || { echo "bench-budget wants perf (linux-perf) and strace" >&2; exit 1; }
done

pids() { "$quorate" cluster status -o json | json "','.join(str(p['pid']) for p in d['processes'] if p['name'].startswith('$1'))"; }
ticks() { # of processes, separated by commas: in the program, in the kernel
    for p in $(printf %s "$1" | tr , ' '); do sed 's/.*) //' "/proc/$p/stat"; done | awk '{ u += $12; s += $13 } END { print u + 0, s + 0 }'
}
of_each_role() { # of_each_role NAME LOAD-PID
    for role in node meta gateway load; do
        of=$2
        [ $role = load ] || of=$(pids $role)
        perf stat -x ' ' -e raw_syscalls:sys_enter,context-switches -p "$of" -o "$work/$1.$role.perf" sleep "$window" &
        echo "$(ticks "$of")" >"$work/$1.$role.before"
        echo "$of" >"$work/$1.$role.pids"
    done
    sleep "$window"
    for role in node meta gateway load; do ticks "$(cat "$work/$1.$role.pids")" >"$work/$1.$role.after"; done
}
which() { # which NAME LOAD-PID: a second of it
    for role in node meta gateway load; do
        of=$2
        [ $role = load ] || of=$(pids $role)
        # shellcheck disable=SC2046 # a -p for each
        timeout -s INT 1 strace -c -f -U name,calls -o "$work/$1.$role.strace" $(printf %s "$of" | tr , '\n' | sed 's/^/-p /') 2>/dev/null
    done
}
one() { # one NAME ARGUMENTS...
    name=$1
    shift
    "$quorate" bench "$@" --seconds $((warm + window + 2 + ${WHICH:+5} + 0)) --line "budget/$name" >"$work/$name.out" 2>&1 &
    load=$!
    sleep $warm
    of_each_role "$name" $load
    [ -z "${WHICH:-}" ] || which "$name" $load
    wait $load || { cat "$work/$name.out" >&2; exit 1; }
    echo "$name" >>"$work/names"
}

cluster_start >/dev/null || exit 1
"$quorate" scheduler pause split >/dev/null
"$quorate" keyspace create one >/dev/null || exit 1
"$quorate" keyspace create many --hash-buckets 8 >/dev/null || exit 1
"$build/bench/floor" "$work" 2 >"$work/floor" || exit 1
one put_1 kv --connections 1
one get_1 kv --connections 1 --reads 100 --fill
one transfer_one_range_1 bank --keyspace one --accounts 1000 --connections 1 --depth 1
one transfer_across_1 bank --keyspace many --accounts 1000 --connections 1 --depth 1
one ledger_1 ledger --accounts 1000 --connections 1
one put_64 kv --connections 64
one get_64 kv --connections 64 --reads 100 --fill
one transfer_one_range_4x64 bank --keyspace one --accounts 10000
one transfer_across_4x64 bank --keyspace many --accounts 10000
one ledger_64 ledger --accounts 10000 --connections 64

python3 - "$work" "$window" "$(getconf CLK_TCK)" <<'PYTHON'
import os, re, sys
work, window, hertz = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
roles = ("node", "meta", "gateway", "load")
def words(name): return open(os.path.join(work, name)).read().split()
print("| operation | per second | p50, ms | processor, us: " + "; ".join(r + " program + kernel" for r in roles) + " | all | system calls: " + ", ".join(roles) + " | changes of thread |")
print("|---|---|---|---|---|---|---|")
for line in open(os.path.join(work, "floor")):
    _, name, rate, p50 = line.split()
    print("| bare server, %s | %.0f | %.3f | | | | |" % (name, float(rate), float(p50)))
lines = []
for name in words("names"):
    text = open(os.path.join(work, name + ".out")).read()
    rate = float(re.search(r"^bench budget/\S+ ours=(\d+)", text, re.M).group(1))
    p50 = float((re.search(r"_p50 ours=([\d.]+)", text) or re.search(r"p50 ([\d.]+) ms", text)).group(1))
    times, calls, switches, total = [], [], 0, 0
    for role in roles:
        before, after = words("%s.%s.before" % (name, role)), words("%s.%s.after" % (name, role))
        user, kernel = ((float(a) - float(b)) / hertz / window / rate * 1e6 for a, b in zip(after, before))
        total += user + kernel
        times.append("%.1f + %.1f" % (user, kernel))
        counts = {l.split()[1] if not l.split()[1].startswith("raw") else "calls": float(l.split()[0]) for l in open("%s/%s.%s.perf" % (work, name, role)) if re.match(r"\d", l)}
        calls.append("%.2f" % (counts.get("calls", 0) / window / rate))
        switches += counts.get("context-switches", 0) / window / rate
    print("| %s | %.0f | %.3f | %s | %.1f | %s | %.2f |" % (name, rate, p50, "; ".join(times), total, ", ".join(calls), switches))
    lines.append("bench budget/%s ours=%.1f unit=us_of_processor_time" % (name, total))
print("\n".join(lines))
for name in words("names"):
    for role in roles:
        path = "%s/%s.%s.strace" % (work, name, role)
        if os.path.exists(path):
            rows = [l.split() for l in open(path) if re.match(r"\w+\s+\d+$", l)]
            print("%s %s: %s" % (name, role, ", ".join("%s %s" % tuple(r) for r in rows[:8])))
PYTHON
finish >/dev/null
