#!/bin/sh
# Transactions over HTTP (one request, in steps), a bank and the ledger while nodes and the gateway are killed, stopped and cut off.
# What clients saw is written down and judged by http_history.py, which shares no code with the server; first it is shown wrong histories.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

h=$work/h.ndjson
judge() { python3 "$here/http_history.py" check "$h"; }
event() { printf '{"type":"%s","process":%s,"time":%s,"value":%s}\n' "$1" "$2" "$3" "$4" >>"$h"; }
txn() { # txn PROCESS FROM TO VALUE
    event invoke "$1" "$2" "$4"
    event ok "$1" "$3" "$4"
}

: >"$h"
txn 1 10 20 '[["append","x",1],["r","y",[]]]'
txn 2 12 22 '[["r","x",[1]],["append","y",2]]'
txn 3 30 40 '[["r","x",[1]],["r","y",[2]]]'
expect "a good history" 0 "VERDICT strictly serializable" judge
txn 4 50 60 '[["r","x",[]]]'
expect "a stale reading" 1 "with real time" judge
: >"$h"
txn 1 10 20 '[["r","x",[]],["append","y",1]]'
txn 2 12 22 '[["r","y",[]],["append","x",2]]'
txn 3 30 40 '[["r","x",[2]],["r","y",[1]]]'
expect "write skew" 1 "G2" judge
: >"$h"
txn 1 10 40 '[["append","x",1]]'
txn 2 10 40 '[["append","y",1]]'
txn 3 11 39 '[["r","x",[1]],["r","y",[]]]'
txn 4 11 39 '[["r","x",[]],["r","y",[1]]]'
expect "a long fork" 1 "G2" judge
: >"$h"
txn 1 10 20 '[["append","x",1],["append","y",1]]'
txn 2 30 40 '[["r","x",[1]],["r","y",[]]]'
txn 3 50 60 '[["r","y",[1]]]'
expect "half of a transaction" 1 "G-single" judge
: >"$h"
event invoke 1 10 '[["append","x",1]]'
event fail 1 20 '[["append","x",1]]'
txn 2 30 40 '[["r","x",[1]]]'
expect "a failed write is there" 1 "told to have failed" judge
: >"$h"
txn 1 10 20 '[["append","x",1]]'
txn 2 30 40 '[["r","x",[]]]'
expect "an acknowledged write is not there" 1 "is not there" judge
: >"$h"
event ok 0 10 '{"a":10,"b":5}'
event ok 0 20 '{"a":11,"b":5}'
expect "a reading of the bank in the middle of a transfer" 1 "do not sum up" judge
: >"$h"
sent='{"id":"7","debit_account_id":"1","credit_account_id":"2","amount":"5","ledger":1,"code":1}'
event ok 7 10 "{\"ledger\":$sent,\"result\":\"created\"}"
event ok 0 20 '{"books":{"accounts":[],"transfers":[]}}'
expect "a transfer is lost" 1 "has not happened" judge
: >"$h"
event ok 7 10 "{\"ledger\":$sent,\"result\":\"created\"}"
event ok 0 20 "{\"books\":{\"accounts\":[{\"id\":\"1\",\"debits_posted\":\"10\",\"credits_posted\":\"0\"}],\"transfers\":[$sent]}}"
expect "a balance that its transfers do not explain" 1 "sum up to 5" judge

faults_prepare proxy
check "the cluster starts" cluster_start
check "a keyspace spread by hash" "$quorate" keyspace create hashed --hash-buckets 6
python3 "$here/http_history.py" load "$(gateway)" hashed "$h" >"$work/load.out" 2>&1 &
load=$!
done_so_far() { grep -c '"ok"' "$h"; }
go_on() { grows 150 "$1"; } # within SECONDS
check "transactions flow" go_on 20
victim=$(leader_of hashed)
check "$victim is killed" "$quorate" cluster kill "$victim"
check "transactions go on" go_on 20
check "it starts again" "$quorate" cluster start "$victim"
sleep 1
check "the gateway is killed" "$quorate" cluster kill gateway
check "it starts again" "$quorate" cluster start gateway
check "transactions go on" go_on 20
victim=$(leader_of hashed)
pid=$(pid_of "$victim")
kill -STOP "$pid"
check "transactions go on while $victim stands still" go_on 20
kill -CONT "$pid"
sleep 2
victim=$(id_of "$(leader_of hashed)")
for o in 1 2 3 11 12 13 80; do [ "$o" = "$victim" ] || printf '%s %s\n%s %s\n' "$victim" "$o" "$o" "$victim"; done >"$work/pairs"
cut "$(cat "$work/pairs")"
check "transactions go on while $victim is cut off" go_on 20
cut ""
check "the load ends" load_ended
check "what was seen is strictly serializable" judge
cat "$work/load.out"
judge
finish
