#!/usr/bin/env bash
# What Prometheus' own tool says of /metrics, scraped from a broker that has been used.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

callboard_binary
need promtool prometheus
DIR=$(mktemp -d)
trap '[ -z "${CALLBOARD_PID:-}" ] || end_process "$CALLBOARD_PID" || true; rm -rf "$DIR"' EXIT
start_callboard "$DIR" --set group.initial.rebalance.delay.ms=0
at=(--bootstrap "$CALLBOARD_LISTEN")
"$CALLBOARD" topic create metered --partitions 3 "${at[@]}"
seq 1 100 | "$CALLBOARD" produce metered "${at[@]}"
"$CALLBOARD" consume metered --group metered --from earliest --exit-at-end "${at[@]}" >"$DIR/consumed"
scrape() { python3 -c 'import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())' "http://$CALLBOARD_ADMIN/$1"; }
scrape metrics >"$DIR/metrics"
promtool check metrics <"$DIR/metrics" || die "promtool has something to say about /metrics"
names=$(grep '^callboard_' "$DIR/metrics" | sed 's/[{ ].*//' | sort -u | wc -l)
[ "$names" -gt 20 ] || die "only $names metrics are exported"
# Names that operators build on: a lost one is a broken dashboard.
for name in build_info \
    coordinator_groups coordinator_partitions coordinator_requests_total coordinator_rebalance_duration_seconds_count group_rebalances_total group_commits_total \
    offsets_fsync_duration_seconds_count offsets_batch_records_count offsets_append_duration_seconds_count offsets_appended_records_total offsets_log_size_bytes \
    offsets_live_entries offsets_compactions_total \
    actor_instances actor_mailbox_messages actor_mailbox_wait_seconds_count \
    broker_connections broker_requests_total broker_request_duration_seconds_count broker_network_bytes_total; do
    grep -q "^callboard_${name}[{ ]" "$DIR/metrics" || die "the metric callboard_$name is not exported"
done
scrape healthz >/dev/null
scrape readyz >/dev/null
echo "ok: $names metric names, promtool is content"
