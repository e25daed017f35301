#!/bin/sh
# The session of docs/growing.md, taken anew: prints what is typed and what is answered. No test: test_grow.sh is.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

type_in() { # ARGUMENT...: a command, shown with its answer
    printf '$ quorate %s\n' "$*"
    "$quorate" "$@" 2>&1
    printf '\n'
}
quiet() { [ "$("$quorate" op list -o json | json "len(d['operators'])")" = 0 ]; }

base=$(free_base_port)
cluster_start
"$quorate" keyspace create orders --splits "$(python3 -c "print(','.join('bench/%010d' % (i * 20000 // 12) for i in range(1, 12)))")"
"$quorate" bench kv --keyspace orders --connections 8 --depth 8 --keys 20000 --total 20000 --spread sequential >/dev/null
"$quorate" bench kv --keyspace orders --connections 8 --keys 20000 --reads 50 --rate 1000 --seconds "${SECONDS_OF_LOAD:-60}" >"$work/load.out" 2>&1 &
load=$!
sleep 3
type_in placement show
type_in cluster add-node
type_in cluster add-node
for _ in $(seq 40); do # a moment at which something moves
    sleep 0.1
    if ! quiet; then break; fi
done
type_in status
for _ in $(seq 60); do
    sleep 0.5
    if quiet && sleep 2 && quiet; then break; fi
done
type_in placement show
type_in status
first=$("$quorate" node list -o json | json "[n['id'] for n in d['nodes'] if n['address'].endswith(':$((base + 11))')][0]")
type_in node decommission "$first" --dry-run
type_in node decommission "$first"
type_in node list
type_in placement check
type_in range check
type_in op history
wait "$load"
printf 'the load meanwhile:\n'
cat "$work/load.out"
finish
