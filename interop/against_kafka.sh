#!/usr/bin/env bash
# Our command line against a real Apache Kafka 4.2.0: topic, produce, consume in a group of two, resume, static member; and what
# Kafka's own tool says of the group then.
#
#   against_kafka.sh                        starts a node, uses it, ends it
#   BOOTSTRAP=HOST:PORT against_kafka.sh    uses that cluster
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

callboard_binary
need_kafka_jars
DIR=$(mktemp -d)
STARTED=
cleanup() {
    [ -z "$(jobs -p)" ] || jobs -p | xargs kill 2>/dev/null || true
    [ -z "$STARTED" ] || "$INTEROP/kafka.sh" stop --port "$STARTED"
    rm -rf "$DIR"
}
trap cleanup EXIT
if [ -z "${BOOTSTRAP:-}" ]; then
    STARTED=$(free_port)
    "$INTEROP/kafka.sh" start --port "$STARTED" --set group.initial.rebalance.delay.ms=500
    BOOTSTRAP=127.0.0.1:$STARTED
fi
TOPIC=callboard-$$
GROUP=group-of-$TOPIC
AT=(--bootstrap "$BOOTSTRAP")

# waits_for SECONDS COMMAND...: until it succeeds.
waits_for() {
    local tries=$(($1 * 5))
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.2
    done
}

# printed N FILE...: do the files hold N different records together?
printed() {
    local wanted=$1
    shift
    [ "$(cat "$@" | cut -d' ' -f1 | sort -u | wc -l)" -ge "$wanted" ]
}

"$CALLBOARD" topic create "$TOPIC" --partitions 4 "${AT[@]}"
waits_for 10 sh -c "'$CALLBOARD' topic list ${AT[*]} | grep -qx '$TOPIC'" || die "the topic is not listed"
seq 1 1000 | sed 's/\(.*\)/key-\1:value-\1/' | "$CALLBOARD" produce "$TOPIC" --key-separator : "${AT[@]}"
"$CALLBOARD" topic describe "$TOPIC" "${AT[@]}"

echo "two members share the group"
for member in 1 2; do
    "$CALLBOARD" consume "$TOPIC" --group "$GROUP" --from earliest --set heartbeat.interval.ms=500 "${AT[@]}" >"$DIR/member-$member" 2>"$DIR/member-$member.log" &
    eval "PID_$member=$!"
done
waits_for 60 sh -c "[ \"\$('$INTEROP/kafka.sh' tool consumer.group.ConsumerGroupCommand --bootstrap-server '$BOOTSTRAP' --describe --group '$GROUP' --members 2>/dev/null | grep -cE '^$GROUP .* 2 *\$')\" = 2 ]" ||
    { "$INTEROP/kafka.sh" tool consumer.group.ConsumerGroupCommand --bootstrap-server "$BOOTSTRAP" --describe --group "$GROUP" --members; die "the two members do not have two partitions each"; }
waits_for 60 printed 1000 "$DIR/member-1" "$DIR/member-2" || die "the members did not print 1000 records: $(cat "$DIR"/member-? | wc -l) lines"
for pid in "$PID_1" "$PID_2"; do
    kill -TERM "$pid"
    wait "$pid" || die "consume did not end well on SIGTERM: $(cat "$DIR"/member-*.log)"
done

echo "the group stands at the end of every partition"
"$INTEROP/kafka.sh" tool consumer.group.ConsumerGroupCommand --bootstrap-server "$BOOTSTRAP" --describe --group "$GROUP" --offsets >"$DIR/offsets" 2>/dev/null
cat "$DIR/offsets"
awk -v topic="$TOPIC" '$2 == topic { rows++; lag += $6; end += $5 } END { exit !(rows == 4 && lag == 0 && end == 1000) }' "$DIR/offsets" || die "the committed offsets are not the ends"

echo "a member that comes back reads on from there, and a static one as well"
seq 1001 1100 | "$CALLBOARD" produce "$TOPIC" "${AT[@]}"
"$CALLBOARD" consume "$TOPIC" --group "$GROUP" --from earliest --exit-at-end --set group.instance.id=static-1 "${AT[@]}" >"$DIR/back"
[ "$(wc -l <"$DIR/back")" = 100 ] || die "a member that came back printed $(wc -l <"$DIR/back") records, not the 100 new ones"
"$CALLBOARD" topic delete "$TOPIC" "${AT[@]}"
echo "ok: our command line against Apache Kafka"
