#!/usr/bin/env bash
# kill_storm.py on a directory of its own: kill_storm.sh [--kills N] [--seed S]; 50 kills unless told otherwise.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

callboard_binary
need python3 python3
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
python3 "$INTEROP/kill_storm.py" "$CALLBOARD" "$DIR" "$@" || { tail -n 20 "$DIR/broker.log" >&2; exit 1; }
