"""aiokafka: a join and sync of its own, on asyncio."""
import asyncio
import threading

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


class Client:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap

    def create_topic(self, topic, partitions):
        async def create():
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await admin.start()
            try:
                await admin.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1)])
            finally:
                await admin.close()

        asyncio.run(create())

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

    def member(self, topic, group, seen):
        return Member(self.bootstrap, topic, group, seen)

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


class Member(ConsumerRebalanceListener):
    """One consumer on a thread and event loop of its own; commits what it has read when it closes."""

    def __init__(self, bootstrap, topic, group, seen):
        self.bootstrap, self.topic, self.group, self.seen = bootstrap, topic, group, seen
        self.mine, self.ended = set(), threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()))
        self.thread.start()

    async def run(self):
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=self.group,
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

    def on_partitions_revoked(self, _revoked):
        self.mine = set()

    def owned(self):
        return set(self.mine)

    def close(self):
        self.ended.set()
        self.thread.join()
