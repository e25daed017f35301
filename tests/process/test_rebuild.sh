#!/bin/sh
# The metadata is lost: first two of its three disks, then with the third one all. A new service, in empty directories, is made anew out of
# what the storage nodes tell: refused while the old one lives, while a node is missing, while keys are nobody's. Then everything is there.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

base=$(free_base_port)
nodes="127.0.0.1:$((base + 11)),127.0.0.1:$((base + 12)),127.0.0.1:$((base + 13))"
rows() { "$quorate" scan "$1" --keys-only --limit 100000 -o json | wc -l; }
newest() { "$quorate" get kept bench/0000000001 -o json | json "int(d['version'])"; }
ranges() { "$quorate" range list -o json | json "sorted((r['id'], r['start']) for r in d['ranges'])"; }
led() { [ "$("$quorate" range list -o json | json "all(r['leader'] for r in d['ranges'])")" = True ]; }
wipe() { for id in "$@"; do "$quorate" cluster kill "meta-$id" >/dev/null; rm -rf "$QUORATE_DIR/meta-$id"; done; }
up() { for id in "$@"; do "$quorate" cluster start "meta-$id" >/dev/null 2>&1; done; }
rebuild() { "$quorate" meta rebuild --nodes "$nodes" "$@"; }
leaders_all() { rebuild --dry-run >/dev/null 2>&1; }

check "the cluster starts" cluster_start
check "a keyspace of six ranges" "$quorate" keyspace create kept \
    --splits "$(python3 -c "print(','.join('bench/%010d' % (i * 6000 // 6) for i in range(1, 6)))")"
check "one by hash" "$quorate" keyspace create spread --hash-buckets 4 --ttl 90d
check "data" "$quorate" bench kv --keyspace kept --connections 4 --depth 8 --keys 6000 --total 6000 --spread sequential
check "a range is cut" "$quorate" range split "$("$quorate" range list --keyspace kept -o json | json "d['ranges'][0]['id']")"
check "rules" "$quorate" placement set kept --leaders host=127.0.0.1
check "a setting" "$quorate" config set range.split_load 777
echo 'a long password' >"$work/password"
check "a user" sh -c "'$quorate' user set ada --roles root --password-stdin <'$work/password'"
before=$(rows kept)
map=$(ranges)
keeps() { for id in 1 2 3; do grep -qa "$1" "$QUORATE_DIR/node-$id/CATALOGUE" || return 1; done; }
check "each node keeps the catalogue, up to the last keyspace" eventually keeps auth
expect "refused while the service lives" 1 "it lives" rebuild --dry-run

# A quorum of the metadata is lost: what is left of it answers nothing, and is stopped.
"$quorate" bench kv --keyspace kept --connections 4 --keys 6000 --reads 100 --seconds 600 --rate 500 -o json >"$work/reads.json" 2>"$work/reads.err" &
load=$!
version=$("$quorate" put kept bench/0000000001 once -o json | json "int(d['version'])")
wipe 2 3
sleep 1
wipe 1
unheard() { ! "$quorate" meta rebuild --dry-run --nodes "$nodes" 2>&1 | grep -q "it lives"; }
check "the nodes have not been answered for ten seconds" within 90 unheard
expect "a node that is down is asked for" 1 "" sh -c "'$quorate' cluster kill node-3 && '$quorate' meta rebuild --timeout 3000 --nodes '$nodes'"
expect "or has to be named" 1 "if it never comes back" "$quorate" meta rebuild --nodes "127.0.0.1:$((base + 11)),127.0.0.1:$((base + 12))"
"$quorate" cluster start node-3 >/dev/null 2>&1
check "all nodes tell, every range is led" eventually leaders_all
comes "without consent nothing is done" 1 "with --accept" rebuild
up 1 2 3
founded() { "$quorate" range list 2>&1 | grep -q "not been initialised"; }
check "the new service is there" eventually founded
expect "a new service is not one of this cluster" 1 "not been initialised" "$quorate" range list
comes "it is made anew" 0 "done" rebuild --accept
check "every range has a leader" eventually led
expect "once" 1 "it lives" rebuild --accept
check "the map is what it was" test "$(ranges)" = "$map"
are_there() { [ "$(rows kept)" = "$before" ]; }
check "all rows are there" eventually are_there
check "writes are taken, above all before" test "$("$quorate" put kept bench/0000000001 again -o json | json "int(d['version'])")" -gt "$version"
expect "keyspaces are what they were" 0 "spread" "$quorate" keyspace list
expect "with their time to live" 0 "90d" "$quorate" keyspace show spread
expect "their rules" 0 "host=127.0.0.1" "$quorate" placement show
expect "settings" 0 "777" "$quorate" config get range.split_load
expect "users" 0 "ada" "$quorate" user list
check "a range is cut, with a new id" eventually "$quorate" range split "$("$quorate" range list --keyspace kept -o json | json "d['ranges'][2]['id']")"
above() { [ "$("$quorate" range list -o json | json "max(r['id'] for r in d['ranges'])")" -ge 1000000 ]; }
check "whose id is above all former ones" eventually above
check "a new keyspace" "$quorate" keyspace create fresh
check "replicas agree" eventually "$quorate" range check
check "the reading ends well" load_ended
check "reads went on all the while" python3 -c "import json; d = json.load(open('$work/reads.json')); print(d); assert d['errors_definite'] + d['errors_unknown'] == 0"
cat "$work/check.out"

# And once more, of a service that was made anew: two of the three nodes are gone for ever with it, and no range has a leader. The one that
# is left restarted, and tells it out of its files; unsafe-recover comes behind.
node_of() { "$quorate" node list -o json | json "[n['id'] for n in d['nodes'] if n['address'].endswith(':$((base + 10 + $1))')][0]"; }
version=$(newest)
second=$(node_of 2) third=$(node_of 3)
one() { "$quorate" meta rebuild --nodes "127.0.0.1:$((base + 11))" --without "$second,$third" "$@"; }
tells() { one --leaderless --dry-run >/dev/null 2>&1; }
check "the survivor has applied what was committed" eventually "$quorate" range check
wipe 1 2 3
for id in 1 2 3; do "$quorate" cluster kill node-$id >/dev/null; done
"$quorate" cluster start node-1 >/dev/null 2>&1
up 1 2 3
check "the node that is left tells what it knows" eventually tells
comes "without a leader only when asked for" 1 "--leaderless" one --accept
comes "nor with a node that is neither there nor named" 1 "--without" "$quorate" meta rebuild --nodes "127.0.0.1:$((base + 11))" --without "$second" --leaderless --accept
comes "it is made anew once more" 0 "done" one --leaderless --accept
recovers() { "$quorate" unsafe-recover --lost "$second,$third" --dry-run >/dev/null 2>&1; }
check "the others are silent" within 90 recovers
expect "what is left goes on alone" 0 "what is left has a leader" "$quorate" unsafe-recover --lost "$second,$third" --accept-data-loss
check "every range has a leader once more" eventually led
check "timestamps have risen" test "$("$quorate" put kept bench/0000000001 thrice -o json | json "int(d['version'])")" -gt "$version"
check "all rows are there once more" eventually are_there
expect "the last keyspace, too" 0 "fresh" "$quorate" keyspace list
finish
