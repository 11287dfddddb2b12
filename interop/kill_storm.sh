#!/usr/bin/env bash
# kill -9 under commits and rebalances (storm/kill_storm.py) on a directory of its own.
#
#   kill_storm.sh [--kills N] [--seed S]    50 kills and a seed of chance unless told otherwise
#   kill_storm.sh --prove                   shows that it can fail: the data is emptied or put back between two kills, and it must say so
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

callboard_binary
need python3 python3
export PYTHONDONTWRITEBYTECODE=1
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT

# fails_with SABOTAGE KILLS KIND: the run of so many kills fails, and names what was broken.
fails_with() {
    mkdir "$DIR/$1"
    if python3 "$INTEROP/storm/kill_storm.py" "$CALLBOARD" "$DIR/$1" --kills "$2" --sabotage "$1" >"$DIR/told"; then
        die "$1 went by unnoticed: $(cat "$DIR/told")"
    fi
    grep "^FAILED .*$3" "$DIR/told" || { tail -n 30 "$DIR/told"; die "$1 was not told as '$3'"; }
}

if [ "${1:-}" = --prove ]; then
    fails_with wipe 7 'lost'
    # Kills enough for every group to have gone on in between.
    fails_with rollback 20 'lost'
    grep -q '^FAILED .*\(generation\|repeated\)' "$DIR/told" || die "no generation came twice after the data was put back"
    echo "ok: both kinds of sabotage were noticed"
    exit
fi
if ! python3 "$INTEROP/storm/kill_storm.py" "$CALLBOARD" "$DIR" "$@"; then
    trap - EXIT
    tail -n 30 "$DIR/storm.log" >&2
    die "the broker's data and log and the story of the storm are left in $DIR"
fi
