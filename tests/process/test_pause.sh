#!/bin/sh
# SIGSTOP of the node that leads most ranges, for some seconds under load; it comes back with old ideas of who leads. Then
# the same with the leading metadata server. The audit is exact, and what clients saw is linearizable. Writes with an id do not
# wait for whoever is stopped: their routers repeat them at the next leader.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

lines() { wc -l <"$QUORATE_DIR/demo/bank-acknowledged.txt"; }
pause() { # pause NAME SECONDS: others go on meanwhile
    pid=$(pid_of "$1")
    kill -STOP "$pid" || return 1
    sleep 2
    before=$(lines)
    sleep $(($2 - 2))
    after=$(lines)
    kill -CONT "$pid" || return 1
    echo "$before acknowledgements before, $after after"
    [ "$after" -gt "$before" ]
}

transfers_wait_no_longer_than() { # transfers_wait_no_longer_than MS: of the ledger, whose ids are those of transfers
    wait "$ledger" || { cat "$work/ledger.out"; return 1; }
    cat "$work/ledger.out"
    [ "$(sed -n 's/.*longest \([0-9]*\) ms.*/\1/p' "$work/ledger.out")" -lt "$1" ]
}
writes_wait_no_longer_than() { # writes_wait_no_longer_than MS: of those with an id, and each was served
    wait "$ids" || { cat "$work/ids.err"; return 1; }
    json "(d['write_ms']['count'], d['write_ms']['max'], d['errors_definite'], d['errors_unknown'])" <"$work/ids.json"
    [ "$(json "d['write_ms']['max'] < $1 and d['errors_definite'] + d['errors_unknown'] == 0" <"$work/ids.json")" = True ]
}

check "the cluster starts" cluster_start
load_start --count 1000000 --seconds 600
history_start
"$quorate" bench kv --connections 8 --rate 200 --seconds 12 --ids --timeout 8000 -o json >"$work/ids.json" 2>"$work/ids.err" &
ids=$!
"$quorate" bench ledger --connections 4 --accounts 100 --seconds 10 >"$work/ledger.out" 2>&1 &
ledger=$!
sleep 1
check "postings go on while the leader of most ranges is stopped for 4 s" pause "$(leader_of ledger)" 4
sleep 1
check "postings go on while the metadata leader is stopped for 3 s" pause "$(meta_leader)" 3
check "a write with an id is never kept for as long as a server stands" writes_wait_no_longer_than 2500
check "nor is a transfer of the ledger" transfers_wait_no_longer_than 2500
check "the load ends, every request answered" load_end
check "the audit is exact" bank_audit
check "what clients saw is linearizable" history_judge
cat "$work/load.out" "$work/native.out" "$work/http.out"
finish
