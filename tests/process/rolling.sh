# One process after the other, as an operator restarts them: a node is drained, stopped, started and taken back; a metadata server hands
# its leadership over first. For tests that source lib.sh and say in `admin` which program asks.
# shellcheck shell=sh
: "${admin:?}" "${base:=}"

node_of() { "$admin" node list -o json | json "[n['id'] for n in d['nodes'] if n['address'].endswith(':$((base + 10 + $1))')][0]"; }
restarted() { # NAME PID: another process of that name runs
    for _ in $(seq 300); do
        now=$("$admin" cluster status -o json | json "[p['pid'] for p in d['processes'] if p['name'] == '$1' and p['pid']][0]" 2>/dev/null)
        if [ -n "$now" ] && [ "$now" != "$2" ]; then return 0; fi
        sleep 0.1
    done
    return 1
}
restart() { # NAME
    old=$(pid_of "$1")
    kill -TERM "$old"
    restarted "$1" "$old"
}
caught_up() { # the next one may go only when all replicas of all ranges are there again
    eventually "$admin" range check
}
roll_node() { # NUMBER
    id=$(node_of "$1")
    eventually "$admin" node drain "$id" && restart "node-$1" && caught_up && eventually "$admin" node undrain "$id"
}
roll_meta() { # NUMBER
    if [ "$(meta_leader)" = "meta-$1" ]; then eventually "$admin" meta transfer $(($1 % 3 + 1)) || return 1; fi
    restart "meta-$1" || return 1
    for _ in $(seq 300); do
        if "$admin" meta list -o json 2>/dev/null | json "len(d['members']) == 3 and all(m['up'] for m in d['members'])" | grep -q True; then return 0; fi
        sleep 0.1
    done
    return 1
}
