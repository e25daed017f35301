#!/bin/sh
# One file for support: it holds what a person needs to see of a cluster, also of one that is ill, and none of the secrets that are planted everywhere:
# in keys, values, boundaries of ranges, passwords, tokens, private keys and master keys.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

planted() { # no planted bytes in any part, as they are or in base64
    python3 - "$1" "$QUORATE_DIR" "$work/token" <<'PYTHON'
import base64, glob, sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
secrets = [b"PLANTED", base64.b64encode(b"PLANTED")[:8], open(sys.argv[3], "rb").read().strip() or b"PLANTED"]
for path in glob.glob(sys.argv[2] + "/certs/*.key") + glob.glob(sys.argv[2] + "/encryption.keys*"):
    secrets += [l.split()[-1] for l in open(path, "rb").read().split(b"\n") if len(l) > 30 and not l.startswith(b"-----")]
names = z.namelist()
for name in names:
    text = z.read(name)
    for s in secrets:
        assert s not in text, (name, s)
print(len(names), "parts,", len(secrets), "secrets")
for wanted in ("status.json", "ranges.json", "upgrade.json", "nodes.json", "logs/node-1.log", "logs/gateway.log"):
    assert wanted in names and len(z.read(wanted)) > 20, wanted
PYTHON
}
secure_start() {
    base=$(free_base_port)
    "$quorate" cluster start --base-port "$base" --wait 120000 --secure --encrypted
}
ask() { curl -s --cacert "$QUORATE_DIR/certs/authority.crt" "$@"; }

check "an encrypted cluster starts" secure_start
check "a keyspace cut at a secret" "$quorate" keyspace create people --splits PLANTED-split
check "a secret key and value" "$quorate" put people PLANTED-key PLANTED-value
check "a user with a secret password" sh -c "echo PLANTED-password | '$quorate' user set ada --password-stdin --roles root"
https=https://127.0.0.1:$((base + 80))
check "users are asked who they are" "$quorate" auth enable
login() { # the first may come before the gateway has heard of her
    ask -X POST "$https/v1/auth/login" -d '{"user": "ada", "password": "PLANTED-password"}' | json "d['token']" >"$work/token" 2>/dev/null
    [ "$(wc -c <"$work/token")" -gt 60 ]
}
check "she logs in" eventually login
ask -X POST "$https/v1/auth/login" -d '{"user": "ada", "password": "PLANTED-wrong"}' >/dev/null
ask -H "Authorization: Bearer $(cat "$work/token")" "$https/v1/kv/people/PLANTED-key" >/dev/null
ask -H "Authorization: Bearer PLANTED-token" "$https/v1/kv/people/PLANTED-key?PLANTED=1" >/dev/null
expect "a file for support" 0 "left out" "$quorate" debug zip "$work/support.zip"
check "it holds what is needed, and no secret" planted "$work/support.zip"
check "only its owner may read it" test "$(stat -c %a "$work/support.zip")" = 600
told() { grep -q "end of report" "$QUORATE_DIR/node-1/crash.txt"; }
kill -SEGV "$(pid_of node-1)"
check "a process that dies of a fault leaves a report" eventually told
said() { grep -q "quorate .* ended by signal 11" "$1" && grep -q "quorate(+0x" "$1" && grep -q "node.started\|info" "$1"; }
check "with release, signal, frames and its last events" said "$QUORATE_DIR/node-1/crash.txt"
check "a file for support with it" "$quorate" debug zip "$work/crash.zip"
check "it is in there" sh -c "python3 -m zipfile -e '$work/crash.zip' '$work/crash' && grep -q 'ended by signal 11' '$work/crash/logs/node-1-crash.txt'"
check "which holds no secret" planted "$work/crash.zip"
check "two metadata servers are killed" sh -c "'$quorate' cluster kill meta-1 && '$quorate' cluster kill meta-2"
expect "and still there is a file" 0 "say why they are empty" "$quorate" debug zip "$work/ill.zip" --lines 50
check "with the logs" sh -c "python3 -m zipfile -l '$work/ill.zip' | grep -q logs/node-1.log"
finish
