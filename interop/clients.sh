#!/usr/bin/env bash
# Foreign clients against our broker: each tells the story of clients/story.py, then the broker is restarted on the same
# data and address, and each tells how it goes on.
#
#   clients.sh [CLIENT...]     default: every client of clients/story.py
#
# With BOOTSTRAP=HOST:PORT the first part is told against that broker instead (an Apache Kafka, to see what it does).
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

[ $# -gt 0 ] || set -- kcat confluent confluent-cooperative kafka-python aiokafka franz-go sarama kafka-go kafkajs platformatic
need kcat kcat
need_python
case " $* " in *" franz-go "* | *" sarama "* | *" kafka-go "*) need_go_clients ;; esac
case " $* " in *" kafkajs "* | *" platformatic "*) need_js_clients ;; esac
DIR=$(mktemp -d)
STORY=("$PYTHON" "$INTEROP/clients/story.py")
failed=()

cleanup() {
    [ -z "${CALLBOARD_PID:-}" ] || end_process "$CALLBOARD_PID" || true
    rm -rf "$DIR"
}
trap cleanup EXIT

# tell PHASE CLIENT...: all at the same time, each with its own topic and group.
tell() {
    local phase=$1 client
    shift
    for client in "$@"; do
        (timeout 180 "${STORY[@]}" "$client" "$BOOTSTRAP" --phase "$phase" >"$DIR/$client" 2>&1; echo $? >"$DIR/$client.exit") &
    done
    for client in "$@"; do
        while [ ! -e "$DIR/$client.exit" ]; do sleep 0.2; done
        if [ "$(cat "$DIR/$client.exit")" = 0 ]; then
            tail -n 1 "$DIR/$client"
        else
            tail -n 30 "$DIR/$client"
            failed+=("$client $phase")
        fi
        rm "$DIR/$client.exit"
    done
}

if [ -n "${BOOTSTRAP:-}" ]; then
    tell before "$@"
else
    callboard_binary
    start_callboard "$DIR"
    BOOTSTRAP=$CALLBOARD_LISTEN
    tell before "$@"
    end_process "$CALLBOARD_PID" || failed+=("SIGTERM")
    start_callboard "$DIR" --listen "$BOOTSTRAP"
    tell after "$@"
fi
[ ${#failed[@]} = 0 ] || die "failed: ${failed[*]}"
