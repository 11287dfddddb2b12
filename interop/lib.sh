# shellcheck shell=bash
# What every script of this folder needs: where things are, installing what is missing, starting and ending brokers.
# Sourced, never run. Everything that is installed or cached lies in .cache beside it, which git ignores.

INTEROP=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPOSITORY=$(dirname "$INTEROP")
CACHE=${CALLBOARD_INTEROP_CACHE:-$INTEROP/.cache}
mkdir -p "$CACHE"

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# have COMMAND: is it on the PATH?
have() { command -v "$1" >/dev/null 2>&1; }

# need COMMAND DEBIAN_PACKAGE...: installs the packages when the command is missing, or says clearly what to install.
need() {
    local command=$1
    shift
    have "$command" && return
    if have apt-get && [ "$(id -u)" = 0 ]; then
        (
            flock 9
            have "$command" && exit
            echo "installing $* (for $command)" >&2
            [ -e "$CACHE/apt-updated" ] || { apt-get update -qq >&2 && touch "$CACHE/apt-updated"; }
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >"$CACHE/apt.log" 2>&1 ||
                { apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >"$CACHE/apt.log" 2>&1; } ||
                { tail -n 20 "$CACHE/apt.log" >&2; exit 1; }
        ) 9>"$CACHE/apt.lock" || die "$command is missing and could not be installed (Debian: apt-get install $*)"
        hash -r
    fi
    have "$command" || die "$command is missing (Debian: apt-get install $*)"
}

# need_python: a virtual environment with the pinned clients, made once for each list of requirements; sets PYTHON.
need_python() {
    local sum venv
    need python3 python3 python3-venv
    sum=$(sha256sum "$INTEROP/clients/requirements.txt" | cut -c1-12)
    venv=$CACHE/venv-$sum
    PYTHON=$venv/bin/python
    export PYTHON PYTHONDONTWRITEBYTECODE=1
    [ -e "$venv/complete" ] && return
    (
        flock 9
        [ -e "$venv/complete" ] && exit
        rm -rf "$venv"
        python3 -m venv "$venv" 2>"$CACHE/venv.log" || {
            need pip3 python3-venv python3-pip
            python3 -m venv "$venv" 2>"$CACHE/venv.log" || { cat "$CACHE/venv.log" >&2; exit 1; }
        }
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$INTEROP/clients/requirements.txt" >&2
        touch "$venv/complete"
    ) 9>"$CACHE/venv.lock" || die "the Python clients of clients/requirements.txt could not be installed"
}

# need_kafka_jars: Apache Kafka's jars from Maven, once; sets KAFKA_LIB.
need_kafka_jars() {
    local sum
    need java openjdk-17-jre-headless
    sum=$(sha256sum "$INTEROP/kafka/pom.xml" | cut -c1-12)
    KAFKA_LIB=$CACHE/kafka-$sum
    export KAFKA_LIB
    [ -e "$KAFKA_LIB/complete" ] && return
    need mvn maven
    (
        flock 9
        [ -e "$KAFKA_LIB/complete" ] && exit
        rm -rf "$KAFKA_LIB"
        echo "fetching the jars of Apache Kafka" >&2
        mvn -q -B -Dstyle.color=never -f "$INTEROP/kafka/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$KAFKA_LIB" >&2
        touch "$KAFKA_LIB/complete"
    ) 9>"$CACHE/jars.lock" || die "the jars of Apache Kafka could not be fetched from Maven"
}

# need_go_clients: the Go clients of clients/go, built once for each state of that folder; sets GO_CLIENTS.
need_go_clients() {
    local sum
    need go golang-go
    sum=$(cat "$INTEROP"/clients/go/* | sha256sum | cut -c1-12)
    export GO_CLIENTS=$CACHE/go-clients-$sum
    [ -e "$GO_CLIENTS" ] && return
    (
        flock 9
        [ -e "$GO_CLIENTS" ] && exit
        echo "building the Go clients" >&2
        cd "$INTEROP/clients/go"
        GOFLAGS=-mod=readonly go build -o "$GO_CLIENTS.new" . >&2
        mv "$GO_CLIENTS.new" "$GO_CLIENTS"
    ) 9>"$CACHE/go.lock" || die "the Go clients of clients/go could not be built; $(go version) is here, go.mod says $(grep '^go ' "$INTEROP/clients/go/go.mod")"
}

# need_js_clients: the JavaScript clients of clients/js beside their packages, installed once for each lock file; sets JS_CLIENTS.
need_js_clients() {
    local sum folder
    need node nodejs
    need npm npm
    sum=$(cat "$INTEROP"/clients/js/* | sha256sum | cut -c1-12)
    folder=$CACHE/js-clients-$sum
    export JS_CLIENTS="node $folder/main.js"
    [ -e "$folder/complete" ] && return
    (
        flock 9
        [ -e "$folder/complete" ] && exit
        echo "installing the JavaScript clients" >&2
        rm -rf "$folder"
        mkdir -p "$folder"
        cp "$INTEROP"/clients/js/* "$folder"
        # @platformatic/kafka asks for a newer node than some machines have; what is used here runs on 20.
        npm ci --prefix "$folder" --silent --no-audit --no-fund >&2
        touch "$folder/complete"
    ) 9>"$CACHE/js.lock" || die "the JavaScript clients of clients/js could not be installed; node $(node --version) is here"
}

# kafka_exec CLASS ARGUMENT...: this shell becomes a main class of Apache Kafka, so that `kafka_exec … &` leaves its process in $!; its
# chatter below WARN is off. JAVA_HEAP bounds its memory.
kafka_exec() {
    export CLASSPATH="$KAFKA_LIB/*"
    # shellcheck disable=SC2086 # JAVA_HEAP is a list of options
    exec java ${JAVA_HEAP:--Xmx256m} -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.level="${KAFKA_LOG_LEVEL:-ERROR}" "$@"
}

# kafka_java CLASS ARGUMENT...: the same, waited for.
kafka_java() { (kafka_exec "$@"); }

# free_port: one that nobody listens on at this moment.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_for_metadata HOST:PORT SECONDS [PID]: until a broker answers Metadata and names itself; fails when PID ends before.
wait_for_metadata() {
    python3 "$INTEROP/wait_for_metadata.py" "$@"
}

# end_process PID [SECONDS]: SIGTERM, SIGKILL when that does not help in time. Only for processes that we started.
end_process() {
    local pid=$1 seconds=${2:-15} waited=0
    kill -TERM "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do
        # A child that ended but was not waited for still answers kill -0.
        [ "$(ps -o stat= -p "$pid" 2>/dev/null | cut -c1)" = Z ] && break
        waited=$((waited + 1))
        if [ "$waited" -gt $((seconds * 10)) ]; then
            echo "process $pid did not end within $seconds s of SIGTERM: SIGKILL" >&2
            kill -KILL "$pid" 2>/dev/null
            return 1
        fi
        sleep 0.1
    done
}

# callboard_binary: the path of the program under test; sets CALLBOARD.
callboard_binary() {
    CALLBOARD=${CALLBOARD:-${CARGO_TARGET_DIR:-$REPOSITORY/target}/release/callboard}
    export CALLBOARD
    [ -x "$CALLBOARD" ] || die "there is no $CALLBOARD; build it with 'cargo build --release -p callboard' or name it in CALLBOARD"
}

# start_callboard DIR [--listen HOST:PORT] [ARGUMENT...]: starts our broker (default: on free ports) with its data and logs in DIR and waits for its
# `ready` line; sets CALLBOARD_PID, CALLBOARD_LISTEN and CALLBOARD_ADMIN. The caller ends it (end_process).
start_callboard() {
    local dir=$1 listen=127.0.0.1:0 line
    shift
    if [ "${1:-}" = --listen ]; then
        listen=$2
        shift 2
    fi
    mkdir -p "$dir"
    rm -f "$dir/ready"
    "$CALLBOARD" broker --listen "$listen" --admin 127.0.0.1:0 --data-dir "$dir/data" "$@" >"$dir/ready" 2>"$dir/broker.log" </dev/null &
    CALLBOARD_PID=$!
    local tries=0
    until line=$(grep -m1 '^ready ' "$dir/ready" 2>/dev/null); do
        tries=$((tries + 1))
        if ! kill -0 "$CALLBOARD_PID" 2>/dev/null || [ "$tries" -gt 300 ]; then
            tail -n 20 "$dir/broker.log" >&2
            die "callboard broker did not get ready, see above"
        fi
        sleep 0.1
    done
    CALLBOARD_LISTEN=$(sed -n 's/.*listen=\([^ ]*\).*/\1/p' <<<"$line")
    # shellcheck disable=SC2034 # used by the scripts that source this
    CALLBOARD_ADMIN=$(sed -n 's/.*admin=\([^ ]*\).*/\1/p' <<<"$line")
    wait_for_metadata "$CALLBOARD_LISTEN" 30 "$CALLBOARD_PID"
}
