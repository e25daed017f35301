#!/bin/sh
# The admin's verbs on a cluster in good health: what they print, their exit statuses, JSON that parses; a node is added.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

is_json() { "$@" -o json | json "type(d).__name__ == 'dict'" | grep -q True; }
four() { [ "$("$quorate" node list -o json | json "sum(n['alive'] for n in d['nodes'])")" = 4 ]; }
ended() { "$quorate" op history -o json | json "any(o['kind'] == '$1' and o['state'] == 'done' for o in d['operators'])" | grep -q True; }

check "the cluster starts" cluster_start
check "a node is added" "$quorate" cluster add-node
check "it is up" eventually four
expect "the supervisor knows it" 0 "node-4" "$quorate" cluster status
expect "less patience with a new metadata leader" 0 500 "$quorate" config set scheduler.grace_ms 500
check "a keyspace of six ranges" "$quorate" keyspace create six --splits b,c,d,e,f
for verb in "meta list" "range check" "range hot" "placement show" "placement check" "range scatter six" \
    "node decommission 1 --dry-run" "node maintenance 1 --end" "scheduler resume leaders" status "node list" "node show 1" "range list" "range show 2" "op list" "op history" "scheduler list" \
    "scheduler describe" "config get" "config get node.dead_after_s"; do
    # shellcheck disable=SC2086 # words
    check "$verb -o json" is_json "$quorate" $verb
done
moving() { "$quorate" status | grep moving; } # it may not be content while a leadership goes over
check "status says what moves" moving
comes "placement is as asked for" 0 "0 of" "$quorate" placement check
check "placement show" "$quorate" placement show
check "range hot" "$quorate" range hot
expect "a setting" 0 "77" "$quorate" config set node.dead_after_s 77
expect "it stays" 0 "77" "$quorate" config get node.dead_after_s
expect "back to the default" 0 "300" "$quorate" config set node.dead_after_s default
expect "beyond its bounds" 1 "a number from" "$quorate" config set node.dead_after_s 0
expect "an unknown one" 1 "no setting" "$quorate" config set nothing 1
expect "a scheduler is paused" 0 "scheduler.leaders is off" "$quorate" scheduler pause leaders
expect "the list says so" 0 '"scheduler.leaders":"off"' "$quorate" scheduler list -o json
expect "and goes on" 0 "scheduler.leaders is on" "$quorate" scheduler resume leaders
check "scatter" "$quorate" range scatter six
check "transfers have ended well" eventually ended transfer
expect "no such scheduler" 2 "there is no scheduler 'none'" "$quorate" scheduler pause none
expect "a group of verbs" 2 "needs one of: list, show, cancel, history" "$quorate" op
expect "no such operator to show" 1 "no operator has the id 4711" "$quorate" op show 4711 -o json
expect "a split beyond the range" 1 "not inside the range" "$quorate" range split 3 --at zz
expect "a member without an address" 1 "not HOST:PORT" "$quorate" meta add 4 nonsense
expect "no such operator" 1 "no operator" "$quorate" op cancel 4711
expect "no such range" 1 "no range" "$quorate" range show 4711
expect "no such node" 1 "no node" "$quorate" node decommission 99
expect "a usage error" 2 "expected a number" "$quorate" node show one
expect "replicas are compared" 0 "all replicas hold the same rows" "$quorate" range check 2
expect "no such range to compare" 1 "no such range" "$quorate" range check 4711
comes "the metadata's leadership goes" 0 "member 2 leads" "$quorate" meta transfer 2
comes "the list says so" 0 '"leader":2' "$quorate" meta list -o json
expect "not to a stranger" 1 "no metadata server 9" "$quorate" meta transfer 9
printf 'put default "a key" 1\n# a remark\nget default "a key"\nexit\nfails\n' >"$work/lines"
expect "lines from a file" 0 "1" sh -c "'$quorate' shell <'$work/lines'"
expect "they stop at what fails" 1 "no range" sh -c "printf 'range show 4711\nversion\n' | '$quorate' shell"
expect "completion" 0 "transfer-leader" "$quorate" complete -- range tr
"$quorate" completion bash >"$work/completion"
check "completion in bash" bash -c ". '$work/completion'; COMP_WORDS=('$quorate' meta tr); COMP_CWORD=2; _quorate; test \"\${COMPREPLY[*]}\" = transfer"
expect "a rule of a keyspace" 0 "host=node-2" "$quorate" placement set six --leaders host=node-2,host=node-3
expect "the list says so" 0 '"leaders":"host=node-2,host=node-3"' "$quorate" placement show -o json
expect "a bad one" 1 "label pattern" "$quorate" placement set six --within earth
check "leaders have gone where it says" eventually "$quorate" placement check
leads_there() { [ "$("$quorate" range list --keyspace six -o json | json "all(r['leader_address'].endswith((':$((base + 12))', ':$((base + 13))')) for r in d['ranges'])")" = True ]; }
check "they lead there" eventually leads_there
expect "a rule goes" 0 "any" "$quorate" placement set six --leaders any
expect "one screen" 0 "LOG WRITE" "$quorate" top --once
expect "with the gateway's requests" 0 "P99 MS" "$quorate" top --once --gateway "127.0.0.1:$((base + 80))"
expect "or without" 0 "does not answer" "$quorate" top --once --every-ms 200 --gateway "127.0.0.1:$((base + 90))"
ready() { [ "$("$quorate" top --once -o json | json "len(d['nodes']) == 4 and d['ready'] and len(d['ranges']) > 2")" = True ]; }
check "as JSON" eventually ready
check "to a pipe, screen after screen" test "$("$quorate" top --every-ms 200 -o json | head -n 2 | wc -l)" = 2
comes "maintenance" 0 "leads nothing" "$quorate" node maintenance 2 --minutes 5
comes "the list says so" 0 "maintenance" "$quorate" node list
comes "no second one while a quorum needs it" 1 "would have no quorum: node 2 is down or in maintenance" "$quorate" node maintenance 1
comes "longer is no second one" 0 "leads nothing" "$quorate" node maintenance 2 --minutes 6
expect "it ends" 0 "ended" "$quorate" node maintenance 2 --end
comes "three nodes are needed" 0 "other nodes" "$quorate" node decommission 1 --dry-run
finish
