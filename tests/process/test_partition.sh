#!/bin/sh
# The network between the processes is cut under load: the leader alone, the leader that cannot send, the leader that cannot
# hear, the metadata leader alone. Clients go on reaching all of them: who is cut off must not answer from what it remembers.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

faults_prepare proxy
others() { for id in 1 2 3 11 12 13; do [ "$id" = "$1" ] || echo "$id"; done; }
cut_from() { for o in $(others "$1"); do echo "$1 $o"; done; } # it cannot send
cut_to() { for o in $(others "$1"); do echo "$o $1"; done; }   # it cannot hear
pairs() { # cut the lines on standard input
    cat >"$work/pairs"
    cut "$(cat "$work/pairs")"
}

moved() {
    now=$("$@")
    echo "${now:-nobody}"
    case $now in node-[1-9] | meta-[1-9]) [ "$(id_of "$now")" != "$leader" ] ;; *) return 1 ;; esac
}
moves() { within 30 moved "$@"; } # somebody else leads, or leads the metadata service: the cut is real

check "the cluster starts" cluster_start
history_start
leader=$(id_of "$(leader_of default)")
{ cut_from "$leader"; cut_to "$leader"; } | pairs
check "operations go on without the leader ($leader)" goes_on 20
check "another one leads" moves leader_of default
cut ""
sleep 1.5
leader=$(id_of "$(leader_of default)")
cut_from "$leader" | pairs
check "operations go on when the leader ($leader) cannot send" goes_on 20
check "another one leads" moves leader_of default
cut ""
sleep 1.5
leader=$(id_of "$(leader_of default)")
cut_to "$leader" | pairs
check "operations go on when the leader ($leader) cannot hear" goes_on 20
check "another one leads" moves leader_of default
cut ""
sleep 1.5
leader=$(id_of "$(meta_leader)")
{ cut_from "$leader"; cut_to "$leader"; } | pairs
check "operations go on without the metadata leader ($leader)" goes_on 20
check "another one leads" moves meta_leader
cut ""
sleep 1
check "what clients saw is linearizable" history_judge
cat "$work/native.out" "$work/http.out" "$work/proxy.err"
finish
