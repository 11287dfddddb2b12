#!/usr/bin/env bash
# Foreign clients against our broker: each tells the story of clients/story.py, then the broker is restarted on the same
# data and address, and each tells how it goes on.
#
#   clients.sh [--beside-kafka] [CLIENT...]     default: every client of clients/story.py
#
# With --beside-kafka a real Apache Kafka is told the same (it is not restarted), and what the clients print of the two must be the
# same but for the lines of clients.diff, which says why each is there. With BOOTSTRAP=HOST:PORT the first part is told against that
# broker and nothing else.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

KAFKA=
[ "${1:-}" != --beside-kafka ] || { KAFKA=yes; shift; }
[ $# -gt 0 ] || set -- kcat confluent confluent-cooperative kafka-python aiokafka franz-go sarama kafka-go kafkajs platformatic
need kcat kcat
need_python
case " $* " in *" franz-go "* | *" sarama "* | *" kafka-go "*) need_go_clients ;; esac
case " $* " in *" kafkajs "* | *" platformatic "*) need_js_clients ;; esac
DIR=$(mktemp -d)
STORY=("$PYTHON" "$INTEROP/clients/story.py")
failed=()
STARTED=

cleanup() {
    [ -z "${CALLBOARD_PID:-}" ] || end_process "$CALLBOARD_PID" || true
    [ -z "$STARTED" ] || "$INTEROP/kafka.sh" stop --port "$STARTED"
    rm -rf "$DIR"
}
trap cleanup EXIT

# tell WHOM BOOTSTRAP PHASE CLIENT...: all at the same time, each with its own topic and group; what they print is kept in DIR/WHOM.
tell() {
    local whom=$1 at=$2 phase=$3 client
    shift 3
    mkdir -p "$DIR/$whom"
    for client in "$@"; do
        (
            code=0
            timeout 480 "${STORY[@]}" "$client" "$at" --phase "$phase" >"$DIR/$whom/$client.$phase" 2>"$DIR/$client.log" || code=$?
            echo $code >"$DIR/$client.exit"
        ) &
    done
    for client in "$@"; do
        while [ ! -e "$DIR/$client.exit" ]; do sleep 0.2; done
        if [ "$(cat "$DIR/$client.exit")" = 0 ]; then
            echo "$(tail -n 1 "$DIR/$whom/$client.$phase"): $(wc -l <"$DIR/$whom/$client.$phase") steps"
        else
            tail -n 30 "$DIR/$whom/$client.$phase" "$DIR/$client.log"
            failed+=("$client $phase of $whom")
        fi
        rm "$DIR/$client.exit"
    done
}

if [ -n "${BOOTSTRAP:-}" ]; then
    tell that "$BOOTSTRAP" before "$@"
else
    callboard_binary
    [ -z "$KAFKA" ] || need_kafka_jars
    start_callboard "$DIR"
    AT=$CALLBOARD_LISTEN
    tell ours "$AT" before "$@"
    end_process "$CALLBOARD_PID" || failed+=("SIGTERM")
    start_callboard "$DIR" --listen "$AT"
    tell ours "$AT" after "$@"
    end_process "$CALLBOARD_PID" || failed+=("SIGTERM")
    CALLBOARD_PID=
fi
if [ -n "$KAFKA" ]; then
    STARTED=$(free_port)
    "$INTEROP/kafka.sh" start --port "$STARTED"
    for phase in before after; do tell kafka "127.0.0.1:$STARTED" "$phase" "$@"; done
    # Only the lines that differ, < ours and > Kafka's, each behind its client; lines of clients.diff that start with # are reasons.
    for told in "$DIR"/ours/*; do
        diff "$told" "$DIR/kafka/$(basename "$told")" | grep '^[<>]' | sed "s/^/$(basename "$told") /" || true
    done >"$DIR/difference"
    diff <(grep -v '^#' "$INTEROP/clients.diff" || true) "$DIR/difference" || failed+=("clients see a difference that clients.diff does not explain")
fi
[ ${#failed[@]} = 0 ] || die "failed: ${failed[*]}"
[ -z "$KAFKA" ] || echo "ok: $(cat "$DIR"/ours/* | grep -vc '^ok ') steps of $# clients alike, $(wc -l <"$DIR/difference") lines explained in clients.diff"
