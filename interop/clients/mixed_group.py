"""One group with range of three clients, our consumer, Java's and librdkafka's, told against any broker.

    mixed_group.py FIRST HOST:PORT      FIRST: callboard, java or librdkafka

FIRST joins first and so leads; the other two join one after the other. Records over 12 partitions are each read once, by the
partition's owner. Then FIRST is killed while it reads, and later the next leaves in order while it reads: the others take over from
the committed offsets. Every generation that the coordinator stored has to be the plan of range. Needs CALLBOARD, KAFKA_LIB and
JAVA_PROPERTIES. Exit 1 with what was seen when the story goes another way; what held is printed a line a step, the same of any two runs.
"""
import json
import os
import signal
import subprocess
import sys
import threading

import confluent_client
from group_log import GroupLog
from story import Wrong, say, until

HERE = os.path.dirname(os.path.abspath(__file__))
PARTITIONS = 12
# Records of a batch for each partition.
BATCH = 25
NAMES = ["callboard", "java", "librdkafka"]
# How each calls itself when nobody says otherwise. Member ids begin with it, so these are in the order in which range goes through them.
CLIENT_IDS = {"callboard": "callboard", "java": "consumer-", "librdkafka": "rdkafka"}
# With what each ends after SIGTERM when all went well; Java always says 128 + 15.
ENDED_IN_ORDER = {"callboard": 0, "java": 143, "librdkafka": 0}


def command(name, bootstrap, topic, group):
    """The three with the same timeouts as the members of the other stories."""
    if name == "callboard":
        settings = ["partition.assignment.strategy=range", "session.timeout.ms=10000", "heartbeat.interval.ms=500"]
        return [os.environ["CALLBOARD"], "consume", topic, "--group", group, "--from", "earliest", "--output", "json",
                "--bootstrap", bootstrap, *(word for setting in settings for word in ("--set", setting))]
    if name == "java":
        return ["bash", "-c", '. "$0"; kafka_exec "$@"', os.path.join(HERE, os.pardir, "lib.sh"), "org.apache.kafka.tools.VerifiableConsumer",
                "--bootstrap-server", bootstrap, "--topic", topic, "--group-id", group, "--group-protocol", "classic", "--verbose",
                "--reset-policy", "earliest", "--session-timeout", "10000", "--command-config", os.environ["JAVA_PROPERTIES"]]
    return [sys.executable, os.path.join(HERE, "confluent_member.py"), bootstrap, topic, group]


class Member:
    """A client that runs as a process. `owned` is None for one that does not say what it owns."""

    def __init__(self, name, arguments, read):
        self.name, self.read, self.said = name, read, []
        self.owned = None if name == "callboard" else set()
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        self.threads = [threading.Thread(target=listen, args=[stream], daemon=True)
                        for listen, stream in ((self.hear, self.process.stdout), (self.said.extend, self.process.stderr))]
        for thread in self.threads:
            thread.start()

    def hear(self, lines):
        for line in lines:
            try:
                self.understand(json.loads(line))
            except (ValueError, KeyError) as error:
                # What a killed member could not print to the end is not read.
                self.said.append(f"not understood, {error!r}: {line}")

    def understand(self, event):
        if self.name == "callboard" or event.get("name") == "record_data":
            self.read(self.name, event["partition"], event["offset"], event["value"])
        elif "record" in event:
            self.read(self.name, *event["record"])
        elif "owned" in event:
            self.owned = set(event["owned"])
        elif event.get("name") == "partitions_assigned":
            self.owned = {partition["partition"] for partition in event["partitions"]}
        elif event.get("name") == "partitions_revoked":
            self.owned = set()

    def end(self, how):
        """Sends the signal and waits until all that was printed is heard."""
        self.process.send_signal(how)
        try:
            code = self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            raise Wrong(f"{self.name} did not end within 30 s of {how.name}: {self.last_words()}") from None
        for thread in self.threads:
            thread.join(timeout=30)
        wanted = ENDED_IN_ORDER[self.name] if how == signal.SIGTERM else -how
        if code != wanted:
            raise Wrong(f"{self.name} ended with {code} after {how.name}, not with {wanted}: {self.last_words()}")

    def last_words(self):
        return "".join(self.said[-20:])


def ranged(members):
    """What range gives the members of a topic: their ids sorted, each a run of partitions, the first ones one more."""
    size, larger = divmod(PARTITIONS, len(members))
    plan, at = {}, 0
    for place, member in enumerate(sorted(members)):
        after = at + size + (place < larger)
        plan[member], at = list(range(at, after)), after
    return plan


def name_of(member):
    return next(name for name, start in CLIENT_IDS.items() if member.client_id.startswith(start))


def shown(plan):
    return ", ".join(f"{name} {partitions[0]}-{partitions[-1]}" for name, partitions in sorted(plan.items()))


class Story:
    def __init__(self, first, bootstrap):
        self.client = confluent_client.Client(bootstrap, strategy="range")
        self.topic, self.group, self.bootstrap = f"mixed-{first}", f"mixed-group-{first}", bootstrap
        at = NAMES.index(first)
        self.order = NAMES[at:] + NAMES[:at]
        self.members, self.log, self.checked = {}, None, 0
        self.lock, self.reads, self.ends = threading.Lock(), [], 0

    def tell(self):
        self.client.create_topic(self.topic, PARTITIONS)
        first, second, third = self.order
        for name in self.order:
            self.join(name)
            plan = self.settled([first], f"{name} joins")
        self.steady(plan)
        plan = self.killed(first, plan, [second, third])
        self.left(second, [third])
        self.finish(third)

    def join(self, name):
        self.members[name] = Member(name, command(name, self.bootstrap, self.topic, self.group), self.read)
        self.log = self.log or GroupLog(self.client, self.group)

    def read(self, name, partition, offset, value):
        with self.lock:
            self.reads.append((name, partition, offset, value))

    def heard(self):
        with self.lock:
            return list(self.reads)

    def wait_for(self, what, condition):
        """Until it holds, unless a member ends, which none does unasked."""
        def looked():
            for member in self.members.values():
                if member.process.poll() is not None:
                    raise Wrong(f"{member.name} ended with {member.process.returncode} before {what()}: {member.last_words()}")
            return condition()

        return until(what, looked)

    def generation(self):
        """The last one that is stored, after all of them were checked."""
        found = self.log.generations()
        for generation in found[self.checked:]:
            plan = {member: stored.plan.get(self.topic, []) for member, stored in generation.members.items()}
            if generation.protocol != "range" or plan != ranged(plan) or generation.leader not in plan:
                raise Wrong(f"not what range gives: {generation}; it gives {ranged(plan)}")
        self.checked = len(found)
        return found[-1] if found else None

    def plan(self):
        """Who owns what, once the members that run are the members of a stable group and all say the same of it; else None."""
        generation = self.generation()
        if generation is None or sorted(map(name_of, generation.members.values())) != sorted(self.members):
            return None
        [described] = self.client.admin.describe_consumer_groups([self.group]).values()
        described = described.result()
        answered = {member.member_id: sorted(p.partition for p in member.assignment.topic_partitions) for member in described.members}
        stored = {member_id: member.plan[self.topic] for member_id, member in generation.members.items()}
        if confluent_client.capitals(described.state) != "Stable" or answered != stored:
            return None
        plan = {name_of(member): member.plan[self.topic] for member in generation.members.values()}
        if any(member.owned not in (None, set(plan[name])) for name, member in self.members.items()):
            return None
        return name_of(generation.members[generation.leader]), plan

    def settled(self, leaders, when):
        """Waits until it is so; one of `leaders` has to lead."""
        def what():
            owned = {name: member.owned and sorted(member.owned) for name, member in self.members.items()}
            return f"{when}: a stable group of {sorted(self.members)}; stored is {self.generation()}; they say that they own {owned}"

        leader, plan = self.wait_for(what, self.plan)
        if leader not in leaders:
            raise Wrong(f"{when}: {leader} leads, not {' or '.join(leaders)}")
        say(f"{when}: {' or '.join(leaders)} leads; {shown(plan)}")
        return plan

    def produce(self, what):
        """A batch into each partition; `ends` is where every partition ends then."""
        failures = []
        producer = confluent_client.Producer({"bootstrap.servers": self.bootstrap, "enable.idempotence": True})
        for partition in range(PARTITIONS):
            for offset in range(self.ends, self.ends + BATCH):
                producer.produce(self.topic, f"{what} {partition}@{offset}", partition=partition, on_delivery=lambda error, _: error and failures.append(error))
        left = producer.flush(30)
        if failures or left:
            raise Wrong(f"not produced: {failures[:3]}, {left} left")
        self.ends += BATCH

    def all_read(self):
        """Waits until every record is read by somebody."""
        wanted = {(partition, offset) for partition in range(PARTITIONS) for offset in range(self.ends)}

        def missing():
            return sorted(wanted - {(partition, offset) for _, partition, offset, _ in self.heard()})

        self.wait_for(lambda: f"all {len(wanted)} records are read; {len(missing())} are not: {missing()[:5]}", lambda: not missing())

    def told(self, partition, since=0):
        """Who read which offset of a partition, in the order of reading; `since`: without so many first reads of all partitions."""
        told = []
        for name, of, offset, value in self.heard()[since:]:
            if of == partition:
                told.append((offset, name))
                if value.rsplit(" ", 1)[-1] != f"{partition}@{offset}":
                    raise Wrong(f"{name} read {value!r} as {partition}@{offset}")
        return told

    def steady(self, plan):
        generation = self.generation().number
        self.produce("steady")
        self.all_read()
        owner = {partition: name for name, partitions in plan.items() for partition in partitions}
        for partition in range(PARTITIONS):
            if self.told(partition) != [(offset, owner[partition]) for offset in range(self.ends)]:
                raise Wrong(f"partition {partition} of {owner[partition]} was not read once and in order: {self.told(partition)}")
        self.wait_for(lambda: f"everything is committed: {self.committed()}", lambda: set(self.committed().values()) == {self.ends})
        if self.generation().number != generation:
            raise Wrong(f"the group was not steady: {self.generation()} after {generation}")
        say(f"{PARTITIONS * BATCH} records are each read once, by the partition's owner, and committed")

    def committed(self):
        return self.client.committed(self.topic, self.group)

    def ends_while_it_reads(self, name, how):
        """A batch, and a member that ends when it has read of it."""
        before = self.ends
        self.produce(f"until {name} ends")
        self.wait_for(lambda: f"{name} reads", lambda: any(reader == name and offset >= before for reader, _, offset, _ in self.heard()))
        self.members.pop(name).end(how)

    def killed(self, name, had, rest):
        before, since = self.ends, len(self.heard())
        self.ends_while_it_reads(name, signal.SIGKILL)
        committed = self.committed()
        self.produce("after the kill")
        plan = self.settled(rest, f"{name} is killed")
        self.all_read()
        for partition in range(PARTITIONS):
            if partition not in had[name]:
                self.once(partition, since, before)
                continue
            told = self.told(partition)
            by_dead = [offset for offset, reader in told if reader == name]
            by_rest = [offset for offset, reader in told if reader != name]
            # A commit that was under way when it died may have come after we asked.
            begin = by_rest[0]
            if not committed[partition] <= begin <= by_dead[-1] + 1 or by_rest != list(range(begin, self.ends)):
                raise Wrong(f"partition {partition}: {name} committed {committed[partition]} and read to {by_dead[-1]}, the others went on so: {by_rest}")
        say(f"the others go on from its committed offsets; {PARTITIONS * (self.ends - before)} records more, none is lost, of the others' none is read twice")
        return plan

    def left(self, name, rest):
        before, since = self.ends, len(self.heard())
        self.ends_while_it_reads(name, signal.SIGTERM)
        self.produce("after it left")
        self.settled(rest, f"{name} leaves in order")
        self.all_once(since, before)
        say(f"{PARTITIONS * (self.ends - before)} records more are each read once")

    def finish(self, name):
        before, since = self.ends, len(self.heard())
        self.produce("the last")
        self.all_once(since, before)
        self.members.pop(name).end(signal.SIGTERM)
        committed, ends = self.committed(), self.client.ends(self.topic)
        if committed != ends or set(ends.values()) != {self.ends}:
            raise Wrong(f"when all have left the group stands at {committed}, the partitions end at {ends}; {self.ends} is right")
        say(f"when all have left the group stands where the partitions end, {sum(ends.values())} records in all")

    def all_once(self, since, before):
        self.all_read()
        for partition in range(PARTITIONS):
            self.once(partition, since, before)

    def once(self, partition, since, before):
        """What was read `since` is what was produced after the offset `before`: each once, and in order by whoever read it."""
        told = self.told(partition, since)
        # Two members' lines may be heard in another order than they were printed in.
        by_member = [[offset for offset, reader in told if reader == name] for name in NAMES]
        if sorted(sum(by_member, [])) != list(range(before, self.ends)) or any(offsets != sorted(offsets) for offsets in by_member):
            raise Wrong(f"partition {partition} was not read on from {before}, once and in order: {told}")

    def close(self):
        for member in self.members.values():
            member.process.kill()
        if self.log:
            self.log.close()


def main():
    first, bootstrap = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    story = Story(first, bootstrap)
    try:
        story.tell()
    except Wrong as wrong:
        sys.exit(f"FAILED {first} first: {wrong}")
    finally:
        story.close()
    print(f"ok {first} first")


if __name__ == "__main__":
    main()
