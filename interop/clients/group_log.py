"""What a coordinator stored of one group: the generations in `__consumer_offsets`, each with its leader and the plan that the
leader made. No API tells who leads; this log does."""
import os
import sys
from dataclasses import dataclass

from confluent_kafka import Consumer, OFFSET_BEGINNING, TopicPartition
from story import Wrong, until

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "storm"))

from wire import Reader  # noqa: E402

LOG = "__consumer_offsets"
GROUP_METADATA_KEY, GROUP_METADATA_VALUE = 2, 3


@dataclass
class Stored:
    """A member of a generation: how its client calls itself, and what the plan gives it of each topic."""

    client_id: str
    plan: dict


@dataclass
class Generation:
    number: int
    protocol: str
    leader: str
    members: dict

    def __str__(self):
        plan = {member.client_id: list(member.plan.values()) for member in self.members.values()}
        return f"generation {self.number}, {self.protocol}, leader {self.leader}, {plan}"


def stored(reader):
    """A member of a GroupMetadataValue of version 3, and its id."""
    member_id, _instance_id, client_id, _host = [reader.string() for _ in range(4)]
    _timeouts, _subscription, assignment = reader.take(">ii"), reader.blob(), Reader(reader.blob())
    _version = assignment.take(">h")
    return member_id, Stored(client_id, dict(assignment.array(lambda r: (r.string(), r.array(lambda p: p.take(">i"))))))


def generation(value):
    reader = Reader(value)
    version = reader.take(">h")
    if version != GROUP_METADATA_VALUE:
        raise Wrong(f"a group is stored in version {version}; read here is {GROUP_METADATA_VALUE}")
    _protocol_type, number, protocol, leader = reader.string(), reader.take(">i"), reader.string(), reader.string()
    _since = reader.take(">q")
    return Generation(number, protocol, leader, dict(reader.array(stored)))


class GroupLog:
    """Reads on from where it was at each look."""

    def __init__(self, client, group):
        self.group, self.found = group, []
        # Kafka creates the topic when the first group is looked for.
        partitions = until(lambda: f"{LOG} has partitions", lambda: LOG in client.admin.list_topics(timeout=30).topics and client.partitions(LOG))
        self.consumer = Consumer({"bootstrap.servers": client.bootstrap, "group.id": "reads-by-assign", "enable.auto.commit": False})
        self.consumer.assign([TopicPartition(LOG, partition, OFFSET_BEGINNING) for partition in partitions])

    def generations(self):
        """All that had members, so far."""
        while messages := self.consumer.consume(1000, timeout=0.1):
            for message in messages:
                if message.error():
                    raise Wrong(f"{LOG} cannot be read: {message.error()}")
                key = Reader(message.key())
                if key.take(">h") == GROUP_METADATA_KEY and key.string() == self.group and message.value():
                    self.found.append(generation(message.value()))
        return [found for found in self.found if found.members]

    def close(self):
        self.consumer.close()
