"""What the hostile peers of the soak say on Kafka's wire, as bytes: requests in their last versions without flexible fields, and
record batches. Standard library only: what is trusted here is readable here."""
import gzip
import os
import struct
import time

from wire import array, blob, string

PRODUCE, FETCH, METADATA, OFFSET_COMMIT, OFFSET_FETCH, JOIN_GROUP, HEARTBEAT = 0, 1, 3, 8, 9, 11, 12
DESCRIBE_GROUPS, LIST_GROUPS, CREATE_TOPICS, DELETE_TOPICS, INIT_PRODUCER_ID = 15, 16, 19, 20, 22


def frame(api, version, body, correlation=7):
    return blob(struct.pack(">hhi", api, version, correlation) + string("soak") + body)


def create_topic(name, partitions):
    topic = string(name) + struct.pack(">ih", partitions, 1) + array([]) + array([])
    return frame(CREATE_TOPICS, 2, array([topic]) + struct.pack(">ib", 30_000, 0))


def delete_topic(name):
    return frame(DELETE_TOPICS, 1, array([string(name)]) + struct.pack(">i", 30_000))


def commit(group, topic, partitions, metadata=""):
    rows = [struct.pack(">iq", partition, 5) + string(metadata) for partition in range(partitions)]
    return frame(OFFSET_COMMIT, 2, string(group) + struct.pack(">i", -1) + string("") + struct.pack(">q", -1) + array([string(topic) + array(rows)]))


def fetch_all_offsets(group):
    return frame(OFFSET_FETCH, 2, string(group) + struct.pack(">i", -1))


def join(group, session_ms, metadata):
    return frame(JOIN_GROUP, 1, string(group) + struct.pack(">ii", session_ms, session_ms) + string("") + string("consumer")
                 + array([string("range") + blob(metadata)]))


def heartbeat(group):
    return frame(HEARTBEAT, 0, string(group) + struct.pack(">i", 1) + string("nobody"))


def describe(groups):
    return frame(DESCRIBE_GROUPS, 0, array([string(group) for group in groups]))


def list_groups():
    return frame(LIST_GROUPS, 0, b"")


def fetch(topic, partition, most, wait_ms=100):
    row = struct.pack(">iqi", partition, 0, most)
    return frame(FETCH, 4, struct.pack(">iiiib", -1, wait_ms, 1, most, 0) + array([string(topic) + array([row])]))


def produce(topic, batches):
    """`batches`: partition and bytes of each."""
    rows = [struct.pack(">i", partition) + blob(batch) for partition, batch in batches]
    return frame(PRODUCE, 3, struct.pack(">hhi", -1, 1, 10_000) + array([string(topic) + array(rows)]))


def init_producer_id():
    return frame(INIT_PRODUCER_ID, 0, struct.pack(">hi", -1, 60_000))


def _table():
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


_TABLE = list(_table())


def crc32c(raw):
    crc = 0xFFFFFFFF
    for byte in raw:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def _varint(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def record(value):
    body = b"\0" + _varint(0) + _varint(0) + _varint(-1) + _varint(len(value)) + value + _varint(0)
    return _varint(len(body)) + body


def batch(records, attributes=0, producer=(-1, -1, -1)):
    """One record's bytes, or what they are compressed to; `producer`: id, epoch, sequence."""
    now = int(time.time() * 1000)
    tail = struct.pack(">hiqqqhii", attributes, 0, now, now, *producer, 1) + records
    return struct.pack(">qiibI", 0, 9 + len(tail), -1, 2, crc32c(tail)) + tail


def bomb(megabytes):
    """A batch of kilobytes that unfolds to so much."""
    return batch(gzip.compress(record(b"\0" * (megabytes << 20)), 9), attributes=1)


def noise(most):
    return os.urandom(1 + int.from_bytes(os.urandom(2), "big") % most)
