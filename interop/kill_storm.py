"""kill -9 of our broker in the middle of a commit storm, again and again on the same data directory.

    kill_storm.py CALLBOARD DIR [--kills N] [--seed S]

Connections commit rising offsets for groups of their own, ten requests in flight each. After every kill the broker is started
anew and every group is asked where it stands: at or above the last commit that was acknowledged, at or below the last that was
sent, never below an earlier answer, and with the metadata of exactly that commit. Exit 1 with what was lost.
Standard library only: what is trusted here is readable here.
"""
import argparse
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

CONNECTIONS, GROUPS, PARTITIONS, IN_FLIGHT = 12, 4, 3, 10
TOPIC = "storm"


def string(text):
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


class Wire:
    """One connection that sends and receives whole requests; no flexible version is used."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, key, version, correlation, body):
        frame = struct.pack(">hhi", key, version, correlation) + string("storm") + body
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)

    def receive(self):
        head = self.file.read(4)
        if len(head) < 4:
            raise ConnectionError("closed")
        size = struct.unpack(">i", head)[0]
        body = self.file.read(size)
        if len(body) < size:
            raise ConnectionError("closed")
        return struct.unpack(">i", body[:4])[0], body[4:]

    def close(self):
        self.file.close()
        self.socket.close()


def commit_body(group, offset):
    # OffsetCommit v2 of a client that is no member: generation -1, no member id, default retention.
    partitions = [struct.pack(">iq", p, offset) + string(f"at {offset}") for p in range(PARTITIONS)]
    return string(group) + struct.pack(">i", -1) + string("") + struct.pack(">q", -1) + array([string(TOPIC) + array(partitions)])


def commit_errors(body):
    # v2: [topic [partition error]]; one topic is committed.
    at = 4 + 2 + len(TOPIC) + 4
    return [struct.unpack(">ih", body[at + 6 * p:at + 6 * p + 6])[1] for p in range(PARTITIONS)]


def fetch(wire, group):
    """OffsetFetch v2: {partition: (offset, metadata)}; asked again while the coordinator loads."""
    while True:
        wire.send(9, 2, 1, string(group) + array([string(TOPIC) + array([struct.pack(">i", p) for p in range(PARTITIONS)])]))
        _, body = wire.receive()
        found, errors = {}, set()
        # A coordinator that refuses names no topic, only the error.
        topics, at = struct.unpack(">i", body[:4])[0], 4
        if topics:
            at += 2 + len(TOPIC) + 4
        for _ in range(PARTITIONS if topics else 0):
            partition, offset, length = struct.unpack(">iqh", body[at:at + 14])
            at += 14
            metadata = body[at:at + length].decode()
            at += length
            errors.add(struct.unpack(">h", body[at:at + 2])[0])
            at += 2
            found[partition] = (offset, metadata)
        errors.add(struct.unpack(">h", body[at:at + 2])[0])
        if errors == {0}:
            return found
        if not errors <= {0, 14, 15, 16}:
            raise SystemExit(f"FAILED: OffsetFetch of {group} answered {errors}")
        time.sleep(0.02)


class Committer(threading.Thread):
    """Commits for its groups until the connection breaks."""

    def __init__(self, address, number, state):
        super().__init__()
        self.address, self.groups, self.state = address, [f"storm-{number}-{g}" for g in range(GROUPS)], state
        self.acknowledged, self.refused = 0, None

    def run(self):
        in_flight = []
        try:
            wire = Wire(self.address)
            while True:
                while len(in_flight) < IN_FLIGHT:
                    group = self.groups[len(in_flight) % GROUPS] if not in_flight else random.choice(self.groups)
                    position = self.state[group]
                    position["sent"] += 1
                    in_flight.append((group, position["sent"]))
                    wire.send(8, 2, len(in_flight), commit_body(group, position["sent"]))
                _, body = wire.receive()
                group, offset = in_flight.pop(0)
                errors = set(commit_errors(body))
                if errors == {0}:
                    self.state[group]["acknowledged"] = offset
                    self.acknowledged += 1
                elif not errors <= {14, 15, 16}:
                    self.refused = errors
                    return
        except OSError:
            return


class Broker:
    def __init__(self, binary, directory):
        started = time.monotonic()
        log = open(os.path.join(directory, "broker.log"), "a")
        self.process = subprocess.Popen(
            [binary, "broker", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir", os.path.join(directory, "data")],
            stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            raise SystemExit(f"FAILED: the broker did not start, see {log.name}")
        self.took = time.monotonic() - started
        self.address = dict(word.split("=", 1) for word in line.split()[1:])["listen"]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def verify(address, state, kill):
    wire = Wire(address)
    for group, position in state.items():
        for partition, (offset, metadata) in fetch(wire, group).items():
            told = f"after kill {kill}: {group} partition {partition} stands at {offset}"
            if position["acknowledged"] == 0 and offset == -1:
                continue
            if offset < position["acknowledged"]:
                raise SystemExit(f"FAILED {told}, {position['acknowledged']} was acknowledged")
            if offset > position["sent"]:
                raise SystemExit(f"FAILED {told}, only {position['sent']} was sent")
            if offset < position["verified"].get(partition, -1):
                raise SystemExit(f"FAILED {told}, it stood at {position['verified'][partition]} before")
            if metadata != f"at {offset}":
                raise SystemExit(f"FAILED {told} with the metadata {metadata!r}")
            position["verified"][partition] = offset
    wire.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", metavar="CALLBOARD")
    parser.add_argument("directory", metavar="DIR")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    random.seed(arguments.seed)
    state = {f"storm-{c}-{g}": {"sent": 0, "acknowledged": 0, "verified": {}} for c in range(CONNECTIONS) for g in range(GROUPS)}
    acknowledged, slowest = 0, 0.0
    for kill in range(arguments.kills + 1):
        broker = Broker(arguments.binary, arguments.directory)
        slowest = max(slowest, broker.took)
        try:
            if kill == 0:
                subprocess.run([arguments.binary, "topic", "create", TOPIC, "--partitions", str(PARTITIONS), "--bootstrap", broker.address],
                               check=True, stdout=subprocess.DEVNULL)
            verify(broker.address, state, kill)
            if kill == arguments.kills:
                break
            committers = [Committer(broker.address, number, state) for number in range(CONNECTIONS)]
            for committer in committers:
                committer.start()
            time.sleep(random.uniform(0.05, 0.6))
        finally:
            broker.kill()
        for committer in committers:
            committer.join()
            if committer.refused:
                raise SystemExit(f"FAILED: a commit was answered {committer.refused}")
        acknowledged += sum(committer.acknowledged for committer in committers)
    if acknowledged == 0:
        raise SystemExit("FAILED: no commit was ever acknowledged")
    print(f"ok: {arguments.kills} kills, {acknowledged} acknowledged commits of {PARTITIONS} partitions each, none lost, none backwards; "
          f"slowest start {slowest:.2f} s")


if __name__ == "__main__":
    sys.exit(main())
