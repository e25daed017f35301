#!/bin/sh
# kill -9 of all processes at once, the supervisor too, in the middle of the load. Started again, the load goes on by itself:
# what had no answer is sent again with the same id. The audit is exact, twice: the second run continues the first.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

check "the cluster starts" cluster_start
load_start --count 1000000 --seconds 600
history_start
sleep 1
check "kill -9 of all processes" kill_all
expect "the status says so" 1 "stopped" "$quorate" cluster status
check "the cluster starts again" cluster_start
check "transfers go on" transfers_flow
check "the load ends, every request answered" load_end
check "the audit is exact" bank_audit
check "what clients saw is linearizable" history_judge
check "a second run continues" "$quorate" demo bank --no-kill --count 2000
check "the audit is exact again" bank_audit
cat "$work/load.out"
finish
