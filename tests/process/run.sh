#!/bin/sh
# Runs each process test one after the other:  sh tests/process/run.sh [test_kill ...]
# QUORATE_BUILD names the build directory (default: build). The last line is "N passed, N failed".
set -u
here=$(cd "$(dirname "$0")" && pwd)
total_passed=0
total_failed=0
if [ $# -eq 0 ]; then
    for t in "$here"/test_*.sh; do set -- "$@" "$(basename "$t" .sh)"; done
fi
for name in "$@"; do
    echo "---- $name"
    last=$(sh "$here/$name.sh" 2>&1 | tee /dev/stderr | tail -n 1)
    case $last in
    *" passed, "*" failed")
        total_passed=$((total_passed + ${last%% *}))
        rest=${last#* passed, }
        total_failed=$((total_failed + ${rest%% *}))
        ;;
    *) total_failed=$((total_failed + 1)) ;; # it died
    esac
done
printf '%d passed, %d failed\n' "$total_passed" "$total_failed"
[ "$total_failed" -eq 0 ]
