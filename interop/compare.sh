#!/usr/bin/env bash
# Apache Kafka's tools against our broker and against a real Apache Kafka 4.2.0: the two transcripts of java_tools.sh must be
# the same but for the lines of compare.diff, which says why each is there.
#
#   compare.sh              exit 1 and the difference when it is another than compare.diff has
#   compare.sh --keep DIR   leaves the transcripts (ours, kafka) and the difference there
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

DIR=$(mktemp -d)
KEEP=
[ "${1:-}" != --keep ] || KEEP=${2:?--keep wants a folder}
callboard_binary
need_kafka_jars
STARTED=
cleanup() {
    [ -z "${CALLBOARD_PID:-}" ] || end_process "$CALLBOARD_PID" || true
    [ -z "$STARTED" ] || "$INTEROP/kafka.sh" stop --port "$STARTED"
    [ -z "$KEEP" ] || { mkdir -p "$KEEP" && cp "$DIR"/{ours,kafka,difference}* "$KEEP" 2>/dev/null; } || true
    rm -rf "$DIR"
}
trap cleanup EXIT
port=$(free_port)
"$INTEROP/kafka.sh" start --port "$port" --set group.initial.rebalance.delay.ms=0
STARTED=$port
start_callboard "$DIR/broker" --set group.initial.rebalance.delay.ms=0

# Both at the same time: a tool's start is most of its time, and it waits a lot.
"$INTEROP/java_tools.sh" "127.0.0.1:$port" >"$DIR/kafka" 2>"$DIR/kafka.log" &
kafka=$!
"$INTEROP/java_tools.sh" "$CALLBOARD_LISTEN" >"$DIR/ours" 2>"$DIR/ours.log" || { cat "$DIR/ours.log" >&2; tail -n 3 "$DIR/ours"; wait "$kafka" || true; die "the tools did not come through against our broker"; }
wait "$kafka" || { cat "$DIR/kafka.log" >&2; tail -n 3 "$DIR/kafka"; die "the tools did not come through against Apache Kafka"; }

# Only the lines that differ, < ours and > Kafka's; lines of compare.diff that start with # are the explanations.
diff "$DIR/ours" "$DIR/kafka" | grep '^[<>]' >"$DIR/difference" || true
if ! diff <(grep -v '^#' "$INTEROP/compare.diff" || true) "$DIR/difference" >"$DIR/unexplained"; then
    cat "$DIR/unexplained"
    die "Apache Kafka's tools print something else of us than compare.diff explains (< what is explained, > what was seen)"
fi
echo "ok: $(grep -c '^##' "$DIR/ours") steps of Apache Kafka's tools alike, $(wc -l <"$DIR/difference") lines explained in compare.diff"
