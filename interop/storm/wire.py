"""Kafka's wire as far as the storm needs it: the last version of each API without flexible fields.

Standard library only: what is trusted here is readable here.
"""
import asyncio
import struct
import time
from collections import deque

LOADING, NOT_AVAILABLE, NOT_COORDINATOR = 14, 15, 16
ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS, MEMBER_ID_REQUIRED, FENCED_INSTANCE_ID = 22, 25, 27, 79, 82
# The coordinator is not there at the moment; what became of the request is not known.
RETRIABLE = {LOADING, NOT_AVAILABLE, NOT_COORDINATOR}
OFFSET_COMMIT, OFFSET_FETCH, JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP, DESCRIBE_GROUPS = 8, 9, 11, 12, 13, 14, 15
VERSIONS = {OFFSET_COMMIT: 7, OFFSET_FETCH: 5, JOIN_GROUP: 5, HEARTBEAT: 3, LEAVE_GROUP: 3, SYNC_GROUP: 3, DESCRIBE_GROUPS: 4}
TOPIC = "storm"


def string(text):
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw


def nullable(text):
    return string(text) if text else struct.pack(">h", -1)


def blob(raw):
    return struct.pack(">i", len(raw)) + raw


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


class Reader:
    """An answer's body, read front to back."""

    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, form):
        value = struct.unpack_from(form, self.raw, self.at)
        self.at += struct.calcsize(form)
        return value[0] if len(value) == 1 else value

    def bytes(self, length):
        value = self.raw[self.at:self.at + max(length, 0)]
        self.at += max(length, 0)
        return value

    def string(self):
        return self.bytes(self.take(">h")).decode()

    def blob(self):
        return self.bytes(self.take(">i"))

    def array(self, item):
        return [item(self) for _ in range(self.take(">i"))]


class Connection(asyncio.Protocol):
    """Requests go out as they come, answers come in their order; a lost connection fails all that wait."""

    # Answers that came out of their order, of all connections.
    disorder = []

    def __init__(self, client_id):
        self.header, self.transport, self.buffer = string(client_id), None, bytearray()
        self.waiting, self.correlation, self.lost, self.run = deque(), 0, False, 0

    @classmethod
    async def open(cls, address, client_id):
        host, _, port = address.rpartition(":")
        _, connection = await asyncio.get_running_loop().create_connection(lambda: cls(client_id), host, int(port))
        return connection

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, exc):
        self.lost = True
        while self.waiting:
            future = self.waiting.popleft()[0]
            if not future.done():
                future.set_exception(ConnectionError("closed"))

    def data_received(self, data):
        self.buffer += data
        at = 0
        while len(self.buffer) - at >= 4:
            size = int.from_bytes(self.buffer[at:at + 4], "big")
            if len(self.buffer) - at - 4 < size:
                break
            correlation, body = int.from_bytes(self.buffer[at + 4:at + 8], "big"), bytes(self.buffer[at + 8:at + 4 + size])
            at += 4 + size
            future, _, asked = self.waiting.popleft()
            if correlation != asked:
                self.disorder.append(f"request {asked} was due, request {correlation} was answered")
                return self.close()
            if not future.done():
                future.set_result(Reader(body))
        del self.buffer[:at]

    def send(self, api, body):
        """A future of the answer's body."""
        future = asyncio.get_running_loop().create_future()
        if self.lost or self.transport.is_closing():
            future.set_exception(ConnectionError("closed"))
            return future
        self.correlation += 1
        frame = struct.pack(">hhi", api, VERSIONS[api], self.correlation) + self.header + body
        self.waiting.append((future, time.monotonic(), self.correlation))
        self.transport.write(blob(frame))
        return future

    def waits_since(self):
        """When the oldest request without an answer was sent."""
        return self.waiting[0][1] if self.waiting else None

    def close(self):
        if self.transport:
            self.transport.abort()


def commit(group, generation, member, instance, offsets, metadata):
    """OffsetCommit of {partition: offset}."""
    partitions = [struct.pack(">iqi", p, offset, -1) + string(metadata) for p, offset in offsets.items()]
    return string(group) + struct.pack(">i", generation) + string(member) + nullable(instance) + array([string(TOPIC) + array(partitions)])


def commit_errors(answer):
    answer.take(">i")
    topics = answer.array(lambda r: (r.string(), r.array(lambda p: p.take(">ih")[1])))
    return set(topics[0][1])


def fetch(group, partitions):
    return string(group) + array([string(TOPIC) + array([struct.pack(">i", p) for p in partitions])])


def fetched(answer):
    """{partition: (offset, metadata)} and the set of errors."""
    answer.take(">i")

    def partition(r):
        number, offset, _ = r.take(">iqi")
        return number, offset, r.string(), r.take(">h")

    topics = answer.array(lambda r: (r.string(), r.array(partition)))
    rows = [row for _, rows in topics for row in rows]
    return {number: (offset, metadata) for number, offset, metadata, _ in rows}, {row[3] for row in rows} | {answer.take(">h")}


def join(group, session, rebalance, member, instance, subscription):
    return (string(group) + struct.pack(">ii", session, rebalance) + string(member) + nullable(instance) + string("consumer")
            + array([string("storm") + blob(subscription)]))


def joined(answer):
    """error, generation, leader, member, [(id, instance)]"""
    answer.take(">i")
    error, generation = answer.take(">hi")
    answer.string()
    leader, member = answer.string(), answer.string()

    def listed(r):
        row = r.string(), r.string()
        r.blob()
        return row

    return error, generation, leader, member, answer.array(listed)


def subscription(user_data):
    """The consumer protocol's, for Kafka reads the topics from it."""
    return struct.pack(">h", 0) + array([string(TOPIC)]) + blob(user_data)


def sync(group, generation, member, instance, plan):
    assignments = [string(to) + blob(assignment) for to, assignment in plan.items()]
    return string(group) + struct.pack(">i", generation) + string(member) + nullable(instance) + array(assignments)


def synced(answer):
    answer.take(">i")
    return answer.take(">h"), answer.blob()


def assignment(partitions, note):
    return struct.pack(">h", 0) + array([string(TOPIC) + array([struct.pack(">i", p) for p in partitions])]) + blob(note.encode())


def assigned(raw):
    reader = Reader(raw)
    reader.take(">h")
    return [p for _, partitions in reader.array(lambda r: (r.string(), r.array(lambda p: p.take(">i")))) for p in partitions]


def heartbeat(group, generation, member, instance):
    return string(group) + struct.pack(">i", generation) + string(member) + nullable(instance)


def heartbeat_error(answer):
    return answer.take(">ih")[1]


def leave(group, member, instance):
    return string(group) + array([string(member) + nullable(instance)])


def describe(group):
    return array([string(group)]) + b"\0"


def described(answer):
    """error, state, the set of member ids"""
    answer.take(">i")

    def member(r):
        row = r.string()
        r.string(), r.string(), r.string(), r.blob(), r.blob()
        return row

    def group(r):
        error = r.take(">h")
        r.string()
        state = r.string()
        r.string(), r.string()
        members = r.array(member)
        r.take(">i")
        return error, state, set(members)

    return answer.array(group)[0]
