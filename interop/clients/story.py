"""One story of a consumer group, told by whichever client is asked, against any broker.

    story.py CLIENT HOST:PORT [--topic T] [--phase before|after]

CLIENT is a name of CLIENTS below. Phase `before` (the default): produce, consume
alone, be joined by a second member, lose it, commit, come back and read on where the group stands. Phase `after`, run when the
broker was restarted in between: nothing committed is forgotten and nothing is read twice. Exit 1 with what was seen when the
story goes another way; the last line says what held.
"""
import argparse
import importlib
import sys
import threading
import time

PARTITIONS = 4
PATIENCE = 60.0
CLIENTS = {
    "kcat": ("kcat_client", {}),
    "confluent": ("confluent_client", {"strategy": "range"}),
    "confluent-cooperative": ("confluent_client", {"strategy": "cooperative-sticky"}),
    "kafka-python": ("kafka_python_client", {}),
    "aiokafka": ("aiokafka_client", {}),
    "franz-go": ("program_client", {"program": "GO_CLIENTS", "library": "franz-go"}),
    "sarama": ("program_client", {"program": "GO_CLIENTS", "library": "sarama"}),
    "kafka-go": ("program_client", {"program": "GO_CLIENTS", "library": "kafka-go", "static": False}),
    "kafkajs": ("program_client", {"program": "JS_CLIENTS", "library": "kafkajs", "static": False}),
    # Its close leaves the group with an instance id too, so that a restart is a leave and a join with any broker.
    "platformatic": ("program_client", {"program": "JS_CLIENTS", "library": "platformatic", "static": False}),
}


class Wrong(Exception):
    """The story went another way than it should."""


def until(what, condition, patience=PATIENCE):
    """Waits until `condition` holds; there is no other way to see a foreign client's state than to look again."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise Wrong(f"not within {patience:.0f} s: {what()}")


class Seen:
    """What the members of a group have read and own. Members call it from their own threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.records = {}
        self.deliveries = 0

    def record(self, partition, offset, value):
        with self.lock:
            before = self.records.setdefault((partition, offset), value)
            self.deliveries += 1
        if before != value:
            raise Wrong(f"partition {partition} offset {offset} was {before!r} and is {value!r}")

    def values(self):
        with self.lock:
            return sorted(self.records.values())


def owned_by_all(members):
    owned = [sorted(member.owned()) for member in members]
    flat = sorted(sum(owned, []))
    complete = flat == list(range(PARTITIONS))
    return complete and all(owned) and owned


def lines(prefix, count):
    return [(f"key-{n % 37}", f"{prefix}-{n:04}") for n in range(count)]


def values(*batches):
    return sorted(value for batch in batches for _, value in batch)


def before(client, topic, group):
    first, second, third = lines("first", 200), lines("second", 40), lines("third", 20)
    client.create_topic(topic, PARTITIONS)
    client.produce(topic, first)
    seen = Seen()
    alone = client.member(topic, group, seen)
    until(lambda: f"one member owns all partitions: it owns {alone.owned()}", lambda: owned_by_all([alone]))
    other = client.member(topic, group, seen)
    both = until(
        lambda: f"two members share the partitions: they own {alone.owned()} and {other.owned()}",
        lambda: owned_by_all([alone, other]),
    )
    until(lambda: f"{len(first)} records are read: {len(seen.values())} are", lambda: seen.values() == values(first))
    other.close()
    until(lambda: f"the member that stays owns all again: it owns {alone.owned()}", lambda: owned_by_all([alone]))
    client.produce(topic, second)
    until(
        lambda: f"{len(first) + len(second)} records are read: {len(seen.values())} are",
        lambda: seen.values() == values(first, second),
    )
    alone.close()
    committed = client.committed(topic, group)
    ends = client.ends(topic)
    if committed != ends:
        raise Wrong(f"after a clean close the group stands at {committed}, the partitions end at {ends}")
    client.produce(topic, third)
    later = Seen()
    back = client.member(topic, group, later)
    until(lambda: f"the new records are read: {later.values()}", lambda: len(later.values()) >= len(third))
    back.close()
    if later.values() != values(third):
        raise Wrong(f"a member that came back read {later.values()}, not just the new records")
    more = static_restart(client, topic) + administration(client, topic)
    return f"shared {both}, {seen.deliveries} deliveries of {len(first) + len(second)}, resumed at {committed}{more}"


def static_restart(client, topic):
    """A static member that comes back within its session has what it had, and the other member is told nothing."""
    if not getattr(client, "static", False):
        return ""
    group = f"statics-of-{topic}"
    stays = client.member(topic, group, Seen(), "stays")
    until(lambda: f"one static member owns all: it owns {stays.owned()}", lambda: owned_by_all([stays]))
    goes = client.member(topic, group, Seen(), "goes")
    until(lambda: f"two static members share: {stays.owned()} and {goes.owned()}", lambda: owned_by_all([stays, goes]))
    had, told = goes.owned(), stays.assignments
    goes.close()
    back = client.member(topic, group, Seen(), "goes")
    until(lambda: f"the static member owns {had} again: it owns {back.owned()}", lambda: back.owned() == had)
    # A second of heartbeats, for a rebalance that came with them would be seen now.
    time.sleep(1.0)
    if stays.assignments != told or back.owned() != had:
        raise Wrong(f"a static restart made {stays.assignments - told} assignments of the member that stayed")
    back.close()
    stays.close()
    return ", a static member restarted unnoticed"


def administration(client, topic):
    """List, describe, reset and delete, as far as the client has them."""
    if not hasattr(client, "reset"):
        return ""
    group = f"administered-of-{topic}"
    seen = Seen()
    member = client.member(topic, group, seen)
    until(lambda: f"all partitions are owned: {member.owned()}", lambda: owned_by_all([member]))
    if client.groups().get(group) not in ("Stable", ""):
        raise Wrong(f"the list of groups says {client.groups().get(group)!r} of {group}")
    if client.describe(group) != {"state": "Stable", "members": 1}:
        raise Wrong(f"a group of one member is described as {client.describe(group)}")
    ends = client.ends(topic)
    until(lambda: f"everything is read: {len(seen.values())}", lambda: len(seen.values()) == sum(ends.values()))
    member.close()
    if client.describe(group) != {"state": "Empty", "members": 0}:
        raise Wrong(f"a group that was left is described as {client.describe(group)}")
    if client.committed(topic, group) != ends:
        raise Wrong(f"the group stands at {client.committed(topic, group)} and not at {ends}")
    client.reset(topic, group)
    if any(client.committed(topic, group).values()):
        raise Wrong(f"after a reset the group stands at {client.committed(topic, group)}")
    client.delete(group)
    if group in client.groups():
        raise Wrong(f"{group} is still listed after it was deleted")
    return ", listed, described, reset and deleted"


def after(client, topic, group):
    committed, ends = client.committed(topic, group), client.ends(topic)
    if committed != ends:
        raise Wrong(f"after the restart the group stands at {committed}, the partitions end at {ends}")
    fourth = lines("fourth", 20)
    client.produce(topic, fourth)
    seen = Seen()
    member = client.member(topic, group, seen)
    until(lambda: f"the new records are read: {seen.values()}", lambda: len(seen.values()) >= len(fourth))
    member.close()
    if seen.values() != values(fourth):
        raise Wrong(f"a member that came back read {seen.values()}, not just the new records")
    return f"resumed after the restart at {committed}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("bootstrap", metavar="HOST:PORT")
    parser.add_argument("--topic", help="default: story-CLIENT")
    parser.add_argument("--phase", choices=["before", "after"], default="before")
    arguments = parser.parse_args()
    module, options = CLIENTS[arguments.client]
    client = importlib.import_module(module).Client(arguments.bootstrap, **options)
    topic = arguments.topic or f"story-{arguments.client}"
    try:
        told = {"before": before, "after": after}[arguments.phase](client, topic, f"group-of-{topic}")
    except Wrong as wrong:
        sys.exit(f"FAILED {arguments.client} {arguments.phase}: {wrong}")
    print(f"ok {arguments.client} {arguments.phase}: {told}")


if __name__ == "__main__":
    main()
