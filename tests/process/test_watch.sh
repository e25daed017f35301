#!/bin/sh
# A watch through real kills: of the range's leader, of a metadata server, of the gateway itself.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

check "the cluster starts" cluster_start
python3 "$here/watch_follow.py" "$(gateway)" >"$work/followed" 2>&1 &
follower=$!
done_so_far() { grep -c '^told' "$work/followed"; }
for victim in "$(leader_of default)" gateway meta-1; do
    check "changes are told" grows 3 20
    check "kill -9 of $victim" kill -9 "$(pid_of "$victim")"
done
check "and told after all of them" grows 3 30
kill $follower
wait $follower
sed '/^told/d; s/^/      /' "$work/followed"
check "the watch told everything once, in order" grep -q '^7 passed, 0 failed' "$work/followed"
finish
