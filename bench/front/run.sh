#!/bin/sh
# What connections cost that do nothing: make bench-front. Idle HTTP connections, and open watches on the native and on etcd's surface. Lines:
# bench front/... ours=... unit=...
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/../../tests/process/lib.sh"
cluster_start >/dev/null || exit 1
curl -sf -d '{"key":"YQ==","value":"YQ=="}' "$(gateway)/v3/kv/put" >/dev/null
python3 "$(dirname "$0")/hold.py" "127.0.0.1" $((base + 80)) "$(pid_of gateway)" "$(all_pids)" "${WATCHES:-10000}" "${SECONDS_IDLE:-20}"
finish >/dev/null
