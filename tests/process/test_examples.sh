#!/bin/sh
# The examples do what they say, against a cluster.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"
examples=$here/../../examples

check "make lib" make -C "$here/../.." -s lib BUILD="$build"
# shellcheck disable=SC2046 # flags are words
check "transfer.c is compiled" cc -std=c11 -Wall -Wextra -Werror -I "$here/../../include" "$examples/transfer.c" -o "$work/transfer" \
    -L "$build/lib" -Wl,-rpath,"$build/lib" -lquorate
sed -n '/^```c$/,/^```$/p' "$here/../../docs/examples.md" | sed '/^```/d' >"$work/page.c"
# shellcheck disable=SC2046 # likewise
check "the page's program is compiled" cc -std=c11 -Wall -Wextra -Werror -I "$here/../../include" "$work/page.c" -o "$work/page" \
    -L "$build/lib" -Wl,-rpath,"$build/lib" -lquorate
check "the cluster starts" cluster_start
ready() { curl -sf "$(gateway)/readyz"; }
check "it is ready" eventually ready
expect "libquorate" 0 "alice has 70" "$work/transfer" "127.0.0.1:$((base + 1)),127.0.0.1:$((base + 2)),127.0.0.1:$((base + 3))"
expect "the page's program" 0 "the sum is 5" "$work/page" "127.0.0.1:$((base + 1)),127.0.0.1:$((base + 2)),127.0.0.1:$((base + 3))"
expect "Python" 0 "all is as it should be" python3 "$examples/quorate_client.py" "$(gateway)"
expect "Node.js" 0 "all is as it should be" node "$examples/quorate_client.mjs" "$(gateway)"
expect "nobody there is said, not hidden" 1 "transfer: " "$work/transfer" 127.0.0.1:1
finish
