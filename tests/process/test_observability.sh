#!/bin/sh
# What is told of the inside: the description of the interface against real answers, metrics that Prometheus takes, of every part, alert rules
# with their own tests, a dashboard and rules that name only metrics there are, slow requests and traces in the log.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"
deploy=$here/../../deploy

check "the cluster starts" cluster_start
G=$(gateway)
eventually curl -sf "$G/readyz"

python3 "$here/openapi_check.py" "$G" >"$work/openapi" 2>&1 || fail "openapi_check.py: $(tail -n 1 "$work/openapi")"
while IFS= read -r line; do
    case $line in
    "ok "*) pass "${line#ok }" ;;
    *) fail "$line" ;;
    esac
done <"$work/openapi"

# --- metrics ---
curl -sS "$G/metrics" >"$work/gateway.metrics"
all_parts() { curl -sS "$G/metrics/cluster" >"$work/cluster.metrics" && [ "$(grep -c '^quorate_node_uptime_seconds{' "$work/cluster.metrics")" = 3 ]; }
check "every node tells of itself" eventually all_parts
told() { all_parts && grep -q "^$1[{ ]" "$work/cluster.metrics"; }
for metric in quorate_ready quorate_can_lose quorate_meta_member_up quorate_node_up quorate_wal_writes_total quorate_store_bytes \
    quorate_raft_log_bytes quorate_snapshots_sending quorate_range_writes_total quorate_operators_running quorate_keyspace_rows; do
    check "$metric" eventually told "$metric"
done
for metric in 'quorate_gateway_request_seconds_bucket{endpoint="kv",le="0.001"}' 'quorate_gateway_requests_total{endpoint="txn",code="200"}' \
    quorate_client_requests_total quorate_ledger_transfers_total; do
    check "$metric" grep -qF "$metric" "$work/gateway.metrics"
done
well_formed() { # each metric has HELP and TYPE before it, its lines together, and no series twice
    awk '/^# HELP / { help[$3] = 1; next }
         /^# TYPE / { if (!($3 in help) || ($3 in type)) { print "misplaced: " $0; bad = 1 } type[$3] = $4; now = $3; next }
         { series = $1; name = series; sub(/\{.*/, "", name); base = name; if (type[now] == "histogram") sub(/_(bucket|sum|count)$/, "", base)
           if (base != now || series in seen || $NF !~ /^[0-9.e+-]+$/) { print "wrong: " $0; bad = 1 } seen[series] = 1 }
         END { exit bad }' "$1"
}
for part in gateway cluster; do
    check "the metrics of the $part are well formed" well_formed "$work/$part.metrics"
    if command -v promtool >/dev/null; then
        check "and promtool says so" sh -c "promtool check metrics <'$work/$part.metrics'"
    fi
done
known() { # every quorate_... that is named in a file exists
    grep -oE 'quorate_[a-z_]+' "$1" | sed -E 's/_(bucket|sum|count)$//' | sort -u | while read -r name; do
        grep -q "^# TYPE $name " "$work/gateway.metrics" "$work/cluster.metrics" || { echo "$1: there is no $name"; exit 1; }
    done
}
check "alerts name metrics that there are" known "$deploy/prometheus/alerts.yml"
check "so does the dashboard" known "$deploy/grafana/quorate.json"
check "which is JSON" python3 -m json.tool "$deploy/grafana/quorate.json"
if command -v promtool >/dev/null; then
    check "Prometheus takes the configuration" promtool check config "$deploy/prometheus/prometheus.yml"
    check "alerts fire when they should" promtool test rules "$deploy/prometheus/alerts.test.yml"
else
    echo "no promtool on this machine: metrics were checked by this script alone, the alerts' own tests were not run"
fi

# --- the log ---
log=$(find "$QUORATE_DIR" -name 'gateway*.log' | head -n 1)
trace=0af7651916cd43dd8448eb211c80319c
curl -sS -H "traceparent: 00-$trace-b7ad6b7169203331-01" -H 'X-Request-Id: seen-1' "$G/v1/kv/default/n" >/dev/null
curl -sS -H "traceparent: 00-$trace-b7ad6b7169203331-00" -H 'X-Request-Id: unseen-1' "$G/v1/kv/default/n" >/dev/null
check "a sampled request is in the log with its trace" eventually grep -q "request .*id=seen-1 endpoint=kv method=GET code=200 .*cluster_us=.*trace=$trace span=b7ad6b7169203331" "$log"
check "one that is not sampled is not" sh -c "! grep -q unseen-1 '$log'"
for name in node-1 node-2 node-3; do kill -STOP "$(pid_of $name)"; done
curl -sS -H 'X-Request-Id: slow-1' "$G/v1/kv/default/n?timeout_ms=1200" >/dev/null
for name in node-1 node-2 node-3; do kill -CONT "$(pid_of $name)"; done
check "a slow request is in the log with its stages" eventually grep -q "request.slow .*id=slow-1 .*parse_us=[0-9]* cluster_us=[0-9]" "$log"
finish
