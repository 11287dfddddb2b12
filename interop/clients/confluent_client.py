"""confluent-kafka: librdkafka as its Python users have it."""
import threading

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec


class Client:
    static = True

    def __init__(self, bootstrap, strategy):
        self.bootstrap, self.strategy = bootstrap, strategy
        self.admin = AdminClient({"bootstrap.servers": bootstrap})

    def create_topic(self, topic, partitions):
        for future in self.admin.create_topics([NewTopic(topic, partitions, 1)]).values():
            future.result()

    def produce(self, topic, records):
        failures = []
        producer = Producer({"bootstrap.servers": self.bootstrap, "enable.idempotence": True})
        for key, value in records:
            producer.produce(topic, value, key, on_delivery=lambda error, _: error and failures.append(error))
        left = producer.flush(30)
        if failures or left:
            raise RuntimeError(f"not produced: {failures}, {left} left")

    def member(self, topic, group, seen, instance=""):
        return Member(self, topic, group, seen, instance)

    def partitions(self, topic):
        return sorted(self.admin.list_topics(topic, timeout=30).topics[topic].partitions)

    def committed(self, topic, group):
        asked = [TopicPartition(topic, p) for p in self.partitions(topic)]
        [future] = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, asked)]).values()
        return {p.partition: max(p.offset, 0) for p in future.result().topic_partitions}

    def ends(self, topic):
        asked = {TopicPartition(topic, p): OffsetSpec.latest() for p in self.partitions(topic)}
        return {p.partition: future.result().offset for p, future in self.admin.list_offsets(asked).items()}

    def groups(self):
        return {listed.group_id: capitals(listed.state) for listed in self.admin.list_consumer_groups().result().valid}

    def describe(self, group):
        [future] = self.admin.describe_consumer_groups([group]).values()
        return {"state": capitals(future.result().state), "members": len(future.result().members)}

    def reset(self, topic, group):
        offsets = [TopicPartition(topic, p, 0) for p in self.partitions(topic)]
        [future] = self.admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, offsets)]).values()
        for partition in future.result().topic_partitions:
            if partition.error:
                raise RuntimeError(f"not reset: {partition}")

    def delete(self, group):
        [future] = self.admin.delete_consumer_groups([group]).values()
        future.result()


def capitals(state):
    """As the other clients print it: Stable, PreparingRebalance."""
    return "".join(word.capitalize() for word in state.name.split("_"))


class Member:
    """One consumer on a thread of its own; commits what it has read when it closes."""

    def __init__(self, client, topic, group, seen, instance):
        self.topic, self.seen, self.assignments = topic, seen, 0
        self.mine, self.ended = set(), threading.Event()
        self.consumer = Consumer({
            "bootstrap.servers": client.bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": client.strategy,
            "session.timeout.ms": 10000,
            "heartbeat.interval.ms": 500,
            "topic.metadata.refresh.interval.ms": 1000,
            **({"group.instance.id": instance} if instance else {}),
        })
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        self.consumer.subscribe([self.topic], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.revoked)
        while not self.ended.is_set():
            message = self.consumer.poll(0.1)
            if message is None:
                continue
            if message.error():
                print("confluent:", message.error())
                continue
            self.seen.record(message.partition(), message.offset(), message.value().decode())
        self.consumer.close()

    def assigned(self, _consumer, partitions):
        self.assignments += 1
        self.mine |= {p.partition for p in partitions}

    def revoked(self, _consumer, partitions):
        self.mine -= {p.partition for p in partitions}

    def owned(self):
        return set(self.mine)

    def close(self):
        self.ended.set()
        self.thread.join()
