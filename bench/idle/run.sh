#!/bin/sh
# What ranges cost that nobody uses: make bench-idle RANGES=10000. Keyspaces split from the start, on a local cluster of
# three nodes; then nothing happens. Lines: bench idle/... ours=... unit=...
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/../../tests/process/lib.sh"

ranges=${RANGES:-10000}
seconds=${SECONDS_IDLE:-20}
most=4000 # ranges of one keyspace, at its creation

say() { printf 'bench idle/%s ours=%s unit=%s\n' "$1" "$2" "$3"; }
pids() { "$quorate" cluster status -o json | json "' '.join(str(p['pid']) for p in d['processes'] if p['name'].startswith('$1'))"; }
anon_kib() { awk '/^RssAnon/ { print $2 }' "/proc/$1/status"; }
led() { "$quorate" range list -o json | json "sum(1 for r in d['ranges'] if r['leader'])" 2>/dev/null || echo 0; }
now_ms() { date +%s%3N; }

# until_led COUNT BEGUN: milliseconds from BEGUN until so many ranges have a leader.
until_led() {
    begun=$2
    while [ "$(led)" -lt "$1" ]; do
        [ $(($(now_ms) - begun)) -lt 120000 ] || return 1
        sleep 0.1
    done
    echo $(($(now_ms) - begun))
}
ticks() { # of all processes named
    total=0
    for p in "$@"; do total=$((total + $(awk '{ print $14 + $15 }' "/proc/$p/stat"))); done
    echo "$total"
}
cpu() { # cpu NAME PID...: percent of one core, over the idle time
    name=$1
    shift
    before=$(ticks "$@")
    sleep "$seconds"
    after=$(ticks "$@")
    say "$name" "$(awk "BEGIN { printf \"%.2f\", ($after - $before) * 100 / $seconds / $(getconf CLK_TCK) }")" percent_of_a_core
}

cluster_start >/dev/null || exit 1
sleep 2
node=$(pids node-1)
before=$(anon_kib "$node")
begun=$(now_ms)
made=1 # the keyspace "default"
while [ "$made" -le "$ranges" ]; do
    count=$((ranges + 1 - made))
    [ "$count" -le "$most" ] || count=$most
    "$quorate" keyspace create "idle$made" --timeout 60000 --splits "$(seq -f 'k%07g' -s, 2 "$count")" >/dev/null || exit 1
    made=$((made + count))
done
say created_until_led "$(until_led $((ranges + 1)) "$begun")" ms
sleep 15
after=$(anon_kib "$node")
say memory_per_range "$(((after - before) * 1024 / ranges))" bytes
# shellcheck disable=SC2046
cpu nodes $(pids node-)
# shellcheck disable=SC2046
cpu metadata $(pids meta-)
"$quorate" cluster stop >/dev/null
begun=$(now_ms)
cluster_start >/dev/null || exit 1
say cold_start_until_led "$(until_led $((ranges + 1)) "$begun")" ms
"$quorate" cluster stop >/dev/null
finish >/dev/null
