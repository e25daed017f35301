#!/bin/sh
# Rows come in and go out as CSV, lines of JSON and raw, of a keyspace by range and of one by hash: what comes back is what went in, bad rows
# stand in a file with their lines, a repetition changes nothing, and a node killed in the middle costs no row.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

rows() { python3 - "$work" <<'PYTHON'
import base64, csv, json, random, sys
random.seed(7)
work = sys.argv[1]
rows = {}
for i in range(5000):
    key = b"user/%05d" % random.randrange(100000)
    value = random.choice([b"plain", b"with, comma", b'with "quotes"', b"two\nlines", bytes(range(256)), b"", "größer".encode() * 20])
    rows[key] = value + b"%d" % i if value else value
rows[b"\xff\x00binary"] = b"\x80"
items = list(rows.items())
random.shuffle(items)
with open(work + "/rows.ndjson", "w") as f:
    for k, v in items:
        o = {}
        for name, b in (("key", k), ("value", v)):
            try: o[name] = b.decode()
            except UnicodeDecodeError: o[name + "_b64"] = base64.b64encode(b).decode()
        f.write(json.dumps(o) + "\n")
PYTHON
}
same() { # FILE FILE: the same rows, in whatever order
    python3 - "$1" "$2" <<'PYTHON'
import base64, csv, json, sys
def raw(b):
    at = 8
    def varint():
        nonlocal at
        n = shift = 0
        while True:
            c = b[at]; at += 1
            n |= (c & 127) << shift; shift += 7
            if c < 128: return n
    out = {}
    while at < len(b):
        flags = b[at]; at += 1
        n = varint(); k = b[at:at + n]; at += n
        n = varint(); v = b[at:at + n]; at += n
        out[k] = (v, varint(), flags == 1)
    return out
def read(path):
    b = open(path, "rb").read()
    if b.startswith(b"QTROWS1\n"): return raw(b)
    out = {}
    if b.startswith(b"{"):
        for line in b.decode().split("\n"):
            if not line: continue
            o = json.loads(line)
            get = lambda n: o[n].encode() if n in o else base64.b64decode(o[n + "_b64"])
            assert get("key") not in out, "twice"
            out[get("key")] = (get("value"), o.get("ttl_ms", 0), o.get("counter", False))
        return out
    for o in csv.DictReader(open(path, newline="", encoding="utf-8")):
        get = lambda n: base64.b64decode(o[n + "_b64"]) if o[n + "_b64"] else o[n].encode()
        out[get("key")] = (get("value"), int(o["ttl_ms"] or 0), o["counter"] == "true")
    return out
a, b = read(sys.argv[1]), read(sys.argv[2])
if a != b:
    print(len(a), len(b), [k for k in set(a) | set(b) if a.get(k) != b.get(k)][:5])
    sys.exit(1)
print(len(a), "rows")
PYTHON
}

check "the cluster starts" cluster_start
check "a keyspace of four ranges" "$quorate" keyspace create people --splits user/25,user/50,user/75
check "one by hash" "$quorate" keyspace create hashed --hash-buckets 8
rows
expect "lines of JSON are imported" 0 "0 refused" "$quorate" import people "$work/rows.ndjson"
check "they are exported again" "$quorate" export people "$work/out.ndjson"
check "the same rows" same "$work/rows.ndjson" "$work/out.ndjson"
"$quorate" export people --format csv >"$work/out.csv"
check "the same as CSV" same "$work/rows.ndjson" "$work/out.csv"
check "raw" "$quorate" export people "$work/out.raw" --format raw
check "the same raw" same "$work/rows.ndjson" "$work/out.raw"
check "CSV comes in, by hash" "$quorate" import hashed "$work/out.csv"
check "and goes out" "$quorate" export hashed "$work/hashed.ndjson"
check "the same rows by hash" same "$work/rows.ndjson" "$work/hashed.ndjson"
expect "raw comes in: nothing changes" 0 "0 refused" "$quorate" import people "$work/out.raw"
expect "rows that are there stay as they are" 0 "import: 0 rows stored" "$quorate" import people "$work/out.raw" --if-absent
check "in order, of a part" sh -c "'$quorate' export people --prefix user/3 --parallel 1 | python3 -c '
import json, sys
keys = [json.loads(l)[\"key\"] for l in sys.stdin]
assert keys == sorted(keys) and len(keys) > 300 and all(k.startswith(\"user/3\") for k in keys)'"

# Counters, and rows that end.
curl -sf -X POST "$(gateway)/v1/txn" -d '{"keyspace": "people", "then": [{"add": {"key": "count", "delta": "42"}}]}' >/dev/null || fail "a counter"
check "a row that ends" "$quorate" put people ends soon --ttl 1h
check "are exported" "$quorate" export people "$work/counted.ndjson"
check "as what they are" sh -c "grep -q '\"key\":\"count\",\"value\":\"42\",\"counter\":true' '$work/counted.ndjson' && grep -q '\"key\":\"ends\".*\"ttl_ms\":3600000' '$work/counted.ndjson'"
check "into another keyspace" "$quorate" keyspace create copy
check "come in" "$quorate" import copy "$work/counted.ndjson"
expect "twice: the counter counts once" 0 "1 were there already" "$quorate" import copy "$work/counted.ndjson"
check "the counter is a counter" sh -c "'$quorate' export copy | grep -q '\"key\":\"count\",\"value\":\"42\",\"counter\":true'"

# Bad rows.
printf 'id,name,city\n1,Ada,London\n2,"Grace ""Amazing"" Hopper",New York\nbad row\n,nobody,nowhere\n5,"two\nlines",Ulm\n' >"$work/people.csv"
expect "bad rows are refused" 1 "3 rows stored, 0 were there already, 2 refused" "$quorate" import people "$work/people.csv" --key id
check "with their lines and reasons" sh -c "grep -q '^4	the row has not the 3 cells' '$work/people.csv.rejects' && grep -q '^5	the key is empty' '$work/people.csv.rejects'"
expect "a row of many columns is JSON" 0 '{"name":"Grace \"Amazing\" Hopper","city":"New York"}' "$quorate" get people 2
printf '{"value": {"nested": [1, 2.10, 1e2, "x , \\" y"], "value": 0.1}, "key": "a"}\n{"key": 5}\nnothing\n{"key": "later", "value": "1"}\n{"key": "later", "value": "2"}\n' >"$work/mixed.ndjson"
expect "bad lines are refused" 1 "2 refused" "$quorate" import people "$work/mixed.ndjson" --rejects "$work/refused"
check "into the file that is named" sh -c "grep -q '^2	' '$work/refused' && grep -q '^3	not an object of JSON' '$work/refused'"
expect "what is no text stays JSON" 0 '{"nested":[1,2.10,1e2,"x , \" y"],"value":0.1}' "$quorate" get people a
expect "the later of two rows wins" 0 "2" "$quorate" get people later
expect "what is read is not replaced" 2 "would be replaced" "$quorate" import people "$work/mixed.ndjson" --rejects "$work/./mixed.ndjson"
check "it is there" grep -q nested "$work/mixed.ndjson"
expect "no such keyspace" 1 "no keyspace is named" "$quorate" import nowhere "$work/rows.ndjson"
head -c 3000 "$work/out.raw" >"$work/cut.raw"
expect "a file that is cut off" 1 "is cut off" "$quorate" import people "$work/cut.raw"

# The ledger's import reads its files in the same way.
printf 'id,ledger,code,flags,debit_account_id,credit_account_id,amount\n1,1,1,,,,\n2,1,1,history|debits_must_not_exceed_credits,,,\n,bad\n10,1,1,,1,2,50\n11,1,1,,1,3,50\n' >"$work/ledger.csv"
expect "accounts and transfers come in" 1 "import: 3 created, 0 were there already, 2 refused" "$quorate" ledger import "$work/ledger.csv"
check "the refused with their lines" sh -c "grep -q '^4	' '$work/ledger.csv.rejects' && grep -q '^6	credit_account_not_found	11,' '$work/ledger.csv.rejects'"
expect "again: they are there" 1 "import: 0 created, 3 were there already, 2 refused" "$quorate" ledger import "$work/ledger.csv"
printf '\357\273\277id,ledger,code,flags,debit_account_id,credit_account_id,amount\n20,1,1,,1,2,5\n21,1,1,linked,1,2,5\n22,1,1,,1,2,5\n23,1,1,linked,1,2,5\n24,1,1,,1,2,1,000\n' >"$work/chains.csv"
expect "chains are not cut, nor their rows" 1 "import: 3 created, 0 were there already, 2 refused" "$quorate" ledger import "$work/chains.csv" --batch 2
expect "chains are there as single transfers are" 1 "import: 0 created, 3 were there already, 2 refused" "$quorate" ledger import "$work/chains.csv"
expect "nor is what the ledger reads" 2 "would be replaced" "$quorate" ledger import "$work/ledger.csv" --rejects "$work/./ledger.csv"
check "debits equal credits" "$quorate" ledger audit

# A node dies in the middle.
python3 -c "
import json
for i in range(60000): print(json.dumps({'key': 'user/%05d/big' % i, 'value': 'x' * 200 + str(i)}))" >"$work/many.ndjson"
"$quorate" import people "$work/many.ndjson" >"$work/many.out" 2>&1 &
import=$!
sleep 0.3
check "a node is killed" "$quorate" cluster kill node-2
check "the import goes on" wait "$import"
tail -1 "$work/many.out"
check "the node starts again" "$quorate" cluster start node-2
check "everything is exported" "$quorate" export people "$work/all.ndjson"
check "all rows are there" test "$(grep -c /big "$work/all.ndjson")" = 60000
no_room() { # no file may grow beyond 512 KiB
    (
        trap '' XFSZ
        ulimit -f 1024
        "$quorate" export people "$1"
    )
}
expect "an export that finds no room says so" 1 "cannot be written" no_room "$work/cut.ndjson"
check "and leaves nothing that looks whole" test ! -e "$work/cut.ndjson" -a ! -e "$work/cut.ndjson.part"
expect "one before it stays" 1 "cannot be written" no_room "$work/all.ndjson"
check "whole" test "$(grep -c /big "$work/all.ndjson")" = 60000
expect "a device is no file" 2 "no regular file" "$quorate" export people /dev/null
finish
