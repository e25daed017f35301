#!/bin/sh
# docs/http-api.md and docs/examples.md are true: each of their examples is run against a new cluster, in order, and what stands under it
# must be in the answer.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

check "the cluster starts" cluster_start
G=$(gateway)
export G
docs=$here/../../docs

# One example a line: the command, then what is expected, separated by TABs.
awk '/^```/ { inside = !inside; if (line != "") print line; line = ""; next }
     inside && /^\$ / { if (line != "") print line; line = substr($0, 3); next }
     inside && line != "" { line = line "\t" $0 }' "$docs/http-api.md" "$docs/examples.md" >"$work/examples"
check "the documents have examples" test "$(wc -l <"$work/examples")" -gt 20

# A new metadata leader's timestamps begin ahead of its clock, up to 3 s: rows end that much later.
curl -sf -X PUT --data-binary x "$G/v1/kv/default/clock?ttl=1ms" >"$work/answer"
gone() { ! curl -sf "$G/v1/kv/default/clock"; }
check "a row ends by itself" eventually gone

# What of the expected texts is not in the answer.
missing() {
    printf '%s' "$example" | command cut -s -f 2- | tr '\t' '\n' | while IFS= read -r text; do
        if ! grep -qF -- "$text" "$work/answer"; then printf '%s' "$text"; break; fi
    done
}
nothing_missing() { [ -z "$(missing)" ]; }

# A stream has no end: it is read until all that is expected has come.
stream() {
    sh -c "exec curl -sS${1#curl}" >"$work/answer" 2>&1 </dev/null &
    reader=$!
    eventually nothing_missing
    kill $reader 2>/dev/null
    wait $reader 2>/dev/null
}

while IFS= read -r example; do
    command=$(printf '%s' "$example" | command cut -f 1)
    case $command in */readyz) eventually curl -sf "$G/readyz" ;; esac # new ranges elect their first leaders
    case $command in
    *' -m 2 '*) stream "$(printf '%s' "$command" | sed 's/ -m 2 / -m 60 /')" ;;
    *) sh -c "curl -sS${command#curl}" >"$work/answer" 2>&1 </dev/null ;;
    esac
    named=$(sed -n 's/.*"session":"\([0-9a-f]*\)".*/\1/p' "$work/answer")
    if [ -n "$named" ]; then S=$named && export S; fi
    if nothing_missing; then pass "$command"; else
        fail "$command: '$(missing)' is not in the answer"
        head -c 600 "$work/answer" | sed 's/^/      /'
    fi
done <"$work/examples"

# --- the same from the command line ---
expect "a keyspace by hash" 0 "created" "$quorate" keyspace create events --hash-buckets 3 --ttl 7d
expect "again is no error" 0 "exists already" "$quorate" keyspace create events --hash-buckets 3 --ttl 7d
expect "nor with less asked for" 0 "exists already" "$quorate" keyspace create events
expect "but something else is, and is told" 1 "exists with 3 hash buckets, not 5" "$quorate" keyspace create events --hash-buckets 5
expect "split keys, too" 1 "by hash over 3 buckets" "$quorate" keyspace create events --splits m
expect "hash and splits exclude each other" 2 "exclude each other" "$quorate" keyspace create x --hash-buckets 3 --splits a
expect "a time to live that is none" 2 "--ttl soon" "$quorate" keyspace create x --ttl soon
expect "it is listed" 0 "hash, 3 buckets" "$quorate" keyspace list
expect "alter" 0 "altered" "$quorate" keyspace alter events --ttl none
expect "alter nothing" 2 "nothing to alter" "$quorate" keyspace alter events
expect "alter what is not there" 1 "no keyspace of that name" "$quorate" keyspace alter nowhere --ttl 1h
expect "no end for rows of money" 1 "no time to live for the keyspaces ledger, auth and etcd" "$quorate" keyspace create ledger --ttl 24h
expect "show" 0 '"ttl_ms":0' "$quorate" keyspace show events -o json
expect "show what is not there" 1 "no keyspace named" "$quorate" keyspace show nowhere
expect "a drop says what would go" 0 "3 ranges" "$quorate" keyspace drop events --dry-run
expect "and wants --yes" 2 "nothing was done" "$quorate" keyspace drop events
expect "it is still there" 0 "in use" "$quorate" keyspace show events
expect "drop" 0 "dropped" "$quorate" keyspace drop events --yes --grace 1h
expect "it goes in an hour" 0 "dropped, goes in" "$quorate" keyspace show events
expect "its name is not free yet" 1 "restore it" "$quorate" keyspace create events
expect "restore" 0 "altered" "$quorate" keyspace alter events --restore
check "a row before the end" "$quorate" put events k v
expect "a drop without grace" 0 "dropped" "$quorate" keyspace drop events --yes --grace none
destroyed() { ! "$quorate" keyspace show events && "$quorate" keyspace create events --splits m; }
check "its name is free soon" eventually destroyed
nothing_there() { test "$("$quorate" scan events --timeout 1000 -o plain | wc -l)" = 0 && "$quorate" put events n w; }
check "and the new one is another" eventually nothing_there
expect "a lost keyspace's name is not given" 1 "whose name was lost" "$quorate" keyspace create recovered-7
expect "the default keyspace is not dropped" 1 "belongs to every cluster" "$quorate" keyspace drop default --yes
finish
