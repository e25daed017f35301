# Shared by the process tests: a cluster of real processes on free ports, its data below the build directory (a real disk),
# counted checks. A test script begins with:  . "$(dirname "$0")/lib.sh"  and ends with:  finish
# shellcheck shell=sh

here=$(cd "$(dirname "$0")" && pwd)
build=${QUORATE_BUILD:-$here/../../build}
quorate=$build/quorate
audit=$here/../../bench/demo/audit.awk
work=$build/process-data/$(basename "$0" .sh).$$
passed=0
failed=0

if ! [ -x "$quorate" ]; then
    echo "no binary at $quorate: run make, or set QUORATE_BUILD"
    echo "0 passed, 1 failed"
    exit 1
fi
rm -rf "$work"
mkdir -p "$work"
QUORATE_DIR=$work/data
export QUORATE_DIR

pass() { passed=$((passed + 1)); printf 'pass  %s\n' "$1"; }
fail() { failed=$((failed + 1)); printf 'FAIL  %s\n' "$1"; }

# check NAME COMMAND...: passes iff the command succeeds; its output is shown when it does not.
check() {
    name=$1
    shift
    if "$@" >"$work/check.out" 2>&1; then pass "$name"; else
        fail "$name"
        sed 's/^/      /' "$work/check.out"
    fi
}

# expect NAME EXIT TEXT COMMAND...: the exit status, and the text somewhere in stdout or stderr.
expect() {
    name=$1 want=$2 text=$3
    shift 3
    if answers "$@"; then pass "$name"; else answers_not; fi
}
answers() { # COMMAND...: with the exit status and the text that are expected
    got=0
    "$@" >"$work/expect.out" 2>&1 || got=$?
    [ "$got" -eq "$want" ] && grep -qF -- "$text" "$work/expect.out"
}
answers_not() {
    if [ "$got" -ne "$want" ]; then fail "$name: exit status $got, not $want"; else fail "$name: '$text' is not in the output"; fi
    sed 's/^/      /' "$work/expect.out"
}
# comes NAME EXIT TEXT COMMAND...: like expect, of what others change in the background: asked again until it is so.
comes() {
    name=$1 want=$2 text=$3
    shift 3
    if eventually answers "$@"; then pass "$name"; else answers_not; fi
}

# within SECONDS COMMAND...: succeeds by then, else what it said last is shown. No try counts for more than 2 s: a machine may stand still.
within() {
    within_left=$1 within_last=$(date +%s)
    shift
    until "$@" >"$work/within.out" 2>&1; do
        within_now=$(date +%s)
        within_spent=$((within_now - within_last))
        within_left=$((within_left - (within_spent > 2 ? 2 : within_spent)))
        within_last=$within_now
        if [ "$within_left" -le 0 ]; then
            cat "$work/within.out"
            return 1
        fi
        sleep 0.1
    done
}
# COMMAND...: succeeds after a moment, which on a slow machine beside others may last. What must be soon says `within`.
eventually() { within 30 "$@"; }
load_ended() { # the load in the background is told to end, and ends well
    kill -INT "$load"
    wait "$load"
}

# grows MORE SECONDS: done_so_far, the test's own, answers more than MORE above what it does now within that time.
grows() {
    before=$(done_so_far)
    for _ in $(seq $(($2 * 10))); do
        if [ "$(done_so_far)" -gt $((before + $1)) ]; then return 0; fi
        sleep 0.1
    done
    echo "$before before, $(done_so_far) $2 s later"
    return 1
}

# A base port B such that B+1..3, B+11..14, B+80 and, for proxies, B+101..103 and B+111..114 are free. Tests that run at the
# same time have different hundreds.
free_base_port() {
    python3 - "${TEST_SLOT:-0}" <<'PYTHON'
import random, socket, sys
def free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False
while True:
    base = random.randrange(15000, 32000, 800) + 200 * (int(sys.argv[1]) % 4)
    if all(free(base + o) for o in (1, 2, 3, 11, 12, 13, 14, 80, 101, 102, 103, 111, 112, 113, 114)):
        print(base)
        break
PYTHON
}

cluster_start() { # the first time on free ports; later on the same
    if [ -z "${base:-}" ]; then base=$(free_base_port); fi
    # shellcheck disable=SC2086 # nothing, or one word each
    env ${faults:+LD_PRELOAD="$preload" QUORATE_FAULTS="$faults"} ${preload_power:+QUORATE_FAULTS_POWER=1} \
        ${preload_buffered:+QUORATE_FAULTS_BUFFERED=1} \
        ${preload_proxy:+QUORATE_FAULTS_PROXY="$preload_proxy"} ${ASAN_OPTIONS:+ASAN_OPTIONS="$ASAN_OPTIONS:verify_asan_link_order=0"} \
        "$quorate" cluster start --base-port "$base" --wait 120000
}
gateway() { printf 'http://127.0.0.1:%d' $((base + 80)); }

# json PATH-EXPRESSION: evaluates a Python expression over the JSON on standard input, bound to d.
json() { python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }
pid_of() { # while it is being started again there is none: asks until there is one
    for _ in $(seq 300); do
        found=$("$quorate" cluster status -o json | json "[p['pid'] for p in d['processes'] if p['name'] == '$1'][0]")
        if [ "${found:-0}" != 0 ]; then break; fi
        sleep 0.1
    done
    printf '%s\n' "$found"
}
all_pids() { "$quorate" cluster status -o json | json "' '.join(str(p) for p in [d['supervisor_pid']] + [p['pid'] for p in d['processes']] if p)"; }
dead() { # PID...: none of them runs. Who was killed on a busy machine ends a moment later; some have no parent that asks for their end
    for p in "$@"; do
        if grep -q '^State:[[:space:]]*[^ZX]' "/proc/$p/status" 2>/dev/null; then return 1; fi
    done
}
kill_all() { # at once; the supervisor first, so that it starts nobody again
    # shellcheck disable=SC2046 # a list of pids
    set -- $(all_pids)
    kill -9 "$@" && eventually dead "$@"
}

# The local cluster's name of the node that leads most ranges of a keyspace. Nodes report their leaderships to the metadata
# service a moment after they have them: asks until one has.
leader_of() {
    for _ in $(seq 100); do
        leads=$("$quorate" range list --keyspace "$1" -o json | json \
            "(lambda a: 'node-%d' % (int(max(set(a), key=a.count).rsplit(':', 1)[1]) - $base - 10) if a else '')([r['leader_address'] for r in d['ranges'] if r['leader']])")
        if [ -n "$leads" ]; then break; fi
        sleep 0.1
    done
    printf '%s\n' "$leads"
}
meta_leader() { # asks until there is one
    for _ in $(seq 50); do
        leads=$("$quorate" status -o json 2>/dev/null | json "d['meta']['leader']" 2>/dev/null)
        if [ "${leads:-0}" != 0 ]; then break; fi
        sleep 0.1
    done
    printf 'meta-%s' "$leads"
}

# faults_prepare [power] [proxy]: what cluster_start starts from now on runs under preload/faults.h (see there), and with
# `proxy` speaks through proxy.c. fault NAME LINE sets a process's fault; cut "FROM TO"... replaces what is cut, by ID.
faults_prepare() {
    faults=$work/faults
    mkdir -p "$faults"
    for name in meta-1 meta-2 meta-3 node-1 node-2 node-3 node-4; do head -c 4096 /dev/zero >"$faults/$name.fault"; done
    base=$(free_base_port)
    preload=$(cd "$build" && pwd)/process/faults.so
    for tool in "$preload" "$build/process/proxy"; do
        if ! [ -x "$tool" ]; then
            fail "$tool is not built: make process builds it"
            finish
            exit 1
        fi
    done
    for wish in "$@"; do
        case $wish in
        power) preload_power=1 ;;
        proxy)
            : >"$work/rules"
            "$build/process/proxy" "$work/rules" "$base" 100 1 2 3 11 12 13 14 2>"$work/proxy.err" &
            proxy=$!
            preload_proxy="$base 100"
            ;;
        esac
    done
}
fault() { printf '%-40s\n' "$2" | dd of="$faults/$1.fault" conv=notrunc status=none; }
fault_of() { head -n 1 "$faults/$1.fault" | tr -d '\0 '; }
cut() {
    printf '%s\n' "$@" >"$work/rules.new" && mv "$work/rules.new" "$work/rules"
    sleep 0.05
}
id_of() { # of a process, for cut
    case $1 in
    meta-*) echo "${1#meta-}" ;;
    node-*) echo "1${1#node-}" ;;
    gateway) echo 80 ;;
    esac
}

# load_start ARGUMENTS...: the bank in the background; load_wait: until it is over, its exit status; load_end: it is told to end, every request
# that it sent is answered.
load_start() {
    "$quorate" demo bank --no-kill --accounts 50 "$@" >"$work/load.out" 2>&1 &
    load=$!
    for _ in $(seq 200); do # until transfers flow
        if [ -s "$QUORATE_DIR/demo/bank-acknowledged.txt" ]; then break; fi
        sleep 0.1
    done
}
load_wait() {
    wait "$load" || { cat "$work/load.out"; return 1; }
    cat "$work/load.out"
}
transfers_flow() { # some more of them, soon
    done_so_far() { wc -l <"$QUORATE_DIR/demo/bank-acknowledged.txt"; }
    grows 300 20
}
load_end() { kill -INT "$load" && load_wait; }

# history_start ARGUMENTS...: two clients, native and through the gateway, on the same few keys, in the background.
# history_judge: ends them and judges what both saw as one history.
history_start() {
    "$quorate" bench kv --prefix "${prefix:-history}/" --keys 24 --connections 8 --reads 40 --cas 25 --deletes 5 --rate 1500 --seconds 600 \
        --timeout 8000 --history "$work/native.ndjson" "$@" >"$work/native.out" 2>&1 &
    history_native=$!
    "$quorate" bench kv --prefix "${prefix:-history}/" --keys 24 --connections 8 --reads 40 --cas 25 --deletes 5 --rate 500 --ids --seconds 600 \
        --timeout 8000 --history "$work/http.ndjson" --http "$(gateway)" "$@" >"$work/http.out" 2>&1 &
    history_http=$!
    for _ in $(seq 100); do # until both have answers on the disk
        if [ -s "$work/native.ndjson" ] && [ -s "$work/http.ndjson" ]; then break; fi
        sleep 0.1
    done
}
history_lines() { cat "$work/native.ndjson" "$work/http.ndjson" | grep -c '"status":"ok"'; }
goes_on() { # within SECONDS 200 operations are answered
    done_so_far() { history_lines; }
    grows 200 "$1"
}
history_judge() {
    kill "$history_native" "$history_http" 2>/dev/null
    wait "$history_native" || { cat "$work/native.out"; return 1; }
    wait "$history_http" || { cat "$work/http.out"; return 1; }
    cat "$work/native.out" "$work/http.out"
    "$build/process/history_check" "$work/native.ndjson" "$work/http.ndjson"
}

# The digests of a report of `backup verify` or `backup digest` on standard input; same FILE FILE: those of two are equal.
digests() { python3 -c 'import json, sys; d = json.load(sys.stdin)["keyspaces"]; print({k: v["digest"] for k, v in sorted(d.items())})'; }
same() { digests <"$1" >"$work/left" && digests <"$2" >"$work/right" && diff "$work/left" "$work/right"; }

bank_audit() {
    "$quorate" ledger audit || return 1
    "$quorate" ledger dump --timeout 20000 >"$work/bank.rows" || return 1
    awk -f "$audit" "$QUORATE_DIR/demo/bank-acknowledged.txt" "$work/bank.rows"
}

cleanup() {
    # shellcheck disable=SC2086 # those that there are
    kill ${proxy:-} ${history_native:-} ${history_http:-} 2>/dev/null
    "$quorate" cluster stop >/dev/null 2>&1 || true
    if [ "$failed" -eq 0 ] && [ "${finished:-no}" = yes ]; then rm -rf "$work"; else
        echo "kept: $work"
    fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

finish() {
    finished=yes
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
}
