#!/bin/sh
# SIGSTOP of the node that leads most ranges, for some seconds under load; it comes back with old ideas of who leads. Then
# the same with the leading metadata server. The audit is exact, and what clients saw is linearizable. Writes with an id do not
# wait for whoever is stopped: their routers repeat them at the next leader.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

done_so_far() { wc -l <"$QUORATE_DIR/demo/bank-acknowledged.txt"; }
pause() { # pause NAME SECONDS: at least so long; others go on meanwhile
    pid=$(pid_of "$1")
    kill -STOP "$pid" || return 1
    sleep "$2"
    going=0
    grows 0 20 || going=1
    kill -CONT "$pid" || return 1
    return $going
}

# How long requests waited, whose ids let their routers repeat them: less than the servers stood still. A machine that stands still
# itself makes them wait as well: then all is done once more.
waited() { sed -n 's/.*longest \([0-9]*\) ms.*/\1/p' "$work/ledger.out"; }
served() { # each of them was, in whatever time
    wait "$ledger" && wait "$ids" && [ "$(json "d['errors_definite'] + d['errors_unknown']" <"$work/ids.json")" = 0 ]
}
soon() { [ "$(waited)" -lt 2500 ] && [ "$(json "d['write_ms']['max'] < 2500" <"$work/ids.json")" = True ]; }
stops() {
    "$quorate" bench kv --connections 8 --rate 200 --seconds 12 --ids --timeout 30000 -o json >"$work/ids.json" 2>"$work/ids.err" &
    ids=$!
    "$quorate" bench ledger --connections 4 --accounts 100 --seconds 10 >"$work/ledger.out" 2>&1 &
    ledger=$!
    sleep 1
    check "postings go on while the leader of most ranges is stopped for 4 s" pause "$(leader_of ledger)" 4
    sleep 1
    check "postings go on while the metadata leader is stopped for 3 s" pause "$(meta_leader)" 3
    check "every write with an id is served, and every transfer" served
    cat "$work/ids.err" "$work/ledger.out"
}

check "the cluster starts" cluster_start
load_start --count 1000000 --seconds 600
history_start
for _ in 1 2 3 4; do
    stops
    if soon; then break; fi
done
check "none of them is kept for as long as a server stands" soon
check "the load ends, every request answered" load_end
check "the audit is exact" bank_audit
check "what clients saw is linearizable" history_judge
cat "$work/load.out" "$work/native.out" "$work/http.out"
finish
