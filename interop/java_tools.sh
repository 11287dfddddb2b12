#!/usr/bin/env bash
# Apache Kafka's own tools tell of a group, step by step, against one broker; the transcript goes to standard output with what
# differs between any two runs (ports, ids, times, widths of columns) made equal, so that two brokers can be compared.
#
#   java_tools.sh HOST:PORT        a broker without the groups and topics used here; compare.sh starts such brokers
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

AT=${1:?which broker? HOST:PORT}
need kcat kcat
need_kafka_jars
DIR=$(mktemp -d)
MEMBERS=()
cleanup() {
    local pid
    for pid in "${MEMBERS[@]}"; do end_process "$pid" 5 || true; done
    rm -rf "$DIR"
}
trap cleanup EXIT
SERVER=(--bootstrap-server "$AT")
TOOLS=org.apache.kafka.tools

# alike: what differs between two runs of the same story is made equal; rows are sorted, for the tools print them as maps do.
alike() {
    sed -E -e "s/$AT/HOST:PORT/g" -e 's/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/UUID/g' \
        -e 's/console-consumer-[0-9]+/console-consumer-N/' -e 's/[ \t]+/ /g' -e 's/ $//' -e '/^$/d' | sort
}

# told TITLE COMMAND...: the command's output, both streams, and its exit code if it failed.
told() {
    local code=0
    echo "## $1"
    shift
    "$@" >"$DIR/told" 2>&1 || code=$?
    alike <"$DIR/told"
    [ "$code" = 0 ] || echo "exit $code"
}

# A busy machine starts them so slowly that their 5 s would be over.
groups() { kafka_java $TOOLS.consumer.group.ConsumerGroupCommand "${SERVER[@]}" --timeout 60000 "$@"; }

# member NAME GROUP ARGUMENT...: a VerifiableConsumer in the background; its events in DIR/NAME, its process in MEMBER.
member() {
    local name=$1 group=$2
    shift 2
    kafka_exec $TOOLS.VerifiableConsumer "${SERVER[@]}" --topic flights --group-id "$group" --group-protocol classic --reset-policy earliest \
        --session-timeout 30000 "$@" >"$DIR/$name" 2>"$DIR/$name.log" </dev/null &
    MEMBER=$!
    MEMBERS+=("$MEMBER")
}

# owns NAME: the partitions that a member owns after its last assignment.
owns() {
    grep -E '"partitions_(assigned|revoked)"' "$DIR/$1" 2>/dev/null | tail -n 1 | grep '"partitions_assigned"' | grep -o '"partition":[0-9]*' | cut -d: -f2 | paste -sd,
}
assignments() { grep -c '"partitions_assigned"' "$DIR/$1" || true; }
consumed() { cat "$@" | sed -n 's/.*"name":"records_consumed","count":\([0-9]*\).*/\1/p' | paste -sd+ | bc; }

# awaits SECONDS WHAT COMMAND...: looks again until it holds.
awaits() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { tail -n 5 "$DIR"/*.log >&2 || true; die "not in time at $AT: $what"; }
        sleep 0.2
    done
}
two_each() { [ "$(owns one | tr -cd , | wc -c)$(owns two | tr -cd , | wc -c)" = 11 ]; }
all_read() { [ "$(consumed "$DIR/one" "$DIR/two")" -ge 400 ]; }
has_partitions() { [ -n "$(owns "$1")" ]; }

need bc bc
told "create a topic" kafka_java $TOOLS.TopicCommand "${SERVER[@]}" --create --topic flights --partitions 4 --replication-factor 1
for partition in 0 1 2 3; do seq 1 100 | kcat -P -b "$AT" -t flights -p "$partition" -X acks=all; done

echo "## ConsumerPerformance"
kafka_java $TOOLS.ConsumerPerformance "${SERVER[@]}" --topic flights --group perf --num-records 400 --timeout 60000 2>"$DIR/perf.log" | awk -F', ' 'NR == 2 { print $5 " records" }'

member one readers
ONE=$MEMBER
awaits 60 "the first member owns partitions" has_partitions one
member two readers
TWO=$MEMBER
awaits 60 "two members own two partitions each" two_each
awaits 60 "all records are read" all_read
told "list" groups --list
told "list with states" groups --list --state
told "list the stable ones" groups --list --state stable
told "list the empty ones" groups --list --state empty
told "list with types" groups --list --type
told "describe the offsets of a live group" groups --describe --group readers --offsets
told "describe the members" groups --describe --group readers --members
told "describe the members, verbose" groups --describe --group readers --members --verbose
told "describe the state" groups --describe --group readers --state
told "describe all groups' states" groups --describe --all-groups --state
told "delete a live group" groups --delete --group readers
told "reset offsets of a live group" groups --reset-offsets --group readers --topic flights --to-earliest --execute
told "delete offsets of a live group" groups --delete-offsets --group readers --topic flights
end_process "$ONE" 20
end_process "$TWO" 20
echo "## the members ended"
for name in one two; do grep -o '"name":"shutdown_complete"' "$DIR/$name" || die "VerifiableConsumer did not end in order at $AT"; done
told "describe an empty group" groups --describe --group readers
told "its members" groups --describe --group readers --members
told "its state" groups --describe --group readers --state
told "reset to the earliest, a dry run" groups --reset-offsets --group readers --topic flights --to-earliest --dry-run
told "reset to the earliest" groups --reset-offsets --group readers --topic flights --to-earliest --execute
told "reset one partition by a shift" groups --reset-offsets --group readers --topic flights:2 --shift-by 7 --execute
told "reset one partition beyond its end" groups --reset-offsets --group readers --topic flights:1 --to-offset 500 --execute
told "delete the offsets of one partition" groups --delete-offsets --group readers --topic flights:3
told "describe after that" groups --describe --group readers --offsets
told "describe an unknown group" groups --describe --group nobody
told "delete an unknown group" groups --delete --group nobody
told "reset an unknown group" groups --reset-offsets --group newborn --topic flights --to-latest --execute
told "describe it then" groups --describe --group newborn

echo "## a static member restarts"
member s1 statics --group-instance-id s1
S1=$MEMBER
awaits 60 "the static member owns partitions" has_partitions s1
member s2 statics --group-instance-id s2
awaits 60 "the second static member owns partitions" has_partitions s2
two_statics() { [ "$(owns s1 | tr -cd , | wc -c)$(owns s2 | tr -cd , | wc -c)" = 11 ]; }
awaits 60 "two static members own two partitions each" two_statics
before=$(owns s1)
other=$(assignments s2)
end_process "$S1" 20
told "describe while it is away" groups --describe --group statics --members --verbose
member s1-again statics --group-instance-id s1
awaits 60 "the static member is back" has_partitions s1-again
[ "$(owns s1-again)" = "$before" ] && echo "it has the partitions it had"
echo "the other saw $(($(assignments s2) - other)) assignments"
told "describe when it is back" groups --describe --group statics --members --verbose
end_process "$MEMBER" 20
told "its state, with two members that did not leave" groups --describe --group statics --state

echo "## __consumer_offsets through Fetch, the last of each key"
# offsets FORMATTER: reads until nothing came for some seconds, for the tool itself only knows a time since its own start.
offsets() {
    local size=
    kafka_exec $TOOLS.consumer.ConsoleConsumer "${SERVER[@]}" --topic __consumer_offsets --from-beginning \
        --formatter "$TOOLS.consumer.$1" >"$DIR/$1" 2>"$DIR/$1.log" </dev/null &
    MEMBERS+=($!)
    awaits 120 "$1 prints something" test -s "$DIR/$1"
    until [ "$(stat -c %s "$DIR/$1")" = "$size" ]; do
        size=$(stat -c %s "$DIR/$1")
        sleep 4
    done
    end_process "${MEMBERS[-1]}" 20
    PYTHONDONTWRITEBYTECODE=1 python3 "$INTEROP/offsets_alike.py" readers newborn perf statics <"$DIR/$1"
}
offsets OffsetsMessageFormatter
offsets GroupMetadataMessageFormatter
told "delete two groups" groups --delete --group readers --group newborn
told "list after that" groups --list
