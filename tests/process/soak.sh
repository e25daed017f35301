#!/bin/sh
# Random faults on real processes for SECONDS (default 600), while operators work; SEED repeats the choice of them (not their timing):
#   make soak SECONDS=3600 SEED=7
# Faults: one after the other, or three that overlap: one of a metadata server, one of a storage node, one of the network; an orderly restart is one of them. Beside
# them ranges are split, merged and moved, nodes drained, backups made (soak_operate.py) and changes archived. In the first half of the time two releases are
# mixed: whoever starts again runs one of them by chance; then the newer one is finalised.
# Rounds of a minute: each has a history of its own, judged at its end, and two banks: one that is audited, and one of which every moment of the backups is compared with
# what was recorded. The first round's backup and then every fifth one is restored into a new cluster.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

seconds=${SOAK:-600}
seed=${SEED:-$$}
round_seconds=60
newer=$quorate
former=$build/process/former
# The supervisor starts whatever file stands here, as a package manager would leave it.
mkdir -p "$work/bin"
quorate=$work/bin/quorate
admin=$newer
echo "soak: $seconds s, seed $seed"
faults_prepare proxy
# shellcheck source=tests/process/rolling.sh
. "$here/rolling.sh"

bk=$work/bk
follow=
install_release() { cp "$1" "$work/bin/new" && mv "$work/bin/new" "$quorate"; }

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
draw_release() {
    [ "$finalised" = yes ] && return
    random 2
    if [ "$drawn" -eq 0 ]; then install_release "$former"; else install_release "$newer"; fi
}
one_fault() { # one_fault LOW HIGH KIND KINDS: a victim, and a kind out of so many from KIND on
    victim "$1" "$2"
    random "$4"
    kind=$(((drawn + $3) % 11))
    random 4
    length=$((drawn + 1))
    case $kind in
    0 | 1)
        echo "  kill -9 $name, down for $length s"
        "$newer" cluster kill "$name" >/dev/null
        sleep "$length"
        "$newer" cluster start "$name" >/dev/null
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
        for o in 1 2 3 11 12 13 14 80; do
            [ "$o" = "$id" ] && continue
            [ "$way" != 2 ] && echo "$id $o" >>"$work/pairs"
            [ "$way" != 1 ] && echo "$o $id" >>"$work/pairs"
        done
        cut "$(cat "$work/pairs")"
        sleep "$length"
        cut ""
        ;;
    10)
        echo "  restart $name"
        [ "${pid:-0}" -gt 0 ] && restart "$name"
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
    draw_release
    random 2
    if [ "$drawn" -eq 0 ]; then
        one_fault 0 12 0 11
    else
        echo "  together:"
        one_fault 0 6 7 8 &
        lane=$!
        seed=$((seed + 1))
        one_fault 6 12 7 8 &
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

# The archive of changes, all the time: who was away too long begins anew, and the next backup too.
follow_always() {
    while ! [ -e "$work/over" ]; do
        "$newer" backup follow "$bk" --every-ms 500 >/dev/null 2>"$work/follow.err" &
        echo $! >"$work/follow.pid"
        wait $! || grep -q "has a gap" "$work/follow.err" || { cat "$work/follow.err"; sleep 1; continue; }
        [ -e "$work/over" ] || timeout 20 "$newer" backup follow "$bk" --from-now --every-ms 500 >/dev/null 2>&1
    done
}
follow_end() {
    touch "$work/over"
    kill -INT "$(cat "$work/follow.pid")" 2>/dev/null
    wait "$follow" 2>/dev/null
    follow=
}
by_and_by() { eventually "$@" || eventually "$@" || eventually "$@" || eventually "$@"; }
everybody_up() { "$newer" cluster status -o json | json "all(p['pid'] for p in d['processes'])" | grep -q True; }
undrained() { # whoever died in the middle of it
    for n in 1 2 3 4; do "$newer" node undrain "$(node_of $n)" || return 1; done
}
# What the last backup holds is what the cluster held then, and what a new cluster holds into which it is restored.
restored() {
    "$newer" backup verify "$bk" -o json >"$work/verified" || return 1
    new_base=$(free_base_port)
    (
        export QUORATE_DIR="$work/new"
        "$newer" cluster start --base-port "$new_base" --wait 60000 >/dev/null && "$newer" backup restore "$bk" --at "$(json "d['timestamp']" <"$work/verified")" >"$work/restore.out" 2>&1 &&
            "$newer" backup digest -o json >"$work/restored" && "$newer" ledger audit >"$work/restore.audit"
        code=$?
        [ $code -eq 0 ] || tail -n 3 "$work/restore.out"
        "$newer" cluster stop >/dev/null
        rm -rf "$work/new"
        exit $code
    ) && same "$work/verified" "$work/restored"
}
finalise() {
    install_release "$newer"
    for n in 1 2 3; do restart "meta-$n" || return 1; done
    for n in 1 2 3 4; do restart "node-$n" || return 1; done
    restart gateway || return 1
    ready() { "$newer" upgrade check && "$newer" upgrade finalize; }
    by_and_by ready || { "$newer" upgrade check; return 1; }
}

finalised=no
install_release "$former"
check "the cluster starts, of the former release" cluster_start
check "with one more node" "$newer" cluster add-node
begun=$(date +%s)
round=0
while [ $(($(date +%s) - begun)) -lt "$seconds" ] && [ "$failed" -eq 0 ]; do
    round=$((round + 1))
    prefix=soak/$round
    bank=bank-$round
    echo "round $round"
    rm -f "$work/stop" "$work/over"
    if [ "$finalised" = no ] && [ $(($(date +%s) - begun)) -gt $((seconds / 2)) ]; then
        check "round $round: the newer release is finalised" finalise
        finalised=yes
    fi
    check "round $round: a keyspace" "$newer" keyspace create "$bank" --hash-buckets 5
    check "round $round: a backup to begin with" "$newer" backup create "$bk"
    follow_always &
    follow=$!
    load_start --count 100000000 --seconds $round_seconds
    history_start
    python3 "$here/backup_bank.py" "$(gateway)" "$work/history" "$work/stop" "$bank" >"$work/bank.out" 2>&1 &
    transfers=$!
    seed=$((seed + 1))
    python3 "$here/soak_operate.py" "$newer" "$bk" "$work/stop" "$work/tally" "$seed" &
    operators=$!
    until=$(($(date +%s) + round_seconds - 5))
    while [ "$(date +%s)" -lt "$until" ]; do some_faults; done
    touch "$work/stop"
    check "round $round: what clients saw is linearizable" history_judge
    tail -n 1 "$work/check.out"
    check "round $round: the load finishes, every request answered" load_wait
    check "round $round: the recorded bank had answers" wait $transfers
    wait $operators
    check "round $round: every process is up" by_and_by everybody_up
    check "round $round: no node stays drained" by_and_by undrained
    check "round $round: the audit is exact" bank_audit
    follow_end
    check "round $round: a backup at the end" "$newer" backup create "$bk" --incremental
    check "round $round: the backups are whole" "$newer" backup verify "$bk"
    check "round $round: every moment is exact to the transaction" python3 "$here/backup_exact.py" "$newer" "$bk" "$work/history" 6 "$bank" gaps
    tail -n 1 "$work/check.out"
    if [ $((round % 5)) -eq 1 ]; then check "round $round: restored into a new cluster, it is the same" restored; fi
done
check "all replicas hold the same rows" by_and_by "$newer" range check
for log in "$QUORATE_DIR"/log/*.log; do
    if grep -n "ASSERT\|BUG\|corrupt" "$log" >"$work/bad"; then
        fail "$(basename "$log") has something that may not be there"
        head -n 5 "$work/bad"
    fi
done
check "no process has died of a bug" sh -c "! ls '$QUORATE_DIR'/*/crash.txt"
echo "what operators did, and how often it was done, or refused:"
sed 's/not: .*/not/' "$work/tally" | sort | uniq -c
[ "$seconds" -lt 300 ] || for kind in split merge move transfer drain backup; do check "$kind: done at least once" grep -q "^$kind ok" "$work/tally"; done
finish
