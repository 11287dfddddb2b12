#!/usr/bin/env bash
# One group of our consumer, Java's and librdkafka's with range, on our broker and on a real Apache Kafka: the story of
# clients/mixed_group.py three times at once, each client in turn the first and so the leader. Both brokers must see the same.
#
#   mixed_group.sh                        both brokers
#   BOOTSTRAP=HOST:PORT mixed_group.sh    that broker and no other
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

callboard_binary
need_python
need_kafka_jars
DIR=$(mktemp -d)
STARTED=
cleanup() {
    # The stories end the members they started.
    [ -z "$(jobs -p)" ] || jobs -p | xargs kill 2>/dev/null || true
    [ -z "${CALLBOARD_PID:-}" ] || end_process "$CALLBOARD_PID" || true
    [ -z "$STARTED" ] || "$INTEROP/kafka.sh" stop --port "$STARTED"
    rm -rf "$DIR"
}
trap cleanup EXIT
export JAVA_PROPERTIES=$DIR/java.properties
echo heartbeat.interval.ms=500 >"$JAVA_PROPERTIES"
FIRSTS=(callboard java librdkafka)
SETTINGS=(--set group.initial.rebalance.delay.ms=0)

# tell WHOM BOOTSTRAP: the three stories, each with a topic and a group of its own; what they print is kept in DIR/WHOM.
tell() {
    local whom=$1 at=$2 first told=()
    mkdir "$DIR/$whom"
    for first in "${FIRSTS[@]}"; do
        timeout 240 "$PYTHON" "$INTEROP/clients/mixed_group.py" "$first" "$at" >"$DIR/$whom/$first" 2>"$DIR/$whom-$first.log" &
        told+=($!)
    done
    local place failed=
    for place in "${!FIRSTS[@]}"; do
        wait "${told[place]}" || failed+=" ${FIRSTS[place]}"
    done
    for first in $failed; do
        echo "## $first first, $whom:"
        cat "$DIR/$whom/$first" "$DIR/$whom-$first.log"
    done >&2
    [ -z "$failed" ] || die "the story goes another way with $whom:$failed"
    echo "$whom: ok, $SECONDS s"
}

if [ -n "${BOOTSTRAP:-}" ]; then
    tell that "$BOOTSTRAP"
    cat "$DIR"/that/*
    exit
fi
# It starts while ours is told: most of that is waiting.
STARTED=$(free_port)
"$INTEROP/kafka.sh" start --port "$STARTED" "${SETTINGS[@]}" &
kafka=$!
start_callboard "$DIR" "${SETTINGS[@]}"
tell ours "$CALLBOARD_LISTEN"
end_process "$CALLBOARD_PID" || die "our broker did not end after SIGTERM"
CALLBOARD_PID=
wait "$kafka" || die "Apache Kafka did not start"
tell kafka "127.0.0.1:$STARTED"
diff -r "$DIR/ours" "$DIR/kafka" || die "the two brokers differ, see above (< ours, > Apache Kafka)"
cat "$DIR/ours/callboard"
echo "ok: a group of three clients, each in turn the leader, alike on both brokers"
