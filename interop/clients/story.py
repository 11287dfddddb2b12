"""One story of a consumer group, told by whichever client is asked, against any broker.

    story.py CLIENT HOST:PORT [--topic T] [--phase before|after]

CLIENT is a name of CLIENTS below. Phase `before` (the default): produce, consume alone, be joined by a second and a third member,
lose them, commit, come back and read on where the group stands; restart a static member; list, describe, reset and delete a group.
Phase `after`, run when the broker was restarted in between: nothing committed is forgotten and nothing is read twice. Exit 1 with
what was seen when the story goes another way. What held is printed a line a step, and nothing in it that differs between two runs:
two brokers can be compared.
"""
import argparse
import importlib
import sys
import threading
import time

PARTITIONS = 4
PATIENCE = 60.0
# A client whose close leaves the group though it has an instance id: its restart is a leave and a join, with any broker.
LEAVES = "leaves"
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
    "platformatic": ("program_client", {"program": "JS_CLIENTS", "library": "platformatic", "static": LEAVES}),
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


def say(line):
    print(line, flush=True)


def share(members, names):
    """Waits until the members own all partitions, each some and none two; says how many each."""
    shares = until(lambda: f"{names} own all partitions: {[sorted(member.owned()) for member in members]}", lambda: owned_by_all(members))
    say(f"{names}: all {PARTITIONS} partitions, {' + '.join(str(size) for size in sorted(map(len, shares), reverse=True))}")


def read(seen, wanted):
    until(lambda: f"{len(wanted)} records are read: {len(seen.values())} are", lambda: seen.values() == wanted)
    say(f"all {len(wanted)} records are read")


def before(client, topic, group):
    first, second, third = lines("first", 200), lines("second", 40), lines("third", 20)
    client.create_topic(topic, PARTITIONS)
    client.produce(topic, first)
    seen = Seen()
    alone = client.member(topic, group, seen)
    share([alone], "one member")
    other = client.member(topic, group, seen)
    share([alone, other], "two members")
    late = client.member(topic, group, seen)
    share([alone, other, late], "three members")
    read(seen, values(first))
    late.close()
    share([alone, other], "two members, one left")
    other.close()
    share([alone], "one member, one left")
    client.produce(topic, second)
    read(seen, values(first, second))
    alone.close()
    committed = client.committed(topic, group)
    ends = client.ends(topic)
    if committed != ends:
        raise Wrong(f"after a clean close the group stands at {committed}, the partitions end at {ends}")
    say(f"after a clean close the group stands where the partitions end, {sum(ends.values())} records in all")
    client.produce(topic, third)
    later = Seen()
    back = client.member(topic, group, later)
    until(lambda: f"the new records are read: {later.values()}", lambda: len(later.values()) >= len(third))
    back.close()
    if later.values() != values(third):
        raise Wrong(f"a member that came back read {later.values()}, not just the new records")
    say("a member that came back reads the new records and no other")
    static_restart(client, topic)
    administration(client, topic)


def static_restart(client, topic):
    """A static member that comes back within its session has what it had, and the other member is told nothing."""
    if not client.static:
        say("no static members")
        return
    group = f"statics-of-{topic}"
    stays = client.member(topic, group, Seen(), "stays")
    share([stays], "one static member")
    goes = client.member(topic, group, Seen(), "goes")
    share([stays, goes], "two static members")
    had, told = goes.owned(), stays.assignments
    goes.close()
    if client.static == LEAVES:
        share([stays], "one static member, one left as it closed")
        back = client.member(topic, group, Seen(), "goes")
        share([stays, back], "two static members again")
    else:
        back = client.member(topic, group, Seen(), "goes")
        until(lambda: f"the static member owns {had} again: it owns {back.owned()}", lambda: back.owned() == had)
        # A second of heartbeats, for a rebalance that came with them would be seen now.
        time.sleep(1.0)
        if stays.assignments != told or back.owned() != had:
            raise Wrong(f"a static restart made {stays.assignments - told} assignments of the member that stayed")
        say("a static member that restarts owns what it owned, and the other is not told")
    back.close()
    stays.close()


def administration(client, topic):
    """List, describe, reset and delete, as far as the client has them."""
    if not hasattr(client, "reset"):
        say("no administration of groups")
        return
    group = f"administered-of-{topic}"
    seen = Seen()
    member = client.member(topic, group, seen)
    share([member], "one member")
    said = client.groups().get(group)
    if said not in ("Stable", ""):
        raise Wrong(f"the list of groups says {said!r} of {group}")
    say(f"the group is listed {said}".rstrip())
    say(f"described with a member: {client.describe(group)}")
    ends = client.ends(topic)
    until(lambda: f"everything is read: {len(seen.values())} records", lambda: len(seen.values()) == sum(ends.values()))
    member.close()
    say(f"described when it was left: {client.describe(group)}")
    if client.committed(topic, group) != ends:
        raise Wrong(f"the group stands at {client.committed(topic, group)} and not at {ends}")
    client.reset(topic, group)
    if any(client.committed(topic, group).values()):
        raise Wrong(f"after a reset the group stands at {client.committed(topic, group)}")
    say("its offsets are reset to 0")
    if not hasattr(client, "delete"):
        say("no deletion of groups")
        return
    client.delete(group)
    if group in client.groups():
        raise Wrong(f"{group} is still listed after it was deleted")
    say("deleted, and no longer listed")


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
    say(f"after the restart the group stands where the partitions end, {sum(ends.values())} records in all")
    say("a member that came back reads the new records and no other")


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
        {"before": before, "after": after}[arguments.phase](client, topic, f"group-of-{topic}")
    except Wrong as wrong:
        sys.exit(f"FAILED {arguments.client} {arguments.phase}: {wrong}")
    print(f"ok {arguments.client} {arguments.phase}")


if __name__ == "__main__":
    main()
