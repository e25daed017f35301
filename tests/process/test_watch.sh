#!/bin/sh
# A watch through real kills: of the range's leader, of a metadata server, of the gateway itself.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

check "the cluster starts" cluster_start
python3 "$here/watch_follow.py" "$(gateway)" 7 >"$work/followed" 2>&1 &
follower=$!
for victim in "$(leader_of default)" gateway meta-1; do
    sleep 1.5
    check "kill -9 of $victim" kill -9 "$(pid_of "$victim")"
done
wait $follower
sed 's/^/      /' "$work/followed"
check "the watch told everything once, in order" grep -q '^7 passed, 0 failed' "$work/followed"
finish
