#!/usr/bin/env bash
# Good members among hostile peers of every kind, all at once (soak/soak.py). Not part of .ci/run: it takes two hours.
#
#   soak.sh [--minutes N] [--seed S]    120 minutes and a seed of chance unless told otherwise; appends to soak/RESULT.md
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

callboard_binary
need python3 python3
export PYTHONDONTWRITEBYTECODE=1
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
if ! python3 "$INTEROP/soak/soak.py" "$CALLBOARD" "$DIR" "$INTEROP/soak/RESULT.md" "$@"; then
    trap - EXIT
    tail -n 30 "$DIR/broker.log" >&2
    die "the broker's data and log are left in $DIR"
fi
