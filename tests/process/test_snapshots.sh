#!/bin/sh
# Registered snapshots (docs/reads.md): a past is read when everything that is not registered has gone, after every process was killed too.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

check "the cluster starts" cluster_start
G=$(gateway)
key="$G/v1/kv/default/price"
timestamp() { sed -n 's/.*"timestamp":"\([0-9]*\)".*/\1/p'; }
write() { curl -sS -X PUT --data-binary "$1" "$key"; }

expect "written" 0 '"version":' write before
expect "accounts of a ledger" 0 "created" "$quorate" ledger create-accounts 1 2
expect "and a transfer" 0 "created" "$quorate" ledger transfer 1 2 10
early=$(curl -sS "$key?read=snapshot" -D - -o /dev/null | tr -d '\r' | sed -n 's/^[Qq]uorate-[Tt]imestamp: //p')
expect "registered" 0 '"created":true' curl -sS -d '{"name":"closing","lifetime":"30m"}' "$G/v1/snapshots"
at=$(curl -sS "$G/v1/snapshots" | timestamp)
expect "a name is registered once" 0 "is registered already" "$quorate" snapshot create closing
expect "overwritten" 0 '"version":' write after
expect "and once more" 0 '"version":' write later
expect "another transfer" 0 "created" "$quorate" ledger transfer 1 2 20
expect "it is listed" 0 "closing" "$quorate" snapshot list
expect "what is too old is not registered" 1 "versions of that time may be gone" "$quorate" snapshot create old --at 1
expect "what is to come is not registered" 1 "has not been issued yet" "$quorate" snapshot create new --at 9000000000000000000
expect "names are of letters" 1 "consists of" "$quorate" snapshot create "A b"
expect "lives are bounded" 2 "at most 7d" "$quorate" snapshot create long --lifetime 8d
expect "an unknown one is not dropped" 1 "no snapshot of that name" "$quorate" snapshot drop nothing
expect "nor extended" 1 "no snapshot of that name" "$quorate" snapshot extend nothing

# The ordinary past ends after a minute, if something is written. TIMESTAMP SECONDS
goes() {
    for _ in $(seq "$2"); do
        write "at $(date +%s)" >/dev/null
        if curl -sS "$key?read=snapshot&at=$1" | grep -q '"code":"too_old"'; then return 0; fi
        sleep 1
    done
    return 1
}
check "what is not registered goes" goes "$early" 150
expect "what is registered does not" 0 before curl -sS "$key?read=snapshot&at=$at"
expect "a scan as of then" 0 '"value":"before"' curl -sS "$G/v1/kv/default?prefix=price&read=snapshot&at=$at"
expect "the books as of then are proven" 0 "2 accounts, 1 transfers" "$quorate" ledger audit --at "$at"
expect "over HTTP, too" 0 '"transfers":1,' curl -sS "$G/v1/ledger/audit?at=$at"
expect "those of now are others" 0 "2 accounts, 2 transfers" "$quorate" ledger audit
expect "those of the ordinary past have gone" 1 "too_old" "$quorate" ledger audit --at "$early"

"$quorate" cluster stop >/dev/null
"$quorate" cluster start >/dev/null
comes "extended" 0 "readable for" "$quorate" snapshot extend closing --lifetime 2h
comes "after a restart of all, too" 0 before curl -sS "$key?read=snapshot&at=$at"
comes "at every replica" 0 before curl -sS "$key?read=snapshot&at=$at&replica=any"
comes "written again" 0 '"version":' write again
expect "dropped" 0 "dropped" "$quorate" snapshot drop closing
check "then it goes" goes "$at" 30
finish
