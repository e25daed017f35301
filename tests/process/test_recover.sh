#!/bin/sh
# The last resort: two of three storage nodes are gone for ever. unsafe-recover refuses while there is hope, says what may be lost, makes
# what is left go on in a new epoch, and whoever comes back with old data is never let in again.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

node_of() { "$quorate" node list -o json | json "[n['id'] for n in d['nodes'] if n['address'].endswith(':$((base + 10 + $1))')][0]"; }
led() { [ "$("$quorate" range list -o json | json "sum(r['leader'] is not None and r['leader'] != 0 for r in d['ranges'])")" = "$("$quorate" range list -o json | json "len(d['ranges'])")" ]; }
rows() { "$quorate" scan kept --keys-only --limit 100000 -o json | wc -l; }
three_each() { [ "$("$quorate" range list -o json | json "min(len([p for p in r['replicas'] if p['role'] == 'voter']) for r in d['ranges'])")" = 3 ]; }
gone() { [ "$("$quorate" cluster status -o json | json "[p['state'] for p in d['processes'] if p['name'] == '$1'][0]")" != "running" ]; }
long() { within 90 "$@" && return 0; "$quorate" status; "$quorate" op list; "$quorate" scheduler describe; return 1; }

check "the cluster starts" cluster_start
check "a keyspace of six ranges" "$quorate" keyspace create kept \
    --splits "$(python3 -c "print(','.join('bench/%010d' % (i * 6000 // 6) for i in range(1, 6)))")"
check "data" "$quorate" bench kv --keyspace kept --connections 4 --depth 8 --keys 6000 --total 6000 --spread sequential
before=$(rows)
second=$(node_of 2) third=$(node_of 3)
expect "refused while the nodes live" 1 "was heard of within the last 10 s" "$quorate" unsafe-recover --lost "$second,$third"
check "the survivor has applied what was committed" eventually "$quorate" range check
"$quorate" cluster kill node-3 >/dev/null
said() { "$@" 2>&1 | grep -q "$text"; }
text="every range has a quorum"
check "a node is silent for ten seconds" within 90 said "$quorate" unsafe-recover --lost "$third"
comes "refused while every range has a quorum" 1 "every range has a quorum" "$quorate" unsafe-recover --lost "$third"
"$quorate" cluster kill node-2 >/dev/null
text=unsafe-recover
check "then another one" within 90 "$quorate" unsafe-recover --lost "$second,$third" --dry-run
check "and has no leaders" eventually said "$quorate" status
expect "status names the verb" 1 "unsafe-recover" "$quorate" status
expect "a dry run says what goes on where" 0 "what was acknowledged behind" sh -c "'$quorate' unsafe-recover --lost $second,$third --dry-run | sed 's/whatever/what/'"
comes "without consent nothing is done" 1 "--accept-data-loss" "$quorate" unsafe-recover --lost "$second,$third"
comes "with it the rest goes on alone" 0 "what is left has a leader" "$quorate" unsafe-recover --lost "$second,$third" --accept-data-loss
check "every range has a leader" long led
are_there() { [ "$(rows)" = "$1" ]; }
check "all rows that the survivor had are there" eventually are_there "$before"
check "writes are taken" eventually "$quorate" put kept after recovery
"$quorate" op history >"$work/history"
expect "the history tells" 0 "given up by an admin" cat "$work/history"

"$quorate" cluster start node-2 >/dev/null 2>&1
check "who comes back asks" eventually grep -q "was given up by" "$QUORATE_DIR/log/node-2.log"
expect "who comes back is told that it was given up" 0 "was given up by" cat "$QUORATE_DIR/log/node-2.log"
check "and does not run" eventually gone node-2
expect "nodes are listed as given up" 0 "given up" "$quorate" node list
check "what was written since is there" sh -c "[ \"\$('$quorate' get kept after)\" = recovery ]"
for name in node-2 node-3; do # what the runbook says: the directory is kept aside, and the node starts with an empty one
    "$quorate" cluster kill $name >/dev/null
    mv "$QUORATE_DIR/$name" "$work/$name.evidence"
done
"$quorate" cluster start node-2 >/dev/null 2>&1
"$quorate" cluster start node-3 >/dev/null 2>&1
check "every range has three replicas again" long three_each
check "all rows are there still" eventually are_there "$((before + 1))"
expect "replicas agree" 0 "" "$quorate" range check
finish
