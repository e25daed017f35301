#!/bin/sh
# Planned hand-over: leaderships move under load without a failed request, and a drained node leads nothing until undrained.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

leader() { "$quorate" range list --keyspace default -o json | json "d['ranges'][0]['leader']"; }
range() { "$quorate" range list --keyspace default -o json | json "d['ranges'][0]['id']"; }
other() { echo $(($1 % 3 + 1)); }
leads() { [ "$(leader)" = "$1" ]; }
leads_not() { [ "$(leader)" != "$1" ]; }

check "the cluster starts" cluster_start
check "nobody moves leaderships but by hand" "$quorate" scheduler pause leaders
check "8 transfers under load, without ids: no request fails" "$quorate" bench transfer --count 8
grep '^bench' "$work/check.out"
r=$(range)
from=$(leader)
to=$(other "$from")
check "a transfer on demand" eventually "$quorate" range transfer "$r" "$to"
expect "again: it is so already" 0 "\"leader\":$to" "$quorate" range transfer "$r" "$to" -o json
check "the map says so" eventually leads "$to"
expect "not to a stranger" 1 "holds no replica" "$quorate" range transfer "$r" 99
expect "not of a range that is not there" 1 "there is no range" "$quorate" range transfer 4711 "$to"
expect "a usage error" 2 "expected a number" "$quorate" range transfer "$r" me

check "drain" "$quorate" node drain "$to"
check "it leads no longer" eventually leads_not "$to"
comes "a drained node is not given leaderships" 1 "drained" "$quorate" range transfer "$r" "$to"
fine() { "$quorate" status >/dev/null; }
check "no range is without a leader for long" eventually fine # one that the load has split off elects its first
comes "status says so" 0 "drained" "$quorate" status
expect "drain again" 0 "\"drained\":true" "$quorate" node drain "$to" -o json
check "undrain" "$quorate" node undrain "$to"
check "it may lead again" eventually "$quorate" range transfer "$r" "$to"

# A leader that is stopped in good order, twice, under writes without ids: an unknown outcome or a refusal would be counted.
"$quorate" bench kv --connections 16 --seconds 600 >"$work/stop.out" 2>&1 &
load=$!
for _ in 1 2; do
    sleep 1
    kill -TERM "$(pid_of "$(leader_of default)")"
    sleep 2
done
check "the load ends well" load_ended
check "stopping leaders fails no request" grep -qE '^errors +0 definite, 0 unknown' "$work/stop.out"
cat "$work/stop.out"
finish
