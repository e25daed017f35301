#!/bin/sh
# The checker of histories itself: right ones pass, and each kind of wrong one is found. No cluster.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

h=$work/h.ndjson
history() { : >"$h"; }
op() { # op CLIENT OP CALL RET STATUS [,MORE FIELDS]
    printf '{"client":%s,"op":"%s","key":"k","call":%s,"ret":%s,"status":"%s"%s}\n' "$1" "$2" "$3" "$4" "$5" "${6-}" >>"$h"
}
judge() { "$build/process/history_check" "$h"; }

history
op 1 put 10 20 ok ',"value":"a"'
op 1 get 30 40 ok ',"out":"a"'
op 1 put 50 90 ok ',"value":"b"'
op 2 get 60 70 ok ',"out":"a"'
op 3 get 60 70 ok ',"out":"b"'
op 1 cas 100 110 ok ',"value":"c","expect":"b"'
op 1 cas 120 130 fail ',"value":"d","expect":"b","refused":true'
op 2 del 140 150 ok ',"found":true'
op 2 get 160 170 ok ',"out":null'
op 2 cas 180 190 ok ',"value":"e","expect":null'
expect "reads of both values while a write is under way" 0 "VERDICT linearizable" judge
op 3 get 200 210 ok ',"out":"c"'
expect "a stale read" 1 "VERDICT WRONG" judge

history
op 1 put 10 20 ok ',"value":"a"'
op 2 put 11 60000 unknown ',"value":"b"'
op 1 get 30 40 ok ',"out":"a"'
op 1 get 50 60 ok ',"out":"b"'
expect "an unknown write takes effect later" 0 "VERDICT linearizable" judge
op 1 get 70 80 ok ',"out":"a"'
expect "and is not undone" 1 "VERDICT WRONG" judge

history
op 1 put 10 20 ok ',"value":"a"'
op 2 put 12 14 fail ',"value":"b"'
op 1 get 30 40 ok ',"out":"b"'
expect "a write that definitely did not happen is seen" 1 "nobody wrote" judge

history
op 1 put 10 20 ok ',"value":"a"'
op 1 get 30 40 ok ',"out":"zz"'
expect "a value from nowhere" 1 "nobody wrote" judge

history
op 1 put 10 20 ok ',"value":"a"'
op 2 put 30 40 ok ',"value":"b"'
op 1 cas 50 60 fail ',"value":"c","expect":"b","refused":true'
expect "a compare-and-swap refused although it held" 1 "VERDICT WRONG" judge

history
op 1 put 10 20 ok ',"value":"a"'
op 1 cas 30 40 ok ',"value":"b","expect":"a"'
op 2 cas 50 60 ok ',"value":"c","expect":"a"'
expect "two winners of one compare-and-swap" 1 "VERDICT WRONG" judge

history
op 1 put 10 20 ok ',"value":"a"'
op 1 del 30 40 ok ',"found":false'
expect "a delete that did not find what was there" 1 "VERDICT WRONG" judge

history
op 1 put 10 20 ok ',"value":"a"'
op 1 get 30 40 ok ',"out":null'
expect "an acknowledged write lost" 1 "VERDICT WRONG" judge

history
op 1 put 1000000 2000000 ok ',"value":"a"'
op 1 put 3000000 4000000 ok ',"value":"b"'
op 2 get 9000000 9100000 ok ',"out":"a","mode":"bounded","staleness_ms":6'
op 2 get 9000000 9100000 ok ',"out":"a","mode":"eventual"'
expect "a bounded read within its bound" 0 "VERDICT linearizable" judge
op 2 get 11000000 11100000 ok ',"out":"a","mode":"bounded","staleness_ms":6'
expect "a bounded read beyond it" 1 "older than asked" judge

history
op 1 put 10 20 ok ',"value":"a"'
op 1 put 30 40 ok ',"value":"a"'
expect "a harness that writes a value twice" 1 "cannot be judged" judge
echo 'half a li' >>"$h"
expect "a line that is cut" 2 "is no operation" judge
: >"$h"
expect "an empty history" 2 "empty" judge

printf '' >"$h"
python3 - "$h" <<'PYTHON'
import random, sys
random.seed(7)
with open(sys.argv[1], "w") as f:  # a register run in order, eight clients, one operation in twenty of unknown outcome
    now, value, n = 1000, None, 0
    for i in range(20000):
        call, now = now, now + random.randrange(1, 50)
        ret = now + random.randrange(1, 300)
        if random.random() < 0.5:
            out = "null" if value is None else '"%s"' % value
            f.write('{"client":%d,"op":"get","key":"k","call":%d,"ret":%d,"status":"ok","out":%s}\n' % (i % 8, call, ret, out))
        else:
            n += 1
            status = "unknown" if random.random() < 0.1 else "ok"
            if status == "ok" or random.random() < 0.5:
                value = "v%d" % n
            f.write('{"client":%d,"op":"put","key":"k","call":%d,"ret":%d,"status":"%s","value":"v%d"}\n' % (i % 8, call, ret, status, n))
PYTHON
expect "twenty thousand operations on one key are decided" 0 "VERDICT linearizable" judge
finish
