#!/bin/sh
# The client library, by a program that sees only include/: linked shared and static, against keyspaces in one range, in several, and
# by hash. And that it brings no other names.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

check "the cluster starts" cluster_start
check "a keyspace in several ranges" "$quorate" keyspace create split --splits money/1,money/2,money/4
check "a keyspace by hash" "$quorate" keyspace create hashed --hash-buckets 4
meta="127.0.0.1:$((base + 1)),127.0.0.1:$((base + 2)),127.0.0.1:$((base + 3))"
for program in api_test api_test_static; do
    if ! [ -x "$build/lib/$program" ]; then
        fail "$build/lib/$program is not built: make process builds it"
        continue
    fi
    "$quorate" del default api/a >/dev/null
    "$quorate" del default api/b >/dev/null
    check "$program" timeout 120 "$build/lib/$program" "$meta"
    grep -v '^pass' "$work/check.out"
done
foreign() { nm -D --defined-only "$build/lib/libquorate.so" | awk '$3 !~ /^quorate_/ { print $3; bad = 1 } END { exit bad }'; }
check "the shared library has no other names" foreign
foreign_static() { nm -g --defined-only "$build/lib/libquorate.a" | awk 'NF == 3 && $3 !~ /^quorate_/ { print $3; bad = 1 } END { exit bad }'; }
check "nor has the static one" foreign_static
finish
