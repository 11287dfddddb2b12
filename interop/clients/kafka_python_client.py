"""kafka-python: infers what a broker can do from the versions it advertises."""
import threading

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic, OffsetSpec


class Client:
    static = True

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap

    def admin(self, question):
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            return question(admin)
        finally:
            admin.close()

    def create_topic(self, topic, partitions):
        self.admin(lambda a: a.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1)]))

    def produce(self, topic, records):
        producer = KafkaProducer(bootstrap_servers=self.bootstrap)
        sent = [producer.send(topic, value.encode(), key.encode()) for key, value in records]
        for future in sent:
            future.get(timeout=30)
        producer.close()

    def member(self, topic, group, seen, instance=""):
        return Member(self.bootstrap, topic, group, seen, instance)

    def ask(self, topic, question, group=None):
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=group, enable_auto_commit=False)
        try:
            return question(consumer, [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))])
        finally:
            consumer.close()

    def committed(self, topic, group):
        return self.ask(topic, lambda c, asked: {p.partition: c.committed(p) or 0 for p in asked}, group)

    def ends(self, topic):
        return self.ask(topic, lambda c, asked: {p.partition: end for p, end in c.end_offsets(asked).items()})

    def groups(self):
        return {listed["group_id"]: listed["group_state"] for listed in self.admin(lambda a: a.list_groups())}

    def describe(self, group):
        described = self.admin(lambda a: a.describe_groups([group]))[group]
        return {"state": described["group_state"], "members": len(described["members"])}

    def reset(self, topic, group):
        specs = {TopicPartition(topic, p): OffsetSpec.EARLIEST for p in self.committed(topic, group)}
        self.admin(lambda a: a.reset_group_offsets(group, specs))

    def delete(self, group):
        self.admin(lambda a: a.delete_groups([group]))


class Member(ConsumerRebalanceListener):
    """One consumer on a thread of its own; commits what it has read when it closes."""

    def __init__(self, bootstrap, topic, group, seen, instance):
        self.topic, self.seen, self.assignments = topic, seen, 0
        self.mine, self.ended = set(), threading.Event()
        self.consumer = KafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group,
            group_instance_id=instance or None,
            auto_offset_reset="earliest",
            session_timeout_ms=10000,
            heartbeat_interval_ms=500,
            metadata_max_age_ms=1000,
        )
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        self.consumer.subscribe([self.topic], listener=self)
        while not self.ended.is_set():
            for partition, records in self.consumer.poll(timeout_ms=100).items():
                for record in records:
                    self.seen.record(partition.partition, record.offset, record.value.decode())
        self.consumer.close()

    def on_partitions_assigned(self, assigned):
        self.mine = {p.partition for p in assigned}
        self.assignments += 1

    def on_partitions_revoked(self, _revoked):
        self.mine = set()

    def owned(self):
        return set(self.mine)

    def close(self):
        self.ended.set()
        self.thread.join()
