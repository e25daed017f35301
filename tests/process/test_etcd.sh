#!/bin/sh
# The etcd surface beside Debian's etcd-server: the same random calls to both, answers compared field by field; Debian's python3-etcd3gw against
# both. Without etcd-server this fails, and says how to get it.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

if ! command -v etcd >/dev/null; then
    fail "etcd-server is not installed, so nothing can be compared: sh deploy/install-deps.sh test"
    finish
    exit 1
fi
check "the cluster starts" cluster_start

theirs=http://127.0.0.1:$((base + 91)) peer=http://127.0.0.1:$((base + 92))
etcd --data-dir "$work/etcd" --log-level error --unsafe-no-fsync --listen-client-urls "$theirs" --advertise-client-urls "$theirs" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer" 2>"$work/etcd.log" &
etcd_pid=$!
trap 'kill $etcd_pid 2>/dev/null; cleanup' EXIT
check "etcd starts" eventually curl -sf "$theirs/health"

python3 "$here/etcd_compare.py" "$(gateway)" "$theirs" 350 "${SEED:-20261121}" >"$work/compared" 2>&1
grep FAILED -A 4 "$work/compared" | head -40
check "the same calls have the same answers: $(tail -n 1 "$work/compared")" grep -q ' passed, 0 failed' "$work/compared"

for who in "$theirs" "$(gateway)"; do
    /usr/bin/python3 "$here/etcd_client.py" "$who" >"$work/client.$(echo "$who" | tr -dc 0-9)" 2>&1
done
check "python3-etcd3gw finds the same in both" cmp "$work/client.$(echo "$theirs" | tr -dc 0-9)" "$work/client.$(gateway | tr -dc 0-9)"
check "and it does find something" grep -q '^watched 1 2$' "$work/client.$(gateway | tr -dc 0-9)"

# What no single etcd can be asked: a lease ends by itself, a lock goes to who waits, both at the surface alone.
v3() { curl -s -m 60 -d "$2" "$(gateway)/v3/$1"; }
v3 lease/grant '{"ID":"92","TTL":"600"}' >/dev/null
short=91
held() { # under a lease of two seconds; a machine that stood still has let it end, so another one then
    short=$((short + 2))
    v3 lease/grant "{\"ID\":\"$short\",\"TTL\":\"2\"}"
    v3 kv/put "{\"key\":\"ZW5kcw==\",\"value\":\"MQ==\",\"lease\":\"$short\"}" | grep revision || return 1
    first=$(v3 lock/lock "{\"name\":\"bG9jaw==\",\"lease\":\"$short\"}" | json "d['key']") && [ -n "$first" ]
}
check "a lock is held" eventually held
second=$(v3 lock/lock '{"name":"bG9jaw==","lease":"92"}' | json "d['key']")
check "a lock goes to who waits when the lease of who holds it ends" test -n "$first" -a -n "$second" -a "$first" != "$second"
ended() { ! v3 kv/range '{"key":"ZW5kcw=="}' | grep -q kvs; }
check "and the lease's keys are gone" eventually ended

# An observer looks again at each change, for ever: what it has looked at is not kept.
gateway_kib() { awk '/VmRSS/ { print $2 }' "/proc/$(pid_of gateway)/status"; }
leader=$(v3 election/campaign '{"name":"dm90ZQ==","value":"MQ=="}' | json "__import__('json').dumps(d['leader'])")
curl -sN -d '{"name":"dm90ZQ=="}' "$(gateway)/v3/election/observe" >/dev/null 2>&1 &
observer=$!
head -c 200000 /dev/zero | base64 -w 0 >"$work/word"
proclaims() { # proclaims COUNT, with 200 KB each
    for i in $(seq "$1"); do
        printf '{"leader":%s,"value":"%s%04d"}' "$leader" "$(cat "$work/word")" "$i" | curl -s -o /dev/null --data-binary @- "$(gateway)/v3/election/proclaim"
    done
}
proclaims 50
before_kib=$(gateway_kib)
proclaims 300
after_kib=$(gateway_kib)
check "an observer takes no more memory with every change: $before_kib KiB, then $after_kib" test $((after_kib - before_kib)) -lt 30000
kill $observer

# A transaction over several ranges of ours: etcd's client knows of none.
check "the surface's range is cut" eventually "$quorate" range split --at kspan/m "$("$quorate" range list --keyspace etcd -o json | json "d['ranges'][0]['id']")"
v3 kv/put '{"key":"c3Bhbi9h","value":"MQ=="}' >/dev/null
v3 kv/put '{"key":"c3Bhbi96","value":"MQ=="}' >/dev/null
ranges() { [ "$("$quorate" range list --keyspace etcd -o json | json "len(d['ranges'])")" -ge 2 ]; }
check "there are two" eventually ranges
over='"key":"c3Bhbi8=","range_end":"c3BhbjA="'
expect "what lies in both changes at once" 0 '"deleted":"2"' v3 kv/txn "{\"compare\":[{$over,\"target\":\"VERSION\",\"result\":\"EQUAL\",\"version\":\"1\"}],
    \"success\":[{\"request_delete_range\":{$over}}]}"
expect "and is gone" 0 '"succeeded":true' v3 kv/txn "{\"compare\":[{$over,\"target\":\"CREATE\",\"result\":\"EQUAL\",\"create_revision\":\"0\"}]}"
finish
