#!/bin/sh
# Random faults on real processes for SECONDS (default 600); SEED repeats the choice of them (not their timing):
#   make soak SECONDS=3600 SEED=7
# One fault after the other, or three that overlap: one of a metadata server, one of a storage node, one of the network. Rounds
# of half a minute: each has a history of its own, judged at its end, and a bank, which is audited.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

seconds=${SOAK:-600}
seed=${SEED:-$$}
round_seconds=30
echo "soak: $seconds s, seed $seed"
faults_prepare proxy

# random MAX: 0 <= n < MAX, in `drawn` (a subshell would not keep the state)
random() {
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    drawn=$((seed / 65536 % $1))
}
victim() { # victim LOW HIGH: a random server, in `name`; half of the time one that leads. 0 12: any; 0 6: metadata; 6 12: nodes
    random $(($2 - $1))
    drawn=$((drawn + $1))
    case $drawn in
    0 | 1 | 2) name=meta-$((drawn + 1)) ;;
    3 | 4) name=$(meta_leader) ;;
    5) name=gateway ;;
    6 | 7 | 8) name=node-$((drawn - 5)) ;;
    *) name=$(leader_of default) ;;
    esac
    pid=$(pid_of "$name")
}
one_fault() { # one_fault LOW HIGH KIND KINDS: a victim, and a kind out of so many from KIND on
    victim "$1" "$2"
    random "$4"
    kind=$(((drawn + $3) % 10))
    random 4
    length=$((drawn + 1))
    case $kind in
    0 | 1)
        echo "  kill -9 $name, down for $length s"
        "$quorate" cluster kill "$name" >/dev/null
        sleep "$length"
        "$quorate" cluster start "$name" >/dev/null
        ;;
    2 | 3)
        echo "  SIGSTOP $name for $((2 * length)) s"
        [ "${pid:-0}" -gt 0 ] && kill -STOP "$pid" && sleep $((2 * length)) && kill -CONT "$pid"
        ;;
    4 | 5 | 6)
        id=$(id_of "$name")
        way=$((kind - 4)) # 0: both ways, 1: it cannot send, 2: it cannot hear
        echo "  cut $name (way $way) for $length s"
        : >"$work/pairs"
        for o in 1 2 3 11 12 13 80; do
            [ "$o" = "$id" ] && continue
            [ "$way" != 2 ] && echo "$id $o" >>"$work/pairs"
            [ "$way" != 1 ] && echo "$o $id" >>"$work/pairs"
        done
        cut "$(cat "$work/pairs")"
        sleep "$length"
        cut ""
        ;;
    *)
        [ "$name" = gateway ] && return
        set -- fail-sync "stall $((length * 20))" hang full fail-write
        shift $((kind - 7 + length % 3))
        echo "  $1 on $name for $length s"
        fault "$name" "$1"
        sleep "$length"
        fault "$name" ""
        ;;
    esac
}
# Kinds 4 to 6 cut the network, by one file for all: of several faults at a time only one.
some_faults() {
    random 2
    if [ "$drawn" -eq 0 ]; then
        one_fault 0 12 0 10
    else
        echo "  together:"
        one_fault 0 6 7 7 &
        lane=$!
        seed=$((seed + 1))
        one_fault 6 12 7 7 &
        lanes="$lane $!"
        seed=$((seed + 1))
        one_fault 0 12 4 3
        # shellcheck disable=SC2086 # two words
        wait $lanes
        seed=$((seed + 1))
    fi
    random 3
    sleep "$drawn"
}

check "the cluster starts" cluster_start
begun=$(date +%s)
round=0
while [ $(($(date +%s) - begun)) -lt "$seconds" ] && [ "$failed" -eq 0 ]; do
    round=$((round + 1))
    prefix=soak/$round
    echo "round $round"
    load_start --count 100000000 --seconds $round_seconds
    history_start
    until=$(($(date +%s) + round_seconds - 5))
    while [ "$(date +%s)" -lt "$until" ]; do some_faults; done
    check "round $round: what clients saw is linearizable" history_judge
    tail -n 1 "$work/check.out"
    check "round $round: the load finishes, every request answered" load_wait
    check "round $round: the audit is exact" bank_audit
done
for log in "$QUORATE_DIR"/log/*.log; do
    if grep -n "ASSERT\|BUG\|corrupt" "$log" >"$work/bad"; then
        fail "$(basename "$log") has something that may not be there"
        head -n 5 "$work/bad"
    fi
done
finish
