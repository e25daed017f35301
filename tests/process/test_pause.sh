#!/bin/sh
# SIGSTOP of the node that leads most ranges, for some seconds under load; it comes back with old ideas of who leads. Then
# the same with the leading metadata server. The audit is exact, and what clients saw is linearizable.
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

check "the cluster starts" cluster_start
load_start --count 1000000 --seconds 20
history_start
check "postings go on while the leader of most ranges is stopped for 4 s" pause "$(leader_of ledger)" 4
sleep 1
check "postings go on while the metadata leader is stopped for 3 s" pause "$(meta_leader)" 3
check "the load finishes, every request answered" load_wait
check "the audit is exact" bank_audit
check "what clients saw is linearizable" history_judge
cat "$work/load.out" "$work/native.out" "$work/http.out"
finish
