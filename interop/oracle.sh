#!/usr/bin/env bash
# The recorded stories of Apache Kafka 4.2.0 against our broker over sockets. The player is not part of this repository: it is
# taken from CALLBOARD_ORACLE, by default from a folder `shared/oracle` beside the clone; without it this says so and ends
# well (the same stories are played under virtual time by `cargo test`). Then our own stories (oracle/own.py), by the same player.
#
#   oracle.sh [--strict]
#
# oracle/waiting.txt names the stories that our broker does not pass yet, each with the reason.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

ORACLE=${CALLBOARD_ORACLE:-$REPOSITORY/../shared/oracle}
if [ ! -e "$ORACLE/oracle.py" ]; then
    echo "not run: there is no story player at CALLBOARD_ORACLE; cargo test plays the same stories under virtual time"
    exit 0
fi
need_python
callboard_binary
DIR=$(mktemp -d)
trap '[ -z "${CALLBOARD_PID:-}" ] || end_process "$CALLBOARD_PID" || true; rm -rf "$DIR"' EXIT
waiting=$(sed 's/#.*//; s/[[:space:]]*$//; /^$/d' "$INTEROP/oracle/waiting.txt" | paste -sd,)

# play SUITE [BROKER SETTING...]: one suite against a fresh broker.
play() {
    local suite=$1 settings=(--set group.initial.rebalance.delay.ms=500 --set group.min.session.timeout.ms=1000 --set offsets.retention.check.interval.ms=86400000)
    shift
    while [ $# -gt 0 ]; do settings+=(--set "$1"); shift; done
    start_callboard "$DIR/$suite" "${settings[@]}"
    for stories in "$ORACLE/oracle.py" "$INTEROP/oracle/own.py"; do
        CALLBOARD_ORACLE=$ORACLE "$PYTHON" "$stories" check "$CALLBOARD_LISTEN" --suite "$suite" --require-all --jobs 4 ${waiting:+--except "$waiting"} "${options[@]}"
    done
    end_process "$CALLBOARD_PID"
    CALLBOARD_PID=
}

options=("$@")
play default
play max-size group.max.size=2
