#!/bin/sh
# The main job: a local cluster, the package index stored and read back, a bank with a leader killed half way, an audit.
# `make run` calls it. Exit status 0 only if both verdicts are exact; the cluster is left running.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
quorate=${QUORATE:-$here/../../build/quorate}
dir=${QUORATE_DIR:-./quorate-data}
export QUORATE_DIR="$dir"

say() { printf '%s\n' "$*"; }

for tool in apt-cache awk; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        say "demo: '$tool' is missing: this demo reads the package index of a Debian machine" >&2
        exit 1
    fi
done

"$quorate" cluster start ${DEMO_BASE_PORT:+--base-port "$DEMO_BASE_PORT"}
mkdir -p "$dir/demo"
work=$dir/demo

if ! apt-cache dumpavail >"$work/available" || ! [ -s "$work/available" ]; then
    say "demo: the package index is empty: filling it (apt-get update)"
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    $as_root apt-get update >"$work/apt.log" 2>&1 || true
    apt-cache dumpavail >"$work/available"
    if ! [ -s "$work/available" ]; then
        say "demo: the package index is still empty; run 'apt-get update' as root (its last output: $work/apt.log)" >&2
        exit 1
    fi
fi

exact=yes
rm -f "$work/records.report" "$work/bank.report" "$work/books.report" "$work/audit.report"
"$quorate" demo records --report "$work/records.report" <"$work/available" || exact=no
"$quorate" demo bank --report "$work/bank.report" ${DEMO_COUNT:+--count "$DEMO_COUNT"} || exact=no
touch "$work/bank-acknowledged.txt"
"$quorate" ledger audit >"$work/books.report" || exact=no
cat "$work/books.report"
"$quorate" ledger dump --timeout 60000 >"$work/bank.rows" || exact=no
awk -f "$here/audit.awk" "$work/bank-acknowledged.txt" "$work/bank.rows" >"$work/audit.report" || exact=no
cat "$work/audit.report"
rm -f "$work/bank.rows" "$work/available"

gateway=$("$quorate" cluster status -o plain | awk -F '\t' '$1 == "gateway" { print $3 }')
say
say "--- what was done"
for report in "$work/records.report" "$work/bank.report" "$work/books.report" "$work/audit.report"; do
    if [ -f "$report" ]; then cat "$report"; fi
done
say
say "The cluster goes on running: http://$gateway (stop it with 'make stop'). Try:"
say "  curl -i -X PUT --data-binary 'hello' http://$gateway/v1/kv/default/greeting"
say "  curl -i http://$gateway/v1/kv/default/greeting"
say "  curl -s 'http://$gateway/v1/kv/records?prefix=bash/&limit=3'"
[ "$exact" = yes ]
