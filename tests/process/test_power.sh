#!/bin/sh
# The power fails everywhere at once, under load: all processes are killed, and what no sync covered is, by chance, lost from
# the files and the directories of each (power_cut.py). Nothing that was acknowledged may be missing afterwards. Twice, the
# second time on a file system without direct I/O, where the log is synced in another way.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

faults_prepare power
seed=${SEED:-$$}
power_cut() {
    kill_all || return 1
    for p in meta-1 meta-2 meta-3 node-1 node-2 node-3; do
        python3 "$here/power_cut.py" "$QUORATE_DIR/$p" "$faults/$p.undo" "$seed" || return 1
    done
}

check "the cluster starts" cluster_start
load_start --count 1000000 --seconds 600
history_start
for round in 1 2; do
    sleep 1
    check "the power fails, round $round, seed $seed" power_cut
    cat "$work/check.out"
    preload_buffered=1
    check "the cluster starts again" cluster_start
    seed=$((seed + 1))
done
check "transfers go on" transfers_flow
check "the load ends, every request answered" load_end
check "the audit is exact" bank_audit
check "what clients saw is linearizable" history_judge
finish
