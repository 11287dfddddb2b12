#!/usr/bin/env bash
# A real single-node Apache Kafka 4.2.0 on this machine, from its released jars; no Docker.
#
#   kafka.sh start [--port P] [--set KEY=VALUE]...   prints `ready listen=127.0.0.1:PORT pid=PID` once it answers Metadata
#   kafka.sh prepare --port P [--set KEY=VALUE]...   only formats its storage
#   kafka.sh run --port P                            becomes the node that was prepared, with the data that is there
#   kafka.sh stop [--port P]                         ends it and deletes its data; without --port, every one started from here
#   kafka.sh tool CLASS ARGUMENT...                  a tool: kafka.sh tool TopicCommand --bootstrap-server HOST:PORT --list
#
# Port 0 (the default) takes a free one. The node forgets everything at `stop`. KAFKA_JVM replaces the options of its Java.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

usage() { sed -n '2,10s/^# \{0,1\}//p' "$0"; }

# Sets port, dir and settings.
arguments() {
    port=0 settings=()
    while [ $# -gt 0 ]; do
        case $1 in
            --port) port=${2:?--port wants a number}; shift 2 ;;
            --set) settings+=("${2:?--set wants KEY=VALUE}"); shift 2 ;;
            *) die "unknown argument $1" ;;
        esac
    done
    need_kafka_jars
    [ "$port" != 0 ] || port=$(free_port)
    dir=$CACHE/kafka-node-$port
}

prepare() {
    local controller
    controller=$(free_port)
    if [ -e "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; then
        die "a Kafka started from here already runs on port $port (process $(cat "$dir/pid")); '$0 stop --port $port' ends it"
    fi
    rm -rf "$dir"
    mkdir -p "$dir"
    cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$dir/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
PROPERTIES
    # Later lines win: what was asked for stands last.
    [ ${#settings[@]} = 0 ] || printf '%s\n' "${settings[@]}" >>"$dir/server.properties"
    # Any 22 characters of base64 are a cluster id.
    kafka_java kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qk -c "$dir/server.properties" >"$dir/format.log" 2>&1 ||
        { tail -n 20 "$dir/format.log" >&2; die "Kafka's storage could not be formatted"; }
}

run() {
    [ -e "$dir/server.properties" ] || die "nothing is prepared for port $port"
    echo $$ >"$dir/pid"
    export CLASSPATH="$KAFKA_LIB/*"
    # shellcheck disable=SC2086 # KAFKA_JVM is a list of options
    exec nice -n "${KAFKA_NICE:-0}" java ${KAFKA_JVM:--Xms256m -Xmx512m -XX:MaxDirectMemorySize=128m -XX:+UseG1GC} \
        -Dlog4j2.level=WARN kafka.Kafka "$dir/server.properties" >>"$dir/kafka.log" 2>&1 </dev/null
}

start() {
    local pid
    prepare
    setsid nohup "$0" run --port "$port" >/dev/null 2>&1 </dev/null &
    pid=$!
    # Whoever stops it at once has to find it.
    echo "$pid" >"$dir/pid"
    if ! wait_for_metadata "127.0.0.1:$port" 60 "$pid"; then
        tail -n 20 "$dir/kafka.log" >&2
        kill -KILL "$pid" 2>/dev/null || true
        die "Apache Kafka did not start, see above and $dir/kafka.log"
    fi
    echo "ready listen=127.0.0.1:$port pid=$pid"
}

stop_one() {
    local dir=$1
    if [ -e "$dir/pid" ]; then
        end_process "$(cat "$dir/pid")" 20 || true
    fi
    rm -rf "$dir"
}

stop() {
    local dir
    case ${1:-} in
        --port) stop_one "$CACHE/kafka-node-${2:?--port wants a number}" ;;
        "") for dir in "$CACHE"/kafka-node-*; do [ ! -d "$dir" ] || stop_one "$dir"; done ;;
        *) die "unknown argument $1" ;;
    esac
}

tool() {
    local class=${1:?which tool?}
    shift
    need_kafka_jars
    case $class in
        org.* | kafka.*) ;;
        *) class=org.apache.kafka.tools.$class ;;
    esac
    kafka_java "$class" "$@"
}

case ${1:-} in
    start) shift; arguments "$@"; start ;;
    prepare) shift; arguments "$@"; prepare ;;
    run) shift; arguments "$@"; run ;;
    stop) shift; stop "$@" ;;
    tool) shift; tool "$@" ;;
    -h | --help) usage ;;
    *) usage >&2; exit 2 ;;
esac
