"""aiokafka: a join and sync of its own, on asyncio."""
import asyncio
import threading

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


class Client:
    static = True

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap

    def admin(self, question):
        async def ask():
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await admin.start()
            try:
                return await question(admin)
            finally:
                await admin.close()

        return asyncio.run(ask())

    def create_topic(self, topic, partitions):
        self.admin(lambda a: a.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1)]))

    def produce(self, topic, records):
        async def produce():
            producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, enable_idempotence=True)
            await producer.start()
            try:
                sent = [await producer.send(topic, value.encode(), key.encode()) for key, value in records]
                await asyncio.gather(*sent)
            finally:
                await producer.stop()

        asyncio.run(produce())

    def member(self, topic, group, seen, instance=""):
        return Member(self.bootstrap, topic, group, seen, instance)

    def ask(self, topic, question, group=None):
        async def ask():
            # Without a group a subscription joins nothing; it makes the client learn the partitions.
            consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.bootstrap)
            await consumer.start()
            asked = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
            await consumer.stop()
            consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=group, enable_auto_commit=False)
            await consumer.start()
            try:
                consumer.assign(asked)
                return await question(consumer, asked)
            finally:
                await consumer.stop()

        return asyncio.run(ask())

    def committed(self, topic, group):
        async def question(consumer, asked):
            return {p.partition: await consumer.committed(p) or 0 for p in asked}

        return self.ask(topic, question, group)

    def ends(self, topic):
        async def question(consumer, asked):
            return {p.partition: end for p, end in (await consumer.end_offsets(asked)).items()}

        return self.ask(topic, question)

    def groups(self):
        # It prints protocol types, not states; it cannot delete a group.
        return {listed[0]: "" for listed in self.admin(lambda a: a.list_consumer_groups())}

    def describe(self, group):
        [answer] = self.admin(lambda a: a.describe_consumer_groups([group]))
        [described] = answer.groups
        return {"state": described[2], "members": len(described[5])}

    def reset(self, topic, group):
        self.ask(topic, lambda consumer, asked: consumer.commit({p: 0 for p in asked}), group)


class Member(ConsumerRebalanceListener):
    """One consumer on a thread and event loop of its own; commits what it has read when it closes."""

    def __init__(self, bootstrap, topic, group, seen, instance):
        self.bootstrap, self.topic, self.group, self.seen, self.instance = bootstrap, topic, group, seen, instance
        self.assignments, self.mine, self.ended = 0, set(), threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()))
        self.thread.start()

    async def run(self):
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=self.group,
            group_instance_id=self.instance or None,
            auto_offset_reset="earliest",
            session_timeout_ms=10000,
            heartbeat_interval_ms=500,
            metadata_max_age_ms=1000,
        )
        consumer.subscribe([self.topic], listener=self)
        await consumer.start()
        while not self.ended.is_set():
            for partition, records in (await consumer.getmany(timeout_ms=100)).items():
                for record in records:
                    self.seen.record(partition.partition, record.offset, record.value.decode())
        await consumer.stop()

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
