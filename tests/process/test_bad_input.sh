#!/bin/sh
# Wrong flags, foreign directories, ports in use, garbage on every port, bad HTTP requests: each named with cause and cure,
# no crash, nothing lost.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

# --- the command line ---
expect "a misspelt flag is corrected" 2 "did you mean '--limit'" "$quorate" scan default --lmit 3
expect "a misspelt command is corrected" 2 "did you mean 'scan'" "$quorate" scna default
expect "a flag without its value" 2 "--limit needs a value" "$quorate" scan default --limit
expect "a bad output format" 2 "expected table, json or plain" "$quorate" node list -o yaml
expect "a malformed metadata address" 2 "--meta" "$quorate" node list --meta nonsense
expect "a metadata service that is not there" 1 "quorate: " "$quorate" node list --meta 127.0.0.1:1 --timeout 500

# --- directories and ports ---
mkdir -p "$work/foreign"
echo mine >"$work/foreign/letter.txt"
expect "a foreign directory is left alone" 1 "no Quorate cluster" "$quorate" cluster start --dir "$work/foreign"
check "nothing was written into it" test "$(ls "$work/foreign")" = letter.txt
echo "not a directory" >"$work/file"
expect "a file in place of the directory" 1 "not a directory" "$quorate" cluster start --dir "$work/file"
mkdir -p "$work/other-version"
echo "something 9" >"$work/other-version/cluster.conf"
expect "a cluster description of something else" 1 "not the description of a local cluster" "$quorate" cluster start --dir "$work/other-version"
expect "stop where nothing is" 0 "nothing to stop" "$quorate" cluster stop --dir "$work/nothing"
expect "status where nothing is" 1 "there is no local cluster" "$quorate" cluster status --dir "$work/nothing"

base=$(free_base_port)
python3 -c 'import signal, socket, sys
s = socket.socket(); s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen()
print("listening", flush=True); signal.pause()' $((base + 12)) >"$work/squatter" &
squatter=$!
for _ in $(seq 100); do if [ -s "$work/squatter" ]; then break; fi; sleep 0.1; done
expect "a port in use is named" 1 "127.0.0.1:$((base + 12))" "$quorate" cluster start --base-port "$base"
kill "$squatter"
wait "$squatter" 2>/dev/null

# --- a running cluster ---
check "the cluster starts once the port is free" cluster_start
expect "starting it again says so" 0 "is running already" "$quorate" cluster start
expect "other ports for the same cluster" 1 "--base-port" "$quorate" cluster start --base-port 40000
expect "an unknown process" 2 "no process is called" "$quorate" cluster kill node-9
expect "a cache of nothing" 2 "--cache-mib: expected a number from 1" "$quorate" node --cache-mib 0 --data "$work/none" --listen 127.0.0.1:0
expect "a cache of no number" 2 "QUORATE_CACHE_MIB: " env QUORATE_CACHE_MIB=much "$quorate" node --data "$work/none" --listen 127.0.0.1:0
expect "a data directory in use" 1 "quorate: " "$quorate" node --data "$QUORATE_DIR/node-1" --listen 127.0.0.1:0
cp -r "$QUORATE_DIR/meta-1" "$work/meta-copy"
rm -f "$work/meta-copy/LOCK"
expect "a metadata server's directory given to a node" 1 "quorate: " timeout 60 "$quorate" node --data "$work/meta-copy" --listen 127.0.0.1:0
check "another cluster" "$quorate" cluster start --dir "$work/other" --base-port "$(free_base_port)"
check "is stopped" "$quorate" cluster stop --dir "$work/other"
expect "a data directory of another cluster" 70 "belongs to another cluster" timeout 60 "$quorate" node --data "$work/other/node-1" \
    --listen 127.0.0.1:0 --meta "127.0.0.1:$((base + 1)),127.0.0.1:$((base + 2)),127.0.0.1:$((base + 3))"
check "a put to remember" curl -sf -X PUT --data-binary kept "$(gateway)/v1/kv/default/kept"
pids=$(all_pids)

garbage() { # random bytes, then half a frame with a huge length, then nothing, on every port
    python3 - "$base" <<'PYTHON'
import os, socket, sys
base = int(sys.argv[1])
payloads = [os.urandom(65536), b"\xff" * 64, b"\x00" * 64, b"\xff\xff\xff\x7f" + b"\x00" * 32, b"", b"GET / HTTP/1.1\r\n\r\n",
            b"POST /v1/txn HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n", b"\x10\x00\x00\x00" + os.urandom(200)]
for offset in (1, 2, 3, 11, 12, 13, 80):
    for payload in payloads:
        s = socket.create_connection(("127.0.0.1", base + offset), 2)
        s.settimeout(0.3)
        try:
            s.sendall(payload)
            s.shutdown(socket.SHUT_WR)
            s.recv(4096)
        except OSError:
            pass
        s.close()
PYTHON
}
check "garbage on every port" garbage
check "all processes are still the same" test "$(all_pids)" = "$pids"

http() { # http NAME CODE TEXT CURL-ARGUMENTS...
    name=$1 want=$2 text=$3
    shift 3
    code=$(curl -s -o "$work/body" -w '%{http_code}' "$@")
    if [ "$code" != "$want" ]; then fail "$name: HTTP $code, not $want: $(head -c 300 "$work/body")"
    elif ! grep -qF -- "$text" "$work/body"; then fail "$name: '$text' is not in $(head -c 300 "$work/body")"
    elif ! grep -qF '"outcome":"definite"' "$work/body"; then fail "$name: no definite outcome"
    else pass "$name"; fi
}
g=$(gateway)
python3 -c 'print("[" * 5000)' >"$work/deep"
head -c 13000000 /dev/zero >"$work/large"
head -c 1048577 /dev/zero >"$work/value"
longest=$(python3 -c 'print("k" * 4097)')
http "no JSON" 400 "not JSON" -d 'hello' "$g/v1/txn"
http "no body" 400 "empty" -X POST "$g/v1/txn"
http "too deep" 400 "nested deeper" --data-binary @"$work/deep" "$g/v1/txn"
http "a body too large" 413 "too_large" --data-binary @"$work/large" "$g/v1/txn"
http "a value too large" 413 "1048576" -X PUT --data-binary @"$work/value" "$g/v1/kv/default/big"
http "a key too long" 413 "4096" -X PUT -d x "$g/v1/kv/default/$longest"
http "a head too large" 431 "too_large" -H "X-Pad: $(python3 -c 'print("p" * 20000)')" "$g/v1/kv/default/kept"
http "a field of the wrong type" 400 "then[0].add.delta" -d '{"then":[{"add":{"key":"a","delta":[]}}]}' "$g/v1/txn"
http "an unknown field" 400 "unknown field 'thne'" -d '{"thne":[]}' "$g/v1/txn"
http "an unknown query parameter" 400 "unknown query parameter 'limt'" "$g/v1/kv/default?limt=3"
http "a bad escape" 400 "hex" "$g/v1/kv/default/%zz"
http "an unknown endpoint" 404 "no such endpoint" "$g/v2"
http "an unknown keyspace" 404 "nowhere" "$g/v1/kv/nowhere/a"
http "a method that is not allowed" 405 "PUT" -X POST -d x "$g/v1/kv/default/a"
http "the name of another server" 421 "names another server" -H "Host: evil.example" "$g/v1/status"
http "on the etcd surface, too" 421 "names another server" -H "Host: evil.example:80" -d '{"key":"YQ=="}' "$g/v3/kv/range"
expect "a name of this machine" 0 kept curl -s -H "Host: localhost:$((base + 80))" "$g/v1/kv/default/kept"
http "a write by a page of another site" 403 "pages of this origin" -H "Origin: http://evil.example" -X PUT -d x "$g/v1/kv/default/a"
http "there, too" 403 "pages of this origin" -H "Origin: http://evil.example" -H "Content-Type: text/plain" -d '{"key":"YQ==","value":"YQ=="}' "$g/v3/kv/put"
expect "a write by our own page" 0 version curl -s -H "Origin: $g" -X PUT -d x "$g/v1/kv/default/a"
http "a key that is not there" 404 "no such key" "$g/v1/kv/default/absent"
http "a condition that fails" 412 "condition_failed" -X PUT -d x -H 'If-None-Match: *' "$g/v1/kv/default/kept"
http "a counter below its bound" 409 "guard_failed" -d '{"then":[{"add":{"key":"c","delta":-1,"min":0}}]}' "$g/v1/txn"
http "a key written twice" 400 "invalid" -d '{"then":[{"put":{"key":"a","value":"1"}},{"put":{"key":"a","value":"2"}}]}' "$g/v1/txn"
check "nothing was lost" test "$(curl -sf "$g/v1/kv/default/kept")" = kept
check "all processes are still the same" test "$(all_pids)" = "$pids"
many() { # more than a pipe holds
    "$quorate" bench kv --fill --keys 3000 --total 1 >/dev/null && "$quorate" scan default -o plain | wc -l
}
check "some thousand keys" many
first_line() {
    { "$quorate" scan default -o plain 2>"$work/scan.err"; echo "$?" >"$work/scan.status"; } | head -n 1
    [ "$(cat "$work/scan.status")" = 0 ] && ! [ -s "$work/scan.err" ]
}
check "a reader that has seen enough is no failure" first_line
expect "a full disk is one" 1 "could not be written" sh -c "'$quorate' scan default >/dev/full"
check "the cluster stops" "$quorate" cluster stop
check "and starts again" cluster_start
check "with what it held" test "$(curl -sf "$g/v1/kv/default/kept")" = kept
finish
