#!/bin/sh
# A cluster whose data is encrypted: nothing of it is to be read on the disk, kills lose nothing, keys are rotated under load, and without
# the right key every process says so and stops.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

keys=$QUORATE_DIR/encryption.keys
base=$(free_base_port)
expect "a cluster with --encrypted" 0 "started" "$quorate" cluster start --base-port "$base" --encrypted --wait 120000
needle=zaubernuss-zaubernuss
for i in $(seq 40); do printf 'put default %s-%s %s\n' "$needle" "$i" "$needle$needle"; done >"$work/puts"
check "rows" sh -c "'$quorate' shell <'$work/puts'"
"$quorate" bench kv --keys 20000 --value-size 20000 --reads 0 --seconds 600 --connections 8 --prefix "$needle/" >"$work/bench" 2>&1 &
bench=$!
check "a lot of rows, so that tables are written" sh -c "until find '$QUORATE_DIR/node-1/store' -name '*.tbl' | grep -q .; do kill -0 $bench || exit 1; sleep 0.1; done"
kill -INT "$bench" 2>/dev/null
wait "$bench"
hidden() { ! grep -rqa "$needle" "$QUORATE_DIR"/meta-* "$QUORATE_DIR"/node-*; }
check "nothing of them is on the disk" hidden
plain_names() { [ "$(cat "$QUORATE_DIR/node-1/ENCRYPTED")" = "quorate vault 1" ] && ! grep -q cluster "$QUORATE_DIR/node-1/IDENTITY"; }
check "not even the identity; but the mark is" plain_names
check "a node is killed" "$quorate" cluster kill node-1
expect "with another key it does not start" 1 "needs the master key" sh -c "'$quorate' key new '$work/other' >/dev/null &&
    '$quorate' node --data '$QUORATE_DIR/node-1' --listen 127.0.0.1:$((base + 91)) --meta 127.0.0.1:$((base + 1)) --encryption-keys '$work/other'"
expect "nor without" 1 "this directory is encrypted" "$quorate" node --data "$QUORATE_DIR/node-1" --listen "127.0.0.1:$((base + 91))" --meta "127.0.0.1:$((base + 1))"
expect "nor with a file that is none" 1 "line 1 is not a key" sh -c "echo hallo >'$work/bad' &&
    '$quorate' node --data '$QUORATE_DIR/node-1' --listen 127.0.0.1:$((base + 91)) --meta 127.0.0.1:$((base + 1)) --encryption-keys '$work/bad'"
expect "nor a plain directory with keys" 1 "begun without encryption" sh -c "mkdir -p '$work/plain' && echo x >'$work/plain/IDENTITY' &&
    '$quorate' node --data '$work/plain' --listen 127.0.0.1:$((base + 91)) --meta 127.0.0.1:$((base + 1)) --encryption-keys '$keys'"
check "the cluster starts it again" "$quorate" cluster start node-1
expect "and all is there" 0 "$needle$needle" "$quorate" get default "$needle-40"

# --- rotation, under load ---
old=$("$quorate" key list "$keys" | sed -n '1s/ .*//p')
"$quorate" bench kv --keys 2000 --value-size 500 --reads 30 --seconds 600 --connections 4 >"$work/bench" 2>&1 &
bench=$!
expect "the next key" 0 "for what is written from now on" "$quorate" key new "$keys"
rotated() { [ "$(grep -l "vault.rotated" "$QUORATE_DIR"/log/meta-?.log "$QUORATE_DIR"/log/node-?.log | wc -l)" = 6 ]; }
wait_rotated() { eventually rotated || eventually rotated || eventually rotated; }
check "every process comes to its end with it" wait_rotated
expect "the last key stays" 1 "the key that is written with" sh -c "'$quorate' key drop '$keys' \$('$quorate' key list '$keys' | sed -n '\$s/ .*//p')"
check "the old key goes" "$quorate" key drop "$keys" "$old"
kill -INT "$bench" 2>/dev/null
wait "$bench"
check "no request failed meanwhile" grep -q "^errors *0 definite, 0 unknown" "$work/bench"
check "one process is down" "$quorate" cluster kill node-3
check "the cluster is stopped" "$quorate" cluster stop
check "and starts with the new key alone" cluster_start
check "the held one too" "$quorate" cluster start node-3
expect "with all rows" 0 "$needle$needle" "$quorate" get default "$needle-1"
written() { # a copy of a table that was whole: tables go when they are compacted
    find "$QUORATE_DIR/node-1/store" -name '*.tbl' >"$work/tables"
    while read -r table; do
        cp "$table" "$work/table" && "$quorate" debug table --encryption-keys "$keys" "$work/table" </dev/null && return
    done <"$work/tables"
    return 1
}
check "there is a table" eventually written
expect "a table can be looked at with the key" 0 "rows" "$quorate" debug table --encryption-keys "$keys" "$work/table"
expect "not without" 1 "not a table" "$quorate" debug table "$work/table"
expect "from a command too" 0 "rows" "$quorate" debug table --encryption-keys "|cat '$keys'" "$work/table"
check "still nothing on the disk" hidden
check "it stops" "$quorate" cluster stop
expect "a data directory can be checked with the key" 0 "all of them sound" "$quorate" debug check --encryption-keys "$keys" "$QUORATE_DIR/node-1"
expect "not without" 1 "quorate: " "$quorate" debug check "$QUORATE_DIR/node-1"
table=$(find "$QUORATE_DIR/node-1/store" -name '*.tbl' | head -n 1)
printf 'x' | dd of="$table" bs=1 seek=5000 conv=notrunc status=none
expect "a damaged table is named" 1 "$(basename "$table")" "$quorate" debug check --encryption-keys "$keys" "$QUORATE_DIR/node-1"
finish
