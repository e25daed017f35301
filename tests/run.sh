#!/bin/sh
# Runs test programs and counts.  sh tests/run.sh PROGRAM... [-- PROGRAM... [-- PROGRAM...]]
# Each argument is a command line. Those before `--` run JOBS at a time (default 2), then those behind it, which mostly wait
# and have sockets: PROCESSES at a time (default 4), each told in TEST_SLOT (0, 1, ...) which of them it is. Beside these, at the
# lowest priority, run those behind a second `--`: long computations, which no clock judges.
# A program that fails has its output shown. Cases are counted from check's lines ("100%: Checks: 5, Failures: 0, Errors:
# 0") or from a program's own closing line ("5 passed, 0 failed"). A program that dies, runs longer than TEST_TIMEOUT
# seconds (default 900), or counts nothing is a failure. The last line is "N passed, N failed"; exit status 0 if nothing failed
# and something ran.
set -u
# check gives a case 4 s of the clock: busy machines need more, and what hangs is ended by TEST_TIMEOUT
: "${CK_DEFAULT_TIMEOUT:=120}"
export CK_DEFAULT_TIMEOUT

counts() { # counts LOGFILE: prints "passed failed lines"
    awk '
        /%: Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+/ {
            line = $0
            gsub(/[^0-9 ]/, "", line)
            n = split(line, part, " ")
            total = part[n - 2]; bad = part[n - 1] + part[n]
            passed += total - bad; failed += bad; lines++
        }
        /^[0-9]+ passed, [0-9]+ failed$/ { own = 1; own_passed = $1; own_failed = $3 }
        END {
            if (own) { passed += own_passed; failed += own_failed; lines++ }
            print passed + 0, failed + 0, lines + 0
        }' "$1"
}

run_one() { # run_one RESULTS COMMAND: leaves "passed failed" in a file of RESULTS
    results=$1
    command=$2
    log=$(mktemp "$results/log.XXXXXX")
    case ${command%% *} in
    *.sh) full="sh $command" ;;
    *.py) full="python3 $command" ;;
    *) full=$command ;;
    esac
    begun=$(date +%s)
    # shellcheck disable=SC2086 # a command line: split it
    timeout -k 10 "${TEST_TIMEOUT:-900}" $full >"$log" 2>&1 </dev/null
    status=$?
    took=$(($(date +%s) - begun))
    # shellcheck disable=SC2046 # three numbers
    set -- $(counts "$log")
    passed=$1 failed=$2 lines=$3
    why=
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        why="did not end in time, or was killed (status $status)"
    elif [ "$status" -ne 0 ]; then
        why="exit status $status"
    elif [ "$lines" -eq 0 ] || [ $((passed + failed)) -eq 0 ]; then
        why="ran no test"
    elif [ "$failed" -ne 0 ]; then
        why="exit status 0 although $failed failed"
    fi
    if [ -n "$why" ]; then
        [ "$failed" -gt 0 ] || failed=1
        { # one write, so that two programs do not mix
            printf -- '---- FAILED: %s (%s)\n' "$command" "$why"
            cat "$log"
            printf -- '---- end of %s\n' "$command"
        } >"$log.shown"
        cat "$log.shown"
    else
        printf 'ok    %5d  %3d s  %s\n' "$passed" "$took" "$command"
    fi
    printf '%d %d\n' "$passed" "$failed" >"$log.result"
}

if [ "${1-}" = "--one" ]; then
    run_one "$2" "$3"
    exit 0
fi

# A request for too much memory answers NULL under the sanitizers too, as it does without them.
export ASAN_OPTIONS="${ASAN_OPTIONS:-allocator_may_return_null=1:detect_stack_use_after_return=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-allocator_may_return_null=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

results=$(mktemp -d)
beside=
trap 'rm -rf "$results"' EXIT
trap '[ -z "$beside" ] || kill -TERM -"$beside"; exit 130' INT TERM

: >"$results/together"
: >"$results/processes"
: >"$results/beside"
list=$results/together
for command in "$@"; do
    if [ "$command" = "--" ]; then
        if [ "$list" = "$results/together" ]; then list=$results/processes; else list=$results/beside; fi
    else
        printf '%s\0' "$command" >>"$list"
    fi
done
xargs -0 -r -n 1 -P "${JOBS:-2}" sh "$0" --one "$results" <"$results/together"
# They end when the others leave them the processors, which on a busy machine may last: so they have more time.
TEST_TIMEOUT=$((${TEST_TIMEOUT:-900} * 4)) sh "$(dirname "$0")/beside.sh" xargs -0 -r -n 1 -P "${JOBS:-2}" sh "$0" --one "$results" <"$results/beside" &
beside=$!
xargs -0 -r -n 1 -P "${PROCESSES:-4}" --process-slot-var=TEST_SLOT sh "$0" --one "$results" <"$results/processes"
wait "$beside"

# A program whose result is missing (its runner was killed) counts as failed.
programs=$(cat "$results/together" "$results/processes" "$results/beside" | tr -cd '\0' | wc -c)
find "$results" -name '*.result' -exec cat {} + | awk -v programs="$programs" '
    { passed += $1; failed += $2 }
    END {
        failed += programs - NR
        if (passed + failed == 0) print "nothing ran"
        printf "%d passed, %d failed\n", passed, failed
        exit (failed > 0 || passed == 0) ? 1 : 0
    }'
