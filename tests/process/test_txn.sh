#!/bin/sh
# Transactions over several ranges while nodes are killed, stopped and cut off: lists that are read and appended to, strictly
# serializable as their history shows; transfers between accounts, and readings of all balances that sum up to the same each time.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

h=$work/h.ndjson
judge() { "$build/process/history_check" "$h"; }
event() { printf '{"type":"%s","process":%s,"time":%s,"value":%s}\n' "$1" "$2" "$3" "$4" >>"$h"; }

: >"$h"
event invoke 1 10 '[["append","x",1],["r","y",null]]'
event invoke 2 11 '[["append","x",2],["append","y",2]]'
event ok 1 20 '[["append","x",1],["r","y",[]]]'
event info 2 21 '[["append","x",2],["append","y",2]]'
event invoke 3 30 '[["r","x",null],["r","y",null]]'
event ok 3 40 '[["r","x",[1,2]],["r","y",[2]]]'
expect "a history of lists" 0 "VERDICT strictly serializable" judge
event invoke 3 50 '[["r","x",null]]'
event ok 3 60 '[["r","x",[1]]]'
expect "a list that was longer before" 1 "with real time" judge
: >"$h"
event ok 0 10 '{"a":10,"b":5}'
event ok 0 20 '{"a":7,"b":8}'
expect "balances that sum up to the same" 0 "2 readings of a bank: VERDICT strictly" judge
event ok 0 30 '{"a":7,"b":5}'
expect "a reading in the middle of a transfer" 1 "do not sum up" judge

faults_prepare proxy
check "the cluster starts" cluster_start
check "a keyspace of many ranges" "$quorate" keyspace create wide --splits 2,3,4,5,6,7,8,9
check "a keyspace spread by hash" "$quorate" keyspace create hashed --hash-buckets 6
"$quorate" bench append --keyspace wide --clients 12 --seconds 600 --timeout 8000 --history "$work/lists.ndjson" >"$work/append.out" 2>&1 &
append=$!
"$quorate" bench bank --keyspace hashed --accounts 60 --connections 2 --depth 4 --seconds 600 --timeout 8000 --audit \
    --history "$work/bank.ndjson" >"$work/bank.out" 2>&1 &
bank=$!
done_so_far() { cat "$work/lists.ndjson" "$work/bank.ndjson" | grep -c '"ok"'; }
go_on() { grows 60 "$1"; } # within SECONDS
sleep 2
victim=$(leader_of wide)
check "$victim is killed" "$quorate" cluster kill "$victim"
check "transactions go on" go_on 20
check "it starts again" "$quorate" cluster start "$victim"
sleep 2
victim=$(leader_of hashed)
pid=$(pid_of "$victim")
kill -STOP "$pid"
check "transactions go on while $victim stands still" go_on 20
kill -CONT "$pid"
sleep 2
victim=$(id_of "$(leader_of wide)")
for o in 1 2 3 11 12 13; do [ "$o" = "$victim" ] || printf '%s %s\n%s %s\n' "$victim" "$o" "$o" "$victim"; done >"$work/pairs"
cut "$(cat "$work/pairs")"
check "transactions go on while $victim is cut off" go_on 20
cut ""
kill -INT "$append" "$bank"
check "the lists' load ends" wait "$append"
check "the transfers end, and every reading was exact" wait "$bank"
check "the lists are strictly serializable" "$build/process/history_check" "$work/lists.ndjson"
check "the readings of the bank sum up" "$build/process/history_check" "$work/bank.ndjson"
cat "$work/append.out" "$work/bank.out"
"$build/process/history_check" "$work/lists.ndjson"
finish
