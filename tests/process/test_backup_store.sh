#!/bin/sh
# Backups in an object store, over TLS, encrypted, while the store is ill at times: made, gone on with, added to, verified, restored into a new cluster; what is
# stored cannot be read without the key; damage, wrong keys and wrong signatures are named. The store is tests/process/s3_server.py, or the one at $QUORATE_S3 (s3_real.sh).
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"
trap 'kill ${store:-} 2>/dev/null; cleanup' EXIT

folder=$work/bucket
bk=s3://bank/daily/main
keys=$work/backup.keys
if [ -n "${QUORATE_S3:-}" ]; then
    export AWS_ENDPOINT_URL="$QUORATE_S3"
else
    export AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG AWS_REGION=eu-central-1 AWS_CA_BUNDLE=$work/certs/authority.crt
    "$quorate" cert authority --out "$work/certs" >/dev/null && "$quorate" cert issue store --out "$work/certs" --hosts 127.0.0.1 >/dev/null
    # Some answers are "later", some never come; lists are told in small pages.
    python3 "$here/s3_server.py" 0 "$folder" bank "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" --ill 23 41 --page 3 \
        --tls "$work/certs/store.crt" "$work/certs/store.key" >"$work/store.port" 2>"$work/store.log" &
    store=$!
    check "a store" eventually test -s "$work/store.port"
    AWS_ENDPOINT_URL=https://127.0.0.1:$(cat "$work/store.port")
    export AWS_ENDPOINT_URL
fi

check "the cluster starts" cluster_start
check "a keyspace of some ranges" "$quorate" keyspace create wide --splits k/2,k/4,k/6,k/8
python3 - >"$work/rows.ndjson" <<'PYTHON'
for i in range(800): print('{"key":"k/%d/%d","value":"%s"}' % (i % 10, i, "zaubernuss-%d-" % i * 1000))
PYTHON
check "rows" "$quorate" import wide "$work/rows.ndjson"
check "a key" "$quorate" key new "$keys"
"$quorate" backup create "$bk" --encryption-keys "$keys" --rate 1 --parallel 1 >/dev/null 2>"$work/first.err" &
creating=$!
chunks() { "$quorate" backup list "$bk" --encryption-keys "$keys" 2>&1 | grep -q "was broken off"; }
check "a backup is begun" eventually chunks
kill -9 $creating
wait $creating 2>/dev/null
expect "one that was killed goes on" 0 "went on with one that was broken off" "$quorate" backup create "$bk" --encryption-keys "$keys"
check "more rows" "$quorate" put default later zaubernuss
expect "one that adds to it" 0 "adds to" "$quorate" backup create "$bk" --incremental --encryption-keys "$keys"
check "it is whole" sh -c "'$quorate' backup verify '$bk' --encryption-keys '$keys' -o json >'$work/verified'"
at=$(json "d['timestamp']" <"$work/verified")
check "the cluster held the same" sh -c "'$quorate' backup digest --at $at -o json >'$work/live'"
check "digests are equal" same "$work/verified" "$work/live"
expect "its rows can be looked at" 0 '"key":"later","value":"zaubernuss"' "$quorate" backup dump "$bk" --encryption-keys "$keys"
check "both are listed" test "$("$quorate" backup list "$bk" --encryption-keys "$keys" -o plain | wc -l)" = 2

expect "without the key it is refused" 1 "this directory is encrypted" "$quorate" backup verify "$bk"
check "another key" "$quorate" key new "$work/other.keys"
expect "with another key, too" 1 "needs the master key" "$quorate" backup verify "$bk" --encryption-keys "$work/other.keys"
check "a later key is added" "$quorate" key new "$keys"
expect "what lies under the former one is still read" 0 "whole, and restorable" "$quorate" backup verify "$bk" --encryption-keys "$keys"
expect "a store's other key is refused" 1 "s3://bank/daily/main cannot be read" env AWS_SECRET_ACCESS_KEY=other "$quorate" backup list "$bk"
expect "there is no other bucket" 1 "there is no such bucket" "$quorate" backup list s3://other
expect "keys come from the environment" 2 "AWS_ACCESS_KEY_ID" env -u AWS_ACCESS_KEY_ID "$quorate" backup list "$bk"

# Into a new cluster, while the store is ill: killed half-way, and gone on with.
check "the old cluster stops" "$quorate" cluster stop
QUORATE_DIR=$work/new
base=
check "a new cluster starts" cluster_start
"$quorate" backup restore "$bk" --encryption-keys "$keys" --rate 4 >/dev/null 2>&1 &
restoring=$!
marked() { "$quorate" keyspace list | grep -q restore-mark; }
check "a restore is begun" eventually marked
kill -9 $restoring
wait $restoring 2>/dev/null
expect "a restore that was killed goes on" 0 "read back, and found equal" "$quorate" backup restore "$bk" --encryption-keys "$keys"
check "the mark is gone" sh -c "! '$quorate' keyspace list | grep restore-mark | grep -v -i drop"
check "the new cluster is asked what it holds" sh -c "'$quorate' backup digest -o json >'$work/restored'"
check "it holds what the old one held" same "$work/verified" "$work/restored"
expect "a second restore into it is refused" 1 "is not empty" "$quorate" backup restore "$bk" --encryption-keys "$keys"

# The same, plain, in a directory: whoever gave keys first must go on with them, and who gave none cannot begin later.
check "a plain one in a directory" "$quorate" backup create "$work/plain"
expect "is not encrypted afterwards" 1 "begun without encryption" "$quorate" backup create "$work/plain" --encryption-keys "$keys"
if [ -n "${QUORATE_S3:-}" ]; then finish; exit; fi

expect "a store that nobody vouches for is refused" 1 "no encrypted connection" env AWS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt "$quorate" backup list "$bk"
check "a name is not left as a draft" sh -c "! ls '$folder' | grep -q tmp"
check "nothing of the rows is to be read in the store" sh -c "! grep -rqa zaubernuss '$folder'"
file=$(find "$folder" -name '*chunks*' | sort | tail -n 1)
python3 - "$file" <<'PYTHON'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(9000); b = f.read(1); f.seek(9000); f.write(bytes([b[0] ^ 1]))
PYTHON
expect "a flipped bit is found" 1 "chunks/" "$quorate" backup verify "$bk" --encryption-keys "$keys"
rm "$file"
expect "a missing object is found" 1 "chunks/" "$quorate" backup verify "$bk" --encryption-keys "$keys"
finish
