#!/bin/sh
# Scripts are POSIX sh and clean for shellcheck.
set -u
status=0
find . -path './build*' -prune -o -path ./.git -prune -o -name '*.sh' -type f -exec shellcheck -x -S warning -f gcc {} + || status=1
[ ! -f .ci/run ] || shellcheck -x -S warning -f gcc .ci/run || status=1
exit "$status"
