#!/bin/sh
# The disk fails under load: a sync or a write that fails once ends the process for good (and it comes back and is repaired),
# a slow disk and a full one do not. What clients saw is linearizable.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

faults_prepare
field_of() { "$quorate" cluster status -o json | json "[p['$2'] for p in d['processes'] if p['name'] == '$1'][0]"; }
ended_so() { [ "$(field_of "$1" starts)" -gt "$3" ] && [ "$(field_of "$1" exit_code)" = "$2" ]; }
ended_with() { # ended_with NAME CODE STARTS: it ends so, and is started again; the pause before that grows with each time
    within 60 ended_so "$@" || { "$quorate" cluster status; return 1; }
}
fails_once() { # fails_once NAME FAULT
    starts=$(field_of "$1" starts)
    fault "$1" "$2"
    ended_with "$1" 70 "$starts" || return 1
    [ "$(fault_of "$1")" = "done" ]
}
same_process() { [ "$(pid_of "$1")" = "$2" ]; }

check "the cluster starts" cluster_start
history_start
node=$(leader_of default)
check "a sync that fails once on the leader ($node) ends it" fails_once "$node" "fail-sync"
check "operations go on" goes_on 20
node=$(leader_of default)
check "a write that fails once on the leader ($node) ends it" fails_once "$node" "fail-write"
check "operations go on" goes_on 20
node=$(leader_of default)
starts_before_hang=$(field_of "$node" starts)
fault "$node" "hang"
check "operations are back long before the node stops whose disk hangs ($node)" goes_on 12
meta=$(meta_leader)
check "a sync that fails once on the metadata leader ($meta) ends it" fails_once "$meta" "fail-sync"
check "operations go on" goes_on 20
check "the node whose disk hangs stops by itself after 20 s" ended_with "$node" 70 "$starts_before_hang"
fault "$node" ""
node=$(leader_of default)
fault "$node" "stall 40"
check "operations go on while the leader's disk ($node) is slow" goes_on 20
fault "$node" ""
pid=$(pid_of "$node")
fault "$node" "full"
check "operations go on while the leader's disk is full" goes_on 20
check "it is still the same process" same_process "$node" "$pid"
fault "$node" ""
check "what clients saw is linearizable" history_judge
cat "$work/native.out" "$work/http.out"
finish
