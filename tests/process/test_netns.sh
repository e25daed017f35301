#!/bin/sh
# Three machines, each a network namespace with a metadata server and a storage node, are cut off from each other under load by
# routes that lead nowhere: one machine from the others, one that cannot send to them, one that cannot hear them. No connection
# is closed: packets vanish. Clients reach all of them all the time. Where namespaces cannot be made, proxies do it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
if [ "${NETNS_INSIDE:-}" != yes ]; then
    probe='ip link set lo up && mount -t tmpfs tmpfs /run && ip netns add probe && ip link add name probe type bridge'
    [ "$(id -u)" -eq 0 ] && own= || own='--user --map-root-user'
    # shellcheck disable=SC2086 # nothing, or two words
    if unshare $own --net --mount sh -c "$probe" >/dev/null 2>&1; then
        NETNS_INSIDE=yes exec unshare $own --net --mount sh "$0"
    fi
    echo "no network namespaces can be made here: proxies cut the network instead"
    exec sh "$here/test_partition.sh"
fi
# shellcheck source=tests/process/lib.sh
. "$here/lib.sh"

members=1=10.77.0.1:7001,2=10.77.0.2:7001,3=10.77.0.3:7001
QUORATE_META=10.77.0.1:7001,10.77.0.2:7001,10.77.0.3:7001
export QUORATE_META
base=7400 # the gateway listens on 7480
servers=
pace='--election-ms 300 --heartbeat-ms 60 --support-ms 300 --insecure'
# shellcheck disable=SC2086 # one word each
trap 'kill -9 $servers 2>/dev/null; cleanup' EXIT

machine() { # machine I: its namespace and its cable
    ip netns add "m$1" && ip link add "c$1" type veth peer name eth0 netns "m$1" && ip link set "c$1" master hub up &&
        ip -n "m$1" addr add "10.77.0.$1/24" dev eth0 && ip -n "m$1" link set eth0 up && ip -n "m$1" link set lo up
}
network() {
    mount -t tmpfs tmpfs /run && ip link set lo up && ip link add name hub type bridge && ip addr add 10.77.0.254/24 dev hub &&
        ip link set hub up && machine 1 && machine 2 && machine 3
}
run() { # run NAME COMMAND...: in the background; its log is NAME.log
    log=$work/$1.log
    shift
    "$@" >"$log" 2>&1 &
    servers="$servers $!"
}
servers_start() {
    for i in 1 2 3; do
        # shellcheck disable=SC2086
        run "meta-$i" ip netns exec "m$i" "$quorate" meta --data "$work/meta-$i" --id "$i" --members "$members" $pace
        # shellcheck disable=SC2086
        run "node-$i" ip netns exec "m$i" "$quorate" node --data "$work/node-$i" --listen "10.77.0.$i:7011" $pace
    done
    run gateway "$quorate" gateway --listen 127.0.0.1:7480
    for _ in $(seq 150); do # until there are a cluster and, when three nodes have come, its first keyspace
        if "$quorate" init --timeout 1000 && "$quorate" put default ready yes --timeout 1000; then return 0; fi
        sleep 0.1
    done
    return 1
}
# deaf FROM TO: nothing that FROM sends gets to TO. whole: everything does again.
deaf() { ip -n "m$1" route add blackhole "10.77.0.$2"; }
whole() { for i in 1 2 3; do for k in 1 2 3; do ip -n "m$i" route del blackhole "10.77.0.$k" 2>/dev/null; done; done; sleep 1.5; }
others() { for i in 1 2 3; do [ "$i" = "$1" ] || echo "$i"; done; }
mute() { for o in $(others "$1"); do deaf "$1" "$o" || return 1; done; }
hard_of_hearing() { for o in $(others "$1"); do deaf "$o" "$1" || return 1; done; }
led_by() { # the machine of the leader
    for _ in $(seq 100); do
        at=$("$quorate" range list --keyspace default -o json --timeout 4000 | json "d['ranges'][0]['leader_address'][8:9]")
        if [ -n "$at" ]; then break; fi
        sleep 0.1
    done
    echo "$at"
}
moves() { # within 10 s somebody else leads
    for _ in $(seq 100); do
        now=$(led_by)
        if [ -n "$now" ] && [ "$now" != "$1" ]; then return 0; fi
        sleep 0.1
    done
    return 1
}

check "three machines" network
check "their servers start" servers_start
history_start
m=$(led_by)
check "machine $m, which leads, is cut off" eval "mute $m && hard_of_hearing $m"
check "operations go on" goes_on 20
check "another one leads" moves "$m"
whole
m=$(led_by)
check "machine $m, which leads, can no longer send to the others" mute "$m"
check "operations go on" goes_on 20
check "another one leads" moves "$m"
whole
m=$(led_by)
check "machine $m, which leads, no longer hears the others" hard_of_hearing "$m"
check "operations go on" goes_on 20
check "another one leads" moves "$m"
whole
check "operations go on when all is well again" goes_on 20
check "what clients saw is linearizable" history_judge
cat "$work/native.out" "$work/http.out"
finish
