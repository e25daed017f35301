#!/bin/sh
# A cluster of the former release is upgraded one process after the other under load, put back, upgraded again and finalised: no request
# fails. Before that whatever it writes and sends is the former release's, afterwards the former release is refused.
# QUORATE_FORMER: the former program; default: this one with the former version (make process builds it).
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"
newer=$(cd "$build" && pwd)/quorate
former=${QUORATE_FORMER:-$build/process/former}
if ! [ -x "$former" ]; then
    fail "$former is not there: make process builds it"
    finish
    exit 1
fi
# The supervisor starts whatever file stands here: it is replaced as a package manager would.
quorate=$work/bin/quorate
mkdir -p "$work/bin"
install_release() { cp "$1" "$work/bin/new" && mv "$work/bin/new" "$quorate"; }

admin=$newer # understands both releases
# shellcheck source=tests/process/rolling.sh
. "$(dirname "$0")/rolling.sh"
roll() { # WHAT FOR
    for n in 1 2 3; do check "$1: meta-$n" roll_meta $n; done
    for n in 1 2 3 4; do check "$1: node-$n" roll_node $n; done
}
version() { "$newer" upgrade status -o json | json "d['version']"; }
identities() { head -q -n 1 "$QUORATE_DIR"/*/IDENTITY | sort | uniq -c | sed 's/^ *//'; }
moved() { # a replica goes to another node: by a snapshot; refused while the scheduler has an operator of its own on that range
    # shellcheck disable=SC2046 # three words
    set -- $("$newer" range list --keyspace rolled -o json | json "(lambda r, has: '%s %s %s' % (r['id'], has[0], [n for n in (1, 2, 3, 4) if n not in has][0]))(d['ranges'][0], [p['node'] for p in d['ranges'][0]['replicas']])")
    "$newer" range move "$1" --from "$2" --to "$3" --timeout 30000
}
sent() { grep -hc 'snapshot.sent' "$QUORATE_DIR"/log/node-*.log | awk '{n += $1} END {exit n == 0}'; }

install_release "$former"
check "a cluster of the former release starts" cluster_start
check "with one more node" "$quorate" cluster add-node
check "a keyspace of six ranges" "$quorate" keyspace create rolled \
    --splits "$(python3 -c "print(','.join('bench/%016d' % (i * 2000 // 6) for i in range(1, 6)))")"
"$newer" bench kv --keyspace rolled --connections 8 --keys 2000 --reads 50 --rate 300 --seconds 600 --timeout 8000 >"$work/load.out" 2>&1 &
load=$!
sleep 1
install_release "$newer"
check "one process is upgraded: meta-1" roll_meta 1
check "and node-1" roll_node 1
check "the newer leads the metadata service" eventually "$newer" meta transfer 1
expect "not everybody is ready" 1 "supports versions" "$newer" upgrade check
expect "so it cannot be finalised" 1 "cannot be finalised" "$newer" upgrade finalize
check "a replica moves between releases" eventually moved
roll "upgraded"
check "the gateway is upgraded" restart gateway
check "the version is still the former" test "$(version)" = 1
check "and all that was written is the former release's" test "$(identities)" = "7 quorate 1"
check "everybody is ready" eventually "$newer" upgrade check
install_release "$former"
roll "put back"
check "all replicas hold the same rows" "$newer" range check
install_release "$newer"
roll "upgraded again"
check "everybody is ready again" eventually "$newer" upgrade check
check "it is finalised" eventually "$newer" upgrade finalize
all_at_2() { test "$(identities)" = "7 quorate 2"; }
check "everybody has noted that" eventually all_at_2
check "a replica moves in the new format" eventually moved
check "the load ends well" load_ended
check "no request has failed" grep -qE '^errors +0 definite, 0 unknown' "$work/load.out"
cat "$work/load.out"
check "all replicas hold the same rows in the end" "$newer" range check
check "snapshots were sent" sent
expect "a program of the former release is refused its directory" 1 "quorate" sh -c "
    '$newer' cluster kill node-2 >/dev/null; '$former' node --data '$QUORATE_DIR/node-2' --listen 127.0.0.1:$((base + 112)) --meta 127.0.0.1:$((base + 1))"
sed 's/^/      /' "$work/expect.out"
mkdir -p "$work/stranger" # it is told so, and ends or asks again
"$former" node --data "$work/stranger" --listen "127.0.0.1:$((base + 113))" --meta "127.0.0.1:$((base + 1)),127.0.0.1:$((base + 2)),127.0.0.1:$((base + 3))" >"$work/refused" 2>&1 &
stranger=$!
check "and a new one is refused by the metadata service" eventually grep "finalised at version 2" "$work/refused"
kill $stranger 2>/dev/null
expect "a command of the former release is told why" 1 "finalised at version 2" "$former" node list
finish
