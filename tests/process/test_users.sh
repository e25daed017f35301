#!/bin/sh
# Users and rights on a real cluster, over HTTP and from the command line: who is let in, what each verb allows, how soon a change holds.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

G=
ada="ada:correct horse"
bob="bob:battery staple"
says() { # says NAME CODE TEXT CURL-ARGUMENTS...: the status and a text of the answer
    name=$1 code=$2 text=$3
    shift 3
    got=$(curl -sS -o "$work/answer" -w '%{http_code}' "$@" 2>&1)
    if [ "$got" = "$code" ] && grep -qF -- "$text" "$work/answer"; then pass "$name"; else
        fail "$name: $got, not $code with '$text'"
        sed 's/^/      /' "$work/answer"
    fi
}

check "the cluster starts" cluster_start
G=$(gateway)
expect "off at first" 0 "off" "$quorate" auth status
says "and everybody may" 200 version -X PUT --data-binary 1 "$G/v1/kv/default/acct/1"
expect "not without an administrator" 1 "nobody would be left" "$quorate" auth enable
says "a user over HTTP" 200 '"done"' -X PUT "$G/v1/auth/users/ada" -d '{"password":"correct horse","roles":["root"]}'
says "the keyspace itself is closed" 403 "/v1/auth/users" "$G/v1/kv/auth/b/user/ada"
says "to transactions too" 403 forbidden "$G/v1/txn" -d '{"keyspace":"auth","then":[{"delete":{"key":"b/switch"}}]}'
expect "a role" 0 "done" "$quorate" role set teller read,write:default:acct/ read,ledger:ledger
echo 'battery staple' | "$quorate" user set bob --roles teller --password-stdin >"$work/answer" 2>&1
expect "a user from the command line" 0 "teller" "$quorate" user list
expect "its role" 0 "acct0" "$quorate" role list
expect "on" 0 "done" "$quorate" auth enable
refuses() { [ "$(curl -s -o /dev/null -w '%{http_code}' "$G/v1/kv/default/acct/1")" = 401 ]; }
check "within seconds nobody unknown is let in" eventually refuses
says "health is everybody's" 200 alive "$G/healthz"
says "the etcd surface asks too, in its own words" 400 "user name is empty" "$G/v3/kv/range" -d '{"key":"Zm9v"}'
says "a wrong token there" 401 "invalid auth token" "$G/v3/kv/range" -H "Authorization: nonsense" -d '{"key":"Zm9v"}'
says "what is wanted is said" 401 "POST /v1/auth/login" "$G/v1/status"
says "a password" 200 1 -u "$ada" "$G/v1/kv/default/acct/1"
says "a wrong one" 401 unauthenticated -u ada:wrong "$G/v1/kv/default/acct/1"
says "nonsense" 401 "Bearer" -H 'Authorization: Digest x' "$G/v1/status"

# --- what the teller may ---
says "reads what it may" 200 1 -u "$bob" "$G/v1/kv/default/acct/1"
says "writes what it may" 200 version -X PUT --data-binary 2 -u "$bob" "$G/v1/kv/default/acct/2"
says "not another key" 403 "has not the right" -X PUT --data-binary 2 -u "$bob" "$G/v1/kv/default/other"
says "scans its span" 200 rows -u "$bob" "$G/v1/kv/default?prefix=acct/"
says "not more" 403 forbidden -u "$bob" "$G/v1/kv/default?prefix=ac"
says "a transaction within it" 200 version -u "$bob" "$G/v1/txn" -d '{"then":[{"put":{"key":"acct/3","value":"3"}}]}'
says "not one that looks beyond it" 403 read -u "$bob" "$G/v1/txn" -d '{"compare":[{"key":"other","target":"exists","exists":false}],"then":[{"put":{"key":"acct/3","value":"3"}}]}'
says "no keyspaces" 403 admin -u "$bob" "$G/v1/keyspaces" -d '{"name":"mine"}'
says "no users" 403 admin -u "$bob" "$G/v1/auth/users"
says "not even its own roles" 403 admin -X PUT -u "$bob" "$G/v1/auth/users/bob" -d '{"roles":["root"]}'
says "the ledger" 200 created -u "$bob" "$G/v1/ledger/accounts" -d '[{"id":"1","ledger":1,"code":1},{"id":"2","ledger":1,"code":1}]'
says "and a transfer" 200 created -u "$bob" "$G/v1/ledger/transfers" -d '[{"id":"3","debit_account_id":"1","credit_account_id":"2","amount":"5","ledger":1,"code":1}]'
says "but not its rows" 403 write -X PUT --data-binary x -u "$bob" "$G/v1/kv/ledger/A"
says "its own password" 200 '"done"' -X PUT -u "$bob" "$G/v1/auth/users/bob" -d '{"password":"another staple"}'
says "the old one is over" 401 unauthenticated -u "$bob" "$G/v1/auth"
bob="bob:another staple"

# --- a session keeps to the rights too ---
S=$(curl -s -u "$bob" -d '{"keyspace":"default"}' "$G/v1/txn/begin" | json "d['session']")
says "a step that it may" 200 results -u "$bob" "$G/v1/txn/$S" -d '{"ops":[{"get":{"key":"acct/1"}}]}'
says "and one that it may not" 403 forbidden -u "$bob" "$G/v1/txn/$S" -d '{"ops":[{"get":{"key":"other"}}]}'

# --- a stream ends with the right to it ---
says "not what it may not read" 403 forbidden -u "$bob" "$G/v1/watch/default"
curl -sN -u "$bob" "$G/v1/watch/default?prefix=acct/&progress=200ms" >"$work/stream" 2>&1 &
watching=$!
says "the command line's role for the other surface" 200 '"done"' -X PUT -u "$ada" "$G/v1/auth/roles/app" \
    -d '{"rights":[{"verbs":["read","write"],"keyspace":"etcd","start":"ka","end":"kb"}]}'
says "for somebody" 200 '"done"' -X PUT -u "$ada" "$G/v1/auth/users/cyd" -d '{"password":"a staple","roles":["app"]}'
v3token=$(curl -s "$G/v3/auth/authenticate" -d '{"name":"cyd","password":"a staple"}' | json "d['token']")
says "who writes what they may" 200 revision -H "Authorization: $v3token" "$G/v3/kv/put" -d '{"key":"YWE=","value":"MQ=="}'
says "and no more" 403 "permission denied" -H "Authorization: $v3token" "$G/v3/kv/put" -d '{"key":"Yg==","value":"MQ=="}'
# --- nothing is bound to a lease whose keys one may not write: who binds it could not revoke it ---
mine="Authorization: $v3token"
says "a lease" 200 '"ID":"77"' -u "$ada" "$G/v3/lease/grant" -d '{"ID":"77","TTL":"600"}'
says "with a key of somebody else" 200 revision -u "$ada" "$G/v3/kv/put" -d '{"key":"Yg==","value":"MQ==","lease":"77"}'
says "takes no other's key" 403 "permission denied" -H "$mine" "$G/v3/kv/put" -d '{"key":"YWE=","value":"MQ==","lease":"77"}'
says "nor in a transaction" 403 "permission denied" -H "$mine" "$G/v3/kv/txn" -d '{"success":[{"request_put":{"key":"YWE=","value":"MQ==","lease":"77"}}]}'
says "nor a lock" 403 "permission denied" -H "$mine" "$G/v3/lock/lock" -d '{"name":"YWxvY2s=","lease":"77"}'
says "so it can be revoked" 200 revision -u "$ada" "$G/v3/lease/revoke" -d '{"ID":"77"}'
says "a lease of one's own" 200 '"ID":"78"' -H "$mine" "$G/v3/lease/grant" -d '{"ID":"78","TTL":"600"}'
for i in 1 2; do
    says "takes one's keys ($i)" 200 '"prev_kv":{"key":"YWE="' -H "$mine" "$G/v3/kv/put" -d '{"key":"YWE=","value":"MQ==","lease":"78","prev_kv":true}'
done
says "a lock, too" 200 '"key"' -H "$mine" "$G/v3/lock/lock" -d '{"name":"YWxvY2s=","lease":"78"}'
says "which ends them" 200 revision -H "$mine" "$G/v3/lease/revoke" -d '{"ID":"78"}'
says "one that is gone takes none" 404 "lease not found" -H "$mine" "$G/v3/kv/put" -d '{"key":"YWE=","value":"MQ==","lease":"78"}'

# --- an observer sees the whole of an election, or nothing ---
curl -sN -H "$mine" "$G/v3/election/observe" -d '{"name":"YWE="}' >"$work/observed" 2>&1 &
observing=$!
says "an election" 200 '"leader"' -u "$ada" "$G/v3/election/campaign" -d '{"name":"YWE=","value":"MQ=="}'
leader=$(json "__import__('json').dumps(d['leader'])" <"$work/answer")
sees() { grep -q '"value":"MQ=="' "$work/observed"; }
check "is observed" eventually sees
says "the right becomes one to a part of it" 200 '"done"' -X PUT -u "$ada" "$G/v1/auth/roles/app" \
    -d '{"rights":[{"verbs":["read"],"keyspace":"etcd","start":"kaa/","end":"kaa/0"}]}'
narrowed() { [ "$(curl -s -o /dev/null -w '%{http_code}' -H "$mine" "$G/v3/kv/range" -d '{"key":"YWE="}')" = 403 ]; }
check "everywhere" eventually narrowed
unseen() { ! kill -0 "$observing" 2>/dev/null && grep -q "permission denied" "$work/observed"; }
check "and ends the observing" eventually unseen
says "the leader's next word" 200 revision -u "$ada" "$G/v3/election/proclaim" -d "{\"leader\":$leader,\"value\":\"c2VjcmV0\"}"
check "is nobody's who may not hear all" sh -c "! grep -q c2VjcmV0 '$work/observed'"
says "the role as it was" 200 '"done"' -X PUT -u "$ada" "$G/v1/auth/roles/app" \
    -d '{"rights":[{"verbs":["read","write"],"keyspace":"etcd","start":"ka","end":"kb"}]}'
says "which etcd's clients see too" 200 '"key":"YQ==","range_end":"Yg=="' -H "Authorization: $v3token" "$G/v3/auth/role/get" -d '{"role":"app"}'
says "no lock on what is not theirs" 403 "permission denied" -H "Authorization: $v3token" "$G/v3/lock/lock" -d '{"name":"Yg=="}'
curl -sN -H "Authorization: $v3token" "$G/v3/watch" -d '{"create_request":{"key":"YWE="}}' >"$work/stream3" 2>&1 &
watching3=$!
watches3() { grep -q created "$work/stream3"; }
check "a watch there" eventually watches3
streams() { grep -q progress "$work/stream"; }
check "a watch" eventually streams

# --- tokens ---
login() { curl -s "$G/v1/auth/login" -d "{\"user\":\"$1\",\"password\":\"$2\"}" | json "d['token']"; }
token=$(login bob "another staple")
bearer="Authorization: Bearer $token"
says "a token is good" 200 '"user":"bob"' -H "$bearer" "$G/v1/auth"
says "a wrong password gets none" 401 unauthenticated "$G/v1/auth/login" -d '{"user":"bob","password":"nonsense"}'
expect "the user is disabled" 0 "done" "$quorate" user set bob --disable
ended() { [ "$(curl -s -o /dev/null -w '%{http_code}' -H "$bearer" "$G/v1/auth")" = 401 ]; }
check "and the token with it" eventually ended
over() { grep -q '"code":"forbidden"' "$work/stream" && ! kill -0 "$watching"; }
check "and the watch" eventually over
expect "the other one's too" 0 "done" "$quorate" user set cyd --revoke
refused3() { [ "$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: $v3token" "$G/v3/kv/put" -d '{"key":"YWE=","value":"Mg=="}')" = 401 ]; }
check "its token is over" eventually refused3
says "the watched key changes" 200 revision -u "$ada" "$G/v3/kv/put" -d '{"key":"YWE=","value":"c2VjcmV0"}'
over3() { grep -q 'invalid auth token' "$work/stream3" && ! grep -q c2VjcmV0 "$work/stream3" && ! kill -0 "$watching3" 2>/dev/null; }
check "its watch is told no more, and ends" eventually over3
expect "enabled again" 0 "done" "$quorate" user set bob --enable --rate 5
again() { token=$(login bob "another staple" 2>/dev/null) && [ -n "$token" ]; }
check "and let in" eventually again
bearer="Authorization: Bearer $token"
limited() { # 300 requests over one connection: more than five a second, on a slow machine too
    # shellcheck disable=SC2046 # words
    curl -s -H "$bearer" $(for _ in $(seq 300); do echo "$G/v1/auth"; done) | grep -q '"code":"busy"'
}
check "a rate is kept" eventually limited
says "a quota of bytes" 200 '"done"' -X PUT -u "$ada" "$G/v1/auth/users/bob" -d '{"requests_per_second":0,"bytes_per_day":2000}'
used_up() { curl -s -H "$bearer" "$G/v1/auth" "$G/v1/auth" "$G/v1/auth" | grep -q "bytes of this user's day"; }
check "is used up" eventually used_up
expect "and shown" 0 "2000" "$quorate" user list
# --- streams end with the token that opened them, though nothing comes on them ---
own=$(login ada "correct horse")
curl -sN -H "Authorization: Bearer $own" "$G/v1/watch/default?prefix=idle/&progress=20s" >"$work/idle1" 2>&1 &
idle1=$!
curl -sN -H "Authorization: $own" "$G/v3/watch" -d '{"create_request":{"key":"aWRsZQ=="}}' >"$work/idle2" 2>&1 &
idle2=$!
curl -sN -H "Authorization: $own" "$G/v3/election/observe" -d '{"name":"aWRsZQ=="}' >"$work/idle3" 2>&1 &
idle3=$!
says "a lock that somebody has" 200 '"key"' -u "$ada" "$G/v3/lock/lock" -d '{"name":"d2FpdA=="}'
holder=$(json "d['key']" <"$work/answer")
curl -sN -H "Authorization: $own" "$G/v3/lock/lock" -d '{"name":"d2FpdA=="}' >"$work/idle4" 2>&1 &
idle4=$!
curl -sN -H "Authorization: $own" "$G/v3/election/campaign" -d '{"name":"d2FpdA=="}' >"$work/idle5" 2>&1 &
idle5=$!
opened() { grep -q created "$work/idle2"; }
check "streams by a token" eventually opened
queued() { curl -s -u "$ada" "$G/v3/kv/range" -d '{"key":"d2FpdC8=","range_end":"d2FpdDA=","count_only":true}' | grep -q "\"count\":\"$1\""; }
check "and who wait for others" eventually queued 3
check "which last" kill -0 "$idle1" "$idle2" "$idle3" "$idle4" "$idle5"
says "until it is logged out" 200 '"done"' -X POST -H "Authorization: Bearer $own" "$G/v1/auth/logout"
for i in "$idle1" "$idle2" "$idle3" "$idle4" "$idle5"; do
    all_over() { ! kill -0 "$i" 2>/dev/null; }
    check "then it ends" eventually all_over
done
check "and says why" grep -q "has ended" "$work/idle1"
for i in 2 3 4 5; do check "in the other surface's words, too" grep -q "invalid auth token" "$work/idle$i"; done
check "who waited takes the key along" eventually queued 1
says "the lock goes on" 200 revision -u "$ada" "$G/v3/lock/unlock" -d "{\"key\":\"$holder\"}"
says "logging out" 200 '"done"' -X POST -H "Authorization: Bearer $(login ada "correct horse")" "$G/v1/auth/logout"

expect "users and rights are not dropped" 1 "holds users and rights" "$quorate" keyspace drop auth --yes
expect "the last administrator stays" 1 "nobody would be left" "$quorate" user drop ada
expect "off again" 0 "done" "$quorate" auth disable
open_again() { curl -sf "$G/v1/kv/default/acct/1"; }
check "and everybody may" eventually open_again
check "the log has what happened" grep -q "audit.forbidden.*user=bob" "$QUORATE_DIR/log/gateway.log"
check "and who administers" grep -q "audit.administers.*user=ada endpoint=auth" "$QUORATE_DIR/log/gateway.log"
finish
