#!/bin/sh
# A cluster whose connections are encrypted: who is let in, who is not, and certificates that are replaced while it runs.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"
trap '"$quorate" cluster stop >/dev/null 2>&1; cleanup' EXIT

certs=$work/data/certs
foreign=$work/foreign
https() { printf 'https://127.0.0.1:%d' $((base + 80)); }
replaced() { [ "$(grep -l certs.replaced "$work"/data/log/*.log | wc -l)" -eq 7 ]; }

base=$(free_base_port)
check "a secure cluster starts" "$quorate" cluster start --base-port "$base" --secure --wait 120000
check "the command line writes" "$quorate" put default k v
expect "and reads" 0 "v" "$quorate" get default k
expect "keys are their owner's alone" 0 "-rw-------" ls -l "$certs/server.key"
expect "curl with the authority's certificate" 0 "v" curl -s --cacert "$certs/authority.crt" "$(https)/v1/kv/default/k"
expect "curl without it refuses the server" 60 "" curl -sS "$(https)/v1/kv/default/k"
expect "plain HTTP is refused" 52 "" curl -sS "http://127.0.0.1:$((base + 80))/v1/kv/default/k"
expect "a plain client is not heard" 1 "unavailable" env QUORATE_DIR="$work" "$quorate" get --meta "127.0.0.1:$((base + 1))" --timeout 1000 default k
check "another authority" "$quorate" cert authority --out "$foreign"
check "a certificate of it" "$quorate" cert issue me --out "$foreign" --role admin
expect "a client of another authority is not heard" 1 "unavailable" "$quorate" get --certs "$foreign/me" --timeout 1000 default k
comes "the servers say why" 0 "tls.refused" sh -c "cat $work/data/log/*.log"
expect "a second authority would void the first" 1 "worthless" "$quorate" cert authority --out "$foreign"
expect "what exists is not replaced by oversight" 1 "--renew" "$quorate" cert issue me --out "$foreign" --role admin

"$quorate" bench kv --seconds 600 --connections 8 -o json >"$work/bench.json" 2>&1 &
load=$!
check "a new certificate" "$quorate" cert issue server --renew --out "$certs" --hosts "127.0.0.1,::1,localhost"
check "all servers take it up" within 60 replaced
load_ended
expect "no request failed meanwhile" 0 '"errors_definite":0,"errors_unknown":0' cat "$work/bench.json"
# --- one certificate is taken out, without a new authority ---
thief="$quorate get --certs $certs/thief default k"
check "a certificate that will be stolen" "$quorate" cert issue thief --role admin --out "$certs"
expect "is believed" 0 "v" sh -c "$thief"
expect "until it is revoked" 0 "within seconds" "$quorate" cert revoke thief --out "$certs"
refused_now() { ! $thief --timeout 1000; }
check "then by nobody" within 60 refused_now
comes "the servers say why" 0 "revoked" sh -c "grep tls.refused $work/data/log/*.log"
expect "others may as before" 0 "v" "$quorate" get default k
expect "an unknown name is not revoked" 1 "nobody.crt" "$quorate" cert revoke nobody --out "$certs"
expect "show" 0 "server" "$quorate" cert show "$certs/server.crt"
check "the cluster stops" "$quorate" cluster stop
check "and starts again" "$quorate" cluster start --wait 120000
expect "what was written is there" 0 "v" "$quorate" get default k

expect "nobody listens openly by oversight" 2 "--insecure" "$quorate" node --listen "0.0.0.0:$((base + 99))" --data "$work/open"
expect "nor does a gateway" 2 "--insecure" "$quorate" gateway --listen "0.0.0.0:$((base + 99))"
cp "$certs/server.crt" "$work/mixed.crt" && cp "$certs/admin.key" "$work/mixed.key" && cp "$certs/authority.crt" "$work/"
expect "a key of another certificate is refused" 1 "do not belong together" "$quorate" node --listen "127.0.0.1:$((base + 99))" --data "$work/open" --certs "$work/mixed"
expect "certificates that are not there" 1 "certificates" "$quorate" get --certs "$work/none/x" default k
finish
