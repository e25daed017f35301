#!/bin/sh
# kill -9 of a process of each kind while the bank runs: gateway, the node that leads most ranges, the leading metadata
# server. The supervisor starts them again; the audit is exact.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

starts_of() { "$quorate" cluster status -o json | json "[p['starts'] for p in d['processes'] if p['name'] == '$1'][0]"; }
again() { [ "$(starts_of "$1")" -ge 2 ]; }

check "the cluster starts" cluster_start
load_start --count 1000000 --seconds 600
history_start
node=$(leader_of ledger)
meta=$(meta_leader)
for victim in gateway "$node" "$meta"; do
    sleep 1
    check "kill -9 of $victim" kill -9 "$(pid_of "$victim")"
    check "$victim is started again" eventually again "$victim"
done
check "transfers go on" transfers_flow
check "the load ends, every request answered" load_end
check "the audit is exact" bank_audit
check "what clients saw is linearizable" history_judge
check "the cluster is ready" eventually curl -sf "$(gateway)/readyz"
cat "$work/load.out" "$work/native.out" "$work/http.out"
finish
