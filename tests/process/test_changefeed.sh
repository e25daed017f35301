#!/bin/sh
# Change feeds: to a file through kills of the feed and of a leader, to a webhook that refuses for a while, to standard output and over HTTP.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

check "the cluster starts" cluster_start
from=$("$quorate" put default before 0 -o json | json "d['version']")
put() { # FROM TO
    for i in $(seq "$1" "$2"); do eventually "$quorate" put default "k/$((i % 7))" "$i" || fail "put $i"; done
    eventually "$quorate" del default k/0 || fail "del"
}
feed() { exec "$quorate" changefeed default --prefix k/ --sink "file:$work/feed" --from "$from"; }
feed >"$work/feed.out" 2>&1 &
pid=$!
put 1 40
check "the file has begun" eventually grep -q resolved "$work/feed"
kill -9 $pid
wait $pid 2>/dev/null
printf '{"version":"1","key":"to' >>"$work/feed"
put 41 60
feed >"$work/feed.out" 2>&1 &
pid=$!
kill -9 "$(pid_of "$(leader_of default)")"
put 61 100
end=$("$quorate" put default behind 0 -o json | json "d['version']")
whole() { [ "$(grep -o '^{"resolved":"[0-9]*' "$work/feed" | tail -n 1 | tr -dc 0-9)" -ge "$end" ]; }
check "the file is whole" eventually whole
kill -INT $pid
wait $pid
# Every put, each key's in order, and what is resolved is never followed by what is older.
check "the file has every change, in order" python3 - "$work/feed" <<'PYTHON'
import json, sys
seen, last, resolved, deleted = [], {}, 0, 0
for line in open(sys.argv[1]):
    d = json.loads(line)
    if "resolved" in d:
        assert int(d["resolved"]) >= resolved
        resolved = int(d["resolved"])
        continue
    assert int(d["version"]) > resolved and int(d["version"]) > last.get(d["key"], 0), d
    last[d["key"]] = int(d["version"])
    if d.get("deleted"): deleted += 1
    else: seen.append(int(d["value"]))
assert sorted(set(seen)) == list(range(1, 101)) and deleted == 3, (len(seen), deleted)
PYTHON

# What standard output did not take has not been taken.
full() { "$quorate" changefeed default --prefix k/ --from "$from" --state "$work/state" >/dev/full; }
expect "a feed that cannot write ends" 1 "could not be written" full
check "and does not count it" test ! -s "$work/state"

# A webhook that answers 503 three times, of the first change, and takes everything else.
python3 - "$work/port" "$work/hook" <<'PYTHON' &
import http.server, sys
left = [3]
class Hook(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refused = left[0] > 0 and b'"one"' in body
        left[0] -= refused
        if not refused: open(sys.argv[2], "ab").write(body)
        self.send_response(503 if refused else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *a): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
open(sys.argv[1], "w").write(str(server.server_port))
server.serve_forever()
PYTHON
hook=$!
check "the webhook listens" eventually test -s "$work/port"
webhook() { exec "$quorate" changefeed default --prefix w/ --sink "http://127.0.0.1:$(cat "$work/port")/in" --state "$work/state"; }
webhook >"$work/webhook.out" 2>&1 &
pid=$!
check "it has begun" eventually test -s "$work/state"
"$quorate" put default w/1 one >/dev/null
has() { grep -q "$1" "$work/hook"; }
check "what it refused comes again" eventually has '"value":"one"'
kill -INT $pid
wait $pid
"$quorate" put default w/1 two >/dev/null
webhook >>"$work/webhook.out" 2>&1 &
pid=$!
check "it goes on where it stood" eventually has '"value":"two"'
kill -INT $pid
wait $pid
check "once" test "$(grep -c '"value":"one"' "$work/hook")" = 1
kill $hook

"$quorate" changefeed default --from "$from" >"$work/out" 2>/dev/null &
pid=$!
out() { grep -q '"value":"two"' "$work/out"; }
check "standard output" eventually out
kill -INT $pid
wait $pid
grep '"key":"w/' "$work/out" >"$work/told"
curl -sN -m 60 "$(gateway)/v1/watch/default?from=$from&prefix=w/&format=ndjson" >"$work/http" 2>/dev/null &
pid=$!
same() { grep -v resolved "$work/http" | diff - "$work/told" >/dev/null; }
check "the same over HTTP" eventually same
kill $pid
wait $pid 2>/dev/null
expect "what is too old is refused" 1 "could go on from" "$quorate" changefeed default --from 1
finish
